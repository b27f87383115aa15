//! The shapes behind the generated tables: one row a method, one check a message.

include!("gen/methods.rs");

/// Who may reach a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Anyone, through the gateway.
    Public,
    /// Other services of the mesh.
    Internal,
    /// Operators, on the admin port.
    Admin,
}

/// What the contract says of one method.
#[derive(Debug)]
pub struct Method {
    /// The HTTP path: `/poa.task.v1.TaskService/CreateTask`.
    pub path: &'static str,
    /// Who may reach it.
    pub audience: Audience,
    /// The scope that the caller's token must hold; empty for anonymous and internal methods.
    pub scope: &'static str,
    /// Whether it may be called without a token.
    pub anonymous: bool,
    /// Its cost in tokens of the caller's rate-limit bucket.
    pub cost: u32,
    /// The longest time of a unary call, in milliseconds.
    pub deadline_ms: u32,
    /// The services that may call an internal method.
    pub callers: &'static [&'static str],
    /// Whether it answers with a stream.
    pub server_streaming: bool,
    /// Whether it changes something, under a `request_id`.
    pub mutation: bool,
}

// === impl Method ===

impl Method {
    /// The row of a path, matched exactly.
    pub fn find(path: &str) -> Option<&'static Self> {
        METHODS.iter().find(|method| method.path == path)
    }

    /// The full name of the service: `poa.task.v1.TaskService`.
    pub fn service(&self) -> &'static str {
        self.path.trim_start_matches('/').split('/').next().unwrap_or_default()
    }

    /// The name of the method alone: `CreateTask`.
    pub fn name(&self) -> &'static str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}
