//! The Arrow extension type `baler.code`, and the names that encoded tables use.

use crate::document::{Document, DocumentId};
use crate::error::{Error, Result};
use arrow_schema::{Field, Metadata};
use serde::{Deserialize, Serialize};

/// Name of the extension type: the storage is int32 or int64.
pub const NAME: &str = "baler.code";
/// Version of the metadata; this build reads all up to it.
pub const VERSION: u32 = 1;
/// The string column with the id of each row's document.
pub const MODEL_COLUMN: &str = "_baler_model";
/// The binary column with each row's values that codes cannot give back.
pub const EXACT_COLUMN: &str = "_baler_exact";
/// Keys of schema metadata and of Parquet footers.
pub mod key {
    /// Id of the document.
    pub const ID: &str = "baler.id";
    /// The document.
    pub const DOCUMENT: &str = "baler.document";
    /// Where the document lies in a Parquet file.
    pub const OFFSET: &str = "baler.offset";
    /// How long it is there.
    pub const LENGTH: &str = "baler.length";
    /// Smallest and largest decoded value of each column in each row group.
    pub const STATISTICS: &str = "baler.statistics";
    /// What the file was made from.
    pub const SOURCE: &str = "baler.source";
    /// All of them.
    pub const ALL: [&str; 6] = [ID, DOCUMENT, OFFSET, LENGTH, STATISTICS, SOURCE];
}

const NAME_KEY: &str = "ARROW:extension:name";
const METADATA_KEY: &str = "ARROW:extension:metadata";

/// The metadata of the extension type. Keys beyond these are for people.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct CodeType {
    /// [`VERSION`].
    pub version: u32,
    /// Id of the document.
    pub document: String,
    /// Path of the column in the document.
    pub column: Vec<String>,
}

/// Field metadata that mark column `c` of a document, beside those it has.
pub(crate) fn mark(metadata: &Metadata, document: &Document, c: usize) -> Metadata {
    let own =
        CodeType { version: VERSION, document: document.id().to_string(), column: document.columns()[c].path.clone() };
    let mut metadata = metadata.clone();
    metadata.insert(NAME_KEY, NAME);
    metadata.insert(METADATA_KEY, serde_json::to_string(&own).unwrap_or_default());
    metadata
}

/// The same metadata without the extension type.
pub(crate) fn unmark(metadata: &Metadata) -> Metadata {
    let mut metadata = metadata.clone();
    if metadata.get(NAME_KEY).is_some_and(|n| n == NAME) {
        metadata.remove(NAME_KEY);
        metadata.remove(METADATA_KEY);
    }
    metadata
}

impl CodeType {
    /// What a field says of itself, if it is of this type.
    ///
    /// # Errors
    /// For a newer version, and for metadata that are not what they should be.
    pub fn of(field: &Field) -> Result<Option<(Self, DocumentId)>> {
        if field.metadata().get(NAME_KEY).is_none_or(|n| n != NAME) {
            return Ok(None);
        }
        let text = field.metadata().get(METADATA_KEY).map_or("", String::as_str);
        let wrong = |what: String| Error::corrupt(format!("column {}: extension type {NAME}: {what}", field.name()));
        let found: Self = serde_json::from_str(text).map_err(|e| wrong(e.to_string()))?;
        if found.version > VERSION {
            return Err(wrong(format!("version {}, this build reads up to {VERSION}; update it", found.version)));
        }
        let id = found.document.parse().map_err(|e: baler_codec::Error| wrong(e.to_string()))?;
        Ok(Some((found, id)))
    }
}
