#include "Python.h"

#include "pycore_toy.h"

#include "jit.h"

Code *
_JIT_ENTRY(Frame *frame, Value *stack_pointer, Thread *tstate)
{
    HOLE(jit_func_preserve_none, first, _JIT_CONTINUE)
    return first(frame, stack_pointer, tstate);
}
