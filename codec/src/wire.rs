//! Reading and writing the fields of a stream. Every read is checked against what is left, so that no length read from
//! a stream is believed before the stream has that many bytes.

use crate::error::{Error, Result};

/// Appends fields to a byte vector.
#[derive(Default)]
pub(crate) struct Writer {
    pub bytes: Vec<u8>,
}

impl Writer {
    pub fn u8(&mut self, v: u8) {
        self.bytes.push(v);
    }

    pub fn f64(&mut self, v: f64) {
        self.bytes.extend_from_slice(&v.to_le_bytes());
    }

    /// LEB128: seven bits a byte, least significant first, the high bit set on all bytes but the last.
    pub fn varint(&mut self, mut v: u64) {
        while v >= 0x80 {
            self.bytes.push((v as u8) | 0x80);
            v >>= 7;
        }
        self.bytes.push(v as u8);
    }

    /// A signed number, zigzag then LEB128.
    pub fn varint_signed(&mut self, v: i64) {
        self.varint(zigzag64(v));
    }

    pub fn raw(&mut self, v: &[u8]) {
        self.bytes.extend_from_slice(v);
    }

    /// Bytes with their length before them.
    pub fn block(&mut self, v: &[u8]) {
        self.varint(v.len() as u64);
        self.raw(v);
    }
}

/// Takes fields off the front of a slice.
#[derive(Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub fn raw(&mut self, len: usize, what: &str) -> Result<&'a [u8]> {
        if len > self.rest.len() {
            return Err(Error::corrupt(format!(
                "the stream ends inside {what}: {len} bytes expected, {} left",
                self.rest.len()
            )));
        }
        let (head, tail) = self.rest.split_at(len);
        self.rest = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.raw(N, what)?);
        Ok(out)
    }

    pub fn u8(&mut self, what: &str) -> Result<u8> {
        Ok(self.array::<1>(what)?[0])
    }

    pub fn f64(&mut self, what: &str) -> Result<f64> {
        Ok(f64::from_le_bytes(self.array(what)?))
    }

    pub fn varint(&mut self, what: &str) -> Result<u64> {
        let mut v = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8(what)?;
            if shift == 63 && byte > 1 {
                break;
            }
            v |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(v);
            }
        }
        Err(Error::corrupt(format!("{what} does not fit 64 bits")))
    }

    pub fn varint_signed(&mut self, what: &str) -> Result<i64> {
        Ok(unzigzag64(self.varint(what)?))
    }

    pub fn size(&mut self, what: &str) -> Result<usize> {
        usize::try_from(self.varint(what)?)
            .map_err(|_| Error::corrupt(format!("{what} does not fit the address space")))
    }

    pub fn block(&mut self, what: &str) -> Result<&'a [u8]> {
        let len = self.size(what)?;
        self.raw(len, what)
    }

    pub fn finish(&self, what: &str) -> Result<()> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(Error::corrupt(format!("{} bytes are left over after {what}", self.rest.len())))
    }
}

/// 0, -1, 1, -2, ... to 0, 1, 2, 3, ...
pub(crate) fn zigzag64(v: i64) -> u64 {
    ((v << 1) ^ (v >> 63)) as u64
}

/// The inverse of [`zigzag64`].
pub(crate) fn unzigzag64(v: u64) -> i64 {
    (v >> 1) as i64 ^ -((v & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_round_trip_and_refuse_overflow() {
        for v in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut w = Writer::default();
            w.varint(v);
            w.varint_signed(v as i64);
            let mut r = Reader::new(&w.bytes);
            assert_eq!(r.varint("v").unwrap(), v);
            assert_eq!(r.varint_signed("v").unwrap(), v as i64);
            assert!(r.rest().is_empty());
        }
        assert!(Reader::new(&[0xff; 10]).varint("v").is_err());
        assert!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]).varint("v").is_err());
        assert!(Reader::new(&[0x80]).varint("v").is_err());
        assert!(Reader::new(&[5, 1, 2]).block("b").is_err());
    }
}
