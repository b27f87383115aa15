//! What a task is and what may become of it: pure, so that every rule is tested without a server.
//!
//! A [`Saga`] is a task with its receipt chain. Verbs (`funding`, `claims`, `work`, `ending`) change it or refuse;
//! [`next_step`] says what the platform has to do next, by itself or by calling another service.

mod claims;
mod content;
pub(crate) mod criteria;
mod ending;
mod error;
mod funding;
mod hold;
mod papers;
mod policy;
mod saga;
mod state;
mod step;
mod time;
mod work;

#[cfg(test)]
mod tests;

pub(crate) use claims::{Acceptance, SignedAcceptance};
pub(crate) use content::{Body, Place};
pub(crate) use error::DomainError;
pub(crate) use hold::{Bolt11, Fate, Hold, Lock, News};
pub(crate) use papers::{Pen, chain_of, parse_envelope, statement_of_payload};
pub(crate) use policy::choose_policy;
pub(crate) use saga::{Claim, End, Entry, Offer, Paper, Saga, SealedToken, Standing, Status};
pub use state::State;
pub(crate) use step::{Next, Step, next_step};
pub(crate) use time::{MeshTime, Moment, micros_of};
pub(crate) use work::{Checked, Submission};
