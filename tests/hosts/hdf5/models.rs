//! Decoders that travel with the data: a bundle made by a user, files that move.

use super::ud;
use crate::bench::{Bench, Need, Outcome, PLUGIN, checks, contains, failure, same_bytes, success};
use baler_codec::bundle::{Bundle, Contents};
use baler_codec::{Bound, ModelChoice};
use baler_hdf5::cd_values::Request;
use baler_tests::{around, walsh};
use libtest_mimic::Trial;
use std::path::Path;
use std::sync::Arc;

const REPACK: Need = Need::Program("h5repack");

pub fn trials(bench: &Arc<Bench>) -> Vec<Trial> {
    vec![
        bench.trial(
            "hdf5::models::in_the_file_by_h5repack",
            &[Need::H5py, REPACK, Need::Program("h5dump")],
            by_h5repack,
        ),
        bench.trial("hdf5::models::in_the_file_by_h5py", &[Need::H5py], by_h5py),
        bench.trial("hdf5::models::autoregressive", &[Need::H5py, REPACK, Need::Program("h5copy")], autoregressive),
        bench.trial("hdf5::models::in_the_chunk", &[Need::H5py, REPACK], in_the_chunk),
        bench.trial("hdf5::models::missing", &[Need::H5py, REPACK, Need::Program("h5copy")], missing),
        bench.trial("hdf5::models::spoilt", &[Need::H5py], spoilt),
        bench.trial("hdf5::models::repacked_again", &[Need::H5py, REPACK], repacked_again),
        bench.trial("hdf5::models::netcdf", &[Need::H5py, REPACK, Need::Program("nccopy")], netcdf),
        bench.trial("hdf5::models::auto_and_latent", &[Need::H5py], auto_and_latent),
        bench.trial("hdf5::models::encoder_fails", &[Need::H5py, REPACK], encoder_fails),
        bench.trial("hdf5::models::damaged_chunks", &[Need::H5py], damaged_chunks),
    ]
}

const N_TILES: usize = 512;

/// A folder with a user's bundle, `models/walsh.bundle`, and `in.h5` with dataset `d` for it.
fn set_up(bench: &Bench, folder: &Path) -> Result<Bundle, String> {
    let error = |e: std::io::Error| e.to_string();
    let bundle = walsh::bundle("walsh");
    std::fs::create_dir(folder.join("models")).map_err(error)?;
    std::fs::write(folder.join("models/walsh.bundle"), bundle.to_bytes(Contents::Full)).map_err(error)?;
    let tiles: Vec<u8> = walsh::tiles(N_TILES).iter().flat_map(|v| v.to_le_bytes()).collect();
    std::fs::write(folder.join("tiles.raw"), tiles).map_err(error)?;
    bench.case(folder, &["tiles", "tiles.raw", "in.h5"], 1)?;
    Ok(bundle)
}

fn named(bundle: &Bundle) -> Request {
    Request { model: ModelChoice::Bundle(bundle.id()), ..Request::new(Bound::Rel(1e-3)) }
}

fn size(folder: &Path, name: &str) -> u64 {
    std::fs::metadata(folder.join(name)).map_or(0, |m| m.len())
}

/// h5repack with a bundle from `BALER_MODEL_PATH`; `flags` go before the files.
fn repack(bench: &Bench, folder: &Path, request: &Request, from: &str, to: &str) -> Result<(), String> {
    let mut command = bench.command(folder, "h5repack");
    command.args(["-f", &ud(request)?, from, to]).env("BALER_MODEL_PATH", folder.join("models"));
    success(&mut command).map(|_| ())
}

/// A file is written with a user's bundle, then read elsewhere: other folder, plugin in another place, no models.
fn by_h5repack(bench: &Bench, folder: &Path) -> Outcome {
    let error = |e: std::io::Error| e.to_string();
    let bundle = set_up(bench, folder)?;
    let id = bundle.id().to_string();
    repack(bench, folder, &named(&bundle), "in.h5", "out.h5")?;
    bench.case(folder, &["models_in", "out.h5", &id], 1)?;
    let elsewhere = folder.join("elsewhere");
    let plugins = folder.join("other_plugins");
    for dir in [&elsewhere, &plugins] {
        std::fs::create_dir(dir).map_err(error)?;
    }
    std::fs::copy(bench.plugin_dir.join(PLUGIN), plugins.join(PLUGIN)).map_err(error)?;
    std::fs::rename(folder.join("out.h5"), elsewhere.join("moved.h5")).map_err(error)?;
    std::fs::copy(folder.join("in.h5"), elsewhere.join("in.h5")).map_err(error)?;
    std::fs::rename(folder.join("models"), folder.join("gone")).map_err(error)?;
    for arguments in [
        ["within", "moved.h5", "d", "in.h5", "d", "2", "1e-3"].as_slice(),
        &["handles", "moved.h5", &id],
        &["dump", "moved.h5", "d", "by_h5py.raw"],
    ] {
        let output = success(bench.case_command(&elsewhere, arguments).env("HDF5_PLUGIN_PATH", &plugins))?;
        checks(output, 1)?;
    }
    success(
        bench
            .command(&elsewhere, "h5dump")
            .args(["-d", "d", "-b", "FILE", "-o", "by_dump.raw", "moved.h5"])
            .env("HDF5_PLUGIN_PATH", &plugins),
    )?;
    let n_bytes = same_bytes(&elsewhere.join("by_dump.raw"), &elsewhere.join("by_h5py.raw"))?;
    Ok(vec![format!(
        "{n_bytes} bytes alike in h5dump and h5py; file {} bytes, decoder {}, plain {}",
        size(&elsewhere, "moved.h5"),
        bundle.decoder_bytes(),
        size(folder, "in.h5")
    )])
}

fn by_h5py(bench: &Bench, folder: &Path) -> Outcome {
    let bundle = set_up(bench, folder)?;
    let id = bundle.id().to_string();
    let mut notes = Vec::new();
    for how in ["file", "two", "embed"] {
        let (path, mut command) = (format!("{how}.h5"), bench.case_command(folder, &[]));
        command.args(["write_with_model", &path, "in.h5", &id, how]).env("BALER_MODEL_PATH", folder.join("models"));
        checks(success(&mut command)?, 2)?;
        // Read in a process that knows no models.
        bench.case(folder, &["within", &path, "d", "in.h5", "d", "2", "1e-3"], 2)?;
        notes.push(format!("{how}: {} bytes", size(folder, &path)));
    }
    bench.case(folder, &["handles", "file.h5", &id], 4)?;
    bench.case(folder, &["swallows_itself", "file.h5", &id], 4)?;
    Ok(notes)
}

/// A network that predicts values from those around: by name and by itself, through h5py and h5repack, with the file alone.
fn autoregressive(bench: &Bench, folder: &Path) -> Outcome {
    let error = |e: std::io::Error| e.to_string();
    let bundle = around::steady("around");
    let id = bundle.id().to_string();
    std::fs::create_dir(folder.join("models")).map_err(error)?;
    std::fs::write(folder.join("models/around.bundle"), bundle.to_bytes(Contents::Full)).map_err(error)?;
    let field: Vec<u8> = around::field().iter().flat_map(|v| v.to_le_bytes()).collect();
    std::fs::write(folder.join("field.raw"), field).map_err(error)?;
    let [z, y, x] = around::FIELD;
    let script = format!(
        "import numpy as np, h5py; a = np.fromfile('field.raw', '<f4').reshape({z}, {y}, {x}); \
         h5py.File('in.h5', 'w').create_dataset('d', data=a, chunks=a.shape); \
         h5py.File('row.h5', 'w').create_dataset('d', data=a.ravel(), chunks=(4096,))"
    );
    success(bench.python(folder).args(["-c", &script]))?;
    let auto = Request { model: ModelChoice::Auto, ..named(&bundle) };
    for (request, path) in [(named(&bundle), "named.h5"), (auto, "auto.h5")] {
        repack(bench, folder, &request, "in.h5", path)?;
        bench.case(folder, &["models_in", path, &id], 1)?;
        bench.case(folder, &["within", path, "d", "in.h5", "d", "2", "1e-3"], 2)?;
    }
    let mut command = bench.case_command(folder, &["write_with_model", "h5py.h5", "in.h5", &id, "file"]);
    checks(success(command.env("BALER_MODEL_PATH", folder.join("models")))?, 2)?;
    bench.case(folder, &["within", "h5py.h5", "d", "in.h5", "d", "2", "1e-3"], 2)?;
    // The chunks do need it.
    bench.run(folder, "h5copy", &["-i", "named.h5", "-o", "lonely.h5", "-s", "d", "-d", "d"])?;
    let mut notes = bench.case(folder, &["missing", "lonely.h5", "d", &id, "lonely.h5", "/_baler/models"], 4)?;
    // One axis has nothing around it but the values before: refused by name.
    let argument = ud(&named(&bundle))?;
    let mut command = bench.command(folder, "h5repack");
    command.args(["--enable-error-stack", "-f", &argument, "row.h5", "refused.h5"]);
    // h5repack 1.10 ends with 0 all the same.
    let refused = command.env("BALER_MODEL_PATH", folder.join("models")).output().map_err(error)?;
    contains(&String::from_utf8_lossy(&refused.stderr), "fewer than two axes")?;
    notes.push(format!("{} bytes of {}", size(folder, "named.h5"), size(folder, "in.h5")));
    Ok(notes)
}

/// Embedding asked for: the file has no group of ours, and opens with nothing else.
fn in_the_chunk(bench: &Bench, folder: &Path) -> Outcome {
    let bundle = set_up(bench, folder)?;
    repack(bench, folder, &Request { embed: true, ..named(&bundle) }, "in.h5", "out.h5")?;
    bench.case(folder, &["models_in", "out.h5", ""], 1)?;
    bench.case(folder, &["within", "out.h5", "d", "in.h5", "d", "2", "1e-3"], 2)
}

/// A dataset that left its file without the decoder: the error names the bundle and the places, each of which helps.
fn missing(bench: &Bench, folder: &Path) -> Outcome {
    let error = |e: std::io::Error| e.to_string();
    let bundle = set_up(bench, folder)?;
    let id = bundle.id().to_string();
    repack(bench, folder, &named(&bundle), "in.h5", "out.h5")?;
    bench.run(folder, "h5copy", &["-i", "out.h5", "-o", "lonely.h5", "-s", "d", "-d", "d"])?;
    let notes = bench.case(folder, &["missing", "lonely.h5", "d", &id, "lonely.h5", "/_baler/models"], 4)?;
    let text = failure(bench.command(folder, "h5dump").args(["--enable-error-stack", "-d", "d", "lonely.h5"]))?;
    contains(&text, &id)?;
    // Any of the places will do.
    let arguments = ["within", "lonely.h5", "d", "in.h5", "d", "2", "1e-3"];
    let models = folder.join("models");
    let output = success(bench.case_command(folder, &arguments).env("BALER_MODEL_PATH", &models))?;
    checks(output, 2)?;
    let users = folder.join("data/baler/models");
    std::fs::create_dir_all(&users).map_err(error)?;
    std::fs::copy(models.join("walsh.bundle"), users.join("walsh.bundle")).map_err(error)?;
    let output = success(bench.case_command(folder, &arguments).env("XDG_DATA_HOME", folder.join("data")))?;
    checks(output, 2)?;
    std::fs::write(folder.join("beside.bundle"), bundle.to_bytes(Contents::DecoderOnly)).map_err(error)?;
    bench.case(folder, &arguments, 2)?;
    Ok(notes)
}

/// A decoder in the file that is damaged, cut or another's is an error; plain bytes instead of our datatype will do.
fn spoilt(bench: &Bench, folder: &Path) -> Outcome {
    let bundle = set_up(bench, folder)?;
    let id = bundle.id().to_string();
    let other = walsh::bundle("another");
    assert_ne!(other.id(), bundle.id());
    std::fs::write(folder.join("another.file"), other.to_bytes(Contents::Full)).map_err(|e| e.to_string())?;
    let mut notes = Vec::new();
    for how in ["cut", "flip", "another.file", "plain"] {
        let mut command = bench.case_command(folder, &["write_with_model", "out.h5", "in.h5", &id, "file"]);
        checks(success(command.env("BALER_MODEL_PATH", folder.join("models")))?, 2)?;
        bench.case(folder, &["spoil_model", "out.h5", &id, how], 1)?;
        if how == "plain" {
            bench.case(folder, &["within", "out.h5", "d", "in.h5", "d", "2", "1e-3"], 2)?;
        } else {
            notes.extend(bench.case(folder, &["missing", "out.h5", "d", &id, &format!("/_baler/models/{id}")], 3)?);
        }
    }
    Ok(notes)
}

/// A file with a decoder in it goes through h5repack again: without filters, with another one, with ours.
fn repacked_again(bench: &Bench, folder: &Path) -> Outcome {
    let bundle = set_up(bench, folder)?;
    let id = bundle.id().to_string();
    repack(bench, folder, &named(&bundle), "in.h5", "out.h5")?;
    let within = |file: &str, rel: &str| bench.case(folder, &["within", file, "d", "in.h5", "d", "2", rel], 2);
    // As it is: the chunks are copied, and the decoder with them.
    bench.run(folder, "h5repack", &["out.h5", "copied.h5"])?;
    bench.case(folder, &["models_in", "copied.h5", &id], 1)?;
    within("copied.h5", "1e-3")?;
    // Other chunks, where the encoder is gone: the bound is kept by other candidates.
    bench.run(folder, "h5repack", &["-l", "d:CHUNK=64x8x8", "out.h5", "chunks.h5"])?;
    bench.case(folder, &["filters_of", "chunks.h5", "d"], 1)?;
    bench.case(folder, &["within", "chunks.h5", "d", "out.h5", "d", "2", "1e-3"], 2)?;
    // Every dataset through gzip, and through a lossy filter of ours: the decoder cannot be filtered.
    bench.run(folder, "h5repack", &["-f", "GZIP=4", "out.h5", "gzip.h5"])?;
    bench.case(folder, &["models_in", "gzip.h5", &id], 1)?;
    within("gzip.h5", "1e-3")?;
    repack(bench, folder, &Request { bound: Bound::Abs(0.5), ..named(&bundle) }, "out.h5", "again.h5")?;
    bench.case(folder, &["models_in", "again.h5", &id], 1)?;
    bench.case(folder, &["within", "again.h5", "d", "out.h5", "d", "1", "0.5"], 2)?;
    // A name that h5repack comes to before it comes to our group, which is then there already.
    bench.case(folder, &["tiles", "tiles.raw", "upper.h5", "A"], 1)?;
    repack(bench, folder, &named(&bundle), "upper.h5", "upper_out.h5")?;
    repack(bench, folder, &named(&bundle), "upper_out.h5", "upper_again.h5")?;
    bench.case(folder, &["models_in", "upper_again.h5", &id], 1)?;
    bench.case(folder, &["within", "upper_again.h5", "A", "upper_out.h5", "A", "2", "1e-3"], 2)
}

/// The group in a file must not disturb netCDF.
fn netcdf(bench: &Bench, folder: &Path) -> Outcome {
    let bundle = set_up(bench, folder)?;
    repack(bench, folder, &named(&bundle), "in.h5", "out.h5")?;
    let header = bench.run(folder, "ncdump", &["-h", "out.h5"])?;
    contains(&header, "float d(")?;
    bench.run(folder, "nccopy", &["out.h5", "copied.nc"])?;
    bench.case(folder, &["within", "copied.nc", "d", "in.h5", "d", "2", "2e-3"], 2)
}

fn auto_and_latent(bench: &Bench, folder: &Path) -> Outcome {
    let bundle = set_up(bench, folder)?;
    let id = bundle.id().to_string();
    let mut command = bench.case_command(folder, &["latent_and_auto", "in.h5", &id]);
    checks(success(command.env("BALER_MODEL_PATH", folder.join("models")))?, 5)
}

/// A model that fails while data are written: they are written without it, within the bound, and it is said once.
fn encoder_fails(bench: &Bench, folder: &Path) -> Outcome {
    set_up(bench, folder)?;
    let bundle = baler_tests::fixed::broken("broken");
    std::fs::write(folder.join("models/broken.bundle"), bundle.to_bytes(Contents::Full)).map_err(|e| e.to_string())?;
    let mut command = bench.command(folder, "h5repack");
    command.args(["-f", &ud(&named(&bundle))?, "-l", "d:CHUNK=64x8x8", "in.h5", "out.h5"]);
    let output = command.env("BALER_MODEL_PATH", folder.join("models")).output().map_err(|e| e.to_string())?;
    let told = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() || told.matches("warning").count() != 1 {
        return Err(format!("{}: expected success and one warning:\n{told}", output.status));
    }
    contains(&told, &bundle.id().to_string())?;
    contains(&told, "within the same bound")?;
    bench.case(folder, &["filters_of", "out.h5", "d"], 1)?;
    bench.case(folder, &["models_in", "out.h5", ""], 1)?;
    let mut notes = bench.case(folder, &["within", "out.h5", "d", "in.h5", "d", "2", "1e-3"], 2)?;
    notes.push(told.trim().to_owned());
    // Latents alone cannot be written another way: refused before there are data to lose.
    let latent = Request { bound: Bound::Latent, ..named(&bundle) };
    let mut command = bench.command(folder, "h5repack");
    command.args(["--enable-error-stack", "-f", &ud(&latent)?, "in.h5", "latent.h5"]);
    // h5repack 1.10 then copies the data as they are, and is content.
    let output = command.env("BALER_MODEL_PATH", folder.join("models")).output().map_err(|e| e.to_string())?;
    contains(&String::from_utf8_lossy(&output.stderr), "Baler filter refused: encoder.fixed.json of bundle broken")?;
    Ok(notes)
}

/// Every bit, every length, and noise, for a chunk that a model won.
fn damaged_chunks(bench: &Bench, folder: &Path) -> Outcome {
    let bundle = set_up(bench, folder)?;
    let id = bundle.id().to_string();
    let mut notes = Vec::new();
    for (case, least) in [("flipped_bits", 10_000), ("cut_chunks", 1_500), ("noise_chunks", 3_000)] {
        let mut command = bench.case_command(folder, &[case, &id, "tiles.raw"]);
        let lines = checks(success(command.env("BALER_MODEL_PATH", folder.join("models")))?, least)?;
        notes.push(lines.into_iter().find(|line| line.starts_with("model ")).ok_or("no chunk of a model")?);
    }
    Ok(notes)
}
