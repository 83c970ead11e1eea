//! Where bundles are found: built into the library, in folders, in the user's own folder.

use baler_codec::bundle::{Bundle, BundleId, BundleSource, Contents};
use baler_codec::inference::SimdPath;
use baler_codec::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

/// Extension of a packed bundle's file name.
pub const EXTENSION: &str = "bundle";

/// Environment variable with folders to search, separated like `PATH`.
pub const PATH_VARIABLE: &str = "BALER_MODEL_PATH";

/// A packed bundle this large is not one of ours; reading it would only fill memory.
const LARGEST_FILE_BYTES: u64 = 1 << 30;

macro_rules! packed {
    ($name:literal) => {
        ($name, include_bytes!(concat!("../bundles/", $name, "/", $name, ".bundle")).as_slice())
    };
}

/// The built-in bundles, one line each: name of the folder under `models/bundles`, packed file.
pub const BUNDLES: &[(&str, &[u8])] = &[
    packed!("autoencoder-ccsm-temperature"),
    packed!("autoencoder-cfd-animation"),
    packed!("autoencoder-detector"),
    packed!("autoencoder-field2d"),
    packed!("autoencoder-fpga-cells"),
    packed!("autoencoder-fpga-cells-fixed"),
    packed!("autoencoder-fpga-medium"),
    packed!("autoencoder-fpga-medium-fixed"),
    packed!("autoencoder-fpga-prototype"),
    packed!("autoencoder-fpga-prototype-fixed"),
    packed!("autoencoder-fpga-tiny"),
    packed!("autoencoder-fpga-tiny-fixed"),
    packed!("autoencoder-fpga-tiny-int8-fixed"),
    packed!("autoencoder-moessbauer"),
    packed!("predictor-alice-hypertriton"),
    packed!("predictor-cms-dimuon"),
    packed!("predictor-cms-nanoaod-jets"),
];

/// The bundles built into the library. Each is parsed when first asked for, once per process.
pub fn builtin() -> Arc<dyn BundleSource> {
    static SOURCE: OnceLock<Arc<Builtin>> = OnceLock::new();
    SOURCE.get_or_init(|| Arc::new(Builtin { parsed: BUNDLES.iter().map(|_| OnceLock::new()).collect() })).clone()
}

struct Builtin {
    parsed: Vec<OnceLock<Arc<Bundle>>>,
}

impl Builtin {
    fn bundles(&self) -> impl Iterator<Item = &Arc<Bundle>> {
        self.parsed.iter().zip(BUNDLES).map(|(slot, (name, bytes))| {
            slot.get_or_init(|| {
                let bundle = Bundle::parse(bytes);
                // A test parses each of them, so this cannot be met in a library that was built from a tested tree.
                Arc::new(bundle.unwrap_or_else(|e| panic!("the built-in bundle {name} is damaged: {e}")))
            })
        })
    }
}

impl BundleSource for Builtin {
    fn describe(&self) -> String {
        "the bundles built into this library".into()
    }

    fn find(&self, id: &BundleId) -> Result<Option<Arc<Bundle>>> {
        Ok(self.bundles().find(|bundle| bundle.id() == *id).cloned())
    }

    fn list(&self) -> Vec<Arc<Bundle>> {
        self.bundles().cloned().collect()
    }
}

/// The `*.bundle` files of one folder, which need not exist.
///
/// Files are parsed when looked at and kept until they change on disk. One that is no bundle is passed over, and
/// [`BundleSource::describe`] says why.
pub fn directory(path: impl Into<PathBuf>) -> Arc<dyn BundleSource> {
    Arc::new(Directory { path: path.into(), files: Mutex::default() })
}

struct Directory {
    path: PathBuf,
    files: Mutex<BTreeMap<PathBuf, Entry>>,
}

struct Entry {
    /// Length and time of change of what was parsed: another pair means another file.
    stamp: (u64, Option<SystemTime>),
    parsed: std::result::Result<Arc<Bundle>, String>,
}

impl Directory {
    /// Parses file by file, in the order of their names, until `wanted` says that it has seen enough.
    fn visit(&self, mut wanted: impl FnMut(&Arc<Bundle>) -> bool) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let mut paths: Vec<PathBuf> = std::fs::read_dir(&self.path)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension() == Some(OsStr::new(EXTENSION)))
            .collect();
        paths.sort();
        files.retain(|path, _| paths.binary_search(path).is_ok());
        // What is parsed already is looked at first: it costs one `stat`.
        paths.sort_by_key(|path| !files.contains_key(path));
        for path in paths {
            let Ok(stamp) = std::fs::metadata(&path).map(|m| (m.len(), m.modified().ok())) else { continue };
            if files.get(&path).is_none_or(|entry| entry.stamp != stamp) {
                let parsed = read_bundle(&path).map(Arc::new).map_err(|e| e.to_string());
                files.insert(path.clone(), Entry { stamp, parsed });
            }
            if let Ok(bundle) = &files[&path].parsed
                && wanted(bundle)
            {
                return;
            }
        }
    }
}

impl BundleSource for Directory {
    fn describe(&self) -> String {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = format!("the folder {}", self.path.display());
        if !self.path.is_dir() {
            text += " (not there)";
        }
        for (path, entry) in files.iter() {
            if let Err(reason) = &entry.parsed {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                text += &format!(" (passed over {name}: {reason})");
            }
        }
        text
    }

    fn find(&self, id: &BundleId) -> Result<Option<Arc<Bundle>>> {
        let mut found = None;
        self.visit(|bundle| {
            if bundle.id() == *id {
                found = Some(bundle.clone());
            }
            found.is_some()
        });
        Ok(found)
    }

    fn list(&self) -> Vec<Arc<Bundle>> {
        let mut all = Vec::new();
        self.visit(|bundle| {
            all.push(bundle.clone());
            false
        });
        all
    }
}

/// Reads one packed bundle. Errors name the file.
pub fn read_bundle(path: &Path) -> Result<Bundle> {
    let in_file = |e: std::io::Error| Error::invalid(format!("{}: {e}", path.display()));
    let len_bytes = std::fs::metadata(path).map_err(in_file)?.len();
    if len_bytes > LARGEST_FILE_BYTES {
        return Err(Error::new(
            ErrorKind::LimitExceeded,
            format!("{}: {len_bytes} bytes, a bundle has at most {LARGEST_FILE_BYTES}", path.display()),
        ));
    }
    let bytes = std::fs::read(path).map_err(in_file)?;
    Bundle::parse(&bytes).map_err(|e| e.context(path.display()))
}

/// What `expected.json` of a built-in bundle holds: a hash (FNV-1a, 64 bits, hexadecimal) over the bits of the decoder's
/// outputs for some latents, which must be the same on every machine and every path of instructions.
pub fn decoder_output_hash(bundle: &Bundle, path: SimdPath) -> Result<String> {
    const ROWS: usize = 7;
    let decoder = bundle.decoder()?;
    // Small integers times the step: what the codec feeds a decoder.
    let latents: Vec<f32> = (0..ROWS * decoder.input_len()).map(|i| ((i * 37 + i / 5) % 23) as f32 - 11.0).collect();
    let mut output = vec![0.0; ROWS * decoder.output_len()];
    decoder.run_with(path, ROWS, &latents, &mut output)?;
    let step = |h: u64, b: u8| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3);
    let hash = output.iter().flat_map(|v| v.to_bits().to_le_bytes()).fold(0xcbf2_9ce4_8422_2325, step);
    Ok(format!("{hash:016x}"))
}

/// Where a program looks for bundles, in this order: the library itself, each folder of `BALER_MODEL_PATH`, the
/// user's folder.
pub fn standard_sources() -> Vec<Arc<dyn BundleSource>> {
    let mut sources = vec![builtin()];
    if let Some(folders) = std::env::var_os(PATH_VARIABLE) {
        let folders = std::env::split_paths(&folders).filter(|folder| !folder.as_os_str().is_empty());
        sources.extend(folders.map(directory));
    }
    sources.extend(user_dir().map(directory));
    sources
}

/// The user's folder for bundles: `$XDG_DATA_HOME/baler/models`, or `~/.local/share/baler/models`. `None` where
/// neither variable is an absolute path. It is made by the first [`install`].
pub fn user_dir() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let data = absolute("XDG_DATA_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/share")))?;
    Some(data.join("baler").join("models"))
}

/// Writes `bundle` into the user's folder, whole or not at all, and returns where: `<name>.bundle`, or
/// `<name>-<id>.bundle` where that name is taken by another bundle.
pub fn install(bundle: &Bundle) -> Result<PathBuf> {
    let folder = user_dir().ok_or_else(|| {
        Error::invalid("no folder for bundles: set HOME or XDG_DATA_HOME to an absolute path, or name a file to write")
    })?;
    install_in(&folder, bundle)
}

/// [`install`], into a folder of the caller's choice, which is made if it is not there.
pub fn install_in(folder: &Path, bundle: &Bundle) -> Result<PathBuf> {
    let name: String = bundle
        .manifest()
        .name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' })
        .collect();
    let name = name.trim_start_matches('.');
    let name = if name.is_empty() { "bundle" } else { name };
    let mut target = folder.join(format!("{name}.{EXTENSION}"));
    if target.exists() && !read_bundle(&target).is_ok_and(|there| there.id() == bundle.id()) {
        target = folder.join(format!("{name}-{}.{EXTENSION}", bundle.id()));
    }
    let in_file = |e: std::io::Error| Error::invalid(format!("cannot write {}: {e}", target.display()));
    std::fs::create_dir_all(folder).map_err(in_file)?;
    // Written beside its place and renamed: a reader sees the old file, the new one, or none, never half of one. The
    // extension keeps folders from listing the unfinished file.
    let unfinished = folder.join(format!(".{}.{}.unfinished", bundle.id(), std::process::id()));
    let written = std::fs::File::create(&unfinished)
        .and_then(|mut file| {
            file.write_all(&bundle.to_bytes(Contents::Full))?;
            file.sync_all()
        })
        .and_then(|()| std::fs::rename(&unfinished, &target));
    if let Err(e) = written {
        // The first error is the one to tell; a file that cannot be removed either changes nothing about it.
        let _ = std::fs::remove_file(&unfinished);
        return Err(in_file(e));
    }
    Ok(target)
}
