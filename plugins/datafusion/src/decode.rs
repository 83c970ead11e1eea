//! The plan's node that turns codes into values.

use crate::bridge::{external, from_ours, schema_to_ours, to_ours};
use baler_arrow::{Decoder, DocumentId, Documents};
use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
};
use futures::StreamExt;
use std::fmt;
use std::sync::Arc;

/// Decodes what a scan of codes gives, partition by partition, and keeps the columns that were asked for.
#[derive(Clone, Debug)]
pub struct DecodeExec {
    input: Arc<dyn ExecutionPlan>,
    documents: Documents,
    ids: Vec<DocumentId>,
    properties: Arc<PlanProperties>,
}

impl DecodeExec {
    /// `output` are columns of values, each of which `input` holds as it is or as codes with all that they need.
    pub fn new(input: Arc<dyn ExecutionPlan>, output: SchemaRef, documents: Documents, ids: Vec<DocumentId>) -> Self {
        let n_partitions = input.output_partitioning().partition_count();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(output),
            Partitioning::UnknownPartitioning(n_partitions),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { input, documents, ids, properties: Arc::new(properties) }
    }
}

impl DisplayAs for DecodeExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> =
            self.properties.eq_properties.schema().fields().iter().map(|x| x.name().as_str()).collect();
        write!(f, "BalerDecodeExec: columns=[{}]", names.join(", "))
    }
}

impl ExecutionPlan for DecodeExec {
    fn name(&self) -> &str {
        "BalerDecodeExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => {
                Ok(Arc::new(Self::new(input, self.schema(), self.documents.clone(), self.ids.clone())))
            }
            _ => Err(DataFusionError::Internal("BalerDecodeExec has one child".into())),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let codes = self.input.execute(partition, context)?;
        let schema = schema_to_ours(&codes.schema())?;
        let mut decoder = Decoder::new(&schema, self.documents.clone(), &self.ids).map_err(external)?;
        let output = self.schema();
        let kept = output.clone();
        let values = codes.map(move |batch| {
            let batch = from_ours(decoder.decode(&to_ours(batch?)?).map_err(external)?)?;
            let n_rows = batch.num_rows();
            let column = |name: &String| {
                let found = batch.column_by_name(name).cloned();
                found.ok_or_else(|| DataFusionError::Internal(format!("no column {name} was decoded")))
            };
            let columns = kept.fields().iter().map(|field| column(field.name())).collect::<Result<_>>()?;
            let options = RecordBatchOptions::new().with_row_count(Some(n_rows));
            Ok(RecordBatch::try_new_with_options(kept.clone(), columns, &options)?)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(output, values)))
    }
}
