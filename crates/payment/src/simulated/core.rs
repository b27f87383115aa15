//! The node itself, synchronous and single-threaded: state, journal, keys. Its decisions are in `receive` and
//! `send`; all of them change the state through [`Core::commit`] alone.

use std::path::Path;
use std::time::Duration;

use poa_common::{Env, Msat, Timestamp};
use tokio::sync::watch;

use super::journal::{Journal, JournalError};
use super::record::Record;
use super::state::State;
use super::wallet::Wallet;
use super::{OpenError, Options};
use crate::{Error, NodeId, Preimage};

/// The journal is replaced by a snapshot once it has grown by this and is twice as long as the last one:
/// short enough to be replayed in a second.
const COMPACT_AFTER_BYTES: u64 = 8 << 20;
/// How long a cancelled invoice is remembered after its expiry.
const CANCELED_RETENTION: Duration = Duration::from_secs(7 * 24 * 3_600);

/// The node. After a failed write it answers nothing until it is opened anew: what is on the disk is then
/// read, not guessed.
pub(super) struct Core {
    pub(super) env: Env,
    pub(super) state: State,
    pub(super) wallet: Wallet,
    pub(super) outside: Wallet,
    pub(super) id: NodeId,
    journal: Journal,
    snapshot_bytes: u64,
    broken: bool,
    hints: watch::Sender<u64>,
}

// === impl Core ===

impl Core {
    /// Opens or creates the node's file, and lets the network finish what was in flight.
    pub(super) fn open(options: &Options, env: Env) -> Result<Self, OpenError> {
        if options.opening_balance.is_negative() || options.opening_balance > Msat::SUPPLY {
            return Err(OpenError::Balance);
        }
        let path = options.path.clone();
        let mut state: Option<State> = None;
        let opened = Journal::open(&path, |line, payload| replay(&mut state, line, payload));
        let (journal, state) = match (opened.map_err(|error| open_error(&path, error))?, state) {
            (Some(journal), Some(state)) => (journal, state),
            (Some(_), None) => return Err(open_error(&path, JournalError::Damaged { line: 2 })),
            (None, _) => {
                let (key, outside) = (Preimage::new(env.random()), Preimage::new(env.random()));
                let state = State::new(key, outside, options.opening_height, options.opening_balance);
                let payload = snapshot(&state).map_err(|error| open_error(&path, error.into()))?;
                let journal =
                    Journal::create(&path, &payload).map_err(|error| open_error(&path, error.into()))?;
                (journal, state)
            }
        };
        let (Some(wallet), Some(outside)) = (Wallet::new(&state.key), Wallet::new(&state.outside_key)) else {
            return Err(OpenError::Key);
        };
        let mut core = Self {
            env,
            id: wallet.id(),
            wallet,
            outside,
            hints: watch::Sender::new(state.hint_count),
            state,
            snapshot_bytes: journal.bytes(),
            journal,
            broken: false,
        };
        core.conclude_all().map_err(OpenError::Conclude)?;
        Ok(core)
    }

    /// Whoever listens wakes up when there are hints.
    pub(super) fn listen(&self) -> watch::Receiver<u64> {
        self.hints.subscribe()
    }

    /// The time by the node's clock.
    pub(super) fn now(&self) -> Timestamp {
        self.env.now()
    }

    /// Whether the node answers at all.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.broken {
            Err(Error::NoAnswer(Some("the node's file could not be written".into())))
        } else {
            Ok(())
        }
    }

    /// Makes changes that belong together, on the disk before it returns. The only way to change the state.
    pub(super) fn commit(&mut self, records: Vec<Record>) -> Result<(), Error> {
        self.check()?;
        // Whatever goes wrong from here on, memory and disk may differ.
        self.broken = true;
        let payload = serde_json::to_vec(&records).map_err(no_answer)?;
        for record in records {
            self.state.apply(record).map_err(no_answer)?;
        }
        self.journal.append(&payload).map_err(no_answer)?;
        if self.journal.bytes() > self.snapshot_bytes.saturating_mul(2).max(COMPACT_AFTER_BYTES) {
            self.compact()?;
        }
        self.broken = false;
        self.hints.send_replace(self.state.hint_count);
        Ok(())
    }

    /// Replaces the journal by a snapshot, without what need not be remembered.
    pub(super) fn compact(&mut self) -> Result<(), Error> {
        self.state.forget_canceled((self.now() - CANCELED_RETENTION).into());
        self.journal.rewrite(&snapshot(&self.state).map_err(no_answer)?).map_err(no_answer)?;
        self.snapshot_bytes = self.journal.bytes();
        tracing::debug!(bytes = self.snapshot_bytes, "the simulated node's journal was compacted");
        Ok(())
    }
}

fn replay(state: &mut Option<State>, line: usize, payload: &[u8]) -> Result<(), JournalError> {
    let damaged = || JournalError::Damaged { line };
    let records = serde_json::from_slice::<Vec<Record>>(payload).map_err(|_| damaged())?;
    for record in records {
        match (state.as_mut(), record) {
            (None, Record::Snapshot(first)) => *state = Some(first.restored().map_err(|_| damaged())?),
            (None, _) => return Err(damaged()),
            (Some(state), record) => state.apply(record).map_err(|_| damaged())?,
        }
    }
    Ok(())
}

fn snapshot(state: &State) -> std::io::Result<Vec<u8>> {
    Ok(serde_json::to_vec(&[Record::Snapshot(Box::new(state.clone()))])?)
}

fn no_answer(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::NoAnswer(Some(Box::new(error)))
}

fn open_error(path: &Path, source: JournalError) -> OpenError {
    OpenError::File { path: path.to_owned(), source: Box::new(source) }
}
