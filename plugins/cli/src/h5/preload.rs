//! `libbaler_h5repack.so`, which `baler h5` puts into the h5repack that it runs (`LD_PRELOAD`).
//!
//! h5repack copies what is stored of each dataset through the filters, also where another program is to put the values there
//! afterwards, and of datasets of 256 MB or more it does so element by element: some 40 MB/s with HDF5 1.10. It leaves alone
//! what nothing was stored of; this library has it believe that of the datasets that follow. Without it all is the same, but
//! slower.

mod left_out;

use std::ffi::{CStr, c_char, c_int, c_void};

/// `H5D_SPACE_STATUS_NOT_ALLOCATED`.
const NOT_ALLOCATED: c_int = 0;
/// Paths longer than this are not those of datasets to be left out.
const MOST_PATH_BYTES: usize = 4096;

/// In place of HDF5's function of this name: whether anything is stored of a dataset.
///
/// # Safety
/// As HDF5 documents: `allocation` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn H5Dget_space_status(dataset: i64, allocation: *mut c_int) -> c_int {
    // SAFETY: dlsym with a C string; what follows this library in the order of search is HDF5.
    let real = unsafe { libc::dlsym(libc::RTLD_NEXT, c"H5Dget_space_status".as_ptr()) };
    if real.is_null() {
        return -1;
    }
    // SAFETY: HDF5 has had this function with this signature since 1.6.
    let real = unsafe { std::mem::transmute::<*mut c_void, unsafe extern "C" fn(i64, *mut c_int) -> c_int>(real) };
    // SAFETY: as our caller promised.
    let status = unsafe { real(dataset, allocation) };
    if status >= 0 && !allocation.is_null() && follows(dataset) {
        // SAFETY: as our caller promised.
        unsafe { *allocation = NOT_ALLOCATED };
    }
    status
}

/// Whether the process that started this one fills the dataset afterwards.
fn follows(dataset: i64) -> bool {
    let Ok(list) = std::env::var(left_out::VARIABLE) else { return false };
    let mut lines = list.split('\n');
    let parent = lines.next().and_then(|id| id.parse().ok());
    // The number makes sure that the list means nothing to anyone else who comes across it.
    if parent != Some(std::os::unix::process::parent_id()) {
        return false;
    }
    path_of(dataset).is_some_and(|path| lines.any(|line| line.as_bytes() == path))
}

/// The path by which a dataset was opened.
fn path_of(dataset: i64) -> Option<Vec<u8>> {
    // SAFETY: dlsym with a C string.
    let name_of = unsafe { libc::dlsym(libc::RTLD_NEXT, c"H5Iget_name".as_ptr()) };
    if name_of.is_null() {
        return None;
    }
    type NameOf = unsafe extern "C" fn(i64, *mut c_char, usize) -> isize;
    // SAFETY: HDF5 has had this function with this signature since 1.6.
    let name_of = unsafe { std::mem::transmute::<*mut c_void, NameOf>(name_of) };
    let mut path = vec![0u8; MOST_PATH_BYTES];
    // SAFETY: the buffer has the length that is said; HDF5 ends what it writes with a zero byte.
    let len = unsafe { name_of(dataset, path.as_mut_ptr().cast(), path.len()) };
    let is_whole = usize::try_from(len).is_ok_and(|len| (1..path.len()).contains(&len));
    is_whole.then(|| CStr::from_bytes_until_nul(&path).map(|path| path.to_bytes().to_vec()).ok()).flatten()
}
