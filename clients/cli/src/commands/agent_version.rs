//! `agent publish|versions|reproduce`: what an agent says that it runs, and whether it is so.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use poa_sdk::api::auth::{AgentVersion as Shown, ListAgentVersionsRequest};
use poa_sdk::receipts::archive::{self, Summary};
use poa_sdk::receipts::notice::{KeyReason, TeeMeasurement};
use poa_sdk::receipts::{AgentVersion, Digest, Envelope, NoticeStatement};
use poa_sdk::{
    AgentId, Build, KeyHistory, KeyLife, Session, SigningError, ToJson as _, VersionCheck, rfc3339,
    system_env,
};
use serde_json::{Value as Json, json};

use super::agent::{find, load_key};
use super::agent_archive;
use crate::app::{App, read_file};
use crate::archive::refused;
use crate::failure::{Exit, Failure};
use crate::output::{fields, one_line, plain};
use crate::paging;
use crate::units::bytes;

/// The versions of an agent that are looked through: the contract's most.
const MAX_VERSIONS: usize = 10_000;

#[derive(Debug, Args)]
pub(crate) struct PublishArgs {
    /// The agent's directory.
    dir: PathBuf,
    /// What the version is called, such as 1.4.0: once per agent.
    #[arg(long, value_name = "NAME")]
    version: String,
    /// Where others find the source of exactly this directory, such as a repository and a commit.
    #[arg(long, value_name = "REF")]
    source: Option<String>,
    /// What a trusted execution environment measures of this build, such as awsNitro=HEX; may be given several times.
    #[arg(long = "measurement", value_name = "VENDOR=HEX")]
    measurements: Vec<Measurement>,
    /// The agent's key [default: agent.pem in the profile's folder].
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The agent [default: yours with this key].
    #[arg(long, value_name = "ID")]
    agent: Option<String>,
    /// Keep the archive in a file outside of DIR.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Whom to believe which log this is [default: the pinned trust root].
    #[arg(long, value_name = "FILE")]
    trust_root: Option<PathBuf>,
    /// Show what would be published, and publish nothing.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct VersionsArgs {
    /// `agent_…`.
    agent: AgentId,
    /// How many at most.
    #[arg(long, default_value_t = 50, value_name = "N")]
    limit: usize,
    /// Whom to believe [default: the pinned trust root].
    #[arg(long, value_name = "FILE")]
    trust_root: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ReproduceArgs {
    /// `agent_…`, its newest version; or `agent_…@VERSION`.
    #[arg(value_name = "AGENT[@VERSION]")]
    target: Target,
    /// The source, as the version names it.
    dir: PathBuf,
    /// The archive that the agent has published: where the two differ, in what.
    #[arg(long, value_name = "FILE")]
    archive: Option<PathBuf>,
    /// Whom to believe [default: the pinned trust root].
    #[arg(long, value_name = "FILE")]
    trust_root: Option<PathBuf>,
}

/// `VENDOR=HEX` of the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Measurement(TeeMeasurement);

/// `AGENT[@VERSION]` of the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    agent: AgentId,
    version: Option<String>,
}

pub(crate) async fn publish(app: &App, args: PublishArgs) -> Result<(), Failure> {
    let root = app.trust_root(args.trust_root.as_deref())?;
    let key = load_key(app, args.key)?;
    let summary = agent_archive::keep(&args.dir, args.output.as_deref())?;
    let session = app.session()?;
    let agent = find(&session, args.agent.as_deref(), &key).await?;
    let id: AgentId = agent.agent_id.parse().map_err(|error| {
        Failure::new(Exit::Other, format!("the server's answer has no agent's id: {error}"))
    })?;
    let history = KeyHistory::check(id, &session.key_events(&agent.agent_id).await?)?;
    if history.current() != Some(key.did()) {
        return Err(Failure::new(Exit::Refused, "this is not the key that the agent signs with")
            .hint(format!("see `poa agent keys {id}`, and name the key with --key FILE")));
    }
    let notice = AgentVersion {
        agent: id,
        version: args.version,
        build_digest: summary.digest,
        build_size: u64::try_from(summary.bytes).unwrap_or(u64::MAX),
        source_ref: args.source,
        measurements: args.measurements.into_iter().map(|measurement| measurement.0).collect(),
        published_time: system_env().now(),
    };
    let (statement, envelope) = key.sign_version(&system_env(), &root, &notice).map_err(unsigned)?;
    let before = named(&session, id, &notice.version).await?;
    if let Some(before) = before {
        let checked = history.check_version(&before, &root)?;
        same_build(checked.statement.notice(), &notice)?;
        app.out.progress("This version is published already, with this build.");
        return show(app, &before, &checked.statement, &summary);
    }
    if args.dry_run {
        return show_draft(app, &statement, &summary);
    }
    let published = send(&session, &envelope, &notice, id).await?;
    let checked = history.check_version(&published, &root)?;
    show(app, &published, &checked.statement, &summary)
}

/// Publishes. Where the answer is lost, the list says whether it happened.
async fn send(
    session: &Session,
    envelope: &Envelope,
    notice: &AgentVersion,
    id: AgentId,
) -> Result<Shown, Failure> {
    let error = match session.publish_agent_version(envelope).await {
        Ok(published) => return Ok(published),
        Err(error) => error,
    };
    match named(session, id, &notice.version).await {
        Ok(Some(there)) if there.build_digest == notice.build_digest.as_bytes() => Ok(there),
        Ok(_) | Err(_) => Err(error.into()),
    }
}

/// That a version of this name is the one at hand.
fn same_build(published: &AgentVersion, at_hand: &AgentVersion) -> Result<(), Failure> {
    let same = published.build_digest == at_hand.build_digest
        && published.source_ref == at_hand.source_ref
        && published.measurements == at_hand.measurements;
    if same {
        return Ok(());
    }
    let message = format!("the version {} is published already, and is another one", at_hand.version);
    Err(Failure::new(Exit::Refused, message).hint("a version stays what it is: take another name"))
}

/// A field of the version is what was typed.
fn unsigned(error: SigningError) -> Failure {
    match error {
        SigningError::Statement(error) => Failure::new(Exit::Usage, error.to_string()),
        SigningError::Terms(_) | SigningError::Envelope(_) | SigningError::Mismatch { .. } => {
            poa_sdk::Error::from(error).into()
        }
    }
}

fn show(
    app: &App,
    published: &Shown,
    statement: &NoticeStatement<AgentVersion>,
    summary: &Summary,
) -> Result<(), Failure> {
    app.out.show(published, || {
        format!("PUBLISHED\n\n{}\n\n{}", rows(statement, summary), how(statement.notice()))
    })
}

fn show_draft(
    app: &App,
    statement: &NoticeStatement<AgentVersion>,
    summary: &Summary,
) -> Result<(), Failure> {
    app.out.either(
        || json!({ "published": false, "statement": String::from_utf8_lossy(statement.payload()) }),
        || format!("{}\n\nNothing was published: this was --dry-run.", rows(statement, summary)),
    )
}

fn rows(statement: &NoticeStatement<AgentVersion>, summary: &Summary) -> String {
    let version = statement.notice();
    let mut rows = vec![
        ("agent", version.agent.to_string()),
        ("version", version.version.clone()),
        ("build digest", version.build_digest.to_string()),
        (
            "archive",
            format!("{}, {} files, {} links", bytes(version.build_size), summary.files, summary.links),
        ),
        ("source", version.source_ref.as_deref().map_or_else(|| "not said".to_owned(), one_line)),
    ];
    rows.extend(version.measurements.iter().map(|it| ("measured", format!("{} {}", it.vendor, it.value))));
    rows.push(("log", statement.origin().to_owned()));
    rows.push(("signed by", statement.signer().to_string()));
    fields(&rows)
}

/// How somebody else gets to the same digest.
fn how(version: &AgentVersion) -> String {
    match &version.source_ref {
        Some(source) => format!(
            "Others check it so: get the source from {}, then run\n  poa agent reproduce {}@{} DIR",
            one_line(source),
            version.agent,
            version.version
        ),
        None => {
            "Nobody can check it: say where the source is with --source REF in the next version.".to_owned()
        }
    }
}

pub(crate) async fn versions(app: &App, args: VersionsArgs) -> Result<(), Failure> {
    let root = app.trust_root(args.trust_root.as_deref())?;
    let session = app.session()?;
    let history = KeyHistory::check(args.agent, &session.key_events(&args.agent.to_string()).await?)?;
    let listed = list(&session, args.agent, args.limit).await?;
    let mut broken = None;
    for version in &listed {
        match history.check_version(version, &root) {
            Ok(checked) => {
                app.out.either(|| checked_json(version, &checked), || checked_line(&checked))?;
            }
            Err(error) => {
                let problem = error.to_string();
                app.out.either(
                    || {
                        let mut row = version.to_json();
                        row["verified"] = json!(false);
                        row["problem"] = json!(problem);
                        row
                    },
                    || format!("NOT VERIFIED  {}", plain(&problem)),
                )?;
                broken.get_or_insert(error);
            }
        }
    }
    if listed.is_empty() {
        app.out.progress("No versions. Publish one: `poa agent publish DIR --version NAME --source REF`.");
    }
    broken.map_or(Ok(()), |error| Err(error.into()))
}

fn checked_line(checked: &VersionCheck) -> String {
    let version = checked.statement.notice();
    format!(
        "{}  {}  {}\n  source {}\n  signed with the key of event {}",
        version.version,
        rfc3339(version.published_time),
        version.build_digest,
        version.source_ref.as_deref().map_or_else(|| "not said".to_owned(), one_line),
        life_text(&checked.key)
    )
}

/// A key by its event, and what became of it.
fn life_text(key: &KeyLife) -> String {
    let Some(end) = key.ended else { return format!("{}, which signs", key.from) };
    match (end.reason, end.compromised_since) {
        (KeyReason::Compromised, Some(since)) => {
            format!("{}, COMPROMISED since {} (event {})", key.from, rfc3339(since), end.sequence)
        }
        (KeyReason::Compromised, None) => format!("{}, COMPROMISED (event {})", key.from, end.sequence),
        (KeyReason::Superseded, _) => format!("{}, superseded by event {}", key.from, end.sequence),
    }
}

fn checked_json(version: &Shown, checked: &VersionCheck) -> Json {
    let mut row = version.to_json();
    let end = checked.key.ended;
    row["verified"] = json!(true);
    row["signer"] = json!(checked.statement.signer().to_string());
    row["signer_event"] = json!(checked.key.from);
    row["signer_state"] = json!(end.map_or("active", |end| end.reason.as_str()));
    row["signer_compromised_since"] = json!(end.and_then(|end| end.compromised_since).map(rfc3339));
    row
}

pub(crate) async fn reproduce(app: &App, args: ReproduceArgs) -> Result<(), Failure> {
    let root = app.trust_root(args.trust_root.as_deref())?;
    let session = app.session()?;
    let id = args.target.agent;
    let shown = match &args.target.version {
        Some(name) => named(&session, id, name).await?,
        None => list(&session, id, 1).await?.pop(),
    };
    let shown = shown.ok_or_else(|| {
        Failure::new(Exit::NotFound, "the agent has not published this version")
            .hint(format!("see `poa agent versions {id}`"))
    })?;
    let history = KeyHistory::check(id, &session.key_events(&id.to_string()).await?)?;
    let checked = history.check_version(&shown, &root)?;
    let version = checked.statement.notice();
    let published = args.archive.as_deref().map(|path| published(path, version.build_digest)).transpose()?;
    let (made, summary) = agent_archive::in_memory(&args.dir)?;
    if summary.digest == version.build_digest {
        return app.out.either(
            || json!({
                "reproduced": true, "agent_id": id.to_string(), "version": version.version,
                "build_digest": summary.digest.to_string(),
            }),
            || format!(
                "REPRODUCED  version {} of {id} is made of this directory\n\n{}\n\n`poa verify RECEIPT --build {}` now shows L2 for work whose receipt names this build.",
                version.version,
                fields(&[
                    ("build digest", summary.digest.to_string()),
                    ("signed with", format!("the key of event {}", life_text(&checked.key))),
                ]),
                args.dir.display()
            ),
        );
    }
    if let Some(published) = &published {
        for difference in differences(published, &made)? {
            app.out.either(
                || json!({ "path": difference.0, "change": difference.1 }),
                || format!("{}: {}", plain(&difference.0), plain(&difference.1)),
            )?;
        }
    }
    let message = format!(
        "NOT REPRODUCED: this directory makes {}, and version {} is {}",
        summary.digest, version.version, version.build_digest
    );
    let source = version.source_ref.as_deref().map_or_else(|| "which it does not name".to_owned(), one_line);
    let hint = match published {
        Some(_) => format!("the differences stand above; its source is {source}"),
        None => format!(
            "is this its source, {source}? With the published archive, --archive FILE says in what they differ"
        ),
    };
    Err(Failure::new(Exit::Unverified, message).hint(hint))
}

/// The archive that the agent has published, which is known by its digest.
fn published(path: &Path, expected: Digest) -> Result<Vec<u8>, Failure> {
    let bytes = read_file(path, archive::MAX_ARCHIVE_BYTES)?;
    let found = Digest::of(&bytes);
    if found == expected {
        return Ok(bytes);
    }
    let message = format!("{} is not the published archive: it has the digest {found}", path.display());
    Err(Failure::new(Exit::Unverified, message))
}

/// In what two archives differ: paths and changes.
fn differences(published: &[u8], made: &[u8]) -> Result<Vec<(String, String)>, Failure> {
    let (expected, found) =
        (archive::read(published).map_err(refused)?, archive::read(made).map_err(refused)?);
    let differences = archive::compare(&expected, &found).into_iter();
    Ok(differences.map(|it| (it.path.to_string(), it.change.to_string())).collect())
}

async fn list(session: &Session, agent: AgentId, limit: usize) -> Result<Vec<Shown>, Failure> {
    let versions = paging::collect(limit, |page_size, page_token| async move {
        let agent_id = agent.to_string();
        let page =
            session.agent_versions(ListAgentVersionsRequest { page_size, page_token, agent_id }).await?;
        Ok((page.versions, page.next_page_token))
    });
    Ok(versions.await?)
}

/// The build of a version that the agent has published, as receipts name it.
pub(super) async fn build_of(session: &Session, agent: AgentId, name: &str) -> Result<Build, Failure> {
    let found = named(session, agent, name).await?.ok_or_else(|| {
        Failure::new(Exit::NotFound, format!("the agent has published no version {name}"))
            .hint("publish it: `poa agent publish DIR --version NAME`")
    })?;
    let digest = Digest::try_from(found.build_digest.as_slice())
        .map_err(|_| Failure::new(Exit::Unverified, "the server's version has no digest of its build"))?;
    Ok(Build { digest, source_ref: Some(found.source_ref).filter(|source| !source.is_empty()) })
}

async fn named(session: &Session, agent: AgentId, name: &str) -> Result<Option<Shown>, Failure> {
    let versions = list(session, agent, MAX_VERSIONS).await?;
    Ok(versions.into_iter().find(|version| version.version == name))
}

// === impl Measurement ===

impl FromStr for Measurement {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (vendor, value) = text
            .split_once('=')
            .filter(|(vendor, value)| !vendor.is_empty() && !value.is_empty())
            .ok_or_else(|| {
                format!("`{text}` is not a measurement: expected VENDOR=HEX, such as awsNitro=00ff")
            })?;
        Ok(Self(TeeMeasurement { vendor: vendor.to_owned(), value: value.to_ascii_lowercase() }))
    }
}

// === impl Target ===

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (agent, version) = match text.split_once('@') {
            Some((_, "")) => return Err(format!("`{text}` names no version after the @")),
            Some((agent, version)) => (agent, Some(version.to_owned())),
            None => (text, None),
        };
        let agent = agent.parse().map_err(|error| format!("`{agent}` is not an agent's id: {error}"))?;
        Ok(Self { agent, version })
    }
}

#[cfg(test)]
#[path = "agent_version_tests.rs"]
mod tests;
