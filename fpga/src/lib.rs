//! Fixed-point hardware path: ONNX encoders to fixed-point programs, emulated bit for bit.
