//! Login and Logout.

use std::time::{Duration, Instant};

use poa_auth::HashingConfig;
use poa_proto::auth::v1::{LoginRequest, LogoutRequest};
use tonic::Code;

use crate::support::{bad_fields, refusal, server, server_with};

#[tokio::test]
async fn signing_in_gives_a_new_session_of_the_same_account() {
    let server = server().await;
    let user = server.sign_up("ada").await;
    let answer = server.auth().login(server.login_request("ada")).await.unwrap().into_inner();
    assert_eq!(answer.account.unwrap(), user.account);
    assert_ne!(answer.tokens.unwrap().session_id, user.tokens.session_id);
}

#[tokio::test]
async fn a_replayed_sign_in_shows_the_same_session() {
    let server = server().await;
    server.sign_up("ada").await;
    let request = server.login_request("ada");
    let first = server.auth().login(request.clone()).await.unwrap().into_inner();
    server.clock.advance(Duration::from_secs(60));
    assert_eq!(server.auth().login(request.clone()).await.unwrap().into_inner(), first);
    // The id alone opens nothing: whoever replays needs the password.
    let guess = LoginRequest { password: "correct house battery".to_owned(), ..request.clone() };
    assert_eq!(refusal(server.auth().login(guess).await).1, "SIGN_IN_FAILED");
    server.sign_up("bob").await;
    let other = LoginRequest { username: "bob".to_owned(), ..request };
    assert_eq!(refusal(server.auth().login(other).await).1, "REQUEST_ID_REUSED");
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_name_get_the_same_answer() {
    let server = server().await;
    server.sign_up("ada").await;
    let wrong = LoginRequest { password: "correct house battery".to_owned(), ..server.login_request("ada") };
    let wrong = server.auth().login(wrong).await.unwrap_err();
    assert_eq!(wrong.code(), Code::Unauthenticated);
    for name in ["eve", "ADA", "ada "] {
        let unknown = server.auth().login(server.login_request(name)).await.unwrap_err();
        assert_eq!((unknown.code(), unknown.message()), (wrong.code(), wrong.message()), "{name}");
        assert_eq!(poa_chassis::failure(&unknown).reason, "SIGN_IN_FAILED");
        assert!(poa_chassis::failure(&unknown).metadata.is_empty());
    }
}

#[tokio::test]
async fn an_unknown_name_costs_as_much_time_as_a_wrong_password() {
    let server = server_with(|config| {
        config.hashing = HashingConfig { memory_kib: 16 * 1024, passes: 4, ..HashingConfig::default() };
    })
    .await;
    server.sign_up("ada").await;
    let time = async |username: &str| {
        let password = "correct house battery".to_owned();
        let guess = LoginRequest { password, ..server.login_request(username) };
        let began = Instant::now();
        server.auth().login(guess).await.unwrap_err();
        began.elapsed()
    };
    // Other work on this machine only makes a call slower: the quickest of each is what it costs. Without its hash
    // an unknown name would be answered in a tenth of the time.
    let (mut wrong, mut unknown, mut impossible) = (Duration::MAX, Duration::MAX, Duration::MAX);
    for _ in 0..6 {
        wrong = wrong.min(time("ada").await);
        unknown = unknown.min(time("eve").await);
        impossible = impossible.min(time("Not A Name").await);
    }
    assert!(unknown > wrong / 3 && impossible > wrong / 3, "{wrong:?}, {unknown:?}, {impossible:?}");
}

#[tokio::test]
async fn after_ten_wrong_passwords_a_name_has_one_try_every_six_seconds_whether_anybody_has_it_or_not() {
    use tonic_types::StatusExt as _;
    let server = server().await;
    server.sign_up("ada").await;
    server.sign_up("bob").await;
    let guess = async |username: &str| {
        let password = "correct house battery".to_owned();
        let request = LoginRequest { password, ..server.login_request(username) };
        server.auth().login(request).await.unwrap_err()
    };
    for name in ["ada", "eve", "Not A Name"] {
        for _ in 0..10 {
            assert_eq!(poa_chassis::failure(&guess(name).await).reason, "SIGN_IN_FAILED", "{name}");
        }
        let limited = guess(name).await;
        let reason = poa_chassis::failure(&limited).reason;
        assert_eq!((limited.code(), reason.as_str()), (Code::ResourceExhausted, "RATE_LIMITED"), "{name}");
        let retry = limited.get_details_retry_info().unwrap();
        assert_eq!(retry.retry_delay, Some(Duration::from_secs(6)), "{name}");
    }
    // The right password does not get past it, or the answer would be worth the guess.
    assert_eq!(refusal(server.auth().login(server.login_request("ada")).await).1, "RATE_LIMITED");
    server.auth().login(server.login_request("bob")).await.unwrap();

    server.clock.advance(Duration::from_secs(6));
    // Whoever knows the password signs in as often as they like.
    for _ in 0..3 {
        server.auth().login(server.login_request("ada")).await.unwrap();
    }
    assert_eq!(poa_chassis::failure(&guess("ada").await).reason, "SIGN_IN_FAILED");
    assert_eq!(poa_chassis::failure(&guess("ada").await).reason, "RATE_LIMITED");
}

#[tokio::test]
async fn malformed_fields_are_named() {
    let server = server().await;
    let request = LoginRequest { password: "a".repeat(257), ..LoginRequest::default() };
    let mut fields = bad_fields(server.auth().login(request).await);
    fields.sort();
    assert_eq!(fields, ["password", "request_id", "username"]);
}

#[tokio::test]
async fn a_password_hashed_with_old_parameters_is_hashed_anew_at_the_next_sign_in() {
    let server = server().await;
    server.sign_up("ada").await;
    let hash = async || -> String {
        sqlx::query_scalar("SELECT password_hash FROM accounts")
            .fetch_one(&mut server.sql().await)
            .await
            .unwrap()
    };
    let current = hash().await;
    // A hash of the same password with one KiB per lane more, as an older configuration would have made it.
    let old = {
        use argon2::password_hash::PasswordHasher as _;
        let params = argon2::Params::new(65, 1, 1, None).unwrap();
        let argon2 = argon2::Argon2::from(params);
        argon2.hash_password_with_salt(crate::support::PASSWORD.as_bytes(), &[1; 16]).unwrap().to_string()
    };
    let mut sql = server.sql().await;
    sqlx::query("UPDATE accounts SET password_hash = $1").bind(&old).execute(&mut sql).await.unwrap();
    server.auth().login(server.login_request("ada")).await.unwrap();
    let renewed = hash().await;
    assert!(renewed != old && renewed != current);
    assert!(renewed.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{renewed}");
    server.auth().login(server.login_request("ada")).await.unwrap();
    assert_eq!(hash().await, renewed);
}

#[tokio::test]
async fn the_hundred_and_first_session_ends_the_oldest() {
    let server = server().await;
    let first = server.sign_up("ada").await.tokens;
    let mut second = None;
    for _ in 0..100 {
        server.clock.advance(Duration::from_millis(5));
        let answer = server.auth().login(server.login_request("ada")).await.unwrap().into_inner();
        second.get_or_insert(answer.tokens.unwrap());
    }
    assert_eq!(refusal(server.refresh(&first.refresh_token).await).1, "SESSION_REVOKED");
    server.refresh(&second.unwrap().refresh_token).await.unwrap();
}

#[tokio::test]
async fn signing_out_ends_the_session_and_may_be_repeated() {
    let server = server().await;
    let user = server.sign_up("ada").await;
    let other = server.auth().login(server.login_request("ada")).await.unwrap().into_inner().tokens.unwrap();
    let newer = server.refresh(&user.tokens.refresh_token).await.unwrap();
    // Any token of the session will do, a spent one as well.
    let logout = LogoutRequest { refresh_token: user.tokens.refresh_token.clone() };
    server.auth().logout(logout.clone()).await.unwrap();
    server.auth().logout(logout).await.unwrap();
    assert_eq!(refusal(server.refresh(&newer.refresh_token).await).1, "SESSION_REVOKED");
    server.refresh(&other.refresh_token).await.unwrap();
}

#[tokio::test]
async fn signing_out_with_a_token_of_nobodys_ends_nothing() {
    let server = server().await;
    let user = server.sign_up("ada").await;
    let mut forged = user.tokens.refresh_token.clone();
    let last = if forged.ends_with('A') { "Q" } else { "A" };
    forged.replace_range(forged.len() - 1.., last);
    for token in ["poar_", "nonsense", &forged] {
        server.auth().logout(LogoutRequest { refresh_token: token.to_owned() }).await.unwrap();
    }
    server.refresh(&user.tokens.refresh_token).await.unwrap();
    let empty = server.auth().logout(LogoutRequest::default()).await;
    assert_eq!(bad_fields(empty), ["refresh_token"]);
}
