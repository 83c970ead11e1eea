//! `xrt`: a card of AMD/Xilinx, by XRT's C interface.
//!
//! Settings: `xclbin=PATH`, the container with the kernel, made by the vendor's linker from what `baler fpga rtl --xrt` writes;
//! `kernel=NAME`, by itself [`kernel_name`]; `unit=N`, the card.
//!
//! The kernel takes `(int *in, int *out, uint rows)`: rows of 32-bit integers. The output buffer is filled with a pattern
//! before each run, so that a kernel that writes nothing (XRT's noop mode computes nothing) leaves something that cannot
//! be taken for the last run's results.

#![allow(unsafe_code)]

mod api;
mod probe;
pub mod xclbin;

use super::{Capabilities, Driver, Engine, Fault, FaultKind, Settings, fits_words, queue};
use crate::ir::Program;
use crate::rtl::shell::kernel_name;
use api::{Api, COMPLETED, FROM_DEVICE, Handle, TIMEOUT, TO_DEVICE, Uuid};
use std::ffi::CString;
use std::path::PathBuf;
use std::ptr;
use std::sync::Arc;

pub(super) struct Xrt;

impl Driver for Xrt {
    fn name(&self) -> &'static str {
        "xrt"
    }

    fn about(&self) -> &'static str {
        "a card of AMD/Xilinx, by libxrt_coreutil.so.2: xrt:xclbin=encoder.xclbin,unit=0"
    }

    fn probe(&self) -> Result<String, Fault> {
        let mode = probe::environment()?;
        probe::try_in_child(0)?;
        Ok(if mode.is_empty() { "XRT, unit 0".into() } else { format!("XRT in {mode} mode, unit 0") })
    }

    fn open(&self, settings: &mut Settings) -> Result<Box<dyn Engine>, Fault> {
        let xclbin: Option<PathBuf> = settings.take("xclbin", "a path")?;
        let kernel: Option<String> = settings.take("kernel", "the name of a kernel")?;
        let index = settings.take::<u32>("unit", "the number of a card")?.unwrap_or(0);
        settings.finish("xclbin, kernel, unit")?;
        let mode = probe::environment()?;
        probe::try_in_child(index)?;
        let api = Api::get()?;
        // SAFETY: an index; null if there is no such card.
        let device = unsafe { (api.xrtDeviceOpen)(index) };
        if device.is_null() {
            return Err(Fault::absent(format!("XRT finds no card {index}")));
        }
        Ok(Box::new(Opened { api, device, index, mode, xclbin, kernel, loaded: None }))
    }
}

/// Of a run. The queue in front gives up earlier; this ends the run on the card's side.
const PATIENCE_MS: u32 = 10_000;
const MAX_ROWS: usize = 1 << 20;
const PATTERN: i32 = 0x5a5a_5a5a;

struct Opened {
    api: &'static Api,
    device: Handle,
    index: u32,
    mode: String,
    xclbin: Option<PathBuf>,
    kernel: Option<String>,
    loaded: Option<Loaded>,
}

struct Loaded {
    api: &'static Api,
    digest: [u8; 32],
    row_lens: [usize; 2],
    kernel: Handle,
    /// Memory banks of the kernel's buffers.
    groups: [u32; 2],
    /// Input and output: buffer, and where it is mapped.
    buffers: [(Handle, *mut i32); 2],
    /// Rows the buffers hold.
    rows: usize,
}

impl Engine for Opened {
    fn capabilities(&self) -> Capabilities {
        let mode = if self.mode.is_empty() { String::new() } else { format!(" in {} mode", self.mode) };
        Capabilities {
            unit: format!("XRT{mode}, unit {}", self.index),
            program: self.loaded.as_ref().map(|loaded| loaded.digest),
            max_rows: MAX_ROWS,
            queue: queue::QUEUE,
            alignment: 4096,
            zero_copy: false,
            latency: None,
        }
    }

    fn check(&self, program: &Program) -> Result<(), Fault> {
        fits_words(program)?;
        if self.xclbin.is_none() {
            return Err(Fault::unsupported("no kernel: name its container, as in xrt:xclbin=encoder.xclbin"));
        }
        Ok(())
    }

    fn load(&mut self, program: &Arc<Program>) -> Result<(), Fault> {
        self.loaded = None;
        let path = self.xclbin.as_ref().ok_or_else(|| Fault::unsupported("no xclbin"))?;
        let bytes = std::fs::read(path).map_err(|e| Fault::unsupported(format!("{}: {e}", path.display())))?;
        check_container(&bytes).map_err(|why| Fault::unsupported(format!("{}: {why}", path.display())))?;
        let api = self.api;
        // XRT takes the length from the head, and wants the alignment of a u64.
        let mut aligned = vec![0u64; bytes.len().div_ceil(8)];
        for (word, bytes) in aligned.iter_mut().zip(bytes.chunks(8)) {
            let mut eight = [0; 8];
            eight[..bytes.len()].copy_from_slice(bytes);
            *word = u64::from_ne_bytes(eight);
        }
        // SAFETY: a container whose head and section table lie within it, as just checked; XRT copies it.
        done(unsafe { (api.xrtDeviceLoadXclbin)(self.device, aligned.as_ptr().cast()) }, "xrtDeviceLoadXclbin")?;
        let mut uuid: Uuid = [0; 16];
        // SAFETY: room for a uuid.
        done(unsafe { (api.xrtDeviceGetXclbinUUID)(self.device, uuid.as_mut_ptr()) }, "xrtDeviceGetXclbinUUID")?;
        let name = self.kernel.clone().unwrap_or_else(|| kernel_name(program));
        let c_name = CString::new(name.as_str()).map_err(|_| Fault::unsupported("a kernel's name with a zero byte"))?;
        // SAFETY: the container with this uuid is loaded; the name is a C string.
        let kernel = unsafe { (api.xrtPLKernelOpen)(self.device, uuid.as_ptr(), c_name.as_ptr()) };
        if kernel.is_null() {
            return Err(Fault::unsupported(format!("{}: has no kernel {name}", path.display())));
        }
        let mut loaded = Loaded {
            api,
            digest: program.digest(),
            row_lens: [program.input_len(), program.output_len()],
            kernel,
            groups: [0; 2],
            buffers: [(ptr::null_mut(), ptr::null_mut()); 2],
            rows: 0,
        };
        for (argument, group) in loaded.groups.iter_mut().enumerate() {
            // SAFETY: the kernel is open.
            let found = unsafe { (api.xrtKernelArgGroupId)(kernel, argument as i32) };
            *group = u32::try_from(found)
                .map_err(|_| Fault::unsupported(format!("argument {argument} of {name} is no buffer")))?;
        }
        self.loaded = Some(loaded);
        Ok(())
    }

    fn alloc(&mut self, rows: usize) -> Result<(), Fault> {
        let (api, device) = (self.api, self.device);
        let loaded = self.loaded.as_mut().ok_or_else(|| Fault::dead("no program is loaded"))?;
        if rows <= loaded.rows {
            return Ok(());
        }
        loaded.free();
        for side in 0..2 {
            let bytes = (rows * loaded.row_lens[side] * 4).next_multiple_of(4096);
            // SAFETY: a size and a bank of the kernel's.
            let buffer = unsafe { (api.xrtBOAlloc)(device, bytes, 0, loaded.groups[side]) };
            if buffer.is_null() {
                return Err(Fault::new(FaultKind::OutOfMemory, format!("xrtBOAlloc of {bytes} bytes")));
            }
            loaded.buffers[side].0 = buffer;
            // SAFETY: a buffer of ours.
            let mapped = unsafe { (api.xrtBOMap)(buffer) };
            if mapped.is_null() {
                return Err(Fault::new(FaultKind::OutOfMemory, "xrtBOMap"));
            }
            loaded.buffers[side].1 = mapped.cast();
        }
        loaded.rows = rows;
        Ok(())
    }

    fn run(&mut self, rows: usize, input: &[i32], output: &mut [i32]) -> Result<usize, Fault> {
        self.alloc(rows)?;
        let api = self.api;
        let loaded = self.loaded.as_ref().ok_or_else(|| Fault::dead("no program is loaded"))?;
        let [n_in, n_out] = loaded.row_lens;
        if input.len() != rows * n_in || output.len() != rows * n_out {
            return Err(Fault::dead("a batch of another length than its rows"));
        }
        let [(to_device, from_host), (from_device, to_host)] = loaded.buffers;
        // SAFETY: both are mapped with room for `rows` rows, and no run is under way.
        let mapped = unsafe {
            ptr::copy_nonoverlapping(input.as_ptr(), from_host, input.len());
            std::slice::from_raw_parts_mut(to_host, output.len())
        };
        mapped.fill(PATTERN);
        let (in_bytes, out_bytes) = (input.len() * 4, output.len() * 4);
        // SAFETY: buffers of ours, within their size.
        done(unsafe { (api.xrtBOSync)(to_device, TO_DEVICE, in_bytes, 0) }, "xrtBOSync")?;
        // SAFETY: as above.
        done(unsafe { (api.xrtBOSync)(from_device, TO_DEVICE, out_bytes, 0) }, "xrtBOSync")?;
        // SAFETY: the kernel is open.
        let run = unsafe { (api.xrtRunOpen)(loaded.kernel) };
        if run.is_null() {
            return Err(Fault::dead("xrtRunOpen gave nothing"));
        }
        let state = loaded.start(run, to_device, from_device, rows as u32);
        // SAFETY: opened above, closed once.
        unsafe { (api.xrtRunClose)(run) };
        match state? {
            COMPLETED => {}
            TIMEOUT => return Err(Fault::new(FaultKind::Late, format!("the kernel ran for {PATIENCE_MS} ms"))),
            state => return Err(Fault::dead(format!("the run ended in state {state}"))),
        }
        // SAFETY: a buffer of ours, within its size.
        done(unsafe { (api.xrtBOSync)(from_device, FROM_DEVICE, out_bytes, 0) }, "xrtBOSync")?;
        output.copy_from_slice(mapped);
        Ok(rows)
    }

    fn health(&mut self) -> Result<(), Fault> {
        let mut uuid: Uuid = [0; 16];
        // SAFETY: room for a uuid.
        done(unsafe { (self.api.xrtDeviceGetXclbinUUID)(self.device, uuid.as_mut_ptr()) }, "xrtDeviceGetXclbinUUID")
    }
}

impl Loaded {
    /// Sets the arguments, starts, waits; the state it ended in.
    fn start(&self, run: Handle, input: Handle, output: Handle, rows: u32) -> Result<i32, Fault> {
        let api = self.api;
        // SAFETY: the kernel's arguments are two buffers and an uint.
        done(unsafe { (api.xrtRunSetArg)(run, 0, input) }, "xrtRunSetArg")?;
        // SAFETY: as above.
        done(unsafe { (api.xrtRunSetArg)(run, 1, output) }, "xrtRunSetArg")?;
        // SAFETY: as above.
        done(unsafe { (api.xrtRunSetArg)(run, 2, rows) }, "xrtRunSetArg")?;
        // SAFETY: a run with all its arguments.
        done(unsafe { (api.xrtRunStart)(run) }, "xrtRunStart")?;
        // SAFETY: a run that was started.
        Ok(unsafe { (api.xrtRunWaitFor)(run, PATIENCE_MS) })
    }

    fn free(&mut self) {
        self.rows = 0;
        for (buffer, mapped) in &mut self.buffers {
            if !buffer.is_null() {
                // SAFETY: ours, freed once; nothing refers to where it was mapped any more.
                unsafe { (self.api.xrtBOFree)(*buffer) };
            }
            (*buffer, *mapped) = (ptr::null_mut(), ptr::null_mut());
        }
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        self.free();
        // SAFETY: ours, closed once.
        unsafe { (self.api.xrtKernelClose)(self.kernel) };
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.loaded = None;
        // SAFETY: ours, closed once.
        unsafe { (self.api.xrtDeviceClose)(self.device) };
    }
}

fn done(status: i32, call: &str) -> Result<(), Fault> {
    if status == 0 { Ok(()) } else { Err(Fault::dead(format!("{call} gave {status}"))) }
}

/// Whether head, section table and sections lie within the file: XRT takes their word for it.
fn check_container(bytes: &[u8]) -> Result<(), String> {
    let number = |at: usize| bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes);
    if !bytes.starts_with(b"xclbin2\0") {
        return Err("not an xclbin2 container".into());
    }
    let cut = || "the container is cut".to_owned();
    if number(304).ok_or_else(cut)? != bytes.len() as u64 {
        return Err(cut());
    }
    let n = number(448).ok_or_else(cut)? & 0xffff_ffff;
    for i in 0..n {
        let header = usize::try_from(456 + 40 * i).map_err(|_| cut())?;
        let (offset, len) = (number(header + 24).ok_or_else(cut)?, number(header + 32).ok_or_else(cut)?);
        if offset.checked_add(len).is_none_or(|end| end > bytes.len() as u64) {
            return Err(cut());
        }
    }
    Ok(())
}
