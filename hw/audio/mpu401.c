/*
 * mpu401.c - MPU-401 (Roland, MPU-401 Technical Reference Manual; Creative's subset of it: UART mode).
 *
 *   +0  data    +1  status when read (bit 7: nothing to read, bit 6: cannot be written now), command when written
 *
 * Commands: reset (FFh) and UART mode (3Fh) are acknowledged by FEh, but for the reset that ends UART mode. Nothing is
 * at the MIDI plugs: what is sent is gone, and nothing comes in. So there is never an interrupt: acknowledgements are
 * polled for.
 */
#include "hw/audio/mpu401.h"

#include "base/log.h"

enum { CMD_UART = 0x3f, CMD_RESET = 0xff, ACK = 0xfe };
enum { STATUS_EMPTY = 0x80, STATUS_ONES = 0x3f };

struct mpu401 {
    uint8_t uart, acks;         /* acks: to be read, at most 1 */
};

static void command(struct mpu401 *u, uint8_t val)
{
    bool was = u->uart;

    if (was && val != CMD_RESET)
        return;                 /* UART mode knows no other */
    u->uart = val == CMD_UART;
    if (val == CMD_UART)
        log_msg(LOG_UNIMP, "mpu401: UART mode: there is no MIDI device to play what is sent");
    else if (val != CMD_RESET)
        log_msg(LOG_UNIMP, "mpu401: command %02x of the intelligent mode", val);
    u->acks = !was;
}

static uint64_t mpu401_read(void *dev, uint64_t off, unsigned size)
{
    struct mpu401 *u = dev;
    uint8_t val = u->acks ? ACK : 0xff;

    if (off == 1)
        return STATUS_ONES | (u->acks ? 0 : STATUS_EMPTY);
    u->acks = 0;
    return val;
}

static void mpu401_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct mpu401 *u = dev;

    if (off == 1)
        command(u, val);
    else
        log_dev(SB16, "MIDI %02x goes nowhere", (unsigned)val);
}

static void mpu401_reset(void *dev)
{
    struct mpu401 *u = dev;

    u->uart = u->acks = 0;
}

static void mpu401_loaded(void *dev)
{
    struct mpu401 *u = dev;

    u->uart = u->uart != 0;
    u->acks = u->acks != 0;
}

static const struct io_ops mpu401_ops = { mpu401_read, mpu401_write, 1, LOG_DEV_SB16 };
static const struct field mpu401_state[] = { FIELD(struct mpu401, uart), FIELD(struct mpu401, acks), FIELD_END };
static const struct chip mpu401_chip = { "mpu401", sizeof(struct mpu401), mpu401_reset, mpu401_state, mpu401_loaded };

struct mpu401 *mpu401_new(struct chip_list *chips, const char *name, struct ports *ports, uint16_t base)
{
    struct mpu401 *u = chip_new(chips, &mpu401_chip, name);

    ports_map(ports, base, 2, &mpu401_ops, u, name);
    mpu401_reset(u);
    return u;
}
