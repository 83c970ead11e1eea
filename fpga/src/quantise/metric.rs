//! How good what is decoded from latents is, in the words of a field.

use super::measure::rms;

/// Rows and what was decoded from their latents: first the truth, then the decoded.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// Columns.
    pub n: usize,
    /// In units of the network's inputs, one row after the other.
    pub inputs: [&'a [f32]; 2],
    /// In units of the data.
    pub values: [&'a [f64]; 2],
}

/// A measure of reconstruction: figures of at least 0, smaller is better. What is watched is how much the worst of them grows
/// when latents in floating point are replaced by those in fixed point.
#[derive(Clone, Copy)]
pub struct Metric {
    /// What users call it.
    pub name: &'static str,
    /// One line for people.
    pub about: &'static str,
    /// One figure, or one for each column; none for rows it does not know.
    pub figures: fn(&Rows<'_>) -> Vec<f64>,
}

/// What a search watches unless it is told otherwise.
pub const RMS: Metric = Metric {
    name: "rms",
    about: "root mean square error of all columns, in units of the network's inputs",
    figures: |rows| vec![rms(rows.inputs[0].iter().zip(rows.inputs[1]).map(|(t, d)| f64::from(d - t)))],
};

/// For tables whose columns are quantities of their own.
pub const RESIDUAL: Metric = Metric {
    name: "residual",
    about: "of each column: root mean square of decoded - true, in its own units",
    figures: |rows| (0..rows.n).map(|c| rms(rows.column(c).map(|(truth, decoded)| decoded - truth))).collect(),
};

/// For calibrated quantities: jets.
pub const RESPONSE: Metric = Metric {
    name: "response",
    about: "of each column: half the width of the central 68 % of decoded / true (the resolution)",
    figures: |rows| (0..rows.n).filter_map(|c| rows.resolution(c)).collect(),
};

impl std::fmt::Debug for Metric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Metric({})", self.name)
    }
}

impl Rows<'_> {
    /// True and decoded values of a column.
    pub fn column(&self, c: usize) -> impl Iterator<Item = (f64, f64)> + '_ {
        let [truth, decoded] = self.values.map(|values| values.iter().copied().skip(c).step_by(self.n));
        truth.zip(decoded)
    }

    /// Decoded over true, where the true value is not 0.
    pub fn responses(&self, c: usize) -> Vec<f64> {
        self.column(c).filter(|(truth, _)| *truth != 0.0).map(|(truth, decoded)| decoded / truth).collect()
    }

    /// Half the width of the central 68 % of the responses, which a few true values near 0 do not reach. None for a column of
    /// zeros.
    fn resolution(&self, c: usize) -> Option<f64> {
        let mut responses = self.responses(c);
        responses.sort_by(f64::total_cmp);
        let at = |part: f64| responses.get((part * (responses.len().max(1) - 1) as f64).round() as usize).copied();
        Some((at(0.84)? - at(0.16)?) / 2.0)
    }
}

/// By how much the worst figure grows: 0.02 is 2 %.
pub fn growth(float: &[f64], fixed: &[f64]) -> f64 {
    let each = float.iter().zip(fixed).map(|(float, fixed)| if float == fixed { 0.0 } else { fixed / float - 1.0 });
    each.fold(f64::NEG_INFINITY, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_by_hand() {
        let inputs: [&[f32]; 2] = [&[1.0, 0.0, 1.0, 0.0], &[1.0, 2.0, 3.0, 0.0]];
        let values: [&[f64]; 2] = [&[2.0, 0.0, 4.0, 0.0], &[3.0, 0.0, 2.0, 1.0]];
        let rows = Rows { n: 2, inputs, values };
        assert_eq!((RMS.figures)(&rows), [2f64.sqrt()]);
        assert_eq!((RESIDUAL.figures)(&rows), [2.5f64.sqrt(), 0.5f64.sqrt()]);
        // Responses 1.5 and 0.5 of the first column; the second has none.
        assert_eq!((RESPONSE.figures)(&rows), [0.5]);
    }

    #[test]
    fn the_worst_figure_counts() {
        assert_eq!(growth(&[2.0, 1.0], &[1.0, 1.5]), 0.5);
        assert_eq!(growth(&[2.0], &[1.0]), -0.5);
        assert_eq!((growth(&[0.0], &[0.0]), growth(&[0.0], &[1.0])), (0.0, f64::INFINITY));
    }
}
