//! The fields of a request, and what each may hold: read from the contract's options, so that a new field is probed by
//! being declared.

use poa_proto::Method;
use prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};

use super::contract::contract;

/// `google.api.FieldBehavior.REQUIRED`.
const REQUIRED: i32 = 2;
/// A number that no enum of the contract has.
const UNKNOWN: i32 = 9_999;

/// A request that is right but for one field, which is at a bound or just beyond it.
#[derive(Clone, Debug)]
pub(crate) struct Probe {
    /// The path of the field, as a violation names it.
    pub(crate) path: String,
    /// What the field holds.
    pub(crate) holds: String,
    /// Whether it must be refused.
    pub(crate) wrong: bool,
    pub(crate) request: Vec<u8>,
}

/// The bounds of one field.
#[derive(Debug, Default)]
struct Limit {
    min_bytes: usize,
    max_bytes: usize,
    max_items: usize,
    range: Option<(i64, i64)>,
    uuid: bool,
}

/// Where a message is inside a request: the fields that lead to it. Of a list it is the first item.
struct Place<'a> {
    example: &'a DynamicMessage,
    steps: Vec<FieldDescriptor>,
    path: String,
}

/// A request as a message to look into.
pub(crate) fn decode(method: &Method, request: &[u8]) -> DynamicMessage {
    DynamicMessage::decode(contract().input(method), request).expect("a request of the contract")
}

/// The names of the fields of a request that hold an id of something.
pub(crate) fn id_fields(method: &Method) -> Vec<String> {
    let fields = contract().input(method);
    let fields = fields.fields().filter(|field| field.kind() == Kind::String && !field.is_list());
    let names = fields.map(|field| field.name().to_owned());
    names.filter(|name| name.ends_with("_id") && name != "request_id").collect()
}

/// A request with another text in one field.
pub(crate) fn with_text(method: &Method, request: &[u8], field: &str, text: &str) -> Vec<u8> {
    let mut message = decode(method, request);
    message.set_field_by_name(field, Value::String(text.to_owned()));
    message.encode_to_vec()
}

/// The text in a field of a request.
pub(crate) fn text(method: &Method, request: &[u8], field: &str) -> String {
    let message = decode(method, request);
    message.get_field_by_name(field).and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Whether a field must be given.
pub(crate) fn is_required(field: &FieldDescriptor) -> bool {
    let options = field.options();
    let value = options.get_extension(&contract().option("google.api.field_behavior"));
    value.as_list().unwrap_or_default().iter().any(|item| item.as_enum_number() == Some(REQUIRED))
}

/// Whether a request without a field must be refused for it.
pub(crate) fn is_missed(field: &FieldDescriptor) -> bool {
    is_required(field) && !zero_is_a_value(field)
}

/// Every probe of a request, each made from the example.
pub(crate) fn probes(method: &Method, example: &[u8]) -> Vec<Probe> {
    let example = decode(method, example);
    let mut found = Vec::new();
    let place = Place { example: &example, steps: Vec::new(), path: String::new() };
    place.walk(&contract().input(method), &mut found);
    found
}

fn limit(field: &FieldDescriptor) -> Limit {
    let options = field.options();
    let extension = contract().option("poa.options.v1.limit");
    if !options.has_extension(&extension) {
        return Limit::default();
    }
    let value = options.get_extension(&extension);
    let limit = value.as_message().expect("a limit is a message");
    let small = |name: &str| {
        let value = limit.get_field_by_name(name).and_then(|value| value.as_i32()).unwrap_or_default();
        usize::try_from(value).unwrap_or_default()
    };
    let large =
        |name: &str| limit.get_field_by_name(name).and_then(|value| value.as_i64()).unwrap_or_default();
    let bounded = limit.has_field_by_name("min") || limit.has_field_by_name("max");
    Limit {
        min_bytes: small("min_bytes"),
        max_bytes: small("max_bytes"),
        max_items: small("max_items"),
        range: bounded.then(|| (large("min"), large("max"))),
        uuid: limit.get_field_by_name("uuid").and_then(|value| value.as_bool()).unwrap_or_default(),
    }
}

/// A text or bytes of a length.
fn long(kind: &Kind, length: usize) -> Value {
    match kind {
        Kind::Bytes => Value::Bytes(vec![b'a'; length].into()),
        _ => Value::String("a".repeat(length)),
    }
}

fn number(kind: &Kind, value: i64) -> Option<Value> {
    match kind {
        Kind::Int32 => i32::try_from(value).ok().map(Value::I32),
        _ => Some(Value::I64(value)),
    }
}

/// The least that a field may hold.
fn least(field: &FieldDescriptor) -> Value {
    let (kind, limit) = (field.kind(), limit(field));
    match &kind {
        Kind::String | Kind::Bytes => long(&kind, limit.min_bytes.max(1)),
        Kind::Int32 | Kind::Int64 => {
            number(&kind, limit.range.map_or(0, |(min, _)| min)).unwrap_or(Value::I32(0))
        }
        Kind::Enum(_) => Value::EnumNumber(0),
        Kind::Message(message) => Value::Message(smallest(message)),
        _ => Value::default_value(&kind),
    }
}

/// A message with its required fields.
fn smallest(message: &MessageDescriptor) -> DynamicMessage {
    let mut made = DynamicMessage::new(message.clone());
    for field in message.fields().filter(|field| is_required(field) && !field.is_list()) {
        made.set_field(&field, least(&field));
    }
    made
}

// === impl Place ===

impl Place<'_> {
    /// The whole request after a change at this place.
    fn changed(&self, change: impl FnOnce(&mut DynamicMessage)) -> Vec<u8> {
        let mut request = self.example.clone();
        edit(&mut request, &self.steps, change);
        request.encode_to_vec()
    }

    fn named(&self, field: &str) -> String {
        if self.path.is_empty() { field.to_owned() } else { format!("{}.{field}", self.path) }
    }

    fn walk(&self, message: &MessageDescriptor, found: &mut Vec<Probe>) {
        for field in message.fields() {
            let path = self.named(field.name());
            if is_missed(&field) {
                let request = self.changed(|message| message.clear_field(&field));
                found.push(Probe { path: path.clone(), holds: "nothing".to_owned(), wrong: true, request });
            }
            if field.is_list() {
                self.items(&field, &path, found);
                self.values(&field, &format!("{path}[0]"), found);
            } else {
                self.values(&field, &path, found);
            }
        }
    }

    fn items(&self, field: &FieldDescriptor, path: &str, found: &mut Vec<Probe>) {
        let max = limit(field).max_items;
        for (count, wrong) in [(max, false), (max + 1, true)] {
            let items = vec![least(field); count];
            let request = self.changed(|message| message.set_field(field, Value::List(items)));
            found.push(Probe { path: path.to_owned(), holds: format!("{count} items"), wrong, request });
        }
    }

    /// What one value of a field may be.
    fn values(&self, field: &FieldDescriptor, path: &str, found: &mut Vec<Probe>) {
        let (kind, limit) = (field.kind(), limit(field));
        let mut probe = |holds: String, wrong: bool, value: Value| {
            let value = if field.is_list() { Value::List(vec![value]) } else { value };
            let request = self.changed(|message| message.set_field(field, value));
            found.push(Probe { path: path.to_owned(), holds, wrong, request });
        };
        match &kind {
            Kind::String if limit.uuid => {
                let almost = "018f3b4e-7c1d-7a52-9a55-3f1f3cf0d0a".to_owned();
                probe("a UUID without its last digit".to_owned(), true, Value::String(almost));
            }
            Kind::String | Kind::Bytes => {
                let (min, max) = (limit.min_bytes, limit.max_bytes);
                assert!(max > 0, "{} has no bound", field.full_name());
                probe(format!("{} bytes", max + 1), true, long(&kind, max + 1));
                probe(format!("{max} bytes"), false, long(&kind, max));
                if min > 1 {
                    probe(format!("{} bytes", min - 1), true, long(&kind, min - 1));
                    probe(format!("{min} bytes"), false, long(&kind, min));
                }
            }
            Kind::Int32 | Kind::Int64 => {
                let Some((min, max)) = limit.range else {
                    panic!("{} has no range", field.full_name());
                };
                for (value, wrong) in [
                    (min.checked_sub(1), true),
                    (Some(min), false),
                    (Some(max), false),
                    (max.checked_add(1), true),
                ] {
                    if let Some(held) = value.and_then(|value| number(&kind, value)) {
                        probe(format!("{value:?}"), wrong, held);
                    }
                }
            }
            Kind::Enum(values) => {
                probe("an unknown number".to_owned(), true, Value::EnumNumber(UNKNOWN));
                let last = values.values().map(|value| value.number()).max().unwrap_or_default();
                probe(format!("the number {last}"), false, Value::EnumNumber(last));
            }
            Kind::Message(message) if message.full_name().starts_with("poa.") => {
                let steps = self.steps.iter().cloned().chain([field.clone()]).collect();
                let inside = Place { example: self.example, steps, path: path.to_owned() };
                inside.walk(message, found);
            }
            // A time, a span, a flag: no option bounds those.
            _ => {}
        }
    }
}

/// Whether a field that is not sent cannot be told from one that holds zero, which is allowed.
fn zero_is_a_value(field: &FieldDescriptor) -> bool {
    if field.supports_presence() {
        return false;
    }
    match field.kind() {
        Kind::Bool => true,
        Kind::Int32 | Kind::Int64 => limit(field).range.is_some_and(|(min, max)| min <= 0 && 0 <= max),
        _ => false,
    }
}

/// Changes what stands at the end of the steps, which are made where they are missing.
fn edit(message: &mut DynamicMessage, steps: &[FieldDescriptor], change: impl FnOnce(&mut DynamicMessage)) {
    let Some((field, rest)) = steps.split_first() else {
        return change(message);
    };
    let Kind::Message(inner) = field.kind() else { panic!("{} holds no message", field.full_name()) };
    let held = message.get_field(field).into_owned();
    let mut held = match held {
        Value::List(items) => items.into_iter().next().and_then(|item| item.as_message().cloned()),
        Value::Message(held) if message.has_field(field) => Some(held),
        _ => None,
    }
    .unwrap_or_else(|| smallest(&inner));
    edit(&mut held, rest, change);
    let value = Value::Message(held);
    message.set_field(field, if field.is_list() { Value::List(vec![value]) } else { value });
}
