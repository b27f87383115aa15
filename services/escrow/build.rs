//! Rebuilds when a migration changes: `sqlx::migrate!` embeds them, and cargo does not know.

fn main() {
    println!("cargo:rerun-if-changed=../../migrations/escrow");
}
