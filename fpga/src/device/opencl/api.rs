//! The few functions of OpenCL 1.2 that are needed, from the system's `libOpenCL.so.1`.

use super::super::Fault;
use std::ffi::{CStr, c_char, c_void};
use std::ptr;
use std::sync::OnceLock;

pub(super) type Handle = *mut c_void;
type Status = i32;

pub(super) const SUCCESS: Status = 0;
pub(super) const OUT_OF_MEMORY: [Status; 3] = [-4, -5, -6]; // memory object, resources, host memory
pub(super) const DEVICE_NOT_FOUND: Status = -1;
pub(super) const PLATFORM_NOT_FOUND: Status = -1001;
const TYPE_ALL: u64 = 0xffff_ffff;
const DEVICE_NAME: u32 = 0x102b;
const DEVICE_MAX_CONSTANT_BUFFER_SIZE: u32 = 0x1020;
const DEVICE_AVAILABLE: u32 = 0x1027;
const PLATFORM_NAME: u32 = 0x0902;
const BUILD_LOG: u32 = 0x1183;
pub(super) const READ_ONLY: u64 = 1 << 2;
pub(super) const WRITE_ONLY: u64 = 1 << 1;

macro_rules! functions {
    ($($name:ident: ($($argument:ty),*) -> $result:ty;)*) => {
        /// The library's functions by their names.
        #[allow(non_snake_case)]
        pub(super) struct Api {
            $(pub $name: unsafe extern "C" fn($($argument),*) -> $result,)*
        }

        impl Api {
            /// # Safety
            /// `library` must be an OpenCL library; the functions are used while it is loaded.
            unsafe fn resolve(library: &libloading::Library) -> Result<Self, libloading::Error> {
                // SAFETY: the types are those of the OpenCL 1.2 headers.
                unsafe { Ok(Self { $($name: *library.get(stringify!($name).as_bytes())?,)* }) }
            }
        }
    };
}

functions! {
    clGetPlatformIDs: (u32, *mut Handle, *mut u32) -> Status;
    clGetPlatformInfo: (Handle, u32, usize, *mut c_void, *mut usize) -> Status;
    clGetDeviceIDs: (Handle, u64, u32, *mut Handle, *mut u32) -> Status;
    clGetDeviceInfo: (Handle, u32, usize, *mut c_void, *mut usize) -> Status;
    clCreateContext: (*const isize, u32, *const Handle, *const c_void, *mut c_void, *mut Status) -> Handle;
    clCreateCommandQueue: (Handle, Handle, u64, *mut Status) -> Handle;
    clCreateProgramWithSource: (Handle, u32, *const *const c_char, *const usize, *mut Status) -> Handle;
    clBuildProgram: (Handle, u32, *const Handle, *const c_char, *const c_void, *mut c_void) -> Status;
    clGetProgramBuildInfo: (Handle, Handle, u32, usize, *mut c_void, *mut usize) -> Status;
    clCreateKernel: (Handle, *const c_char, *mut Status) -> Handle;
    clCreateBuffer: (Handle, u64, usize, *mut c_void, *mut Status) -> Handle;
    clSetKernelArg: (Handle, u32, usize, *const c_void) -> Status;
    clEnqueueWriteBuffer: (Handle, Handle, u32, usize, usize, *const c_void, u32, *const Handle, *mut Handle) -> Status;
    clEnqueueReadBuffer: (Handle, Handle, u32, usize, usize, *mut c_void, u32, *const Handle, *mut Handle) -> Status;
    clEnqueueNDRangeKernel: (Handle, Handle, u32, *const usize, *const usize, *const usize, u32, *const Handle, *mut Handle) -> Status;
    clFlush: (Handle) -> Status;
    clFinish: (Handle) -> Status;
    clWaitForEvents: (u32, *const Handle) -> Status;
    clReleaseEvent: (Handle) -> Status;
    clReleaseMemObject: (Handle) -> Status;
    clReleaseKernel: (Handle) -> Status;
    clReleaseProgram: (Handle) -> Status;
    clReleaseCommandQueue: (Handle) -> Status;
    clReleaseContext: (Handle) -> Status;
}

impl Api {
    /// The library, loaded once and never unloaded: its implementations have threads.
    pub fn get() -> Result<&'static Api, Fault> {
        static API: OnceLock<Result<Api, String>> = OnceLock::new();
        let api = API.get_or_init(|| {
            // SAFETY: loading runs the library's constructors, as for any program that uses OpenCL.
            let library = unsafe { libloading::Library::new("libOpenCL.so.1") }.map_err(|e| e.to_string())?;
            // SAFETY: the name is that of the OpenCL loader, which stays loaded below.
            let api = unsafe { Api::resolve(&library) }.map_err(|e| e.to_string())?;
            std::mem::forget(library);
            Ok(api)
        });
        api.as_ref().map_err(|e| {
            Fault::absent(format!(
                "OpenCL's loader cannot be used: {e}. On Debian: apt-get install ocl-icd-libopencl1 pocl-opencl-icd"
            ))
        })
    }

    /// Every unit of every platform that says it is available.
    pub fn units(&self) -> Result<Vec<Unit>, Fault> {
        let mut n = 0;
        // SAFETY: a count is asked for.
        let status = unsafe { (self.clGetPlatformIDs)(0, ptr::null_mut(), &raw mut n) };
        if status == PLATFORM_NOT_FOUND || n == 0 {
            return Err(Fault::absent("OpenCL has no platform: install one, such as pocl-opencl-icd"));
        }
        check(status, "clGetPlatformIDs")?;
        let mut platforms = vec![ptr::null_mut(); n as usize];
        // SAFETY: room for n handles.
        check(unsafe { (self.clGetPlatformIDs)(n, platforms.as_mut_ptr(), ptr::null_mut()) }, "clGetPlatformIDs")?;
        let mut units = Vec::new();
        for platform in platforms {
            let mut n = 0;
            // SAFETY: a count is asked for.
            let status = unsafe { (self.clGetDeviceIDs)(platform, TYPE_ALL, 0, ptr::null_mut(), &raw mut n) };
            if status == DEVICE_NOT_FOUND || n == 0 {
                continue;
            }
            check(status, "clGetDeviceIDs")?;
            let mut devices = vec![ptr::null_mut(); n as usize];
            let get = self.clGetDeviceIDs;
            // SAFETY: room for n handles.
            check(unsafe { get(platform, TYPE_ALL, n, devices.as_mut_ptr(), ptr::null_mut()) }, "clGetDeviceIDs")?;
            let platform_name = self.text(|size, to, len| {
                // SAFETY: `text` passes room for `size` bytes.
                unsafe { (self.clGetPlatformInfo)(platform, PLATFORM_NAME, size, to, len) }
            });
            for device in devices {
                let name = self.text(|size, to, len| {
                    // SAFETY: `text` passes room for `size` bytes.
                    unsafe { (self.clGetDeviceInfo)(device, DEVICE_NAME, size, to, len) }
                });
                if self.number(device, DEVICE_AVAILABLE, 4) & 0xffff_ffff != 0 {
                    let constant_bytes = self.number(device, DEVICE_MAX_CONSTANT_BUFFER_SIZE, 8) as usize;
                    units.push(Unit { device, name: format!("{name} ({platform_name})"), constant_bytes });
                }
            }
        }
        if units.is_empty() { Err(Fault::absent("OpenCL has no device that is available")) } else { Ok(units) }
    }

    fn number(&self, device: Handle, what: u32, size: usize) -> u64 {
        let mut value = 0u64;
        // SAFETY: room for up to 8 bytes.
        unsafe { (self.clGetDeviceInfo)(device, what, size, (&raw mut value).cast(), ptr::null_mut()) };
        value
    }

    /// Text of a query that is asked for its length first.
    fn text(&self, ask: impl Fn(usize, *mut c_void, *mut usize) -> Status) -> String {
        let mut len = 0;
        if ask(0, ptr::null_mut(), &raw mut len) != SUCCESS || len > 1 << 20 {
            return String::new();
        }
        let mut bytes = vec![0u8; len + 1];
        ask(len, bytes.as_mut_ptr().cast(), ptr::null_mut());
        CStr::from_bytes_until_nul(&bytes).map(|text| text.to_string_lossy().trim().to_owned()).unwrap_or_default()
    }

    /// What the compiler said.
    pub fn build_log(&self, program: Handle, device: Handle) -> String {
        self.text(|size, to, len| {
            // SAFETY: `text` passes room for `size` bytes.
            unsafe { (self.clGetProgramBuildInfo)(program, device, BUILD_LOG, size, to, len) }
        })
    }
}

/// One device of OpenCL.
#[derive(Clone)]
pub(super) struct Unit {
    pub device: Handle,
    pub name: String,
    pub constant_bytes: usize,
}

/// An error of OpenCL as a fault.
pub(super) fn check(status: Status, call: &str) -> Result<(), Fault> {
    use super::super::FaultKind;
    match status {
        SUCCESS => Ok(()),
        s if OUT_OF_MEMORY.contains(&s) => Err(Fault::new(FaultKind::OutOfMemory, format!("{call} gave {s}"))),
        s => Err(Fault::dead(format!("{call} gave {s}"))),
    }
}
