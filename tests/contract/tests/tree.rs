//! The shape of the tree: sizes, headers, and the root that grows no further.

use std::fs;
use std::path::{Path, PathBuf};

/// The most lines of a hand-written source file.
const MAX_LINES: usize = 500;
/// What may stand in the root of the repository.
const ROOT: [&str; 26] = [
    ".ci",
    ".git",
    ".gitignore",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "Makefile",
    "README.md",
    "buf.yaml",
    "clients",
    "clippy.toml",
    "compose.yaml",
    "crates",
    "deny.toml",
    "docs",
    "gateway",
    "migrations",
    "ops",
    "proto",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "services",
    "target",
    "tests",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the workspace root").to_owned()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir()
            && !["target", "gen", "node_modules"].contains(&name.as_str())
            && !name.starts_with('.')
        {
            sources(&path, found);
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
}

#[test]
fn no_source_file_is_over_the_size_and_each_says_what_it_is_for() {
    let mut files = Vec::new();
    sources(&root(), &mut files);
    assert!(files.len() > 100, "only {} files found", files.len());
    for file in files {
        let text = fs::read_to_string(&file).expect("a readable file");
        let lines = text.lines().count();
        assert!(lines <= MAX_LINES, "{} has {lines} lines", file.display());
        let first = text.lines().next().unwrap_or_default();
        assert!(
            first.starts_with("//!") || first.starts_with("#![doc = include_str!("),
            "{} does not say what it is for",
            file.display()
        );
    }
}

#[test]
fn the_root_grows_no_further() {
    for entry in fs::read_dir(root()).expect("the root") {
        let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        assert!(ROOT.contains(&name.as_str()), "{name} stands in the root");
    }
}

#[test]
fn every_crate_has_a_readme() {
    let mut manifests = Vec::new();
    for folder in ["crates", "services", "clients", "gateway", "tests"] {
        collect_manifests(&root().join(folder), &mut manifests);
    }
    for manifest in manifests {
        let readme = manifest.with_file_name("README.md");
        assert!(readme.exists(), "{} is missing", readme.display());
    }
}

fn collect_manifests(folder: &Path, found: &mut Vec<PathBuf>) {
    let manifest = folder.join("Cargo.toml");
    if manifest.exists() {
        found.push(manifest);
    }
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.ends_with("src") && !path.ends_with("target") {
            collect_manifests(&path, found);
        }
    }
}
