"""Runs the generator of CPython's source, Tools/jit/build.py, with another LLVM than the one it insists on.

Usage: python generator.py SOURCE BUILD LLVM_VERSION
The generator gets what the make of the build directory would give it. The source and the build directory stay as they are: the
header goes to the current directory, where pyconfig.h is.
"""

import pathlib
import re
import runpy
import sys

sys.dont_write_bytecode = True

from digest import import_from, make_arguments  # noqa: E402


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    source, build, version = sys.argv[1:]
    # Of released 3.14, `_llvm` imports `_targets`, which must be complete then.
    import_from(source, "_targets")
    llvm = import_from(source, "_llvm")

    # The one constant, and the pattern that is made of it.
    wanted = llvm._LLVM_VERSION
    llvm._LLVM_VERSION = int(version)
    pattern = llvm._LLVM_VERSION_PATTERN.pattern.replace(str(wanted), version, 1)
    llvm._LLVM_VERSION_PATTERN = re.compile(pattern)
    sys.argv = [str(pathlib.Path(source).resolve() / "Tools" / "jit" / "build.py"), *make_arguments(build)]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
