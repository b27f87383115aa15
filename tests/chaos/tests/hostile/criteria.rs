//! Criteria that want to cost more than a task is worth: refused at the offer, or decided within the time of a call, while
//! everybody else is served.

use std::time::Duration;

use poa_sdk::api::task::{CreateTaskRequest, Criterion, Task, criterion, task};
use poa_sdk::{Code, Error};

use crate::support::mesh::{Mesh, offer};

/// The longest unary call takes ten seconds at the server; the SDK asks again where it may.
const DECIDED_WITHIN: Duration = Duration::from_secs(90);
/// The largest result that travels in a message.
const LARGEST: usize = 128 * 1_024;
/// How many submissions fight for the processor at once.
const AT_ONCE: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn criteria_that_explode_are_refused_or_decided_in_time() {
    let mesh = Mesh::start().await;
    bombs_are_refused_at_the_offer(&mesh).await;
    what_is_taken_is_decided_in_time(&mesh).await;
    mesh.expect_unharmed().await;
}

fn with(check: criterion::Check) -> CreateTaskRequest {
    CreateTaskRequest { criteria: vec![Criterion { check: Some(check) }], ..offer("a bomb", ".") }
}

fn doubling(levels: usize) -> String {
    let levels: Vec<String> = (0..levels)
        .map(|level| {
            let next = format!(r##"{{"$ref":"#/$defs/l{}"}}"##, level + 1);
            format!(r#""l{level}":{{"allOf":[{next},{next}]}}"#)
        })
        .chain([format!(r#""l{levels}":true"#)])
        .collect();
    format!(r##"{{"$defs":{{{}}},"$ref":"#/$defs/l0"}}"##, levels.join(","))
}

async fn bombs_are_refused_at_the_offer(mesh: &Mesh) {
    let patterns = [
        "((a{1000}){1000}){1000}",
        "(?:a?){10000}b{10000}",
        r"(\w{500}){500}",
        r"(a)\1",
        "(?=a)b",
        "(",
        "[",
        r"\p{Nonsense}",
    ];
    let schemas = [
        doubling(40),
        r##"{"$ref":"#"}"##.to_owned(),
        r##"{"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}},"$ref":"#/$defs/a"}"##.to_owned(),
        r#"{"$ref":"http://127.0.0.1:9/schema"}"#.to_owned(),
        r#"{"$ref":"file:///etc/passwd"}"#.to_owned(),
        format!("{}true{}", r#"{"not":"#.repeat(3_000), "}".repeat(3_000)),
        r#"{"pattern":"((a{1000}){1000}){1000}"}"#.to_owned(),
        r#"{"unevaluatedProperties":false}"#.to_owned(),
        format!(r#"{{"enum":[{}0]}}"#, "0,".repeat(6_000)),
        "[".repeat(10_000),
    ];
    let patterns = patterns.map(|pattern| criterion::Check::Pattern(pattern.to_owned()));
    for check in patterns.into_iter().chain(schemas.map(criterion::Check::JsonSchema)) {
        let what = format!("{check:?}").chars().take(120).collect::<String>();
        let offered = tokio::time::timeout(DECIDED_WITHIN, mesh.alice.create_task(with(check)));
        let refused = offered.await.unwrap_or_else(|_| panic!("{what} takes for ever")).err();
        let code = refused.as_ref().and_then(Error::code);
        assert_eq!(code, Some(Code::InvalidArgument), "{what}: {refused:?}");
    }
}

/// Each is cheap to say, and as expensive to decide as it gets.
fn taken() -> Vec<(&'static str, criterion::Check, Vec<u8>)> {
    let pattern = |text: &str| criterion::Check::Pattern(text.to_owned());
    let schema = |text: &str| criterion::Check::JsonSchema(text.to_owned());
    let a = vec![b'a'; LARGEST];
    let numbers = format!("[{}0]", "0,".repeat(LARGEST / 2 - 2)).into_bytes();
    let distinct: Vec<String> = (0..18_000).map(|number| number.to_string()).collect();
    let distinct = format!("[{}]", distinct.join(",")).into_bytes();
    let text = format!("\"{}\"", "a".repeat(LARGEST - 2)).into_bytes();
    let nested = format!("{}{}", "[".repeat(60_000), "]".repeat(60_000)).into_bytes();
    vec![
        ("nested repetition", pattern("^(a+)+$"), [a.as_slice(), b"!"].concat()[1..].to_vec()),
        ("alternatives that overlap", pattern("^(a|a|aa|a?)*b$"), a.clone()),
        ("counted repetition", pattern("(a{0,100}){0,50}b"), a.clone()),
        ("any of many words", pattern(r"(\w+\s?)*\.$"), a.clone()),
        (
            "items against many patterns",
            schema(r#"{"items":{"anyOf":[{"type":"string"},{"const":1},{"minimum":2}]}}"#),
            numbers,
        ),
        ("items that are unique", schema(r#"{"uniqueItems":true}"#), distinct),
        ("a pattern inside", schema(r#"{"pattern":"^(a+)+$"}"#), text),
        ("deep JSON", schema(r#"{"type":"object"}"#), nested),
    ]
}

async fn what_is_taken_is_decided_in_time(mesh: &Mesh) {
    let mut claimed: Vec<(&'static str, Task, Vec<u8>)> = Vec::new();
    for (what, check, result) in taken() {
        let task = mesh.open_task(with(check)).await;
        mesh.bob.claim(&task, 1).await.expect("a claim");
        claimed.push((what, task, result));
    }
    for group in claimed.chunks(AT_ONCE) {
        let submissions = group.iter().map(|(what, task, result)| async move {
            let submitted = mesh.bob.finish(&task.task_id, result);
            let outcome = tokio::time::timeout(DECIDED_WITHIN, submitted).await;
            (what, outcome.unwrap_or_else(|_| panic!("{what} takes for ever")))
        });
        let honest = async {
            for _ in 0..20 {
                mesh.alice.balance().await.expect("others are served meanwhile");
                mesh.alice.task(&group[0].1.task_id).await.expect("others are served meanwhile");
            }
        };
        let (outcomes, ()) = tokio::join!(futures_util::future::join_all(submissions), honest);
        for (what, outcome) in outcomes {
            match outcome {
                Ok(taken) => assert_ne!(taken.state(), task::State::Claimed, "{what}"),
                Err(error) => assert_eq!(error.reason(), "CRITERION_FAILED", "{what}: {error}"),
            }
        }
    }
}
