/* qmp.c - see monitor_int.h. */
#include "debug/monitor_int.h"
void qmp_open(struct mon *mon, bool open) { }
void qmp_input(struct mon *mon, const uint8_t *b, unsigned n) { }
void qmp_free(struct mon *mon) { }
void qmp_news(struct machine *m, enum machine_news w, const char *who, int64_t n) { }
void qmp_state(void *monitors, enum run_state now) { }
