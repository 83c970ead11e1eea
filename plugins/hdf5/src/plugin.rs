//! The two functions by which HDF5 knows a plugin, and the filter's class.

use crate::h5::{self, Herr, Hid};
use crate::trampoline;
use libc::{c_char, c_int, c_uint, c_void, size_t};
use std::ffi::CStr;

/// `H5Z_class2_t`, unchanged since HDF5 1.8.3.
#[repr(C)]
pub struct FilterClass {
    /// `H5Z_CLASS_T_VERS`: 1.
    pub version: c_int,
    /// The filter's number.
    pub id: c_int,
    /// It can write.
    pub encoder_present: c_uint,
    /// It can read.
    pub decoder_present: c_uint,
    /// What `h5dump -p` and `h5ls -v` show.
    pub name: *const c_char,
    /// Whether the filter can be used for a dataset.
    pub can_apply: Option<unsafe extern "C" fn(Hid, Hid, Hid) -> Herr>,
    /// Completes the filter's parameters for a dataset.
    pub set_local: Option<unsafe extern "C" fn(Hid, Hid, Hid) -> Herr>,
    /// One chunk, either way.
    pub filter:
        Option<unsafe extern "C" fn(c_uint, size_t, *const c_uint, size_t, *mut size_t, *mut *mut c_void) -> size_t>,
}

// SAFETY: the class is constant, and its name points to a constant.
unsafe impl Sync for FilterClass {}

/// The name stored in files beside the number.
const NAME: &CStr = c"baler: error-bounded compression with pretrained models";

/// The one class. HDF5 keeps a copy.
static CLASS: FilterClass = FilterClass {
    version: 1,
    id: crate::FILTER_ID,
    encoder_present: 1,
    decoder_present: 1,
    name: NAME.as_ptr(),
    can_apply: Some(trampoline::can_apply),
    set_local: Some(trampoline::set_local),
    filter: Some(trampoline::filter),
};

/// The class to pass to `H5Zregister`.
pub fn class() -> &'static FilterClass {
    &CLASS
}

/// Registers the filter with an HDF5 library that the program is linked to, so that it needs no plugin.
///
/// `resolve` hands out the library's functions and variables by name, null for those it does not know. With a shared
/// libhdf5 that is `dlsym`; a program with HDF5 linked into it lists them. An error names the first that is missing.
///
/// # Safety
/// `resolve` must return null or the address of the symbol asked for, all in one and the same HDF5 library, which
/// must stay loaded.
pub unsafe fn register(resolve: &dyn Fn(&CStr) -> *const c_void) -> Result<(), String> {
    // SAFETY: passed on.
    unsafe { h5::provide(resolve) }?;
    let register = resolve(c"H5Zregister");
    if register.is_null() {
        return Err("the program does not provide H5Zregister".into());
    }
    // SAFETY: the symbol is HDF5's H5Zregister, as the caller vouches.
    let register: unsafe extern "C" fn(*const c_void) -> Herr = unsafe { std::mem::transmute(register) };
    // SAFETY: the class has the layout of H5Z_class2_t.
    match unsafe { register((&raw const CLASS).cast()) } {
        0.. => Ok(()),
        status => Err(format!("H5Zregister returned {status}")),
    }
}

/// `H5PL_TYPE_FILTER`.
#[unsafe(no_mangle)]
pub extern "C" fn H5PLget_plugin_type() -> c_int {
    0
}

/// The class of the filter in this plugin.
#[unsafe(no_mangle)]
pub extern "C" fn H5PLget_plugin_info() -> *const c_void {
    (&raw const CLASS).cast()
}
