//! Batches and schemas between two versions of Arrow, by the C data interface: nothing is copied.

use arrow::ffi::{FFI_ArrowArray, FFI_ArrowSchema};
use baler_arrow_array::Array as _;
use baler_arrow_array::ffi as ours;
use datafusion::arrow::array::{Array as _, RecordBatch, StructArray};
use datafusion::arrow::datatypes::Schema;
use datafusion::error::{DataFusionError, Result};

type OurBatch = baler_arrow_array::RecordBatch;
type OurSchema = baler_arrow_schema::Schema;

/// What went wrong, as DataFusion's error.
pub fn external(e: impl std::error::Error + Send + Sync + 'static) -> DataFusionError {
    DataFusionError::External(Box::new(e))
}

/// A batch of DataFusion's as ours.
pub fn to_ours(batch: RecordBatch) -> Result<OurBatch> {
    let n_rows = batch.num_rows();
    let (array, schema) = arrow::ffi::to_ffi(&StructArray::from(batch).to_data())?;
    // SAFETY: both types are `struct ArrowArray` and `struct ArrowSchema` of Arrow's C data interface, whose layout is fixed; the values are moved, so that each is
    // released once. The arrays were just exported, so they are valid.
    let data = unsafe {
        let array: ours::FFI_ArrowArray = std::mem::transmute::<FFI_ArrowArray, _>(array);
        let schema: ours::FFI_ArrowSchema = std::mem::transmute::<FFI_ArrowSchema, _>(schema);
        ours::from_ffi(array, &schema).map_err(external)?
    };
    let (fields, columns, _) = baler_arrow_array::StructArray::from(data).into_parts();
    let options = baler_arrow_array::RecordBatchOptions::new().with_row_count(Some(n_rows));
    OurBatch::try_new_with_options(OurSchema::new(fields).into(), columns, &options).map_err(external)
}

/// A batch of ours as DataFusion's.
pub fn from_ours(batch: OurBatch) -> Result<RecordBatch> {
    let (array, schema) = ours::to_ffi(&baler_arrow_array::StructArray::from(batch).to_data()).map_err(external)?;
    // SAFETY: as in `to_ours`.
    let data = unsafe {
        let array: FFI_ArrowArray = std::mem::transmute::<ours::FFI_ArrowArray, _>(array);
        let schema: FFI_ArrowSchema = std::mem::transmute::<ours::FFI_ArrowSchema, _>(schema);
        arrow::ffi::from_ffi(array, &schema)?
    };
    Ok(RecordBatch::from(StructArray::from(data)))
}

/// A schema of DataFusion's as ours.
pub fn schema_to_ours(schema: &Schema) -> Result<OurSchema> {
    to_ours(RecordBatch::new_empty(schema.clone().into())).map(|batch| batch.schema().as_ref().clone())
}

/// A schema of ours as DataFusion's.
pub fn schema_from_ours(schema: &OurSchema) -> Result<Schema> {
    from_ours(OurBatch::new_empty(schema.clone().into())).map(|batch| batch.schema().as_ref().clone())
}
