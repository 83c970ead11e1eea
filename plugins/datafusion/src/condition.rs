//! Conditions on values as conditions on codes.

use baler_arrow::{Comparison, Document, EXACT_COLUMN};
use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::{Between, BinaryExpr, Cast, Expr, Operator, col, lit};
use std::sync::Arc;

/// A condition that every row keeps which meets `filter`; `None` where codes say nothing about it.
///
/// Of several documents, as after a merge of tables, the ranges of codes are taken together.
pub fn on_codes(filter: &Expr, codes: &Schema, documents: &[Arc<Document>]) -> Option<Expr> {
    let translate = |filter: &Expr| on_codes(filter, codes, documents);
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => match (translate(left), translate(right)) {
            (Some(left), Some(right)) => Some(left.and(right)),
            (one, other) => one.or(other),
        },
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => Some(translate(left)?.or(translate(right)?)),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match (column(left), number(right)) {
            (Some(column), Some(limit)) => compared(column, comparison(*op)?, limit, codes, documents),
            _ => compared(column(right)?, comparison(op.swap()?)?, number(left)?, codes, documents),
        },
        Expr::Between(Between { expr, negated: false, low, high }) => {
            let column = column(expr)?;
            let low = compared(column, Comparison::GreaterOrEqual, number(low)?, codes, documents)?;
            Some(low.and(compared(column, Comparison::LessOrEqual, number(high)?, codes, documents)?))
        }
        _ => None,
    }
}

fn comparison(op: Operator) -> Option<Comparison> {
    match op {
        Operator::Lt => Some(Comparison::Less),
        Operator::LtEq => Some(Comparison::LessOrEqual),
        Operator::Eq => Some(Comparison::Equal),
        Operator::GtEq => Some(Comparison::GreaterOrEqual),
        Operator::Gt => Some(Comparison::Greater),
        _ => None,
    }
}

/// A column, widened or not: widening changes no value.
fn column(expr: &Expr) -> Option<&Column> {
    match expr {
        Expr::Column(column) => Some(column),
        Expr::Cast(Cast { expr, field }) if *field.data_type() == DataType::Float64 => column(expr),
        _ => None,
    }
}

fn number(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::Literal(ScalarValue::Float64(v), _) => *v,
        Expr::Literal(ScalarValue::Float32(v), _) => v.map(f64::from),
        Expr::Literal(ScalarValue::Float16(v), _) => v.map(f64::from),
        _ => None,
    }
}

fn compared(
    column: &Column,
    comparison: Comparison,
    limit: f64,
    codes: &Schema,
    documents: &[Arc<Document>],
) -> Option<Expr> {
    let name = column.name();
    let kind = codes.field_with_name(name).ok()?.data_type();
    let code = || col(Column::new_unqualified(name));
    let within = |document: &Arc<Document>| {
        let (start, end) = document.code_range(&[name], comparison, limit)?.into_inner();
        Some(if start <= end {
            code().gt_eq(literal(start, kind)?).and(code().lt_eq(literal(end, kind)?))
        } else {
            lit(false)
        })
    };
    let choices = documents.iter().map(within).collect::<Option<Vec<_>>>()?;
    // What codes cannot give back may meet any condition.
    let exact = code().is_null().and(col(Column::new_unqualified(EXACT_COLUMN)).is_not_null());
    Some(choices.into_iter().fold(exact, |all, one| one.or(all)))
}

fn literal(code: i64, kind: &DataType) -> Option<Expr> {
    match kind {
        DataType::Int32 => Some(lit(i32::try_from(code).ok()?)),
        DataType::Int64 => Some(lit(code)),
        _ => None,
    }
}
