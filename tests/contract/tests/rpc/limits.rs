//! The bounds of every field of every request: at the bound it is taken, one beyond it is refused by name.

use poa_proto::Method;

use crate::support::contract;
use crate::support::field::{Probe, is_missed, probes, with_text};
use crate::support::{Refusal, Scene, example, methods, request_id};

/// The field by which a mutation is known again.
const REQUEST_ID: &str = "request_id";
/// What the contract's bounds say of a field that breaks them. What a service finds wrong besides, it says otherwise.
const OF_A_BOUND: [&str; 6] = [
    "are allowed",
    "is allowed",
    "are needed",
    "is required",
    "is not a value of its enum",
    "must be a UUID such as",
];

/// Where a value within its bounds may be refused all the same, for what no bound can say: the method, or none for all;
/// the field, by how its path ends; and the reason.
const NOT_OF_A_BOUND: &[(&str, &str, &str)] = &[
    // A text of the right length is no id, token, cursor or statement.
    ("", "_id", "FIELDS_INVALID"),
    ("", "_id", "RESOURCE_NOT_FOUND"),
    ("", "page_token", "PAGE_TOKEN_INVALID"),
    ("", "cursor", "FIELDS_INVALID"),
    ("", "invoice", "INVOICE_REFUSED"),
    ("SetPayoutDestination", "lightning_address", "ADDRESS_REFUSED"),
    ("Login", "password", "SIGN_IN_FAILED"),
    ("RefreshSession", "refresh_token", "SESSION_REVOKED"),
    ("ExchangeApiKey", "secret", "CREDENTIALS_INVALID"),
    ("AppendStatement", "envelope", "FIELDS_INVALID"),
    ("AppendStatement", "platform_payload", "FIELDS_INVALID"),
    ("ClaimTask", "acceptance", "FIELDS_INVALID"),
    ("SubmitResult", "submission", "FIELDS_INVALID"),
    ("HoldFunds", "terms", "FIELDS_INVALID"),
    ("RegisterAgent", "public_key", "FIELDS_INVALID"),
    ("RegisterAgent", "key_proof", "SIGNATURE_INVALID"),
    ("RotateAgentKey", "public_key", "FIELDS_INVALID"),
    // One reason needs a moment beside it.
    ("RotateAgentKey", "reason", "FIELDS_INVALID"),
    ("RevokeAgentKey", "reason", "FIELDS_INVALID"),
    ("RotateAgentKey", "key_proof", "SIGNATURE_INVALID"),
    ("RotateAgentKey", "authorisation", "FIELDS_INVALID"),
    ("RotateAgentKey", "authorisation", "SIGNATURE_INVALID"),
    ("RevokeAgentKey", "authorisation", "FIELDS_INVALID"),
    ("RevokeAgentKey", "authorisation", "SIGNATURE_INVALID"),
    ("PublishAgentVersion", "envelope", "FIELDS_INVALID"),
    ("GetTile", "path", "FIELDS_INVALID"),
    ("CreateTask", "json_schema", "FIELDS_INVALID"),
    // What the example has signed is another text.
    ("SubmitResult", "result.media_type", "SIGNATURE_INVALID"),
    ("SubmitResult", "result.inline", "SIGNATURE_INVALID"),
    ("HoldFunds", "amount_msat", "FIELDS_INVALID"),
    // What is logged of a snapshot stays, and every probe names the example's.
    ("AppendLiabilities", "liabilities_msat", "REQUEST_ID_REUSED"),
    ("AppendLiabilities", "leaf_count", "REQUEST_ID_REUSED"),
    // What is remote has an address, which the probes of its other fields leave empty.
    ("", "remote.uri", "FIELDS_INVALID"),
    ("", "remote.sha256", "FIELDS_INVALID"),
    ("", "remote.size_bytes", "FIELDS_INVALID"),
    // Items that are as small as can be, each the same: no scope, state, capability or criterion is.
    ("CreateApiKey", "scopes", "FIELDS_INVALID"),
    ("CreateApiKey", "scopes[0]", "FIELDS_INVALID"),
    ("RegisterAgent", "capabilities", "FIELDS_INVALID"),
    ("CreateTask", "criteria", "FIELDS_INVALID"),
    ("", "states", "FIELDS_INVALID"),
    // More than there is, or less than is sold.
    ("GetInclusionProof", "log_index", "RESOURCE_NOT_FOUND"),
    ("GetInclusionProof", "tree_size", "FIELDS_INVALID"),
    ("GetConsistencyProof", "first_size", "FIELDS_INVALID"),
    ("GetConsistencyProof", "second_size", "FIELDS_INVALID"),
    ("RejectResult", "criterion", "FIELDS_INVALID"),
    // The submission names the digest of other bytes.
    ("SubmitTeeEvidence", "evidence", "CHAIN_MISMATCH"),
    ("ClaimNextTask", "capabilities", "NO_OPEN_TASK"),
    ("ClaimNextTask", "capabilities[0]", "NO_OPEN_TASK"),
    ("ClaimNextTask", "min_payee_msat", "NO_OPEN_TASK"),
    ("CreateTask", "price_msat", "PRICE_OUT_OF_RANGE"),
    // An invoice names its payee and its amount itself.
    ("CreateWithdrawal", "lightning_address", "FIELDS_INVALID"),
    ("CreateWithdrawal", "amount_msat", "FIELDS_INVALID"),
    ("CreateTask", "funding", "HOLD_INVOICE_UNAVAILABLE"),
    ("CreateOutsideInvoice", "amount_msat", "DEPENDENCY_UNAVAILABLE"),
    ("CreateDeposit", "amount_msat", "DEPENDENCY_UNAVAILABLE"),
    // An earlier probe was taken, and what the example names may be there only once.
    ("RotateAgentKey", "", "ETAG_MISMATCH"),
    ("RevokeAgentKey", "", "ETAG_MISMATCH"),
    ("RegisterAgent", "description", "AGENT_KEY_TAKEN"),
    ("RegisterAgent", "capabilities[0]", "AGENT_KEY_TAKEN"),
    ("Register", "password", "USERNAME_TAKEN"),
    ("Register", "display_name", "USERNAME_TAKEN"),
    ("CreateWithdrawal", "fee_limit_msat", "INVOICE_ALREADY_USED"),
    ("CreateWithdrawal", "amount_msat", "INVOICE_ALREADY_USED"),
    ("ReplaceWithdrawalInvoice", "fee_limit_msat", "WITHDRAWAL_STATE"),
    ("AppendLiabilities", "root", "REQUEST_ID_REUSED"),
    ("AppendLiabilities", "liabilities_msat", "REQUEST_ID_REUSED"),
    ("AppendLiabilities", "leaf_count", "REQUEST_ID_REUSED"),
];

/// Whether the list above has a refusal of a value within its bounds.
fn may_be_refused(method: &Method, path: &str, reason: &str) -> bool {
    let name = method.path.rsplit('/').next().unwrap_or_default();
    NOT_OF_A_BOUND.iter().any(|(of, field, expected)| {
        (of.is_empty() || *of == name) && path.ends_with(field) && reason == *expected
    })
}

/// What is wrong with the answer to a probe.
fn fault(method: &Method, probe: &Probe, answer: Result<Vec<u8>, Refusal>) -> Option<String> {
    let Probe { path, holds, wrong, .. } = probe;
    let refusal = answer.err();
    let about = refusal.as_ref().map(|refusal| refusal.about(path)).unwrap_or_default();
    let broken = about.iter().any(|said| OF_A_BOUND.iter().any(|bound| said.contains(bound)));
    let taken = refusal.as_ref().is_none_or(|refusal| may_be_refused(method, path, &refusal.reason));
    match (wrong, broken) {
        (true, true) => None,
        (false, false) if taken => None,
        (true, false) => Some(format!("{path} holds {holds} and is not named: {refusal:?}")),
        (false, _) => Some(format!("{path} may hold {holds} and is refused: {refusal:?}")),
    }
}

/// The request of a probe as a request of its own: else it is refused for the id of another.
fn as_its_own(scene: &Scene, method: &Method, probe: &Probe) -> Vec<u8> {
    if probe.path == REQUEST_ID || contract().input(method).get_field_by_name(REQUEST_ID).is_none() {
        return probe.request.clone();
    }
    with_text(method, &probe.request, REQUEST_ID, &request_id(&scene.world.env))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_may_hold_what_its_bounds_say_and_nothing_beyond() {
    let scene = Scene::enter().await;
    let mut faults = Vec::new();
    let mut count = 0;
    for method in methods() {
        let good = Box::pin(example(&scene, method)).await;
        for probe in probes(method, &good.request) {
            let request = as_its_own(&scene, method, &probe);
            let answer = scene.wire.call(method, &good.caller, &request).await;
            faults.extend(fault(method, &probe, answer).map(|fault| format!("{}: {fault}", method.path)));
            count += 1;
        }
    }
    assert!(count > 300, "only {count} probes");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_is_missing_is_named_at_once() {
    let scene = Scene::enter().await;
    for method in methods() {
        let fields = contract().input(method);
        let required: Vec<String> =
            fields.fields().filter(is_missed).map(|field| field.name().to_owned()).collect();
        if required.is_empty() {
            continue;
        }
        let caller = Box::pin(example(&scene, method)).await.caller;
        let answer = scene.wire.call(method, &caller, &[]).await;
        let refusal = answer.err().unwrap_or_else(|| panic!("{} answers an empty request", method.path));
        for field in required {
            assert!(!refusal.about(&field).is_empty(), "{} is silent on {field}: {refusal:?}", method.path);
        }
    }
}
