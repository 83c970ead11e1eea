"""Checks ONNX files against onnx.checker and ONNX Runtime: python models/tests/check_onnx.py FOLDER

FOLDER holds NAME.onnx with NAME.input and NAME.output, raw little-endian float32 of some rows, as written by the example
`write_onnx`. Exits with 1 if a file is refused or an output differs by more than 1e-5 of its largest value.
"""
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime

failed = checked = 0
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.onnx")):
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    shape = session.get_inputs()[0].shape[1:]
    x = np.fromfile(path.with_suffix(".input"), "<f4").reshape(-1, *shape)
    expected = np.fromfile(path.with_suffix(".output"), "<f4")
    found = session.run(None, {session.get_inputs()[0].name: x})[0].ravel()
    difference = np.abs(found - expected).max() / max(np.abs(expected).max(), 1.0)
    print(f"{path.name}: largest difference {difference:.1e}")
    checked += 1
    failed += not difference <= 1e-5
print(f"{checked - failed} passed, {failed} failed")
sys.exit(failed > 0 or checked == 0)
