//! `reputation`: what the log's public records come to for an agent, asked of the platform or computed from the log.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Subcommand;
use poa_sdk::api::attestation::Reputation as Said;
use poa_sdk::receipts::audit::Tree;
use poa_sdk::receipts::reputation::{FORMULA_VERSION, Ledger, Reputation, day_of};
use poa_sdk::receipts::tlog::{LogEntry, leaf_hash};
use poa_sdk::{AgentId, rfc3339, system_env};
use serde_json::{Value as Json, json};

use super::log_audit::check_expiry;
use crate::app::App;
use crate::audit::source::Source;
use crate::failure::{Exit, Failure};
use crate::output::fields;
use crate::units::{Moment, grouped, sats};

/// How long one waits for a checkpoint that reaches what the platform computed from.
const PATIENCE: Duration = Duration::from_secs(12);
const POLL_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug, Subcommand)]
pub(crate) enum ReputationCommand {
    /// Ask the platform.
    Show {
        /// `agent_…`.
        agent_id: AgentId,
    },
    /// Compute it from the log's entries, checked against the signed checkpoint: of one agent, or of all.
    Recompute {
        /// `agent_…`.
        agent_id: Option<AgentId>,
        /// As of which day [default: today, in UTC].
        #[arg(long, value_name = "YYYY-MM-DD")]
        day: Option<Moment>,
        /// Hold it against what the platform says.
        #[arg(long, requires = "agent_id", conflicts_with = "day")]
        compare: bool,
        /// Whom to believe [default: the pinned trust root].
        #[arg(long, value_name = "FILE")]
        trust_root: Option<PathBuf>,
    },
}

/// What was computed.
struct Computed {
    agent: AgentId,
    size: u64,
    day: u32,
    reputation: Reputation,
}

pub(crate) async fn run(app: &App, command: ReputationCommand) -> Result<(), Failure> {
    match command {
        ReputationCommand::Show { agent_id } => show(app, agent_id).await,
        ReputationCommand::Recompute { agent_id, day, compare, trust_root } => {
            let root = app.trust_root(trust_root.as_deref())?;
            check_expiry(&root)?;
            let client = app.client()?;
            let said = match agent_id.filter(|_| compare) {
                Some(agent) => Some(client.reputation(&agent.to_string()).await?),
                None => None,
            };
            let source = Source::new(&client);
            let least = said.as_ref().map_or(0, |said| u64::try_from(said.tree_size).unwrap_or_default());
            let checkpoint = checkpoint(&source, &root, least).await?;
            let size = if said.is_some() { least } else { checkpoint.size };
            let ledger = read(app, &source, &checkpoint, size, agent_id).await?;
            let today = day.map_or_else(|| system_env().now(), |moment| moment.0);
            let day = match &said {
                Some(said) => u32::try_from(said.day).unwrap_or_default(),
                None => day_of(today),
            };
            let agents: Vec<AgentId> =
                agent_id.map_or_else(|| ledger.agents().collect(), |agent| vec![agent]);
            let computed = agents.into_iter().map(|agent| Computed {
                agent,
                size,
                day,
                reputation: ledger.reputation(agent, day),
            });
            print(app, &computed.collect::<Vec<_>>(), said.as_ref())
        }
    }
}

async fn show(app: &App, agent: AgentId) -> Result<(), Failure> {
    let said = app.client()?.reputation(&agent.to_string()).await?;
    app.out.show(&said, || {
        let rows = [
            ("agent", said.agent_id.clone()),
            ("score", format!("{} of 1,000", said.score)),
            ("quality", quality(u64::try_from(said.quality_basis_points).unwrap_or_default())),
            ("experience", sats(said.experience_msat)),
            (
                "completed",
                format!(
                    "{}, {} on time, {} accepted by the requester",
                    said.completed, said.on_time, said.accepted
                ),
            ),
            ("parts paid", said.paid_in_part.to_string()),
            ("rejected", said.rejected.to_string()),
            ("lapsed", said.lapsed.to_string()),
            ("disputed", said.disputed.to_string()),
            ("requesters", format!("{}, {} more than once", said.requesters, said.repeat_requesters)),
            ("left out", format!("{} of its own account", said.self_dealing)),
            ("as of", format!("size {}, day {}, formula {}", said.tree_size, said.day, said.formula_version)),
        ];
        format!(
            "{}\n\nThe platform says so. Compute it yourself: `poa reputation recompute {agent} --compare`",
            fields(&rows)
        )
    })
}

/// A signed and witnessed checkpoint of at least a size.
async fn checkpoint(
    source: &Source<'_>,
    root: &poa_sdk::receipts::TrustRoot,
    least: u64,
) -> Result<poa_sdk::receipts::Checkpoint, Failure> {
    let begun = Instant::now();
    loop {
        let opened = root.open_checkpoint(&source.checkpoint().await?);
        match opened {
            Ok((checkpoint, _)) if checkpoint.size >= least => return Ok(checkpoint),
            Ok((checkpoint, _)) if begun.elapsed() >= PATIENCE => {
                let message = format!(
                    "the platform computed from {least} entries, and shows a checkpoint of {}",
                    checkpoint.size
                );
                return Err(Failure::new(Exit::Unverified, message));
            }
            Err(error) if begun.elapsed() >= PATIENCE => {
                return Err(Failure::new(Exit::Unverified, error.to_string()));
            }
            Ok(_) | Err(_) => tokio::time::sleep(POLL_INTERVAL).await,
        }
    }
}

/// The records of the first `size` entries, of one agent or of all. All entries are read, because all of them make the root.
async fn read(
    app: &App,
    source: &Source<'_>,
    checkpoint: &poa_sdk::receipts::Checkpoint,
    size: u64,
    agent: Option<AgentId>,
) -> Result<Ledger, Failure> {
    let (mut tree, mut ledger) = (Tree::default(), Ledger::default());
    let mut told = Instant::now();
    while tree.size() < checkpoint.size {
        let entries = source.entries(tree.size()).await?;
        if entries.is_empty() {
            let message =
                format!("the log has signed {} entries, and shows {}", checkpoint.size, tree.size());
            return Err(Failure::new(Exit::Unverified, message));
        }
        for shown in entries {
            let place = tree.size();
            if place >= checkpoint.size {
                break;
            }
            tree.push(leaf_hash(&shown.entry))
                .map_err(|error| Failure::new(Exit::Unverified, error.to_string()))?;
            let entry = LogEntry::decode(&shown.entry)
                .map_err(|error| Failure::new(Exit::Unverified, format!("the entry {place}: {error}")))?;
            let record = entry
                .record
                .filter(|record| place < size && agent.is_none_or(|agent| agent == record.facts.agent));
            if let Some(record) = record {
                ledger.add(record);
            }
        }
        if told.elapsed() >= POLL_INTERVAL {
            told = Instant::now();
            app.out.progress(&format!("{} of {} entries", grouped(tree.size()), grouped(checkpoint.size)));
        }
    }
    if tree.root() == checkpoint.root {
        return Ok(ledger);
    }
    let message = "the entries that the log shows do not make the tree that it signed: run `poa log audit`";
    Err(Failure::new(Exit::Unverified, message))
}

fn print(app: &App, computed: &[Computed], said: Option<&Said>) -> Result<(), Failure> {
    if computed.is_empty() {
        app.out.progress("No agent has a record.");
    }
    for it in computed {
        let differences = said.map(|said| differences(it, said));
        app.out.either(|| json_of(it, differences.as_deref()), || text_of(it, differences.as_deref()))?;
        if let Some(different) = differences.filter(|names| !names.is_empty()) {
            let message =
                format!("the platform says something else of {}: {}", it.agent, different.join(", "));
            return Err(Failure::new(Exit::Unverified, message));
        }
    }
    Ok(())
}

/// Of each number its name, what was computed, and what the platform says of it.
fn numbers(computed: &Reputation) -> [(&'static str, u64); 13] {
    let it = computed;
    [
        ("score", it.score),
        ("quality_basis_points", it.quality),
        ("experience_msat", it.experience_msat),
        ("completed", it.completed),
        ("accepted", it.accepted),
        ("paid_in_part", it.paid_in_part),
        ("rejected", it.rejected),
        ("lapsed", it.lapsed),
        ("disputed", it.disputed),
        ("on_time", it.on_time),
        ("requesters", it.requesters),
        ("repeat_requesters", it.repeat_requesters),
        ("self_dealing", it.self_dealing),
    ]
}

fn differences(computed: &Computed, said: &Said) -> Vec<String> {
    let theirs = [
        said.score,
        said.quality_basis_points,
        said.experience_msat,
        said.completed,
        said.accepted,
        said.paid_in_part,
        said.rejected,
        said.lapsed,
        said.disputed,
        said.on_time,
        said.requesters,
        said.repeat_requesters,
        said.self_dealing,
    ];
    let mut different: Vec<String> = numbers(&computed.reputation)
        .into_iter()
        .zip(theirs)
        .filter(|((_, ours), theirs)| u64::try_from(*theirs) != Ok(*ours))
        .map(|((name, ours), theirs)| format!("{name} is {ours} and not {theirs}"))
        .collect();
    if u32::try_from(said.formula_version) != Ok(FORMULA_VERSION) {
        different.push(format!("the formula is {FORMULA_VERSION} and not {}", said.formula_version));
    }
    different
}

fn json_of(computed: &Computed, differences: Option<&[String]>) -> Json {
    let mut value = json!({
        "agent_id": computed.agent.to_string(), "formula_version": FORMULA_VERSION,
        "tree_size": computed.size.to_string(), "day": computed.day,
    });
    for (name, number) in numbers(&computed.reputation) {
        value[name] = number.to_string().into();
    }
    if let Some(differences) = differences {
        value["agrees"] = differences.is_empty().into();
        value["differences"] = differences.into();
    }
    value
}

fn text_of(computed: &Computed, differences: Option<&[String]>) -> String {
    let it = &computed.reputation;
    let experience = i64::try_from(it.experience_msat).map_or_else(|_| it.experience_msat.to_string(), sats);
    let mut rows = vec![
        ("agent", computed.agent.to_string()),
        ("score", format!("{} of 1,000", it.score)),
        ("quality", quality(it.quality)),
        ("experience", experience),
        (
            "completed",
            format!("{}, {} on time, {} accepted by the requester", it.completed, it.on_time, it.accepted),
        ),
        ("parts paid", it.paid_in_part.to_string()),
        ("rejected", it.rejected.to_string()),
        ("lapsed", it.lapsed.to_string()),
        ("disputed", it.disputed.to_string()),
        ("requesters", format!("{}, {} more than once", it.requesters, it.repeat_requesters)),
        ("left out", format!("{} of its own account", it.self_dealing)),
        ("as of", format!("size {}, {}, formula {FORMULA_VERSION}", computed.size, date(computed.day))),
    ];
    if let Some(differences) = differences {
        let said = if differences.is_empty() { "the same".to_owned() } else { differences.join("\n") };
        rows.push(("the platform", said));
    }
    format!("{}\n", fields(&rows)).trim_end().to_owned()
}

/// A share in hundredths.
fn quality(basis_points: u64) -> String {
    format!("{}.{:02} %", basis_points / 100, basis_points % 100)
}

/// A day from 1970-01-01 on, as people write it.
fn date(day: u32) -> String {
    let at = time::OffsetDateTime::from_unix_timestamp(i64::from(day) * 86_400);
    at.map_or_else(
        |_| format!("day {day}"),
        |at| rfc3339(at).split('T').next().unwrap_or_default().to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn computed() -> Computed {
        let agent = "agent_00000000000000000000000005".parse().unwrap();
        Computed { agent, size: 7, day: 20_455, reputation: Ledger::default().reputation(agent, 20_455) }
    }

    fn said() -> Said {
        Said { quality_basis_points: 5_000, formula_version: 1, ..Said::default() }
    }

    #[test]
    fn what_the_platform_says_is_compared_number_by_number() {
        assert!(differences(&computed(), &said()).is_empty());
        let other = Said { score: 5, formula_version: 2, ..said() };
        let found = differences(&computed(), &other);
        assert_eq!(found, ["score is 0 and not 5", "the formula is 1 and not 2"]);
    }

    #[test]
    fn a_day_and_a_share_are_written_for_people() {
        assert_eq!(date(20_455), "2026-01-02");
        assert_eq!(quality(6_582), "65.82 %");
        let text = text_of(&computed(), Some(&[]));
        assert!(text.contains("as of         size 7, 2026-01-02, formula 1"), "{text}");
        assert_eq!(json_of(&computed(), None)["tree_size"], "7");
    }
}
