//! Hints by polling: phoenixd lists what was received, newest first. Its websocket and its webhooks say the same sooner, lose
//! what happens while nobody listens, and are not needed.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use futures_util::stream::{BoxStream, StreamExt as _, unfold};

use super::Inner;
use super::answers::Incoming;
use crate::{Cursor, Hint, PaymentHash};

/// Rows that are asked for at once.
const ROWS: usize = 200;
/// Pages of one look. Who is further behind has lost some hints, which hints may be.
const MAX_PAGES: usize = 5;
/// How far behind the newest payment a look begins, in milliseconds: one is in the list a moment after it was received.
const OVERLAP: u64 = 10_000;

struct Reader {
    node: Arc<Inner>,
    /// When the newest payment was received that was hinted at, in milliseconds.
    seen_until: u64,
    /// Those hinted at within the overlap, with their times.
    seen: HashMap<PaymentHash, u64>,
    ready: VecDeque<Hint>,
    looked: bool,
}

/// Hints of payments received since a cursor. Ends when the node does not answer. A cursor that is not ours starts at the
/// oldest that is still told.
pub(super) fn all(node: &Arc<Inner>, from: &Cursor) -> BoxStream<'static, Hint> {
    let reader = Reader {
        node: Arc::clone(node),
        seen_until: from.as_str().parse().unwrap_or(0),
        seen: HashMap::new(),
        ready: VecDeque::new(),
        looked: false,
    };
    unfold(reader, |mut reader| async move { reader.next().await.map(|hint| (hint, reader)) }).boxed()
}

// === impl Reader ===

impl Reader {
    async fn next(&mut self) -> Option<Hint> {
        loop {
            if let Some(hint) = self.ready.pop_front() {
                return Some(hint);
            }
            if self.looked {
                tokio::time::sleep(self.node.hint_interval).await;
            }
            self.looked = true;
            self.look().await?;
        }
    }

    /// Reads what is new; `None` if the node does not answer.
    async fn look(&mut self) -> Option<()> {
        let from = self.seen_until.saturating_sub(OVERLAP);
        let mut found = HashMap::new();
        for page in 0..MAX_PAGES {
            let offset = page * ROWS;
            let path = format!("payments/incoming?from={from}&limit={ROWS}&offset={offset}");
            let rows = self.node.rows::<Incoming>(&path).await.ok()?;
            if rows.is_empty() {
                break;
            }
            let received = rows.into_iter().filter_map(|row| Some((row.payment_hash, row.completed_at?)));
            found.extend(received);
        }
        let mut new: Vec<_> = found.into_iter().filter(|(hash, _)| !self.seen.contains_key(hash)).collect();
        new.sort_by_key(|(hash, at)| (*at, *hash));
        for (hash, at) in new {
            self.seen_until = self.seen_until.max(at);
            self.seen.insert(hash, at);
            self.ready.push_back(Hint { hash, cursor: Cursor::from(self.seen_until.to_string()) });
        }
        let from = self.seen_until.saturating_sub(OVERLAP);
        self.seen.retain(|_, at| *at >= from);
        Some(())
    }
}
