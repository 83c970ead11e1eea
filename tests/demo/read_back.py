#!/usr/bin/env python3
"""Reads a dataset in plain h5py and keeps it as .npy: read_back.py FILE DATASET OUT.npy

Nothing here knows of Baler. HDF5 finds the filter by HDF5_PLUGIN_PATH.
"""

import sys

import h5py
import numpy as np

path, name, out = sys.argv[1:]
with h5py.File(path) as file:
    np.save(out, file[name][...])
