#include "Python.h"

#include "pycore_toy.h"

#include "jit.h"

#define CURRENT_OPARG() (_oparg)
#define CURRENT_OPERAND0() (_operand0)
#if OPERANDS == 2
#define CURRENT_OPERAND1() (_operand1)
#endif
#define CURRENT_TARGET() (_target)

#define GO_ON_AT(JITTED)                                         \
    do {                                                         \
        jit_func_preserve_none jitted = (JITTED);                \
        __attribute__((musttail))                                \
        return jitted(frame, stack_pointer, tstate);             \
    } while (0)

#define JUMP_OUT(SYMBOL)                                         \
    do {                                                         \
        HOLE(jit_func_preserve_none, there, SYMBOL)              \
        GO_ON_AT(there);                                         \
    } while (0)

#define JUMP_TO_JUMP_TARGET() JUMP_OUT(_JIT_JUMP_TARGET)
#define JUMP_TO_ERROR() JUMP_OUT(_JIT_ERROR_TARGET)
#define LEAVE(CODE)                                              \
    do {                                                         \
        tstate->last = current_executor;                         \
        return (CODE);                                           \
    } while (0)
#define EXIT_WITH_ERROR() LEAVE(NULL)
#define EXIT_TO_TIER1() LEAVE(frame->code + _target)
#define EXIT_TO_TIER1_DYNAMIC() LEAVE(frame->resume)
#define EXIT_TO_TRACE()                                          \
    do {                                                         \
        Exit *taken = (Exit *)CURRENT_OPERAND0();                \
        taken->uses += 1;                                        \
        tstate->last = current_executor;                         \
        GO_ON_AT((jit_func_preserve_none)taken->executor->jit_side_entry); \
    } while (0)

#define TIER_TWO 2

__attribute__((preserve_none)) Code *
_JIT_ENTRY(Frame *frame, Value *stack_pointer, Thread *tstate)
{
    HOLE(_PyExecutorObject *, current_executor, _JIT_EXECUTOR)
    HOLE(uint16_t, _oparg, _JIT_OPARG)
    HOLE(uint64_t, _operand0, _JIT_OPERAND0)
    HOLE(uint64_t, _operand1, _JIT_OPERAND1)
    HOLE(uint32_t, _target, _JIT_TARGET)
    int oparg;
    int uopcode = _JIT_OPCODE;

    switch (uopcode) {
        CASE
        default:
            __builtin_unreachable();
    }
    JUMP_OUT(_JIT_CONTINUE);
}
