//! The API of the HDF5 library that called us, found at run time.
//!
//! A process can hold several copies of HDF5: h5py brings its own, netCDF another, the system a third. Handles of one
//! mean nothing to the others, so the only library that may be asked about a `dcpl` is the one that handed it over.
//! Linking libhdf5 would pick one copy for good; looking a symbol up globally would pick the first one loaded, and
//! finds nothing in libraries loaded with `RTLD_LOCAL`. So each callback learns its return address
//! ([`crate::trampoline`]), `dladdr` names the library that address lies in, and that library alone is searched.

use libc::{c_char, c_int, c_uint, c_void, size_t};
use std::ffi::{CStr, CString};
use std::sync::RwLock;

/// HDF5's handle type, since version 1.10.
pub(crate) type Hid = i64;
/// HDF5's status type: negative is failure.
pub(crate) type Herr = c_int;
/// HDF5's extent type.
pub(crate) type Hsize = u64;
/// `H5P_DEFAULT`, `H5S_ALL` and `H5E_DEFAULT` are all zero.
pub(crate) const H5_DEFAULT: Hid = 0;

/// Declares [`Api`]: one field per function, named as in HDF5 so that it can be looked up in its reference manual.
macro_rules! api {
    ($($name:ident($($arg:ty),*) -> $ret:ty;)*) => {
        /// Functions of one HDF5 library. Every pointer comes from that library's symbol of the same name.
        #[allow(non_snake_case, reason = "fields carry the names of HDF5's reference manual")]
        pub(crate) struct Api {
            $(pub $name: unsafe extern "C" fn($($arg),*) -> $ret,)*
            /// The one variadic function.
            pub H5Epush2: unsafe extern "C" fn(
                Hid, *const c_char, *const c_char, c_uint, Hid, Hid, Hid, *const c_char, ...
            ) -> Herr,
            /// `H5E_ERR_CLS` and so on are macros over these variables.
            pub H5E_ERR_CLS_g: *const Hid,
            pub H5E_PLINE_g: *const Hid,
            pub H5E_CANTFILTER_g: *const Hid,
            /// `H5P_DATASET_CREATE`.
            pub H5P_CLS_DATASET_CREATE_ID_g: *const Hid,
        }

        impl Api {
            /// Fills the table from `resolve`, or names the first symbol that is missing.
            ///
            /// # Safety
            /// `resolve` must return null or the address of the symbol asked for, in one and the same HDF5 library.
            unsafe fn from_symbols(resolve: &dyn Fn(&CStr) -> *const c_void) -> Result<Self, &'static str> {
                let find = |name: &'static str| {
                    let symbol = CString::new(name).unwrap_or_default();
                    let address = resolve(&symbol);
                    if address.is_null() { Err(name) } else { Ok(address) }
                };
                Ok(Self {
                    // SAFETY: the caller vouches that the symbol is the function of this name, whose signature is
                    // the one HDF5 has documented unchanged since 1.10.
                    $($name: unsafe {
                        std::mem::transmute::<*const c_void, unsafe extern "C" fn($($arg),*) -> $ret>(
                            find(stringify!($name))?,
                        )
                    },)*
                    // SAFETY: as above; this one is variadic.
                    H5Epush2: unsafe {
                        std::mem::transmute::<
                            *const c_void,
                            unsafe extern "C" fn(
                                Hid, *const c_char, *const c_char, c_uint, Hid, Hid, Hid, *const c_char, ...
                            ) -> Herr,
                        >(find("H5Epush2")?)
                    },
                    H5E_ERR_CLS_g: find("H5E_ERR_CLS_g")?.cast(),
                    H5E_PLINE_g: find("H5E_PLINE_g")?.cast(),
                    H5E_CANTFILTER_g: find("H5E_CANTFILTER_g")?.cast(),
                    H5P_CLS_DATASET_CREATE_ID_g: find("H5P_CLS_DATASET_CREATE_ID_g")?.cast(),
                })
            }
        }
    };
}

/// `H5E_auto2_t`.
pub(crate) type AutoHandler = *const c_void;

api! {
    H5get_libversion(*mut c_uint, *mut c_uint, *mut c_uint) -> Herr;
    H5allocate_memory(size_t, c_uint) -> *mut c_void;
    H5free_memory(*mut c_void) -> Herr;
    H5Eget_auto2(Hid, *mut AutoHandler, *mut *mut c_void) -> Herr;
    H5Eset_auto2(Hid, AutoHandler, *mut c_void) -> Herr;
    H5Eclear2(Hid) -> Herr;
    H5Ecreate_stack() -> Hid;
    H5Eset_current_stack(Hid) -> Herr;
    H5Fget_obj_count(Hid, c_uint) -> isize;
    H5Fget_obj_ids(Hid, c_uint, size_t, *mut Hid) -> isize;
    H5Fget_intent(Hid, *mut c_uint) -> Herr;
    H5Fget_name(Hid, *mut c_char, size_t) -> isize;
    H5Fclose(Hid) -> Herr;
    H5Iget_file_id(Hid) -> Hid;
    H5Lexists(Hid, *const c_char, Hid) -> c_int;
    H5Gcreate2(Hid, *const c_char, Hid, Hid, Hid) -> Hid;
    H5Gclose(Hid) -> Herr;
    H5Dcreate2(Hid, *const c_char, Hid, Hid, Hid, Hid, Hid) -> Hid;
    H5Dopen2(Hid, *const c_char, Hid) -> Hid;
    H5Dget_type(Hid) -> Hid;
    H5Dget_space(Hid) -> Hid;
    H5Dread(Hid, Hid, Hid, Hid, Hid, *mut c_void) -> Herr;
    H5Dwrite(Hid, Hid, Hid, Hid, Hid, *const c_void) -> Herr;
    H5Dclose(Hid) -> Herr;
    H5Ldelete(Hid, *const c_char, Hid) -> Herr;
    H5Screate(c_int) -> Hid;
    H5Sget_simple_extent_npoints(Hid) -> i64;
    H5Sclose(Hid) -> Herr;
    H5Tcreate(c_int, size_t) -> Hid;
    H5Tget_class(Hid) -> c_int;
    H5Tget_size(Hid) -> size_t;
    H5Tget_order(Hid) -> c_int;
    H5Tget_sign(Hid) -> c_int;
    H5Tget_precision(Hid) -> size_t;
    H5Tget_offset(Hid) -> c_int;
    H5Tget_fields(Hid, *mut size_t, *mut size_t, *mut size_t, *mut size_t, *mut size_t) -> Herr;
    H5Tget_ebias(Hid) -> size_t;
    H5Tget_norm(Hid) -> c_int;
    H5Tclose(Hid) -> Herr;
    H5Pcreate(Hid) -> Hid;
    H5Pset_obj_track_times(Hid, bool) -> Herr;
    H5Pclose(Hid) -> Herr;
    H5Pget_chunk(Hid, c_int, *mut Hsize) -> c_int;
    H5Pget_filter2(
        Hid, c_uint, *mut c_uint, *mut size_t, *mut c_uint, size_t, *mut c_char, *mut c_uint
    ) -> c_int;
    H5Pget_filter_by_id2(
        Hid, c_int, *mut c_uint, *mut size_t, *mut c_uint, size_t, *mut c_char, *mut c_uint
    ) -> Herr;
    H5Pmodify_filter(Hid, c_int, c_uint, size_t, *const c_uint) -> Herr;
    H5Pfill_value_defined(Hid, *mut c_int) -> Herr;
    H5Pget_fill_value(Hid, Hid, *mut c_void) -> Herr;
}

// SAFETY: the table is never written after it was built, and HDF5's functions may be called from any thread as far as
// the library was built for that; a callback runs on a thread that already holds the library's lock.
unsafe impl Sync for Api {}
// SAFETY: as for Sync.
unsafe impl Send for Api {}

/// What is known about one caller: its API, or why there is none.
type Found = Result<&'static Api, &'static str>;

/// APIs by return address, and by the base address of the library it lies in. A process has a handful of both.
static KNOWN: RwLock<Known> = RwLock::new(Known { by_return_address: Vec::new(), by_base: Vec::new() });

struct Known {
    by_return_address: Vec<(usize, Found)>,
    by_base: Vec<(usize, Found)>,
}

/// The API of the library `return_address` lies in. The error says why it cannot be had, for the end of a sentence.
pub(crate) fn api_of(return_address: usize) -> Found {
    if let Ok(known) = KNOWN.read()
        && let Some((_, found)) = known.by_return_address.iter().find(|(a, _)| *a == return_address)
    {
        return *found;
    }
    let address = match return_address {
        // No return address on this processor: whichever HDF5 the program sees first.
        // SAFETY: dlsym with RTLD_DEFAULT and a C string.
        0 => unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"H5get_libversion".as_ptr()) }.cast_const(),
        _ => return_address as *const c_void,
    };
    let Some((base, name)) = library_of(address) else {
        return Err("the calling library could not be identified");
    };
    let Ok(mut known) = KNOWN.write() else {
        return Err("an earlier failure left the table of libraries unusable");
    };
    let found = match known.by_base.iter().find(|(b, _)| *b == base) {
        Some((_, found)) => *found,
        None => {
            let found = search(base, &name).map(|api| &*Box::leak(Box::new(api)));
            known.by_base.push((base, found));
            found
        }
    };
    known.by_return_address.push((return_address, found));
    found
}

/// Makes known the API of an HDF5 library whose symbols cannot be looked up by name: one linked statically into an
/// executable. `resolve` hands out that library's functions and variables by name.
///
/// # Safety
/// `resolve` must return null or the address of the symbol asked for, in one and the same HDF5 library.
pub(crate) unsafe fn provide(resolve: &dyn Fn(&CStr) -> *const c_void) -> Result<&'static Api, String> {
    // SAFETY: passed on from the caller.
    let api: &'static Api = unsafe { Api::from_symbols(resolve) }
        .map(|api| &*Box::leak(Box::new(api)))
        .map_err(|name| format!("the program does not provide {name}, which the Baler filter needs"))?;
    let (base, _) = library_of(api.H5get_libversion as *const c_void)
        .ok_or("the address given for H5get_libversion belongs to no loaded library")?;
    let mut known = KNOWN.write().map_err(|_| "an earlier failure left the table of libraries unusable")?;
    known.by_base.retain(|(b, _)| *b != base);
    known.by_base.push((base, Ok(api)));
    known.by_return_address.clear();
    Ok(api)
}

/// Base address and file name of the library or executable that `address` lies in.
fn library_of(address: *const c_void) -> Option<(usize, CString)> {
    // SAFETY: Dl_info is plain old data for which all zeros is valid.
    let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: dladdr accepts any address, and info is writable.
    if unsafe { libc::dladdr(address, &raw mut info) } == 0 || info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: dladdr set dli_fname to a C string owned by the loader; it is copied before anything can unload it.
    let name = unsafe { CStr::from_ptr(info.dli_fname) }.to_owned();
    Some((info.dli_fbase as usize, name))
}

/// Looks the API up in the library at `base`, called `name`.
fn search(base: usize, name: &CStr) -> Result<Api, &'static str> {
    // RTLD_NOLOAD: a second handle to what is loaded, never a second copy. The handle is kept for good: the table
    // refers into the library. An executable has no handle of its own name, only that of the whole program (null).
    // SAFETY: name is a C string; RTLD_NOLOAD runs no initialiser.
    let mut handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD) };
    if handle.is_null() {
        // SAFETY: a null name is dlopen's way of asking for the program itself.
        handle = unsafe { libc::dlopen(std::ptr::null(), libc::RTLD_LAZY) };
    }
    if handle.is_null() {
        return Err("it cannot be opened");
    }
    let resolve = |symbol: &CStr| -> *const c_void {
        // SAFETY: handle is open, symbol is a C string.
        let address = unsafe { libc::dlsym(handle, symbol.as_ptr()) }.cast_const();
        // dlsym also searches what the library depends on: another HDF5 there must not be mistaken for the caller.
        match library_of(address) {
            Some((found_in, _)) if !address.is_null() && found_in == base => address,
            _ => std::ptr::null(),
        }
    };
    // SAFETY: resolve only returns symbols of the library at base.
    let api = unsafe { Api::from_symbols(&resolve) }?;
    if api.version() < (1, 10, 0) {
        return Err("it is older than HDF5 1.10");
    }
    Ok(api)
}

/// Owned handle, closed when dropped.
pub(crate) struct Handle {
    id: Hid,
    close: unsafe extern "C" fn(Hid) -> Herr,
}

impl Handle {
    /// Takes over `id`, to be closed with `close`; `None` if it is not a valid handle.
    ///
    /// # Safety
    /// A valid `id` must be owned by the caller, of the library and kind that `close` closes.
    pub(crate) unsafe fn own(id: Hid, close: unsafe extern "C" fn(Hid) -> Herr) -> Option<Self> {
        (id >= 0).then_some(Self { id, close })
    }

    /// The handle itself.
    pub(crate) fn id(&self) -> Hid {
        self.id
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: `own` was promised a handle that this function closes, and it is closed once.
        unsafe { (self.close)(self.id) };
    }
}

impl Api {
    /// Major, minor and release number of the library.
    pub(crate) fn version(&self) -> (c_uint, c_uint, c_uint) {
        let (mut major, mut minor, mut release) = (0, 0, 0);
        // SAFETY: three writable numbers, as documented.
        unsafe { (self.H5get_libversion)(&raw mut major, &raw mut minor, &raw mut release) };
        (major, minor, release)
    }

    /// Runs `work` with HDF5's printing of errors switched off, and leaves an empty error stack.
    pub(crate) fn quietly<T>(&self, work: impl FnOnce() -> T) -> T {
        let (mut handler, mut data): (AutoHandler, *mut c_void) = (std::ptr::null(), std::ptr::null_mut());
        // SAFETY: both pointers are writable. This fails where the program uses HDF5 1.6's handlers: then there is
        // nothing that could be restored, and its handler stays.
        let saved = unsafe { (self.H5Eget_auto2)(H5_DEFAULT, &raw mut handler, &raw mut data) } >= 0;
        if saved {
            // SAFETY: a null handler switches printing off.
            unsafe { (self.H5Eset_auto2)(H5_DEFAULT, std::ptr::null(), std::ptr::null_mut()) };
        }
        let result = work();
        // SAFETY: handler and data are what the library gave us; clearing the default stack is always allowed.
        unsafe {
            if saved {
                (self.H5Eset_auto2)(H5_DEFAULT, handler, data);
            }
            (self.H5Eclear2)(H5_DEFAULT);
        }
        result
    }

    /// Makes `message` the error stack of the calling thread.
    ///
    /// Call it last: every other call into HDF5 starts by clearing that stack.
    pub(crate) fn push_error(&self, line: u32, message: &str) {
        // An interior NUL cannot come from our messages; if one does, the text up to it is kept.
        let text = CString::new(message.split('\0').next().unwrap_or_default()).unwrap_or_default();
        // SAFETY: the class and the numbers are initialised variables of this library; the format takes one C string.
        // H5Eset_current_stack closes the stack it is given.
        unsafe {
            // While a filter runs, HDF5 2.0 drops what is pushed on the default stack. It does not drop what is put in
            // place of that stack.
            let stack = (self.H5Ecreate_stack)();
            (self.H5Epush2)(
                stack,
                c"baler".as_ptr(),
                c"baler_hdf5".as_ptr(),
                line,
                *self.H5E_ERR_CLS_g,
                *self.H5E_PLINE_g,
                *self.H5E_CANTFILTER_g,
                c"%s".as_ptr(),
                text.as_ptr(),
            );
            (self.H5Eset_current_stack)(stack);
        }
    }
}
