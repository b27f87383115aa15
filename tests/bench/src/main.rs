//! Runs the benchmark and writes its report.

fn main() {}
