//! The functions of XRT's C interface (`xrt.h`, `xrt_bo.h`, `xrt_kernel.h`), from `libxrt_coreutil.so.2`.

use super::super::Fault;
use libc::{c_char, c_int, c_uint, c_void, size_t};
use std::ffi::CStr;
use std::sync::OnceLock;

pub(super) const CORE_LIBRARY: &CStr = c"libxrt_coreutil.so.2";

pub(super) type Handle = *mut c_void;
pub(super) type Uuid = [u8; 16];

/// `enum xclBOSyncDirection`.
pub(super) const TO_DEVICE: c_int = 0;
pub(super) const FROM_DEVICE: c_int = 1;
/// `enum ert_cmd_state`.
pub(super) const COMPLETED: c_int = 4;
pub(super) const TIMEOUT: c_int = 8;

macro_rules! functions {
    ($($name:ident: unsafe extern "C" fn($($argument:ty),* $(; $dots:tt)?) -> $result:ty;)*) => {
        /// The library's functions by their names.
        #[allow(non_snake_case)]
        pub(super) struct Api {
            $(pub $name: unsafe extern "C" fn($($argument),* $(, $dots)?) -> $result,)*
        }

        impl Api {
            /// # Safety
            /// `library` must be XRT's; the functions are used while it is loaded.
            unsafe fn resolve(library: &libloading::Library) -> Result<Self, libloading::Error> {
                // SAFETY: the types are those of XRT's headers.
                unsafe { Ok(Self { $($name: *library.get(stringify!($name).as_bytes())?,)* }) }
            }
        }
    };
}

functions! {
    xrtDeviceOpen: unsafe extern "C" fn(c_uint) -> Handle;
    xrtDeviceClose: unsafe extern "C" fn(Handle) -> c_int;
    xrtDeviceLoadXclbin: unsafe extern "C" fn(Handle, *const c_void) -> c_int;
    xrtDeviceGetXclbinUUID: unsafe extern "C" fn(Handle, *mut u8) -> c_int;
    xrtBOAlloc: unsafe extern "C" fn(Handle, size_t, u64, u32) -> Handle;
    xrtBOFree: unsafe extern "C" fn(Handle) -> c_int;
    xrtBOMap: unsafe extern "C" fn(Handle) -> *mut c_void;
    xrtBOSync: unsafe extern "C" fn(Handle, c_int, size_t, size_t) -> c_int;
    xrtPLKernelOpen: unsafe extern "C" fn(Handle, *const u8, *const c_char) -> Handle;
    xrtKernelClose: unsafe extern "C" fn(Handle) -> c_int;
    xrtKernelArgGroupId: unsafe extern "C" fn(Handle, c_int) -> c_int;
    xrtRunOpen: unsafe extern "C" fn(Handle) -> Handle;
    xrtRunSetArg: unsafe extern "C" fn(Handle, c_int; ...) -> c_int;
    xrtRunStart: unsafe extern "C" fn(Handle) -> c_int;
    xrtRunWaitFor: unsafe extern "C" fn(Handle, c_uint) -> c_int;
    xrtRunClose: unsafe extern "C" fn(Handle) -> c_int;
}

impl Api {
    /// The library, loaded once and never unloaded. Only after [`super::probe`] has found that it can be.
    pub fn get() -> Result<&'static Api, Fault> {
        static API: OnceLock<Result<Api, String>> = OnceLock::new();
        let api = API.get_or_init(|| {
            // SAFETY: loading runs the library's constructors; a child process has survived them.
            let library =
                unsafe { libloading::Library::new(&*CORE_LIBRARY.to_string_lossy()) }.map_err(|e| e.to_string())?;
            // SAFETY: it is XRT's library, and stays loaded below.
            let api = unsafe { Api::resolve(&library) }.map_err(|e| e.to_string())?;
            std::mem::forget(library);
            Ok(api)
        });
        api.as_ref().map_err(|e| Fault::absent(format!("XRT's library cannot be used: {e}")))
    }
}
