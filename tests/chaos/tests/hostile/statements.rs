//! Statements that were signed by somebody else, for something else, or twice; JSON and signatures that readers could
//! disagree about. None of them moves a task.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::pkcs8::DecodePrivateKey as _;
use ed25519_dalek::{Signer as _, SigningKey};
use poa_sdk::api::auth::RegisterAgentRequest;
use poa_sdk::api::task::{SubmitResultRequest, Task, task};
use poa_sdk::{AgentKey, Code, Error, WorkDone, system_env};
use proof_of_agent::dsse::{PAYLOAD_TYPE, pae};
use proof_of_agent::{Content, DidKey, Envelope, Statement};

use crate::support::mesh::{Mesh, Person, inline, offer};

/// The order of the curve's group, least byte first: RFC 8032, 5.1.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];
/// Points of small order in every spelling that a decoder may take.
const SMALL_ORDER: [&str; 6] = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
];
/// How long a task may take to be what it will be.
const SOON: Duration = Duration::from_secs(60);
/// The pattern that every result here must match.
const PATTERN: &str = r"^\d+$";

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_counts_for_its_signer_its_task_and_its_claim_alone() {
    let mesh = Mesh::start().await;
    let carol = Person::new(&mesh.deployment.endpoint(), "carol").await;
    acceptances_of_others_claim_nothing(&mesh, &carol).await;
    keys_that_are_not_the_agents_claim_nothing(&mesh).await;
    bytes_that_readers_disagree_about_claim_nothing(&mesh).await;
    signatures_that_hold_by_accident_claim_nothing(&mesh).await;
    weak_keys_are_not_registered(&mesh).await;
    receipts_of_others_release_nothing(&mesh, &carol).await;
    replays_across_claims_move_nothing(&mesh).await;
    mesh.expect_unharmed().await;
}

/// A refusal that says what is wrong.
#[track_caller]
fn expect_refused(outcome: Result<Task, Error>, what: &str) {
    let error = outcome.err().unwrap_or_else(|| panic!("{what} was taken"));
    let status = error.status().unwrap_or_else(|| panic!("{what}: {error}"));
    let codes = [
        Code::InvalidArgument,
        Code::FailedPrecondition,
        Code::NotFound,
        Code::PermissionDenied,
        Code::Aborted,
    ];
    assert!(codes.contains(&status.code()) && !status.reason().is_empty(), "{what}: {status:?}");
}

fn signing(key: &AgentKey) -> SigningKey {
    SigningKey::from_pkcs8_pem(&key.to_pem().expect("a key")).expect("a key")
}

/// An envelope with this payload, whatever it is, signed by a key under its own name.
fn sealed(payload: &[u8], key: &SigningKey) -> Vec<u8> {
    let signature = key.sign(&pae(PAYLOAD_TYPE, payload)).to_bytes();
    enveloped(&STANDARD.encode(payload), &DidKey::of(key).to_string(), &STANDARD.encode(signature))
}

fn enveloped(payload: &str, keyid: &str, signature: &str) -> Vec<u8> {
    format!(
        r#"{{"payloadType":"{PAYLOAD_TYPE}","payload":"{payload}","signatures":[{{"keyid":"{keyid}","sig":"{signature}"}}]}}"#
    )
    .into_bytes()
}

/// The acceptance that an agent would send for a task.
fn accepted(person: &Person, task: &Task, claim_number: u32) -> (Statement, Envelope) {
    let terms = person.acceptance(&task.task_id, claim_number);
    person.key.accept(&system_env(), &task.terms, &terms).expect("an acceptance")
}

async fn try_claim(person: &Person, task: &Task, envelope: Vec<u8>) -> Result<Task, Error> {
    person.session.claim_task(person.claim_request(&task.task_id, envelope)).await
}

async fn expect_open(mesh: &Mesh, task: &Task) {
    let now = mesh.alice.task(&task.task_id).await.expect("a task");
    assert_eq!(now.state(), task::State::Open, "{}", now.note);
}

async fn acceptances_of_others_claim_nothing(mesh: &Mesh, carol: &Person) {
    let bob = &mesh.bob;
    let task = mesh.open_task(offer("to be claimed", PATTERN)).await;
    let other = mesh.open_task(offer("another", PATTERN)).await;
    let (statement, envelope) = accepted(bob, &task, 1);
    let text = String::from_utf8(statement.payload().to_vec()).expect("JSON");
    let key = signing(&bob.key);
    let second = bob.another_agent("second").await;

    let by_carol = STANDARD.encode(signing(&carol.key).sign(&statement.pae()).to_bytes());
    let payload = STANDARD.encode(statement.payload());
    let named = enveloped(&payload, &bob.key.did().to_string(), &by_carol);
    expect_refused(try_claim(bob, &task, named).await, "a stranger's signature under our name");
    let own_name = enveloped(&payload, &carol.key.did().to_string(), &by_carol);
    expect_refused(try_claim(bob, &task, own_name).await, "a stranger's signature under its own name");
    expect_refused(
        try_claim(carol, &task, envelope.to_json()).await,
        "an acceptance that somebody else signed",
    );
    let stolen = second.claim_request(&task.task_id, envelope.to_json());
    expect_refused(bob.session.claim_task(stolen).await, "an acceptance of another agent of the account");
    let elsewhere = accepted(bob, &other, 1).1.to_json();
    expect_refused(try_claim(bob, &task, elsewhere).await, "the acceptance of another task");
    for number in [2, 7, u32::MAX] {
        let signed = accepted(bob, &task, number);
        expect_refused(try_claim(bob, &task, signed.1.to_json()).await, &format!("claim number {number}"));
    }
    let foreign_task = text.replace(&task.task_id, &other.task_id);
    let origin = format!("\"logOrigin\":\"{}\"", statement.context().origin);
    for (what, changed) in [
        ("mainnet", text.replace("\"simulated\"", "\"mainnet\"")),
        ("an unknown network", text.replace("\"simulated\"", "\"moon\"")),
        ("another log", text.replace(&origin, "\"logOrigin\":\"elsewhere.example/00\"")),
        ("another task's id", foreign_task),
        ("another account", text.replace(&bob.account_id, &carol.account_id)),
        ("another agent", text.replace(&bob.agent.agent_id, &carol.agent.agent_id)),
        ("the platform's role", text.replace("\"agent\",\"body\"", "\"platform\",\"body\"")),
        ("another kind", text.replace("#TermsAccepted/", "#WorkSubmitted/")),
        ("an unknown version", text.replace("TermsAccepted/v1", "TermsAccepted/v2")),
    ] {
        assert_ne!(changed, text, "{what} changes nothing");
        expect_refused(try_claim(bob, &task, sealed(changed.as_bytes(), &key)).await, what);
    }
    expect_open(mesh, &task).await;
    bob.claim(&task, 1).await.expect("the honest acceptance");
    expect_refused(try_claim(carol, &task, accepted(carol, &task, 2).1.to_json()).await, "a second claim");
    let again = try_claim(bob, &other, envelope.to_json()).await;
    expect_refused(again, "an acceptance that was used for another task");
    bob.finish(&task.task_id, b"3").await.expect("an honest result");
    mesh.alice.cancel_task(&other.task_id).await.expect("a cancelled task");
}

/// What task takes at first, because auth alone knows whose key is whose: attestation refuses it, and the task is open
/// again.
async fn keys_that_are_not_the_agents_claim_nothing(mesh: &Mesh) {
    let bob = &mesh.bob;
    let second = bob.another_agent("with a key of its own").await;
    let retired = bob.another_agent("retired").await;
    retired.session.retire_agent(&retired.agent.agent_id).await.expect("it retires");
    let with_other_key = Person { key: second.key.clone(), ..copy(bob) };
    let unknown_key = Person { key: AgentKey::generate(&system_env()), ..copy(bob) };
    for (what, person) in [
        ("the key of another agent", with_other_key),
        ("a key of nobody", unknown_key),
        ("an agent that was retired", retired),
    ] {
        let task = mesh.open_task(offer(what, PATTERN)).await;
        expect_refused(try_claim(&person, &task, accepted(&person, &task, 1).1.to_json()).await, what);
        poa_testkit::eventually(SOON, "the task is open again", async || {
            mesh.alice.task(&task.task_id).await.is_ok_and(|task| task.state() == task::State::Open)
        })
        .await;
        mesh.alice.cancel_task(&task.task_id).await.expect("a cancelled task");
    }
}

async fn bytes_that_readers_disagree_about_claim_nothing(mesh: &Mesh) {
    let bob = &mesh.bob;
    let task = mesh.open_task(offer("spelt strangely", PATTERN)).await;
    let (statement, envelope) = accepted(bob, &task, 1);
    let key = signing(&bob.key);
    let text = String::from_utf8(statement.payload().to_vec()).expect("JSON");
    let twice = |field: &str, second: &str| text.replacen(field, &format!("{field}{second},{field}"), 1);
    let deep =
        |count: usize| text.replacen('{', &format!("{{\"x\":{}{},", "[".repeat(count), "]".repeat(count)), 1);
    for (what, payload) in [
        ("a key given twice", twice("\"claimNumber\":", "2")),
        ("a predicate given twice", twice("\"predicate\":", "{}")),
        ("a task given twice", twice("\"task\":", "\"task_00000000000000000000000000\"")),
        ("a number beyond 32 bits", text.replace("\"claimNumber\":1", "\"claimNumber\":4294967297")),
        ("a number beyond a double", text.replace("\"claimNumber\":1", "\"claimNumber\":1e400")),
        ("a fraction", text.replace("\"claimNumber\":1", "\"claimNumber\":1.0")),
        ("an exponent", text.replace("\"claimNumber\":1", "\"claimNumber\":1e0")),
        ("not a number", text.replace("\"claimNumber\":1", "\"claimNumber\":NaN")),
        ("a number as text", text.replace("\"claimNumber\":1", "\"claimNumber\":\"1\"")),
        ("claim number 0", text.replace("\"claimNumber\":1", "\"claimNumber\":0")),
        ("a negative number", text.replace("\"claimNumber\":1", "\"claimNumber\":-1")),
        ("deep nesting", deep(15_000)),
        ("a time with an offset", text.replace("Z\"", "+00:00\"")),
        ("something behind the end", format!("{text}{{}}")),
        ("a byte order mark", format!("\u{feff}{text}")),
        ("a lone surrogate", text.replacen('{', "{\"x\":\"\\ud800\",", 1)),
        ("the statement as an array", format!("[{text}]")),
    ] {
        assert_ne!(payload, text, "{what} changes nothing");
        expect_refused(try_claim(bob, &task, sealed(payload.as_bytes(), &key)).await, what);
    }
    let json = String::from_utf8(envelope.to_json()).expect("JSON");
    let encoded = STANDARD.encode(statement.payload());
    let signature = STANDARD.encode(&envelope.signatures()[0].sig);
    for (what, envelope) in [
        ("base 64 with a line end", json.replace(&encoded, &format!("{encoded}\\n"))),
        ("base 64 without padding", json.replace(&signature, signature.trim_end_matches('='))),
        ("base 64 with bits behind the end", json.replace(&signature, &loosened(&signature))),
        ("a payload given twice", json.replacen("\"payload\":", "\"payload\":\"e30=\",\"payload\":", 1)),
        ("another payload type", json.replace(PAYLOAD_TYPE, "application/json")),
        ("no signature", json.replace("\"signatures\":[{", "\"signatures\":[],\"x\":[{")),
        (
            "100 signatures",
            json.replace("\"signatures\":[", &format!("\"signatures\":[{}", SPAM.repeat(100))),
        ),
        ("no JSON", "nonsense".to_owned()),
        ("an empty object", "{}".to_owned()),
        ("nested arrays", "[".repeat(10_000)),
    ] {
        assert_ne!(envelope, json, "{what} changes nothing");
        expect_refused(try_claim(bob, &task, envelope.into_bytes()).await, what);
    }
    expect_open(mesh, &task).await;
    // What stands beside the known fields is signed, kept, and means nothing.
    let extended = text.replacen('{', "{\"unknown\":{\"claimNumber\":9},", 1);
    try_claim(bob, &task, sealed(extended.as_bytes(), &key)).await.expect("unknown fields are ignored");
    bob.finish(&task.task_id, b"3").await.expect("an honest result");
}

/// A signature of somebody else, as JSON with a comma behind it.
const SPAM: &str = r#"{"keyid":"x","sig":"AAAA"},"#;

/// The same bytes in a second spelling, with bits set that stand for nothing.
fn loosened(base64: &str) -> String {
    let bare = base64.trim_end_matches('=');
    let last = bare.chars().last().expect("a digit");
    let next = char::from_u32(u32::from(last) + 1).expect("a character");
    format!("{}{next}{}", &bare[..bare.len() - 1], "=".repeat(base64.len() - bare.len()))
}

async fn signatures_that_hold_by_accident_claim_nothing(mesh: &Mesh) {
    let bob = &mesh.bob;
    let task = mesh.open_task(offer("signed strangely", PATTERN)).await;
    let (statement, envelope) = accepted(bob, &task, 1);
    let good: [u8; 64] = envelope.signatures()[0].sig.as_slice().try_into().expect("64 bytes");
    let mut above_order = good;
    let mut carry = 0;
    for (byte, order) in above_order[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = u8::try_from(sum & 0xff).expect("a byte");
        carry = sum >> 8;
    }
    assert_eq!(carry, 0, "s + L fits 256 bits");
    let with_r = |r: &str| [hex::decode(r).expect("hex"), good[32..].to_vec()].concat();
    let mut cases = vec![
        ("s beyond the order".to_owned(), above_order.to_vec()),
        ("zeros".to_owned(), vec![0; 64]),
        ("ones".to_owned(), vec![0xff; 64]),
        ("63 bytes".to_owned(), good[..63].to_vec()),
        ("65 bytes".to_owned(), [good.as_slice(), &[0]].concat()),
        ("nothing".to_owned(), Vec::new()),
    ];
    cases.extend(SMALL_ORDER.iter().map(|point| (format!("R = {point}"), with_r(point))));
    let payload = STANDARD.encode(statement.payload());
    for (what, signature) in cases {
        let keyid = bob.key.did().to_string();
        let envelope = enveloped(&payload, &keyid, &STANDARD.encode(signature));
        expect_refused(try_claim(bob, &task, envelope).await, &what);
    }
    expect_open(mesh, &task).await;
    mesh.alice.cancel_task(&task.task_id).await.expect("a cancelled task");
}

/// With a point of small order as the key, one signature would hold for any message.
async fn weak_keys_are_not_registered(mesh: &Mesh) {
    use poa_proto::auth::v1::agent_service_client::AgentServiceClient;
    let channel = tonic::transport::Channel::from_shared(mesh.deployment.endpoint()).expect("an address");
    let mut client = AgentServiceClient::new(channel.connect().await.expect("a connection"));
    let bearer = format!("Bearer {}", Mesh::token(&mesh.bob.session).await);
    for key in
        SMALL_ORDER.iter().map(|point| hex::decode(point).expect("hex")).chain([vec![0xff; 32], vec![2; 32]])
    {
        let message = RegisterAgentRequest {
            request_id: uuid::Uuid::from_u128(u128::from(key[0]) + 1).to_string(),
            name: "weak".to_owned(),
            capabilities: vec!["text.count".to_owned()],
            public_key: key.clone(),
            // R of small order and s = 0: it holds under such a key where a verifier is not strict.
            key_proof: [key.as_slice(), &[0; 32]].concat(),
            ..RegisterAgentRequest::default()
        };
        let mut request = tonic::Request::new(message);
        request.metadata_mut().insert("authorization", bearer.parse().expect("a header"));
        let refused = client.register_agent(request).await.expect_err("a weak key");
        assert!(
            matches!(
                refused.code(),
                Code::InvalidArgument | Code::Unauthenticated | Code::FailedPrecondition
            ),
            "{key:02x?}: {refused}"
        );
    }
}

/// A submission of a result with a receipt that may be of another one.
async fn try_submit(person: &Person, task: &Task, result: &[u8], receipt: Vec<u8>) -> Result<Task, Error> {
    let request = SubmitResultRequest {
        request_id: String::new(),
        task_id: task.task_id.clone(),
        result: Some(inline(result.to_vec())),
        submission: receipt,
    };
    person.session.submit_result(request).await
}

fn receipt(key: &AgentKey, acceptance: &Statement, result: &[u8]) -> Envelope {
    let now = system_env().now();
    let work = WorkDone {
        output: Content::of(result, "text/plain"),
        started: now,
        finished: now,
        build: None,
        evidence: None,
    };
    key.submit(&system_env(), acceptance, acceptance, work).expect("a receipt")
}

/// Claims with an acceptance that the test keeps.
async fn claimed(mesh: &Mesh, task: &Task, number: u32) -> Statement {
    let (statement, envelope) = accepted(&mesh.bob, task, number);
    try_claim(&mesh.bob, task, envelope.to_json()).await.expect("a claim");
    statement
}

async fn receipts_of_others_release_nothing(mesh: &Mesh, carol: &Person) {
    let bob = &mesh.bob;
    let task = mesh.open_task(offer("to be done", PATTERN)).await;
    let other = mesh.open_task(offer("to be done too", PATTERN)).await;
    let acceptance = claimed(mesh, &task, 1).await;
    let others = claimed(mesh, &other, 1).await;
    let good = receipt(&bob.key, &acceptance, b"3");
    let text = String::from_utf8(good.payload().to_vec()).expect("JSON");
    let key = signing(&bob.key);

    expect_refused(try_submit(bob, &task, b"4", good.to_json()).await, "another result than the receipt's");
    expect_refused(
        try_submit(bob, &task, b"three", receipt(&bob.key, &acceptance, b"three").to_json()).await,
        "a result that fails the criterion",
    );
    expect_refused(try_submit(carol, &task, b"3", good.to_json()).await, "somebody else's receipt");
    expect_refused(try_submit(bob, &other, b"3", good.to_json()).await, "the receipt of another task");
    expect_refused(
        try_submit(bob, &task, b"3", receipt(&bob.key, &others, b"3").to_json()).await,
        "a receipt for another acceptance",
    );
    let by_carol = STANDARD.encode(signing(&carol.key).sign(&pae(PAYLOAD_TYPE, good.payload())).to_bytes());
    let forged = enveloped(&STANDARD.encode(good.payload()), &bob.key.did().to_string(), &by_carol);
    expect_refused(try_submit(bob, &task, b"3", forged).await, "a stranger's signature");
    let (offered, _) = accepted(bob, &task, 1);
    expect_refused(
        try_submit(bob, &task, b"3", accepted(bob, &task, 1).1.to_json()).await,
        "an acceptance as a receipt",
    );
    let another = receipt(&bob.key, &offered, b"3");
    expect_refused(
        try_submit(bob, &task, b"3", another.to_json()).await,
        "an acceptance that was never sent",
    );
    for (what, changed) in [
        ("mainnet", text.replace("\"simulated\"", "\"mainnet\"")),
        ("another claim number", text.replace("\"claimNumber\":1", "\"claimNumber\":2")),
        ("another size", text.replace("\"size\":1", "\"size\":2")),
        ("a negative size", text.replace("\"size\":1", "\"size\":-1")),
        ("a size beyond 2^53", text.replace("\"size\":1", "\"size\":9007199254740993")),
        ("another agent", text.replace(&bob.agent.agent_id, &carol.agent.agent_id)),
    ] {
        assert_ne!(changed, text, "{what} changes nothing");
        expect_refused(try_submit(bob, &task, b"3", sealed(changed.as_bytes(), &key)).await, what);
    }
    try_submit(bob, &task, b"3", good.to_json()).await.expect("the honest receipt");
    let before = mesh.bob.session.balance().await.expect("a balance");
    let again = try_submit(bob, &task, b"3", good.to_json()).await;
    assert!(again.as_ref().is_err_and(|error| error.status().is_some()) || again.is_ok(), "{again:?}");
    bob.finish(&other.task_id, b"3").await.expect("an honest result");
    poa_testkit::eventually(SOON, "both are paid, once", async || {
        let now = mesh.bob.session.balance().await.expect("a balance").available_msat;
        let paid =
            mesh.alice.task(&other.task_id).await.is_ok_and(|task| task.state() == task::State::Completed);
        paid && now <= before.available_msat + 2 * crate::support::mesh::PRICE_MSAT
    })
    .await;
}

/// Statements of a claim that was given back are good for nothing in the next one.
async fn replays_across_claims_move_nothing(mesh: &Mesh) {
    let bob = &mesh.bob;
    let task = mesh.open_task(offer("claimed twice", PATTERN)).await;
    let first = claimed(mesh, &task, 1).await;
    let old_acceptance = {
        let signature = signing(&bob.key).sign(&first.pae()).to_bytes();
        enveloped(&STANDARD.encode(first.payload()), &bob.key.did().to_string(), &STANDARD.encode(signature))
    };
    let old_receipt = receipt(&bob.key, &first, b"3");
    bob.session.release_claim(&task.task_id, "to claim it again").await.expect("it is given back");
    expect_refused(
        try_claim(bob, &task, old_acceptance.clone()).await,
        "the acceptance of a claim given back",
    );
    expect_refused(try_submit(bob, &task, b"3", old_receipt.to_json()).await, "a receipt without a claim");
    let second = claimed(mesh, &task, 2).await;
    expect_refused(
        try_submit(bob, &task, b"3", old_receipt.to_json()).await,
        "the receipt of an earlier claim",
    );
    try_submit(bob, &task, b"3", receipt(&bob.key, &second, b"3").to_json())
        .await
        .expect("the honest receipt");
    expect_refused(try_claim(bob, &task, old_acceptance).await, "an acceptance after the end");
}

/// The same person, to change one thing of.
fn copy(person: &Person) -> Person {
    Person {
        session: person.session.clone(),
        account_id: person.account_id.clone(),
        agent: person.agent.clone(),
        key: person.key.clone(),
    }
}
