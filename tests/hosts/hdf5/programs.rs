//! Command line tools of HDF5 and netCDF, and C programs.

use super::{plain, ud, words};
use crate::bench::{
    Bench, Need, Outcome, PLUGIN, contains, failure, same_bytes, shared_libhdf5, static_libhdf5, success,
};
use baler_codec::Bound;
use libtest_mimic::Trial;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const REPACK: Need = Need::Program("h5repack");
const DUMP: Need = Need::Program("h5dump");

pub fn trials(bench: &Arc<Bench>) -> Vec<Trial> {
    vec![
        bench.trial("hdf5::h5repack::bounds", &[Need::H5py, REPACK], repack_bounds),
        bench.trial("hdf5::h5repack::keeps_the_bound_when_it_changes_chunks", &[Need::H5py, REPACK], repack_layout),
        bench.trial("hdf5::h5repack::takes_twenty_words", &[Need::H5py, REPACK], repack_twenty_words),
        bench.trial("hdf5::h5repack::without_the_plugin", &[Need::H5py, REPACK], repack_no_plugin),
        bench.trial("hdf5::tools_show_our_files", &[Need::H5py, DUMP, Need::Program("h5ls")], show),
        bench.trial("hdf5::h5copy_and_h5diff", &[Need::H5py, Need::Program("h5copy"), Need::Program("h5diff")], copy),
        bench.trial("hdf5::same_bytes_from_h5dump_and_h5py", &[Need::H5py, REPACK, DUMP], same_in_both),
        bench.trial("hdf5::h5dump_tells_of_a_damaged_chunk", &[Need::H5py, DUMP], damaged),
        bench.trial("hdf5::two_libraries_in_one_process", &[Need::H5py, Need::SharedLibHdf5], two_libraries),
        bench.trial("hdf5::plugin_folder_with_other_files", &[Need::H5py, DUMP], crowded_folder),
        bench.trial(
            "hdf5::netcdf::nccopy_and_ncdump",
            &[Need::Program("nccopy"), Need::Program("ncgen"), REPACK],
            netcdf,
        ),
        bench.trial("hdf5::c::shared_library", &[Need::LibHdf5, Need::H5py], |bench, folder| {
            c_program(bench, folder, Linking::Shared)
        }),
        bench.trial("hdf5::c::static_library", &[Need::StaticLibHdf5, Need::H5py], |bench, folder| {
            c_program(bench, folder, Linking::Static)
        }),
        bench.trial("hdf5::c::static_library_with_exports", &[Need::StaticLibHdf5, Need::H5py], |bench, folder| {
            c_program(bench, folder, Linking::StaticWithExports)
        }),
        bench.trial("hdf5::plugin_links_no_libhdf5", &[Need::Program("ldd")], |bench, folder| {
            let libraries = bench.run(folder, "ldd", &[bench.plugin_dir.join(PLUGIN)])?;
            for unwanted in ["hdf5", "onnxruntime", "stdc++", "not found"] {
                if libraries.contains(unwanted) {
                    return Err(format!("{unwanted} in\n{libraries}"));
                }
            }
            Ok(vec![libraries.split_whitespace().filter(|word| word.contains(".so")).collect::<Vec<_>>().join(" ")])
        }),
    ]
}

/// Every bound on a file with datasets of many kinds: those the filter takes are within it, the others are kept.
fn repack_bounds(bench: &Bench, folder: &Path) -> Outcome {
    bench.case(folder, &["sources", "in.h5"], 1)?;
    let mut notes = Vec::new();
    let bounds = [
        (0, Bound::Lossless),
        (1, Bound::Abs(0.05)),
        (2, Bound::Rel(1e-3)),
        (3, Bound::PwRel(1e-2)),
        (4, Bound::Psnr(70.0)),
    ];
    for (kind, bound) in bounds {
        bench.run(folder, "h5repack", &["-f", &ud(&plain(bound))?, "in.h5", "out.h5"])?;
        bench.case(folder, &["filters_of", "out.h5", "field,group/cube,group/half,counts"], 1)?;
        let (_, value) = bound.to_wire();
        for dataset in ["field", "group/cube", "group/half", "counts"] {
            let arguments = ["within", "out.h5", dataset, "in.h5", dataset, &kind.to_string(), &value.to_string()];
            bench.case(folder, &arguments, 2)?;
        }
        let size = |name: &str| std::fs::metadata(folder.join(name)).map_or(0, |m| m.len());
        notes.push(format!("{bound}: {} to {} bytes", size("in.h5"), size("out.h5")));
        // And back: nothing but HDF5 is needed to read the result.
        bench.run(folder, "h5repack", &["-f", "NONE", "out.h5", "back.h5"])?;
        success(
            bench
                .case_command(
                    folder,
                    &["within", "back.h5", "field", "in.h5", "field", &kind.to_string(), &value.to_string()],
                )
                .env("HDF5_PLUGIN_PATH", folder),
        )?;
    }
    Ok(notes)
}

/// `-l` rewrites the chunks of a compressed file: `set_local` runs again, and what is stored is up to date.
fn repack_layout(bench: &Bench, folder: &Path) -> Outcome {
    bench.case(folder, &["write_pair", "in.h5"], 1)?;
    bench.run(folder, "h5repack", &["-l", "a:CHUNK=20x16", "-l", "b:CHUNK=7x31", "in.h5", "out.h5"])?;
    let mut expected = words(&plain(Bound::Abs(0.01)))?;
    expected.extend(["0", "0", "0", "0", "0", "0", "131074", "20", "16"].map(String::from));
    bench.case(folder, &["stored_words", "out.h5", "a", &expected.join(",")], 1)?;
    bench.case(folder, &["within", "out.h5", "a", "in.h5", "a", "1", "0.01"], 2)?;
    // The fill value has to survive two rounds of property lists.
    bench.run(folder, "h5repack", &["-l", "b:CHUNK=30x31", "out.h5", "again.h5"])?;
    bench.case(folder, &["within", "again.h5", "b", "out.h5", "b", "2", "1e-3"], 2)
}

/// The longest request there can be gets through h5repack's parser digit by digit.
fn repack_twenty_words(bench: &Bench, folder: &Path) -> Outcome {
    bench.case(folder, &["sources", "in.h5"], 1)?;
    let mut list = words(&plain(Bound::Rel(1.234_567_890_123_456_7e-3)))?;
    // What set_local is to complete may be there already; it is replaced.
    list.resize(7, "0".into());
    list.extend(["4294967295", "4294967295"].map(String::from));
    list.push(format!("{}", 2 | 10 << 16));
    list.extend(["10"; 10].map(String::from));
    let argument = format!("UD={},0,{},{}", baler_hdf5::FILTER_ID, list.len(), list.join(","));
    bench.run(folder, "h5repack", &["-f", &format!("field:{argument}"), "in.h5", "out.h5"])?;
    let mut expected = list[..3].to_vec();
    expected.extend(["0", "0", "0", "0", "0", "0", "131074", "100", "80"].map(String::from));
    bench.case(folder, &["stored_words", "out.h5", "field", &expected.join(",")], 1)
}

/// With the plugin missing, h5repack copies every dataset without a filter and exits with 0, whatever the filter's flag
/// says. Scripts have to look at the result; this shows that they can.
fn repack_no_plugin(bench: &Bench, folder: &Path) -> Outcome {
    bench.case(folder, &["sources", "in.h5"], 1)?;
    let request = plain(Bound::Abs(1.0));
    let mut notes = Vec::new();
    // Optional: the filter is noted for each chunked dataset, and every chunk says that it did not go through.
    for (mandatory, filtered) in [(true, ""), (false, "counts,field,group/cube,group/half,table,text")] {
        let argument = request.ud_argument(mandatory).map_err(|e| e.to_string())?;
        let mut command = bench.command(folder, "h5repack");
        command.args(["-f", &argument, "in.h5", "out.h5"]).env("HDF5_PLUGIN_PATH", folder);
        let status = command.output().map_err(|e| e.to_string())?.status;
        bench.case(folder, &["within", "out.h5", "field", "in.h5", "field", "0", "0"], 2)?;
        bench.case(folder, &["filters_of", "out.h5", filtered], 1)?;
        notes.push(format!("mandatory {mandatory}: {status}"));
    }
    Ok(notes)
}

/// `h5dump -p`, `h5dump -H` and `h5ls -v` of what we write.
fn show(bench: &Bench, folder: &Path) -> Outcome {
    bench.case(folder, &["write_pair", "in.h5"], 1)?;
    let dump = bench.run(folder, "h5dump", &["-p", "-H", "in.h5"])?;
    contains(&dump, "FILTER_ID 47646")?;
    contains(&dump, "COMMENT baler: error-bounded compression with pretrained models")?;
    contains(&dump, "PARAMS { 257 ")?;
    let list = bench.run(folder, "h5ls", &["-v", "in.h5"])?;
    contains(&list, "Filter-0:  baler: error-bounded compression with pretrained models-47646")?;
    let values = bench.run(folder, "h5dump", &["-d", "b", "in.h5"])?;
    contains(&values, "DATA {")?;
    Ok(vec![format!("{} lines of h5dump", dump.lines().count())])
}

fn copy(bench: &Bench, folder: &Path) -> Outcome {
    bench.case(folder, &["write_pair", "in.h5"], 1)?;
    bench.run(folder, "h5copy", &["-i", "in.h5", "-o", "out.h5", "-s", "a", "-d", "/there", "-p"])?;
    bench.run(folder, "h5diff", &["in.h5", "out.h5", "/a", "/there"])?;
    bench.case(folder, &["within", "out.h5", "there", "in.h5", "a", "0", "0"], 2)
}

/// h5dump (HDF5 of the system) and h5py (its own) decode to the same bytes, whichever of them wrote.
fn same_in_both(bench: &Bench, folder: &Path) -> Outcome {
    bench.case(folder, &["write_pair", "by_h5py.h5"], 1)?;
    bench.case(folder, &["sources", "plain.h5"], 1)?;
    bench.run(folder, "h5repack", &["-f", &ud(&plain(Bound::Rel(1e-3)))?, "plain.h5", "by_h5repack.h5"])?;
    let mut n_bytes = 0;
    for (file, datasets) in
        [("by_h5py.h5", ["a", "b"].as_slice()), ("by_h5repack.h5", &["field", "group/cube", "group/half", "counts"])]
    {
        for dataset in datasets {
            bench.run(folder, "h5dump", &["-d", &format!("/{dataset}"), "-b", "FILE", "-o", "by_dump.raw", file])?;
            bench.case(folder, &["dump", file, dataset, "by_h5py.raw"], 1)?;
            n_bytes += same_bytes(&folder.join("by_dump.raw"), &folder.join("by_h5py.raw"))?;
        }
    }
    Ok(vec![format!("{n_bytes} bytes alike")])
}

/// The message is on the error stack of HDF5 1.10 too.
fn damaged(bench: &Bench, folder: &Path) -> Outcome {
    bench.case(folder, &["write_pair", "in.h5"], 1)?;
    bench.case(folder, &["spoil_chunk", "in.h5", "a"], 1)?;
    let text = failure(bench.command(folder, "h5dump").args(["--enable-error-stack", "-d", "a", "in.h5"]))?;
    contains(&text, "Baler filter, reading a chunk of ")?;
    Ok(vec![text.lines().find(|line| line.contains("Baler")).unwrap_or_default().trim().to_owned()])
}

fn two_libraries(bench: &Bench, folder: &Path) -> Outcome {
    let library = shared_libhdf5().ok_or("no libhdf5.so")?;
    bench.case(folder, &["write_pair", "in.h5"], 1)?;
    bench.case(folder, &["two_libraries", &library.to_string_lossy(), "in.h5"], 20)
}

/// HDF5 opens every library in the folder: what is none, what is no plugin and what has no symbols must not matter.
fn crowded_folder(bench: &Bench, folder: &Path) -> Outcome {
    bench.case(folder, &["write_pair", "in.h5"], 1)?;
    let crowd = folder.join("crowd");
    let error = |e: std::io::Error| e.to_string();
    std::fs::create_dir(&crowd).map_err(error)?;
    std::fs::copy(bench.plugin_dir.join(PLUGIN), crowd.join(PLUGIN)).map_err(error)?;
    std::fs::write(crowd.join("libaaa.so"), b"no library at all").map_err(error)?;
    std::fs::write(crowd.join("libzzz.so"), b"").map_err(error)?;
    // The folder the tests were built in, with everything that Cargo puts there.
    let built = std::env::current_exe().map_err(error)?;
    for dir in [crowd.as_path(), built.parent().ok_or("no folder")?] {
        for command in [
            bench.command(folder, "h5dump").args(["-d", "b", "in.h5"]),
            &mut bench.case_command(folder, &["dump", "in.h5", "b", "b.raw"]),
        ] {
            success(command.env("HDF5_PLUGIN_PATH", dir))?;
        }
    }
    Ok(Vec::new())
}

/// A netCDF-4 file through `nccopy -F`, through h5repack, and back through ncdump.
fn netcdf(bench: &Bench, folder: &Path) -> Outcome {
    let n = 400;
    let values: Vec<String> = (0..n)
        .map(|i| if i % 50 == 7 { "_".into() } else { format!("{:.4}", (f64::from(i) * 0.05).sin() * 100.0) })
        .collect();
    let text = format!(
        "netcdf in {{ dimensions: t = UNLIMITED ; x = 20 ;\n variables: float v(t, x) ; v:_FillValue = 1e20f ; \
         short s(t, x) ; char name(x) ;\n data: v = {0} ; s = {1} ; name = \"a station\" ; }}",
        values.join(", "),
        (0..n).map(|i| (i * 7 % 1000).to_string()).collect::<Vec<_>>().join(", ")
    );
    std::fs::write(folder.join("in.cdl"), text).map_err(|e| e.to_string())?;
    bench.run(folder, "ncgen", &["-k", "nc4", "-o", "in.nc", "in.cdl"])?;
    let list = words(&plain(Bound::Abs(0.01)))?.join(",");
    bench.run(folder, "nccopy", &["-F", &format!("v,47646,{list}"), "in.nc", "copied.nc"])?;
    let header = bench.run(folder, "ncdump", &["-hs", "copied.nc"])?;
    contains(&header, "v:_Filter = \"47646,")?;
    // Copied once more, now with a filter to read from, and one dataset as HDF5.
    bench.run(folder, "nccopy", &["copied.nc", "again.nc"])?;
    let argument = ud(&plain(Bound::Abs(0.01)))?;
    bench.run(folder, "h5repack", &["-f", &format!("v,s:{argument}"), "in.nc", "repacked.nc"])?;
    let files = ["copied.nc", "again.nc", "repacked.nc"];
    let numbers = |file: &str| -> Result<Vec<String>, String> {
        let dump = bench.run(folder, "ncdump", &["-v", "v,s", "-p", "9,17", file])?;
        let data = dump.split("data:").nth(1).ok_or("ncdump shows no data")?;
        Ok(data.split([',', ';', '=']).map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect())
    };
    let original = numbers("in.nc")?;
    let mut n_compared = 0;
    for file in &files {
        let copy = numbers(file)?;
        if original.len() != copy.len() {
            return Err(format!("{file}: {} words, expected {}", copy.len(), original.len()));
        }
        for (a, b) in original.iter().zip(&copy) {
            let near = match (a.parse::<f64>(), b.parse::<f64>()) {
                // ncdump prints nine digits.
                (Ok(a), Ok(b)) => (a - b).abs() <= 0.02 + 1e-6,
                _ => a == b,
            };
            if !near {
                return Err(format!("{file}: {b}, expected {a}"));
            }
            n_compared += 1;
        }
    }
    // What netCDF adds before us is refused.
    let shuffled = failure(bench.command(folder, "nccopy").args(["-F", "v,2|47646,1", "in.nc", "shuffled.nc"]));
    Ok(vec![
        format!("{n_compared} values of {files:?}"),
        format!("shuffle first: {}", shuffled?.trim().replace('\n', " ")),
    ])
}

#[derive(Clone, Copy, PartialEq)]
enum Linking {
    Shared,
    Static,
    StaticWithExports,
}

/// Compiles `c/roundtrip.c`.
fn compile(bench: &Bench, folder: &Path, linking: Linking) -> Result<PathBuf, String> {
    let flags = bench.run(folder, "pkg-config", &["--cflags", "hdf5"])?;
    let program = folder.join("roundtrip");
    let mut cc = bench.command(folder, "cc");
    cc.args(["-Wall", "-Wextra", "-Werror", "-O1", "-o"])
        .arg(&program)
        .arg(bench.root.join("tests/hosts/c/roundtrip.c"));
    cc.args(flags.split_whitespace());
    match linking {
        Linking::Shared => {
            let libraries = bench.run(folder, "pkg-config", &["--libs", "hdf5"])?;
            cc.args(libraries.split_whitespace());
        }
        _ => {
            let archive = static_libhdf5().ok_or("no libhdf5.a")?;
            if linking == Linking::StaticWithExports {
                cc.args(["-rdynamic", "-Wl,--whole-archive"]).arg(archive).arg("-Wl,--no-whole-archive");
            } else {
                cc.arg(archive);
            }
            // What Debian builds its HDF5 with; the linker leaves out what is not needed.
            for library in ["crypto", "curl", "sz", "z", "m", "dl", "pthread"] {
                cc.arg(format!("-l{library}"));
            }
        }
    }
    success(&mut cc)?;
    Ok(program)
}

/// A C program writes, h5py reads; h5py writes, the C program reads; both refuse alike.
fn c_program(bench: &Bench, folder: &Path, linking: Linking) -> Outcome {
    let error = |e: std::io::Error| e.to_string();
    let program = compile(bench, folder, linking)?;
    bench.case(folder, &["write_pair", "by_h5py.h5"], 1)?;
    let mut n_bytes = 0;
    for dataset in ["a", "b"] {
        let target = File::create(folder.join("by_c.raw")).map_err(error)?;
        success(bench.command(folder, &program).args(["read", "by_h5py.h5", dataset]).stdout(target))?;
        bench.case(folder, &["dump", "by_h5py.h5", dataset, "by_h5py.raw"], 1)?;
        n_bytes += same_bytes(&folder.join("by_c.raw"), &folder.join("by_h5py.raw"))?;
    }
    let mut notes = vec![format!("{n_bytes} bytes read")];
    bench.case(folder, &["dump", "by_h5py.h5", "a", "a.raw"], 1)?;
    let write = |flag: &str, bound: Bound| {
        let mut list = words(&plain(bound))?;
        list.insert(0, flag.into());
        let values = File::open(folder.join("a.raw")).map_err(error)?;
        let mut command = bench.command(folder, &program);
        command.args(["write", "by_c.h5", "a", "64", "48"]).args(list).stdin(values);
        Ok::<_, String>(command)
    };
    if linking == Linking::Static {
        // HDF5's functions are in the program, under no name that could be looked up.
        let text = failure(&mut write("0", Bound::Lossless)?)?;
        contains(&text, "Baler filter: cannot write")?;
        contains(&text, "-rdynamic")?;
        return Ok(notes);
    }
    for flag in ["0", "1"] {
        success(&mut write(flag, Bound::Lossless)?)?;
        bench.case(folder, &["within", "by_c.h5", "a", "by_h5py.h5", "a", "0", "0"], 2)?;
        success(&mut write(flag, Bound::Abs(0.125))?)?;
        bench.case(folder, &["within", "by_c.h5", "a", "by_h5py.h5", "a", "1", "0.125"], 2)?;
        bench.case(folder, &["filters_of", "by_c.h5", "a"], 1)?;
    }
    // A refusal is on the error stack, which HDF5 prints.
    let mut bad = bench.command(folder, &program);
    bad.args(["write", "bad.h5", "a", "64", "48", "1", "257", "0", "0"]);
    let text = failure(bad.stdin(File::open(folder.join("a.raw")).map_err(error)?))?;
    contains(&text, "Baler filter refused: bound abs = 0: expected a finite number above 0")?;
    notes.push("written with mandatory and optional filter; bound 0 refused".into());
    Ok(notes)
}
