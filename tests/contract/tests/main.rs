//! What holds across crates: who may import whom, who may call whom, and what every method must say of itself.
#![expect(clippy::expect_used, reason = "what cannot go on ends the test")]

mod imports;
mod methods;
mod tree;
