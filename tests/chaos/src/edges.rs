//! Where a task may go from where, as the contract has it.

use poa_sdk::api::task::task::State;

/// Every legal change of a task's state: written down once more, so that a change of the service's own table is noticed.
pub const EDGES: [(State, State); 20] = [
    (State::Funding, State::Open),
    (State::Funding, State::Refunding),
    (State::Funding, State::AwaitingFunds),
    (State::AwaitingFunds, State::Open),
    (State::AwaitingFunds, State::Refunding),
    (State::Open, State::Claimed),
    (State::Open, State::Refunding),
    (State::Claimed, State::Open),
    (State::Claimed, State::Submitted),
    (State::Claimed, State::Refunding),
    (State::Submitted, State::Claimed),
    (State::Submitted, State::Rejected),
    (State::Submitted, State::Releasing),
    (State::Submitted, State::Refunding),
    (State::Rejected, State::Submitted),
    (State::Rejected, State::Refunding),
    (State::Releasing, State::Completed),
    (State::Releasing, State::Refunding),
    (State::Refunding, State::Canceled),
    (State::Refunding, State::Expired),
];
