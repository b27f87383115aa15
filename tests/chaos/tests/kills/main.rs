//! Kills, failures and hangs at every failpoint.
