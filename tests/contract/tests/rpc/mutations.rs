//! Every mutation twice: the same request is carried out once, and its id is good for no other.

use std::collections::BTreeSet;

use poa_proto::Method;
use prost_reflect::{DynamicMessage, ReflectMessage as _, Value};
use tonic::Code;

use crate::support::field::{text, with_text};
use crate::support::{Example, Scene, contract, example, methods};

/// Answers that show a thing as it is now, which may have gone on since the first time.
const SHOWN_AS_THEY_ARE: [&str; 3] = ["poa.task.v1.Task", "poa.task.v1.OpenTask", "poa.escrow.v1.Withdrawal"];

/// Answers with nothing that has an id, each with the reason why.
const WITHOUT_AN_ID: [(&str, &str); 1] =
    [("poa.escrow.v1.EscrowService/SetPayoutDestination", "an account has one destination")];

fn mutations() -> impl Iterator<Item = &'static Method> {
    methods().filter(|method| method.mutation)
}

fn answer(method: &Method, bytes: &[u8]) -> DynamicMessage {
    DynamicMessage::decode(contract().output(method), bytes).expect("an answer of the contract")
}

/// The ids that an answer names: which things it is about.
fn ids(message: &DynamicMessage, found: &mut BTreeSet<String>) {
    for (field, value) in message.fields() {
        match value {
            Value::Message(inner) if inner.descriptor().full_name().starts_with("poa.") => ids(inner, found),
            Value::String(text) if field.name().ends_with("_id") => {
                found.insert(format!("{} {text}", field.full_name()));
            }
            _ => {}
        }
    }
}

/// Whether two answers are of one effect.
fn assert_same(method: &Method, first: &[u8], second: &[u8]) {
    let (one, two) = (answer(method, first), answer(method, second));
    let (mut of_one, mut of_two) = (BTreeSet::new(), BTreeSet::new());
    ids(&one, &mut of_one);
    ids(&two, &mut of_two);
    let needs_none = WITHOUT_AN_ID.iter().any(|(path, _)| method.path.ends_with(path));
    assert!(needs_none == of_one.is_empty(), "{} answers with the ids {of_one:?}", method.path);
    assert_eq!(of_one, of_two, "{}", method.path);
    let shown = one.fields().any(|(_, value)| {
        let name = value.as_message().map(|inner| inner.descriptor().full_name().to_owned());
        name.is_some_and(|name| SHOWN_AS_THEY_ARE.contains(&name.as_str()))
    });
    assert!(shown || first == second, "{}: {one} and {two}", method.path);
}

async fn done(scene: &Scene, method: &'static Method, good: &Example) -> Vec<u8> {
    let answer = scene.wire.call(method, &good.caller, &good.request).await;
    answer.unwrap_or_else(|refusal| panic!("{}: {refusal:?}", method.path))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_twice_has_one_effect_and_one_answer() {
    let scene = Scene::enter().await;
    for method in mutations() {
        let good = Box::pin(example(&scene, method)).await;
        let first = done(&scene, method, &good).await;
        let second = done(&scene, method, &good).await;
        assert_same(method, &first, &second);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_id_of_a_request_is_refused_for_another_payload() {
    let scene = Scene::enter().await;
    for method in mutations() {
        let good = Box::pin(example(&scene, method)).await;
        done(&scene, method, &good).await;
        let used = text(method, &good.request, "request_id");
        let other = Box::pin(example(&scene, method)).await;
        assert_ne!(with_text(method, &other.request, "request_id", &used), good.request, "{}", method.path);
        let other = with_text(method, &other.request, "request_id", &used);
        let answer = scene.wire.call(method, &good.caller, &other).await;
        let refusal = answer.err().unwrap_or_else(|| panic!("{} takes an id twice", method.path));
        let found = (refusal.code, refusal.reason.as_str());
        assert_eq!(found, (Code::AlreadyExists, "REQUEST_ID_REUSED"), "{}: {refusal:?}", method.path);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_of_the_same_request_at_once_have_one_effect() {
    let scene = Scene::enter().await;
    for method in mutations() {
        let good = Box::pin(example(&scene, method)).await;
        let (first, second) = tokio::join!(done(&scene, method, &good), done(&scene, method, &good));
        assert_same(method, &first, &second);
        // And a third, once both are over.
        assert_same(method, &first, &done(&scene, method, &good).await);
    }
}

#[test]
fn every_mutation_says_how_it_is_idempotent_and_what_a_reused_id_is_answered_with() {
    for method in mutations() {
        let errors = contract().errors(method);
        assert!(errors.contains("REQUEST_ID_REUSED"), "{} does not name REQUEST_ID_REUSED", method.path);
        assert!(contract().comment(method).contains("Idempotent"), "{}", method.path);
    }
}
