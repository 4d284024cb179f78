/*
 * fw_cfg.h - firmware configuration: what the machine tells its firmware, as items with numbers and as files.
 */
#ifndef HW_FW_CFG_H
#define HW_FW_CFG_H

#include "hw/dev.h"

#define FW_CFG_PORT 0x510       /* selector 2 (the upper one is data too), DMA address 8 from 514h */
#define FW_CFG_LEN  12

enum fw_cfg_key {
    FW_CFG_UUID = 0x02, FW_CFG_RAM_SIZE = 0x03, FW_CFG_NB_CPUS = 0x05, FW_CFG_NUMA = 0x0d,
    FW_CFG_BOOT_MENU = 0x0e, FW_CFG_MAX_CPUS = 0x0f, FW_CFG_IRQ0_OVERRIDE = 0x8002
};

#define FW_CFG_NAME 55u         /* bytes of a file's name, at most */

/* A file that somebody outside the machine gives. */
struct fw_file {
    const char *name;
    const uint8_t *data;
    size_t len;
    const struct fw_file *next;
};

struct fw_cfg;
struct fw_cfg *fw_cfg_new(struct chip_list *, struct ports *, struct phys *);
/* The items' memory; the chip itself goes with its list. */
void fw_cfg_free(struct fw_cfg *);
/* Data is copied. */
void fw_cfg_item(struct fw_cfg *, unsigned key, const void *, size_t len);
void fw_cfg_number(struct fw_cfg *, unsigned key, uint64_t val, unsigned size);        /* little-endian */
/* name: at most FW_CFG_NAME bytes. */
void fw_cfg_file(struct fw_cfg *, const char *name, const void *, size_t len);
bool fw_cfg_has_file(const struct fw_cfg *, const char *name);
/* Other data of the same length. */
void fw_cfg_file_again(struct fw_cfg *, const char *name, const void *, size_t len);
/* fn(arg) is called when the file is selected: it may have to be made again. */
void fw_cfg_file_asked(struct fw_cfg *, const char *name, void (*fn)(void *arg), void *arg);
/* The guest may write it, at most 64 bytes; fn(arg, all of it, its length) is called then. */
void fw_cfg_file_writable(struct fw_cfg *, const char *name, void (*fn)(void *arg, const uint8_t *, size_t), void *arg);
void fw_cfg_file_number(struct fw_cfg *, const char *name, uint64_t val, unsigned size);

#endif
