//! The task service on a real PostgreSQL.
