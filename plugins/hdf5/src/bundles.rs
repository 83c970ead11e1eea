//! Where the filter finds bundles, and how it leaves their decoders in the files it writes.
//!
//! A reader looks, in this order: built into the plugin; in the file that is being read, dataset
//! `/_baler/models/<id>`; in the chunk itself (the codec does that); in the folders of `BALER_MODEL_PATH`; beside the
//! file; in the user's folder. Bundles are named by a hash of their content, so the order decides nothing but speed.
//!
//! The dataset is one opaque element in a scalar dataspace, contiguous. That form cannot be chunked, so that no tool
//! that filters every dataset of a file (`h5repack -f`) can pass it through a filter, least of all a lossy one. The
//! group's name is one that netCDF accepts: `nccopy` gives up on a whole file over a name that starts with a dot.

use crate::cd_values::{Array, Request};
use crate::h5::{Api, H5_DEFAULT, Handle, Herr, Hid};
use baler_codec::bundle::{Bundle, BundleId, BundleSource, Contents, Family, MemorySource};
use baler_codec::{Error, ModelChoice, Registry, Result, Warnings};
use libc::{c_char, c_uint, c_void};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, OsStr};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// Group, and group in it, that hold the decoders of a file.
pub const MODELS_GROUP: [&CStr; 2] = [c"/_baler", c"/_baler/models"];
/// A decoder in a file larger than this is not read.
const LARGEST_BYTES: usize = 256 << 20;
/// Open objects beyond this number are not looked at.
const MOST_OBJECTS: usize = 4096;
/// Decoders of files are kept for the process, up to this many.
const MOST_KEPT: usize = 256;

// H5F_OBJ_* and H5F_ACC_*
const OBJ_FILE: c_uint = 1;
const OBJ_ALL: c_uint = 0x1f;
const ALL_FILES: Hid = 0x1f;
const ACC_RDWR: c_uint = 1;

/// `standard_sources()`, asked for once: its sources keep what they have parsed.
fn standard() -> &'static [Arc<dyn BundleSource>] {
    static SOURCES: OnceLock<Vec<Arc<dyn BundleSource>>> = OnceLock::new();
    SOURCES.get_or_init(baler_models::standard_sources)
}

/// Whether the bundle is part of the plugin, so that every reader has it.
pub(crate) fn is_builtin(id: &BundleId) -> bool {
    matches!(baler_models::builtin().find(id), Ok(Some(_)))
}

/// Every place a reader looks. `api`: the library whose open files may hold decoders.
fn sources(api: Option<&'static Api>) -> Vec<Arc<dyn BundleSource>> {
    let standard = standard();
    // The first standard source is the one built in; files come next, the user's folder last.
    let (builtin, folders) = standard.split_at(standard.len().min(1));
    let mut all = builtin.to_vec();
    if let Some(api) = api {
        all.push(Arc::new(InFile { api, looked_in: Mutex::default() }));
    }
    all.extend_from_slice(folders);
    if let Some(api) = api {
        all.push(Arc::new(BesideFile { api }));
    }
    all
}

/// A line on standard error. What cannot be written there is not worth a program's data: `eprintln` would panic.
pub(crate) fn say(message: &str) {
    let _ = writeln!(std::io::stderr(), "Baler filter: {message}");
}

/// Where the process hears what was written another way than asked for: a filter that succeeds has no other channel that
/// users of h5repack, h5py or netCDF see.
pub(crate) fn warnings() -> &'static Arc<Warnings> {
    static WARNINGS: OnceLock<Arc<Warnings>> = OnceLock::new();
    WARNINGS.get_or_init(|| Arc::new(Warnings::new(|message| say(&format!("warning: {message}")))))
}

/// Sources for decoding.
pub(crate) fn decoding_registry(api: Option<&'static Api>) -> Registry {
    Registry::with_sources(sources(api))
}

/// Sources for encoding. With bundles chosen automatically: those every reader has, and the one whose decoder
/// `set_local` has seen to. Others must not win the auction: nobody else might have them.
///
/// `find` gives the bundle with an id, in full.
pub(crate) fn encoding_registry(
    find: &dyn Fn(&BundleId) -> Result<Arc<Bundle>>,
    request: &Request,
) -> Result<Registry> {
    let only = |bundle| -> Arc<dyn BundleSource> { Arc::new(MemorySource::new(vec![bundle])) };
    let mut registry = match (request.model, &request.auto_bundle) {
        (ModelChoice::None, _) => Registry::new(),
        // Not just any copy: the one in the file has no encoder.
        (ModelChoice::Bundle(id), _) => Registry::with_sources([only(find(&id)?)]),
        (ModelChoice::Auto, None) => Registry::with_sources([baler_models::builtin()]),
        (ModelChoice::Auto, Some(id)) => {
            Registry::with_sources([Some(baler_models::builtin()), find(id).ok().map(only)].into_iter().flatten())
        }
    };
    registry.set_fixed_engine(baler_fpga::offload::host()).set_warnings(warnings().clone());
    Ok(registry)
}

/// The bundle with this id, full if any place has it in full; an error names the places looked in.
pub(crate) fn find(api: Option<&'static Api>, id: &BundleId) -> Result<Arc<Bundle>> {
    let mut found = None;
    let sources = sources(api);
    for source in &sources {
        if let Ok(Some(bundle)) = source.find(id) {
            if bundle.can_encode() {
                return Ok(bundle);
            }
            found.get_or_insert(bundle);
        }
    }
    match found {
        Some(bundle) => Ok(bundle),
        // Asked again for the message: it names every place.
        None => Registry::with_sources(sources).find(id),
    }
}

/// Among the user's own bundles, the one that `auto` should try on chunks of this shape: the tile that covers most of
/// a chunk, then the last name. Its decoder must be small against the data, of which nothing is known but the size of
/// one chunk, since the file will carry it.
pub(crate) fn pick_for_auto(array: &Array, chunk_bytes: usize) -> Option<Arc<Bundle>> {
    standard()
        .iter()
        .skip(1)
        .flat_map(|source| source.list())
        // Formulas are for tables that are known as such.
        .filter(|b| b.manifest().family != Family::Predictor && b.can_encode() && !is_builtin(&b.id()))
        .filter(|b| b.check_fits(array.dtype, &array.shape).is_ok())
        .filter(|b| b.decoder_bytes() <= chunk_bytes / 4)
        .max_by_key(|b| (b.manifest().tile_values(), b.manifest().name.clone()))
}

/// `/_baler/models/<id>`.
fn dataset_path(id: &BundleId) -> CString {
    let path = format!("{}/{id}", MODELS_GROUP[1].to_string_lossy());
    CString::new(path).unwrap_or_default()
}

/// Handles of everything open in the library, files first. They are not ours to close.
fn open_objects(api: &Api) -> Vec<Hid> {
    let mut ids = Vec::new();
    for kinds in [OBJ_FILE, OBJ_ALL & !OBJ_FILE] {
        // SAFETY: the count is asked for all files; no pointer is involved.
        let count = unsafe { (api.H5Fget_obj_count)(ALL_FILES, kinds) };
        let Ok(count @ 1..) = usize::try_from(count) else { continue };
        let mut some: Vec<Hid> = vec![-1; count.min(MOST_OBJECTS)];
        // SAFETY: the array has as many elements as is said.
        let found = unsafe { (api.H5Fget_obj_ids)(ALL_FILES, kinds, some.len(), some.as_mut_ptr()) };
        some.truncate(usize::try_from(found).unwrap_or(0));
        ids.append(&mut some);
    }
    ids
}

/// Name of the file that `object` lies in.
fn file_name(api: &Api, object: Hid) -> Option<PathBuf> {
    // SAFETY: a null buffer asks for the length.
    let len = unsafe { (api.H5Fget_name)(object, std::ptr::null_mut(), 0) };
    // Objects that are in no file, such as a dataset that is just being made, have no name.
    let mut name = vec![0u8; usize::try_from(len).ok().filter(|&n| n > 0)? + 1];
    // SAFETY: the buffer has the length that is said; HDF5 ends it with a NUL.
    let len = unsafe { (api.H5Fget_name)(object, name.as_mut_ptr().cast::<c_char>(), name.len()) };
    name.truncate(usize::try_from(len).ok()?);
    Some(PathBuf::from(OsStr::from_bytes(&name)))
}

/// Whether `path` exists in the file of `location`, step by step: asking for a path whose middle is missing would be
/// an error.
fn exists(api: &Api, location: Hid, path: &CStr) -> bool {
    MODELS_GROUP.iter().copied().chain([path]).all(|step| {
        // SAFETY: location is an open object, step a C string.
        (unsafe { (api.H5Lexists)(location, step.as_ptr(), H5_DEFAULT) }) > 0
    })
}

/// Reads the decoder of bundle `id` from the file that `location` lies in. `None` if there is none; an error if there
/// is one that cannot be used.
fn read_bundle(api: &Api, location: Hid, id: &BundleId) -> Result<Option<Bundle>> {
    let path = dataset_path(id);
    if !exists(api, location, &path) {
        return Ok(None);
    }
    let wrong = |what: &str| Error::corrupt(format!("the dataset {} {what}", path.to_string_lossy()));
    // SAFETY: every call gets open handles of the right kind; the guards close what was opened. The buffer is as
    // long as the dataset in its own datatype.
    let bytes = unsafe {
        let dataset = Handle::own((api.H5Dopen2)(location, path.as_ptr(), H5_DEFAULT), api.H5Dclose)
            .ok_or_else(|| wrong("cannot be opened"))?;
        let data_type =
            Handle::own((api.H5Dget_type)(dataset.id()), api.H5Tclose).ok_or_else(|| wrong("has no type"))?;
        let space = Handle::own((api.H5Dget_space)(dataset.id()), api.H5Sclose).ok_or_else(|| wrong("has no space"))?;
        let size_bytes = (api.H5Tget_size)(data_type.id());
        let n = usize::try_from((api.H5Sget_simple_extent_npoints)(space.id())).unwrap_or(0);
        // Opaque is what we write; plain bytes are what a program may have written by hand.
        let plain = matches!((api.H5Tget_class)(data_type.id()), 5) || size_bytes == 1;
        let len_bytes = n.saturating_mul(size_bytes);
        if !plain || len_bytes == 0 || len_bytes > LARGEST_BYTES {
            return Err(wrong(&format!(
                "holds {n} elements of {size_bytes} bytes: expected one opaque element, or bytes, at most \
                 {LARGEST_BYTES} bytes in all"
            )));
        }
        let mut bytes = vec![0u8; len_bytes];
        let to = bytes.as_mut_ptr().cast::<c_void>();
        if (api.H5Dread)(dataset.id(), data_type.id(), H5_DEFAULT, H5_DEFAULT, H5_DEFAULT, to) < 0 {
            return Err(wrong("cannot be read"));
        }
        bytes
    };
    let bundle = Bundle::parse(&bytes).map_err(|e| e.context(path.to_string_lossy()))?;
    if bundle.id() != *id {
        return Err(wrong(&format!("holds bundle {}", bundle.id())));
    }
    Ok(Some(bundle))
}

/// Decoders that were read from files, by hash, for the whole process.
fn kept() -> MutexGuard<'static, BTreeMap<BundleId, Arc<Bundle>>> {
    static KEPT: Mutex<BTreeMap<BundleId, Arc<Bundle>>> = Mutex::new(BTreeMap::new());
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

thread_local! {
    static IS_READING: Cell<bool> = const { Cell::new(false) };
}

/// A decoder is being read from a file, on this thread.
struct Reading;

impl Reading {
    /// `None` if one is already; no `Self` may be made then, whose end would say that it is over.
    fn begin() -> Option<Self> {
        (!IS_READING.replace(true)).then(|| Self)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        IS_READING.set(false);
    }
}

/// Decoders in the files that are open in the library that called us.
struct InFile {
    api: &'static Api,
    /// Where the last search went, for the error message.
    looked_in: Mutex<Vec<String>>,
}

impl BundleSource for InFile {
    fn describe(&self) -> String {
        let looked_in = self.looked_in.lock().unwrap_or_else(PoisonError::into_inner);
        let places = if looked_in.is_empty() { "the file".to_owned() } else { looked_in.join(", ") };
        format!("the group {} of {places}", MODELS_GROUP[1].to_string_lossy())
    }

    fn find(&self, id: &BundleId) -> Result<Option<Arc<Bundle>>> {
        if let Some(bundle) = kept().get(id) {
            return Ok(Some(bundle.clone()));
        }
        // The lock is not held here: HDF5 may call the filter again to read the dataset. What it finds there must not need
        // a dataset of the file in turn, or a file could keep us at it until the stack ends.
        let Some(_reading) = Reading::begin() else { return Ok(None) };
        let (mut found, mut looked_in) = (None, Vec::new());
        self.api.quietly(|| {
            for location in open_objects(self.api) {
                let Some(name) = file_name(self.api, location).map(|name| name.display().to_string()) else { continue };
                match read_bundle(self.api, location, id) {
                    Ok(Some(bundle)) => {
                        found = Some(Arc::new(bundle));
                        return;
                    }
                    Ok(None) => looked_in.push(name),
                    Err(e) => looked_in.push(format!("{name} ({e})")),
                }
            }
        });
        looked_in.sort();
        looked_in.dedup();
        looked_in.truncate(8);
        *self.looked_in.lock().unwrap_or_else(PoisonError::into_inner) = looked_in;
        if let Some(bundle) = &found {
            let mut bundles = kept();
            if bundles.len() >= MOST_KEPT {
                bundles.clear();
            }
            bundles.insert(*id, bundle.clone());
        }
        Ok(found)
    }

    /// Only what a chunk names is read from a file; none of it takes part in `auto`.
    fn list(&self) -> Vec<Arc<Bundle>> {
        Vec::new()
    }
}

/// `*.bundle` files in the folders of the files that are open.
struct BesideFile {
    api: &'static Api,
}

impl BesideFile {
    fn folders(&self) -> Vec<PathBuf> {
        let mut folders: Vec<PathBuf> = self.api.quietly(|| {
            open_objects(self.api)
                .into_iter()
                .filter_map(|object| file_name(self.api, object))
                .filter_map(|name| name.parent().map(Path::to_path_buf))
                .map(|folder| if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder })
                .map(|folder| folder.canonicalize().unwrap_or(folder))
                .collect()
        });
        folders.sort();
        folders.dedup();
        folders
    }
}

impl BundleSource for BesideFile {
    fn describe(&self) -> String {
        let folders: Vec<String> = self.folders().iter().take(8).map(|f| f.display().to_string()).collect();
        format!("beside the file, in {}", folders.join(", "))
    }

    fn find(&self, id: &BundleId) -> Result<Option<Arc<Bundle>>> {
        for folder in self.folders() {
            if let Ok(Some(bundle)) = baler_models::directory(folder).find(id) {
                return Ok(Some(bundle));
            }
        }
        Ok(None)
    }

    fn list(&self) -> Vec<Arc<Bundle>> {
        Vec::new()
    }
}

/// The one file that is open for writing, if there is exactly one: the file a dataset is being created in.
fn only_writable_file(api: &Api) -> Option<Handle> {
    let mut writable: Option<(PathBuf, Handle)> = None;
    for object in open_objects(api) {
        // SAFETY: object is open; the handle returned is ours to close.
        let Some(file) = (unsafe { Handle::own((api.H5Iget_file_id)(object), api.H5Fclose) }) else { continue };
        let mut intent = 0;
        // SAFETY: file is open, intent is writable.
        if unsafe { (api.H5Fget_intent)(file.id(), &raw mut intent) } < 0 || intent & ACC_RDWR == 0 {
            continue;
        }
        let name = file_name(api, file.id())?;
        match &writable {
            Some((known, _)) if *known == name => {}
            Some(_) => return None,
            None => writable = Some((name, file)),
        }
    }
    writable.map(|(_, file)| file)
}

/// Writes the decoder of `bundle` to `/_baler/models/<id>` of the file that is being written, unless it is there.
///
/// False where that cannot be done: no file or several files are open for writing, or the file refuses; and where
/// another open file has such a group and this one has not, for then a program may be copying that file object by object
/// (h5repack), and would fail over a group that is there before it comes to it.
pub(crate) fn write_to_file(api: &Api, bundle: &Bundle) -> bool {
    api.quietly(|| {
        let Some(file) = only_writable_file(api) else { return false };
        let has_group = |location| {
            // SAFETY: location is an open object, the name a C string.
            (unsafe { (api.H5Lexists)(location, MODELS_GROUP[0].as_ptr(), H5_DEFAULT) }) > 0
        };
        if !has_group(file.id()) && open_objects(api).into_iter().any(has_group) {
            return false;
        }
        match read_bundle(api, file.id(), &bundle.id()) {
            Ok(Some(_)) => true,
            // Something else of that name: leave it alone.
            Err(_) => false,
            Ok(None) => create_dataset(api, file.id(), bundle).is_some(),
        }
    })
}

fn create_dataset(api: &Api, file: Hid, bundle: &Bundle) -> Option<()> {
    let own = |id: Hid, close: unsafe extern "C" fn(Hid) -> Herr| {
        // SAFETY: each handle below was just created, is ours, and comes with the function of its kind.
        unsafe { Handle::own(id, close) }
    };
    let bytes = bundle.to_bytes(Contents::DecoderOnly);
    let path = dataset_path(&bundle.id());
    // SAFETY: handles are open and of the right kind, strings are C strings, the buffer is one element of the type.
    unsafe {
        for group in MODELS_GROUP {
            if (api.H5Lexists)(file, group.as_ptr(), H5_DEFAULT) <= 0 {
                own((api.H5Gcreate2)(file, group.as_ptr(), H5_DEFAULT, H5_DEFAULT, H5_DEFAULT), api.H5Gclose)?;
            }
        }
        // Without a tag: HDF5 converts no tagged opaque type to one without, so h5py could not read it.
        let opaque = own((api.H5Tcreate)(5, bytes.len()), api.H5Tclose)?;
        let scalar = own((api.H5Screate)(0), api.H5Sclose)?;
        // Without the time: the same data give the same file.
        let how = own((api.H5Pcreate)(*api.H5P_CLS_DATASET_CREATE_ID_g), api.H5Pclose)?;
        (api.H5Pset_obj_track_times)(how.id(), false);
        let dataset = own(
            (api.H5Dcreate2)(file, path.as_ptr(), opaque.id(), scalar.id(), H5_DEFAULT, how.id(), H5_DEFAULT),
            api.H5Dclose,
        )?;
        let from = bytes.as_ptr().cast::<c_void>();
        if (api.H5Dwrite)(dataset.id(), opaque.id(), H5_DEFAULT, H5_DEFAULT, H5_DEFAULT, from) < 0 {
            drop(dataset);
            (api.H5Ldelete)(file, path.as_ptr(), H5_DEFAULT);
            return None;
        }
    }
    Some(())
}
