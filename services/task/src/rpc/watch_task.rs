//! WatchTask.
//!
//! The cursor is the version of the last task that was sent: whoever resumes hears of what changed since, and of nothing
//! twice. Changes in quick succession may come as one message: each holds the whole task.

use std::sync::Arc;
use std::time::Duration;

use poa_chassis::{Principal, status};
use poa_common::TaskId;
use poa_proto::task::v1::watch_task_response::Update;
use poa_proto::task::v1::{Heartbeat, WatchTaskRequest, WatchTaskResponse};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::{Sight, convert, parse, seen};
use crate::error::Error;
use crate::service::Service;
use crate::store::{Bodies, View};
use crate::worker::Watcher;

/// How long a stream is silent at most.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Messages that wait for a slow reader; then the stream waits, and skips to the task as it is.
const BACKLOG: usize = 4;

type Sender = mpsc::Sender<Result<WatchTaskResponse, Status>>;

/// One open stream.
struct Stream {
    service: Arc<Service>,
    principal: Principal,
    task: TaskId,
    watcher: Watcher,
    /// The version last sent.
    version: i64,
}

pub(super) async fn handle(
    service: &Arc<Service>,
    principal: Principal,
    request: WatchTaskRequest,
) -> Result<ReceiverStream<Result<WatchTaskResponse, Status>>, Error> {
    let task: TaskId = parse::id("task", &request.task_id)?;
    // Before the first look, so that no change falls between the two.
    let watcher = service.hub.watch(task);
    let (view, sight) = seen(service, &principal, task, Bodies::None).await?;
    let (sender, receiver) = mpsc::channel(BACKLOG);
    let resumed =
        i64::from_str_radix(&request.cursor, 16).ok().filter(|version| *version <= view.status.version);
    let mut stream = Stream {
        service: Arc::clone(service),
        principal,
        task,
        watcher,
        version: resumed.unwrap_or_default(),
    };
    tokio::spawn(async move {
        let ended = match resumed {
            None => stream.send(&sender, &view, sight, Update::Snapshot).await,
            Some(version) if version < view.status.version || view.status.state.is_end() => {
                stream.send(&sender, &view, sight, Update::Event).await
            }
            Some(_) => Ok(false),
        };
        // Else the end was told, or nobody listens.
        if let Ok(false) = ended {
            stream.run(&sender).await;
        }
    });
    Ok(ReceiverStream::new(receiver))
}

/// Nobody listens any more.
struct Gone;

// === impl Stream ===

impl Stream {
    async fn run(&mut self, sender: &Sender) {
        loop {
            let beat = tokio::select! {
                () = sender.closed() => return,
                () = self.watcher.changed() => false,
                () = tokio::time::sleep(HEARTBEAT) => true,
            };
            match seen(&self.service, &self.principal, self.task, Bodies::None).await {
                Ok((view, sight)) if view.status.version > self.version => {
                    match self.send(sender, &view, sight, Update::Event).await {
                        Ok(false) => {}
                        Ok(true) | Err(Gone) => return,
                    }
                }
                Ok(_) if beat => {
                    let update = Some(Update::Heartbeat(Heartbeat {}));
                    let message = WatchTaskResponse { cursor: cursor(self.version), update };
                    if sender.send(Ok(message)).await.is_err() {
                        return;
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    // Nobody may be there to hear it.
                    let _heard = sender.send(Err(status(error))).await;
                    return;
                }
            }
        }
    }

    /// Sends the task as it is; answers whether it has ended.
    async fn send(
        &mut self,
        sender: &Sender,
        view: &View,
        sight: Sight,
        update: fn(poa_proto::task::v1::Task) -> Update,
    ) -> Result<bool, Gone> {
        let message =
            convert::task(view, self.service.now(), sight == Sight::Whole, self.principal.account_id)
                .map(|task| WatchTaskResponse {
                    cursor: cursor(view.status.version),
                    update: Some(update(task)),
                })
                .map_err(status);
        self.version = view.status.version;
        sender.send(message).await.map_err(|_closed| Gone)?;
        Ok(view.status.state.is_end())
    }
}

fn cursor(version: i64) -> String {
    format!("{version:x}")
}
