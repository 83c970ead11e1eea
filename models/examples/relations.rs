//! Formulas between the columns of a raw table: `relations FILE float32|float64 COLUMNS [ROWS]`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [file, dtype, columns, rest @ ..] = &args[..] else {
        return Err("usage: relations FILE float32|float64 COLUMNS [ROWS]".into());
    };
    let n: usize = columns.parse()?;
    let bytes = std::fs::read(file)?;
    let values: Vec<f64> = match &**dtype {
        "float32" => bytes.as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect(),
        _ => bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
    };
    let rows = rest.first().map_or(Ok(usize::MAX), |r| r.parse())?.min(values.len() / n);
    let columns: Vec<Vec<f64>> = (0..n).map(|c| (0..rows).map(|r| values[r * n + c]).collect()).collect();
    let start = std::time::Instant::now();
    for found in baler_models::relations::search(&columns, &mut |_, _| {}) {
        println!("{} {}", found.column, found.formula);
        eprintln!("    saves {:.2?} bits", found.saved_bits);
    }
    eprintln!("{:.1?}", start.elapsed());
    Ok(())
}
