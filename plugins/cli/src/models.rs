//! Models: where they are found, and `baler models`.

use crate::dataset::{Dataset, Request};
use crate::failure::{Code, Failure, Result};
use crate::outcome::{self, Outcome, bytes, number};
use baler_codec::bundle::{Bundle, BundleId, Contents, MemorySource};
use baler_codec::standalone::FileModels;
use baler_codec::{ErrorKind, ModelChoice, Registry, Warnings};
use clap::{Args, Subcommand};
use serde_json::json;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// Every model this program can reach.
pub struct Models {
    registry: Registry,
    file_models: Arc<FileModels>,
    /// The folder of a bundle named by file, for other programs that must find it.
    pub folder: Option<PathBuf>,
}

/// What a model that fails is told through: once in a process.
fn warnings() -> &'static Arc<Warnings> {
    static WARNINGS: OnceLock<Arc<Warnings>> = OnceLock::new();
    WARNINGS.get_or_init(|| Arc::new(Warnings::new(|message| eprintln!("baler: warning: {message}"))))
}

impl Models {
    /// The standard places, and the file being read.
    pub fn standard() -> Self {
        Self::with_extra(&[])
    }

    fn with_extra(extra: &[Arc<Bundle>]) -> Self {
        let file_models = Arc::new(FileModels::default());
        let mut registry = Registry::with_sources(baler_models::standard_sources());
        registry.add_source(file_models.clone());
        registry.set_fixed_engine(baler_fpga::offload::host()).set_warnings(warnings().clone());
        if !extra.is_empty() {
            registry.add_source(Arc::new(MemorySource::new(extra.to_vec())));
        }
        Self { registry, file_models, folder: None }
    }

    /// What `--model` says: the models to reach, and which of them take part.
    pub fn choose(text: &str) -> Result<(Self, ModelChoice)> {
        match text {
            "auto" => return Ok((Self::standard(), ModelChoice::Auto)),
            "none" => return Ok((Self::standard(), ModelChoice::None)),
            _ => {}
        }
        let path = Path::new(text);
        if path.is_file() {
            let bundle = Arc::new(read_bundle(path)?);
            let mut models = Self::with_extra(std::slice::from_ref(&bundle));
            models.folder = Some(match path.parent() {
                Some(p) if !p.as_os_str().is_empty() => p.to_owned(),
                _ => PathBuf::from("."),
            });
            return Ok((models, ModelChoice::Bundle(bundle.id())));
        }
        let models = Self::standard();
        let bundle = models.named(text)?;
        Ok((models, ModelChoice::Bundle(bundle.id())))
    }

    /// The model of this name, or of this id, of which the beginning is enough.
    pub fn named(&self, text: &str) -> Result<Arc<Bundle>> {
        Ok(self.registry.named(text)?)
    }

    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Filled while a file is read.
    pub fn file_models(&self) -> &FileModels {
        &self.file_models
    }

    /// Packed bytes of the decoders with these ids, as far as they are found: what a model costs where it is not built in.
    pub fn decoder_bytes<'a>(&self, ids: impl IntoIterator<Item = &'a String>) -> u64 {
        ids.into_iter()
            .filter_map(|id| self.registry.find(&id.parse().ok()?).ok())
            .map(|bundle| bundle.to_bytes(Contents::DecoderOnly).len() as u64)
            .sum()
    }

    /// The packed decoder of a model, for a file that is to open anywhere; `None` if every reader has it built in.
    pub fn decoder_for_file(&self, id: &BundleId) -> baler_codec::Result<Option<Vec<u8>>> {
        if is_builtin(id) {
            return Ok(None);
        }
        Ok(Some(self.registry.find(id)?.to_bytes(Contents::DecoderOnly)))
    }
}

fn is_builtin(id: &BundleId) -> bool {
    baler_models::builtin().find(id).is_ok_and(|found| found.is_some())
}

/// A file that cannot be opened is not a wrong argument.
pub fn read_bundle(path: &Path) -> Result<Bundle> {
    crate::format::open_file(path)?;
    baler_models::zoo::read_bundle(path).map_err(|e| match e.kind() {
        ErrorKind::Corrupt => Failure::damaged(e.to_string()),
        _ => Failure::new(Code::Model, e.to_string()),
    })
}

/// Looks at, installs and makes models
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    baler models list\n  \
    baler models show cfd-animation\n  \
    baler models import --decoder dec.onnx --encoder enc.onnx --name mine -o mine.bundle\n  \
    baler models add mine.bundle          # from now on found by its name and by readers\n\n\
    Models are looked for: built in; in the folders of BALER_MODEL_PATH; in ~/.local/share/baler/models.")]
pub struct ModelsArgs {
    #[command(subcommand)]
    command: ModelsCommand,
}

#[derive(Debug, Subcommand)]
enum ModelsCommand {
    /// Lists every model that is found
    List,
    /// Shows one model: manifest and card
    Show {
        /// Name, beginning of the id, or .bundle file
        model: String,
    },
    /// Installs a .bundle file for this user
    Add {
        /// The .bundle file
        file: PathBuf,
    },
    /// Makes a bundle of an ONNX pair from another framework
    Import(Box<ImportArgs>),
}

#[derive(Args, Debug)]
struct ImportArgs {
    /// ONNX file: [N, latents] to [N, tile...]; its operators must be ones our engine computes exactly
    #[arg(long, value_name = "FILE")]
    decoder: PathBuf,
    /// ONNX file: [N, tile...] to [N, latents]; without it the bundle can only read
    #[arg(long, value_name = "FILE")]
    encoder: Option<PathBuf>,
    /// Name of the model: letters, digits, `.`, `_`, `-`
    #[arg(long)]
    name: String,
    /// One or two sentences
    #[arg(long)]
    description: Option<String>,
    /// SPDX licence expression of the weights
    #[arg(long)]
    license: Option<String>,
    /// Trailing axes of the array that one latent vector stands for, as 50x50; by default the decoder's output
    #[arg(long, value_name = "NxN")]
    tile: Option<String>,
    /// Quantisation step of the latents
    #[arg(long, value_name = "X")]
    step: Option<f64>,
    /// Network input = (x - OFFSET) / SCALE; without it, by the range of each chunk
    #[arg(long, value_name = "OFFSET,SCALE")]
    fixed: Option<String>,
    /// Data of the kind the model was trained on: chooses the normalisation (unless --fixed does) and the latents' steps
    #[arg(long, value_name = "FILE", requires = "encoder", conflicts_with = "step")]
    calibrate: Option<PathBuf>,
    /// Which array of that file
    #[arg(long, value_name = "NAME", requires = "calibrate")]
    array: Option<String>,
    /// Where to write the bundle
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Replace the output if it is there
    #[arg(long, short)]
    force: bool,
}

impl ModelsArgs {
    pub fn run(&self) -> Result<Outcome> {
        match &self.command {
            ModelsCommand::List => list(),
            ModelsCommand::Show { model } => show(model),
            ModelsCommand::Add { file } => add(file),
            ModelsCommand::Import(args) => import(args),
        }
    }
}

fn list() -> Result<Outcome> {
    let models = Models::standard();
    let all = models.registry.list();
    let mut rows = vec![["NAME", "ID", "TILE", "LATENTS", "DECODER", "DESCRIPTION"].map(String::from).to_vec()];
    for b in &all {
        let m = b.manifest();
        rows.push(vec![
            m.name.clone(),
            b.id().to_string()[..12].to_owned(),
            tile(b),
            m.latents.count.to_string(),
            bytes(b.to_bytes(Contents::DecoderOnly).len() as u64),
            m.description.clone(),
        ]);
    }
    let text = if all.is_empty() { "no models found".to_owned() } else { outcome::table(&rows) };
    Ok(Outcome::new(text, json!({ "models": all.iter().map(|b| summary(b)).collect::<Vec<_>>() })))
}

fn show(model: &str) -> Result<Outcome> {
    let path = Path::new(model);
    let bundle = if path.is_file() { Arc::new(read_bundle(path)?) } else { Models::standard().named(model)? };
    let mut text = format!(
        "id        {}\npacked    {} (decoder only: {})\nencoder   {}\n\n{}",
        bundle.id(),
        bytes(bundle.to_bytes(Contents::Full).len() as u64),
        bytes(bundle.to_bytes(Contents::DecoderOnly).len() as u64),
        match (bundle.has_encoder(), bundle.can_encode()) {
            (true, _) => "yes",
            (false, true) => "none: the family needs none",
            (false, false) => "no: can only read",
        },
        bundle.manifest_toml().trim_end()
    );
    if let Some(card) = bundle.card() {
        text += &format!("\n\n{}", card.trim_end());
    }
    let mut json = summary(&bundle);
    json["manifest"] = bundle.manifest_toml().into();
    json["card"] = bundle.card().into();
    Ok(Outcome::new(text, json))
}

/// Whether a file is a bundle, by its first bytes.
pub fn is_bundle(path: &Path) -> bool {
    let mut magic = [0u8; 4];
    std::fs::File::open(path).and_then(|mut f| f.read_exact(&mut magic)).is_ok() && magic == *b"BALB"
}

/// `baler info` of a bundle: what `show` says, and the figures of the training log beside it.
pub fn info(path: &Path) -> Result<Outcome> {
    let mut outcome = show(&path.to_string_lossy())?;
    let id = outcome.json["id"].as_str().unwrap_or_default().to_owned();
    let Some(log) = crate::train_log::of_bundle(path, &id) else { return Ok(outcome) };
    let epochs = log["epochs"].as_array().map_or(0, Vec::len);
    let mut text = format!("training  {epochs} epochs, {:.0} s", log["elapsed_s"].as_f64().unwrap_or(0.0));
    if let Some(energy) = log["energy_j"].as_f64() {
        text += &format!(", {energy:.0} J");
    }
    let loss = |e: &serde_json::Value| e["validation_loss"].as_f64().or(e["training_loss"].as_f64());
    if let Some((epoch, loss)) = log["epochs"].as_array().and_then(|all| {
        let losses = all.iter().filter_map(|e| Some((e["epoch"].as_u64()?, loss(e)?)));
        losses.min_by(|a, b| a.1.total_cmp(&b.1))
    }) {
        text += &format!(", smallest loss {loss:.4} in epoch {epoch}");
    }
    if let Some(what) = log["measured"]["what"].as_str() {
        text += &format!("\nmeasured  on {what}");
    }
    for at in log["measured"]["at_bounds"].as_array().into_iter().flatten() {
        let number = |key: &str| at[key].as_f64().unwrap_or(f64::NAN);
        text += &format!(
            "\n  rel {:e}: ratio {:.2} ({:.2} with the decoder), without a model {:.2}",
            number("rel"),
            number("ratio"),
            number("ratio_with_decoder"),
            number("ratio_without_model")
        );
    }
    outcome.text = match outcome.text.split_once("\n\n") {
        Some((head, rest)) => format!("{head}\n{text}\n\n{rest}"),
        None => format!("{}\n{text}", outcome.text),
    };
    outcome.json["training_log"] = log;
    Ok(outcome)
}

fn add(file: &Path) -> Result<Outcome> {
    let bundle = read_bundle(file)?;
    let path = baler_models::install(&bundle).map_err(|e| Failure::runtime(e.to_string()))?;
    let text = format!("installed {} ({}) as {}", bundle.manifest().name, bundle.id(), path.display());
    let mut json = summary(&bundle);
    json["path"] = path.display().to_string().into();
    Ok(Outcome::new(text, json))
}

fn import(args: &ImportArgs) -> Result<Outcome> {
    use baler_codec::bundle::Normalisation;
    crate::output::refuse_overwrite(&args.output, args.force)?;
    let read =
        |path: &Path| std::fs::read(path).map_err(|e| Failure::runtime(format!("cannot read {}: {e}", path.display())));
    let decoder = read(&args.decoder)?;
    let encoder = args.encoder.as_deref().map(read).transpose()?;
    let mut options = baler_models::import::Options::new(&args.name);
    if let Some(description) = &args.description {
        options.description.clone_from(description);
    }
    if let Some(license) = &args.license {
        options.license.clone_from(license);
    }
    if let Some(step) = args.step {
        options.step = vec![step];
    }
    if let Some(tile) = &args.tile {
        options.tile = Some(extents(tile)?);
    }
    if let Some(fixed) = &args.fixed {
        let pair = fixed.split_once(',').and_then(|(o, s)| Some((o.parse().ok()?, s.parse().ok()?)));
        let (offset, scale) = pair.ok_or_else(|| Failure::usage(format!("--fixed {fixed}: expected OFFSET,SCALE")))?;
        options.normalisation = Normalisation::Fixed { offset, scale };
    }
    let calibration = match (&args.calibrate, &encoder) {
        (Some(path), Some(encoder)) => {
            let paths = [path.clone()];
            let dataset =
                Dataset::read(&Request { paths: &paths, array: args.array.as_deref(), ..Request::default() })?;
            let fixed = args.fixed.is_some().then(|| options.normalisation.clone());
            let (values, shape) =
                (dataset.to_f32(&dataset.bytes), dataset.array.shape.iter().map(|&n| n as usize).collect::<Vec<_>>());
            Some(baler_models::import::calibrate(encoder, &decoder, &mut options, fixed, &values, &shape)?)
        }
        _ => None,
    };
    let imported = baler_models::import(encoder.as_deref(), &decoder, &options)?;
    let (output, mut file) = crate::output::Output::create(&args.output, args.force)?;
    std::io::Write::write_all(&mut file, &imported.bundle.to_bytes(Contents::Full))?;
    output.commit()?;
    let mut text = format!("{} ({}) written to {}", args.name, imported.bundle.id(), args.output.display());
    if let Some(found) = &calibration {
        for (name, error) in &found.tried {
            text += &format!("\n  values {name}: error {error:.2e} of the range, root mean square");
        }
        text += &format!(
            "\n  taken: {}; with latents rounded {:.2e}, largest {:.2e}, on {} tiles",
            found.tried[0].0, found.quantised_rms_error, found.max_error, found.tiles
        );
    }
    for note in &imported.notes {
        text += &format!("\nnote: {note}");
    }
    let mut json = summary(&imported.bundle);
    json["calibration"] = calibration.map_or(serde_json::Value::Null, |found| {
        json!({
            "normalisation": found.tried[0].0,
            "rms_error": found.rms_error,
            "max_error": found.max_error,
            "quantised_rms_error": found.quantised_rms_error,
            "tiles": found.tiles,
            "tried": found.tried.iter().map(|(name, error)| json!({ "name": name, "rms_error": number(*error) })).collect::<Vec<_>>(),
        })
    });
    json["path"] = args.output.display().to_string().into();
    json["notes"] = imported.notes.into();
    Ok(Outcome::new(text, json))
}

/// `1x50x50` as extents.
pub fn extents(text: &str) -> Result<Vec<usize>> {
    let extents = text.split('x').map(str::parse).collect::<std::result::Result<Vec<usize>, _>>();
    extents
        .ok()
        .filter(|e| !e.contains(&0))
        .ok_or_else(|| Failure::usage(format!("{text:?}: expected extents above 0 like 1x50x50")))
}

fn tile(bundle: &Bundle) -> String {
    bundle.manifest().input.tile.iter().map(ToString::to_string).collect::<Vec<_>>().join("x")
}

fn summary(bundle: &Bundle) -> serde_json::Value {
    let m = bundle.manifest();
    json!({
        "name": m.name,
        "id": bundle.id().to_string(),
        "description": m.description,
        "license": m.license,
        "tile": m.input.tile,
        "latents": m.latents.count,
        "steps": m.latents.step.iter().map(|&s| number(s)).collect::<Vec<_>>(),
        "has_encoder": bundle.has_encoder(),
        "packed_bytes": bundle.to_bytes(Contents::Full).len(),
        "decoder_packed_bytes": bundle.to_bytes(Contents::DecoderOnly).len(),
        "is_builtin": is_builtin(&bundle.id()),
    })
}
