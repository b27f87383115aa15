//! Retries, request ids and tokens.

use std::sync::{Arc, Mutex};

use futures_util::future::join_all;
use poa_proto::auth::v1::CreateApiKeyRequest;
use tonic::{Code, Status};

use super::fake::{Fake, refuse, tokens};
use crate::{SessionTokens, StoreError, StoreGuard, TokenStore};

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
