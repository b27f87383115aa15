//! Page tokens: sealed, and bound to who asked and for what.
//!
//! A token is a position that its reader can neither read nor change nor use with other arguments or as
//! another principal. The nonce is a keyed hash of what is sealed, so that no source of randomness is
//! needed and the same position gives the same token.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::secret::{SealKey, derive};

/// The longest position, in bytes: a few sort keys.
pub const MAX_POSITION_BYTES: usize = 256;
/// No token of ours is longer; a longer one is refused before it is decoded.
const MAX_TOKEN_LENGTH: usize = 512;

/// Seals and opens the page tokens of one service.
#[derive(Clone, Debug)]
pub struct Sealer {
    seal: SealKey,
    nonce_key: [u8; 32],
}

/// The token was altered, is of another principal or of other arguments, or its key is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the page token is not one of this list")]
pub struct InvalidPageToken;

// === impl Sealer ===

impl Sealer {
    /// A sealer with the service's key. Replicas share it, or a page would end with its server.
    pub fn new(key: &[u8; 32]) -> Self {
        Self {
            seal: SealKey::new(&derive(key, "page-token-seal", Uuid::nil())),
            nonce_key: derive(key, "page-token-nonce", Uuid::nil()),
        }
    }

    /// The token of a position. `arguments` is a digest of the method and of every argument that decides
    /// what is listed (so not page_size), SHA-256. A position above [`MAX_POSITION_BYTES`] makes a token
    /// that does not open.
    pub fn seal(&self, principal: Uuid, arguments: &[u8; 32], position: &[u8]) -> String {
        let context = context(principal, arguments);
        let mut hashed = context.clone();
        hashed.extend_from_slice(position);
        let nonce = crate::secret::mac(&self.nonce_key, &hashed);
        let mut short = [0; 12];
        short.copy_from_slice(&nonce[..12]);
        URL_SAFE_NO_PAD.encode(self.seal.seal(short, &context, position))
    }

    /// The position of a token; `None` for the empty token, which is the first page.
    ///
    /// # Errors
    /// [`InvalidPageToken`] for anything that [`Sealer::seal`] did not make for these very arguments.
    pub fn open(
        &self,
        principal: Uuid,
        arguments: &[u8; 32],
        token: &str,
    ) -> Result<Option<Vec<u8>>, InvalidPageToken> {
        if token.is_empty() {
            return Ok(None);
        }
        if token.len() > MAX_TOKEN_LENGTH {
            return Err(InvalidPageToken);
        }
        let sealed = URL_SAFE_NO_PAD.decode(token).map_err(|_| InvalidPageToken)?;
        let position =
            self.seal.open(&context(principal, arguments), &sealed).map_err(|_| InvalidPageToken)?;
        Ok(Some(position))
    }
}

fn context(principal: Uuid, arguments: &[u8; 32]) -> Vec<u8> {
    [principal.as_bytes().as_slice(), arguments].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: Uuid = Uuid::from_u128(1);
    const BOB: Uuid = Uuid::from_u128(2);
    const TASKS: [u8; 32] = [1; 32];
    const AGENTS: [u8; 32] = [2; 32];

    #[test]
    fn a_token_opens_for_its_principal_and_arguments_alone() {
        let sealer = Sealer::new(&[7; 32]);
        let token = sealer.seal(ALICE, &TASKS, b"position");
        assert_eq!(sealer.open(ALICE, &TASKS, &token), Ok(Some(b"position".to_vec())));
        assert_eq!(sealer.open(BOB, &TASKS, &token), Err(InvalidPageToken));
        assert_eq!(sealer.open(ALICE, &AGENTS, &token), Err(InvalidPageToken));
        assert_eq!(Sealer::new(&[8; 32]).open(ALICE, &TASKS, &token), Err(InvalidPageToken));
        assert!(!token.contains("position"));
    }

    #[test]
    fn a_token_altered_in_any_place_is_refused() {
        let sealer = Sealer::new(&[7; 32]);
        let token = sealer.seal(ALICE, &TASKS, b"position");
        let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
        for place in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[place] ^= 1;
            let altered = URL_SAFE_NO_PAD.encode(altered);
            assert_eq!(sealer.open(ALICE, &TASKS, &altered), Err(InvalidPageToken), "byte {place}");
        }
        for length in 1..token.len() {
            assert_eq!(sealer.open(ALICE, &TASKS, &token[..length]), Err(InvalidPageToken));
        }
    }

    #[test]
    fn the_empty_token_is_the_first_page() {
        assert_eq!(Sealer::new(&[7; 32]).open(ALICE, &TASKS, ""), Ok(None));
    }

    #[test]
    fn the_longest_position_still_fits_a_token() {
        let sealer = Sealer::new(&[7; 32]);
        let position = [5; MAX_POSITION_BYTES];
        let token = sealer.seal(ALICE, &TASKS, &position);
        assert_eq!(sealer.open(ALICE, &TASKS, &token), Ok(Some(position.to_vec())));
    }
}
