//! Register, and what it leaves in the database.

use poa_proto::auth::v1::{GetAccountRequest, RegisterRequest};
use tonic::Code;

use crate::support::{PASSWORD, bad_fields, refusal, server, with};

#[tokio::test]
async fn registering_makes_an_account_and_signs_it_in() {
    let server = server().await;
    let user = server.sign_up("ada").await;
    assert_eq!(user.account.username, "ada");
    assert_eq!(user.account.display_name, "ada");
    assert!(user.tokens.refresh_token.starts_with("poar_"));
    assert!(user.tokens.session_id.starts_with("sess_"));
    let seconds = |time: Option<prost_types::Timestamp>| time.unwrap().seconds;
    let now = server.env.now().unix_timestamp();
    assert_eq!(seconds(user.tokens.access_expire_time), now + 600);
    assert_eq!(seconds(user.tokens.refresh_expire_time), now + 30 * 24 * 3_600);

    let read =
        server.auth().get_account(with(&user.tokens.access_token, GetAccountRequest {})).await.unwrap();
    assert_eq!(read.into_inner().account.unwrap(), user.account);
    assert!(server.readiness.missing().is_empty());
}

#[tokio::test]
async fn a_display_name_is_kept_as_it_was_given() {
    let server = server().await;
    let request = RegisterRequest { display_name: "Ada 🧮".to_owned(), ..server.register_request("ada") };
    let answer = server.auth().register(request).await.unwrap().into_inner();
    assert_eq!(answer.account.unwrap().display_name, "Ada 🧮");
}

#[tokio::test]
async fn a_replayed_registration_shows_the_same_account_and_the_same_tokens() {
    let server = server().await;
    let request = server.register_request("ada");
    let first = server.auth().register(request.clone()).await.unwrap().into_inner();
    server.clock.advance(std::time::Duration::from_secs(3));
    let again = server.auth().register(request.clone()).await.unwrap().into_inner();
    assert_eq!(first, again);
    // Another replica, too.
    let elsewhere = server.another().await.auth().register(request).await.unwrap().into_inner();
    assert_eq!(first, elsewhere);
    assert_eq!(server.count("SELECT count(*) FROM accounts").await, 1);
    assert_eq!(server.count("SELECT count(*) FROM sessions").await, 1);
}

#[tokio::test]
async fn a_request_id_with_another_payload_is_refused_even_where_only_the_password_differs() {
    let server = server().await;
    let request = server.register_request("ada");
    server.auth().register(request.clone()).await.unwrap();
    for other in [
        RegisterRequest { password: "another horse battery".to_owned(), ..request.clone() },
        RegisterRequest { username: "bob".to_owned(), ..request.clone() },
    ] {
        let refused = refusal(server.auth().register(other).await);
        assert_eq!(refused, (Code::AlreadyExists, "REQUEST_ID_REUSED".to_owned()));
    }
}

#[tokio::test]
async fn registrations_of_one_name_at_once_make_one_account() {
    let server = server().await;
    let racers: Vec<_> = (0..8)
        .map(|_| {
            let (mut client, request) = (server.auth(), server.register_request("ada"));
            tokio::spawn(async move { client.register(request).await })
        })
        .collect();
    let mut made = 0;
    for racer in racers {
        match racer.await.unwrap() {
            Ok(_) => made += 1,
            Err(status) => {
                let failure = poa_chassis::failure(&status);
                assert_eq!((failure.code, failure.reason.as_str()), (Code::AlreadyExists, "USERNAME_TAKEN"));
                assert_eq!(failure.metadata["username"], "ada");
            }
        }
    }
    assert_eq!(made, 1);
}

#[tokio::test]
async fn the_same_registration_many_times_at_once_is_one_account_and_one_answer() {
    let server = server().await;
    let request = server.register_request("ada");
    let racers: Vec<_> = (0..8)
        .map(|_| {
            let (mut client, request) = (server.auth(), request.clone());
            tokio::spawn(async move { client.register(request).await.unwrap().into_inner() })
        })
        .collect();
    let mut answers = Vec::new();
    for racer in racers {
        answers.push(racer.await.unwrap());
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]));
}

#[tokio::test]
async fn all_malformed_fields_are_named_at_once_and_each_once() {
    let server = server().await;
    let request = RegisterRequest {
        request_id: "1".to_owned(),
        username: "Ada Lovelace".to_owned(),
        password: "short".to_owned(),
        display_name: "a\u{202e}da".to_owned(),
    };
    let mut fields = bad_fields(server.auth().register(request).await);
    fields.sort();
    assert_eq!(fields, ["display_name", "password", "request_id", "username"]);
    let mut fields = bad_fields(server.auth().register(RegisterRequest::default()).await);
    fields.sort();
    assert_eq!(fields, ["password", "request_id", "username"]);
}

#[tokio::test]
async fn texts_that_postgresql_cannot_keep_are_malformed_rather_than_a_failure() {
    let server = server().await;
    for (username, display_name) in [("a\0da", ""), ("ada", "a\0da")] {
        let request =
            RegisterRequest { display_name: display_name.to_owned(), ..server.register_request(username) };
        assert_eq!(refusal(server.auth().register(request).await).1, "FIELDS_INVALID");
    }
    let login = server.login_request("a\0da");
    assert_eq!(refusal(server.auth().login(login).await).1, "SIGN_IN_FAILED");
}

#[tokio::test]
async fn the_database_holds_no_password_and_no_token() {
    let server = server().await;
    let user = server.sign_up("ada").await;
    let rows: Vec<String> = sqlx::query_scalar(
        "SELECT t::text FROM accounts t UNION ALL SELECT t::text FROM sessions t
         UNION ALL SELECT t::text FROM refresh_tokens t UNION ALL SELECT t::text FROM idempotency_records t",
    )
    .fetch_all(&mut server.sql().await)
    .await
    .unwrap();
    let dump = rows.join("\n");
    assert!(dump.contains("$argon2id$v=19$"));
    for secret in [PASSWORD, &user.tokens.refresh_token, &user.tokens.access_token] {
        assert!(!dump.contains(secret));
        let digits: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert!(!dump.contains(&digits));
    }
}
