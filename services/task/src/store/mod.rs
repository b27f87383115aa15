//! The tables of the task service: one file per table or aggregate.

mod events;
mod hold_funding;
mod lists;
mod mesh_clock;
mod open_tasks;
mod results;
mod rows;
mod sagas;
mod schedule;
mod statements;
mod views;

pub(crate) use events::{Change, Facets, FeedChange, TOPIC};
pub(crate) use lists::{ListFilter, ListRole, outlines, page};
pub(crate) use mesh_clock::{advance, read as read_mesh_clock};
pub(crate) use open_tasks::{Filter, OpenRow, open_page, open_rows, reservation, reservations, reserve};
pub(crate) use results::insert as insert_result;
pub(crate) use sagas::{Created, create, load, peek, save, was_claimant};
pub(crate) use schedule::{back_off, postpone, take_due, wake};
pub(crate) use statements::{papers, terms_of};
pub(crate) use views::{Bodies, Reader, Summary, View, view, view_for};

use poa_storage::Error;

/// Database errors that only a bug can cause.
fn corrupt(what: &str) -> Error {
    Error::Corrupt(what.to_owned())
}
