//! `baler new`: a project with a configuration that says what everything means.

use crate::failure::{Failure, InFile, Result};
use crate::outcome::Outcome;
use crate::project::CONFIG;
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Makes a project: folders, and a configuration that lists every option
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    baler new flows cylinder                  # flows/data, flows/cylinder/config.toml, flows/cylinder/output\n  \
    cp runs/*.npy flows/data/\n  \
    baler train --project flows cylinder\n  \
    baler compress --project flows cylinder\n  \
    baler report --project flows cylinder")]
pub struct NewArgs {
    /// Folder that holds the data and one or more projects
    workspace: PathBuf,
    /// Name of the project; the model has it too
    project: String,
}

impl NewArgs {
    pub fn run(&self) -> Result<Outcome> {
        let config = create(&self.workspace, &self.project, &template(&self.project, ""))?;
        let (workspace, project) = (self.workspace.display(), &self.project);
        let text = format!(
            "{}\nput data into {}, or name them in the configuration; then\n  baler train --project {workspace} {project}\n  \
             baler compress --project {workspace} {project}",
            config.display(),
            self.workspace.join("data").display()
        );
        let json = json!({
            "workspace": self.workspace.display().to_string(),
            "project": self.project,
            "config": config.display().to_string(),
        });
        Ok(Outcome::new(text, json))
    }
}

/// Makes the folders and writes the configuration; a project that is there is left alone.
pub fn create(workspace: &Path, project: &str, config: &str) -> Result<PathBuf> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if project.is_empty() || project.len() > 64 || project.starts_with('.') || !project.chars().all(plain) {
        return Err(Failure::usage(format!(
            "{project:?}: the name of a project is 1 to 64 ASCII letters, digits, '.', '_' or '-', not starting with '.'"
        )));
    }
    let folder = workspace.join(project);
    let path = folder.join(CONFIG);
    crate::output::refuse_overwrite(&path, false)
        .map_err(|_| Failure::usage(format!("{} exists already: choose another name", path.display())))?;
    for inside in ["compressed", "decompressed", "tables"] {
        let inside = folder.join("output").join(inside);
        std::fs::create_dir_all(&inside).in_file(&inside)?;
    }
    let data = workspace.join("data");
    std::fs::create_dir_all(&data).in_file(&data)?;
    std::fs::write(&path, config).in_file(&path)?;
    Ok(path)
}

/// The configuration with every default. `options` are lines for `[train.options]`.
pub fn template(project: &str, options: &str) -> String {
    let text = TEMPLATE.replace("PROJECT", project);
    text.replace("# OPTIONS\n", options)
}

/// Lines that begin with `#key =` are options at their default.
pub const TEMPLATE: &str = include_str!("new.toml");
