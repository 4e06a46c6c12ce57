/* The uops by number, and what they call. */
#ifndef TOY_UOPS_H
#define TOY_UOPS_H

#include "Python.h"

/* Name, how many values it needs on the stack, how many fewer or more there are behind it, and the range of its oparg.
   `_DROP` has as many fewer as its oparg says. */
#define UOPS(X)                        \
    X(_NOP, 0, 0, 0, 0)                \
    X(_START_EXECUTOR, 0, 0, 0, 0)     \
    X(_FATAL_ERROR, 0, 0, 0, 0)        \
    X(_JUMP_TO_TOP, 0, 0, 0, 0)        \
    X(_COUNT_DOWN, 0, 0, 0, 0)         \
    X(_LOAD_CONST, 0, 1, 0, 0)         \
    X(_LOAD_SCALED, 0, 1, 0, 65535)    \
    X(_LOAD_PIECES, 0, 1, 0, 65535)    \
    X(_LOAD_NEGATED, 0, 1, 0, 0)       \
    X(_LOAD_TARGET, 0, 1, 0, 0)        \
    X(_LOAD_FAST, 0, 1, 0, LOCALS - 1) \
    X(_LOAD_FAST_3, 0, 1, 3, 3)        \
    X(_STORE_FAST, 1, -1, 0, LOCALS - 1) \
    X(_COPY, 5, 1, 1, 5)               \
    X(_SWAP, 5, 0, 2, 5)               \
    X(_DROP, 5, 0, 0, 5)               \
    X(_ADD, 2, -1, 0, 0)               \
    X(_MULTIPLY, 2, -1, 0, 0)          \
    X(_DIVIDE, 2, -1, 0, 0)            \
    X(_ADD_OPERAND, 1, 0, 0, 0)        \
    X(_MIX_OPERAND, 1, 0, 0, 0)        \
    X(_MIX_OPERANDS, 1, 0, 0, 0)       \
    X(_LOAD_OPERAND1, 0, 1, 0, 65535)  \
    X(_GUARD_OPERANDS, 0, 0, 0, 0)     \
    X(_STORE_OPERAND, 0, 0, 0, LOCALS - 1) \
    X(_STORE_SMALL, 0, 0, 0, LOCALS - 1) \
    X(_GUARD_VERSION, 0, 0, 0, 0)      \
    X(_GUARD_AT_MOST, 1, 0, 0, 0)      \
    X(_GUARD_BELOW, 1, 0, 0, 65535)    \
    X(_GUARD_EQUAL, 1, 0, 0, 0)        \
    X(_GUARD_NOT_ZERO, 1, -1, 0, 0)    \
    X(_GUARD_EXECUTOR, 0, 0, 0, EXITS - 1) \
    X(_VECTOR, 2, 0, 0, 0)             \
    X(_ALIGNED, 1, 0, 0, 0)            \
    X(_DOUBLE, 1, 0, 0, 0)             \
    X(_SINGLE, 1, 0, 0, 0)             \
    X(_TEXT, 1, 0, 0, 0)               \
    X(_CALL, 2, -1, 0, 0)              \
    X(_CALL_EIGHT, 4, 0, 0, 0)         \
    X(_CALL_SEVEN, 2, 0, 0, 0)         \
    X(_CALL_NINE, 2, 0, 0, 0)          \
    X(_CALL_EACH, 2, 0, 0, 0)          \
    X(_CALL_SEVEN_OR_NOT, 1, 0, 0, 5)  \
    X(_CALL_VARIADIC_FAR, 1, 0, 0, 0)  \
    X(_CALL_BY_VALUE, 2, 0, 0, 0)      \
    X(_CALL_VARIADIC, 1, 0, 0, 0)      \
    X(_CALL_BY_NUMBER, 2, -1, 0, 3)    \
    X(_ARRAY, 3, -2, 0, 0)             \
    X(_RECORD, 1, 0, 0, 0)             \
    X(_PICK_NUMBER, 0, 1, 0, 12)       \
    X(_PICK_WORK, 2, -1, 0, 9)         \
    X(_CHOOSE, 1, 0, 0, 0)             \
    X(_EITHER, 1, 0, 0, 1)             \
    X(_LOOP, 1, 0, 0, 7)               \
    X(_SPILL, 5, -4, 0, 0)             \
    X(_LOAD_SMALL, 0, 1, 0, SMALL - 6) \
    X(_CALL_SMALL, 1, 0, 0, SMALL - 1) \
    X(_COUNT_SMALL, 1, 0, 0, SMALL - 6) \
    X(_SMALL_OF_OPERAND, 1, 0, 0, 65535) \
    X(_SMALL_DISTANCE, 1, 0, 0, SMALL - 1) \
    X(_SMALL_EACH, 1, 0, 0, 5)         \
    X(_SMALL_OR_OBJECT, 1, 0, 0, SMALL - 1) \
    X(_SUM_LOCALS, 0, 1, 0, LOCALS)    \
    X(_EXECUTOR_WORD, 0, 1, 0, 0)      \
    X(_ERROR_POP_N, 0, 0, 0, 0)        \
    X(_DEOPT, 0, 0, 0, 0)              \
    X(_EXIT_DYNAMIC, 0, 0, 0, 0)       \
    X(_EXIT_TRACE, 0, 0, 0, 0)

#define NUMBER(name, needed, effect, least, most) name,
enum { UOPS(NUMBER) UOP_COUNT };
#undef NUMBER
#define MAX_UOP_ID (UOP_COUNT - 1)

typedef Code *(*jit_func)(Frame *, Value *, Thread *);
typedef Value (*Binary)(Thread *, Value, Value);
typedef long long Vector __attribute__((vector_size(16)));

/* Objects that are found by their number. */
#define SMALL 300
typedef struct {
    int32_t references;
    Value value;
} Small;
typedef struct {
    Value first;
    Small small[SMALL];
} Table;

typedef struct {
    Value a, b, c;
} Triple;

extern Table table;
extern const Binary binaries[4];
extern const int64_t odd_object, even_object;

Value mix(Thread *thread, Value a, Value b);
Value mix_seven(Thread *thread, Value a, Value b, Value c, Value d, Value e, Value f);
Value mix_eight(Thread *thread, Value a, Value b, Value c, Value d, Value e, Value f, Value g);
Value mix_nine(Thread *thread, Value a, Value b, Value c, Value d, Value e, Value f, Value g, Value h);
Value mix_text(Thread *thread, const char *text, Value value);
Value mix_array(Thread *thread, Value *array, int count);
Value mix_numbers(Thread *thread, int count, ...);
Value mix_integers(Thread *thread, int count, ...);
Value mix_object(Thread *thread, const int64_t *object);
Value mix_triple(Thread *thread, Value a, Triple three);
Value mix_small(Thread *thread, const Small *small);
Value mix_aligned(Thread *thread, const unsigned char *bytes, size_t align, size_t count);
void touch(Thread *thread);
void raise_error(Thread *thread, const char *text);
_Noreturn void fatal(const char *text);

static inline Value
add(Value a, Value b)
{
    return (Value)((uint64_t)a + (uint64_t)b);
}

static inline Value
multiply(Value a, Value b)
{
    return (Value)((uint64_t)a * (uint64_t)b);
}

#endif
