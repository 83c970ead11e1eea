//! Shared by the tests: generators and checks.

pub mod walsh;
