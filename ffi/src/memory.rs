//! Every step from a raw pointer to something safe.

use crate::status::{Failure, baler_status};
use std::ffi::{CStr, c_char, c_void};
use std::mem::MaybeUninit;

type Result<T> = std::result::Result<T, Failure>;

fn check<T>(pointer: *const T, name: &str) -> Result<()> {
    if pointer.is_null() {
        return Err(Failure::invalid(format!("{name} is NULL")));
    }
    if !pointer.is_aligned() {
        return Err(Failure::invalid(format!("{name} = {pointer:p} is not aligned to {} bytes", align_of::<T>())));
    }
    Ok(())
}

/// Checks `n` elements: a NULL of none is allowed, and the end must be an address.
fn check_array<T>(pointer: *const T, n: usize, name: &str) -> Result<()> {
    if n == 0 {
        return Ok(());
    }
    check(pointer, name)?;
    let fits = n.checked_mul(size_of::<T>()).filter(|&len| isize::try_from(len).is_ok());
    if fits.and_then(|len| pointer.addr().checked_add(len)).is_none() {
        return Err(Failure::invalid(format!("{name}: {n} elements do not fit the address space")));
    }
    Ok(())
}

/// A reference to what the caller keeps.
///
/// # Safety
/// Unless NULL or misaligned, `pointer` points to a `T` that nobody changes while the reference lives.
pub(crate) unsafe fn shared<'a, T>(pointer: *const T, name: &str) -> Result<&'a T> {
    check(pointer, name)?;
    // SAFETY: not NULL and aligned, as just checked; the rest is the caller's promise.
    Ok(unsafe { &*pointer })
}

/// Hands a value to the caller as a handle.
pub(crate) fn give<T>(value: T) -> *mut T {
    Box::into_raw(Box::new(value))
}

/// Takes a handle back from the caller and drops it; NULL is none.
///
/// # Safety
/// `handle` comes from [`give`], and is given back once.
pub(crate) unsafe fn take_back<T>(handle: *mut T, name: &str) -> Result<()> {
    if !handle.is_null() {
        check(handle, name)?;
        // SAFETY: the caller's promise.
        drop(unsafe { Box::from_raw(handle) });
    }
    Ok(())
}

/// A slice of what the caller keeps; empty if `n` is 0, wherever the pointer points.
///
/// # Safety
/// Unless refused here, `pointer` points to `n` elements that nobody changes while the slice lives.
pub(crate) unsafe fn slice<'a, T>(pointer: *const T, n: usize, name: &str) -> Result<&'a [T]> {
    check_array(pointer, n, name)?;
    // SAFETY: not NULL, aligned and of a possible length, as just checked; the rest is the caller's promise.
    Ok(if n == 0 { &[] } else { unsafe { std::slice::from_raw_parts(pointer, n) } })
}

/// The caller's text, `None` for NULL.
///
/// # Safety
/// Unless NULL, `text` ends with a zero byte and does not change while the reference lives.
pub(crate) unsafe fn text<'a>(text: *const c_char, name: &str) -> Result<Option<&'a str>> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: not NULL, and the caller promises the zero byte.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map(Some).map_err(|_| Failure::invalid(format!("{name} is not UTF-8")))
}

/// A structure that begins with its own size, `struct_size`, and grows at its end.
///
/// # Safety
/// `repr(C)`; the first member is a `usize`, the others are numbers and pointers; no padding; all zeros are a value.
pub(crate) unsafe trait Versioned: Copy {
    /// Its sizes, in the order of the versions of the library; the last is that of this one.
    const SIZES: &'static [usize];
}

/// Reads a structure in the caller's version: members that it does not have are zero, members that this library does not
/// have must be.
///
/// # Safety
/// Unless refused here, `pointer` points to as many readable bytes as its first member says.
pub(crate) unsafe fn sized<T: Versioned>(pointer: *const T, name: &str) -> Result<T> {
    check(pointer, name)?;
    // SAFETY: aligned for `T`, whose first member is this one.
    let struct_size = unsafe { pointer.cast::<usize>().read() };
    let known = check_struct_size::<T>(struct_size, name)?;
    // SAFETY: the caller's structure is `struct_size` bytes long, and `known` is no more than that.
    let appended = unsafe { std::slice::from_raw_parts(pointer.cast::<u8>().add(known), struct_size - known) };
    if appended.iter().any(|&byte| byte != 0) {
        return Err(Failure::new(
            baler_status::Unsupported,
            format!("{name} sets members of a later version: this library is {}", env!("CARGO_PKG_VERSION")),
        ));
    }
    let mut value = MaybeUninit::<T>::zeroed();
    // SAFETY: `known` is at most the size of either, and zeros with any bits over them are a valid `T`.
    unsafe {
        std::ptr::copy_nonoverlapping(pointer.cast::<u8>(), value.as_mut_ptr().cast::<u8>(), known);
        Ok(value.assume_init())
    }
}

/// Writes to a structure of the caller; members of later versions are set to zero.
///
/// # Safety
/// As [`sized`], and the bytes can be written.
pub(crate) unsafe fn write_sized<T: Versioned>(
    pointer: *mut T,
    name: &str,
    value: impl FnOnce(usize) -> T,
) -> Result<()> {
    check(pointer, name)?;
    // SAFETY: aligned for `T`, whose first member is this one.
    let struct_size = unsafe { pointer.cast::<usize>().read() };
    let known = check_struct_size::<T>(struct_size, name)?;
    let value = value(struct_size);
    // SAFETY: the caller's structure is `struct_size` bytes long, and `known` is no more than that or the size of `T`.
    unsafe {
        std::ptr::copy_nonoverlapping((&raw const value).cast::<u8>(), pointer.cast::<u8>(), known);
        pointer.cast::<u8>().add(known).write_bytes(0, struct_size - known);
    }
    Ok(())
}

/// Checks a structure without reading more than its size.
///
/// # Safety
/// Unless refused here, `pointer` points to a structure that begins with its size.
pub(crate) unsafe fn check_sized<T: Versioned>(pointer: *const T, name: &str) -> Result<()> {
    check(pointer, name)?;
    // SAFETY: aligned for `T`, whose first member is this one.
    check_struct_size::<T>(unsafe { pointer.cast::<usize>().read() }, name).map(|_| ())
}

/// Checks the size that a structure gives of itself: that of a version so far, or a larger one. No version will grow
/// beyond a page: more is memory that was never set, and must not be touched. Gives the bytes that both sides know.
fn check_struct_size<T: Versioned>(struct_size: usize, name: &str) -> Result<usize> {
    const LARGEST: usize = 4096;
    const { assert!(T::SIZES[T::SIZES.len() - 1] == size_of::<T>(), "Versioned::SIZES is out of date") };
    if T::SIZES.contains(&struct_size) || (size_of::<T>()..=LARGEST).contains(&struct_size) {
        return Ok(struct_size.min(size_of::<T>()));
    }
    Err(Failure::invalid(format!(
        "{name}: struct_size is {struct_size}; set it to the sizeof of the structure, which is {} in this version",
        size_of::<T>()
    )))
}

/// Memory of the caller to write to, not necessarily set yet.
#[derive(Clone, Copy)]
pub(crate) struct Output<T> {
    /// Aligned, and not NULL unless `n` is 0.
    pointer: *mut T,
    n: usize,
    name: &'static str,
}

impl<T> Output<T> {
    /// Room for `n` elements.
    ///
    /// # Safety
    /// Unless refused here, `n` elements can be written at `pointer` as long as the call lasts.
    pub(crate) unsafe fn new(pointer: *mut T, n: usize, name: &'static str) -> Result<Self> {
        check_array(pointer, n, name)?;
        Ok(Self { pointer, n, name })
    }

    /// How many elements fit.
    pub(crate) fn capacity(&self) -> usize {
        self.n
    }

    /// Moves a value to the first element, whatever was there: it is not dropped.
    pub(crate) fn put(&self, value: T) -> Result<()> {
        if self.n == 0 {
            return Err(Failure::new(baler_status::Internal, format!("{}: no room", self.name)));
        }
        // SAFETY: `pointer` is aligned and valid for `n` elements.
        unsafe { self.pointer.write(value) };
        Ok(())
    }

    /// Refuses an input that shares bytes with this output.
    pub(crate) fn disjoint_from<U>(&self, input: &[U], name: &str) -> Result<()> {
        self.disjoint_range(input.as_ptr().addr(), size_of_val(input), name)
    }

    /// Refuses another output that shares bytes with this one.
    pub(crate) fn disjoint_from_output<U>(&self, other: &Output<U>) -> Result<()> {
        self.disjoint_range(other.pointer.addr(), other.n * size_of::<U>(), other.name)
    }

    fn disjoint_range(&self, start: usize, len: usize, name: &str) -> Result<()> {
        let (own_start, own_len) = (self.pointer.addr(), self.n * size_of::<T>());
        if own_len > 0 && len > 0 && own_start < start + len && start < own_start + own_len {
            return Err(Failure::invalid(format!("{} and {name} overlap: they need memory of their own", self.name)));
        }
        Ok(())
    }
}

impl<T: Copy> Output<T> {
    /// Writes `values`, which fit, to the beginning.
    pub(crate) fn write(&self, values: &[T]) -> Result<()> {
        if values.len() > self.n {
            let message = format!("{}: {} elements do not fit {}", self.name, values.len(), self.n);
            return Err(Failure::new(baler_status::Internal, message));
        }
        if !values.is_empty() {
            // SAFETY: `pointer` is valid for `n` elements; values of our own or checked by `disjoint_from` do not
            // overlap it.
            unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), self.pointer, values.len()) };
        }
        Ok(())
    }

    /// Writes `values` from the element `at` on; they fit.
    pub(crate) fn write_at(&self, at: usize, values: &[T]) -> Result<()> {
        let rest = self.n.checked_sub(at).map(|n| Self { pointer: self.pointer.wrapping_add(at), n, ..*self });
        let past = || Failure::new(baler_status::Internal, format!("{}: element {at} of {}", self.name, self.n));
        rest.ok_or_else(past)?.write(values)
    }
}

/// The caller's bytes as a slice. As [`slice`], for `void` pointers.
///
/// # Safety
/// As [`slice`].
pub(crate) unsafe fn bytes<'a>(pointer: *const c_void, len: usize, name: &str) -> Result<&'a [u8]> {
    // SAFETY: the caller's promise is the same.
    unsafe { slice(pointer.cast(), len, name) }
}
