//! The vectors in tests/vectors/archive: whoever makes or reads archives in any language reads the same files.
//!
//! They are what the code here makes; `POA_WRITE_VECTORS=1` writes them anew. GNU tar makes the same bytes of the same files:
//! the tests of the command `poa agent archive` see to that.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proof_of_agent::archive::{Entry, EntryPath, Node, PathProblem, read, write};
use proof_of_agent::{ArchiveError, Digest};
use serde_json::{Value, json};

use crate::archive::{executable, file, link};
use crate::archive_hostile::{
    CHECKSUM, END, KIND, MAGIC, MODE, MTIME, PREFIX, SIZE, TARGET, body, forged, one,
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/archive")
}

/// The class of a refusal, as docs/protocol/agent-archive.md names it.
fn class(error: &ArchiveError) -> &'static str {
    match error {
        ArchiveError::Path { problem, .. } | ArchiveError::Target { problem, .. } => match problem {
            PathProblem::Empty => "empty",
            PathProblem::Absolute => "absolute",
            PathProblem::EmptySegment => "emptySegment",
            PathProblem::DotSegment => "dotSegment",
            PathProblem::Backslash => "backslash",
            PathProblem::Colon => "colon",
            PathProblem::Control => "control",
            PathProblem::NotComposed => "notComposed",
            PathProblem::Git => "git",
            PathProblem::TooLong => "tooLong",
            PathProblem::Outside => "outside",
        },
        ArchiveError::FileTooLarge { .. } => "fileTooLarge",
        ArchiveError::ArchiveTooLarge => "archiveTooLarge",
        ArchiveError::TooManyEntries => "tooManyEntries",
        ArchiveError::Empty => "nothing",
        ArchiveError::Duplicate { .. } => "duplicate",
        ArchiveError::Unsorted { .. } => "unsorted",
        ArchiveError::CaseCollision { .. } => "caseCollision",
        ArchiveError::FileAndDirectory { .. } => "fileAndDirectory",
        ArchiveError::Sink { .. } => "sink",
        ArchiveError::Truncated { .. } => "truncated",
        ArchiveError::Checksum { .. } => "checksum",
        ArchiveError::NotUstar { .. } => "notUstar",
        ArchiveError::Kind { .. } => "kind",
        ArchiveError::NotUtf8 { .. } => "notUtf8",
        ArchiveError::Size { .. } => "size",
        ArchiveError::NotCanonical { .. } => "notCanonical",
        ArchiveError::Padding { .. } => "padding",
        ArchiveError::End { .. } => "end",
        ArchiveError::TrailingBytes { .. } => "trailingBytes",
    }
}

/// A small directory that has one of everything: sizes around a block, long paths, letters beyond ASCII, links.
fn directory() -> Vec<Entry<'static>> {
    let deep = format!("{}/{}", "d".repeat(60), "e".repeat(60));
    vec![
        file(".gitignore", "/target\n"),
        file("README.md", "# Counter\n\nCounts words.\n"),
        executable("bin/count", "#!/bin/sh\nexec wc -w\n"),
        link("bin/count-words", "count"),
        link("bin/docs", "../docs"),
        file("docs/\u{6f22}\u{5b57}.txt", "\u{8a9e}\n"),
        file("docs/caf\u{e9}.txt", "caf\u{e9}\n"),
        file(&format!("{deep}/{}", "n".repeat(60)), "deep\n"),
        file(&"n".repeat(100), "a name of 100 bytes\n"),
        file("size/0", ""),
        file("size/1", "x"),
        Entry::file(EntryPath::new("size/511").unwrap(), false, vec![b'x'; 511]).unwrap(),
        Entry::file(EntryPath::new("size/512").unwrap(), false, vec![b'x'; 512]).unwrap(),
        Entry::file(EntryPath::new("size/513").unwrap(), false, vec![b'x'; 513]).unwrap(),
        Entry::file(EntryPath::new("size/binary").unwrap(), false, (0..=255).collect::<Vec<u8>>()).unwrap(),
        file("size-of-things.txt", "stands before size/0, as - is before /\n"),
    ]
}

fn json_of(entry: &Entry<'_>) -> Value {
    match entry.node() {
        Node::File { executable, content } => json!({
            "path": entry.path().as_str(), "kind": "file", "executable": executable,
            "contentBase64": STANDARD.encode(content),
        }),
        Node::Link { target } => json!({ "path": entry.path().as_str(), "kind": "link", "target": target }),
    }
}

fn entry_of(json: &Value) -> Result<Entry<'static>, ArchiveError> {
    let path = EntryPath::new(json["path"].as_str().unwrap())?;
    match json["kind"].as_str().unwrap() {
        "link" => Entry::link(path, json["target"].as_str().unwrap()),
        _ => {
            let content = STANDARD.decode(json["contentBase64"].as_str().unwrap()).unwrap();
            Entry::file(path, json["executable"].as_bool().unwrap(), content)
        }
    }
}

/// Entries that no archive has, each list for one reason.
fn refused_entries() -> Vec<Value> {
    let plain =
        |path: &str| json!({ "path": path, "kind": "file", "executable": false, "contentBase64": "" });
    let link = |path: &str, target: &str| json!({ "path": path, "kind": "link", "target": target });
    let long = format!("{}/{}", "d".repeat(150), "n".repeat(101));
    let lists = vec![
        vec![],
        vec![plain("")],
        vec![plain("/a")],
        vec![plain("a//b")],
        vec![plain("a/./b")],
        vec![plain("../a")],
        vec![plain("a\\b")],
        vec![plain("C:/a")],
        vec![plain("a\nb")],
        vec![plain("a\u{85}b")],
        vec![plain("cafe\u{301}")],
        vec![plain("a/.Git/config")],
        vec![plain(&long)],
        vec![plain("a"), plain("a")],
        vec![plain("a"), plain("a/b")],
        vec![plain("A"), plain("a")],
        vec![plain("A/b"), plain("a/c")],
        vec![plain("stra\u{df}e"), plain("STRASSE")],
        vec![link("a", "")],
        vec![link("a", "/b")],
        vec![link("a", "../b")],
        vec![link("a/b", "../../c")],
        vec![link("a", "b/../c")],
        vec![link("a", &"t".repeat(101))],
    ];
    let judged = lists.into_iter().map(|entries| {
        let parsed: Result<Vec<Entry<'_>>, ArchiveError> = entries.iter().map(entry_of).collect();
        let error = parsed.and_then(|entries| write(&entries)).unwrap_err();
        json!({ "entries": entries, "error": class(&error) })
    });
    judged.collect()
}

/// Bytes that are no archive, each for one reason.
fn refused_archives() -> Vec<Value> {
    let joined = |parts: &[&[u8]]| parts.concat();
    let (a, b, upper) = (body(&[file("a", "")]), body(&[file("b", "")]), body(&[file("A", "")]));
    let mut padded = one();
    padded[513] = 1;
    let mut summed = one();
    summed[CHECKSUM] ^= 1;
    let archives = [
        ("no bytes", vec![]),
        ("no entries", END.to_vec()),
        ("without the end", a.clone()),
        ("one block of zeros", joined(&[&a, &END[..512]])),
        ("one block of zeros, then an entry", joined(&[&a, &END[..512], &b, &END])),
        ("bytes after the end", joined(&[&one(), &END])),
        ("unsorted", joined(&[&b, &a, &END])),
        ("twice", joined(&[&a, &a, &END])),
        ("one but for case", joined(&[&upper, &a, &END])),
        ("a checksum that is wrong", summed),
        ("another format", forged(one(), MAGIC, b"ustar  \0")),
        ("a directory", forged(one(), KIND, b"5")),
        ("a hard link", forged(one(), KIND, b"1")),
        ("a pax record", forged(one(), KIND, b"x")),
        ("a path that leads up", forged(one(), 0, b"../a")),
        ("a path that leads up, in two fields", forged(one(), PREFIX, b"..")),
        ("a path parted where it need not be", forged(one(), PREFIX, b"b")),
        ("a path that is not UTF-8", forged(one(), 0, b"\xff")),
        ("a link that leads up", forged(write(&[link("a", "b")]).unwrap(), TARGET, b"../b")),
        ("a size with spaces", forged(one(), SIZE, b"          1 ")),
        ("a size in base 256", forged(one(), SIZE, b"\x80\0\0\0\0\0\0\0\0\0\0\x01")),
        ("a size of 8 GiB", forged(one(), SIZE, b"77777777777\0")),
        ("more bytes than there are", forged(one(), SIZE, b"00000010000\0")),
        ("another mode", forged(one(), MODE, b"0000600\0")),
        ("another time", forged(one(), MTIME, b"14712345670\0")),
        ("bytes that fill a block and are not zero", padded),
    ];
    let judged = archives.into_iter().map(|(name, bytes)| {
        let error = class(&read(&bytes).unwrap_err());
        json!({ "name": name, "archiveBase64": STANDARD.encode(bytes), "error": error })
    });
    judged.collect()
}

fn files() -> [(PathBuf, Value); 3] {
    let archive = write(&directory()).unwrap();
    let entries: Vec<Value> = directory().iter().map(json_of).collect();
    let small = json!({
        "entries": entries,
        "archiveBase64": STANDARD.encode(&archive),
        "sha256": Digest::of(&archive),
    });
    [
        (folder().join("small-directory.json"), small),
        (folder().join("refused-entries.json"), json!({ "vectors": refused_entries() })),
        (folder().join("refused-archives.json"), json!({ "vectors": refused_archives() })),
    ]
}

fn vector(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(folder().join(name)).unwrap()).unwrap()
}

#[test]
fn the_archive_vectors_are_what_the_code_makes() {
    for (path, expected) in files() {
        if std::env::var_os("POA_WRITE_VECTORS").is_some() {
            std::fs::create_dir_all(folder()).unwrap();
            let mut text = serde_json::to_vec_pretty(&expected).unwrap();
            text.push(b'\n');
            std::fs::write(&path, text).unwrap();
        }
        let written: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert!(written == expected, "{}", path.display());
    }
}

#[test]
fn the_small_directory_has_the_bytes_and_the_digest_that_are_written_down() {
    let vector = vector("small-directory.json");
    let entries: Vec<Entry<'_>> =
        vector["entries"].as_array().unwrap().iter().map(|entry| entry_of(entry).unwrap()).collect();
    let archive = STANDARD.decode(vector["archiveBase64"].as_str().unwrap()).unwrap();
    assert!(write(&entries).unwrap() == archive);
    assert_eq!(vector["sha256"], Digest::of(&archive).to_string());
    assert_eq!(
        vector["sha256"], "8f88a0b530566724153d8947a17f5571bf7fea7ab70ad6b3df39d2cc592b544a",
        "the format is for ever: another digest of the same files breaks every version that was published"
    );
    let mut sorted = entries;
    sorted.sort_by(|one, other| one.path().cmp(other.path()));
    assert!(read(&archive).unwrap() == sorted);
}

#[test]
fn every_refused_vector_is_refused_for_its_reason() {
    for vector in vector("refused-archives.json")["vectors"].as_array().unwrap() {
        let bytes = STANDARD.decode(vector["archiveBase64"].as_str().unwrap()).unwrap();
        assert_eq!(vector["error"], class(&read(&bytes).unwrap_err()), "{}", vector["name"]);
    }
    for vector in vector("refused-entries.json")["vectors"].as_array().unwrap() {
        let entries: Result<Vec<Entry<'_>>, ArchiveError> =
            vector["entries"].as_array().unwrap().iter().map(entry_of).collect();
        let error = entries.and_then(|entries| write(&entries)).unwrap_err();
        assert_eq!(vector["error"], class(&error), "{}", vector["entries"]);
    }
}
