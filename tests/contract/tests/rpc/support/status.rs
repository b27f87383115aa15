//! The rules that every error status keeps, held at each answer of each test.

use std::collections::BTreeMap;

use poa_proto::Method;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::contract::contract;

const DOMAIN: &str = "proof-of-agent";
/// The most bytes of a status with its details: headers are capped.
const MAX_BYTES: usize = 4_096;
/// The most violations that one answer names.
pub(crate) const MAX_VIOLATIONS: usize = 20;

/// An error as a program reads it. Two refusals are equal where a caller cannot tell them apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    /// Empty where there is no such method.
    pub(crate) reason: String,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) message: String,
    /// The fields that are wrong, each with what is wrong with it.
    pub(crate) violations: Vec<(String, String)>,
}

// === impl Refusal ===

impl Refusal {
    /// Reads a status, and holds it against the rules.
    pub(crate) fn read(method: &Method, status: &Status) -> Self {
        let path = method.path;
        let details = status.get_error_details();
        let mut refusal = Self {
            code: status.code(),
            reason: String::new(),
            metadata: BTreeMap::new(),
            message: status.message().to_owned(),
            violations: Vec::new(),
        };
        if status.code() == Code::Unimplemented {
            return refusal;
        }
        let info =
            details.error_info().unwrap_or_else(|| panic!("{path} answers without ErrorInfo: {status:?}"));
        assert_eq!(info.domain, DOMAIN, "{path}: {status:?}");
        refusal.reason.clone_from(&info.reason);
        refusal.metadata = info.metadata.clone().into_iter().collect();

        let known = contract().reasons.get(&info.reason);
        let known =
            known.unwrap_or_else(|| panic!("{path} answers {}, which is not registered", info.reason));
        let code = known.split('.').next().unwrap_or_default().replace('_', "");
        assert_eq!(
            format!("{:?}", status.code()).to_uppercase(),
            code,
            "{path}: the code of {}",
            info.reason
        );
        assert!(
            contract().may_answer(method, &info.reason),
            "{path} answers {} ({}), which its comment does not name",
            info.reason,
            status.message()
        );

        let bytes = status.message().len() + status.details().len();
        assert!(bytes <= MAX_BYTES, "{path}: {} has {bytes} bytes", info.reason);
        assert!(details.request_info().is_some(), "{path}: {} without a request id", info.reason);
        if matches!(status.code(), Code::Unavailable | Code::ResourceExhausted) {
            let delay = details.retry_info().and_then(|info| info.retry_delay);
            assert!(delay.is_some(), "{path}: {} does not say when to try again", info.reason);
        }
        if status.code() == Code::ResourceExhausted {
            let violations = details.quota_failure().map_or(0, |quota| quota.violations.len());
            assert!(violations > 0, "{path}: {} does not say which quota", info.reason);
        }
        if info.reason == "FIELDS_INVALID" {
            let wrong = details.bad_request().map(|bad| bad.field_violations.as_slice()).unwrap_or_default();
            assert!((1..=MAX_VIOLATIONS).contains(&wrong.len()), "{path} names {} fields", wrong.len());
            refusal.violations =
                wrong.iter().map(|wrong| (wrong.field.clone(), wrong.description.clone())).collect();
        }
        assert_ne!(status.code(), Code::Internal, "{path}: a bug of the server's: {}", status.message());
        refusal
    }

    /// What is said of a field.
    pub(crate) fn about(&self, field: &str) -> Vec<&str> {
        let about = self.violations.iter().filter(|(path, _)| path == field);
        about.map(|(_, description)| description.as_str()).collect()
    }
}
