//! Pages of a caller's own lists.

use poa_common::{AccountId, TypedId as _};
use sha2::{Digest as _, Sha256};

use crate::error::Error;
use crate::service::Service;

/// What a page holds where nothing is asked.
const DEFAULT_SIZE: i64 = 50;

/// One list of one caller.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pages<'a> {
    service: &'a Service,
    account: AccountId,
    /// A digest of the method: a token of one list is none of another.
    arguments: [u8; 32],
}

// === impl Pages ===

impl<'a> Pages<'a> {
    pub(super) fn new(service: &'a Service, account: AccountId, method: &str) -> Self {
        Self { service, account, arguments: Sha256::digest(method).into() }
    }

    /// The position of a token; none for the first page.
    pub(super) fn open<const N: usize>(&self, token: &str) -> Result<Option<[u8; N]>, Error> {
        let opened = self.service.pages.open(self.account.uuid(), &self.arguments, token);
        let position = opened.map_err(|_| Error::PageTokenInvalid)?;
        position.map(|bytes| bytes.try_into().map_err(|_| Error::PageTokenInvalid)).transpose()
    }

    /// Cuts what was read with one row more than the page to the page, and makes the token of the next one.
    pub(super) fn cut<T>(&self, rows: &mut Vec<T>, size: i64, position: impl Fn(&T) -> Vec<u8>) -> String {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        if rows.len() <= size {
            return String::new();
        }
        rows.truncate(size);
        let last = rows.last().map(position).unwrap_or_default();
        self.service.pages.seal(self.account.uuid(), &self.arguments, &last)
    }
}

/// How many rows a page has.
pub(super) fn size(asked: i32) -> i64 {
    if asked == 0 { DEFAULT_SIZE } else { i64::from(asked) }
}
