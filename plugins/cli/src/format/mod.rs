//! The files arrays come from and go to. One file per format; each is a [`Source`], a [`Sink`], or both.

pub mod baler;
pub mod csv;
#[cfg(feature = "hdf5")]
pub mod hdf5;
pub mod npy;
pub mod npz;
#[cfg(feature = "parquet")]
pub mod parquet;
pub mod table;

use crate::failure::{Failure, InFile, Result};
use baler_codec::standalone::Container;
use baler_codec::{Bound, ByteOrder, Dtype};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// What is known of an array before its values are read.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Member of the archive or path of the dataset; empty in a `.npy`.
    pub name: String,
    pub dtype: Dtype,
    pub byte_order: ByteOrder,
    /// As the values lie in memory, slowest axis first.
    pub shape: Vec<u64>,
    /// The owner sees the axes the other way round (numpy's `fortran_order`).
    pub reversed_axes: bool,
    /// A fill value the file declares: one element in `byte_order`.
    pub fill: Option<Vec<u8>>,
    /// What the file promises of the values, where it was compressed.
    pub promise: Option<Promise>,
}

/// The bound an array was compressed under.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Promise {
    pub bound: Bound,
    pub per_column: bool,
}

impl Array {
    pub fn rows(&self) -> u64 {
        self.shape.first().copied().unwrap_or(1)
    }

    pub fn row_bytes(&self) -> u64 {
        self.shape.iter().skip(1).product::<u64>() * self.dtype.size_bytes() as u64
    }

    pub fn value_bytes(&self) -> u64 {
        self.rows() * self.row_bytes()
    }

    /// The name people see: that of the file's only array is `data`.
    pub fn shown_name(&self) -> &str {
        if self.name.is_empty() { "data" } else { &self.name }
    }

    /// `60 x 50 x 50 float64`, as the owner sees it.
    pub fn describe(&self) -> String {
        let mut shape: Vec<String> = self.shape.iter().map(u64::to_string).collect();
        if self.reversed_axes {
            shape.reverse();
        }
        let shape = if shape.is_empty() { "one".into() } else { shape.join(" x ") };
        format!("{shape} {}", self.dtype)
    }
}

/// A file of arrays whose values can be read more than once.
pub trait Source {
    /// What the arrays are stored in.
    fn container(&self) -> Container;
    /// The arrays, in the order of the file.
    fn arrays(&self) -> &[Array];
    /// Members that are no arrays of numbers, kept as they are.
    fn blobs(&self) -> &[(String, Vec<u8>)] {
        &[]
    }
    /// Names of what this program cannot carry along, for a warning.
    fn left_out(&self) -> &[String] {
        &[]
    }
    /// Hands the values of array `i` to `with`, in the order and byte order of [`Array`].
    fn read(&self, i: usize, with: &mut dyn FnMut(&mut dyn Read) -> Result<()>) -> Result<()>;
}

/// Takes arrays one after the other.
pub trait Sink {
    /// An array begins.
    fn array(&mut self, array: &Array) -> Result<()>;
    /// Values of the array, any number of whole rows.
    fn values(&mut self, bytes: &[u8]) -> Result<()>;
    /// A member that is no array of numbers.
    fn blob(&mut self, name: &str, bytes: &[u8]) -> Result<()>;
    /// All is there: completes the file.
    fn finish(self: Box<Self>) -> Result<()>;
}

/// The formats, by content where a file is there and by name where it is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Baler,
    Npy,
    Npz,
    Hdf5,
    Csv,
    Parquet,
}

impl Format {
    /// From the first bytes of a file.
    pub fn of_file(path: &Path) -> Result<Self> {
        let mut start = Vec::new();
        File::open(path).and_then(|f| f.take(8).read_to_end(&mut start)).map_err(|e| cannot_open(path, &e))?;
        Ok(match &start[..] {
            s if s.starts_with(b"\x93NUMPY") => Format::Npy,
            s if s.starts_with(b"PK\x03\x04") || s.starts_with(b"PK\x05\x06") => Format::Npz,
            s if s.starts_with(b"\x89HDF\r\n\x1a\n") => Format::Hdf5,
            s if s.starts_with(b"\x8aBALER") => Format::Baler,
            s if s.starts_with(b"PAR1") => Format::Parquet,
            s if s.starts_with(b"CDF") => {
                return Err(Failure::usage(format!(
                    "{}: a classic netCDF file, which has no filters; make it netCDF-4 first: `nccopy -k nc4 IN OUT`",
                    path.display()
                )));
            }
            [] => return Err(Failure::damaged(format!("{}: the file is empty", path.display()))),
            // Text has no magic: its name says it.
            _ if Format::of_name(path).is_ok_and(|f| f == Format::Csv) => Format::Csv,
            _ => {
                return Err(Failure::damaged(format!(
                    "{}: starts like no format known here; expected .npy, .npz, HDF5, netCDF-4, Parquet, .csv or .baler",
                    path.display()
                )));
            }
        })
    }

    /// From the extension of a file that is to be written.
    pub fn of_name(path: &Path) -> Result<Self> {
        let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        Ok(match &*extension {
            "npy" => Format::Npy,
            "npz" => Format::Npz,
            "h5" | "hdf5" | "nc" | "nc4" => Format::Hdf5,
            "baler" => Format::Baler,
            "csv" | "tsv" | "txt" | "dat" => Format::Csv,
            "parquet" | "pq" => Format::Parquet,
            _ => {
                return Err(Failure::usage(format!(
                    "{}: cannot tell the format from the extension; use .baler, .npy, .npz, .h5 or .nc",
                    path.display()
                )));
            }
        })
    }
}

/// Opens a file of plain arrays.
pub fn open(path: &Path) -> Result<Box<dyn Source>> {
    open_columns(path, &[])
}

/// Opens a file of plain arrays; of a `.csv` or Parquet table these columns only, by name.
pub fn open_columns(path: &Path, columns: &[String]) -> Result<Box<dyn Source>> {
    match Format::of_file(path)? {
        Format::Npy => Ok(Box::new(npy::NpySource::open(path)?)),
        Format::Npz => Ok(Box::new(npz::NpzSource::open(path)?)),
        #[cfg(feature = "hdf5")]
        Format::Hdf5 => Ok(Box::new(hdf5::Hdf5Source::open(path)?)),
        #[cfg(not(feature = "hdf5"))]
        Format::Hdf5 => Err(without_hdf5(path)),
        Format::Csv => Ok(Box::new(csv::CsvSource::open(path, columns)?)),
        #[cfg(feature = "parquet")]
        Format::Parquet => Ok(Box::new(parquet::ParquetSource::open(path, columns)?)),
        #[cfg(not(feature = "parquet"))]
        Format::Parquet => Err(Failure::runtime(format!(
            "{}: this baler was built without Parquet; build it with `cargo build --release -p baler-cli --features \
             parquet`",
            path.display()
        ))),
        Format::Baler => {
            Err(Failure::usage(format!("{} is compressed already: `baler decompress` it first", path.display())))
        }
    }
}

/// The files that are named, and those of the folders that are named.
pub fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let mut inside = Vec::new();
        for entry in std::fs::read_dir(path).in_file(path)? {
            let entry = entry.in_file(path)?.path();
            let hidden = entry.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
            if entry.is_file() && !hidden && Format::of_name(&entry).is_ok_and(|f| f != Format::Baler) {
                inside.push(entry);
            }
        }
        if inside.is_empty() {
            return Err(Failure::usage(format!(
                "{}: no data in this folder; expected .npy, .npz, .h5, .nc, .parquet or .csv files",
                path.display()
            )));
        }
        inside.sort();
        files.extend(inside);
    }
    Ok(files)
}

/// A build without HDF5 says what to do.
#[cfg(not(feature = "hdf5"))]
pub fn without_hdf5(path: &Path) -> Failure {
    Failure::runtime(format!(
        "{}: this baler was built without HDF5; build it with `cargo build --release -p baler-cli` (feature `hdf5`)",
        path.display()
    ))
}

fn cannot_open(path: &Path, e: &std::io::Error) -> Failure {
    Failure::runtime(format!("cannot open {}: {e}", path.display()))
}

/// Opens a file for reading, naming it in the error.
pub fn open_file(path: &Path) -> Result<File> {
    File::open(path).map_err(|e| cannot_open(path, &e))
}

/// Size of a file.
pub fn file_bytes(path: &Path) -> Result<u64> {
    Ok(std::fs::metadata(path).in_file(path)?.len())
}

/// Reads `with` from `input` in blocks of whole rows of about 4 MiB.
pub fn for_each_block(array: &Array, input: &mut dyn Read, with: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let total = array.value_bytes();
    if total == 0 {
        return Ok(());
    }
    let step = array.row_bytes() * ((4 << 20) / array.row_bytes()).max(1);
    let mut done = 0;
    let mut block = Vec::new();
    while done < total {
        let n = step.min(total - done);
        block.resize(n as usize, 0);
        input.read_exact(&mut block)?;
        with(&block)?;
        done += n;
    }
    Ok(())
}
