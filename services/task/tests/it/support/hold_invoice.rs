//! The part of the escrow that hold invoices fund: invoices that wait, channels that lock, give back and lose sats as a test
//! has it, and the stream of all that.

use poa_common::TransferId;
use poa_proto::escrow::v1 as proto;
use poa_proto::escrow::v1::escrow::State as Standing;
use poa_proto::escrow::v1::watch_escrow_events_response::Update;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::escrow::{Escrow, Refused, refused};

/// Where a lock ends, and where the platform decides.
pub(crate) const EXPIRY_HEIGHT: i32 = 800_100;
pub(crate) const GUARD_HEIGHT: i32 = 800_064;

/// What the channels do when the platform takes or gives back what they lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Channels {
    /// As they are told, at once.
    #[default]
    Quick,
    /// Nothing yet.
    Slow,
    /// What is to be taken goes back.
    Lossy,
}

/// An escrow that a hold invoice funds.
#[derive(Clone)]
pub(super) struct Hold {
    pub(super) task: String,
    pub(super) payer: String,
    pub(super) amount: i64,
    pub(super) terms: Vec<u8>,
    pub(super) standing: Standing,
    pub(super) paid: i64,
    pub(super) guard_reached: bool,
    /// What ended it in the ledger.
    pub(super) transfer: String,
}

pub(crate) type Events = ReceiverStream<Result<proto::WatchEscrowEventsResponse, Status>>;

// === impl Escrow: what a test does ===

impl Escrow {
    /// The requester's wallet pays the invoice of a task.
    pub(crate) fn pay(&self, task: &str) {
        self.change(task, |hold| {
            assert_eq!(hold.standing, Standing::Awaiting, "it waits to be paid");
            hold.paid = hold.amount;
            hold.standing = Standing::Accepted;
        });
    }

    /// The invoice of a task ran out unpaid, or the network gave back what it had locked.
    pub(crate) fn give_back(&self, task: &str) {
        self.change(task, |hold| hold.standing = Standing::Canceled);
    }

    /// What was to be taken is lost.
    pub(crate) fn lose(&self, task: &str) {
        self.change(task, |hold| hold.standing = Standing::FundingLost);
    }

    /// The chain has come to the guard height of a task.
    pub(crate) fn guard(&self, task: &str) {
        self.change(task, |hold| hold.guard_reached = true);
    }

    /// The node makes no invoices, or makes them again.
    pub(crate) fn node(&self, is_up: bool) {
        self.book().node_is_down = !is_up;
    }

    /// What the channels do from now on, and have to do still.
    pub(crate) fn channels(&self, channels: Channels) {
        let waiting: Vec<String> = {
            let mut book = self.book();
            book.channels = channels;
            let holds = book.holds.values();
            let waiting =
                holds.filter(|hold| matches!(hold.standing, Standing::Settling | Standing::Canceling));
            waiting.map(|hold| hold.task.clone()).collect()
        };
        for task in waiting {
            self.carry_out(&task);
        }
    }

    /// How the escrow of a task stands.
    pub(crate) fn standing(&self, task: &str) -> Standing {
        let book = self.book();
        book.holds.values().find(|hold| hold.task == task).map(|hold| hold.standing).unwrap_or_default()
    }

    /// How many events there are.
    pub(crate) fn events(&self) -> usize {
        self.book().events.len()
    }

    /// Tells all that is known once more, the oldest last.
    pub(crate) fn repeat_events(&self) {
        let mut book = self.book();
        let mut again = book.events.clone();
        again.reverse();
        book.events.extend(again);
        let told = book.events.len();
        drop(book);
        self.told.send_replace(told);
    }

    /// An event with an escrow as it once was.
    pub(crate) fn tell_of_the_past(&self, task: &str, standing: Standing) {
        let mut book = self.book();
        let (id, hold) = book.holds.iter().find(|(_, hold)| hold.task == task).unwrap();
        let past = Hold { standing, guard_reached: false, paid: 0, ..hold.clone() };
        let event = (id.clone(), past);
        book.events.push(event);
        let told = book.events.len();
        drop(book);
        self.told.send_replace(told);
    }

    fn change(&self, task: &str, change: impl FnOnce(&mut Hold)) {
        let mut book = self.book();
        let (id, hold) = book.holds.iter_mut().find(|(_, hold)| hold.task == task).unwrap();
        change(hold);
        let event = (id.clone(), hold.clone());
        book.events.push(event);
        let told = book.events.len();
        drop(book);
        self.told.send_replace(told);
    }

    /// The channels do what they were told to.
    fn carry_out(&self, task: &str) {
        let channels = self.book().channels;
        let next = match (self.standing(task), channels) {
            (Standing::Settling, Channels::Quick) => Standing::Held,
            (Standing::Settling, Channels::Lossy) => Standing::FundingLost,
            (Standing::Canceling, Channels::Quick | Channels::Lossy) => Standing::Canceled,
            _ => return,
        };
        self.change(task, |hold| hold.standing = next);
    }
}

// === impl Escrow: what the service asks ===

impl Escrow {
    pub(super) fn hold_of(&self, escrow: &str) -> Option<Hold> {
        self.book().holds.get(escrow).cloned()
    }

    /// HoldFunds for the rail of hold invoices.
    pub(super) fn hold_invoice(
        &self,
        request: &proto::HoldFundsRequest,
    ) -> Result<proto::HoldFundsResponse, Status> {
        let known = self.hold_of(&request.escrow_id);
        let hold = match known {
            Some(hold) => hold,
            None => {
                assert!(request.payer_token.contains('.'), "an order comes with the payer's own token");
                let hold = Hold {
                    task: request.task_id.clone(),
                    payer: request.payer_id.clone(),
                    amount: request.amount_msat,
                    terms: request.terms.clone(),
                    standing: Standing::Awaiting,
                    paid: 0,
                    guard_reached: false,
                    transfer: String::new(),
                };
                self.book().holds.insert(request.escrow_id.clone(), hold.clone());
                self.change(&hold.task, |_| {});
                hold
            }
        };
        match hold.standing {
            Standing::Refunded | Standing::Void => Err(refused("ALREADY_REFUNDED", vec![])),
            _ => Ok(proto::HoldFundsResponse {
                escrow: Some(self.message(&request.escrow_id, &hold)),
                transfer_id: String::new(),
            }),
        }
    }

    /// Takes what is locked; answers with the escrow as it is before the channels have done it.
    pub(super) fn take(&self, escrow: &str) -> Result<Hold, Status> {
        let hold = self.hold_of(escrow).ok_or_else(|| refused("RESOURCE_NOT_FOUND", vec![]))?;
        match hold.standing {
            Standing::Accepted => {
                self.change(&hold.task, |hold| hold.standing = Standing::Settling);
                self.carry_out(&hold.task);
                Ok(Hold { standing: Standing::Settling, ..hold })
            }
            Standing::Canceling | Standing::Canceled | Standing::Refunded => {
                Err(refused("ALREADY_REFUNDED", vec![]))
            }
            Standing::FundingLost => Err(refused("FUNDING_LOST", vec![])),
            Standing::Awaiting => Err(refused("ESCROW_STATE", vec![("state", "awaiting".to_owned())])),
            _ => Ok(hold),
        }
    }

    /// RefundEscrow for the rail of hold invoices.
    pub(super) fn open_lock(&self, escrow: &str) -> Result<proto::RefundEscrowResponse, Status> {
        let mut hold = self.hold_of(escrow).unwrap();
        match hold.standing {
            Standing::Awaiting | Standing::Accepted => {
                self.change(&hold.task, |hold| hold.standing = Standing::Canceling);
                self.carry_out(&hold.task);
                hold.standing = Standing::Canceling;
            }
            Standing::Held => {
                hold.transfer = self.env.new_id::<TransferId>().to_string();
                let transfer = hold.transfer.clone();
                *self.book().balances.entry(hold.payer.clone()).or_default() += hold.amount;
                self.change(&hold.task, |hold| {
                    (hold.standing, hold.transfer) = (Standing::Refunded, transfer);
                });
                hold.standing = Standing::Refunded;
            }
            Standing::Settling => {
                return Err(refused("ESCROW_STATE", vec![("state", "settling".to_owned())]));
            }
            Standing::Released => return Err(refused("ALREADY_RELEASED", vec![])),
            _ => {}
        }
        Ok(proto::RefundEscrowResponse {
            escrow: Some(self.message(escrow, &hold)),
            transfer_id: hold.transfer,
        })
    }

    /// What was captured.
    pub(super) fn paid_out(&self, hold: &Hold, transfer: &str) {
        let transfer = transfer.to_owned();
        self.change(&hold.task, |hold| (hold.standing, hold.transfer) = (Standing::Released, transfer));
    }

    pub(super) fn message(&self, escrow: &str, hold: &Hold) -> proto::Escrow {
        let paid = hold.paid > 0;
        proto::Escrow {
            escrow_id: escrow.to_owned(),
            task_id: hold.task.clone(),
            payer_id: hold.payer.clone(),
            state: hold.standing.into(),
            amount_msat: hold.amount,
            hold_invoice: Some(proto::HoldInvoice {
                invoice: if self.book().node_is_down && hold.standing == Standing::Awaiting {
                    String::new()
                } else {
                    format!("lnbcrt1{}", hold.task)
                },
                payment_hash: vec![7; 32],
                expire_time: Some(prost_types::Timestamp {
                    seconds: self.env.now().unix_timestamp() + 600,
                    nanos: 0,
                }),
                paid_msat: hold.paid,
                accept_time: None,
                expiry_height: if paid { EXPIRY_HEIGHT } else { 0 },
                guard_height: if paid { GUARD_HEIGHT } else { 0 },
            }),
            ..proto::Escrow::default()
        }
    }

    /// WatchEscrowEvents: a cursor is how many events were told.
    pub(super) fn watch(
        &self,
        request: Request<proto::WatchEscrowEventsRequest>,
    ) -> Result<Response<Events>, Status> {
        let cursor = request.into_inner().cursor;
        let mut place: usize = if cursor.is_empty() { 0 } else { cursor.parse().unwrap() };
        if place > self.book().events.len() {
            return Err(poa_chassis::status(Refused("FIELDS_INVALID", vec![])));
        }
        let (sender, receiver) = mpsc::channel(16);
        let (escrow, mut told) = (self.clone(), self.told.subscribe());
        tokio::spawn(async move {
            loop {
                if escrow.faults.is_down("events") {
                    return;
                }
                let next = escrow.book().events.get(place).cloned();
                let Some((id, hold)) = next else {
                    tokio::select! {
                        () = sender.closed() => return,
                        changed = told.changed() => if changed.is_err() { return },
                    }
                    continue;
                };
                place += 1;
                let event = proto::EscrowEvent {
                    escrow: Some(escrow.message(&id, &hold)),
                    guard_reached: hold.guard_reached,
                };
                let message = proto::WatchEscrowEventsResponse {
                    cursor: place.to_string(),
                    update: Some(Update::Event(event)),
                };
                if sender.send(Ok(message)).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}
