//! Sections as one HTML page that needs nothing else, and as files of their own.
//!
//! The page runs no script and loads nothing: its policy forbids both, so that a name in somebody's file cannot either.

use super::Report;
use super::chart::Figure;
use super::chart::svg::PALETTE;
use super::numbers::{count, escape, number};
use super::sections::SECTIONS;
use serde_json::Value;
use std::fmt::Write as _;

/// One section.
pub(super) struct Section {
    /// Anchor: a word.
    pub id: &'static str,
    pub title: &'static str,
    pub blocks: Vec<Block>,
}

/// What sections are made of.
pub(super) enum Block {
    /// A heading within the section.
    Heading(String),
    /// A paragraph.
    Text(String),
    /// What must not be overlooked.
    Warning(String),
    /// A few large figures: what, figure, note.
    Cards(Vec<(String, String, String)>),
    Table(Table),
    /// Beside each other as far as there is room.
    Figures(Vec<Figure>),
}

/// Rows of figures under headings.
pub(super) struct Table {
    pub caption: String,
    /// Of all columns, the first too.
    pub head: Vec<String>,
    /// Name of the row, and its cells.
    pub rows: Vec<(String, Vec<Cell>)>,
}

/// One cell.
pub(super) enum Cell {
    Text(String),
    /// The number at this path of the JSON (RFC 6901).
    At(String),
    /// The same with six decimals, for shares of a bound: 0.99999 is not 1.
    Share(String),
}

impl Cell {
    pub fn at(path: impl Into<String>) -> Self {
        Cell::At(path.into())
    }

    pub fn text(text: impl Into<String>) -> Self {
        Cell::Text(text.into())
    }
}

/// A report, rendered.
pub struct Rendered {
    /// The page.
    pub html: String,
    /// The numbers, as they stand in the page too.
    pub json: Value,
    /// Every plot as SVG and every picture as PNG: file name, content.
    pub files: Vec<(String, Vec<u8>)>,
}

/// Makes the page, its files and the JSON.
///
/// # Errors
/// Where a number cannot be written as JSON, which those of a [`Report`] all can.
pub fn render(report: &Report) -> Result<Rendered, serde_json::Error> {
    let json = serde_json::to_value(report)?;
    let sections: Vec<Section> = SECTIONS.iter().filter_map(|section| section(report)).collect();
    let mut files = Vec::new();
    let mut body = String::new();
    for section in &sections {
        let _ = write!(
            body,
            "<section id=\"{0}\" aria-labelledby=\"{0}-h\"><h2 id=\"{0}-h\">{1}</h2>",
            section.id, section.title
        );
        for block in &section.blocks {
            write_block(&mut body, block, &json, &mut files);
        }
        body += "</section>\n";
    }
    let title = format!("{} – Baler report", report.original.path.rsplit(['/', '\\']).next().unwrap_or_default());
    let links: String = sections.iter().map(|s| format!("<a href=\"#{}\">{}</a> ", s.id, s.title)).collect();
    let html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n<style>{style}</style>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#main\">Skip to the content</a>\n\
         <header><h1>{heading}</h1><p class=\"sub\">compressed to <code>{compressed}</code></p>\
         <nav aria-label=\"Sections\">{links}</nav></header>\n<main id=\"main\" tabindex=\"-1\">\n{body}</main>\n\
         <footer>Written by {program}; the numbers of this page are in it as JSON, schema <code>{schema}</code>.</footer>\n\
         <script type=\"application/json\" id=\"report-data\">{data}</script>\n</body>\n</html>\n",
        title = escape(&title),
        style = style(),
        heading = escape(&report.original.path),
        compressed = escape(&report.compressed.path),
        program = escape(&report.program),
        schema = report.schema,
        data = inside_script(&json.to_string()),
    );
    Ok(Rendered { html, json, files })
}

/// JSON that cannot end the element it stands in.
fn inside_script(json: &str) -> String {
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

fn write_block(out: &mut String, block: &Block, json: &Value, files: &mut Vec<(String, Vec<u8>)>) {
    let _ = match block {
        Block::Heading(text) => write!(out, "<h3>{}</h3>", escape(text)),
        Block::Text(text) => write!(out, "<p>{}</p>", escape(text)),
        Block::Warning(text) => write!(out, "<p class=\"warning\" role=\"note\">{}</p>", escape(text)),
        Block::Cards(cards) => {
            *out += "<dl class=\"cards\">";
            for (what, figure, note) in cards {
                let _ = write!(
                    out,
                    "<div><dt>{}</dt><dd>{}<small>{}</small></dd></div>",
                    escape(what),
                    escape(figure),
                    escape(note)
                );
            }
            write!(out, "</dl>")
        }
        Block::Table(table) => {
            write_table(out, table, json);
            Ok(())
        }
        Block::Figures(figures) => {
            *out += "<div class=\"figures\">";
            for figure in figures {
                let class = if figure.is_wide { " class=\"wide\"" } else { "" };
                let drawing = figure.svg.inline(&figure.alt);
                let _ = write!(
                    out,
                    "<figure{class}>{drawing}<figcaption>{}</figcaption></figure>",
                    escape(&figure.caption)
                );
                // Two columns may have the same letters in their names.
                let mut name = figure.name.clone();
                let mut n = 2;
                while files.iter().any(|(f, _)| f.strip_suffix(".svg") == Some(&name)) {
                    name = format!("{}-{n}", figure.name);
                    n += 1;
                }
                for (suffix, png) in &figure.images {
                    files.push((format!("{name}-{suffix}.png"), png.clone()));
                }
                files.push((format!("{name}.svg"), figure.svg.standalone(&figure.alt).into_bytes()));
            }
            write!(out, "</div>")
        }
    };
}

fn write_table(out: &mut String, table: &Table, json: &Value) {
    let _ = write!(
        out,
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{0}\"><table><caption>{0}</caption><thead><tr>",
        escape(&table.caption)
    );
    for head in &table.head {
        let _ = write!(out, "<th scope=\"col\">{}</th>", escape(head));
    }
    *out += "</tr></thead><tbody>";
    for (name, cells) in &table.rows {
        let _ = write!(out, "<tr><th scope=\"row\">{}</th>", escape(name));
        for cell in cells {
            let _ = match cell {
                Cell::Text(text) => write!(out, "<td>{}</td>", escape(text)),
                Cell::Share(path) => {
                    let share = json.pointer(path).and_then(Value::as_f64).map_or("–".into(), |v| format!("{v:.6}"));
                    write!(out, "<td class=\"n\" data-path=\"{}\">{share}</td>", escape(path))
                }
                Cell::At(path) => {
                    let value = json.pointer(path);
                    let class = if value.is_some_and(Value::is_string) { "" } else { " class=\"n\"" };
                    write!(out, "<td{class} data-path=\"{}\">{}</td>", escape(path), shown(value))
                }
            };
        }
        *out += "</tr>";
    }
    *out += "</tbody></table></div>";
}

/// A value of the JSON as the page shows it.
fn shown(value: Option<&Value>) -> String {
    match value {
        Some(Value::Number(n)) => n.as_u64().map_or_else(|| number(n.as_f64().unwrap_or(f64::NAN)), count),
        Some(Value::Bool(b)) => if *b { "yes" } else { "NO" }.into(),
        Some(Value::String(s)) => escape(s),
        _ => "–".into(),
    }
}

/// The style sheet, with the palette for light and dark.
fn style() -> String {
    let colours = |pick: fn(&(&str, &str, &str)) -> String| PALETTE.iter().map(pick).collect::<String>();
    format!(
        ":root{{{}}}@media screen and (prefers-color-scheme: dark){{:root{{{}}}}}{}",
        colours(|(name, light, _)| format!("--{name}:{light};")),
        colours(|(name, _, dark)| format!("--{name}:{dark};")),
        include_str!("page.css")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_cannot_end_their_element() {
        let json = serde_json::json!({ "name": "</script><script>alert(1)</script><!-- & " }).to_string();
        let inside = inside_script(&json);
        assert!(!inside.contains(['<', '>', '&']));
        assert_eq!(serde_json::from_str::<Value>(&inside).unwrap(), serde_json::from_str::<Value>(&json).unwrap());
    }

    #[test]
    fn cells_show_what_the_json_holds() {
        let json = serde_json::json!({ "a/b": [0.25, 12345, true, null, "<i>"] });
        let cell = |path: &str| shown(json.pointer(path));
        assert_eq!(cell("/a~1b/0"), "0.2500");
        assert_eq!(cell("/a~1b/1"), "12\u{202f}345");
        assert_eq!([cell("/a~1b/2"), cell("/a~1b/3"), cell("/a~1b/9")], ["yes", "–", "–"]);
        assert_eq!(cell("/a~1b/4"), "&lt;i&gt;");
    }
}
