//! Page tokens: good for the caller, the method and the arguments that they were made for, and for nothing else.

use std::time::Duration;

use poa_proto::{Audience, Method};
use poa_testkit::eventually;
use prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, ReflectMessage as _, Value};
use tonic::Code;

use crate::support::field::decode;
use crate::support::{Credentials, Example, Scene, contract, example, methods};

const SOON: Duration = Duration::from_secs(30);
/// The alphabet of a token.
const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A list, the good call that begins it, and the token of its second page.
struct List {
    method: &'static Method,
    good: Example,
    token: String,
}

fn lists() -> impl Iterator<Item = &'static Method> {
    methods().filter(|method| contract().input(method).get_field_by_name("page_token").is_some())
}

/// A request for a page.
fn page(method: &Method, request: &[u8], size: i32, token: &str) -> DynamicMessage {
    let mut message = decode(method, request);
    message.set_field_by_name("page_size", Value::I32(size));
    message.set_field_by_name("page_token", Value::String(token.to_owned()));
    message
}

fn next_token(method: &Method, answer: &[u8]) -> String {
    let answer =
        DynamicMessage::decode(contract().output(method), answer).expect("an answer of the contract");
    let token = answer.get_field_by_name("next_page_token").expect("a list answers with a token");
    token.as_str().unwrap_or_default().to_owned()
}

/// Every list with the token of its second page, where there is one thing on a page.
async fn begun(scene: &Scene) -> Vec<List> {
    let mut begun = Vec::new();
    for method in lists() {
        let good = Box::pin(example(scene, method)).await;
        let first = page(method, &good.request, 1, "").encode_to_vec();
        let mut token = String::new();
        let what = format!("{} has two pages: let the story of the tests make more of it", method.path);
        eventually(SOON, &what, async || {
            let answer = scene.wire.call(method, &good.caller, &first).await;
            token =
                next_token(method, &answer.unwrap_or_else(|refusal| panic!("{}: {refusal:?}", method.path)));
            !token.is_empty()
        })
        .await;
        begun.push(List { method, good, token });
    }
    begun
}

async fn is_refused(scene: &Scene, list: &List, caller: &Credentials, request: &DynamicMessage, why: &str) {
    let answer = scene.wire.call(list.method, caller, &request.encode_to_vec()).await;
    let path = list.method.path;
    let refusal = answer.err().unwrap_or_else(|| panic!("{path} takes a token {why}"));
    let found = (refusal.code, refusal.reason.as_str());
    assert_eq!(found, (Code::InvalidArgument, "PAGE_TOKEN_INVALID"), "{path}, {why}: {refusal:?}");
}

/// Another value for an argument.
fn other(scene: &Scene, field: &FieldDescriptor, held: &Value) -> Value {
    let other = match field.kind() {
        Kind::String if field.name() == "task_id" => {
            Value::String(scene.world.props.completed_too.task_id.clone())
        }
        Kind::String => Value::String("other".to_owned()),
        Kind::Bool => Value::Bool(true),
        Kind::Int32 => Value::I32(1),
        Kind::Int64 => Value::I64(1),
        Kind::Enum(values) => {
            let numbers = values.values().map(|value| value.number());
            Value::EnumNumber(
                numbers.filter(|number| held != &Value::EnumNumber(*number)).max().unwrap_or_default(),
            )
        }
        _ => panic!("say in paging.rs what else {} may hold", field.full_name()),
    };
    let other = if field.is_list() { Value::List(vec![other]) } else { other };
    assert_ne!(&other, held, "{}", field.full_name());
    other
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_leads_to_the_second_page_whatever_the_size_of_it() {
    let scene = Scene::enter().await;
    for List { method, good, token } in begun(&scene).await {
        for size in [0, 1, 2, 100] {
            let request = page(method, &good.request, size, &token).encode_to_vec();
            let answer = scene.wire.call(method, &good.caller, &request).await;
            answer.unwrap_or_else(|refusal| panic!("{} of {size}: {refusal:?}", method.path));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_caller_another_list_or_other_arguments_is_refused() {
    let scene = Scene::enter().await;
    let lists = begun(&scene).await;
    for list in &lists {
        let List { method, good, token } = list;
        let request = page(method, &good.request, 1, token);
        // There is one operator, and nobody else may list what operators do.
        if method.audience == Audience::Public {
            let bob = scene.world.cast.bob.credentials();
            is_refused(&scene, list, &bob, &request, "of another caller").await;
        }
        for foreign in lists.iter().filter(|foreign| foreign.method.path != method.path) {
            let request = page(method, &good.request, 1, &foreign.token);
            is_refused(&scene, list, &good.caller, &request, foreign.method.path).await;
        }
        let arguments = request.descriptor().fields().collect::<Vec<_>>().into_iter();
        for field in arguments.filter(|field| !["page_size", "page_token"].contains(&field.name())) {
            let mut request = request.clone();
            let changed = other(&scene, &field, &request.get_field(&field));
            request.set_field(&field, changed);
            is_refused(&scene, list, &good.caller, &request, &format!("of another {}", field.name())).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_was_touched_is_refused() {
    let scene = Scene::enter().await;
    for list in begun(&scene).await {
        let token = &list.token;
        assert!(token.bytes().all(|letter| LETTERS.contains(&letter)), "{token}");
        let mut touched = vec![
            token[..token.len() - 1].to_owned(),
            token[..token.len() / 2].to_owned(),
            token[1..].to_owned(),
            format!("{token}A"),
            "A".to_owned(),
        ];
        for place in (0..token.len()).step_by(token.len() / 8) {
            touched.push(flipped(token, place));
        }
        touched.push(flipped(token, token.len() - 1));
        for token in touched {
            let request = page(list.method, &list.good.request, 1, &token);
            is_refused(&scene, &list, &list.good.caller, &request, &format!("that was touched: {token}"))
                .await;
        }
    }
}

/// The token with one bit of one letter turned over.
fn flipped(token: &str, place: usize) -> String {
    let mut letters = token.as_bytes().to_vec();
    let value = LETTERS.iter().position(|letter| *letter == letters[place]).expect("a letter of a token");
    letters[place] = LETTERS[value ^ 1];
    String::from_utf8(letters).expect("letters")
}
