//! Regenerates `crates/proto/src/gen` from the contracts under `proto/`: messages, clients and servers, the
//! method table, the field checks and the descriptor set; and `docs/errors` from their comments. Then LND's contract, for
//! `crates/payment`. Run by `make generate`; CI wants a clean tree after it.
//!
//! Everything is compiled by protox, a Protobuf compiler in Rust: nobody installs protoc.

mod checks;
mod errors;
mod lnd;
mod methods;
mod names;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use prost::Message as _;
use prost_reflect::DescriptorPool;

/// The packages that become Rust. Options and vendored annotations live on in the descriptor set alone.
const PACKAGES: [&str; 6] =
    ["poa.auth.v1", "poa.task.v1", "poa.escrow.v1", "poa.attestation.v1", "poa.search.v1", "poa.errors.v1"];

fn main() -> Result<(), Box<dyn Error>> {
    let root =
        Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).ok_or("no workspace root")?.to_owned();
    let out = root.join("crates/proto/src/gen");
    let protos = contract_files(&root.join("proto/poa"))?;

    let mut compiler = protox::Compiler::new([root.join("proto"), root.join("proto/vendor")])?;
    compiler.include_imports(true).include_source_info(true).open_files(protos)?;
    let with_comments = compiler.file_descriptor_set();
    // protox drops custom options from the typed set; the encoded one keeps them.
    let commented = compiler.encode_file_descriptor_set();
    let encoded = without_source_info(&commented);
    let pool = DescriptorPool::decode(encoded.as_slice())?;

    errors::write(&DescriptorPool::decode(commented.as_slice())?, &root.join("docs/errors"))?;
    if out.exists() {
        fs::remove_dir_all(&out)?;
    }
    fs::create_dir_all(&out)?;
    fs::write(out.join("descriptors.binpb"), &encoded)?;

    let mut config =
        tonic_prost_build::configure().out_dir(&out).build_transport(false).emit_rerun_if_changed(false);
    for service in ["auth", "task", "escrow", "attestation", "search"] {
        let path = format!("poa.{service}.v1");
        config = config
            .client_mod_attribute(&path, format!("#[cfg(feature = \"{service}-client\")]"))
            .server_mod_attribute(&path, format!("#[cfg(feature = \"{service}-server\")]"));
    }
    config.compile_fds(with_comments)?;
    for entry in fs::read_dir(&out)? {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if path.extension().is_some_and(|extension| extension == "rs") && !PACKAGES.contains(&stem) {
            fs::remove_file(&path)?;
        }
    }
    fs::write(out.join("methods.rs"), methods::generate(&pool)?)?;
    fs::write(out.join("checks.rs"), checks::generate(&pool)?)?;
    format_all(&out)?;
    lnd::write(&root)
}

/// Every `.proto` below a folder, in a stable order.
fn contract_files(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(contract_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Strips comments and positions from an encoded descriptor set without touching its options: field 5 of each
/// file, which a typed round trip would take the custom options along with.
fn without_source_info(encoded: &[u8]) -> Vec<u8> {
    use prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint};

    const FILE: u32 = 1;
    const SOURCE_CODE_INFO: u32 = 9;
    let mut set = encoded;
    let mut stripped = Vec::with_capacity(encoded.len());
    while let Ok((FILE, WireType::LengthDelimited)) = decode_key(&mut set) {
        let Some(length) = decode_varint(&mut set).ok().and_then(|length| usize::try_from(length).ok())
        else {
            break;
        };
        let (mut file, rest) = set.split_at(length);
        set = rest;
        let mut kept = Vec::with_capacity(length);
        while !file.is_empty() {
            let before = file;
            let Ok((tag, wire)) = decode_key(&mut file) else { break };
            if prost::encoding::skip_field(wire, tag, &mut file, prost::encoding::DecodeContext::default())
                .is_err()
            {
                break;
            }
            if tag != SOURCE_CODE_INFO {
                kept.extend_from_slice(&before[..before.len() - file.len()]);
            }
        }
        encode_key(FILE, WireType::LengthDelimited, &mut stripped);
        encode_varint(u64::try_from(kept.len()).unwrap_or(0), &mut stripped);
        stripped.extend_from_slice(&kept);
    }
    debug_assert!(prost_types::FileDescriptorSet::decode(stripped.as_slice()).is_ok());
    stripped
}

/// Formats what was written, so that the clean-tree check does not depend on a generator's spacing.
fn format_all(out: &Path) -> Result<(), Box<dyn Error>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(out)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    let status = std::process::Command::new("rustfmt").args(["--edition", "2024"]).args(&files).status()?;
    if status.success() { Ok(()) } else { Err("rustfmt failed".into()) }
}
