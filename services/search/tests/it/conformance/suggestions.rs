//! Suggestions.

use poa_search::domain::{SuggestQuery, Suggestion};
use poa_search::index::Index;

use super::book::{Book, agent, agent_id, at, completed, hostile};

pub(crate) async fn a_beginning_is_completed_to_capabilities_and_names<I: Index>(book: Book<I>) {
    book.agents([
        agent(1, "Summer school", "Nothing of it counts.", &["text.summarize", "text.count"]),
        agent(2, "Teacher", "Summer and winter.", &["text.summarize"]),
        agent(3, "Sum of all", "", &["math.sum"]),
    ])
    .await;
    book.tasks([completed(10, agent_id(3), 5, 1)]).await;
    // What begins so counts more than what has a part that does; then how many have it.
    assert_eq!(book.completions("sum").await, ["text.summarize", "math.sum", "Sum of all", "Summer school"]);
    assert_eq!(book.completions("math").await, ["math.sum"]);
    assert_eq!(book.completions("text.su").await, ["text.summarize"]);
    assert_eq!(book.completions("text").await, ["text.summarize", "text.count"]);
    assert_eq!(book.completions("Summer sch").await, ["Summer school"]);
    let suggested = book.suggested("summer").await;
    assert_eq!(suggested, [Suggestion::Agent { name: "Summer school".to_owned(), agent: agent_id(1) }]);
    // Of many capabilities some give way to names.
    let query = SuggestQuery { prefix: "sum".to_owned(), limit: 3 };
    let few: Vec<Suggestion> = book.index.suggest(query).await.unwrap();
    assert_eq!(few.len(), 3);
    assert!(few.iter().any(|found| matches!(found, Suggestion::Agent { .. })), "{few:?}");
}

pub(crate) async fn of_more_names_than_are_ranked_the_most_experienced_come_first<I: Index>(book: Book<I>) {
    let last = 2_500;
    for first in (1..=last).step_by(250) {
        book.agents((first..first + 250).map(|number| agent(number, &format!("Sum {number}"), "", &["x"])))
            .await;
    }
    book.tasks([completed(1, agent_id(last), 5, 1)]).await;
    assert_eq!(book.completions("su").await.first(), Some(&format!("Sum {last}")));
}

pub(crate) async fn capabilities_are_counted_by_active_agents<I: Index>(book: Book<I>) {
    let mut first = agent(1, "one", "", &["text.count", "text.draw"]);
    book.agents([first.clone(), agent(2, "two", "", &["text.count"])]).await;
    // Told again, it counts once.
    book.agents([first.clone()]).await;
    let count = |name: &str, agents| Suggestion::Capability { name: name.to_owned(), agents };
    assert_eq!(book.suggested("text").await, [count("text.count", 2), count("text.draw", 1)]);
    (first.active, first.changed) = (false, at(1));
    book.agents([first.clone()]).await;
    book.agents([first]).await;
    assert_eq!(book.suggested("text").await, [count("text.count", 1)]);
    assert_eq!(book.completions("one").await, Vec::<String>::new());
}

pub(crate) async fn a_typing_error_is_completed_too<I: Index>(book: Book<I>) {
    book.agents([agent(1, "Translator", "", &["text.summarize"]), agent(2, "Painter", "", &["image.draw"])])
        .await;
    assert_eq!(book.completions("sumarize").await, ["text.summarize"]);
    assert_eq!(book.completions("tranzlator").await, ["Translator"]);
    assert_eq!(book.completions("elephant").await, Vec::<String>::new());
}

pub(crate) async fn hostile_prefixes_suggest_nothing<I: Index>(book: Book<I>) {
    book.agents([agent(1, "Counter", "", &["text.count"])]).await;
    for text in hostile() {
        assert_eq!(book.completions(&text).await, Vec::<String>::new(), "{text:?}");
    }
    assert_eq!(book.completions("count").await, ["text.count", "Counter"]);
}
