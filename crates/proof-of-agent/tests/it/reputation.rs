//! An agent's reputation: the facts of a chain, the records of a log, and the formula over them.

use poa_common::{Msat, Timestamp};
use proof_of_agent::reputation::{
    Facts, Ledger, Pseudonym, RECORD_BYTES, Record, Reputation, Verdict, bucket, day_of,
};
use proof_of_agent::{DecisionKind, SettlementKind, Statement, WorkReceived};
use time::Duration;
use time::macros::datetime;

use crate::fixture::{NOW, World, id, settlement};
use crate::plan::{Story, payment, refund};
use crate::random::Random;

const DAY: u32 = 20_455;

fn record(verdict: Verdict, requester: u8, standing: u8, fee_bucket: u8, day: u32) -> Record {
    let (on_time, self_dealing) = (verdict != Verdict::Lapsed, false);
    let facts = Facts { agent: id(5), verdict, amount_bucket: 20, fee_bucket, on_time, self_dealing, day };
    Record { facts, requester: Pseudonym::new([requester; 16]), standing }
}

fn accepted(requester: u8, standing: u8, fee_bucket: u8, day: u32) -> Record {
    record(Verdict::Accepted, requester, standing, fee_bucket, day)
}

/// Worked by hand, in 1 / 65,536 of a verdict:
///
/// * requester 1, standing 20, so that it counts 24 / 24: accepted today (65,536 good) and 45 days ago, which is a quarter less
///   (49,152 good). Fees: bucket 13 is at least 4,096 msat, today in full; bucket 11 is 1,024 msat, three quarters of which are 768.
///   4,864 msat.
/// * requester 2, standing 8, so that it counts 12 / 24: rejected today (65,536 bad, of which half are 32,768).
///
/// Quality: 10,000 × (114,688 good + 65,536) / (114,688 + 32,768 + 131,072) = 1,802,240,000 / 278,528 = 6,470 (.58 is dropped).
/// Experience: 4,864 msat, which has 13 bits. Score: 6,470 × 13 / 250 = 336 (.44 is dropped).
#[test]
fn the_worked_example_of_the_formula_comes_out() {
    let records =
        [accepted(1, 20, 13, DAY), accepted(1, 12, 11, DAY - 45), record(Verdict::Rejected, 2, 8, 0, DAY)];
    let expected = Reputation {
        completed: 2,
        accepted: 2,
        rejected: 1,
        on_time: 2,
        requesters: 1,
        repeat_requesters: 1,
        quality: 6_470,
        experience_msat: 4_864,
        score: 336,
        ..Reputation::default()
    };
    assert_eq!(Reputation::of(&records, DAY), expected);
}

#[test]
fn who_has_no_records_begins_in_the_middle_with_no_score() {
    let expected = Reputation { quality: 5_000, ..Reputation::default() };
    assert_eq!(Ledger::default().reputation(id(5), DAY), expected);
}

#[test]
fn each_verdict_counts_where_it_belongs() {
    let all: Vec<Record> =
        (1_u8..).zip(Verdict::ALL).map(|(n, verdict)| record(verdict, n, 20, 1, DAY)).collect();
    let found = Reputation::of(&all, DAY);
    assert_eq!((found.completed, found.accepted, found.on_time), (4, 1, 4));
    assert_eq!((found.paid_in_part, found.rejected, found.lapsed, found.disputed), (1, 1, 1, 2));
    // A part that was paid is no task that was: who has paid parts alone has not paid for a task.
    assert_eq!((found.requesters, found.repeat_requesters), (4, 0));
    // Five good and three bad ones, and one of each to begin with.
    assert_eq!(found.quality, 6_000);
    let late = Record { facts: Facts { on_time: false, ..all[0].facts }, ..all[0] };
    assert_eq!(Reputation::of(&[late], DAY).on_time, 0);
}

#[test]
fn the_order_of_records_does_not_matter() {
    let mut random = Random::new(3);
    let mut records: Vec<Record> = (0..200)
        .map(|_| {
            let verdict = Verdict::ALL[random.place(8)];
            let small = |random: &mut Random, limit| u8::try_from(random.below(limit)).unwrap();
            let (requester, standing) = (small(&mut random, 7), small(&mut random, 65));
            let day = DAY - u32::try_from(random.below(400)).unwrap();
            record(verdict, requester, standing, small(&mut random, 65), day)
        })
        .collect();
    let expected = Reputation::of(&records, DAY);
    for _ in 0..20 {
        random.shuffle(&mut records);
        assert_eq!(Reputation::of(&records, DAY), expected);
    }
}

#[test]
fn dealing_with_oneself_counts_for_nothing() {
    let good = accepted(1, 20, 13, DAY);
    let own = |verdict| {
        let it = record(verdict, 2, 64, 40, DAY);
        Record { facts: Facts { self_dealing: true, ..it.facts }, ..it }
    };
    let alone = Reputation::of(&[good], DAY);
    let with_own = Reputation::of(&[own(Verdict::Accepted), good, own(Verdict::Rejected)], DAY);
    assert_eq!(with_own, Reputation { self_dealing: 2, ..alone });
}

#[test]
fn many_records_of_one_requester_count_as_five() {
    let many = |count: usize| Reputation::of(&vec![accepted(1, 20, 13, DAY); count], DAY);
    // Five good ones, and one of each to begin with: six of seven.
    assert_eq!((many(5).quality, many(1_000).quality), (8_571, 8_571));
    assert!(many(4).quality < many(5).quality);
    // Fees: 4,096 msat each, at most 2^20 of one requester.
    assert_eq!((many(255).experience_msat, many(256).experience_msat), (1_044_480, 1_048_576));
    assert_eq!(many(1_000).experience_msat, 1_048_576);
    let of_many: Vec<Record> = (0..100).map(|requester| accepted(requester, 20, 13, DAY)).collect();
    assert!(Reputation::of(&of_many, DAY).quality > 9_800);
    // Good and bad keep their proportion.
    let mixed =
        [vec![accepted(1, 20, 0, DAY); 30], vec![record(Verdict::Rejected, 1, 20, 0, DAY); 10]].concat();
    assert_eq!(Reputation::of(&mixed, DAY).quality, 10_000 * (245_760 + 65_536) / (327_680 + 131_072));
}

#[test]
fn one_enormous_fee_counts_as_the_most_of_a_requester() {
    for fee in [21, 41, 42, 64] {
        assert_eq!(Reputation::of(&[accepted(1, 20, fee, DAY)], DAY).experience_msat, 1 << 20);
    }
}

#[test]
fn a_record_counts_half_after_ninety_days_and_in_the_end_nothing() {
    let fees = |age: u32| Reputation::of(&[accepted(1, 20, 17, DAY - age)], DAY).experience_msat;
    // 65,536 msat of fees: what is left is the weight itself.
    assert_eq!([fees(0), fees(45), fees(90), fees(135), fees(180)], [65_536, 49_152, 32_768, 24_576, 16_384]);
    for age in 0..400 {
        assert!(fees(age + 1) < fees(age), "{age}");
    }
    assert_eq!((fees(90 * 16), fees(90 * 17), fees(DAY)), (1, 0, 0));
    // A day that has not come yet counts as today.
    assert_eq!(Reputation::of(&[accepted(1, 20, 17, DAY + 9)], DAY).experience_msat, 65_536);
}

#[test]
fn who_has_paid_nobody_else_counts_a_sixth() {
    let of = |standing| Reputation::of(&[accepted(1, standing, 17, DAY)], DAY).experience_msat;
    assert_eq!((of(0), of(8), of(20), of(64)), (65_536 / 6, 32_768, 65_536, 65_536));
}

#[test]
fn a_score_is_at_most_a_thousand_and_nothing_overflows() {
    let many: Vec<Record> =
        (0..=255).flat_map(|requester| vec![accepted(requester, 64, 64, DAY); 200]).collect();
    let found = Reputation::of(&many, DAY);
    assert!(found.score > 990 && found.score <= 1_000, "{found:?}");
    assert_eq!(found.completed, 51_200);
}

#[test]
fn a_ledger_keeps_agents_apart() {
    let mut ledger = Ledger::default();
    let other = accepted(1, 20, 13, DAY);
    let other = Record { facts: Facts { agent: id(6), ..other.facts }, ..other };
    for record in [accepted(1, 20, 13, DAY), other, other] {
        ledger.add(record);
    }
    assert_eq!(ledger.agents().collect::<Vec<_>>(), [id(5), id(6)]);
    let completed = |agent: u128| ledger.reputation(id(agent), DAY).completed;
    assert_eq!((completed(5), completed(6), completed(7)), (1, 2, 0));
}

#[test]
fn a_bucket_is_the_number_of_bits() {
    for (amount, bits) in
        [(-1, 0), (0, 0), (1, 1), (2, 2), (3, 2), (4, 3), (1_023, 10), (1_024, 11), (i64::MAX, 63)]
    {
        assert_eq!(bucket(Msat::new(amount)), bits, "{amount}");
    }
}

#[test]
fn a_day_begins_at_midnight_in_utc() {
    let days: [(Timestamp, u32); 4] = [
        (datetime!(1970-01-01 00:00 UTC), 0),
        (datetime!(2026-01-02 23:59:59.999 UTC), 20_455),
        (datetime!(2026-01-03 01:00 +02:00), 20_455),
        (datetime!(1969-12-31 23:59 UTC), 0),
    ];
    for (at, day) in days {
        assert_eq!(day_of(at), day, "{at}");
    }
}

#[test]
fn a_record_reads_back_in_its_one_spelling() {
    for (number, verdict) in (1_u8..).zip(Verdict::ALL) {
        let record = record(verdict, 200, 64, 63, u32::MAX);
        let bytes = record.encode();
        assert_eq!((bytes.len(), bytes[33]), (RECORD_BYTES, number));
        assert_eq!(Record::decode(&bytes), Some(record));
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
        assert!(serde_json::from_str::<Record>(&text.to_uppercase()).is_err());
    }
    let good = record(Verdict::Accepted, 1, 2, 3, 4).encode();
    for (place, wrong) in
        [(0, 0), (0, 2), (33, 0), (33, 9), (34, 65), (35, 65), (36, 4), (36, 255), (37, 65), (37, 255)]
    {
        let mut bytes = good;
        bytes[place] = wrong;
        assert_eq!(Record::decode(&bytes), None, "{place} = {wrong}");
    }
    assert_eq!(Record::decode(&good[..41]), None);
    assert_eq!(Record::decode(&[good.as_slice(), &[0]].concat()), None);
}

// === What a chain means ===

/// The facts of the last statement.
fn facts(world: &World, statements: &[Statement]) -> Option<Facts> {
    let (last, before) = statements.split_last().unwrap();
    Facts::of(&world.chain(before), last)
}

#[test]
fn the_end_of_a_chain_says_what_became_of_the_claim() {
    let world = World::new();
    let story = || Story::received(&world);
    let released = || settlement(SettlementKind::Released);
    let paid = |kind| story().decided(kind).settled(released()).statements;
    let split = payment(SettlementKind::Split, 0, 0, 40_011, 60_988);
    let part = payment(SettlementKind::Captured, 0, 0, 40_011, 0);
    for (statements, verdict, amount, fee) in [
        (world.paid(), Verdict::CriteriaMet, 100_999, 5_049),
        (paid(DecisionKind::Accepted), Verdict::Accepted, 100_999, 5_049),
        (paid(DecisionKind::DeadlinePassed), Verdict::DeadlinePassed, 100_999, 5_049),
        (story().judged(40_011).settled(split).statements, Verdict::Awarded, 40_011, 2_000),
        (story().judged(100_999).settled(released()).statements, Verdict::Awarded, 100_999, 5_049),
        (story().judged(0).settled(refund(100_999)).statements, Verdict::Denied, 0, 0),
        (
            story().decided(DecisionKind::AcceptedInPart).settled(part).statements,
            Verdict::PaidInPart,
            40_011,
            2_000,
        ),
        (story().decided(DecisionKind::Rejected).statements, Verdict::Rejected, 0, 0),
    ] {
        let found = facts(&world, &statements).unwrap();
        assert_eq!((found.verdict, found.agent, found.day), (verdict, id(5), DAY));
        assert_eq!(
            (found.amount_bucket, found.fee_bucket),
            (bucket(Msat::new(amount)), bucket(Msat::new(fee)))
        );
        assert!(found.on_time && !found.self_dealing);
        // Nothing before the last statement but that means something.
        for length in 1..statements.len() {
            let means = statements[..length].last().unwrap().body().as_settlement().is_some();
            assert_eq!(facts(&world, &statements[..length]).is_some(), means, "{length}");
        }
    }
}

#[test]
fn a_claim_that_nothing_came_of_has_lapsed_when_another_follows_or_the_task_expires() {
    let world = World::new();
    let claimed = world.up_to_received(proof_of_agent::ReleasePolicy::OnAcceptance)[..2].to_vec();
    let again = [claimed.clone(), vec![world.accept(&claimed[0], 2)]].concat();
    let expired = Story::new(&world, claimed.clone()).decided(DecisionKind::Expired).statements;
    for statements in [again, expired] {
        let found = facts(&world, &statements).unwrap();
        assert_eq!((found.verdict, found.on_time, found.amount_bucket), (Verdict::Lapsed, false, 0));
    }
    // Withdrawn, or never claimed: nobody failed.
    let canceled = Story::new(&world, claimed.clone()).decided(DecisionKind::Canceled).statements;
    let unclaimed = Story::new(&world, claimed[..1].to_vec()).decided(DecisionKind::Expired).statements;
    assert_eq!((facts(&world, &canceled), facts(&world, &unclaimed)), (None, None));
    let refunded = Story::new(&world, claimed[..1].to_vec()).settled(settlement(SettlementKind::Refunded));
    assert_eq!(facts(&world, &refunded.statements), None);
}

#[test]
fn a_result_is_on_time_up_to_the_second_and_with_what_the_time_was_extended_by() {
    let world = World::new();
    for (extension, seconds, on_time) in
        [(0, 3_600, true), (0, 3_601, false), (60, 3_660, true), (60, 3_661, false)]
    {
        let claimed = world.up_to_received(proof_of_agent::ReleasePolicy::OnAcceptance)[..2].to_vec();
        let mut story = Story::new(&world, claimed);
        if extension > 0 {
            let more = proof_of_agent::Decision {
                deadline: Some(proof_of_agent::Deadline::Work),
                extended_seconds: Some(extension),
                ..crate::fixture::decision(DecisionKind::DeadlineExtended)
            };
            story = story.then(world.by_platform(), more);
        }
        let work = crate::fixture::submitted(&story.statements[1]);
        let received_time = NOW + Duration::seconds(seconds);
        let story = story.then(world.by_agent(), work);
        let story = story.then(world.by_platform(), WorkReceived { received_time, ..world.received() });
        let rejected = story.decided(DecisionKind::Rejected).statements;
        assert_eq!(facts(&world, &rejected).unwrap().on_time, on_time, "{seconds} of 3,600 + {extension}");
    }
}

#[test]
fn an_agent_of_the_requesters_own_account_deals_with_itself() {
    let world = World::new();
    let own = proof_of_agent::TermsOffered {
        requester: id(2),
        ..crate::fixture::terms(proof_of_agent::ReleasePolicy::OnAcceptance)
    };
    let offer = world.offer_of(world.for_requester(), own);
    let acceptance = world.accept(&offer, 1);
    let submission = world.submit(&acceptance, &acceptance);
    let received = world.receive(&submission, 1);
    let story = Story::new(&world, vec![offer, acceptance, submission, received]);
    let rejected = story.decided(DecisionKind::Rejected).statements;
    assert!(facts(&world, &rejected).unwrap().self_dealing);
}
