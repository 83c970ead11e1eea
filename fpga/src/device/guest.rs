//! What a library with threads owes the program it is loaded into.

#![allow(unsafe_code)]

use std::sync::Once;

/// Makes sure that the library this code is in stays loaded until the process ends. HDF5 unloads its plugins when it is
/// closed; a thread of ours may be inside a device's library by then.
pub(super) fn keep_loaded() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: Dl_info is a plain struct of pointers, for which zero is a value.
        let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
        let here = keep_loaded as *const () as *const libc::c_void;
        // SAFETY: `here` is an address, `info` memory for the answer.
        let found = unsafe { libc::dladdr(here, &raw mut info) };
        if found != 0 && !info.dli_fname.is_null() {
            // SAFETY: the name is a C string owned by the loader. With RTLD_NOLOAD nothing is loaded; the handle is kept
            // on purpose.
            unsafe { libc::dlopen(info.dli_fname, libc::RTLD_NOW | libc::RTLD_NOLOAD | libc::RTLD_NODELETE) };
        }
    });
}

/// Has `last` called when the process ends: before the libraries that were loaded until now are taken down. Once, whatever is
/// asked for later.
pub(super) fn at_exit(last: extern "C" fn()) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: a function of this library, which stays loaded ([`keep_loaded`]) and does not unwind.
        unsafe { libc::atexit(last) };
    });
}

/// Leaves signals to the host's own threads. That of writing to a process which has ended would end a host written in C.
pub(super) fn block_signals() {
    // SAFETY: a set of signals is a plain value, filled here; the mask is that of this thread.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        for fault in [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL] {
            libc::sigdelset(&raw mut all, fault);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, std::ptr::null_mut());
    }
}
