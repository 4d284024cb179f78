/*
 * kbc.c - 8042 keyboard controller with PS/2 auxiliary port (IBM "PS/2 Hardware Interface Technical
 * Reference", Keyboard and Auxiliary Device Controller; port 60h/64h commands as the AT has them).
 *
 * There is one output buffer.  It is filled from the controller's own answer first, then from the
 * keyboard, then from the mouse, each only while its clock is not disabled.  The next byte of a
 * device follows BYTE_NS after the last one was read, as on the wire: interrupt handlers that read
 * port 60h twice, and chained ones that read it again, rely on that.
 */
#include "hw/kbc.h"

#include "base/log.h"
#include "base/trace.h"

#define BYTE_NS 100000

enum { ST_OBF = 0x01, ST_SYS = 0x04, ST_COMMAND = 0x08, ST_UNLOCKED = 0x10, ST_AUX = 0x20 };
enum { CFG_KBD_IRQ = 0x01, CFG_AUX_IRQ = 0x02, CFG_SYS = 0x04, CFG_KBD_OFF = 0x10, CFG_AUX_OFF = 0x20,
       CFG_XLATE = 0x40 };
enum { OUT_RESET = 0x01, OUT_A20 = 0x02, OUT_KBD_IRQ = 0x10, OUT_AUX_IRQ = 0x20 };

struct kbc {
    struct kbc_lines lines;
    struct clock *clock;
    struct timer next_byte;
    struct ps2 *dev[2];         /* keyboard, mouse */
    uint8_t ram[32];            /* ram[0] is the command byte */
    uint8_t status;
    uint8_t data;               /* output buffer */
    uint8_t out_port;
    uint8_t command;            /* a 64h command that waits for its 60h byte; 0: none */
    uint8_t broke;              /* translation: an F0h was swallowed */
    uint64_t not_before;        /* virtual time of the next device byte */
};

/* Scan code set 2 to set 1, as the controller translates it. */
static const uint8_t xlate[0x88] = {
    0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59,
    0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b,
    0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d,
    0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f,
    0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61,
    0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76,
    0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f,
    0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
    0x80, 0x81, 0x82, 0x41, 0x54, 0x85, 0x86, 0x87
};

/* ---- output buffer ---- */

static void update_lines(struct kbc *k)
{
    bool full = k->status & ST_OBF, aux = k->status & ST_AUX;
    bool irq1 = full && !aux && (k->ram[0] & CFG_KBD_IRQ);
    bool irq12 = full && aux && (k->ram[0] & CFG_AUX_IRQ);
    k->out_port = (uint8_t)((k->out_port & ~(OUT_KBD_IRQ | OUT_AUX_IRQ)) | (irq1 ? OUT_KBD_IRQ : 0) |
                            (irq12 ? OUT_AUX_IRQ : 0));
    irq_set(&k->lines.irq1, irq1);
    irq_set(&k->lines.irq12, irq12);
}

static void fill(struct kbc *k, uint8_t byte, bool aux)
{
    k->data = byte;
    k->status = (uint8_t)((k->status & ~ST_AUX) | ST_OBF | (aux ? ST_AUX : 0));
    update_lines(k);
}

/* A keyboard byte on its way through the translator; false: swallowed. */
static bool translate(struct kbc *k, uint8_t *byte)
{
    if (!(k->ram[0] & CFG_XLATE))
        return true;
    if (*byte == 0xf0) {
        k->broke = 0x80;
        return false;
    }
    if (*byte < sizeof(xlate))
        *byte = xlate[*byte] | k->broke;
    k->broke = 0;
    return true;
}

static bool device_ready(struct kbc *k, int i)
{
    return k->dev[i] && !(k->ram[0] & (i ? CFG_AUX_OFF : CFG_KBD_OFF)) && ps2_has_byte(k->dev[i]);
}

static void pull(void *dev)
{
    struct kbc *k = dev;
    if (k->status & ST_OBF)
        return;
    if (clock_now(k->clock) < k->not_before) {
        if (device_ready(k, 0) || device_ready(k, 1))
            timer_set(&k->next_byte, k->not_before);
        return;
    }
    while (device_ready(k, 0)) {
        uint8_t byte = ps2_next_byte(k->dev[0]);
        if (translate(k, &byte)) {
            fill(k, byte, false);
            return;
        }
    }
    if (device_ready(k, 1))
        fill(k, ps2_next_byte(k->dev[1]), true);
}

/* ---- commands ---- */

static void set_out_port(struct kbc *k, uint8_t val)
{
    k->out_port = (uint8_t)((k->out_port & (OUT_KBD_IRQ | OUT_AUX_IRQ)) |
                            (val & ~(OUT_KBD_IRQ | OUT_AUX_IRQ)));
    irq_set(&k->lines.a20, (val & OUT_A20) != 0);
    if (!(val & OUT_RESET)) {
        k->out_port |= OUT_RESET;       /* the reset it causes sets it again */
        irq_set(&k->lines.reset, true);
    }
}

static void set_config(struct kbc *k, uint8_t val)
{
    k->ram[0] = val;
    k->status = (uint8_t)((k->status & ~ST_SYS) | (val & CFG_SYS));
    update_lines(k);
}

static void command(struct kbc *k, uint8_t cmd)
{
    trace_kbc_command(cmd);
    k->command = 0;
    switch (cmd) {
    case 0x20 ... 0x3f: fill(k, k->ram[cmd & 0x1f], false); break;
    case 0x60 ... 0x7f: k->command = cmd; break;
    case 0xa4: fill(k, 0xf1, false); break;             /* no password is set */
    case 0xa5: case 0xa6: break;                        /* and none can be */
    case 0xa7: set_config(k, k->ram[0] | CFG_AUX_OFF); break;
    case 0xa8: set_config(k, k->ram[0] & (uint8_t)~CFG_AUX_OFF); break;
    case 0xa9: fill(k, k->dev[1] ? 0x00 : 0x02, false); break;
    case 0xaa:
        k->status |= ST_SYS;
        k->ram[0] |= CFG_SYS;
        fill(k, 0x55, false);
        break;
    case 0xab: fill(k, k->dev[0] ? 0x00 : 0x02, false); break;
    case 0xad: set_config(k, k->ram[0] | CFG_KBD_OFF); break;
    case 0xae: set_config(k, k->ram[0] & (uint8_t)~CFG_KBD_OFF); break;
    case 0xc0: fill(k, 0x80, false); break;             /* input port: keyboard not locked */
    case 0xd0: fill(k, k->out_port, false); break;
    case 0xd1: case 0xd2: case 0xd3: case 0xd4: k->command = cmd; break;
    case 0xdd: set_out_port(k, k->out_port & (uint8_t)~OUT_A20); break;
    case 0xdf: set_out_port(k, k->out_port | OUT_A20); break;
    case 0xe0: fill(k, 0x00, false); break;             /* test inputs: both clocks low */
    case 0xf0 ... 0xff:                                 /* pulse the bits that are 0 */
        if (!(cmd & OUT_RESET))
            irq_set(&k->lines.reset, true);
        break;
    default:
        log_msg(LOG_GUEST, "8042: unknown command %02x", cmd);
        break;
    }
}

static void to_device(struct kbc *k, int i, uint8_t val)
{
    /* Sending turns the device's clock on (and for the keyboard leaves it so). */
    if (i == 0 && (k->ram[0] & CFG_KBD_OFF))
        set_config(k, k->ram[0] & (uint8_t)~CFG_KBD_OFF);
    if (k->dev[i]) {
        k->not_before = 0;      /* what it answers is a new transfer */
        ps2_host_write(k->dev[i], val);
    }
}

static void parameter(struct kbc *k, uint8_t cmd, uint8_t val)
{
    k->command = 0;
    switch (cmd) {
    case 0x60: set_config(k, val); break;
    case 0x61 ... 0x7f: k->ram[cmd & 0x1f] = val; break;
    case 0xd1: set_out_port(k, val); break;
    case 0xd2: fill(k, val, false); break;
    case 0xd3: fill(k, val, true); break;
    case 0xd4: to_device(k, 1, val); break;
    default: to_device(k, 0, val); break;
    }
}

/* ---- ports ---- */

static uint64_t data_read(void *dev, uint64_t off, unsigned size)
{
    struct kbc *k = dev;
    uint8_t byte = k->data;     /* on a busy host BYTE_NS may be over before pull() looks at the clock */
    if (k->status & ST_OBF) {
        k->status &= (uint8_t)~(ST_OBF | ST_AUX);
        update_lines(k);
        k->not_before = clock_now(k->clock) + BYTE_NS;
        pull(k);
    }
    return byte;
}

static void data_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct kbc *k = dev;
    k->status &= (uint8_t)~ST_COMMAND;
    parameter(k, k->command, (uint8_t)val);
    pull(k);
}

static uint64_t status_read(void *dev, uint64_t off, unsigned size)
{
    return ((struct kbc *)dev)->status;
}

static void status_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct kbc *k = dev;
    k->status |= ST_COMMAND;
    command(k, (uint8_t)val);
    pull(k);
}

static void kbc_reset(void *dev)
{
    struct kbc *k = dev;
    for (unsigned i = 0; i < sizeof(k->ram); i++)
        k->ram[i] = 0;
    /* As a PC's firmware leaves it, for kernels that are booted without one: interrupts on,
     * set 1 codes, self-test passed. */
    k->ram[0] = CFG_KBD_IRQ | CFG_AUX_IRQ | CFG_SYS | CFG_XLATE;
    k->status = ST_UNLOCKED | ST_SYS;
    k->out_port = OUT_RESET | OUT_A20;
    k->command = k->broke = k->data = 0;
    k->not_before = 0;
    timer_cancel(&k->next_byte);
    update_lines(k);
    irq_set(&k->lines.a20, true);
}

static void kbc_loaded(void *dev)
{
    struct kbc *k = dev;
    timer_set(&k->next_byte, k->next_byte.due);
    update_lines(k);
}

static const struct io_ops data_ops = { data_read, data_write, 1, LOG_DEV_KBC };
static const struct io_ops status_ops = { status_read, status_write, 1, LOG_DEV_KBC };

static const struct field kbc_state[] = {
    FIELD_ARRAY(struct kbc, ram), FIELD(struct kbc, status), FIELD(struct kbc, data),
    FIELD(struct kbc, out_port), FIELD(struct kbc, command), FIELD(struct kbc, broke),
    FIELD(struct kbc, not_before), FIELD(struct kbc, next_byte.due), FIELD_END
};

static const struct chip kbc_chip = { "8042", sizeof(struct kbc), kbc_reset, kbc_state, kbc_loaded };

struct kbc *kbc_new(struct chip_list *chips, struct ports *ports, struct clock *clock,
                    const struct kbc_lines *lines, struct ps2 *kbd, struct ps2 *mouse)
{
    struct kbc *k = chip_new(chips, &kbc_chip, "kbc");
    k->lines = *lines;
    k->clock = clock;
    k->dev[0] = kbd;
    k->dev[1] = mouse;
    timer_init(&k->next_byte, clock, pull, k);
    if (kbd)
        ps2_connect(kbd, pull, k);
    if (mouse)
        ps2_connect(mouse, pull, k);
    ports_map(ports, 0x60, 1, &data_ops, k, "8042 data");
    ports_map(ports, 0x64, 1, &status_ops, k, "8042 command");
    kbc_reset(k);
    return k;
}
