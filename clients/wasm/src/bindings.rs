//! The functions under the names by which index.js calls them.

use wasm_bindgen::prelude::wasm_bindgen;

/// See [`crate::verify`].
#[wasm_bindgen]
pub fn verify(bundle: &[u8], trust_root: &[u8], options: &str) -> String {
    crate::verify(bundle, trust_root, options)
}

/// See [`crate::verify_balance`].
#[wasm_bindgen(js_name = verifyBalance)]
pub fn verify_balance(proof: &[u8], trust_root: &[u8], options: &str) -> String {
    crate::verify_balance(proof, trust_root, options)
}

/// See [`crate::trust_root_digest`].
#[wasm_bindgen(js_name = trustRootDigest)]
pub fn trust_root_digest(file: &[u8]) -> String {
    crate::trust_root_digest(file)
}

/// See [`crate::digest_of_statement`].
#[wasm_bindgen(js_name = digestOfStatement)]
pub fn digest_of_statement(payload: &[u8]) -> String {
    crate::digest_of_statement(payload)
}
