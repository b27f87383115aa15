//! Reads the fixed layouts of quotes and reports, little-endian throughout.

use super::TeeError;

/// The rest of a document.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    part: &'static str,
    rest: &'a [u8],
}

// === impl Reader ===

impl<'a> Reader<'a> {
    pub(super) const fn new(part: &'static str, bytes: &'a [u8]) -> Self {
        Self { part, rest: bytes }
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], TeeError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or_else(|| TeeError::malformed(self.part, "it ends early"))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], TeeError> {
        let part = self.part;
        self.take(N)?.try_into().map_err(|_| TeeError::malformed(part, "it ends early"))
    }

    pub(super) fn skip(&mut self, count: usize) -> Result<(), TeeError> {
        self.take(count).map(|_| ())
    }

    pub(super) fn u16(&mut self) -> Result<u16, TeeError> {
        self.array().map(|bytes| u16::from_le_bytes(*bytes))
    }

    pub(super) fn u32(&mut self) -> Result<u32, TeeError> {
        self.array().map(|bytes| u32::from_le_bytes(*bytes))
    }

    pub(super) fn u64(&mut self) -> Result<u64, TeeError> {
        self.array().map(|bytes| u64::from_le_bytes(*bytes))
    }

    /// As many bytes as a length of 16 bits before them says.
    pub(super) fn prefixed_u16(&mut self) -> Result<&'a [u8], TeeError> {
        let count = self.u16()?;
        self.take(usize::from(count))
    }

    /// As many bytes as a length of 32 bits before them says.
    pub(super) fn prefixed_u32(&mut self) -> Result<&'a [u8], TeeError> {
        let count = self.u32()?;
        let count = usize::try_from(count).map_err(|_| TeeError::malformed(self.part, "it ends early"))?;
        self.take(count)
    }

    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}
