//! Inputs from inputs.

use baler_tests::random::Rng;

/// Numbers at which programs break.
const NUMBERS: [u64; 16] = [
    0,
    1,
    7,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0xffff,
    1 << 20,
    0x7fff_ffff,
    0xffff_ffff,
    1 << 32,
    1 << 53,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
];

/// Floats likewise.
const FLOATS: [f64; 10] = [0.0, -0.0, 1.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 5e-324, 1.7e308, -1.7e308];

pub struct Mutator {
    rng: Rng,
}

impl Mutator {
    pub fn new(seed: u64) -> Self {
        Self { rng: Rng(seed) }
    }

    /// Whether something of this probability happens.
    pub fn chance(&mut self, of: u64, all: u64) -> bool {
        self.rng.below(all) < of
    }

    fn index(&mut self, n: usize) -> usize {
        self.rng.below(n.max(1) as u64) as usize
    }

    /// A changed copy of one of the parents.
    pub fn child(&mut self, parents: &[Vec<u8>], most_bytes: usize) -> Vec<u8> {
        let pick = self.index(parents.len());
        let mut input = parents.get(pick).cloned().unwrap_or_default();
        let most = 1 << self.rng.below(5);
        for _ in 0..1 + self.rng.below(most) {
            let other = self.index(parents.len());
            self.change(&mut input, parents.get(other).map_or(&[], |p| p));
        }
        input.truncate(most_bytes);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, other: &[u8]) {
        let at = self.index(input.len());
        let number = NUMBERS[self.index(NUMBERS.len())];
        match self.rng.below(14) {
            // Heads decide more than what follows.
            kind @ (0 | 1) => {
                let at = if kind == 0 { at.min(self.index(64)) } else { at };
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << self.rng.below(8);
                }
            }
            2 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte = self.rng.next() as u8;
                }
            }
            3 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte = byte.wrapping_add(if self.chance(1, 2) { 1 } else { 255 });
                }
            }
            4 => {
                let width = [1, 2, 4, 8][self.index(4)];
                overwrite(input, at, &number.to_le_bytes()[..width]);
            }
            5 => {
                let float = FLOATS[self.index(FLOATS.len())];
                overwrite(input, at, &float.to_le_bytes());
            }
            // A varint in place of a byte.
            6 => {
                let (mut v, mut varint) = (number, Vec::new());
                while v >= 0x80 {
                    varint.push(v as u8 | 0x80);
                    v >>= 7;
                }
                varint.push(v as u8);
                let end = (at + 1).min(input.len());
                input.splice(at.min(end)..end, varint);
            }
            7 => input.truncate(at),
            8 => {
                let end = (at + 1 + self.index(16)).min(input.len());
                input.drain(at.min(end)..end);
            }
            9 => {
                let n = 1 + self.index(16);
                let bytes: Vec<u8> = (0..n).map(|_| self.rng.next() as u8).collect();
                input.splice(at..at, bytes);
            }
            // A piece comes again.
            10 => {
                let n = self.index((input.len() - at).min(64)) + 1;
                let piece = input[at..(at + n).min(input.len())].to_vec();
                let to = self.index(input.len() + 1);
                input.splice(to..to, piece);
            }
            // A piece of another input.
            11 | 12 if !other.is_empty() => {
                let from = self.index(other.len());
                let n = 1 + self.index((other.len() - from).min(128));
                let piece = &other[from..(from + n).min(other.len())];
                if self.chance(1, 2) {
                    overwrite(input, at, piece);
                } else {
                    input.splice(at..at, piece.iter().copied());
                }
            }
            // The head of one, the tail of another.
            13 if !other.is_empty() => {
                input.truncate(at);
                input.extend_from_slice(&other[self.index(other.len())..]);
            }
            _ => input.push(self.rng.next() as u8),
        }
    }
}

fn overwrite(input: &mut [u8], at: usize, bytes: &[u8]) {
    for (to, from) in input.iter_mut().skip(at).zip(bytes) {
        *to = *from;
    }
}
