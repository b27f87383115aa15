//! Statements: the exact bytes, and every rule that refuses some.

use proof_of_agent::statement::{MAX_STATEMENT_BYTES, STATEMENT_TYPE, TYPE_NAMESPACE};
use proof_of_agent::{
    Author, Body, Content, Criterion, Decision, DecisionKind, DidKey, Digest, Kind, ReleasePolicy, Role,
    SettlementKind, Statement, StatementError, SubjectName, TermsOffered,
};
use serde_json::{Value, json};

use crate::fixture::{RESULT, World, decision, terms};

/// Sets what a JSON pointer points to, or removes it where the value is null.
fn edited(statement: &Statement, pointer: &str, to: Value) -> Result<Statement, StatementError> {
    let mut value: Value = serde_json::from_slice(statement.payload()).unwrap();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = value.pointer_mut(parent).unwrap();
    match parent {
        Value::Object(map) if to.is_null() => drop(map.remove(name)),
        Value::Object(map) => drop(map.insert(name.to_owned(), to)),
        other => *other.pointer_mut(&format!("/{name}")).unwrap() = to,
    }
    Statement::parse(&serde_json::to_vec(&value).unwrap())
}

fn invalid(field: &'static str, result: Result<Statement, StatementError>) {
    match result {
        Err(StatementError::Invalid { field: found, .. }) => assert_eq!(found, field),
        other => panic!("expected {field} to be refused, got {other:?}"),
    }
}

#[test]
fn every_kind_reads_back_as_it_was_built() {
    let world = World::new();
    let statements = world.paid();
    let kinds: Vec<Kind> = statements.iter().map(Statement::kind).collect();
    assert_eq!(kinds, Kind::ALL);
    for statement in statements {
        assert_eq!(Statement::parse(statement.payload()), Ok(statement.clone()));
        let value: Value = serde_json::from_slice(statement.payload()).unwrap();
        assert_eq!(value["_type"], STATEMENT_TYPE);
        assert_eq!(value["predicateType"], format!("{TYPE_NAMESPACE}{}/v1", statement.kind()));
    }
}

/// The bytes that docs/protocol/receipts.md shows: a change here is a change of the protocol.
#[test]
fn the_bytes_of_an_acceptance_are_those_of_the_documentation() {
    let world = World::new();
    let offer = world.offer(ReleasePolicy::OnAttestation);
    let acceptance = world.accept(&offer, 1);
    let expected = format!(
        concat!(
            r#"{{"_type":"https://in-toto.io/Statement/v1","#,
            r#""subject":[{{"name":"terms","digest":{{"sha256":"{offer}"}}}}],"#,
            r#""predicateType":"urn:uuid:6ebeb7d1-33c1-44dd-946e-1f07280a6e9f#TermsAccepted/v1","#,
            r#""predicate":{{"task":"task_00000000000000000000000007","network":"simulated","#,
            r#""logOrigin":"simulated.poa/00ff","nonce":"02020202020202020202020202020202","#,
            r#""predecessor":"{offer}","signer":"{agent}","signerRole":"agent","#,
            r#""body":{{"agent":"agent_00000000000000000000000005","account":"acct_00000000000000000000000002","#,
            r#""claimNumber":1,"leaseSeconds":60,"acceptedTime":"2026-01-02T03:04:05.678901Z"}}}}}}"#,
        ),
        offer = offer.digest(),
        agent = DidKey::of(&world.agent),
    );
    assert_eq!(String::from_utf8_lossy(acceptance.payload()), expected);
}

#[test]
fn a_successor_takes_over_what_the_chain_fixes() {
    let world = World::new();
    let paid = world.paid();
    let names: Vec<SubjectName> = paid.iter().map(|statement| statement.subject().name).collect();
    use SubjectName::{Input, Result, Terms};
    assert_eq!(names, [Input, Terms, Result, Result, Result, Result]);
    assert_eq!(paid[5].subject().sha256, Digest::of(RESULT));
    for pair in paid.windows(2) {
        assert_eq!(pair[1].context().predecessor, Some(pair[0].digest()));
        assert_eq!(pair[1].context().task, pair[0].context().task);
    }
    let expired = world.decide(&paid[1], DecisionKind::Expired);
    assert_eq!((expired.subject().name, expired.subject().sha256), (Terms, paid[0].digest()));
}

#[test]
fn an_unknown_field_is_ignored_and_signed() {
    let world = World::new();
    let offer = world.offer(ReleasePolicy::OnAcceptance);
    let with_more = edited(&offer, "/predicate/body/mood", json!("good")).unwrap();
    assert_eq!(with_more.body(), offer.body());
    assert_ne!(with_more.digest(), offer.digest());
}

#[test]
fn an_unknown_type_and_an_unknown_version_are_errors_of_their_own() {
    let world = World::new();
    let offer = world.offer(ReleasePolicy::OnAcceptance);
    let with_type = |uri: String| edited(&offer, "/predicateType", json!(uri)).unwrap_err();
    let newer = format!("{TYPE_NAMESPACE}TermsOffered/v2");
    assert_eq!(with_type(newer.clone()), StatementError::UnknownVersion(newer));
    for uri in [
        "https://slsa.dev/provenance/v1".to_owned(),
        format!("{TYPE_NAMESPACE}Bribe/v1"),
        format!("{TYPE_NAMESPACE}termsOffered/v1"),
        TYPE_NAMESPACE.to_owned(),
    ] {
        assert_eq!(with_type(uri.clone()), StatementError::UnknownType(uri));
    }
    let other_frame = edited(&offer, "/_type", json!("https://in-toto.io/Statement/v0.1")).unwrap_err();
    assert_eq!(
        other_frame,
        StatementError::UnknownStatementType("https://in-toto.io/Statement/v0.1".to_owned())
    );
}

#[test]
fn a_value_in_another_spelling_is_malformed() {
    let world = World::new();
    let offer = world.offer(ReleasePolicy::OnAcceptance);
    let upper = offer.subject().sha256.to_string().to_uppercase();
    for (pointer, to) in [
        ("/predicate/body/priceMsat", json!(100_999)),
        ("/predicate/body/priceMsat", json!("0100999")),
        ("/predicate/body/priceMsat", json!("+100999")),
        ("/predicate/body/priceMsat", json!("-100999")),
        ("/predicate/body/priceMsat", json!("1e5")),
        ("/predicate/body/priceMsat", json!("2100000000000000001")),
        ("/predicate/body/priceMsat", json!("9223372036854775808")),
        ("/predicate/body/feeBps", json!(500.0)),
        ("/predicate/body/feeBps", json!("500")),
        ("/predicate/body/offeredTime", json!("2026-01-02T03:04:05+00:00")),
        ("/predicate/body/offeredTime", json!("2026-01-02t03:04:05Z")),
        ("/predicate/body/offeredTime", json!("2026-01-02T03:04:05z")),
        ("/predicate/body/offeredTime", json!("2026-13-02T03:04:05Z")),
        ("/predicate/body/offeredTime", json!(1_767_323_045)),
        ("/predicate/body/policy", json!("whenever")),
        ("/predicate/body/requester", json!("agent_00000000000000000000000001")),
        ("/predicate/body/criteria/0", json!({"vibes": {}})),
        ("/predicate/body/title", Value::Null),
        // What serde alone would read.
        ("/predicate/body/input", json!([offer.subject().sha256.to_string(), 21, "text/plain"])),
        ("/predicate/body/criteria/0", json!({"size": [1, 2]})),
        ("/predicate/body/policy", json!({"onAcceptance": null})),
        ("/predicate/signerRole", json!({"platform": null})),
        ("/subject/0", json!(["input", {"sha256": offer.subject().sha256.to_string()}])),
        ("/predicate/nonce", json!("0101")),
        ("/predicate/nonce", json!("AB".repeat(16))),
        ("/predicate/signer", json!("did:web:example.org")),
        ("/predicate/signerRole", json!("boss")),
        ("/predicate/network", json!("Simulated")),
        ("/subject/0/digest/sha256", json!(upper)),
        ("/subject/0/digest", json!({"sha512": "00"})),
    ] {
        let result = edited(&offer, pointer, to.clone());
        assert!(matches!(result, Err(StatementError::Malformed(_))), "{pointer} = {to}: {result:?}");
    }
}

#[test]
fn a_field_that_stands_twice_is_malformed() {
    let world = World::new();
    let offer = world.offer(ReleasePolicy::OnAcceptance);
    let text = String::from_utf8(offer.payload().to_vec()).unwrap();
    for field in ["\"feeBps\":500", "\"signerRole\":\"platform\"", "\"network\":\"simulated\""] {
        let twice = text.replacen(field, &format!("{field},{field}"), 1);
        assert!(matches!(Statement::parse(twice.as_bytes()), Err(StatementError::Malformed(_))), "{field}");
    }
}

#[test]
fn bytes_that_are_not_a_statement_are_refused() {
    for bytes in [b"".as_slice(), b"{}", b"[]", b"null", b"\xff", &[b'['; 10_000]] {
        assert!(matches!(Statement::parse(bytes), Err(StatementError::Malformed(_))));
    }
    assert_eq!(Statement::parse(&vec![b' '; MAX_STATEMENT_BYTES + 1]), Err(StatementError::TooLarge));
    let world = World::new();
    let mut trailing = world.offer(ReleasePolicy::OnAcceptance).payload().to_vec();
    trailing.push(b'}');
    assert!(matches!(Statement::parse(&trailing), Err(StatementError::Malformed(_))));
}

#[test]
fn a_frame_that_breaks_a_rule_is_refused() {
    let world = World::new();
    let [offer, acceptance, submission, ..] = &world.paid()[..] else { panic!("six statements") };
    let other = Digest::of(b"other").to_string();
    invalid("subject", edited(offer, "/subject", json!([])));
    invalid("subject", edited(offer, "/subject/0/name", json!("terms")));
    invalid("subject", edited(offer, "/subject/0/digest/sha256", json!(other)));
    invalid("subject", edited(acceptance, "/subject/0/digest/sha256", json!(other)));
    invalid("subject", edited(submission, "/subject/0/digest/sha256", json!(other)));
    invalid("predecessor", edited(offer, "/predicate/predecessor", json!(other)));
    invalid("predecessor", edited(submission, "/predicate/predecessor", Value::Null));
    for origin in [String::new(), "a b".to_owned(), "a+b".to_owned(), "ä".to_owned(), "a".repeat(256)] {
        invalid("logOrigin", edited(offer, "/predicate/logOrigin", json!(origin)));
    }
    invalid("onBehalfOf", edited(acceptance, "/predicate/onBehalfOf", json!("requester")));
    invalid("onBehalfOf", edited(&world.paid()[3], "/predicate/onBehalfOf", json!("agent")));
}

#[test]
fn terms_that_break_a_rule_are_refused() {
    let world = World::new();
    let offer = world.offer(ReleasePolicy::OnAttestation);
    let body = |field: &str, to: Value| edited(&offer, &format!("/predicate/body/{field}"), to);
    invalid("title", body("title", json!("")));
    invalid("title", body("title", json!("x".repeat(801))));
    invalid("capability", body("capability", json!("")));
    invalid("priceMsat", body("priceMsat", json!("0")));
    invalid("feeBps", body("feeBps", json!(10_001)));
    invalid("feeMsat", body("feeMsat", json!("5050")));
    invalid("feeMsat", body("priceMsat", json!("200999")));
    invalid("payeeNetMsat", body("payeeNetMsat", json!("95951")));
    invalid("expiresInSeconds", body("expiresInSeconds", json!(0)));
    invalid("claimSeconds", body("claimSeconds", json!(0)));
    invalid("workSeconds", body("workSeconds", json!(0)));
    invalid("input", body("input/mediaType", json!("")));
    invalid("input", body("input/mediaType", json!("text/\n")));
    invalid("input", body("input/size", json!(1u64 << 53)));
    invalid("policy", body("criteria", json!([{"manual": {"text": "looks good"}}])));
    invalid("criteria", body("criteria", json!(vec![json!({"manual": {"text": "x"}}); 21])));
    invalid("criteria.size", body("criteria", json!([{"size": {"minBytes": 2, "maxBytes": 1}}])));
    invalid("criteria.size", body("criteria", json!([{"size": {"minBytes": 1u64 << 53}}])));
    invalid("criteria.regex.pattern", body("criteria", json!([{"regex": {"pattern": "x".repeat(1025)}}])));
    invalid("criteria.jsonSchema.schema", body("criteria", json!([{"jsonSchema": {"schema": ""}}])));
    invalid("criteria.manual.text", body("criteria", json!([{"manual": {"text": ""}}])));
    assert!(body("criteria", json!([{"size": {"minBytes": 1}}])).is_ok());
    assert!(body("criteria", json!([{"digest": {"sha256": Digest::of(RESULT).to_string()}}])).is_ok());
}

#[test]
fn a_directly_hired_agent_may_be_released_on_attestation_without_criteria() {
    let world = World::new();
    let direct = TermsOffered {
        criteria: vec![],
        direct_agent: Some(crate::fixture::id(5)),
        ..terms(ReleasePolicy::OnAttestation)
    };
    let offer = Statement::parse(world.offer_of(world.by_requester(), direct).payload()).unwrap();
    assert!(offer.context().speaks_for_requester());
}

#[test]
fn later_statements_that_break_a_rule_are_refused() {
    let world = World::new();
    let paid = world.paid();
    let body =
        |place: usize, field: &str, to: Value| edited(&paid[place], &format!("/predicate/body/{field}"), to);
    invalid("claimNumber", body(1, "claimNumber", json!(0)));
    invalid("leaseSeconds", body(1, "leaseSeconds", json!(0)));
    invalid("claimNumber", body(2, "claimNumber", json!(0)));
    invalid("output", body(2, "output/size", json!(1u64 << 53)));
    invalid("finishedTime", body(2, "startedTime", json!("2026-01-02T03:04:06Z")));
    invalid("sourceRef", body(2, "sourceRef", json!("")));
    invalid("submissionLogIndex", body(3, "submissionLogIndex", json!(1u64 << 53)));
    invalid("reason", body(4, "reason", json!("")));
    invalid("failedCriterion", body(4, "failedCriterion", json!(0)));
    invalid("amountMsat", body(5, "amountMsat", json!("0")));
    invalid("amountMsat", body(5, "feeMsat", json!("5050")));
    invalid("payee", body(5, "payee", Value::Null));
    invalid("payee", body(5, "kind", json!("refunded")));
    let transfers = vec![json!("xfer_00000000000000000000000008"); 17];
    invalid("transfers", body(5, "transfers", json!(transfers)));
    invalid("transfers", body(5, "transfers", json!([])));
    let silent = Decision { reason: None, ..decision(DecisionKind::Rejected) };
    invalid("reason", paid[3].successor(world.for_requester(), silent));
}

#[test]
fn a_settlement_that_pays_nobody_says_so_and_only_a_hold_invoice_moves_nothing() {
    let world = World::new();
    let [offer, ..] = &world.held_elsewhere(ReleasePolicy::OnAcceptance)[..] else {
        panic!("four statements")
    };
    let lost = world.settle(offer, SettlementKind::FundingLost);
    assert_eq!(Statement::parse(lost.payload()), Ok(lost.clone()));
    let body = |field: &str, to: Value| edited(&lost, &format!("/predicate/body/{field}"), to);
    let transfers = json!(["xfer_00000000000000000000000008"]);
    invalid("kind", body("rail", json!("balance")));
    invalid("transfers", body("transfers", transfers.clone()));
    invalid("feeMsat", body("feeMsat", json!("1")));
    invalid("payeeMsat", body("payeeMsat", json!("1")));
    invalid("payee", body("payee", json!("acct_00000000000000000000000002")));
    // Given back without having been in the ledger, or from the ledger.
    let back = body("kind", json!("refunded")).unwrap();
    assert!(edited(&back, "/predicate/body/transfers", transfers).is_ok());
    invalid("transfers", edited(&back, "/predicate/body/rail", json!("balance")));
}

#[test]
fn a_statement_is_signed_in_the_role_that_its_kind_asks_for() {
    let world = World::new();
    let paid = world.paid();
    let wrong = |before: &Statement, author: Author, body: &Body, role: Role| {
        let result = before.successor(author, body.clone());
        assert_eq!(result, Err(StatementError::WrongRole { kind: body.kind(), role }));
    };
    wrong(&paid[0], world.by_platform(), paid[1].body(), Role::Platform);
    wrong(&paid[1], world.for_requester(), paid[2].body(), Role::Platform);
    wrong(&paid[2], world.by_agent(), paid[3].body(), Role::Agent);
    wrong(&paid[2], world.for_requester(), paid[3].body(), Role::Platform);
    wrong(&paid[3], world.for_requester(), paid[4].body(), Role::Platform);
    wrong(&paid[3], world.by_requester(), paid[4].body(), Role::Requester);
    wrong(&paid[4], world.by_requester(), paid[5].body(), Role::Requester);
    for kind in [DecisionKind::Accepted, DecisionKind::Rejected] {
        wrong(&paid[3], world.by_platform(), &decision(kind).into(), Role::Platform);
        wrong(&paid[3], world.by_agent(), &decision(kind).into(), Role::Agent);
        assert!(paid[3].successor(world.by_requester(), decision(kind)).is_ok());
    }
    let failed = Decision { failed_criterion: Some(1), ..decision(DecisionKind::Rejected) };
    assert!(paid[3].successor(world.by_platform(), failed).is_ok());
    let offer = edited(&paid[0], "/predicate/onBehalfOf", Value::Null);
    assert_eq!(offer, Err(StatementError::WrongRole { kind: Kind::TermsOffered, role: Role::Platform }));
}

#[test]
fn a_statement_too_large_to_travel_is_not_built() {
    let world = World::new();
    let schema = Criterion::JsonSchema { schema: "x".repeat(30_000) };
    let long = TermsOffered { criteria: vec![schema; 2], ..terms(ReleasePolicy::OnAttestation) };
    let author = world.for_requester();
    let context = world.offer(ReleasePolicy::OnAttestation).context().clone();
    let result = Statement::offer(context.task, context.network, context.origin, author, long);
    assert_eq!(result, Err(StatementError::TooLarge));
}

#[test]
fn untyped_content_gets_the_type_of_plain_bytes() {
    assert_eq!(Content::of(b"x", "").media_type, "application/octet-stream");
    assert!(Content::of(b"x", "").is_of(b"x"));
    assert!(!Content::of(b"x", "").is_of(b"y"));
}
