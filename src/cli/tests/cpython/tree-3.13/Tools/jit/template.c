#include "Python.h"

#include "pycore_toy.h"

#define CURRENT_OPARG() (_oparg)
#define CURRENT_OPERAND0() (_operand)
#define CURRENT_TARGET() (_target)

#define JUMP_OUT(SYMBOL)                                         \
    do {                                                         \
        extern void SYMBOL;                                      \
        __attribute__((musttail))                                \
        return ((jit_func)&SYMBOL)(frame, stack_pointer, tstate); \
    } while (0)

#define HOLE(TYPE, NAME, SYMBOL) \
    extern void SYMBOL;          \
    TYPE NAME = (TYPE)(uintptr_t)&SYMBOL;

#define JUMP_TO_JUMP_TARGET() JUMP_OUT(_JIT_JUMP_TARGET)
#define JUMP_TO_ERROR() JUMP_OUT(_JIT_ERROR_TARGET)
#define EXIT_WITH_ERROR() goto with_error
#define EXIT_TO_TIER1() goto to_tier1
#define EXIT_TO_TIER1_DYNAMIC() goto to_tier1_dynamic
#define EXIT_TO_TRACE() goto to_trace

Code *
_JIT_ENTRY(Frame *frame, Value *stack_pointer, Thread *tstate)
{
    HOLE(_PyExecutorObject *, current_executor, _JIT_EXECUTOR)
    HOLE(uint16_t, _oparg, _JIT_OPARG)
    HOLE(uint64_t, _operand, _JIT_OPERAND)
    HOLE(uint32_t, _target, _JIT_TARGET)
    HOLE(uint16_t, _exit_index, _JIT_EXIT_INDEX)
    int oparg;
    int uopcode = _JIT_OPCODE;

    if (uopcode == _JUMP_TO_TOP) {
        JUMP_OUT(_JIT_TOP);
    }
    switch (uopcode) {
#include "executor_cases.c.h"
        default:
            __builtin_unreachable();
    }
    JUMP_OUT(_JIT_CONTINUE);

with_error:
    tstate->last = current_executor;
    return NULL;
to_tier1:
    tstate->last = current_executor;
    return frame->code + _target;
to_tier1_dynamic:
    tstate->last = current_executor;
    return frame->resume;
to_trace:
    {
        Exit *exit = &current_executor->exits[_exit_index];
        exit->uses += 1;
        tstate->last = current_executor;
        __attribute__((musttail))
        return ((jit_func)exit->executor->jit_side_entry)(frame, stack_pointer, tstate);
    }
}
