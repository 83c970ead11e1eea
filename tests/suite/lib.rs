//! What several tests of the workspace share.

pub mod around;
pub mod fixed;
#[path = "../../codec/tests/common/random.rs"]
pub mod random;
pub mod walsh;
