//! What an archive holds.

use std::borrow::Cow;

use super::MAX_FILE_BYTES;
use super::error::ArchiveError;
use super::path::{EntryPath, check_target};

/// A file or a symbolic link. Directories are no entries: they are there where something is in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    path: EntryPath,
    node: Node<'a>,
}

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node<'a> {
    /// A regular file.
    File {
        /// Whether it may be run: all that is kept of its mode.
        executable: bool,
        /// Its bytes.
        content: Cow<'a, [u8]>,
    },
    /// A symbolic link.
    Link {
        /// Where it points, from the directory that it is in.
        target: String,
    },
}

// === impl Entry ===

impl<'a> Entry<'a> {
    /// A file.
    ///
    /// # Errors
    /// `FileTooLarge`.
    pub fn file(
        path: EntryPath,
        executable: bool,
        content: impl Into<Cow<'a, [u8]>>,
    ) -> Result<Self, ArchiveError> {
        let content = content.into();
        if content.len() > MAX_FILE_BYTES {
            let bytes = u64::try_from(content.len()).unwrap_or(u64::MAX);
            return Err(ArchiveError::FileTooLarge { path: path.to_string(), bytes });
        }
        Ok(Self { path, node: Node::File { executable, content } })
    }

    /// A symbolic link.
    ///
    /// # Errors
    /// `Target`.
    pub fn link(path: EntryPath, target: impl Into<String>) -> Result<Self, ArchiveError> {
        let target = target.into();
        match check_target(&path, &target) {
            Ok(()) => Ok(Self { path, node: Node::Link { target } }),
            Err(problem) => Err(ArchiveError::Target { path: path.to_string(), target, problem }),
        }
    }

    /// Where it stands.
    pub fn path(&self) -> &EntryPath {
        &self.path
    }

    /// What stands there.
    pub fn node(&self) -> &Node<'a> {
        &self.node
    }

    /// The bytes of a file; none of a link.
    pub fn content(&self) -> &[u8] {
        match &self.node {
            Node::File { content, .. } => content,
            Node::Link { .. } => &[],
        }
    }
}
