//! The two widths in which residuals travel.

/// A signed integer of 32 or 64 bits with wrapping arithmetic.
pub(crate) trait Int: pco::data_types::Number + Copy + Eq + Ord + Default + Send + Sync + 'static {
    /// Bytes of one value: names the width on the wire.
    const SIZE_BYTES: usize;
    fn wrapping_add(self, other: Self) -> Self;
    fn wrapping_sub(self, other: Self) -> Self;
    fn wrapping_scale(self, factor: i64) -> Self;
    fn to_i64(self) -> i64;
    fn from_i32(v: i32) -> Self;
    fn from_i64(v: i64) -> Option<Self>;
    /// The values as they are, if they have 32 bits.
    fn narrow(values: &[Self]) -> Option<&[i32]>;
}

impl Int for i32 {
    const SIZE_BYTES: usize = 4;

    #[inline]
    fn wrapping_add(self, other: Self) -> Self {
        i32::wrapping_add(self, other)
    }

    #[inline]
    fn wrapping_sub(self, other: Self) -> Self {
        i32::wrapping_sub(self, other)
    }

    #[inline]
    fn wrapping_scale(self, factor: i64) -> Self {
        i32::wrapping_mul(self, factor as i32)
    }

    #[inline]
    fn to_i64(self) -> i64 {
        i64::from(self)
    }

    #[inline]
    fn from_i64(v: i64) -> Option<Self> {
        i32::try_from(v).ok()
    }

    #[inline]
    fn from_i32(v: i32) -> Self {
        v
    }

    #[inline]
    fn narrow(values: &[Self]) -> Option<&[i32]> {
        Some(values)
    }
}

impl Int for i64 {
    const SIZE_BYTES: usize = 8;

    #[inline]
    fn wrapping_add(self, other: Self) -> Self {
        i64::wrapping_add(self, other)
    }

    #[inline]
    fn wrapping_sub(self, other: Self) -> Self {
        i64::wrapping_sub(self, other)
    }

    #[inline]
    fn wrapping_scale(self, factor: i64) -> Self {
        i64::wrapping_mul(self, factor)
    }

    #[inline]
    fn to_i64(self) -> i64 {
        self
    }

    #[inline]
    fn from_i64(v: i64) -> Option<Self> {
        Some(v)
    }

    #[inline]
    fn from_i32(v: i32) -> Self {
        v.into()
    }

    #[inline]
    fn narrow(_: &[Self]) -> Option<&[i32]> {
        None
    }
}

/// Values as one code for both directions sees them: an encoder's to be read, a decoder's to be filled.
pub(crate) trait Coded<I> {
    fn len(&self) -> usize;
    fn get(&self, i: usize) -> I;
    fn put(&mut self, i: usize, value: I);
}

impl<I: Copy> Coded<I> for &[I] {
    #[inline(always)]
    fn len(&self) -> usize {
        <[I]>::len(self)
    }

    #[inline(always)]
    fn get(&self, i: usize) -> I {
        self[i]
    }

    #[inline(always)]
    fn put(&mut self, _: usize, _: I) {}
}

impl<I: Copy> Coded<I> for &mut [I] {
    #[inline(always)]
    fn len(&self) -> usize {
        <[I]>::len(self)
    }

    #[inline(always)]
    fn get(&self, i: usize) -> I {
        self[i]
    }

    #[inline(always)]
    fn put(&mut self, i: usize, value: I) {
        self[i] = value;
    }
}
