//! What a person reads while the mesh runs.

use std::fmt;
use std::io::{self, Write as _};

/// Writes a line to standard output. Where its reader is gone, nobody misses it: unlike with `println!` the mesh goes on, and
/// can still be stopped in its order.
pub(crate) fn say(line: impl fmt::Display) {
    let _nobody_reads_it = writeln!(io::stdout(), "{line}");
}
