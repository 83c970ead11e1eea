//! Files and folders of a table: what becomes what, which are done, and work on several at a time.

use crate::failure::{Failure, InFile, Result};
use crate::output::{Output, OutputFile};
use crate::progress::Progress;
use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// One file, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    pub input: PathBuf,
    pub output: PathBuf,
    pub bytes: u64,
}

/// A file and a file, or a folder and a folder: every `*.parquet` in it, the same tree below the other.
pub struct Table {
    pub pairs: Vec<Pair>,
    /// Where sidecars of the output lie.
    pub output_folder: PathBuf,
    pub is_folder: bool,
    /// Columns that are in the names of folders: `year` of `year=2026`.
    pub partition_columns: BTreeSet<String>,
}

impl Table {
    pub fn new(input: &Path, output: &Path) -> Result<Self> {
        let metadata = std::fs::metadata(input).in_file(input)?;
        if !metadata.is_dir() {
            if output.is_dir() {
                return Err(Failure::usage(format!("{}: a folder; name the output file", output.display())));
            }
            let output_folder = match output.parent() {
                Some(p) if !p.as_os_str().is_empty() => p.to_owned(),
                _ => PathBuf::from("."),
            };
            let pairs = vec![Pair { input: input.to_owned(), output: output.to_owned(), bytes: metadata.len() }];
            return Ok(Self { pairs, output_folder, is_folder: false, partition_columns: BTreeSet::new() });
        }
        let inside = |a: &Path, b: &Path| {
            let absolute = |p: &Path| std::fs::canonicalize(p).or_else(|_| std::path::absolute(p));
            matches!((absolute(a), absolute(b)), (Ok(a), Ok(b)) if a.starts_with(&b))
        };
        if inside(output, input) || inside(input, output) {
            return Err(Failure::usage("one folder lies in the other: name two that do not"));
        }
        let mut table = Self {
            pairs: Vec::new(),
            output_folder: output.to_owned(),
            is_folder: true,
            partition_columns: BTreeSet::new(),
        };
        table.walk(input, output)?;
        if table.pairs.is_empty() {
            return Err(Failure::usage(format!("{}: no *.parquet file in it", input.display())));
        }
        table.pairs.sort_by(|a, b| a.input.cmp(&b.input));
        Ok(table)
    }

    fn walk(&mut self, input: &Path, output: &Path) -> Result<()> {
        for entry in std::fs::read_dir(input).in_file(input)? {
            let path = entry.in_file(input)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            // As other programs do: logs, sidecars, unfinished files.
            if name.starts_with(['.', '_']) {
                continue;
            }
            let metadata = std::fs::metadata(&path).in_file(&path)?;
            if metadata.is_dir() {
                if let Some((column, _)) = name.split_once('=') {
                    self.partition_columns.insert(column.to_owned());
                }
                self.walk(&path, &output.join(&name))?;
            } else if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("parquet")) {
                self.pairs.push(Pair { output: output.join(&name), input: path, bytes: metadata.len() });
            }
        }
        Ok(())
    }

    pub fn input_bytes(&self) -> u64 {
        self.pairs.iter().map(|p| p.bytes).sum()
    }
}

/// What tells a file from a later one of the same name: length and time of change.
pub fn fingerprint(path: &Path) -> Result<String> {
    let metadata = std::fs::metadata(path).in_file(path)?;
    let changed = metadata.modified().ok().and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
    Ok(format!("{} bytes, changed at {} ns", metadata.len(), changed.map_or(0, |d| d.as_nanos())))
}

/// Writes a file under another name, makes it durable, and gives it its name: it is whole or not there, whatever happens.
pub fn write_whole<T>(
    path: &Path,
    force: bool,
    write: impl FnOnce(OutputFile) -> Result<(OutputFile, T)>,
) -> Result<T> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).in_file(folder)?;
    remove_unfinished(folder, path);
    let (output, mut file) = Output::create(path, force)?;
    file.write_behind();
    let (file, value) = write(file)?;
    file.sync_all().in_file(path)?;
    output.commit()?;
    // The name has to survive a power cut as well; not every file system can promise that.
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
    Ok(value)
}

/// Removes what a killed run left of this output.
pub fn remove_unfinished(folder: &Path, path: &Path) {
    let prefix = format!(".{}.", path.file_name().unwrap_or_default().to_string_lossy());
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(&prefix) && name.ends_with(".unfinished") {
            // Gone already, or not ours to remove: either way the new file gets a name of its own.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// A progress bar for several threads.
pub struct Shared(Mutex<Progress>);

impl Shared {
    pub fn new(what: &'static str, total_bytes: u64, quiet: bool) -> Self {
        Self(Mutex::new(Progress::new(what, total_bytes, quiet)))
    }

    pub fn add(&self, bytes: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).add(bytes);
    }
}

/// Threads for files, and within each.
pub fn share_threads(n_threads: usize, n_files: usize) -> (usize, usize) {
    let files = n_threads.min(n_files).max(1);
    (files, (n_threads / files).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_mirrored_and_partitions_named() {
        let folder = tempfile::tempdir().unwrap();
        let lake = folder.path().join("lake");
        for name in ["year=2026/month=1/a.parquet", "year=2026/b.parquet", "_log/c.parquet", ".d.parquet", "e.csv"] {
            let path = lake.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        let table = Table::new(&lake, &folder.path().join("small")).unwrap();
        let outputs: Vec<_> = table.pairs.iter().map(|p| p.output.strip_prefix(folder.path()).unwrap()).collect();
        assert_eq!(outputs, [Path::new("small/year=2026/b.parquet"), Path::new("small/year=2026/month=1/a.parquet")]);
        assert_eq!(table.partition_columns.into_iter().collect::<Vec<_>>(), ["month", "year"]);
        assert!(Table::new(&lake, &lake.join("inside")).is_err());
        assert!(Table::new(&lake.join("_log/none"), &lake).is_err());
    }
}
