//! Output files appear whole or not at all.

use crate::failure::{Failure, InFile, Result};
use std::fs::File;
use std::path::{Path, PathBuf};
use tempfile::{Builder, TempPath};

/// A file written beside its destination under another name, and renamed when it is complete. Dropped earlier, it is
/// removed; a program that is killed leaves the other name behind and never half of the output.
pub struct Output {
    destination: PathBuf,
    unfinished: TempPath,
    force: bool,
}

impl Output {
    /// Refuses to overwrite without `force`, before any work is done.
    pub fn create(destination: &Path, force: bool) -> Result<(Self, File)> {
        refuse_overwrite(destination, force)?;
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
        let (file, unfinished) = builder.tempfile_in(folder).in_file(destination)?.into_parts();
        Ok((Self { destination: destination.to_owned(), unfinished, force }, file))
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

/// An error if something is there and may not be replaced.
pub fn refuse_overwrite(destination: &Path, force: bool) -> Result<()> {
    if !force && destination.symlink_metadata().is_ok() {
        return Err(Failure::usage(format!(
            "{} exists already: choose another name, or --force to replace it",
            destination.display()
        )));
    }
    Ok(())
}
