//! What only real nodes show. `make test-lightning` runs these; they are ignored elsewhere.

mod conformance;
mod fixture;
