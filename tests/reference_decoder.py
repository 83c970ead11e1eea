#!/usr/bin/env python3
"""An independent decoder of Baler's chunks: the proof that codec/FORMAT.md is enough to write one.

    reference_decoder.py --check tests/golden     every chunk below the folder decodes to the bytes beside it,
                                                  and with any one bit flipped is refused
    reference_decoder.py --networks FOLDER        every NAME.onnx gives, of NAME.input, the bits of NAME.exact
    reference_decoder.py CHUNK OUTPUT             decodes one chunk

Needs Python 3.11, numpy, xxhash, zstandard, pcodec, and onnx for chunks with a model. Slow: some 10,000 values a second.
"""

import argparse
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
from reference.chunk import Chunk, decode  # noqa: E402
from reference.wire import Bad  # noqa: E402


def is_refused(data):
    try:
        Chunk(data)
    except Bad:
        return True
    return False


def check(folder):
    """Decodes every chunk below the folder; the number of those that failed."""
    paths = sorted(Path(folder).rglob("*.chunk"))
    failed = n_bytes = n_flips = 0
    begin = time.monotonic()
    for path in paths:
        data = path.read_bytes()
        try:
            found = decode(data)
            wrong = None if found == path.with_suffix(".values").read_bytes() else "other bytes than expected"
        except Exception as error:  # whatever stops one chunk, the others are still looked at
            wrong = f"{type(error).__name__}: {error}"
        else:
            n_bytes += len(found)
            for bit in range(8 * len(data)):
                damaged = bytearray(data)
                damaged[bit // 8] ^= 1 << bit % 8
                n_flips += 1
                if not is_refused(damaged):
                    wrong = f"bit {bit} flipped, and not refused"
        if wrong:
            failed += 1
            print(f"{path}: {wrong}")
    print(
        f"{len(paths) - failed} of {len(paths)} chunks decode to the bytes expected ({n_bytes} bytes, "
        f"{time.monotonic() - begin:.0f} s); {n_flips} flipped bits tried"
    )
    return failed if paths else 1


def networks(folder):
    """Runs every network in the folder; the number of those that failed."""
    import numpy as np
    from reference.network import Network

    paths = sorted(Path(folder).glob("*.onnx"))
    failed = n_values = 0
    for path in paths:
        expected = np.fromfile(path.with_suffix(".exact"), "<u4")
        n_values += len(expected)
        try:
            found = Network(path.read_bytes()).run(np.fromfile(path.with_suffix(".input"), "<f4"))
            wrong = np.flatnonzero(found.ravel().view("u4") != expected)
            wrong = f"{len(wrong)} values differ, first at {wrong[0]}" if len(wrong) else None
        except Exception as error:  # as above
            wrong = f"{type(error).__name__}: {error}"
        if wrong:
            failed += 1
            print(f"{path}: {wrong}")
    print(f"{len(paths) - failed} of {len(paths)} networks give the bits expected ({n_values} values)")
    return failed if paths else 1


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--check", metavar="FOLDER")
    arguments.add_argument("--networks", metavar="FOLDER")
    arguments.add_argument("chunk", nargs="?")
    arguments.add_argument("output", nargs="?")
    given = arguments.parse_args()
    if given.check:
        return 1 if check(given.check) else 0
    if given.networks:
        return 1 if networks(given.networks) else 0
    if not given.output:
        arguments.error("--check FOLDER, or a chunk and a file for its values")
    try:
        Path(given.output).write_bytes(decode(Path(given.chunk).read_bytes()))
    except Bad as reason:
        print(f"{given.chunk}: refused: {reason}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
