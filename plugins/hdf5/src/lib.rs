//! HDF5 filter 47646: error-bounded compression with pretrained models.
//!
//! Built as `libbaler_hdf5.so`, HDF5 finds it through `HDF5_PLUGIN_PATH`: h5repack, h5dump, h5py, netCDF and programs
//! of any language then read and write its files without being changed. `docs/hdf5.md` is the user's guide.
//!
//! | module | what |
//! |---|---|
//! | [`cd_values`] | the filter's parameters: the one table of their layout, parsing, formatting |
//! | `plugin` | the class HDF5 is given, the two symbols it looks for |
//! | `trampoline` | callbacks, in assembly, that hand on who called |
//! | `h5` | the API of the HDF5 library that called |
//! | `datatype` | which element types are taken |
//! | `set_local` | a dataset is created: checks, and what is stored about it |
//! | `filter` | one chunk, either way |
//! | `bundles` | where decoders are found, and left |
//!
//! **Architecture invariants:** nothing here links libhdf5: a process may hold several, and the one to ask is the one
//! that called. Nothing here knows how values are coded: a request becomes [`baler_codec::Params`].

#[cfg(not(unix))]
compile_error!("the plugin finds the HDF5 library that called it with dladdr and dlsym: only Unix has these");

mod bundles;
pub mod cd_values;
mod datatype;
mod filter;
mod h5;
mod plugin;
mod set_local;
mod trampoline;

pub use bundles::MODELS_GROUP;
pub use filter::{ChunkEncoder, LEFT_OUT, VALUES_FOLLOW, decode_chunk, encode_chunk};
pub use plugin::{FilterClass, class, register};

/// The filter's number: 0xBA1E. HDF5 leaves 32768 to 65535 to filters that are not registered.
pub const FILTER_ID: i32 = 47646;
