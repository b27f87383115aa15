//! Wall clocks that jump a day, forwards and backwards, of all servers at once and of one alone, while tasks are open,
//! claimed and in review. Business deadlines run on the mesh clock: nothing expires, nothing is paid twice.

mod place;

use std::time::Duration;

use poa_sdk::api::task::task::State;
use poa_sdk::receipts::{Statement, TrustRoot};
use poa_sdk::{Code, Error};
use tokio::time::Instant;

use crate::journal::Journal;
use crate::pair::{BUDGET_MSAT, FEE_MSAT, PRICE_MSAT, Pair, may_pass};
use place::{Place, SERVICES, env_at};

/// How long a clock stays where it jumped to: several ticks of the mesh clock.
const STAY: Duration = Duration::from_secs(2);
/// How long one task may take.
const LIFECYCLE_WITHIN: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(150);

/// What jumps, and where to, in hours from the true time.
const JUMPS: [(&[&str], i64); 10] = [
    (&SERVICES, 24),
    (&SERVICES, 0),
    (&SERVICES, -24),
    // From one end to the other.
    (&SERVICES, 24),
    (&SERVICES, -24),
    (&["escrow"], 24),
    (&["attestation"], -24),
    (&["task"], 24),
    (&["search"], 24),
    (&["auth"], -24),
];

/// What a run has shown.
#[derive(Default)]
struct Seen {
    jumps: usize,
    reads: usize,
    refused: usize,
    sign_ins: usize,
    audits: usize,
    newcomers: usize,
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_that_jump_a_day_move_no_task_and_no_sats() {
    jump_about(&Place::in_process().await, "in one process").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_whose_clocks_jump_a_day_move_no_task_and_no_sats() {
    match Place::processes().await {
        Some(place) => jump_about(&place, "separate processes under libfaketime").await,
        None => println!("SKIPPED: libfaketime is not installed (apt-get install faketime)"),
    }
}

async fn jump_about(place: &Place, name: &str) {
    let journal = Journal::default();
    let endpoint = place.endpoint();
    let mut pairs = Vec::new();
    for number in 0..4 {
        pairs.push(Pair::new(&endpoint, number, &journal).await);
    }
    let mut claims: [Option<Statement>; 3] = [None, None, None];
    let standing = [
        stand(&pairs[0], State::Open, &mut claims[0]).await,
        stand(&pairs[1], State::Claimed, &mut claims[1]).await,
        stand(&pairs[2], State::Submitted, &mut claims[2]).await,
    ];
    let log_before = log_size(&pairs[0]).await;
    let mut seen = Seen::default();

    for (turn, (services, hours)) in JUMPS.into_iter().enumerate() {
        place.jump(services, hours).await;
        seen.jumps += usize::from(hours != 0);
        let whole = services.len() == SERVICES.len();
        look_on(place, &mut pairs, &standing, whole, &journal, &mut seen).await;
        if whole {
            // Whoever comes new to a mesh whose clocks agree with his own finds nothing amiss.
            let newcomer = Pair::with_env(&endpoint, 10 + turn, &journal, env_at(hours)).await;
            let done = newcomer.lifecycle(turn, Instant::now() + LIFECYCLE_WITHIN).await;
            assert!(done.is_ok(), "{services:?} at {hours} h: {done:?}\n{}", place.logs());
            seen.newcomers += 1;
        } else {
            // When it is over, everything goes on by itself. Only then: a token of another time is no use.
            place.jump(services, 0).await;
            sign_in_again(&mut pairs, &mut seen).await;
            let done = pairs[3].lifecycle(turn, Instant::now() + LIFECYCLE_WITHIN).await;
            assert!(done.is_ok(), "after {services:?} at {hours} h: {done:?}\n{}", place.logs());
        }
        if turn + 1 < JUMPS.len() && whole && JUMPS[turn + 1].0.len() != SERVICES.len() {
            place.jump(&SERVICES, 0).await;
            sign_in_again(&mut pairs, &mut seen).await;
        }
    }

    for ((pair, id), claim) in pairs.iter().zip(&standing).zip(claims) {
        let task = pair.requester.task(&id.0).await.expect("a task that stood all the while");
        let done = pair.finish_with(task, claim, Instant::now() + LIFECYCLE_WITHIN).await;
        assert!(done.is_ok(), "{id:?}: {done:?}\n{}", place.logs());
    }
    reckon(place, &pairs, &journal, &mut seen).await;
    assert!(seen.refused > 0, "no call was refused: the clocks did not jump");
    let log_after = log_size(&pairs[0]).await;
    assert!(log_after > log_before, "the log stands at {log_after}");
    println!(
        "\n== clocks that jump ±24 h, {name} ==\n\
         jumps {}, tasks expired or moved 0 of 3 (open, claimed, in review), read {} times meanwhile\n\
         calls refused for a token of another time {}, signed in again {}, lifecycles of newcomers meanwhile {}\n\
         clean audits {}, log from {log_before} to {log_after} leaves\n\
         clients heard: {}\n",
        seen.jumps,
        seen.reads,
        seen.refused,
        seen.sign_ins,
        seen.newcomers,
        seen.audits,
        journal.errors()
    );
}

/// A task that is brought to a state, and left there.
async fn stand(pair: &Pair, state: State, claim: &mut Option<Statement>) -> (String, State) {
    let deadline = Instant::now() + LIFECYCLE_WITHIN;
    // An even turn is judged by the requester.
    let mut task = pair.offered(0, deadline).await.expect("an offer");
    while task.state() != state {
        let id = task.task_id.clone();
        let next = match task.state() {
            State::Open => pair.claim(&id, claim, deadline).await,
            State::Claimed => pair.submit(&id, claim.as_ref(), deadline).await,
            other => panic!("{id} is {other:?}"),
        };
        match next {
            Some(next) => task = next,
            None => task = pair.requester.task(&id).await.expect("the task"),
        }
    }
    (task.task_id, state)
}

/// Looks at the standing tasks and the ledger while the clocks are off.
async fn look_on(
    place: &Place,
    pairs: &mut [Pair],
    standing: &[(String, State)],
    whole: bool,
    journal: &Journal,
    seen: &mut Seen,
) {
    let operator = place.operator();
    let end = Instant::now() + STAY;
    let mut rounds = 0;
    while Instant::now() < end || rounds == 0 {
        rounds += 1;
        for (pair, (id, state)) in pairs.iter_mut().zip(standing) {
            match pair.requester.task(id).await {
                Ok(task) => {
                    seen.reads += 1;
                    if task.state() != *state {
                        journal.violated(format!("{id} was {state:?} and is {:?}", task.state()));
                    }
                }
                Err(error) => {
                    refused(&error, journal, seen);
                    if whole && error.code() == Some(Code::Unauthenticated) {
                        pair.sign_in_again().await.expect("signing in where the clocks agree");
                        seen.sign_ins += 1;
                    }
                }
            }
        }
        match operator.audit_ledger().await {
            Ok(audit) if audit.clean => seen.audits += 1,
            Ok(audit) => journal.violated(format!("{audit:?}")),
            Err(error) => refused(&error, journal, seen),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// A refusal must say what is wrong, or that it passes.
fn refused(error: &Error, journal: &Journal, seen: &mut Seen) {
    journal.failed(error);
    seen.refused += usize::from(error.code() == Some(Code::Unauthenticated));
    if error.code() != Some(Code::Unauthenticated) && !may_pass(error) {
        journal.violated(format!("a jump is answered with {error:?}"));
    }
}

async fn sign_in_again(pairs: &mut [Pair], seen: &mut Seen) {
    for pair in pairs {
        pair.sign_in_again().await.expect("signing in when the jump is over");
        seen.sign_ins += 1;
    }
}

/// When all is over: nothing lost, nothing paid twice.
async fn reckon(place: &Place, pairs: &[Pair], journal: &Journal, seen: &mut Seen) {
    let root = TrustRoot::from_json(&std::fs::read(place.trust_root_file()).expect("the trust root"));
    let root = root.expect("a trust root");
    let mut problems = journal.violations();
    for (number, pair) in pairs.iter().enumerate() {
        let tasks = pair.tasks().await.expect("a list when all is over");
        for task in &tasks {
            if task.state() != State::Completed {
                problems.push(format!("{} is {:?}: {}", task.task_id, task.state(), task.note));
            }
            problems.extend(pair.receipt_is_good(&task.task_id, &root).await.err());
        }
        pair.until_searched(&tasks).await;
        let paid = i64::try_from(tasks.len()).expect("a small number");
        let expected = (BUDGET_MSAT - paid * PRICE_MSAT, 0, paid * (PRICE_MSAT - FEE_MSAT));
        let found = pair.balances().await.expect("balances when all is over");
        if found != expected {
            problems.push(format!("pair {number} has {found:?}, expected {expected:?}"));
        }
    }
    let audit = place.operator().audit_ledger().await.expect("an audit when all is over");
    seen.audits += usize::from(audit.clean);
    if !audit.clean {
        problems.push(format!("{audit:?}"));
    }
    if journal.refused_with("Internal") > 0 {
        problems.push(format!("calls were answered INTERNAL: {}", journal.errors()));
    }
    assert!(problems.is_empty(), "{}\n{}", problems.join("\n"), place.logs());
}

/// How many leaves the newest checkpoint covers.
async fn log_size(pair: &Pair) -> u64 {
    let checkpoint = pair.requester.client().checkpoint().await.expect("a checkpoint");
    // The note's second line: https://c2sp.org/tlog-checkpoint.
    checkpoint.lines().nth(1).and_then(|size| size.parse().ok()).expect("a checkpoint with a size")
}
