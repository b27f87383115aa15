//! Defects that are put in on purpose, behind the services' backs: a model that cannot fail proves nothing.

use poa_proto::task::v1::task::State;

use crate::ops::task_id;
use crate::plan::Service;
use crate::world::World;

/// A defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sabotage {
    Nothing,
    /// A user's balance grows by one msat.
    Balance,
    /// A payee gets a payment once more, well booked: the journal adds up.
    PaidTwice,
    /// A task that is over is open again.
    Reopened,
    /// A claim that was acknowledged is forgotten.
    ForgottenClaim,
    /// A lease ends before its time.
    EarlyLapse,
    /// The history says that a task came back from its end.
    History,
}

impl Sabotage {
    /// Where and how. `$1` are the tasks that were seen claimed.
    fn statements(self) -> Option<(Service, &'static [&'static str])> {
        Some(match self {
            Self::Nothing => return None,
            Self::Balance => (
                Service::Escrow,
                &["UPDATE accounts SET available_msat = available_msat + 1 WHERE id = \
                   (SELECT id FROM accounts WHERE kind = 'user' LIMIT 1)"],
            ),
            Self::PaidTwice => (
                Service::Escrow,
                &["WITH paid AS (
                       SELECT payee_id, payee_msat FROM escrows WHERE state = 'released' LIMIT 1),
                   lines AS (
                       SELECT payee_id AS account, payee_msat AS msat FROM paid
                       UNION ALL
                       SELECT '00000000-0000-0000-0000-000000000001'::uuid, -payee_msat FROM paid),
                   booked AS (
                       UPDATE accounts SET available_msat = available_msat + msat, entries = entries + 1
                       FROM lines WHERE id = account RETURNING id, entries, msat),
                   moved AS (
                       INSERT INTO transfers (id, kind, subject, created_at)
                       SELECT '00000000-0000-7000-8000-0000000000aa'::uuid, 'deposit',
                              '00000000-0000-7000-8000-0000000000bb'::uuid, now() FROM paid RETURNING id)
                   INSERT INTO postings (account_id, sequence, transfer_id, available_msat, held_msat)
                   SELECT booked.id, booked.entries, moved.id, booked.msat, 0 FROM booked, moved"],
            ),
            Self::Reopened => (
                Service::Task,
                &["UPDATE task_status SET state = 2, version = version + 1 WHERE task_id = \
                   (SELECT task_id FROM task_status WHERE state = 7 LIMIT 1)"],
            ),
            Self::ForgottenClaim => (
                Service::Task,
                &[
                    "UPDATE task_status SET state = 2, version = version + 1, claim_number = claim_number - 1, \
                   agent_id = NULL, account_id = NULL, claim_lease_us = NULL, lease_due_us = NULL, \
                   work_due_us = NULL, acceptance_digest = NULL \
                   WHERE task_id = (SELECT task_id FROM task_status WHERE state = 3 AND task_id = ANY($1) LIMIT 1)",
                ],
            ),
            Self::EarlyLapse => (
                Service::Task,
                &[
                    "UPDATE task_status SET lease_due_us = 0 WHERE task_id = \
                   (SELECT task_id FROM task_status WHERE state = 3 AND task_id = ANY($1) LIMIT 1)",
                    "UPDATE sagas SET due_us = 0",
                ],
            ),
            Self::History => (
                Service::Task,
                &["UPDATE events_published SET kind = 'OPEN' WHERE position = \
                   (SELECT max(position) FROM events_published WHERE kind = 'COMPLETED')"],
            ),
        })
    }
}

// === impl World ===

impl World {
    /// Puts the defect in, once there is something that it can be put into.
    pub(crate) async fn sabotage(&mut self, sabotage: Sabotage) {
        let Some((service, statements)) = sabotage.statements() else { return };
        let mut connection = self.house.sql(service).await;
        // What nobody has seen yet may have been undone in time.
        let claimed = self.tasks.iter().filter(|(_, known)| known.view.state() == State::Claimed);
        let claimed: Vec<_> = claimed.filter_map(|(task, _)| task_id(task)).collect();
        for statement in statements {
            let mut query = sqlx::query(*statement);
            if statement.contains("$1") {
                query = query.bind(&claimed);
            }
            let done = query.execute(&mut connection).await.unwrap();
            if done.rows_affected() == 0 {
                return;
            }
        }
        self.sabotaged = true;
        self.history.note(format!("put in on purpose: {sabotage:?}"));
    }
}
