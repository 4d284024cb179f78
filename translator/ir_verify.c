/*
 * ir_verify.c - the rules of ir.h, checked.  Run after lifting and after opt_needs() in checked
 * builds, and by the tests on everything that is parsed.
 */
#include <stdarg.h>
#include <string.h>

#include "translator/opt.h"

static _Thread_local char message[128];

__attribute__((format(printf, 3, 4)))
static const char *bad(const struct ir_block *b, unsigned k, const char *fmt, ...)
{
    va_list ap;
    int n = snprintf(message, sizeof message, "v%u (%s): ", k, ir_info[b->ins[k].op].text);
    va_start(ap, fmt);
    vsnprintf(message + n, sizeof message - (size_t)n, fmt, ap);
    va_end(ap);
    return message;
}

/* Does a value of type t suit signature letter s of an instruction of type own? */
static bool suits(char s, enum ir_type t, enum ir_type own)
{
    switch (s) {
    case 'T': return t == own;
    case 'b': return t == TY_I8;
    case 'w': return t == TY_I16;
    case 'd': return t == TY_I32;
    case 'q': return t == TY_I64;
    case 'f': return t == TY_FLAGS;
    case 'v': return t == TY_V128;
    default:  return t >= TY_I8 && t <= TY_I64;
    }
}

static const char *check_operands(const struct ir_block *b, unsigned k)
{
    const struct ir_ins *n = &b->ins[k];
    const char *sig = ir_info[n->op].sig + 1;
    sig += *sig == '?';         /* of the result */
    const ir_ref ops[3] = { n->a, n->b, n->c };
    for (unsigned a = 0; a < 3; a++) {
        char s = *sig ? *sig++ : 0;
        bool optional = *sig == '?' || n->op == IR_CALL || n->op == IR_X87;
        if (*sig == '?')
            sig++;
        if (!s) {
            if (ops[a])
                return bad(b, k, "operand %u is one too many", a + 1);
            continue;
        }
        if (!ops[a]) {
            if (!optional)
                return bad(b, k, "operand %u is missing", a + 1);
            continue;
        }
        if (ops[a] >= k)
            return bad(b, k, "operand v%u is not defined before", ops[a]);
        const struct ir_ins *x = &b->ins[ops[a]];
        if (x->op == IR_NOP || ir_info[x->op].sig[0] == '-')
            return bad(b, k, "operand v%u has no value", ops[a]);
        if (!suits(s, (enum ir_type)x->type, (enum ir_type)n->type))
            return bad(b, k, "operand v%u has the wrong type", ops[a]);
    }
    return NULL;
}

/* EQ, LTU, LTS compare values of one type; a FLAGS names an operation its kind is for. */
static const char *check_special(const struct ir_block *b, unsigned k)
{
    const struct ir_ins *n = &b->ins[k];
    if ((n->op == IR_EQ || n->op == IR_LTU || n->op == IR_LTS) &&
        b->ins[n->a].type != b->ins[n->b].type)
        return bad(b, k, "operands of different types");
    if (n->op == IR_CALL && (n->aux == 0 || n->aux >= HELP_COUNT || !helper_info[n->aux].fn))
        return bad(b, k, "no such helper");
    if (n->op == IR_SEEN) {
        unsigned x = k + 1;
        while (x < b->n && b->ins[x].op == IR_NOP)
            x++;
        if (x == b->n || (b->ins[x].op != IR_EXIT && b->ins[x].op != IR_EXIT_IF) ||
            (b->ins[x].aux & EXIT_LIVE))
            return bad(b, k, "no exit without live flags follows");
    }
    if (n->op == IR_CC && n->aux > 15)
        return bad(b, k, "no such condition");
    if ((ir_attrs[n->op] & (IRA_G | IRA_P)) && n->op != IR_PC &&
        (n->imm < 0 || n->imm + type_bytes((enum ir_type)n->type) > (int64_t)sizeof(struct cpu)))
        return bad(b, k, "slot outside struct cpu");
    if (n->op != IR_FLAGS)
        return NULL;
    static const struct { uint8_t kind, op[4]; } of[] = {
        { FK_ADD, { IR_ADD, IR_ADC } }, { FK_SUB, { IR_SUB, IR_SBB, IR_NEG } },
        { FK_LOGIC, { IR_AND, IR_OR, IR_XOR } }, { FK_INC, { IR_ADD } }, { FK_DEC, { IR_SUB } },
        { FK_SHL, { IR_SHL } }, { FK_SHR, { IR_SHR } }, { FK_SAR, { IR_SAR } },
        { FK_ROT, { IR_ROL, IR_ROR, IR_RCL, IR_RCR } }, { FK_SHD, { IR_SHLD, IR_SHRD } },
        { FK_MULU, { IR_MUL } }, { FK_MULS, { IR_MUL } }, { FK_BT, { IR_BIT } },
        { FK_BSCAN, { IR_CTZ, IR_CLZ } }, { FK_POPCNT, { IR_POPCNT } }, { FK_ZCNT, { IR_CTZ, IR_CLZ } },
    };
    uint8_t op = b->ins[n->a].op;
    for (unsigned r = 0; r < sizeof of / sizeof *of; r++)
        if (of[r].kind == n->aux)
            return memchr(of[r].op, op, sizeof of[r].op) ? NULL
                   : bad(b, k, "flags of kind %u are not made by v%u", n->aux, n->a);
    return bad(b, k, "no such kind of flags");
}

const char *ir_verify(const struct ir_block *b)
{
    bool changed = false;       /* guest state was changed since the MARK */
    if (b->n < 2 || !(ir_attrs[b->ins[b->n - 1].op] & IRA_E))
        return "the block does not end";
    for (unsigned k = 1; k < b->n; k++) {
        const struct ir_ins *n = &b->ins[k];
        if (n->op >= IR_OP_COUNT)
            return bad(b, 0, "v%u is no operation", k);
        if (n->op == IR_NOP)
            continue;
        const struct ir_op_info *info = &ir_info[n->op];
        const char *wrong = check_operands(b, k);
        if (wrong || (wrong = check_special(b, k)))
            return wrong;
        if ((ir_attrs[n->op] & IRA_E) && k != b->n - 1)
            return bad(b, k, "ends the block before its end");
        if (strchr(info->sig, 'T') && info->sig[1] != '?' && (n->type < TY_I8 || n->type > TY_I64))
            return bad(b, k, "needs an integer type");
        if (ir_attrs[n->op] & IRA_M)
            changed = false;
        if (changed && ir_may_fault(n))
            return bad(b, k, "may fault after state was changed");
        if (ir_attrs[n->op] & IRA_P)
            changed = true;
        else if (n->op == IR_CALL && !(helper_info[n->aux].attrs & HF_RESTART) &&
                 (helper_info[n->aux].writes & (HS_GPR | HS_FLAGS | HS_VEC)))
            changed = true;
        if (n->op == IR_CALL && (helper_info[n->aux].attrs & HF_RESTART))
            changed = false;
    }
    return NULL;
}
