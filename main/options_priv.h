/*
 * options_priv.h - what the files of the command line share: the options' handlers, by the table in options.def.
 */
#ifndef MAIN_OPTIONS_PRIV_H
#define MAIN_OPTIONS_PRIV_H

#include <jansson.h>

#include "main/audiodevs.h"
#include "main/fsdevs.h"
#include "main/optarg.h"
#include "main/options.h"

#define RAM_DEFAULT ((uint64_t)256 << 20)        /* bytes, of boards that are not bare */

/* opt: as the user wrote it, with dashes; val: its argument, for options without one the version. */
#define SECTION(title)
#define OPT(id, names, arg, help) void opt_##id(struct options *, const char *opt, const char *val);
#include "main/options.def"
#undef SECTION
#undef OPT

/* A copy of the text that lives as long as the options. */
const char *options_keep(struct options *, const char *text);
/* opt_device.c: all drives and the like have been named; make what -device asked for. */
void options_devices(struct options *);
/* opt_audio.c: give the speaker what -machine names. */
void options_speaker(struct options *);
/* One more device, as if by -device. */
void options_add_device(struct options *, struct plug_use *);
/* The same before those of -device: of what the machine has by default. */
void options_add_device_first(struct options *, struct plug_use *);
/* -device adds one of these; names end with NULL. */
bool options_has_device(const struct options *, const char *const *names);
/* opt_display.c: the machine's video, and a display where none was named. */
/* -boot splash=: a picture for the firmware. Dies where it is none. */
void options_splash(struct options *, const char *opt, const char *path);
void options_display(struct options *);
/* There is a -device of that name. */
bool options_asked_for(const struct options *, const char *name);
/* opt_drive.c: one more drive, and what -drive and -blockdev say of one alike. Dies where the value is wrong. */
struct drive_arg *drive_arg_new(struct options *, const char *opt);
/* opt_drive.c: a CD-ROM drive without a medium, for a device of that id (NULL: it has none). */
struct drive *options_empty_drive(struct options *, const char *opt, const char *id);
void drive_arg_format(struct drive_arg *, struct options *, const struct arg_item *);
void drive_arg_discard(struct drive_arg *, const struct arg_item *);
void drive_arg_detect_zeroes(struct drive_arg *, const struct arg_item *);
/* When all has been said of it. */
void drive_arg_check(struct drive_arg *);
void drive_arg_file_driver(struct drive_arg *, const struct arg_item *);
/* False: that is not about locks. */
bool drive_arg_lock(struct drive_arg *, const struct arg_item *);
/* opt_drive.c: give drives to the machine's own controllers, or make devices for them. */
void options_drives(struct options *);
/*
 * One more, which no device has, of a machine that is there: text as -drive takes it or, `node`, -blockdev. False: err says what
 * is wrong with it.
 */
bool options_add_drive(struct options *, struct machine *, const char *text, bool node, char *err, size_t len);
/* opt_firmware.c: does the machine take what its firmware is to be told? */
void options_firmware(const struct options *);
/* opt_net.c: make the chips of -nic; later, when all devices are there, give addresses to those without. */
void options_nics(struct options *);
void options_macs(struct options *);

/* opt_monitor.c: does one of -monitor and the like want standard input and output for itself? */
bool options_monitor_stdio(const struct options *);
/* Open their streams and start them, when the serial ports have been opened. */
void monitors_open(struct machine *, struct options *);
void monitors_close(struct machine *, struct options *);
/* opt_usb.c: the controllers that -usb stands for. */
void options_usb(struct options *);

/* opt_net.c: a capture, as -object says it; there is one of that id. */
void options_add_dump(struct options *, const char *opt, const char *list);
bool options_dump_called(const struct options *, const char *id);
/* opt_object.c: an object has that id. */
bool options_object_called(const struct options *, const char *id);
/* opt_blockdev.c: JSON that is an object, and that as a list that arg_next() takes; die on what is none. */
json_t *options_json(const char *opt, const char *text);
/* JSON as such a list, what `first` names in the beginning; all else as it is. */
const char *options_list(struct options *, const char *opt, const char *text, const char *first);
const char *options_json_list(struct options *, const char *opt, json_t *);
/* opt_object.c: what the machine's memory is, when all has been said. */
void options_memory(struct options *);
/* m->memdevs, m->secrets, m->rngs and m->cfg.memory; before the event loop goes; and when the machine has gone. */
void objects_open(struct machine *, struct options *);
void objects_close(struct options *);
void objects_free(struct options *);
/* For monitors, while the machine is there: as -object takes it. False: err says what is wrong. */
bool options_add_object(struct options *, struct machine *, const char *text, char *err, size_t len);
bool options_remove_object(struct options *, struct machine *, const char *id, char *err, size_t len);
/* opt_machine.c: dies for a size that no machine can have. */
void options_check_memory(const char *opt, const char *val, uint64_t size);

/* opt_debug.c: m->symbols and who finds them. */
void symbols_open(struct machine *, struct options *);
void symbols_close(struct machine *, struct options *);
/* m->profile, before there are vCPUs. */
void profile_open(struct machine *, const struct options *);

/* opt_action.c: what is done at an event, by their names. False: err says which there are. */
bool options_action(struct machine_config *, const char *event, const char *what, char *err, size_t len);
/* m->tell. */
void options_tell_event(struct machine *, enum machine_event, const char *who);

/* Is it one of the space-separated names? */
bool options_has_name(const char *names, const char *name);
/*
 * opt_foreign.c: an option of QEMU that is none of ours; dies where it cannot be done without. False: QEMU has none of
 * that name.
 */
bool options_foreign(const char *arg, const char *name, bool *takes_arg);

#endif
