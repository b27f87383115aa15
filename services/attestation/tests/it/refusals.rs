//! AppendStatement: what does not enter, and under which reason.

use std::sync::Arc;

use ed25519_dalek::SigningKey;
use poa_common::Network;
use poa_proto::attestation::v1::AppendStatementRequest;
use poa_proto::attestation::v1::append_statement_request::Statement as Given;
use proof_of_agent::{
    AgentKeyState, Author, DecisionKind, DidKey, Envelope, Nonce, ReleasePolicy, SettlementKind, Statement,
    TermsAccepted, WorkReceived,
};

use crate::fixture::{Cast, Play, refusal};
use crate::server::{Deployment, ORIGIN, Replica};

async fn stage() -> (Arc<Deployment>, Replica, Play) {
    let deployment = Arc::new(Deployment::new().await);
    let replica = deployment.replica().await;
    let cast = Cast::new(&deployment);
    let play = Play::new(&deployment, replica.pipe(), &cast);
    (deployment, replica, play)
}

fn because(reason: &str, problem: &str) -> (String, String) {
    (reason.to_owned(), problem.to_owned())
}

#[tokio::test]
async fn malformed_requests_are_refused_with_every_field_named() {
    let (deployment, replica, play) = stage().await;
    let offer = play.offer();
    let send = async |request: AppendStatementRequest| {
        let status = play.client.clone().append_statement(request).await.unwrap_err();
        let details = tonic_types::StatusExt::get_error_details(&status);
        let fields = details.bad_request().map(|bad| {
            bad.field_violations.iter().map(|violation| violation.field.clone()).collect::<Vec<_>>()
        });
        (poa_chassis::failure(&status).reason, fields.unwrap_or_default().join(" "))
    };
    let task_id = play.task.to_string();
    let payload = Some(Given::PlatformPayload(offer.payload().to_vec()));
    let envelope = Some(Given::Envelope(b"{}".to_vec()));
    let account_id = play.cast.payee.to_string();
    let none = String::new;
    for (task_id, account_id, statement, fields) in [
        (none(), none(), payload.clone(), "task_id"),
        ("task_1".to_owned(), "acct_1".to_owned(), envelope.clone(), "task_id account_id"),
        (task_id.clone(), none(), envelope.clone(), "account_id"),
        (task_id.clone(), account_id.clone(), payload, "account_id"),
        (task_id.clone(), none(), None, "envelope"),
        (task_id.clone(), account_id.clone(), envelope, "envelope"),
        (task_id.clone(), none(), Some(Given::PlatformPayload(b"{}".to_vec())), "platform_payload"),
        (task_id, account_id, Some(Given::Envelope(vec![b' '; 65_537])), "envelope"),
    ] {
        let found = send(AppendStatementRequest { task_id, account_id, statement }).await;
        assert_eq!(found, because("FIELDS_INVALID", fields));
    }
    drop(deployment);
    replica.stop().await;
}

#[tokio::test]
async fn a_statement_that_is_not_signed_by_whom_it_must_be_is_refused() {
    let (deployment, replica, play) = stage().await;
    let offer = play.offer();
    play.platform(&offer).await.unwrap();
    let acceptance = play.accept(&offer, 1);
    let account = play.cast.payee.to_string();
    let sent = async |given: Given| refusal(play.send(given, account.clone()).await);

    // A signature over other bytes.
    let other = Envelope::sign(&play.accept(&offer, 2), &play.cast.key).unwrap();
    let forged = Envelope::sign(&acceptance, &play.cast.key).unwrap();
    let forged = String::from_utf8(forged.to_json()).unwrap();
    let (_, signature) = forged.split_once("\"signatures\"").unwrap();
    let other = String::from_utf8(other.to_json()).unwrap();
    let (payload, _) = other.split_once("\"signatures\"").unwrap();
    let swapped = Given::Envelope(format!("{payload}\"signatures\"{signature}").into());
    assert_eq!(sent(swapped).await, because("SIGNATURE_INVALID", "signature"));

    // Another key than the agent's active one, in the agent's name.
    let thief = Cast { key: SigningKey::from_bytes(&deployment.env.random()), ..play.cast.clone() };
    let thief = Play { cast: thief, ..play.clone() };
    let refused = refusal(thief.agent(&thief.accept(&offer, 1)).await);
    assert_eq!(refused, because("SIGNATURE_INVALID", "key"));

    // Another account than the one that the call came from.
    let body = TermsAccepted {
        account: play.cast.requester,
        ..acceptance.body().as_terms_accepted().unwrap().clone()
    };
    let elsewhere = offer.successor(play.by_agent(), body).unwrap();
    assert_eq!(refusal(play.agent(&elsewhere).await), because("SIGNATURE_INVALID", "account"));

    // An agent's statement as the platform's, and the platform's as an agent's.
    let refused = refusal(play.platform(&acceptance).await);
    assert_eq!(refused, because("SIGNATURE_INVALID", "role"));
    let own = SigningKey::from_bytes(&deployment.env.random());
    let author = Author::requester(DidKey::of(&own), Nonce::new(deployment.env.random()));
    let terms = play.terms(ReleasePolicy::OnAcceptance);
    let own_offer = Statement::offer(play.task, Network::Simulated, ORIGIN, author, terms).unwrap();
    let given = Given::Envelope(Envelope::sign(&own_offer, &own).unwrap().to_json());
    assert_eq!(sent(given).await, because("SIGNATURE_INVALID", "role"));

    // In the platform's role, by a key that is not its own.
    let stranger = Author::platform(DidKey::of(&own), Nonce::new(deployment.env.random()));
    let body = play.decide(&offer, DecisionKind::Expired).body().clone();
    let expired = offer.successor(stranger, body).unwrap();
    assert_eq!(refusal(play.platform(&expired).await), because("SIGNATURE_INVALID", "key"));
    replica.stop().await;
}

#[tokio::test]
async fn a_statement_of_another_task_network_or_log_is_refused() {
    let (deployment, replica, play) = stage().await;
    let terms = || play.terms(ReleasePolicy::OnAcceptance);
    let offer = |task, network, origin: &str| {
        Statement::offer(task, network, origin, play.for_requester(), terms()).unwrap()
    };
    let other_task = offer(deployment.env.new_id(), Network::Simulated, ORIGIN);
    assert_eq!(refusal(play.platform(&other_task).await), because("CHAIN_MISMATCH", "task"));
    let real_money = offer(play.task, Network::Mainnet, ORIGIN);
    assert_eq!(refusal(play.platform(&real_money).await), because("CHAIN_MISMATCH", "network"));
    let other_log = offer(play.task, Network::Simulated, "elsewhere");
    assert_eq!(refusal(play.platform(&other_log).await), because("CHAIN_MISMATCH", "logOrigin"));
    replica.stop().await;
}

#[tokio::test]
async fn a_statement_that_does_not_continue_the_chain_is_refused() {
    let (_deployment, replica, play) = stage().await;
    let mismatch = |problem| because("CHAIN_MISMATCH", problem);
    let offer = play.offer();
    let acceptance = play.accept(&offer, 1);
    assert_eq!(refusal(play.agent(&acceptance).await), mismatch("order"));
    play.platform(&offer).await.unwrap();
    let early = play.settle(&offer, SettlementKind::Released);
    assert_eq!(refusal(play.platform(&early).await), mismatch("order"));
    play.agent(&acceptance).await.unwrap();
    let lower = play.accept(&play.offer(), 2);
    assert_eq!(refusal(play.agent(&lower).await), mismatch("predecessor"));
    let submission = play.submit(&acceptance, &acceptance);
    play.agent(&submission).await.unwrap();

    // The platform's receipt is not the task service's to make.
    let received = WorkReceived {
        agent: play.cast.agent_id,
        account: play.cast.payee,
        agent_key: DidKey::of(&play.cast.key),
        key_event: proof_of_agent::Digest::of(b"key event"),
        agent_key_state: AgentKeyState::Active,
        submission_log_index: 2,
        received_time: play.deployment.env.now(),
    };
    let received = submission.successor(play.by_platform(), received).unwrap();
    assert_eq!(refusal(play.platform(&received).await), mismatch("order"));
    let wrong_policy = play.decide(&received, DecisionKind::Accepted);
    assert_eq!(refusal(play.platform(&wrong_policy).await), mismatch("predecessor"));
    replica.stop().await;
}

#[tokio::test]
async fn a_twin_is_refused_at_every_place() {
    let (_deployment, replica, play) = stage().await;
    let twin = because("CHAIN_MISMATCH", "twin");
    let [offer, acceptance, _, received] = play.up_to_received(ReleasePolicy::OnAttestation).await;
    // The same in all but the nonce, so that the digest is another.
    assert_eq!(refusal(play.platform(&play.offer()).await), twin);
    assert_eq!(refusal(play.agent(&play.accept(&offer, 1)).await), twin);
    assert_eq!(refusal(play.agent(&play.submit(&acceptance, &acceptance)).await), twin);
    let decision = play.decide(&received, DecisionKind::CriteriaMet);
    play.platform(&decision).await.unwrap();
    let other = play.decide(&received, DecisionKind::CriteriaMet);
    assert_eq!(refusal(play.platform(&other).await), twin);
    let settlement = play.settle(&decision, SettlementKind::Released);
    play.platform(&settlement).await.unwrap();
    let other = play.settle(&decision, SettlementKind::Released);
    assert_eq!(refusal(play.platform(&other).await), twin);
    replica.stop().await;
}

#[tokio::test]
async fn of_two_twins_at_the_same_moment_one_enters() {
    let (deployment, one, play) = stage().await;
    let two = deployment.replica().await;
    let [_, _, _, received] = play.up_to_received(ReleasePolicy::OnAcceptance).await;
    let accepted = play.decide(&received, DecisionKind::Accepted);
    let rejected = play.decide(&received, DecisionKind::Rejected);
    let other = Play { client: deployment.as_task(two.pipe()), ..play.clone() };
    let (first, second) = tokio::join!(play.platform(&accepted), other.platform(&rejected));
    let refused = if first.is_ok() { second } else { first };
    assert_eq!(refusal(refused), because("CHAIN_MISMATCH", "twin"));
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn a_chain_of_rejections_keeps_room_for_its_end() {
    let (deployment, replica, play) = stage().await;
    let [_, acceptance, _, received] = play.up_to_received(ReleasePolicy::OnAcceptance).await;
    let mut last = play.decide(&received, DecisionKind::Rejected);
    play.platform(&last).await.unwrap();
    let refused = loop {
        let submission = play.submit(&last, &acceptance);
        match play.agent(&submission).await {
            Ok(answer) => {
                let received = crate::fixture::opened(answer.countersignature.as_ref().unwrap());
                last = play.decide(&received, DecisionKind::Rejected);
                play.platform(&last).await.unwrap();
            }
            refused => break refusal(refused),
        }
    };
    assert_eq!(refused, because("CHAIN_MISMATCH", "length"));
    // The end fits, and so does the receipt.
    let canceled = play.decide(&last, DecisionKind::Canceled);
    play.platform(&canceled).await.unwrap();
    play.platform(&play.settle(&canceled, SettlementKind::Refunded)).await.unwrap();
    let request = poa_proto::attestation::v1::GetReceiptBundleRequest { task_id: play.task.to_string() };
    let request = deployment.signed_in(play.cast.requester, request);
    deployment.as_anyone(replica.pipe()).get_receipt_bundle(request).await.unwrap();
    replica.stop().await;
}

#[tokio::test]
async fn only_the_task_service_appends() {
    let (deployment, replica, play) = stage().await;
    let request = AppendStatementRequest {
        task_id: play.task.to_string(),
        account_id: String::new(),
        statement: Some(Given::PlatformPayload(play.offer().payload().to_vec())),
    };
    let keyring = poa_chassis::keyring::Keyring::open(
        deployment.keys.path(),
        "auth",
        "proof-of-agent",
        &deployment.env,
    );
    let targets = std::collections::BTreeMap::from([(
        "attestation".to_owned(),
        poa_chassis::Target::InProcess(replica.pipe().clone()),
    )]);
    let peers = poa_chassis::client::Peers::new(targets, Arc::new(keyring.unwrap()));
    let mut as_auth = poa_proto::attestation::v1::attestation_internal_service_client::
        AttestationInternalServiceClient::new(peers.identified("attestation").unwrap());
    assert_eq!(refusal(as_auth.append_statement(request.clone()).await).0, "AUDIENCE_MISMATCH");
    let mut as_user = poa_proto::attestation::v1::attestation_internal_service_client::
        AttestationInternalServiceClient::new(peers.channel("attestation").unwrap());
    let signed_in = deployment.signed_in(play.cast.requester, request);
    assert_eq!(refusal(as_user.append_statement(signed_in).await).0, "AUDIENCE_MISMATCH");
    replica.stop().await;
}
