//! The bounds of every field of every request: at the bound it is taken, one beyond it is refused by name.

use crate::support::contract;
use crate::support::field::{Probe, is_required, probes};
use crate::support::{Refusal, Scene, example, methods};

/// What the contract's bounds say of a field that breaks them. What a service finds wrong besides, it says otherwise.
const OF_A_BOUND: [&str; 6] = [
    "are allowed",
    "is allowed",
    "are needed",
    "is required",
    "is not a value of its enum",
    "must be a UUID such as",
];

/// What is wrong with the answer to a probe.
fn fault(probe: &Probe, answer: Result<Vec<u8>, Refusal>) -> Option<String> {
    let Probe { path, holds, wrong, .. } = probe;
    let refusal = answer.err();
    let about = refusal.as_ref().map(|refusal| refusal.about(path)).unwrap_or_default();
    let broken = about.iter().any(|said| OF_A_BOUND.iter().any(|bound| said.contains(bound)));
    match (wrong, broken) {
        (true, true) | (false, false) => None,
        (true, false) => Some(format!("{path} holds {holds} and is not named: {refusal:?}")),
        (false, true) => Some(format!("{path} may hold {holds} and is refused: {refusal:?}")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_may_hold_what_its_bounds_say_and_nothing_beyond() {
    let scene = Scene::enter().await;
    let mut faults = Vec::new();
    let mut count = 0;
    for method in methods() {
        let good = Box::pin(example(&scene, method)).await;
        for probe in probes(method, &good.request) {
            let answer = scene.wire.call(method, &good.caller, &probe.request).await;
            faults.extend(fault(&probe, answer).map(|fault| format!("{}: {fault}", method.path)));
            count += 1;
        }
    }
    assert!(count > 300, "only {count} probes");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_is_missing_is_named_at_once() {
    let scene = Scene::enter().await;
    for method in methods() {
        let fields = contract().input(method);
        let required: Vec<String> =
            fields.fields().filter(is_required).map(|field| field.name().to_owned()).collect();
        if required.is_empty() {
            continue;
        }
        let caller = Box::pin(example(&scene, method)).await.caller;
        let answer = scene.wire.call(method, &caller, &[]).await;
        let refusal = answer.err().unwrap_or_else(|| panic!("{} answers an empty request", method.path));
        for field in required {
            assert!(!refusal.about(&field).is_empty(), "{} is silent on {field}: {refusal:?}", method.path);
        }
    }
}
