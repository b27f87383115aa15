//! Pages of ranked hits, by sealed tokens.

use poa_chassis::Principal;
use poa_common::TypedId as _;
use poa_storage::page::Sealer;
use sha2::{Digest as _, Sha256};

use crate::domain::Window;
use crate::error::Error;

/// Hits of a page where the caller does not say.
const DEFAULT_PAGE: u16 = 20;

/// A page that was asked for: whose, and of what.
#[derive(Debug)]
pub(super) struct Paging<'a> {
    pages: &'a Sealer,
    principal: &'a Principal,
    arguments: [u8; 32],
}

// === impl Paging ===

impl<'a> Paging<'a> {
    /// The pages of a query. `arguments` is the request without its page_size and page_token.
    pub(super) fn of(pages: &'a Sealer, principal: &'a Principal, method: &str, arguments: &[u8]) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(method);
        // A token that acts as one agent finds less than the account's others.
        hasher.update(principal.agent_id.map(|agent| agent.uuid()).unwrap_or_default());
        hasher.update(arguments);
        Self { pages, principal, arguments: hasher.finalize().into() }
    }

    /// The part of the hits that is asked for.
    pub(super) fn open(&self, page_size: i32, token: &str) -> Result<Window, Error> {
        let after = self.pages.open(self.principal.account_id.uuid(), &self.arguments, token)?;
        let limit = match page_size {
            0 => DEFAULT_PAGE,
            size => u16::try_from(size).map_err(Error::bug)?,
        };
        Ok(Window { after, limit })
    }

    /// The token of the next page; empty at the end.
    pub(super) fn next(&self, place: Option<&[u8]>) -> String {
        place.map_or_else(String::new, |place| {
            self.pages.seal(self.principal.account_id.uuid(), &self.arguments, place)
        })
    }
}
