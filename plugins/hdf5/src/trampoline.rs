//! The three callbacks HDF5 is given: each hands its own return address on to the function that does the work.
//!
//! The return address lies in the HDF5 library that called, which is how that library is found ([`crate::h5`]). Rust
//! cannot ask for it, so these are written in assembly, as naked functions: nothing has touched the stack yet.
//! On other processors the address passed on is 0, and HDF5 is looked for in the whole program.

use crate::filter::filter_from;
use crate::h5::{Herr, Hid};
use crate::set_local::{can_apply_from, set_local_from};
use libc::{c_uint, c_void, size_t};

/// `H5Z_can_apply_func_t`.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn can_apply(dcpl: Hid, type_id: Hid, space: Hid) -> Herr {
    // Three arguments are in rdi, rsi, rdx; the return address becomes the fourth, and a jump leaves it in place.
    std::arch::naked_asm!("mov rcx, [rsp]", "jmp {inner}", inner = sym can_apply_from)
}

/// `H5Z_set_local_func_t`.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn set_local(dcpl: Hid, type_id: Hid, space: Hid) -> Herr {
    std::arch::naked_asm!("mov rcx, [rsp]", "jmp {inner}", inner = sym set_local_from)
}

/// `H5Z_func_t`.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn filter(
    flags: c_uint,
    cd_nelmts: size_t,
    cd_values: *const c_uint,
    nbytes: size_t,
    buf_size: *mut size_t,
    buf: *mut *mut c_void,
) -> size_t {
    // Six arguments fill the registers, a seventh travels on the stack, where the callee looks just above its own
    // return address. On entry rsp is 8 below a multiple of 16; the push makes it one, as a call requires.
    std::arch::naked_asm!(
        "push qword ptr [rsp]",
        "call {inner}",
        "add rsp, 8",
        "ret",
        inner = sym filter_from,
    )
}

/// `H5Z_can_apply_func_t`.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn can_apply(dcpl: Hid, type_id: Hid, space: Hid) -> Herr {
    // The return address is in x30, arguments are in x0 and up.
    std::arch::naked_asm!("mov x3, x30", "b {inner}", inner = sym can_apply_from)
}

/// `H5Z_set_local_func_t`.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn set_local(dcpl: Hid, type_id: Hid, space: Hid) -> Herr {
    std::arch::naked_asm!("mov x3, x30", "b {inner}", inner = sym set_local_from)
}

/// `H5Z_func_t`.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn filter(
    flags: c_uint,
    cd_nelmts: size_t,
    cd_values: *const c_uint,
    nbytes: size_t,
    buf_size: *mut size_t,
    buf: *mut *mut c_void,
) -> size_t {
    std::arch::naked_asm!("mov x6, x30", "b {inner}", inner = sym filter_from)
}

/// `H5Z_can_apply_func_t`.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(crate) unsafe extern "C" fn can_apply(dcpl: Hid, type_id: Hid, space: Hid) -> Herr {
    // SAFETY: HDF5's own arguments, handed on.
    unsafe { can_apply_from(dcpl, type_id, space, 0) }
}

/// `H5Z_set_local_func_t`.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(crate) unsafe extern "C" fn set_local(dcpl: Hid, type_id: Hid, space: Hid) -> Herr {
    // SAFETY: HDF5's own arguments, handed on.
    unsafe { set_local_from(dcpl, type_id, space, 0) }
}

/// `H5Z_func_t`.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(crate) unsafe extern "C" fn filter(
    flags: c_uint,
    cd_nelmts: size_t,
    cd_values: *const c_uint,
    nbytes: size_t,
    buf_size: *mut size_t,
    buf: *mut *mut c_void,
) -> size_t {
    // SAFETY: HDF5's own arguments, handed on.
    unsafe { filter_from(flags, cd_nelmts, cd_values, nbytes, buf_size, buf, 0) }
}
