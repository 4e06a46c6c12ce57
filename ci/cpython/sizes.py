"""Sizes of stencils, uop by uop, of two headers of one CPython: ours and that of its own generator.

Usage: python sizes.py TITLE OURS ORIGINAL
Prints the lines of a file of tests/goldens/cpython: the title, the totals, and for each stencil its name and the bytes of code
and data in both headers.
"""

import pathlib
import re
import sys

GROUP = re.compile(r"(?:\[(\w+)\]|StencilGroup (\w+)) = \{emit_\w+, (\d+), (\d+)")


def read(path):
    """Code and data by stencil, and how many places are patched."""
    text = pathlib.Path(path).read_text()
    groups = {}
    for index, variable, code, data in GROUP.findall(text):
        groups[index or variable] = int(code), int(data)
    return groups, len(re.findall(r"^    patch_\w+\(", text, re.MULTILINE))


def main():
    title, ours_path, original_path = sys.argv[1:]
    (ours, ours_places), (original, original_places) = read(ours_path), read(original_path)
    if ours.keys() != original.keys():
        sys.exit(f"sizes: only one of the headers has {sorted(ours.keys() ^ original.keys())}")
    print(f"# {title}")
    print("# stencil\tcode\tdata\toriginal code\toriginal data")
    print(f"# places\t{ours_places}\t\t{original_places}")
    for name in sorted(ours):
        print(name, *ours[name], *original[name], sep="\t")


if __name__ == "__main__":
    main()
