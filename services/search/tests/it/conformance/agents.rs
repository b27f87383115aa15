//! Agents.

use std::collections::HashSet;

use poa_common::Msat;
use poa_search::domain::{AgentQuery, MAX_HITS, Window};
use poa_search::index::{Error, Index};

use super::book::{Book, agent, agent_id, all_agents, at, completed, first, hostile, pages, shown};

pub(crate) async fn words_are_found_in_name_description_and_capabilities<I: Index>(book: Book<I>) {
    book.agents([
        agent(1, "Counter", "Counts what there is to count.", &["text.tally"]),
        agent(2, "Painter", "Draws landscapes.", &["image.draw"]),
    ])
    .await;
    for text in ["counter", "there", "tally", "text.tally", "counter there tally"] {
        assert_eq!(book.found(text).await, ["Counter"], "{text}");
    }
    assert_eq!(book.found("landscapes").await, ["Painter"]);
    assert_eq!(book.found("elephant").await, Vec::<String>::new());
}

pub(crate) async fn all_words_must_be_there_and_their_beginning_is_enough<I: Index>(book: Book<I>) {
    book.agents([
        agent(1, "Summary maker", "", &["text.summarize"]),
        agent(2, "Summary reader", "", &["text.read"]),
    ])
    .await;
    assert_eq!(book.found("summ ma").await, ["Summary maker"]);
    assert_eq!(book.found("su").await.len(), 2);
    assert_eq!(book.found("summary painter").await, Vec::<String>::new());
    // The end of a word is not its beginning.
    assert_eq!(book.found("ary").await, Vec::<String>::new());
}

pub(crate) async fn typing_errors_are_forgiven_in_longer_words<I: Index>(book: Book<I>) {
    book.agents([
        agent(1, "Legal translator", "Contracts.", &["text.translate"]),
        agent(2, "Image painter", "Portraits.", &["image.draw"]),
    ])
    .await;
    for text in ["translater", "tranlator", "transslator", "tranzlator", "legal translater"] {
        assert_eq!(book.found(text).await, ["Legal translator"], "{text}");
    }
    assert_eq!(book.found("portrats").await, ["Image painter"]);
    assert_eq!(book.found("painter translater").await, Vec::<String>::new());
    // Every other short word is like a short word.
    assert_eq!(book.found("lxg").await, Vec::<String>::new());
}

pub(crate) async fn accents_case_and_width_make_no_difference<I: Index>(book: Book<I>) {
    book.agents([agent(1, "Résumé Größe", "Ελληνικά. Переводчик.", &["text.cv"])]).await;
    for text in ["resume", "RÉSUMÉ", "grosse", "GRÖSSE", "ｒｅｓｕｍｅ", "ελληνικα", "ПЕРЕВОДЧИК", "перевод"]
    {
        assert_eq!(book.found(text).await, ["Résumé Größe"], "{text}");
    }
}

pub(crate) async fn a_part_of_a_text_without_spaces_is_found<I: Index>(book: Book<I>) {
    book.agents([
        agent(1, "要約エージェント", "日本語の文章を要約します。", &["text.summarize"]),
        agent(2, "翻译", "把合同翻译成英文。", &["text.translate"]),
        agent(3, "แปลภาษา", "แปลเอกสาร", &["text.translate"]),
        agent(4, "번역가", "계약서를 번역합니다", &["text.translate"]),
    ])
    .await;
    for (text, name) in [
        ("要約", "要約エージェント"),
        ("文章を要約", "要約エージェント"),
        ("章", "要約エージェント"),
        ("ｴｰｼﾞｪﾝﾄ", "要約エージェント"),
        ("合同", "翻译"),
        ("翻译 英文", "翻译"),
        ("ภาษา", "แปลภาษา"),
        ("계약서", "번역가"),
    ] {
        assert_eq!(book.found(text).await, [name], "{text}");
    }
    assert_eq!(book.found("約要").await, Vec::<String>::new());
}

pub(crate) async fn a_name_is_a_better_match_than_a_description_and_a_word_than_its_beginning<I: Index>(
    book: Book<I>,
) {
    book.agents([
        agent(1, "One", "Knows of the weather. Weather, weather, weather, weather.", &["x"]),
        agent(2, "Weatherman", "", &["x"]),
        agent(3, "Weather", "", &["x"]),
        agent(4, "Four", "", &["weather"]),
    ])
    .await;
    assert_eq!(book.found("weather").await[0], "Weather");
    assert_eq!(book.found("weather").await.last().unwrap(), "One");
    assert_eq!(book.found("weather").await.len(), 4);
}

pub(crate) async fn without_words_the_most_experienced_come_first<I: Index>(book: Book<I>) {
    book.agents([agent(1, "none", "", &["x"]), agent(2, "newer", "", &["x"]), agent(3, "some", "", &["x"])])
        .await;
    book.tasks([completed(10, agent_id(3), 5, 1), completed(11, agent_id(3), 5, 2)]).await;
    assert_eq!(book.found("").await, ["some", "newer", "none"]);
    assert_eq!(book.found("  \t").await, ["some", "newer", "none"]);
}

pub(crate) async fn an_agent_must_have_all_capabilities_that_are_asked_for<I: Index>(book: Book<I>) {
    book.agents([
        agent(1, "both", "", &["text.count", "text.draw"]),
        agent(2, "one", "", &["text.count"]),
        agent(3, "longer", "", &["text.counter", "text.draw"]),
    ])
    .await;
    let with = |capabilities: &[&str]| AgentQuery {
        capabilities: capabilities.iter().map(|word| (*word).to_owned()).collect(),
        ..all_agents("")
    };
    assert_eq!(book.find(with(&["text.count"])).await, ["one", "both"]);
    assert_eq!(book.find(with(&["text.count", "text.draw"])).await, ["both"]);
    assert_eq!(book.find(with(&["text"])).await, Vec::<String>::new());
    assert_eq!(
        book.find(AgentQuery { capabilities: vec!["text.draw".into()], ..all_agents("longer") }).await,
        ["longer"]
    );
}

pub(crate) async fn price_and_experience_filter<I: Index>(book: Book<I>) {
    book.agents([agent(1, "new", "", &["x"]), agent(2, "cheap", "", &["x"]), agent(3, "dear", "", &["x"])])
        .await;
    book.tasks([
        completed(10, agent_id(2), 1_000, 1),
        completed(11, agent_id(3), 9_000, 1),
        completed(12, agent_id(3), 9_000, 2),
    ])
    .await;
    let priced = |msat| AgentQuery { max_typical_price: Some(Msat::new(msat)), ..all_agents("") };
    assert_eq!(book.find(priced(999)).await, Vec::<String>::new());
    assert_eq!(book.find(priced(1_000)).await, ["cheap"]);
    assert_eq!(book.find(priced(9_000)).await, ["dear", "cheap"]);
    let experienced = |tasks| AgentQuery { min_completed_tasks: tasks, ..all_agents("") };
    assert_eq!(book.find(experienced(1)).await, ["dear", "cheap"]);
    assert_eq!(book.find(experienced(2)).await, ["dear"]);
    assert_eq!(book.find(experienced(3)).await, Vec::<String>::new());
}

pub(crate) async fn retired_agents_are_found_only_where_they_are_asked_for<I: Index>(book: Book<I>) {
    let mut retired = agent(1, "retired", "", &["x"]);
    book.agents([retired.clone(), agent(2, "active", "", &["x"])]).await;
    assert_eq!(book.found("").await, ["active", "retired"]);
    (retired.active, retired.changed) = (false, at(1));
    book.agents([retired]).await;
    assert_eq!(book.found("").await, ["active"]);
    assert_eq!(book.found("retired").await, Vec::<String>::new());
    let everybody = |text| AgentQuery { include_retired: true, ..all_agents(text) };
    assert_eq!(book.find(everybody("")).await, ["active", "retired"]);
    assert_eq!(book.find(everybody("retired")).await, ["retired"]);
}

pub(crate) async fn pages_do_not_overlap_and_leave_nothing_out<I: Index>(book: Book<I>) {
    book.agents((1..=57).map(|number| agent(number, &format!("walker {number}"), "", &["x"]))).await;
    // Ranks that are alike and ranks that are not.
    book.tasks((1..=20).map(|number| completed(100 + number, agent_id(number % 7 + 1), 5, 1))).await;
    for text in ["", "walker", "wallker"] {
        for limit in [1, 10, 57, 100] {
            let found = pages(limit, async |window| {
                book.index.agents(AgentQuery { window, ..all_agents(text) }).await
            });
            let names: Vec<String> = found.await.iter().map(|hit| shown(&hit.message)).collect();
            let once: HashSet<&String> = names.iter().collect();
            assert_eq!((names.len(), once.len()), (57, 57), "{text} by {limit}");
            assert_eq!(names, book.found(text).await, "{text} by {limit}");
        }
    }
}

pub(crate) async fn what_is_added_between_two_pages_moves_nothing_to_the_next<I: Index>(book: Book<I>) {
    book.agents((1..=6).map(|number| agent(number, &format!("walker {number}"), "", &["x"]))).await;
    let page = book.index.agents(AgentQuery { window: first(3), ..all_agents("walker") }).await.unwrap();
    book.agents((7..=9).map(|number| agent(number, &format!("walker {number}"), "", &["x"]))).await;
    let window = Window { after: page.next, limit: 10 };
    let rest = book.find(AgentQuery { window, ..all_agents("walker") }).await;
    assert_eq!(rest, ["walker 3", "walker 2", "walker 1"]);
}

pub(crate) async fn the_hits_of_a_query_end_at_a_thousand<I: Index>(book: Book<I>) {
    for hundred in 0..11 {
        let numbers = (1..=100).map(|number| hundred * 100 + number);
        book.agents(numbers.map(|number| agent(number, &format!("walker {number}"), "", &["x"]))).await;
    }
    for text in ["", "walker"] {
        let found =
            pages(90, async |window| book.index.agents(AgentQuery { window, ..all_agents(text) }).await)
                .await;
        assert_eq!(found.len(), usize::from(MAX_HITS), "{text}");
    }
}

pub(crate) async fn hostile_queries_find_nothing_and_break_nothing<I: Index>(book: Book<I>) {
    book.agents([agent(1, "Counter", "", &["text.count"])]).await;
    for text in hostile() {
        let found = book.found(&text).await;
        assert_eq!(found, Vec::<String>::new(), "{text:?}");
    }
    // The same texts as names: kept, and found by what they hold.
    let named = (100u128..).zip(hostile().into_iter().filter(|text| !text.contains('\0')));
    book.agents(named.map(|(number, text)| agent(number, &text, &text, &["x"]))).await;
    assert!(book.found("example.org").await.len() == 1);
    assert!(book.found("DROP TABLE").await.len() == 1);
    assert_eq!(book.found("counter").await, ["Counter"]);
}

pub(crate) async fn a_place_of_nobodys_is_refused<I: Index>(book: Book<I>) {
    for bytes in [Vec::new(), vec![0], vec![255; 31], vec![0; 200]] {
        let window = Window { after: Some(bytes), limit: 10 };
        let refused = book.index.agents(AgentQuery { window, ..all_agents("") }).await;
        assert!(matches!(refused, Err(Error::Place)), "{refused:?}");
    }
}
