"""In the place of CPython's generator: prints the digest of a header.

Usage: python3 -B _targets.py TRIPLE DEBUG CFLAGS BUILD, where DEBUG is 0 or 1 and BUILD has the configuration.
"""

import hashlib
import os
import pathlib
import sys

TOOLS_JIT = pathlib.Path(__file__).resolve().parent
PYTHON_EXECUTOR_CASES_C_H = TOOLS_JIT.parent.parent / "Python" / "executor_cases.c.h"


def _compute_digest(triple, debug, cflags, out):
    # What changes the stencils.
    hasher = hashlib.sha256()
    hasher.update(triple.encode())
    hasher.update(debug.to_bytes())
    hasher.update(cflags.encode())
    hasher.update(PYTHON_EXECUTOR_CASES_C_H.read_bytes())
    hasher.update((out / "pyconfig.h").read_bytes())
    for dirpath, _, filenames in sorted(os.walk(TOOLS_JIT)):
        if dirpath.endswith("__pycache__"):
            continue
        for filename in sorted(filenames):
            hasher.update(pathlib.Path(dirpath, filename).read_bytes())
    return hasher.hexdigest()


if __name__ == "__main__":
    triple, debug, cflags, out = sys.argv[1:]
    print(_compute_digest(triple, debug == "1", cflags, pathlib.Path(out)))
