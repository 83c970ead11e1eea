//! Bundles: a trained model with everything needed to use it, named by a content hash.

/// The first 128 bits of a bundle's content hash: what travels in streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BundleId(pub [u8; 16]);
