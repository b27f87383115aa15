//! The layers of a server, seen from outside: small services of the real contracts behind the real stack.

mod authorisation;
mod deadlines;
mod lifecycle;
mod server;
