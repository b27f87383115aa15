//! The two kinds of time.

use std::time::Duration;

use poa_common::Timestamp;

/// A moment on the mesh clock, in microseconds since the mesh first ran. The clock stands still while the mesh does, and
/// knows nothing of the wall clock's jumps: every deadline is one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct MeshTime(i64);

/// Now, on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// What deadlines run on.
    pub(crate) mesh: MeshTime,
    /// What people read.
    pub(crate) wall: Timestamp,
}

// === impl MeshTime ===

impl MeshTime {
    /// A moment from its microseconds.
    pub(crate) const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// The microseconds.
    pub(crate) const fn micros(self) -> i64 {
        self.0
    }

    /// How long it is until a later moment; nothing where that has passed.
    pub(crate) fn until(self, later: Self) -> Duration {
        u64::try_from(later.0.saturating_sub(self.0)).map(Duration::from_micros).unwrap_or_default()
    }

    /// The moment `span` later. The end of time where that does not fit.
    pub(crate) fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(micros_of(span)))
    }
}

/// A span in microseconds, as the database keeps it.
pub(crate) fn micros_of(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

// === impl Moment ===

impl Moment {
    /// When a deadline will be on the wall clock, if the mesh runs on without a pause.
    pub(crate) fn wall_of(self, due: MeshTime) -> Timestamp {
        let span = time::Duration::microseconds(due.0.saturating_sub(self.mesh.0));
        self.wall.checked_add(span).unwrap_or(self.wall)
    }
}
