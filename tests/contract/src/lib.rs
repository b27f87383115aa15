//! What holds across crates. Everything is in `tests/`.
