//! Models: bundles that a program opens, describes, and adds to a codec.

use crate::codec::baler_codec;
use crate::decode::BALER_MAX_RANK;
use crate::encode::hand_over;
use crate::guard::guard;
use crate::memory::{Output, Versioned, bytes, give, shared, take_back, text, write_sized};
use crate::status::{Failure, baler_status};
use ::baler_codec::bundle::{Bundle, Contents, Family};
use std::ffi::{CString, c_char, c_void};
use std::path::Path;
use std::ptr::{null, null_mut};
use std::sync::Arc;

/// A pretrained model: a bundle of the library, of a folder, or of the program.
pub struct baler_model {
    pub(crate) bundle: Arc<Bundle>,
    /// What the functions below give pointers to.
    texts: [CString; 6],
}

const _: () = {
    const fn is_shared<T: Send + Sync>() {}
    is_shared::<baler_model>();
};

/// Texts about a model, for `baler_model_text`.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum baler_model_field {
    /// Its id: 32 hexadecimal digits, a hash of its content; for `baler_params.model`.
    Id = 0,
    /// Its name.
    Name = 1,
    /// Its family: `autoencoder`, `predictor`.
    Family = 2,
    /// What it is for, in a sentence or two.
    Description = 3,
    /// The licence of its weights, an SPDX expression.
    License = 4,
    /// Its card, Markdown: data, training, figures; empty if this copy has none.
    Card = 5,
}

/// What a model takes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct baler_model_info_t {
    /// `sizeof(baler_model_info_t)`; the caller sets it.
    pub struct_size: usize,
    /// Latents for each tile; 0 for a predictor.
    pub n_latents: usize,
    /// Columns of the tables that it predicts; 0 for others.
    pub n_columns: usize,
    /// Bytes of what a reader needs: what `baler_params.embed` adds to a chunk. 0 for a predictor, which no reader needs.
    pub decoder_len: u64,
    /// 0, or 1: this copy can encode too.
    pub can_encode: u32,
    /// Axes of a tile: the block of values that the latents stand for, the last axes of an array.
    pub tile_rank: u32,
    /// `tile_rank` extents, slowest axis first; zeros behind them.
    pub tile: [u64; BALER_MAX_RANK],
}

// SAFETY: `repr(C)`, begins with `struct_size`, plain numbers without padding.
unsafe impl Versioned for baler_model_info_t {
    const SIZES: &'static [usize] = &[296];
}

impl baler_model {
    pub(crate) fn of(bundle: Arc<Bundle>) -> Self {
        let manifest = bundle.manifest();
        let texts = [
            bundle.id().to_string(),
            manifest.name.clone(),
            family_name(manifest.family).into(),
            manifest.description.clone(),
            manifest.license.clone(),
            bundle.card().unwrap_or_default().into(),
        ];
        let texts = texts.map(|text| CString::new(text.replace('\0', "?")).unwrap_or_default());
        Self { bundle, texts }
    }
}

fn family_name(family: Family) -> &'static str {
    match family {
        Family::Autoencoder => "autoencoder",
        Family::Predictor => "predictor",
        Family::Autoregressive => "autoregressive",
        _ => "unknown",
    }
}

/// Makes a model of the `len` bytes of a bundle, which can be freed afterwards. NULL if that fails: `baler_last_status` is
/// `BALER_STATUS_CORRUPT` or `BALER_STATUS_MODEL_INVALID` if the bytes are at fault.
///
/// Threads: any.
///
/// # Safety
/// Unless refused, `bundle` points to `len` bytes that nobody changes during the call. It needs no alignment.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baler_model_parse(bundle: *const c_void, len: usize) -> *mut baler_model {
    guard!(null_mut(), {
        // SAFETY: the caller's promise.
        let bundle = unsafe { bytes(bundle, len, "bundle") }?;
        Ok(give(baler_model::of(Arc::new(Bundle::parse(bundle)?))))
    })
}

/// Makes a model of a `.bundle` file. NULL if that fails; `baler_last_error` says why.
///
/// Threads: any.
///
/// # Safety
/// Unless refused, `path` ends with a zero byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baler_model_open(path: *const c_char) -> *mut baler_model {
    guard!(null_mut(), {
        // SAFETY: the caller's promise.
        let path = unsafe { text(path, "path") }?.ok_or_else(|| Failure::invalid("path is NULL"))?;
        Ok(give(baler_model::of(Arc::new(baler_models::zoo::read_bundle(Path::new(path))?))))
    })
}

/// The model of this id, 32 hexadecimal digits, among those that the codec knows. NULL if that fails:
/// `baler_last_status` is `BALER_STATUS_MODEL_MISSING` if it is not there, and `baler_last_error` says where was looked.
///
/// Threads: any.
///
/// # Safety
/// Unless refused, `codec` is a handle that was not freed, and `id` ends with a zero byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baler_model_find(codec: *const baler_codec, id: *const c_char) -> *mut baler_model {
    guard!(null_mut(), {
        // SAFETY: the caller's promise.
        let codec = unsafe { shared(codec, "codec") }?;
        // SAFETY: the caller's promise.
        let id = unsafe { text(id, "id") }?.ok_or_else(|| Failure::invalid("id is NULL"))?;
        Ok(give(baler_model::of(codec.registry().find(&id.parse()?)?)))
    })
}

/// Gives a model back. NULL is allowed and does nothing. Codecs that it was added to keep it.
///
/// Threads: one, after all calls that use the model and the texts of it.
///
/// # Safety
/// `model` comes from this library, was not freed before, and no thread uses it any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baler_model_free(model: *mut baler_model) {
    guard!((), {
        // SAFETY: the caller's promise.
        unsafe { take_back(model, "model") }
    });
}

/// A text about a model, in UTF-8: `field` is a `baler_model_field`. It belongs to the model and stays until that is
/// freed. NULL for a field that is unknown; `baler_last_error` says so.
///
/// Threads: any.
///
/// # Safety
/// Unless refused, `model` is a handle that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baler_model_text(model: *const baler_model, field: u32) -> *const c_char {
    guard!(null(), {
        // SAFETY: the caller's promise.
        let model = unsafe { shared(model, "model") }?;
        let text = model.texts.get(field as usize);
        text.map(|text| text.as_ptr()).ok_or_else(|| Failure::invalid(format!("field {field} is unknown")))
    })
}

/// What a model takes.
///
/// Threads: any.
///
/// # Safety
/// Unless refused, `model` is a handle that was not freed, and `info` a structure of the size it gives of itself.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baler_model_info(model: *const baler_model, info: *mut baler_model_info_t) -> baler_status {
    guard!({
        // SAFETY: the caller's promise.
        let bundle = &unsafe { shared(model, "model") }?.bundle;
        let manifest = bundle.manifest();
        let mut tile = [0; BALER_MAX_RANK];
        for (to, &extent) in tile.iter_mut().zip(&manifest.input.tile) {
            *to = extent as u64;
        }
        let value = |struct_size| baler_model_info_t {
            struct_size,
            n_latents: manifest.latents.count,
            n_columns: manifest.predictor.as_ref().map_or(0, |p| p.columns.len()),
            decoder_len: bundle.decoder_bytes() as u64,
            can_encode: u32::from(bundle.can_encode()),
            tile_rank: manifest.input.tile.len() as u32,
            tile,
        };
        // SAFETY: the caller's promise.
        unsafe { write_sized(info, "info", value) }
    })
}

/// Writes a model as the bytes of a bundle: what `baler_model_parse` takes. With `decoder_only` 1 what reading needs,
/// with 0 all of it. Buffers as for `baler_encode`.
///
/// Threads: any.
///
/// # Safety
/// Unless refused, `model` is a handle that was not freed, and the pointers are valid for what the argument beside them
/// says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baler_model_write(
    model: *const baler_model,
    decoder_only: u32,
    out: *mut c_void,
    out_capacity: usize,
    out_len: *mut usize,
) -> baler_status {
    guard!({
        // SAFETY: the caller's promise, for this and the next.
        let model = unsafe { shared(model, "model") }?;
        // SAFETY: as above.
        let out = unsafe { Output::new(out.cast::<u8>(), out_capacity, "out") }?;
        // SAFETY: as above.
        let out_len = unsafe { Output::new(out_len, 1, "out_len") }?;
        out.disjoint_from_output(&out_len)?;
        let contents = match decoder_only {
            0 => Contents::Full,
            1 => Contents::DecoderOnly,
            other => return Err(Failure::invalid(format!("decoder_only is {other}: expected 0 or 1"))),
        };
        hand_over(&model.bundle.to_bytes(contents), &out, &out_len, "the bundle")
    })
}
