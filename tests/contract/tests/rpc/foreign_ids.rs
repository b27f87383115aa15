//! Ids of others: what is not yours is answered exactly as what does not exist, so that nobody learns which ids there are.

use poa_common::{AccountId, AgentId, ApiKeyId, AttestationId, DepositId, EscrowId, TaskId, WithdrawalId};
use poa_proto::{Audience, Method};
use tonic::Code;

use crate::support::field::{id_fields, text, with_text};
use crate::support::{Credentials, Example, Scene, example, methods};

/// A text that is no id of anything.
const MALFORMED: &str = "no_such_id";
/// Fields that may name what belongs to others, each with the reason why nothing is given away by it.
const OPEN_TO_ALL: [(&str, &str, &str); 8] = [
    ("poa.auth.v1.AgentService/GetAgent", "agent_id", "agents are public"),
    ("poa.auth.v1.AgentService/GetKeyEvents", "agent_id", "so is what becomes of their keys"),
    ("poa.auth.v1.AgentService/ListAgentVersions", "agent_id", "so are their versions"),
    ("poa.task.v1.TaskService/CreateTask", "direct_agent_id", "any agent may be hired"),
    ("poa.task.v1.TaskService/WatchOpenTasks", "agent_id", "open tasks are public, and so is whom they hire"),
    (
        "poa.task.v1.TaskService/ClaimNextTask",
        "agent_id",
        "open tasks are public; claiming needs the agent's signature",
    ),
    ("poa.task.v1.TaskService/ClaimTask", "task_id", "an open task may be claimed by anyone"),
    (
        "poa.task.v1.TaskService/ClaimTask",
        "agent_id",
        "held against the signed statement alone, not against what exists",
    ),
];
/// Fields whose id is an argument of something new, so that a wrong one is a malformed field.
const ARGUMENTS: [(&str, &str); 1] = [("poa.auth.v1.AuthService/CreateApiKey", "agent_id")];

fn is_open_to_all(method: &Method, field: &str) -> bool {
    OPEN_TO_ALL.iter().any(|(path, name, _)| method.path.ends_with(path) && *name == field)
}

fn is_argument(method: &Method, field: &str) -> bool {
    ARGUMENTS.iter().any(|(path, name)| method.path.ends_with(path) && *name == field)
}

/// An id of the same kind as another that nothing has.
fn unused(scene: &Scene, like: &str) -> String {
    let world = &scene.world;
    match like.split('_').next().unwrap_or_default() {
        "task" => world.unused_id::<TaskId>(),
        "agent" => world.unused_id::<AgentId>(),
        "acct" => world.unused_id::<AccountId>(),
        "escr" => world.unused_id::<EscrowId>(),
        "dep" => world.unused_id::<DepositId>(),
        "wdr" => world.unused_id::<WithdrawalId>(),
        "att" => world.unused_id::<AttestationId>(),
        "key" => world.unused_id::<ApiKeyId>(),
        other => panic!("{like}: say in foreign_ids.rs how an unused id of the kind {other} is made"),
    }
}

/// The fields of public methods that name something somebody owns.
fn owned() -> impl Iterator<Item = (&'static Method, String)> {
    let public = methods().filter(|method| method.audience == Audience::Public && !method.anonymous);
    let fields = public.flat_map(|method| id_fields(method).into_iter().map(move |field| (method, field)));
    fields.filter(|(method, field)| !is_open_to_all(method, field))
}

async fn refused(
    scene: &Scene,
    method: &'static Method,
    caller: &Credentials,
    request: &[u8],
) -> crate::support::Refusal {
    let answer = scene.wire.call(method, caller, request).await;
    answer.err().unwrap_or_else(|| panic!("{} answers one who may not know", method.path))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_another_is_answered_as_what_does_not_exist() {
    let scene = Scene::enter().await;
    let mallory = scene.world.cast.mallory.credentials();
    let mut found = 0;
    for (method, field) in owned() {
        let Example { request, .. } = Box::pin(example(&scene, method)).await;
        let own = text(method, &request, &field);
        assert!(!own.is_empty(), "the example of {} names no {field}", method.path);
        let absent = unused(&scene, &own);
        let others = refused(&scene, method, &mallory, &request).await;
        let nobodys = refused(&scene, method, &mallory, &with_text(method, &request, &field, &absent)).await;
        assert_eq!(others, nobodys, "{}: {field} of another, and of nobody", method.path);
        if is_argument(method, &field) {
            assert_eq!(others.about(&field).len(), 1, "{}: {others:?}", method.path);
        } else {
            let answer = (others.code, others.reason.as_str());
            assert_eq!(answer, (Code::NotFound, "RESOURCE_NOT_FOUND"), "{}: {others:?}", method.path);
            assert!(others.metadata.contains_key("resource"), "{}", method.path);
        }
        found += 1;
    }
    assert!(found >= 15, "only {found} fields name what somebody owns");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_id_is_nobodys_or_a_malformed_field() {
    let scene = Scene::enter().await;
    let mallory = scene.world.cast.mallory.credentials();
    for (method, field) in owned() {
        let Example { request, .. } = Box::pin(example(&scene, method)).await;
        let absent = unused(&scene, &text(method, &request, &field));
        let malformed = with_text(method, &request, &field, MALFORMED);
        let malformed = refused(&scene, method, &mallory, &malformed).await;
        if malformed.reason == "FIELDS_INVALID" {
            assert_eq!(malformed.about(&field).len(), 1, "{}: {malformed:?}", method.path);
        } else {
            let absent = with_text(method, &request, &field, &absent);
            assert_eq!(malformed, refused(&scene, method, &mallory, &absent).await, "{}", method.path);
        }
    }
}

#[test]
fn the_exceptions_are_fields_of_the_contract() {
    let arguments = ARGUMENTS.iter().map(|(path, field)| (*path, *field));
    for (path, field) in OPEN_TO_ALL.iter().map(|(path, field, _)| (*path, *field)).chain(arguments) {
        let method = Method::find(&format!("/{path}")).unwrap_or_else(|| panic!("{path} is not declared"));
        assert!(id_fields(method).iter().any(|name| name == field), "{path} has no {field}");
    }
}
