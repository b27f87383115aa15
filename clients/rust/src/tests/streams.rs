//! Streams that break.

use std::time::Duration;

use futures_util::StreamExt as _;
use poa_proto::task::v1::watch_task_response::Update;
use poa_proto::task::v1::{Heartbeat, Resync, Task, WatchTaskResponse, task::State};
use tonic::{Code, Status};

use super::fake::{Fake, refuse};
use crate::{Client, Error, Patience};

fn message(cursor: &str, update: Update) -> Result<WatchTaskResponse, Status> {
    Ok(WatchTaskResponse { cursor: cursor.to_owned(), update: Some(update) })
}

fn task(state: State, etag: &str) -> Task {
    Task { state: state.into(), etag: etag.to_owned(), ..Task::default() }
}

async fn states(client: &Client, patience: Patience) -> Vec<Result<State, Error>> {
    let watch = client.with_api_key("poak_1").watch_task("task_1", patience);
    let states = watch.map(|task| task.map(|task| task.state())).collect();
    tokio::time::timeout(Duration::from_secs(20), states).await.expect("the stream ends")
}

#[tokio::test]
async fn a_broken_stream_goes_on_from_its_cursor_without_a_repeat() {
    let (fake, client, _serving) = Fake::start().await;
    fake.state().watches = [
        vec![
            message("c1", Update::Snapshot(task(State::Open, "1"))),
            message("c2", Update::Heartbeat(Heartbeat {})),
            Err(Status::unavailable("restarting")),
        ],
        vec![message("c3", Update::Event(task(State::Open, "1"))), message("c4", Update::Resync(Resync {}))],
        vec![
            message("c5", Update::Snapshot(task(State::Completed, "2"))),
            Err(Status::not_found("never read")),
        ],
    ]
    .into();
    let seen: Vec<State> = states(&client, Patience::Endless).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(seen, [State::Open, State::Completed]);
    assert_eq!(fake.state().cursors, ["", "c2", "c4"]);
}

#[tokio::test]
async fn a_stream_of_something_that_is_not_there_ends_with_the_error() {
    let (fake, client, _serving) = Fake::start().await;
    let seen = states(&client, Patience::Endless).await;
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].as_ref().unwrap_err().code(), Some(Code::NotFound));
    assert_eq!(fake.state().cursors.len(), 1);
}

#[tokio::test]
async fn patience_ends() {
    let (fake, client, _serving) = Fake::start().await;
    fake.state().watches =
        std::iter::repeat_with(|| vec![Err(Status::unavailable("no"))]).take(100).collect();
    let seen = states(&client, Patience::Within(Duration::from_millis(200))).await;
    assert_eq!(seen.len(), 1);
    assert!(seen[0].as_ref().unwrap_err().is_unavailable());
}

#[tokio::test]
async fn a_token_that_no_renewal_mends_ends_the_stream() {
    let (fake, client, _serving) = Fake::start().await;
    let refused = || vec![Err(refuse(Code::Unauthenticated, "CREDENTIALS_INVALID"))];
    fake.state().watches = std::iter::repeat_with(refused).take(100).collect();
    let seen = states(&client, Patience::Endless).await;
    assert_eq!(seen[0].as_ref().unwrap_err().code(), Some(Code::Unauthenticated));
    assert_eq!(fake.state().cursors.len(), 2, "opened once more, with what may be a new token");
}
