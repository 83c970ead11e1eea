//! What happens when a dataset is created: the request is checked against the dataset, completed with what is known
//! about it, and stored.
//!
//! Both callbacks refuse with a *negative* return and a message on HDF5's error stack. `can_apply` may also answer 0,
//! "not applicable", but h5py adds every third-party filter as optional, and for those HDF5 takes a 0 as leave to go
//! on: the dataset is then created with a filter that cannot do its work.

use crate::FILTER_ID;
use crate::bundles;
use crate::cd_values::{self, Array, MAX_WORDS, Request};
use crate::datatype::element_of;
use crate::h5::{Api, Herr, Hid, Hsize, api_of};
use baler_codec::{Bound, Error, ErrorKind, ModelChoice, Params, Registry, Result};
use libc::{c_uint, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// `H5S_MAX_RANK`.
const H5S_MAX_RANK: usize = 32;
/// Bytes of a chunk that every HDF5 can read.
const LARGEST_CHUNK: usize = u32::MAX as usize;
/// `H5D_FILL_VALUE_USER_DEFINED`.
const FILL_USER_DEFINED: i32 = 2;

/// `can_apply`: 1 or a refusal.
///
/// The dataspace that HDF5 passes says nothing new: it is that of a chunk, not of the dataset.
pub(crate) unsafe extern "C" fn can_apply_from(dcpl: Hid, type_id: Hid, _space: Hid, return_address: usize) -> Herr {
    guarded(return_address, |api| {
        // SAFETY: HDF5 hands over open handles of the library that called.
        let (request, _) = unsafe { stored_request(api, dcpl) }?;
        if request.array.is_some() {
            // Either the dataset exists, and HDF5 asks again before it is written or resized; or it is created as a
            // copy, and set_local will check. In the first case nothing more may be asked of the property list:
            // HDF5 2.0 crashes over the fill value in it.
            return Ok(1);
        }
        // SAFETY: as above.
        let request = unsafe { complete(api, request, dcpl, type_id) }?;
        choose_model(api, request, false).map(|_| 1)
    })
}

/// `set_local`: stores the completed request in the property list.
pub(crate) unsafe extern "C" fn set_local_from(dcpl: Hid, type_id: Hid, _space: Hid, return_address: usize) -> Herr {
    guarded(return_address, |api| {
        // SAFETY: HDF5 hands over open handles of the library that called.
        let (request, flags) = unsafe { stored_request(api, dcpl) }?;
        // SAFETY: as above.
        let mut request = unsafe { complete(api, request, dcpl, type_id) }?;
        if let Some(array) = &mut request.array {
            // SAFETY: as above.
            array.fill = unsafe { fill_value(api, dcpl, type_id, array.dtype.size_bytes()) };
        }
        let words = choose_model(api, request, true)?.to_words()?;
        // SAFETY: as above; the array has the length that is said.
        match unsafe { (api.H5Pmodify_filter)(dcpl, FILTER_ID, flags, words.len(), words.as_ptr()) } {
            0.. => Ok(1),
            _ => Err(Error::invalid("HDF5 refused to store the filter's parameters in the property list")),
        }
    })
}

/// Runs `work`, turns errors and panics into a message on the error stack and a negative status.
fn guarded(return_address: usize, work: impl FnOnce(&'static Api) -> Result<Herr>) -> Herr {
    let api = match api_of(return_address) {
        Ok(api) => api,
        Err(reason) => {
            // There is no error stack to write to; without this line nobody could tell why a dataset is not created.
            bundles::say(&format!(
                "cannot write: HDF5's own functions are needed for that, and those of the HDF5 library that called \
                 cannot be reached ({reason}). Link the program to a shared libhdf5, or export its symbols \
                 (-rdynamic). Reading works."
            ));
            return -1;
        }
    };
    match catch_unwind(AssertUnwindSafe(|| work(api))) {
        Ok(Ok(status)) => status,
        Ok(Err(error)) => {
            api.push_error(line!(), &format!("Baler filter refused: {error}"));
            -1
        }
        Err(_) => {
            api.push_error(line!(), "Baler filter: internal error (a panic) while the dataset was created");
            -1
        }
    }
}

/// The request, completed with element type and chunk.
///
/// # Safety
/// The handles must be open ones of the library that `api` belongs to.
unsafe fn complete(api: &'static Api, mut request: Request, dcpl: Hid, type_id: Hid) -> Result<Request> {
    // SAFETY: passed on.
    unsafe { check_position(api, dcpl) }?;
    // SAFETY: passed on.
    let (dtype, byte_order) = unsafe { element_of(api, type_id) }?;
    let mut extents: [Hsize; H5S_MAX_RANK] = [0; H5S_MAX_RANK];
    // SAFETY: passed on; the array has the length that is said.
    let rank = unsafe { (api.H5Pget_chunk)(dcpl, H5S_MAX_RANK as i32, extents.as_mut_ptr()) };
    let rank = usize::try_from(rank)
        .ok()
        .filter(|rank| (1..=H5S_MAX_RANK).contains(rank))
        .ok_or_else(|| Error::invalid("the dataset has no chunks: filters need a chunked layout of rank 1 or more"))?;
    let shape = cd_values::merge_leading_axes(&extents[..rank])?;
    let copied = request.array.is_some();
    let array = Array { dtype, byte_order, shape, fill: None };
    let len_bytes = array.len_bytes()?;
    if len_bytes > LARGEST_CHUNK {
        return Err(Error::invalid(format!(
            "a chunk of {:?} {dtype}, {len_bytes} bytes: HDF5 before 2.0 reads none of more than {LARGEST_CHUNK}, nor is more \
             written here; choose smaller chunks",
            array.shape
        )));
    }
    request.array = Some(array);
    params(&request)?.validate()?;
    if copied {
        drop_unusable_model(api, &mut request);
    }
    Ok(request)
}

/// The fill value that a user has set, as one element of the dataset's type.
///
/// # Safety
/// As for [`complete`].
unsafe fn fill_value(api: &Api, dcpl: Hid, type_id: Hid, size_bytes: usize) -> Option<Vec<u8>> {
    let mut status = 0;
    // SAFETY: passed on; status is writable.
    if unsafe { (api.H5Pfill_value_defined)(dcpl, &raw mut status) } < 0 || status != FILL_USER_DEFINED {
        return None;
    }
    let mut bytes = vec![0u8; size_bytes];
    // SAFETY: passed on; the buffer holds one element of type_id.
    (unsafe { (api.H5Pget_fill_value)(dcpl, type_id, bytes.as_mut_ptr().cast::<c_void>()) } >= 0).then_some(bytes)
}

/// The words of our filter in `dcpl`, read as a request, and its flags.
///
/// # Safety
/// As for [`complete`].
unsafe fn stored_request(api: &Api, dcpl: Hid) -> Result<(Request, c_uint)> {
    let mut words = [0 as c_uint; MAX_WORDS];
    let (mut n_words, mut flags, mut config) = (words.len(), 0, 0);
    // SAFETY: passed on; the array has the length that is said, no name is asked for.
    let status = unsafe {
        (api.H5Pget_filter_by_id2)(
            dcpl,
            FILTER_ID,
            &raw mut flags,
            &raw mut n_words,
            words.as_mut_ptr(),
            0,
            std::ptr::null_mut(),
            &raw mut config,
        )
    };
    if status < 0 {
        return Err(Error::invalid("the property list does not hold this filter"));
    }
    // n_words is now the number there are, which may be more than were handed over.
    let words = words
        .get(..n_words)
        .ok_or_else(|| Error::invalid(format!("{n_words} cd_values: at most {MAX_WORDS} are defined")))?;
    Ok((Request::from_words(words)?, flags))
}

/// Refuses a pipeline in which another filter comes first: what we would get then is no longer the values.
///
/// # Safety
/// As for [`complete`].
unsafe fn check_position(api: &Api, dcpl: Hid) -> Result<()> {
    let mut name = [0u8; 64];
    let (mut n_words, mut flags, mut config) = (0, 0, 0);
    // SAFETY: passed on; no words are asked for; the name's buffer has the length that is said.
    let first = unsafe {
        (api.H5Pget_filter2)(
            dcpl,
            0,
            &raw mut flags,
            &raw mut n_words,
            std::ptr::null_mut(),
            name.len(),
            name.as_mut_ptr().cast(),
            &raw mut config,
        )
    };
    if first == FILTER_ID {
        return Ok(());
    }
    let name = match first {
        1 => "deflate".into(),
        2 => "shuffle".into(),
        3 => "fletcher32".into(),
        _ => String::from_utf8_lossy(name.split(|&b| b == 0).next().unwrap_or_default()).into_owned(),
    };
    Err(Error::invalid(format!(
        "filter {first} ({name}) comes before it in the pipeline: it must be the first, since it needs the values as \
         they are; remove the other (shuffle gains nothing here) or put it after"
    )))
}

/// A dataset that is being copied with its filter may name a bundle of which only the decoder travelled along. That
/// is enough to read and not to write; within a bound the other candidates can do the work.
fn drop_unusable_model(api: &'static Api, request: &mut Request) {
    let ModelChoice::Bundle(id) = request.model else { return };
    if request.bound != Bound::Latent && bundles::find(Some(api), &id).is_ok_and(|b| !b.can_encode()) {
        request.model = ModelChoice::Auto;
    }
}

/// Checks that the models asked for are there and fit. With `store`, sees to it that readers will find the decoder: in
/// the file, or where that cannot be, in each chunk.
fn choose_model(api: &'static Api, mut request: Request, store: bool) -> Result<Request> {
    let Some(array) = &request.array else { return Ok(request) };
    match request.model {
        ModelChoice::None => {
            if request.bound == Bound::Latent {
                return Err(Error::invalid("the bound `latent` needs a model: name one, or choose auto"));
            }
        }
        ModelChoice::Bundle(id) => {
            let bundle = bundles::find(Some(api), &id)?;
            bundle
                .check_fits(array.dtype, &array.shape)
                .map_err(|e| e.context(format_args!("a chunk of {:?} and bundle {id}", array.shape)))?;
            match Registry::new().set_fixed_engine(baler_fpga::offload::host()).check_writes(&bundle) {
                Err(e) if request.bound == Bound::Latent || e.kind() == ErrorKind::ModelMissing => return Err(e),
                // The filter tells of it, and writes the data without the model.
                Err(_) => {}
                Ok(()) if store && !request.embed && !bundles::is_builtin(&id) => {
                    request.embed = !bundles::write_to_file(api, &bundle);
                }
                Ok(()) => {}
            }
        }
        ModelChoice::Auto => {
            // With `embed`, readers have it in any case.
            request.auto_bundle = bundles::pick_for_auto(array, array.len_bytes()?)
                .filter(|bundle| !store || request.embed || bundles::write_to_file(api, bundle))
                .map(|bundle| bundle.id());
        }
    }
    Ok(request)
}

/// The codec's words for a completed request.
pub(crate) fn params(request: &Request) -> Result<Params> {
    let array = request.array.as_ref().ok_or_else(|| {
        Error::invalid("cd_values hold no element type and no chunk: the dataset was created without this plugin")
    })?;
    let mut params = Params::new(array.dtype, &array.shape, request.bound);
    params.byte_order = array.byte_order;
    params.per_column = request.per_column;
    params.fill = array.fill.clone();
    params.model = request.model;
    params.effort = request.effort;
    params.embed = request.embed;
    params.check_decode = request.check_decode;
    Ok(params)
}
