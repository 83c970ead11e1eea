"""A second decoder of Baler's chunks, written from codec/FORMAT.md, docs/inference.md and docs/bundle-format.md alone.

Slow and plain: it exists to show that the documents are enough, and to be read beside them. One file for each chapter:
wire (notation), chunk, part (fields and the simple methods), integers, context, mixed, autoencoder, network, interpolated,
related, conditional, elementary, wavelet, fitted, floating, autoregressive.
"""
