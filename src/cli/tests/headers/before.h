// 6d696d656f20696e70757473206f662074686520666972737420686561646572
// by hand, for the tests of mimeo diff

void
emit__NOTHING(unsigned char *code, unsigned char *data, const Uop *uop)
{
}

void
emit__LOAD(unsigned char *code, unsigned char *data, const Uop *uop)
{
    // 0: 48 8b 05 00 00 00 00          movq    (%rip), %rax
    // 7: 49 8b 04 c4                   movq    (%r12,%rax,8), %rax
    const unsigned char code_body[11] = {
        0x48, 0x8b, 0x05, 0x00, 0x00, 0x00, 0x00, 0x49,
        0x8b, 0x04, 0xc4,
    };
    // 0: OPARG
    const unsigned char data_body[8] = {
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    };
    memcpy(data, data_body, sizeof(data_body));
    patch_64(data + 0x0, uop->oparg);
    memcpy(code, code_body, sizeof(code_body));
    patch_32r(code + 0x3, (uintptr_t)data + -0x4);
}

void
emit__STOP(unsigned char *code, unsigned char *data, const Uop *uop)
{
    const unsigned char code_body[1] = {
        0xc3,
    };
    memcpy(code, code_body, sizeof(code_body));
}

void
emit_trampoline(unsigned char *code, unsigned char *data, const Uop *uop)
{
    const unsigned char code_body[1] = {
        0xc3,
    };
    memcpy(code, code_body, sizeof(code_body));
}

typedef struct {
    void (*emit)(unsigned char *code, unsigned char *data, const Uop *uop);
    size_t code_size;
    size_t data_size;
} StencilGroup;

static const StencilGroup trampoline = {emit_trampoline, 1, 0};

static const StencilGroup stencil_groups[] = {
    [_LOAD] = {emit__LOAD, 11, 8},
    [_NOTHING] = {emit__NOTHING, 0, 0},
    [_STOP] = {emit__STOP, 1, 0},
};
