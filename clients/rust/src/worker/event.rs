//! What a worker reports while it runs.

/// One thing that happened to a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerEvent {
    /// The feed is connected: tasks are taken from now on. Comes again after each reconnection.
    Ready,
    /// The server could not be asked for work; it is asked again later.
    Trouble {
        /// Why.
        error: String,
    },
    /// A task was offered and not taken.
    NotClaimed {
        /// The task.
        task_id: String,
        /// Why.
        reason: String,
    },
    /// A task was claimed; the handler works on it.
    Claimed {
        /// The task.
        task_id: String,
        /// What is asked for.
        title: String,
        /// What the agent gets, in msat.
        payee_msat: i64,
        /// Bytes of the input.
        input_bytes: usize,
    },
    /// A result was handed in.
    Submitted {
        /// The task.
        task_id: String,
        /// Bytes of the result.
        output_bytes: usize,
        /// The result's SHA-256 in hexadecimal.
        output_sha256: String,
        /// The state of the task after it, such as `COMPLETED`.
        state: String,
    },
    /// The claim was given back.
    Released {
        /// The task.
        task_id: String,
        /// Why.
        reason: String,
    },
    /// The claim is gone: the lease lapsed, or the task ended.
    Lost {
        /// The task.
        task_id: String,
        /// What the server says.
        reason: String,
    },
    /// No new claims from now on.
    Draining {
        /// How many tasks still run.
        running: usize,
    },
    /// Nothing runs any more.
    Stopped,
}
