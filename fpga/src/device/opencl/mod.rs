//! `opencl`: any device of OpenCL 1.2, by the system's loader. The kernel is made from the program and computes in
//! integers.
//!
//! A batch is cut in blocks that alternate between two pairs of buffers, and three queues work at once: block k is copied
//! in while k-1 is computed and k-2 is copied out. Events order them.
//!
//! Settings: `unit=N`, the N-th device that `baler fpga devices` lists, from 0.

#![allow(unsafe_code)]

mod api;
mod source;

use super::{Capabilities, Driver, Engine, Fault, Settings, queue};
use crate::ir::Program;
use api::{Api, Handle, READ_ONLY, Unit, WRITE_ONLY, check};
use std::ffi::c_char;
use std::ptr;
use std::sync::Arc;

pub(super) struct OpenCl;

impl Driver for OpenCl {
    fn name(&self) -> &'static str {
        "opencl"
    }

    fn about(&self) -> &'static str {
        "a device of OpenCL, by libOpenCL.so.1: opencl:unit=0"
    }

    fn probe(&self) -> Result<String, Fault> {
        let names: Vec<String> = Api::get()?.units()?.into_iter().map(|unit| unit.name).collect();
        Ok(names.join(", "))
    }

    fn open(&self, settings: &mut Settings) -> Result<Box<dyn Engine>, Fault> {
        let wanted = settings.take::<usize>("unit", "the number of a device")?.unwrap_or(0);
        settings.finish("unit")?;
        let api = Api::get()?;
        let units = api.units()?;
        let unit = units.get(wanted).cloned().ok_or_else(|| {
            Fault::absent(format!("unit={wanted}: OpenCL has {} devices, counted from 0", units.len()))
        })?;
        Ok(Box::new(Opened::new(api, unit)?))
    }
}

/// Rows of one block.
const BLOCK_ROWS: usize = 1 << 12;
const MAX_ROWS: usize = 1 << 20;

/// Handles are released in the reverse order of their making.
struct Opened {
    api: &'static Api,
    unit: Unit,
    context: Handle,
    /// Copies in, kernels, copies out.
    queues: [Handle; 3],
    loaded: Option<Loaded>,
}

struct Loaded {
    api: &'static Api,
    digest: [u8; 32],
    row_lens: (usize, usize),
    program: Handle,
    kernel: Handle,
    /// Two pairs: input, output.
    buffers: [[Handle; 2]; 2],
    /// Rows the buffers hold.
    rows: usize,
}

impl Opened {
    fn new(api: &'static Api, unit: Unit) -> Result<Self, Fault> {
        let mut status = 0;
        // SAFETY: one device handle, no callback.
        let context = unsafe {
            (api.clCreateContext)(ptr::null(), 1, &raw const unit.device, ptr::null(), ptr::null_mut(), &raw mut status)
        };
        check(status, "clCreateContext")?;
        let mut opened = Self { api, unit, context, queues: [ptr::null_mut(); 3], loaded: None };
        for queue in &mut opened.queues {
            // SAFETY: the context is that of the device.
            *queue = unsafe { (api.clCreateCommandQueue)(context, opened.unit.device, 0, &raw mut status) };
            check(status, "clCreateCommandQueue")?;
        }
        Ok(opened)
    }

    /// Queues everything for one batch; the events made are appended.
    fn enqueue(&self, rows: usize, input: &[i32], output: &mut [i32], events: &mut Vec<Handle>) -> Result<(), Fault> {
        let api = self.api;
        let loaded = self.loaded.as_ref().ok_or_else(|| Fault::dead("no program is loaded"))?;
        let (n_in, n_out) = loaded.row_lens;
        let [upload, compute, download] = self.queues;
        // Of the last use of each pair of buffers: when it was read by the kernel, when it was copied out.
        let mut last: [Option<(Handle, Handle)>; 2] = [None, None];
        for (block, start) in (0..rows).step_by(loaded.rows.max(1)).enumerate() {
            let n = loaded.rows.min(rows - start);
            let [to_device, from_device] = loaded.buffers[block % 2];
            let mut written = ptr::null_mut();
            let (mut computed, mut copied) = (ptr::null_mut(), ptr::null_mut());
            let kernel_before = last[block % 2].map(|(kernel, _)| kernel);
            let (n_waits, list) =
                (u32::from(kernel_before.is_some()), kernel_before.as_ref().map_or(ptr::null(), ptr::from_ref));
            let from = input[start * n_in..(start + n) * n_in].as_ptr().cast();
            // SAFETY: `from` is n rows of input, which the caller keeps until `run` has waited for every queue; the buffer
            // holds at least as many rows. The list is one event, or none.
            let status = unsafe {
                (api.clEnqueueWriteBuffer)(upload, to_device, 0, 0, n * n_in * 4, from, n_waits, list, &raw mut written)
            };
            check(status, "clEnqueueWriteBuffer")?;
            events.push(written);
            let count = n as u32;
            for (index, size, value) in [
                (0, size_of::<Handle>(), (&raw const to_device).cast()),
                (1, size_of::<Handle>(), (&raw const from_device).cast()),
                (2, size_of::<u32>(), (&raw const count).cast()),
            ] {
                // SAFETY: the kernel's arguments are two buffers and an uint; the values are copied.
                check(unsafe { (api.clSetKernelArg)(loaded.kernel, index, size, value) }, "clSetKernelArg")?;
            }
            let before: Vec<Handle> =
                [Some(written), last[block % 2].map(|(_, copied)| copied)].into_iter().flatten().collect();
            // SAFETY: one dimension of n work-items; `before` are events of this context.
            let status = unsafe {
                (api.clEnqueueNDRangeKernel)(
                    compute,
                    loaded.kernel,
                    1,
                    ptr::null(),
                    &raw const n,
                    ptr::null(),
                    before.len() as u32,
                    before.as_ptr(),
                    &raw mut computed,
                )
            };
            check(status, "clEnqueueNDRangeKernel")?;
            events.push(computed);
            let to = output[start * n_out..(start + n) * n_out].as_mut_ptr().cast();
            // SAFETY: as for the input; nobody else touches these rows of the output.
            let status = unsafe {
                (api.clEnqueueReadBuffer)(
                    download,
                    from_device,
                    0,
                    0,
                    n * n_out * 4,
                    to,
                    1,
                    &raw const computed,
                    &raw mut copied,
                )
            };
            check(status, "clEnqueueReadBuffer")?;
            events.push(copied);
            last[block % 2] = Some((computed, copied));
            for queue in self.queues {
                // SAFETY: a queue of ours.
                check(unsafe { (api.clFlush)(queue) }, "clFlush")?;
            }
        }
        Ok(())
    }
}

impl Engine for Opened {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            unit: self.unit.name.clone(),
            program: self.loaded.as_ref().map(|loaded| loaded.digest),
            max_rows: MAX_ROWS,
            queue: queue::QUEUE,
            alignment: align_of::<i32>(),
            zero_copy: false,
            latency: None,
        }
    }

    fn check(&self, program: &Program) -> Result<(), Fault> {
        let source = source::write(program)?;
        if source.constant_bytes > self.unit.constant_bytes {
            return Err(Fault::unsupported(format!(
                "{} bytes of weights: {} has {} for constants",
                source.constant_bytes, self.unit.name, self.unit.constant_bytes
            )));
        }
        Ok(())
    }

    fn load(&mut self, program: &Arc<Program>) -> Result<(), Fault> {
        self.loaded = None;
        let source = source::write(program)?;
        let (text, len) = (source.text.as_ptr().cast::<c_char>(), source.text.len());
        let api = self.api;
        let mut status = 0;
        // SAFETY: one string with its length.
        let handle = unsafe {
            (api.clCreateProgramWithSource)(self.context, 1, &raw const text, &raw const len, &raw mut status)
        };
        check(status, "clCreateProgramWithSource")?;
        let mut loaded = Loaded {
            api,
            digest: program.digest(),
            row_lens: (program.input_len(), program.output_len()),
            program: handle,
            kernel: ptr::null_mut(),
            buffers: [[ptr::null_mut(); 2]; 2],
            rows: 0,
        };
        // SAFETY: one device of this context, no options, no callback: it returns when it is built.
        let status = unsafe {
            (api.clBuildProgram)(handle, 1, &raw const self.unit.device, c"".as_ptr(), ptr::null(), ptr::null_mut())
        };
        check(status, "clBuildProgram").map_err(|f| Fault {
            message: format!("{}: {}", f.message, api.build_log(handle, self.unit.device)),
            ..f
        })?;
        let mut status = 0;
        // SAFETY: the program is built, the name a C string.
        loaded.kernel = unsafe { (api.clCreateKernel)(handle, c"encode".as_ptr(), &raw mut status) };
        check(status, "clCreateKernel")?;
        self.loaded = Some(loaded);
        self.alloc(1)
    }

    fn alloc(&mut self, rows: usize) -> Result<(), Fault> {
        let (api, context) = (self.api, self.context);
        let loaded = self.loaded.as_mut().ok_or_else(|| Fault::dead("no program is loaded"))?;
        let rows = rows.clamp(1, BLOCK_ROWS);
        if rows <= loaded.rows {
            return Ok(());
        }
        loaded.release_buffers();
        for pair in 0..2 {
            for (side, (flags, len)) in
                [(READ_ONLY, loaded.row_lens.0), (WRITE_ONLY, loaded.row_lens.1)].into_iter().enumerate()
            {
                let mut status = 0;
                // SAFETY: memory of the device's own.
                loaded.buffers[pair][side] =
                    unsafe { (api.clCreateBuffer)(context, flags, rows * len * 4, ptr::null_mut(), &raw mut status) };
                check(status, "clCreateBuffer")?;
            }
        }
        loaded.rows = rows;
        Ok(())
    }

    fn run(&mut self, rows: usize, input: &[i32], output: &mut [i32]) -> Result<usize, Fault> {
        self.alloc(rows)?;
        let (n_in, n_out) = self.loaded.as_ref().map_or((0, 0), |loaded| loaded.row_lens);
        if input.len() != rows * n_in || output.len() != rows * n_out {
            return Err(Fault::dead("a batch of another length than its rows"));
        }
        let mut events = Vec::new();
        let enqueued = self.enqueue(rows, input, output, &mut events);
        // Even after an error: whatever was queued uses the caller's memory.
        let mut finished = Ok(());
        for queue in self.queues {
            // SAFETY: a queue of ours.
            finished = finished.and(check(unsafe { (self.api.clFinish)(queue) }, "clFinish"));
        }
        if enqueued.is_ok() && !events.is_empty() {
            // Tells errors of commands, which clFinish does not.
            // SAFETY: events of this context.
            let status = unsafe { (self.api.clWaitForEvents)(events.len() as u32, events.as_ptr()) };
            finished = finished.and(check(status, "clWaitForEvents"));
        }
        for event in events {
            // SAFETY: made by enqueue, released once.
            unsafe { (self.api.clReleaseEvent)(event) };
        }
        enqueued.and(finished).map(|()| rows)
    }

    fn health(&mut self) -> Result<(), Fault> {
        // SAFETY: a queue of ours.
        check(unsafe { (self.api.clFinish)(self.queues[1]) }, "clFinish")
    }
}

impl Loaded {
    fn release_buffers(&mut self) {
        self.rows = 0;
        for buffer in self.buffers.as_flattened_mut() {
            if !buffer.is_null() {
                // SAFETY: ours, released once.
                unsafe { (self.api.clReleaseMemObject)(*buffer) };
                *buffer = ptr::null_mut();
            }
        }
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        self.release_buffers();
        // SAFETY: ours, released once.
        unsafe {
            if !self.kernel.is_null() {
                (self.api.clReleaseKernel)(self.kernel);
            }
            (self.api.clReleaseProgram)(self.program);
        }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.loaded = None;
        for queue in self.queues {
            if !queue.is_null() {
                // SAFETY: ours, released once.
                unsafe { (self.api.clReleaseCommandQueue)(queue) };
            }
        }
        // SAFETY: ours, released once.
        unsafe { (self.api.clReleaseContext)(self.context) };
    }
}
