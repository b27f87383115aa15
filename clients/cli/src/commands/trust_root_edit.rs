//! `trust-root edit|new-origin`: an operator writes the next revision of a trust root, away from any server.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use poa_sdk::receipts::trust::{KeyInRange, TeeRoot, Trusted};
use poa_sdk::receipts::{DidKey, LogKey, TrustRoot, WitnessKey};
use poa_sdk::{OperatorKey, system_env};

use super::trust_root::{json_of, read, text_of};
use crate::app::App;
use crate::failure::{Exit, Failure};
use crate::units::Moment;

/// Bytes of a log's origin in a statement.
const MAX_ORIGIN_BYTES: usize = 255;
/// What a trust root may be read and written by: it is public.
const FILE_MODE: u32 = 0o644;

#[derive(Debug, Args)]
pub(crate) struct EditArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    change: Change,
}

#[derive(Debug, Args)]
pub(crate) struct NewOriginArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// The key that signs the log's checkpoints under the new origin.
    #[arg(long, value_name = "FILE")]
    log_key: PathBuf,
    /// The new origin: 1 to 255 characters of printable ASCII without white space and `+`.
    #[arg(long, value_name = "NAME")]
    origin: String,
}

/// Which file, and who signs.
#[derive(Debug, Args)]
pub(crate) struct TargetArgs {
    /// The present trust root.
    file: PathBuf,
    /// A root key that the present file names; may be given several times.
    #[arg(long = "root-key", required = true, value_name = "FILE")]
    root_keys: Vec<PathBuf>,
    /// Where the next revision goes [default: in the place of the present file].
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// What becomes of the file.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Change {
    /// A key that signs in the platform's role. The last one is the one in use.
    #[arg(long, value_name = "DID")]
    add_receipt_key: Option<DidKey>,
    /// The first place in the log that the added receipt key or arbiter may sign [default: 0].
    #[arg(long, value_name = "N")]
    from: Option<u64>,
    /// A receipt key that signs nothing more from a place of the log on.
    #[arg(long, value_name = "DID", requires = "until")]
    end_receipt_key: Option<DidKey>,
    /// The place after the last one that the ended receipt key or arbiter may sign.
    #[arg(long, value_name = "N")]
    until: Option<u64>,
    /// A key that signs checkpoints, named as the log: see `poa trust-root key FILE --log ORIGIN`.
    #[arg(long, value_name = "VKEY")]
    add_log_key: Option<LogKey>,
    /// A log key that checkpoints are not believed by any more.
    #[arg(long, value_name = "VKEY")]
    remove_log_key: Option<LogKey>,
    /// A key that signs verdicts.
    #[arg(long, value_name = "DID")]
    add_arbiter: Option<DidKey>,
    /// An arbiter who signs nothing more from a place of the log on.
    #[arg(long, value_name = "DID", requires = "until")]
    end_arbiter: Option<DidKey>,
    /// A witness: see `poa trust-root key FILE --witness NAME`.
    #[arg(long, value_name = "VKEY")]
    add_witness: Option<WitnessKey>,
    /// A witness that counts no more.
    #[arg(long, value_name = "NAME")]
    remove_witness: Option<String>,
    /// How many witnesses must have seen a checkpoint.
    #[arg(long, value_name = "N")]
    quorum: Option<u32>,
    /// The root certificate of a maker of trusted execution environments, such as intelTdx=SHA256.
    #[arg(long, value_name = "VENDOR=SHA256")]
    add_tee_root: Option<NamedTeeRoot>,
    /// A root certificate that vouches for nothing any more.
    #[arg(long, value_name = "VENDOR=SHA256")]
    remove_tee_root: Option<NamedTeeRoot>,
    /// A key that may sign the next file.
    #[arg(long, value_name = "DID")]
    add_root_key: Option<DidKey>,
    /// A root key that may not sign the next file any more.
    #[arg(long, value_name = "DID")]
    remove_root_key: Option<DidKey>,
    /// When the file is to be replaced.
    #[arg(long, value_name = "TIME")]
    expires: Option<Moment>,
}

/// `VENDOR=SHA256` of the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedTeeRoot(TeeRoot);

pub(crate) fn edit(app: &App, args: &EditArgs) -> Result<(), Failure> {
    let before = read(&args.target.file)?;
    let next = edited(before.trusted(), &args.change)?;
    publish(app, &args.target, &before, next)
}

pub(crate) fn new_origin(app: &App, args: &NewOriginArgs) -> Result<(), Failure> {
    let before = read(&args.target.file)?;
    let log_key = OperatorKey::load(&args.log_key)?.did();
    let next = moved(before.trusted(), &args.origin, log_key)?;
    publish(app, &args.target, &before, next)
}

/// Signs the next revision and writes it.
fn publish(app: &App, target: &TargetArgs, before: &TrustRoot, next: Trusted) -> Result<(), Failure> {
    let keys = target.root_keys.iter().map(|path| OperatorKey::load(path)).collect::<Result<Vec<_>, _>>()?;
    let root = signed(before, next, &keys)?;
    let path = target.output.as_deref().unwrap_or(&target.file);
    write(path, before, &root)?;
    let now = system_env().now();
    app.out.either(|| json_of(&root, now), || text_of(&root, None, now))?;
    app.out.progress(&format!(
        "Written to {}. Publish it, and its digest somewhere else; give it to auth, task, escrow and attestation, and start them again.",
        path.display()
    ));
    if before.trusted().root_keys.is_empty() {
        app.out.warn(
            "The file before names no root key: whoever has pinned it takes this one by its digest alone.",
        );
    }
    Ok(())
}

/// The next revision with the signatures of root keys, and sure to be taken by whoever has pinned the one before.
fn signed(before: &TrustRoot, next: Trusted, keys: &[OperatorKey]) -> Result<TrustRoot, Failure> {
    let mut root = TrustRoot::of(next)?;
    for key in keys {
        root = key.sign_trust_root(&root)?;
    }
    // A file without root keys has no successor that anybody could check.
    if !before.trusted().root_keys.is_empty() {
        root.succeeds(before)?;
    }
    Ok(root)
}

/// What every next revision has: the next number, and no signature so far.
fn successor(before: &Trusted) -> Trusted {
    Trusted { revision: before.revision.saturating_add(1), signatures: Vec::new(), ..before.clone() }
}

/// The file after a change. Pure.
fn edited(before: &Trusted, change: &Change) -> Result<Trusted, Failure> {
    let unchanged = successor(before);
    let mut next = unchanged.clone();
    if let Some(key) = change.end_receipt_key {
        end(&mut next.receipt_keys, key, change.until, "receipt key")?;
    }
    if let Some(key) = change.end_arbiter {
        end(&mut next.arbiter_keys, key, change.until, "arbiter")?;
    }
    if let Some(key) = change.add_receipt_key {
        begin(&mut next.receipt_keys, key, change.from, "receipt key")?;
    }
    if let Some(key) = change.add_arbiter {
        begin(&mut next.arbiter_keys, key, change.from, "arbiter")?;
    }
    if let Some(key) = &change.remove_log_key {
        remove(&mut next.log_keys, |known| known == key, "log key")?;
    }
    if let Some(key) = &change.add_log_key {
        if key.name() != next.origin {
            let message = format!("the log key is named {}, and the log {}", key.name(), next.origin);
            return Err(Failure::new(Exit::Usage, message)
                .hint("see `poa trust-root key FILE --log ORIGIN`, or `poa trust-root new-origin`"));
        }
        add(&mut next.log_keys, key.clone(), "log key")?;
    }
    if let Some(name) = &change.remove_witness {
        remove(&mut next.witnesses.keys, |known| known.name() == name, "witness")?;
    }
    if let Some(key) = &change.add_witness {
        add(&mut next.witnesses.keys, key.clone(), "witness")?;
    }
    next.witnesses.quorum = change.quorum.unwrap_or(next.witnesses.quorum);
    if let Some(NamedTeeRoot(root)) = &change.remove_tee_root {
        remove(&mut next.tee_roots, |known| known == root, "TEE root")?;
    }
    if let Some(NamedTeeRoot(root)) = &change.add_tee_root {
        add(&mut next.tee_roots, root.clone(), "TEE root")?;
    }
    if let Some(key) = change.remove_root_key {
        remove(&mut next.root_keys, |known| *known == key, "root key")?;
    }
    if let Some(key) = change.add_root_key {
        add(&mut next.root_keys, key, "root key")?;
    }
    next.expires = change.expires.map(|moment| moment.0).or(next.expires);
    check_orphans(change)?;
    if next == unchanged {
        return Err(
            Failure::new(Exit::Usage, "this changes nothing").hint("see `poa trust-root edit --help`")
        );
    }
    if next.root_keys.is_empty() && !before.root_keys.is_empty() {
        return Err(Failure::new(Exit::Usage, "the last root key stays: nobody could sign the next file"));
    }
    if next.receipt_keys.iter().all(|it| it.until.is_some()) {
        return Err(Failure::new(Exit::Usage, "no receipt key would be left to sign with")
            .hint("add the next one in the same step: --add-receipt-key DID --from N"));
    }
    Ok(next)
}

/// That `--from` and `--until` belong to something.
fn check_orphans(change: &Change) -> Result<(), Failure> {
    let added = change.add_receipt_key.is_some() || change.add_arbiter.is_some();
    let ended = change.end_receipt_key.is_some() || change.end_arbiter.is_some();
    if change.from.is_some() && !added {
        return Err(Failure::new(Exit::Usage, "--from belongs to --add-receipt-key or --add-arbiter"));
    }
    if change.until.is_some() && !ended {
        return Err(Failure::new(Exit::Usage, "--until belongs to --end-receipt-key or --end-arbiter"));
    }
    Ok(())
}

/// The file after the log has moved to another origin. Pure.
fn moved(before: &Trusted, origin: &str, log_key: DidKey) -> Result<Trusted, Failure> {
    let graphic = origin.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'+');
    if !graphic || !(1..=MAX_ORIGIN_BYTES).contains(&origin.len()) {
        let message = "an origin has 1 to 255 characters of printable ASCII without white space and `+`";
        return Err(Failure::new(Exit::Usage, message));
    }
    if origin == before.origin || before.prior_origins.iter().any(|prior| prior == origin) {
        let message = format!("the log has had the origin {origin} already: two logs of one name are a fork");
        return Err(Failure::new(Exit::Usage, message));
    }
    let named = LogKey::new(origin, log_key);
    let named = named.map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    let mut next = successor(before);
    next.prior_origins.push(before.origin.clone());
    origin.clone_into(&mut next.origin);
    next.log_keys = vec![named];
    Ok(next)
}

fn add<T: PartialEq>(list: &mut Vec<T>, item: T, what: &str) -> Result<(), Failure> {
    if list.contains(&item) {
        return Err(Failure::new(Exit::Usage, format!("the {what} stands in the file already")));
    }
    list.push(item);
    Ok(())
}

fn remove<T>(list: &mut Vec<T>, is_it: impl Fn(&T) -> bool, what: &str) -> Result<(), Failure> {
    let count = list.len();
    list.retain(|item| !is_it(item));
    if list.len() == count {
        return Err(Failure::new(Exit::Usage, format!("there is no such {what} in the file")));
    }
    Ok(())
}

/// A key that may sign from a place on. One that has signed before may sign again later.
fn begin(keys: &mut Vec<KeyInRange>, key: DidKey, from: Option<u64>, what: &str) -> Result<(), Failure> {
    if keys.iter().any(|it| it.key == key && it.until.is_none()) {
        return Err(Failure::new(Exit::Usage, format!("the {what} {key} is in use already")));
    }
    keys.push(KeyInRange { from: from.unwrap_or(0), ..KeyInRange::always(key) });
    Ok(())
}

/// A key that may sign up to a place.
fn end(keys: &mut [KeyInRange], key: DidKey, until: Option<u64>, what: &str) -> Result<(), Failure> {
    let open = keys.iter_mut().find(|it| it.key == key && it.until.is_none());
    let open = open.ok_or_else(|| {
        Failure::new(Exit::Usage, format!("there is no {what} {key} in the file that is in use"))
    })?;
    open.until = until;
    Ok(())
}

/// Writes a file whole or not at all, and over nothing but its predecessor.
fn write(path: &Path, before: &TrustRoot, root: &TrustRoot) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::file(path, &error);
    if path.exists() {
        let there = read(path)?;
        if there.digest() != before.digest() {
            let message =
                format!("{} is not the file that this one follows: {}", path.display(), there.digest());
            return Err(Failure::new(Exit::Refused, message).hint("name another file with --output FILE"));
        }
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mode = fs::metadata(path).map_or_else(
        |_| std::os::unix::fs::PermissionsExt::from_mode(FILE_MODE),
        |there| there.permissions(),
    );
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    file.write_all(&root.to_json()?).map_err(failed)?;
    file.as_file().set_permissions(mode).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

// === impl NamedTeeRoot ===

impl FromStr for NamedTeeRoot {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (vendor, sha256) = text
            .split_once('=')
            .filter(|(vendor, _)| !vendor.is_empty())
            .ok_or_else(|| format!("`{text}` is not a TEE root: expected VENDOR=SHA256"))?;
        let sha256 = sha256.parse().map_err(|error| format!("`{text}`: {error}"))?;
        Ok(Self(TeeRoot { vendor: vendor.to_owned(), sha256 }))
    }
}

#[cfg(test)]
#[path = "trust_root_edit_tests.rs"]
mod tests;
