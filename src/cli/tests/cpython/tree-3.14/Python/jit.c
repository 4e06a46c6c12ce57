/* What this stand-in hands to the header's functions: see `jit.c` of the tests. Groups have a `trampoline_mask`, and
   there is a `symbols_map`. */
typedef void (*emitter)(unsigned char *code, unsigned char *data, _PyExecutorObject *executor,
                        const _PyUOpInstruction *instruction, jit_state *state);
