//! The state machine against the README's diagram, and a task's ways through it.
