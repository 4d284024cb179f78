/*
 * rtc.c - MC146818A real-time clock plus RAM (Motorola, 1984) with the 128 bytes and the century byte (32h)
 * of PC chipsets.
 *
 * While the clock runs the time registers are not stored: they are computed from rtc time
 * (base + virtual time, seconds since 1970 in the zone the guest keeps) whenever looked at.
 * While it stands (SET in register B, or the divider held in reset by register A) they are plain bytes
 * in ram[] and become the time when it runs again.
 *
 * The flags of register C are brought up to date lazily by sync(); a timer exists only for an
 * enabled interrupt.  The acknowledge is the read of register C, so this chip owes its ticks itself: those of
 * periods that ended before it come at four times the rate (and not at once: guests read register C twice to
 * be sure that it is clear).  An update cycle ends on the second: UIP is high for the 244 us + 1984 us
 * before it.
 */
#include "hw/rtc.h"

#include "base/log.h"
#include "base/trace.h"
#include "hw/clock.h"

enum { SEC, SEC_ALARM, MIN, MIN_ALARM, HOUR, HOUR_ALARM, WDAY, MDAY, MON, YEAR, REG_A, REG_B, REG_C,
       REG_D, CENTURY = 0x32 };
enum { A_UIP = 0x80, A_DV = 0x70, A_RS = 0x0f };
enum { B_SET = 0x80, B_PIE = 0x40, B_AIE = 0x20, B_UIE = 0x10, B_DM = 0x04, B_24 = 0x02 };
enum { C_IRQF = 0x80, C_PF = 0x40, C_AF = 0x20, C_UF = 0x10 };
#define D_VRT 0x80
#define UPDATE_NS 2228000       /* tBUC + tUC with a 32.768 kHz crystal */
#define DAY 86400
#define BASE_MAX (1ll << 40)    /* seconds; a century that registers hold is far less */

struct rtc {
    struct clock *clock;
    struct irq irq;
    struct timer timer;
    int64_t base;               /* rtc time at virtual time 0: whole seconds ... */
    uint32_t base_sub;          /* ... and nanoseconds */
    uint64_t synced;            /* virtual time register C is correct for */
    uint8_t index;
    uint8_t owed;               /* periods that ended while C_PF was set (dev.h), PIE on */
    uint8_t wday_shift;         /* the guest's day of the week minus the calendar's */
    uint8_t ram[128];
    void (*on_set)(void *, int64_t);    /* NULL: nobody wants to know */
    void *on_set_arg;
};

/* ---- numbers ---- */

static uint8_t encode(const struct rtc *r, unsigned v)
{
    return (uint8_t)(r->ram[REG_B] & B_DM ? v : v % 10 | v / 10 << 4);
}

static unsigned decode(const struct rtc *r, uint8_t v)
{
    return r->ram[REG_B] & B_DM ? v : (v >> 4) * 10u + (v & 15u);
}

static uint8_t encode_hour(const struct rtc *r, unsigned h)
{
    if (r->ram[REG_B] & B_24)
        return encode(r, h);
    return encode(r, h % 12 ? h % 12 : 12) | (h >= 12 ? 0x80 : 0);
}

static unsigned decode_hour(const struct rtc *r, uint8_t v)
{
    if (r->ram[REG_B] & B_24)
        return decode(r, v);
    return decode(r, v & 0x7f) % 12 + (v & 0x80 ? 12 : 0);
}

/* Days since 1970-01-01 of a date in the proleptic Gregorian calendar; years start in March so
 * that the leap day is their last. */
static int64_t days_from_date(int64_t y, int m, int d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void date_from_days(int64_t z, int64_t *y, int *m, int *d)
{
    z += 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    *d = (int)(doy - (153 * mp + 2) / 5 + 1);
    *m = (int)(mp < 10 ? mp + 3 : mp - 9);
    *y = yoe + era * 400 + (*m <= 2);
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* ---- time ---- */

static bool held(const struct rtc *r)
{
    return (r->ram[REG_B] & B_SET) || (r->ram[REG_A] & A_DV) >= 0x60;
}

static int64_t second_of(const struct rtc *r, uint64_t now)
{
    return r->base + (int64_t)((r->base_sub + now) / NS_PER_SEC);
}

/* Nanoseconds into that second: where the divider chain stands. */
static uint32_t sub_of(const struct rtc *r, uint64_t now)
{
    return (uint32_t)((r->base_sub + now) % NS_PER_SEC);
}

/* Make it second s and sub nanoseconds now. */
static void set_time(struct rtc *r, uint64_t now, int64_t s, uint32_t sub)
{
    r->base_sub = (uint32_t)((sub + NS_PER_SEC - now % NS_PER_SEC) % NS_PER_SEC);
    r->base = s - (int64_t)((r->base_sub + now) / NS_PER_SEC);
}

/* Time into the registers. */
static void to_registers(struct rtc *r, uint64_t now)
{
    int64_t s = second_of(r, now), days = floor_div(s, DAY), y;
    int tod = (int)(s - days * DAY), m, d;
    date_from_days(days, &y, &m, &d);
    r->ram[SEC] = encode(r, (unsigned)tod % 60);
    r->ram[MIN] = encode(r, (unsigned)tod / 60 % 60);
    r->ram[HOUR] = encode_hour(r, (unsigned)tod / 3600);
    r->ram[WDAY] = (uint8_t)((days + 4 + 7 * 100000000ll + r->wday_shift) % 7 + 1);
    r->ram[MDAY] = encode(r, (unsigned)d);
    r->ram[MON] = encode(r, (unsigned)m);
    r->ram[YEAR] = encode(r, (unsigned)(y % 100 + 100) % 100);
    r->ram[CENTURY] = encode(r, (unsigned)(y / 100) % 100);
}

/* Registers into time. */
static void from_registers(struct rtc *r, uint64_t now, uint32_t sub)
{
    int64_t year = (int64_t)decode(r, r->ram[CENTURY]) * 100 + decode(r, r->ram[YEAR]);
    unsigned month = decode(r, r->ram[MON]);
    int64_t days = days_from_date(year, month >= 1 && month <= 12 ? (int)month : 1,
                                  (int)decode(r, r->ram[MDAY]));
    int64_t s = days * DAY + decode_hour(r, r->ram[HOUR]) * 3600ll + decode(r, r->ram[MIN]) * 60ll +
                decode(r, r->ram[SEC]);
    unsigned calendar = (unsigned)((days + 4 + 7 * 100000000ll) % 7);
    r->wday_shift = (uint8_t)((r->ram[WDAY] + 6u + 7u - calendar) % 7);
    set_time(r, now, s, sub);
    if (r->on_set)
        r->on_set(r->on_set_arg, s - floor_div(clock_wall_ns(r->clock), (int64_t)NS_PER_SEC));
}

/* ---- flags ---- */

/* Ticks of the 32768 Hz crystal since virtual time 0. */
static uint64_t crystal(uint64_t ns)
{
    return ns / NS_PER_SEC * 32768 + ns % NS_PER_SEC * 32768 / NS_PER_SEC;
}

static uint64_t crystal_ns(uint64_t t)
{
    return t / 32768 * NS_PER_SEC + (t % 32768 * NS_PER_SEC + 32767) / 32768;
}

/* Periodic interrupt's period in crystal ticks (table 5), 0: none. */
static unsigned period(const struct rtc *r)
{
    unsigned rs = r->ram[REG_A] & A_RS;
    if (!rs || (r->ram[REG_A] & A_DV) >= 0x60)
        return 0;
    return rs <= 2 ? 1u << (rs + 6) : 1u << (rs - 1);
}

static bool alarm_field(const struct rtc *r, unsigned reg, unsigned have)
{
    uint8_t v = r->ram[reg];
    if ((v & 0xc0) == 0xc0)
        return true;            /* "don't care" */
    return have == (reg == HOUR_ALARM ? decode_hour(r, v) : decode(r, v));
}

/* The first second >= s at which the alarm goes off, within a day; -1 if never. */
static int64_t next_alarm(const struct rtc *r, int64_t s)
{
    for (int64_t i = 0; i < DAY;) {
        unsigned tod = (unsigned)(s + i - floor_div(s + i, DAY) * DAY);
        if (!alarm_field(r, HOUR_ALARM, tod / 3600))
            i += 3600 - tod % 3600;
        else if (!alarm_field(r, MIN_ALARM, tod / 60 % 60))
            i += 60 - tod % 60;
        else if (!alarm_field(r, SEC_ALARM, tod % 60))
            i++;
        else
            return s + i;
    }
    return -1;
}

static void sync(struct rtc *r)
{
    uint64_t now = clock_now(r->clock), last = r->synced;
    unsigned p = period(r);
    r->synced = now;
    uint64_t periods = p ? crystal(now) / p - crystal(last) / p : 0;
    if (periods) {
        if (r->ram[REG_B] & B_PIE)
            r->owed = irq_owe(r->owed, periods - !(r->ram[REG_C] & C_PF));
        r->ram[REG_C] |= C_PF;
    }
    if (held(r))
        return;
    int64_t from = second_of(r, last), to = second_of(r, now);
    if (to <= from)
        return;
    r->ram[REG_C] |= C_UF;
    int64_t alarm = next_alarm(r, from + 1);
    if (alarm >= 0 && alarm <= to)
        r->ram[REG_C] |= C_AF;
}

/* Drives the line and arms the timer for the next event that would change it. */
static void update(struct rtc *r)
{
    uint8_t b = r->ram[REG_B];
    bool irq = r->ram[REG_C] & b & (C_PF | C_AF | C_UF), was = r->ram[REG_C] & C_IRQF;
    uint64_t due = UINT64_MAX, now = r->synced;
    r->ram[REG_C] = (uint8_t)((r->ram[REG_C] & 0x7f) | (irq ? C_IRQF : 0));
    if (irq && !was)
        trace_rtc_irq(r->ram[REG_C]);
    irq_set(&r->irq, irq);
    if (!irq) {                 /* with the line high nothing more can happen to it */
        unsigned p = period(r);
        if ((b & B_PIE) && p)
            due = r->owed ? now + crystal_ns(p) / 4 : crystal_ns((crystal(now) / p + 1) * p);
        if ((b & (B_UIE | B_AIE)) && !held(r)) {
            int64_t s = second_of(r, now) + 1;
            if (!(b & B_UIE))
                s = next_alarm(r, s);
            uint64_t at = s < 0 ? UINT64_MAX : (uint64_t)(s - r->base) * NS_PER_SEC - r->base_sub;
            if (at < due)
                due = at;
        }
    }
    timer_set(&r->timer, due);
}

static void fire(void *dev)
{
    struct rtc *r = dev;
    sync(r);
    if (r->owed && !(r->ram[REG_C] & C_PF)) {
        r->owed--;
        r->ram[REG_C] |= C_PF;
    }
    update(r);
}

/* ---- ports ---- */

static bool is_time(unsigned reg)
{
    return reg == SEC || reg == MIN || reg == HOUR || (reg >= WDAY && reg <= YEAR) || reg == CENTURY;
}

static uint8_t read_reg(struct rtc *r, unsigned reg)
{
    sync(r);
    if (is_time(reg) && !held(r))
        to_registers(r, r->synced);
    if (reg == REG_A) {
        bool uip = !held(r) && sub_of(r, r->synced) >= NS_PER_SEC - UPDATE_NS;
        return (uint8_t)(r->ram[REG_A] | (uip ? A_UIP : 0));
    }
    if (reg == REG_C) {
        update(r);
        uint8_t v = r->ram[REG_C];
        r->ram[REG_C] = 0;
        update(r);
        return v;
    }
    return reg == REG_D ? D_VRT : r->ram[reg];
}

static void write_control(struct rtc *r, unsigned reg, uint8_t val)
{
    bool was_held = held(r), was_reset = (r->ram[REG_A] & A_DV) >= 0x60;
    uint32_t sub = sub_of(r, r->synced);
    if (!was_held)
        to_registers(r, r->synced);
    if (reg == REG_A) {
        r->ram[REG_A] = val & (A_DV | A_RS);
        r->owed = 0;
    } else {
        uint8_t changed = val ^ r->ram[REG_B];
        if (val & B_SET)
            val &= (uint8_t)~B_UIE;     /* SET clears UIE */
        r->ram[REG_B] = val;
        if (!(val & B_PIE))
            r->owed = 0;
        if ((changed & (B_DM | B_24)) && !was_held && !held(r)) {
            to_registers(r, r->synced); /* a running clock goes on, in the other notation */
            return;
        }
    }
    /* The first update comes half a second after the divider is released. */
    if (was_reset && (r->ram[REG_A] & A_DV) < 0x60)
        sub = NS_PER_SEC / 2;
    if (was_held && !held(r))
        from_registers(r, r->synced, sub);
    else if (was_held)
        set_time(r, r->synced, second_of(r, r->synced), sub);
}

static void write_reg(struct rtc *r, unsigned reg, uint8_t val)
{
    sync(r);
    if (reg == REG_A || reg == REG_B) {
        write_control(r, reg, val);
    } else if (is_time(reg) && !held(r)) {
        to_registers(r, r->synced);
        r->ram[reg] = val;
        from_registers(r, r->synced, sub_of(r, r->synced));
    } else if (reg != REG_C && reg != REG_D) {
        r->ram[reg] = val;
    }
    update(r);
}

static uint64_t rtc_read(void *dev, uint64_t off, unsigned size)
{
    struct rtc *r = dev;
    uint8_t val;
    if (!off)
        return 0xff;            /* the index is write only */
    val = read_reg(r, r->index);
    trace_rtc_read(r->index, val);
    return val;
}

static void rtc_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct rtc *r = dev;
    if (off) {
        trace_rtc_write(r->index, (uint8_t)val);
        write_reg(r, r->index, (uint8_t)val);
    } else {
        r->index = val & 0x7f;  /* bit 7 masks NMI, which nothing on these boards raises */
    }
}

void rtc_cmos_set(struct rtc *r, unsigned index, uint8_t val)
{
    r->ram[index & 0x7f] = val;
}

/* RESET clears interrupt enables and flags and leaves time and RAM alone. */
static void rtc_reset(void *dev)
{
    struct rtc *r = dev;
    sync(r);
    r->ram[REG_B] &= (uint8_t)~(B_PIE | B_AIE | B_UIE | 0x08);
    r->ram[REG_C] = 0;
    r->owed = 0;
    update(r);
}

static const char *rtc_check(const void *dev)
{
    const struct rtc *r = dev;

    return r->base < -BASE_MAX || r->base > BASE_MAX ? "base is no date that the registers can hold" : NULL;
}

static void rtc_loaded(void *dev)
{
    struct rtc *r = dev;
    uint64_t now = clock_now(r->clock);
    r->owed = irq_owe(0, r->owed);
    if (r->synced > now)
        r->synced = now;
    update(r);
}

static const struct io_ops rtc_ops = { rtc_read, rtc_write, 1, LOG_DEV_RTC };

static const struct field rtc_state[] = {
    FIELD(struct rtc, base), FIELD_MAX(struct rtc, base_sub, NS_PER_SEC - 1), FIELD(struct rtc, synced),
    FIELD_MAX(struct rtc, index, 0x7f),
    FIELD(struct rtc, wday_shift), FIELD(struct rtc, owed), FIELD_ARRAY(struct rtc, ram),
    FIELD_END
};

static const struct chip rtc_chip = {
    "mc146818", sizeof(struct rtc), rtc_reset, rtc_state, rtc_loaded, .check = rtc_check
};

struct rtc *rtc_new(struct chip_list *chips, struct ports *ports, struct clock *clock, struct irq irq8)
{
    struct rtc *r = chip_new(chips, &rtc_chip, "rtc");
    r->clock = clock;
    r->irq = irq8;
    int64_t wall = clock_wall_ns(clock), s = floor_div(wall, (int64_t)NS_PER_SEC);
    r->synced = clock_now(clock);
    set_time(r, r->synced, s, (uint32_t)(wall - s * (int64_t)NS_PER_SEC));
    r->ram[REG_A] = 0x26;       /* 32.768 kHz, 1024 Hz: as firmware leaves it */
    r->ram[REG_B] = B_24;
    timer_init(&r->timer, clock, fire, r);
    ports_map(ports, 0x70, 2, &rtc_ops, r, "rtc");
    return r;
}

void rtc_on_set(struct rtc *r, void (*fn)(void *arg, int64_t ahead), void *arg)
{
    r->on_set = fn;
    r->on_set_arg = arg;
}
