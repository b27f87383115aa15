//! Archives that somebody spoilt or forged: each is refused, for the reason that it is refused for.

use proof_of_agent::archive::{Entry, PathProblem, read, write};
use proof_of_agent::{ArchiveError, Digest};
use proptest::prelude::*;

use crate::archive::{file, link, small};

/// Where fields stand in a header.
pub(crate) const MODE: usize = 100;
const UID: usize = 108;
const GID: usize = 116;
pub(crate) const SIZE: usize = 124;
pub(crate) const MTIME: usize = 136;
pub(crate) const CHECKSUM: usize = 148;
pub(crate) const KIND: usize = 156;
pub(crate) const TARGET: usize = 157;
pub(crate) const MAGIC: usize = 257;
const USER: usize = 265;
const GROUP: usize = 297;
const DEVICE_MAJOR: usize = 329;
const DEVICE_MINOR: usize = 337;
pub(crate) const PREFIX: usize = 345;
const UNUSED: usize = 500;

/// Two blocks of zeros.
pub(crate) const END: [u8; 1024] = [0; 1024];

/// The archive of one file, `a`, with one byte.
pub(crate) fn one() -> Vec<u8> {
    write(&[file("a", "x")]).unwrap()
}

/// The archive without the blocks at its end.
pub(crate) fn body(entries: &[Entry<'_>]) -> Vec<u8> {
    let bytes = write(entries).unwrap();
    bytes[..bytes.len() - END.len()].to_vec()
}

/// Bytes with others in one place, and the checksum of the first header as it must then be.
pub(crate) fn forged(mut bytes: Vec<u8>, offset: usize, value: &[u8]) -> Vec<u8> {
    bytes[offset..offset + value.len()].copy_from_slice(value);
    bytes[CHECKSUM..CHECKSUM + 8].fill(b' ');
    let sum: u32 = bytes[..512].iter().map(|byte| u32::from(*byte)).sum();
    bytes[CHECKSUM..CHECKSUM + 8].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    bytes
}

/// The same for the archive of one file.
fn refused(offset: usize, value: &[u8]) -> ArchiveError {
    read(&forged(one(), offset, value)).unwrap_err()
}

fn not_canonical(field: &'static str) -> ArchiveError {
    ArchiveError::NotCanonical { path: "a".to_owned(), field }
}

#[test]
fn a_path_or_a_target_that_leads_elsewhere_is_refused() {
    for (name, problem) in [
        ("../b", PathProblem::DotSegment),
        ("/b", PathProblem::Absolute),
        ("b/../../c", PathProblem::DotSegment),
        (".git/hooks/post-checkout", PathProblem::Git),
        ("b\\..\\c", PathProblem::Backslash),
    ] {
        assert_eq!(refused(0, name.as_bytes()), ArchiveError::Path { path: name.to_owned(), problem });
    }
    // In two fields, each of which is harmless by itself.
    let path = "../a".to_owned();
    assert_eq!(refused(PREFIX, b".."), ArchiveError::Path { path, problem: PathProblem::DotSegment });
    let archive = write(&[link("a", "b")]).unwrap();
    let error = read(&forged(archive, TARGET, b"../b")).unwrap_err();
    assert!(matches!(error, ArchiveError::Target { problem: PathProblem::Outside, .. }), "{error}");
}

#[test]
fn a_path_that_is_parted_elsewhere_than_the_writer_parts_it_is_refused() {
    assert_eq!(
        read(&forged(one(), PREFIX, b"b")),
        Err(ArchiveError::NotCanonical { path: "b/a".to_owned(), field: "name" })
    );
    let path = format!("{}/{}/n", "d".repeat(74), "e".repeat(75));
    let archive = write(&[file(&path, "")]).unwrap();
    let moved = [b"e".repeat(75), b"/n".to_vec()].concat();
    let archive = forged(archive, 0, &moved);
    let mut prefix = b"d".repeat(74);
    prefix.resize(155, 0);
    let error = read(&forged(archive, PREFIX, &prefix)).unwrap_err();
    assert_eq!(error, ArchiveError::NotCanonical { path, field: "name" });
}

#[test]
fn every_field_has_one_value_and_one_spelling() {
    for (offset, value, field) in [
        (5, &b"b"[..], "name"),
        (MODE, b"0000777\0", "mode"),
        (MODE, b"0000600\0", "mode"),
        (MODE, b"0004755\0", "mode"),
        (MODE, b"   0644\0", "mode"),
        (MODE, b"0000644 ", "mode"),
        (UID, b"0001750\0", "user id"),
        (UID, b"\0\0\0\0\0\0\0\0", "user id"),
        (GID, b"0000001\0", "group id"),
        (MTIME, b"14712345670\0", "modification time"),
        (TARGET, b"b", "link target"),
        (USER, b"root", "user name"),
        (GROUP, b"root", "group name"),
        (DEVICE_MAJOR, b"0000001\0", "major device number"),
        (DEVICE_MINOR, b"\0\0\0\0\0\0\0\0", "minor device number"),
        (PREFIX + 9, b"b", "prefix"),
        (UNUSED, b"tar\0", "unused end"),
        (UNUSED + 11, b"x", "unused end"),
    ] {
        assert_eq!(refused(offset, value), not_canonical(field), "{offset}");
    }
    // A link may be run and has no bytes.
    let archive = write(&[link("a", "b")]).unwrap();
    assert_eq!(read(&forged(archive.clone(), MODE, b"0000644\0")), Err(not_canonical("mode")));
    assert_eq!(read(&forged(archive, SIZE, b"00000000001\0")), Err(not_canonical("size")));
}

#[test]
fn a_checksum_that_is_wrong_or_spelt_otherwise_is_refused() {
    let archive = one();
    let digits = std::str::from_utf8(&archive[CHECKSUM..CHECKSUM + 6]).unwrap().to_owned();
    let sum = u32::from_str_radix(&digits, 8).unwrap();
    for field in [
        format!("{:06o}\0 ", sum + 1),
        format!("{sum:07o}\0"),
        format!("{sum:06o} \0"),
        format!("{sum:6o}\0 ").replacen('0', " ", 1),
        "\0\0\0\0\0\0\0\0".to_owned(),
    ] {
        let mut bytes = archive.clone();
        bytes[CHECKSUM..CHECKSUM + 8].copy_from_slice(field.as_bytes());
        if bytes != archive {
            assert_eq!(read(&bytes), Err(ArchiveError::Checksum { offset: 0 }), "{field:?}");
        }
    }
    // Some programs add the bytes up as signed ones.
    let archive = write(&[file("\u{e9}", "")]).unwrap();
    let signed: i32 = archive[..512]
        .iter()
        .enumerate()
        .map(
            |(at, byte)| {
                if (CHECKSUM..CHECKSUM + 8).contains(&at) { 32 } else { i32::from(byte.cast_signed()) }
            },
        )
        .sum();
    let mut bytes = archive;
    bytes[CHECKSUM..CHECKSUM + 8].copy_from_slice(format!("{signed:06o}\0 ").as_bytes());
    assert_eq!(read(&bytes), Err(ArchiveError::Checksum { offset: 0 }));
}

#[test]
fn other_formats_are_refused() {
    assert_eq!(refused(MAGIC, b"ustar  \0"), ArchiveError::NotUstar { offset: 0 });
    assert_eq!(refused(MAGIC, &[0; 8]), ArchiveError::NotUstar { offset: 0 });
    assert_eq!(read(&[0x1f; 2048]), Err(ArchiveError::NotUstar { offset: 0 }));
}

#[test]
fn entries_that_are_neither_files_nor_links_are_refused() {
    for (kind, name) in [
        (b'1', "a hard link"),
        (b'3', "a device"),
        (b'4', "a device"),
        (b'5', "a directory"),
        (b'6', "a named pipe"),
        (b'7', "of an unknown kind"),
        (0, "of an unknown kind"),
        (b'x', "a pax record"),
        (b'g', "a pax record"),
        (b'K', "a long name as GNU tar writes it"),
        (b'L', "a long name as GNU tar writes it"),
        (b'S', "a sparse file"),
        (b'V', "of an unknown kind"),
    ] {
        assert_eq!(refused(KIND, &[kind]), ArchiveError::Kind { offset: 0, kind: name });
    }
}

#[test]
fn a_pax_record_that_renames_a_file_is_refused() {
    let record = write(&[file("a", "18 path=../evil\n")]).unwrap();
    let archive = [forged(record, KIND, b"x")[..1024].to_vec(), one()].concat();
    assert_eq!(read(&archive), Err(ArchiveError::Kind { offset: 0, kind: "a pax record" }));
    // In its other shape, in a file that only looks like one, it is a file.
    assert!(read(&write(&[file("PaxHeaders/a", "18 path=../evil\n")]).unwrap()).is_ok());
}

#[test]
fn text_that_is_not_utf8_is_refused() {
    assert_eq!(refused(0, b"\xff"), ArchiveError::NotUtf8 { offset: 0, field: "name" });
    assert_eq!(refused(PREFIX, b"\xc3"), ArchiveError::NotUtf8 { offset: 0, field: "prefix" });
    let archive = write(&[link("a", "b")]).unwrap();
    let error = ArchiveError::NotUtf8 { offset: 0, field: "link target" };
    assert_eq!(read(&forged(archive, TARGET, b"\x80")), Err(error));
}

#[test]
fn sizes_that_are_huge_or_spelt_otherwise_are_refused() {
    let size = ArchiveError::Size { path: "a".to_owned() };
    for field in [
        &b"0000000001\0\0"[..],
        b"          1\0",
        b"00000000001 ",
        b"000000000018",
        b"-0000000001\0",
        b"+0000000001\0",
        b"\x80\0\0\0\0\0\0\0\0\0\0\x01",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    ] {
        assert_eq!(refused(SIZE, field), size, "{field:?}");
    }
    let large = |bytes| ArchiveError::FileTooLarge { path: "a".to_owned(), bytes };
    assert_eq!(refused(SIZE, b"77777777777\0"), large(8_589_934_591));
    assert_eq!(refused(SIZE, b"01000000001\0"), large(134_217_729));
    // As large as is allowed, and not there.
    assert_eq!(refused(SIZE, b"01000000000\0"), ArchiveError::Truncated { bytes: 2048 });
}

#[test]
fn the_content_ends_where_its_size_says_and_zeros_fill_its_block() {
    assert_eq!(refused(SIZE, b"00000000000\0"), ArchiveError::NotUstar { offset: 512 });
    let padding = ArchiveError::Padding { path: "a".to_owned() };
    for offset in [513, 700, 1023] {
        let mut bytes = one();
        bytes[offset] = 1;
        assert_eq!(read(&bytes), Err(padding.clone()));
    }
}

#[test]
fn entries_that_are_unsorted_or_there_twice_are_refused() {
    let joined = |first: Entry<'_>, second: Entry<'_>| {
        read(&[body(&[first]), body(&[second]), END.to_vec()].concat()).err()
    };
    let (a, previous) = ("a".to_owned(), "b".to_owned());
    let unsorted = ArchiveError::Unsorted { previous, path: a.clone() };
    assert_eq!(joined(file("b", ""), file("a", "")), Some(unsorted));
    assert_eq!(joined(file("a", ""), file("a", "")), Some(ArchiveError::Duplicate { path: a.clone() }));
    assert_eq!(joined(file("a", "1"), link("a", "b")), Some(ArchiveError::Duplicate { path: a.clone() }));
    let case = ArchiveError::CaseCollision { path: a.clone(), other: "A".to_owned() };
    assert_eq!(joined(file("A", ""), file("a", "")), Some(case));
    assert_eq!(joined(link("a", "b"), file("a/b", "")), Some(ArchiveError::FileAndDirectory { path: a }));
    assert_eq!(joined(file("a", ""), file("b", "")), None);
}

#[test]
fn the_end_is_two_blocks_of_zeros_and_nothing_comes_after() {
    let (bytes, content) = (one(), body(&[file("a", "x")]));
    for more in [&[0][..], &[0; 512], &[0; 8192], b"x", &bytes] {
        let longer = [&bytes, more].concat();
        assert_eq!(read(&longer), Err(ArchiveError::TrailingBytes { offset: 2048 }));
    }
    let second = [&content[..], &[0; 512], &content].concat();
    assert_eq!(read(&second), Err(ArchiveError::End { offset: 1536 }));
    assert_eq!(read(&END), Err(ArchiveError::Empty));
    assert_eq!(read(&[]), Err(ArchiveError::Truncated { bytes: 0 }));
}

#[test]
fn an_archive_that_is_cut_off_anywhere_is_refused() {
    let bytes = write(&small()).unwrap();
    for length in 0..bytes.len() {
        assert_eq!(read(&bytes[..length]), Err(ArchiveError::Truncated { bytes: length }));
    }
}

#[test]
fn after_a_flip_of_any_bit_the_archive_is_refused_or_another_one() {
    let bytes = write(&small()).unwrap();
    let (digest, entries) = (Digest::of(&bytes), read(&bytes).unwrap());
    let mut accepted = 0;
    for place in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[place / 8] ^= 1 << (place % 8);
        let Ok(other) = read(&flipped) else { continue };
        accepted += 1;
        assert!(other != entries && write(&other).unwrap() == flipped && Digest::of(&flipped) != digest);
    }
    // Only the bytes of the two files that have any carry no sum of their own.
    assert_eq!(accepted, 8 * ("An agent.\n".len() + "#!/bin/sh\nwc -w\n".len()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn whatever_is_accepted_is_written_again_as_it_was(
        patches in prop::collection::vec((0..4096_usize, any::<u8>()), 0..4),
        header in any::<bool>(),
        cut in prop::option::weighted(0.2, 0..4096_usize),
    ) {
        let mut bytes = write(&small()).unwrap();
        for (place, byte) in patches {
            // Half of them with a checksum that holds, to come past it.
            bytes = if header { forged(bytes, place % 512, &[byte]) } else { bytes };
            bytes[place] = byte;
        }
        bytes.truncate(cut.unwrap_or(usize::MAX));
        if let Ok(entries) = read(&bytes) {
            prop_assert_eq!(write(&entries).unwrap(), bytes);
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..2_048)) {
        prop_assert!(read(&bytes).is_err());
    }
}
