#![doc = include_str!("../README.md")]

mod edges;

pub use edges::EDGES;
