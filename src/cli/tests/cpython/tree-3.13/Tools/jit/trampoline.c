#include "Python.h"

#include "pycore_toy.h"

Code *
_ENTRY(Frame *frame, Value *stack_pointer, Thread *tstate)
{
    extern void _JIT_EXECUTOR;
    _PyExecutorObject *executor = (_PyExecutorObject *)(uintptr_t)&_JIT_EXECUTOR;
    executor->references += 1;
    tstate->running += 1;
    extern void _JIT_CONTINUE;
    Code *target = ((jit_func)&_JIT_CONTINUE)(frame, stack_pointer, tstate);
    tstate->running -= 1;
    executor->references -= 1;
    return target;
}
