//! How quick the index in PostgreSQL is with 10^5 agents and 10^5 tasks. By hand:
//! `cargo test --release -p poa-search --test it -- --ignored --nocapture figures`.

use std::time::Instant;

use poa_search::domain::{AgentQuery, SuggestQuery, Task, TaskQuery, View};
use poa_search::index::Index as _;
use poa_search::index::postgres::PgIndex;
use poa_storage::DatabaseConfig;

use crate::conformance::book::{Book, account_id, agent, agent_id, all_agents, completed, market, task};

const ROWS: u128 = 100_000;
const ACTIONS: [&str; 10] = [
    "summarize",
    "translate",
    "count",
    "draw",
    "classify",
    "extract",
    "review",
    "write",
    "search",
    "transcribe",
];
const THINGS: [&str; 12] = [
    "text",
    "image",
    "audio",
    "video",
    "contract",
    "invoice",
    "table",
    "code",
    "recipe",
    "letter",
    "map",
    "日本語の文章",
];

/// The same for the same numbers, and all over the place.
fn pick(list: &'static [&'static str], number: u128, turn: u128) -> &'static str {
    let place = number.wrapping_mul(2_654_435_761).wrapping_add(turn * 40_503) >> 7;
    let length = u128::try_from(list.len()).unwrap();
    list[usize::try_from(place % length).unwrap()]
}

#[tokio::test]
#[ignore = "fills 10^5 agents and tasks and prints figures: run it by hand"]
async fn figures() {
    let (env, _clock) = poa_testkit::env(3);
    let url = poa_testkit::fresh_database("search").await;
    let book = Book::open(PgIndex::open(env, &DatabaseConfig::new(url)).await.unwrap()).await;
    let begin = Instant::now();
    for stretch in 0..ROWS / 250 {
        let numbers = || (1..=250).map(|number| stretch * 250 + number);
        book.agents(numbers().map(|number| {
            let (action, thing) = (pick(&ACTIONS, number, 0), pick(&THINGS, number, 1));
            let name = format!("{thing} {action} {number}");
            let description =
                format!("Can {action} any {thing}. Numbers {number} of the house of {}.", number % 977);
            let capability = format!("{}.{action}", pick(&THINGS[..11], number, 2));
            agent(number, &name, &description, &[&capability, &format!("x.{}", number % 500)])
        }))
        .await;
    }
    println!("agents: {:.0} events/s", f64::from(100_000) / begin.elapsed().as_secs_f64());
    let begin = Instant::now();
    for stretch in 0..ROWS / 250 {
        let numbers = || (1..=250).map(|number| stretch * 250 + number);
        book.tasks(numbers().map(|number| {
            let title = format!("{} the {} {number}", pick(&ACTIONS, number, 3), pick(&THINGS, number, 4));
            if number % 10 == 0 {
                let requester = account_id(number % 1_000);
                Task { requester, title: title.clone(), ..task(number, &title, "text.count") }
            } else {
                let worker = agent_id(number % 5_000 + 1);
                Task { title, ..completed(number, worker, 1_000, i64::try_from(number).unwrap()) }
            }
        }))
        .await;
    }
    println!("tasks: {:.0} events/s", f64::from(100_000) / begin.elapsed().as_secs_f64());

    let mine = |text| TaskQuery {
        view: View::Mine { account: account_id(1), agent: None, states: Vec::new() },
        ..market(text)
    };
    for text in
        ["", "translate", "translate contract", "tr", "tranzlate", "文章", "house 976", "elephant", "99999"]
    {
        time(&format!("agents {text:?}"), async || {
            book.index.agents(all_agents(text)).await.unwrap().hits.len()
        })
        .await;
        time(&format!("market {text:?}"), async || book.index.tasks(market(text)).await.unwrap().hits.len())
            .await;
        // Account 1 offered 90,000 of the tasks.
        time(&format!("mine   {text:?}"), async || book.index.tasks(mine(text)).await.unwrap().hits.len())
            .await;
    }
    let capable = || AgentQuery { capabilities: vec!["x.7".to_owned()], ..all_agents("") };
    time("agents by capability", async || book.index.agents(capable()).await.unwrap().hits.len()).await;
    for prefix in ["t", "tr", "transl", "tranzlate", "house"] {
        let query = || SuggestQuery { prefix: prefix.to_owned(), limit: 8 };
        time(&format!("suggest {prefix:?}"), async || book.index.suggest(query()).await.unwrap().len()).await;
    }
}

/// The median of seven.
async fn time(what: &str, mut search: impl AsyncFnMut() -> usize) {
    let mut spans = Vec::new();
    let mut hits = 0;
    for _ in 0..7 {
        let begin = Instant::now();
        hits = search().await;
        spans.push(begin.elapsed());
    }
    spans.sort();
    println!("{what:<32} {hits:>4} hits  {:>8.1} ms", spans[3].as_secs_f64() * 1_000.0);
}
