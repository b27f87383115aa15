//! An index with what a test writes into it.

use std::sync::atomic::{AtomicI64, Ordering};

use poa_common::{AccountId, AgentId, Msat, TaskId, Timestamp, TypedId as _};
use poa_search::domain::{
    Agent, AgentHit, AgentQuery, Batch, Change, Generation, Page, Source, Statement, SuggestQuery,
    Suggestion, Task, TaskQuery, Text, View, Window,
};
use poa_search::index::{Applied, Error, Health, Index};
use uuid::Uuid;

/// An open task, as the contract numbers states.
pub(crate) const OPEN: i16 = 2;
pub(crate) const CLAIMED: i16 = 3;
pub(crate) const COMPLETED: i16 = 7;

/// An index, and the build of it that a test works for.
pub(crate) struct Book<I> {
    pub(crate) index: I,
    pub(crate) generation: Generation,
    cursor: AtomicI64,
}

pub(crate) fn agent_id(number: u128) -> AgentId {
    AgentId::from_uuid(Uuid::from_u128(number))
}

pub(crate) fn account_id(number: u128) -> AccountId {
    AccountId::from_uuid(Uuid::from_u128(number))
}

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_timestamp(1_700_000_000 + seconds).unwrap()
}

/// An active agent; its message is its name.
pub(crate) fn agent(number: u128, name: &str, description: &str, capabilities: &[&str]) -> Agent {
    Agent {
        id: agent_id(number),
        changed: at(0),
        active: true,
        name: name.to_owned(),
        description: description.to_owned(),
        capabilities: capabilities.iter().map(|word| (*word).to_owned()).collect(),
        message: name.as_bytes().to_vec(),
    }
}

/// An open task of account 1; its message is its title.
pub(crate) fn task(number: u128, title: &str, capability: &str) -> Task {
    Task {
        id: TaskId::from_uuid(Uuid::from_u128(number)),
        version: 1,
        state: OPEN,
        market: true,
        completed: false,
        requester: account_id(1),
        worker: None,
        title: title.to_owned(),
        capability: capability.to_owned(),
        price: Msat::new(1_000),
        payee: Msat::new(950),
        updated: at(0),
        message: title.as_bytes().to_vec(),
    }
}

/// A task that an agent of account 2 completed.
pub(crate) fn completed(number: u128, agent: AgentId, price: i64, seconds: i64) -> Task {
    Task {
        version: 5,
        state: COMPLETED,
        market: false,
        completed: true,
        worker: Some((agent, account_id(2))),
        price: Msat::new(price),
        updated: at(seconds),
        ..task(number, &format!("task {number}"), "text.count")
    }
}

/// The first hits, whatever they are.
pub(crate) fn all_agents(text: &str) -> AgentQuery {
    AgentQuery {
        text: Text::parse(text),
        capabilities: Vec::new(),
        max_typical_price: None,
        min_completed_tasks: 0,
        include_retired: false,
        window: first(100),
    }
}

/// The first tasks of the market.
pub(crate) fn market(text: &str) -> TaskQuery {
    TaskQuery {
        text: Text::parse(text),
        view: View::Market,
        capabilities: Vec::new(),
        min_payee: Msat::ZERO,
        max_price: None,
        window: first(100),
    }
}

pub(crate) fn first(limit: u16) -> Window {
    Window { after: None, limit }
}

/// What is shown, as text.
pub(crate) fn shown(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

// === impl Book ===

impl<I: Index> Book<I> {
    /// Opens an index that was never looked at: it says that it is to be built, and is wiped.
    pub(crate) async fn open(index: I) -> Self {
        let generation = match index.inspect().await.unwrap() {
            Health::Whole(_) => panic!("a new index takes itself for whole"),
            Health::Damaged(expected) => {
                index.wipe(expected).await.unwrap().unwrap();
                Self::whole(&index).await
            }
        };
        Self { index, generation, cursor: AtomicI64::new(0) }
    }

    /// The generation of an index that is whole.
    pub(crate) async fn whole(index: &I) -> Generation {
        match index.inspect().await.unwrap() {
            Health::Whole(generation) => generation,
            Health::Damaged(_) => panic!("the index is damaged"),
        }
    }

    /// The same index, worked for in another generation.
    pub(crate) fn at(self, generation: Generation) -> Self {
        Self { generation, ..self }
    }

    pub(crate) fn batch(&self, source: Source, changes: Vec<Change>) -> Batch {
        let cursor = self.cursor.fetch_add(1, Ordering::Relaxed).to_string();
        Batch { generation: self.generation, source, changes, cursor, now: at(0) }
    }

    pub(crate) async fn apply(&self, source: Source, changes: Vec<Change>) {
        let applied = self.index.apply(self.batch(source, changes)).await.unwrap();
        assert_eq!(applied, Applied::Done);
    }

    pub(crate) async fn agents(&self, agents: impl IntoIterator<Item = Agent>) {
        let changes = agents.into_iter().map(|agent| Change::Agent(Box::new(agent))).collect();
        self.apply(Source::Auth, changes).await;
    }

    pub(crate) async fn tasks(&self, tasks: impl IntoIterator<Item = Task>) {
        let changes = tasks.into_iter().map(|task| Change::Task(Box::new(task))).collect();
        self.apply(Source::Task, changes).await;
    }

    pub(crate) async fn statements(&self, agent: AgentId, places: impl IntoIterator<Item = i64>) {
        let changes = places.into_iter().map(|log_index| Change::Statement(Statement { log_index, agent }));
        self.apply(Source::Attestation, changes.collect()).await;
    }

    /// The names of the agents that are found.
    pub(crate) async fn found(&self, text: &str) -> Vec<String> {
        self.find(all_agents(text)).await
    }

    pub(crate) async fn find(&self, query: AgentQuery) -> Vec<String> {
        self.hits(query).await.iter().map(|hit| shown(&hit.message)).collect()
    }

    pub(crate) async fn hits(&self, query: AgentQuery) -> Vec<AgentHit> {
        self.index.agents(query).await.unwrap().hits
    }

    /// The numbers of the one agent that is found.
    pub(crate) async fn numbers(&self, text: &str) -> (i32, i64, i32) {
        let hits = self.hits(all_agents(text)).await;
        assert_eq!(hits.len(), 1, "{hits:?}");
        (hits[0].completed_tasks, hits[0].typical_price.get(), hits[0].logged_statements)
    }

    /// The titles of the tasks that are found.
    pub(crate) async fn find_tasks(&self, query: TaskQuery) -> Vec<String> {
        self.index.tasks(query).await.unwrap().hits.iter().map(|bytes| shown(bytes)).collect()
    }

    pub(crate) async fn suggested(&self, prefix: &str) -> Vec<Suggestion> {
        self.index.suggest(SuggestQuery { prefix: prefix.to_owned(), limit: 10 }).await.unwrap()
    }

    /// The texts of what is suggested.
    pub(crate) async fn completions(&self, prefix: &str) -> Vec<String> {
        let text = |found| match found {
            Suggestion::Capability { name, .. } | Suggestion::Agent { name, .. } => name,
        };
        self.suggested(prefix).await.into_iter().map(text).collect()
    }
}

/// Reads all pages; `next` reads one.
pub(crate) async fn pages<T>(
    limit: u16,
    mut next: impl AsyncFnMut(Window) -> Result<Page<T>, Error>,
) -> Vec<T> {
    let mut all = Vec::new();
    let mut window = first(limit);
    loop {
        let page = next(window).await.unwrap();
        assert!(page.hits.len() <= usize::from(limit));
        all.extend(page.hits);
        match page.next {
            Some(after) => window = Window { after: Some(after), limit },
            None => return all,
        }
    }
}

/// What nobody would type who means well.
pub(crate) fn hostile() -> Vec<String> {
    let typed = [
        "'",
        "''",
        "\"",
        "\\",
        "\\'",
        "%",
        "_",
        "%%%",
        "a%b_c",
        ":*",
        "&",
        "|",
        "!",
        "()",
        "a & !b | (c <-> d)",
        "foo:*A",
        "'a':* & 'b'",
        "'); DROP TABLE agents; --",
        "$1",
        "\0",
        "a\0b",
        "\u{202e}",
        "<2>",
        "-word",
        "*",
        "\u{feff}",
        "https://example.org/?q=1&r=%20",
        "\\x00\\u0000",
        "NULL",
        "{}",
        "[]",
        "0x1F",
        "1e400",
    ];
    let mut all: Vec<String> = typed.iter().map(|text| (*text).to_owned()).collect();
    all.extend(["🤖".repeat(64), "'".repeat(256), "a ".repeat(128), "字".repeat(85), "é\u{301}".repeat(60)]);
    all
}
