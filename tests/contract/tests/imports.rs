//! The import table and the call graph of docs/architecture.md, held against what cargo says.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

/// Who may import whom. A crate that is not listed may import anything: binaries that wire, and tests.
const TABLE: [(&str, &[&str]); 16] = [
    ("poa-common", &[]),
    ("proof-of-agent", &["poa-common"]),
    ("poa-proto", &[]),
    ("poa-storage", &["poa-common"]),
    ("poa-payment", &["poa-common"]),
    ("poa-chassis", &["poa-common", "poa-proto"]),
    ("poa-auth", SERVICE),
    ("poa-task", SERVICE),
    ("poa-attestation", SERVICE),
    ("poa-search", SERVICE),
    (
        "poa-escrow",
        &["poa-common", "poa-proto", "poa-chassis", "poa-storage", "proof-of-agent", "poa-payment"],
    ),
    ("poa-gateway", &["poa-common", "poa-proto", "poa-chassis"]),
    ("poa-sdk", &["poa-common", "poa-proto", "proof-of-agent"]),
    ("poa-cli", &["poa-sdk"]),
    ("poa-verify-wasm", &["poa-common", "proof-of-agent"]),
    ("poa-generate", &[]),
];
const SERVICE: &[&str] = &["poa-common", "poa-proto", "poa-chassis", "poa-storage", "proof-of-agent"];
/// Members that may import anything.
const FREE: [&str; 8] = [
    "poa-mesh",
    "poa-testkit",
    "poa-e2e",
    "poa-contract-tests",
    "poa-chaos",
    "poa-bench",
    "poa-fuzz",
    "poa-lightning",
];
/// What must stay out of the crates that verify and count: I/O, async, clocks, randomness of their own.
const IMPURE: [&str; 12] = [
    "tokio",
    "tonic",
    "sqlx",
    "hyper",
    "axum",
    "reqwest",
    "getrandom",
    "rand",
    "chrono",
    "async-trait",
    "mio",
    "socket2",
];
/// Which service may call which, by its client features of poa-proto.
const CALLS: [(&str, &[&str]); 7] = [
    ("poa-task", &["escrow", "attestation"]),
    ("poa-attestation", &["auth"]),
    ("poa-search", &["auth", "task", "attestation"]),
    ("poa-gateway", &["auth", "attestation"]),
    ("poa-auth", &[]),
    ("poa-escrow", &["attestation"]),
    ("poa-sdk", &["auth", "task", "escrow", "attestation", "search"]),
];

fn workspace() -> Metadata {
    MetadataCommand::new()
        .no_deps()
        .other_options(vec!["--offline".to_owned()])
        .exec()
        .expect("cargo metadata")
}

fn normal_dependencies(package: &Package) -> impl Iterator<Item = &cargo_metadata::Dependency> {
    package.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal)
}

#[test]
fn every_crate_imports_only_what_the_table_allows() {
    let metadata = workspace();
    let members: BTreeSet<String> =
        metadata.packages.iter().map(|package| package.name.to_string()).collect();
    let table: BTreeMap<&str, &[&str]> = TABLE.into_iter().collect();
    for package in &metadata.packages {
        let name = package.name.as_str();
        if FREE.contains(&name) {
            continue;
        }
        let allowed = table.get(name).unwrap_or_else(|| panic!("{name} has no row in the import table"));
        for dependency in normal_dependencies(package).filter(|dependency| members.contains(&dependency.name))
        {
            assert!(allowed.contains(&dependency.name.as_str()), "{name} imports {}", dependency.name);
        }
    }
    for name in table.keys().chain(&FREE) {
        assert!(members.contains(*name), "{name} is in the table and not in the workspace");
    }
}

#[test]
fn pure_crates_do_no_io_and_the_gateway_has_no_database() {
    let metadata = workspace();
    for package in &metadata.packages {
        let banned: &[&str] = match package.name.as_str() {
            "poa-common" | "proof-of-agent" | "poa-verify-wasm" => &IMPURE,
            "poa-chassis" | "poa-gateway" | "poa-sdk" | "poa-cli" => &["sqlx"],
            _ => continue,
        };
        for dependency in normal_dependencies(package) {
            assert!(
                !banned.contains(&dependency.name.as_str()),
                "{} depends on {}",
                package.name,
                dependency.name
            );
        }
    }
}

#[test]
fn services_call_each_other_only_as_the_graph_says_and_the_graph_has_no_cycle() {
    let metadata = workspace();
    let allowed: BTreeMap<&str, &[&str]> = CALLS.into_iter().collect();
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in metadata.packages.iter().filter(|package| !FREE.contains(&package.name.as_str())) {
        let calls: BTreeSet<String> = normal_dependencies(package)
            .filter(|dependency| dependency.name == "poa-proto")
            .flat_map(|dependency| &dependency.features)
            .filter_map(|feature| feature.strip_suffix("-client").map(str::to_owned))
            .collect();
        let may = allowed.get(package.name.as_str()).copied().unwrap_or_default();
        for call in &calls {
            assert!(may.contains(&call.as_str()), "{} calls {call}", package.name);
        }
        if let Some(service) = package.name.strip_prefix("poa-") {
            graph.insert(service.to_owned(), calls);
        }
    }
    for service in graph.keys() {
        assert!(!reaches(&graph, service, service, 0), "{service} calls itself over other services");
    }
}

fn reaches(graph: &BTreeMap<String, BTreeSet<String>>, from: &str, to: &str, depth: usize) -> bool {
    assert!(depth <= graph.len(), "a cycle that does not pass {to}");
    graph.get(from).into_iter().flatten().any(|next| next == to || reaches(graph, next, to, depth + 1))
}

#[test]
fn one_crate_alone_can_send_sats() {
    let metadata = workspace();
    for package in metadata.packages.iter().filter(|package| !FREE.contains(&package.name.as_str())) {
        let pays = normal_dependencies(package).any(|dependency| dependency.name == "poa-payment");
        assert_eq!(pays, package.name == "poa-escrow", "{} and poa-payment", package.name);
    }
}
