//! Cycles of the fully pipelined hardware: how long a row takes, how often one may come, and what queues it needs.

use crate::fixed::{Overflow, Rounding, signed_digits};
use crate::ir::{Op, Program};
use baler_codec::{Error, Result};

/// A design's clock and its links.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// Of the design, in Hz.
    pub clock_hz: f64,
    /// Bits of input in a cycle.
    pub bits_in: u32,
    /// Bits of output in a cycle.
    pub bits_out: u32,
    /// Adders one after the other in a cycle.
    pub adders_per_stage: u32,
}

/// What the design reaches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timing {
    /// Cycles from the first input of a row to its output, with links of its width.
    pub latency: u32,
    /// Cycles between rows that the arithmetic asks for: always 1.
    pub interval: u32,
    /// Cycles between rows that the links allow.
    pub link_interval: u32,
    /// Rows in a second.
    pub rows_per_s: f64,
    /// Bytes of input in a second, at the width of the formats.
    pub bytes_in_per_s: f64,
    /// Bytes of output in a second.
    pub bytes_out_per_s: f64,
}

/// Cycles of a fully pipelined design of `program`: one register for the input; for each dense layer a tree of adders, with
/// at most `adders_per_stage` in a cycle, over the non-zero digits of its weights; one cycle for each cast that rounds or
/// saturates. An estimate of what a generator makes, made from the program alone.
///
/// # Errors
/// A clock, a link or a stage of nothing.
pub fn timing(program: &Program, link: Link) -> Result<Timing> {
    if !(link.clock_hz > 0.0 && link.clock_hz.is_finite())
        || link.bits_in == 0
        || link.bits_out == 0
        || link.adders_per_stage == 0
    {
        return Err(Error::invalid("clock, links and adders of a stage: expected numbers above 0"));
    }
    let n_terms = |factor: i64| signed_digits(factor.into()).len();
    // Of a tree of adders.
    let levels = |n_terms: usize| n_terms.max(1).next_power_of_two().trailing_zeros();
    let mut latency = 1;
    for (layer, ranges) in program.layers().iter().zip(program.ranges()) {
        let depth = match &layer.op {
            Op::Dense(dense) => {
                let rows = dense.weights.iter().zip(&dense.biases);
                let terms = |(row, &bias): (&Vec<i64>, &i64)| {
                    row.iter().map(|&w| n_terms(w)).sum::<usize>() + usize::from(bias != 0)
                };
                levels(rows.map(terms).max().unwrap_or(0))
            }
            Op::LeakyRelu { alpha, .. } => levels(n_terms(*alpha) + 1),
            Op::ScaleShift(affine) => levels(affine.scales.iter().map(|&s| n_terms(s) + 1).max().unwrap_or(1)),
            Op::Table(_) => link.adders_per_stage,
            Op::Cast | Op::Relu => 0,
        };
        let casts = layer.formats.iter().zip(&ranges.may_overflow).zip(&ranges.fraction_bits);
        let has_logic = casts.into_iter().any(|((format, &may_overflow), &fraction)| {
            format.rounding() != Rounding::Trn && fraction > format.fraction_bits()
                || may_overflow && format.overflow() != Overflow::Wrap
        });
        latency += depth.div_ceil(link.adders_per_stage) + u32::from(has_logic);
    }
    let bits = |formats: &[crate::fixed::Format]| formats.iter().map(|f| f.width()).sum::<u32>();
    let (bits_in, bits_out) = (bits(&program.input().formats), bits(program.output_formats()));
    let link_interval = bits_in.div_ceil(link.bits_in).max(bits_out.div_ceil(link.bits_out));
    let rows_per_s = link.clock_hz / f64::from(link_interval);
    Ok(Timing {
        latency: latency + bits_in.div_ceil(link.bits_in) - 1,
        interval: 1,
        link_interval,
        rows_per_s,
        bytes_in_per_s: rows_per_s * f64::from(bits_in) / 8.0,
        bytes_out_per_s: rows_per_s * f64::from(bits_out) / 8.0,
    })
}

/// A stream through a design: rows come in bursts, a queue holds what it cannot take at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Cycles between rows that the design and its links allow.
    pub interval: u32,
    /// Rows that come in consecutive cycles.
    pub burst: u32,
    /// Cycles from the beginning of one burst to that of the next.
    pub period: u32,
    /// Rows that the queue before the design holds.
    pub depth: u32,
}

/// What became of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Rows that came.
    pub rows: u64,
    /// Rows that found the queue full: lost, or cycles for which the source was held up.
    pub refused: u64,
    /// The most rows in the queue.
    pub deepest: u32,
    /// Cycles in which the design had nothing to do.
    pub idle: u64,
}

impl Stream {
    /// Runs `cycles` cycles. In each the source offers a row if its burst says so, and the design takes one from the queue
    /// if its interval is over.
    pub fn run(self, cycles: u64) -> Flow {
        let mut flow = Flow::default();
        let (mut queued, mut busy) = (0u32, 0u32);
        for cycle in 0..cycles {
            if cycle % u64::from(self.period.max(1)) < u64::from(self.burst) {
                flow.rows += 1;
                if queued < self.depth {
                    queued += 1;
                } else {
                    flow.refused += 1;
                }
            }
            flow.deepest = flow.deepest.max(queued);
            if busy == 0 && queued > 0 {
                queued -= 1;
                busy = self.interval.max(1);
            }
            flow.idle += u64::from(busy == 0);
            busy = busy.saturating_sub(1);
        }
        flow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bursts_fill_queues() {
        // Four rows at once every 16 cycles, one taken every 4: the first leaves in the cycle it comes.
        let stream = Stream { interval: 4, burst: 4, period: 16, depth: 8 };
        let flow = stream.run(1600);
        assert_eq!((flow.rows, flow.refused, flow.deepest, flow.idle), (400, 0, 3, 0));
        let shallow = Stream { depth: 2, ..stream }.run(1600);
        assert_eq!(shallow.deepest, 2);
        assert!(shallow.refused > 0 && shallow.idle > 0);
    }
}
