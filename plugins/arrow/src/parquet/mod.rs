//! Parquet files of encoded tables: thin wrappers over the `parquet` crate's writer and reader.

mod file;
mod footer;
mod input;
mod profile;
mod reader;
mod verify;
mod writer;

pub use file::{FileOptions, decode_file, encode_file, judged_rows, ranges_of_file, sample_of_files, sorted_columns};
pub use footer::{Footer, Statistics};
pub use input::InputFile;
pub use profile::{Profile, properties};
pub use reader::{BalerParquetReader, BalerParquetReaderBuilder};
pub use verify::{ColumnCheck, Verification, verify_files};
pub use writer::{BalerParquetWriter, Group, GroupWriter, Report};
