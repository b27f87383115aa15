//! Evidence of trusted execution: real samples of each vendor, and vendors that the tests make up.

mod samples;
