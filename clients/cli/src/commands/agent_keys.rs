//! `agent rotate-key|revoke-key|keys`: what becomes of an agent's key.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use poa_sdk::api::auth::Agent;
use poa_sdk::api::auth::agent::KeyState;
use poa_sdk::receipts::notice::{Authority, KeyChange, KeyEventKind, KeyReason};
use poa_sdk::receipts::{DidKey, KeyEvent};
use poa_sdk::{AgentId, AgentKey, KeyHistory, Session, Timestamp, ToJson as _, rfc3339, system_env};
use serde_json::{Value as Json, json};

use super::agent::load_key;
use crate::app::App;
use crate::failure::{Exit, Failure};
use crate::key_swap::{self, Swapped};
use crate::output::fields;
use crate::units::Moment;

/// The contract's moments are of microseconds.
const NANOSECONDS_PER_MICROSECOND: u32 = 1_000;

#[derive(Debug, Args)]
pub(crate) struct RotateArgs {
    /// `agent_…`.
    agent: AgentId,
    /// The new key; is made where the file is not there [default: a new one, which takes the place of agent.pem].
    #[arg(long, value_name = "FILE")]
    new_key: Option<PathBuf>,
    /// The key that the agent has now [default: agent.pem in the profile's folder].
    #[arg(long, value_name = "FILE", conflicts_with = "as_owner")]
    old_key: Option<PathBuf>,
    /// Ask as the owner of the agent, without the old key: it is lost, or was revoked.
    #[arg(long)]
    as_owner: bool,
    /// Since when somebody else may have the old key: what it signed from then on is in doubt.
    #[arg(long, value_name = "TIME")]
    compromised_since: Option<Moment>,
}

#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    /// `agent_…`.
    agent: AgentId,
    /// The key that is revoked [default: agent.pem in the profile's folder].
    #[arg(long, value_name = "FILE", conflicts_with = "as_owner")]
    key: Option<PathBuf>,
    /// Ask as the owner of the agent, without the key.
    #[arg(long)]
    as_owner: bool,
    /// Since when somebody else may have the key: what it signed from then on is in doubt.
    #[arg(long, value_name = "TIME")]
    compromised_since: Option<Moment>,
    /// Do not ask for confirmation.
    #[arg(long)]
    yes: bool,
}

pub(crate) async fn rotate(app: &App, args: RotateArgs) -> Result<(), Failure> {
    let since = whole_microseconds(args.compromised_since)?;
    let session = app.session()?;
    let id = args.agent.to_string();
    let agent = session.agent(&id).await?;
    let (path, own_path) = match args.new_key {
        Some(path) => (path, false),
        None => {
            app.profile.make_folder()?;
            let current = app.profile.agent_key_path();
            (key_swap::next_path(current.parent().unwrap_or(Path::new(".")), args.agent), true)
        }
    };
    let new = key_swap::load_or_make(&path, &system_env())?;
    if agent.public_key != new.public_key() {
        let old = if args.as_owner { None } else { Some(load_key(app, args.old_key)?) };
        let change = change(args.agent, &agent, since, old.as_ref())?;
        ask(&session, &change, &new, old.as_ref(), &path).await?;
    } else if agent.key_sequence == 1 || agent.key_state() == KeyState::Revoked {
        let message = format!("{} holds the key that the agent had before", path.display());
        return Err(Failure::new(Exit::Usage, message).hint("name a new file with --new-key FILE"));
    } else {
        app.out.progress("The agent has this new key already: going on where it was.");
    }
    // What the server says now is checked before the old key leaves its place.
    let history = KeyHistory::check(args.agent, &session.key_events(&id).await?)?;
    let event = history.events().last().filter(|event| event.key == new.did());
    let Some((event, previous)) = event.and_then(|event| Some((event, event.previous_key?))) else {
        let message = "the server's list of key events does not end with this rotation";
        return Err(Failure::new(Exit::Unverified, message)
            .hint(format!("the new key is kept in {}: run the same command again", path.display())));
    };
    let current = app.profile.agent_key_path();
    let swapped = key_swap::swap(&current, args.agent, previous, &new, event.sequence)?;
    if own_path && swapped != Swapped::Other {
        key_swap::forget_next(&path)?;
    }
    let file = if swapped == Swapped::Other { path } else { current };
    app.out.either(|| rotated_json(event, &file, &swapped), || rotated_text(event, &file, &swapped))
}

/// Asks for the rotation. Where the answer is lost, the agent says whether it happened.
async fn ask(
    session: &Session,
    change: &KeyChange,
    new: &AgentKey,
    old: Option<&AgentKey>,
    path: &Path,
) -> Result<(), Failure> {
    let Err(error) = session.rotate_agent_key(change, new, old).await else { return Ok(()) };
    let after = session.agent(&change.agent.to_string()).await;
    let happened = after
        .is_ok_and(|agent| agent.public_key == new.public_key() && agent.key_state() != KeyState::Revoked);
    if happened {
        return Ok(());
    }
    let unknown = error.is_unavailable() || error.code() == Some(poa_sdk::Code::DeadlineExceeded);
    let failure = Failure::from(error);
    Err(if unknown {
        failure.hint(format!("the new key is kept in {}: run the same command again", path.display()))
    } else {
        failure
    })
}

/// The agent's next event, which ends the key that it has now.
fn change(
    id: AgentId,
    agent: &Agent,
    compromised_since: Option<Timestamp>,
    key: Option<&AgentKey>,
) -> Result<KeyChange, Failure> {
    let current = DidKey::from_slice(&agent.public_key);
    let current = current.map_err(|error| Failure::new(Exit::Unverified, error.to_string()))?;
    if let Some(key) = key {
        if agent.key_state() == KeyState::Revoked {
            return Err(Failure::new(
                Exit::Refused,
                "the agent's key was revoked: it signs nothing any more",
            )
            .hint("the owner of the agent gives it a new one: --as-owner"));
        }
        if key.did() != current {
            let message = format!("this is not the agent's key: it is {}, the agent's {current}", key.did());
            return Err(Failure::new(Exit::Refused, message)
                .hint("name its file, or ask as the owner of the agent: --as-owner"));
        }
    }
    Ok(KeyChange {
        agent: id,
        sequence: u32::try_from(agent.key_sequence).unwrap_or(0).saturating_add(1),
        key: current,
        new_key: None,
        reason: if compromised_since.is_some() { KeyReason::Compromised } else { KeyReason::Superseded },
        compromised_since,
    })
}

fn whole_microseconds(moment: Option<Moment>) -> Result<Option<Timestamp>, Failure> {
    let since = moment.map(|moment| moment.0);
    if since.is_some_and(|since| since.nanosecond() % NANOSECONDS_PER_MICROSECOND != 0) {
        return Err(Failure::new(Exit::Usage, "--compromised-since takes whole microseconds"));
    }
    Ok(since)
}

pub(crate) async fn revoke(app: &App, args: RevokeArgs) -> Result<(), Failure> {
    let since = whole_microseconds(args.compromised_since)?;
    let session = app.session()?;
    let id = args.agent.to_string();
    let agent = session.agent(&id).await?;
    if agent.key_state() == KeyState::Revoked {
        return Err(Failure::new(Exit::Refused, "the agent's key is revoked already")
            .hint(format!("give it a new one: `poa agent rotate-key {id} --as-owner`")));
    }
    let key = if args.as_owner { None } else { Some(load_key(app, args.key)?) };
    let change = change(args.agent, &agent, since, key.as_ref())?;
    if !args.yes {
        confirm(&format!("Revoke {} of {id} for good?", change.key))?;
    }
    if let Err(error) = session.revoke_agent_key(&change, key.as_ref()).await {
        let after = session.agent(&id).await;
        if !after.is_ok_and(|agent| agent.key_state() == KeyState::Revoked) {
            return Err(error.into());
        }
    }
    let history = KeyHistory::check(args.agent, &session.key_events(&id).await?)?;
    let event = history.events().last().filter(|event| event.kind == KeyEventKind::Revoked);
    let event = event.ok_or_else(|| {
        Failure::new(Exit::Unverified, "the server's list of key events does not end with this revocation")
    })?;
    app.out.either(
        || event_json(event),
        || format!("{}\n\nThe agent claims nothing more. {}\nGive it a new key: `poa agent rotate-key {id} --as-owner`", event_line(event), old_key_text(event)),
    )
}

/// Asks a person on the terminal.
fn confirm(question: &str) -> Result<(), Failure> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Failure::new(Exit::Usage, "there is no terminal to ask for confirmation")
            .hint("say --yes where you are sure"));
    }
    let failed = |error: std::io::Error| Failure::new(Exit::Other, format!("the terminal: {error}"));
    let mut stderr = std::io::stderr().lock();
    write!(stderr, "{question} [y/N] ").and_then(|()| stderr.flush()).map_err(failed)?;
    let mut answer = String::new();
    stdin.read_line(&mut answer).map_err(failed)?;
    if matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
        Ok(())
    } else {
        Err(Failure::new(Exit::Other, "nothing was done"))
    }
}

pub(crate) async fn list(app: &App, agent_id: &str) -> Result<(), Failure> {
    let agent: AgentId = agent_id
        .parse()
        .map_err(|error| Failure::new(Exit::Usage, format!("`{agent_id}` is not an agent's id: {error}")))?;
    let shown = app.session()?.key_events(agent_id).await?;
    let history = KeyHistory::check(agent, &shown)?;
    for (event, shown) in history.events().iter().zip(&shown) {
        app.out.either(
            || {
                let mut row = shown.to_json();
                row["did"] = json!(event.key.to_string());
                row["verified"] = json!(true);
                row
            },
            || event_line(event),
        )?;
    }
    app.out.progress(match history.current() {
        Some(_) => "Each event is signed as it says. That these are all of them, the log shows.",
        None => "Each event is signed as it says. The agent has no key that signs.",
    });
    Ok(())
}

/// An event in a line.
fn event_line(event: &KeyEvent) -> String {
    let what = match event.kind {
        KeyEventKind::Registered => format!("registered  {}", event.key),
        KeyEventKind::Rotated => format!("rotated     {}", event.key),
        KeyEventKind::Revoked => format!("revoked     {}", event.key),
    };
    let why = match (event.reason, event.compromised_since) {
        (Some(KeyReason::Compromised), Some(since)) => {
            format!(", the key before is compromised since {}", rfc3339(since))
        }
        (Some(_), _) | (None, _) => String::new(),
    };
    let why = if event.kind == KeyEventKind::Revoked { why.replace("the key before is ", "") } else { why };
    let who = match event.authority {
        Authority::Key => "",
        Authority::Owner => ", asked by the owner",
    };
    format!("{:>2}  {}  {what}{why}{who}", event.sequence, rfc3339(event.event_time))
}

/// What holds for the key that an event ended.
fn old_key_text(event: &KeyEvent) -> String {
    match (event.reason, event.compromised_since) {
        (Some(KeyReason::Compromised), Some(since)) => format!(
            "What the old key signed from {} on is in doubt: it delivers nothing more, and receipts of work received since then do not verify.",
            rfc3339(since)
        ),
        (Some(_), _) | (None, _) => {
            "What the old key claimed before it may still deliver, and what it signed holds.".to_owned()
        }
    }
}

fn event_json(event: &KeyEvent) -> Json {
    json!({
        "agent_id": event.agent.to_string(),
        "sequence": event.sequence,
        "did": event.key.to_string(),
        "previous_did": event.previous_key.map(|key| key.to_string()),
        "reason": event.reason.map(KeyReason::as_str),
        "compromised_since": event.compromised_since.map(rfc3339),
        "event_time": rfc3339(event.event_time),
    })
}

fn rotated_json(event: &KeyEvent, file: &Path, swapped: &Swapped) -> Json {
    let mut json = event_json(event);
    json["key_file"] = json!(file.display().to_string());
    json["previous_key_file"] = match swapped {
        Swapped::Done { kept: Some(kept) } => json!(kept.display().to_string()),
        Swapped::Done { kept: None } | Swapped::Already | Swapped::Other => Json::Null,
    };
    json
}

fn rotated_text(event: &KeyEvent, file: &Path, swapped: &Swapped) -> String {
    let mut rows = vec![
        ("event", format!("{} of {}", event.sequence, event.agent)),
        ("new key", event.key.to_string()),
        ("kept in", file.display().to_string()),
    ];
    if let Some(previous) = event.previous_key {
        rows.push(("old key", previous.to_string()));
    }
    if let Swapped::Done { kept: Some(kept) } = swapped {
        rows.push(("kept in", kept.display().to_string()));
    }
    let next = match swapped {
        Swapped::Other => format!(
            "agent.pem holds another key and was left alone: use this one with --key {}.",
            file.display()
        ),
        Swapped::Done { .. } | Swapped::Already => {
            "Start `poa agent run` again: it claims with the new key. Make a copy of it: nobody else has it."
                .to_owned()
        }
    };
    let old = old_key_text(event);
    format!("{}\n\nFrom here on the new key claims and signs. {old}\n{next}", fields(&rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(key: &AgentKey, state: KeyState) -> Agent {
        let public_key = key.public_key().to_vec();
        Agent { public_key, key_state: state.into(), key_sequence: 3, ..Agent::default() }
    }

    #[test]
    fn a_change_is_the_agents_next_event_and_of_the_key_that_it_has() {
        let [key, other] = [(); 2].map(|()| AgentKey::generate(&system_env()));
        let id = system_env().new_id();
        let active = agent(&key, KeyState::Active);
        let change = super::change(id, &active, None, Some(&key)).unwrap();
        assert_eq!((change.sequence, change.key, change.reason), (4, key.did(), KeyReason::Superseded));
        let since = system_env().now();
        let change = super::change(id, &active, Some(since), None).unwrap();
        assert_eq!((change.reason, change.compromised_since), (KeyReason::Compromised, Some(since)));
        let refused = super::change(id, &active, None, Some(&other)).unwrap_err();
        assert_eq!(refused.exit(), Exit::Refused);
        let revoked = agent(&key, KeyState::Revoked);
        assert!(super::change(id, &revoked, None, Some(&key)).is_err(), "a revoked key says nothing more");
        assert!(super::change(id, &revoked, None, None).is_ok(), "its owner does");
    }

    #[test]
    fn a_moment_finer_than_the_contracts_is_refused() {
        let moment = |text: &str| Some(text.parse::<Moment>().unwrap());
        assert!(whole_microseconds(moment("2026-12-01T00:00:00.123456Z")).is_ok());
        assert!(whole_microseconds(moment("2026-12-01T00:00:00.1234567Z")).is_err());
        assert_eq!(whole_microseconds(None).unwrap(), None);
    }

    #[test]
    fn what_now_holds_is_said_of_both_keys() {
        let [old, new] = [(); 2].map(|()| AgentKey::generate(&system_env()));
        let event = KeyEvent {
            agent: system_env().new_id(),
            account: system_env().new_id(),
            sequence: 2,
            kind: KeyEventKind::Rotated,
            key: new.did(),
            previous_key: Some(old.did()),
            reason: Some(KeyReason::Superseded),
            compromised_since: None,
            authority: Authority::Owner,
            authorisation: None,
            key_proof: None,
            event_time: system_env().now(),
        };
        let text = rotated_text(&event, Path::new("n.pem"), &Swapped::Already);
        assert!(text.contains("may still deliver") && text.contains(&new.did().to_string()), "{text}");
        assert!(event_line(&event).contains("asked by the owner"));
        let since = Some(system_env().now());
        let event = KeyEvent { reason: Some(KeyReason::Compromised), compromised_since: since, ..event };
        let text = rotated_text(&event, Path::new("n.pem"), &Swapped::Other);
        assert!(text.contains("in doubt") && text.contains("--key n.pem"), "{text}");
        assert!(event_line(&event).contains("compromised since"));
    }
}
