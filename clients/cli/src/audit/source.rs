//! The log as a server shows it. What a server refuses to show is an answer, too; that it is not reached is none.

use std::time::Duration;

use poa_sdk::api::attestation::LogEntry;
use poa_sdk::receipts::Digest;
use poa_sdk::receipts::audit::Leaf;
use poa_sdk::receipts::tlog::Tile;
use poa_sdk::{Client, Code, Error};

use crate::failure::{Exit, Failure};

/// Entries of one page: the most that the server gives.
const PAGE: i32 = 1_024;
/// How long one waits where one asks too much.
const PAUSE: Duration = Duration::from_secs(1);
/// How often one waits for one answer.
const MAX_PAUSES: u32 = 30;

/// Reads a log.
pub(crate) struct Source<'a> {
    client: &'a Client,
}

// === impl Source ===

impl<'a> Source<'a> {
    pub(crate) fn new(client: &'a Client) -> Self {
        Self { client }
    }

    /// The newest checkpoint as the server shows it.
    pub(crate) async fn checkpoint(&self) -> Result<String, Failure> {
        Ok(self.client.checkpoint().await?)
    }

    /// Entries from a place on, in order and without a gap; none where the server shows no more.
    pub(crate) async fn entries(&self, first: u64) -> Result<Vec<LogEntry>, Failure> {
        let mut pauses = 0;
        let page = loop {
            match self.client.log_entries(number(first)?, PAGE).await {
                Ok(page) => break page,
                Err(error) if error.code() == Some(Code::ResourceExhausted) && pauses < MAX_PAUSES => {
                    pauses += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return shown(Err(error)).map(Option::unwrap_or_default),
            }
        };
        let in_order = (first..).zip(page.entries);
        let in_order = in_order.take_while(|(place, entry)| u64::try_from(entry.log_index) == Ok(*place));
        Ok(in_order.map(|(_, entry)| entry).collect())
    }

    /// That one tree begins with another.
    pub(crate) async fn consistency(&self, first: u64, second: u64) -> Result<Option<Vec<Digest>>, Failure> {
        let answer = shown(self.client.consistency_proof(number(first)?, number(second)?).await)?;
        Ok(answer.and_then(|answer| digests(&answer.hashes)))
    }

    /// The leaf at a place of a tree.
    pub(crate) async fn leaf(&self, place: u64, size: u64) -> Result<Option<Leaf>, Failure> {
        let answer = shown(self.client.inclusion_proof(number(place)?, number(size)?).await)?;
        let leaf = |answer: poa_sdk::api::attestation::GetInclusionProofResponse| {
            let hash = Digest::try_from(answer.leaf_hash.as_slice()).ok()?;
            Some(Leaf { hash, proof: digests(&answer.hashes)? })
        };
        Ok(answer.and_then(leaf))
    }

    /// A tile.
    pub(crate) async fn tile(&self, tile: &Tile) -> Result<Option<Vec<u8>>, Failure> {
        shown(self.client.tile(&tile.to_string()).await)
    }
}

/// None where the server answers that it does not show it.
fn shown<T>(answer: Result<T, Error>) -> Result<Option<T>, Failure> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) => match error.code() {
            Some(
                Code::NotFound
                | Code::InvalidArgument
                | Code::OutOfRange
                | Code::FailedPrecondition
                | Code::Internal
                | Code::DataLoss
                | Code::PermissionDenied
                | Code::Unimplemented,
            ) => Ok(None),
            Some(_) | None => Err(error.into()),
        },
    }
}

fn number(number: u64) -> Result<i64, Failure> {
    i64::try_from(number).map_err(|_| Failure::new(Exit::Usage, format!("{number} is too large")))
}

fn digests(hashes: &[Vec<u8>]) -> Option<Vec<Digest>> {
    hashes.iter().map(|hash| Digest::try_from(hash.as_slice()).ok()).collect()
}
