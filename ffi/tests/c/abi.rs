//! The interface against its record, `abi/0.c`: nothing may vanish or change, and nothing may be left out of the record.

use super::{Bench, Outcome, missing, run, trial};
use libtest_mimic::Trial;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

pub fn trials(bench: &Arc<Bench>) -> Vec<Trial> {
    let compiler = missing(&["gcc"]);
    vec![
        trial(bench, "abi/record compiles".into(), &compiler, |bench, _| compile(bench, &bench.ffi.join("include"))),
        trial(bench, "abi/changes are found".into(), &compiler, changes_are_found),
        trial(bench, "abi/symbols".into(), &missing(&["nm"]), symbols),
        trial(bench, "abi/soname".into(), &missing(&["readelf"]), soname),
        trial(bench, "abi/record is complete".into(), &[], record_is_complete),
    ]
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))
}

/// Compiles the record with the header in `include`.
fn compile(bench: &Bench, include: &Path) -> Outcome {
    let record = bench.ffi.join("abi/0.c");
    let mut gcc = bench.command("gcc", bench.folder.path());
    gcc.args(["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", "-I"]).arg(include).arg(record);
    run(&mut gcc).map(|_| ())
}

/// Headers that would break programs do not compile with the record.
fn changes_are_found(bench: &Bench, folder: &Path) -> Outcome {
    let header = read(&bench.ffi.join("include/baler.h"))?;
    let (shape, kind) = ("  const uint64_t *shape;\n", "  uint32_t bound_kind;\n");
    let changes = [
        ("another number", "BALER_STATUS_CORRUPT = 3", "BALER_STATUS_CORRUPT = 33"),
        ("a number fewer", "BALER_EFFORT_MAX = 2,", ""),
        ("another type", "  double bound_value;", "  int64_t bound_values;"),
        ("a member in between", shape, "  const uint64_t *strides;\n  const uint64_t *shape;\n"),
        ("a member fewer", kind, ""),
        ("an argument more", "baler_status baler_last_status(void);", "baler_status baler_last_status(int thread);"),
        ("another argument", "baler_version(void);", "baler_version(const char *of);"),
    ];
    for (what, from, to) in changes {
        let changed = header.replacen(from, to, 1);
        if changed == header {
            return Err(format!("{what}: the header has no {from:?}"));
        }
        std::fs::write(folder.join("baler.h"), changed).map_err(|e| e.to_string())?;
        if compile(bench, folder).is_ok() {
            return Err(format!("{what} is not found"));
        }
    }
    Ok(())
}

/// The names of the functions in the record.
pub fn recorded_functions(record: &str) -> BTreeSet<String> {
    let text = record.split("/* Functions */").nth(1).unwrap_or_default();
    let names = text.split("baler_").skip(1).filter_map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
        rest[end..].starts_with('(').then(|| format!("baler_{}", &rest[..end]))
    });
    names.collect()
}

/// The library exports the functions of the record, and nothing else.
fn symbols(bench: &Bench, folder: &Path) -> Outcome {
    let library = bench.prefix().join("lib/libbaler.so.0");
    let listed = run(bench.command("nm", folder).args(["-D", "--defined-only"]).arg(library))?;
    let exported: BTreeSet<String> =
        listed.lines().filter_map(|line| Some(line.split_whitespace().next_back()?.to_owned())).collect();
    let record = read(&bench.ffi.join("abi/0.c"))?;
    let recorded = recorded_functions(&record);
    let differ: Vec<_> = exported.symmetric_difference(&recorded).collect();
    if recorded.len() < 20 || !differ.is_empty() {
        return Err(format!("{} functions in the record; exported or recorded, not both: {differ:?}", recorded.len()));
    }
    Ok(())
}

fn soname(bench: &Bench, folder: &Path) -> Outcome {
    let library = bench.prefix().join("lib/libbaler.so");
    let text = run(bench.command("readelf", folder).arg("-d").arg(library))?;
    if text.contains("soname: [libbaler.so.0]") { Ok(()) } else { Err(text) }
}

/// Every number and every member of the header is in the record.
fn record_is_complete(bench: &Bench, _: &Path) -> Outcome {
    let header = read(&bench.ffi.join("include/baler.h"))?;
    let record = read(&bench.ffi.join("abi/0.c"))?;
    let (mut structure, mut n) = (None, 0);
    for line in header.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let expected = match words[..] {
            ["typedef", "struct", name, "{"] => {
                structure = Some(name);
                format!("AT_LEAST({name},")
            }
            [name, "=", number] if name.starts_with("BALER_") => {
                format!("NUMBER({name}, {});", number.trim_end_matches(','))
            }
            [first, ..] if first.starts_with('}') => {
                structure = None;
                continue;
            }
            [first, .., last] if last.ends_with(';') && !first.starts_with('*') && structure.is_some() => {
                let member = last.trim_start_matches('*').trim_end_matches(';').split('[').next().unwrap_or_default();
                format!("MEMBER({}, {member},", structure.unwrap_or_default())
            }
            _ => continue,
        };
        n += 1;
        if !record.contains(&expected) {
            return Err(format!("abi/0.c has no {expected:?}: add a line for what is new"));
        }
    }
    if n > 60 { Ok(()) } else { Err(format!("only {n} lines of the header were understood")) }
}
