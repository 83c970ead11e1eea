//! The integers that occur, where ranks among them stand for integers.

use crate::entropy::bytes;
use crate::error::{Error, Result};
use crate::wire::{Reader, Writer};

/// Writes rising integers; none where integers stand for themselves.
pub(crate) fn write(occurring: &[i64], out: &mut Writer) {
    out.varint(occurring.len() as u64);
    let Some(&first) = occurring.first() else { return };
    out.varint_signed(first);
    let mut gaps = Writer::default();
    for pair in occurring.windows(2) {
        gaps.varint(pair[1].wrapping_sub(pair[0]).wrapping_sub(1) as u64);
    }
    out.block(&bytes::pack(&gaps.bytes, 9));
}

/// Reads what [`write`] wrote for at most `n` integers.
pub(crate) fn read(n: usize, input: &mut Reader<'_>) -> Result<Vec<i64>> {
    let count = input.size("the number of integers that occur")?;
    if count == 0 {
        return Ok(Vec::new());
    }
    if count > n {
        return Err(Error::corrupt(format!("{count} integers occur among {n}")));
    }
    let mut last = input.varint_signed("the first integer that occurs")?;
    let gaps = bytes::unpack(input.block("the integers that occur")?, count.saturating_mul(10))?;
    let mut gaps = Reader::new(&gaps);
    let mut occurring = vec![last];
    for _ in 1..count {
        let gap = gaps.varint("a gap between integers")?;
        last = last.wrapping_add(1).wrapping_add(gap as i64);
        occurring.push(last);
    }
    gaps.finish("the integers that occur")?;
    Ok(occurring)
}
