/*
 * action.h - what the human monitor and QMP do to a machine, in one place for both.
 *
 * For the event loop's thread with the device lock held once. Functions with `err` return false with what
 * failed, and what to do, in it.
 */
#ifndef DEBUG_ACTION_H
#define DEBUG_ACTION_H

#include "debug/outside.h"
#include "frontend/cpu.h"

/* A reset after which a machine that did not run waits for control_cont(). */
void action_reset(struct machine *);
void action_powerdown(struct machine *);
void action_quit(struct machine *);
void action_nmi(struct machine *);
/* What is done from now on, as -action takes it: event "watchdog", "panic", "reboot" or "shutdown". */
bool action_on_event(struct machine *, const char *event, const char *what, char *err, size_t len);

/* Memory as it is; devices are not touched. c NULL: physical addresses. False: something there cannot be
 * read. */
bool action_read(struct machine *, struct cpu *c, uint64_t addr, void *buf, unsigned len);
/* The same into a file; the vCPUs stand still. */
bool action_save(struct machine *, struct cpu *c, uint64_t addr, uint64_t size, const char *file, char *err,
                 size_t len);

bool action_eject(struct machine *, const char *drive, bool force, char *err, size_t len);
/* force: also if the guest has locked the medium in. */
bool action_change(struct machine *, const char *drive, const char *file, const char *format,
                   enum outside_medium, bool force, char *err, size_t len);
bool action_tray(struct machine *, const char *drive, bool open, bool force, char *err, size_t len);
/* node: a drive that no device has; its medium goes over. */
bool action_insert(struct machine *, const char *drive, const char *node, char *err, size_t len);
bool action_remove(struct machine *, const char *drive, char *err, size_t len);
/* One that no device has, as -drive says it or, node, -blockdev; and without it again. */
bool action_drive_add(struct machine *, const char *text, bool node, char *err, size_t len);
bool action_drive_del(struct machine *, const char *id, char *err, size_t len);
/* A memory backend, as -object takes it, and without it again. */
bool action_object_add(struct machine *, const char *text, char *err, size_t len);
bool action_object_del(struct machine *, const char *id, char *err, size_t len);
bool action_resize(struct machine *, const char *drive, uint64_t size, char *err, size_t len);
bool action_link(struct machine *, const char *net, bool up, char *err, size_t len);
bool action_balloon(struct machine *, uint64_t bytes, char *err, size_t len);
bool action_hostfwd(struct machine *, const char *net, bool add, const char *text, char *err, size_t len);
/* format "png", "ppm", "txt" or NULL: by the file's name, or PNG. */
bool action_screendump(struct machine *, const char *file, const char *format, char *err, size_t len);

/* For VNC clients that come from now on. when: "now", "never", "+SECONDS", or seconds since the epoch. */
bool action_vnc_password(struct machine *, const char *password, char *err, size_t len);
bool action_vnc_expire(struct machine *, const char *when, char *err, size_t len);

/* What firmware boots from, from the next reset on. */
bool action_boot_set(struct machine *, const char *order, char *err, size_t len);

struct mon;
/* The descriptor that came with what that monitor (NULL: none) is being told gets that name; and is closed. */
bool action_getfd(struct machine *, struct mon *, const char *name, char *err, size_t len);
bool action_closefd(struct machine *, const char *name, char *err, size_t len);

/* A key's number by its name, or a number (0x1c); 0: there is no such key. The n-th key's name; NULL behind
 * the last. */
unsigned action_key(const char *name, size_t len);
const char *action_key_name(unsigned n);
#define ACTION_KEYS 16
/* Presses them in order, holds them for so long of the guest's time and releases them, behind what is under
 * way. */
bool action_keys(struct machine *, const unsigned *keys, unsigned n, unsigned ms, char *err, size_t len);
/* The mouse is moved by so much, its wheel turned; what mouse_button said stays. */
void action_mouse(struct machine *, int dx, int dy, int dz);
void action_buttons(struct machine *, unsigned buttons);

#endif
