//! The text of a refresh token: which session, which generation, and 32 secret bytes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use poa_common::{SessionId, TypedId as _};
use uuid::Uuid;

/// What every refresh token begins with: scanners find one that leaked.
const PREFIX: &str = "poar_";
/// Bytes behind the prefix: session, generation, secret.
const BYTES: usize = 16 + 4 + 32;

/// A refresh token. It names its session openly, so that one row decides; the secret is what counts.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct RefreshToken {
    pub(crate) session_id: SessionId,
    /// How many refreshes came before, from 0.
    pub(crate) generation: i32,
    pub(crate) secret: [u8; 32],
}

// === impl RefreshToken ===

impl RefreshToken {
    /// The token as the client holds it.
    pub(crate) fn text(&self) -> String {
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.extend_from_slice(self.session_id.uuid().as_bytes());
        bytes.extend_from_slice(&self.generation.to_be_bytes());
        bytes.extend_from_slice(&self.secret);
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Reads a token; `None` for anything that [`RefreshToken::text`] did not write.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?;
        let bytes: [u8; BYTES] = bytes.try_into().ok()?;
        let (session, rest) = bytes.split_first_chunk::<16>()?;
        let (generation, secret) = rest.split_first_chunk::<4>()?;
        let generation = i32::from_be_bytes(*generation);
        (generation >= 0).then_some(Self {
            session_id: SessionId::from_uuid(Uuid::from_bytes(*session)),
            generation,
            secret: secret.try_into().ok()?,
        })
    }

    /// SHA-256 of the text: what is stored.
    pub(crate) fn hash(&self) -> [u8; 32] {
        poa_storage::secret::hash(self.text().as_bytes())
    }
}

impl std::fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RefreshToken")
            .field("session_id", &self.session_id)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> RefreshToken {
        RefreshToken { session_id: SessionId::from_uuid(Uuid::from_u128(7)), generation: 3, secret: [9; 32] }
    }

    #[test]
    fn a_token_is_read_as_it_was_written() {
        assert_eq!(RefreshToken::parse(&token().text()), Some(token()));
    }

    #[test]
    fn anything_else_is_no_token() {
        let text = token().text();
        let negative = RefreshToken { generation: -1, ..token() }.text();
        for other in [
            String::new(),
            PREFIX.to_owned(),
            text.replace("poar_", "poak_"),
            format!("{text}A"),
            text[..text.len() - 1].to_owned(),
            format!("{text}="),
            negative,
        ] {
            assert_eq!(RefreshToken::parse(&other), None, "{other}");
        }
    }

    #[test]
    fn the_secret_stays_out_of_debug_output() {
        assert!(!format!("{:?}", token()).contains("9, 9"));
    }
}
