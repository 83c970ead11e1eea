//! What several tests of the workspace share.

#[path = "../../codec/tests/common/random.rs"]
pub mod random;
pub mod walsh;
