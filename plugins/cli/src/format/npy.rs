//! NumPy's `.npy`: a short text header, then the values as they lie in memory.
//!
//! Specification: numpy's `lib/format.py`, versions 1.0 to 3.0. Arrays in Fortran order are the same values with the axes
//! reversed, and are carried as that; nothing is transposed.

use super::{Array, Sink, Source, open_file};
use crate::failure::{Failure, InFile, Result};
use crate::output::{Output, OutputFile};
use baler_codec::standalone::Container;
use baler_codec::{ByteOrder, Dtype};
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// Headers of real files have some hundred bytes.
const MAX_HEADER_BYTES: u64 = 1 << 20;

/// One array in a file.
pub struct NpySource {
    path: PathBuf,
    arrays: [Array; 1],
    offset: u64,
}

impl NpySource {
    pub fn open(path: &Path) -> Result<Self> {
        let mut input = BufReader::new(open_file(path)?);
        let header = read_header(&mut input).in_file(path)?;
        let array = header.array(String::new()).in_file(path)?;
        let offset = input.stream_position().in_file(path)?;
        let there = super::file_bytes(path)? - offset;
        if there < array.value_bytes() {
            return Err(Failure::damaged(format!(
                "{}: {} needs {} bytes of values, {there} are there: the file was cut",
                path.display(),
                array.describe(),
                array.value_bytes()
            )));
        }
        Ok(Self { path: path.to_owned(), arrays: [array], offset })
    }
}

impl Source for NpySource {
    fn container(&self) -> Container {
        Container::Npy
    }

    fn arrays(&self) -> &[Array] {
        &self.arrays
    }

    fn read(&self, _i: usize, with: &mut dyn FnMut(&mut dyn Read) -> Result<()>) -> Result<()> {
        let mut file = open_file(&self.path)?;
        file.seek(SeekFrom::Start(self.offset)).in_file(&self.path)?;
        with(&mut BufReader::new(file)).in_file(&self.path)
    }
}

/// Writes the one array there may be.
pub struct NpySink {
    out: BufWriter<OutputFile>,
    output: Output,
    written: bool,
}

impl NpySink {
    pub fn create(path: &Path, force: bool) -> Result<Self> {
        let (output, file) = Output::create(path, force)?;
        Ok(Self { out: BufWriter::new(file), output, written: false })
    }
}

impl Sink for NpySink {
    fn array(&mut self, array: &Array) -> Result<()> {
        if std::mem::replace(&mut self.written, true) {
            return Err(Failure::usage(
                "a .npy holds one array and there are more: name one with --array, or write a .npz",
            ));
        }
        Ok(self.out.write_all(&header_bytes(array))?)
    }

    fn values(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.out.write_all(bytes)?)
    }

    fn blob(&mut self, name: &str, _bytes: &[u8]) -> Result<()> {
        Err(Failure::usage(format!(
            "a .npy cannot hold the member {name:?}: name the array to write with --array, or write a .npz"
        )))
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        if !self.written {
            return Err(Failure::usage("no array to write"));
        }
        self.out.flush()?;
        drop(self.out);
        self.output.commit()
    }
}

/// What the text of a header says.
pub struct Header {
    descr: String,
    fortran_order: bool,
    shape: Vec<u64>,
}

impl Header {
    /// The array, if it is one of numbers.
    pub fn array(&self, name: String) -> Result<Array> {
        let (dtype, byte_order) = self.numbers().ok_or_else(|| {
            Failure::runtime(format!(
                "values of type {}: expected float16/32/64 or integers of 8 to 64 bits; convert with numpy's astype \
                 (structured rows: one column each)",
                self.descr
            ))
        })?;
        let mut shape = self.shape.clone();
        if self.fortran_order {
            shape.reverse();
        }
        let n_bytes = shape.iter().try_fold(dtype.size_bytes() as u64, |n, &extent| n.checked_mul(extent));
        if n_bytes.is_none_or(|n| n > isize::MAX as u64) {
            return Err(Failure::damaged(format!("shape {:?} cannot be: it overflows", self.shape)));
        }
        let reversed_axes = self.fortran_order && shape.len() > 1;
        Ok(Array { name, dtype, byte_order, shape, reversed_axes, fill: None, promise: None })
    }

    /// Whether the values are numbers this program handles.
    pub fn is_numbers(&self) -> bool {
        self.numbers().is_some()
    }

    fn numbers(&self) -> Option<(Dtype, ByteOrder)> {
        let text = self.descr.strip_prefix('\'')?.strip_suffix('\'')?;
        let (order, kind) = text.split_at_checked(1)?;
        let byte_order = match order {
            "<" | "|" => ByteOrder::Little,
            ">" => ByteOrder::Big,
            "=" if cfg!(target_endian = "big") => ByteOrder::Big,
            "=" => ByteOrder::Little,
            _ => return None,
        };
        let dtype = Dtype::ALL.into_iter().find(|&d| type_code(d) == kind)?;
        Some((dtype, byte_order))
    }
}

/// numpy's `f4`, `i2`, `u8`, ...
fn type_code(dtype: Dtype) -> String {
    let kind = if dtype.is_float() { 'f' } else { dtype.name().chars().next().unwrap_or('?') };
    format!("{kind}{}", dtype.size_bytes())
}

/// Reads up to the first value.
pub fn read_header(input: &mut impl Read) -> Result<Header> {
    let mut start = [0u8; 8];
    input.read_exact(&mut start)?;
    if start[..6] != MAGIC[..] {
        return Err(Failure::damaged(format!("starts with {:02x?}: not a .npy file", &start[..6])));
    }
    let len = match start[6] {
        1 => {
            let mut n = [0u8; 2];
            input.read_exact(&mut n)?;
            u64::from(u16::from_le_bytes(n))
        }
        2 | 3 => {
            let mut n = [0u8; 4];
            input.read_exact(&mut n)?;
            u64::from(u32::from_le_bytes(n))
        }
        v => return Err(Failure::runtime(format!(".npy of version {v}: expected 1, 2 or 3"))),
    };
    if len > MAX_HEADER_BYTES {
        return Err(Failure::damaged(format!(".npy header of {len} bytes: at most {MAX_HEADER_BYTES} are believed")));
    }
    let mut text = vec![0; len as usize];
    input.read_exact(&mut text)?;
    parse_header(&String::from_utf8_lossy(&text))
}

fn parse_header(text: &str) -> Result<Header> {
    let bad = |what: &str| Failure::damaged(format!(".npy header has no usable {what}: {:?}", text.trim_end()));
    let descr = field(text, "descr").ok_or_else(|| bad("'descr'"))?.replace('"', "'");
    let fortran_order = match field(text, "fortran_order").ok_or_else(|| bad("'fortran_order'"))? {
        "True" => true,
        "False" => false,
        _ => return Err(bad("'fortran_order'")),
    };
    let shape =
        field(text, "shape").and_then(|s| s.strip_prefix('(')?.strip_suffix(')')).ok_or_else(|| bad("'shape'"))?;
    let shape = shape
        .split(',')
        .map(|s| s.trim().trim_end_matches('L'))
        .filter(|s| !s.is_empty())
        .map(str::parse)
        .collect::<std::result::Result<_, _>>()
        .map_err(|_| bad("'shape'"))?;
    Ok(Header { descr, fortran_order, shape })
}

/// The value of a key in the dictionary, up to the comma or brace that ends it outside of brackets and quotes.
fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let at = text.find(&format!("'{key}'")).or_else(|| text.find(&format!("\"{key}\"")))? + key.len() + 2;
    let value = text[at..].trim_start().strip_prefix(':')?.trim_start();
    let (mut depth, mut quote) = (0i32, None);
    for (i, c) in value.char_indices() {
        match (c, quote) {
            (_, Some(q)) if c == q => quote = None,
            (_, Some(_)) => {}
            ('\'' | '"', None) => quote = Some(c),
            ('(' | '[', None) => depth += 1,
            (')' | ']', None) => depth -= 1,
            (',' | '}', None) if depth == 0 => return Some(value[..i].trim_end()),
            _ => {}
        }
    }
    None
}

/// The header numpy would write.
pub fn header_bytes(array: &Array) -> Vec<u8> {
    let mut shape: Vec<String> = array.shape.iter().map(u64::to_string).collect();
    if array.reversed_axes {
        shape.reverse();
    }
    let shape = match &shape[..] {
        [one] => format!("({one},)"),
        more => format!("({})", more.join(", ")),
    };
    let order = match (array.dtype.size_bytes(), array.byte_order) {
        (1, _) => '|',
        (_, ByteOrder::Little) => '<',
        (_, ByteOrder::Big) => '>',
    };
    header_text(&format!("{order}{}", type_code(array.dtype)), array.reversed_axes, &shape)
}

/// A whole `.npy` of strings, as `numpy.array(names)` is saved.
pub fn text_array(names: &[&str]) -> Vec<u8> {
    let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(1);
    let mut bytes = header_text(&format!("<U{longest}"), false, &format!("({},)", names.len()));
    for name in names {
        let characters = name.chars().map(u32::from).chain(std::iter::repeat(0));
        bytes.extend(characters.take(longest).flat_map(u32::to_le_bytes));
    }
    bytes
}

fn header_text(descr: &str, reversed_axes: bool, shape: &str) -> Vec<u8> {
    let fortran = if reversed_axes { "True" } else { "False" };
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}");
    // Values begin at a multiple of 64 bytes; 32 axes of 20 digits stay far below the 65535 of version 1.
    let used = 10 + text.len() + 1;
    text.push_str(&" ".repeat(used.next_multiple_of(64) - used));
    text.push('\n');
    [&MAGIC[..], &[1, 0], &(text.len() as u16).to_le_bytes(), text.as_bytes()].concat()
}

/// The texts of a whole `.npy` with one axis of numpy's `U` or `S`; `None` if it holds anything else.
pub fn texts(npy: &[u8]) -> Option<Vec<String>> {
    let mut values = npy;
    let header = read_header(&mut values).ok()?;
    let kind = header.descr.trim_matches('\'');
    let width: usize = kind.get(2..)?.parse().ok()?;
    let [n] = header.shape[..] else { return None };
    let n = usize::try_from(n).ok()?;
    let each = width.checked_mul(if kind[1..].starts_with('U') { 4 } else { 1 })?;
    if values.len() != n.checked_mul(each)? {
        return None;
    }
    let text = |bytes: &[u8]| -> Option<String> {
        match &kind[..2] {
            "|S" => Some(std::str::from_utf8(bytes).ok()?.trim_end_matches('\0').to_owned()),
            "<U" | ">U" => {
                let word = |b: &[u8]| -> Option<u32> {
                    let b = b.try_into().ok()?;
                    Some(if kind.starts_with('<') { u32::from_le_bytes(b) } else { u32::from_be_bytes(b) })
                };
                let chars = bytes.chunks_exact(4).map(|b| char::from_u32(word(b)?));
                Some(chars.collect::<Option<String>>()?.trim_end_matches('\0').to_owned())
            }
            _ => None,
        }
    };
    if each == 0 {
        return Some(vec![String::new(); n]);
    }
    values.chunks_exact(each).map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(dtype: Dtype, byte_order: ByteOrder, shape: &[u64], reversed_axes: bool) -> Array {
        Array { name: String::new(), dtype, byte_order, shape: shape.into(), reversed_axes, fill: None, promise: None }
    }

    #[test]
    fn headers_survive() {
        for a in [
            array(Dtype::F64, ByteOrder::Little, &[60, 50, 50], false),
            array(Dtype::U16, ByteOrder::Big, &[3, 4], true),
            array(Dtype::I8, ByteOrder::Little, &[7], false),
            array(Dtype::F16, ByteOrder::Little, &[], false),
            array(Dtype::U64, ByteOrder::Big, &[0, 3], false),
        ] {
            let bytes = header_bytes(&a);
            assert_eq!(bytes.len() % 64, 0);
            let header = read_header(&mut &bytes[..]).unwrap_or_else(|e| panic!("{}", e.message));
            assert_eq!(header.array(String::new()).unwrap_or_else(|e| panic!("{}", e.message)), a);
        }
    }

    #[test]
    fn headers_of_others_are_read() {
        let h = parse_header("{\"shape\": (3L, 4L), \"fortran_order\": False, \"descr\": \">f4\"}").ok().unwrap();
        assert_eq!(h.array(String::new()).ok().unwrap(), array(Dtype::F32, ByteOrder::Big, &[3, 4], false));
    }

    #[test]
    fn other_types_are_told_apart() {
        for descr in ["'<U5'", "'|b1'", "'<c8'", "'|O'", "[('a', '<f4'), ('b', '<i4')]"] {
            let h =
                parse_header(&format!("{{'descr': {descr}, 'fortran_order': False, 'shape': (2,), }}")).ok().unwrap();
            assert!(!h.is_numbers(), "{descr}");
        }
    }

    #[test]
    fn texts_survive() {
        let names = ["pt", "\u{3b7}", ""];
        assert_eq!(texts(&text_array(&names)).unwrap(), names);
        assert_eq!(texts(&text_array(&[])).unwrap(), [""; 0]);
        assert_eq!(texts(&text_array(&names)[..130]), None, "cut");
        let bytes = header_text("|S2", false, "(2,)");
        assert_eq!(texts(&[&bytes[..], b"a\0bc"].concat()).unwrap(), ["a", "bc"]);
        assert_eq!(texts(b"\x93NUMPY"), None);
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "{}", "{'descr': '<f4'}", "{'descr': '<f4', 'fortran_order': 1, 'shape': (1,)}"] {
            assert!(parse_header(text).is_err(), "{text}");
        }
        let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 9), }";
        assert!(parse_header(text).ok().unwrap().array(String::new()).is_err());
        assert!(read_header(&mut &b"\x93NUMPY\x02\x00\xff\xff\xff\xff"[..]).is_err());
    }
}
