/* Reads a stencil table with nothing but what the documentation of mimeo::table says: walks all of it, recomputes the
 * checksum, and prints a line per symbol, uop and variant. Exit code 0 where it is a table, 1 where it is not, 2 on other errors. */
#define _POSIX_C_SOURCE 200809L
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#pragma pack(push, 1)
struct text    { uint32_t offset, length; };
struct section { uint32_t offset, count; };
struct header {
    uint8_t  magic[8];
    uint32_t format_version;
    uint32_t header_length;
    uint64_t file_length;
    uint32_t checksum;
    uint32_t calling_convention;
    uint16_t llvm_version[4];
    uint32_t value_registers;
    uint32_t reserved;
    uint8_t  digest[32];
    uint8_t  sources[32];
    struct text set, triple, cpu;
    struct section uops, variants, elements;
    struct section holes, register_holes, symbols;
    struct section code, data, strings;
};
struct count { uint8_t fixed, per_oparg, low_bit; };
struct part { uint32_t offset, length, first_hole, hole_count, align; };
struct limits {
    uint16_t oparg_max, operand1_zeros;
    uint64_t operand_max;
};
struct uop {
    struct text name;
    struct count popped, pushed;
    struct count leaving_popped, leaving_pushed;
    uint32_t flags;
    struct limits limits;
    uint32_t locals;
    struct part hot, cold, data;
};
struct form {
    uint8_t  kind;
    uint8_t  registers_in, registers_out;
    uint8_t  inputs[4];
    uint8_t  output;
    uint8_t  intact, reserved;
    uint16_t renameable;
};
struct element { uint32_t uop; struct limits limits; };
struct variant {
    uint32_t first_element, element_count;
    uint32_t first_register_hole, register_hole_count;
    struct form form;
    struct part hot, cold, data;
};
struct hole {
    uint32_t offset;
    int32_t  addend;
    uint32_t symbol;
    uint8_t  kind;
    uint8_t  value;
    uint8_t  shift;
    uint8_t  element;
};
struct register_hole {
    uint32_t offset;
    uint32_t rex;
    uint8_t  part;
    uint8_t  field;
    uint8_t  reg, reserved;
};
#pragma pack(pop)

_Static_assert(sizeof(struct header) == 208, "header");
_Static_assert(sizeof(struct uop) == 100, "uop");
_Static_assert(sizeof(struct form) == 12, "form");
_Static_assert(sizeof(struct element) == 16, "element");
_Static_assert(sizeof(struct variant) == 88, "variant");
_Static_assert(sizeof(struct hole) == 16, "hole");
_Static_assert(sizeof(struct register_hole) == 12, "register hole");

enum { VALUE_SYMBOL = 14 };
enum { FORM_SLOTS = 0 };
enum { INPUT_UNSIGNED = 0x20, INPUT_SIGNED = 0x40, INPUT_POOLED = 0x41 };
static const uint8_t NONE = 0xff;
static const uint32_t NO_REX = 0xffffffff;

/* Everything in the file but the symbols' names. */
struct file_sections {
    const struct header *header;
    const struct uop *uops;
    const struct element *elements;
    const struct hole *holes;
    const struct register_hole *register_holes;
    const uint8_t *code, *data, *strings;
};

static const uint8_t *file;
static uint64_t file_length;

static void wrong(const char *what)
{
    fprintf(stderr, "not a table: %s\n", what);
    exit(1);
}

/* CRC-32 (IEEE 802.3): reflected, polynomial 0x04c11db7, starts with and is inverted by all ones. */
static uint32_t crc32_of(uint32_t crc, const uint8_t *bytes, uint64_t length)
{
    crc = ~crc;
    for (uint64_t i = 0; i < length; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (0xedb88320u & (0u - (crc & 1u)));
    }
    return ~crc;
}

static uint32_t checksum(const struct header *header)
{
    static const uint8_t zero[4];
    const uint64_t field = (uint64_t)((const uint8_t *)&header->checksum - file);
    uint32_t crc = crc32_of(0, file, field);
    crc = crc32_of(crc, zero, sizeof zero);
    return crc32_of(crc, file + field + 4, file_length - field - 4);
}

/* The elements of a section, which begins where the one before has ended. */
static const void *elements(struct section section, uint64_t size, uint64_t *end)
{
    if (section.offset != *end)
        wrong("there is a gap between sections");
    *end += section.count * size;
    if (*end > file_length)
        wrong("a section lies outside the file");
    return file + section.offset;
}

static void print_text(struct text text, const uint8_t *strings, uint32_t length)
{
    if (text.offset > length || text.length > length - text.offset)
        wrong("a text lies outside the strings");
    fwrite(strings + text.offset, 1, text.length, stdout);
}

static void print_count(struct count count)
{
    printf(" %u,%u,%u", count.fixed, count.per_oparg, count.low_bit);
}

static void print_limits(struct limits limits)
{
    const uint64_t operand1_max = limits.operand1_zeros < 64 ? UINT64_MAX >> limits.operand1_zeros : 0;
    printf(" %u %" PRIu64 " %" PRIu64, limits.oparg_max, limits.operand_max, operand1_max);
}

/* Prints the length and alignment of a part, and what its holes add up to. */
static void print_part(struct part part, uint32_t section_length, const struct hole *holes, const struct header *header)
{
    uint64_t sum = 0;
    uint32_t end = 0;
    if (part.offset > section_length || part.length > section_length - part.offset)
        wrong("a part lies outside its section");
    if (part.first_hole > header->holes.count || part.hole_count > header->holes.count - part.first_hole)
        wrong("a part's holes lie outside their section");
    for (uint32_t i = 0; i < part.hole_count; i++) {
        const struct hole *hole = &holes[part.first_hole + i];
        if (hole->offset < end)
            wrong("holes overlap");
        end = hole->offset + (hole->kind == 1 ? 8 : hole->kind == 12 ? 2 : hole->kind == 14 ? 1 : 4);
        if (end > part.length)
            wrong("a hole lies outside its part");
        if (hole->value == VALUE_SYMBOL && hole->symbol >= header->symbols.count)
            wrong("a hole has a symbol that does not exist");
        sum = sum * 31 + hole->offset;
        sum = sum * 31 + hole->kind;
        sum = sum * 31 + hole->value;
        sum = sum * 31 + hole->shift;
        sum = sum * 31 + hole->element;
        sum = sum * 31 + hole->symbol;
        sum = sum * 31 + (uint64_t)(int64_t)hole->addend;
    }
    printf(" %" PRIu32 "/%" PRIu32 "/%" PRIu32 ":%016" PRIx64, part.length, part.align, part.hole_count, sum);
}

/* Prints all parts: what describes them, then the checksums of their bytes. */
static void print_parts(struct part hot, struct part cold, struct part data, const struct file_sections *in)
{
    print_part(hot, in->header->code.count, in->holes, in->header);
    print_part(cold, in->header->code.count, in->holes, in->header);
    print_part(data, in->header->data.count, in->holes, in->header);
    printf(" %08" PRIx32, crc32_of(0, in->code + hot.offset, hot.length));
    printf(" %08" PRIx32, crc32_of(0, in->code + cold.offset, cold.length));
    printf(" %08" PRIx32 "\n", crc32_of(0, in->data + data.offset, data.length));
}

static void print_register(uint8_t number)
{
    static const char *const names[16] = {"r15",  "rdi",  "rsi",  "rdx",  "rcx",  "r8",   "r9",   "r11",
                                          "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7"};
    if (number >= 16)
        wrong("there is no such register");
    printf("%s", names[number]);
}

static void print_form(const struct form *form)
{
    if (form->kind == FORM_SLOTS) {
        printf("_r%u%u", form->registers_in, form->registers_out);
        return;
    }
    putchar('[');
    for (int i = 0; i < 4 && form->inputs[i] != NONE; i++) {
        const uint8_t input = form->inputs[i];
        if (i != 0)
            printf(", ");
        if (input == INPUT_SIGNED)
            printf("32-bit");
        else if (input == INPUT_POOLED)
            printf("pooled");
        else if (input >= INPUT_UNSIGNED)
            printf("%u-bit unsigned", input - INPUT_UNSIGNED);
        else
            print_register(input);
    }
    if (form->output != NONE) {
        printf("%s-> ", form->inputs[0] != NONE ? " " : "");
        print_register(form->output);
    }
    printf("] %u %04x", form->intact, form->renameable);
}

static void print_register_hole(const struct register_hole *hole)
{
    printf(" %u/%" PRIu32 "/", hole->part, hole->offset);
    if (hole->rex == NO_REX)
        putchar('-');
    else
        printf("%" PRIu32, hole->rex);
    printf("/%u/", hole->field);
    print_register(hole->reg);
}

static void print_variant(const struct variant *variant, const struct file_sections *in)
{
    const struct section elements = in->header->elements, holes = in->header->register_holes;
    if (variant->first_element > elements.count || variant->element_count > elements.count - variant->first_element)
        wrong("a variant's uops lie outside their section");
    if (variant->first_register_hole > holes.count ||
        variant->register_hole_count > holes.count - variant->first_register_hole)
        wrong("a variant's register holes lie outside their section");
    printf("variant");
    for (uint32_t i = 0; i < variant->element_count; i++) {
        const struct element *element = &in->elements[variant->first_element + i];
        if (element->uop >= in->header->uops.count)
            wrong("a variant has a uop that does not exist");
        putchar(' ');
        print_text(in->uops[element->uop].name, in->strings, in->header->strings.count);
        print_limits(element->limits);
    }
    putchar(' ');
    print_form(&variant->form);
    for (uint32_t i = 0; i < variant->register_hole_count; i++)
        print_register_hole(&in->register_holes[variant->first_register_hole + i]);
    print_parts(variant->hot, variant->cold, variant->data, in);
}

static void map(const char *path)
{
    const int descriptor = open(path, O_RDONLY);
    struct stat status;
    if (descriptor < 0 || fstat(descriptor, &status) != 0) {
        perror(path);
        exit(2);
    }
    file_length = (uint64_t)status.st_size;
    if (file_length < sizeof(struct header))
        wrong("it is shorter than a header");
    void *mapped = mmap(NULL, (size_t)file_length, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (mapped == MAP_FAILED) {
        perror(path);
        exit(2);
    }
    file = mapped;
}

static const struct header *checked_header(void)
{
    static const uint8_t magic[8] = {'M', 'I', 'M', 'E', 'O', '\r', '\n', 0x1a};
    const struct header *header = (const struct header *)file;
    if (memcmp(header->magic, magic, sizeof magic) != 0)
        wrong("it starts with something else");
    if (header->format_version != 3 || header->header_length != sizeof *header)
        wrong("it has another format version");
    if (header->file_length != file_length)
        wrong("it has another length");
    if (header->checksum != checksum(header))
        wrong("its checksum is another");
    return header;
}

static void print_header(const struct header *header, const uint8_t *strings)
{
    const struct text texts[] = {header->set, header->triple, header->cpu};
    printf("table");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        putchar(' ');
        print_text(texts[i], strings, header->strings.count);
    }
    printf(" %u.%u.%u %08" PRIx32 " ", header->llvm_version[0], header->llvm_version[1], header->llvm_version[2],
           header->checksum);
    for (size_t i = 0; i < sizeof header->digest; i++)
        printf("%02x", header->digest[i]);
    putchar(' ');
    for (size_t i = 0; i < sizeof header->sources; i++)
        printf("%02x", header->sources[i]);
    putchar('\n');
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s TABLE\n", argv[0]);
        return 2;
    }
    map(argv[1]);
    const struct header *header = checked_header();
    uint64_t end = sizeof *header;
    struct file_sections in = {.header = header};
    in.uops = elements(header->uops, sizeof *in.uops, &end);
    const struct variant *variants = elements(header->variants, sizeof *variants, &end);
    in.elements = elements(header->elements, sizeof *in.elements, &end);
    in.holes = elements(header->holes, sizeof *in.holes, &end);
    in.register_holes = elements(header->register_holes, sizeof *in.register_holes, &end);
    const struct text *symbols = elements(header->symbols, sizeof *symbols, &end);
    in.code = elements(header->code, 1, &end);
    in.data = elements(header->data, 1, &end);
    in.strings = elements(header->strings, 1, &end);
    if (end != file_length)
        wrong("there is something behind the sections");

    print_header(header, in.strings);
    for (uint32_t i = 0; i < header->symbols.count; i++) {
        printf("symbol ");
        print_text(symbols[i], in.strings, header->strings.count);
        putchar('\n');
    }
    for (uint32_t i = 0; i < header->uops.count; i++) {
        const struct uop *uop = &in.uops[i];
        printf("uop ");
        print_text(uop->name, in.strings, header->strings.count);
        print_count(uop->popped);
        print_count(uop->pushed);
        print_count(uop->leaving_popped);
        print_count(uop->leaving_pushed);
        printf(" %" PRIx32, uop->flags);
        print_limits(uop->limits);
        printf(" %" PRIu32, uop->locals);
        print_parts(uop->hot, uop->cold, uop->data, &in);
    }
    for (uint32_t i = 0; i < header->variants.count; i++)
        print_variant(&variants[i], &in);
    return 0;
}
