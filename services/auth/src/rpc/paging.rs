//! Pages of a list, newest first, by sealed tokens.

use poa_common::AccountId;
use poa_common::TypedId as _;
use poa_storage::page::Sealer;
use poa_storage::secret;
use uuid::Uuid;

use crate::error::Error;

/// Rows of a page where the caller asks for none in particular.
const DEFAULT_ROWS: i64 = 50;

/// A page that was asked for.
#[derive(Debug)]
pub(super) struct Page {
    account_id: AccountId,
    arguments: [u8; 32],
    /// The id of the last row of the page before.
    pub(super) after: Option<Uuid>,
    rows: i64,
}

// === impl Page ===

impl Page {
    /// Opens a page token. `method` names the list that it must be of.
    pub(super) fn open(
        pages: &Sealer,
        account_id: AccountId,
        method: &str,
        page_size: i32,
        token: &str,
    ) -> Result<Self, Error> {
        let arguments = secret::hash(method.as_bytes());
        let after = pages
            .open(account_id.uuid(), &arguments, token)?
            .map(|position| Uuid::from_slice(&position).map_err(|_| Error::PageTokenInvalid))
            .transpose()?;
        let rows = if page_size == 0 { DEFAULT_ROWS } else { i64::from(page_size) };
        Ok(Self { account_id, arguments, after, rows })
    }

    /// How many rows to read: one more than the page, which tells whether there is a next one.
    pub(super) fn limit(&self) -> i64 {
        self.rows.saturating_add(1)
    }

    /// Cuts the row too many off, and gives the token of the next page, empty at the end.
    pub(super) fn close<T>(&self, pages: &Sealer, rows: &mut Vec<T>, id: impl Fn(&T) -> Uuid) -> String {
        let full = usize::try_from(self.rows).unwrap_or(usize::MAX);
        if rows.len() <= full {
            return String::new();
        }
        rows.truncate(full);
        let last = rows.last().map(id).unwrap_or_default();
        pages.seal(self.account_id.uuid(), &self.arguments, last.as_bytes())
    }
}
