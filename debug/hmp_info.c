/*
 * hmp_info.c - what "info" shows of chips, drives, networks and the machine. Chips tell themselves how they
 * are (struct chip, info()).
 */
#include "debug/hmp_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "block/disk.h"
#include "config.h"
#include "debug/control.h"
#include "debug/monitor_int.h"
#include "debug/outside.h"
#include "host/memdev.h"
#include "hw/boards.h"
#include "hw/input_if.h"
#include "hw/pci.h"
#include "hw/plug.h"
#include "hw/virtio/balloon.h"

/* ---- chips ---- */

static void chips(struct hmp *h, const char *type)
{
    if (!chips_info(h->m->chips, type, h->out))
        hmp_say(h, "this machine has none\n");
}

void info_pic(struct hmp *h)
{
    chips(h, "8259a-pair");
}

void info_lapic(struct hmp *h)
{
    chips(h, "lapic");
}

void info_ioapic(struct hmp *h)
{
    chips(h, "ioapic");
}

/* Both tell how often their inputs were raised. */
void info_irq(struct hmp *h)
{
    struct text_buf all;

    text_buf_init(&all, 65536);
    chips_info(h->m->chips, "8259a-pair", &all.text);
    chips_info(h->m->chips, "ioapic", &all.text);
    for (const char *s = text_buf_get(&all); *s;) {
        size_t n = strcspn(s, "\n");
        const char *raised = strstr(s, "raised ");

        if (raised && raised < s + n) {
            const char *in = strstr(s, "pin "), *end = in ? in + strcspn(in, ":") : s;

            if (*s == ' ')
                hmp_say(h, "ioapic %.*s: %.*s\n", (int)(end - in), in, (int)(s + n - raised), raised);
            else
                hmp_say(h, "%.*s\n", (int)n, s);
        }
        s += n;
        s += *s == '\n';
    }
    text_buf_free(&all);
}

void info_usb(struct hmp *h)
{
    static const char *const controllers[] = { "uhci", "ohci", "ehci", "xhci" };
    unsigned n = 0;

    for (unsigned i = 0; i < sizeof(controllers) / sizeof(controllers[0]); i++)
        n += chips_info(h->m->chips, controllers[i], h->out);
    if (!n)
        hmp_say(h, "there is no USB controller: -usb or -device qemu-xhci adds one\n");
}

void info_qtree(struct hmp *h)
{
    hmp_say(h, "machine %s\n", h->m->cfg.board->name);
    chips_info(h->m->chips, NULL, h->out);
    for (const struct plug_use *u = h->m->cfg.devices; u; u = u->next)
        hmp_say(h, "device %s: %s on %s%s%s\n", u->props->name, u->plug->what, u->plug->bus,
                u->props->id ? ", id " : "", u->props->id ? u->props->id : "");
}

static void bar(struct hmp *h, const struct pci_view *v, unsigned i)
{
    uint64_t size = v->bar[i].size, at = v->bar[i].at;

    if (!size)
        return;
    if (v->bar[i].rom)
        hmp_say(h, "      ROM: ");
    else
        hmp_say(h, "      BAR%u: ", i);
    hmp_say(h, "%s%s of %" PRIu64 " bytes",
            v->bar[i].io       ? "I/O" :
                v->bar[i].wide ? "64 bit memory" :
                                 "32 bit memory",
            v->bar[i].prefetch ? " (prefetchable)" : "", size);
    if (at == UINT64_MAX)
        hmp_say(h, ", not decoded\n");
    else
        hmp_say(h, " at 0x%0*" PRIx64 "\n", v->bar[i].io ? 4 : 8, at);
}

void info_pci(struct hmp *h)
{
    struct pci_view v;
    unsigned n = 0;

    for (; h->m->pci && pci_nth(h->m->pci, n, &v); n++) {
        hmp_say(h, "  Bus %2u, device %3u, function %u: %s\n", v.bus, v.slot, v.fn, v.name);
        hmp_say(h, "    class %06x, %04x:%04x", v.id.class, v.id.vendor, v.id.device);
        if (v.id.subvendor)
            hmp_say(h, ", subsystem %04x:%04x", v.id.subvendor, v.id.subdevice);
        hmp_say(h, ", command %04x\n", v.command);
        if (v.id.pin)
            hmp_say(h, "      IRQ %u, pin %c\n", v.line, '@' + v.id.pin);
        for (unsigned i = 0; i < 7; i++)
            bar(h, &v, i);
    }
    if (!n)
        hmp_say(h, "this machine has no PCI bus\n");
}

static const char *yes(bool is)
{
    return is ? "true" : "false";
}

void info_memdev(struct hmp *h)
{
    for (const struct memdev *d = h->m->memdevs; d; d = d->next) {
        hmp_say(h, "memory backend: %s\n  size:  %" PRIu64 "\n  merge: %s\n  dump: %s\n  prealloc: %s\n", d->id,
                d->size, yes(d->merge), yes(d->dump != MEMDEV_OFF), yes(d->prealloc));
        hmp_say(h, "  share: %s\n  reserve: %s\n  policy: %s\n  host nodes:", yes(d->share), yes(d->reserved),
                memdev_policy_name(d->policy));
        for (unsigned n = 0; n < MEMDEV_NODES; n++)
            if (d->nodes[n / 64] >> n % 64 & 1)
                hmp_say(h, " %u", n);
        hmp_say(h, "\n");
    }
}

void info_ramblock(struct hmp *h)
{
    long page = sysconf(_SC_PAGESIZE);
    uint64_t len;
    void *p;

    hmp_say(h, "block  host page         bytes  here\n");
    for (unsigned n = 0; (p = phys_ram(h->m->phys, n, &len)); n++)
        hmp_say(h, "ram%-3u %5ld KiB %13" PRIu64 "  %p\n", n, page >> 10, len, p);
}

void info_mtree(struct hmp *h)
{
    hmp_say(h, "memory%s\n", hmp_flag(h, 'f') ? " as it is seen" : "");
    phys_info(h->m->phys, hmp_flag(h, 'f'), h->out);
    hmp_say(h, "I/O ports\n");
    ports_info(h->m->ports, h->out);
}

void info_roms(struct hmp *h)
{
    const struct machine_config *c = &h->m->cfg;

    if (c->bios)
        hmp_say(h, "%s: %zu bytes, the firmware\n", c->bios_name ? c->bios_name : "firmware", c->bios_len);
    for (unsigned i = 0; i < 2; i++)
        if (c->pflash[i] && c->pflash[i]->disk)
            hmp_say(h, "flash %u: drive %s, %" PRIu64 " bytes\n", i, c->pflash[i]->id,
                    c->pflash[i]->disk->size);
    for (const struct rom_image *r = c->roms; r; r = r->next)
        hmp_say(h, "%s: %u bytes, a device's\n", r->name, r->len);
    if (c->kernel)
        hmp_say(h, "%s: the kernel, loaded without firmware\n", c->kernel);
}

/* ---- drives ---- */

#define EACH_DRIVE(h, d)                                                                                         \
    for (unsigned i = 0; (h)->m->outside && (h)->m->outside->drive((h)->m, i, &(d)); i++)                        \
        if (!(d).taken)

void info_block(struct hmp *h)
{
    struct outside_drive d;

    EACH_DRIVE(h, d) {
        struct drive_tray t = { false, false };
        const struct drive *x = d.drive;

        if (x->disk)
            hmp_say(h, "%s: %s (%s%s%s)\n", x->id, d.file, d.block->ops->format,
                    x->disk->read_only || x->read_only ? ", read-only" : "",
                    d.snapshot ? ", what is written goes away" : "");
        else
            hmp_say(h, "%s: [not inserted]\n", x->id);
        hmp_say(h, "    Interface:       %s%s\n", d.iface, x->used ? "" : ", no device has it");
        if (d.removable && x->user && x->user->tray) {
            x->user->tray(x->dev, &t);
            hmp_say(h, "    Removable device: %slocked, tray %s\n", t.locked ? "" : "not ",
                    t.open ? "open" : "closed");
        }
        if (!x->disk)
            continue;
        hmp_say(h, "    Cache mode:      %s\n    Size:            %" PRIu64 " bytes\n", d.cache,
                x->disk->size);
        for (const struct block *b = d.block->backing; b; b = b->backing)
            hmp_say(h, "    Backing file:    %s (%s)\n", b->name, b->ops->format);
        if (disk_waits(x->disk))
            hmp_say(h, "    I/O status:      %s (cont tries again)\n", strerror(-disk_waits(x->disk)));
        if (block_problem(d.block))
            hmp_say(h, "    Problem:         %s\n", block_problem(d.block));
    }
}

void info_blockstats(struct hmp *h)
{
    struct outside_drive d;

    EACH_DRIVE(h, d) {
        struct disk_stats s;

        if (!d.drive->disk)
            continue;
        disk_stats(d.drive->disk, &s);
        hmp_say(h,
                "%s: rd_bytes=%" PRIu64 " wr_bytes=%" PRIu64 " rd_operations=%" PRIu64
                " wr_operations=%" PRIu64 " flush_operations=%" PRIu64 " unmap_operations=%" PRIu64
                " rd_total_time_ns=%" PRIu64 " wr_total_time_ns=%" PRIu64 " flush_total_time_ns=%" PRIu64
                " failed_operations=%" PRIu64 "\n",
                d.drive->id, s.op[DISK_READ].bytes, s.op[DISK_WRITE].bytes + s.op[DISK_ZERO].bytes,
                s.op[DISK_READ].n, s.op[DISK_WRITE].n + s.op[DISK_ZERO].n, s.op[DISK_FLUSH].n,
                s.op[DISK_DISCARD].n, s.op[DISK_READ].ns, s.op[DISK_WRITE].ns + s.op[DISK_ZERO].ns,
                s.op[DISK_FLUSH].ns, s.op[DISK_READ].failed + s.op[DISK_WRITE].failed + s.op[DISK_ZERO].failed +
                    s.op[DISK_FLUSH].failed + s.op[DISK_DISCARD].failed);
    }
}

/* With when it was made, and at what time of the machine's own. */
static void snapshot(struct hmp *h, const char *drive, const struct block_snapshot *s)
{
    time_t date = (time_t)s->date;
    uint64_t seconds = s->vm_clock_ns / 1000000000;
    char when[32] = "";
    struct tm tm;

    if (localtime_r(&date, &tm))
        strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
    hmp_say(h, "%s: %s %s, %" PRIu64 " bytes of machine state, %s, %02" PRIu64 ":%02u:%02u.%03u\n", drive, s->id, s->name,
            s->vm_state, when, seconds / 3600, (unsigned)(seconds / 60 % 60), (unsigned)(seconds % 60),
            (unsigned)(s->vm_clock_ns / 1000000 % 1000));
}

void info_snapshots(struct hmp *h)
{
    struct outside_drive d;
    unsigned n = 0;

    EACH_DRIVE(h, d) {
        struct block_info info = { 0 };

        if (!d.block)
            continue;
        block_info(d.block, &info);
        for (unsigned k = 0; k < info.nsnapshots; k++, n++)
            snapshot(h, d.drive->id, &info.snapshots[k]);
    }
    if (!n)
        hmp_say(h, "there are no snapshots in the images\n");
}

/* ---- networks and streams ---- */

void info_network(struct hmp *h)
{
    struct outside_net n;

    for (unsigned i = 0; h->m->outside && h->m->outside->net(h->m, i, &n); i++)
        hmp_say(h, "%s: type=%s%s%s, %s, link %s\n", n.net->id ? n.net->id : "(no name)", n.kind,
                *n.what ? "," : "", n.what, n.net->user ? "a chip is on it" : "no chip is on it",
                n.net->up ? "up" : "down");
}

void info_usernet(struct hmp *h)
{
    struct outside_net n;
    unsigned shown = 0;

    for (unsigned i = 0; h->m->outside && h->m->outside->net(h->m, i, &n); i++) {
        char *text = h->m->outside->connections(h->m, n.net);

        if (text)
            hmp_say(h, "%s:\n%s", n.net->id ? n.net->id : "(no name)", text);
        shown += text != NULL;
        free(text);
    }
    if (!shown)
        hmp_say(h, "there are no user networks\n");
}

void info_chardev(struct hmp *h)
{
    struct outside_chardev c;

    for (unsigned i = 0; h->m->outside && h->m->outside->chardev(h->m, i, &c); i++)
        hmp_say(h, "%s: %s%s\n", c.id, c.spec, c.open ? "" : " (nobody is connected)");
}

/* ---- the machine ---- */

void info_status(struct hmp *h)
{
    enum run_state s = control_state(h->m->control);

    if (s == RUN_RUNNING)
        hmp_say(h, "VM status: running\n");
    else
        hmp_say(h, "VM status: paused (%s)\n", control_state_name(s));
}

void info_history(struct hmp *h)
{
    const struct mon *mon = h->m->monitors ? h->m->monitors->asks : NULL;
    const char *s;

    for (unsigned i = 0; (s = line_past(mon, i)); i++)
        hmp_say(h, "%u: '%s'\n", i, s);
}

void info_version(struct hmp *h)
{
    hmp_say(h, "Latimer %s\n", PACKAGE_VERSION);
}

void info_name(struct hmp *h)
{
    hmp_say(h, "%s\n", h->m->outside ? h->m->outside->name(h->m) : "");
}

void info_uuid(struct hmp *h)
{
    for (unsigned i = 0; i < 16; i++)
        hmp_say(h, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", h->m->cfg.uuid[i]);
    hmp_say(h, "\n");
}

void info_kvm(struct hmp *h)
{
    hmp_say(h, "kvm support: not compiled\n(hardware virtualization is never used: code is translated)\n");
}

void info_mice(struct hmp *h)
{
    struct input_view v;
    unsigned n = 0;

    for (unsigned i = 0; input_nth(h->m->cfg.input, i, &v); i++) {
        if (!v.moves && !v.places)
            continue;
        hmp_say(h, "%c Mouse #%u: %s%s\n", v.current ? '*' : ' ', n++,
                v.places ? "a tablet (absolute)" : "a mouse (relative)",
                v.in_use ? "" : ", not set up by the guest yet");
    }
    if (!n)
        hmp_say(h, "there are no pointers\n");
}

void info_vnc(struct hmp *h)
{
    struct outside_vnc v = { NULL };

    if (h->m->outside)
        h->m->outside->vnc(h->m, &v);
    if (v.address)
        hmp_say(h, "Server: %s, auth: %s, %u client%s\n", v.address, v.password ? "vnc" : "none", v.clients,
                v.clients == 1 ? "" : "s");
    else
        hmp_say(h, "Server: disabled\n");
}

void info_balloon(struct hmp *h)
{
    if (h->m->balloon)
        hmp_say(h, "balloon: actual=%" PRIu64 "\n", balloon_actual(h->m->balloon) >> 20);
    else
        hmp_fail(h, "No balloon device has been activated: -device virtio-balloon-pci makes one");
}
