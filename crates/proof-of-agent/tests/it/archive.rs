//! The archive of a directory: one form for the same files, what is refused, and in what two differ.

use std::io;

use proof_of_agent::archive::{
    ArchiveWriter, Change, Difference, Entry, EntryPath, MAX_ENTRIES, MAX_FILE_BYTES, PathProblem, compare,
    digest, read, write, write_to,
};
use proof_of_agent::{ArchiveError, Digest};
use proptest::prelude::*;

/// A file that may not be run.
pub(crate) fn file<'a>(path: &str, content: &'a str) -> Entry<'a> {
    Entry::file(EntryPath::new(path).unwrap(), false, content.as_bytes()).unwrap()
}

pub(crate) fn executable<'a>(path: &str, content: &'a str) -> Entry<'a> {
    Entry::file(EntryPath::new(path).unwrap(), true, content.as_bytes()).unwrap()
}

pub(crate) fn link(path: &str, target: &str) -> Entry<'static> {
    Entry::link(EntryPath::new(path).unwrap(), target).unwrap()
}

/// One of each kind, in the order of an archive.
pub(crate) fn small() -> Vec<Entry<'static>> {
    vec![
        file("README.md", "An agent.\n"),
        executable("bin/run", "#!/bin/sh\nwc -w\n"),
        link("bin/start", "run"),
        file("empty", ""),
    ]
}

/// `path` with a directory of 150 bytes and a name of as many as are asked for.
fn long(name_bytes: usize) -> String {
    format!("{}/{}/{}", "d".repeat(74), "e".repeat(75), "n".repeat(name_bytes))
}

/// Every order of these.
fn orders<T: Clone>(all: &[T]) -> Vec<Vec<T>> {
    let Some((first, rest)) = all.split_first() else { return vec![Vec::new()] };
    let at_every_place = |order: Vec<T>| {
        (0..=order.len())
            .map(move |place| [&order[..place], std::slice::from_ref(first), &order[place..]].concat())
    };
    orders(rest).into_iter().flat_map(at_every_place).collect()
}

#[test]
fn entries_in_any_order_give_the_same_bytes_and_the_same_digest() {
    let bytes = write(&small()).unwrap();
    let orders = orders(&small());
    assert_eq!(orders.len(), 24);
    for order in orders {
        assert_eq!(write(&order).unwrap(), bytes);
        assert_eq!(digest(&order).unwrap(), Digest::of(&bytes));
    }
}

#[test]
fn what_was_written_is_read_and_written_again_as_it_was() {
    let entries = small();
    let bytes = write(&entries).unwrap();
    assert_eq!(read(&bytes).unwrap(), entries);
    assert_eq!(write(&read(&bytes).unwrap()).unwrap(), bytes);
}

#[test]
fn an_archive_has_a_header_for_each_entry_whole_blocks_of_content_and_two_blocks_of_zeros() {
    let bytes = write(&small()).unwrap();
    assert_eq!(bytes.len(), 512 * (4 + 2 + 2));
    assert_eq!(&bytes[..9], b"README.md");
    assert_eq!(&bytes[100..108], b"0000644\0");
    assert_eq!(&bytes[512..522], b"An agent.\n");
    assert!(bytes[522..1024].iter().all(|byte| *byte == 0));
    assert_eq!(&bytes[1124..1132], b"0000755\0");
    assert!(bytes[bytes.len() - 1024..].iter().all(|byte| *byte == 0));
}

#[test]
fn a_writer_says_what_it_wrote() {
    let mut bytes = Vec::new();
    let summary = write_to(&small(), &mut bytes).unwrap();
    assert_eq!(summary.digest, Digest::of(&bytes));
    assert_eq!((summary.bytes, summary.files, summary.links), (bytes.len(), 3, 1));
}

#[test]
fn a_writer_takes_entries_in_order_alone_and_each_path_once() {
    let refused = |first: Entry<'_>, second: Entry<'_>| {
        let writer = ArchiveWriter::new(io::sink()).append(&first).unwrap();
        writer.append(&second).err().unwrap()
    };
    assert_eq!(
        refused(file("b", ""), file("a", "")),
        ArchiveError::Unsorted { previous: "b".to_owned(), path: "a".to_owned() }
    );
    assert_eq!(refused(file("a", ""), file("a", "1")), ArchiveError::Duplicate { path: "a".to_owned() });
    assert_eq!(
        write(&[file("a", ""), link("a", "b")]),
        Err(ArchiveError::Duplicate { path: "a".to_owned() })
    );
}

#[test]
fn the_order_is_that_of_the_bytes_of_the_whole_path() {
    let entries = ["a-b", "a.c", "a/x", "a0", "b", "\u{e9}"].map(|path| file(path, ""));
    let bytes = write(&entries).unwrap();
    let paths: Vec<String> = read(&bytes).unwrap().iter().map(|entry| entry.path().to_string()).collect();
    assert_eq!(paths, ["a-b", "a.c", "a/x", "a0", "b", "\u{e9}"]);
}

#[test]
fn paths_that_another_file_system_would_merge_are_refused() {
    let collision = |path: &str, other: &str| {
        Err(ArchiveError::CaseCollision { path: path.to_owned(), other: other.to_owned() })
    };
    assert_eq!(write(&[file("Makefile", ""), file("makefile", "")]), collision("makefile", "Makefile"));
    // The directories would be one, too, although no file stands in both.
    assert_eq!(write(&[file("Src/a", ""), file("src/b", "")]), collision("src", "Src"));
    assert_eq!(write(&[file("x/Src/a", ""), file("x/src/b", "")]), collision("x/src", "x/Src"));
    assert_eq!(write(&[file("A", ""), file("a/b", "")]), collision("a", "A"));
    for (one, other) in
        [("\u{c9}", "\u{e9}"), ("stra\u{df}e", "STRASSE"), ("\u{3c3}", "\u{3c2}"), ("s", "\u{17f}")]
    {
        let refused = write(&[file(one, ""), file(other, "")]);
        assert!(matches!(refused, Err(ArchiveError::CaseCollision { .. })), "{one} {other}: {refused:?}");
    }
    // The same name in two directories is no collision.
    assert!(write(&[file("a/Makefile", ""), file("b/makefile", ""), file("makefile", "")]).is_ok());
}

#[test]
fn a_path_is_not_both_an_entry_and_a_directory() {
    let refused = Err(ArchiveError::FileAndDirectory { path: "a".to_owned() });
    assert_eq!(write(&[file("a", ""), file("a/b", "")]), refused);
    // Whoever unpacked this would write through the link.
    assert_eq!(write(&[link("a", "b"), file("a-b", ""), file("a/b", "")]), refused);
}

#[test]
fn a_path_that_systems_disagree_about_is_refused() {
    for (path, problem) in [
        ("", PathProblem::Empty),
        ("/etc/passwd", PathProblem::Absolute),
        ("a//b", PathProblem::EmptySegment),
        ("a/", PathProblem::EmptySegment),
        (".", PathProblem::DotSegment),
        ("./a", PathProblem::DotSegment),
        ("../a", PathProblem::DotSegment),
        ("a/../b", PathProblem::DotSegment),
        ("a/..", PathProblem::DotSegment),
        ("a\\b", PathProblem::Backslash),
        ("C:/a", PathProblem::Colon),
        ("a\nb", PathProblem::Control),
        ("a\0b", PathProblem::Control),
        ("a\u{7f}", PathProblem::Control),
        ("a\u{85}", PathProblem::Control),
        ("e\u{301}", PathProblem::NotComposed),
        (".git/config", PathProblem::Git),
        ("a/.GIT", PathProblem::Git),
    ] {
        assert_eq!(EntryPath::new(path), Err(ArchiveError::Path { path: path.to_owned(), problem }));
    }
    for path in [".gitignore", "...", "..a", "a b", "-", "--help", "\u{e9}", "\u{65e5}\u{672c}", "a'b\"c"] {
        assert_eq!(EntryPath::new(path).unwrap().as_str(), path);
    }
}

#[test]
fn a_path_is_as_long_as_the_header_has_room_for() {
    let fits = [
        "n".repeat(100),
        long(100),
        format!("{}/{}", "d".repeat(155), "n".repeat(100)),
        format!("{}/n", "d".repeat(155)),
        // Two bytes a letter: it is bytes that count.
        "\u{e9}".repeat(50),
    ];
    for path in fits {
        let entries = [file(&path, "x")];
        assert_eq!(read(&write(&entries).unwrap()).unwrap(), entries, "{path}");
    }
    for path in [
        "n".repeat(101),
        long(101),
        format!("{}/n", "d".repeat(156)),
        format!("{}/{}", "d".repeat(156), "n".repeat(99)),
        "\u{e9}".repeat(51),
    ] {
        let problem = PathProblem::TooLong;
        assert_eq!(EntryPath::new(path.clone()), Err(ArchiveError::Path { path, problem }));
    }
}

#[test]
fn a_link_stays_inside() {
    let refused = |path: &str, target: &str| match Entry::link(EntryPath::new(path).unwrap(), target) {
        Err(ArchiveError::Target { problem, .. }) => Some(problem),
        Err(error) => panic!("{error}"),
        Ok(_) => None,
    };
    for (path, target) in
        [("l", "a"), ("l", "a/b"), ("a/l", "../b"), ("a/b/l", "../../c"), ("a/b/l", ".."), ("a/l", "..")]
    {
        assert_eq!(refused(path, target), None, "{path} {target}");
    }
    for (path, target, problem) in [
        ("l", "", PathProblem::Empty),
        ("l", "/etc/passwd", PathProblem::Absolute),
        ("l", "..", PathProblem::Outside),
        ("l", "../l", PathProblem::Outside),
        ("a/l", "../../b", PathProblem::Outside),
        // Where `a` is a link, `a/..` is somewhere else than it looks.
        ("l", "a/../b", PathProblem::DotSegment),
        ("a/l", "../b/../../c", PathProblem::DotSegment),
        ("l", ".", PathProblem::DotSegment),
        ("l", "a/", PathProblem::EmptySegment),
        ("a/l", "../", PathProblem::EmptySegment),
        ("a/l", "..//b", PathProblem::EmptySegment),
        ("l", ".git/config", PathProblem::Git),
        ("l", "a\\b", PathProblem::Backslash),
        ("l", "C:a", PathProblem::Colon),
        ("l", "a\nb", PathProblem::Control),
        ("l", "e\u{301}", PathProblem::NotComposed),
    ] {
        assert_eq!(refused(path, target), Some(problem), "{path} {target}");
    }
    assert_eq!(refused("l", &"t".repeat(100)), None);
    assert_eq!(refused("l", &"t".repeat(101)), Some(PathProblem::TooLong));
}

#[test]
fn an_archive_of_nothing_is_refused() {
    assert_eq!(write(&[]), Err(ArchiveError::Empty));
}

#[test]
fn the_number_of_entries_is_bounded() {
    let entries: Vec<Entry<'_>> = (0..=MAX_ENTRIES).map(|number| file(&number.to_string(), "")).collect();
    assert_eq!(digest(&entries), Err(ArchiveError::TooManyEntries));
    assert!(digest(&entries[1..]).is_ok());
}

#[test]
fn the_bytes_of_a_file_and_of_all_are_bounded() {
    let path = |name: &str| EntryPath::new(name).unwrap();
    let most = vec![0; MAX_FILE_BYTES];
    let entries = ["a", "b", "c", "d"].map(|name| Entry::file(path(name), false, &most).unwrap());
    assert!(digest(&entries[..3]).is_ok());
    assert_eq!(digest(&entries), Err(ArchiveError::ArchiveTooLarge));
    let error = Entry::file(path("a"), false, vec![0; MAX_FILE_BYTES + 1]).unwrap_err();
    assert_eq!(error, ArchiveError::FileTooLarge { path: "a".to_owned(), bytes: 134_217_729 });
}

/// Takes so many bytes and no more.
struct Full(usize);

impl io::Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_sink_that_takes_no_more_is_told_from_entries_that_are_wrong() {
    for room in [0, 511, 512, 1024, 4095] {
        let error = write_to(&small(), Full(room)).unwrap_err();
        assert!(matches!(error, ArchiveError::Sink { kind: io::ErrorKind::StorageFull, .. }), "{error}");
    }
    assert!(write_to(&small(), Full(4096)).is_ok());
}

#[test]
fn archives_are_compared_path_by_path() {
    let found = vec![
        executable("README.md", "An agent!\n"),
        file("bin/run", "#!/bin/sh\nwc -w\n"),
        link("bin/start", "runs"),
        link("empty", "README.md"),
        file("notes", ""),
    ];
    let lines = |expected: &[Entry<'_>], found: &[Entry<'_>]| -> Vec<String> {
        compare(expected, found).iter().map(Difference::to_string).collect()
    };
    let (expected, content) = (Digest::of(b"An agent.\n"), Digest::of(b"An agent!\n"));
    assert_eq!(
        lines(&small(), &found),
        [
            &format!("README.md: 10 bytes with SHA-256 {content}, expected 10 bytes with SHA-256 {expected}"),
            "README.md: executable, expected not executable",
            "bin/run: not executable, expected executable",
            "bin/start: points to runs, expected run",
            "empty: a symbolic link, expected a file",
            "notes: not expected",
        ]
    );
    let back = compare(&found, &small());
    assert_eq!(back.last().unwrap().change, Change::Missing);
    assert!(back.iter().any(|it| it.change == Change::FileForLink));
    assert_eq!(compare(&small(), &small()), []);
}

/// Segments of which some collide, some are refused, and most are neither.
fn path() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        6 => "[a-c]{1,2}",
        1 => "[A-C]",
        1 => "[a-z\u{e0}-\u{ff}]{1,60}",
        1 => Just("..".to_owned()),
    ];
    prop::collection::vec(segment, 1..6).prop_map(|segments| segments.join("/"))
}

fn entry() -> impl Strategy<Value = Option<Entry<'static>>> {
    let content = prop::collection::vec(any::<u8>(), 0..1_100);
    (path(), any::<bool>(), prop::option::weighted(0.8, content), path()).prop_map(
        |(path, executable, content, target)| {
            let path = EntryPath::new(path).ok()?;
            match content {
                Some(content) => Entry::file(path, executable, content).ok(),
                None => Entry::link(path, target).ok(),
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn whatever_can_be_written_is_read_as_it_was(entries in prop::collection::vec(entry(), 1..8)) {
        let mut entries: Vec<Entry<'_>> = entries.into_iter().flatten().collect();
        let Ok(bytes) = write(&entries) else { return Ok(()) };
        let again = read(&bytes).unwrap();
        prop_assert_eq!(&write(&again).unwrap(), &bytes);
        entries.sort_by(|one, other| one.path().cmp(other.path()));
        prop_assert_eq!(again, entries);
    }
}
