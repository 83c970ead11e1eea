//! The codec handle, and every step from a raw pointer to something safe.

use crate::guard::guard;
use crate::status::{Failure, baler_status};
use ::baler_codec::Registry;
use std::ffi::{CStr, c_char, c_void};

type Result<T> = std::result::Result<T, Failure>;

/// What encodes and decodes: knows the models of the library, of the folders in `BALER_MODEL_PATH` and of the user's
/// folder. Never changed once made, so that many threads can use it at once.
pub struct baler_codec {
    pub(crate) registry: Registry,
}

const _: () = {
    const fn is_shared<T: Send + Sync>() {}
    is_shared::<baler_codec>();
};

/// Makes a codec. NULL if that fails; `baler_last_error` says why.
///
/// The environment is read here: `BALER_MODEL_PATH`, `XDG_DATA_HOME`, `HOME`.
#[unsafe(no_mangle)]
pub extern "C" fn baler_codec_new() -> *mut baler_codec {
    guard!(std::ptr::null_mut(), {
        let registry = Registry::with_sources(baler_models::standard_sources());
        Ok(Box::into_raw(Box::new(baler_codec { registry })))
    })
}

/// Gives a codec back. NULL is allowed and does nothing.
///
/// # Safety
/// `codec` comes from `baler_codec_new`, was not freed before, and no thread uses it any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baler_codec_free(codec: *mut baler_codec) {
    guard!((), {
        if !codec.is_null() {
            // SAFETY: `codec` is the pointer that `Box::into_raw` gave, and the caller gives it back once.
            drop(unsafe { Box::from_raw(codec) });
        }
        Ok(())
    });
}

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

/// Reads a structure that begins with its own size, `struct_size`, in the caller's version.
///
/// # Safety
/// `T` is `repr(C)`, plain numbers and pointers, and begins with a `usize`. Unless refused here, `pointer` points to
/// as many readable bytes as that first member says.
pub(crate) unsafe fn sized<T: Copy>(pointer: *const T, name: &str) -> Result<T> {
    check(pointer, name)?;
    // SAFETY: aligned for `T`, whose first member is this one.
    let struct_size = unsafe { pointer.cast::<usize>().read() };
    check_struct_size::<T>(struct_size, name)?;
    let extra = struct_size - size_of::<T>();
    // SAFETY: the caller's structure is `struct_size` bytes long, of which `extra` follow a `T`.
    let appended = unsafe { std::slice::from_raw_parts(pointer.add(1).cast::<u8>(), extra) };
    if appended.iter().any(|&byte| byte != 0) {
        return Err(Failure::new(
            baler_status::Unsupported,
            format!("{name} sets members of a later version: this library is {}", env!("CARGO_PKG_VERSION")),
        ));
    }
    // SAFETY: aligned and long enough, as just checked, and any bits are a valid `T`.
    Ok(unsafe { pointer.read() })
}

/// Checks the size that a structure gives of itself. No version will grow beyond a page: more is memory that was never
/// set, and must not be touched.
fn check_struct_size<T>(struct_size: usize, name: &str) -> Result<()> {
    const LARGEST: usize = 4096;
    if (size_of::<T>()..=LARGEST).contains(&struct_size) {
        return Ok(());
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

impl<T: Copy> Output<T> {
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

/// Writes to a structure of the caller that begins with its own size; members of later versions are set to zero.
///
/// # Safety
/// As [`sized`], and the bytes can be written.
pub(crate) unsafe fn write_sized<T: Copy>(pointer: *mut T, name: &str, value: impl FnOnce(usize) -> T) -> Result<()> {
    check(pointer, name)?;
    // SAFETY: aligned for `T`, whose first member is this one.
    let struct_size = unsafe { pointer.cast::<usize>().read() };
    check_struct_size::<T>(struct_size, name)?;
    // SAFETY: the caller's structure is `struct_size` bytes long, and that is no less than a `T`.
    unsafe {
        pointer.write(value(struct_size));
        pointer.add(1).cast::<u8>().write_bytes(0, struct_size - size_of::<T>());
    }
    Ok(())
}

/// The caller's bytes as a slice. As [`slice`], for `void` pointers.
///
/// # Safety
/// As [`slice`].
pub(crate) unsafe fn bytes<'a>(pointer: *const c_void, len: usize, name: &str) -> Result<&'a [u8]> {
    // SAFETY: the caller's promise is the same.
    unsafe { slice(pointer.cast(), len, name) }
}
