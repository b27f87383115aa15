//! The target that `POA_FUZZ_TARGET` names.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<String> =
    LazyLock::new(|| std::env::var("POA_FUZZ_TARGET").expect("POA_FUZZ_TARGET names a target"));

fuzz_target!(|data: &[u8]| poa_fuzz::run(&TARGET, data));
