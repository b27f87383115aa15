//! WatchDeposit: a snapshot, then the deposit after each change, until its end.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::{BoxStream, unfold};
use poa_chassis::{account, status, validate};
use poa_common::{AccountId, DepositId};
use poa_proto::escrow::v1::watch_deposit_response::Update;
use poa_proto::escrow::v1::{DepositHeartbeat, WatchDepositRequest, WatchDepositResponse};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use tonic::{Request, Status};

use super::convert;
use crate::domain::deposit::Deposit;
use crate::error::Error;
use crate::service::Service;
use crate::store::deposits;

/// A stream on which nothing happened says so this often.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How often a row is read without being told to: what another replica does is seen so.
const POLL: Duration = Duration::from_secs(2);

type Message = Result<WatchDepositResponse, Status>;

struct Watch {
    service: Arc<Service>,
    account: AccountId,
    id: DepositId,
    changes: Receiver<DepositId>,
    /// What the caller has seen.
    shown: Option<Deposit>,
    /// The first message, read before the stream began.
    first: Option<Deposit>,
    spoke: Instant,
    ended: bool,
    _room: OwnedSemaphorePermit,
}

pub(super) async fn handle(
    service: &Arc<Service>,
    request: Request<WatchDepositRequest>,
) -> Result<BoxStream<'static, Message>, Error> {
    let account = account(&request)?;
    let message = request.into_inner();
    validate(&message)?;
    let id = convert::id("deposit_id", &message.deposit_id)?;
    let room = Arc::clone(&service.streams).try_acquire_owned();
    let room = room.map_err(|_| Error::Chassis(poa_chassis::Error::Overloaded))?;
    // Listening begins before the row is read: no change falls between.
    let changes = service.changes.subscribe();
    let found = deposits::find_of(&service.db, id, account).await?;
    let first = found.ok_or(Error::NotFound { resource: "deposit" })?;
    let watch = Watch {
        service: Arc::clone(service),
        account,
        id,
        changes,
        shown: None,
        first: Some(first),
        spoke: Instant::now(),
        ended: false,
        _room: room,
    };
    Ok(unfold(watch, |mut watch| async move { watch.next().await.map(|message| (message, watch)) }).boxed())
}

// === impl Watch ===

impl Watch {
    async fn next(&mut self) -> Option<Message> {
        if self.ended {
            return None;
        }
        if let Some(first) = self.first.take() {
            return Some(Ok(self.show(first, Update::Snapshot)));
        }
        loop {
            let silence = HEARTBEAT.saturating_sub(self.spoke.elapsed());
            if silence.is_zero() {
                self.spoke = Instant::now();
                let heartbeat = Update::Heartbeat(DepositHeartbeat {});
                return Some(Ok(WatchDepositResponse { update: Some(heartbeat) }));
            }
            self.wait(POLL.min(silence)).await;
            match deposits::find_of(&self.service.db, self.id, self.account).await {
                Ok(Some(deposit)) if self.shown.as_ref() != Some(&deposit) => {
                    return Some(Ok(self.show(deposit, Update::Event)));
                }
                Ok(_) => {}
                Err(error) => {
                    self.ended = true;
                    return Some(Err(status(Error::from(error))));
                }
            }
        }
    }

    /// Waits until this deposit may have changed.
    async fn wait(&mut self, at_most: Duration) {
        let told = async {
            loop {
                match self.changes.recv().await {
                    Ok(changed) if changed == self.id => return,
                    Ok(_) => {}
                    // Behind: it may have been among those that were missed.
                    Err(RecvError::Lagged(_)) => return,
                    Err(RecvError::Closed) => return std::future::pending().await,
                }
            }
        };
        let _told_or_not = tokio::time::timeout(at_most, told).await;
    }

    fn show(
        &mut self,
        deposit: Deposit,
        update: fn(poa_proto::escrow::v1::Deposit) -> Update,
    ) -> WatchDepositResponse {
        let message = WatchDepositResponse { update: Some(update(convert::deposit(&deposit))) };
        self.ended = deposit.state.is_end();
        self.shown = Some(deposit);
        self.spoke = Instant::now();
        message
    }
}
