//! What every index is held to, whatever keeps it: `suite!(fresh)` makes a test of each function, with an index that
//! `fresh` gives, empty and never looked at.

pub(crate) mod agents;
pub(crate) mod applying;
pub(crate) mod book;
pub(crate) mod suggestions;
pub(crate) mod tasks;

/// Makes a test of each function of the suite. `$fresh` is an async function that gives an empty index.
macro_rules! suite {
    ($fresh:path) => {
        $crate::conformance::suite! { @tests $fresh;
            agents: words_are_found_in_name_description_and_capabilities,
            agents: all_words_must_be_there_and_their_beginning_is_enough,
            agents: typing_errors_are_forgiven_in_longer_words,
            agents: accents_case_and_width_make_no_difference,
            agents: a_part_of_a_text_without_spaces_is_found,
            agents: a_name_is_a_better_match_than_a_description_and_a_word_than_its_beginning,
            agents: without_words_the_most_experienced_come_first,
            agents: an_agent_must_have_all_capabilities_that_are_asked_for,
            agents: price_and_experience_filter,
            agents: retired_agents_are_found_only_where_they_are_asked_for,
            agents: pages_do_not_overlap_and_leave_nothing_out,
            agents: what_is_added_between_two_pages_moves_nothing_to_the_next,
            agents: the_hits_of_a_query_end_at_a_thousand,
            agents: hostile_queries_find_nothing_and_break_nothing,
            agents: a_place_of_nobodys_is_refused,
            tasks: the_market_is_open_tasks_for_any_agent,
            tasks: mine_are_those_that_i_offered_or_my_agents_hold_or_did,
            tasks: a_token_for_one_agent_sees_the_work_of_that_agent_alone,
            tasks: words_prices_capabilities_and_states_filter,
            tasks: titles_are_found_with_typing_errors_and_in_any_language,
            tasks: pages_of_tasks_do_not_overlap_and_leave_nothing_out,
            tasks: hostile_queries_for_tasks_find_nothing_and_break_nothing,
            suggestions: a_beginning_is_completed_to_capabilities_and_names,
            suggestions: of_more_names_than_are_ranked_the_most_experienced_come_first,
            suggestions: capabilities_are_counted_by_active_agents,
            suggestions: a_typing_error_is_completed_too,
            suggestions: hostile_prefixes_suggest_nothing,
            applying: an_older_agent_never_overwrites_a_newer_one,
            applying: an_older_task_never_overwrites_a_newer_one,
            applying: numbers_count_each_task_and_statement_once,
            applying: what_two_processes_apply_at_once_counts_once,
            applying: the_typical_price_is_the_median_of_the_last_twenty,
            applying: tasks_and_statements_may_come_before_their_agent,
            applying: several_changes_of_one_thing_in_a_batch_come_to_the_last,
            applying: a_cursor_is_kept_with_its_effect_and_apart_from_others,
            applying: a_wiped_index_is_empty_and_takes_nothing_of_before,
            applying: a_wipe_that_expects_another_build_drops_nothing,
            applying: what_cannot_be_kept_is_refused_whole,
        }
    };
    (@tests $fresh:path; $($module:ident: $test:ident,)*) => {
        $(
            #[tokio::test]
            async fn $test() {
                $crate::conformance::$module::$test($crate::conformance::book::Book::open($fresh().await).await).await;
            }
        )*
    };
}
pub(crate) use suite;
