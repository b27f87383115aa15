//! Retries, request ids and tokens.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use poa_proto::auth::v1::{CreateApiKeyRequest, RegisterRequest};
use tonic::{Code, Status};

use super::fake::{Fake, refuse, tokens};
use crate::{
    Admin, Client, Endpoint, EndpointError, Error, Patience, SessionTokens, StoreError, StoreGuard,
    TokenStore,
};

/// A store in memory, as another process would share it.
#[derive(Clone)]
struct Shared(Arc<Mutex<Option<SessionTokens>>>);

impl TokenStore for Shared {
    fn lock(&self) -> Result<StoreGuard, StoreError> {
        Ok(Box::new(()))
    }

    fn load(&self) -> Result<Option<SessionTokens>, StoreError> {
        Ok(self.0.lock().unwrap().clone())
    }

    fn save(&self, tokens: &SessionTokens) -> Result<(), StoreError> {
        *self.0.lock().unwrap() = Some(tokens.clone());
        Ok(())
    }
}

#[tokio::test]
async fn an_unavailable_server_is_asked_again_with_the_same_request_id() {
    let (fake, client, _serving) = Fake::start().await;
    fake.state().failures = [Status::unavailable("1"), Status::unavailable("2")].into();
    let session = client.with_api_key("poak_1");
    session.create_api_key(CreateApiKeyRequest::default()).await.unwrap();
    session.create_api_key(CreateApiKeyRequest::default()).await.unwrap();
    let ids = fake.state().request_ids.clone();
    assert_eq!(ids.len(), 4);
    assert!(ids[0] == ids[1] && ids[1] == ids[2], "one call, one id: {ids:?}");
    assert_ne!(ids[2], ids[3], "another call, another id");
    assert_eq!(ids[0].len(), 36);
}

#[tokio::test]
async fn a_refusal_is_not_tried_again_and_keeps_its_reason() {
    let (fake, client, _serving) = Fake::start().await;
    fake.state().failures = [refuse(Code::ResourceExhausted, "QUOTA_EXCEEDED")].into();
    let request = CreateApiKeyRequest { request_id: "mine".to_owned(), ..CreateApiKeyRequest::default() };
    let error = client.with_api_key("poak_1").create_api_key(request).await.unwrap_err();
    assert_eq!((error.code(), error.reason()), (Some(Code::ResourceExhausted), "QUOTA_EXCEEDED"));
    assert_eq!(fake.state().request_ids, ["mine"], "a caller's own id is kept");
}

#[tokio::test]
async fn paused_payouts_are_told_at_once_although_the_code_is_one_to_try_again() {
    let (fake, client, _serving) = Fake::start().await;
    fake.state().failures = [refuse(Code::Unavailable, "PAYOUTS_PAUSED")].into();
    let error =
        client.with_api_key("poak_1").create_api_key(CreateApiKeyRequest::default()).await.unwrap_err();
    assert_eq!((error.code(), error.reason()), (Some(Code::Unavailable), "PAYOUTS_PAUSED"));
    assert_eq!(fake.state().request_ids.len(), 1);
}

#[tokio::test]
async fn a_token_about_to_end_is_renewed_by_one_of_many_callers() {
    let (fake, client, _serving) = Fake::start().await;
    fake.state().accepted = "access-1".to_owned();
    let session = client.session(tokens(&client, "old", 10), None);
    let calls = join_all((0..8).map(|_| session.account())).await;
    assert!(calls.iter().all(Result::is_ok), "{calls:?}");
    assert_eq!(fake.state().refreshes, 1);
    assert_eq!(fake.state().accounts, 8, "the old token was never shown");
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_and_then_given_up() {
    let (fake, client, _serving) = Fake::start().await;
    fake.state().accepted = "access-1".to_owned();
    let session = client.session(tokens(&client, "revoked", 600), None);
    session.account().await.unwrap();
    assert_eq!(fake.tokens_and_accounts(), (1, 2));
    fake.state().accepted = "none".to_owned();
    let error = session.account().await.unwrap_err();
    assert_eq!(error.code(), Some(Code::Unauthenticated));
    assert_eq!(fake.tokens_and_accounts(), (2, 4));
}

#[tokio::test]
async fn a_refresh_whose_answer_is_lost_is_made_again_within_the_servers_window() {
    let (fake, client, _serving) = Fake::start().await;
    fake.state().accepted = "access-2".to_owned();
    fake.state().lost_refreshes = 1;
    let session = client.session(tokens(&client, "old", 10), None);
    let begun = tokio::time::Instant::now();
    session.account().await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert_eq!(fake.tokens_and_accounts(), (2, 1));
}

#[tokio::test]
async fn a_refresh_is_finished_whatever_becomes_of_its_caller() {
    let (fake, client, _serving) = Fake::start().await;
    fake.state().lost_refreshes = 1;
    let old = tokens(&client, "old", 10);
    let store = Shared(Arc::new(Mutex::new(Some(old.clone()))));
    let session = client.session(old.clone(), Some(Arc::new(store.clone())));
    let caller = tokio::spawn({
        let session = session.clone();
        async move { session.account().await }
    });
    fake.until(|state| state.refreshes == 1).await;
    caller.abort();
    fake.until(|state| state.refreshes == 2).await;
    let kept = session.tokens().await;
    assert_ne!(kept, Some(old), "the successor is known");
    assert_eq!(store.load().unwrap(), kept, "and kept");
    assert_eq!(fake.state().accounts, 0, "the call itself was given up");
}

#[tokio::test]
async fn no_secret_is_sent_in_clear_to_another_machine() {
    // An address of documentation: a call that went out would fail in another way, and later.
    let client = Client::connect("http://192.0.2.1:3000").unwrap();
    let session = client.session(tokens(&client, "fresh", 600), None);
    let stale = client.session(tokens(&client, "stale", 10), None);
    let refused = [
        client.register(RegisterRequest::default()).await.unwrap_err(),
        client.login("ada", "correct horse battery").await.unwrap_err(),
        client.logout(&session.tokens().await.unwrap()).await.unwrap_err(),
        client.with_api_key("poak_1").account().await.unwrap_err(),
        session.account().await.unwrap_err(),
        stale.account().await.unwrap_err(),
        client.refresh("refresh of stale").await.unwrap_err(),
        Admin::connect("http://192.0.2.1:9100", "token").err().unwrap(),
    ];
    for error in refused {
        assert!(matches!(error, Error::Endpoint(EndpointError::InClear { .. })), "{error}");
        let text = error.to_string();
        assert!(text.contains("--insecure") && text.contains("Endpoint::insecure"), "{text}");
    }
    let mut watch = Box::pin(session.watch_task("task_1", Patience::Endless));
    assert!(matches!(watch.next().await, Some(Err(Error::Endpoint(EndpointError::InClear { .. })))));
    let trusted = Client::connect(Endpoint::new("http://192.0.2.1:3000").insecure()).unwrap();
    trusted.check_secrets().unwrap();
}

#[tokio::test]
async fn tokens_that_another_process_has_renewed_are_taken_over() {
    let (fake, client, _serving) = Fake::start().await;
    fake.state().accepted = "theirs".to_owned();
    let store = Shared(Arc::new(Mutex::new(Some(tokens(&client, "theirs", 600)))));
    let session = client.session(tokens(&client, "old", 10), Some(Arc::new(store.clone())));
    session.account().await.unwrap();
    assert_eq!(fake.state().refreshes, 0);
    *store.0.lock().unwrap() = Some(tokens(&client, "theirs", 10));
    fake.state().accepted = "access-1".to_owned();
    session.account().await.unwrap();
    assert_eq!(fake.state().refreshes, 1);
    assert_eq!(store.load().unwrap(), session.tokens().await, "the successor is kept");
}

#[tokio::test]
async fn an_api_key_that_is_refused_is_not_renewed() {
    let (fake, client, _serving) = Fake::start().await;
    let error = client.with_api_key("poak_1").account().await.unwrap_err();
    assert_eq!(error.code(), Some(Code::Unauthenticated));
    assert_eq!(fake.tokens_and_accounts(), (0, 1));
}
