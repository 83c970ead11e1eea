//! A part's values as networks see them, gaps filled.

use crate::candidate::Part;
use crate::element::extremes;

/// The values of a part that has some ordinary ones. Special values repeat the ordinary one before, so that no network
/// sees them; the first ones are the least.
pub(crate) struct Filled {
    pub values: Vec<f64>,
    pub min: f64,
    pub max: f64,
    /// Whether some values are not ordinary.
    pub have_gaps: bool,
}

impl Filled {
    pub fn of(part: &Part<'_>) -> Option<Self> {
        let mut values = part.elements.to_numbers();
        for (value, _) in values.iter_mut().zip(&part.specials.classes).filter(|(_, class)| **class != 0) {
            *value = f64::NAN;
        }
        let (min, max) = extremes(&values)?;
        let have_gaps = !values.iter().all(|v| v.is_finite());
        if have_gaps {
            let mut last = min;
            for value in &mut values {
                last = if value.is_finite() { *value } else { last };
                *value = last;
            }
        }
        Some(Self { values, min, max, have_gaps })
    }
}
