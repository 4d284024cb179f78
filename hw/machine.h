/*
 * machine.h - a whole machine: what a board's wiring function fills in.
 */
#ifndef HW_MACHINE_H
#define HW_MACHINE_H

#include <pthread.h>
#include "hw/dev.h"

struct audio;
struct balloon;
struct board;
struct cpu;
struct chardev;
struct evloop;
struct boot;
struct vcpus;
struct cpu_lines;
struct control;
struct drive;
struct drive_arg;
struct fds;
struct display;
struct displays;
struct input;
struct monitors;
struct outside;
struct pci_bus;
struct plug_use;
struct linux_guest;
struct profile;
struct gdb;
struct memdev;
struct rng_source;
struct secret;
struct symbols;

/* What a guest's system is told to have come to, and what is done about it. */
enum machine_event { EVENT_WATCHDOG, EVENT_PANIC, EVENT_CRASH_KERNEL };
enum machine_action {
    ACTION_RESET, ACTION_POWEROFF, ACTION_POWER_BUTTON, ACTION_NMI, ACTION_NONE, ACTION_FAIL,
    ACTION_PAUSE,               /* who is told (machine.tell) stops the machine */
};

enum machine_news {
    NEWS_STOP,
    NEWS_POWER_BUTTON,
    NEWS_WATCHDOG,
    NEWS_PANIC,
    NEWS_CRASH_KERNEL,
    NEWS_RTC,
    NEWS_BALLOON,
    NEWS_TRAY_OPEN,
    NEWS_TRAY_CLOSED,
    /* A request of a disk failed, and the machine stops, the guest is told, or is not. n: the errno; of a read, negative. */
    NEWS_DISK_STOP,
    NEWS_DISK_REPORT,
    NEWS_DISK_IGNORE
};

/* The image of a device's property romfile. */
struct rom_image {
    const char *name;
    void *data;                                 /* aligned to a page; `len` is a power of two, zeros at the end */
    uint32_t len;
    struct rom_image *next;
};

/* Everything the command line can say about the machine. */
struct machine_config {
    const struct board *board;                  /* boards.h */
    uint64_t ram;
    const struct phys_lent *memory;             /* what that is, `ram` bytes at least; NULL: what the board makes */
    unsigned cpus;
    const char *kernel, *initrd, *append;       /* initrd may be "file args,file args" for multiboot */
    const uint8_t *bios;                        /* the firmware's image, if it is to run */
    size_t bios_len;
    const char *bios_name;
    struct chardev *serial[4];
    unsigned nserial;
    struct chardev *debugcon;
    struct chardev *parallel[3];                /* NULL: a port that goes nowhere */
    unsigned nparallel;
    uint16_t debugcon_port;
    struct {                                    /* -boot, for the firmware */
        const char *order, *once;               /* letters a, c, d, n: floppy, disk, CD, network; NULL: usual */
        char set[5];                            /* what `order` is since a monitor said so */
        bool menu;
        bool strict;                            /* nothing but what has a bootindex, if anything has */
        bool any_floppy;                        /* the firmware boots from floppy disks without a boot signature, too */
        unsigned splash_ms;                     /* how long it waits for the menu's key, 0: its own choice */
        int retry_ms;                           /* from "no bootable device" to a reset, -1: never; 0: its choice */
    } firmware;
    const struct plug_use *devices;             /* plug.h */
    struct rom_image *roms;                     /* what was found of what they name by romfile= */
    struct drive *pflash[2];                    /* flash memory that ends at 4 GiB, and one below */
    uint8_t *flash[2];                          /* what is in them */
    bool flash_secure;                          /* written in SMM alone */
    bool no_smm, no_hpet;
    unsigned ext_tseg;                          /* q35: MiB of memory for SMM firmware is offered, 0: none */
    struct drive *ide[6], *floppy[2];           /* drives of the board's own controllers, NULL: no drive */
    struct display *display;                    /* what shows the video chip's picture, NULL: nothing */
    struct input *input;                        /* input_if.h */
    bool serial_screen;                         /* firmware's text goes to the serial port */
    struct audio *pcspk;                        /* what the speaker plays to, NULL: it is not heard */
    bool no_reboot, no_shutdown;
    uint8_t uuid[16];                           /* as it is written, all zero: none */
    const struct smbios_given *smbios;          /* smbios.h; NULL: nothing */
    const struct fw_file *fw_files;             /* fw_cfg.h: the user's, beside the machine's own */
    bool paused;                                /* -S: nothing runs before it is told to */
    enum machine_action on_watchdog, on_panic;
    int64_t rtc_base;                           /* seconds since 1970, or INT64_MIN: host's UTC */
    bool rtc_localtime;
};

/* Why the machine stopped; the exit code is main's business. */
enum stop_reason { STOP_NONE, STOP_POWEROFF, STOP_RESET, STOP_DEBUG_EXIT, STOP_TRIPLE, STOP_PANIC,
                   STOP_QUIT };

struct machine {
    struct machine_config cfg;
    struct phys *phys;
    struct ports *ports;
    struct clock *clock;
    struct chip_list *chips;
    struct evloop *loop;
    pthread_mutex_t lock;       /* the device lock, recursive */
    struct cpu **cpu;
    unsigned ncpu;              /* 0: a board without processors; cpu is NULL */
    void *ram;                  /* the memfd mapping */
    uint64_t ram_low, ram_high; /* bytes of RAM from 0 up, and from 4 GiB up */
    uint32_t rsdp;              /* physical address of the ACPI RSDP, 0: none */
    volatile int stop;          /* enum stop_reason, with stop_code */
    int stop_code;
    /* wired by the board */
    uint8_t (*int_ack)(struct machine *, unsigned cpu);  /* vector of the highest pending interrupt */
    /* local APIC as the CPU reaches it: MSRs 1Bh, 6E0h, 800h-83Fh and CR8. true: #GP */
    bool (*apic_rdmsr)(struct machine *, unsigned cpu, uint32_t msr, uint64_t *val);
    bool (*apic_wrmsr)(struct machine *, unsigned cpu, uint32_t msr, uint64_t val);
    void (*apic_init)(struct machine *, unsigned cpu);      /* the CPU takes INIT: so does its APIC */
    void (*ferr)(struct machine *, unsigned cpu, bool level);   /* FERR#; NULL: not connected */
    /* SMIACT#: the processor enters or leaves system management mode; NULL: no memory of its own there */
    void (*smi_act)(struct machine *, unsigned cpu, bool on);
    uint8_t (*tpr_get)(struct machine *, unsigned cpu);     /* CR8: TPR bits 7:4 */
    void (*tpr_set)(struct machine *, unsigned cpu, uint8_t cr8);
    /* text mode 3, as firmware leaves it for a kernel; NULL: there is no video. False: it cannot */
    bool (*video_text)(void *video);
    void *video;
    bool text_screen;           /* it is there: the kernel is told of it */
    struct balloon *balloon;    /* virtio/balloon.h; NULL: there is none */
    void *board;
    void (*board_reset)(struct machine *);
    void (*boot_set)(struct machine *); /* cfg.firmware.order has changed; NULL: there is no firmware to tell */
    /* direct boot: puts CPU and memory into the loaded kernel's entry state after each reset */
    void (*boot)(struct machine *);
    struct boot *boot_image;    /* what main/load.c read */
    struct vcpus *vcpus;        /* main/vcpu.c: the vCPU threads */
    void (*settle)(struct machine *);   /* waits until no disk writes to memory any more; NULL: no disks */
    struct memdev *memdevs;     /* host/memdev.h: memory backends, the machine's own among them */
    struct secret *secrets;     /* host/secret.h */
    struct rng_source *rngs;    /* host/rng.h */
    struct drive_arg *drives;   /* main/drives.c */
    struct drive *(*drive)(struct machine *, unsigned n);       /* the n-th of them, NULL behind the last */
    /* The user is told, before what cfg says is done; NULL: nobody listens */
    void (*tell)(struct machine *, enum machine_event, const char *who);
    struct displays *displays;  /* main/displays.c */
    struct control *control;    /* debug/control.h: run control */
    struct pci_bus *pci;        /* the board's; NULL: it has none */
    /* What monitors are told, with the device lock held; NULL: there are none. `n` is the size of a balloon,
       the change of the RTC in seconds, or an enum stop_reason. */
    void (*news)(struct machine *, enum machine_news, const char *who, int64_t n);
    struct monitors *monitors;  /* debug/monitor.h */
    unsigned monitor_cpu;       /* the processor that monitors' commands are about */
    const struct outside *outside;      /* debug/outside.h; NULL: nobody knows it */
    void *outside_arg;
    struct symbols *symbols;    /* base/symbols.h: names of guest addresses; NULL: there are none */
    struct linux_guest *linux_guest;    /* debug/linux_guest.h; NULL: what the guest has in memory is left alone */
    struct profile *profile;    /* debug/profile.h */
    struct gdb *gdb;            /* debug/gdb.h; NULL: no debugger is listened for */
    struct fds *fds;            /* base/fds.h: descriptors that monitors' clients gave us */
    struct migration *migration;        /* debug/migrate.h; NULL: it cannot */
};

/* The CPU side of interrupts, provided to boards by main (so hw sees no CPU header). */
struct cpu_lines {
    void (*intr)(struct machine *, unsigned cpu, bool level);
    void (*nmi)(struct machine *, unsigned cpu);
    void (*init)(struct machine *, unsigned cpu);
    void (*sipi)(struct machine *, unsigned cpu, uint8_t vector);
    void (*smi)(struct machine *, unsigned cpu);
    void (*ignne)(struct machine *, unsigned cpu, bool level);
    void (*a20)(struct machine *, bool on);
    uint64_t (*apic_base)(struct machine *, unsigned cpu);
    /* which vCPU makes the access now being served; -1: none (DMA, the event loop) */
    int (*current)(struct machine *);
    int64_t (*tsc_offset)(struct machine *, unsigned cpu);  /* guest TSC - clock_tsc() */
    bool (*in_smm)(struct machine *);   /* does a vCPU in system management mode make the access now being served? */
    void (*kick)(struct machine *);                         /* m->stop was set: all leave the run loop (ATTN_EXIT) */
};
extern const struct cpu_lines cpu_lines;        /* main/vcpu.c */

void machine_request_stop(struct machine *, enum stop_reason, int code);
/* A watchdog has bitten, a guest panicked; `who` noticed. The device lock is held. */
void machine_event(struct machine *, enum machine_event, const char *who);
static inline void machine_news(struct machine *m, enum machine_news what, const char *who, int64_t n)
{
    if (m->news)
        m->news(m, what, who, n);
}
/* The user presses the power button; the device lock is held. */
void machine_power_button(struct machine *);
/* The machine's memory, cfg.ram bytes: what cfg.memory lends, or made. For boards. */
void *machine_ram(struct machine *);
/* Chips and board back to power-on; the caller resets the CPUs and calls m->boot. All vCPUs parked. */
void machine_reset(struct machine *);
static inline void machine_lock(struct machine *m) { pthread_mutex_lock(&m->lock); }
static inline void machine_unlock(struct machine *m) { pthread_mutex_unlock(&m->lock); }

#endif
