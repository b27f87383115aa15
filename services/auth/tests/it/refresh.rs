//! RefreshSession: one successor each, whatever the network does.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tonic::Code;

use crate::support::{Server, bad_fields, refusal, server};

const DAY: Duration = Duration::from_secs(24 * 3_600);

fn revoked() -> (Code, String) {
    (Code::Unauthenticated, "SESSION_REVOKED".to_owned())
}

async fn live_sessions(server: &Server) -> i64 {
    server.count("SELECT count(*) FROM sessions WHERE revoked_at IS NULL").await
}

#[tokio::test]
async fn a_refresh_gives_a_new_pair_of_the_same_session() {
    let server = server().await;
    let first = server.sign_up("ada").await.tokens;
    server.clock.advance(Duration::from_secs(500));
    let second = server.refresh(&first.refresh_token).await.unwrap();
    assert_eq!(second.session_id, first.session_id);
    assert_ne!(second.refresh_token, first.refresh_token);
    assert_ne!(second.access_token, first.access_token);
    // The session does not grow longer.
    assert_eq!(second.refresh_expire_time, first.refresh_expire_time);
    server.refresh(&second.refresh_token).await.unwrap();
}

#[tokio::test]
async fn a_retry_within_ten_seconds_gets_the_same_pair() {
    let server = server().await;
    let first = server.sign_up("ada").await.tokens;
    let second = server.refresh(&first.refresh_token).await.unwrap();
    server.clock.advance(Duration::from_secs(9));
    assert_eq!(server.refresh(&first.refresh_token).await.unwrap(), second);
    // Even where the successor was used in between.
    let third = server.refresh(&second.refresh_token).await.unwrap();
    assert_eq!(server.another().await.refresh(&first.refresh_token).await.unwrap(), second);
    assert_eq!(server.refresh(&second.refresh_token).await.unwrap(), third);
}

#[tokio::test]
async fn a_spent_token_after_ten_seconds_revokes_the_family() {
    let server = server().await;
    let first = server.sign_up("ada").await.tokens;
    let other = server.auth().login(server.login_request("ada")).await.unwrap().into_inner().tokens.unwrap();
    let second = server.refresh(&first.refresh_token).await.unwrap();
    server.clock.advance(Duration::from_secs(10));
    assert_eq!(refusal(server.refresh(&first.refresh_token).await), revoked());
    assert_eq!(refusal(server.refresh(&second.refresh_token).await), revoked());
    // The family, not the account.
    server.refresh(&other.refresh_token).await.unwrap();
}

#[tokio::test]
async fn a_token_spent_long_ago_revokes_the_family_though_its_row_is_gone() {
    let server = server().await;
    let first = server.sign_up("ada").await.tokens;
    let mut newest = first.clone();
    for _ in 0..5 {
        server.clock.advance(Duration::from_secs(600));
        newest = server.refresh(&newest.refresh_token).await.unwrap();
    }
    assert_eq!(server.count("SELECT count(*) FROM refresh_tokens").await, 2);
    assert_eq!(refusal(server.refresh(&first.refresh_token).await), revoked());
    assert_eq!(refusal(server.refresh(&newest.refresh_token).await), revoked());
    assert_eq!(live_sessions(&server).await, 0);
}

#[tokio::test]
async fn a_hundred_refreshes_at_once_get_one_successor() {
    let server = server().await;
    let first = server.sign_up("ada").await.tokens;
    let other = server.another().await;
    let racers: Vec<_> = (0..100)
        .map(|number| {
            let mut client = if number % 2 == 0 { server.auth() } else { other.auth() };
            let request =
                poa_proto::auth::v1::RefreshSessionRequest { refresh_token: first.refresh_token.clone() };
            tokio::spawn(async move { client.refresh_session(request).await })
        })
        .collect();
    let mut successors = BTreeSet::new();
    for racer in racers {
        let tokens = racer.await.unwrap().unwrap().into_inner().tokens.unwrap();
        successors.insert((tokens.refresh_token, tokens.access_token));
    }
    assert_eq!(successors.len(), 1);
    assert_eq!(server.count("SELECT generation::bigint FROM sessions").await, 1);
    assert_eq!(server.count("SELECT count(*) FROM refresh_tokens").await, 2);
    server.refresh(&successors.pop_first().unwrap().0).await.unwrap();
}

#[tokio::test]
async fn a_guessed_token_is_refused_and_harms_nobody() {
    let server = server().await;
    let user = server.sign_up("ada").await;
    let token = &user.tokens.refresh_token;
    // The session's id is no secret; without the token's own bytes it must not even be possible to end it.
    for (place, byte) in [(40, "A"), (40, "B"), (60, "_"), (60, "-")] {
        let mut guess = token.clone();
        guess.replace_range(place..=place, byte);
        if guess != *token {
            assert_eq!(refusal(server.refresh(&guess).await), revoked());
        }
    }
    // A generation that no session reaches.
    let mut bytes = URL_SAFE_NO_PAD.decode(&token["poar_".len()..]).unwrap();
    bytes[16..20].copy_from_slice(&i32::MAX.to_be_bytes());
    let guess = format!("poar_{}", URL_SAFE_NO_PAD.encode(bytes));
    assert_eq!(refusal(server.refresh(&guess).await), revoked());
    for guess in ["poar_", "nonsense", &token.replace("poar_", "poak_"), &format!("{token}=")] {
        assert_eq!(refusal(server.refresh(guess).await), revoked());
    }
    server.refresh(token).await.unwrap();
    assert_eq!(bad_fields(server.refresh("").await), ["refresh_token"]);
    assert_eq!(bad_fields(server.refresh(&"a".repeat(257)).await), ["refresh_token"]);
}

#[tokio::test]
async fn a_session_ends_after_thirty_days_however_often_it_was_refreshed() {
    let server = server().await;
    let mut tokens = server.sign_up("ada").await.tokens;
    for _ in 0..29 {
        server.clock.advance(DAY);
        tokens = server.refresh(&tokens.refresh_token).await.unwrap();
    }
    server.clock.advance(DAY - Duration::from_secs(60));
    tokens = server.refresh(&tokens.refresh_token).await.unwrap();
    // The access token does not outlive its session.
    let end = server.env.now().unix_timestamp() + 60;
    assert_eq!(tokens.access_expire_time.unwrap().seconds, end);
    server.clock.advance(Duration::from_secs(60));
    assert_eq!(refusal(server.refresh(&tokens.refresh_token).await), revoked());
}

#[tokio::test]
async fn the_sweep_removes_sessions_past_their_end_and_leaves_the_others() {
    let server = server().await;
    server.sign_up("ada").await;
    server.clock.advance(20 * DAY);
    let bob = server.sign_up("bob").await;
    server.clock.advance(12 * DAY);
    // Each server sweeps when it starts.
    let another = server.another().await;
    poa_testkit::eventually(Duration::from_secs(10), "one session and its token are left", async || {
        another.count("SELECT count(*) FROM sessions").await == 1
            && another.count("SELECT count(*) FROM idempotency_records").await == 0
    })
    .await;
    another.refresh(&bob.tokens.refresh_token).await.unwrap();
}
