//! Tests of the receipt protocol as its callers use it.
