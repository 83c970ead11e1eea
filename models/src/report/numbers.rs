//! Numbers as people read them.

/// Four significant digits: `0.01234`, `12.34`, `1.234e-7`; whole numbers in full.
pub fn number(v: f64) -> String {
    if !v.is_finite() {
        return if v.is_nan() {
            "–".into()
        } else if v > 0.0 {
            "∞".into()
        } else {
            "−∞".into()
        };
    }
    if v == v.trunc() && v.abs() < 1e7 {
        return signed(format!("{v:.0}"));
    }
    let exponent = v.abs().log10().floor() as i32;
    if (-4..6).contains(&exponent) {
        return signed(format!("{v:.*}", (3 - exponent).max(0) as usize));
    }
    let text = format!("{v:.3e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    signed(format!("{digits}×10{}", superscript(exponent.parse().unwrap_or(0))))
}

/// A number somebody chose, such as a bound: in as many digits as it has, if those are few.
pub fn short(v: f64) -> String {
    let text = v.to_string();
    if text.len() <= 7 { signed(text) } else { number(v) }
}

/// What [`number`] wrote, read back.
pub fn parse(text: &str) -> Option<f64> {
    let text = text.trim().replace('−', "-");
    match &*text {
        "–" => return Some(f64::NAN),
        "∞" => return Some(f64::INFINITY),
        "-∞" => return Some(f64::NEG_INFINITY),
        _ => {}
    }
    let Some((digits, power)) = text.split_once("×10") else { return text.replace('\u{202f}', "").parse().ok() };
    let power: String = power.chars().map(|c| SUPERSCRIPTS.iter().position(|s| *s == c).map_or('-', digit)).collect();
    format!("{digits}e{power}").parse().ok()
}

const SUPERSCRIPTS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];

fn digit(i: usize) -> char {
    char::from(b'0' + i as u8)
}

/// A true minus sign, as wide as a plus.
fn signed(text: String) -> String {
    if let Some(size) = text.strip_prefix('-') {
        // Not "-0.000".
        let is_zero = size.chars().all(|c| !c.is_ascii_digit() || c == '0') && !size.contains('×');
        return if is_zero { size.to_owned() } else { format!("−{size}") };
    }
    text
}

/// An exponent: `⁻³`.
pub fn superscript(n: i32) -> String {
    let digits = n.unsigned_abs().to_string();
    let digits = digits.bytes().map(|b| SUPERSCRIPTS[usize::from(b - b'0')]);
    if n < 0 { std::iter::once('⁻').chain(digits).collect() } else { digits.collect() }
}

/// A whole number with narrow blanks between the thousands.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) && digits.len() > 4 {
            out.push('\u{202f}');
        }
        out.push(c);
    }
    out
}

/// Bytes in decimal units: `1.200 MB`.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let (mut value, mut unit) = (n as f64, 0);
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{n} B") } else { format!("{value:.3} {}", UNITS[unit]) }
}

/// With a prefix of the SI: `3.42 kJ`, `12.1 mg`.
pub fn with_prefix(v: f64, unit: &str) -> String {
    const PREFIXES: [(f64, &str); 7] =
        [(1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n")];
    let (scale, prefix) = PREFIXES.into_iter().find(|(s, _)| v.abs() >= *s).unwrap_or((1.0, ""));
    let v = v / scale;
    let digits = if v.abs() >= 100.0 {
        0
    } else if v.abs() >= 10.0 {
        1
    } else {
        2
    };
    format!("{v:.digits$} {prefix}{unit}")
}

/// Text that is safe inside of HTML and SVG, in elements and in quoted attributes. Controls, which no document may hold,
/// become U+FFFD.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            c if c.is_control() && !matches!(c, '\n' | '\t') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_four_digits_and_read_back() {
        for (v, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (12.3456, "12.35"),
            (-0.01234567, "−0.01235"),
            (1.23456e-7, "1.235×10⁻⁷"),
            (-2.5e30, "−2.500×10³⁰"),
            (123_456.7, "123457"),
            (42.0, "42"),
            (f64::NAN, "–"),
        ] {
            assert_eq!(number(v), text);
            let back = parse(text).unwrap();
            assert!(back.is_nan() && v.is_nan() || (back - v).abs() <= 5.1e-4 * v.abs(), "{text}: {back}");
        }
        assert_eq!(parse(&count(1_234_567)), Some(1_234_567.0));
        assert_eq!(count(1234), "1234");
    }

    #[test]
    fn bounds_are_as_they_were_given() {
        assert_eq!([0.001, 12.5, -3.0, 1.0 / 3.0].map(short), ["0.001", "12.5", "−3", "0.3333"]);
    }

    #[test]
    fn prefixes() {
        assert_eq!(with_prefix(3420.0, "J"), "3.42 kJ");
        assert_eq!(with_prefix(0.0121, "g"), "12.1 mg");
        assert_eq!(with_prefix(0.0, "J"), "0.00 J");
    }

    #[test]
    fn markup_is_text() {
        assert_eq!(escape("<b a='\"&\u{0}"), "&lt;b a=&#39;&quot;&amp;\u{fffd}");
    }
}
