//! Hostile input at the gateway and at each server.
