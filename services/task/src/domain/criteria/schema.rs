//! JSON Schema (draft 2020-12) from strangers, with a bound on what it costs to decide.
//!
//! A schema is a program: references can loop, and can double the work at each step. So only references into the same
//! schema are taken, they must not form a cycle, and what they unfold to is bounded. Patterns run on an engine without
//! backtracking. Nothing is ever fetched.

use std::collections::HashMap;

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;

use super::PATTERN_BYTES;

/// The values that a schema may unfold to when its references are followed.
const MAX_UNFOLDED: u64 = 5_000;
/// How many references may stand one behind the other.
const MAX_REFERENCE_DEPTH: u32 = 32;
/// Keywords whose reach cannot be bounded from the schema alone, and identifiers that would make `#/…` mean another
/// place.
const REFUSED: [&str; 7] = [
    "$dynamicRef",
    "$dynamicAnchor",
    "$recursiveRef",
    "$recursiveAnchor",
    "$vocabulary",
    "unevaluatedProperties",
    "unevaluatedItems",
];

/// A schema that is cheap enough to decide; the reason where it is not.
pub(super) fn compile(text: &str) -> Result<Validator, String> {
    let schema: Value = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
    if !schema.is_object() && !schema.is_boolean() {
        return Err("a schema is an object or a boolean".to_owned());
    }
    Bound { root: &schema, known: HashMap::new() }.cost(&schema, 0)?;
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES))
        .offline()
        .build(&schema)
        .map_err(|error| format!("not a JSON Schema of draft 2020-12: {error}"))
}

/// Whether a result is JSON that the schema accepts.
pub(super) fn check(schema: &str, result: &[u8]) -> Result<(), String> {
    let instance: Value =
        serde_json::from_slice(result).map_err(|error| format!("it is not JSON: {error}"))?;
    compile(schema)?.validate(&instance).map_err(|error| format!("{error} (at `{}`)", error.instance_path()))
}

/// Counts what a schema unfolds to.
struct Bound<'a> {
    root: &'a Value,
    /// By reference: its cost, or `None` while it is being counted.
    known: HashMap<&'a str, Option<u64>>,
}

// === impl Bound ===

impl<'a> Bound<'a> {
    /// The values of `value` with its references followed. The nesting of values is bounded by the JSON parser.
    fn cost(&mut self, value: &'a Value, depth: u32) -> Result<u64, String> {
        let mut total = 1u64;
        match value {
            Value::Array(items) => {
                for item in items {
                    total = add(total, self.cost(item, depth)?)?;
                }
            }
            Value::Object(fields) => {
                for (name, field) in fields {
                    total = add(total, self.field(name, field, depth)?)?;
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
        Ok(total)
    }

    fn field(&mut self, name: &'a str, field: &'a Value, depth: u32) -> Result<u64, String> {
        if REFUSED.contains(&name) {
            return Err(format!("the keyword {name} is not taken here"));
        }
        match (name, field) {
            ("$ref", Value::String(target)) => self.reference(target, depth),
            ("$id", Value::String(_)) if !self.is_root_id(field) => {
                Err("$id is taken at the top of a schema alone".to_owned())
            }
            (_, _) => self.cost(field, depth),
        }
    }

    fn reference(&mut self, target: &'a str, depth: u32) -> Result<u64, String> {
        match self.known.get(target) {
            Some(Some(cost)) => return Ok(*cost),
            Some(None) => return Err(format!("the reference {target} leads back to itself")),
            None => {}
        }
        if depth >= MAX_REFERENCE_DEPTH {
            return Err(format!("more than {MAX_REFERENCE_DEPTH} references one behind the other"));
        }
        let place = target
            .strip_prefix('#')
            .filter(|pointer| pointer.is_empty() || pointer.starts_with('/'))
            .filter(|pointer| !pointer.contains('%'))
            .and_then(|pointer| self.root.pointer(pointer))
            .ok_or_else(|| format!("the reference {target} is not one to a place in this schema (#/…)"))?;
        self.known.insert(target, None);
        let cost = self.cost(place, depth + 1)?;
        self.known.insert(target, Some(cost));
        Ok(cost)
    }

    fn is_root_id(&self, field: &Value) -> bool {
        self.root.get("$id").is_some_and(|id| std::ptr::eq(id, field))
    }
}

fn add(total: u64, more: u64) -> Result<u64, String> {
    let sum = total.saturating_add(more);
    if sum > MAX_UNFOLDED {
        return Err(format!("the schema unfolds to more than {MAX_UNFOLDED} values"));
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_with_references_into_itself_is_taken() {
        let schema = r##"{
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$defs": {"name": {"type": "string", "pattern": "^[a-z]+$"}},
            "type": "object",
            "properties": {"a": {"$ref": "#/$defs/name"}, "b": {"$ref": "#/$defs/name"}},
            "required": ["a"]
        }"##;
        assert_eq!(check(schema, br#"{"a":"x"}"#), Ok(()));
        assert!(check(schema, br#"{"a":"X"}"#).is_err());
        assert!(check(schema, br#"{"b":"x"}"#).is_err());
    }

    #[test]
    fn a_schema_that_loops_doubles_or_looks_elsewhere_is_refused() {
        let mut doubling = serde_json::Map::new();
        for level in 0..30 {
            let next = serde_json::json!({"$ref": format!("#/$defs/l{}", level + 1)});
            doubling.insert(format!("l{level}"), serde_json::json!({"allOf": [next, next]}));
        }
        doubling.insert("l30".to_owned(), Value::Bool(true));
        let doubling = serde_json::json!({"$defs": doubling, "$ref": "#/$defs/l0"}).to_string();
        for schema in [
            r##"{"$ref":"#"}"##,
            r##"{"properties":{"next":{"$ref":"#"}}}"##,
            r##"{"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}},"$ref":"#/$defs/a"}"##,
            r#"{"$ref":"https://example.org/schema.json"}"#,
            r#"{"$ref":"file:///etc/passwd"}"#,
            r##"{"$ref":"#anchor"}"##,
            r##"{"$dynamicRef":"#x"}"##,
            r#"{"properties":{"a":{"$id":"https://example.org/other","$ref":"x"}}}"#,
            r#"{"unevaluatedProperties":false}"#,
            r#"{"type":"nonsense"}"#,
            r#"{"pattern":"(?=a)b"}"#,
            r#"{"pattern":"((a{100}){100}){100}"}"#,
            "[]",
            "nonsense",
            &doubling,
        ] {
            assert!(compile(schema).is_err(), "{schema}");
        }
    }

    #[test]
    fn a_schema_nested_as_deep_as_json_goes_does_not_overflow_the_stack() {
        let mut schema = "true".to_owned();
        for _ in 0..60 {
            schema = format!(r#"{{"not":{schema}}}"#);
        }
        assert!(compile(&schema).is_ok());
        let deeper = format!("{}true{}", r#"{"not":"#.repeat(5_000), "}".repeat(5_000));
        assert!(compile(&deeper).is_err());
    }
}
