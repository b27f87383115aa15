//! What holds across crates: who may import whom, who may call whom, and what every method must say of itself.

mod imports;
mod methods;
mod tree;
