//! Versions of agents that are signed and logged, and break a rule of their own; and those at every bound.

use proof_of_agent::notice::{KeyReason, MAX_MEASUREMENTS, MAX_VERSION_BYTES, TeeMeasurement};
use proof_of_agent::{AgentVersion, KeyEvent};
use serde_json::{Value, json};

use super::Vector;
use super::noticed::{Raw, bundle, of_version};
use crate::fixture::{World, id};
use crate::plan::{revocation, rotation, version};

pub(super) fn vectors() -> Vec<Vector> {
    let mut vectors = rules();
    vectors.extend(frames());
    vectors.extend(signers());
    vectors.extend(bounds());
    vectors
}

fn measured(vendor: &str, value: String) -> TeeMeasurement {
    TeeMeasurement { vendor: vendor.to_owned(), value }
}

fn of(name: &'static str, version: &AgentVersion) -> Vector {
    of_version(name, &Raw::version(version, 2))
}

fn rules() -> Vec<Vector> {
    let refused = |name, version: &AgentVersion| of(name, version).refused("notice");
    let named = |name, text: &str| refused(name, &AgentVersion { version: text.to_owned(), ..version() });
    let source = |name, text: String| refused(name, &AgentVersion { source_ref: Some(text), ..version() });
    let measurement = |name, vendor: &str, value: String| {
        refused(name, &AgentVersion { measurements: vec![measured(vendor, value)], ..version() })
    };
    vec![
        named("version-without-a-name", ""),
        named("version-with-a-space", "1 4"),
        named("version-with-a-line-break", "1.4\n"),
        named("version-beyond-ascii", "\u{e4}"),
        named("version-with-a-long-name", &"x".repeat(MAX_VERSION_BYTES + 1)),
        refused("build-size-above-what-readers-keep", &AgentVersion { build_size: 1 << 53, ..version() }),
        source("version-source-that-is-empty", String::new()),
        source("version-source-too-long", "x".repeat(4097)),
        refused(
            "too-many-measurements",
            &AgentVersion {
                measurements: vec![measured("intelTdx", "00".repeat(32)); MAX_MEASUREMENTS + 1],
                ..version()
            },
        ),
        measurement("measurement-too-short", "intelTdx", "00".repeat(31)),
        measurement("measurement-too-long", "intelTdx", "00".repeat(241)),
        measurement("measurement-of-half-a-byte", "intelTdx", "0".repeat(65)),
        measurement("measurement-in-upper-case", "intelTdx", "AB".repeat(32)),
        measurement("measurement-of-no-vendor", "", "00".repeat(32)),
        measurement("measurement-of-a-vendor-with-a-space", "intel tdx", "00".repeat(32)),
        measurement("measurement-of-a-vendor-with-a-long-name", &"x".repeat(33), "00".repeat(32)),
    ]
}

fn frames() -> Vec<Vector> {
    let frame = |name, pointer: &str, to: Value| {
        of_version(name, &Raw::version(&version(), 2).with(pointer, to)).refused("notice")
    };
    let null = |name, field: &str| {
        let edited = Raw::version(&version(), 2).edited(|it| it["predicate"]["body"][field] = Value::Null);
        of_version(name, &edited)
    };
    let value = "00".repeat(32);
    vec![
        frame("version-about-a-key", "/subject/0/name", json!("key")),
        frame("version-of-another-network", "/predicate/network", json!("mainnet")),
        frame("version-of-another-log", "/predicate/logOrigin", json!("other.poa/1")),
        frame("version-in-the-role-of-the-platform", "/predicate/signerRole", json!("platform")),
        frame("version-of-a-later-format", "/predicateType", {
            json!(format!("{}AgentVersion/v2", proof_of_agent::statement::TYPE_NAMESPACE))
        }),
        frame("measurement-as-an-array", "/predicate/body/measurements", json!([["intelTdx", value]])),
        frame("version-without-a-size", "/predicate/body/buildSize", Value::Null),
        null("measurements-as-null", "measurements").refused("notice"),
        null("version-source-as-null", "sourceRef"),
    ]
}

/// By a key that is or was the agent's.
fn signers() -> Vec<Vector> {
    let world = World::new();
    let rotated = || Raw::event(&rotation(&world, KeyReason::Superseded, None));
    let with = |name, event: Raw, version: &Raw| Vector::of(name, bundle(&[event], Some(version)));
    let by = |seed| Raw::version(&version(), seed);
    let of_another = Raw::version(&AgentVersion { agent: id(6), ..version() }, 2);
    vec![
        with("version-signed-with-the-new-key", rotated(), &by(8)),
        with("version-signed-with-the-previous-key", rotated(), &by(2)),
        with(
            "version-signed-with-a-revoked-key",
            Raw::event(&revocation(&world, KeyReason::Superseded, None)),
            &by(2),
        ),
        of_version("version-signed-by-the-platform", &by(1)).refused("notice"),
        of_version("version-signed-with-a-key-that-is-not-the-agents-yet", &by(8)).refused("notice"),
        of_version("version-of-another-agent", &of_another).refused("notice"),
        Vector::of("version-without-a-key-event", bundle(&[], Some(&by(2)))).refused("notice"),
        with(
            "version-signed-with-the-key-of-another-agent",
            Raw::event(&KeyEvent { agent: id(6), ..world.registration() }),
            &by(2),
        )
        .refused("notice"),
    ]
}

fn bounds() -> Vec<Vector> {
    vec![
        of(
            "version-at-every-bound",
            &AgentVersion {
                version: "~".repeat(MAX_VERSION_BYTES),
                build_size: (1 << 53) - 1,
                source_ref: Some("x".repeat(4096)),
                measurements: vec![measured(&"Z9".repeat(16), "0f".repeat(240)); MAX_MEASUREMENTS],
                ..version()
            },
        ),
        of(
            "version-of-nothing",
            &AgentVersion {
                version: "!".to_owned(),
                build_size: 0,
                source_ref: None,
                measurements: vec![measured("a", "0f".repeat(32))],
                ..version()
            },
        ),
    ]
}
