"""Whether the interpreter that runs this makes machine code of hot loops. For CPython 3.13 and 3.14.

Usage: python jit.py some|none     (which of the two is expected; the exit code is 1 if it is the other)
"""

import sys

import _opcode


def executors(function):
    """The machine code of each executor that starts in `function`; None for one without."""
    code = function.__code__
    found = []
    for offset in range(0, len(code.co_code), 2):
        try:
            executor = _opcode.get_executor(code, offset)
        except ValueError:  # no executor here
            continue
        found.append(executor.get_jit_code())
    return found


def hot_loop(count):
    total = 0
    for i in range(count):
        total += i & 7
    return total


def main():
    if sys.argv[1:] not in (["some"], ["none"]):
        sys.exit(__doc__)
    assert hot_loop(80_000) == 280_000
    codes = executors(hot_loop)
    if sys.argv[1] == "none":
        return 1 if codes else 0
    print(f"executors of a hot loop: {len(codes)}, machine code: {[len(code or b'') for code in codes]} bytes")
    return 0 if codes and all(code and any(code) for code in codes) else 1


if __name__ == "__main__":
    sys.exit(main())
