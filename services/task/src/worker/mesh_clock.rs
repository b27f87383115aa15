//! The mesh clock: advanced by the time that passed while this process ran, at most two ticks at once.
//!
//! Only the monotonic clock is read, so a wall clock that jumps moves no deadline, and a mesh that stood still for a day
//! finds every deadline where it was.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use poa_chassis::Lifecycle;
use poa_storage::{Database, Error};

use crate::domain::MeshTime;
use crate::{metrics, store};

/// However long a pause was, the clock moves by at most so many ticks at once.
const MAX_TICKS: u32 = 2;

/// The mesh clock as this process knows it.
#[derive(Clone, Debug)]
pub(crate) struct MeshClock {
    seen: Arc<Mutex<Seen>>,
    tick: Duration,
}

/// What the database's row said, and when.
#[derive(Clone, Copy, Debug)]
struct Seen {
    time: MeshTime,
    at: Instant,
}

// === impl MeshClock ===

impl MeshClock {
    /// Reads the clock and starts to advance it.
    pub(crate) async fn start(db: &Database, tick: Duration, lifecycle: &Lifecycle) -> Result<Self, Error> {
        let seen = Seen { time: store::read_mesh_clock(db).await?, at: Instant::now() };
        let clock = Self { seen: Arc::new(Mutex::new(seen)), tick };
        let (ticking, db, stopping) = (clock.clone(), db.clone(), lifecycle.stopping());
        lifecycle.spawn("task mesh clock", async move {
            loop {
                tokio::select! {
                    () = stopping.cancelled() => return,
                    () = tokio::time::sleep(ticking.tick) => ticking.advance(&db).await,
                }
            }
        });
        Ok(clock)
    }

    /// Now. Between two ticks it runs on, but never further than one.
    pub(crate) fn now(&self) -> MeshTime {
        let seen = self.seen();
        seen.time.after(seen.at.elapsed().min(self.tick))
    }

    async fn advance(&self, db: &Database) {
        let seen = self.seen();
        let passed = seen.at.elapsed();
        let next = seen.time.after(passed.min(self.tick.saturating_mul(MAX_TICKS)));
        match store::advance(db, seen.time, next).await {
            Ok(time) => {
                *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Seen { time, at: Instant::now() };
                metrics::mesh_clock(Duration::from_micros(time.micros().unsigned_abs()).as_secs_f64());
            }
            Err(error) => {
                tracing::warn!(%error, "the mesh clock could not be advanced, it will be tried again")
            }
        }
    }

    fn seen(&self) -> Seen {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
