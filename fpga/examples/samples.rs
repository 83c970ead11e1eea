//! Writes the programs of `baler_fpga::samples` that have the sizes of papers, and the smallest, for `baler fpga` to work on:
//! `cargo run -p baler-fpga --example samples -- DIR`.

use baler_fpga::samples;
use std::path::Path;

fn main() -> std::io::Result<()> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    std::fs::create_dir_all(&folder)?;
    for program in [samples::smallest(), samples::tiny(), samples::prototype(), samples::autoencoder()] {
        let path = Path::new(&folder).join(format!("{}.json", program.name()));
        std::fs::write(&path, program.to_json())?;
        println!("{}", path.display());
    }
    Ok(())
}
