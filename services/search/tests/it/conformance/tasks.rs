//! Tasks.

use std::collections::HashSet;

use poa_common::Msat;
use poa_search::domain::{Task, TaskQuery, View};
use poa_search::index::Index;

use super::book::{
    Book, CLAIMED, COMPLETED, account_id, agent_id, completed, hostile, market, pages, shown, task,
};

/// The tasks of an account.
fn mine(account: u128, states: &[i16]) -> TaskQuery {
    let view = View::Mine { account: account_id(account), agent: None, states: states.to_vec() };
    TaskQuery { view, ..market("") }
}

pub(crate) async fn the_market_is_open_tasks_for_any_agent<I: Index>(book: Book<I>) {
    let direct = Task { market: false, ..task(2, "direct", "x") };
    let claimed = Task {
        state: CLAIMED,
        market: false,
        worker: Some((agent_id(9), account_id(2))),
        ..task(3, "claimed", "x")
    };
    book.tasks([task(1, "open", "x"), direct, claimed, completed(4, agent_id(9), 5, 1)]).await;
    assert_eq!(book.find_tasks(market("")).await, ["open"]);
    for text in ["direct", "claimed", "task"] {
        assert_eq!(book.find_tasks(market(text)).await, Vec::<String>::new(), "{text}");
    }
    // Taken, it leaves the market.
    let taken = Task { version: 2, state: CLAIMED, market: false, ..task(1, "open", "x") };
    book.tasks([taken]).await;
    assert_eq!(book.find_tasks(market("")).await, Vec::<String>::new());
}

pub(crate) async fn mine_are_those_that_i_offered_or_my_agents_hold_or_did<I: Index>(book: Book<I>) {
    let theirs = Task { requester: account_id(3), ..task(1, "theirs", "x") };
    let offered = Task { market: false, ..task(2, "offered", "x") };
    let done = completed(3, agent_id(9), 5, 1);
    let own = Task { requester: account_id(2), ..completed(4, agent_id(9), 5, 1) };
    book.tasks([theirs, offered, done, own]).await;
    assert_eq!(book.find_tasks(mine(1, &[])).await, ["task 3", "offered"]);
    // As requester and payee at once it is there once.
    assert_eq!(book.find_tasks(mine(2, &[])).await, ["task 4", "task 3"]);
    assert_eq!(
        book.find_tasks(TaskQuery { view: mine(2, &[]).view, ..market("task") }).await,
        ["task 4", "task 3"]
    );
    assert_eq!(
        book.find_tasks(TaskQuery { view: mine(2, &[]).view, ..market("offered") }).await,
        Vec::<String>::new()
    );
    assert_eq!(book.find_tasks(mine(7, &[])).await, Vec::<String>::new());
}

pub(crate) async fn a_token_for_one_agent_sees_the_work_of_that_agent_alone<I: Index>(book: Book<I>) {
    book.tasks([completed(1, agent_id(8), 5, 1), completed(2, agent_id(9), 5, 1)]).await;
    let view = View::Mine { account: account_id(2), agent: Some(agent_id(8)), states: Vec::new() };
    for text in ["", "task"] {
        assert_eq!(book.find_tasks(TaskQuery { view: view.clone(), ..market(text) }).await, ["task 1"]);
    }
}

pub(crate) async fn words_prices_capabilities_and_states_filter<I: Index>(book: Book<I>) {
    let priced = |number, title, capability, price| Task {
        price: Msat::new(price),
        payee: Msat::new(price - price / 20),
        ..task(number, title, capability)
    };
    book.tasks([
        priced(1, "Count the words", "text.count", 1_000),
        priced(2, "Count the sheep", "farm.count", 2_000),
        priced(3, "Draw a sheep", "image.draw", 3_000),
    ])
    .await;
    assert_eq!(book.find_tasks(market("count")).await, ["Count the sheep", "Count the words"]);
    assert_eq!(book.find_tasks(market("sheep draw")).await, ["Draw a sheep"]);
    assert_eq!(book.find_tasks(market("farm.count")).await, ["Count the sheep"]);
    let filtered = TaskQuery { min_payee: Msat::new(1_900), max_price: Some(Msat::new(2_000)), ..market("") };
    assert_eq!(book.find_tasks(filtered).await, ["Count the sheep"]);
    let either = vec!["text.count".to_owned(), "image.draw".to_owned()];
    assert_eq!(
        book.find_tasks(TaskQuery { capabilities: either, ..market("") }).await,
        ["Draw a sheep", "Count the words"]
    );
    book.tasks([completed(4, agent_id(9), 5, 1)]).await;
    assert_eq!(book.find_tasks(mine(1, &[COMPLETED])).await, ["task 4"]);
    assert_eq!(book.find_tasks(mine(1, &[])).await.len(), 4);
}

pub(crate) async fn titles_are_found_with_typing_errors_and_in_any_language<I: Index>(book: Book<I>) {
    book.tasks([task(1, "Translate a contract", "text.x"), task(2, "議事録を要約する", "text.y")]).await;
    for text in ["contract", "contrackt", "tranlate", "translate contarct contract"] {
        assert_eq!(book.find_tasks(market(text)).await, ["Translate a contract"], "{text}");
    }
    assert_eq!(book.find_tasks(market("要約")).await, ["議事録を要約する"]);
}

pub(crate) async fn pages_of_tasks_do_not_overlap_and_leave_nothing_out<I: Index>(book: Book<I>) {
    book.tasks((1..=43).map(|number| task(number, &format!("walk {number}"), "x"))).await;
    for query in [market(""), market("walk"), mine(1, &[])] {
        for limit in [1, 7, 43, 100] {
            let found =
                pages(limit, async |window| book.index.tasks(TaskQuery { window, ..query.clone() }).await);
            let titles: Vec<String> = found.await.iter().map(|bytes| shown(bytes)).collect();
            let once: HashSet<&String> = titles.iter().collect();
            assert_eq!((titles.len(), once.len()), (43, 43), "{query:?} by {limit}");
        }
    }
}

pub(crate) async fn hostile_queries_for_tasks_find_nothing_and_break_nothing<I: Index>(book: Book<I>) {
    book.tasks([task(1, "Count", "text.count")]).await;
    for text in hostile() {
        assert_eq!(book.find_tasks(market(&text)).await, Vec::<String>::new(), "{text:?}");
        let query = TaskQuery { view: mine(1, &[]).view, ..market(&text) };
        assert_eq!(book.find_tasks(query).await, Vec::<String>::new(), "{text:?}");
    }
    assert_eq!(book.find_tasks(market("count")).await, ["Count"]);
}
