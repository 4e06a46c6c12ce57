/* A toy machine in the place of CPython: what its uops work on. */
#ifndef TOY_PYTHON_H
#define TOY_PYTHON_H

#include "patchlevel.h"
#include "pyconfig.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef int64_t Value;
typedef uint16_t Code;

/* A uop that wants two operands finds them in one, where there is but one. */
#if OPERANDS == 1
#define CURRENT_OPERAND1() (~CURRENT_OPERAND0() >> 3)
#endif

#define LOCALS 16
#define EXITS 4

typedef struct {
    Value words[24];
} Record;

typedef struct {
    Code *code;
    Code *resume;
    uint32_t version;
    int64_t fuel;
    Value locals[LOCALS];
    Record record;
} Frame;

typedef struct executor _PyExecutorObject;

typedef struct {
    _PyExecutorObject *executor;
    int64_t uses;
} Exit;

typedef struct {
    uint16_t opcode;
    uint16_t oparg;
    uint16_t exit_index;
    uint16_t jump_target;
    uint16_t error_target;
    uint32_t target;
#if OPERANDS == 1
    uint64_t operand;
#else
    uint64_t operand0;
    uint64_t operand1;
#endif
} _PyUOpInstruction;

struct executor {
    int64_t references;
    int64_t entered;
    const _PyUOpInstruction *trace;
    unsigned char *jit_code;
    unsigned char *jit_side_entry;
    size_t jit_size;
    Exit exits[EXITS];
};

typedef struct {
    int64_t running;
    int64_t calls;
    uint64_t hash;
    const char *error;
    _PyExecutorObject *last;
} Thread;

#endif
