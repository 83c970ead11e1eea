//! The codec handle, and the models it knows.

use crate::guard::guard;
use crate::memory::{Output, give, shared, take_back, text};
use crate::model::baler_model;
use crate::status::{Failure, baler_status};
use ::baler_codec::bundle::MemorySource;
use ::baler_codec::{Registry, Warnings};
use baler_fpga::offload::{self, Choice, Offload};
use std::ffi::{CString, c_char, c_void};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

/// What encodes and decodes: knows models, and where to look for more. Many threads can use one at once.
pub struct baler_codec {
    /// Replaced whole by those who add to it, so that every call sees either the old one or the new one.
    registry: RwLock<Arc<Registry>>,
    /// Shared with the registry and with the device.
    channel: Arc<Channel>,
}

/// Is told what went wrong with a model or a device while something was encoded, and that it was encoded another way.
/// `message` is UTF-8, and there during the call. It must return: no exception, no `longjmp`.
pub type baler_warning_fn = Option<unsafe extern "C" fn(context: *mut c_void, message: *const c_char)>;

/// Where warnings go.
struct Channel(RwLock<Receiver>);

#[derive(Clone, Copy)]
enum Receiver {
    StandardError,
    Nobody,
    Caller(unsafe extern "C" fn(*mut c_void, *const c_char), *mut c_void),
}

// SAFETY: the caller of `baler_codec_set_warning` promises that its function can be called from any thread.
unsafe impl Send for Channel {}
// SAFETY: likewise, by several at once.
unsafe impl Sync for Channel {}

impl Channel {
    fn tell(&self, message: &str) {
        let receiver = *self.0.read().unwrap_or_else(PoisonError::into_inner);
        match receiver {
            Receiver::StandardError => {
                // `eprintln` would panic where nothing can be written there.
                let _ = writeln!(std::io::stderr(), "baler: warning: {message}");
            }
            Receiver::Nobody => {}
            Receiver::Caller(warn, context) => {
                let message = CString::new(message.replace('\0', "?")).unwrap_or_default();
                // SAFETY: the caller's promise.
                unsafe { warn(context, message.as_ptr()) };
            }
        }
    }
}

const _: () = {
    const fn is_shared<T: Send + Sync>() {}
    is_shared::<baler_codec>();
};

impl baler_codec {
    fn of(mut registry: Registry, device: Arc<Offload>) -> Self {
        let channel = Arc::new(Channel(RwLock::new(Receiver::StandardError)));
        let told = channel.clone();
        registry.set_fixed_engine(device).set_warnings(Arc::new(Warnings::new(move |message| told.tell(message))));
        Self { registry: RwLock::new(Arc::new(registry)), channel }
    }

    /// The models as they are now.
    pub(crate) fn registry(&self) -> Arc<Registry> {
        self.registry.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut Registry)) {
        let mut registry = self.registry.write().unwrap_or_else(PoisonError::into_inner);
        let mut other = Registry::clone(&registry);
        change(&mut other);
        *registry = Arc::new(other);
    }

    fn add(&self, source: Arc<dyn ::baler_codec::BundleSource>) {
        self.change(|registry| {
            registry.add_source(source);
        });
    }
}

/// Makes a codec that knows the models of the library, of the folders in `BALER_MODEL_PATH` and of the user's folder.
/// NULL if that fails; `baler_last_error` says why.
///
/// The environment is read here: `BALER_MODEL_PATH`, `XDG_DATA_HOME`, `HOME`; and when first needed `BALER_DEVICE`
/// (`baler_codec_set_device`).
///
/// Threads: any, while none changes the environment.
#[unsafe(no_mangle)]
pub extern "C" fn baler_codec_new() -> *mut baler_codec {
    guard!(std::ptr::null_mut(), {
        Ok(give(baler_codec::of(Registry::with_sources(baler_models::standard_sources()), offload::host())))
    })
}

/// Makes a codec that knows no model and reads no environment: models are those that are added. NULL if that fails;
/// `baler_last_error` says why.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn baler_codec_new_bare() -> *mut baler_codec {
    guard!(std::ptr::null_mut(), {
        let emulator = Arc::new(Offload::new(Choice::emulator(), |_| ()));
        Ok(give(baler_codec::of(Registry::new(), emulator)))
    })
}

/// Gives a codec back. NULL is allowed and does nothing. Readers, writers and models made with it stay.
///
/// Threads: one, after all calls that use the codec.
///
/// # Safety
/// `codec` comes from `baler_codec_new` or `baler_codec_new_bare`, was not freed before, and no thread uses it any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baler_codec_free(codec: *mut baler_codec) {
    guard!((), {
        // SAFETY: the caller's promise.
        unsafe { take_back(codec, "codec") }
    });
}

/// Adds a model to those that the codec knows. The model can be freed afterwards.
///
/// Threads: any, at any time; calls that are running go on with the models they began with. Usually a step before the
/// codec is shared, since a model that takes part changes the bytes of later chunks.
///
/// # Safety
/// Unless refused, both are handles of the library that were not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baler_codec_add_model(codec: *mut baler_codec, model: *const baler_model) -> baler_status {
    guard!({
        // SAFETY: the caller's promise.
        let codec = unsafe { shared(codec, "codec") }?;
        // SAFETY: the caller's promise.
        let model = unsafe { shared(model, "model") }?;
        codec.add(Arc::new(MemorySource::new(vec![model.bundle.clone()])));
        Ok(())
    })
}

/// Adds the `*.bundle` files of a folder, looked at whenever a model is needed. The folder must be there.
///
/// Threads: as `baler_codec_add_model`.
///
/// # Safety
/// Unless refused, `codec` is a handle that was not freed, and `path` ends with a zero byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baler_codec_add_folder(codec: *mut baler_codec, path: *const c_char) -> baler_status {
    guard!({
        // SAFETY: the caller's promise.
        let codec = unsafe { shared(codec, "codec") }?;
        // SAFETY: the caller's promise.
        let path = unsafe { text(path, "path") }?.ok_or_else(|| Failure::invalid("path is NULL"))?;
        if !Path::new(path).is_dir() {
            return Err(Failure::invalid(format!("path: there is no folder {path:?}")));
        }
        codec.add(baler_models::zoo::directory(path));
        Ok(())
    })
}

/// Sets what runs the encoders of models in fixed point: `emulator`, `opencl`, `xrt:xclbin=FILE`, ..., as for `BALER_DEVICE`
/// (docs/fpga.md, section Devices). The bytes of chunks do not depend on it. A device that is not there or fails is
/// replaced by the emulator, with a warning (`baler_codec_set_warning`).
///
/// Threads: as `baler_codec_add_model`.
///
/// # Safety
/// Unless refused, `codec` is a handle that was not freed, and `device` ends with a zero byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baler_codec_set_device(codec: *mut baler_codec, device: *const c_char) -> baler_status {
    guard!({
        // SAFETY: the caller's promise.
        let codec = unsafe { shared(codec, "codec") }?;
        // SAFETY: the caller's promise.
        let device = unsafe { text(device, "device") }?.ok_or_else(|| Failure::invalid("device is NULL"))?;
        let choice = device.parse::<Choice>().map_err(|e| Failure::invalid(format!("device: {e}")))?;
        let channel = codec.channel.clone();
        let engine = Arc::new(Offload::new(choice, move |message| channel.tell(message)));
        codec.change(|registry| {
            registry.set_fixed_engine(engine);
        });
        Ok(())
    })
}

/// Sets what is told, instead of standard error, when a model, the runtime that it needs or a device of
/// `baler_codec_set_device` fails while something is encoded: it is then encoded another way, within the same bound, and each
/// model is told of once. `warn` is called with `context`; NULL: nothing is told. Where there is no other way (the bound
/// `BALER_BOUND_LATENT`, `BALER_OUTLIERS_KEEP`) the call fails instead.
///
/// The device of `BALER_DEVICE` belongs to the process and warns on standard error.
///
/// Threads: any, at any time. `warn` is called by the threads that encode, by several at once.
///
/// # Safety
/// Unless refused, `codec` is a handle that was not freed; `warn` can be called with `context` as long as the codec, its
/// writers and other calls of this function for it are there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baler_codec_set_warning(
    codec: *mut baler_codec,
    warn: baler_warning_fn,
    context: *mut c_void,
) -> baler_status {
    guard!({
        // SAFETY: the caller's promise.
        let codec = unsafe { shared(codec, "codec") }?;
        let receiver = warn.map_or(Receiver::Nobody, |warn| Receiver::Caller(warn, context));
        *codec.channel.0.write().unwrap_or_else(PoisonError::into_inner) = receiver;
        Ok(())
    })
}

/// Lists every model the codec knows: `*n_models` becomes their number, and as many handles are written to `models`, to
/// be given back with `baler_model_free` one by one. With `BALER_STATUS_BUFFER_TOO_SMALL` none is written.
///
/// Threads: any.
///
/// # Safety
/// Unless refused, `codec` is a handle that was not freed, `models` has room for `capacity` pointers, and `n_models` is a
/// number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baler_codec_models(
    codec: *const baler_codec,
    models: *mut *mut baler_model,
    capacity: usize,
    n_models: *mut usize,
) -> baler_status {
    guard!({
        // SAFETY: the caller's promise, for this and the next.
        let codec = unsafe { shared(codec, "codec") }?;
        // SAFETY: as above.
        let models = unsafe { Output::new(models, capacity, "models") }?;
        // SAFETY: as above.
        let n_models = unsafe { Output::new(n_models, 1, "n_models") }?;
        models.disjoint_from_output(&n_models)?;
        let found = codec.registry().list();
        n_models.write(&[found.len()])?;
        if found.len() > models.capacity() {
            let message = format!("models has room for {capacity} handles: the codec knows {} models", found.len());
            return Err(Failure::new(baler_status::BufferTooSmall, message));
        }
        let handles: Vec<*mut baler_model> = found.into_iter().map(|bundle| give(baler_model::of(bundle))).collect();
        models.write(&handles)
    })
}
