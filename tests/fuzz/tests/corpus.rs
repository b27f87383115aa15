//! Every target over its committed seeds and over mutations of them: a thousand a target, the same in every run.
//! `POA_FUZZ_MUTATIONS` asks for more.
#![expect(clippy::expect_used, clippy::panic, reason = "what cannot go on ends the test")]

use std::path::PathBuf;

use poa_fuzz::{TARGETS, run, seeds};

/// Mutations of one target where nobody asks for more.
const MUTATIONS: u64 = 1_000;
/// The longest input that is mutated: what is longer costs time and reaches no further.
const MAX_BYTES: usize = 64 * 1_024;
/// What readers of text stumble over.
const TOKENS: [&[u8]; 14] = [
    b"\"",
    b"\\u0000",
    b"{}",
    b"[[[[",
    b"null",
    b"-1",
    b"1e400",
    b"18446744073709551616",
    b"\n",
    b"=",
    b"\xff",
    b"\0",
    b"\\ud800",
    b"9007199254740993",
];

fn corpus(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

fn committed(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = corpus(target);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a file").path())
        .collect();
    files.sort();
    files.iter().map(|path| (path.display().to_string(), std::fs::read(path).expect("a seed"))).collect()
}

/// SplitMix64: <https://prng.di.unimi.it/splitmix64.c>.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound.max(1)).expect("a number");
        usize::try_from(self.next() % bound).expect("below the bound")
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}

/// One to eight changes of a seed: bits, bytes, tokens, parts moved, doubled, cut off, or taken from another seed.
fn mutated(dice: &mut Dice, seeds: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = seeds[dice.below(seeds.len())].1.clone();
    for _ in 0..=dice.below(8) {
        let place = dice.below(bytes.len() + 1);
        match dice.below(7) {
            0 if place < bytes.len() => bytes[place] ^= 1 << dice.below(8),
            1 if place < bytes.len() => bytes[place] = dice.byte(),
            2 => bytes.insert(place, dice.byte()),
            3 => drop(bytes.splice(place..place, TOKENS[dice.below(TOKENS.len())].iter().copied())),
            4 => bytes.truncate(place),
            5 => {
                let end = (place + dice.below(32)).min(bytes.len());
                let part = bytes[place..end].to_vec();
                drop(bytes.splice(place..place, part));
            }
            6 => {
                let other = &seeds[dice.below(seeds.len())].1;
                bytes.truncate(place);
                bytes.extend_from_slice(&other[dice.below(other.len() + 1)..]);
            }
            _nothing_there => {}
        }
    }
    bytes.truncate(MAX_BYTES);
    bytes
}

#[test]
fn every_target_holds_on_its_corpus_and_on_mutations_of_it() {
    let mutations = asked_for().unwrap_or(MUTATIONS);
    let mut failures = Vec::new();
    for (place, (target, _)) in (1..).zip(TARGETS) {
        let seeds = committed(target);
        assert!(!seeds.is_empty(), "{target} has no seeds");
        for (path, seed) in &seeds {
            println!("{path}");
            run(target, seed);
        }
        let mut dice = Dice(place);
        let broken = (0..mutations).find_map(|number| {
            let input = mutated(&mut dice, &seeds);
            let holds = std::panic::catch_unwind(|| run(target, &input)).is_ok();
            (!holds).then(|| format!("{target}, mutation {number} of dice {place}: {}", input.escape_ascii()))
        });
        failures.extend(broken);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[expect(clippy::disallowed_methods, reason = "how long a test runs is asked for in the environment")]
fn asked_for() -> Option<u64> {
    std::env::var("POA_FUZZ_MUTATIONS").ok()?.parse().ok()
}

#[test]
fn every_message_with_checks_is_a_target() {
    let generated = include_str!("../../../crates/proto/src/gen/checks.rs");
    let listed = include_str!("../src/targets/messages.rs");
    for line in generated.lines().filter_map(|line| line.strip_prefix("impl Check for crate::")) {
        let message = line.trim_end_matches(" {");
        assert!(listed.contains(&format!("read::<poa_proto::{message}>")), "{message} is no target");
    }
}

#[test]
fn every_target_has_its_folder_and_every_folder_its_target() {
    let folders = std::fs::read_dir(corpus("")).expect("the corpus");
    for folder in folders {
        let name = folder.expect("a folder").file_name();
        assert!(TARGETS.iter().any(|(target, _)| name == *target), "{name:?} is the corpus of no target");
    }
    for (target, _) in TARGETS {
        assert!(!seeds(target).is_empty(), "{target} has no seeds");
    }
}

#[test]
#[ignore = "writes the seeds into the corpus"]
fn the_seeds_are_written() {
    for (target, _) in TARGETS {
        let folder = corpus(target);
        std::fs::create_dir_all(&folder).expect("a folder");
        for (number, seed) in seeds(target).into_iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number:02}")), seed).expect("a seed");
        }
    }
}
