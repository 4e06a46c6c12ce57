/* Runs traces with nothing but the headers that `mimeo build --format c` writes for the standard sets: lays them out, emits
 * the groups of their uops, enters and leaves them, and compares with the same in C. Prints a line for each; exit code 0
 * where all is as it should be, 1 otherwise. */
#define _DEFAULT_SOURCE
#include "python.h"
#include "scalar.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { CODE_PAGE = 4096, MAX_STEPS = 64, MAX_EXITS = 4, NONE = -1 };

/* A uop of a trace. Jumps and errors lead to steps, by index. */
struct step {
    unsigned uop;
    uint32_t oparg;
    uint64_t operand;
    int jump;
    int exit; /* which exit record is the uop's */
    uint32_t target;
};

static void
fail(const char *what)
{
    fprintf(stderr, "run_trace: %s\n", what);
    exit(1);
}

/* ---- Compiling ------------------------------------------------------------------------------------------------------ */

/* A compiled trace, in a page that was writable first and is executable now. */
struct trace {
    unsigned char *page;
    uint64_t entry;
    const struct mimeo_exit *exits;
};

/* Where the parts of a step are, from the start of the page. */
struct offsets {
    size_t hot, cold, data;
};

/* What lies around the code of a trace. */
struct around {
    size_t leave, veneers, executor, exits, end;
};

static size_t
aligned(size_t offset, size_t alignment)
{
    return (offset + alignment - 1) / alignment * alignment;
}

/* All hot code, without gaps; all cold code; the rest. */
static struct around
lay_out(const struct mimeo_group *groups, const struct step *steps, int count, size_t symbols, struct offsets *offsets)
{
    size_t at = 0;
    for (int i = 0; i < count; i++) {
        offsets[i].hot = at;
        at += groups[steps[i].uop].hot_size;
    }
    for (int i = 0; i < count; i++) {
        offsets[i].cold = at;
        at += groups[steps[i].uop].cold_size;
    }
    struct around around;
    around.leave = at;
    around.veneers = aligned(at + MIMEO_LEAVE_SIZE, 16);
    at = around.veneers + symbols * MIMEO_VENEER_SIZE;
    for (int i = 0; i < count; i++) {
        at = aligned(at, groups[steps[i].uop].data_alignment);
        offsets[i].data = at;
        at += groups[steps[i].uop].data_size;
    }
    around.executor = aligned(at, 16);
    around.exits = around.executor + sizeof(struct mimeo_executor);
    around.end = around.exits + MAX_EXITS * sizeof(struct mimeo_exit);
    if (around.end > CODE_PAGE)
        fail("the trace does not fit its page");
    return around;
}

/* Writes the groups to `image`, to run at `page`. */
static void
emit(
    const struct mimeo_group *groups, const struct step *steps, int count, const uint64_t *symbols,
    const uint64_t *veneers, const struct offsets *offsets, struct around around, unsigned char *image, uint64_t page)
{
    for (int i = 0; i < count; i++) {
        const struct step *step = &steps[i];
        const struct mimeo_place place = {
            .hot = image + offsets[i].hot,
            .cold = image + offsets[i].cold,
            .data = image + offsets[i].data,
            .hot_address = page + offsets[i].hot,
            .cold_address = page + offsets[i].cold,
            .data_address = page + offsets[i].data,
        };
        struct mimeo_values values = {
            .oparg = step->oparg,
            .operand = step->operand,
            .target = step->target,
            .leave = page + around.leave,
            .executor = page + around.executor,
            .symbols = symbols,
            .functions = veneers,
        };
        if (step->jump != NONE)
            values.jump_target = page + offsets[step->jump].hot;
        if (step->exit != NONE) {
            const size_t at = around.exits + (size_t)step->exit * sizeof(struct mimeo_exit);
            const struct mimeo_exit record = {
                .entry = mimeo_leave_address(),
                .index = (uint32_t)step->exit,
                .uop = (uint32_t)i,
                .target = step->target,
            };
            memcpy(image + at, &record, sizeof(record));
            values.exit = page + at;
            values.exit_index = record.index;
        }
        struct mimeo_failure failure;
        if (!groups[step->uop].emit(&place, &values, &failure))
            fail(failure.message);
    }
}

/* Compiles a trace. It is written elsewhere, since code runs at other addresses than those it is written at wherever memory
 * is mapped twice. */
static struct trace
compile(
    const struct mimeo_group *groups, const struct step *steps, int count, const uint64_t *symbols, size_t symbol_count)
{
    static unsigned char image[CODE_PAGE];
    static uint64_t veneers[256];
    struct offsets offsets[MAX_STEPS];
    const struct around around = lay_out(groups, steps, count, symbol_count, offsets);
    unsigned char *page = mmap(NULL, CODE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        fail("there is no memory");
    const uint64_t address = (uint64_t)(uintptr_t)page;
    memset(image, 0xcc, sizeof(image));
    mimeo_write_leave(image + around.leave);
    for (size_t i = 0; i < symbol_count; i++) {
        const size_t at = around.veneers + i * MIMEO_VENEER_SIZE;
        mimeo_write_veneer(image + at, symbols[i]);
        veneers[i] = address + at;
    }
    const struct mimeo_executor executor = {.valid = 1, .id = 1};
    memcpy(image + around.executor, &executor, sizeof(executor));
    emit(groups, steps, count, symbols, veneers, offsets, around, image, address);
    memcpy(page, image, sizeof(image));
    if (mprotect(page, CODE_PAGE, PROT_READ | PROT_EXEC) != 0)
        fail("memory cannot be made executable");
    return (struct trace){
        .page = page,
        .entry = address,
        .exits = (const struct mimeo_exit *)(const void *)(page + around.exits),
    };
}

static void
free_trace(struct trace trace)
{
    munmap(trace.page, CODE_PAGE);
}

/* ---- The scalar set ------------------------------------------------------------------------------------------------- */

enum { LIMIT, INDEX, SUM, SIGN, LOCALS };

/* Adds the squares of the even numbers below the limit, takes away the odd ones, and changes a sign each time. */
static const struct step SUMS[] = {
    {mimeo_scalar_LOAD_I64, INDEX, 0, NONE, NONE, 0}, /* 0: the loop */
    {mimeo_scalar_LOAD_I64, LIMIT, 0, NONE, NONE, 0},
    {mimeo_scalar_I64_LT, 0, 0, NONE, NONE, 0},
    {mimeo_scalar_JUMP_IF_FALSE, 0, 0, 27, NONE, 0},
    {mimeo_scalar_LOAD_I64, INDEX, 0, NONE, NONE, 0},
    {mimeo_scalar_CONST_I64, 0, 1, NONE, NONE, 0},
    {mimeo_scalar_I64_AND, 0, 0, NONE, NONE, 0},
    {mimeo_scalar_JUMP_IF_TRUE, 0, 0, 15, NONE, 0},
    {mimeo_scalar_LOAD_I64, SUM, 0, NONE, NONE, 0}, /* 8: even */
    {mimeo_scalar_LOAD_I64, INDEX, 0, NONE, NONE, 0},
    {mimeo_scalar_LOAD_I64, INDEX, 0, NONE, NONE, 0},
    {mimeo_scalar_I64_MUL, 0, 0, NONE, NONE, 0},
    {mimeo_scalar_I64_ADD_CHECKED, 0, 0, 28, NONE, 0},
    {mimeo_scalar_STORE_I64, SUM, 0, NONE, NONE, 0},
    {mimeo_scalar_JUMP, 0, 0, 19, NONE, 0},
    {mimeo_scalar_LOAD_I64, SUM, 0, NONE, NONE, 0}, /* 15: odd */
    {mimeo_scalar_LOAD_I64, INDEX, 0, NONE, NONE, 0},
    {mimeo_scalar_I64_SUB_CHECKED, 0, 0, 28, NONE, 0},
    {mimeo_scalar_STORE_I64, SUM, 0, NONE, NONE, 0},
    {mimeo_scalar_LOAD_F64, SIGN, 0, NONE, NONE, 0}, /* 19: either way */
    {mimeo_scalar_F64_NEG, 0, 0, NONE, NONE, 0},
    {mimeo_scalar_STORE_F64, SIGN, 0, NONE, NONE, 0},
    {mimeo_scalar_LOAD_I64, INDEX, 0, NONE, NONE, 0},
    {mimeo_scalar_CONST_I64, 0, 1, NONE, NONE, 0},
    {mimeo_scalar_I64_ADD, 0, 0, NONE, NONE, 0},
    {mimeo_scalar_STORE_I64, INDEX, 0, NONE, NONE, 0},
    {mimeo_scalar_JUMP, 0, 0, 0, NONE, 0},
    {mimeo_scalar_EXIT, 0, 0, NONE, 0, 70}, /* 27: done */
    {mimeo_scalar_EXIT, 0, 0, NONE, 1, 90}, /* 28: the sum overflows */
};

/* The same in C: whether the sum overflows. */
static int
sums(int64_t limit, int64_t *sum, double *sign)
{
    for (int64_t i = 0; i < limit; i++) {
        const int overflows = i & 1 ? __builtin_sub_overflow(*sum, i, sum) : __builtin_add_overflow(*sum, i * i, sum);
        if (overflows)
            return 1;
        *sign = -*sign;
    }
    return 0;
}

static void
check_sum(struct trace trace, int64_t limit, int64_t start)
{
    uint64_t frame[LOCALS] = {0}, stack[8];
    double sign = 1.5;
    frame[LIMIT] = (uint64_t)limit;
    frame[SUM] = (uint64_t)start;
    memcpy(&frame[SIGN], &sign, sizeof(sign));
    struct mimeo_thread thread = {0};
    mimeo_enter(frame, stack, &thread, trace.entry);

    int64_t sum = start, left = start;
    const int overflows = sums(limit, &sum, &sign);
    const int index = (int)(thread.exit - trace.exits);
    double found;
    memcpy(&found, &frame[SIGN], sizeof(found));
    memcpy(&left, &frame[SUM], sizeof(left));
    if (index != overflows || thread.exit->target != (overflows ? 90u : 70u))
        fail("the wrong exit was taken");
    if (thread.frame != frame || thread.stack_pointer != stack + (overflows ? 2 : 0))
        fail("the stack is not as the exit should leave it");
    /* The sum that overflows is not stored. */
    if ((!overflows && left != sum) || found != sign)
        fail("the result is wrong");
    printf("scalar: below %" PRId64 " from %" PRId64 ": exit %d, sum %" PRId64 "\n", limit, start, index, left);
}

static void
check_sums(void)
{
    const int count = sizeof(SUMS) / sizeof(*SUMS);
    const struct trace trace = compile(mimeo_scalar_groups, SUMS, count, NULL, 0);
    const int64_t limits[] = {0, 1, 2, 10, 1001};
    for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++)
        check_sum(trace, limits[i], 5);
    check_sum(trace, 1000, INT64_MAX - 1000);
    check_sum(trace, 10, INT64_MIN);
    free_trace(trace);
}

/* What does not fit is refused, and not written. */
static void
check_refusals(void)
{
    unsigned char hot[64], untouched[64];
    memset(hot, 0xcc, sizeof(hot));
    memset(untouched, 0xcc, sizeof(untouched));
    const struct mimeo_place place = {.hot = hot, .hot_address = 0x10000};
    struct mimeo_failure failure;

    struct mimeo_values values = {.oparg = 65536};
    if (mimeo_scalar_emit_LOAD_I64(&place, &values, &failure) || memcmp(hot, untouched, sizeof(hot)) != 0)
        fail("an oparg beyond its limit is accepted");
    printf("%s\n", failure.message);

    values.jump_target = UINT64_C(0x180010005);
    if (mimeo_scalar_emit_JUMP(&place, &values, &failure) || memcmp(hot, "\xe9\0\0\0\0", 5) != 0)
        fail("a jump out of reach is accepted");
    printf("%s\n", failure.message);
    values.jump_target = 0x80010004;
    if (!mimeo_scalar_emit_JUMP(&place, &values, &failure) || memcmp(hot, "\xe9\xff\xff\xff\x7f", 5) != 0)
        fail("the farthest jump is refused");
}

/* ---- The Python set ------------------------------------------------------------------------------------------------- */

/* An object as the fast paths see it: its reference count comes first. */
struct object {
    uint64_t references;
    uint64_t deallocations;
};

static void
deallocate(void *thread, struct object *object)
{
    (void)thread;
    object->deallocations++;
}

static void
unexpected(void)
{
    fail("a function was called that should not be");
}

/* y = x, where the old y dies: through the cold code and a veneer to a C function and back. */
static void
check_python(void)
{
    enum { FRAME_LOCALS = 7, X = 0, Y = 1 };
    uint64_t symbols[MIMEO_PYTHON_SYMBOL_COUNT];
    for (int i = 0; i < MIMEO_PYTHON_SYMBOL_COUNT; i++) {
        const int found = strcmp(mimeo_python_symbols[i], "mimeo_dealloc") == 0;
        symbols[i] = found ? (uint64_t)(uintptr_t)&deallocate : (uint64_t)(uintptr_t)&unexpected;
    }
    const struct step steps[] = {
        {mimeo_python__LOAD_FAST, X, 0, NONE, NONE, 0},
        {mimeo_python__STORE_FAST, Y, 0, NONE, NONE, 0},
        {mimeo_python__EXIT_TRACE, 0, 0, NONE, 0, 12},
    };
    const int count = sizeof(steps) / sizeof(*steps);
    const struct trace trace = compile(mimeo_python_groups, steps, count, symbols, MIMEO_PYTHON_SYMBOL_COUNT);
    struct object x = {1, 0}, y = {1, 0};
    struct object *frame[FRAME_LOCALS + 2] = {0};
    frame[FRAME_LOCALS + X] = &x;
    frame[FRAME_LOCALS + Y] = &y;
    uint64_t stack[4];
    struct {
        struct mimeo_thread thread;
        uint64_t more[64];
    } state = {0};
    mimeo_enter(frame, stack, &state, trace.entry);
    if (state.thread.exit != trace.exits || state.thread.exit->target != 12)
        fail("the wrong exit was taken");
    if (frame[FRAME_LOCALS + Y] != &x || x.references != 2 || y.deallocations != 1 || x.deallocations != 0)
        fail("the references are wrong");
    printf("python: exit %u, x has %" PRIu64 " references, y was deallocated\n", state.thread.exit->index, x.references);
    free_trace(trace);
}

int
main(void)
{
    check_sums();
    check_refusals();
    check_python();
    printf("all as in C: %s %s, %s %s\n", MIMEO_SCALAR_SET, MIMEO_SCALAR_LLVM_VERSION, MIMEO_PYTHON_SET,
           MIMEO_PYTHON_LLVM_VERSION);
    return 0;
}
