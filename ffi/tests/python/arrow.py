"""Tables through the Arrow C stream functions of libbaler, from pyarrow: arrow.py LIBBALER"""

import ctypes
import sys

import numpy as np
import pyarrow as pa
import pyarrow.compute

lib = ctypes.CDLL(sys.argv[1])
lib.baler_last_error.restype = ctypes.c_char_p


class Options(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_size_t),
        ("bound", ctypes.c_char_p),
        ("columns", ctypes.POINTER(ctypes.c_char_p)),
        ("n_columns", ctypes.c_size_t),
        ("no_prediction", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
    ]


# struct ArrowArrayStream: four functions and a pointer.
Stream = ctypes.c_void_p * 5


def through(function, reader, *options):
    """The reader that `function` makes of another."""
    given, made = Stream(), Stream()
    reader._export_to_c(ctypes.addressof(given))
    status = function(ctypes.byref(given), *options, ctypes.byref(made))
    if status != 0:
        raise ValueError(f"status {status}: {lib.baler_last_error().decode()}")
    assert given[3] is None, "the stream was moved"
    return pa.RecordBatchReader._import_from_c(ctypes.addressof(made))


rows = 20_000
random = np.random.default_rng(1)
table = pa.table(
    {
        "event": pa.array(np.arange(rows)),
        "pt": pa.array(random.exponential(30.0, rows).astype(np.float32), mask=random.random(rows) < 0.01),
        "eta": pa.array(random.normal(0.0, 1.5, rows)),
        "weight": pa.array(random.random(rows)),
    }
)
columns = (ctypes.c_char_p * 2)(b"pt=abs:0.01", b"weight=lossless")
options = Options(ctypes.sizeof(Options), b"rel:1e-4", columns, 2, 0, 0)
batches = table.to_reader(max_chunksize=4096)
codes = through(lib.baler_arrow_encode_stream, batches, ctypes.byref(options)).read_all()
assert pa.types.is_integer(codes.schema.field("pt").type) and codes.schema.field("weight").type == pa.float64()
assert codes.num_rows == rows and codes["event"] == table["event"]

# Rows are codes of their own: any of them, in any order.
kept = codes.filter(pa.compute.greater(codes["event"], 100)).sort_by([("event", "descending")])
back = through(lib.baler_arrow_decode_stream, kept.to_reader(max_chunksize=1000)).read_all()
expected = table.slice(101).take(np.arange(rows - 101)[::-1])
assert back.schema == table.schema, back.schema
errors = {}
for name in ["pt", "eta", "weight"]:
    a, b = expected[name].combine_chunks(), back[name].combine_chunks()
    assert a.is_null().equals(b.is_null())
    errors[name] = float(np.nanmax(np.abs(a.to_numpy(zero_copy_only=False) - b.to_numpy(zero_copy_only=False))))
span = float(np.ptp(table["eta"].to_numpy()))
assert 0.005 < errors["pt"] <= 0.01 and errors["eta"] <= 1e-4 * span and errors["weight"] == 0.0, errors

# Wrong arguments are refused, and leave the stream to its owner.
given, made = Stream(), Stream()
table.to_reader()._export_to_c(ctypes.addressof(given))
wrong = Options(ctypes.sizeof(Options), b"best", None, 0, 0, 0)
encode, decode = lib.baler_arrow_encode_stream, lib.baler_arrow_decode_stream
refused = [
    encode(None, None, ctypes.byref(made)),
    encode(ctypes.byref(given), None, None),
    encode(ctypes.byref(given), None, ctypes.byref(given)),
    encode(ctypes.byref(given), ctypes.byref(wrong), ctypes.byref(made)),
    encode(ctypes.byref(given), ctypes.byref(Options()), ctypes.byref(made)),
    encode(ctypes.c_void_p(ctypes.addressof(given) + 1), None, ctypes.byref(made)),
    decode(None, ctypes.byref(made)),
    decode(ctypes.byref(given), None),
    decode(ctypes.byref(given), ctypes.byref(given)),
]
assert refused == [1] * len(refused) and given[3] is not None and made[3] is None, refused
assert pa.RecordBatchReader._import_from_c(ctypes.addressof(given)).read_all() == table
assert encode(ctypes.byref(given), None, ctypes.byref(made)) != 0, "a released stream"
print(f"{codes.num_rows} rows; largest errors {errors['pt']:.3g} of 0.01, {errors['eta']:.3g} of {1e-4 * span:.3g}, 0 of 0")
