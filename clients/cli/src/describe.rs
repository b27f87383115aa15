//! The things of the API in words.

use poa_sdk::api::auth::Agent;
use poa_sdk::api::auth::agent::KeyState;
use poa_sdk::api::escrow::{Deposit, Withdrawal};
use poa_sdk::api::task::criterion::Check;
use poa_sdk::api::task::waiting::Actor;
use poa_sdk::api::task::{ContentSummary, Criterion, OpenTask, ReleasePolicy, Task, Waiting};
use poa_sdk::{from_time, rfc3339};

use crate::describe_hold::{invoice_of_task, of_task};
use crate::output::{fields, one_line, plain};
use crate::units::{bytes, sats};

/// Characters of a schema or pattern that a summary shows.
const MAX_SHOWN: usize = 200;

/// `STATE_OPEN` or `OPEN` as `open`.
pub(crate) fn state(name: &str) -> String {
    name.rsplit_once("STATE_").map_or(name, |(_, state)| state).to_lowercase().replace('_', " ")
}

/// A time of the contract; `-` where there is none.
pub(crate) fn time(time: Option<&poa_sdk::api::Timestamp>) -> String {
    time.and_then(from_time)
        .map_or_else(|| "-".to_owned(), |time| rfc3339(time.replace_nanosecond(0).unwrap_or(time)))
}

pub(crate) fn policy(policy: ReleasePolicy) -> &'static str {
    match policy {
        ReleasePolicy::Unspecified => "the server chooses",
        ReleasePolicy::OnAttestation => "as soon as the receipt is logged and the criteria hold",
        ReleasePolicy::OnAcceptance => "when the requester accepts, or the review time passes",
    }
}

pub(crate) fn criterion(criterion: &Criterion) -> String {
    let short = |text: &str| one_line(&text.chars().take(MAX_SHOWN).collect::<String>());
    match &criterion.check {
        Some(Check::JsonSchema(schema)) => format!("JSON by the schema {}", short(schema)),
        Some(Check::Sha256(digest)) => format!("SHA-256 {}", hex::encode(digest)),
        Some(Check::Size(range)) if range.max_bytes == 0 => format!("at least {} bytes", range.min_bytes),
        Some(Check::Size(range)) => format!("{} to {} bytes", range.min_bytes, range.max_bytes),
        Some(Check::Pattern(pattern)) => format!("text that matches {}", short(pattern)),
        Some(Check::Manual(text)) => format!("a person judges: {}", short(text)),
        None => "unknown to this version".to_owned(),
    }
}

fn criteria(all: &[Criterion]) -> String {
    let lines = all.iter().enumerate().map(|(place, one)| format!("{place}: {}", criterion(one)));
    lines.collect::<Vec<_>>().join("\n")
}

fn content(content: &ContentSummary) -> String {
    let size = u64::try_from(content.size_bytes).unwrap_or(0);
    format!("{}, {}, SHA-256 {}", plain(&content.media_type), bytes(size), hex::encode(&content.sha256))
}

pub(crate) fn waiting(waiting: &Waiting) -> String {
    let actor = match waiting.actor() {
        Actor::Unspecified => "somebody",
        Actor::Requester => "the requester",
        Actor::Agent => "an agent",
        Actor::Platform => "the platform",
    };
    let until = waiting.deadline.as_ref().map(|deadline| format!(", by {}", time(Some(deadline))));
    format!("{actor}: {}{}", one_line(&waiting.action), until.unwrap_or_default())
}

/// Everything of a task but its bodies.
pub(crate) fn task(task: &Task) -> String {
    let mut rows = vec![
        ("task", task.task_id.clone()),
        ("title", one_line(&task.title)),
        ("state", state(task.state().as_str_name())),
        ("capability", plain(&task.capability)),
        (
            "price",
            format!(
                "{}, of it {} to the agent and {} fee",
                sats(task.price_msat),
                sats(task.payee_msat),
                sats(task.fee_msat)
            ),
        ),
        ("released", policy(task.release_policy()).to_owned()),
        ("requester", task.requester_id.clone()),
    ];
    let mut optional = |name, value: Option<String>| rows.extend(value.map(|value| (name, value)));
    optional("criteria", (!task.criteria.is_empty()).then(|| criteria(&task.criteria)));
    optional("for agent", (!task.direct_agent_id.is_empty()).then(|| task.direct_agent_id.clone()));
    optional("funding", of_task(task));
    optional("invoice", invoice_of_task(task));
    optional("escrow", (!task.escrow_id.is_empty()).then(|| task.escrow_id.clone()));
    optional(
        "claim",
        task.claim.as_ref().map(|claim| {
            format!(
                "{} by {}, lease to {}",
                claim.claim_number,
                claim.agent_id,
                time(claim.lease_expire_time.as_ref())
            )
        }),
    );
    optional("input", task.input_summary.as_ref().map(content));
    optional("result", task.result_summary.as_ref().map(content));
    optional("waits for", task.waiting.as_ref().map(waiting));
    optional("note", (!task.note.is_empty()).then(|| plain(&task.note)));
    optional("offered", Some(time(task.create_time.as_ref())));
    optional("changed", Some(time(task.update_time.as_ref())));
    fields(&rows)
}

/// A task on one line, for lists.
pub(crate) fn task_line(task: &Task) -> String {
    let state = state(task.state().as_str_name());
    format!("{}  {state:<14} {:>14}  {}", task.task_id, sats(task.price_msat), one_line(&task.title))
}

/// An open task on one line.
pub(crate) fn open_task_line(task: &OpenTask) -> String {
    let size =
        task.input_summary.as_ref().and_then(|input| u64::try_from(input.size_bytes).ok()).unwrap_or(0);
    format!(
        "{}  {:>12}  {:<20} {}  ({})",
        task.task_id,
        sats(task.payee_msat),
        plain(&task.capability),
        one_line(&task.title),
        bytes(size)
    )
}

pub(crate) fn agent(agent: &Agent) -> String {
    let mut rows = vec![
        ("agent", agent.agent_id.clone()),
        ("name", one_line(&agent.name)),
        ("state", state(agent.state().as_str_name())),
        ("capabilities", agent.capabilities.join(", ")),
        ("account", agent.account_id.clone()),
        ("public key", hex::encode(&agent.public_key)),
        ("key state", key_state(agent)),
        ("registered", time(agent.create_time.as_ref())),
    ];
    let version = if agent.version.is_empty() { "none published" } else { &agent.version };
    rows.push(("version", plain(version)));
    rows.push(("level", level(&agent.trust_level)));
    if !agent.description.is_empty() {
        rows.insert(2, ("does", plain(&agent.description)));
    }
    fields(&rows)
}

/// Whether an agent's key signs, and how much has become of its keys.
fn key_state(agent: &Agent) -> String {
    let word = match agent.key_state() {
        KeyState::Unspecified => "unknown to this version",
        KeyState::Active => "signs",
        KeyState::Revoked => "revoked: it claims nothing until its owner gives it a new key",
    };
    let events = if agent.key_sequence == 1 { "event" } else { "events" };
    format!("{word} ({} {events}: `poa agent keys {}`)", agent.key_sequence, agent.agent_id)
}

/// A trust level, and what it says.
fn level(name: &str) -> String {
    let meaning = match name {
        "L0" => "its key alone",
        "L1" => "its newest version names its source; a receipt may show more",
        _ => return plain(name),
    };
    format!("{name}: {meaning}")
}

pub(crate) fn deposit(deposit: &Deposit) -> String {
    let mut rows = vec![
        ("deposit", deposit.deposit_id.clone()),
        ("state", state(deposit.state().as_str_name())),
        ("amount", sats(deposit.amount_msat)),
        ("credited", sats(deposit.credited_msat)),
        ("expires", time(deposit.expire_time.as_ref())),
        ("invoice", deposit.invoice.clone()),
    ];
    if deposit.settle_time.is_some() {
        rows.insert(4, ("settled", time(deposit.settle_time.as_ref())));
    }
    fields(&rows)
}

pub(crate) fn withdrawal(withdrawal: &Withdrawal) -> String {
    let mut rows = vec![
        ("withdrawal", withdrawal.withdrawal_id.clone()),
        ("state", state(withdrawal.state().as_str_name())),
        ("amount", sats(withdrawal.amount_msat)),
        ("fee", format!("{}, at most {}", sats(withdrawal.fee_msat), sats(withdrawal.fee_limit_msat))),
        ("payment hash", hex::encode(&withdrawal.payment_hash)),
        ("asked for", time(withdrawal.create_time.as_ref())),
    ];
    let mut optional = |name, value: &str| {
        if !value.is_empty() {
            rows.push((name, plain(value)));
        }
    };
    optional("address", &withdrawal.lightning_address);
    optional("begun", if withdrawal.automatic { "by itself, by the payout destination" } else { "" });
    optional("route", if withdrawal.internal { "within this platform: nothing is sent" } else { "" });
    optional("preimage", &hex::encode(&withdrawal.preimage));
    optional("failure", &withdrawal.failure);
    optional("replaces", &withdrawal.replaces);
    optional("replaced by", &withdrawal.replaced_by);
    fields(&rows)
}

#[cfg(test)]
mod tests {
    use poa_sdk::api::task::SizeRange;

    use super::*;

    #[test]
    fn states_are_words() {
        assert_eq!(state("STATE_IN_FLIGHT"), "in flight");
        assert_eq!(state("STATE_OPEN"), "open");
    }

    #[test]
    fn criteria_are_shown_on_one_line_each() {
        let size =
            |min_bytes, max_bytes| Criterion { check: Some(Check::Size(SizeRange { min_bytes, max_bytes })) };
        assert_eq!(criterion(&size(1, 0)), "at least 1 bytes");
        assert_eq!(criterion(&size(1, 9)), "1 to 9 bytes");
        let manual = Criterion { check: Some(Check::Manual("a\nb\u{7}".to_owned())) };
        assert_eq!(criterion(&manual), "a person judges: a b\u{fffd}");
    }

    #[test]
    fn a_withdrawal_shows_how_it_was_paid_and_what_took_its_place() {
        let made = Withdrawal { withdrawal_id: "wdr_1".to_owned(), state: 4, ..Withdrawal::default() };
        let text = super::withdrawal(&made);
        for absent in ["address", "route", "preimage", "replace"] {
            assert!(!text.contains(absent), "{absent}: {text}");
        }
        let text = super::withdrawal(&Withdrawal {
            lightning_address: "a@b.example".to_owned(),
            replaced_by: "wdr_2".to_owned(),
            internal: true,
            ..made
        });
        for present in ["a@b.example", "nothing is sent", "replaced by   wdr_2"] {
            assert!(text.contains(present), "{present}: {text}");
        }
    }

    #[test]
    fn an_agent_shows_its_keys_its_version_and_what_they_show_of_its_runs() {
        let made =
            Agent { agent_id: "agent_1".to_owned(), key_state: 1, key_sequence: 1, ..Agent::default() };
        let text = super::agent(&Agent { trust_level: "L0".to_owned(), ..made.clone() });
        for part in ["signs (1 event", "none published", "L0: its key alone"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let (version, trust_level) = ("1.4.0".to_owned(), "L1".to_owned());
        let text = super::agent(&Agent { key_state: 2, key_sequence: 3, version, trust_level, ..made });
        for part in ["revoked", "3 events", "1.4.0", "L1: "] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn a_task_shows_what_it_waits_for() {
        let task = Task {
            task_id: "task_1".to_owned(),
            state: 2,
            price_msat: 100_000,
            waiting: Some(Waiting { actor: 2, action: "claim it".to_owned(), deadline: None }),
            ..Task::default()
        };
        let text = super::task(&task);
        assert!(text.contains("state       open"), "{text}");
        assert!(text.contains("an agent: claim it"), "{text}");
        assert!(text.contains("100 sat"), "{text}");
    }
}
