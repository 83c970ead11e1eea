//! The name of a bundle: the first 128 bits of a hash over its content.

use crate::error::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// The first 128 bits of a bundle's content hash: what travels in streams. Sixteen zero bytes never name a bundle
/// (streams use them for "no model").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BundleId(pub [u8; 16]);

impl BundleId {
    /// The id that names no bundle.
    pub const NONE: BundleId = BundleId([0; 16]);

    /// Whether this is [`BundleId::NONE`].
    pub fn is_none(&self) -> bool {
        *self == Self::NONE
    }
}

impl fmt::Display for BundleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for BundleId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::invalid(format!("bundle id {text:?}: expected 32 hexadecimal digits, not all zero"));
        if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        let mut id = [0; 16];
        for (i, byte) in id.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).map_err(|_| wrong())?;
        }
        let id = BundleId(id);
        if id.is_none() { Err(wrong()) } else { Ok(id) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_and_parses() {
        let id = BundleId(std::array::from_fn(|i| (i * 17) as u8));
        assert_eq!(id.to_string(), "00112233445566778899aabbccddeeff");
        assert_eq!(id.to_string().parse::<BundleId>().unwrap(), id);
        assert_eq!("00112233445566778899AABBCCDDEEFF".parse::<BundleId>().unwrap(), id);
    }

    #[test]
    fn refuses_what_is_no_id() {
        for text in ["", "0", "00112233445566778899aabbccddeef", "+0112233445566778899aabbccddeeff", &"0".repeat(32)] {
            assert!(text.parse::<BundleId>().is_err(), "{text}");
        }
        assert!("é0112233445566778899aabbccddeef".parse::<BundleId>().is_err());
    }
}
