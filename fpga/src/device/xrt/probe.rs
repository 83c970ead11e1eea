//! Whether XRT can be used, found out without risk to this process.
//!
//! XRT's library ends the process it is in (`std::terminate`) where its environment is not as it wants it, and hangs in
//! some modes. So files and variables are looked at first; where they are as they should be, a child process made by
//! `fork` loads the library and opens the device. What the child does beyond async-signal-safe calls is loading a library
//! and allocating, which glibc keeps usable in a child of a process with threads; should it not come back, it is ended
//! after [`PATIENCE`] and there is no device. A helper program would be cleaner, but a plugin of HDF5 is a single file
//! that may be anywhere.

use super::super::Fault;
use super::api::{CORE_LIBRARY, Handle};
use libc::{c_int, c_uint};
use std::ffi::CStr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// For the child.
const PATIENCE: Duration = Duration::from_secs(10);

/// The library that XRT itself loads, by `XCL_EMULATION_MODE`.
fn shim(mode: &str) -> Option<&'static str> {
    match mode {
        "" => Some("libxrt_core.so.2"),
        "noop" => Some("libxrt_noop.so.2"),
        "sw_emu" => Some("libxrt_swemu.so.2"),
        "hw_emu" => Some("libxrt_hwemu.so.2"),
        _ => None,
    }
}

/// The mode, if everything is there.
pub(super) fn environment() -> Result<String, Fault> {
    let root = std::env::var_os("XILINX_XRT")
        .filter(|root| !root.is_empty())
        .map(PathBuf::from)
        .ok_or_else(|| Fault::absent("XILINX_XRT is not set: install XRT and source its setup.sh"))?;
    let mode = std::env::var("XCL_EMULATION_MODE").unwrap_or_default();
    let shim = shim(&mode).ok_or_else(|| {
        Fault::absent(format!("XCL_EMULATION_MODE={mode}: expected noop, sw_emu, hw_emu, or nothing for a card"))
    })?;
    let file = root.join("lib").join(shim);
    if !file.is_file() {
        return Err(Fault::absent(format!("XILINX_XRT={}: {} is not there", root.display(), file.display())));
    }
    Ok(mode)
}

/// Has a child open unit `index`.
pub(super) fn try_in_child(index: u32) -> Result<(), Fault> {
    // SAFETY: the child does only what `child` says, and ends there.
    let pid = unsafe { libc::fork() };
    match pid {
        -1 => Err(Fault::absent("the device could not be tried: no child process")),
        // SAFETY: this is the child.
        0 => unsafe { child(index, CORE_LIBRARY) },
        pid => wait(pid),
    }
}

/// # Safety
/// To be called in a child process only: it does not return.
unsafe fn child(index: c_uint, library: &CStr) -> ! {
    // SAFETY: plain system calls on this child process; the library is XRT's, whose functions have these types.
    unsafe {
        let none = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
        for stream in 0..3 {
            libc::dup2(none, stream);
        }
        let no_core = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::setrlimit(libc::RLIMIT_CORE, &raw const no_core);
        for signal in [libc::SIGABRT, libc::SIGSEGV, libc::SIGBUS] {
            libc::signal(signal, libc::SIG_DFL);
        }
        let handle = libc::dlopen(library.as_ptr(), libc::RTLD_NOW);
        if handle.is_null() {
            libc::_exit(2);
        }
        let open = libc::dlsym(handle, c"xrtDeviceOpen".as_ptr());
        if open.is_null() {
            libc::_exit(3);
        }
        let open: unsafe extern "C" fn(c_uint) -> Handle = std::mem::transmute(open);
        libc::_exit(if open(index).is_null() { 4 } else { 0 })
    }
}

fn wait(pid: libc::pid_t) -> Result<(), Fault> {
    let began = Instant::now();
    loop {
        let mut status: c_int = 0;
        // SAFETY: the child just made.
        match unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) } {
            0 if began.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(5)),
            0 => {
                // SAFETY: the child is ours and has not been waited for; it ends and is collected.
                unsafe {
                    libc::kill(pid, libc::SIGKILL);
                    libc::waitpid(pid, &raw mut status, 0);
                }
                return Err(Fault::absent(format!("XRT did not open the device within {PATIENCE:?}")));
            }
            -1 if std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted => {}
            -1 => {
                return Err(Fault::absent(
                    "the device could not be tried: another part of the program waited for the child",
                ));
            }
            _ if libc::WIFSIGNALED(status) => {
                let signal = libc::WTERMSIG(status);
                return Err(Fault::absent(format!("XRT ended the process that tried it (signal {signal})")));
            }
            _ => {
                return match libc::WEXITSTATUS(status) {
                    0 => Ok(()),
                    2 => Err(Fault::absent(format!("{} cannot be loaded", CORE_LIBRARY.to_string_lossy()))),
                    4 => Err(Fault::absent("XRT finds no such card")),
                    code => Err(Fault::absent(format!("XRT cannot be used (the process that tried it gave {code})"))),
                };
            }
        }
    }
}
