"""Compares two interpreters on the kernels of kernels.py: reference and ours, in turns, on one CPU.

Usage: python compare.py REFERENCE OURS [--rounds N] [--cpu N] [--json FILE] [--kernel NAME]...
A round starts a process of each interpreter for each kernel; the two live side by side and take turns of some 20 ms. What
else the machine does comes and goes more slowly than that (a neighbour on the same core makes everything take half as long
again for seconds), so that it touches both times of a pair or neither. The ratio of a pair is ours over the reference; that of
a round is the median of its pairs, that of a kernel the median of its rounds. The exit code is 1 if the results differ or one
of the interpreters did not compile a kernel.
"""

import argparse
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys

SCRIPT = pathlib.Path(__file__).with_name("kernels.py")
KERNELS = ["nbody", "fannkuch", "spectral_norm", "int_loop", "float_loop"]
PAIRS = 20  # of turns a round


class Kernel:
    """A process that has warmed up and runs the kernel when told to."""

    def __init__(self, interpreter, name):
        self.what = f"{interpreter} {name}"
        # Sets of strings have the same order everywhere; nothing else of the caller's environment comes through.
        environment = {"PYTHON_JIT": "1", "PYTHONHASHSEED": "0", "PATH": os.defpath}
        command = [interpreter, "-B", "-S", SCRIPT, name]
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def run(self):
        """Processor seconds of one run."""
        try:
            self.process.stdin.write("\n")
            return float(self.process.stdout.readline())
        except (BrokenPipeError, ValueError):
            sys.exit(f"compare: {self.what} ended with {self.process.wait()}")

    def finish(self):
        """What the kernel computed."""
        answer, _ = self.process.communicate()
        if self.process.returncode != 0:
            sys.exit(f"compare: {self.what} ended with {self.process.returncode}")
        answer = json.loads(answer)
        if answer["executors"] == 0:
            sys.exit(f"compare: {self.what}: nothing was compiled")
        return answer["result"]


def run_round(interpreters, kernel, number):
    """Pairs of seconds, reference and ours, and the result that both computed."""
    processes = [Kernel(interpreter, kernel) for interpreter in interpreters]
    for process in processes:
        process.run()  # once the other has started, too
    pairs = []
    for turn in range(PAIRS):
        # A B, B A, ...: who comes first is nobody's advantage.
        order = (0, 1) if (turn + number) % 2 == 0 else (1, 0)
        seconds = [0.0, 0.0]
        for which in order:
            seconds[which] = processes[which].run()
        pairs.append(seconds)
    results = [process.finish() for process in processes]
    if results[0] != results[1]:
        sys.exit(f"compare: results of {kernel} differ: {results[0]} and {results[1]}")
    return pairs


def measure(interpreters, kernels, rounds):
    """Rounds of pairs by kernel."""
    measured = {kernel: [] for kernel in kernels}
    for number in range(rounds):
        for kernel in kernels:
            measured[kernel].append(run_round(interpreters, kernel, number))
    return measured


def spread(values):
    """The distance between the quartiles over the median."""
    if len(values) < 2:
        return 0.0
    low, middle, high = statistics.quantiles(values, n=4)
    return (high - low) / middle


def report(measured):
    kernels = {}
    for kernel, rounds in measured.items():
        ratios = [statistics.median(ours / reference for reference, ours in pairs) for pairs in rounds]
        kernels[kernel] = {
            "reference_seconds": statistics.median(reference for pairs in rounds for reference, _ in pairs),
            "ours_seconds": statistics.median(ours for pairs in rounds for _, ours in pairs),
            "ratio": statistics.median(ratios),
            "spread": spread(ratios),
            "rounds": rounds,
        }
    logarithms = [math.log(kernel["ratio"]) for kernel in kernels.values()]
    return {"kernels": kernels, "geomean": math.exp(sum(logarithms) / len(logarithms))}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("reference")
    parser.add_argument("ours")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--cpu", type=int, default=max(os.sched_getaffinity(0)))
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--kernel", action="append", choices=KERNELS)
    options = parser.parse_args()
    # Processes inherit it.
    os.sched_setaffinity(0, {options.cpu})

    measured = measure((options.reference, options.ours), options.kernel or KERNELS, options.rounds)
    answer = {"rounds": options.rounds, "pairs": PAIRS, **report(measured)}

    print(f"{'kernel':<16} {'reference ms':>12} {'ours ms':>10} {'ours/ref':>9}   quartiles' distance, of rounds")
    for name, kernel in answer["kernels"].items():
        print(
            f"{name:<16} {kernel['reference_seconds'] * 1e3:>12.2f} {kernel['ours_seconds'] * 1e3:>10.2f}"
            f" {kernel['ratio']:>9.3f}   {kernel['spread']:.1%}"
        )
    print(f"{'geomean':<16} {'':>12} {'':>10} {answer['geomean']:>9.3f}   {options.rounds} rounds; results are equal")
    if options.json:
        options.json.write_text(json.dumps(answer, indent=2) + "\n")


if __name__ == "__main__":
    main()
