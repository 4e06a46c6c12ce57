/* A stand-in for CPython's `jit.c`: copies and patches stencils from `jit_stencils.h` by its contract, and checks on the way
   what CPython leaves to chance. Random traces then run as machine code and in an interpreter that is made of the same uops
   by the C compiler, and have to leave the same state behind.

   Usage: jit SEED ROUNDS LEAST
   Built with NEAR, machine code is where instructions can have the addresses of functions and data themselves, and LEAST is
   how many loads and calls each have to at least; otherwise it is far away, and so many must have been left as they are. */
#define _GNU_SOURCE
#include "Python.h"
#include "pycore_toy.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define CHECK(condition)                                                                        \
    do {                                                                                        \
        if (!(condition)) {                                                                     \
            fprintf(stderr, "line %d: %s does not hold, in %s\n", __LINE__, #condition, doing); \
            exit(1);                                                                            \
        }                                                                                       \
    } while (0)

#define TRACE_LENGTH 64
#define EXECUTORS 4
#define STACK 96
#define SLACK 64

static const char *doing = "the start";

static const char *const names[] = {
#define NAME(name, needed, effect, least, most) #name,
    UOPS(NAME)
};

/* ---- What uops call: each sees that the stack is aligned, and leaves garbage in every register that is not its caller's. */

#define GARBAGE()                                                                                             \
    __asm__ volatile("mov $0x5a5a5a5a5a5a5a5a, %%rax; mov %%rax, %%rcx; mov %%rax, %%rdx; mov %%rax, %%rsi;"  \
                     "mov %%rax, %%rdi; mov %%rax, %%r8; mov %%rax, %%r9; mov %%rax, %%r10; mov %%rax, %%r11;" \
                     "movq %%rax, %%xmm0; movq %%rax, %%xmm1; movq %%rax, %%xmm2; movq %%rax, %%xmm3;"        \
                     "movq %%rax, %%xmm4; movq %%rax, %%xmm7; movq %%rax, %%xmm8; movq %%rax, %%xmm15"        \
                     :                                                                                        \
                     :                                                                                        \
                     : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "xmm0", "xmm1", "xmm2",   \
                       "xmm3", "xmm4", "xmm7", "xmm8", "xmm15", "cc")

#define CALLED()                                                    \
    do {                                                            \
        CHECK(((uintptr_t)__builtin_frame_address(0) & 15) == 0);   \
        thread->calls += 1;                                         \
        GARBAGE();                                                  \
    } while (0)

static uint64_t
hash(uint64_t a, uint64_t b)
{
    uint64_t mixed = (a ^ (b << 17) ^ (b >> 47)) * 0x9e3779b97f4a7c15u;
    return mixed ^ (mixed >> 29);
}

Value
mix(Thread *thread, Value a, Value b)
{
    CALLED();
    thread->hash = hash(thread->hash, (uint64_t)a + 3 * (uint64_t)b);
    return (Value)hash((uint64_t)a, (uint64_t)b);
}

Value
mix_eight(Thread *thread, Value a, Value b, Value c, Value d, Value e, Value f, Value g)
{
    CALLED();
    const Value all[] = { a, b, c, d, e, f, g };
    uint64_t sum = 1;
    for (int i = 0; i < 7; i++) {
        sum = hash(sum, (uint64_t)all[i]);
    }
    return (Value)sum;
}

Value
mix_seven(Thread *thread, Value a, Value b, Value c, Value d, Value e, Value f)
{
    CALLED();
    const Value all[] = { a, b, c, d, e, f };
    uint64_t sum = 2;
    for (int i = 0; i < 6; i++) {
        sum = hash(sum, (uint64_t)all[i]);
    }
    return (Value)sum;
}

Value
mix_nine(Thread *thread, Value a, Value b, Value c, Value d, Value e, Value f, Value g, Value h)
{
    CALLED();
    const Value all[] = { a, b, c, d, e, f, g, h };
    uint64_t sum = 3;
    for (int i = 0; i < 8; i++) {
        sum = hash(sum, (uint64_t)all[i]);
    }
    return (Value)sum;
}

Value
mix_text(Thread *thread, const char *text, Value value)
{
    CALLED();
    uint64_t sum = (uint64_t)value;
    while (*text != 0) {
        sum = hash(sum, (unsigned char)*text++);
    }
    return (Value)sum;
}

Value
mix_array(Thread *thread, Value *array, int count)
{
    CALLED();
    uint64_t sum = 0;
    for (int i = 0; i < count; i++) {
        sum = hash(sum, (uint64_t)array[i]);
        array[i] ^= i;
    }
    return (Value)sum;
}

Value
mix_numbers(Thread *thread, int count, ...)
{
    CHECK(((uintptr_t)__builtin_frame_address(0) & 15) == 0);
    thread->calls += 1;
    va_list numbers;
    va_start(numbers, count);
    double sum = 0;
    for (int i = 0; i < count; i++) {
        sum = sum * 1.25 + va_arg(numbers, double);
    }
    va_end(numbers);
    GARBAGE();
    return (Value)sum;
}

Value
mix_integers(Thread *thread, int count, ...)
{
    va_list integers;
    va_start(integers, count);
    uint64_t sum = 4;
    for (int i = 0; i < count; i++) {
        sum = hash(sum, va_arg(integers, uint64_t));
    }
    va_end(integers);
    CALLED();
    return (Value)sum;
}

Value
mix_triple(Thread *thread, Value a, Triple three)
{
    CALLED();
    return (Value)hash(hash((uint64_t)a, (uint64_t)three.a), hash((uint64_t)three.b, (uint64_t)three.c));
}

Table table;

Value
mix_small(Thread *thread, const Small *small)
{
    CALLED();
    CHECK(small >= table.small && small < table.small + SMALL);
    return (Value)hash((uint64_t)(small - table.small), (uint64_t)small->value);
}

const int64_t odd_object = 111, even_object = 222;

Value
mix_object(Thread *thread, const int64_t *object)
{
    CALLED();
    CHECK(object == &odd_object || object == &even_object);
    return *object;
}

Value
mix_aligned(Thread *thread, const unsigned char *bytes, size_t align, size_t count)
{
    CALLED();
    CHECK(((uintptr_t)bytes & (align - 1)) == 0);
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum = hash(sum, bytes[i]);
    }
    return (Value)sum;
}

void
touch(Thread *thread)
{
    CALLED();
    thread->hash = hash(thread->hash, 99);
}

void
raise_error(Thread *thread, const char *text)
{
    CALLED();
    thread->error = text;
}

void
fatal(const char *text)
{
    fprintf(stderr, "fatal: %s\n", text);
    exit(1);
}

static Value
subtract(Thread *thread, Value a, Value b)
{
    CALLED();
    return (Value)((uint64_t)a - (uint64_t)b);
}

static Value
either(Thread *thread, Value a, Value b)
{
    CALLED();
    return a | b;
}

const Binary binaries[4] = { mix, subtract, either, mix };

/* ---- Patching. */

static long relaxed_loads, relaxed_calls, relaxed_jumps, unrelaxed;

static void
patch_32(unsigned char *location, uint64_t value)
{
    CHECK(value < (1ULL << 32));
    uint32_t field = (uint32_t)value;
    memcpy(location, &field, sizeof(field));
}

static void
patch_32r(unsigned char *location, uint64_t value)
{
    int64_t distance = (int64_t)(value - (uintptr_t)location);
    CHECK(distance >= INT32_MIN && distance <= INT32_MAX);
    int32_t field = (int32_t)distance;
    memcpy(location, &field, sizeof(field));
}

static void
patch_64(unsigned char *location, uint64_t value)
{
    memcpy(location, &value, sizeof(value));
}

/* The value is four bytes before a word that is filled already; if what is there is near, the instruction can have it
   itself. */
static void
patch_x86_64_32rx(unsigned char *location, uint64_t value)
{
    uint64_t word;
    memcpy(&word, (const void *)(uintptr_t)(value + 4), sizeof(word));
    int is_load = location[-2] == 0x8b && (location[-1] & 0xc7) == 0x05 && (location[-3] & 0xf8) == 0x48;
    int is_call = location[-2] == 0xff && location[-1] == 0x15;
    int is_jump = location[-2] == 0xff && location[-1] == 0x25;
    CHECK(is_load || is_call || is_jump);
    int64_t distance = (int64_t)(word - 4 - (uintptr_t)location);
    if (distance < INT32_MIN || distance >= INT32_MAX) {
        unrelaxed += 1;
        patch_32r(location, value);
        return;
    }
    if (is_load) {
        relaxed_loads += 1;
        location[-2] = 0x8d;
    }
    else {
        *(is_call ? &relaxed_calls : &relaxed_jumps) += 1;
        location[-2] = 0x90;
        location[-1] = is_call ? 0xe8 : 0xe9;
    }
    patch_32r(location, word - 4);
}

#if PY_MINOR_VERSION >= 14
#define ENTRY shim

typedef uint32_t symbol_mask[4];

typedef struct {
    uintptr_t *instruction_starts;
} jit_state;
#else
#define ENTRY trampoline
#endif

#include "jit_stencils.h"

#if OPERANDS == 1
#define operand0 operand
#endif

/* ---- Compiling. */

static unsigned char *before;

/* Emits one stencil and sees that it writes its code and data, and nothing else. */
static void
emit(const StencilGroup *group, unsigned char **code, unsigned char **data, _PyExecutorObject *executor,
     const _PyUOpInstruction *instruction, uintptr_t *starts, unsigned char *memory, size_t size)
{
    memcpy(before, memory, size);
#if PY_MINOR_VERSION >= 14
    for (int i = 0; i < 4; i++) {
        CHECK(group->trampoline_mask[i] == 0);
    }
    CHECK(symbols_map[0] == NULL);
    jit_state state = { starts };
    group->emit(*code, *data, executor, instruction, &state);
#else
    group->emit(*code, *data, executor, instruction, starts);
#endif
    for (size_t i = 0; i < size; i++) {
        const unsigned char *at = memory + i;
        int is_code = at >= *code && at < *code + group->code_size;
        int is_data = at >= *data && at < *data + group->data_size;
        CHECK(is_code || is_data || memory[i] == before[i]);
    }
    *code += group->code_size;
    *data += group->data_size;
}

static const StencilGroup *
group_of(int opcode)
{
    const StencilGroup *group = &stencil_groups[opcode];
    CHECK(group->emit != NULL);
    return group;
}

static void
compile(_PyExecutorObject *executor, size_t length, size_t skew)
{
    uintptr_t starts[TRACE_LENGTH];
    size_t code_size = ENTRY.code_size, data_size = ENTRY.data_size;
    for (size_t i = 0; i <= length; i++) {
        const StencilGroup *group = group_of(i < length ? executor->trace[i].opcode : _FATAL_ERROR);
        if (i < length) {
            starts[i] = code_size;
        }
        code_size += group->code_size;
        data_size += group->data_size;
    }
    size_t size = code_size + skew + data_size + SLACK;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS;
#ifdef NEAR
    flags |= MAP_32BIT;
#endif
    unsigned char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0);
    CHECK(memory != MAP_FAILED);
    memset(memory, 0xa5, size);
    before = malloc(size);
    CHECK(before != NULL);
    for (size_t i = 0; i < length; i++) {
        starts[i] += (uintptr_t)memory;
    }
    unsigned char *code = memory, *data = memory + code_size + skew;
    doing = "the entry";
    emit(&ENTRY, &code, &data, executor, NULL, starts, memory, size);
    for (size_t i = 0; i < length; i++) {
        const _PyUOpInstruction *instruction = &executor->trace[i];
        doing = names[instruction->opcode];
        CHECK((uintptr_t)code == starts[i]);
        emit(group_of(instruction->opcode), &code, &data, executor, instruction, starts, memory, size);
    }
    doing = "_FATAL_ERROR";
    emit(group_of(_FATAL_ERROR), &code, &data, executor, NULL, starts, memory, size);
    CHECK(code == memory + code_size);
    CHECK(data == memory + code_size + skew + data_size);
    free(before);
    CHECK(mprotect(memory, size, PROT_READ | PROT_EXEC) == 0);
    executor->jit_code = memory;
    executor->jit_side_entry = memory + ENTRY.code_size;
    executor->jit_size = size;
}

/* Calls a trace with values in the registers that belong to the caller, and stores those that are there afterwards. */
Code *enter(unsigned char *code, Frame *frame, Value *stack_pointer, Thread *thread, uint64_t *registers);
__asm__(".text\n"
        ".globl enter\n"
        ".type enter, @function\n"
        "enter:\n"
        "    push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15; push %r8\n"
        "    mov %rdi, %rax; mov %rsi, %rdi; mov %rdx, %rsi; mov %rcx, %rdx\n"
        "    mov $0x11, %ebx; mov $0x22, %ebp; mov $0x33, %r12d; mov $0x44, %r13d; mov $0x55, %r14d; mov $0x66, %r15d\n"
        "    call *%rax\n"
        "    pop %r8\n"
        "    mov %rbx, (%r8); mov %rbp, 8(%r8); mov %r12, 16(%r8); mov %r13, 24(%r8); mov %r14, 32(%r8)\n"
        "    mov %r15, 40(%r8)\n"
        "    pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
        "    ret\n"
        ".size enter, . - enter\n"
        ".section .note.GNU-stack,\"\",@progbits\n"
        ".text\n");

static Code *
run(_PyExecutorObject *executor, Frame *frame, Value *stack_pointer, Thread *thread)
{
    uint64_t registers[6];
    Code *target = enter(executor->jit_code, frame, stack_pointer, thread, registers);
    for (int i = 0; i < 6; i++) {
        CHECK(registers[i] == 0x11u * (unsigned)(i + 1));
    }
    return target;
}

/* ---- Interpreting. */

static long executed[UOP_COUNT];

#define CURRENT_OPARG() (instruction->oparg)
#define CURRENT_OPERAND0() (instruction->operand0)
#if OPERANDS == 2
#define CURRENT_OPERAND1() (instruction->operand1)
#endif
#define CURRENT_TARGET() (instruction->target)
#define JUMP_TO_JUMP_TARGET()                                           \
    do {                                                                \
        next = &current_executor->trace[instruction->jump_target];      \
        goto dispatch;                                                  \
    } while (0)
#define JUMP_TO_ERROR()                                                 \
    do {                                                                \
        next = &current_executor->trace[instruction->error_target];     \
        goto dispatch;                                                  \
    } while (0)
#define EXIT_WITH_ERROR() return (tstate->last = current_executor, NULL)
#define EXIT_TO_TIER1() return (tstate->last = current_executor, frame->code + instruction->target)
#define EXIT_TO_TIER1_DYNAMIC() return (tstate->last = current_executor, frame->resume)
#if PY_MINOR_VERSION >= 14
#define EXIT_TAKEN() ((Exit *)(uintptr_t)instruction->operand0)
#else
#define EXIT_TAKEN() (&current_executor->exits[instruction->exit_index])
#endif
#define EXIT_TO_TRACE()                                                  \
    do {                                                                 \
        Exit *taken = EXIT_TAKEN();                                      \
        taken->uses += 1;                                                \
        tstate->last = current_executor;                                 \
        current_executor = taken->executor;                              \
        next = current_executor->trace;                                  \
        goto dispatch;                                                   \
    } while (0)

static Code *
interpret(_PyExecutorObject *current_executor, Frame *frame, Value *stack_pointer, Thread *tstate)
{
    const _PyUOpInstruction *next = current_executor->trace;
    for (;;) {
    dispatch:;
        const _PyUOpInstruction *instruction = next++;
        int oparg;
        executed[instruction->opcode] += 1;
        if (instruction->opcode == _JUMP_TO_TOP) {
            next = &current_executor->trace[1];
            continue;
        }
        switch (instruction->opcode) {
#include "executor_cases.c.h"
        }
    }
}

/* ---- Traces. */

static uint64_t seed;

static uint64_t
random_bits(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed * 0x2545f4914f6cdd1du;
}

static int
random_below(int limit)
{
    return (int)((random_bits() >> 33) % (uint64_t)limit);
}

/* A number as traces have them: small, at the limits of its halves, or any. */
static uint64_t
random_number(void)
{
    static const uint64_t limits[] = {
        0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff,
        0x100000000, 0xffffffff7fffffff, 0xffffffff80000000, 0x7fffffffffffffff, 0x8000000000000000,
        0xffffffffffffffff,
    };
    switch (random_below(4)) {
        case 0: return (uint64_t)random_below(40);
        case 1: return limits[random_below((int)(sizeof(limits) / sizeof(limits[0])))];
        case 2: return random_bits() >> random_below(64);
        default: return random_bits();
    }
}

typedef struct {
    int needed, effect, least, most;
} Effect;

static const Effect effects[] = {
#define EFFECT(name, needed, effect, least, most) { needed, effect, least, most },
    UOPS(EFFECT)
};

/* How many values there are below those of a trace: as many as uops need. */
#define BELOW 8

static size_t
make_trace(_PyUOpInstruction *trace, Exit *exits, int is_last)
{
    const size_t stubs = TRACE_LENGTH - 6;
    size_t length = 0;
    int depth = 0;
    int is_loop = random_below(2);
    size_t wanted = 4 + (size_t)random_below((int)stubs - 12);
    memset(trace, 0, TRACE_LENGTH * sizeof(*trace));
    trace[length++].opcode = _START_EXECUTOR;
    trace[length++].opcode = _COUNT_DOWN;
    while (length < wanted) {
        int opcode = random_below(UOP_COUNT);
        const Effect *effect = &effects[opcode];
        int is_end = opcode == _ERROR_POP_N || opcode == _DEOPT || opcode == _EXIT_DYNAMIC || opcode == _EXIT_TRACE;
        if (is_end || opcode == _FATAL_ERROR || opcode == _JUMP_TO_TOP || opcode == _START_EXECUTOR ||
            depth + effect->effect > 24 || depth + effect->effect < 0) {
            continue;
        }
        if (opcode == _DIVIDE && random_below(3) == 0) {
            /* By what it refuses. */
            trace[length].opcode = _LOAD_CONST;
            trace[length++].operand0 = (uint64_t)(int64_t)-random_below(2);
            depth += 1;
        }
        _PyUOpInstruction *instruction = &trace[length++];
        instruction->opcode = (uint16_t)opcode;
        instruction->oparg = (uint16_t)(effect->least + random_below(effect->most - effect->least + 1));
        if (opcode == _DROP) {
            instruction->oparg = (uint16_t)(instruction->oparg > depth ? depth : instruction->oparg);
            depth -= instruction->oparg;
        }
        instruction->operand0 = random_number();
#if OPERANDS == 2
        instruction->operand1 = random_number();
#endif
        if (opcode == _GUARD_VERSION && random_below(8) != 0) {
            instruction->operand0 = (instruction->operand0 << 32) | 0x80000007;
        }
        depth += effect->effect;
    }
    if (is_loop) {
        while (depth > 0 && length < stubs - 1) {
            int count = depth > 5 ? 5 : depth;
            trace[length].opcode = _DROP;
            trace[length++].oparg = (uint16_t)count;
            depth -= count;
        }
    }
    trace[length++].opcode = is_loop && depth == 0 ? _JUMP_TO_TOP : _EXIT_DYNAMIC;
    /* Where guards and errors lead. */
    size_t first = length;
    const int ends[] = { _DEOPT, _EXIT_TRACE, _EXIT_DYNAMIC, _DEOPT };
    for (int i = 0; i < 4; i++) {
        int end = ends[i] == _EXIT_TRACE && is_last ? _DEOPT : ends[i];
        trace[length++].opcode = (uint16_t)end;
    }
    trace[length].opcode = _ERROR_POP_N;
    trace[length].oparg = (uint16_t)random_below(4);
    trace[length++].operand0 = (uint64_t)random_below(500);
    for (size_t i = 0; i < length; i++) {
        int exit = random_below(EXITS);
        trace[i].target = (uint32_t)random_below(500);
        trace[i].exit_index = (uint16_t)exit;
        trace[i].jump_target = (uint16_t)(first + (size_t)random_below(4));
#if PY_MINOR_VERSION >= 14
        if (trace[i].opcode == _EXIT_TRACE) {
            trace[i].operand0 = (uintptr_t)&exits[exit];
        }
        else if (trace[i].opcode == _JUMP_TO_TOP) {
            trace[i].jump_target = 1;
        }
#endif
        trace[i].error_target = (uint16_t)(length - 1);
    }
    CHECK(length <= TRACE_LENGTH);
    return length;
}

typedef struct {
    Frame frame;
    Thread thread;
    Value stack[STACK];
    int64_t counts[EXECUTORS][2 + EXITS];
    uint64_t small;
    ptrdiff_t target;
} State;

static void
count(State *state, const _PyExecutorObject *executors)
{
    for (int i = 0; i < EXECUTORS; i++) {
        state->counts[i][0] = executors[i].references;
        state->counts[i][1] = executors[i].entered;
        for (int j = 0; j < EXITS; j++) {
            state->counts[i][2 + j] = executors[i].exits[j].uses;
        }
    }
}

static Code bytecode[1024];

static void
try_traces(int round)
{
    static _PyUOpInstruction traces[EXECUTORS][TRACE_LENGTH];
    static _PyExecutorObject executors[EXECUTORS];
    memset(executors, 0, sizeof(executors));
    for (int i = 0; i < EXECUTORS; i++) {
        size_t length = make_trace(traces[i], executors[i].exits, i == EXECUTORS - 1);
        executors[i].trace = traces[i];
        for (int j = 0; j < EXITS; j++) {
            /* Only forward, so that traces end. */
            executors[i].exits[j].executor = i + 1 < EXECUTORS ? &executors[i + 1 + random_below(EXECUTORS - i - 1)] : NULL;
        }
        compile(&executors[i], length, (size_t)((round * EXECUTORS + i) % 67));
    }
    for (int input = 0; input < 6; input++) {
        static State initial, compiled, interpreted;
        memset(&initial, 0, sizeof(initial));
        initial.frame.code = initial.frame.resume = bytecode;
        initial.frame.version = 0x80000007;
        initial.frame.fuel = 1 + random_below(6);
        for (int i = 0; i < LOCALS; i++) {
            initial.frame.locals[i] = (Value)random_number();
        }
        for (int i = 0; i < 24; i++) {
            initial.frame.record.words[i] = (Value)random_number();
        }
        for (int i = 0; i < STACK; i++) {
            initial.stack[i] = (Value)random_number();
        }
        for (int which = 0; which < 2; which++) {
            static State state;
            static _PyExecutorObject saved[EXECUTORS];
            state = initial;
            memcpy(saved, executors, sizeof(saved));
            doing = which ? "compiled code" : "the interpreter";
            Code *target;
            if (which) {
                target = run(&executors[0], &state.frame, state.stack + BELOW, &state.thread);
            }
            else {
                executors[0].references += 1;
                state.thread.running += 1;
                target = interpret(&executors[0], &state.frame, state.stack + BELOW, &state.thread);
                state.thread.running -= 1;
                executors[0].references -= 1;
            }
            for (int i = 0; i < SMALL; i++) {
                state.small = hash(state.small, (uint64_t)table.small[i].references);
                table.small[i].references = 0;
            }
            state.target = target == NULL ? -1 : target - bytecode;
            count(&state, executors);
            memcpy(executors, saved, sizeof(saved));
            /* Texts are data of their stencils; they are compared as texts. */
            const char *error = state.thread.error;
            state.thread.error = NULL;
            state.thread.hash = hash(state.thread.hash, error == NULL ? 0 : (unsigned char)error[17]);
            *(which ? &compiled : &interpreted) = state;
        }
        if (memcmp(&compiled, &interpreted, sizeof(State)) != 0) {
            fprintf(stderr, "round %d, input %d: compiled code ends at %td after %ld calls, the interpreter at %td after %ld\n",
                    round, input, compiled.target, (long)compiled.thread.calls, interpreted.target,
                    (long)interpreted.thread.calls);
            for (const _PyUOpInstruction *at = traces[0]; at->opcode != _NOP || at == traces[0]; at++) {
                fprintf(stderr, "  %s %u %#llx\n", names[at->opcode], at->oparg, (unsigned long long)at->operand0);
            }
            exit(1);
        }
    }
    for (int i = 0; i < EXECUTORS; i++) {
        munmap(executors[i].jit_code, executors[i].jit_size);
    }
}

int
main(int argc, char **argv)
{
    CHECK(argc == 4);
    seed = strtoull(argv[1], NULL, 10) * 0x9e3779b97f4a7c15u + 1;
    for (int i = 0; i < SMALL; i++) {
        table.small[i].value = (Value)hash(7, (uint64_t)i);
    }
    int rounds = atoi(argv[2]);
    for (int round = 0; round < rounds; round++) {
        try_traces(round);
    }
    doing = "the end";
    for (int i = 0; i < UOP_COUNT; i++) {
        if (i != _FATAL_ERROR && executed[i] == 0) {
            fprintf(stderr, "%s was never executed\n", names[i]);
            return 1;
        }
    }
    long least = atol(argv[3]);
#ifdef NEAR
    CHECK(relaxed_loads >= least && relaxed_calls >= least);
#else
    CHECK(unrelaxed >= least);
#endif
    printf("the same; relaxed: %ld loads, %ld calls, %ld jumps; not: %ld\n", relaxed_loads, relaxed_calls, relaxed_jumps,
           unrelaxed);
    return 0;
}
