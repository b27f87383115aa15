//! Bad UTF-8 in every string field of every method, found in the descriptors: a new field is covered by itself.

use poa_proto::{Audience, DESCRIPTORS, METHODS, Method};
use prost::Message as _;
use prost_types::field_descriptor_proto::Type;
use prost_types::{DescriptorProto, FileDescriptorSet};
use tonic::Code;

use crate::support::call::{Call, Wire, bearer, framed};
use crate::support::mesh::{Mesh, SERVERS};
use crate::support::tokens::service_token;

/// How many messages stand inside of each other in a contract, at most.
const DEEPEST: usize = 6;

/// The messages of the contracts by their full names.
struct Contract(Vec<(String, DescriptorProto)>);

#[tokio::test(flavor = "multi_thread")]
async fn bad_utf_8_is_refused_in_every_string_field_of_every_method() {
    let mesh = Mesh::start().await;
    let (contract, inputs) = contract();
    let account = Mesh::token(&mesh.alice).await;
    let admin = std::fs::read_to_string(mesh.deployment.admin_token_file()).expect("a token");
    let mut tried = 0;
    for method in METHODS {
        let server = server_of(method);
        let (service_port, admin_port) = mesh.deployment.addresses(server);
        let (address, token) = match method.audience {
            Audience::Public => (service_port, account.clone()),
            Audience::Internal => {
                let keys = mesh.deployment.keys_folder();
                let here = |caller: &&&str| keys.join(format!("service-{caller}.key")).exists();
                let caller = method.callers.iter().find(here);
                let caller = caller.unwrap_or_else(|| panic!("no caller of {} has a key", method.path));
                (service_port, service_token(&keys, caller, server))
            }
            Audience::Admin => (admin_port, admin.trim().to_owned()),
        };
        let input = inputs.iter().find(|(path, _)| path == method.path).map(|(_, input)| input.as_str());
        let mut wires = vec![Wire::to(address)];
        if method.audience == Audience::Public {
            wires.push(Wire::to(mesh.address("gateway")));
        }
        for message in contract.spoilt(input.expect("a method of the descriptors"), DEEPEST) {
            let call = Call::to(method.path).with(bearer(&token)).body(framed(&message));
            for wire in &mut wires {
                let answer = wire.call(&call).await;
                let what = format!("{} with {message:02x?}", method.path);
                // An edge of scopes is met before the message is read.
                answer.expect_refused(&[Code::InvalidArgument, Code::PermissionDenied], &what);
                tried += 1;
            }
        }
    }
    println!("{tried} calls with bad UTF-8");
    assert!(tried > 150, "the descriptors have more string fields than {tried}");
    mesh.expect_unharmed().await;
}

/// The process that serves a method: the one that its package is named for.
fn server_of(method: &Method) -> &'static str {
    let package = method.path.strip_prefix("/poa.").and_then(|rest| rest.split('.').next());
    let server = SERVERS.into_iter().find(|name| Some(*name) == package);
    server.unwrap_or_else(|| panic!("no process of this mesh serves {}", method.path))
}

/// All messages, and the input message of each path.
fn contract() -> (Contract, Vec<(String, String)>) {
    let files = FileDescriptorSet::decode(DESCRIPTORS).expect("descriptors").file;
    let mut messages = Vec::new();
    let mut inputs = Vec::new();
    for file in files {
        let package = file.package().to_owned();
        for message in &file.message_type {
            note(&mut messages, &format!(".{package}"), message);
        }
        for service in &file.service {
            for method in &service.method {
                let path = format!("/{package}.{}/{}", service.name(), method.name());
                inputs.push((path, method.input_type().to_owned()));
            }
        }
    }
    (Contract(messages), inputs)
}

fn note(messages: &mut Vec<(String, DescriptorProto)>, scope: &str, message: &DescriptorProto) {
    let name = format!("{scope}.{}", message.name());
    for nested in &message.nested_type {
        note(messages, &name, nested);
    }
    messages.push((name, message.clone()));
}

impl Contract {
    /// One message for each string field, also inside of others, with two bytes there that are no UTF-8.
    fn spoilt(&self, name: &str, depth: usize) -> Vec<Vec<u8>> {
        let found = self.0.iter().find(|(known, _)| known == name);
        let Some((_, message)) = found.filter(|_| depth > 0) else { return Vec::new() };
        let mut spoilt = Vec::new();
        for field in &message.field {
            match field.r#type() {
                Type::String => spoilt.push(delimited(field.number(), &[0xff, 0xfe])),
                Type::Message => {
                    let inside = self.spoilt(field.type_name(), depth - 1);
                    spoilt.extend(inside.iter().map(|bytes| delimited(field.number(), bytes)));
                }
                _another => {}
            }
        }
        spoilt
    }
}

/// A field with bytes in it.
fn delimited(number: i32, bytes: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    let tag = u64::try_from(number).expect("a field number") << 3 | 2;
    prost::encoding::encode_varint(tag, &mut field);
    prost::encoding::encode_varint(u64::try_from(bytes.len()).expect("a length"), &mut field);
    [field.as_slice(), bytes].concat()
}
