//! C ABI over the codec.
