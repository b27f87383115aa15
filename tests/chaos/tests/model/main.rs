//! A seeded model of the saga against the real services in process.
