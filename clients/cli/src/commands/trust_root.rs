//! `trust-root`: the file that says whose receipts are believed, for those who believe and those who are believed.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use poa_sdk::receipts::trust::{MAX_TRUST_ROOT_BYTES, Trusted};
use poa_sdk::receipts::{DidKey, Digest, KeyInRange, LogKey, NoteError, TrustRoot, WitnessKey};
use poa_sdk::{OperatorKey, Timestamp, TokenStore as _, rfc3339, system_env};
use serde_json::{Value as Json, json};

use super::trust_root_edit::{self, EditArgs, NewOriginArgs};
use crate::app::{App, read_file};
use crate::failure::{Exit, Failure};
use crate::output::{fields, one_line};

/// How long before its end a file is said to expire soon.
const SOON: time::Duration = time::Duration::days(30);

#[derive(Debug, Subcommand)]
pub(crate) enum TrustRootCommand {
    /// Show all that a trust root says, its digest, and who has signed it.
    Show {
        /// The file [default: the one that this profile has pinned].
        file: Option<PathBuf>,
    },
    /// Pin a newer trust root for this profile: one that a root key of the pinned one has signed.
    Accept(AcceptArgs),
    /// Make a key of an instance or a witness, offline.
    NewKey {
        /// The new file.
        file: PathBuf,
        #[command(flatten)]
        names: Names,
    },
    /// Show the public half of a key of an instance or a witness.
    Key {
        /// The key's file.
        file: PathBuf,
        #[command(flatten)]
        names: Names,
    },
    /// Write the next revision of a trust root, signed with a root key. Offline.
    Edit(Box<EditArgs>),
    /// Write the next revision, in which the log goes on under another origin. Offline.
    NewOrigin(NewOriginArgs),
}

#[derive(Debug, Args)]
pub(crate) struct AcceptArgs {
    /// The newer file.
    file: PathBuf,
    /// The digest that it must have: from somebody whom you trust. Where nothing is pinned so far, this alone counts.
    #[arg(long, value_name = "HEX")]
    digest: Option<Digest>,
}

/// Under which names a key is to sign.
#[derive(Debug, Args)]
pub(crate) struct Names {
    /// Show its verifier key as a log's, for `edit --add-log-key`.
    #[arg(long, value_name = "ORIGIN")]
    log: Option<String>,
    /// Show its verifier key as a witness's, for `edit --add-witness`.
    #[arg(long, value_name = "NAME")]
    witness: Option<String>,
}

pub(crate) fn run(app: &App, command: TrustRootCommand) -> Result<(), Failure> {
    match command {
        TrustRootCommand::Show { file } => show(app, file.as_deref()),
        TrustRootCommand::Accept(args) => accept(app, &args),
        TrustRootCommand::NewKey { file, names } => {
            let key = OperatorKey::generate(&system_env());
            show_names(&key, &names)?;
            key.save(&file)?;
            show_key(app, &file, &key, &names)?;
            app.out.progress("Make a copy: nobody else has it. A root key belongs on a machine of its own.");
            Ok(())
        }
        TrustRootCommand::Key { file, names } => show_key(app, &file, &OperatorKey::load(&file)?, &names),
        TrustRootCommand::Edit(args) => trust_root_edit::edit(app, &args),
        TrustRootCommand::NewOrigin(args) => trust_root_edit::new_origin(app, &args),
    }
}

/// Reads a trust root's file.
pub(super) fn read(path: &Path) -> Result<TrustRoot, Failure> {
    Ok(TrustRoot::from_json(&read_file(path, MAX_TRUST_ROOT_BYTES)?)?)
}

fn show(app: &App, file: Option<&Path>) -> Result<(), Failure> {
    let pinned = app.profile.trust_root()?;
    let root = match file {
        Some(path) => read(path)?,
        None => app.trust_root(None)?,
    };
    let now = system_env().now();
    let pinned = pinned.as_ref();
    app.out.either(|| json_of(&root, now), || text_of(&root, pinned, now))?;
    if let Some(warning) = expiry_warning(&root, now) {
        app.out.progress(&warning);
    }
    Ok(())
}

fn accept(app: &App, args: &AcceptArgs) -> Result<(), Failure> {
    let root = read(&args.file)?;
    // Two of these at once must not end with the older file.
    let _guard = app.profile.lock().map_err(poa_sdk::Error::from)?;
    let pinned = app.profile.trust_root()?;
    let known = judge(&root, pinned.as_ref(), args.digest)?;
    if !known {
        app.profile.save_trust_root(&root)?;
    }
    let before = pinned.map(|root| root.digest().to_string());
    app.out.either(
        || json!({ "pinned": root.digest().to_string(), "before": before, "revision": root.trusted().revision.to_string() }),
        || {
            let word = if known { "Pinned already" } else { "Pinned" };
            format!("{word}: {} (revision {} of {})", root.digest(), root.trusted().revision, root.origin())
        },
    )?;
    if let Some(warning) = expiry_warning(&root, system_env().now()) {
        app.out.warn(&warning);
    }
    Ok(())
}

/// Whether a file may be pinned; answers with whether it is already.
fn judge(root: &TrustRoot, pinned: Option<&TrustRoot>, digest: Option<Digest>) -> Result<bool, Failure> {
    if let Some(expected) = digest.filter(|expected| *expected != root.digest()) {
        let message = format!("the file has the digest {}, not {expected}", root.digest());
        return Err(Failure::new(Exit::Unverified, message)
            .hint("do not use it: it is not the one that you were told of"));
    }
    match pinned {
        Some(pinned) if pinned.digest() == root.digest() => Ok(true),
        Some(pinned) => {
            root.succeeds(pinned)?;
            Ok(false)
        }
        None if digest.is_some() => Ok(false),
        None => {
            let message =
                format!("nothing is pinned so far that says who may sign this file, {}", root.digest());
            Err(Failure::new(Exit::Unverified, message).hint(
                "compare that digest with one from somebody whom you trust, then say it with --digest HEX",
            ))
        }
    }
}

fn show_key(app: &App, file: &Path, key: &OperatorKey, names: &Names) -> Result<(), Failure> {
    let shown = file.display().to_string();
    let (log, witness) = show_names(key, names)?;
    app.out.either(
        || json!({ "file": shown, "did": key.did().to_string(), "log_key": log, "witness_key": witness }),
        || {
            let mut rows = vec![("key", key.did().to_string()), ("file", shown.clone())];
            rows.extend(log.clone().map(|key| ("as a log's", key)));
            rows.extend(witness.clone().map(|key| ("as a witness's", key)));
            fields(&rows)
        },
    )
}

/// The verifier keys of a log and a witness.
fn show_names(key: &OperatorKey, names: &Names) -> Result<(Option<String>, Option<String>), Failure> {
    let wrong =
        |_: NoteError| Failure::new(Exit::Usage, "a log's or witness's name has neither white space nor `+`");
    let log = names.log.as_ref().map(|name| LogKey::new(name.as_str(), key.did())).transpose();
    let witness = names.witness.as_ref().map(|name| WitnessKey::new(name.as_str(), key.did())).transpose();
    let log = log.map_err(wrong)?.map(|key| key.to_string());
    Ok((log, witness.map_err(wrong)?.map(|key| key.to_string())))
}

fn expiry_warning(root: &TrustRoot, now: Timestamp) -> Option<String> {
    let expires = root.expires()?;
    let shown = rfc3339(expires);
    if expires <= now {
        Some(format!("EXPIRED on {shown}: nothing verifies with it. Get a newer one."))
    } else if expires - now <= SOON {
        Some(format!("Expires soon, on {shown}: look for a newer one."))
    } else {
        None
    }
}

/// All that a file says, for people.
pub(super) fn text_of(root: &TrustRoot, pinned: Option<&TrustRoot>, now: Timestamp) -> String {
    let trusted = root.trusted();
    let mut rows = vec![
        ("digest", root.digest().to_string()),
        ("revision", trusted.revision.to_string()),
        ("network", trusted.network.to_string()),
        ("log", one_line(&trusted.origin)),
    ];
    let mut list = |name, lines: Vec<String>| {
        if !lines.is_empty() {
            rows.push((name, lines.join("\n")));
        }
    };
    list("logs before", trusted.prior_origins.iter().map(|origin| one_line(origin)).collect());
    list("log keys", trusted.log_keys.iter().map(|key| one_line(&key.to_string())).collect());
    list("receipt keys", trusted.receipt_keys.iter().map(range).collect());
    list("arbiter keys", trusted.arbiter_keys.iter().map(range).collect());
    if !trusted.witnesses.keys.is_empty() {
        let mut lines = vec![format!("{} of these must have seen a checkpoint", trusted.witnesses.quorum)];
        lines.extend(trusted.witnesses.keys.iter().map(|key| one_line(&key.to_string())));
        list("witnesses", lines);
    }
    list(
        "TEE roots",
        trusted.tee_roots.iter().map(|it| format!("{} {}", one_line(&it.vendor), it.sha256)).collect(),
    );
    list("root keys", trusted.root_keys.iter().map(DidKey::to_string).collect());
    let expires = match root.expires() {
        None => "never".to_owned(),
        Some(expires) if expires <= now => format!("EXPIRED on {}", rfc3339(expires)),
        Some(expires) if expires - now <= SOON => format!("soon, on {}", rfc3339(expires)),
        Some(expires) => rfc3339(expires),
    };
    list("expires", vec![expires]);
    let signers: Vec<String> = root.signers().map(|key| signer(key, trusted, pinned)).collect();
    list("signed by", if signers.is_empty() { vec!["nobody".to_owned()] } else { signers });
    if let Some(pinned) = pinned {
        let standing = match root.succeeds(pinned) {
            _ if root.digest() == pinned.digest() => "it is the pinned one".to_owned(),
            Ok(()) => "newer: `poa trust-root accept FILE` takes it".to_owned(),
            Err(error) => error.to_string(),
        };
        list("here", vec![standing]);
    }
    fields(&rows)
}

/// Who signed, and what that says: nothing, unless it is a root key of a file that is believed already.
fn signer(key: DidKey, trusted: &Trusted, pinned: Option<&TrustRoot>) -> String {
    if pinned.is_some_and(|pinned| pinned.trusted().root_keys.contains(&key)) {
        format!("{key}, a root key of the pinned file")
    } else if trusted.root_keys.contains(&key) {
        format!("{key}, a root key of its own")
    } else {
        format!("{key}, no root key of its own")
    }
}

/// A key and the places in the log that it may sign.
fn range(it: &KeyInRange) -> String {
    match it.until {
        None => format!("{} from {}", it.key, it.from),
        Some(until) => format!("{} from {} until {until}", it.key, it.from),
    }
}

pub(super) fn json_of(root: &TrustRoot, now: Timestamp) -> Json {
    let file = serde_json::to_value(root.trusted()).unwrap_or(Json::Null);
    json!({
        "digest": root.digest().to_string(),
        "signers": root.signers().map(|key| key.to_string()).collect::<Vec<_>>(),
        "expired": root.expires().is_some_and(|expires| expires <= now),
        "expires_soon": root.expires().is_some_and(|expires| expires > now && expires - now <= SOON),
        "file": file,
    })
}

#[cfg(test)]
mod tests {
    use poa_sdk::Network;

    use super::*;

    fn root(root_key: &OperatorKey, revision: u64) -> TrustRoot {
        let key = OperatorKey::generate(&system_env()).did();
        let log_key = LogKey::new("a.example/1", key).unwrap();
        let trusted =
            Trusted::new(Network::Simulated, "a.example/1", vec![log_key], vec![KeyInRange::always(key)]);
        let trusted = Trusted { revision, root_keys: vec![root_key.did()], ..trusted };
        root_key.sign_trust_root(&TrustRoot::of(trusted).unwrap()).unwrap()
    }

    #[test]
    fn a_newer_file_is_taken_from_whoever_the_pinned_one_names_and_nobody_else() {
        let [key, stranger] = [(); 2].map(|()| OperatorKey::generate(&system_env()));
        let (first, second) = (root(&key, 1), root(&key, 2));
        assert!(!judge(&second, Some(&first), None).unwrap());
        assert!(judge(&first, Some(&first), None).unwrap(), "pinned already");
        for (file, why) in [(root(&stranger, 3), "no root key"), (root(&key, 1), "known already")] {
            let refused = judge(&file, Some(&first), None).unwrap_err();
            assert!(refused.message().contains(why), "{}", refused.message());
            // A digest does not help against a pinned file.
            assert!(judge(&file, Some(&first), Some(file.digest())).is_err());
        }
    }

    #[test]
    fn a_first_file_is_taken_by_its_digest_alone() {
        let file = root(&OperatorKey::generate(&system_env()), 1);
        assert!(judge(&file, None, None).unwrap_err().message().contains(&file.digest().to_string()));
        assert!(judge(&file, None, Some(Digest::of(b"another"))).is_err());
        assert!(!judge(&file, None, Some(file.digest())).unwrap());
    }

    #[test]
    fn what_a_file_says_is_shown_with_who_signed_it_and_when_it_ends() {
        let key = OperatorKey::generate(&system_env());
        let now = system_env().now();
        let ends = |days: i64| {
            let trusted = root(&key, 2).trusted().clone();
            let expires = Some(now + time::Duration::days(days));
            TrustRoot::of(Trusted { expires, signatures: Vec::new(), ..trusted }).unwrap()
        };
        let text = text_of(&root(&key, 2), Some(&root(&key, 1)), now);
        for part in ["a.example/1", "from 0", "a root key of the pinned file", "never", "newer: "] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(text_of(&ends(-1), None, now).contains("EXPIRED"));
        assert!(text_of(&ends(7), None, now).contains("soon, on"));
        assert!(text_of(&ends(7), None, now).contains("nobody"));
        assert_eq!(json_of(&ends(7), now)["expires_soon"], true);
        assert!(expiry_warning(&ends(90), now).is_none());
        let stranger = text_of(&root(&OperatorKey::generate(&system_env()), 9), Some(&root(&key, 1)), now);
        assert!(
            stranger.contains("a root key of its own") && stranger.contains("no root key of the trust root")
        );
    }

    #[test]
    fn a_key_is_shown_under_the_names_that_it_signs_by() {
        let key = OperatorKey::generate(&system_env());
        let names =
            |log: &str, witness: &str| Names { log: Some(log.to_owned()), witness: Some(witness.to_owned()) };
        let (log, witness) = show_names(&key, &names("a.example/1", "w.example")).unwrap();
        assert_eq!(log.unwrap().parse::<LogKey>().unwrap().key(), key.did());
        assert_eq!(witness.unwrap().parse::<WitnessKey>().unwrap().name(), "w.example");
        assert!(show_names(&key, &names("a b", "w")).is_err());
    }
}
