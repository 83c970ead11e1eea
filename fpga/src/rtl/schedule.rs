//! Which operation happens in which clock cycle.
//!
//! Time is counted in levels of logic: an adder, a limit or a choice is one, wiring is none. A stage of the pipeline
//! holds so many levels; multipliers and tables have a stage of their own. Operations begin as early as their operands
//! allow and are then moved, within the time they have, to where fewest bits have to be kept in registers.

use super::net::{Id, Net, Op, constant};

/// A net in cycles.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Per node, the stage whose logic computes it.
    stages: Vec<usize>,
    /// Per node, the last stage that reads it; `latency` for outputs.
    last_reads: Vec<usize>,
    latency: usize,
}

impl Schedule {
    /// Puts `net` into stages of `levels` levels of logic (at least 1).
    pub fn new(net: &Net, levels: usize) -> Self {
        let mut planner = Planner::new(net, levels.max(1));
        planner.improve();
        let latency = planner.n_stages();
        let stages: Vec<usize> = (0..net.nodes().len()).map(|id| planner.stage(id)).collect();
        let last_reads = (0..stages.len()).map(|id| planner.last_read(id)).collect();
        Self { stages, last_reads, latency }
    }

    /// Clock cycles from input to output.
    pub fn latency(&self) -> usize {
        self.latency
    }

    /// The stage whose logic computes a node; inputs are there in stage 0.
    pub fn stage(&self, id: Id) -> usize {
        self.stages[id]
    }

    /// The last stage that reads a node: its value is kept in registers after each stage before that one.
    pub fn last_read(&self, id: Id) -> usize {
        self.last_reads[id]
    }

    /// Bits of all pipeline registers.
    pub fn register_bits(&self, net: &Net) -> u64 {
        let of = |id: Id| (self.last_reads[id] - self.stages[id]) as u64 * u64::from(net.range(id).bits());
        (0..self.stages.len()).map(of).sum()
    }
}

struct Planner<'a> {
    net: &'a Net,
    levels: usize,
    /// Per node, the level at the end of which its value is there; 0 for inputs.
    times: Vec<usize>,
    users: Vec<Vec<Id>>,
    is_output: Vec<bool>,
}

impl<'a> Planner<'a> {
    fn new(net: &'a Net, levels: usize) -> Self {
        let n = net.nodes().len();
        let mut planner =
            Self { net, levels, times: vec![0; n], users: vec![Vec::new(); n], is_output: vec![false; n] };
        for id in 0..n {
            for operand in net.nodes()[id].op.operands() {
                planner.users[operand].push(id);
            }
            planner.times[id] = planner.earliest(id);
        }
        net.outputs().iter().for_each(|&id| planner.is_output[id] = true);
        planner
    }

    fn is_whole_stage(&self, id: Id) -> bool {
        matches!(self.net.nodes()[id].op, Op::Multiply(..) | Op::Table(..))
    }

    fn delay(&self, id: Id) -> usize {
        if self.net.nodes()[id].op.is_wiring() { 0 } else { 1 }
    }

    /// The earliest a node can be there, from when its operands are.
    fn earliest(&self, id: Id) -> usize {
        let ready = self.net.nodes()[id].op.operands().iter().map(|&o| self.times[o]).max().unwrap_or(0);
        if self.is_whole_stage(id) { ready.next_multiple_of(self.levels) + self.levels } else { ready + self.delay(id) }
    }

    /// The latest a node may be there without delaying what reads it.
    fn latest(&self, id: Id) -> usize {
        let end = self.n_stages() * self.levels;
        let needed = |&user: &Id| match self.is_whole_stage(user) {
            true => self.times[user] - self.levels,
            false => self.times[user] - self.delay(user),
        };
        let latest = self.users[id].iter().map(needed).min().unwrap_or(end);
        if self.is_whole_stage(id) { latest / self.levels * self.levels } else { latest }
    }

    fn stage(&self, id: Id) -> usize {
        self.times[id].max(1).div_ceil(self.levels) - 1
    }

    fn n_stages(&self) -> usize {
        self.net.outputs().iter().map(|&id| self.stage(id) + 1).max().unwrap_or(1)
    }

    fn last_read(&self, id: Id) -> usize {
        if constant(self.net.range(id)).is_some() {
            return self.stage(id);
        }
        let of_users = self.users[id].iter().map(|&user| self.stage(user)).max().unwrap_or(self.stage(id));
        if self.is_output[id] { of_users.max(self.n_stages()) } else { of_users }
    }

    /// Register bits of a node and of what it reads: all that moving it changes.
    fn cost(&self, id: Id) -> u64 {
        let of = |id: Id| (self.last_read(id) - self.stage(id)) as u64 * u64::from(self.net.range(id).bits());
        let mut operands = self.net.nodes()[id].op.operands();
        operands.sort_unstable();
        operands.dedup();
        of(id) + operands.into_iter().map(of).sum::<u64>()
    }

    /// Moves nodes one by one to where they cost fewest register bits, until none gains.
    fn improve(&mut self) {
        const MAX_PASSES: usize = 24;
        let n = self.times.len();
        for pass in 0..MAX_PASSES {
            let mut has_changed = false;
            for step in 0..n {
                let id = if pass % 2 == 0 { n - 1 - step } else { step };
                if matches!(self.net.nodes()[id].op, Op::Input(_) | Op::Constant(_)) {
                    continue;
                }
                let (earliest, latest) = (self.earliest(id), self.latest(id));
                let before = self.times[id];
                let (mut best, mut least) = (before, self.cost(id));
                let stride = if self.is_whole_stage(id) { self.levels } else { 1 };
                for time in (earliest..=latest).step_by(stride) {
                    self.times[id] = time;
                    let cost = self.cost(id);
                    // Among equals the earliest, in odd passes the latest: room for the neighbours to follow.
                    if cost < least || cost == least && (pass % 2 == 1) == (time > best) && time != best {
                        (best, least) = (time, cost);
                    }
                }
                self.times[id] = best;
                has_changed |= best != before;
            }
            if !has_changed {
                break;
            }
        }
    }
}
