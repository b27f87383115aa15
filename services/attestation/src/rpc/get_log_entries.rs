//! GetLogEntries: the log itself, with the statements that are public.

use std::collections::HashMap;

use poa_proto::attestation::v1::{GetLogEntriesRequest, GetLogEntriesResponse, LogEntry};

use super::Service;
use super::convert::{count, place};
use crate::error::Error;
use crate::store;

/// Entries of a page where the caller asks for none in particular.
const DEFAULT_ENTRIES: i32 = 256;
/// Bytes of statements on one page, about: the answer fits the message that carries it.
const MAX_STATEMENT_BYTES: usize = 2 * 1024 * 1024;

pub(super) async fn handle(
    service: &Service,
    message: &GetLogEntriesRequest,
) -> Result<GetLogEntriesResponse, Error> {
    poa_chassis::validate(message)?;
    let published = service.newest_checkpoint().await?.size;
    let first = place("first_index", message.first_index)?;
    let asked = if message.page_size == 0 { DEFAULT_ENTRIES } else { message.page_size };
    let asked = u64::try_from(asked).map_err(Error::bug)?;
    let end = published.min(first.saturating_add(asked));
    let mut answer = GetLogEntriesResponse { entries: Vec::new(), tree_size: count(published)? };
    if first >= end {
        return Ok(answer);
    }
    let wanted = usize::try_from(end - first).map_err(Error::bug)?;
    let entries = store::log::entries(service.db.read(), first, wanted).await?;
    let notices = store::notices::in_log(service.db.read(), first, end).await?;
    let mut notices: HashMap<u64, Vec<u8>> =
        notices.into_iter().map(|stated| (stated.log_index, stated.envelope)).collect();
    let mut bytes = 0usize;
    for (index, entry) in (first..end).zip(entries) {
        let envelope = notices.remove(&index).unwrap_or_default();
        bytes = bytes.saturating_add(envelope.len());
        if bytes > MAX_STATEMENT_BYTES && !answer.entries.is_empty() {
            break;
        }
        answer.entries.push(LogEntry { log_index: count(index)?, entry, envelope });
    }
    Ok(answer)
}
