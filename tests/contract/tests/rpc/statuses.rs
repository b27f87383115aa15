//! What the contract says of each method, and what a caller meets who does it wrong.

use poa_proto::Method;
use tonic::Code;

use crate::support::{Credentials, Scene, contract, example, methods};

/// Bytes that are no message: a field number of zero.
const NO_MESSAGE: &[u8] = &[0x00, 0xff, 0xff];
/// More than any server reads.
const TOO_MANY_BYTES: usize = 512 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_every_method_is_answered() {
    let scene = Scene::enter().await;
    for method in methods() {
        let good = Box::pin(example(&scene, method)).await;
        let answer = scene.wire.call(method, &good.caller, &good.request).await;
        answer.unwrap_or_else(|refusal| panic!("{}: {refusal:?}", method.path));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_message_and_messages_beyond_all_bounds_are_the_callers_fault() {
    let scene = Scene::enter().await;
    let long = [&[0x0a, 0x80, 0x80, 0x20][..], &vec![b'a'; TOO_MANY_BYTES]].concat();
    for method in methods().filter(|method| !method.server_streaming) {
        let good = Box::pin(example(&scene, method)).await;
        for request in [NO_MESSAGE, &long] {
            let answer = scene.wire.call(method, &good.caller, request).await;
            let refusal = answer.err().unwrap_or_else(|| panic!("{} answers nonsense", method.path));
            let found = (refusal.code, refusal.reason.as_str());
            assert_eq!(found, (Code::InvalidArgument, "FIELDS_INVALID"), "{}: {refusal:?}", method.path);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_guesses_passwords_is_told_to_wait() {
    let scene = Scene::enter().await;
    let login = Method::find("/poa.auth.v1.AuthService/Login").expect("a declared method");
    let mut request = scene.world.cast.mallory.sign_in(&scene.world.env);
    request.password = "not the password".to_owned();
    let request = prost::Message::encode_to_vec(&request);
    let mut refusals = Vec::new();
    for _ in 0..30 {
        let answer = scene.wire.call(login, &Credentials::None, &request).await;
        refusals.push(answer.expect_err("a wrong password").reason);
    }
    assert!(refusals.contains(&"SIGN_IN_FAILED".to_owned()), "{refusals:?}");
    assert!(refusals.contains(&"RATE_LIMITED".to_owned()), "{refusals:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_holds_as_much_as_allowed_is_told_so() {
    let scene = Scene::enter().await;
    let create = Method::find("/poa.escrow.v1.EscrowService/CreateDeposit").expect("a declared method");
    let mallory = scene.world.cast.mallory.credentials();
    for _ in 0..200 {
        let good = Box::pin(example(&scene, create)).await;
        if let Err(refusal) = scene.wire.call(create, &mallory, &good.request).await {
            assert_eq!((refusal.code, refusal.reason.as_str()), (Code::ResourceExhausted, "QUOTA_EXCEEDED"));
            assert_eq!(refusal.metadata["limit"], "100");
            return;
        }
    }
    panic!("200 open deposits of one account");
}

#[test]
fn the_comment_of_every_method_says_how_it_is_idempotent_what_it_refuses_and_its_command() {
    for method in methods() {
        let comment = contract().comment(method);
        for part in ["Idempotent", "Errors:", "CLI:"] {
            assert!(comment.contains(part), "the comment of {} has no {part}", method.path);
        }
        for reason in contract().errors(method) {
            assert!(contract().reasons.contains_key(reason), "{} names {reason}", method.path);
        }
    }
}
