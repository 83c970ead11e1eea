//! What the footer of a Parquet file says of its codes.

use crate::decode::document_ids;
use crate::document::{Document, DocumentId, MAX_BYTES};
use crate::encode::ValueRange;
use crate::error::Result;
use crate::extension::{MODEL_COLUMN, key};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::ChunkReader;
use parquet::file::statistics::Statistics as ParquetStatistics;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

/// What a frame of Zstandard's begins with (RFC 8878, section 3.1.1).
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The documents and statistics of a file.
#[derive(Debug, Default)]
pub struct Footer {
    /// The document that the file holds, if any.
    pub document: Option<Arc<Document>>,
    /// The ids that its rows name. More than one after a merge of files.
    pub ids: Vec<DocumentId>,
    /// What decoded values span; only of files as we wrote them.
    pub statistics: Option<Statistics>,
    /// What the file was made from, if the encoder was told.
    pub source: Option<String>,
}

/// Decoded values of each row group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statistics {
    /// By name of the column: a range for each row group.
    pub columns: BTreeMap<String, Vec<ValueRange>>,
}

impl Statistics {
    /// For the footer; `rows` are those of each group.
    pub(crate) fn to_json(document: &Document, groups: &[(usize, Vec<ValueRange>)]) -> String {
        // JSON has no infinities.
        let number = |v: f64| if v.is_finite() { json!(v) } else { json!(v.to_string()) };
        let range = |r: &ValueRange| if r.is_empty() { Value::Null } else { json!([number(r.min), number(r.max)]) };
        json!({
            "columns": document.columns().iter().map(crate::document::Column::name).collect::<Vec<_>>(),
            "rows": groups.iter().map(|g| g.0).collect::<Vec<_>>(),
            "ranges": groups.iter().map(|g| g.1.iter().map(range).collect::<Vec<_>>()).collect::<Vec<_>>(),
        })
        .to_string()
    }

    /// `None` where the text is not about these row groups.
    fn parse(text: &str, metadata: &ParquetMetaData) -> Option<Self> {
        let json: Value = serde_json::from_str(text).ok()?;
        let names: Vec<&str> = json["columns"].as_array()?.iter().map(Value::as_str).collect::<Option<_>>()?;
        let rows: Vec<i64> = json["rows"].as_array()?.iter().map(Value::as_i64).collect::<Option<_>>()?;
        if !metadata.row_groups().iter().map(|g| g.num_rows()).eq(rows.iter().copied()) {
            return None;
        }
        let number = |v: &Value| v.as_f64().or_else(|| v.as_str()?.parse().ok());
        let groups = json["ranges"].as_array().filter(|g| g.len() == rows.len())?;
        let mut columns = BTreeMap::new();
        for (c, name) in names.iter().enumerate() {
            let ranges: Option<Vec<ValueRange>> = groups
                .iter()
                .map(|group| match group.get(c)? {
                    Value::Null => Some(ValueRange::EMPTY),
                    pair => Some(ValueRange { min: number(pair.get(0)?)?, max: number(pair.get(1)?)? }),
                })
                .collect();
            columns.insert((*name).to_owned(), ranges?);
        }
        Some(Self { columns })
    }
}

impl Footer {
    /// Reads what a file says. A file that is not encoded says nothing.
    ///
    /// # Errors
    /// A document that is damaged, ids that are none.
    pub fn read<T: ChunkReader + 'static>(input: T, metadata: &ArrowReaderMetadata) -> Result<Self> {
        let file = metadata.metadata();
        let mut values: BTreeMap<&str, &str> = BTreeMap::new();
        for pair in file.file_metadata().key_value_metadata().into_iter().flatten() {
            values.insert(&pair.key, pair.value.as_deref().unwrap_or_default());
        }
        let mut footer = Self::default();
        let stated: Option<DocumentId> = values.get(key::ID).map(|id| id.parse()).transpose()?;
        // After a rewrite that kept the footer's pairs but moved everything else, nothing of ours lies at the offset: then
        // the statistics are stale too.
        let in_place = embedded(&input, &values).filter(|d| Some(d.id()) == stated);
        let is_ours = in_place.is_some();
        footer.document = match (in_place, values.get(key::DOCUMENT)) {
            (Some(document), _) => Some(Arc::new(document)),
            (None, Some(text)) => Some(Arc::new(Document::parse(text.as_bytes())?)),
            (None, None) => None,
        };
        if is_ours {
            footer.statistics = values.get(key::STATISTICS).and_then(|text| Statistics::parse(text, file));
            footer.source = values.get(key::SOURCE).map(|&s| s.to_owned());
        }
        footer.ids = ids_of_rows(input, metadata)?;
        if footer.ids.is_empty() {
            footer.ids.extend(stated);
        }
        Ok(footer)
    }
}

/// The document between the last row group and the footer: its bytes, or, since format 2, a frame of Zstandard's.
fn embedded<T: ChunkReader>(input: &T, values: &BTreeMap<&str, &str>) -> Option<Document> {
    let offset: u64 = values.get(key::OFFSET)?.parse().ok()?;
    let length: usize = values.get(key::LENGTH)?.parse().ok()?;
    let end = offset.checked_add(length as u64)?;
    if length > MAX_BYTES || end > input.len() {
        return None;
    }
    let bytes = input.get_bytes(offset, length).ok()?;
    if !bytes.starts_with(&ZSTD_MAGIC) {
        return Document::parse(&bytes).ok();
    }
    let mut text = Vec::new();
    zstd::stream::read::Decoder::new(&bytes[..]).ok()?.take(MAX_BYTES as u64 + 1).read_to_end(&mut text).ok()?;
    Document::parse(&text).ok()
}

/// The ids that the rows name: from statistics where each row group has one, otherwise from the rows.
fn ids_of_rows<T: ChunkReader + 'static>(input: T, metadata: &ArrowReaderMetadata) -> Result<Vec<DocumentId>> {
    let columns = metadata.parquet_schema().columns();
    let Some(c) = columns.iter().position(|c| c.path().parts() == [MODEL_COLUMN]) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    let add = |id: DocumentId, found: &mut Vec<DocumentId>| {
        if !found.contains(&id) {
            found.push(id);
        }
    };
    let mut unsure = Vec::new();
    for (g, group) in metadata.metadata().row_groups().iter().enumerate() {
        let single = match group.column(c).statistics() {
            Some(ParquetStatistics::ByteArray(s)) => s.min_opt().filter(|&min| Some(min) == s.max_opt()),
            _ => None,
        };
        // Bounds may be cut short: an id has 32 digits.
        let id = single.and_then(|v| std::str::from_utf8(v.data()).ok()).and_then(|text| text.parse().ok());
        match id {
            Some(id) => add(id, &mut found),
            None => unsure.push(g),
        }
    }
    if !unsure.is_empty() {
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(input, metadata.clone());
        let mask = ProjectionMask::leaves(builder.parquet_schema(), [c]);
        for batch in builder.with_projection(mask).with_row_groups(unsure).with_batch_size(1 << 16).build()? {
            document_ids(&batch?)?.into_iter().for_each(|id| add(id, &mut found));
        }
    }
    Ok(found)
}
