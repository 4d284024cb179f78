/*
 * opt_firmware.c - -smbios, -fw_cfg and -boot splash=: what a user tells the machine's firmware and the guest behind it.
 *
 * Guests are provisioned by these: systemd and cloud-init read credentials and their data source from SMBIOS texts,
 * Ignition its configuration from a file of the firmware's.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "hw/boards.h"
#include "hw/fw_cfg.h"
#include "hw/smbios.h"
#include "main/options_priv.h"

#define TEXT_MAX 200u                   /* of one structure's ordinary texts, so that none exceeds 64 KiB */
#define OEM_MAX 32768u                  /* of all texts of type 11 */
#define FILES 32u
#define FILE_MAX (256u << 20)

static const struct { unsigned type; const char *key;
} texts[] = {
#define TEXT(id, type, key) { type, key },
#include "hw/smbios_texts.def"
#undef TEXT
};

/* A whole file, with a zero behind it that does not count. */
static uint8_t *whole_file(const char *opt, const char *path, size_t max, size_t *len)
{
    FILE *f = fopen(path, "rb");
    uint8_t *p = NULL;
    size_t room = 0, got = 1;

    for (*len = 0; f && got; *len += got) {
        if (*len + 1 >= room)
            p = realloc(p, room = room * 2 + 4096);
        if (!p)
            die(EXIT_CODE_HOST, "%s: %s: out of memory", opt, path);
        got = fread(p + *len, 1, room - *len - 1, f);
        if (*len + got > max)
            die(EXIT_CODE_FILE, "%s: %s: longer than %zu bytes", opt, path, max);
    }
    if (!f || ferror(f))
        die(EXIT_CODE_FILE, "%s: cannot read %s: %s", opt, path, strerror(errno));
    fclose(f);
    p[*len] = 0;
    return p;
}

/* ---- -smbios ---- */

static void release(struct smbios_given *g, const char *opt, const char *val)
{
    unsigned major, minor;
    char tail;

    if (sscanf(val, "%u.%u%c", &major, &minor, &tail) != 2 || major > 255 || minor > 255)
        die(EXIT_CODE_USAGE, "%s: release=%s: use MAJOR.MINOR, each at most 255", opt, val);
    g->release[0] = (uint8_t)major;
    g->release[1] = (uint8_t)minor;
}

static void oem_text(struct smbios_given *g, const char *opt, const char *val)
{
    size_t all = strlen(val);

    for (unsigned i = 0; i < g->noem; i++)
        all += strlen(g->oem[i]);
    if (g->noem == SMBIOS_OEM || all > OEM_MAX)
        die(EXIT_CODE_USAGE, "%s: type=11: at most %u texts of %u bytes in all", opt, SMBIOS_OEM, OEM_MAX);
    if (!*val)
        die(EXIT_CODE_USAGE, "%s: type=11: an empty text cannot be told from the list's end", opt);
    g->oem[g->noem++] = val;
}

/* False: structures of this type have no such field. */
static bool field(struct options *o, struct smbios_given *g, const char *opt, unsigned type, const struct arg_item *it)
{
    size_t len;

    if (type == 0 && strcmp(it->key, "release") == 0) {
        release(g, opt, it->val);
    } else if (type == 1 && strcmp(it->key, "uuid") == 0) {
        opt_uuid(o, opt, it->val);
    } else if (type == 11 && strcmp(it->key, "value") == 0) {
        oem_text(g, opt, options_keep(o, it->val));
    } else if (type == 11 && strcmp(it->key, "path") == 0) {
        char *s = (char *)whole_file(opt, it->val, OEM_MAX, &len);

        if (strlen(s) != len)
            die(EXIT_CODE_USAGE, "%s: path=%s: the file has a zero byte, which ends a text", opt, it->val);
        oem_text(g, opt, options_keep(o, s));
        free(s);
    } else {
        for (unsigned i = 0; i < SMBIOS_TEXTS; i++) {
            if (texts[i].type != type || strcmp(texts[i].key, it->key))
                continue;
            if (strlen(it->val) > TEXT_MAX)
                die(EXIT_CODE_USAGE, "%s: %s: longer than %u bytes", opt, it->key, TEXT_MAX);
            g->text[i] = options_keep(o, it->val);
            return true;
        }
        return false;
    }
    return true;
}

static void __attribute__((noreturn)) unknown(const char *opt, unsigned type, const char *key)
{
    char list[200] = "";
    size_t n = 0;

    for (unsigned i = 0; i < SMBIOS_TEXTS; i++)
        if (texts[i].type == type)
            n += (size_t)snprintf(list + n, sizeof(list) - n, " %s=", texts[i].key);
    if (type == 11)
        snprintf(list, sizeof(list), " value= path=");
    die(EXIT_CODE_USAGE, "%s: type=%u has no '%s': it has%s%s%s", opt, type, key, list, type == 0 ? " release=" : "",
        type == 1 ? " uuid=" : "");
}

void opt_smbios(struct options *o, const char *opt, const char *val)
{
    struct smbios_given *g = &o->smbios;
    struct arg_item it;
    uint64_t type;
    bool known = false;

    if (!arg_next(&val, &it) || !it.val || strcmp(it.key, "type") || !arg_number(it.val, &type))
        die(EXIT_CODE_USAGE, "%s: begin with type=N, as in type=1,serial=42; binary structures (file=) are not taken", opt);
    for (unsigned i = 0; i < SMBIOS_TEXTS; i++)
        known |= texts[i].type == type;
    if (!known && type != 11)
        die(EXIT_CODE_USAGE, "%s: type=%s: fields of types 0 to 4, 11 and 17 can be given", opt, it.val);
    while (arg_next(&val, &it))
        if (!it.val || !field(o, g, opt, (unsigned)type, &it))
            unknown(opt, (unsigned)type, it.key);
    g->type[type] = type != 11 || g->noem;
    o->cfg.smbios = g;
}

/* ---- -fw_cfg, and -boot splash= ---- */

static void add(struct options *o, const char *opt, struct fw_file *f)
{
    const struct fw_file *u = o->cfg.fw_files;
    unsigned n = 0;

    for (; u; u = u->next, n++)
        if (strcmp(u->name, f->name) == 0)
            die(EXIT_CODE_USAGE, "%s: name=%s: given twice", opt, f->name);
    if (n == FILES)
        die(EXIT_CODE_USAGE, "%s: more than %u files", opt, FILES);
    f->next = o->cfg.fw_files;
    o->cfg.fw_files = f;
}

void opt_fw_cfg(struct options *o, const char *opt, const char *val)
{
    struct fw_file *f = calloc(1, sizeof(*f));
    struct arg_item it;

    if (!f)
        die(EXIT_CODE_HOST, "%s: out of memory", opt);
    for (bool first = true; arg_next(&val, &it); first = false) {
        bool data = it.val && (strcmp(it.key, "string") == 0 || strcmp(it.key, "file") == 0);

        if (data && f->data)
            die(EXIT_CODE_USAGE, "%s: give one of string= and file=", opt);
        if (!it.val && !first)
            die(EXIT_CODE_USAGE, "%s: '%s': use name=NAME and string=TEXT or file=PATH", opt, it.key);
        if (!it.val || strcmp(it.key, "name") == 0) {
            f->name = options_keep(o, it.val ? it.val : it.key);
        } else if (data && *it.key == 's') {
            f->data = (const uint8_t *)options_keep(o, it.val);
            f->len = strlen(it.val);    /* without its zero */
        } else if (data) {
            f->data = whole_file(opt, it.val, FILE_MAX, &f->len);
        } else {
            die(EXIT_CODE_USAGE, "%s: unknown property '%s': use name=NAME and string=TEXT or file=PATH", opt, it.key);
        }
    }
    if (!f->name || !*f->name || !f->data)
        die(EXIT_CODE_USAGE, "%s: needs name=NAME and string=TEXT or file=PATH", opt);
    if (strlen(f->name) > FW_CFG_NAME)
        die(EXIT_CODE_USAGE, "%s: name=%s: longer than %u bytes", opt, f->name, FW_CFG_NAME);
    if (strncmp(f->name, "opt/", 4) != 0)
        arg_note("-fw_cfg: name=%s: names of users' own files begin with opt/; others are the firmware's", f->name);
    add(o, opt, f);
}

/* What SeaBIOS shows while its menu waits: a JPEG, or a BMP of 24 bits a pixel. */
void options_splash(struct options *o, const char *opt, const char *path)
{
    struct fw_file *f = calloc(1, sizeof(*f));
    bool jpeg, bmp;

    if (!f)
        die(EXIT_CODE_HOST, "%s: out of memory", opt);
    f->data = whole_file(opt, path, FILE_MAX, &f->len);
    jpeg = f->len > 2 && f->data[0] == 0xff && f->data[1] == 0xd8;
    bmp = f->len > 30 && f->data[0] == 'B' && f->data[1] == 'M' && f->data[28] == 24 && f->data[29] == 0;
    if (!jpeg && !bmp)
        die(EXIT_CODE_FILE, "%s: splash=%s: firmware shows JPEG pictures, and BMP ones of 24 bits a pixel; this is neither", opt,
            path);
    f->name = jpeg ? "bootsplash.jpg" : "bootsplash.bmp";
    add(o, opt, f);
}

void options_firmware(const struct options *o)
{
    const char *what = o->cfg.smbios ? "-smbios" : o->cfg.fw_files ? "-fw_cfg and -boot splash=" : NULL;

    if (what && !o->cfg.board->firmware)
        die(EXIT_CODE_USAGE, "%s: machine %s has no firmware to tell: use -machine pc or q35", what, o->cfg.board->name);
}
