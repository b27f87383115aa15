//! What every method must say of itself, read from the descriptors: a new RPC is covered by being declared.

use poa_proto::{Audience, DESCRIPTORS, METHODS};
use prost_reflect::{DescriptorPool, Kind, MessageDescriptor, MethodDescriptor};

/// Every scope that a token can hold. A method with another one could never be called.
const SCOPES: [&str; 12] = [
    "account.read",
    "account.write",
    "agents.read",
    "agents.write",
    "tasks.read",
    "tasks.write",
    "work.write",
    "money.read",
    "money.deposit",
    "money.withdraw",
    "admin.read",
    "admin.write",
];
/// Verbs that only read.
const READS: [&str; 7] = ["Get", "List", "Watch", "Estimate", "Quote", "Search", "Suggest"];
/// Writes that need no request_id, each for a reason of its own: the token in the request is the key (refresh, logout),
/// the escrow id, the withdrawal, the task and digest (statements, evidence), the snapshot, or the invoice is the key, what is set is the key (the
/// switch of payouts, the fee of an account from a moment on), or nothing of ours changes (exchange, outside invoice, an index that is
/// built anew).
const KEYED_OTHERWISE: [&str; 16] = [
    "RefreshSession",
    "Logout",
    "ExchangeApiKey",
    "HoldFunds",
    "CaptureEscrow",
    "RefundEscrow",
    "SecureEscrow",
    "AppendStatement",
    "SubmitTeeEvidence",
    "AppendLiabilities",
    "PausePayouts",
    "ReturnWithdrawal",
    "SetFeeSchedule",
    "PayInvoice",
    "CreateOutsideInvoice",
    "Reindex",
];

fn pool() -> DescriptorPool {
    DescriptorPool::decode(DESCRIPTORS).expect("the committed descriptor set")
}

fn methods(pool: &DescriptorPool) -> Vec<MethodDescriptor> {
    let ours = pool.services().filter(|service| service.full_name().starts_with("poa."));
    ours.flat_map(|service| service.methods().collect::<Vec<_>>()).collect()
}

#[test]
fn every_method_of_the_descriptors_has_its_row() {
    let pool = pool();
    let declared = methods(&pool);
    assert_eq!(declared.len(), METHODS.len());
    for method in declared {
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        let row = poa_proto::Method::find(&path).unwrap_or_else(|| panic!("{path} has no row"));
        assert_eq!(row.server_streaming, method.is_server_streaming(), "{path}");
        assert!(!method.is_client_streaming(), "{path}: grpc-web has no client streams");
        assert!(row.scope.is_empty() || SCOPES.contains(&row.scope), "{path}: unknown scope {}", row.scope);
    }
}

#[test]
fn the_audience_of_a_service_stands_in_its_name() {
    for method in METHODS {
        let service = method.service();
        let expected = if service.ends_with("InternalService") {
            Audience::Internal
        } else if service.ends_with("AdminService") {
            Audience::Admin
        } else {
            Audience::Public
        };
        assert_eq!(method.audience, expected, "{}", method.path);
    }
}

#[test]
fn every_write_has_a_request_id_or_a_key_of_its_own() {
    for method in METHODS {
        let reads =
            READS.iter().any(|verb| method.name().starts_with(verb)) || method.name() == "AuditLedger";
        let keyed = KEYED_OTHERWISE.contains(&method.name());
        assert_eq!(method.mutation, !reads && !keyed, "{}", method.path);
    }
}

#[test]
fn every_text_bytes_and_list_field_of_a_request_is_bounded() {
    let pool = pool();
    let limit = pool.get_extension_by_name("poa.options.v1.limit").expect("the limit option");
    let mut seen = Vec::new();
    for method in methods(&pool) {
        check_message(&method.input(), &limit, &mut seen);
    }
}

fn check_message(
    message: &MessageDescriptor,
    limit: &prost_reflect::ExtensionDescriptor,
    seen: &mut Vec<String>,
) {
    if !message.full_name().starts_with("poa.") || seen.iter().any(|name| name == message.full_name()) {
        return;
    }
    seen.push(message.full_name().to_owned());
    for field in message.fields() {
        let unbounded_kind = matches!(field.kind(), Kind::String | Kind::Bytes);
        if unbounded_kind || field.is_list() {
            assert!(field.options().has_extension(limit), "{} has no limit", field.full_name());
        }
        if let Kind::Message(inner) = field.kind() {
            check_message(&inner, limit, seen);
        }
    }
}

#[test]
fn a_list_method_pages() {
    let pool = pool();
    for method in methods(&pool).into_iter().filter(|method| method.name().starts_with("List")) {
        for name in ["page_size", "page_token"] {
            assert!(method.input().get_field_by_name(name).is_some(), "{} has no {name}", method.full_name());
        }
        assert!(method.output().get_field_by_name("next_page_token").is_some(), "{}", method.full_name());
    }
}
