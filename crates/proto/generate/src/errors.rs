//! docs/errors: a page a reason and an index, from the comments of the registry and of the methods.
//!
//! A comment of the registry says, in this order: the status code, what happened, what to do about it, `Any method.` where
//! methods need not name the reason (`No method yet.` where none answers with it so far), and `Example metadata:` with an object.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use prost_reflect::{DescriptorPool, EnumValueDescriptor, FileDescriptor};

const REGISTRY: &str = "poa.errors.v1.ErrorReason";
const PREFIX: &str = "ERROR_REASON_";
const ANY_METHOD: &str = "Any method.";
/// The reason is registered for what is to come.
const NO_METHOD: &str = "No method yet.";
const EXAMPLE: &str = "Example metadata:";
/// What stands on top of every page.
const MARK: &str = "<!-- Written by `make generate` from proto/poa/errors/v1/errors.proto. Do not edit. -->";

/// The status codes: name, number, whether to try again, and what a program does.
const CODES: [(&str, u8, &str, &str); 11] = [
    (
        "UNAUTHENTICATED",
        16,
        "after signing in",
        "Get a fresh access token, by refreshing the session or signing in, and send the call again.",
    ),
    (
        "PERMISSION_DENIED",
        7,
        "no",
        "The same credentials will be refused again: call with others, or ask for a key that may.",
    ),
    ("NOT_FOUND", 5, "no", "Check the id, and that the account that calls is the one that it belongs to."),
    ("INVALID_ARGUMENT", 3, "no", "Correct the request: it will be refused again as it is."),
    (
        "FAILED_PRECONDITION",
        9,
        "when the state has changed",
        "Read the state, do what it waits for, and only then call again.",
    ),
    ("ABORTED", 10, "after reading again", "Read again, decide again, and send a new request."),
    ("ALREADY_EXISTS", 6, "no", "The request will be refused again as it is."),
    (
        "RESOURCE_EXHAUSTED",
        8,
        "after the delay",
        "Wait for `retry_delay` of google.rpc.RetryInfo; google.rpc.QuotaFailure says what is used up.",
    ),
    (
        "DEADLINE_EXCEEDED",
        4,
        "with the same request_id",
        "The effect is unknown: send the same request with the same request_id, and the answer will tell.",
    ),
    (
        "UNAVAILABLE",
        14,
        "yes, after the delay",
        "Wait for `retry_delay` of google.rpc.RetryInfo and send the same request with the same request_id. It is the only code that clients retry by themselves.",
    ),
    (
        "INTERNAL",
        13,
        "no",
        "Report the request id (google.rpc.RequestInfo), which names the entry in the server's log.",
    ),
];

/// A reason of the registry, as its comment tells.
struct Reason {
    name: String,
    number: i32,
    code: &'static (&'static str, u8, &'static str, &'static str),
    meaning: String,
    remedy: String,
    any_method: bool,
    example: Option<String>,
    methods: Vec<String>,
}

/// Writes the pages; removes those of reasons that are no more.
pub(crate) fn write(pool: &DescriptorPool, out: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let reasons = reasons(pool)?;
    if out.exists() {
        fs::remove_dir_all(out)?;
    }
    fs::create_dir_all(out)?;
    for reason in &reasons {
        fs::write(out.join(format!("{}.md", reason.name)), page(reason)?)?;
    }
    fs::write(out.join("README.md"), index(&reasons)?)?;
    Ok(())
}

fn reasons(pool: &DescriptorPool) -> Result<Vec<Reason>, String> {
    let registry = pool.get_enum_by_name(REGISTRY).ok_or("no registry of reasons")?;
    let named = methods_by_reason(pool);
    registry
        .values()
        .filter(|value| value.number() != 0)
        .map(|value| {
            let methods = named.get(value.name().trim_start_matches(PREFIX)).cloned().unwrap_or_default();
            reason(&value, methods)
        })
        .collect()
}

fn reason(value: &EnumValueDescriptor, methods: Vec<String>) -> Result<Reason, String> {
    let comment = comment(&value.parent_enum().parent_file(), value.path());
    let malformed = |what: &str| format!("the comment of {} {what}", value.name());
    let (code, rest) = comment.split_once(". ").ok_or_else(|| malformed("names no code"))?;
    let code =
        CODES.iter().find(|known| known.0 == code).ok_or_else(|| malformed("begins with no known code"))?;
    let (text, example) = match rest.split_once(EXAMPLE) {
        Some((text, example)) => (text, Some(example.trim().trim_end_matches('.').to_owned())),
        None => (rest, None),
    };
    let any_method = text.contains(ANY_METHOD);
    let text = text.replace(ANY_METHOD, "").replace(NO_METHOD, "");
    let (meaning, remedy) = match text.trim().split_once(". ") {
        Some((meaning, remedy)) => (format!("{meaning}."), remedy.trim().to_owned()),
        None => (text.trim().to_owned(), String::new()),
    };
    if (any_method || !methods.is_empty()) == rest.contains(NO_METHOD) {
        return Err(malformed(
            "must say `Any method.` or `No method yet.` where, and only where, no method names it",
        ));
    }
    let name = value.name().trim_start_matches(PREFIX).to_owned();
    Ok(Reason { name, number: value.number(), code, meaning, remedy, any_method, example, methods })
}

/// Which methods name a reason in the `Errors:` part of their comment.
fn methods_by_reason(pool: &DescriptorPool) -> BTreeMap<String, Vec<String>> {
    let mut named: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for service in pool.services().filter(|service| service.full_name().starts_with("poa.")) {
        for method in service.methods() {
            let comment = comment(&service.parent_file(), method.path());
            let errors = comment.split_once("Errors:").map_or("", |(_, rest)| rest);
            let errors = errors.split("CLI:").next().unwrap_or_default();
            for word in errors.split(|letter: char| !letter.is_ascii_uppercase() && letter != '_') {
                if word.len() > 1 {
                    named.entry(word.to_owned()).or_default().push(method.full_name().to_owned());
                }
            }
        }
    }
    named
}

/// The comment that stands before a declaration, as one line.
fn comment(file: &FileDescriptor, path: &[i32]) -> String {
    let info = file.file_descriptor_proto().source_code_info.as_ref();
    let location = info.and_then(|info| info.location.iter().find(|location| location.path == path));
    let text = location.and_then(|location| location.leading_comments.as_deref()).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn page(reason: &Reason) -> Result<String, std::fmt::Error> {
    let (code, number, retry, rule) = reason.code;
    let mut out = format!("{MARK}\n\n# {}\n\n{}\n\n", reason.name, reason.meaning);
    writeln!(out, "| code | retry | number in the registry |\n|---|---|---|")?;
    writeln!(out, "| `{code}` ({number}) | {retry} | {} |\n", reason.number)?;
    writeln!(out, "## What to do\n")?;
    if !reason.remedy.is_empty() {
        writeln!(out, "{}\n", reason.remedy)?;
    }
    writeln!(out, "{rule}\n\n## What it looks like\n")?;
    writeln!(out, "In the details of the google.rpc.Status:\n\n```json")?;
    writeln!(out, "{{")?;
    writeln!(out, "  \"@type\": \"type.googleapis.com/google.rpc.ErrorInfo\",")?;
    writeln!(out, "  \"reason\": \"{}\",", reason.name)?;
    writeln!(out, "  \"domain\": \"proof-of-agent\",")?;
    writeln!(out, "  \"metadata\": {}\n}}\n```\n", reason.example.as_deref().unwrap_or("{}"))?;
    writeln!(out, "## Who answers with it\n")?;
    if reason.any_method {
        writeln!(out, "Any method may.")?;
    } else if reason.methods.is_empty() {
        writeln!(out, "{NO_METHOD}")?;
    }
    if !reason.methods.is_empty() {
        if reason.any_method {
            writeln!(out, "These name it, because their callers must expect it:\n")?;
        }
        for method in &reason.methods {
            writeln!(out, "- `{method}`")?;
        }
    }
    Ok(out)
}

fn index(reasons: &[Reason]) -> Result<String, std::fmt::Error> {
    let mut out = format!("{MARK}\n\n# Errors\n\n");
    out.push_str(
        "Every error of this API is a google.rpc.Status whose details hold a google.rpc.ErrorInfo with the domain\n\
         `proof-of-agent` and one of these reasons. Act on the reason, never on the message, which is for people. A status\n\
         with its details is at most 4 KiB. Beside ErrorInfo there is, where it applies: BadRequest with the fields that\n\
         are wrong, QuotaFailure, RetryInfo with the delay after which to try again, and RequestInfo with the request id.\n\
         A path that is no method of the server is answered with UNIMPLEMENTED, without details.\n\n",
    );
    writeln!(out, "| reason | code | retry | meaning |\n|---|---|---|---|")?;
    for reason in reasons {
        let (code, _, retry, _) = reason.code;
        writeln!(out, "| [{0}]({0}.md) | `{code}` | {retry} | {1} |", reason.name, reason.meaning)?;
    }
    Ok(out)
}
