"""In the place of CPython's generator: says which files a header has."""

import sys

for triple in sys.argv[1:]:
    print(f"jit_stencils-{triple}.h")
print("jit_stencils.h")
