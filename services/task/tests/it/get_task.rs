//! GetTask: who sees what.

use poa_proto::task::v1::content::Body;
use tonic::Code;

use crate::support::{World, refusal};

#[tokio::test]
async fn requester_and_claimant_see_everything_and_others_an_open_offer_without_bodies() {
    let world = World::new().await;
    let task = world.open().await;
    let stranger = world.env.new_id();
    let own = world.get(world.requester, &task.task_id).await.unwrap();
    assert_eq!(own.input.unwrap().body.unwrap(), Body::Inline(b"greet the world".to_vec()));
    let open = world.get(stranger, &task.task_id).await.unwrap();
    assert!(open.input.is_none() && open.input_summary.is_some() && !open.terms.is_empty());

    let (claimed, acceptance) = world.claim(&world.agent, &task, 1).await;
    assert!(claimed.input.is_some());
    assert_eq!(claimed.claim.as_ref().unwrap().acceptance_digest, acceptance.digest().to_vec());
    let gone = world.get(stranger, &task.task_id).await;
    assert_eq!(refusal(gone), (Code::NotFound, "RESOURCE_NOT_FOUND".to_owned()));

    world.submit(&world.agent, &acceptance, &acceptance, b"hello").await.unwrap();
    for account in [world.requester, world.agent.account] {
        let task = world.get(account, &task.task_id).await.unwrap();
        assert_eq!(task.result.unwrap().body.unwrap(), Body::Inline(b"hello".to_vec()));
    }
    assert!(world.get(stranger, &task.task_id).await.is_err());
}

#[tokio::test]
async fn what_is_no_id_is_nobodys() {
    let world = World::new().await;
    for id in
        ["nonsense", "acct_01h2xcejqtf2nbrexx3vqjhp41", &world.env.new_id::<poa_common::TaskId>().to_string()]
    {
        assert_eq!(refusal(world.get(world.requester, id).await).0, Code::NotFound, "{id}");
    }
}

#[tokio::test]
async fn a_token_for_one_agent_does_not_see_what_another_agent_of_the_account_does() {
    let world = World::new().await;
    let task = world.open().await;
    world.claim(&world.agent, &task, 1).await;
    let get = poa_proto::task::v1::GetTaskRequest { task_id: task.task_id.clone() };
    let own = world.by_agent(world.agent.account, world.agent.id, get.clone());
    assert!(world.client().get_task(own).await.is_ok());
    let other = world.by_agent(world.agent.account, world.env.new_id(), get);
    assert_eq!(refusal(world.client().get_task(other).await).0, Code::NotFound);
}

#[tokio::test]
async fn a_call_without_a_token_is_refused() {
    let world = World::new().await;
    let outcome = world.client().get_task(poa_proto::task::v1::GetTaskRequest::default()).await;
    assert_eq!(refusal(outcome), (Code::Unauthenticated, "CREDENTIALS_INVALID".to_owned()));
}
