//! Tests of what is published and compared, without a server.

use std::fs;

use poa_sdk::KeyEnd;
use poa_sdk::receipts::archive::{Entry, EntryPath};

use super::*;

fn version() -> AgentVersion {
    AgentVersion {
        agent: system_env().new_id(),
        version: "1.0.0".to_owned(),
        build_digest: Digest::of(b"archive"),
        build_size: 7,
        source_ref: Some("git+https://example.org/a@1".to_owned()),
        measurements: Vec::new(),
        published_time: system_env().now(),
    }
}

#[test]
fn a_version_is_named_after_its_agent_or_is_the_newest() {
    let agent: AgentId = system_env().new_id();
    let newest: Target = agent.to_string().parse().unwrap();
    assert_eq!(newest, Target { agent, version: None });
    let named: Target = format!("{agent}@1.0@rc").parse().unwrap();
    assert_eq!(named.version.as_deref(), Some("1.0@rc"));
    for wrong in ["", "@1", "agent_1", &format!("{agent}@")] {
        assert!(wrong.parse::<Target>().is_err(), "{wrong}");
    }
}

#[test]
fn a_measurement_has_a_vendor_and_a_value() {
    let measured: Measurement = "awsNitro=00FF".parse().unwrap();
    assert_eq!((measured.0.vendor.as_str(), measured.0.value.as_str()), ("awsNitro", "00ff"));
    for wrong in ["", "awsNitro", "=00", "awsNitro="] {
        assert!(wrong.parse::<Measurement>().is_err(), "{wrong}");
    }
}

#[test]
fn a_name_that_is_taken_by_another_build_or_source_is_refused() {
    let published = version();
    assert!(same_build(&published, &published).is_ok());
    for other in [
        AgentVersion { build_digest: Digest::of(b"other"), ..published.clone() },
        AgentVersion { source_ref: None, ..published.clone() },
    ] {
        assert_eq!(same_build(&published, &other).unwrap_err().exit(), Exit::Refused);
    }
}

#[test]
fn who_publishes_is_told_how_others_reproduce_it() {
    let text = how(&version());
    assert!(text.contains("poa agent reproduce") && text.contains("@1.0.0"), "{text}");
    assert!(how(&AgentVersion { source_ref: None, ..version() }).contains("--source"));
}

#[test]
fn a_signers_end_is_told_and_a_compromised_one_loudly() {
    let ended = |reason, compromised_since| KeyLife {
        from: 1,
        ended: Some(KeyEnd { sequence: 2, reason, compromised_since }),
    };
    assert!(life_text(&KeyLife { from: 1, ended: None }).contains("signs"));
    assert!(life_text(&ended(KeyReason::Superseded, None)).contains("superseded by event 2"));
    let since = Some(system_env().now());
    assert!(life_text(&ended(KeyReason::Compromised, since)).contains("COMPROMISED since"));
}

#[test]
fn the_published_archive_is_known_by_its_digest_and_differences_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("agent");
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("main.sh"), "echo 1\n").unwrap();
    fs::write(directory.join("notes"), "x").unwrap();
    let (made, summary) = agent_archive::in_memory(&directory).unwrap();
    assert_eq!(Digest::of(&made), summary.digest);
    let path = EntryPath::new("main.sh").unwrap();
    let other = archive::write(&[Entry::file(path, false, b"echo 2\n".as_slice()).unwrap()]).unwrap();
    let path = folder.path().join("published.tar");
    fs::write(&path, &other).unwrap();
    assert_eq!(published(&path, Digest::of(&other)).unwrap(), other);
    let refused = published(&path, summary.digest).unwrap_err();
    assert_eq!(refused.exit(), Exit::Unverified);
    let found = differences(&other, &made).unwrap();
    let paths: Vec<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["main.sh", "notes"]);
    assert!(differences(&made, &made).unwrap().is_empty());
}
