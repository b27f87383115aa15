//! The contract as descriptors, with the comments: compiled from `proto/` as the generator does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use poa_proto::{METHODS, Method};
use prost_reflect::{DescriptorPool, FileDescriptor, MessageDescriptor, MethodDescriptor};

/// The registry of reasons, and what it says of reasons that any method may answer with.
const REGISTRY: &str = "poa.errors.v1.ErrorReason";
const PREFIX: &str = "ERROR_REASON_";
const ANY_METHOD: &str = "Any method.";

/// What the contract says.
pub(crate) struct Contract {
    pool: DescriptorPool,
    /// Each reason of the registry with its comment.
    pub(crate) reasons: BTreeMap<String, String>,
    comments: BTreeMap<&'static str, String>,
}

/// The contract, compiled once.
pub(crate) fn contract() -> &'static Contract {
    static CONTRACT: OnceLock<Contract> = OnceLock::new();
    CONTRACT.get_or_init(Contract::compile)
}

// === impl Contract ===

impl Contract {
    fn compile() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the workspace root");
        let mut files = Vec::new();
        collect(&root.join("proto/poa"), &mut files);
        let mut compiler =
            protox::Compiler::new([root.join("proto"), root.join("proto/vendor")]).expect("the contracts");
        compiler
            .include_imports(true)
            .include_source_info(true)
            .open_files(files)
            .expect("contracts that compile");
        let pool = DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).expect("a pool");

        let registry = pool.get_enum_by_name(REGISTRY).expect("the registry of reasons");
        let reasons = registry.values().filter(|value| value.number() != 0);
        let reasons = reasons
            .map(|value| {
                let name = value.name().trim_start_matches(PREFIX).to_owned();
                (name, comment(&registry.parent_file(), value.path()))
            })
            .collect();
        let comments = METHODS
            .iter()
            .map(|method| {
                let descriptor = find(&pool, method);
                (method.path, comment(&descriptor.parent_service().parent_file(), descriptor.path()))
            })
            .collect();
        Self { pool, reasons, comments }
    }

    /// The request of a method.
    pub(crate) fn input(&self, method: &Method) -> MessageDescriptor {
        find(&self.pool, method).input()
    }

    /// The answer of a method.
    pub(crate) fn output(&self, method: &Method) -> MessageDescriptor {
        find(&self.pool, method).output()
    }

    /// A custom option.
    pub(crate) fn option(&self, name: &str) -> prost_reflect::ExtensionDescriptor {
        self.pool.get_extension_by_name(name).expect("an option of the contract")
    }

    /// The comment of a method, as one line.
    pub(crate) fn comment(&self, method: &Method) -> &str {
        self.comments.get(method.path).map(String::as_str).unwrap_or_default()
    }

    /// The words in capitals after `Errors:` in a method's comment.
    pub(crate) fn errors(&self, method: &Method) -> BTreeSet<&str> {
        let errors = self.comment(method).split_once("Errors:").map_or("", |(_, rest)| rest);
        let errors = errors.split("CLI:").next().unwrap_or_default();
        let words = errors.split(|letter: char| !letter.is_ascii_uppercase() && letter != '_');
        words.filter(|word| word.len() > 1).collect()
    }

    /// Whether a method may answer with a reason: its comment names it, or the registry says that any method may.
    pub(crate) fn may_answer(&self, method: &Method, reason: &str) -> bool {
        let anywhere = self.reasons.get(reason).is_some_and(|comment| comment.contains(ANY_METHOD));
        anywhere || self.errors(method).contains(reason)
    }
}

fn find(pool: &DescriptorPool, method: &Method) -> MethodDescriptor {
    let service = pool.get_service_by_name(method.service()).expect("a declared service");
    service.methods().find(|declared| declared.name() == method.name()).expect("a declared method")
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            found.push(path);
        }
    }
}

/// The comment that stands before a declaration, as one line.
fn comment(file: &FileDescriptor, path: &[i32]) -> String {
    let info = file.file_descriptor_proto().source_code_info.as_ref();
    let location = info.and_then(|info| info.location.iter().find(|location| location.path == path));
    let text = location.and_then(|location| location.leading_comments.as_deref()).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
