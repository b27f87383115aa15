//! When which withdrawal, or which other thing that is not at its end, is looked at next, and which are being looked at now.
//! In memory: after a restart everything is due at once.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::time::Duration;

use poa_common::WithdrawalId;
use tokio::time::Instant;

/// The wait after the first look that decided nothing; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest wait: what a restart or a late settlement may cost.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// After so many doublings the pause is the longest one.
const MOST_DOUBLINGS: u32 = 6;

/// What is not at its end: withdrawals, where nothing else is said.
#[derive(Debug)]
pub(super) struct Tracks<K = WithdrawalId> {
    started: Instant,
    tracks: HashMap<K, Track>,
}

#[derive(Clone, Copy, Debug)]
struct Track {
    looks: u32,
    due: Instant,
    busy: bool,
    /// Whether something may have happened while it was looked at.
    woken: bool,
    /// When something may last have been sent.
    sent: Instant,
}

// === impl Tracks ===

impl<K: Copy + Eq + Hash> Tracks<K> {
    pub(super) fn new(now: Instant) -> Self {
        Self { started: now, tracks: HashMap::new() }
    }

    /// Forgets what is at its end.
    pub(super) fn keep(&mut self, live: &HashSet<K>) {
        self.tracks.retain(|id, track| track.busy || live.contains(id));
    }

    /// Takes one, if it is due and nobody looks at it. Answers how long ago something may have been sent for it.
    pub(super) fn take(&mut self, id: K, now: Instant) -> Option<Duration> {
        let started = self.started;
        // What this process has not sent may have been sent by the one before, up to the start of this one.
        let new = Track { looks: 0, due: now, busy: false, woken: false, sent: started };
        let track = self.tracks.entry(id).or_insert(new);
        if track.busy || track.due > now {
            return None;
        }
        track.busy = true;
        Some(now.duration_since(track.sent))
    }

    /// Something may have happened to it: a look is due.
    pub(super) fn wake(&mut self, id: K, now: Instant) {
        if let Some(track) = self.tracks.get_mut(&id) {
            track.wake(now);
        }
    }

    /// Something may have happened to any of them.
    pub(super) fn wake_all(&mut self, now: Instant) {
        self.tracks.values_mut().for_each(|track| track.wake(now));
    }

    /// Gives one back after a look. `sent`: whether something may have been sent; `moved`: whether something changed.
    pub(super) fn put_back(&mut self, id: K, now: Instant, sent: bool, moved: bool) {
        if let Some(track) = self.tracks.get_mut(&id) {
            track.busy = false;
            track.looks = if moved { 0 } else { track.looks.saturating_add(1) };
            track.due =
                now + FIRST_PAUSE.saturating_mul(1 << track.looks.min(MOST_DOUBLINGS)).min(LONGEST_PAUSE);
            if sent {
                track.sent = now;
            }
            if std::mem::take(&mut track.woken) {
                track.wake(now);
            }
        }
    }

    /// When one is due; none where it was never looked at.
    pub(super) fn due(&self, id: K) -> Option<Instant> {
        self.tracks.get(&id).map(|track| track.due)
    }

    /// When the next one is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.tracks.values().filter(|track| !track.busy).map(|track| track.due).min()
    }
}

// === impl Track ===

impl Track {
    fn wake(&mut self, now: Instant) {
        if self.busy {
            self.woken = true;
        } else {
            (self.looks, self.due) = (0, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use poa_common::TypedId;
    use uuid::Uuid;

    #[test]
    fn looks_grow_apart_until_something_moves() {
        let id = WithdrawalId::from_uuid(Uuid::from_u128(1));
        let mut now = Instant::now();
        let mut tracks = Tracks::new(now);
        let mut pauses = Vec::new();
        for _ in 0..8 {
            assert!(tracks.take(id, now).is_some());
            assert!(tracks.take(id, now).is_none(), "one look at a time");
            tracks.put_back(id, now, false, false);
            assert!(tracks.take(id, now).is_none(), "not before it is due");
            let due = tracks.next_due().unwrap();
            pauses.push(due.duration_since(now).as_millis());
            now = due;
        }
        assert_eq!(pauses, [200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000]);
        assert!(tracks.take(id, now).is_some());
        tracks.put_back(id, now, true, true);
        assert_eq!(tracks.next_due().unwrap().duration_since(now), FIRST_PAUSE);
    }

    #[test]
    fn the_time_since_something_may_have_been_sent_begins_with_the_process() {
        let id = WithdrawalId::from_uuid(Uuid::from_u128(1));
        let started = Instant::now();
        let mut tracks = Tracks::new(started);
        let later = started + Duration::from_secs(30);
        assert_eq!(tracks.take(id, later), Some(Duration::from_secs(30)));
        tracks.put_back(id, later, true, false);
        let last = later + Duration::from_secs(10);
        assert_eq!(tracks.take(id, last), Some(Duration::from_secs(10)));
    }

    #[test]
    fn what_is_woken_while_it_is_looked_at_is_looked_at_again_at_once() {
        let id = WithdrawalId::from_uuid(Uuid::from_u128(1));
        let now = Instant::now();
        let mut tracks = Tracks::new(now);
        tracks.wake(id, now);
        assert!(tracks.take(id, now).is_some());
        tracks.wake(id, now);
        assert!(tracks.take(id, now).is_none());
        tracks.put_back(id, now, false, false);
        assert!(tracks.take(id, now).is_some());
        tracks.put_back(id, now, false, false);
        assert!(tracks.take(id, now).is_none());
        tracks.wake_all(now);
        assert!(tracks.take(id, now).is_some());
    }
}
