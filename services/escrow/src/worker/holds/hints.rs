//! Hints about hold invoices that are not at their end: a stream for each, since not every node tells of all in one.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use poa_common::EscrowId;
use poa_payment::{Hint, PaymentHash, Provider};
use tokio::time::Instant;
use tokio_stream::StreamMap;

use crate::domain::escrow::Escrow;

/// Before a stream that has ended is opened again. One ends with its invoice; what follows is asked for anyway.
const REOPEN_PAUSE: Duration = Duration::from_secs(5);

/// The streams.
#[derive(Default)]
pub(super) struct Hints {
    streams: StreamMap<PaymentHash, BoxStream<'static, Hint>>,
    watched: HashMap<PaymentHash, Watched>,
}

struct Watched {
    escrow: EscrowId,
    opened: Instant,
}

// === impl Hints ===

impl Hints {
    /// Watches these and no others. What the node has not made yet is watched from when it has.
    pub(super) fn keep(&mut self, provider: &dyn Provider, open: &[Escrow], now: Instant) {
        let Some(holds) = provider.hold_invoices() else { return };
        let wanted: HashMap<PaymentHash, EscrowId> = open
            .iter()
            .filter_map(|escrow| {
                let invoice = escrow.hold_invoice.as_ref()?;
                invoice.bolt11.as_ref().map(|_| (invoice.hash, escrow.id))
            })
            .collect();
        self.watched.retain(|hash, _| wanted.contains_key(hash));
        let unwanted: Vec<PaymentHash> =
            self.streams.keys().filter(|hash| !wanted.contains_key(hash)).copied().collect();
        for hash in unwanted {
            self.streams.remove(&hash);
        }
        for (hash, escrow) in wanted {
            let rests = self.watched.get(&hash).is_some_and(|watched| now - watched.opened < REOPEN_PAUSE);
            if !rests && !self.streams.contains_key(&hash) {
                self.streams.insert(hash, holds.watch(hash));
                self.watched.insert(hash, Watched { escrow, opened: now });
            }
        }
    }

    /// The next escrow that something may have happened to; waits for ever where nothing is watched.
    pub(super) async fn next(&mut self) -> EscrowId {
        loop {
            let Some((hash, _hint)) = self.streams.next().await else {
                return std::future::pending().await;
            };
            if let Some(watched) = self.watched.get(&hash) {
                return watched.escrow;
            }
        }
    }
}
