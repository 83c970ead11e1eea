//! Output files appear whole or not at all.

use crate::failure::{Failure, InFile, Result};
use std::fmt;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use tempfile::{Builder, TempPath};

/// A file written beside its destination under another name, and renamed when it is complete. Dropped earlier, it is
/// removed; a program that is killed leaves the other name behind and never half of the output.
pub struct Output {
    destination: PathBuf,
    unfinished: TempPath,
    force: bool,
}

/// The file behind an [`Output`]. Its errors name the destination, whoever passes them on.
pub struct OutputFile {
    file: File,
    destination: PathBuf,
    /// Bytes written, and how many of them the system was asked to take to the disk; nothing where nobody waits for that.
    behind: Option<(u64, u64)>,
}

/// What an [`OutputFile`] says inside of an [`io::Error`].
#[derive(Debug)]
pub struct OutputError(String);

impl fmt::Display for OutputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for OutputError {}

impl OutputFile {
    fn named<T>(&self, result: io::Result<T>) -> io::Result<T> {
        let message = |e: &io::Error| format!("cannot write {}: {e}", self.destination.display());
        result.map_err(|e| match e.kind() {
            io::ErrorKind::Interrupted => e,
            kind => io::Error::new(kind, OutputError(message(&e))),
        })
    }

    /// Has bytes go to the disk while those after them are made, so that [`Self::sync_all`] waits for the last only. For files
    /// that are written from the beginning to the end.
    pub fn write_behind(&mut self) {
        self.behind = Some((0, 0));
    }

    /// Takes note of bytes written.
    fn wrote(&mut self, n: usize) {
        const AT_ONCE: u64 = 8 << 20;
        let Some((written, begun)) = &mut self.behind else { return };
        *written += n as u64;
        if *written - *begun >= AT_ONCE {
            #[cfg(target_os = "linux")]
            {
                use std::os::fd::AsRawFd;
                let (start, len) = (*begun as libc::off64_t, (*written - *begun) as libc::off64_t);
                // SAFETY: a call on a file that is open. A refusal changes nothing.
                unsafe { libc::sync_file_range(self.file.as_raw_fd(), start, len, libc::SYNC_FILE_RANGE_WRITE) };
            }
            *begun = *written;
        }
    }

    /// See [`File::sync_all`].
    pub fn sync_all(&self) -> io::Result<()> {
        self.named(self.file.sync_all())
    }
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.file.write(bytes);
        if let Ok(n) = result {
            self.wrote(n);
        }
        self.named(result)
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.file.flush();
        self.named(result)
    }
}

impl Seek for OutputFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let result = self.file.seek(to);
        self.named(result)
    }
}

impl Output {
    /// Refuses to overwrite without `force`, before any work is done, and to put a file in the place of a device. A
    /// link keeps pointing to what it names, which is replaced.
    pub fn create(destination: &Path, force: bool) -> Result<(Self, OutputFile)> {
        refuse_overwrite(destination, force)?;
        let target = std::fs::canonicalize(destination).unwrap_or_else(|_| destination.to_owned());
        let destination = target.as_path();
        let folder = match destination.parent() {
            Some(p) if !p.as_os_str().is_empty() => p,
            _ => Path::new("."),
        };
        let name = destination
            .file_name()
            .ok_or_else(|| Failure::usage(format!("{}: the output needs a file name", destination.display())))?;
        let mut builder = Builder::new();
        let prefix = format!(".{}.", name.to_string_lossy());
        builder.prefix(&prefix).suffix(".unfinished");
        #[cfg(unix)]
        {
            // What any other program's output would have; the default of temporary files is closed to everyone else.
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let made = builder.tempfile_in(folder).map_err(|e| Failure::runtime(format!("cannot write into it: {e}")));
        let (file, unfinished) = made.in_file(folder)?.into_parts();
        let file = OutputFile { file, destination: destination.to_owned(), behind: None };
        Ok((Self { destination: destination.to_owned(), unfinished, force }, file))
    }

    /// What the file will be called.
    pub fn destination(&self) -> &Path {
        &self.destination
    }

    /// Where to write, for libraries that want a path.
    pub fn path(&self) -> &Path {
        &self.unfinished
    }

    /// Gives the finished file its name.
    pub fn commit(self) -> Result<()> {
        let Self { destination, unfinished, force } = self;
        let renamed = if force { unfinished.persist(&destination) } else { unfinished.persist_noclobber(&destination) };
        renamed.map_err(|e| e.error).in_file(&destination)
    }
}

/// An error if something is there and may not be replaced; devices, pipes and folders never may.
pub fn refuse_overwrite(destination: &Path, force: bool) -> Result<()> {
    if !force && destination.symlink_metadata().is_ok() {
        return Err(Failure::usage(format!(
            "{} exists already: choose another name, or --force to replace it",
            destination.display()
        )));
    }
    // Renaming onto /dev/null takes the device away from every other program of the machine.
    if destination.metadata().is_ok_and(|there| !there.is_file()) {
        return Err(Failure::usage(format!(
            "{} is not a file: outputs are written under another name and renamed, so that they are whole or not \
             there; name a file",
            destination.display()
        )));
    }
    Ok(())
}
