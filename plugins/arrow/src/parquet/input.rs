//! A file that several readers share.

use crate::error::{Error, Result};
use bytes::Bytes;
use parquet::errors::Result as ParquetResult;
use parquet::file::reader::{ChunkReader, Length};
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Opens the file anew for every piece that is read: positions in it are not shared, so that clones may be read from
/// several threads.
#[derive(Clone, Debug)]
pub struct InputFile {
    path: PathBuf,
    len: u64,
}

impl InputFile {
    /// Opens a file. Errors name it.
    pub fn open(path: &Path) -> Result<Self> {
        let in_file = |e: std::io::Error| Error::from(e).context(path.display());
        let len = File::open(path).and_then(|f| f.metadata()).map_err(in_file)?.len();
        Ok(Self { path: path.to_owned(), len })
    }

    fn at(&self, start: u64) -> std::io::Result<File> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(start))?;
        Ok(file)
    }
}

impl Length for InputFile {
    fn len(&self) -> u64 {
        self.len
    }
}

impl ChunkReader for InputFile {
    type T = BufReader<File>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(BufReader::new(self.at(start)?))
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        if start.checked_add(length as u64).is_none_or(|end| end > self.len) {
            let end = format!("{length} bytes at {start} of a file of {}: it was cut", self.len);
            return Err(parquet::errors::ParquetError::EOF(end));
        }
        let mut bytes = vec![0; length];
        self.at(start)?.read_exact(&mut bytes)?;
        Ok(bytes.into())
    }
}
