//! A folder or file of encoded Parquet as a table of values.

use crate::bridge::{external, schema_from_ours, schema_to_ours};
use crate::condition::on_codes;
use crate::decode::DecodeExec;
use baler_arrow::parquet::{BalerParquetReaderBuilder, InputFile};
use baler_arrow::{BLOCK_COLUMN, Decoder, Document, DocumentId, Documents, EXACT_COLUMN, MODEL_COLUMN, ROW_COLUMN};
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::DFSchema;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::prelude::SessionContext;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A table of values over files of codes, of files that are not encoded, or of both documents' codes after a merge.
#[derive(Debug)]
pub struct BalerTable {
    codes: ListingTable,
    documents: Vec<Arc<Document>>,
    schema: SchemaRef,
}

impl BalerTable {
    /// A file, or a folder of `*.parquet` with partitions (`year=2026/`), of the local file system. Reads every footer.
    ///
    /// # Errors
    /// No file, a file that is not Parquet, a document that is nowhere to be found.
    pub async fn open(context: &SessionContext, path: impl AsRef<Path>) -> Result<Self> {
        let path = std::path::absolute(path.as_ref()).map_err(external)?;
        let mut files = Vec::new();
        find(&path, &mut files)
            .map_err(|e| DataFusionError::Context(path.display().to_string(), Box::new(external(e))))?;
        if files.is_empty() {
            return Err(DataFusionError::Plan(format!("{}: no *.parquet file in it", path.display())));
        }
        let mut documents: Vec<Arc<Document>> = Vec::new();
        for file in &files {
            for document in documents_of(file).map_err(|e| external(e.context(file.display())))? {
                if documents.iter().all(|d| d.id() != document.id()) {
                    documents.push(document);
                }
            }
        }
        // Strings as strings: ours knows no views.
        let format = ParquetFormat::default().with_force_view_types(false);
        let options = ListingOptions::new(Arc::new(format)).with_file_extension(".parquet");
        let folder = if path.is_dir() { format!("{}/", path.display()) } else { path.display().to_string() };
        let state = context.state();
        let config = ListingTableConfig::new(ListingTableUrl::parse(folder)?).with_listing_options(options);
        let config = config.infer_partitions_from_path(&state).await?.infer_schema(&state).await?;
        let codes = ListingTable::try_new(config)?;
        let mut table = Self { codes, documents, schema: Arc::new(Schema::empty()) };
        let ours = schema_to_ours(&table.codes.schema())?;
        let decoder = Decoder::new(&ours, table.known(), &table.ids()).map_err(external)?;
        table.schema = Arc::new(schema_from_ours(decoder.schema())?);
        Ok(table)
    }

    fn known(&self) -> Documents {
        let mut known = Documents::new();
        self.documents.iter().for_each(|document| known.add(document.clone()));
        known
    }

    fn ids(&self) -> Vec<DocumentId> {
        self.documents.iter().map(|document| document.id()).collect()
    }

    /// Whether row groups are read whole, as blocks.
    fn is_archive(&self) -> bool {
        self.codes.schema().column_with_name(BLOCK_COLUMN).is_some() && !self.documents.is_empty()
    }

    fn is_coded(&self, name: &str) -> bool {
        self.documents.iter().flat_map(|d| d.columns()).any(|column| column.path[0] == name)
    }

    fn is_plain(&self, filter: &Expr) -> bool {
        filter.column_refs().iter().all(|column| !self.is_coded(column.name()))
    }

    /// The condition on codes that a row has to meet which meets this one.
    fn translated(&self, filter: &Expr) -> Option<Expr> {
        if self.is_archive() {
            return None;
        }
        if self.is_plain(filter) {
            return Some(filter.clone());
        }
        on_codes(filter, &self.codes.schema(), &self.documents)
    }
}

#[async_trait::async_trait]
impl TableProvider for BalerTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let support = |filter: &&Expr| match self.translated(filter) {
            Some(_) if self.is_plain(filter) => TableProviderFilterPushDown::Exact,
            Some(_) => TableProviderFilterPushDown::Inexact,
            None => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(support).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let output = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => self.schema.clone(),
        };
        let on_codes: Vec<Expr> = filters.iter().filter_map(|filter| self.translated(filter)).collect();
        let mut needed: BTreeSet<String> = output.fields().iter().map(|field| field.name().clone()).collect();
        for name in needed.clone() {
            needed.extend(self.documents.iter().flat_map(|document| document.parents(&name)));
        }
        for expr in &on_codes {
            needed.extend(expr.column_refs().iter().map(|column| column.name().to_owned()));
        }
        let any_codes = needed.iter().any(|name| self.is_coded(name));
        if any_codes {
            needed.extend([MODEL_COLUMN, EXACT_COLUMN, ROW_COLUMN, BLOCK_COLUMN].map(str::to_owned));
        }
        let all = self.codes.schema();
        let positions: Vec<usize> = (0..all.fields().len()).filter(|&i| needed.contains(all.field(i).name())).collect();
        // A limit counts rows that are left: below a condition it would count others.
        let limit = limit.filter(|_| filters.is_empty());
        let mut plan = self.codes.scan(state, Some(&positions), &on_codes, limit).await?;
        if let Some(condition) = conjunction(on_codes) {
            let condition = unqualified(condition)?;
            let schema = DFSchema::try_from(plan.schema().as_ref().clone())?;
            // DataFusion hands it on to the scan, whose statistics and page indexes prune by it.
            plan = Arc::new(FilterExec::try_new(state.create_physical_expr(condition, &schema)?, plan)?);
        }
        let (documents, ids) = if any_codes { (self.known(), self.ids()) } else { (Documents::new(), Vec::new()) };
        Ok(Arc::new(DecodeExec::new(plan, output, documents, ids)))
    }
}

/// Names of columns without that of their table, which the scan does not know.
fn unqualified(condition: Expr) -> Result<Expr> {
    use datafusion::common::Column;
    use datafusion::common::tree_node::{Transformed, TreeNode};
    let condition = condition.transform(|expr| {
        Ok(match expr {
            Expr::Column(column) if column.relation.is_some() => {
                Transformed::yes(Expr::Column(Column::new_unqualified(column.name)))
            }
            other => Transformed::no(other),
        })
    })?;
    Ok(condition.data)
}

/// The documents that the rows of a file name.
fn documents_of(file: &Path) -> baler_arrow::Result<Vec<Arc<Document>>> {
    let mut places = Documents::beside(file);
    let reader = BalerParquetReaderBuilder::try_new(InputFile::open(file)?, places.clone())?;
    if let Some(document) = &reader.footer().document {
        places.add(document.clone());
    }
    reader.footer().ids.iter().map(|id| places.find(id, &reader.column_names().join(", "))).collect()
}

/// Parquet files below a path; names that begin with a dot or an underscore are none of the table's.
fn find(path: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if !path.metadata()?.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with(['.', '_']) && (entry.path().is_dir() || name.ends_with(".parquet")) {
            find(&entry.path(), files)?;
        }
    }
    Ok(())
}
