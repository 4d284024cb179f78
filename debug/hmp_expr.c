/*
 * hmp_expr.c - expressions in the human monitor: numbers as C writes them, $registers of the processor, names of
 * symbols (-symbols, the guest's kallsyms), and C's operators + - * / % & | ^ ~ and parentheses, in 64 bits without
 * overflow. Blanks stand in parentheses only: elsewhere they part arguments.
 */
#include "debug/hmp_int.h"

#include "debug/control.h"
#include "hw/machine.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH 32                /* of parentheses and signs */

struct scan {
    struct hmp *h;
    const char *s;
    unsigned depth, inside;     /* inside: of parentheses */
};

/* ---- registers ---- */

/* Part of a register: so many bytes. */
#define R(name, member, size) { name, offsetof(struct cpu, member), sizeof(((struct cpu *)0)->member), size }
static const struct { const char *name; size_t offset; unsigned width, size;
} registers[] = {
    R("rax", r[R_AX], 8),
    R("rcx", r[R_CX], 8),
    R("rdx", r[R_DX], 8),
    R("rbx", r[R_BX], 8),
    R("rsp", r[R_SP], 8),
    R("rbp", r[R_BP], 8),
    R("rsi", r[R_SI], 8),
    R("rdi", r[R_DI], 8),
    R("r8", r[8], 8),
    R("r9", r[9], 8),
    R("r10", r[10], 8),
    R("r11", r[11], 8),
    R("r12", r[12], 8),
    R("r13", r[13], 8),
    R("r14", r[14], 8),
    R("r15", r[15], 8),
    R("eax", r[R_AX], 4),
    R("ecx", r[R_CX], 4),
    R("edx", r[R_DX], 4),
    R("ebx", r[R_BX], 4),
    R("esp", r[R_SP], 4),
    R("ebp", r[R_BP], 4),
    R("esi", r[R_SI], 4),
    R("edi", r[R_DI], 4),
    R("ax", r[R_AX], 2),
    R("cx", r[R_CX], 2),
    R("dx", r[R_DX], 2),
    R("bx", r[R_BX], 2),
    R("sp", r[R_SP], 2),
    R("bp", r[R_BP], 2),
    R("si", r[R_SI], 2),
    R("di", r[R_DI], 2),
    R("rip", rip, 8),
    R("eip", rip, 4),
    R("pc", rip, 8),
    R("es", seg[SEG_ES].sel, 2),
    R("cs", seg[SEG_CS].sel, 2),
    R("ss", seg[SEG_SS].sel, 2),
    R("ds", seg[SEG_DS].sel, 2),
    R("fs", seg[SEG_FS].sel, 2),
    R("gs", seg[SEG_GS].sel, 2),
    R("es.base", seg[SEG_ES].base, 8),
    R("cs.base", seg[SEG_CS].base, 8),
    R("ss.base", seg[SEG_SS].base, 8),
    R("ds.base", seg[SEG_DS].base, 8),
    R("fs.base", seg[SEG_FS].base, 8),
    R("gs.base", seg[SEG_GS].base, 8),
    R("cr0", cr0, 8),
    R("cr2", cr2, 8),
    R("cr3", cr3, 8),
    R("cr4", cr4, 8),
    R("efer", efer, 8),
    R("gdtr", gdt.base, 8),
    R("idtr", idt.base, 8),
    R("dr6", dr[6], 8),
    R("dr7", dr[7], 8),
    R("mxcsr", mxcsr, 4),
};
#undef R
#define REGISTERS (sizeof(registers) / sizeof(registers[0]))

const char *hmp_register(unsigned n)
{
    return n < REGISTERS ? registers[n].name : n == REGISTERS ? "eflags" : NULL;
}

static bool read_register(struct scan *x, uint64_t *out)
{
    char name[16];
    size_t n = 0;

    while (isalnum((unsigned char)x->s[n]) || x->s[n] == '.')
        n++;
    snprintf(name, sizeof(name), "%.*s", (int)(n < sizeof(name) ? n : 0), x->s);
    x->s += n;
    if (!x->h->c) {
        hmp_fail(x->h, "there is no processor that has registers");
        return false;
    }
    if (strcmp(name, "eflags") == 0) {
        *out = cpu_eflags(x->h->c);
        return true;
    }
    for (unsigned i = 0; i < REGISTERS; i++) {
        if (strcmp(registers[i].name, name))
            continue;
        const uint8_t *p = (const uint8_t *)x->h->c + registers[i].offset;
        unsigned width = registers[i].width;

        *out = width == 2 ? *(const uint16_t *)(const void *)p :
            width == 4    ? *(const uint32_t *)(const void *)p :
                            *(const uint64_t *)(const void *)p;
        if (registers[i].size < 8)
            *out &= ((uint64_t)1 << registers[i].size * 8) - 1;
        return true;
    }
    hmp_fail(x->h, "there is no register $%s", name);
    return false;
}

/* ---- symbols ---- */

static bool in_name(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '.';
}

static bool read_symbol(struct scan *x, uint64_t *out)
{
    char name[SYMBOL_NAME];
    size_t n = 0;
    bool found;

    while (in_name(x->s[n]))
        n++;
    snprintf(name, sizeof(name), "%.*s", (int)(n < sizeof(name) ? n : 0), x->s);
    control_hold(x->h->m->control);     /* they may be in its memory */
    found = symbols_find(x->h->m->symbols, x->h->c, name, out);
    control_release(x->h->m->control);
    if (found)
        x->s += n;
    else
        hmp_fail(x->h, "'%.60s' is no number, and there is no symbol of that name%s", x->s,
                 isxdigit((unsigned char)*x->s) ? ": hexadecimal numbers begin with 0x" : "");
    return found;
}

/* ---- the grammar ---- */

static bool value(struct scan *x, uint64_t *out);
static bool sum(struct scan *x, unsigned level, uint64_t *out);

static void blanks(struct scan *x)
{
    while (x->inside && isspace((unsigned char)*x->s))
        x->s++;
}

static bool value_of(struct scan *x, uint64_t *out)
{
    char *end, op = *x->s;

    if (op == '-' || op == '~' || op == '+') {
        x->s++;
        blanks(x);
        if (!value(x, out))
            return false;
        *out = op == '-' ? -*out : op == '~' ? ~*out : *out;
        return true;
    }
    if (op == '(') {
        x->s++;
        x->inside++;
        blanks(x);
        if (!sum(x, 0, out))
            return false;
        if (*x->s != ')') {
            hmp_fail(x->h, "')' is missing");
            return false;
        }
        x->inside--;
        x->s++;
        blanks(x);
        return true;
    }
    if (op == '$') {
        x->s++;
        if (!read_register(x, out))
            return false;
        blanks(x);
        return true;
    }
    if (op == '\'' && x->s[1] && x->s[2] == '\'') {
        *out = (uint8_t)x->s[1];
        x->s += 3;
        blanks(x);
        return true;
    }
    if (isalpha((unsigned char)op) || op == '_') {
        if (!read_symbol(x, out))
            return false;
        blanks(x);
        return true;
    }
    if (!isdigit((unsigned char)op)) {
        hmp_fail(x->h, "'%.20s' is no number", x->s);
        return false;
    }
    *out = strtoull(x->s, &end, 0);
    x->s = end;
    if (isalnum((unsigned char)*x->s)) {
        hmp_fail(x->h, "'%.20s' is no number: hexadecimal ones begin with 0x", x->s);
        return false;
    }
    blanks(x);
    return true;
}

static bool value(struct scan *x, uint64_t *out)
{
    bool ok;

    if (x->depth++ == DEPTH) {
        hmp_fail(x->h, "the expression is nested more than %u times", DEPTH);
        return false;
    }
    ok = value_of(x, out);
    x->depth--;
    return ok;
}

static bool sum(struct scan *x, unsigned level, uint64_t *out)
{
    static const char *const operators[] = { "|^&", "+-", "*/%" };
    uint64_t b;

    if (level == 3)
        return value(x, out);
    if (!sum(x, level + 1, out))
        return false;
    while (*x->s && strchr(operators[level], *x->s)) {
        char op = *x->s++;

        blanks(x);
        if (!sum(x, level + 1, &b))
            return false;
        if (!b && (op == '/' || op == '%')) {
            hmp_fail(x->h, "division by zero");
            return false;
        }
        switch (op) {
        case '|': *out |= b; break;
        case '^': *out ^= b; break;
        case '&': *out &= b; break;
        case '+': *out += b; break;
        case '-': *out -= b; break;
        case '*': *out *= b; break;
        case '/': *out /= b; break;
        default:  *out %= b; break;
        }
    }
    return true;
}

bool hmp_expr(struct hmp *h, const char *s, const char **end, uint64_t *out)
{
    struct scan x = { h, s, 0, 0 };

    if (!sum(&x, 0, out))
        return false;
    *end = x.s;
    if (!*x.s || isspace((unsigned char)*x.s))
        return true;
    hmp_fail(h, "'%.20s' does not belong into an expression", x.s);
    return false;
}
