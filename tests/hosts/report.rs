//! The HTML report in a browser: it renders, says nothing on the console, and shows the numbers of its JSON.
//!
//! Screenshots (light, dark) and the printed page stay in `target/report/`.

use crate::bench::{Bench, Need, Outcome, success};
use libtest_mimic::Trial;
use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

/// Every trial of this host.
pub fn trials(bench: &Arc<Bench>) -> Vec<Trial> {
    let needs = &[Need::Baler, Need::Program("chromium"), Need::Program("python3")];
    vec![
        bench.trial("report::table_in_chromium", needs, table),
        bench.trial("report::field_in_chromium", needs, field),
        bench.trial("report::a_console_error_is_noticed", &[Need::Program("chromium")], console),
    ]
}

/// A table of jets, with names that would do harm if they were not escaped, and all that a report can be given.
fn table(bench: &Bench, folder: &Path) -> Outcome {
    let names =
        ["pt", "eta", "phi", "</script><script>console.error('name')</script>", "<img src=x onerror=console.error(1)>"];
    let n_rows = 20_000;
    let mut random = 1u64;
    let mut uniform = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 11) as f64 / (1u64 << 53) as f64
    };
    let mut values = Vec::new();
    for i in 0..n_rows {
        let pt = 20.0 - 30.0 * (1.0 - uniform()).ln();
        let eta = (0..6).map(|_| uniform() - 0.5).sum::<f64>() * 1.6;
        let phi = (uniform() * 2.0 - 1.0) * std::f64::consts::PI;
        let quality = if i % 4 == 0 { 0.0 } else { uniform() };
        let gap = if i % 1000 == 7 { f64::NAN } else { (uniform() * 12.0).floor() };
        values.extend([pt, eta, phi, quality, gap].map(|v| v as f32));
    }
    let data = npy("<f4", &format!("({n_rows}, {})", names.len()), values.iter().flat_map(|v| v.to_le_bytes()));
    let longest = names.iter().map(|n| n.len()).max().unwrap_or(1);
    let text = names.iter().flat_map(|n| {
        let padded = n.chars().chain(std::iter::repeat('\0')).take(longest);
        padded.flat_map(|c| u32::from(c).to_le_bytes()).collect::<Vec<_>>()
    });
    let names_npy = npy(&format!("<U{longest}"), &format!("({},)", names.len()), text);
    write(folder, "data.npy", &data)?;
    write(folder, "names.npy", &names_npy)?;
    zip(folder, "events.npz", &["data.npy", "names.npy"])?;
    write(folder, "events.train.json", training_log().as_bytes())?;
    write(folder, "bench.json", bench_results(n_rows, names.len()).as_bytes())?;
    baler(bench, folder, "compress events.npz events.baler --rel 1e-3 --columns")?;
    let line = "report events.npz events.baler --assets assets --training events.train.json --bench bench.json --bounds 1e-2,1e-3";
    baler(bench, folder, line)?;
    let mut notes = examine(bench, folder, "table", 60)?;
    let html = read(folder, "report.html")?;
    if html.contains("<script>console") || html.contains("<img src=x") {
        return Err("a name of a column became markup".into());
    }
    for section in ["summary", "variables", "distributions", "rate", "training", "energy"] {
        if !html.contains(&format!("<section id=\"{section}\"")) {
            return Err(format!("section {section} is missing"));
        }
    }
    for file in [
        "distribution-pt.svg",
        "response-pt.svg",
        "residual-pt.svg",
        "residuals-of-all-variables.svg",
        "training-loss.svg",
        "rate-distortion.svg",
    ] {
        if !folder.join("assets").join(file).is_file() {
            return Err(format!("{file} is missing"));
        }
    }
    notes.push(format!("{} variables", names.len()));
    Ok(notes)
}

/// Frames of waves.
fn field(bench: &Bench, folder: &Path) -> Outcome {
    let (frames, height, width) = (12, 72, 96);
    let value = |i: usize| {
        let (t, y, x) = (i / (height * width), i / width % height, i % width);
        let (t, y, x) = (t as f32, y as f32 / 9.0, x as f32 / 7.0);
        (x + 0.3 * t).sin() * (y - 0.1 * t).cos() + 0.2 * (2.7 * x + 1.9 * y).sin() + 280.0
    };
    let values: Vec<f32> = (0..frames * height * width).map(value).collect();
    let shape = format!("({frames}, {height}, {width})");
    write(folder, "field.npy", &npy("<f4", &shape, values.iter().flat_map(|v| v.to_le_bytes())))?;
    baler(bench, folder, "compress field.npy field.baler --rel 1e-2")?;
    baler(bench, folder, "report field.npy field.baler --assets assets --bounds 1e-2,1e-3,1e-4")?;
    let notes = examine(bench, folder, "field", 30)?;
    for file in ["frame-data-0.svg", "frame-data-0-original.png", "frame-data-0-difference.png", "spectrum-data.svg"] {
        if !folder.join("assets").join(file).is_file() {
            return Err(format!("{file} is missing"));
        }
    }
    Ok(notes)
}

/// Opens the page in light, in dark and on paper; compares at least `least` numbers of it with the JSON.
fn examine(bench: &Bench, folder: &Path, name: &str, least: usize) -> Outcome {
    let page = folder.join("report.html");
    let kept = bench.root.join("target/report");
    std::fs::create_dir_all(&kept).map_err(|e| e.to_string())?;
    let (dom, console) = browse(bench, folder, &page, &["--dump-dom".into()])?;
    let size = "--window-size=1360,9000".to_owned();
    let shot = |kind: &str| format!("--screenshot={}", kept.join(format!("{name}-{kind}.png")).display());
    let light = browse(bench, folder, &page, &[size.clone(), shot("light")])?.1;
    let dark = browse(bench, folder, &page, &[size, "--blink-settings=preferredColorScheme=0".into(), shot("dark")])?.1;
    let pdf = kept.join(format!("{name}.pdf"));
    let print = format!("--print-to-pdf={}", pdf.display());
    let printed = browse(bench, folder, &page, &[print, "--no-pdf-header-footer".into()])?.1;
    for said in [console, light, dark, printed] {
        if !said.is_empty() {
            return Err(format!("the console says:\n{said}"));
        }
    }
    let read = |path: &Path| std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()));
    let (light, dark) = (read(&kept.join(format!("{name}-light.png")))?, read(&kept.join(format!("{name}-dark.png")))?);
    if light == dark || light.len() < 50_000 {
        return Err(format!("screenshots of {} and {} bytes: expected two that differ", light.len(), dark.len()));
    }
    if !read(&pdf)?.starts_with(b"%PDF") {
        return Err("the printed page is no PDF".into());
    }
    let json: Value = serde_json::from_slice(&read(&folder.join("assets/report.json"))?).map_err(|e| e.to_string())?;
    let inside = between(&dom, "id=\"report-data\">", "</script>").ok_or("the page holds no JSON")?;
    if serde_json::from_str::<Value>(inside).map_err(|e| e.to_string())? != json {
        return Err("the JSON of the page is not that of report.json".into());
    }
    let n = compare_numbers(&dom, &json)?;
    if n < least {
        return Err(format!("{n} numbers in the tables: expected at least {least}"));
    }
    Ok(vec![
        format!("{n} numbers in tables equal report.json"),
        format!("{}/{name}-{{light,dark}}.png, {name}.pdf", kept.display()),
    ])
}

/// How many cells of the page's tables say what the JSON says at their path.
fn compare_numbers(dom: &str, json: &Value) -> Result<usize, String> {
    let mut n = 0;
    for cell in dom.split("data-path=\"").skip(1) {
        let (path, rest) = cell.split_once('"').ok_or("a cell without a path")?;
        let text = between(rest, ">", "<").ok_or("a cell without an end")?;
        let value = json.pointer(path).ok_or_else(|| format!("{path} is not in the JSON"))?;
        let equal = match value {
            Value::Number(v) => {
                let (shown, v) = (
                    parse(text).ok_or_else(|| format!("{path}: {text:?} is no number"))?,
                    v.as_f64().unwrap_or(f64::NAN),
                );
                n += 1;
                // Four digits are shown.
                (shown - v).abs() <= 5.1e-4 * v.abs()
            }
            Value::Null => text == "–",
            Value::Bool(b) => text == if *b { "yes" } else { "NO" },
            Value::String(s) => !text.is_empty() || s.is_empty(),
            _ => false,
        };
        if !equal {
            return Err(format!("{path}: the page shows {text:?}, the JSON has {value}"));
        }
    }
    Ok(n)
}

/// `1.234×10⁻⁵`, `−3`, `12 345` as numbers.
fn parse(text: &str) -> Option<f64> {
    let mut plain = String::new();
    for c in text.chars() {
        match c {
            '−' | '⁻' => plain.push('-'),
            '\u{202f}' => {}
            '×' => plain.push('e'),
            '⁰' | '⁴'..='⁹' => plain.push(char::from_digit(c as u32 - '⁰' as u32, 10)?),
            '¹' => plain.push('1'),
            '²' => plain.push('2'),
            '³' => plain.push('3'),
            c => plain.push(c),
        }
    }
    // 1.234e10-5: the base of the power is not part of a number.
    plain.replace("e10", "e").parse().ok()
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let from = text.find(start)? + start.len();
    Some(&text[from..from + text[from..].find(end)?])
}

/// The check of the console sees what it is there to see.
fn console(bench: &Bench, folder: &Path) -> Outcome {
    write(folder, "error.html", b"<!DOCTYPE html><title>t</title><script>throw new Error('seen')</script>")?;
    let (_, said) = browse(bench, folder, &folder.join("error.html"), &["--dump-dom".into()])?;
    if said.contains("seen") { Ok(vec![]) } else { Err("an error of the page was not noticed".into()) }
}

/// Runs the browser on a page; what it prints, and what the page says on the console.
fn browse(bench: &Bench, folder: &Path, page: &Path, arguments: &[String]) -> Result<(String, String), String> {
    let profile = tempfile::tempdir_in(folder).map_err(|e| e.to_string())?;
    let mut command = bench.command(folder, "chromium");
    // As root, as tests in containers are, it runs without its sandbox only.
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr"]);
    command.arg("--disable-dev-shm-usage").arg(format!("--user-data-dir={}", profile.path().display()));
    command.args(arguments).arg(format!("file://{}", page.display()));
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    let log = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{command:?}: {}\n{log}", output.status));
    }
    let mut said = String::new();
    for line in log.lines().filter(|line| line.contains(":CONSOLE")) {
        let _ = writeln!(said, "{line}");
    }
    Ok((String::from_utf8_lossy(&output.stdout).into_owned(), said))
}

fn baler(bench: &Bench, folder: &Path, line: &str) -> Result<String, String> {
    success(bench.command(folder, bench.baler()).args(line.split_whitespace()))
}

/// A `.npy` as numpy writes it.
fn npy(descr: &str, shape: &str, values: impl Iterator<Item = u8>) -> Vec<u8> {
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    let used = 10 + text.len() + 1;
    text += &" ".repeat(used.next_multiple_of(64) - used);
    text.push('\n');
    let mut bytes = [b"\x93NUMPY\x01\x00", &(text.len() as u16).to_le_bytes()[..], text.as_bytes()].concat();
    bytes.extend(values);
    bytes
}

fn zip(folder: &Path, name: &str, members: &[&str]) -> Result<(), String> {
    let code = "import sys, zipfile\nwith zipfile.ZipFile(sys.argv[1], 'w') as z: [z.write(m) for m in sys.argv[2:]]";
    success(Command::new("python3").current_dir(folder).args(["-c", code, name]).args(members)).map(|_| ())
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), String> {
    std::fs::write(folder.join(name), bytes).map_err(|e| format!("{name}: {e}"))
}

fn read(folder: &Path, name: &str) -> Result<String, String> {
    std::fs::read_to_string(folder.join(name)).map_err(|e| format!("{name}: {e}"))
}

/// As `baler train` writes it.
fn training_log() -> String {
    let epoch = |i: u32| {
        let loss = 2.0 + 8.0 * (-f64::from(i) / 9.0).exp();
        let validation = loss + 0.2 + 0.004 * f64::from(i);
        let rate = if i < 25 { 1e-3 } else { 5e-4 };
        serde_json::json!({ "epoch": i, "training_loss": loss, "validation_loss": validation, "learning_rate": rate })
    };
    let layer = |name: &str, n: u32| {
        let mean: Vec<f64> = (0..n).map(|k| f64::from(k * 7 % 11) / 10.0).collect();
        serde_json::json!({ "layer": name, "mean_abs": mean, "inactive": vec![0.25; n as usize] })
    };
    let latent = |k: u32| serde_json::json!({ "entropy_bits": f64::from(12 - k) * 0.4, "distinct": 40 - k });
    serde_json::json!({
        "schema": "baler-train-1", "name": "jets", "bundle_id": "0123456789abcdef", "options": { "epochs": 60 },
        "epochs": (1..=40).map(epoch).collect::<Vec<_>>(), "tiles": [16000, 2000, 2000], "elapsed_s": 81.5,
        "energy_j": 815.0, "energy_source": "estimate: 81.5 processor seconds at an assumed 10 W a core",
        "activations": [layer("encoder 1", 64), layer("encoder 2", 32), layer("decoder 1", 64)],
        "latents": (0..12).map(latent).collect::<Vec<_>>(),
    })
    .to_string()
}

/// As `baler bench` writes them: figures of other programs, made up for this test.
fn bench_results(n_rows: usize, n_columns: usize) -> String {
    let raw = 4 * n_rows * n_columns;
    let result = |codec: &str, rel: f64, ratio: usize, psnr: f64| serde_json::json!({ "codec": codec, "bound": { "kind": "rel", "value": rel }, "bytes": raw / ratio, "psnr": psnr });
    let results = [
        result("sz3", 1e-2, 6, 50.0),
        result("sz3", 1e-3, 3, 69.0),
        result("zfp", 1e-2, 3, 61.0),
        result("zfp", 1e-3, 2, 80.0),
        result("q-zstd19", 1e-3, 4, 69.5),
    ];
    let set = serde_json::json!({
        "name": "events", "shape": [n_rows, n_columns], "dtype": "float32", "raw_bytes": raw, "results": results
    });
    serde_json::json!({ "schema": "baler-bench-1", "machine": {}, "sets": [set] }).to_string()
}
