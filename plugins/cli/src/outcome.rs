//! What a command prints: text for people, or one JSON object for programs.

use crate::failure::Code;
use serde_json::Value;

/// The result of a command.
pub struct Outcome {
    /// For people; may hold several lines.
    pub text: String,
    /// For programs (`--json`).
    pub json: Value,
    /// A check came out badly: the text is printed, and this is the exit code.
    pub failed: Option<Code>,
}

impl Outcome {
    pub fn new(text: impl Into<String>, json: Value) -> Self {
        Self { text: text.into(), json, failed: None }
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

/// Sizes of a compressed file, with its models counted three ways.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// The values, uncompressed.
    pub value_bytes: u64,
    /// What holds them now: a file, or the chunks of some datasets.
    pub stored_bytes: u64,
    /// Bytes of `stored_bytes` that are models.
    pub model_bytes: u64,
    /// Bytes of every decoder that is needed, built in or not.
    pub decoder_bytes: u64,
}

impl Sizes {
    fn without_model(self) -> u64 {
        self.stored_bytes - self.model_bytes.min(self.stored_bytes)
    }

    /// `1.200 MB -> 15.479 kB, ratio 77.52`, and what the models change about it.
    pub fn text(self) -> String {
        let Self { value_bytes, stored_bytes, model_bytes, decoder_bytes } = self;
        let mut text =
            format!("{} -> {}, ratio {:.2}", bytes(value_bytes), bytes(stored_bytes), ratio(value_bytes, stored_bytes));
        if model_bytes > 0 {
            let without = ratio(value_bytes, self.without_model());
            text += &format!(" ({without:.2} without the {} of models in it)", bytes(model_bytes));
        } else if decoder_bytes > 0 {
            let with = ratio(value_bytes, stored_bytes + decoder_bytes);
            text += &format!(" ({with:.2} with the {} of the model, which is built in)", bytes(decoder_bytes));
        }
        text
    }

    /// Adds the sizes to a JSON object.
    pub fn put(self, json: &mut Value) {
        let without = self.without_model();
        json["value_bytes"] = self.value_bytes.into();
        json["stored_bytes"] = self.stored_bytes.into();
        json["model_bytes"] = self.model_bytes.into();
        json["decoder_bytes"] = self.decoder_bytes.into();
        json["ratio"] = ratio(self.value_bytes, self.stored_bytes).into();
        json["ratio_without_model"] = ratio(self.value_bytes, without).into();
        json["ratio_with_model"] = ratio(self.value_bytes, without + self.model_bytes.max(self.decoder_bytes)).into();
    }
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
    fn models_are_counted_where_they_are() {
        let built_in = Sizes { value_bytes: 1000, stored_bytes: 100, model_bytes: 0, decoder_bytes: 100 };
        assert_eq!(
            built_in.text(),
            "1.000 kB -> 100 B, ratio 10.00 (5.00 with the 100 B of the model, which is built in)"
        );
        let in_file = Sizes { stored_bytes: 200, model_bytes: 100, ..built_in };
        assert_eq!(in_file.text(), "1.000 kB -> 200 B, ratio 5.00 (10.00 without the 100 B of models in it)");
        let mut json = serde_json::json!({});
        in_file.put(&mut json);
        assert_eq!(json["ratio_with_model"], 5.0);
        assert_eq!(json["ratio_without_model"], 10.0);
    }

    #[test]
    fn table_aligns() {
        let rows = [vec!["a".into(), "b".into()], vec!["long".into(), "c".into()]];
        assert_eq!(table(&rows), "a     b\nlong  c");
    }
}
