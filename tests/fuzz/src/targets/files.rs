//! What travels as JSON or TOML: envelopes, statements, chains, bundles, trust roots, configuration.

use std::io::Write as _;

use poa_chassis::config::{ServerConfig, load, print};
use proof_of_agent::chain::{MAX_STATEMENTS, receipt_path};
use proof_of_agent::dsse::statement_digest;
use proof_of_agent::liabilities::{BalanceProof, verify_balance};
use proof_of_agent::{
    Bundle, Chain, Envelope, Policy, Statement, TrustRoot, Verified, verify as verify_bundle,
};

use crate::world::{BALANCE_PROOF, BALANCE_TRUST_ROOT, NOW, PAID, World, altered};

/// What is read as an envelope is written and read again as the same; what opens is the statement in it.
pub(crate) fn envelope(data: &[u8]) {
    let Ok(envelope) = Envelope::from_json(data) else { return };
    let again = Envelope::from_json(&envelope.to_json()).expect("what was written can be read");
    assert_eq!(again, envelope);
    let Ok((statement, signature)) = envelope.open_signed() else { return };
    assert_eq!(statement.payload(), envelope.payload());
    assert_eq!(statement.digest(), envelope.digest());
    let alone = envelope.with_one(signature.clone());
    assert_eq!(alone.open().expect("the one signature that counts"), statement);
    assert_eq!(alone.signatures().len(), 1);
}

/// A statement is its exact bytes, and reads them the same way twice.
pub(crate) fn statement(data: &[u8]) {
    let Ok(statement) = Statement::parse(data) else { return };
    assert_eq!(statement.payload(), data);
    assert_eq!(statement.digest(), statement_digest(data));
    assert_eq!(Statement::parse(data).as_ref(), Ok(&statement));
    // A second spelling of an object would be a second statement to another reader.
    let value: serde_json::Value = serde_json::from_slice(data).expect("a statement is JSON");
    assert!(value.is_object() && value["predicate"].is_object() && value["predicate"]["body"].is_object());
}

/// Statements in any order: a refusal changes nothing, and what was appended ends.
pub(crate) fn chain(data: &[u8]) {
    let paid = &*PAID;
    let world = World::new();
    let mut chain = Chain::new(&world.receipt_keys());
    let mut taken = Vec::new();
    for choice in data.iter().take(MAX_STATEMENTS * 2) {
        let place = usize::from(*choice) % (paid.statements.len() + 1);
        // Beyond the paid story: another claim under the same offer.
        let next = match paid.statements.get(place) {
            Some(statement) => statement.clone(),
            None => world.accept(&paid.statements[0], u32::from(*choice) % 5 + 1),
        };
        let before = (chain.position(), chain.len(), chain.last());
        match chain.append(next.clone()) {
            Ok(()) => taken.push(next),
            Err(_refused) => assert_eq!((chain.position(), chain.len(), chain.last()), before),
        }
    }
    assert_eq!(chain.len(), taken.len());
    assert!(chain.len() <= MAX_STATEMENTS);
    assert_eq!(
        chain.settlement().is_some(),
        taken.len() >= paid.statements.len() && chain.settled().is_some()
    );
    let path: Vec<_> = receipt_path(&taken).into_iter().map(|place| &taken[place]).collect();
    for pair in path.windows(2) {
        assert_eq!(pair[1].context().predecessor, Some(pair[0].digest()));
    }
}

/// What is read as a bundle is written and read again as the same; verifying it ends, whatever it is.
pub(crate) fn bundle(data: &[u8]) {
    let Ok(bundle) = Bundle::from_json(data) else { return };
    let again = Bundle::from_json(&bundle.to_json().expect("what was read can be written"));
    assert_eq!(again.as_ref(), Ok(&bundle));
    if let Ok(verified) = verify_bundle(&bundle, &PAID.trust_root, &Policy::default(), NOW) {
        says_the_same(&bundle, &verified);
    }
}

/// A valid bundle with any changes is refused, or says exactly the same.
pub(crate) fn verify(data: &[u8]) {
    let Ok(bundle) = Bundle::from_json(&altered(&PAID.bundle_json, data)) else { return };
    match verify_bundle(&bundle, &PAID.trust_root, &Policy::default(), NOW) {
        Ok(verified) => says_the_same(&bundle, &verified),
        Err(refused) => assert!(!refused.to_string().is_empty()),
    }
}

/// A balance proof with any changes is refused, or says exactly the same.
pub(crate) fn balance(data: &[u8]) {
    let Ok(proof) = BalanceProof::from_json(data) else { return };
    let again = BalanceProof::from_json(&proof.to_json().expect("what was read can be written"));
    assert_eq!(again.as_ref(), Ok(&proof));
    let trust_root = TrustRoot::from_json(BALANCE_TRUST_ROOT).expect("a trust root");
    let genuine = BalanceProof::from_json(BALANCE_PROOF).expect("a proof");
    let verify = |proof| verify_balance(proof, &trust_root, 0, NOW);
    match verify(&proof) {
        Ok(verified) => assert_eq!(Ok(verified), verify(&genuine)),
        Err(refused) => assert!(!refused.to_string().is_empty()),
    }
}

/// The keys of the fixture signed one story. It may be told up to an earlier point, and in no other way.
#[track_caller]
fn says_the_same(bundle: &Bundle, verified: &Verified) {
    let (told, all) = (bundle.entries.len(), PAID.bundle.entries.len());
    assert!(told < all || *verified == PAID.verified, "{verified:?}");
    assert_eq!(verified.is_paid(), told == all);
}

/// A trust root is the same after it was written, also the digest that people compare.
pub(crate) fn trust_root(data: &[u8]) {
    let Ok(root) = TrustRoot::from_json(data) else { return };
    let again = TrustRoot::from_json(&root.to_json().expect("what was read can be written"));
    let again = again.expect("what was written can be read");
    assert_eq!((again.digest(), &again), (root.digest(), &root));
    assert!(root.log_keys().iter().all(|key| key.name() == root.origin()));
}

/// A configuration that was taken is printed as a file that makes it again.
pub(crate) fn config(data: &[u8]) {
    let read = |text: &[u8]| {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(text).expect("it is written");
        load(&ServerConfig::default(), Some(file.path()))
    };
    let Ok(config) = read(data) else { return };
    let Ok(printed) = print(&config) else { return };
    let again: ServerConfig = read(printed.as_bytes()).expect("what was printed can be read");
    assert_eq!(print(&again).expect("it was printed once"), printed);
}
