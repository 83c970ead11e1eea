//! Walking nested columns: structs and lists are taken apart and put together again, leaves are replaced.

use crate::error::Result;
use arrow_array::cast::AsArray;
use arrow_array::{
    Array, ArrayRef, FixedSizeListArray, GenericListArray, Int32Array, OffsetSizeTrait, StructArray, UInt64Array,
};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field, FieldRef, Fields};
use std::sync::Arc;

/// What a leaf becomes; `None`: it stays.
type FieldChange<'a> = dyn FnMut(&[String], &Field) -> Result<Option<Field>> + 'a;
/// See [`FieldChange`]: path, field before and after, array; the last argument tells which elements belong to which row.
type ArrayChange<'a> = dyn FnMut(&[String], &Field, &Field, &ArrayRef, &Rows) -> Result<ArrayRef> + 'a;

/// Lists above a field. Null lists of fixed size hide elements that other systems do not count, so that a list is not
/// looked into if it lies in another one and either has a fixed size.
#[derive(Clone, Copy, PartialEq)]
enum Above {
    Nothing,
    Lists,
    FixedSize,
}

/// The fields of a schema with their leaves changed. Paths leave the elements of lists out.
pub(crate) fn fields(fields: &Fields, change: &mut FieldChange<'_>) -> Result<Fields> {
    struct_fields(fields, &mut Vec::new(), Above::Nothing, change)
}

fn struct_fields(
    fields: &Fields,
    path: &mut Vec<String>,
    above: Above,
    change: &mut FieldChange<'_>,
) -> Result<Fields> {
    let changed = fields.iter().map(|field| {
        path.push(field.name().clone());
        let new = one_field(field, path, above, change);
        path.pop();
        new
    });
    changed.collect()
}

fn one_field(field: &FieldRef, path: &mut Vec<String>, above: Above, change: &mut FieldChange<'_>) -> Result<FieldRef> {
    let kind = match field.data_type() {
        DataType::Struct(children) => DataType::Struct(struct_fields(children, path, above, change)?),
        DataType::List(child) if above != Above::FixedSize => {
            DataType::List(one_field(child, path, Above::Lists, change)?)
        }
        DataType::LargeList(child) if above != Above::FixedSize => {
            DataType::LargeList(one_field(child, path, Above::Lists, change)?)
        }
        DataType::FixedSizeList(child, n) if above == Above::Nothing => {
            DataType::FixedSizeList(one_field(child, path, Above::FixedSize, change)?, *n)
        }
        _ => return Ok(change(path, field)?.map_or_else(|| field.clone(), Arc::new)),
    };
    Ok(Arc::new(field.as_ref().clone().with_data_type(kind)))
}

/// Which elements of a leaf belong to which row of the table.
pub(crate) struct Rows {
    /// First element of each row, and the end; `None`: one element to each row.
    starts: Option<Vec<usize>>,
}

impl Rows {
    /// One element to each row.
    pub const TOP: Rows = Rows { starts: None };

    /// The row of an element, and the element's place in it.
    pub fn place(&self, element: usize) -> (usize, usize) {
        match &self.starts {
            None => (element, 0),
            Some(starts) => {
                let row = starts.partition_point(|&s| s <= element).saturating_sub(1);
                (row, element - starts[row])
            }
        }
    }

    /// The inverse of [`Rows::place`], if there is such an element.
    pub fn element(&self, row: usize, index: usize) -> Option<usize> {
        match &self.starts {
            None => (index == 0).then_some(row),
            Some(starts) => {
                let (start, end) = (*starts.get(row)?, *starts.get(row + 1)?);
                start.checked_add(index).filter(|&e| e < end)
            }
        }
    }

    fn within(&self, n: usize, first_of: impl Fn(usize) -> usize) -> Rows {
        let starts = match &self.starts {
            None => (0..=n).map(first_of).collect(),
            Some(starts) => starts.iter().map(|&s| first_of(s)).collect(),
        };
        Rows { starts: Some(starts) }
    }
}

/// An array with its leaves changed; `to` is its field afterwards, from [`fields`].
pub(crate) fn array(
    array: &ArrayRef,
    from: &Field,
    to: &Field,
    path: &mut Vec<String>,
    rows: &Rows,
    change: &mut ArrayChange<'_>,
) -> Result<ArrayRef> {
    match (from.data_type(), to.data_type()) {
        (a, b) if a == b => Ok(array.clone()),
        (DataType::Struct(from), DataType::Struct(to)) => {
            let parts = array.as_struct();
            let mut columns = Vec::with_capacity(to.len());
            for ((column, from), to) in parts.columns().iter().zip(from).zip(to) {
                path.push(from.name().clone());
                let changed = self::array(column, from, to, path, rows, change);
                path.pop();
                columns.push(changed?);
            }
            Ok(Arc::new(StructArray::try_new(to.clone(), columns, parts.nulls().cloned())?))
        }
        (DataType::List(from), DataType::List(to)) => list::<i32>(array, from, to, path, rows, change),
        (DataType::LargeList(from), DataType::LargeList(to)) => list::<i64>(array, from, to, path, rows, change),
        (DataType::FixedSizeList(from, n), DataType::FixedSizeList(to, _)) => {
            let lists = array.as_fixed_size_list();
            let size = usize::try_from(*n).unwrap_or(0);
            let rows = rows.within(lists.len(), |i| i * size);
            let values = lists.values().slice(0, lists.len() * size);
            let values = self::array(&values, from, to, path, &rows, change)?;
            Ok(Arc::new(FixedSizeListArray::try_new(to.clone(), *n, values, lists.nulls().cloned())?))
        }
        _ => change(path, from, to, array, rows),
    }
}

fn list<O: OffsetSizeTrait>(
    array: &ArrayRef,
    from: &FieldRef,
    to: &FieldRef,
    path: &mut Vec<String>,
    rows: &Rows,
    change: &mut ArrayChange<'_>,
) -> Result<ArrayRef> {
    let lists = array.as_list::<O>();
    let has_hidden = (0..lists.len()).any(|i| lists.is_null(i) && lists.value_length(i) != O::usize_as(0));
    let compact;
    let lists = if has_hidden {
        // Elements under null lists are not written to files, and must not be counted.
        compact = arrow_select::take::take(array, &UInt64Array::from_iter_values(0..array.len() as u64), None)?;
        compact.as_list::<O>()
    } else {
        lists
    };
    let offsets = lists.value_offsets();
    let first = offsets[0];
    let offsets: Vec<O> = offsets.iter().map(|&o| o - first).collect();
    let len = offsets.last().map_or(0, |o| o.as_usize());
    let values = lists.values().slice(first.as_usize(), len);
    let rows = rows.within(lists.len(), |i| offsets[i].as_usize());
    let values = self::array(&values, from, to, path, &rows, change)?;
    let offsets = OffsetBuffer::new(offsets.into());
    Ok(Arc::new(GenericListArray::<O>::try_new(to.clone(), offsets, values, lists.nulls().cloned())?))
}

/// Integers as an array, nothing where there is none.
pub(crate) fn narrow(codes: Vec<i64>, nulls: Option<arrow_buffer::NullBuffer>) -> ArrayRef {
    Arc::new(Int32Array::new(codes.into_iter().map(|c| c as i32).collect(), nulls))
}
