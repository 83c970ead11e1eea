//! The auctions of chunks, for people: what was chosen, and what each candidate would have cost.

use crate::failure::{Failure, Result};
use crate::format::{Array, Source};
use crate::models::Models;
use baler_codec::{Cost, Description, Params, explain};
use std::io::Read;

/// One line a part: what it is stored as, and, where `costs` are known, what each candidate alone takes, cheapest first.
pub fn lines(description: &Description, costs: &[Cost]) -> Vec<String> {
    let line = |(i, part): (usize, &baler_codec::PartDescription)| {
        let detail = if part.detail.is_empty() { String::new() } else { format!(" ({})", part.detail) };
        let mut text = format!("part {i}: {}{detail} {} B", part.candidate, part.len_bytes);
        let mut alone: Vec<(usize, &str)> =
            costs.iter().filter_map(|c| Some((c.parts.get(i).copied()??, c.candidate))).collect();
        alone.sort_unstable();
        let alone: Vec<String> = alone.iter().map(|(bytes, name)| format!("{name} {bytes}")).collect();
        if !alone.is_empty() {
            text += &format!("; alone: {}", alone.join(", "));
        }
        text
    };
    description.parts.iter().enumerate().map(line).collect()
}

/// What each candidate alone takes for each chunk of an array, which `source` has as its array `i`. Chunks must be whole
/// rows, one after the other, as in a `.baler`.
pub fn costs(
    chunks: &[Description],
    array: &Array,
    source: &dyn Source,
    i: usize,
    models: &Models,
) -> Result<Vec<Vec<Cost>>> {
    let original = &source.arrays()[i];
    let rows: u64 = chunks.iter().filter_map(|c| c.header.shape.first()).map(|&n| n as u64).sum();
    let whole_rows =
        |c: &Description| c.header.shape.iter().skip(1).map(|&n| n as u64).eq(array.shape[1..].iter().copied());
    if (original.dtype, &original.shape) != (array.dtype, &array.shape) {
        return Err(Failure::usage(format!("{}: the original has {}", array.describe(), original.describe())));
    }
    if rows != array.rows() || array.shape.is_empty() || !chunks.iter().all(whole_rows) {
        return Err(Failure::usage("costs are known of chunks of whole rows only: make a .baler of the original"));
    }
    let mut all = Vec::new();
    source.read(i, &mut |input| {
        for chunk in chunks {
            let mut values = vec![0; chunk.header.len_bytes()];
            Read::read_exact(input, &mut values)?;
            let mut params = Params::new(array.dtype, &chunk.header.shape, chunk.header.bound);
            params.byte_order = original.byte_order;
            params.per_column = chunk.header.per_column;
            params.fill.clone_from(&original.fill);
            all.push(explain(&params, &values, models.registry())?);
        }
        Ok(())
    })?;
    Ok(all)
}
