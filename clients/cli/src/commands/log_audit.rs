//! `log audit`: follows the log from the trust root on, and believes nothing else.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use poa_sdk::receipts::TrustRoot;
use poa_sdk::receipts::audit::{Auditor, Finding, MERGE_DELAY, Next, Settled, Shown};
use poa_sdk::{rfc3339, system_env};
use serde_json::json;

use crate::app::App;
use crate::audit::given::{self, Given, What};
use crate::audit::source::Source;
use crate::audit::store::Store;
use crate::failure::{Exit, Failure};
use crate::output::{fields, plain};
use crate::units::{Span, grouped};

/// How long one waits for what is pending before it is a finding: the merge delay, and a moment for the way.
const PATIENCE: Duration = MERGE_DELAY.saturating_add(Duration::from_secs(2));
/// How often one looks meanwhile.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How often the state is kept while the log is followed: a large one has many megabytes.
const SAVE_INTERVAL: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// What is remembered between two runs [default: `audit` in the profile's folder].
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// A receipt, or a folder of them: each must stand in the log.
    #[arg(long, value_name = "DIR_OR_FILE")]
    receipts: Vec<PathBuf>,
    /// A checkpoint that somebody saw elsewhere: it must be of the same tree.
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
    /// Go on until Ctrl-C.
    #[arg(long)]
    follow: bool,
    /// How often to look, with --follow.
    #[arg(long, value_name = "SPAN", default_value = "10s", requires = "follow")]
    every: Span,
    /// Whom to believe [default: the pinned trust root].
    #[arg(long, value_name = "FILE")]
    trust_root: Option<PathBuf>,
}

/// A run.
struct Audit<'a> {
    app: &'a App,
    source: Source<'a>,
    store: Store,
    auditor: Auditor<'a>,
    given: Vec<Given>,
    /// The size of which the tiles were looked at.
    tiles_at: u64,
    /// Since when something is pending.
    waiting: Option<Instant>,
    saved: Instant,
    found: u64,
}

pub(crate) async fn run(app: &App, args: AuditArgs) -> Result<(), Failure> {
    let root = app.trust_root(args.trust_root.as_deref())?;
    check_expiry(&root)?;
    let store = Store::open(&args.state.unwrap_or_else(|| app.profile.audit_path()))?;
    let auditor = Auditor::new(&root, store.load(root.origin())?);
    // Before the log is asked: what they promise must be in what it shows now.
    let given = given::read(app.out, &args.receipts, &args.checkpoint)?;
    let client = app.client()?;
    let mut audit = Audit {
        app,
        source: Source::new(&client),
        store,
        auditor,
        given,
        tiles_at: 0,
        waiting: None,
        saved: Instant::now(),
        found: 0,
    };
    if args.follow {
        audit.follow(args.every.0).await?
    } else {
        audit.once().await?
    }
    audit.store.save(audit.auditor.state())?;
    audit.conclude(&root)
}

/// An expired trust root vouches for nobody.
pub(crate) fn check_expiry(root: &TrustRoot) -> Result<(), Failure> {
    match root.expires().filter(|expires| *expires <= system_env().now()) {
        Some(expires) => {
            let message = format!("the trust root has expired on {}", rfc3339(expires));
            Err(Failure::new(Exit::Unverified, message).hint("get a newer one from someone you trust"))
        }
        None => Ok(()),
    }
}

// === impl Audit ===

impl Audit<'_> {
    async fn once(&mut self) -> Result<(), Failure> {
        loop {
            Box::pin(self.round()).await?;
            if self.waiting.is_none() {
                return Ok(());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    async fn follow(&mut self, every: Duration) -> Result<(), Failure> {
        let mut size = None;
        loop {
            match Box::pin(self.round()).await {
                Ok(()) => {}
                // It may come back; somebody who cannot be reached has shown nothing.
                Err(failure) if failure.exit() == Exit::Unavailable => self.app.out.warn(failure.message()),
                Err(failure) => return Err(failure),
            }
            let state = self.auditor.state();
            if size.replace(state.size()) != Some(state.size()) {
                self.app.out.progress(&format!("{} entries, root {}", grouped(state.size()), state.root()));
            }
            if self.saved.elapsed() >= SAVE_INTERVAL {
                self.store.save(state)?;
                self.saved = Instant::now();
            }
            tokio::select! {
                () = tokio::time::sleep(every.max(POLL_INTERVAL)) => {}
                _ = tokio::signal::ctrl_c() => return Ok(()),
            }
        }
    }

    /// Looks once, and tells what was found, also where the server went away in between. Sets `waiting` where something is to be looked
    /// at again.
    async fn round(&mut self) -> Result<(), Failure> {
        let last = self.waiting.is_some_and(|since| since.elapsed() >= PATIENCE);
        let looked = self.look(last).await;
        // Told and kept before the state says that it was seen.
        self.tell()?;
        let waiting = looked?;
        // What was judged is not waited for any more.
        self.waiting = if waiting && !last { Some(self.waiting.unwrap_or_else(Instant::now)) } else { None };
        Ok(())
    }

    /// Looks at the newest checkpoint, all that is new under it, and what the user holds. Answers whether something is pending.
    async fn look(&mut self, last: bool) -> Result<bool, Failure> {
        // A log that shows less than it has signed cannot show what the audited tree holds: that is one finding, not many.
        if !self.newest(last).await? {
            return Ok(true);
        }
        let mut waiting = false;
        if self.tiles_at != self.auditor.state().size() {
            for tile in self.auditor.tiles() {
                let data = self.source.tile(&tile).await?;
                self.auditor.tile(&tile, data.as_deref());
            }
            self.tiles_at = self.auditor.state().size();
        }
        for place in 0..self.given.len() {
            waiting |= !self.hold(place, last).await?;
        }
        waiting |= self.auditor.is_waiting();
        if last {
            self.auditor.overdue(system_env().now());
        }
        Ok(waiting)
    }

    /// Answers whether the log shows all that was audited. An older tree is a finding at last: it may be about to correct it.
    async fn newest(&mut self, last: bool) -> Result<bool, Failure> {
        let note = self.source.checkpoint().await?;
        match self.auditor.begin(&note) {
            Next::Same | Next::Refused => Ok(true),
            Next::Older { .. } if !last => Ok(false),
            Next::Older { size } => {
                let proof = self.source.consistency(size.max(1), self.auditor.state().size()).await?;
                self.auditor.older(&note, proof.as_deref());
                Ok(false)
            }
            Next::Read { first, size } => {
                self.read(first, size).await?;
                let proof = if first > 0 { self.source.consistency(first, size).await? } else { None };
                self.auditor.finish(proof.as_deref());
                Ok(true)
            }
        }
    }

    async fn read(&mut self, first: u64, size: u64) -> Result<(), Failure> {
        let (mut place, mut told) = (first, Instant::now());
        while place < size {
            let entries = self.source.entries(place).await?;
            if entries.is_empty() {
                break;
            }
            place = place.saturating_add(u64::try_from(entries.len()).unwrap_or(u64::MAX));
            self.auditor.feed(entries.iter().map(|it| Shown { entry: &it.entry, envelope: &it.envelope }));
            if told.elapsed() >= POLL_INTERVAL {
                told = Instant::now();
                let done = format!("{} of {} entries", grouped(place.min(size)), grouped(size));
                self.app.out.progress(&done);
            }
        }
        Ok(())
    }

    /// Holds a file against the audited tree. Answers whether that is done with.
    async fn hold(&mut self, place: usize, last: bool) -> Result<bool, Failure> {
        let Some(given) = self.given.get_mut(place).filter(|given| !given.settled) else { return Ok(true) };
        let (name, size) = (&given.name, self.auditor.state().size());
        let (note, mut settled) = match &given.what {
            What::Checkpoint(note) => (note, Settled::Yes),
            What::Receipt(bundle) => {
                let mut leaves = HashMap::new();
                for place in self.auditor.places(bundle) {
                    if let Some(leaf) = self.source.leaf(place, size).await? {
                        leaves.insert(place, leaf);
                    }
                }
                let shown = |place| leaves.get(&place).cloned();
                (&bundle.checkpoint, self.auditor.receipt(name, bundle, shown, system_env().now()))
            }
        };
        let proof = match self.auditor.proof_for(note) {
            Some(first) => self.source.consistency(first, size).await?,
            None => None,
        };
        if self.auditor.checkpoint(name, note, proof.as_deref()) == Settled::Ahead {
            settled = Settled::Ahead;
            if last {
                self.auditor.stale(name, note);
            }
        }
        given.settled = settled == Settled::Yes;
        Ok(given.settled)
    }

    /// Tells what was found, and keeps it.
    fn tell(&mut self) -> Result<(), Failure> {
        for finding in self.auditor.take_findings() {
            self.found = self.found.saturating_add(1);
            let file = self.store.keep(&finding)?.map(|path| path.display().to_string());
            self.app.out.either(
                || {
                    json!({
                        "finding": finding.kind.as_str(), "log_index": finding.log_index.map(|it| it.to_string()),
                        "detail": finding.detail, "evidence": file,
                    })
                },
                || text_of(&finding, file.as_deref()),
            )?;
        }
        Ok(())
    }

    fn conclude(&self, root: &TrustRoot) -> Result<(), Failure> {
        let (state, checked) = (self.auditor.state(), self.auditor.checked());
        let before = state.findings().saturating_sub(self.found);
        let clean = self.found == 0;
        self.app.out.either(
            || {
                json!({
                    "clean": clean, "origin": root.origin(), "size": state.size().to_string(),
                    "root": state.root().to_string(), "findings": self.found.to_string(),
                    "earlier_findings": before.to_string(), "trust_root": root.digest().to_string(),
                    "checked": {
                        "entries": checked.entries.to_string(), "notices": checked.notices.to_string(),
                        "records": checked.records.to_string(), "checkpoints": checked.checkpoints.to_string(),
                        "proofs": checked.proofs.to_string(), "tiles": checked.tiles.to_string(),
                        "receipts": checked.receipts.to_string(), "statements": checked.statements.to_string(),
                    },
                })
            },
            || {
                let head = if clean { "CLEAN" } else { "NOT CLEAN" };
                let witnesses = &root.trusted().witnesses;
                let rows = [
                    ("root", state.root().to_string()),
                    (
                        "new entries",
                        format!(
                            "{}, of them {} public statements and {} records",
                            grouped(checked.entries),
                            grouped(checked.notices),
                            grouped(checked.records)
                        ),
                    ),
                    (
                        "proofs",
                        format!(
                            "{} checkpoints, {} of consistency, {} tiles",
                            checked.checkpoints, checked.proofs, checked.tiles
                        ),
                    ),
                    ("receipts", format!("{}, with {} statements", checked.receipts, checked.statements)),
                    ("witnesses", format!("{} asked for, of {}", witnesses.quorum, witnesses.keys.len())),
                    ("trust root", root.digest().to_string()),
                    ("state", self.store.path().display().to_string()),
                    ("earlier findings", before.to_string()),
                ];
                format!("{head}  the log {}, as of size {}\n\n{}", root.origin(), state.size(), fields(&rows))
            },
        )?;
        if clean {
            return Ok(());
        }
        Err(Failure::new(Exit::Unverified, format!("the audit has findings: {}", self.found)).hint(
            "keep the evidence, and show it to others: docs/guides/audit.md says what each finding means",
        ))
    }
}

fn text_of(finding: &Finding, file: Option<&str>) -> String {
    let at = finding.log_index.map(|place| format!(" at {place}")).unwrap_or_default();
    let mut text = format!("FINDING  {}{at}: {}", finding.kind, plain(&finding.detail));
    // Two signed notes that disagree are what others must see.
    let notes = finding.evidence.iter().filter(|it| matches!(it.name.as_str(), "seen" | "shown"));
    for note in notes {
        text.push_str(&format!("\n--- {}\n{}", note.name, plain(note.text.trim_end())));
    }
    if let Some(file) = file {
        text.push_str(&format!("\n  kept in {file}"));
    }
    text
}
