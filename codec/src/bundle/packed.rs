//! The packed form of a bundle, one file `<name>.bundle`; specified byte by byte in `docs/bundle-format.md`.

use super::BundleId;
use crate::error::{Error, ErrorKind, Result};
use sha2::{Digest, Sha256};
use xxhash_rust::xxh3::xxh3_64;

const MAGIC: [u8; 4] = *b"BALB";
/// 2 has `encoder.fixed.json`, 1 has not.
const VERSIONS: std::ops::RangeInclusive<u8> = 1..=2;
/// Magic, version, number of sections.
const HEADER_BYTES: usize = 6;
const CHECKSUM_BYTES: usize = 8;

/// The sections in their one order: name, largest length, whether every copy has to have its content, whether it is part
/// of the id.
const SECTIONS: [(&str, u64, bool, bool); 5] = [
    ("manifest.toml", 1 << 20, true, true),
    ("decoder.onnx", 1 << 28, true, true),
    ("encoder.onnx", 1 << 28, false, true),
    ("encoder.fixed.json", 1 << 28, false, true),
    ("CARD.md", 1 << 20, false, false),
];
pub(super) const MANIFEST: usize = 0;
pub(super) const DECODER: usize = 1;
pub(super) const ENCODER: usize = 2;
pub(super) const FIXED: usize = 3;
pub(super) const CARD: usize = 4;

/// A compressed section may grow by this factor at most when read, so that a small file cannot claim gigabytes.
const MAX_RATIO: u64 = 1024;

const LEFT_OUT: u8 = 0;
const ZSTD: u8 = 1;
const PLAIN: u8 = 2;

/// One section: always its length and digest, its content if this copy has it.
#[derive(Clone)]
pub(super) struct Section {
    pub length: u64,
    pub digest: [u8; 32],
    pub content: Option<Vec<u8>>,
}

impl Section {
    pub fn new(content: Vec<u8>) -> Self {
        Self { length: content.len() as u64, digest: Sha256::digest(&content).into(), content: Some(content) }
    }
}

/// The sections of a bundle by index; `None` for one the bundle does not have at all.
pub(super) type Sections = [Option<Section>; SECTIONS.len()];

/// Checks sections about to be packed against the limits that reading has.
pub(super) fn check_lengths(sections: &Sections) -> Result<()> {
    for (section, (name, max, ..)) in sections.iter().zip(SECTIONS) {
        if let Some(section) = section
            && (section.length > max || section.length == 0)
        {
            return Err(Error::model(format!("{name} has {} bytes: expected 1 to {max}", section.length)));
        }
    }
    Ok(())
}

/// The content hash.
pub(super) fn id(sections: &Sections) -> BundleId {
    let mut hash = Sha256::new();
    for (section, (name, _, _, in_id)) in sections.iter().zip(SECTIONS) {
        if let (Some(section), true) = (section, in_id) {
            hash.update([name.len() as u8]);
            hash.update(name);
            hash.update(section.length.to_le_bytes());
            hash.update(section.digest);
        }
    }
    let digest: [u8; 32] = hash.finalize().into();
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    BundleId(id)
}

/// Packs the sections that `keep` names and this copy has; the others stay in the table by length and digest.
pub(super) fn write(sections: &Sections, keep: impl Fn(usize) -> bool) -> Vec<u8> {
    let mut table = Vec::new();
    let mut payload = Vec::new();
    for (i, section) in sections.iter().enumerate() {
        let Some(section) = section else { continue };
        let (how, packed) = match &section.content {
            Some(content) if keep(i) => compress(content),
            _ => (LEFT_OUT, Vec::new()),
        };
        let name = SECTIONS[i].0;
        table.push(name.len() as u8);
        table.extend_from_slice(name.as_bytes());
        table.extend_from_slice(&section.length.to_le_bytes());
        table.extend_from_slice(&section.digest);
        table.push(how);
        table.extend_from_slice(&(packed.len() as u64).to_le_bytes());
        payload.extend_from_slice(&packed);
    }
    let n_sections = sections.iter().flatten().count() as u8;
    let mut out = Vec::with_capacity(HEADER_BYTES + table.len() + payload.len() + CHECKSUM_BYTES);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[version(sections), n_sections]);
    out.extend_from_slice(&table);
    out.extend_from_slice(&payload);
    out.extend_from_slice(&xxh3_64(&out).to_le_bytes());
    out
}

/// The lowest version that has these sections.
fn version(sections: &Sections) -> u8 {
    if sections[FIXED].is_some() { 2 } else { 1 }
}

fn compress(content: &[u8]) -> (u8, Vec<u8>) {
    // The highest level is slow on large encoders and gains nothing on float weights.
    let level = if content.len() <= 4 << 20 { 19 } else { 9 };
    match zstd::bulk::compress(content, level) {
        Ok(packed) if packed.len() < content.len() && content.len() as u64 <= packed.len() as u64 * MAX_RATIO => {
            (ZSTD, packed)
        }
        _ => (PLAIN, content.to_vec()),
    }
}

/// Reads a packed bundle and checks everything that can be checked without parsing the sections.
pub(super) fn read(bytes: &[u8]) -> Result<Sections> {
    if bytes.len() < HEADER_BYTES || bytes[..4] != MAGIC {
        return Err(Error::corrupt(format!(
            "not a bundle: expected a file that starts with {:?}, found {} bytes starting with {:02x?}",
            std::str::from_utf8(&MAGIC).unwrap_or_default(),
            bytes.len(),
            &bytes[..bytes.len().min(4)]
        )));
    }
    if !VERSIONS.contains(&bytes[4]) {
        return Err(Error::new(
            ErrorKind::Version,
            format!("bundle format version {}: this version reads up to {}", bytes[4], VERSIONS.end()),
        ));
    }
    let Some((body, checksum)) = bytes.split_last_chunk::<CHECKSUM_BYTES>() else {
        return Err(cut());
    };
    if xxh3_64(body) != u64::from_le_bytes(*checksum) {
        return Err(Error::corrupt("bundle: the checksum does not match: the file is damaged or cut"));
    }
    let mut cursor = body.get(HEADER_BYTES..).ok_or_else(cut)?;
    let mut sections: Sections = Default::default();
    let mut stored: [(u8, u64); SECTIONS.len()] = Default::default();
    let mut next = 0;
    for _ in 0..body[5] {
        let [name_len] = take::<1>(&mut cursor)?;
        let name = take_slice(&mut cursor, u64::from(name_len))?;
        let Some(i) = (next..SECTIONS.len()).find(|&i| SECTIONS[i].0.as_bytes() == name) else {
            return Err(Error::corrupt(format!(
                "bundle: section {:?} is unknown, twice there, or out of order",
                String::from_utf8_lossy(name)
            )));
        };
        next = i + 1;
        let length = u64::from_le_bytes(take(&mut cursor)?);
        let digest = take::<32>(&mut cursor)?;
        let [how] = take::<1>(&mut cursor)?;
        stored[i] = (how, u64::from_le_bytes(take(&mut cursor)?));
        sections[i] = Some(Section { length, digest, content: None });
    }
    if bytes[4] != version(&sections) {
        return Err(Error::corrupt(format!("bundle: version {} with the sections of another", bytes[4])));
    }
    check_lengths(&sections).map_err(|e| Error::corrupt(e.message()).context("bundle"))?;
    for (i, (name, _, required, _)) in SECTIONS.into_iter().enumerate() {
        match &mut sections[i] {
            Some(section) => {
                section.content = read_section(&mut cursor, section, stored[i], required)
                    .map_err(|e| e.context(format_args!("bundle section {name}")))?;
            }
            // Which others a bundle needs depends on its family.
            None if i == MANIFEST => return Err(Error::corrupt(format!("bundle: section {name} is missing"))),
            None => {}
        }
    }
    if !cursor.is_empty() {
        return Err(Error::corrupt(format!("bundle: {} bytes too many after the last section", cursor.len())));
    }
    Ok(sections)
}

fn read_section(
    cursor: &mut &[u8],
    section: &Section,
    (how, packed_len): (u8, u64),
    required: bool,
) -> Result<Option<Vec<u8>>> {
    let packed = take_slice(cursor, packed_len)?;
    let content = match how {
        LEFT_OUT if required || packed_len != 0 => {
            return Err(Error::corrupt("marked as left out, which it cannot be"));
        }
        LEFT_OUT => return Ok(None),
        PLAIN => packed.to_vec(),
        ZSTD => {
            if section.length > packed_len.saturating_mul(MAX_RATIO) {
                return Err(Error::corrupt(format!(
                    "{packed_len} bytes claim to hold {}: more than {MAX_RATIO} times as many is refused",
                    section.length
                )));
            }
            let capacity = usize::try_from(section.length).map_err(|_| Error::corrupt("too long for this machine"))?;
            zstd::bulk::decompress(packed, capacity)
                .map_err(|e| Error::corrupt(format!("cannot be decompressed to {capacity} bytes: {e}")))?
        }
        _ => return Err(Error::corrupt(format!("storage method {how} is unknown"))),
    };
    if content.len() as u64 != section.length {
        return Err(Error::corrupt(format!("has {} bytes, its table entry says {}", content.len(), section.length)));
    }
    if Sha256::digest(&content)[..] != section.digest {
        return Err(Error::corrupt("its SHA-256 digest does not match its content"));
    }
    Ok(Some(content))
}

fn take<const N: usize>(cursor: &mut &[u8]) -> Result<[u8; N]> {
    let (head, tail) = cursor.split_first_chunk::<N>().ok_or_else(cut)?;
    *cursor = tail;
    Ok(*head)
}

fn take_slice<'a>(cursor: &mut &'a [u8], len: u64) -> Result<&'a [u8]> {
    let len = usize::try_from(len).map_err(|_| cut())?;
    let (head, tail) = cursor.split_at_checked(len).ok_or_else(cut)?;
    *cursor = tail;
    Ok(head)
}

fn cut() -> Error {
    Error::corrupt("bundle: the file is cut")
}
