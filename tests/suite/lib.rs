//! Shared by the tests: generators and checks.
