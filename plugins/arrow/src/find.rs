//! Where documents are found: handed over, in a file's footer, in `_baler` beside the data, in folders, in the user's own.

use crate::document::{Document, DocumentId, FOLDER};
use crate::error::{Error, Result};
use baler_models::zoo::{PATH_VARIABLE, user_dir};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Documents at hand, and folders to look for others in.
#[derive(Clone, Debug, Default)]
pub struct Documents {
    known: BTreeMap<DocumentId, Arc<Document>>,
    folders: Vec<PathBuf>,
}

impl Documents {
    /// Nothing but what is added.
    pub fn new() -> Self {
        Self::default()
    }

    /// The folders of `BALER_MODEL_PATH` and the user's (`~/.local/share/baler/models`).
    pub fn standard() -> Self {
        let mut folders: Vec<PathBuf> = Vec::new();
        if let Some(list) = std::env::var_os(PATH_VARIABLE) {
            for folder in std::env::split_paths(&list).filter(|f| !f.as_os_str().is_empty()) {
                folders.push(folder.join(FOLDER));
                folders.push(folder);
            }
        }
        folders.extend(user_dir());
        Self { known: BTreeMap::new(), folders }
    }

    /// [`Documents::standard`], and before it `_baler` beside a file, and beside each folder above it that is a partition
    /// (`year=2026`).
    pub fn beside(file: &Path) -> Self {
        let mut found = Self::standard();
        let mut folders = Vec::new();
        let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        let mut folder = absolute.parent();
        while let Some(path) = folder {
            folders.push(path.join(FOLDER));
            let is_partition = path.file_name().is_some_and(|n| n.to_string_lossy().contains('='));
            folder = if is_partition { path.parent() } else { None };
        }
        folders.append(&mut found.folders);
        Self { folders, ..found }
    }

    /// Adds a document.
    pub fn add(&mut self, document: Arc<Document>) {
        self.known.insert(document.id(), document);
    }

    /// Adds a folder that holds documents under their ids.
    pub fn add_folder(&mut self, folder: impl Into<PathBuf>) {
        self.folders.push(folder.into());
    }

    /// The document of an id; `column` is what it is needed for.
    ///
    /// # Errors
    /// [`baler_codec::ErrorKind::ModelMissing`], with the places where it was looked for.
    pub fn find(&self, id: &DocumentId, column: &str) -> Result<Arc<Document>> {
        if let Some(document) = self.known.get(id) {
            return Ok(document.clone());
        }
        let mut places = vec![format!("the file or table itself ({} known)", self.known.len())];
        for folder in &self.folders {
            let path = folder.join(id.to_string());
            let found = match std::fs::read(&path) {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(folder.display().to_string()),
                Err(e) => Err(format!("{} ({e})", folder.display())),
                Ok(bytes) => match Document::parse(&bytes) {
                    Err(e) => Err(format!("{} (passed over: {e})", path.display())),
                    Ok(document) if document.id() != *id => {
                        Err(format!("{} (passed over: its content is not that of this id)", path.display()))
                    }
                    Ok(document) => Ok(document),
                },
            };
            match found {
                Ok(document) => return Ok(Arc::new(document)),
                Err(place) => places.push(place),
            }
        }
        Err(Error::missing(format!(
            "column {column} was encoded with document {id}, which is not there; looked in: {}. Copy the file {id} from the \
             folder {FOLDER} beside the original table into one of them, or name its folder in {PATH_VARIABLE}",
            places.join("; ")
        )))
    }
}
