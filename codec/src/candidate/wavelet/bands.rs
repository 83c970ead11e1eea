//! Sub-bands in the order they are coded, and what lies around each of their coefficients.

use super::transform::{AXES, Layout, Level, strides};
use crate::entropy::rans::Base;

/// Start and extents within the array.
type Place = ([usize; AXES], [usize; AXES]);

/// One box of coefficients that are coded together.
pub(super) struct Band {
    pub place: Place,
    /// Which half of each axis, and the level, for the contexts.
    pub bits: usize,
    pub level: usize,
    /// Boxes one level coarser whose coefficients lie at the same places, and the axes along which they are half as long.
    parents: Vec<(Place, [bool; AXES])>,
    /// Boxes of this level that came before.
    siblings: Vec<Place>,
}

/// The bands of one group of axes, in the order they are coded.
fn group_bands(extents: [usize; AXES], levels: &[Level]) -> Vec<Band> {
    let place = levels.last().and_then(|l| l.band(0)).unwrap_or(([0; AXES], extents));
    let mut bands = vec![Band { place, bits: 0, level: levels.len(), parents: Vec::new(), siblings: Vec::new() }];
    for (l, level) in levels.iter().enumerate().rev() {
        let mut siblings = Vec::new();
        for bits in 1..1 << AXES {
            let Some(place) = level.band(bits) else { continue };
            let parent = levels.get(l + 1).and_then(|p| Some((p.band(bits)?, p.split)));
            let parents = parent.into_iter().collect();
            bands.push(Band { place, bits, level: l, parents, siblings: siblings.clone() });
            siblings.push(place);
        }
    }
    bands
}

/// All bands in the order they are coded: for each of the first group, all of the others.
pub(super) fn bands(layout: &Layout) -> Vec<Band> {
    // A group leaves the axes of the others alone, so that its boxes are whole there.
    let cut = |(s, e): Place, (t, f): Place| -> Place {
        (std::array::from_fn(|a| s[a].max(t[a])), std::array::from_fn(|a| e[a].min(f[a])))
    };
    let mut bands = group_bands(layout.extents, &[]);
    for levels in &layout.groups {
        let group = group_bands(layout.extents, levels);
        let pairs = bands.iter().flat_map(|f| group.iter().map(move |s| (f, s)));
        bands = pairs
            .map(|(f, s)| {
                let mut parents: Vec<_> = s.parents.iter().map(|&(p, split)| (cut(f.place, p), split)).collect();
                parents.extend(f.parents.iter().map(|&(p, split)| (cut(p, s.place), split)));
                Band {
                    place: cut(f.place, s.place),
                    bits: f.bits | s.bits,
                    level: f.level + s.level,
                    parents,
                    siblings: s.siblings.iter().map(|&p| cut(f.place, p)).collect(),
                }
            })
            .collect();
    }
    bands
}

impl Band {
    /// Its rows along the last axis: where each begins along the others.
    pub fn rows(&self) -> impl Iterator<Item = [usize; 3]> + use<> {
        let [ea, eb, ec, ed] = self.place.1;
        let n = if ed == 0 { 0 } else { ea * eb * ec };
        (0..n).map(move |row| [row / ec / eb, row / ec % eb, row % ec])
    }

    /// Coefficients of a row.
    pub fn row_len(&self) -> usize {
        self.place.1[AXES - 1]
    }
}

/// Rows have a margin on either side, so that there are always values to the left and right.
pub(super) const MARGIN: usize = 1;

/// Neighbours count as no larger than this, so that sums of them fit.
const MAX_SIZE: u32 = 1 << 20;
/// What rANS takes; see [`Base`].
const MAX_BASE: u32 = 8 << 20;

#[inline(always)]
pub(super) fn size(v: i32) -> u32 {
    v.unsigned_abs().min(MAX_SIZE)
}

/// Offsets of an array's axes but the last.
#[derive(Clone, Copy)]
struct Places([usize; AXES]);

impl Places {
    /// Where a row of a box begins.
    #[inline(always)]
    fn row(self, (start, _): &Place, [a, b, c]: [usize; 3]) -> usize {
        let Self([sa, sb, sc, _]) = self;
        (start[0] + a) * sa + (start[1] + b) * sb + (start[2] + c) * sc + start[3]
    }
}

/// What has been coded before around each coefficient of a row, as weighted sums of magnitudes.
pub(super) struct Around {
    places: Places,
    /// Magnitudes of the row before along axis 2, and of the one along axis 1, with margins; see [`Self::keep_rows`].
    pub north: Vec<u32>,
    pub before: Vec<u32>,
    /// In the same band.
    pub near: Vec<u32>,
    /// At the same place one level coarser.
    pub parent: Vec<u32>,
    /// At the same place in other bands of the level.
    pub sibling: Vec<u32>,
    base: Vec<Base>,
    /// Magnitudes of rows with margins, and their weighted sums.
    row: Vec<u32>,
    sums: Vec<u32>,
}

impl Around {
    pub fn new(layout: &Layout) -> Self {
        let n = layout.extents[AXES - 1];
        let (margins, row) = (vec![0; n + 2 * MARGIN], vec![0; n]);
        Self {
            places: Places(strides(layout.extents)),
            north: margins.clone(),
            before: margins.clone(),
            near: row.clone(),
            parent: row.clone(),
            sibling: row.clone(),
            base: vec![(0, 0); n],
            row: margins,
            sums: row,
        }
    }

    /// Looks around a row; where it begins. Rows of a band come in order.
    #[inline(always)]
    pub fn start_row(&mut self, q: &[i32], band: &Band, at: [usize; 3]) -> usize {
        self.look_near(q, band, at);
        // Two rows lie beside the same one of a level that halves their axis.
        if at[2].is_multiple_of(2) || !band.parents.iter().all(|(_, split)| split[2]) {
            self.look_up(q, band, at);
        }
        self.look_beside(q, band, at);
        self.row(band, at)
    }

    /// Where a row begins.
    #[inline(always)]
    pub fn row(&self, band: &Band, at: [usize; 3]) -> usize {
        self.places.row(&band.place, at)
    }

    #[inline(always)]
    fn look_near(&mut self, q: &[i32], band: &Band, [a, b, c]: [usize; 3]) {
        let [_, _, n_rows, n] = band.place.1;
        let row = |at: [usize; 3]| &q[self.places.row(&band.place, at)..][..n];
        // In place of a row that is not there, one of which nothing is kept: not this row, whose memory may be fresh.
        let any = &q[..n];
        let look = |is_there, at| if is_there { (row(at), u32::MAX) } else { (any, 0) };
        let (a_1, b_1, c_1) = (a.wrapping_sub(1), b.wrapping_sub(1), c.wrapping_sub(1));
        // The row before, and that of the slab before along the next axis.
        let north = look(c > 0, [a, b, c_1]);
        let before = look(b > 0, [a, b_1, c]);
        let sizes = &mut self.row[..n + 2 * MARGIN];
        (sizes[0], sizes[n + MARGIN]) = (0, 0);
        for ((s, v), w) in sizes[MARGIN..].iter_mut().zip(north.0).zip(before.0) {
            *s = (size(*v) & north.1) + (size(*w) & before.1);
        }
        let others = [
            look(b > 0 && c + 1 < n_rows, [a, b_1, c + 1]),
            look(b > 0 && c > 0, [a, b_1, c_1]),
            look(a > 0, [a_1, b, c]),
            look(c > 1, [a, b, c.wrapping_sub(2)]),
        ];
        let [v, w, x, y] = others.map(|(row, _)| row);
        let masks = others.map(|(_, mask)| mask);
        let rows = v.iter().zip(w).zip(x).zip(y);
        for ((near, s), (((v, w), x), y)) in self.near[..n].iter_mut().zip(sizes.windows(3)).zip(rows) {
            let others = (size(*v) & masks[0]) + (size(*w) & masks[1]) + (size(*x) & masks[2]) + (size(*y) & masks[3]);
            *near = s[0] + 2 * s[1] + s[2] + others;
        }
    }

    /// Keeps the magnitudes of the rows beside one that has been started.
    #[inline(always)]
    pub fn keep_rows(&mut self, q: &[i32], band: &Band, [a, b, c]: [usize; 3]) {
        let n = band.row_len();
        let north = (c > 0).then(|| [a, b, c - 1]);
        let before = (b > 0).then(|| [a, b - 1, c]);
        for (sizes, at) in [(&mut self.north, north), (&mut self.before, before)] {
            let sizes = &mut sizes[..n + 2 * MARGIN];
            sizes.fill(0);
            let Some(at) = at else { continue };
            let row = &q[self.places.row(&band.place, at)..][..n];
            sizes[MARGIN..].iter_mut().zip(row).for_each(|(s, v)| *s = size(*v));
        }
    }

    #[inline(always)]
    fn look_up(&mut self, q: &[i32], band: &Band, at: [usize; 3]) {
        let n = band.row_len();
        self.parent[..n].fill(0);
        for (place, split) in &band.parents {
            let extents = &place.1;
            let near: [usize; 3] = std::array::from_fn(|k| (at[k] >> u32::from(split[k])).min(extents[k] - 1));
            let row = |at: [usize; 3]| &q[self.places.row(place, at)..][..extents[3]];
            let this = row(near);
            let look = |is_there, axis, step: isize| {
                let at = std::array::from_fn(|k| near[k].wrapping_add_signed(if k == axis { step } else { 0 }));
                if is_there { (row(at), u32::MAX) } else { (this, 0) }
            };
            let beside = [
                look(near[1] > 0, 1, -1),
                look(near[1] + 1 < extents[1], 1, 1),
                look(near[2] > 0, 2, -1),
                look(near[2] + 1 < extents[2], 2, 1),
            ];
            let [v, w, x, y] = beside.map(|(row, _)| row);
            let masks = beside.map(|(_, mask)| mask);
            let sizes = &mut self.row[..extents[3] + 2 * MARGIN];
            for (((((s, t), v), w), x), y) in sizes[MARGIN..].iter_mut().zip(this).zip(v).zip(w).zip(x).zip(y) {
                let beside =
                    (size(*v) & masks[0]) + (size(*w) & masks[1]) + (size(*x) & masks[2]) + (size(*y) & masks[3]);
                *s = 2 * size(*t) + beside;
            }
            let sums = &mut self.sums[..extents[3]];
            sum_threes(sizes, sums);
            add_beside(&mut self.parent[..n], sums, split[3]);
        }
    }

    #[inline(always)]
    fn look_beside(&mut self, q: &[i32], band: &Band, at: [usize; 3]) {
        let n = band.row_len();
        self.sibling[..n].fill(0);
        // Rows of one length are summed up together.
        for places in band.siblings.chunk_by(|a, b| a.1[3] == b.1[3]) {
            let len = places[0].1[3];
            let sizes = &mut self.row[..len + 2 * MARGIN];
            sizes.fill(0);
            for place in places {
                let at = std::array::from_fn(|k| at[k].min(place.1[k] - 1));
                let from = &q[self.places.row(place, at)..][..len];
                sizes[MARGIN..].iter_mut().zip(from).for_each(|(s, v)| *s += size(*v));
            }
            let sums = &mut self.sums[..len];
            sum_threes(sizes, sums);
            add_beside(&mut self.sibling[..n], sums, false);
        }
    }

    /// All of it in one, and the row before along axis 2, whose signs say something: for a row that has been started.
    #[inline(always)]
    pub fn base(&mut self, q: &[i32], band: &Band, [a, b, c]: [usize; 3]) -> &[Base] {
        let n = band.row_len();
        let base = &mut self.base[..n];
        for (((base, near), parent), sibling) in base.iter_mut().zip(&self.near).zip(&self.parent).zip(&self.sibling) {
            *base = (((4 * near + parent + 2 * sibling) / 4).min(MAX_BASE), 0);
        }
        if c > 0 {
            let north = &q[self.places.row(&band.place, [a, b, c - 1])..][..n];
            base.iter_mut().zip(north).for_each(|(base, &v)| base.1 = v.clamp(-(MAX_SIZE as i32), MAX_SIZE as i32));
        }
        base
    }
}

/// Twice each value and those beside it; the ends go on as they are.
#[inline(always)]
fn sum_threes(row: &mut [u32], sums: &mut [u32]) {
    let n = sums.len();
    (row[0], row[n + 1]) = (row[1], row[n]);
    sums.iter_mut().zip(row.windows(3)).for_each(|(s, r)| *s = r[0] + 2 * r[1] + r[2]);
}

/// Adds to each place what there is at the same one of another band, which may have half as many. Its last stands for what
/// it does not have.
#[inline(always)]
fn add_beside(to: &mut [u32], sums: &[u32], is_half: bool) {
    let Some(&last) = sums.last() else { return };
    let n = sums.len() << u32::from(is_half);
    let (to, beyond) = to.split_at_mut(n.min(to.len()));
    if is_half {
        to.chunks_mut(2).zip(sums).for_each(|(pair, s)| pair.iter_mut().for_each(|v| *v += s));
    } else {
        to.iter_mut().zip(sums).for_each(|(v, s)| *v += s);
    }
    beyond.iter_mut().for_each(|v| *v += last);
}
