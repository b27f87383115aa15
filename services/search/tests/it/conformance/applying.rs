//! How changes come in: late, twice, at once, and after a wipe.

use poa_search::domain::{AgentQuery, Change, Source, Task};
use poa_search::index::{Applied, Error, Health, Index};

use super::book::{Book, agent, agent_id, all_agents, at, completed, market, task};

pub(crate) async fn an_older_agent_never_overwrites_a_newer_one<I: Index>(book: Book<I>) {
    let old = agent(1, "old", "", &["x.old"]);
    let mut new = agent(1, "new", "", &["x.new"]);
    (new.active, new.changed) = (true, at(5));
    book.agents([new]).await;
    book.agents([old.clone()]).await;
    assert_eq!(book.found("").await, ["new"]);
    assert_eq!(book.completions("x").await, ["x.new"]);
    // To retire is final, whatever the clock says: told at the same moment in either order.
    let mut retired = agent(2, "retired", "", &["x"]);
    retired.active = false;
    book.agents([retired]).await;
    book.agents([agent(2, "retired", "", &["x"])]).await;
    let mut later = agent(2, "retired", "", &["x"]);
    later.changed = at(9);
    book.agents([later]).await;
    assert_eq!(book.found("").await, ["new"]);
    // Auth's clock went back between the two: apart, together, and told again.
    for number in [3, 4] {
        let before = agent(number, "before", "", &["y"]);
        let mut gone = agent(number, "gone", "", &["y"]);
        (gone.active, gone.changed) = (false, at(-5));
        if number == 3 {
            book.agents([before.clone()]).await;
            book.agents([gone]).await;
        } else {
            book.agents([before.clone(), gone]).await;
        }
        book.agents([before]).await;
    }
    assert_eq!(book.found("").await, ["new"]);
    assert_eq!(book.completions("y").await, Vec::<String>::new());
    let retired = AgentQuery { include_retired: true, ..all_agents("gone") };
    assert_eq!(book.hits(retired).await.len(), 2);
}

pub(crate) async fn an_older_task_never_overwrites_a_newer_one<I: Index>(book: Book<I>) {
    book.tasks([Task { version: 3, ..task(1, "third", "x") }]).await;
    book.tasks([Task { version: 2, ..task(1, "second", "x") }]).await;
    assert_eq!(book.find_tasks(market("")).await, ["third"]);
    book.tasks([Task { version: 4, ..task(1, "fourth", "x") }]).await;
    assert_eq!(book.find_tasks(market("")).await, ["fourth"]);
    assert_eq!(book.find_tasks(market("third")).await, Vec::<String>::new());
}

pub(crate) async fn numbers_count_each_task_and_statement_once<I: Index>(book: Book<I>) {
    book.agents([agent(1, "walker", "", &["x"])]).await;
    for _ in 0..3 {
        book.tasks([completed(10, agent_id(1), 700, 3), completed(11, agent_id(1), 900, 4)]).await;
        book.statements(agent_id(1), [4, 5, 9]).await;
    }
    // A stretch of the log that reaches back.
    book.statements(agent_id(1), [5, 9, 12]).await;
    // A later version of a task that was counted.
    book.tasks([Task { version: 6, ..completed(11, agent_id(1), 900, 4) }]).await;
    assert_eq!(book.numbers("walker").await, (2, 700, 4));
    let hit = book.hits(all_agents("walker")).await.remove(0);
    assert_eq!(hit.last_completed, Some(at(4)));
}

pub(crate) async fn what_two_processes_apply_at_once_counts_once<I: Index>(book: Book<I>) {
    book.agents([agent(1, "walker", "", &["x"])]).await;
    for round in 0..10 {
        let tasks = || {
            let numbers = (0..5).map(|number| 100 + round * 10 + number);
            numbers
                .map(|number| Change::Task(Box::new(completed(number, agent_id(1), 50, 1))))
                .collect::<Vec<_>>()
        };
        let both = [book.batch(Source::Task, tasks()), book.batch(Source::Task, tasks())];
        let [one, two] = both.map(|batch| book.index.apply(batch));
        let statements = book.statements(agent_id(1), [i64::try_from(round).unwrap() + 1]);
        let again = book.statements(agent_id(1), [i64::try_from(round).unwrap() + 1]);
        let (one, two, (), ()) = tokio::join!(one, two, statements, again);
        assert_eq!((one.unwrap(), two.unwrap()), (Applied::Done, Applied::Done));
    }
    assert_eq!(book.numbers("walker").await, (50, 50, 10));
}

pub(crate) async fn the_typical_price_is_the_median_of_the_last_twenty<I: Index>(book: Book<I>) {
    book.agents([agent(1, "walker", "", &["x"])]).await;
    // Dear at first, then 1 to 20 msat.
    let dear = (0..5).map(|number| completed(100 + number, agent_id(1), 1_000_000, 0));
    book.tasks(dear).await;
    assert_eq!(book.numbers("walker").await.1, 1_000_000);
    let cheap = |number: u128| {
        completed(200 + number, agent_id(1), i64::try_from(number).unwrap(), i64::try_from(number).unwrap())
    };
    book.tasks((1..=20).map(cheap)).await;
    assert_eq!(book.numbers("walker").await, (25, 10, 0));
}

pub(crate) async fn tasks_and_statements_may_come_before_their_agent<I: Index>(book: Book<I>) {
    book.tasks([completed(10, agent_id(1), 700, 3)]).await;
    book.statements(agent_id(1), [0, 1]).await;
    assert_eq!(book.found("").await, Vec::<String>::new());
    book.agents([agent(1, "walker", "", &["x"])]).await;
    assert_eq!(book.numbers("").await, (1, 700, 2));
}

pub(crate) async fn several_changes_of_one_thing_in_a_batch_come_to_the_last<I: Index>(book: Book<I>) {
    let mut later = agent(1, "later", "", &["x"]);
    later.changed = at(1);
    book.agents([later, agent(1, "first", "", &["x"])]).await;
    assert_eq!(book.found("").await, ["later"]);
    book.tasks([
        task(1, "first", "x"),
        Task { version: 3, ..task(1, "last", "x") },
        Task { version: 2, ..task(1, "second", "x") },
    ])
    .await;
    assert_eq!(book.find_tasks(market("")).await, ["last"]);
}

pub(crate) async fn a_cursor_is_kept_with_its_effect_and_apart_from_others<I: Index>(book: Book<I>) {
    for source in Source::ALL {
        assert_eq!(book.index.cursor(source).await.unwrap(), "");
    }
    let mut batch = book.batch(Source::Task, vec![Change::Task(Box::new(task(1, "one", "x")))]);
    batch.cursor = "17".to_owned();
    book.index.apply(batch).await.unwrap();
    // Events that were passed over move the cursor too.
    let mut batch = book.batch(Source::Auth, Vec::new());
    batch.cursor = "4".to_owned();
    book.index.apply(batch).await.unwrap();
    assert_eq!(book.index.cursor(Source::Task).await.unwrap(), "17");
    assert_eq!(book.index.cursor(Source::Auth).await.unwrap(), "4");
    assert_eq!(book.index.cursor(Source::Attestation).await.unwrap(), "");
    // A cursor without rows is no damage where nothing was kept.
    assert_eq!(book.index.inspect().await.unwrap(), Health::Whole(book.generation));
}

pub(crate) async fn a_wiped_index_is_empty_and_takes_nothing_of_before<I: Index>(book: Book<I>) {
    book.agents([agent(1, "walker", "", &["x"])]).await;
    book.tasks([task(1, "walk", "x"), completed(2, agent_id(1), 5, 1)]).await;
    let late = book.batch(Source::Auth, vec![Change::Agent(Box::new(agent(2, "late", "", &["x"])))]);
    let dropped = book.index.wipe(None).await.unwrap().unwrap();
    assert_eq!((dropped.agents, dropped.tasks), (1, 2));
    let generation = Book::whole(&book.index).await;
    assert_ne!(generation, book.generation);
    assert_eq!(book.index.apply(late).await.unwrap(), Applied::Stale);
    assert_eq!(book.index.cursor(Source::Auth).await.unwrap(), "");
    assert_eq!(book.found("").await, Vec::<String>::new());
    assert_eq!(book.find_tasks(market("")).await, Vec::<String>::new());
    assert_eq!(book.completions("x").await, Vec::<String>::new());
    let book = book.at(generation);
    book.agents([agent(1, "walker", "", &["x"])]).await;
    assert_eq!(book.numbers("walker").await, (0, 0, 0));
}

pub(crate) async fn a_wipe_that_expects_another_build_drops_nothing<I: Index>(book: Book<I>) {
    book.agents([agent(1, "walker", "", &["x"])]).await;
    assert_eq!(book.index.wipe(Some(uuid::Uuid::nil())).await.unwrap(), None);
    assert_eq!(book.found("").await, ["walker"]);
    assert!(book.index.wipe(Some(book.generation)).await.unwrap().is_some());
    // The second one of two that saw the same damage.
    assert_eq!(book.index.wipe(Some(book.generation)).await.unwrap(), None);
}

pub(crate) async fn what_cannot_be_kept_is_refused_whole<I: Index>(book: Book<I>) {
    let bad = Task { title: "a\0b".to_owned(), capability: "x\0".to_owned(), ..task(1, "bad", "x") };
    let changes = [task(2, "good", "x"), bad].map(|task| Change::Task(Box::new(task)));
    let refused = book.index.apply(book.batch(Source::Task, changes.to_vec())).await;
    assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
    assert_eq!(book.find_tasks(market("")).await, Vec::<String>::new());
    assert_eq!(book.index.cursor(Source::Task).await.unwrap(), "");
}
