//! Protobuf names as prost writes them in Rust.

use prost_reflect::{EnumDescriptor, MessageDescriptor};

/// `ClaimTask` becomes `claim_task`.
pub(crate) fn snake(name: &str) -> String {
    let mut out = String::new();
    for (place, letter) in name.char_indices() {
        if letter.is_ascii_uppercase() && place > 0 && !out.ends_with('_') {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

/// `claim_task` becomes `ClaimTask`; prost also turns `sha256` into `Sha256`.
pub(crate) fn pascal(name: &str) -> String {
    name.split('_')
        .map(|word| {
            let mut letters = word.chars();
            letters
                .next()
                .map(|first| first.to_ascii_uppercase())
                .into_iter()
                .chain(letters)
                .collect::<String>()
        })
        .collect()
}

/// `poa.task.v1` becomes `crate::task::v1`.
fn module(package: &str) -> String {
    format!("crate::{}", package.trim_start_matches("poa.").replace('.', "::"))
}

/// The Rust path of a message.
pub(crate) fn message(descriptor: &MessageDescriptor) -> String {
    nested(descriptor.package_name(), descriptor.full_name())
}

/// The Rust path of an enum.
pub(crate) fn enumeration(descriptor: &EnumDescriptor) -> String {
    nested(descriptor.package_name(), descriptor.full_name())
}

/// The module in which prost puts what is nested inside a message.
pub(crate) fn inside(descriptor: &MessageDescriptor) -> String {
    let path = message(descriptor);
    match path.rsplit_once("::") {
        Some((parent, name)) => format!("{parent}::{}", snake(name)),
        None => snake(&path),
    }
}

fn nested(package: &str, full_name: &str) -> String {
    let local = full_name.trim_start_matches(package).trim_start_matches('.');
    let mut path = module(package);
    let parts: Vec<&str> = local.split('.').collect();
    for (place, part) in parts.iter().enumerate() {
        path.push_str("::");
        path.push_str(&if place + 1 == parts.len() { (*part).to_owned() } else { snake(part) });
    }
    path
}
