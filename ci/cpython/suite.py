"""Runs CPython's test suite with two interpreters, and compares which tests fail: reference and ours.

Usage: python suite.py REFERENCE OURS --logs DIR [--jobs N] [TEST...]
The exit code is 1 if ours fails a test that the reference passes, and fails it again alone.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys

# Neither network nor sound nor windows; not the tests that are there to take long or to fill the disk.
RESOURCES = "curses,decimal,subprocess"
# Of the whole suite, all but the tests that need debugging information in the interpreter.
WHOLE = ["-x", "test_gdb"]


def run_suite(interpreter, tests, jobs, log):
    """The runner's output goes to the terminal and to `log`; returns what it says at its end."""
    command = [interpreter, "-m", "test", f"-j{jobs}", "--timeout", "1200", "-u", RESOURCES, *(tests or WHOLE)]
    text = []
    with log.open("w") as copy:
        with subprocess.Popen(
            command,
            env={**os.environ, "PYTHON_JIT": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="backslashreplace",
        ) as runner:
            for line in runner.stdout:
                text.append(line)
                copy.write(line)
                print(line, end="", flush=True)
    return Outcome("".join(text), runner.returncode, log)


class Outcome:
    """What CPython's test runner reports: names of test files, by what became of them."""

    def __init__(self, text, returncode, log):
        totals = re.search(r"^Total test files: run=(\d+)", text, re.MULTILINE)
        # Neither interrupted nor in trouble with its own processes, which the runner also says here.
        result = re.search(r"^Result: (SUCCESS|FAILURE)$", text, re.MULTILINE)
        if totals is None or result is None:
            sys.exit(f"suite: the test runner did not come to a proper end (exit code {returncode}): {log}")
        self.ran = int(totals[1])
        self.failed = names(text, "failed")
        if bool(self.failed) != (result[1] == "FAILURE"):
            sys.exit(f"suite: which tests failed cannot be read from {log}")


def names(text, state):
    """The list under `3 tests failed:`, which the runner wraps into indented lines."""
    listed = re.search(rf"^\d+ tests? {state}:\n((?: {{4}}.*\n)+)", text, re.MULTILINE)
    return set(listed[1].split()) if listed else set()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("reference")
    parser.add_argument("ours")
    parser.add_argument("--logs", type=pathlib.Path, required=True)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("tests", nargs="*")
    options = parser.parse_intermixed_args()

    reference = run_suite(options.reference, options.tests, options.jobs, options.logs / "suite-reference.log")
    ours = run_suite(options.ours, options.tests, options.jobs, options.logs / "suite-ours.log")
    # A test that failed once may depend on time or on what ran beside it.
    again = []
    for test in sorted(ours.failed - reference.failed):
        print(f"\nsuite: {test} fails with ours only; once more, alone")
        if run_suite(options.ours, [test], 1, options.logs / f"suite-ours-{test}.log").failed:
            again.append(test)

    print()
    for name, outcome in (("reference", reference), ("ours", ours)):
        print(f"suite: {name}: {outcome.ran} test files, failed: {' '.join(sorted(outcome.failed)) or 'none'}")
    flaky = sorted(ours.failed - reference.failed - set(again))
    if flaky:
        print(f"suite: failed with ours once, and passed alone: {' '.join(flaky)}")
    if again:
        sys.exit(f"suite: fails with ours and passes with the reference: {' '.join(again)}")
    if ours.ran != reference.ran:
        sys.exit("suite: not as many test files ran with ours as with the reference")
    print("suite: ours fails no test that the reference passes")


if __name__ == "__main__":
    main()
