//! Values kept exactly because no integer brings them back within the promise.

use super::Target;
use crate::element::{Elements, put_bits};
use crate::entropy::bytes;
use crate::error::{Error, Result};
use crate::wire::{Reader, Writer};

/// Positions, rising, and bits.
pub(crate) struct Exceptions {
    positions: Vec<usize>,
    bits: Vec<u8>,
}

impl Exceptions {
    /// These positions of an array.
    pub fn of(elements: Elements<'_>, positions: &[usize]) -> Self {
        let size = elements.dtype.size_bytes();
        let bits = positions.iter().flat_map(|&i| &elements.bytes[i * size..(i + 1) * size]).copied().collect();
        Self { positions: positions.to_vec(), bits }
    }

    pub fn write(elements: Elements<'_>, positions: &[usize], out: &mut Writer) {
        out.varint(positions.len() as u64);
        if positions.is_empty() {
            return;
        }
        let size = elements.dtype.size_bytes();
        let mut gaps = Writer::default();
        let mut bits = Vec::with_capacity(positions.len() * size);
        let mut next = 0;
        for &i in positions {
            gaps.varint((i - next) as u64);
            next = i + 1;
            bits.extend_from_slice(&elements.bytes[i * size..(i + 1) * size]);
        }
        out.block(&bytes::pack(&gaps.bytes, 9));
        out.block(&bytes::pack(&bits, 9));
    }

    pub fn read(size_bytes: usize, n_values: usize, input: &mut Reader<'_>) -> Result<Self> {
        let n = input.size("the number of exceptions")?;
        if n > n_values {
            return Err(Error::corrupt(format!("{n} exceptions among {n_values} values")));
        }
        if n == 0 {
            return Ok(Self { positions: Vec::new(), bits: Vec::new() });
        }
        let gaps = bytes::unpack(input.block("the positions of exceptions")?, n.saturating_mul(10))?;
        let bits = bytes::unpack(input.block("the exceptions")?, n * size_bytes)?;
        if bits.len() != n * size_bytes {
            return Err(Error::corrupt(format!("{} bytes for {n} exceptions", bits.len())));
        }
        let mut gaps = Reader::new(&gaps);
        let mut positions = Vec::new();
        let mut next = 0usize;
        for _ in 0..n {
            let gap = gaps.size("a gap between exceptions")?;
            let i = next.checked_add(gap).filter(|&i| i < n_values);
            let i = i.ok_or_else(|| Error::corrupt(format!("an exception lies beyond the {n_values} values")))?;
            positions.push(i);
            next = i + 1;
        }
        gaps.finish("the positions of exceptions")?;
        Ok(Self { positions, bits })
    }

    pub fn restore(&self, target: &mut Target<'_>) {
        let size = target.dtype.size_bytes();
        for (k, &i) in self.positions.iter().enumerate() {
            let mut word = [0; 8];
            word[..size].copy_from_slice(&self.bits[k * size..(k + 1) * size]);
            put_bits(target.out, size, i, u64::from_le_bytes(word));
        }
    }
}
