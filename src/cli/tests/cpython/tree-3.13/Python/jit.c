/* What this stand-in hands to the header's functions: see `jit.c` of the tests. */
typedef void (*emitter)(unsigned char *code, unsigned char *data, _PyExecutorObject *executor,
                        const _PyUOpInstruction *instruction, uintptr_t instruction_starts[]);
