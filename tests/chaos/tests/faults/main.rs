//! Faults of the network, the database, callers and clocks.
