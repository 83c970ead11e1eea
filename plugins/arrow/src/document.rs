//! The parameters of encoded columns: all that decoding needs, as one small JSON document named by its content.

use crate::error::{Error, Result};
use baler_codec::relation::Formula;
use baler_codec::{Bound, BundleId, Dtype, Lattice, ValueQuantiser};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The newest format of documents; this build reads all up to it.
pub const FORMAT: u32 = 2;
/// A document larger than this is not one of ours.
pub const MAX_BYTES: usize = 16 << 20;
/// The folder beside data files where documents lie, each under its id.
pub const FOLDER: &str = "_baler";

/// The name of a document: the first 128 bits of the SHA-256 of its bytes, 32 hexadecimal digits in text.
pub type DocumentId = BundleId;

/// What a document holds. Unknown keys are refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// The oldest format that can say it, at most [`FORMAT`].
    pub format: u32,
    /// What was asked for, for people and for finding the document of an interrupted job again.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub request: String,
    /// The encoded columns. Formulas call them `x0`, `x1`, ... in this order.
    pub columns: Vec<Column>,
}

impl Parameters {
    /// In the oldest format that can say it.
    pub fn new(request: String, columns: Vec<Column>) -> Self {
        let format = if columns.iter().any(|column| column.low_bits != WHOLE_BYTE) { 2 } else { 1 };
        Self { format, request, columns }
    }
}

/// [`Column::low_bits`] of codes that are the integers themselves.
pub const WHOLE_BYTE: u32 = 8;

fn whole_byte() -> u32 {
    WHOLE_BYTE
}

fn is_whole_byte(bits: &u32) -> bool {
    *bits == WHOLE_BYTE
}

/// One encoded column: a leaf of the schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Names of the fields that lead to it, lists left out: `["jets", "pt"]` of a list of structs.
    pub path: Vec<String>,
    /// Type of the values.
    pub dtype: Float,
    /// Whether values may be null (codes always may).
    pub nullable: bool,
    /// Type of the codes.
    pub code: Code,
    /// The bound that was asked for.
    pub asked: Limit,
    /// The bound that each value keeps: `abs` or `pw_rel`.
    pub bound: Limit,
    /// What integers stand for.
    pub lattice: Steps,
    /// From integers to codes.
    pub mode: Mode,
    /// How many bits the lowest byte of a code holds, 1 to 8; the others are in the bytes above it. Codes still grow with what they
    /// stand for. Compressors that see bytes apart from each other take fewer bits where no byte is all noise and none is nearly constant.
    #[serde(default = "whole_byte", skip_serializing_if = "is_whole_byte")]
    pub low_bits: u32,
    /// Smallest and largest finite value that the parameters were chosen from; others are served too.
    pub range: [f64; 2],
}

/// Types of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Float {
    Float16,
    Float32,
    Float64,
}

impl Float {
    /// The codec's name for it.
    pub fn dtype(self) -> Dtype {
        match self {
            Float::Float16 => Dtype::F16,
            Float::Float32 => Dtype::F32,
            Float::Float64 => Dtype::F64,
        }
    }
}

/// Types of codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Code {
    Int32,
    Int64,
}

/// A bound of values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Largest absolute error.
    Abs(f64),
    /// Largest error relative to the range of all values.
    Rel(f64),
    /// Largest error relative to each value.
    PwRel(f64),
}

impl Limit {
    /// The codec's name for it.
    pub fn bound(self) -> Bound {
        match self {
            Limit::Abs(v) => Bound::Abs(v),
            Limit::Rel(v) => Bound::Rel(v),
            Limit::PwRel(v) => Bound::PwRel(v),
        }
    }

    /// Of the codec's bounds those that columns know.
    pub fn of(bound: Bound) -> Result<Self> {
        bound.validate()?;
        match bound {
            Bound::Abs(v) => Ok(Limit::Abs(v)),
            Bound::Rel(v) => Ok(Limit::Rel(v)),
            Bound::PwRel(v) => Ok(Limit::PwRel(v)),
            other => {
                Err(Error::invalid(format!("the bound {other} cannot be kept row by row: use abs, rel or pw_rel")))
            }
        }
    }
}

/// See [`Lattice`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "they mirror Lattice")]
pub enum Steps {
    Linear(f64),
    Pattern(u64),
}

impl Steps {
    /// The codec's name for it.
    pub fn lattice(self) -> Lattice {
        match self {
            Steps::Linear(step) => Lattice::Linear { step },
            Steps::Pattern(step) => Lattice::Pattern { step },
        }
    }
}

impl From<Lattice> for Steps {
    fn from(lattice: Lattice) -> Self {
        match lattice {
            Lattice::Linear { step } => Steps::Linear(step),
            Lattice::Pattern { step } => Steps::Pattern(step),
        }
    }
}

/// How a code follows from the integer `q` of a value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Mode {
    /// `code = q - base`: codes grow with the values, so that statistics of codes prune.
    Plain {
        /// Not above the integer of the smallest value known when the parameters were chosen; a little below where that makes codes smaller.
        base: i64,
    },
    /// `code = zigzag(q - p)`, `p` the integer next to the formula's value for the decoded values of the same row.
    Predict {
        /// In the text form of [`Formula`].
        formula: String,
        /// Where it comes from: the id of a bundle, if any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bundle: Option<String>,
    },
}

impl Column {
    /// The path as text: `jets.pt`.
    pub fn name(&self) -> String {
        self.path.join(".")
    }

    /// The code of an integer, its lowest byte holding [`Column::low_bits`] bits; `None` where 64 bits do not hold it.
    pub(crate) fn spread(&self, integer: i64) -> Option<i64> {
        let high = (integer >> self.low_bits).checked_mul(1 << WHOLE_BYTE)?;
        Some(high | (integer & ((1 << self.low_bits) - 1)))
    }

    /// The inverse of [`Self::spread`], and of any other code some integer.
    pub(crate) fn gather(&self, code: i64) -> i64 {
        ((code >> WHOLE_BYTE) << self.low_bits).wrapping_add(code & 0xff)
    }
}

/// A checked document, ready for use.
#[derive(Debug)]
pub struct Document {
    parameters: Parameters,
    bytes: Vec<u8>,
    id: DocumentId,
    pub(crate) quantisers: Vec<ValueQuantiser>,
    pub(crate) formulas: Vec<Option<Formula>>,
    /// Every column after those that its formula takes.
    pub(crate) order: Vec<usize>,
}

impl Document {
    /// Writes the parameters down and checks them.
    pub fn new(parameters: &Parameters) -> Result<Self> {
        let bytes = serde_json::to_vec(parameters).map_err(|e| Error::invalid(format!("parameters: {e}")))?;
        Self::parse(&bytes)
    }

    /// Reads a document.
    ///
    /// # Errors
    /// Says what is wrong with it: a newer format, an unknown key, a column twice, a formula of columns that are not there,
    /// a circle of formulas.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let corrupt = |what: String| Error::corrupt(format!("document of encoded columns: {what}"));
        if bytes.len() > MAX_BYTES {
            return Err(corrupt(format!("{} bytes, at most {MAX_BYTES} are read", bytes.len())));
        }
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let version: Version = serde_json::from_slice(bytes).map_err(|e| corrupt(e.to_string()))?;
        if version.format > FORMAT {
            return Err(Error::Codec(baler_codec::Error::new(
                baler_codec::ErrorKind::Version,
                format!("document format {}: this build reads up to {FORMAT}; update it", version.format),
            )));
        }
        let parameters: Parameters = serde_json::from_slice(bytes).map_err(|e| corrupt(e.to_string()))?;
        let columns = &parameters.columns;
        let mut seen = BTreeSet::new();
        let mut quantisers = Vec::new();
        let mut formulas = Vec::new();
        for column in columns {
            let in_column = |e: String| corrupt(format!("column {}: {e}", column.name()));
            if column.path.is_empty() || !seen.insert(&column.path) {
                return Err(in_column("it has no path, or the path of another column".into()));
            }
            let oldest = if column.low_bits == WHOLE_BYTE { 1 } else { 2 };
            if !(1..=WHOLE_BYTE).contains(&column.low_bits) || parameters.format < oldest {
                let (bits, format) = (column.low_bits, parameters.format);
                return Err(in_column(format!("low_bits {bits} in format {format}: expected 1 to 8, and format 2")));
            }
            let (dtype, lattice) = (column.dtype.dtype(), column.lattice.lattice());
            let quantiser = ValueQuantiser::with_lattice(dtype, column.bound.bound(), lattice);
            quantisers.push(quantiser.map_err(|e| in_column(e.to_string()))?);
            formulas.push(match &column.mode {
                Mode::Plain { .. } => None,
                Mode::Predict { .. } if column.path.len() > 1 => {
                    return Err(in_column("nested columns have no formula".into()));
                }
                Mode::Predict { formula, .. } => {
                    let formula: Formula = formula.parse().map_err(in_column)?;
                    formula.check(columns.len()).map_err(in_column)?;
                    Some(formula)
                }
            });
        }
        let order =
            order(&formulas).map_err(|c| corrupt(format!("column {} follows from itself", columns[c].name())))?;
        let digest = Sha256::digest(bytes);
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        Ok(Self { id: BundleId(id), bytes: bytes.to_vec(), parameters, quantisers, formulas, order })
    }

    /// The hash of [`Document::bytes`].
    pub fn id(&self) -> DocumentId {
        self.id
    }

    /// The JSON text.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What it says.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The encoded columns.
    pub fn columns(&self) -> &[Column] {
        &self.parameters.columns
    }

    /// Position of the column with this path.
    pub fn position<S: AsRef<str>>(&self, path: &[S]) -> Option<usize> {
        let is_it = |c: &Column| c.path.len() == path.len() && c.path.iter().zip(path).all(|(a, b)| a == b.as_ref());
        self.columns().iter().position(is_it)
    }

    /// Names of the columns that decoding a top-level column needs besides itself, over all steps.
    pub fn parents(&self, name: &str) -> BTreeSet<String> {
        let mut needed = BTreeSet::new();
        let mut waiting: Vec<usize> = self.position(&[name]).into_iter().collect();
        while let Some(c) = waiting.pop() {
            for parent in self.formulas[c].iter().flat_map(Formula::columns) {
                if needed.insert(self.columns()[parent].name()) {
                    waiting.push(parent);
                }
            }
        }
        needed
    }

    /// Writes it into `<folder>/_baler/<id>`, whole or not at all; nothing is done where it lies there already.
    pub fn save(&self, folder: &Path) -> Result<PathBuf> {
        self.save_in(&folder.join(FOLDER))
    }

    /// Writes it into `<folder>/<id>`.
    pub fn save_in(&self, folder: &Path) -> Result<PathBuf> {
        let target = folder.join(self.id.to_string());
        if std::fs::read(&target).is_ok_and(|there| there == self.bytes) {
            return Ok(target);
        }
        let in_file = |e: std::io::Error| Error::Io(e).context(format!("cannot write {}", target.display()));
        std::fs::create_dir_all(folder).map_err(in_file)?;
        let unfinished = folder.join(format!(".{}.{}.unfinished", self.id, std::process::id()));
        let written = std::fs::File::create(&unfinished).and_then(|mut file| {
            std::io::Write::write_all(&mut file, &self.bytes)?;
            file.sync_all()?;
            std::fs::rename(&unfinished, &target)
        });
        if let Err(e) = written {
            // The first error is the one to tell.
            let _ = std::fs::remove_file(&unfinished);
            return Err(in_file(e));
        }
        Ok(target)
    }
}

/// An order in which every column comes after those of its formula; the column of a circle if there is none.
pub(crate) fn order(formulas: &[Option<Formula>]) -> std::result::Result<Vec<usize>, usize> {
    let mut placed = vec![false; formulas.len()];
    let mut order = Vec::with_capacity(formulas.len());
    loop {
        let before = order.len();
        for (c, formula) in formulas.iter().enumerate() {
            let is_ready = formula.as_ref().is_none_or(|f| f.columns().into_iter().all(|p| placed[p]));
            if !placed[c] && is_ready {
                placed[c] = true;
                order.push(c);
            }
        }
        match placed.iter().position(|p| !p) {
            None => return Ok(order),
            Some(c) if order.len() == before => return Err(c),
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, mode: Mode) -> Column {
        Column {
            path: vec![name.into()],
            dtype: Float::Float32,
            nullable: false,
            code: Code::Int32,
            asked: Limit::Rel(1e-3),
            bound: Limit::Abs(0.1),
            lattice: Steps::Linear(0.199),
            mode,
            low_bits: WHOLE_BYTE,
            range: [0.0, 100.0],
        }
    }

    fn predicted(formula: &str) -> Mode {
        Mode::Predict { formula: formula.into(), bundle: None }
    }

    #[test]
    fn documents_come_back_under_their_id() {
        let columns = vec![
            column("a", predicted("1*x1*cos(x2)")),
            column("b", Mode::Plain { base: -7 }),
            column("c", predicted("2*x1")),
        ];
        let document = Document::new(&Parameters::new(String::new(), columns)).unwrap();
        let again = Document::parse(document.bytes()).unwrap();
        assert_eq!((again.id(), again.parameters()), (document.id(), document.parameters()));
        assert_eq!(again.order, [1, 2, 0]);
        assert_eq!(again.parents("a").into_iter().collect::<Vec<_>>(), ["b", "c"]);
        let folder = tempfile::tempdir().unwrap();
        let path = document.save(folder.path()).unwrap();
        assert!(path.ends_with(format!("_baler/{}", document.id())));
        assert_eq!(std::fs::read(path).unwrap(), document.bytes());
    }

    #[test]
    fn codes_grow_with_integers_whatever_their_lowest_byte_holds() {
        for low_bits in 1..=WHOLE_BYTE {
            let column = Column { low_bits, ..column("a", Mode::Plain { base: 0 }) };
            let codes: Vec<i64> = (-1000..1000).map(|i| column.spread(i).unwrap()).collect();
            assert!(codes.is_sorted_by(|a, b| a < b), "{low_bits}");
            assert!(codes.iter().zip(-1000..).all(|(&code, i)| column.gather(code) == i), "{low_bits}");
        }
        let column = Column { low_bits: 4, ..column("a", Mode::Plain { base: 0 }) };
        assert_eq!(
            (column.spread(0x123), column.spread(-1), column.spread(i64::MAX)),
            (Some(0x1203), Some(-0x100 + 0xf), None)
        );
    }

    #[test]
    fn wrong_documents_are_refused() {
        let text = |columns: Vec<Column>| serde_json::to_string(&Parameters::new(String::new(), columns)).unwrap();
        let good = text(vec![column("a", Mode::Plain { base: 0 })]);
        assert!(Document::parse(good.as_bytes()).is_ok());
        let twice = text(vec![column("a", Mode::Plain { base: 0 }); 2]);
        let circle = text(vec![column("a", predicted("1*x1")), column("b", predicted("1*x0"))]);
        let beyond = text(vec![column("a", predicted("1*x9"))]);
        assert!(good.starts_with("{\"format\":1,") && !good.contains("low_bits"));
        let spread = text(vec![Column { low_bits: 5, ..column("a", Mode::Plain { base: 0 }) }]);
        assert!(spread.starts_with("{\"format\":2,") && Document::parse(spread.as_bytes()).is_ok());
        let (early, wide) =
            (spread.replace("\"format\":2", "\"format\":1"), spread.replace("\"low_bits\":5", "\"low_bits\":9"));
        let newer = good.replace("\"format\":1", "\"format\":3");
        let unknown = good.replace("\"nullable\"", "\"other\":1,\"nullable\"");
        let lattice = good.replace("0.199", "-0.199");
        let kind = good.replace("{\"linear\":0.199}", "{\"pattern\":3}");
        for bad in [&twice, &circle, &beyond, &early, &wide, &newer, &unknown, &lattice, &kind, "", "{}"] {
            assert!(Document::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
