//! Real quotes, reports and documents, out of tests/vectors/tee.
use proof_of_agent::tee::{Evidence, TeePolicy, TeeRoots, authenticate};
use std::path::{Path, PathBuf};
use time::OffsetDateTime;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/tee")
}
#[test]
fn probe() {
    for (name, at) in [
        ("intel-sgx", 1750330000),
        ("intel-tdx", 1750330000),
        ("intel-tdx-5", 1772000000),
        ("intel-tdx-5-extended", 1791600000),
        ("amd-sev-snp", 1750330000),
        ("amd-sev-snp-debug", 1750330000),
        ("aws-nitro", 1665651500),
        ("aws-nitro-debug", 1665582700),
        ("aws-nitro-later", 1695049420),
    ] {
        let e = Evidence::from_json(&std::fs::read(folder().join(format!("{name}.json"))).unwrap()).unwrap();
        let t = OffsetDateTime::from_unix_timestamp(at).unwrap();
        let n = std::time::Instant::now();
        println!(
            "{name} {:?} {:?}",
            authenticate(&e, &TeeRoots::published(), &TeePolicy::default(), t),
            n.elapsed()
        );
    }
}
