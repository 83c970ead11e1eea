//! The filter's parameters as HDF5 stores them: up to 20 words of 32 bits, `cd_values`.
//!
//! What a caller passes and what a file stores are two forms of one layout. The caller states a wish (words 0 to 6,
//! trailing words may be left out); `set_local` adds what it learned about the dataset (words 7 to 19).
//!
//! | word   | content                                                                                  |
//! |--------|------------------------------------------------------------------------------------------|
//! | 0      | bits 0-7 version of this layout (1), bits 8-15 kind of bound, bits 16-31 [`flag`]s        |
//! | 1, 2   | bound, an IEEE 754 binary64: low half, high half                                         |
//! | 3 - 6  | bundle id, 16 bytes, four to a word, first byte lowest; all zero: none is named           |
//! | 7, 8   | fill value, as the bytes of one element in the dataset's byte order, zero-padded to 8     |
//! | 9      | bits 0-7 element type, bit 8 big-endian, bits 16-23 rank (1 to 10)                        |
//! | 10 - 19| extents of a chunk, slowest axis first; as many as the rank says                          |
//!
//! 20 words are what every tool can carry: h5repack's `UD=` takes no more.

use baler_codec::bundle::BundleId;
use baler_codec::{Bound, ByteOrder, Dtype, Effort, Error, ModelChoice, Result};

/// Version of the layout in word 0.
pub const VERSION: u32 = 1;
/// The most words a request or a stored form has.
pub const MAX_WORDS: usize = 20;
/// The most axes that are stored; further leading ones are merged into the first.
pub const MAX_RANK: usize = 10;

/// Words of a request without its bundle id, and with it.
const BOUND_WORDS: usize = 3;
const REQUEST_WORDS: usize = 7;
/// Words before the extents.
const HEAD_WORDS: usize = 10;

/// Flags of word 0.
pub mod flag {
    /// The last axis holds the columns of a table: `rel`, `pw_rel` and `psnr` are meant of each column.
    pub const PER_COLUMN: u32 = 1 << 16;
    /// The decoder goes into every chunk that needs it.
    pub const EMBED: u32 = 1 << 17;
    /// Each chunk is decoded and compared with its input before it is stored.
    pub const CHECK_DECODE: u32 = 1 << 18;
    /// Words 7 and 8 hold a fill value.
    pub const HAS_FILL: u32 = 1 << 19;
    /// Two bits: 0 no models, 1 those that fit (`auto`), 2 the one named in words 3 to 6.
    pub const MODEL_SHIFT: u32 = 20;
    /// Two bits: 0 default effort, 1 fast, 2 max.
    pub const EFFORT_SHIFT: u32 = 22;
    /// Every bit that version 1 gives a meaning.
    pub const KNOWN: u32 = PER_COLUMN | EMBED | CHECK_DECODE | HAS_FILL | 3 << MODEL_SHIFT | 3 << EFFORT_SHIFT;
}

/// What the filter is asked to do, and what it knows of the dataset.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The promise.
    pub bound: Bound,
    /// The last axis holds the columns of a table.
    pub per_column: bool,
    /// Put the decoder into every chunk that needs it.
    pub embed: bool,
    /// Decode each chunk and compare it before it is stored.
    pub check_decode: bool,
    /// Which models take part.
    pub model: ModelChoice,
    /// Under [`ModelChoice::Auto`], one bundle that takes part besides those built into the plugin. `set_local` picks
    /// it and sees to it that readers find its decoder.
    pub auto_bundle: Option<BundleId>,
    /// How long to search.
    pub effort: Effort,
    /// Element type and chunk; `None` in what a caller passes.
    pub array: Option<Array>,
}

/// What `set_local` learned about the dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Array {
    /// Element type.
    pub dtype: Dtype,
    /// Byte order in the file.
    pub byte_order: ByteOrder,
    /// Extents of a chunk, at most [`MAX_RANK`] of them (see [`merge_leading_axes`]).
    pub shape: Vec<usize>,
    /// The dataset's fill value where a user has set one: the bytes of one element in `byte_order`.
    pub fill: Option<Vec<u8>>,
}

impl Array {
    /// Bytes of one chunk.
    pub fn len_bytes(&self) -> Result<usize> {
        self.shape
            .iter()
            .try_fold(self.dtype.size_bytes(), |bytes, &extent| bytes.checked_mul(extent))
            .ok_or_else(|| Error::invalid(format!("a chunk of {:?} {} overflows", self.shape, self.dtype)))
    }
}

/// No words at all, that is the filter's bare id, asks for this: lossless, without models.
impl Default for Request {
    fn default() -> Self {
        Self {
            bound: Bound::Lossless,
            per_column: false,
            embed: false,
            check_decode: false,
            model: ModelChoice::None,
            auto_bundle: None,
            effort: Effort::Default,
            array: None,
        }
    }
}

impl Request {
    /// A request for `bound` with models chosen automatically.
    pub fn new(bound: Bound) -> Self {
        Self { bound, model: ModelChoice::Auto, ..Self::default() }
    }

    /// The words to pass to HDF5: 1, 3 or 7 for a request, up to 20 with [`Self::array`].
    pub fn to_words(&self) -> Result<Vec<u32>> {
        self.bound.validate()?;
        let (kind, value) = self.bound.to_wire();
        let (model, id) = match self.model {
            ModelChoice::None => (0, None),
            ModelChoice::Auto => (1, self.auto_bundle),
            ModelChoice::Bundle(id) => (2, Some(id)),
        };
        let effort = match self.effort {
            Effort::Default => 0,
            Effort::Fast => 1,
            Effort::Max => 2,
        };
        let mut head = VERSION | u32::from(kind) << 8 | model << flag::MODEL_SHIFT | effort << flag::EFFORT_SHIFT;
        for (set, bit) in [
            (self.per_column, flag::PER_COLUMN),
            (self.embed, flag::EMBED),
            (self.check_decode, flag::CHECK_DECODE),
            (self.array.as_ref().is_some_and(|a| a.fill.is_some()), flag::HAS_FILL),
        ] {
            if set {
                head |= bit;
            }
        }
        let mut words = vec![head];
        words.extend(words_of(&value.to_le_bytes()));
        words.extend(words_of(&id.map_or([0; 16], |id| id.0)));
        let Some(array) = &self.array else {
            let n_words = match (id, value == 0.0) {
                (Some(_), _) => REQUEST_WORDS,
                (None, false) => BOUND_WORDS,
                (None, true) => 1,
            };
            words.truncate(n_words);
            return Ok(words);
        };
        array.len_bytes()?;
        if array.shape.is_empty() || array.shape.len() > MAX_RANK {
            return Err(Error::invalid(format!("{} axes: cd_values hold 1 to {MAX_RANK}", array.shape.len())));
        }
        let mut fill = [0; 8];
        if let Some(bytes) = &array.fill {
            if bytes.len() != array.dtype.size_bytes() {
                return Err(Error::invalid(format!("a fill value of {} bytes for {}", bytes.len(), array.dtype)));
            }
            fill[..bytes.len()].copy_from_slice(bytes);
        }
        words.extend(words_of(&fill));
        let big_endian = u32::from(array.byte_order == ByteOrder::Big);
        words.push(array.dtype as u32 | big_endian << 8 | (array.shape.len() as u32) << 16);
        for &extent in &array.shape {
            words.push(u32::try_from(extent).map_err(|_| {
                Error::invalid(format!("a chunk of {:?}: no extent may be above {}", array.shape, u32::MAX))
            })?);
        }
        Ok(words)
    }

    /// Reads either form. An error says which word is wrong.
    pub fn from_words(words: &[u32]) -> Result<Self> {
        let Some(&head) = words.first() else {
            return Ok(Self::default());
        };
        let version = head & 0xff;
        if version != VERSION {
            return Err(Error::new(
                baler_codec::ErrorKind::Version,
                format!(
                    "cd_values of version {version} (word 0 is {head:#010x}): this plugin knows version {VERSION}; \
                     `baler h5 args` prints valid values"
                ),
            ));
        }
        if words.len() > MAX_WORDS {
            return Err(Error::invalid(format!("{} cd_values: at most {MAX_WORDS} are defined", words.len())));
        }
        if head >> 16 << 16 & !flag::KNOWN != 0 {
            return Err(Error::unsupported(format!("cd_values word 0 is {head:#010x}: it has flags unknown here")));
        }
        let word = |i: usize| words.get(i).copied().unwrap_or(0);
        let value = f64::from_bits(u64::from(word(1)) | u64::from(word(2)) << 32);
        let bound = Bound::from_wire((head >> 8) as u8, value)?;
        let mut id = [0; 16];
        for (i, bytes) in id.chunks_exact_mut(4).enumerate() {
            bytes.copy_from_slice(&word(3 + i).to_le_bytes());
        }
        let id = (id != [0; 16]).then_some(BundleId(id));
        let (model, auto_bundle) = match (head >> flag::MODEL_SHIFT & 3, id) {
            (0, None) => (ModelChoice::None, None),
            (1, id) => (ModelChoice::Auto, id),
            (2, Some(id)) => (ModelChoice::Bundle(id), None),
            (choice, _) => {
                return Err(Error::invalid(format!(
                    "cd_values: model choice {choice} with {} bundle id in words 3 to 6",
                    if id.is_some() { "a" } else { "no" }
                )));
            }
        };
        let effort = match head >> flag::EFFORT_SHIFT & 3 {
            0 => Effort::Default,
            1 => Effort::Fast,
            2 => Effort::Max,
            other => return Err(Error::unsupported(format!("cd_values: effort {other} is unknown"))),
        };
        let array = if word(9) == 0 { None } else { Some(array_from(words, head)?) };
        Ok(Self {
            bound,
            per_column: head & flag::PER_COLUMN != 0,
            embed: head & flag::EMBED != 0,
            check_decode: head & flag::CHECK_DECODE != 0,
            model,
            auto_bundle,
            effort,
            array,
        })
    }

    /// The argument of `h5repack -f`: `UD=47646,flag,n,v1,...`.
    ///
    /// `mandatory` writes flag 0: a tool that cannot load the plugin then fails. With flag 1, optional, it silently
    /// writes an uncompressed file.
    pub fn ud_argument(&self, mandatory: bool) -> Result<String> {
        let words = self.to_words()?;
        let mut text = format!("UD={},{},{}", crate::FILTER_ID, u8::from(!mandatory), words.len());
        for word in words {
            text += &format!(",{word}");
        }
        Ok(text)
    }
}

/// Words 7 to 19.
fn array_from(words: &[u32], head: u32) -> Result<Array> {
    let (dtype_id, rank) = (words[9] as u8, (words[9] >> 16 & 0xff) as usize);
    let dtype = Dtype::from_id(dtype_id)
        .ok_or_else(|| Error::unsupported(format!("cd_values word 9: element type {dtype_id} is unknown")))?;
    if rank == 0 || words.len() != HEAD_WORDS + rank {
        return Err(Error::invalid(format!(
            "cd_values word 9: rank {rank} with {} words; expected {} words",
            words.len(),
            HEAD_WORDS + rank
        )));
    }
    let fill = (head & flag::HAS_FILL != 0).then(|| {
        let mut bytes: Vec<u8> = words[7..9].iter().flat_map(|w| w.to_le_bytes()).collect();
        bytes.truncate(dtype.size_bytes());
        bytes
    });
    let byte_order = if words[9] & 1 << 8 == 0 { ByteOrder::Little } else { ByteOrder::Big };
    let shape = words[HEAD_WORDS..].iter().map(|&extent| extent as usize).collect();
    let array = Array { dtype, byte_order, shape, fill };
    array.len_bytes()?;
    Ok(array)
}

/// The extents with leading axes multiplied together until [`MAX_RANK`] are left. Values keep their order in memory.
pub fn merge_leading_axes(extents: &[u64]) -> Result<Vec<usize>> {
    let n_merged = extents.len().saturating_sub(MAX_RANK - 1).max(1).min(extents.len());
    let (leading, rest) = extents.split_at(n_merged);
    let first = leading.iter().try_fold(1u64, |n, &extent| n.checked_mul(extent));
    std::iter::once(first)
        .chain(rest.iter().map(|&extent| Some(extent)))
        .map(|extent| extent.and_then(|e| usize::try_from(e).ok()))
        .collect::<Option<_>>()
        .ok_or_else(|| Error::invalid(format!("a chunk of {extents:?} does not fit the address space")))
}

/// Bytes as little-endian words, four to one.
fn words_of(bytes: &[u8]) -> impl Iterator<Item = u32> + '_ {
    bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Request {
        Request {
            bound: Bound::Rel(1e-3),
            per_column: true,
            embed: true,
            check_decode: true,
            model: ModelChoice::Bundle(BundleId(*b"0123456789abcdef")),
            auto_bundle: None,
            effort: Effort::Max,
            array: Some(Array {
                dtype: Dtype::F64,
                byte_order: ByteOrder::Big,
                shape: vec![1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
                fill: Some(vec![1, 2, 3, 4, 5, 6, 7, 8]),
            }),
        }
    }

    #[test]
    fn every_field_survives() {
        let words = full().to_words().unwrap();
        assert_eq!(words.len(), MAX_WORDS);
        assert_eq!(Request::from_words(&words).unwrap(), full());
        for bound in
            [Bound::Lossless, Bound::Abs(1e-300), Bound::Rel(0.5), Bound::PwRel(1e-9), Bound::Psnr(80.0), Bound::Latent]
        {
            for model in [ModelChoice::None, ModelChoice::Auto, ModelChoice::Bundle(BundleId([7; 16]))] {
                for dtype in Dtype::ALL {
                    for array in [
                        None,
                        Some(Array { dtype, byte_order: ByteOrder::Little, shape: vec![3], fill: None }),
                        Some(Array {
                            dtype,
                            byte_order: ByteOrder::Big,
                            shape: vec![3, 9],
                            fill: Some(vec![0; dtype.size_bytes()]),
                        }),
                    ] {
                        let request = Request { bound, model, array, ..Request::default() };
                        assert_eq!(Request::from_words(&request.to_words().unwrap()).unwrap(), request);
                    }
                }
            }
        }
    }

    /// These numbers are in files: they must never change.
    #[test]
    fn layout_is_fixed() {
        assert_eq!(Request::new(Bound::Lossless).to_words().unwrap(), [0x0010_0001]);
        assert_eq!(Request::new(Bound::Abs(0.5)).to_words().unwrap(), [0x0010_0101, 0, 0x3fe0_0000]);
        let words = full().to_words().unwrap();
        assert_eq!(words[0], 0x00af_0201);
        assert_eq!(words[1..3], [0xd2f1_a9fc, 0x3f50_624d]);
        assert_eq!(words[3..7], [0x3332_3130, 0x3736_3534, 0x6261_3938, 0x6665_6463]);
        assert_eq!(words[7..9], [0x0403_0201, 0x0807_0605]);
        assert_eq!(words[9], 3 | 1 << 8 | 10 << 16);
        assert_eq!(words[10..], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    }

    #[test]
    fn no_words_ask_for_lossless_without_models() {
        assert_eq!(Request::from_words(&[]).unwrap(), Request::default());
    }

    #[test]
    fn a_request_needs_no_more_words_than_it_says() {
        assert_eq!(Request::new(Bound::Abs(1.0)).to_words().unwrap().len(), 3);
        let named = Request { model: ModelChoice::Bundle(BundleId([1; 16])), ..Request::new(Bound::Latent) };
        assert_eq!(named.to_words().unwrap().len(), 7);
        // Trailing zeros are what h5py users write by hand: the same request.
        assert_eq!(Request::from_words(&[0x0010_0001, 0, 0, 0, 0, 0, 0]).unwrap(), Request::new(Bound::Lossless));
    }

    #[test]
    fn bad_words_are_refused() {
        let refuse = |words: &[u32], part: &str| {
            let error = Request::from_words(words).unwrap_err();
            assert!(error.message().contains(part), "{error} does not say `{part}`");
        };
        refuse(&[0], "version 0");
        refuse(&[2], "version 2");
        refuse(&[0x0601], "bound kind 6");
        refuse(&[0x8000_0001], "flags unknown");
        refuse(&[0x0030_0001], "model choice 3");
        refuse(&[0x0020_0001], "no bundle id");
        refuse(&[0x00c0_0001], "effort 3");
        refuse(&[1, 0, 0, 9, 0, 0, 0], "model choice 0 with a bundle id");
        refuse(&[1; 21], "21 cd_values");
        refuse(&[1, 0, 0, 0, 0, 0, 0, 0, 0, 12 | 1 << 16, 4], "element type 12");
        refuse(&[1, 0, 0, 0, 0, 0, 0, 0, 0, 1 | 2 << 16, 4], "rank 2 with 11 words");
        refuse(&[1, 0, 0, 0, 0, 0, 0, 0, 0, 1], "rank 0");
        for value in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let bits = value.to_bits();
            refuse(&[0x0101, bits as u32, (bits >> 32) as u32], "expected a finite number above 0");
        }
        let mut words = vec![1, 0, 0, 0, 0, 0, 0, 0, 0, 3 | 10 << 16];
        words.extend([u32::MAX; 10]);
        refuse(&words, "overflows");
    }

    #[test]
    fn leading_axes_merge_beyond_ten() {
        assert_eq!(merge_leading_axes(&[4]).unwrap(), [4]);
        assert_eq!(merge_leading_axes(&[2; 10]).unwrap(), [2; 10]);
        assert_eq!(merge_leading_axes(&[2; 12]).unwrap(), [8, 2, 2, 2, 2, 2, 2, 2, 2, 2]);
        assert!(merge_leading_axes(&[u64::MAX; 12]).is_err());
    }

    #[test]
    fn ud_argument_is_what_h5repack_takes() {
        let request = Request::new(Bound::Abs(0.5));
        assert_eq!(request.ud_argument(true).unwrap(), "UD=47646,0,3,1048833,0,1071644672");
        assert_eq!(request.ud_argument(false).unwrap(), "UD=47646,1,3,1048833,0,1071644672");
    }
}
