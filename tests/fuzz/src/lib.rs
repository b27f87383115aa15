#![doc = include_str!("../README.md")]
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a target says by a panic that an invariant does not hold"
)]

mod seeds;
mod targets;
mod world;

pub use seeds::seeds;
use targets::{criteria, files, log, messages, names, tokens};

/// A target: its name, which is that of its corpus, and what it does with any bytes.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub static TARGETS: [Target; 20] = [
    ("envelope", files::envelope),
    ("statement", files::statement),
    ("chain", files::chain),
    ("bundle", files::bundle),
    ("verify", files::verify),
    ("balance", files::balance),
    ("trust_root", files::trust_root),
    ("config", files::config),
    ("checkpoint", log::checkpoint),
    ("inclusion", log::inclusion),
    ("consistency", log::consistency),
    ("log_entry", log::log_entry),
    ("did", names::did),
    ("names", names::names),
    ("bolt11", names::bolt11),
    ("lnurl", names::lnurl),
    ("messages", messages::messages),
    ("page_token", tokens::page_token),
    ("jwt", tokens::jwt),
    ("criteria", criteria::criteria),
];

/// Runs one target.
///
/// # Panics
/// Where there is no such target, or one of its invariants does not hold.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    target.unwrap_or_else(|| panic!("there is no target {name}")).1(data);
}
