// 6d696d656f20696e7075747320666f7220746865207365636f6e642068656164
// by hand, for the tests of mimeo diff

void
emit__NOTHING(unsigned char *code, unsigned char *data, const Uop *uop)
{
}

void
emit__LOAD(unsigned char *code, unsigned char *data, const Uop *uop)
{
    const unsigned char code_body[8] = {
        0x49, 0x8b, 0x84, 0x24, 0x00, 0x00, 0x00, 0x00,
    };
    memcpy(code, code_body, sizeof(code_body));
    patch_32(code + 0x4, uop->oparg << 3);
}

void
emit__POP(unsigned char *code, unsigned char *data, const Uop *uop)
{
    const unsigned char code_body[4] = {
        0x49, 0x83, 0xed, 0x08,
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
    [_LOAD] = {emit__LOAD, 8, 0},
    [_NOTHING] = {emit__NOTHING, 0, 0},
    [_POP] = {emit__POP, 4, 0},
};
