//! Collects the steps of a network while its graph is read, then assigns slots of scratch memory.

use crate::error::{Error, Result};
use crate::inference::plan::{Op, Plan, Step};

/// The most values one row of any tensor may have.
const MAX_FEATURES: usize = 1 << 24;
/// The most values of all constants, and of one row of all scratch.
const MAX_VALUES: usize = 1 << 26;
/// The most multiply-adds for one row: some seconds.
const MAX_FMA: usize = 1 << 36;

/// A computed tensor: its number and its shape without the batch.
#[derive(Clone, Debug)]
pub struct Dynamic {
    pub id: usize,
    pub dims: Vec<usize>,
}

impl Dynamic {
    /// Values of one row.
    pub fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// The same values in another shape of as many.
    pub fn reshaped(&self, dims: Vec<usize>) -> Self {
        Self { id: self.id, dims }
    }
}

struct Pending {
    op: Op,
    inputs: Vec<usize>,
    output: usize,
}

/// Steps over numbered values, each assigned once.
pub struct Builder {
    steps: Vec<Pending>,
    /// Features of each value.
    lens: Vec<usize>,
    values_left: usize,
    fma_left: usize,
}

/// Number of values of a shape, within the limits.
pub fn features(dims: &[usize]) -> Result<usize> {
    match dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d)) {
        Some(n @ 1..=MAX_FEATURES) => Ok(n),
        _ => Err(Error::unsupported(format!("a tensor of {dims:?} values a row: expected 1 to {MAX_FEATURES}"))),
    }
}

impl Builder {
    pub fn new() -> Self {
        Self { steps: Vec::new(), lens: Vec::new(), values_left: MAX_VALUES, fma_left: MAX_FMA }
    }

    /// Accounts for `n` constant values about to be made: small files must not become huge networks.
    pub fn spend(&mut self, n: usize) -> Result<()> {
        self.values_left = self.values_left.checked_sub(n).ok_or_else(|| {
            Error::unsupported(format!("the network needs more than {MAX_VALUES} constants: it is too large"))
        })?;
        Ok(())
    }

    /// A new value.
    pub fn value(&mut self, dims: Vec<usize>) -> Result<Dynamic> {
        self.lens.push(features(&dims)?);
        Ok(Dynamic { id: self.lens.len() - 1, dims })
    }

    /// Appends a step that gives a new value of this shape.
    pub fn step(&mut self, op: Op, inputs: &[&Dynamic], dims: Vec<usize>) -> Result<Dynamic> {
        if let Op::Linear(linear) = &op {
            self.fma_left = self.fma_left.checked_sub(linear.n_fma()).ok_or_else(|| {
                Error::unsupported(format!("a row needs more than {MAX_FMA} multiply-adds: the network is too large"))
            })?;
        }
        let output = self.value(dims)?;
        self.steps.push(Pending { op, inputs: inputs.iter().map(|v| v.id).collect(), output: output.id });
        Ok(output)
    }

    /// The plan that computes `output` from `input`.
    pub fn finish(mut self, input: &Dynamic, output: &Dynamic) -> Result<Plan> {
        self.drop_unused(output.id);
        let mut last_use = vec![0; self.lens.len()];
        for (i, step) in self.steps.iter().enumerate() {
            for &value in &step.inputs {
                last_use[value] = i;
            }
        }
        last_use[output.id] = usize::MAX;

        let mut slots = Slots { lens: Vec::new(), free: Vec::new() };
        let mut slot_of = vec![usize::MAX; self.lens.len()];
        let input_slot = slots.take(input.len());
        slot_of[input.id] = input_slot;
        let mut steps = Vec::with_capacity(self.steps.len());
        for (i, Pending { op, inputs, output }) in self.steps.into_iter().enumerate() {
            let in_slots: Vec<usize> = inputs.iter().map(|&value| slot_of[value]).collect();
            let in_lens: Vec<usize> = inputs.iter().map(|&value| self.lens[value]).collect();
            let len = self.lens[output];
            let in_place = op.is_in_place();
            let slot = if in_place && last_use[inputs[0]] == i { in_slots[0] } else { slots.take(len) };
            if in_place && slot != in_slots[0] {
                let (inputs, input_lens) = (vec![in_slots[0]], vec![len]);
                steps.push(Step { op: Op::Copy, inputs, output: slot, input_lens, output_len: len });
            }
            slot_of[output] = slot;
            let mut done: Vec<usize> = inputs.iter().filter(|&&v| last_use[v] == i).map(|&v| slot_of[v]).collect();
            done.sort_unstable();
            done.dedup();
            slots.free.extend(done.into_iter().filter(|&s| s != slot));
            steps.push(Step { op, inputs: in_slots, output: slot, input_lens: in_lens, output_len: len });
        }
        if slots.lens.iter().sum::<usize>() > MAX_VALUES {
            return Err(Error::unsupported(format!("a row needs more than {MAX_VALUES} values of scratch memory")));
        }
        Ok(Plan {
            steps,
            slots: slots.lens,
            input_slot,
            output_slot: slot_of[output.id],
            input_len: input.len(),
            output_len: output.len(),
            pool: Default::default(),
        })
    }

    fn drop_unused(&mut self, output: usize) {
        let mut used = vec![false; self.lens.len()];
        used[output] = true;
        for step in self.steps.iter().rev() {
            if used[step.output] {
                step.inputs.iter().for_each(|&value| used[value] = true);
            }
        }
        self.steps.retain(|step| used[step.output]);
    }
}

struct Slots {
    lens: Vec<usize>,
    free: Vec<usize>,
}

impl Slots {
    /// A free slot that fits best, or a new one.
    fn take(&mut self, len: usize) -> usize {
        match (0..self.free.len()).min_by_key(|&i| self.lens[self.free[i]].abs_diff(len)) {
            Some(i) => {
                let slot = self.free.swap_remove(i);
                self.lens[slot] = self.lens[slot].max(len);
                slot
            }
            None => {
                self.lens.push(len);
                self.lens.len() - 1
            }
        }
    }
}
