//! What a command prints: text for people, or one JSON object for programs.

use serde_json::Value;

/// The result of a command.
pub struct Report {
    /// For people; may hold several lines.
    pub text: String,
    /// For programs (`--json`).
    pub json: Value,
    /// A check came out badly: the report is printed, and the exit code is [`crate::failure::Code::BoundBroken`].
    pub bound_broken: bool,
}

impl Report {
    pub fn new(text: impl Into<String>, json: Value) -> Self {
        Self { text: text.into(), json, bound_broken: false }
    }
}

/// Bytes as people read them, and in full where that is short.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let (mut value, mut unit) = (n as f64, 0);
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{n} B") } else { format!("{value:.3} {}", UNITS[unit]) }
}

/// A ratio with as many digits as mean something.
pub fn ratio(before: u64, after: u64) -> f64 {
    if after == 0 { 0.0 } else { before as f64 / after as f64 }
}

/// `n thing` or `n things`.
pub fn count(n: u64, thing: &str) -> String {
    format!("{n} {thing}{}", if n == 1 { "" } else { "s" })
}

/// A float for JSON, which has no NaN and no infinity: those become strings.
pub fn number(v: f64) -> Value {
    serde_json::Number::from_f64(v).map_or_else(|| Value::String(v.to_string()), Value::Number)
}

/// Rows with aligned columns, two blanks between them.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width: Vec<usize> = (0..columns)
        .map(|c| rows.iter().filter_map(|r| r.get(c)).map(|s| s.chars().count()).max().unwrap_or(0))
        .collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (c, cell) in row.iter().enumerate() {
            line += &format!("{cell:<w$}  ", w = width[c]);
        }
        out += line.trim_end();
        out.push('\n');
    }
    out.truncate(out.trim_end().len());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_readable() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_200_000), "1.200 MB");
    }

    #[test]
    fn table_aligns() {
        let rows = [vec!["a".into(), "b".into()], vec!["long".into(), "c".into()]];
        assert_eq!(table(&rows), "a     b\nlong  c");
    }
}
