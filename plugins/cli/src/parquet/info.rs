//! `baler parquet info`.

use crate::failure::{InFile, Result};
use crate::outcome::{Outcome, bytes};
use baler_arrow::parquet::{BalerParquetReaderBuilder, InputFile};
use baler_arrow::{Documents, Mode};
use clap::Args;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What a file's columns are, and what each takes
#[derive(Args, Debug)]
pub struct InfoArgs {
    /// A Parquet file, encoded or not
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl InfoArgs {
    pub fn run(&self) -> Result<Outcome> {
        let documents = Documents::beside(&self.file);
        let reader = InputFile::open(&self.file)
            .and_then(|file| BalerParquetReaderBuilder::try_new(file, documents.clone()))
            .in_file(&self.file)?;
        let metadata = reader.metadata().metadata();
        let mut known = Vec::new();
        for id in &reader.footer().ids {
            match &reader.footer().document {
                Some(document) if document.id() == *id => known.push(document.clone()),
                _ => known.push(documents.find(id, baler_arrow::MODEL_COLUMN)?),
            }
        }
        let mut sizes: BTreeMap<String, (u64, String)> = BTreeMap::new();
        for column in metadata.row_groups().iter().flat_map(|g| g.columns()) {
            let entry = sizes.entry(column.column_path().string()).or_default();
            entry.0 += u64::try_from(column.compressed_size()).unwrap_or(0);
            let encodings: Vec<String> = column.encodings().map(|e| e.to_string()).filter(|e| e != "RLE").collect();
            entry.1 = encodings.join("+");
        }
        let rows = metadata.file_metadata().num_rows();
        let mut text = format!(
            "{}: {rows} rows in {} row group(s); {}",
            self.file.display(),
            metadata.num_row_groups(),
            match &reader.footer().ids[..] {
                [] => "not encoded".to_owned(),
                ids => format!("document {}", ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
            }
        );
        let mut columns = Vec::new();
        for (path, (size, encodings)) in &sizes {
            text += &format!("\n  {path}: {} ({encodings})", bytes(*size));
            let mut entry = json!({ "path": path, "bytes": size, "encodings": encodings });
            let coded = known.iter().flat_map(|d| d.columns()).find(|c| c.name() == without_lists(path));
            if let Some(column) = coded {
                text += &format!(", {} within {}", column.dtype.dtype(), column.bound.bound());
                entry["bound"] = column.bound.bound().to_string().into();
                let is_archived = metadata
                    .file_metadata()
                    .schema_descr()
                    .columns()
                    .iter()
                    .any(|c| c.path().string() == *path && c.physical_type() == parquet::basic::Type::BOOLEAN);
                entry["mode"] = if is_archived { "archive" } else { "plain" }.into();
                if is_archived {
                    text += ", in blocks";
                } else if let Mode::Predict { formula, .. } = &column.mode {
                    let names: Vec<String> = known[0].columns().iter().map(|c| c.name()).collect();
                    let formula = with_names(formula, &names);
                    text += &format!(", predicted: {formula}");
                    entry["mode"] = "predict".into();
                    entry["formula"] = formula.into();
                }
            }
            columns.push(entry);
        }
        let json = json!({
            "rows": rows,
            "row_groups": metadata.num_row_groups(),
            "documents": reader.footer().ids.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "columns": columns,
        });
        Ok(Outcome::new(text, json))
    }
}

/// The path without the levels that Parquet has for lists: `jets.list.element.pt` is `jets.pt`.
fn without_lists(path: &str) -> String {
    let parts: Vec<&str> = path.split('.').collect();
    let is_level = |i: usize| {
        let is_list = |i: usize| parts[i] == "list" && matches!(parts.get(i + 1), Some(&("element" | "item")));
        is_list(i) || (i > 0 && is_list(i - 1))
    };
    (0..parts.len()).filter(|&i| !is_level(i)).map(|i| parts[i]).collect::<Vec<_>>().join(".")
}

/// `1*x4*cos(x6)` with the names of the columns.
fn with_names(formula: &str, names: &[String]) -> String {
    let mut text = String::new();
    let mut rest = formula;
    while let Some(at) = rest.find('x') {
        let digits: String = rest[at + 1..].chars().take_while(char::is_ascii_digit).collect();
        let name = digits.parse().ok().and_then(|i: usize| names.get(i));
        text += &rest[..at];
        text += name.map_or("x", String::as_str);
        rest = &rest[at + 1 + if name.is_some() { digits.len() } else { 0 }..];
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::{with_names, without_lists};

    #[test]
    fn lists_have_no_levels_in_paths() {
        assert_eq!(without_lists("jets.list.element.pt"), "jets.pt");
        assert_eq!(without_lists("list.pt"), "list.pt");
    }

    #[test]
    fn formulas_are_shown_with_names() {
        let names: Vec<String> = ["pt", "eta"].map(String::from).to_vec();
        assert_eq!(with_names("exp(1*x0*cosh(x1) + 2*x0)", &names), "exp(1*pt*cosh(eta) + 2*pt)");
    }
}
