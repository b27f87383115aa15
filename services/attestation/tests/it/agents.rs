//! Agents as followed from auth.

use std::sync::Arc;

use poa_proto::auth::v1::{Agent, agent_event};
use poa_testkit::eventually;
use proof_of_agent::{DidKey, Statement};

use crate::fixture::{Cast, Play, refusal};
use crate::server::{Deployment, Replica, SOON};

/// A task that is offered, and the acceptance of it.
async fn offered(deployment: &Arc<Deployment>, replica: &Replica, cast: &Cast) -> (Play, Statement) {
    let play = Play::new(deployment, replica.pipe(), cast);
    let offer = play.offer();
    play.platform(&offer).await.unwrap();
    let acceptance = play.accept(&offer, 1);
    (play, acceptance)
}

async fn known_agents(deployment: &Deployment) -> i64 {
    let database = deployment.database().await;
    sqlx::query_scalar("SELECT count(*) FROM agents").fetch_one(&database).await.unwrap()
}

#[tokio::test]
async fn a_claim_waits_for_a_registration_that_is_on_its_way() {
    let deployment = Arc::new(Deployment::new().await);
    let replica = deployment.replica().await;
    Cast::new(&deployment);
    eventually(SOON, "events are followed", async || known_agents(&deployment).await == 1).await;
    let cast = Cast::unregistered(&deployment);
    let (play, acceptance) = offered(&deployment, &replica, &cast).await;
    let claim = tokio::spawn(async move { play.agent(&acceptance).await });
    cast.register(&deployment);
    assert!(claim.await.unwrap().is_ok());
    replica.stop().await;
}

#[tokio::test]
async fn an_agent_that_does_not_exist_is_refused_once_all_events_are_followed() {
    let deployment = Arc::new(Deployment::new().await);
    let replica = deployment.replica().await;
    let cast = Cast::unregistered(&deployment);
    let (play, acceptance) = offered(&deployment, &replica, &cast).await;
    eventually(SOON, "the claim is refused for good", async || {
        let reason = refusal(play.agent_once(&acceptance).await).0;
        assert!(["AGENT_NOT_ACTIVE", "DEPENDENCY_UNAVAILABLE"].contains(&reason.as_str()), "{reason}");
        reason == "AGENT_NOT_ACTIVE"
    })
    .await;
    replica.stop().await;
}

#[tokio::test]
async fn an_unknown_agent_is_auths_matter_while_auth_is_down() {
    let deployment = Arc::new(Deployment::new().await);
    deployment.auth.go_down();
    let replica = deployment.replica().await;
    let cast = Cast::new(&deployment);
    let (play, acceptance) = offered(&deployment, &replica, &cast).await;
    let status = play.agent_once(&acceptance).await.unwrap_err();
    let failure = poa_chassis::failure(&status);
    assert_eq!(failure.reason, "DEPENDENCY_UNAVAILABLE");
    assert_eq!(failure.metadata["dependency"], "auth");
    deployment.auth.come_up();
    eventually(SOON, "the agent can claim", async || play.agent(&acceptance).await.is_ok()).await;
    replica.stop().await;
}

#[tokio::test]
async fn an_agent_of_another_account_is_refused() {
    let deployment = Arc::new(Deployment::new().await);
    let replica = deployment.replica().await;
    let cast = Cast::new(&deployment);
    eventually(SOON, "the agent is known", async || known_agents(&deployment).await == 1).await;
    let stranger = Cast { payee: deployment.env.new_id(), ..cast };
    let (play, acceptance) = offered(&deployment, &replica, &stranger).await;
    assert_eq!(refusal(play.agent(&acceptance).await).0, "AGENT_NOT_ACTIVE");
    replica.stop().await;
}

#[tokio::test]
async fn a_retired_agent_finishes_its_work_and_claims_nothing_new() {
    let deployment = Arc::new(Deployment::new().await);
    let replica = deployment.replica().await;
    let cast = Cast::new(&deployment);
    let (play, acceptance) = offered(&deployment, &replica, &cast).await;
    play.agent(&acceptance).await.unwrap();
    deployment.auth.retire(cast.agent_id, cast.payee, DidKey::of(&cast.key));
    let database = deployment.database().await;
    eventually(SOON, "the retirement has arrived", async || {
        let retired = sqlx::query_scalar("SELECT retired FROM agents").fetch_one(&database);
        retired.await.unwrap()
    })
    .await;
    let (other, late) = offered(&deployment, &replica, &cast).await;
    assert_eq!(refusal(other.agent(&late).await).0, "AGENT_NOT_ACTIVE");
    let submission = play.submit(&acceptance, &acceptance);
    assert!(play.agent(&submission).await.unwrap().countersignature.is_some());
    replica.stop().await;
}

#[tokio::test]
async fn following_goes_on_from_the_stored_cursor_after_a_cut_and_after_a_restart() {
    let deployment = Arc::new(Deployment::new().await);
    let replica = deployment.replica().await;
    Cast::new(&deployment);
    eventually(SOON, "the first agent is known", async || known_agents(&deployment).await == 1).await;

    deployment.auth.go_down();
    Cast::new(&deployment);
    Cast::new(&deployment);
    deployment.auth.come_up();
    eventually(SOON, "two more are known", async || known_agents(&deployment).await == 3).await;
    assert_eq!(deployment.auth.cursors().last().map(String::as_str), Some("1.0"));
    replica.stop().await;

    Cast::new(&deployment);
    let replica = deployment.replica().await;
    eventually(SOON, "and one more", async || known_agents(&deployment).await == 4).await;
    assert_eq!(deployment.auth.cursors().last().map(String::as_str), Some("3.0"));
    replica.stop().await;
}

#[tokio::test]
async fn a_thousand_registrations_and_a_malformed_event_are_followed_to_the_end() {
    let deployment = Arc::new(Deployment::new().await);
    for _ in 0..500 {
        Cast::new(&deployment);
    }
    let malformed = Agent { agent_id: "agent_nonsense".to_owned(), ..Agent::default() };
    deployment.auth.push(agent_event::Kind::Registered, malformed);
    for _ in 0..500 {
        Cast::new(&deployment);
    }
    let replica = deployment.replica().await;
    eventually(SOON, "all are known", async || known_agents(&deployment).await == 1_000).await;
    replica.stop().await;
}

#[tokio::test]
async fn an_event_that_another_replica_has_overtaken_changes_nothing() {
    let deployment = Arc::new(Deployment::new().await);
    let cast = Cast::new(&deployment);
    deployment.auth.retire(cast.agent_id, cast.payee, DidKey::of(&cast.key));
    let database = deployment.database().await;
    let retired = async || -> Option<bool> {
        let row = sqlx::query_scalar("SELECT retired FROM agents").fetch_optional(&database);
        row.await.unwrap()
    };
    let replica = deployment.replica().await;
    eventually(SOON, "the retirement has arrived", async || retired().await == Some(true)).await;
    // As if a slower replica had set the cursor back: all events come again.
    sqlx::query("UPDATE consumer_cursors SET value = ''").execute(&database).await.unwrap();
    deployment.auth.go_down();
    deployment.auth.come_up();
    eventually(SOON, "all events came again", async || {
        let stored: Vec<u8> =
            sqlx::query_scalar("SELECT value FROM consumer_cursors").fetch_one(&database).await.unwrap();
        assert_eq!(retired().await, Some(true));
        stored == b"2.0"
    })
    .await;
    replica.stop().await;
}

#[tokio::test]
async fn an_auth_that_was_restored_and_has_grown_again_is_followed_from_its_beginning() {
    let deployment = Arc::new(Deployment::new().await);
    let replica = deployment.replica().await;
    for _ in 0..3 {
        Cast::new(&deployment);
    }
    eventually(SOON, "three are known", async || known_agents(&deployment).await == 3).await;
    // Beyond where we were before we hear of it: by its position alone our cursor would be one of the new ones.
    deployment.auth.go_down();
    deployment.auth.restore(1);
    for _ in 0..4 {
        Cast::new(&deployment);
    }
    deployment.auth.come_up();
    eventually(SOON, "four more are known", async || known_agents(&deployment).await == 7).await;
    let cursors = deployment.auth.cursors();
    assert!(cursors.ends_with(&["3.0".to_owned(), String::new()]), "{cursors:?}");
    replica.stop().await;
}

#[tokio::test]
async fn a_retirement_counts_though_auths_clock_went_back() {
    let deployment = Arc::new(Deployment::new().await);
    let cast = Cast::new(&deployment);
    let replica = deployment.replica().await;
    eventually(SOON, "the agent is known", async || known_agents(&deployment).await == 1).await;
    deployment.auth.retire_at(cast.agent_id, cast.payee, DidKey::of(&cast.key), 1);
    let database = deployment.database().await;
    eventually(SOON, "it has retired", async || {
        sqlx::query_scalar::<_, bool>("SELECT retired FROM agents").fetch_one(&database).await.unwrap()
    })
    .await;
    replica.stop().await;
}
