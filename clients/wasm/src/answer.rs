//! What crosses the border to JavaScript: one JSON text, with a value or the one reason why there is none.

use std::fmt::Display;

use serde::Serialize;

/// What is said where an answer cannot be written. It has no fields that could fail, so it is written here.
const UNWRITABLE: &str = r#"{"error":{"code":"internal","message":"the answer cannot be written as JSON"}}"#;

/// Why there is no value.
#[derive(Debug, Serialize)]
pub(crate) struct Failure {
    code: &'static str,
    message: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Answer<T> {
    Value(T),
    Error(Failure),
}

pub(crate) fn answer<T: Serialize>(result: Result<T, Failure>) -> String {
    let answer = match result {
        Ok(value) => Answer::Value(value),
        Err(failure) => Answer::Error(failure),
    };
    serde_json::to_string(&answer).unwrap_or_else(|_| UNWRITABLE.to_owned())
}

// === impl Failure ===

impl Failure {
    /// A failure with its stable code and the sentence for people.
    pub(crate) fn new(code: &'static str, message: impl Display) -> Self {
        Self { code, message: message.to_string() }
    }
}
