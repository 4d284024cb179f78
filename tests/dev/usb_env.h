/*
 * usb_env.h - for tests of USB devices and controllers: disks in memory for usb-storage, devices by their
 * ports, packets given to a device without a controller.
 */
#ifndef TESTS_DEV_USB_ENV_H
#define TESTS_DEV_USB_ENV_H

#include "hw/usb/usb.h"
#include "tests/dev/bus_env.h"
#include "tests/dev/virtio_env.h"

#define USB_DISK_SIZE (4u << 20)
#define USB_CD_SIZE   (1u << 20)

/* A machine with drives d0 (a disk), d1 (a CD) and d2 (a disk that is read-only). */
struct usb_env {
    struct bus_env *b;
    struct vt_disk *disk[3];
};

struct usb_env *usb_env_new(void);
void usb_env_free(struct usb_env *);
/* All that the disks were asked for is done; returns how many requests that were. */
unsigned usb_env_run(struct usb_env *);
/* What is in that port, "1.2", of the bus called `bus`. */
struct usb_dev *usb_env_device(struct usb_env *, const char *bus, const char *path);
/* A control transfer; returns the bytes of data, or an answer. */
int usb_env_control(struct usb_dev *, unsigned type, unsigned request, unsigned value, unsigned index,
                    unsigned len, uint8_t *buf);

#endif
