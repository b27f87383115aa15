//! Who may call what: every method without credentials, with credentials that do not hold, with those of the wrong kind of
//! caller, and without its scope.

use std::collections::BTreeSet;

use poa_e2e::PROCESSES;
use poa_proto::{Audience, Method};
use tonic::Code;

use crate::support::wire::server_of;
use crate::support::{Credentials, Forgery, Refusal, Route, Scene, example, methods};

/// A request that breaks every rule there is: who may not call must not learn what is wrong with it.
const NOTHING: &[u8] = &[];

/// Every scope that a method of the contract asks for.
fn all_scopes() -> BTreeSet<&'static str> {
    methods().map(|method| method.scope).filter(|scope| !scope.is_empty()).collect()
}

async fn refused(scene: &Scene, route: Route, method: &'static Method, credentials: &Credentials) -> Refusal {
    let answer = scene.wire.call_on(route, method, credentials, NOTHING).await;
    let Err(refusal) = answer else { panic!("{} answers {credentials:?} by {route:?}", method.path) };
    refusal
}

async fn refuses(
    scene: &Scene,
    route: Route,
    method: &'static Method,
    credentials: &Credentials,
    expected: (Code, &str),
) -> Refusal {
    let refusal = refused(scene, route, method, credentials).await;
    let found = (refusal.code, refusal.reason.as_str());
    assert_eq!(found, expected, "{} by {route:?} to {credentials:?}: {}", method.path, refusal.message);
    refusal
}

const NO_CREDENTIALS: (Code, &str) = (Code::Unauthenticated, "CREDENTIALS_INVALID");
const WRONG_AUDIENCE: (Code, &str) = (Code::PermissionDenied, "AUDIENCE_MISMATCH");
const NOT_ROUTED: (Code, &str) = (Code::Unimplemented, "");

#[tokio::test(flavor = "multi_thread")]
async fn without_credentials_only_anonymous_methods_answer() {
    let scene = Scene::enter().await;
    let nobody = Credentials::None;
    for method in methods() {
        match method.audience {
            Audience::Public if method.anonymous => {
                for route in [Route::Gateway, Route::Server] {
                    if let Err(refusal) = scene.wire.call_on(route, method, &nobody, NOTHING).await {
                        assert_eq!(refusal.code, Code::InvalidArgument, "{}: {refusal:?}", method.path);
                    }
                }
            }
            Audience::Public => {
                refuses(&scene, Route::Gateway, method, &nobody, NO_CREDENTIALS).await;
                refuses(&scene, Route::Server, method, &nobody, NO_CREDENTIALS).await;
            }
            Audience::Internal => {
                refuses(&scene, Route::Server, method, &nobody, NO_CREDENTIALS).await;
            }
            Audience::Admin => {
                refuses(&scene, Route::Admin, method, &nobody, NO_CREDENTIALS).await;
                refuses(&scene, Route::Server, method, &nobody, WRONG_AUDIENCE).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_does_not_hold_opens_nothing() {
    let scene = Scene::enter().await;
    let account = &scene.world.cast.alice.id;
    let scopes: Vec<&str> = all_scopes().into_iter().collect();
    let mut tokens: Vec<Credentials> = [Forgery::Expired, Forgery::Elsewhere, Forgery::OtherKey]
        .into_iter()
        .map(|forgery| scene.world.forged(account, &scopes, forgery))
        .collect();
    tokens.push(Credentials::Bearer("not.a.token".to_owned()));
    for method in methods().filter(|method| !method.anonymous) {
        for token in &tokens {
            refuses(&scene, Route::Usual, method, token, NO_CREDENTIALS).await;
            // The gateway's word is not taken for it.
            if method.audience == Audience::Public {
                refuses(&scene, Route::Server, method, token, NO_CREDENTIALS).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_knows_public_methods_alone() {
    let scene = Scene::enter().await;
    let callers = [
        Credentials::None,
        scene.world.cast.alice.credentials(),
        scene.world.service("task", "escrow"),
        scene.world.operator(),
    ];
    for method in methods().filter(|method| method.audience != Audience::Public) {
        for credentials in &callers {
            refuses(&scene, Route::Gateway, method, credentials, NOT_ROUTED).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_with_every_scope_opens_no_internal_and_no_operators_method() {
    let scene = Scene::enter().await;
    let scopes: Vec<&str> = all_scopes().into_iter().collect();
    let token = scene.world.token(&scene.world.cast.alice.id, &scopes);
    for method in methods() {
        match method.audience {
            Audience::Public => {}
            Audience::Internal => {
                let refusal = refuses(&scene, Route::Server, method, &token, WRONG_AUDIENCE).await;
                assert_eq!(refusal.metadata["audience"], "internal", "{}", method.path);
            }
            Audience::Admin => {
                for route in [Route::Server, Route::Admin] {
                    let refusal = refuses(&scene, route, method, &token, WRONG_AUDIENCE).await;
                    assert_eq!(refusal.metadata["audience"], "admin", "{}", method.path);
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_opens_what_the_contract_names_it_for_and_nothing_else() {
    let scene = Scene::enter().await;
    for method in methods() {
        let callee = server_of(method);
        for (caller, _) in PROCESSES {
            let token = scene.world.service(caller, callee);
            match method.audience {
                Audience::Internal if method.callers.contains(&caller) => {
                    let request = Box::pin(example(&scene, method)).await.request;
                    let answer = scene.wire.call(method, &token, &request).await;
                    assert!(answer.is_ok(), "{} refuses {caller}: {answer:?}", method.path);
                    let elsewhere = if callee == "auth" { "task" } else { "auth" };
                    let token = scene.world.service(caller, elsewhere);
                    refuses(&scene, Route::Server, method, &token, NO_CREDENTIALS).await;
                }
                Audience::Internal => {
                    refuses(&scene, Route::Server, method, &token, WRONG_AUDIENCE).await;
                }
                Audience::Public if method.anonymous => {}
                Audience::Public => {
                    refuses(&scene, Route::Server, method, &token, NO_CREDENTIALS).await;
                }
                Audience::Admin => {
                    refuses(&scene, Route::Admin, method, &token, NO_CREDENTIALS).await;
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scope_but_the_one_that_is_needed_is_not_enough() {
    let scene = Scene::enter().await;
    let account = &scene.world.cast.alice.id;
    for method in methods().filter(|method| method.audience == Audience::Public && !method.anonymous) {
        let others: Vec<&str> = all_scopes().into_iter().filter(|scope| *scope != method.scope).collect();
        let token = scene.world.token(account, &others);
        for route in [Route::Gateway, Route::Server] {
            let expected = (Code::PermissionDenied, "SCOPE_MISSING");
            let refusal = refuses(&scene, route, method, &token, expected).await;
            assert_eq!(refusal.metadata["scope"], method.scope, "{}", method.path);
        }
    }
}
