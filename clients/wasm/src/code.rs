//! The stable codes of refusals: the variant's name in lower camel case. Those of a balance are the classes in
//! docs/protocol/liabilities.md; those of a trust root's file begin with `trustRoot`.

use proof_of_agent::{BundleError, LiabilitiesError, TrustError, VerifyError};

use crate::answer::Failure;

impl From<BundleError> for Failure {
    fn from(error: BundleError) -> Self {
        let code = match &error {
            BundleError::TooLarge => "tooLarge",
            BundleError::Malformed(_) => "malformed",
            BundleError::UnknownVersion(_) => "unknownVersion",
            BundleError::Limit(_) => "limit",
        };
        Self::new(code, error)
    }
}

impl From<TrustError> for Failure {
    fn from(error: TrustError) -> Self {
        let code = match &error {
            TrustError::TooLarge => "trustRootTooLarge",
            TrustError::Malformed(_) => "trustRootMalformed",
            TrustError::UnknownVersion(_) => "trustRootUnknownVersion",
            TrustError::Keys => "trustRootKeys",
            TrustError::Witnesses => "trustRootWitnesses",
            TrustError::Range(_) => "trustRootRange",
            TrustError::BadSignature(_) => "trustRootBadSignature",
            TrustError::NotSigned { .. } => "trustRootNotSigned",
            TrustError::OtherInstance => "trustRootOtherInstance",
            TrustError::NotNewer { .. } => "trustRootNotNewer",
        };
        Self::new(code, error)
    }
}

impl From<VerifyError> for Failure {
    fn from(error: VerifyError) -> Self {
        let code = match &error {
            VerifyError::TrustRootExpired { .. } => "trustRootExpired",
            VerifyError::Network { .. } => "network",
            VerifyError::Checkpoint(_) => "checkpoint",
            VerifyError::LogShrank { .. } => "logShrank",
            VerifyError::Empty => "empty",
            VerifyError::Envelope { .. } => "envelope",
            VerifyError::Origin { .. } => "origin",
            VerifyError::Task { .. } => "task",
            VerifyError::Pending { .. } => "pending",
            VerifyError::NotInLog { .. } => "notInLog",
            VerifyError::LogOrder { .. } => "logOrder",
            VerifyError::SubmissionIndex { .. } => "submissionIndex",
            VerifyError::KeyRange { .. } => "keyRange",
            VerifyError::Record { .. } => "record",
            VerifyError::Notice { .. } => "notice",
            VerifyError::NoKeyEvent { .. } => "noKeyEvent",
            VerifyError::AgentKeyCompromised { .. } => "agentKeyCompromised",
            VerifyError::Evidence(_) => "evidence",
            VerifyError::Level { .. } => "level",
            VerifyError::Chain { .. } => "chain",
            VerifyError::OtherInput => "otherInput",
            VerifyError::OtherResult => "otherResult",
            VerifyError::NoResult => "noResult",
            VerifyError::NotPaid { .. } => "notPaid",
        };
        Self::new(code, error)
    }
}

impl From<LiabilitiesError> for Failure {
    fn from(error: LiabilitiesError) -> Self {
        let code = match &error {
            LiabilitiesError::Amount => "amount",
            LiabilitiesError::Place => "place",
            LiabilitiesError::PathLength => "pathLength",
            LiabilitiesError::OtherRoot => "otherRoot",
            LiabilitiesError::Malformed(_) => "malformed",
            LiabilitiesError::UnknownVersion(_) => "unknownVersion",
            LiabilitiesError::Limit(_) => "limit",
            LiabilitiesError::TrustRootExpired { .. } => "trustRootExpired",
            LiabilitiesError::Network { .. } => "network",
            LiabilitiesError::Origin => "origin",
            LiabilitiesError::OtherSnapshot => "otherSnapshot",
            LiabilitiesError::Envelope(_) => "envelope",
            LiabilitiesError::NotAReceiptKey(_) => "signer",
            LiabilitiesError::Checkpoint(_) => "checkpoint",
            LiabilitiesError::LogShrank { .. } => "logShrank",
            LiabilitiesError::NotInLog(_) => "notInLog",
        };
        Self::new(code, error)
    }
}
