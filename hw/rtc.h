/* rtc.h - MC146818 real-time clock with 128 bytes of CMOS RAM, ports 70h/71h. */
#ifndef HW_RTC_H
#define HW_RTC_H

#include "hw/dev.h"

struct rtc;
struct rtc *rtc_new(struct chip_list *, struct ports *, struct clock *, struct irq irq8);
/* fn() is called when the guest has set the clock: by how many seconds it is ahead of what it would be. */
void rtc_on_set(struct rtc *, void (*fn)(void *arg, int64_t ahead), void *arg);
/* CMOS RAM as the board fills it at wiring time (0Eh-7Fh; kept over reset). */
void rtc_cmos_set(struct rtc *, unsigned index, uint8_t val);

#endif
