//! How long a hold invoice locks the payer's sats: the blocks between its last hop and its timeout.
//!
//! Escrow makes the invoice and task refuses early what does not fit; both compute it here.

/// Blocks that a node needs to take what is locked, however late it is decided. At this distance from the lowest expiry
/// height the platform decides: a node gives the parts back by itself 18 blocks before they time out, and a chain can find
/// several blocks within minutes.
pub const GUARD_BLOCKS: u32 = 36;
/// No invoice asks for less, however short its task: the same least lock as a node's own hold invoices have.
pub const LEAST_CLTV_BLOCKS: u32 = 80;
/// No invoice asks for more, about a week: wallets and channels on the way refuse a longer lock, and each part keeps a slot
/// of theirs.
pub const MAX_CLTV_BLOCKS: u32 = 1_000;
/// Of a task's time, one block for each of these seconds. A block takes 600 on average, and half as many again are added,
/// because blocks come faster for days at a time: 600 / 1.5.
const SECONDS_PER_BLOCK: u64 = 400;

/// A task that takes longer than a hold invoice can lock sats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockTooLong {
    /// The blocks that it would need; there are at most [`MAX_CLTV_BLOCKS`].
    pub needed_blocks: u32,
}

/// The final CLTV delta of the hold invoice of a task, in blocks: 36, and one and a half times the blocks in which the offer
/// waits, the agent works and the requester reviews; at least [`LEAST_CLTV_BLOCKS`].
///
/// # Errors
///
/// More than [`MAX_CLTV_BLOCKS`]: such a task is funded from the balance.
pub fn cltv_blocks(wait_seconds: u32, work_seconds: u32, review_seconds: u32) -> Result<u16, LockTooLong> {
    let seconds = u64::from(wait_seconds) + u64::from(work_seconds) + u64::from(review_seconds);
    let needed = u64::from(GUARD_BLOCKS) + seconds.div_ceil(SECONDS_PER_BLOCK);
    let needed_blocks = u32::try_from(needed).unwrap_or(u32::MAX).max(LEAST_CLTV_BLOCKS);
    match u16::try_from(needed_blocks) {
        Ok(blocks) if needed_blocks <= MAX_CLTV_BLOCKS => Ok(blocks),
        Ok(_) | Err(_) => Err(LockTooLong { needed_blocks }),
    }
}

/// The height at which the platform decides about what is locked until `lowest_expiry_height`.
pub fn guard_height(lowest_expiry_height: u32) -> u32 {
    lowest_expiry_height.saturating_sub(GUARD_BLOCKS)
}

// === impl LockTooLong ===

impl std::fmt::Display for LockTooLong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { needed_blocks } = self;
        write!(f, "the task needs a lock of {needed_blocks} blocks, and there are at most {MAX_CLTV_BLOCKS}")
    }
}

impl std::error::Error for LockTooLong {}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u32 = 86_400;

    #[test]
    fn the_lock_is_the_guard_and_one_and_a_half_times_the_blocks_of_the_task() {
        // Wait, work and review in seconds; blocks.
        let table = [
            (0, 0, 0, Ok(80)),
            (10, 10, 10, Ok(80)),
            // 44 blocks beyond the guard are the least lock, to the second.
            (17_600, 0, 0, Ok(80)),
            (17_600, 1, 0, Ok(81)),
            (17_600, 0, 400, Ok(81)),
            (17_600, 1, 400, Ok(82)),
            (DAY, 3_600, DAY, Ok(36 + 441)),
            (DAY, DAY, DAY, Ok(36 + 648)),
            // 964 blocks beyond the guard are the longest, to the second.
            (385_600, 0, 0, Ok(1_000)),
            (0, 385_600, 1, Err(LockTooLong { needed_blocks: 1_001 })),
            (7 * DAY, 7 * DAY, 7 * DAY, Err(LockTooLong { needed_blocks: 36 + 4_536 })),
            (u32::MAX, u32::MAX, u32::MAX, Err(LockTooLong { needed_blocks: 36 + 32_212_255 })),
        ];
        for (wait, work, review, blocks) in table {
            assert_eq!(cltv_blocks(wait, work, review), blocks, "{wait} {work} {review}");
        }
    }

    #[test]
    fn the_guard_comes_before_the_node_gives_back() {
        assert_eq!(guard_height(800_100), 800_064);
        assert_eq!(guard_height(10), 0);
    }
}
