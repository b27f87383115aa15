//! What auth tells of agents: their keys and versions enter the log, and what appends ask of them is kept beside it.
//!
//! All under the lock of the log's head: an append that comes after sees the key as it is then, and the log shows the two in that
//! order.

use std::collections::{HashMap, HashSet};

use poa_common::{AccountId, AgentId, Env, Timestamp};
use poa_proto::auth::v1 as auth;
use poa_storage::Tx;
use proof_of_agent::notice::{Authority, KeyEventKind, KeyProof, KeyReason, Notice};
use proof_of_agent::tlog::{LogEntry, Slot};
use proof_of_agent::{AgentVersion, DidKey, Envelope, KeyEvent, Nonce, NoticeStatement};

use crate::domain::Agent;
use crate::error::Error;
use crate::failpoint::{Failpoint, before_commit};
use crate::keys::PlatformKeys;
use crate::store;
use crate::store::notices::New;

/// What an event of auth's tells.
#[derive(Clone, Debug)]
pub(crate) enum News {
    /// The agent claims nothing new.
    Retired(AgentId),
    /// Something became of its key.
    Key(Box<KeyEvent>),
    /// It has published a version: the statement and its envelope.
    Version(Box<NoticeStatement<AgentVersion>>, Envelope),
}

/// What one transaction changes.
struct Change<'a> {
    env: &'a Env,
    keys: &'a PlatformKeys,
    now: Timestamp,
    agents: HashMap<AgentId, Agent>,
    changed: HashSet<AgentId>,
    taken: HashSet<Slot>,
    new: Vec<New>,
}

/// Reads an event; none where it is malformed.
pub(crate) fn read(event: &auth::AgentEvent) -> Option<News> {
    match event.kind() {
        auth::agent_event::Kind::Unspecified => None,
        auth::agent_event::Kind::Retired => Some(News::Retired(event.agent.as_ref()?.agent_id.parse().ok()?)),
        auth::agent_event::Kind::Registered
        | auth::agent_event::Kind::KeyRotated
        | auth::agent_event::Kind::KeyRevoked => {
            Some(News::Key(Box::new(key_event(event.key_event.as_ref()?)?)))
        }
        auth::agent_event::Kind::VersionPublished => {
            let envelope = Envelope::from_json(&event.version_envelope).ok()?;
            let (statement, envelope) = NoticeStatement::open_normalised(&envelope).ok()?;
            Some(News::Version(Box::new(statement), envelope))
        }
    }
}

fn key_event(event: &auth::KeyEvent) -> Option<KeyEvent> {
    let key =
        |bytes: &[u8]| if bytes.is_empty() { Some(None) } else { DidKey::from_slice(bytes).ok().map(Some) };
    let proof = |bytes: &[u8]| match bytes {
        [] => Some(None),
        bytes => bytes.try_into().ok().map(|bytes| Some(KeyProof::new(bytes))),
    };
    let time = |time: &prost_types::Timestamp| {
        let nanos = i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos);
        Timestamp::from_unix_timestamp_nanos(nanos).ok()
    };
    let compromised_since = match &event.compromised_since {
        Some(since) => Some(time(since)?),
        None => None,
    };
    let event = KeyEvent {
        agent: event.agent_id.parse().ok()?,
        account: event.account_id.parse::<AccountId>().ok()?,
        sequence: u32::try_from(event.sequence).ok()?,
        kind: match event.kind() {
            auth::key_event::Kind::Unspecified => return None,
            auth::key_event::Kind::Registered => KeyEventKind::Registered,
            auth::key_event::Kind::Rotated => KeyEventKind::Rotated,
            auth::key_event::Kind::Revoked => KeyEventKind::Revoked,
        },
        key: key(&event.public_key)??,
        previous_key: key(&event.previous_key)?,
        reason: match event.reason() {
            auth::KeyReason::Unspecified => None,
            auth::KeyReason::Superseded => Some(KeyReason::Superseded),
            auth::KeyReason::Compromised => Some(KeyReason::Compromised),
        },
        compromised_since,
        authority: if event.by_owner { Authority::Owner } else { Authority::Key },
        authorisation: proof(&event.authorisation)?,
        key_proof: proof(&event.key_proof)?,
        event_time: time(event.event_time.as_ref()?)?,
    };
    event.check().is_ok().then_some(event)
}

/// Logs what is new, and stores the agents as they are after it. What was told before changes nothing.
pub(crate) async fn apply(
    tx: &mut Tx,
    env: &Env,
    keys: &PlatformKeys,
    news: &[News],
    now: Timestamp,
) -> Result<(), Error> {
    if news.is_empty() {
        return Ok(());
    }
    let first = store::log::lock_head(tx).await?;
    let ids: Vec<AgentId> = news.iter().map(News::agent).collect();
    let slots: Vec<Slot> = news.iter().filter_map(News::slot).collect();
    let agents = store::agents::find(tx.conn(), &ids).await?;
    let taken = store::notices::taken(tx, &slots).await?;
    let mut change = Change { env, keys, now, agents, changed: HashSet::new(), taken, new: Vec::new() };
    for news in news {
        change.add(news)?;
    }
    let Change { agents, changed, new, .. } = change;
    let changed: Vec<&Agent> = changed.iter().filter_map(|id| agents.get(id)).collect();
    store::agents::store(tx, &changed, now).await?;
    if !new.is_empty() {
        store::notices::insert(tx, first, &new).await?;
        let count = u64::try_from(new.len()).map_err(Error::bug)?;
        store::log::set_head(tx, first.saturating_add(count)).await?;
        before_commit(Failpoint::AgentEventsBeforeCommit).await?;
    }
    Ok(())
}

// === impl News ===

impl News {
    fn agent(&self) -> AgentId {
        match self {
            Self::Retired(agent) => *agent,
            Self::Key(event) => event.agent,
            Self::Version(statement, _) => statement.notice().agent,
        }
    }

    fn slot(&self) -> Option<Slot> {
        match self {
            Self::Retired(_) => None,
            Self::Key(event) => Some(event.slot()),
            Self::Version(statement, _) => Some(statement.notice().slot()),
        }
    }
}

// === impl Change ===

impl Change<'_> {
    fn add(&mut self, news: &News) -> Result<(), Error> {
        // Told again: another replica has logged it, or auth's events are read from the beginning.
        if news.slot().is_some_and(|slot| !self.taken.insert(slot)) {
            return Ok(());
        }
        match news {
            News::Retired(agent) => {
                if let Some(known) = self.agents.get_mut(agent) {
                    known.retired = true;
                    self.changed.insert(*agent);
                }
                Ok(())
            }
            News::Key(event) => self.key_event(event),
            News::Version(statement, envelope) => self.version(statement, envelope),
        }
    }

    fn key_event(&mut self, event: &KeyEvent) -> Result<(), Error> {
        let known = self.agents.remove(&event.agent);
        let before = known.as_ref().map_or(0, |agent| agent.key_sequence);
        if event.sequence != before.saturating_add(1) {
            // Auth lost events that we have logged, or we lost some: an operator must look. The agent stays as it is.
            tracing::error!(agent_id = %event.agent, event.sequence, before, "a key event does not follow the last one");
            self.agents.extend(known.map(|agent| (event.agent, agent)));
            return Ok(());
        }
        let nonce = Nonce::new(self.env.random());
        let (network, origin) = (self.keys.network(), self.keys.origin());
        let statement = NoticeStatement::new(network, origin, self.keys.receipt_key(), nonce, event);
        let statement = statement.map_err(Error::bug)?;
        let envelope = self.keys.sign_notice(&statement).map_err(Error::bug)?;
        self.new.push(New {
            entry: LogEntry::of_notice::<KeyEvent>(&envelope).map_err(Error::bug)?,
            agent: Some(event.agent),
            subject: event.to_wire().0,
            envelope: envelope.to_json(),
            now: self.now,
        });
        let agent = known.unwrap_or_else(|| Agent {
            agent_id: event.agent,
            account_id: event.account,
            retired: false,
            key_sequence: 0,
            keys: Vec::new(),
        });
        self.agents.insert(event.agent, agent.after(event, statement.digest()));
        self.changed.insert(event.agent);
        Ok(())
    }

    fn version(
        &mut self,
        statement: &NoticeStatement<AgentVersion>,
        envelope: &Envelope,
    ) -> Result<(), Error> {
        let version = statement.notice();
        let is_ours = statement.network() == self.keys.network() && self.keys.has_origin(statement.origin());
        let keys = self.agents.get(&version.agent).map(|agent| agent.keys.as_slice()).unwrap_or_default();
        if !is_ours || !keys.iter().any(|key| key.key == statement.signer()) {
            tracing::error!(agent_id = %version.agent, "a version is not signed with a key of its agent, for this log");
            return Ok(());
        }
        self.new.push(New {
            entry: LogEntry::of_notice::<AgentVersion>(envelope).map_err(Error::bug)?,
            agent: Some(version.agent),
            subject: version.build_digest,
            envelope: envelope.to_json(),
            now: self.now,
        });
        Ok(())
    }
}
