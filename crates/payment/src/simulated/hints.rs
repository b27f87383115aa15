//! The streams of hints. They hold the node weakly: a stream that nobody ends does not keep the file locked.

use std::collections::VecDeque;
use std::sync::Weak;

use futures_util::stream::{BoxStream, StreamExt, unfold};
use tokio::sync::watch;

use super::faults::HintFault;
use super::{Inner, SimulatedNode};
use crate::{Cursor, Hint, PaymentHash};

/// Hints that are read from the node at a time.
const BATCH: usize = 256;

struct Reader {
    node: Weak<Inner>,
    wake: watch::Receiver<u64>,
    seen: u64,
    /// Only this invoice.
    only: Option<PaymentHash>,
    ready: VecDeque<Hint>,
    delayed: Option<Hint>,
    ended: bool,
}

/// Hints of all invoices after a cursor. A cursor that is not ours starts at the beginning.
pub(super) fn all(node: &SimulatedNode, from: &Cursor) -> BoxStream<'static, Hint> {
    stream(Reader::new(node, from.as_str().parse().unwrap_or(0), None))
}

/// Hints of one invoice: one at once if it is known, the last one at its end.
pub(super) fn one(node: &SimulatedNode, hash: PaymentHash) -> BoxStream<'static, Hint> {
    stream(Reader::new(node, 0, Some(hash)))
}

fn stream(reader: Reader) -> BoxStream<'static, Hint> {
    unfold(reader, |mut reader| async move { reader.next().await.map(|hint| (hint, reader)) }).boxed()
}

// === impl Reader ===

impl Reader {
    fn new(node: &SimulatedNode, seen: u64, only: Option<PaymentHash>) -> Self {
        let mut wake = node.inner.hints.clone();
        // The first read happens at once.
        wake.mark_changed();
        Self {
            node: std::sync::Arc::downgrade(&node.inner),
            wake,
            seen,
            only,
            ready: VecDeque::new(),
            delayed: None,
            ended: false,
        }
    }

    async fn next(&mut self) -> Option<Hint> {
        loop {
            if let Some(hint) = self.ready.pop_front() {
                return Some(hint);
            }
            if self.ended {
                return None;
            }
            // An error means that the node is gone.
            self.wake.changed().await.ok()?;
            self.read().await?;
        }
    }

    /// Reads what is new; `None` if the node is gone.
    async fn read(&mut self) -> Option<()> {
        let node = SimulatedNode { inner: self.node.upgrade()? };
        let (seen, only) = (self.seen, self.only);
        let (found, state) = node
            .run(move |core| {
                let found = core.state.hints_after(seen, BATCH);
                Ok((found, only.map(|hash| core.invoice(hash)).transpose()?.flatten()))
            })
            .await
            .ok()?;
        if found.len() == BATCH {
            self.wake.mark_changed();
        }
        let first_look = seen == 0 && only.is_some();
        let (mut last, mut matched) = (seen, false);
        for (number, hash) in found {
            last = number;
            if self.only.is_none_or(|only| only == hash) {
                matched = true;
                self.deliver(&node, Hint { hash, cursor: cursor(number) });
            }
        }
        self.seen = last;
        if let (Some(hash), Some(state)) = (only, state) {
            if (first_look || state.is_terminal()) && !matched {
                self.ready.push_back(Hint { hash, cursor: cursor(last) });
            }
            self.ended = state.is_terminal();
        }
        Some(())
    }

    fn deliver(&mut self, node: &SimulatedNode, hint: Hint) {
        match node.inner.script.hint() {
            Some(HintFault::Lose) => return,
            Some(HintFault::Delay) => {
                self.ready.extend(self.delayed.replace(hint));
                return;
            }
            Some(HintFault::Duplicate) => self.ready.push_back(hint.clone()),
            None => {}
        }
        self.ready.push_back(hint);
        self.ready.extend(self.delayed.take());
    }
}

fn cursor(number: u64) -> Cursor {
    Cursor::from(number.to_string())
}
