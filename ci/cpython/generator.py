"""Runs the generator of CPython 3.13's source, Tools/jit/build.py, with another LLVM than the one it insists on.

Usage: python generator.py SOURCE LLVM_VERSION [ARGUMENTS OF build.py]
The source stays as it is. The header goes to the current directory, where pyconfig.h is.
"""

import pathlib
import re
import runpy
import sys


def main():
    source, version, *arguments = sys.argv[1:]
    tools = pathlib.Path(source).resolve() / "Tools" / "jit"
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(tools))
    import _llvm

    # The one constant, and the pattern that is made of it.
    wanted = _llvm._LLVM_VERSION
    _llvm._LLVM_VERSION = int(version)
    pattern = _llvm._LLVM_VERSION_PATTERN.pattern.replace(str(wanted), version, 1)
    _llvm._LLVM_VERSION_PATTERN = re.compile(pattern)
    sys.argv = [str(tools / "build.py"), *arguments]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
