//! Bundles in packed form, and their manifests.

use super::{MIB, Target, answer, as_it_is, mend_checksum};
use baler_codec::bundle::{Bundle, Contents, Manifest};
use baler_tests::walsh;

pub const TARGET: Target = Target { name: "bundle", seeds: packed, mend: mend_checksum, run: unpack, memory };

pub const MANIFEST: Target =
    Target { name: "manifest", seeds: manifests, mend: as_it_is, run: |input| answer(parse(input)), memory };

/// A section may be 1024 times as long as its compressed form.
fn memory(len: usize) -> usize {
    4 * 1024 * len + 16 * MIB
}

fn packed() -> Vec<Vec<u8>> {
    let walsh = walsh::bundle("walsh");
    let built_in = baler_models::builtin().list();
    let all = built_in.iter().map(AsRef::as_ref).chain([&walsh]);
    all.flat_map(|bundle| [Contents::Full, Contents::DecoderOnly].map(|what| bundle.to_bytes(what)))
        .filter(|bytes| bytes.len() < 1 << 15)
        .collect()
}

fn unpack(input: &[u8]) -> Result<String, String> {
    let bundle = match Bundle::parse(input) {
        Ok(bundle) => bundle,
        Err(e) => return Ok(e.to_string()),
    };
    let again = Bundle::parse(&bundle.to_bytes(Contents::DecoderOnly)).map_err(|e| format!("its own copy: {e}"))?;
    if again.id() != bundle.id() {
        return Err(format!("{} became {}", bundle.id(), again.id()));
    }
    answer(bundle.decoder())
}

fn manifests() -> Vec<Vec<u8>> {
    let built_in = baler_models::builtin().list();
    built_in.iter().map(|bundle| bundle.manifest_toml().as_bytes().to_vec()).collect()
}

fn parse(input: &[u8]) -> Result<Manifest, String> {
    let manifest = Manifest::parse(&String::from_utf8_lossy(input)).map_err(|e| e.to_string())?;
    let text = manifest.to_toml().map_err(|e| e.to_string())?;
    let again = Manifest::parse(&text).map_err(|e| e.to_string())?;
    assert_eq!(again.to_toml().ok().as_deref(), Some(&*text), "a manifest changes when it is written again");
    Ok(manifest)
}
