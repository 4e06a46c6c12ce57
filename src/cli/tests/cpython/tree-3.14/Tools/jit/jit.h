/* What template.c and shim.c have in common. It may be included twice. */
typedef __attribute__((preserve_none)) Code *(*jit_func_preserve_none)(Frame *, Value *, Thread *);

#define HOLE(TYPE, NAME, SYMBOL) \
    extern void SYMBOL;          \
    TYPE NAME = (TYPE)(uintptr_t)&SYMBOL;
