//! NumPy's `.npz`: a zip of `.npy` members. Baler's own layout is one: `data` (rows x columns) and `names` (text).

use super::npy::{header_bytes, read_header};
use super::{Array, Sink, Source, open_file};
use crate::failure::{Failure, InFile, Result};
use crate::output::{Output, OutputFile};
use baler_codec::standalone::Container;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// Members that are no arrays of numbers are small: names of columns and the like.
const MAX_BLOB_BYTES: u64 = 1 << 28;

/// The members of an archive.
pub struct NpzSource {
    path: PathBuf,
    arrays: Vec<Array>,
    /// Where each array is in the archive.
    members: Vec<usize>,
    blobs: Vec<(String, Vec<u8>)>,
}

impl NpzSource {
    pub fn open(path: &Path) -> Result<Self> {
        let mut zip = archive(path)?;
        let mut source = Self { path: path.to_owned(), arrays: Vec::new(), members: Vec::new(), blobs: Vec::new() };
        for i in 0..zip.len() {
            let mut member = zip.by_index(i).map_err(zip_failure).in_file(path)?;
            let name = member.name().map_err(zip_failure).in_file(path)?.into_owned();
            let here = |f: Failure| f.context(&name).context(path.display());
            let Some(array_name) = name.strip_suffix(".npy") else {
                return Err(here(Failure::runtime("a member that is no .npy: this is not a numpy archive")));
            };
            let header = read_header(&mut member).map_err(here)?;
            if header.is_numbers() {
                source.arrays.push(header.array(array_name.to_owned()).map_err(here)?);
                source.members.push(i);
            } else {
                drop(member);
                let mut bytes = Vec::new();
                let member = zip.by_index(i).map_err(zip_failure).in_file(path)?;
                member.take(MAX_BLOB_BYTES + 1).read_to_end(&mut bytes).map_err(|e| here(e.into()))?;
                if bytes.len() as u64 > MAX_BLOB_BYTES {
                    return Err(here(Failure::runtime("values that are no numbers, and too many of them to keep")));
                }
                source.blobs.push((array_name.to_owned(), bytes));
            }
        }
        Ok(source)
    }
}

impl Source for NpzSource {
    fn container(&self) -> Container {
        Container::Npz
    }

    fn arrays(&self) -> &[Array] {
        &self.arrays
    }

    fn blobs(&self) -> &[(String, Vec<u8>)] {
        &self.blobs
    }

    fn read(&self, i: usize, with: &mut dyn FnMut(&mut dyn Read) -> Result<()>) -> Result<()> {
        let mut zip = archive(&self.path)?;
        let member = zip.by_index(self.members[i]).map_err(zip_failure).in_file(&self.path)?;
        let mut input = BufReader::new(member);
        read_header(&mut input)
            .and_then(|_| with(&mut input))
            // The checksum of a member is compared at its end.
            .and_then(|()| Ok(std::io::copy(&mut input, &mut std::io::sink())?))
            .map_err(|f| f.context(&self.arrays[i].name))
            .in_file(&self.path)?;
        Ok(())
    }
}

fn archive(path: &Path) -> Result<ZipArchive<BufReader<File>>> {
    ZipArchive::new(BufReader::new(open_file(path)?)).map_err(zip_failure).in_file(path)
}

fn zip_failure(e: zip::result::ZipError) -> Failure {
    match e {
        zip::result::ZipError::Io(e) => e.into(),
        zip::result::ZipError::InvalidArchive(what) => Failure::damaged(format!("damaged archive: {what}")),
        other => Failure::runtime(other.to_string()),
    }
}

/// Writes an archive as `numpy.savez` does: nothing compressed.
pub struct NpzSink {
    zip: ZipWriter<BufWriter<OutputFile>>,
    output: Output,
}

impl NpzSink {
    pub fn create(path: &Path, force: bool) -> Result<Self> {
        let (output, file) = Output::create(path, force)?;
        Ok(Self { zip: ZipWriter::new(BufWriter::new(file)), output })
    }

    fn member(&mut self, name: &str, n_bytes: u64) -> Result<()> {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .large_file(n_bytes >= u64::from(u32::MAX) - 4096);
        self.zip.start_file(format!("{name}.npy"), options).map_err(zip_failure)
    }
}

impl Sink for NpzSink {
    fn array(&mut self, array: &Array) -> Result<()> {
        self.member(array.shown_name(), array.value_bytes())?;
        Ok(self.zip.write_all(&header_bytes(array))?)
    }

    fn values(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.zip.write_all(bytes)?)
    }

    fn blob(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        self.member(name, bytes.len() as u64)?;
        Ok(self.zip.write_all(bytes)?)
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let mut out = self.zip.finish().map_err(zip_failure)?;
        out.flush()?;
        drop(out);
        self.output.commit()
    }
}
