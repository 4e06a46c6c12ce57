"""The digest that CPython's generator would write into the header of a build directory, as its own Tools/jit computes it.

Usage: python digest.py SOURCE BUILD [ARGUMENTS of Tools/jit/build.py]
The arguments come behind those that CPython's make would give. Nothing is generated, and the source stays as it is.
"""

import argparse
import inspect
import pathlib
import shlex
import subprocess
import sys


def make_arguments(build):
    """What the make of a configured build directory gives Tools/jit/build.py."""
    command = ["make", "--no-print-directory", "-n", "-C", build, "regen-jit"]
    for line in subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines():
        _, script, arguments = line.partition("Tools/jit/build.py ")
        if script:
            return shlex.split(arguments)
    sys.exit(f"the make of {build} does not run Tools/jit/build.py: is the JIT configured?")


def import_from(source, name):
    """A module of the source's Tools/jit. No file is written: the older generators put all files there into the digest."""
    sys.dont_write_bytecode = True
    tools = str(pathlib.Path(source).resolve() / "Tools" / "jit")
    if tools not in sys.path:
        sys.path.insert(0, tools)
    return __import__(name)


def digest(source, build, more):
    targets = import_from(source, "_targets")
    parser = argparse.ArgumentParser()
    parser.add_argument("target", type=targets.get_target)
    parser.add_argument("-d", "--debug", action="store_true")
    parser.add_argument("-o", "--output-dir")
    parser.add_argument("-p", "--pyconfig-dir", default=".")
    parser.add_argument("--cflags", default="")
    options = parser.parse_args(make_arguments(build) + more)
    target = options.target
    target.debug = options.debug
    pyconfig_dir = pathlib.Path(build).resolve() / options.pyconfig_dir
    if inspect.signature(target._compute_digest).parameters:
        return target._compute_digest(pyconfig_dir)
    target.cflags = options.cflags
    target.pyconfig_dir = pyconfig_dir
    return target._compute_digest()


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    print(digest(sys.argv[1], sys.argv[2], sys.argv[3:]))
