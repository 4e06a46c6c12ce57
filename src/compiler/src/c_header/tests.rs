//! Headers that are read, headers that are refused, and that none makes the reader panic.

use super::*;
use proptest::prelude::*;
use std::fmt::Write;

/// The digest of the small header.
const DIGEST: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

/// A header in the form of CPython 3.13's: two uops, one without bytes, and a trampoline.
fn small() -> String {
    format!(
        "\
// {DIGEST}
// $ python build.py x86_64-pc-linux-gnu

void
emit__NOP(
    unsigned char *code, unsigned char *data, _PyExecutorObject *executor,
    const _PyUOpInstruction *instruction, uintptr_t instruction_starts[])
{{
    // 0:
}}

void
emit__SET_IP(
    unsigned char *code, unsigned char *data, _PyExecutorObject *executor,
    const _PyUOpInstruction *instruction, uintptr_t instruction_starts[])
{{
    // 0: 48 8b 05 00 00 00 00          movq    (%rip), %rax
    const unsigned char code_body[11] = {{
        0x48, 0x8b, 0x05, 0x00, 0x00, 0x00, 0x00, 0x48,
        0x89, 0x45, 0x38,
    }};
    // 0: OPERAND
    const unsigned char data_body[8] = {{
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    }};
    memcpy(data, data_body, sizeof(data_body));
    patch_64(data + 0x0, instruction->operand);
    memcpy(code, code_body, sizeof(code_body));
    patch_x86_64_32rx(code + 0x3, (uintptr_t)data + -0x4);
}}

void
emit_trampoline(
    unsigned char *code, unsigned char *data, _PyExecutorObject *executor,
    const _PyUOpInstruction *instruction, uintptr_t instruction_starts[])
{{
    const unsigned char code_body[1] = {{
        0xc3,
    }};
    memcpy(code, code_body, sizeof(code_body));
}}

typedef struct {{
    void (*emit)(
        unsigned char *code, unsigned char *data, _PyExecutorObject *executor,
        const _PyUOpInstruction *instruction, uintptr_t instruction_starts[]);
    size_t code_size;
    size_t data_size;
}} StencilGroup;

static const StencilGroup trampoline = {{emit_trampoline, 1, 0}};

static const StencilGroup stencil_groups[MAX_UOP_ID + 1] = {{
    [_NOP] = {{emit__NOP, 0, 0}},
    [_SET_IP] = {{emit__SET_IP, 11, 8}},
}};
"
    )
}

fn read(text: &str) -> Header {
    match Header::parse(text.as_bytes()) {
        Ok(header) => header,
        Err(error) => panic!("{error}\n{text}"),
    }
}

fn error(text: &str) -> String {
    match Header::parse(text.as_bytes()) {
        Ok(header) => panic!("it was read: {header:?}\n{text}"),
        Err(error) => error.to_string(),
    }
}

fn hole(offset: u32, function: &str, value: &str) -> HeaderHole {
    HeaderHole {
        offset,
        function: function.to_owned(),
        value: value.to_owned(),
    }
}

fn part(name: &str, bytes: &[u8], holes: &[HeaderHole]) -> HeaderPart {
    HeaderPart {
        name: name.to_owned(),
        bytes: bytes.to_vec(),
        holes: holes.to_vec(),
        room: 0,
    }
}

fn group(name: &str, parts: Vec<HeaderPart>) -> HeaderGroup {
    HeaderGroup {
        name: name.to_owned(),
        parts,
        extra: Vec::new(),
    }
}

/// A header with one uop, whose function has this body and whose element these values.
fn one(body: &str, element: &str) -> String {
    format!(
        "void emit__X(void)\n{{\n{body}\n}}\nstatic const G groups[] = {{ [_X] = {element} }};\n"
    )
}

/// The parts of the uop of [`one`].
fn parts_of(body: &str, element: &str) -> Vec<HeaderPart> {
    read(&one(body, element)).groups.remove(0).parts
}

#[test]
fn the_form_of_cpython() {
    let code = [0x48, 0x8b, 0x05, 0, 0, 0, 0, 0x48, 0x89, 0x45, 0x38];
    let code_hole = hole(3, "patch_x86_64_32rx", "(uintptr_t)data + -0x4");
    let data_hole = hole(0, "patch_64", "instruction->operand");
    let expected = Header {
        digest: Some(DIGEST.to_owned()),
        comments: vec!["$ python build.py x86_64-pc-linux-gnu".to_owned()],
        groups: vec![
            group("_NOP", vec![]),
            group(
                "_SET_IP",
                vec![
                    part("code", &code, &[code_hole]),
                    part("data", &[0; 8], &[data_hole]),
                ],
            ),
        ],
        others: vec![group("trampoline", vec![part("code", &[0xc3], &[])])],
    };
    assert_eq!(read(&small()), expected);
}

#[test]
fn newer_groups_have_more_values() {
    let text = small()
        .replace(
            "    size_t data_size;",
            "    size_t data_size;\n    symbol_mask mask;\n    size_t got_size;",
        )
        .replace("11, 8}", "11, 8, {0x01, 0x80}, 16}")
        .replace("emit__NOP, 0, 0}", "emit__NOP, 0, 0, {0}, 0}");
    let header = read(&text);
    assert_eq!(header.groups[0].extra, ["{0}", "0"]);
    assert_eq!(header.groups[1].extra, ["{0x01, 0x80}", "16"]);
    // Where the type is not defined, the first two numbers are the sizes.
    let undefined = "{emit__X, 1, 0, {0}}";
    let header = read(&one(
        "const unsigned char code_body[1] = {0x90};",
        undefined,
    ));
    assert_eq!(header.groups[0].extra, ["{0}"]);
}

#[test]
fn parts_and_patches_of_any_name() {
    let text = "
#ifndef SET_H
#define SET_H
#include <string.h> /* for memcpy */
#define LONG \\
    emit_ {
extern \"C\" {
static inline void set_patch_pc32(unsigned char *place, uintptr_t value) { if (value) { *place = '}'; } }
enum shape { PLAIN = 1, \"odd\" };
struct set_group {
    const char *name; int (*emit)(struct set_copy *copy);
    unsigned hot_length, cold_length; uint32_t data_length, align[2];
};
__attribute__((unused)) static int set_emit_ADD(struct set_copy *copy) __attribute__((hot));
__attribute__((unused)) static int set_emit_ADD(struct set_copy *copy)
{
    unsigned char *hot = copy->hot, *cold = copy->cold;
    static const uint8_t hot_body[6] = {0x0F, 0x80, 0, 0, 0, 0}, other[1] = {1};
    const unsigned char cold_body[2] = {235, 0x00,};
    if (!memcpy(hot, hot_body, sizeof(hot_body))) { return 0; }
    set_patch_pc32(hot + 0x2, (uintptr_t)cold - 4);
    memcpy(cold, cold_body, sizeof(cold_body));
    memcpy(copy->name, name, 3);
    set_patch_8(cold + 1, copy->slots[0],  /* which */
                3);
    return 1;
}
static const struct set_group set_groups[] = {
    {\"ADD {\", set_emit_ADD, 6, 2, 0, {1, 16}},
};
const char *const names[] = { \"emit_ADD\", };
}
#endif
";
    let expected = HeaderGroup {
        name: "ADD".to_owned(),
        parts: vec![
            part(
                "hot",
                &[0x0f, 0x80, 0, 0, 0, 0],
                &[hole(2, "set_patch_pc32", "(uintptr_t)cold - 4")],
            ),
            part(
                "cold",
                &[0xeb, 0],
                &[hole(1, "set_patch_8", "copy->slots[0], 3")],
            ),
        ],
        extra: vec!["\"ADD {\"".to_owned(), "{1, 16}".to_owned()],
    };
    let header = read(text);
    assert_eq!(header.groups, [expected]);
    assert_eq!(header.others, []);
    assert_eq!((header.digest, header.comments), (None, vec![]));
    let wrong = text.replace("6, 2, 0,", "6, 3, 0,");
    assert_eq!(
        error(&wrong),
        "29:32: group ADD says 3 bytes of cold, but cold_body has 2"
    );
}

#[test]
fn places_that_are_computed() {
    let expected = [part("data", &[7; 8], &[hole(0, "patch_64", "x")])];
    for statements in [
        // Copied to the variable, or patched through it, with steps between.
        "unsigned char *aligned = data + (-(uintptr_t)data & 15); memcpy(aligned, data_body, 8); patch_64(aligned + 0x0, x);",
        "memcpy(data, data_body, 8); uintptr_t first = (uintptr_t)data + 15; unsigned char *aligned = (unsigned char *)(first & ~15); \
         patch_64(aligned + 0, x);",
        "patch_64(ALIGN(data, 16) + 0x0, x); memcpy(ALIGN(data, 16), data_body, 8);",
        "patch_64((unsigned char *)data, x);",
    ] {
        let body = format!("const unsigned char data_body[8] = {{7,7,7,7,7,7,7,7}}; {statements}");
        assert_eq!(parts_of(&body, "{emit__X, 0, 8}"), expected, "{statements}");
    }
}

#[test]
fn what_is_moved_may_have_room() {
    let body = "const unsigned char data_body[1] = {1}; memcpy(aligned, data_body, 1);";
    for size in [1, 16, 65] {
        parts_of(body, &format!("{{emit__X, 0, {size}}}"));
    }
    assert!(error(&one(body, "{emit__X, 0, 66}")).contains("group _X says 66 bytes"));
    assert!(error(&one(body, "{emit__X, 0, 0}")).contains("group _X says 0 bytes"));
    let body = body.replace("aligned", "data");
    assert!(error(&one(&body, "{emit__X, 0, 2}")).contains("group _X says 2 bytes"));
}

/// A header in the form of CPython 3.14's: what is zero at the end is not written, and a shim instead of the trampoline.
const NEWER: &str = "\
void
emit_shim(
    unsigned char *code, unsigned char *data, _PyExecutorObject *executor,
    const _PyUOpInstruction *instruction, jit_state *state)
{
    const unsigned char code_body[5] = {
        0xe8,
    };
    memcpy(code, code_body, sizeof(code_body));
    patch_32r(code + 0x1, (uintptr_t)code + sizeof(code_body) + -0x4);
}

void
emit__PAIR(
    unsigned char *code, unsigned char *data, _PyExecutorObject *executor,
    const _PyUOpInstruction *instruction, jit_state *state)
{
    // 0: 48 b8 00 00 00 00 00 00 00 00 movabsq $0x0, %rax
    // a: ff 25 00 00 00 00             jmpq    *(%rip)
    const unsigned char code_body[16] = {
        0x48, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0xff, 0x25,
    };
    // 0: OPERAND1
    patch_64(data + 0x0, instruction->operand1);
    memcpy(code, code_body, sizeof(code_body));
    patch_64(code + 0x2, ((uint64_t)instruction->operand0 + -8));
    patch_x86_64_32rx(code + 0xc, (uintptr_t)data + -0x4);
}

static_assert(SYMBOL_MASK_WORDS >= 1, \"too few; words {\");

typedef struct {
    void (*emit)(
        unsigned char *code, unsigned char *data, _PyExecutorObject *executor,
        const _PyUOpInstruction *instruction, jit_state *state);
    size_t code_size;
    size_t data_size;
    symbol_mask trampoline_mask;
} StencilGroup;

static const StencilGroup shim = {emit_shim, 5, 0, {0}};

static const StencilGroup stencil_groups[MAX_UOP_ID + 1] = {
    [_PAIR] = {emit__PAIR, 16, 16, {0}},
};

static const void * const symbols_map[1] = {
    0
};
";

#[test]
fn the_form_of_newer_cpython() {
    let mut pair = [0; 16];
    pair[..2].copy_from_slice(&[0x48, 0xb8]);
    pair[10..12].copy_from_slice(&[0xff, 0x25]);
    let code_holes = [
        hole(2, "patch_64", "((uint64_t)instruction->operand0 + -8)"),
        hole(12, "patch_x86_64_32rx", "(uintptr_t)data + -0x4"),
    ];
    let data_hole = hole(0, "patch_64", "instruction->operand1");
    let shim_hole = hole(1, "patch_32r", "(uintptr_t)code + sizeof(code_body) + -0x4");
    let mut groups = [
        group(
            "_PAIR",
            vec![
                part("code", &pair, &code_holes),
                part("data", &[0; 16], &[data_hole]),
            ],
        ),
        group(
            "shim",
            vec![part("code", &[0xe8, 0, 0, 0, 0], &[shim_hole])],
        ),
    ];
    for group in &mut groups {
        group.extra = vec!["{0}".to_owned()];
    }
    let header = read(NEWER);
    assert_eq!([header.groups, header.others].concat(), groups);
    for (old, new, expected) in [
        (
            "{emit__PAIR, 16, 16,",
            "{emit__PAIR, 15, 16,",
            "45:28: group _PAIR says 15 bytes of code, but code_body has 16",
        ),
        (
            "code_body[16]",
            "code_body[11]",
            "20:35: code_body of emit__PAIR is declared with 11 bytes, but has 12",
        ),
        (
            "data + 0x0",
            "data + 0x9",
            "25:5: patch_64 patches 8 bytes at 0x9, but the data of emit__PAIR has 16: the hole is outside",
        ),
        (
            "{emit__PAIR, 16, 16,",
            "{emit__PAIR, 16, 0,",
            "25:5: patch_64 patches 8 bytes at 0x0, but the data of emit__PAIR has 0: the hole is outside",
        ),
        (
            "size_t data_size;",
            "size_t size_of_data;",
            "25:5: patch_64 patches the data of emit__PAIR, which has no array, and no group says how many bytes it has",
        ),
    ] {
        assert!(NEWER.contains(old), "{old}");
        assert_eq!(error(&NEWER.replace(old, new)), expected, "{old} as {new}");
    }
}

#[test]
fn what_is_not_written_is_zero() {
    let code = |bytes: &[u8]| vec![part("code", bytes, &[])];
    let data = |size: usize, holes: &[HeaderHole]| vec![part("data", &vec![0; size], holes)];
    let rows = [
        (
            "const unsigned char code_body[4] = {0x90,};",
            "{emit__X, 4, 0}",
            code(&[0x90, 0, 0, 0]),
        ),
        (
            "const unsigned char code_body[2] = {};",
            "{emit__X, 2, 0}",
            code(&[0, 0]),
        ),
        (
            "const unsigned char data_body[3] = {0}; memcpy(data, data_body, 3);",
            "{emit__X, 0, 3}",
            data(3, &[]),
        ),
        ("", "{emit__X, 0, 8}", data(8, &[])),
        ("", "{emit__X, 0, 0}", vec![]),
        (
            "patch_64(data + 0x8, x); patch_32(data, y);",
            "{emit__X, 0, 16}",
            data(16, &[hole(0, "patch_32", "y"), hole(8, "patch_64", "x")]),
        ),
        (
            "unsigned char *aligned = data + (-(uintptr_t)data & 15); patch_64(aligned + 0x0, x);",
            "{emit__X, 0, 23}",
            data(23, &[hole(0, "patch_64", "x")]),
        ),
    ];
    for (body, element, expected) in rows {
        assert_eq!(parts_of(body, element), expected, "{body} {element}");
    }
}

#[test]
fn what_is_not_written_must_be_known() {
    let too_much = "more than 1048576 bytes of the stencils are not written";
    let outside =
        "patch_64 patches 8 bytes at 0x4, but the data of emit__X has 8: the hole is outside";
    for (body, element, expected) in [
        // Code is never all zero.
        (
            "",
            "{emit__X, 4, 0}",
            "group _X says 4 bytes of code, but code_body has 0",
        ),
        (
            "patch_32r(code + 0x0, x);",
            "{emit__X, 4, 0}",
            "patch_32r patches `code`, expected a place that one of the arrays of emit__X is copied to",
        ),
        ("patch_64(data + 0x4, x);", "{emit__X, 0, 8}", outside),
        (
            "const unsigned char data_body[8] = {1}; patch_64(data + 0x4, x);",
            "{emit__X, 0, 8}",
            outside,
        ),
        (
            "memcpy(data, data_body, 8);",
            "{emit__X, 0, 8}",
            "emit__X copies data_body, which it does not define",
        ),
        (
            "} void emit__Y(void) { patch_64(data + 0x0, x);",
            "{emit__X, 0, 8}",
            "patch_64 patches the data of emit__Y, which has no array, and no group says how many bytes it has",
        ),
        ("", "{emit__X, 0, 0x100001}", too_much),
        ("", "{emit__X, 0, 0xffffffffffffffff}", too_much),
        (
            "const unsigned char code_body[0xffffffffffffffff] = {1};",
            "{emit__X, 0xffffffffffffffff, 0}",
            too_much,
        ),
        // All of a header together.
        (
            "} void emit__Y(void) { const unsigned char code_body[0x80000] = {};",
            "{emit__X, 0, 0x80001}",
            too_much,
        ),
    ] {
        let message = error(&one(body, element));
        let (_, problem) = message.split_once(": ").unwrap();
        assert_eq!(problem, expected, "{body} {element}");
    }
}

/// What is said of a guard.
fn guarded(text: &str) -> String {
    match Header::guarded(text.as_bytes()) {
        Ok(Some((name, line))) => format!("{name} in line {line}"),
        Ok(None) => "none".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn guards_name_the_file_for_the_target() {
    let linux = "defined(__x86_64__) && defined(__linux__)";
    let one_of = |first: &str, second: &str| {
        format!(
            "// $ build\n#if {first}\n#include \"a.h\"\n#elif {second}\n#include \"b.h\"\n#else\n#error \"no\"\n#endif\n"
        )
    };
    let no_target =
        "3:11: expected one of the included files to be under the condition of x86-64 Linux";
    let arm = "defined(__aarch64__) && defined(__linux__)";
    let rows = [
        (one_of(linux, arm), "a.h in line 3"),
        (one_of(arm, linux), "b.h in line 5"),
        (one_of(arm, "defined(_M_X64)"), no_target),
        (one_of(linux, linux), no_target),
        (
            one_of("!(defined(__x86_64__) && defined(__linux__))", linux),
            "b.h in line 5",
        ),
        (
            format!("#if {linux}\n#ifdef A\n#endif\n#include \"a.h\"\n#endif\n#include \"b.h\"\n"),
            "a.h in line 4",
        ),
        // What is alone needs no condition.
        ("# include  \"a b.h\" // it".to_owned(), "a b.h in line 1"),
        (
            "/*\n#include \"b.h\"\n*/\n#include <c.h>\n#include \"a.h\"".to_owned(),
            "a.h in line 5",
        ),
        ("#include \"a.h\"\nint answer;".to_owned(), "none"),
        ("#include <a.h>\n#include NAME\n".to_owned(), "none"),
        (String::new(), "none"),
        (small(), "none"),
        (
            "#include \"a.h\n#define X \"\n".to_owned(),
            "1:11: the literal does not end on its line, expected its closing quote",
        ),
    ];
    for (text, expected) in rows {
        assert_eq!(guarded(&text), expected, "{text}");
    }
    for name in ["", ".", "..", "/a.h", "../a.h", "d/a.h", "d\\a.h"] {
        assert_eq!(
            guarded(&format!("\n#include \"{name}\"\n")),
            format!("2:11: expected the name of a file in the same directory, found `{name}`")
        );
    }
    assert_eq!(Header::guarded(b"#include \"\xff\"\n"), Ok(None));
}

#[test]
fn the_name_of_a_patch_says_how_wide_it_is() {
    for (function, width) in [
        ("patch_64", 8),
        ("patch_32r", 4),
        ("patch_x86_64_32rx", 4),
        ("patch_x86_64_trampoline", 1),
        ("patch_aarch64_16a", 2),
        ("mine_patch_abs8", 1),
    ] {
        assert_eq!(hole(0, function, "").width(), width, "{function}");
    }
}

/// What is in the small header, what stands there instead, and what is said then.
const BAD: &[(&str, &str, &str)] = &[
    (
        "code_body[11]",
        "code_body[12]",
        "55:32: group _SET_IP says 11 bytes of code, but code_body has 12",
    ),
    (
        "code_body[11]",
        "code_body[10]",
        "18:35: code_body of emit__SET_IP is declared with 10 bytes, but has 11",
    ),
    (
        "code_body[11]",
        "code_body[]",
        "18:35: expected the number of bytes, found `]`",
    ),
    (
        "code_body[11]",
        "code_body[011]",
        "18:35: expected the number of bytes, found `011`",
    ),
    (
        "code_body[11] =",
        "code_body[11] -",
        "18:39: expected `=`, found `-`",
    ),
    (
        "0x48, 0x8b",
        "0x148, 0x8b",
        "19:9: 328 is not a byte, expected 0 to 0xff",
    ),
    (
        "0x48, 0x8b",
        "0x48 0x8b",
        "19:14: expected `,` or `}`, found `0x8b`",
    ),
    (
        "0x48, 0x8b",
        "0x48, -1",
        "19:15: expected a byte or `}`, found `-`",
    ),
    (
        "0x48, 0x8b",
        "0x4g, 0x8b",
        "19:9: expected a byte or `}`, found `0x4g`",
    ),
    (
        "data_body[8]",
        "code_body[8]",
        "23:25: array code_body is defined twice, first in line 18",
    ),
    (
        "emit__NOP(\n",
        "emit__SET_IP(\n",
        "13:1: function emit__SET_IP is defined twice, first in line 5",
    ),
    (
        "data + 0x0,",
        "data + 0x1,",
        "27:5: patch_64 patches 8 bytes at 0x1, but the data of emit__SET_IP has 8: the hole is outside",
    ),
    (
        "code + 0x3,",
        "code + 0x8,",
        "29:5: patch_x86_64_32rx patches 4 bytes at 0x8, but the code of emit__SET_IP has 11: the hole is outside",
    ),
    (
        "code + 0x3,",
        "code + 0xffffffffffffffff,",
        "29:5: patch_x86_64_32rx patches 4 bytes at 0xffffffffffffffff, but the code of emit__SET_IP has 11: the hole is outside",
    ),
    (
        "code + 0x3,",
        "code + 0x10000000000000000,",
        "29:30: expected an offset, found `0x10000000000000000`",
    ),
    (
        "code + 0x3,",
        "code + three,",
        "29:30: expected an offset, found `three`",
    ),
    (
        "code + 0x3,",
        ",",
        "29:23: expected a place and `+` an offset, found `,`",
    ),
    (
        "code + 0x3,",
        "cold + 0x3,",
        "29:5: patch_x86_64_32rx patches `cold`, expected a place that one of the arrays of emit__SET_IP is copied to",
    ),
    (
        ", instruction->operand)",
        ")",
        "27:24: expected `,` and the value of the hole, found `)`",
    ),
    (
        "instruction->operand)",
        "instruction->operand]",
        "27:46: expected `)`, found `]`",
    ),
    (
        "memcpy(code, code_body",
        "memcpy(code, cold_body",
        "28:18: emit__SET_IP copies cold_body, which it does not define",
    ),
    (
        "{emit__NOP, 0, 0}",
        "{emit__POP, 0, 0}",
        "54:15: group _NOP names the function emit__POP, which the file does not define",
    ),
    (
        "{emit__NOP, 0, 0}",
        "{0, 0, 0}",
        "54:15: expected the name of a stencil function, `emit_NAME`, found `0`",
    ),
    (
        "{emit__NOP, 0, 0}",
        "{}",
        "54:15: expected the name of a stencil function, `emit_NAME`, found `}`",
    ),
    (
        "{emit__NOP, 0, 0}",
        "emit__NOP",
        "54:14: expected `{`, found `emit__NOP`",
    ),
    (
        "{emit__NOP, 0, 0}",
        "{emit__NOP, 1, 0}",
        "54:26: group _NOP says 1 bytes of code, but code_body has 0",
    ),
    (
        "{emit__NOP, 0, 0}",
        "{emit__NOP, none, 0}",
        "54:26: expected a number, the size of code, found `none`",
    ),
    (
        "{emit__NOP, 0, 0}",
        "{emit__NOP, 0, 0",
        "56:2: expected `,` or `}`, found `;`",
    ),
    (
        "{emit__NOP, 0, 0},",
        "{emit__NOP, 0, 0}",
        "55:5: expected `,`, found `[`",
    ),
    ("[_NOP] =", "[_NOP]", "54:12: expected `=`, found `{`"),
    (
        "[_NOP]",
        "[_SET_IP]",
        "55:6: group _SET_IP is defined twice, first in line 54",
    ),
    (
        "{emit__NOP, 0, 0}",
        "{emit__SET_IP, 11, 8}",
        "55:18: the group of emit__SET_IP is defined twice, first in line 54",
    ),
    (
        "{emit__SET_IP, 11, 8}",
        "{emit__SET_IP, 8, 11}",
        "55:32: group _SET_IP says 8 bytes of code, but code_body has 11",
    ),
    (
        "{emit_trampoline, 1, 0}",
        "{emit_trampoline, 2, 0}",
        "51:58: group trampoline says 2 bytes of code, but code_body has 1",
    ),
    (
        "    // 0:\n",
        "    /* 0:\n",
        "9:5: the comment does not end, expected `*/`",
    ),
    (
        "    // 0:\n",
        "    char *name = \"_NOP;\n",
        "9:18: the literal does not end on its line, expected its closing quote",
    ),
    (
        "    // 0:\n",
        "    \u{3bb}();\n",
        "9:5: unexpected character 'λ'",
    ),
    (
        "typedef struct {",
        "typedef struct",
        "49:1: expected a declaration, found `}`",
    ),
    (
        "typedef",
        "} typedef",
        "43:1: expected a declaration, found `}`",
    ),
];

#[test]
fn bad_headers() {
    for (old, new, expected) in BAD {
        let text = small();
        assert!(text.contains(old), "{old}");
        assert_eq!(
            error(&text.replacen(old, new, 1)),
            *expected,
            "{old} as {new}"
        );
    }
}

#[test]
fn what_is_no_header() {
    let no_stencils =
        "1:1: no function is called `emit_NAME`, as those of a header of stencils are";
    for text in [
        "",
        "[package]\nname = \"mimeo\"\n",
        "int main(void) { return 0; }\n",
    ] {
        assert_eq!(error(text), no_stencils, "{text}");
    }
    let no_groups = "expected an array of stencil groups before the end of the file";
    assert_eq!(
        error("void emit__X(void) {}\n"),
        format!("2:1: {no_groups}")
    );
    assert_eq!(error("// emit_ nothing\n"), format!("2:1: {no_groups}"));
    let not_text = Header::parse(b"// a\n// \xc3\xa9 \xff\n").unwrap_err();
    assert_eq!(
        not_text.to_string(),
        "2:6: byte 0xff is not UTF-8, expected text"
    );
    let deep = format!("int emit_ = {}", "{".repeat(MAX_DEPTH + 1));
    assert_eq!(error(&deep), "1:77: brackets are nested more than 64 deep");
    let arrays: String = (0..=MAX_PARTS)
        .map(|index| format!("char p{index}_body[0] = {{}};"))
        .collect();
    assert!(
        error(&one(&arrays, "{emit__X}"))
            .ends_with("the function has more than 16 arrays of bytes")
    );
}

#[test]
fn a_file_that_is_too_long_is_not_read() {
    let mut text = small();
    text.extend(std::iter::repeat_n('\n', MAX_LENGTH as usize));
    assert_eq!(error(&text), "1:1: the file has more than 16777216 bytes");
}

#[test]
fn a_header_that_ends_early_is_an_error() {
    let text = small();
    // The last line's end is not needed.
    for length in 0..text.len() - 1 {
        let message = error(&text[..length]);
        let is_explained = ["expected", "no function is called"]
            .iter()
            .any(|text| message.contains(text));
        assert!(is_explained, "{length} bytes: {message}");
    }
}

/// The header as it would be generated, with zeros or without.
fn write(header: &Header, with_type: bool, with_zeros: bool) -> String {
    let mut out = String::new();
    for line in header.digest.iter().chain(&header.comments) {
        writeln!(out, "// {line}").unwrap();
    }
    for group in header.groups.iter().chain(&header.others) {
        writeln!(
            out,
            "static void\nemit_{}(unsigned char *code)\n{{",
            group.name
        )
        .unwrap();
        for part in &group.parts {
            let HeaderPart {
                name, bytes, holes, ..
            } = part;
            let not_zero = bytes.iter().rposition(|&byte| byte != 0);
            let written = match with_zeros {
                true => &bytes[..],
                false => &bytes[..not_zero.map_or(0, |last| last + 1)],
            };
            let has_array = name != "data" || !written.is_empty();
            if has_array {
                writeln!(
                    out,
                    "    const unsigned char {name}_body[{}] = {{",
                    bytes.len()
                )
                .unwrap();
            }
            for row in written.chunks(8) {
                let row: Vec<String> = row.iter().map(|byte| format!("{byte:#04x},")).collect();
                writeln!(out, "        {}", row.join(" ")).unwrap();
            }
            if has_array {
                writeln!(
                    out,
                    "    }};\n    memcpy({name}, {name}_body, sizeof({name}_body));"
                )
                .unwrap();
            }
            for hole in holes {
                let HeaderHole {
                    offset,
                    function,
                    value,
                } = hole;
                writeln!(out, "    {function}({name} + {offset:#x}, {value});").unwrap();
            }
        }
        writeln!(out, "}}\n").unwrap();
    }
    if with_type {
        out += "typedef struct { emitter *emit; size_t code_size; size_t data_size; size_t cold_bytes; } Group;\n";
    }
    let element = |group: &HeaderGroup| {
        let size = |name| group.parts.iter().find(|part| part.name == name);
        let size = |name| size(name).map_or(0, |part| part.bytes.len());
        let sizes = match with_type {
            true => format!(", {}, {}, {}", size("code"), size("data"), size("cold")),
            false => String::new(),
        };
        let extra: String = group
            .extra
            .iter()
            .map(|value| format!(", {value}"))
            .collect();
        format!("{{emit_{}{sizes}{extra}}}", group.name)
    };
    for group in &header.others {
        writeln!(
            out,
            "static const Group {} = {};",
            group.name,
            element(group)
        )
        .unwrap();
    }
    writeln!(out, "static const Group groups[MAX + 1] = {{").unwrap();
    for group in &header.groups {
        writeln!(out, "    [{}] = {},", group.name, element(group)).unwrap();
    }
    out + "};\n"
}

fn any_part(name: &'static str) -> impl Strategy<Value = HeaderPart> {
    let values = prop::sample::select(vec![
        "instruction->oparg",
        "(uintptr_t)data + -0x4",
        "names[\"a;)}\"], ';', 3",
        "a ? b : (c, d)",
        "&symbol",
    ]);
    let functions = prop::sample::select(vec!["patch_64", "patch_x86_64_32rx", "set_patch_8"]);
    let any_hole = (any::<prop::sample::Index>(), functions, values);
    let bytes = prop::collection::vec(any::<u8>(), 0..40);
    let bytes = (bytes, 8_usize..20).prop_map(|(bytes, zeros)| [bytes, vec![0; zeros]].concat());
    (bytes, prop::collection::vec(any_hole, 0..6)).prop_map(move |(bytes, holes)| {
        let holes = holes.into_iter().map(|(offset, function, value)| {
            let offset = offset.index(bytes.len() - 7) as u32;
            hole(offset, function, value)
        });
        let mut holes: Vec<HeaderHole> = holes.collect();
        holes.sort_by_key(|hole| hole.offset);
        HeaderPart {
            name: name.to_owned(),
            bytes,
            holes,
            room: 0,
        }
    })
}

fn any_group() -> impl Strategy<Value = HeaderGroup> {
    let part = |name| prop::option::of(any_part(name));
    let extra = prop::sample::subsequence(
        vec!["{0}", "{0x1, {2, 3}}", "\"name, {\"", "SIZE + 2"],
        0..=4,
    );
    (part("code"), part("cold"), part("data"), extra).prop_map(|(code, cold, data, extra)| {
        HeaderGroup {
            name: String::new(),
            parts: [code, cold, data].into_iter().flatten().collect(),
            extra: extra.into_iter().map(str::to_owned).collect(),
        }
    })
}

fn any_header() -> impl Strategy<Value = Header> {
    let groups = |first: char| {
        let groups = prop::collection::vec(any_group(), 1..6);
        groups.prop_map(move |mut groups| {
            for (index, group) in groups.iter_mut().enumerate() {
                group.name = format!("{first}UOP_{index}");
            }
            groups
        })
    };
    let comments = prop::collection::vec("[a-z$*/;{}\"' ]{0,20}[a-z]", 0..3);
    let digest = prop::option::of("[0-9a-f]{64}");
    (digest, comments, groups('_'), groups('t')).prop_map(|(digest, comments, groups, others)| {
        Header {
            digest,
            comments: comments.iter().map(|line| line.trim().to_owned()).collect(),
            groups,
            others,
        }
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(header in any_header()) {
        prop_assert_eq!(read(&write(&header, true, true)), header);
    }

    #[test]
    fn what_is_written_without_zeros_is_read(header in any_header()) {
        prop_assert_eq!(read(&write(&header, true, false)), header);
    }

    #[test]
    fn what_is_written_without_a_type_is_read(mut header in any_header()) {
        // So that there is another part than code and data: no value is taken for a size.
        header.groups[0].parts = vec![part("cold", &[0], &[])];
        prop_assert_eq!(read(&write(&header, false, true)), header);
    }

    #[test]
    fn changed_headers_do_not_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        for text in [small(), NEWER.to_owned()] {
            let mut bytes = text.into_bytes();
            for (index, byte) in &changes {
                let index = index.index(bytes.len());
                bytes[index] = *byte;
            }
            drop(Header::parse(&bytes));
        }
    }

    #[test]
    fn shuffled_tokens_do_not_panic(words in prop::collection::vec(prop::sample::select(vec![
        "emit_x", "(", ")", "{", "}", "[", "]", ";", ",", "=", "+", "0x1", "9", "patch_64", "memcpy", "code_body", "unsigned", "char",
        "struct", "typedef", "enum", "extern", "\"C\"", "*", ".", "code_size", "//", "\n", "#", "data", "include", "if", "endif", "\"",
    ]), 0..60)) {
        drop(Header::parse(words.join(" ").as_bytes()));
        drop(Header::guarded(words.join(" ").as_bytes()));
    }
}
