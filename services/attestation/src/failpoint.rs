//! This service's failpoints: before and after each COMMIT of statements, of liabilities, of
//! agents' key events and of a checkpoint. It calls nobody whose answer changes anything.

use std::sync::Arc;

use poa_chassis::failpoint::reach;
use poa_storage::Error as Storage;

poa_chassis::failpoints! {
    /// Where this service can be told to die, to fail or to stall.
    pub enum Failpoint {
        /// Statements are written, and not committed.
        AppendBeforeCommit = "attestation.append.before_commit",
        /// Statements are committed, and not answered.
        AppendCommitted = "attestation.append.committed",
        /// What the platform owes is written, and not committed.
        LiabilitiesBeforeCommit = "attestation.liabilities.before_commit",
        /// What the platform owes is committed, and not answered.
        LiabilitiesCommitted = "attestation.liabilities.committed",
        /// Key events and versions of agents are logged, and not committed.
        AgentEventsBeforeCommit = "attestation.agent_events.before_commit",
        /// Key events and versions of agents are committed.
        AgentEventsCommitted = "attestation.agent_events.committed",
        /// A checkpoint with its nodes is written, and not committed.
        CheckpointBeforeCommit = "attestation.checkpoint.before_commit",
        /// A checkpoint with its nodes is committed.
        CheckpointCommitted = "attestation.checkpoint.committed",
    }
}

/// The last thing inside of a transaction. To fail there is to lose the connection: nothing was applied.
pub(crate) async fn before_commit(point: Failpoint) -> Result<(), Storage> {
    reach(point).await.map_err(|struck| Storage::Unavailable(Arc::new(struck)))
}

/// The first thing after a COMMIT. To fail there is to have lost its answer.
pub(crate) async fn committed(point: Failpoint) -> Result<(), Storage> {
    reach(point).await.map_err(|_struck| Storage::CommitUnknown)
}
