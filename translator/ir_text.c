/*
 * ir_text.c - the IR as text.  One instruction a line:
 *
 *     block mode=0x302 start=0x10
 *       mark{3} #0x10
 *     v2 = get.i64 @rax
 *     v3 = add.i64 v2, v1         ; comment
 *     v4 = flags{add} v3
 *       put.i64 @rax, v3
 *       exit{Z|C|loop} #0x10
 *
 * `.type` where the signature has a T, `{}` holds aux (names of bits joined by
 * `|`, the rest a number), `_` is a missing optional operand, `#` imm, `@` a slot
 * of struct cpu.
 *
 * Invariant: what ir_print writes, ir_parse reads into the same instructions at
 * the same indices; removed instructions are not written, the numbers tell.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "translator/opt.h"

struct name { const char *text; uint32_t value; };

static const char *const type_names[TY_COUNT] = { "none", "i8", "i16", "i32", "i64", "v128", "flags" };
static const char *const cc_names[16] = { "o", "no", "b", "nb", "z", "nz", "be", "nbe",
                                          "s", "ns", "p", "np", "l", "nl", "le", "nle" };
static const char *const kind_names[FK_COUNT] = {
#define F(id, text, writes, undef) text,
#include "translator/flags.def"
#undef F
};
static const char *const amo_names[] = { "add", "and", "or", "xor", "xchg" };

static const struct name slots[] = {
    { "rax", SLOT_R(0) }, { "rcx", SLOT_R(1) }, { "rdx", SLOT_R(2) }, { "rbx", SLOT_R(3) },
    { "rsp", SLOT_R(4) }, { "rbp", SLOT_R(5) }, { "rsi", SLOT_R(6) }, { "rdi", SLOT_R(7) },
    { "r8", SLOT_R(8) }, { "r9", SLOT_R(9) }, { "r10", SLOT_R(10) }, { "r11", SLOT_R(11) },
    { "r12", SLOT_R(12) }, { "r13", SLOT_R(13) }, { "r14", SLOT_R(14) }, { "r15", SLOT_R(15) },
    { "xmm0", SLOT_X(0) }, { "xmm1", SLOT_X(1) }, { "xmm2", SLOT_X(2) }, { "xmm3", SLOT_X(3) },
    { "xmm4", SLOT_X(4) }, { "xmm5", SLOT_X(5) }, { "xmm6", SLOT_X(6) }, { "xmm7", SLOT_X(7) },
    { "xmm8", SLOT_X(8) }, { "xmm9", SLOT_X(9) }, { "xmm10", SLOT_X(10) }, { "xmm11", SLOT_X(11) },
    { "xmm12", SLOT_X(12) }, { "xmm13", SLOT_X(13) }, { "xmm14", SLOT_X(14) }, { "xmm15", SLOT_X(15) },
    { "flags", SLOT_FLAGS }, { "eflags", CPU_OFF(eflags) }, { "rip", CPU_OFF(rip) },
    { "hret", CPU_OFF(hret) }, { "mxcsr", CPU_OFF(mxcsr) }, { "inhibit", CPU_OFF(inhibit) },
    { "cr0", CPU_OFF(cr0) }, { "cr2", CPU_OFF(cr2) }, { "cr3", CPU_OFF(cr3) }, { "cr4", CPU_OFF(cr4) },
    { "es.base", CPU_OFF(seg[SEG_ES].base) }, { "cs.base", CPU_OFF(seg[SEG_CS].base) },
    { "ss.base", CPU_OFF(seg[SEG_SS].base) }, { "ds.base", CPU_OFF(seg[SEG_DS].base) },
    { "fs.base", CPU_OFF(seg[SEG_FS].base) }, { "gs.base", CPU_OFF(seg[SEG_GS].base) },
    { NULL, 0 }
};

static const struct name mem_bits[] = {
    { "write", MEM_WRITE }, { "align", MEM_ALIGN }, { "ac", MEM_AC }, { "idx1", 1u << MEM_IDX_SHIFT },
    { "idx2", 2u << MEM_IDX_SHIFT }, { "ss", MEM_SS }, { "locked", MEM_LOCKED }, { NULL, 0 }
};
static const struct name exit_bits[] = {
    { "O", 32 }, { "S", 16 }, { "Z", 8 }, { "A", 4 }, { "P", 2 }, { "C", 1 }, { "read", EXIT_READ }, { "cross", EXIT_CROSS },
    { "loop", EXIT_LOOP }, { "event", EXIT_EVENT }, { "call", EXIT_CALL }, { "ret", EXIT_RET }, { NULL, 0 }
};
static const struct name putf_bits[] = { { "weak", PUTF_WEAK }, { NULL, 0 } };
static const struct name high_bits[] = { { "high", 1 }, { NULL, 0 } };
static const struct name div_bits[] = { { "signed", 1 }, { NULL, 0 } };
static const struct name seg_bits[] = { { "write", SEGCHK_WRITE }, { NULL, 0 } };
static const struct name no_bits[] = { { NULL, 0 } };

static const struct name *aux_bits(enum ir_op op)
{
    switch (op) {
    case IR_LD: case IR_ST: case IR_LDV: case IR_STV: case IR_PROBE: case IR_LOAD: case IR_STORE:
    case IR_LOADV: case IR_STOREV: case IR_AMO: case IR_CAS:
        return mem_bits;
    case IR_EXIT: case IR_EXIT_IF: case IR_EXIT_IND: case IR_SEEN:
        return exit_bits;
    case IR_PUTF: return putf_bits;
    case IR_GET: case IR_PUT: return high_bits;
    case IR_DIVCHK: case IR_DIV: case IR_REM: return div_bits;
    case IR_SEGCHK: return seg_bits;
    default: return no_bits;
    }
}

/* aux whose value (under mask) is one of a list of names. */
static const char *aux_enum(enum ir_op op, unsigned v, uint32_t *mask)
{
    *mask = 0xffff;
    switch (op) {
    case IR_CC: return v < 16 ? cc_names[v] : NULL;
    case IR_FLAGS: return v < FK_COUNT ? kind_names[v] : NULL;
    case IR_CALL: return v < HELP_COUNT ? helper_info[v].name : NULL;
    case IR_AMO:
        *mask = MEM_SIZE;
        return v < sizeof amo_names / sizeof *amo_names ? amo_names[v] : NULL;
    default:
        *mask = 0;
        return NULL;
    }
}

static bool has_slot(enum ir_op op)
{
    return op == IR_GET || op == IR_PUT || op == IR_GETV || op == IR_PUTV;
}

/* ---- printing ---- */

static void print_aux(FILE *f, const struct ir_ins *n)
{
    uint32_t aux = n->aux, mask;
    const char *sep = "{", *e = aux_enum(n->op, 0, &mask);
    if ((e || mask) && (e = aux_enum(n->op, aux & mask, &mask))) {
        fprintf(f, "%s%s", sep, e);
        aux &= ~mask;
        sep = "|";
    }
    for (const struct name *b = aux_bits(n->op); b->text; b++)
        if (aux & b->value) {
            fprintf(f, "%s%s", sep, b->text);
            aux &= ~b->value;
            sep = "|";
        }
    if (aux) {
        fprintf(f, "%s%u", sep, aux);
        sep = "|";
    }
    if (*sep == '|')
        fputc('}', f);
}

static void print_slot(FILE *f, int64_t off)
{
    for (const struct name *s = slots; s->text; s++)
        if (s->value == off) {
            fprintf(f, "@%s", s->text);
            return;
        }
    fprintf(f, "@0x%" PRIx64, (uint64_t)off);
}

static void print_ins(FILE *f, const struct ir_block *b, unsigned k)
{
    const struct ir_ins *n = &b->ins[k];
    const struct ir_op_info *info = &ir_info[n->op];
    const ir_ref ops[3] = { n->a, n->b, n->c };
    const char *sep = " ";
    if (info->sig[0] != '-')
        fprintf(f, "v%u = ", k);
    else
        fputs("  ", f);
    fputs(info->text, f);
    if (strchr(info->sig, 'T'))
        fprintf(f, ".%s", type_names[n->type]);
    print_aux(f, n);
    if (has_slot(n->op)) {
        fputs(sep, f);
        print_slot(f, n->imm);
        sep = ", ";
    }
    for (unsigned a = 0; a < info->nargs; a++, sep = ", ")
        if (ops[a])
            fprintf(f, "%sv%u", sep, ops[a]);
        else
            fprintf(f, "%s_", sep);
    if ((n->imm && !has_slot(n->op)) || n->op == IR_CONST || n->op == IR_MARK)
        fprintf(f, n->imm < 0 ? "%s#-0x%" PRIx64 : "%s#0x%" PRIx64, sep,
                n->imm < 0 ? -(uint64_t)n->imm : (uint64_t)n->imm);
    fputc('\n', f);
}

void ir_print(FILE *f, const struct ir_block *b)
{
    fprintf(f, "block mode=0x%x start=0x%x pa=0x%" PRIx64 " lin=0x%" PRIx64 " len=%u insns=%u crosses=%u "
            "x87=%u\n", b->mode, b->start, b->pa, b->lin, b->guest_len, b->insns, b->crosses, b->uses_x87);
    for (unsigned k = 1; k < b->n; k++)
        if (b->ins[k].op != IR_NOP)
            print_ins(f, b, k);
}

/* ---- parsing ---- */

struct parser {
    struct ir_block *b;
    const char *p;
    unsigned line;
    const char *error;
    ir_ref value[IR_MAX];       /* by number in the text */
};

static const char *fail(struct parser *s, const char *what)
{
    static _Thread_local char msg[96];
    snprintf(msg, sizeof msg, "line %u: %s", s->line, what);
    s->error = msg;
    return msg;
}

static void blanks(struct parser *s)
{
    while (*s->p == ' ' || *s->p == '\t')
        s->p++;
}

static bool accept(struct parser *s, char c)
{
    blanks(s);
    if (*s->p != c)
        return false;
    s->p++;
    return true;
}

/* A word of letters, digits, `_` and (for slots) dots. */
static bool word(struct parser *s, char *buf, size_t size, bool dots)
{
    size_t n = 0;
    while ((isalnum((unsigned char)*s->p) || *s->p == '_' || (dots && *s->p == '.')) && n + 1 < size)
        buf[n++] = *s->p++;
    buf[n] = 0;
    return n > 0;
}

static bool number(struct parser *s, uint64_t *v)
{
    bool neg = accept(s, '-');
    char *end;
    if (!isdigit((unsigned char)*s->p))
        return false;
    *v = strtoull(s->p, &end, 0);
    s->p = end;
    if (neg)
        *v = -*v;
    return true;
}

static const struct name *lookup(const struct name *t, const char *text)
{
    while (t->text && strcmp(t->text, text) != 0)
        t++;
    return t->text ? t : NULL;
}

static bool parse_aux(struct parser *s, struct ir_ins *n)
{
    char w[48];
    uint32_t mask;
    if (!accept(s, '{'))
        return true;
    do {
        blanks(s);
        if (!word(s, w, sizeof w, false))
            return false;
        const struct name *bit = lookup(aux_bits(n->op), w);
        if (bit) {
            n->aux |= bit->value;
        } else if (isdigit((unsigned char)w[0])) {
            n->aux |= (uint16_t)strtoul(w, NULL, 0);
        } else {
            unsigned v = 0;
            const char *e;
            aux_enum(n->op, 0, &mask);
            unsigned limit = n->op == IR_CALL ? HELP_COUNT : 64;
            for (; v < limit; v++)
                if ((e = aux_enum(n->op, v, &mask)) && strcmp(e, w) == 0)
                    break;
            if (!mask || v == limit)
                return false;
            n->aux |= v;
        }
    } while (accept(s, '|'));
    return accept(s, '}');
}

static bool parse_slot(struct parser *s, struct ir_ins *n)
{
    char w[48];
    uint64_t v;
    if (isdigit((unsigned char)*s->p)) {
        if (!number(s, &v))
            return false;
        n->imm = (int64_t)v;
        return v < sizeof(struct cpu);
    }
    if (!word(s, w, sizeof w, true))
        return false;
    const struct name *slot = lookup(slots, w);
    if (slot)
        n->imm = slot->value;
    return slot != NULL;
}

static const char *parse_operands(struct parser *s, struct ir_ins *n)
{
    ir_ref *ops[3] = { &n->a, &n->b, &n->c };
    unsigned k = 0;
    uint64_t v;
    blanks(s);
    while (*s->p && *s->p != '\n' && *s->p != ';') {
        if (*s->p == '#') {
            s->p++;
            if (!number(s, &v))
                return fail(s, "number expected after #");
            n->imm = (int64_t)v;
        } else if (*s->p == '@') {
            s->p++;
            if (!parse_slot(s, n))
                return fail(s, "no such slot");
        } else if (k == 3) {
            return fail(s, "too many operands");
        } else if (*s->p == '_') {
            s->p++;
            k++;
        } else if (*s->p == 'v') {
            s->p++;
            if (!number(s, &v) || v >= IR_MAX || !s->value[v])
                return fail(s, "operand is not defined above");
            *ops[k++] = s->value[v];
        } else {
            return fail(s, "operand expected");
        }
        if (!accept(s, ','))
            break;
        blanks(s);
    }
    return NULL;
}

static const char *parse_header(struct parser *s)
{
    char w[16];
    uint64_t v;
    for (blanks(s); word(s, w, sizeof w, false); blanks(s)) {
        if (!accept(s, '=') || !number(s, &v))
            return fail(s, "name=number expected");
        if (!strcmp(w, "mode"))
            s->b->mode = (uint32_t)v;
        else if (!strcmp(w, "start"))
            s->b->start = (uint32_t)v;
        else if (!strcmp(w, "pa"))
            s->b->pa = v;
        else if (!strcmp(w, "lin"))
            s->b->lin = v;
        else if (!strcmp(w, "len"))
            s->b->guest_len = (uint16_t)v;
        else if (!strcmp(w, "insns"))
            s->b->insns = (uint16_t)v;
        else if (!strcmp(w, "crosses"))
            s->b->crosses = v != 0;
        else if (!strcmp(w, "x87"))
            s->b->uses_x87 = v != 0;
        else
            return fail(s, "unknown property of a block");
    }
    s->b->flat = (s->b->mode & M_FLAT_CS) != 0;
    return NULL;
}

static const char *parse_line(struct parser *s)
{
    char w[32];
    uint64_t num = 0;
    struct ir_ins n = { .op = IR_OP_COUNT };
    struct ir_block *b = s->b;
    blanks(s);
    if (!*s->p || *s->p == '\n' || *s->p == ';')
        return NULL;
    if (*s->p == 'v' && isdigit((unsigned char)s->p[1])) {
        s->p++;
        if (!number(s, &num) || num == 0 || num >= IR_MAX || !accept(s, '='))
            return fail(s, "vN = expected");
        blanks(s);
    }
    if (!word(s, w, sizeof w, false))
        return fail(s, "operation expected");
    if (!strcmp(w, "block"))
        return parse_header(s);
    for (unsigned op = 0; op < IR_OP_COUNT; op++)
        if (!strcmp(w, ir_info[op].text))
            n.op = (uint8_t)op;
    if (n.op == IR_OP_COUNT)
        return fail(s, "no such operation");
    switch (ir_info[n.op].sig[0]) {
    case 'b': n.type = TY_I8; break;
    case 'w': n.type = TY_I16; break;
    case 'd': n.type = TY_I32; break;
    case 'q': n.type = TY_I64; break;
    case 'v': n.type = TY_V128; break;
    case 'f': n.type = TY_FLAGS; break;
    default: break;
    }
    if (accept(s, '.')) {
        unsigned t = 0;
        if (!word(s, w, sizeof w, false))
            return fail(s, "type expected");
        while (t < TY_COUNT && strcmp(type_names[t], w) != 0)
            t++;
        if (t == TY_COUNT)
            return fail(s, "no such type");
        n.type = (uint8_t)t;
    }
    if (!parse_aux(s, &n))
        return fail(s, "bad aux");
    if (parse_operands(s, &n))
        return s->error;
    blanks(s);
    if (*s->p && *s->p != '\n' && *s->p != ';')
        return fail(s, "end of line expected");
    if (ir_info[n.op].sig[0] == '-' ? num != 0 : num == 0)
        return fail(s, num ? "this operation has no result" : "the result needs a name");
    while (b->n < num && b->n + 1 < b->cap)
        b->ins[b->n++] = (struct ir_ins) { .op = IR_NOP };
    if (b->n == b->cap)
        return fail(s, "block too long");
    if (num) {
        if (s->value[num])
            return fail(s, "value defined twice");
        s->value[num] = b->n;
    }
    b->ins[b->n++] = n;
    return NULL;
}

const char *ir_parse(struct ir_block *b, const char *text)
{
    struct parser s = { .b = b, .p = text, .line = 1 };
    ir_reset(b);
    b->mode = M_CODE64 | M_PE | M_LMA | M_FLAT_CS | M_FLAT_DS;
    b->flat = true;
    for (; *s.p; s.line++) {
        if (parse_line(&s))
            return s.error;
        while (*s.p && *s.p != '\n')
            s.p++;
        if (*s.p)
            s.p++;
    }
    return NULL;
}
