/*
 * kallsyms.c - see kallsyms.h.
 *
 * Nothing says where the tables are, so their shapes must. The token index is the most telling one: 256 growing
 * offsets, directly behind 256 strings that begin where it says. Names are before the tokens: a length and so many
 * tokens for each symbol, and behind them a list of where each 256th begins ("markers"). The right place for the names is
 * the one from which a walk over all of them meets each marker.
 */
#include "debug/kallsyms.h"

#include <string.h>

#define TOKENS 256u
#define TOKEN_MAX 64u           /* bytes of one */
#define NAMES_MAX ((size_t)32 << 20)    /* how far before the tokens the names may begin */
#define COUNT_MIN 256u
#define COUNT_MAX (4u << 20)
#define GROUP 256u              /* symbols for each marker */
#define GROUP_MIN (GROUP * 2u)  /* bytes of such a group: a length and a token for each at least */
#define GROUP_MAX (GROUP * 200u)

static uint32_t le16(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8;
}
static uint32_t le32(const uint8_t *p)
{
    return le16(p) | le16(p + 2) << 16;
}
static uint64_t word_at(const uint8_t *p, unsigned word)
{
    return word == 8 ? le32(p) | (uint64_t)le32(p + 4) << 32 : le32(p);
}

/* ---- tokens ---- */

/* Two values of 16 bits: 0, and the length of the first token with its end. */
static bool begins_index(uint32_t two)
{
    return !(two & 0xff00ffff) & (two >= 2u << 16);
}

/* Does it begin anywhere in these STRIDE bytes? For compilers to do all at once: tens of megabytes are looked through. */
#define STRIDE 64u
static bool begins_here(const uint8_t *p)
{
    unsigned any = 0;

    for (unsigned i = 0; i < STRIDE; i += 4)
        any |= begins_index(le32(p + i));
    return any;
}

static bool is_index(const uint8_t *p)
{
    unsigned i = 1;

    if (!begins_index(le32(p)))
        return false;
    while (i < TOKENS && le16(p + 2 * i) >= le16(p + 2 * i - 2) + 2 && le16(p + 2 * i) <= le16(p + 2 * i - 2) + TOKEN_MAX)
        i++;
    return i == TOKENS;
}

size_t kallsyms_candidate(const uint8_t *image, size_t len, size_t from)
{
    for (size_t at = (from + 3) & ~(size_t)3; at + KALLSYMS_INDEX <= len; at += STRIDE) {
        if (!begins_here(image + at))
            continue;
        for (size_t here = at; here < at + STRIDE && here + KALLSYMS_INDEX <= len; here += 4)
            if (is_index(image + here))
                return here;
    }
    return len;
}

/* The strings before the index; false: they are not there. */
static bool find_tokens(const uint8_t *image, size_t index, size_t *tokens)
{
    size_t end = index, last;

    while (end && index - end < 8 && !image[end - 1])
        end--;
    if (!end || !image[end - 1] || end == index)
        return false;
    last = end;
    while (last && end - last < TOKEN_MAX && image[last - 1])
        last--;
    if (last < le16(image + index + 2 * (TOKENS - 1)))
        return false;
    *tokens = last - le16(image + index + 2 * (TOKENS - 1));
    for (unsigned i = 0; i < TOKENS; i++) {
        size_t at = *tokens + le16(image + index + 2 * i);
        size_t n = i + 1 < TOKENS ? *tokens + le16(image + index + 2 * i + 2) - at : end + 1 - at;

        if (strnlen((const char *)image + at, n) != n - 1)
            return false;
    }
    return true;
}

/* ---- names ---- */

/* The length of the symbol at *at, which goes behind it; 0: nothing that can be one. */
static unsigned name_length(const uint8_t *image, size_t end, bool big, size_t *at)
{
    unsigned n;

    if (*at >= end)
        return 0;
    n = image[(*at)++];
    if (big && n & 0x80) {
        if (*at >= end)
            return 0;
        n = (n & 0x7f) | (unsigned)image[(*at)++] << 7;
    }
    return n <= SYMBOL_NAME && n <= end - *at ? n : 0;
}

/* Do count names from `names` on meet each marker, and end before them? */
static bool walk_names(const uint8_t *image, struct kallsyms *k, size_t markers, unsigned stride)
{
    size_t at = k->names;

    for (uint32_t i = 0; i < k->count; i++) {
        unsigned n;

        if (i % GROUP == 0 && word_at(image + markers + (size_t)(i / GROUP) * stride, stride) != at - k->names)
            return false;
        n = name_length(image, markers, k->big, &at);
        if (!n)
            return false;
        at += n;
    }
    k->names_end = at;
    return markers - at < 8;
}

/* Names that end at the markers, of which `run` look like ones. *number: where their count is. */
static bool names_before(const uint8_t *image, size_t markers, unsigned stride, size_t run, struct kallsyms *k,
                         size_t *number)
{
    size_t low = markers > NAMES_MAX ? (markers - NAMES_MAX + 3) & ~(size_t)3 : 8;

    for (size_t at = markers - GROUP_MIN; at >= low && at >= 8; at -= 4) {
        for (unsigned before = 4; before <= 8; before += 4) {
            uint32_t count = le32(image + at - before);
            size_t groups = ((size_t)count + GROUP - 1) / GROUP, last;

            if (count < COUNT_MIN || count > COUNT_MAX || groups > run)
                continue;
            last = at + word_at(image + markers + (groups - 1) * stride, stride);
            if (last >= markers || markers - last > GROUP_MAX)
                continue;
            k->names = at;
            k->count = count;
            *number = at - before;
            for (int big = 1; big >= 0; big--) {
                k->big = big;
                if (walk_names(image, k, markers, stride))
                    return true;
            }
        }
    }
    return false;
}

/* How many values from here on look like markers. */
static size_t marker_run(const uint8_t *image, size_t at, size_t end, unsigned stride)
{
    size_t n = 0;
    uint64_t before = 0;

    for (; at + stride <= end; at += stride, n++) {
        uint64_t v = word_at(image + at, stride);

        if (n ? v - before < GROUP_MIN || v - before > GROUP_MAX : v != 0)
            break;
        before = v;
    }
    return n;
}

static bool find_names(const uint8_t *image, unsigned word, struct kallsyms *k, size_t *number)
{
    size_t low = k->tokens > NAMES_MAX ? k->tokens - NAMES_MAX : GROUP_MIN;
    unsigned tries = 0;

    for (size_t at = k->tokens & ~(size_t)3; at >= low + 4;) {
        at -= 4;
        for (unsigned stride = 4; stride <= word; stride += 4) {
            size_t run = le32(image + at) ? 0 : marker_run(image, at, k->tokens, stride);

            if (run < 4 && (run < 1 || k->tokens - at > 64))
                continue;
            if (++tries > 200)
                return false;
            if (names_before(image, at, stride, run, k, number))
                return true;
        }
    }
    return false;
}

/* ---- addresses ---- */

static uint64_t address(const uint8_t *image, const struct kallsyms *k, unsigned word, uint32_t i)
{
    uint64_t base = word_at(image + k->base, word);
    uint32_t offset;

    if (k->words)
        return word_at(image + k->addresses + (size_t)i * word, word);
    offset = le32(image + k->addresses + (size_t)i * 4);
    if (!k->percpu)
        base += offset;
    else if ((int32_t)offset >= 0)
        return offset;
    else
        base += (uint64_t)(-1 - (int64_t)(int32_t)offset);
    return word == 8 ? base : (uint32_t)base;
}

/* They were sorted when the kernel was built, and most are the kernel's. */
static bool sorted(const uint8_t *image, const struct kallsyms *k, unsigned word)
{
    uint64_t before = 0, kernel = word == 8 ? 0xffff800000000000 : 0x40000000;
    uint32_t high = 0;

    for (uint32_t i = 0; i < k->count; i++) {
        uint64_t a = address(image, k, word, i);

        if (a < before)
            return false;
        high += a >= kernel;
        before = a;
    }
    return high > k->count / 2;
}

static bool try_addresses(const uint8_t *image, size_t len, struct kallsyms *k, unsigned word, size_t at, size_t base,
                          bool words)
{
    size_t size = (size_t)k->count * (words ? word : 4);

    if (at > len || size > len - at || base > len || word > len - base)
        return false;
    k->addresses = at;
    k->base = base;
    k->words = words;
    for (int percpu = !words; percpu >= 0; percpu--) {
        k->percpu = percpu;
        if (sorted(image, k, word))
            return true;
    }
    return false;
}

static bool find_addresses(const uint8_t *image, size_t len, size_t number, unsigned word, struct kallsyms *k)
{
    size_t offsets = (size_t)k->count * 4, words = (size_t)k->count * word, behind = k->index + KALLSYMS_INDEX;

    for (unsigned pad = 0; pad < 8; pad += 4)
        for (unsigned gap = 0; gap < 8; gap += 4) {
            size_t base = number - word - gap;

            if (number >= word + gap + offsets + pad &&
                try_addresses(image, len, k, word, base - offsets - pad, base, false))
                return true;
            if (try_addresses(image, len, k, word, behind + gap, behind + gap + offsets + pad, false))
                return true;
        }
    for (unsigned pad = 0; pad < 8; pad += 4)
        if (number >= words + pad &&
            try_addresses(image, len, k, word, number - words - pad, number - words - pad, true))
            return true;
    return false;
}

/* ---- all of it ---- */

bool kallsyms_parse(const uint8_t *image, size_t len, size_t index, unsigned word, struct kallsyms *k)
{
    size_t number;

    *k = (struct kallsyms){ .index = index };
    return index + KALLSYMS_INDEX <= len && kallsyms_candidate(image, index + KALLSYMS_INDEX, index) == index &&
           find_tokens(image, index, &k->tokens) && find_names(image, word, k, &number) &&
           find_addresses(image, len, number, word, k);
}

/* Names are some million tokens, nearly all of a few letters: those are copied whole, whatever their length. */
#define SHORT 16u
struct token {
    const char *text;
    unsigned len;
    char head[SHORT];
};

static void read_tokens(const uint8_t *image, const struct kallsyms *k, struct token token[TOKENS])
{
    for (unsigned i = 0; i < TOKENS; i++) {
        struct token *t = &token[i];

        t->text = (const char *)image + k->tokens + le16(image + k->index + 2 * i);
        t->len = (unsigned)strlen(t->text);
        memset(t->head, 0, SHORT);
        memcpy(t->head, t->text, t->len < SHORT ? t->len : SHORT);
    }
}

/* Expand a symbol of n tokens: its type and name. Its length, cut off at the buffer's. */
static size_t expand(const struct token *token, const uint8_t *p, unsigned n, char to[SYMBOL_NAME + 1 + SHORT])
{
    size_t used = 0;

    for (; n-- && used <= SYMBOL_NAME; p++) {
        const struct token *t = &token[*p];
        size_t room = SYMBOL_NAME + 1 - used;

        if (t->len <= SHORT)
            memcpy(to + used, t->head, SHORT);
        else
            memcpy(to + used, t->text, t->len < room ? t->len : room);
        used += t->len < room ? t->len : room;
    }
    return used;
}

/* The type as nm(1) has it; A is an address by accident of being a number. False: nobody looks for it by its address. */
static bool kind_of(char type, enum symbol_kind *kind)
{
    switch (type) {
    case 't': case 'T': case 'w': case 'W':
        *kind = SYMBOL_CODE;
        return true;
    case 'v': case 'V': case 'b': case 'B': case 'd': case 'D': case 'r': case 'R':
        *kind = SYMBOL_DATA;
        return true;
    default:
        *kind = SYMBOL_DATA;
        return false;
    }
}

struct symtab *kallsyms_read(const uint8_t *image, const struct kallsyms *k, unsigned word, struct symtab *percpu)
{
    struct symtab *t = symtab_new("the guest's kallsyms");
    uint64_t kernel = word == 8 ? 0xffff800000000000 : 0x40000000;
    size_t at = k->names;
    struct token token[TOKENS];

    read_tokens(image, k, token);
    for (uint32_t i = 0; i < k->count; i++) {
        uint64_t a = address(image, k, word, i);
        char text[SYMBOL_NAME + 1 + SHORT];
        unsigned n = name_length(image, k->names_end, k->big, &at);
        size_t len = expand(token, image + at, n, text);
        struct symtab *to = a < kernel ? percpu : t;
        enum symbol_kind kind;

        at += n;
        if (len > 1 && to && (kind_of(text[0], &kind) || to == percpu))
            symtab_add(to, a, 0, text + 1, len - 1, kind, text[0] < 'a');
    }
    symtab_finish(t);
    if (percpu)
        symtab_finish(percpu);
    return t;
}
