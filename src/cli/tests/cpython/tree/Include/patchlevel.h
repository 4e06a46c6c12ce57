/* The version that this stand-in for CPython's source tree pretends to be. */
#define PY_MAJOR_VERSION 3
#define PY_MINOR_VERSION 13
#define PY_VERSION "3.13.99"
