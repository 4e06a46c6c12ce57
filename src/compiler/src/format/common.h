/* What the stencils of every set have in common. The headers of several sets may be included in one file. */
#ifndef MIMEO_STENCILS_VERSION
#define MIMEO_STENCILS_VERSION 2

#if !defined(__x86_64__) || !defined(__GNUC__)
#error "these stencils are for x86-64, and this header for compilers with GNU C's extensions, such as gcc and clang"
#endif

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MIMEO_UNUSED __attribute__((unused))

/* What a uop may do and what it needs. */
enum mimeo_flag {
@FLAGS@
};

/* A number of stack values: fixed + per_oparg * oparg + low_bit * (oparg & 1). */
struct mimeo_count {
    uint8_t fixed, per_oparg, low_bit;
};

/* What happens to the evaluation stack: values taken from the top, and values put there afterwards. */
struct mimeo_effect {
    struct mimeo_count popped, pushed;
};

/* What stands at the start of an executor's data. */
struct mimeo_executor {
    uint64_t valid; /* 1, or 0 once it was invalidated: then uops that check it leave */
    uint64_t id;
};

/* A side exit, as the code that leaves finds it. */
struct mimeo_exit {
    uint64_t entry; /* where the exit goes: mimeo_leave_address(), or the hot code of another trace for the same frame */
    uint64_t executor;
    uint32_t index, uop, target, depth; /* for whoever takes up after the exit; the code does not read them */
};

/* The start of the thread state. */
struct mimeo_thread {
    const struct mimeo_exit *exit; /* set by mimeo_leave: the exit, the frame and the stack pointer */
    void *frame;
    uint64_t *stack_pointer;
    const uint64_t *symbols; /* not read by stencils */
};

/* Where the parts of a group are written, and the addresses at which they run. These may differ: memory may be mapped
 * twice. */
struct mimeo_place {
    unsigned char *hot, *cold, *data;
    uint64_t hot_address, cold_address, data_address;
};

/* What holes are filled with. What a uop's flags do not ask for is not read. */
struct mimeo_values {
    uint32_t oparg;            /* MIMEO_OPARG; a local's index where MIMEO_LOCAL */
    uint32_t target;           /* MIMEO_TARGET: where the interpreter resumes, below 2^31 */
    uint64_t operand;          /* MIMEO_OPERAND */
    uint64_t operand1;         /* MIMEO_OPERAND1 */
    uint64_t jump_target;      /* MIMEO_DEOPT, MIMEO_EXIT, MIMEO_JUMP: the hot code to jump to */
    uint64_t error_target;     /* MIMEO_ERROR: the hot code to go to after an error */
    uint64_t exit;             /* MIMEO_EXIT_RECORD: the address of a struct mimeo_exit */
    uint64_t leave;            /* MIMEO_EXIT_RECORD: the address of what mimeo_write_leave has written */
    uint32_t exit_index;       /* MIMEO_EXIT_RECORD: its index */
    uint64_t executor;         /* the address of the trace's struct mimeo_executor */
    uint64_t top;              /* MIMEO_TOP: the hot code of the trace's second uop */
    const uint64_t *symbols;   /* the addresses of the set's symbols, by index */
    const uint64_t *functions; /* the same for calls: the addresses of veneers where functions are out of reach */
};

/* Why a group was not patched. */
struct mimeo_failure {
    const char *uop; /* NULL where nothing is wrong */
    char message[256];
};

/* A uop's stencils and what is known of it. */
struct mimeo_group {
    const char *name;
    /* Copies the parts and patches them. Returns 1; or 0, and why, where a value does not fit: what was written must then
     * not be run. */
    int (*emit)(const struct mimeo_place *place, const struct mimeo_values *values, struct mimeo_failure *failure);
    uint32_t hot_size, cold_size, data_size, data_alignment;
    uint32_t flags;
    uint32_t oparg_max;
    uint64_t operand_max;
    uint64_t operand1_max;
    uint32_t locals; /* how many the frame must have at least, whatever the oparg */
    struct mimeo_effect effect;  /* on the way to the next uop */
    struct mimeo_effect leaving; /* on the way to the jump target or out through the exit record */
};

/* ---- Entering and leaving ------------------------------------------------------------------------------------------ */

/* Saves what C functions preserve and enters a trace. Returns once an exit is taken that goes to mimeo_leave. */
MIMEO_UNUSED __attribute__((naked, noinline)) static void
mimeo_enter(
    MIMEO_UNUSED void *frame, MIMEO_UNUSED uint64_t *stack_pointer, MIMEO_UNUSED void *thread,
    MIMEO_UNUSED uint64_t entry)
{
    /* Six pushes and the return address: rsp is 0 mod 16 at the stencils. */
    __asm__(
        "pushq %rbp\n\t"
        "pushq %rbx\n\t"
        "pushq %r12\n\t"
        "pushq %r13\n\t"
        "pushq %r14\n\t"
        "pushq %r15\n\t"
        "movq %rdi, %r12\n\t"
        "movq %rsi, %r13\n\t"
        "movq %rdx, %r14\n\t"
        "callq *%rcx\n\t"
        "popq %r15\n\t"
        "popq %r14\n\t"
        "popq %r13\n\t"
        "popq %r12\n\t"
        "popq %rbx\n\t"
        "popq %rbp\n\t"
        "retq");
}

/* Where exits go: notes the exit, which is in r15, and the state in the thread state, and returns from mimeo_enter. It is
 * no C function: only stencils go there. */
MIMEO_UNUSED __attribute__((naked, noinline)) static void
mimeo_leave(void)
{
    __asm__(
        "movq %r15, (%r14)\n\t"
        "movq %r12, 8(%r14)\n\t"
        "movq %r13, 16(%r14)\n\t"
        "retq");
}

/* The address of mimeo_leave, for exits. */
MIMEO_UNUSED static inline uint64_t
mimeo_leave_address(void)
{
    return (uint64_t)(uintptr_t)&mimeo_leave;
}

/* What `leave` of struct mimeo_values is the address of: code that goes on where the exit in r15 says. Once a trace is
 * enough. */
#define MIMEO_LEAVE_SIZE 3

MIMEO_UNUSED static inline void
mimeo_write_leave(unsigned char *to)
{
    static const unsigned char body[MIMEO_LEAVE_SIZE] = {0x41, 0xff, 0x27}; /* jmpq *(%r15) */
    memcpy(to, body, sizeof(body));
}

/* Code that goes on at any address, for functions that are more than 2 GiB away from where they are called. */
#define MIMEO_VENEER_SIZE 16

MIMEO_UNUSED static inline void
mimeo_write_veneer(unsigned char *to, uint64_t address)
{
    static const unsigned char body[MIMEO_VENEER_SIZE] = {
        0xff, 0x25, 0, 0, 0, 0, /* jmpq *(%rip) */
        0, 0, 0, 0, 0, 0, 0, 0, 0xcc, 0xcc,
    };
    memcpy(to, body, sizeof(body));
    memcpy(to + 6, &address, sizeof(address));
}

/* ---- Patching ------------------------------------------------------------------------------------------------------ */

/* Whatever is written to a hole is (S << shift) + A, less P where it is relative, as in the psABI. */
__extension__ typedef __int128 mimeo_int128;

/* A part that is being patched. */
struct mimeo_part {
    unsigned char *to;
    uint64_t address;
    const char *uop, *name;
    struct mimeo_failure *failure;
};

MIMEO_UNUSED static inline void
mimeo_say(struct mimeo_failure *failure, const char *text)
{
    const size_t length = strlen(failure->message);
    size_t room = sizeof(failure->message) - 1 - length;
    size_t count = strlen(text);
    count = count < room ? count : room;
    memcpy(failure->message + length, text, count);
    failure->message[length + count] = '\0';
}

MIMEO_UNUSED static inline void
mimeo_say_number(struct mimeo_failure *failure, mimeo_int128 number)
{
    /* Sign, 0x, 32 digits, and the end. */
    char text[36];
    char *start = text + sizeof(text);
    const int negative = number < 0;
    *--start = '\0';
    do {
        const int digit = (int)(number % 16);
        *--start = "0123456789abcdef"[digit < 0 ? -digit : digit];
        number /= 16;
    } while (number != 0);
    *--start = 'x';
    *--start = '0';
    if (negative)
        *--start = '-';
    mimeo_say(failure, start);
}

/* Starts a group. */
MIMEO_UNUSED static inline void
mimeo_begin(struct mimeo_failure *failure)
{
    failure->uop = NULL;
    failure->message[0] = '\0';
}

/* Whether an argument is one that the uop's code was compiled for. */
MIMEO_UNUSED static inline int
mimeo_accepts(struct mimeo_failure *failure, const char *uop, const char *what, uint64_t found, uint64_t limit)
{
    if (found <= limit)
        return 1;
    failure->uop = uop;
    mimeo_say(failure, "uop ");
    mimeo_say(failure, uop);
    mimeo_say(failure, ": ");
    mimeo_say(failure, what);
    mimeo_say(failure, " ");
    mimeo_say_number(failure, (mimeo_int128)found);
    mimeo_say(failure, " is too large, the limit is ");
    mimeo_say_number(failure, (mimeo_int128)limit);
    return 0;
}

/* Writes the low bytes of a number that is in range; says that it is not, the first time. */
MIMEO_UNUSED static inline void
mimeo_fill(
    unsigned char *at, const struct mimeo_part *part, const char *kind, const char *value, mimeo_int128 number,
    size_t width, int64_t low, int64_t high)
{
    const uint64_t bits = (uint64_t)number;
    struct mimeo_failure *failure = part->failure;
    if (number >= low && number <= high) {
        memcpy(at, &bits, width);
        return;
    }
    if (failure->uop != NULL)
        return;
    failure->uop = part->uop;
    mimeo_say(failure, "uop ");
    mimeo_say(failure, part->uop);
    mimeo_say(failure, ", ");
    mimeo_say(failure, part->name);
    mimeo_say(failure, ": the hole at ");
    mimeo_say_number(failure, at - part->to);
    mimeo_say(failure, " (");
    mimeo_say(failure, kind);
    mimeo_say(failure, " ");
    mimeo_say(failure, value);
    mimeo_say(failure, ") would hold ");
    mimeo_say_number(failure, number);
    mimeo_say(failure, ", its range is [");
    mimeo_say_number(failure, low);
    mimeo_say(failure, ", ");
    mimeo_say_number(failure, high);
    mimeo_say(failure, "]");
}

/* (S << shift) + A. */
MIMEO_UNUSED static inline mimeo_int128
mimeo_sum(uint64_t s, int shift, int64_t a)
{
    return ((mimeo_int128)s << shift) + a;
}

/* R_X86_64_64: any address fits where it is not shifted, and the sum wraps as the psABI's does. */
MIMEO_UNUSED static inline void
mimeo_patch_64(unsigned char *at, const struct mimeo_part *part, const char *value, uint64_t s, int shift, int64_t a)
{
    mimeo_int128 number = mimeo_sum(s, shift, a);
    if (shift == 0)
        number = (int64_t)(s + (uint64_t)a);
    mimeo_fill(at, part, "R_X86_64_64", value, number, 8, INT64_MIN, INT64_MAX);
}

/* R_X86_64_PC32: relative, sign-extended. */
MIMEO_UNUSED static inline void
mimeo_patch_pc32(unsigned char *at, const struct mimeo_part *part, const char *value, uint64_t s, int shift, int64_t a)
{
    const uint64_t p = part->address + (uint64_t)(at - part->to);
    mimeo_fill(at, part, "R_X86_64_PC32", value, mimeo_sum(s, shift, a) - p, 4, INT32_MIN, INT32_MAX);
}

/* R_X86_64_32: zero-extended. */
MIMEO_UNUSED static inline void
mimeo_patch_32(unsigned char *at, const struct mimeo_part *part, const char *value, uint64_t s, int shift, int64_t a)
{
    mimeo_fill(at, part, "R_X86_64_32", value, mimeo_sum(s, shift, a), 4, 0, UINT32_MAX);
}

/* R_X86_64_32S: sign-extended. */
MIMEO_UNUSED static inline void
mimeo_patch_32s(unsigned char *at, const struct mimeo_part *part, const char *value, uint64_t s, int shift, int64_t a)
{
    mimeo_fill(at, part, "R_X86_64_32S", value, mimeo_sum(s, shift, a), 4, INT32_MIN, INT32_MAX);
}

/* R_X86_64_16 and R_X86_64_8: right whichever way the instruction extends them. */
MIMEO_UNUSED static inline void
mimeo_patch_16(unsigned char *at, const struct mimeo_part *part, const char *value, uint64_t s, int shift, int64_t a)
{
    mimeo_fill(at, part, "R_X86_64_16", value, mimeo_sum(s, shift, a), 2, INT16_MIN, INT16_MAX);
}

MIMEO_UNUSED static inline void
mimeo_patch_8(unsigned char *at, const struct mimeo_part *part, const char *value, uint64_t s, int shift, int64_t a)
{
    mimeo_fill(at, part, "R_X86_64_8", value, mimeo_sum(s, shift, a), 1, INT8_MIN, INT8_MAX);
}

#ifdef __cplusplus
}
#endif

#endif /* MIMEO_STENCILS_VERSION */
