/*
 * norm.c - see norm.h.
 */
#include <capstone/capstone.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <Zydis/Zydis.h>

#include "frontend/cpu.h"
#include "frontend/decode.h"
#include "tests/table/norm.h"

static struct {
    csh cs[NM_COUNT];
    cs_insn *insn[NM_COUNT];
    ZydisDecoder zy[NM_COUNT];
    ZydisFormatter fmt;
} lib;

void norm_open(void)
{
    static const cs_mode cm[NM_COUNT] = { CS_MODE_16, CS_MODE_32, CS_MODE_64 };
    static const ZydisMachineMode zm[NM_COUNT] = { ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_MACHINE_MODE_LEGACY_32,
                                                   ZYDIS_MACHINE_MODE_LONG_64 };
    static const ZydisStackWidth zw[NM_COUNT] = { ZYDIS_STACK_WIDTH_16, ZYDIS_STACK_WIDTH_32,
                                                  ZYDIS_STACK_WIDTH_64 };

    for (unsigned m = 0; m < NM_COUNT; m++) {
        if (cs_open(CS_ARCH_X86, cm[m], &lib.cs[m]) != CS_ERR_OK)
            abort();
        cs_option(lib.cs[m], CS_OPT_DETAIL, CS_OPT_ON);
        lib.insn[m] = cs_malloc(lib.cs[m]);
        ZydisDecoderInit(&lib.zy[m], zm[m], zw[m]);
        ZydisDecoderEnableMode(&lib.zy[m], ZYDIS_DECODER_MODE_MPX, ZYAN_FALSE);
        ZydisDecoderEnableMode(&lib.zy[m], ZYDIS_DECODER_MODE_CET, ZYAN_TRUE);
        ZydisDecoderEnableMode(&lib.zy[m], ZYDIS_DECODER_MODE_LZCNT, ZYAN_FALSE);
        ZydisDecoderEnableMode(&lib.zy[m], ZYDIS_DECODER_MODE_TZCNT, ZYAN_FALSE);
        ZydisDecoderEnableMode(&lib.zy[m], ZYDIS_DECODER_MODE_CLDEMOTE, ZYAN_FALSE);
        ZydisDecoderEnableMode(&lib.zy[m], ZYDIS_DECODER_MODE_WBNOINVD, ZYAN_FALSE);
    }
    ZydisFormatterInit(&lib.fmt, ZYDIS_FORMATTER_STYLE_INTEL);
}

void norm_close(void)
{
    for (unsigned m = 0; m < NM_COUNT; m++) {
        cs_free(lib.insn[m], 1);
        cs_close(&lib.cs[m]);
    }
}

static uint64_t mask(uint64_t v, unsigned bytes)
{
    return bytes == 0 || bytes >= 8 ? v : v & (((uint64_t)1 << (8 * bytes)) - 1);
}

static const char *cs_reg(csh h, unsigned r)
{
    const char *s = r == X86_REG_INVALID || r == X86_REG_EIZ || r == X86_REG_RIZ ? "" : cs_reg_name(h, r);

    if (!strncmp(s, "st(", 3)) {
        static char st[4] = "st0";

        st[2] = s[3];
        return st;
    }
    return s;
}

bool norm_capstone(struct norm *n, const uint8_t *p, unsigned len, enum norm_mode m)
{
    size_t left = len;
    uint64_t at = 0;
    cs_insn *i = lib.insn[m];
    const cs_x86 *x;
    char *last;

    memset(n, 0, sizeof(*n));
    if (!cs_disasm_iter(lib.cs[m], &p, &left, &at, i))
        return false;
    n->len = i->size;
    /* "lock add", "rep movsb": the mnemonic is the last word */
    last = strrchr(i->mnemonic, ' ');
    snprintf(n->name, sizeof(n->name), "%s", last ? last + 1 : i->mnemonic);
    snprintf(n->text, sizeof(n->text), "%.30s %.120s", i->mnemonic, i->op_str);
    x = &i->detail->x86;
    for (unsigned k = 0; k < x->op_count; k++) {
        const cs_x86_op *o = &x->operands[k];
        struct norm_op *d = &n->op[n->n++];

        d->size = o->size;
        switch (o->type) {
        case X86_OP_REG:
            d->kind = N_REG;
            snprintf(d->reg, sizeof(d->reg), "%s", cs_reg(lib.cs[m], o->reg));
            break;
        case X86_OP_IMM:
            d->kind = N_IMM;
            d->imm = (uint64_t)o->imm;
            d->size = 0;
            break;
        default:
            d->kind = N_MEM;
            snprintf(d->seg, sizeof(d->seg), "%s", cs_reg(lib.cs[m], o->mem.segment));
            snprintf(d->base, sizeof(d->base), "%s", cs_reg(lib.cs[m], o->mem.base));
            snprintf(d->index, sizeof(d->index), "%s", cs_reg(lib.cs[m], o->mem.index));
            d->scale = o->mem.index ? (unsigned)o->mem.scale : 0;
            d->disp = o->mem.disp;
            break;
        }
    }
    return true;
}

static const char *zy_reg(ZydisRegister r)
{
    return r == ZYDIS_REGISTER_NONE ? "" : ZydisRegisterGetString(r);
}

bool norm_zydis(struct norm *n, const uint8_t *p, unsigned len, enum norm_mode m)
{
    ZydisDecodedInstruction i;
    ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];

    memset(n, 0, sizeof(*n));
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&lib.zy[m], p, len, &i, op)))
        return false;
    n->len = i.length;
    n->isa = i.meta.isa_ext;
    snprintf(n->name, sizeof(n->name), "%s", ZydisMnemonicGetString(i.mnemonic));
    ZydisFormatterFormatInstruction(&lib.fmt, &i, op, i.operand_count_visible, n->text, sizeof(n->text), 0,
                                    ZYAN_NULL);
    for (unsigned k = 0; k < i.operand_count && n->n < 10; k++) {
        const ZydisDecodedOperand *o = &op[k];
        struct norm_op *d = &n->op[n->n];

        memset(d, 0, sizeof(*d));
        d->fixed = o->visibility != ZYDIS_OPERAND_VISIBILITY_EXPLICIT;
        d->size = o->size / 8;
        switch (o->type) {
        case ZYDIS_OPERAND_TYPE_REGISTER:
            if (ZydisRegisterGetClass(o->reg.value) == ZYDIS_REGCLASS_FLAGS ||
                o->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN)
                continue;
            d->kind = N_REG;
            snprintf(d->reg, sizeof(d->reg), "%s", zy_reg(o->reg.value));
            break;
        case ZYDIS_OPERAND_TYPE_MEMORY:
            d->kind = N_MEM;
            snprintf(d->seg, sizeof(d->seg), "%s", zy_reg(o->mem.segment));
            snprintf(d->base, sizeof(d->base), "%s", zy_reg(o->mem.base));
            snprintf(d->index, sizeof(d->index), "%s", zy_reg(o->mem.index));
            d->scale = o->mem.index ? o->mem.scale : 0;
            d->disp = o->mem.disp.value;
            /* Zydis 4 applies REX.B to SIB base 101b with mod 0, where there is no base whatever
             * REX.B is (SDM vol. 2, table 2-5, last row; the hardware test agrees). */
            if ((i.attributes & ZYDIS_ATTRIB_HAS_SIB) && i.raw.modrm.mod == 0 && i.raw.sib.base == 5 &&
                !strncmp(d->base, "r13", 3)) {
                d->base[0] = 0;
                d->disp = i.raw.disp.value;
            }
            break;
        case ZYDIS_OPERAND_TYPE_POINTER:
            d->kind = N_IMM;
            d->imm = o->ptr.segment;
            d->size = 2;
            n->n++;
            d = &n->op[n->n];
            memset(d, 0, sizeof(*d));
            d->kind = N_IMM;
            d->imm = o->ptr.offset;
            break;
        case ZYDIS_OPERAND_TYPE_IMMEDIATE:
            d->kind = N_IMM;
            d->size = 0;
            d->imm = o->imm.is_relative ? o->imm.value.u + i.length : o->imm.value.u;
            break;
        default:
            continue;
        }
        n->n++;
    }
    return true;
}

bool norm_isa_wanted(const struct norm *n)
{
    switch (n->isa) {
    case ZYDIS_ISA_EXT_BASE: case ZYDIS_ISA_EXT_CLFSH: case ZYDIS_ISA_EXT_INVPCID:
    case ZYDIS_ISA_EXT_LONGMODE: case ZYDIS_ISA_EXT_MMX: case ZYDIS_ISA_EXT_PAUSE:
    case ZYDIS_ISA_EXT_RDRAND: case ZYDIS_ISA_EXT_RDTSCP: case ZYDIS_ISA_EXT_RDWRFSGS:
    case ZYDIS_ISA_EXT_SMAP: case ZYDIS_ISA_EXT_SSE: case ZYDIS_ISA_EXT_SSE2:
    case ZYDIS_ISA_EXT_SSE3: case ZYDIS_ISA_EXT_SSE4: case ZYDIS_ISA_EXT_SSSE3:
    case ZYDIS_ISA_EXT_X87: case ZYDIS_ISA_EXT_XSAVE:
        return true;
    default:
        return false;
    }
}

const char *norm_isa_name(const struct norm *n)
{
    return ZydisISAExtGetString((ZydisISAExt)n->isa);
}

/* --- ours --- */

static const char *const r64[16] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                     "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15" };
static const char *const r32[16] = { "eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "r8d", "r9d",
                                     "r10d", "r11d", "r12d", "r13d", "r14d", "r15d" };
static const char *const r16[16] = { "ax", "cx", "dx", "bx", "sp", "bp", "si", "di", "r8w", "r9w", "r10w",
                                     "r11w", "r12w", "r13w", "r14w", "r15w" };
static const char *const r8[16] = { "al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil", "r8b", "r9b", "r10b",
                                    "r11b", "r12b", "r13b", "r14b", "r15b" };
static const char *const r8h[4] = { "ah", "ch", "dh", "bh" };
static const char *const segs[8] = { "es", "cs", "ss", "ds", "fs", "gs", "?", "?" };

static const char *gpr(unsigned size, unsigned n)
{
    n &= 15;
    return size == 8 ? r64[n] : size == 4 ? r32[n] : size == 2 ? r16[n] : r8[n];
}

static void our_mem(struct norm_op *d, const struct insn *i, const struct operand *o)
{
    d->kind = N_MEM;
    d->size = o->size;
    snprintf(d->seg, sizeof(d->seg), "%s", o->reg == R_DI ? "es" : segs[i->seg]);
    if (o->reg) {
        d->fixed = true;
        snprintf(d->base, sizeof(d->base), "%s", gpr(i->addrsize, o->reg));
        return;
    }
    if (i->base == BASE_IP)
        snprintf(d->base, sizeof(d->base), "%s", i->addrsize == 8 ? "rip" : "eip");
    else if (i->base != BASE_NONE)
        snprintf(d->base, sizeof(d->base), "%s", gpr(i->addrsize, i->base));
    if (i->index != BASE_NONE) {
        snprintf(d->index, sizeof(d->index), "%s", gpr(i->addrsize, i->index));
        d->scale = 1u << i->scale;
    }
    d->disp = i->disp;
}

static void our_name(struct norm *n, const struct insn *i)
{
    static const char *const cc[16] = { "o", "no", "b", "ae", "e", "ne", "be", "a",
                                        "s", "ns", "p", "np", "l", "ge", "le", "g" };
    const char *s = i->row->name, *pc = strstr(s, "%cc");
    unsigned want = i->opsize >> 2;

    if (!strncmp(s, "jcxz", 4))
        want = i->addrsize >> 2;
    if (pc) {
        snprintf(n->name, sizeof(n->name), "%.*s%s%s", (int)(pc - s), s, cc[i->opcode & 15], pc + 3);
        return;
    }
    while (want-- && strchr(s, '/'))
        s = strchr(s, '/') + 1;
    snprintf(n->name, sizeof(n->name), "%.*s", (int)strcspn(s, "/"), s);
}

int norm_ours(struct norm *n, struct insn *i, const uint8_t *p, unsigned len, enum norm_mode m)
{
    static const uint32_t mode[NM_COUNT] = { M_CODE16 | M_PE, M_CODE32 | M_PE, M_CODE64 | M_PE | M_LMA };
    enum decode_result r = decode(i, p, len, mode[m], NULL);
    bool first_imm = true, no_size;

    memset(n, 0, sizeof(*n));
    n->len = i->len;
    if (!i->row)
        return r;
    our_name(n, i);
    no_size = !strncmp(n->name, "prefetch", 8) || !strncmp(n->name, "clflush", 7) || !strcmp(n->name, "lea");
    for (unsigned k = 0; k < i->nops; k++) {
        const struct operand *o = &i->op[k];
        struct norm_op *d = &n->op[n->n++];

        d->size = o->size;
        switch (o->kind) {
        case OPND_REG:
            d->kind = N_REG;
            snprintf(d->reg, sizeof(d->reg), "%s", o->high ? r8h[o->reg & 3] : gpr(o->size, o->reg));
            break;
        case OPND_SEG:
            d->kind = N_REG;
            snprintf(d->reg, sizeof(d->reg), "%s", segs[o->reg & 7]);
            break;
        case OPND_CR: case OPND_DR: case OPND_XMM: case OPND_MMX: case OPND_ST:
            d->kind = N_REG;
            snprintf(d->reg, sizeof(d->reg), "%s%u", o->kind == OPND_CR ? "cr" : o->kind == OPND_DR ? "dr" :
                     o->kind == OPND_XMM ? "xmm" : o->kind == OPND_MMX ? "mm" : "st", o->reg);
            break;
        case OPND_MEM:
            our_mem(d, i, o);
            if (no_size)
                d->size = 0;
            if (!strcmp(n->name, "lea"))
                d->seg[0] = 0;
            break;
        case OPND_REL:
            d->kind = N_IMM;
            d->imm = mask((uint64_t)i->imm + i->len, o->size);
            break;
        case OPND_FAR:
            d->kind = N_IMM;
            d->imm = i->imm2;
            d = &n->op[n->n++];
            d->kind = N_IMM;
            d->imm = (uint64_t)i->imm;
            d->size = o->size;
            break;
        case OPND_IMM:
            d->kind = N_IMM;
            d->imm = first_imm ? (uint64_t)i->imm : i->imm2;
            first_imm = false;
            break;
        }
        /* Operands that are not encoded can be left out by the other side. */
        d->fixed |= d->kind == N_REG && (strstr(i->row->operands, "rAX") || strstr(i->row->operands, "eAX") ||
                    strstr(i->row->operands, "A") || strstr(i->row->operands, "DX") ||
                    strstr(i->row->operands, "CL") || strstr(i->row->operands, "ST") ||
                    strstr(i->row->operands, "XMM0"));
        d->fixed |= d->kind == N_IMM && strchr(i->row->operands, '1');
    }
    return r;
}

/* --- comparison --- */

/* Spellings that differ and mean the same. */
static const char *const alias[][2] = {
    { "jae", "jnb" }, { "je", "jz" }, { "jne", "jnz" }, { "ja", "jnbe" }, { "jge", "jnl" },
    { "jg", "jnle" },
    { "setae", "setnb" }, { "sete", "setz" }, { "setne", "setnz" }, { "seta", "setnbe" },
    { "setge", "setnl" },
    { "setg", "setnle" }, { "cmovae", "cmovnb" }, { "cmove", "cmovz" }, { "cmovne", "cmovnz" },
    { "cmova", "cmovnbe" }, { "cmovge", "cmovnl" }, { "cmovg", "cmovnle" },
    { "shl", "sal" }, { "nop", "prefetch" }, { "nop", "prefetchw" }, { "retf", "ret" },
    { "lcall", "call" }, { "ljmp", "jmp" }, { "xlatb", "xlat" }, { "wait", "fwait" },
    { "pushaw", "pusha" }, { "pushal", "pushad" }, { "popaw", "popa" }, { "popal", "popad" },
    { "loopne", "loopnz" }, { "loope", "loopz" },
};

static bool same_name(const char *a, const char *b)
{
    if (!strcmp(a, b))
        return true;
    for (unsigned k = 0; k < sizeof(alias) / sizeof(alias[0]); k++) {
        if (!strcmp(a, alias[k][0]) && !strcmp(b, alias[k][1]))
            return true;
    }
    return false;
}

static bool same_seg(const struct norm_op *a, const struct norm_op *b)
{
    bool flat_a = !strcmp(a->seg, "ds") || !strcmp(a->seg, "ss") || !strcmp(a->seg, "es") ||
                  !strcmp(a->seg, "cs");

    /* LEA has none; Capstone tells only overrides. */
    return !a->seg[0] || !strcmp(a->seg, b->seg) || (flat_a && !b->seg[0]);
}

static const char *same_op(const struct norm_op *a, const struct norm_op *b)
{
    if (a->kind != b->kind)
        return "operand kind";
    switch (a->kind) {
    case N_REG:
        return strcmp(a->reg, b->reg) ? "register" : NULL;
    case N_IMM:
        return mask(a->imm, a->size) != mask(b->imm, a->size) ? "immediate" : NULL;
    default:
        if (a->size && b->size && a->size != b->size)
            return "memory size";
        if (strcmp(a->base, b->base))
            return "base";
        if (strcmp(a->index, b->index) || (a->index[0] && a->scale != b->scale))
            return "index";
        /* moffs: ours are zero-extended, theirs sometimes are not */
        if (a->disp != b->disp && !(!a->base[0] && (int32_t)a->disp == (int32_t)b->disp) &&
            !(!a->base[0] && a->disp == (uint16_t)b->disp))
            return "displacement";
        return same_seg(a, b) ? NULL : "segment";
    }
}

const char *norm_differs(const struct norm *a, const struct norm *b)
{
    unsigned i = 0, j = 0;

    if (a->len != b->len)
        return "length";
    if (!strcmp(a->name, "nop") && !strncmp(b->name, "rdssp", 5))   /* CET: a NOP without it */
        return NULL;
    if (!same_name(a->name, b->name))
        return "mnemonic";
    /* Operands of hints and of the undefined instructions mean nothing. */
    if (!strcmp(a->name, "nop") || !strncmp(a->name, "ud", 2))
        return NULL;
    /* Walk both lists; what is not encoded may be missing on either side. */
    while (i < a->n || j < b->n) {
        const char *why = i < a->n && j < b->n ? same_op(&a->op[i], &b->op[j]) : "operand count";

        if (!why) {
            i++;
            j++;
        } else if (j < b->n && b->op[j].fixed) {
            j++;
        } else if (i < a->n && a->op[i].fixed) {
            i++;
        } else {
            return why;
        }
    }
    return NULL;
}
