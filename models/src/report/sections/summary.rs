//! What was compressed, to what size, and whether the promise was kept.

use crate::report::numbers::{bytes, short};
use crate::report::page::{Block, Cell, Section, Table};
use crate::report::{Array, Bound, Report};

pub(super) fn section(report: &Report) -> Option<Section> {
    let sizes = &report.sizes;
    let worst = report
        .arrays
        .iter()
        .filter_map(|a| a.max_error_over_bound)
        .fold(None, |m: Option<f64>, v| Some(m.map_or(v, |m| m.max(v))));
    let special: u64 = report.arrays.iter().map(|a| a.n_special).sum();
    let broken: u64 = report.arrays.iter().map(|a| a.n_broken).sum();
    let model_note = match (sizes.model_bytes, sizes.decoder_bytes) {
        (0, 0) => "no model is needed".to_owned(),
        (0, d) => format!("{:.2} with the {} of the model, which is built in", sizes.ratio_with_model, bytes(d)),
        (m, _) => format!("{:.2} without the {} of models in the file", sizes.ratio_without_model, bytes(m)),
    };
    let mut cards = vec![
        ("Ratio".to_owned(), format!("{:.2}", sizes.ratio), model_note),
        (
            "Size".to_owned(),
            bytes(sizes.stored_bytes),
            format!(
                "of {} of values; the original file has {}",
                bytes(sizes.value_bytes),
                bytes(report.original.bytes)
            ),
        ),
        ("Bound".to_owned(), bounds(&report.arrays), dtype_note(&report.arrays)),
    ];
    let promises = report.arrays.iter().any(|a| a.bound.kind != "latent");
    cards.push(if promises {
        let note = match worst {
            _ if broken > 0 => format!("{broken} values break it"),
            Some(w) if report.arrays.iter().any(|a| a.bound.kind != "lossless") => {
                format!("largest error / bound: {w:.6}")
            }
            _ => "every value compared".to_owned(),
        };
        ("Bound kept".to_owned(), if report.kept { "yes" } else { "NO" }.to_owned(), note)
    } else {
        ("Bound kept".to_owned(), "none asked".to_owned(), "latents alone promise nothing".to_owned())
    });
    if special > 0 {
        let kept = if broken == 0 { "all came back bit for bit" } else { "see the values that break the bound" };
        cards.push(("NaN, ±∞, −0, fill".to_owned(), special.to_string(), kept.to_owned()));
    }
    let mut blocks = vec![Block::Cards(cards)];
    if !report.kept {
        blocks.push(Block::Warning(format!("The bound is broken by {broken} values: do not trust this file.")));
    }
    for array in report.arrays.iter().filter(|a| a.is_float32_inside) {
        blocks.push(Block::Warning(format!(
            "Every value of {:?} is one of float32, although the file stores float64: against float32 the ratio is {:.2}, and \
             the other half is a cast that loses nothing.",
            array.name,
            sizes.ratio / 2.0
        )));
    }
    blocks.push(Block::Table(arrays(&report.arrays)));
    Some(Section { id: "summary", title: "Summary", blocks })
}

fn bounds(arrays: &[Array]) -> String {
    let mut texts: Vec<String> = arrays.iter().map(|a| bound(&a.bound)).collect();
    texts.dedup();
    match &texts[..] {
        [] => "–".into(),
        [one] => one.clone(),
        _ => "several".into(),
    }
}

pub(super) fn bound(bound: &Bound) -> String {
    let value = match bound.kind {
        "lossless" | "latent" => return bound.kind.into(),
        "psnr" => format!("{} dB", short(bound.value)),
        _ => short(bound.value),
    };
    format!("{} {value}{}", bound.kind, if bound.per_column { " per column" } else { "" })
}

fn dtype_note(arrays: &[Array]) -> String {
    let mut dtypes: Vec<&str> = arrays.iter().map(|a| &*a.dtype).collect();
    dtypes.sort_unstable();
    dtypes.dedup();
    format!("sizes and ratio are against {}, as stored in the original", dtypes.join(", "))
}

fn arrays(arrays: &[Array]) -> Table {
    let head = [
        "array",
        "type",
        "shape",
        "bound",
        "kept",
        "bytes",
        "stored",
        "values",
        "special",
        "largest error",
        "error / bound",
        "PSNR [dB]",
        "written by",
    ];
    let row = |(i, a): (usize, &Array)| {
        let at = |field: &str| Cell::at(format!("/arrays/{i}/{field}"));
        let shape: Vec<String> = a.shape.iter().map(u64::to_string).collect();
        let winners: Vec<String> = a.candidates.iter().map(|(name, n)| format!("{name} {n}")).collect();
        let cells = vec![
            at("dtype"),
            Cell::text(shape.join(" × ")),
            Cell::text(bound(&a.bound)),
            at("kept"),
            at("value_bytes"),
            at("stored_bytes"),
            at("n_values"),
            at("n_special"),
            at("max_error"),
            Cell::Share(format!("/arrays/{i}/max_error_over_bound")),
            at("psnr"),
            Cell::text(winners.join(", ")),
        ];
        (a.name.clone(), cells)
    };
    Table {
        caption: "Arrays. Special values are NaN, infinities, −0 and fill values; they come back bit for bit. PSNR refers to \
                  the range of the array; – where nothing differs."
            .into(),
        head: head.map(Into::into).into(),
        rows: arrays.iter().enumerate().map(row).collect(),
    }
}
