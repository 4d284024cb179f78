/*
 * hid.h - USB keyboard, mouse and tablet, seen by who operates them.
 *
 * Keys have the numbers of Linux' evdev interface. dz > 0: the wheel was turned towards the user. Buttons:
 * 1 left, 2 right, 4 middle, 8 and 16 those at the side.
 */
#ifndef HW_USB_HID_H
#define HW_USB_HID_H

#include "hw/usb/usb.h"

#define USB_HID_ABS_MAX 0x7fffu         /* positions: 0 is the left or upper edge, this the other one */
#define USB_HID_SCROLL_LOCK 1u
#define USB_HID_NUM_LOCK    2u
#define USB_HID_CAPS_LOCK   4u

enum usb_hid_kind { USB_HID_KEYBOARD, USB_HID_MOUSE, USB_HID_TABLET };

struct usb_hid;

void usb_hid_key(void *keyboard, unsigned key, bool down);
unsigned usb_hid_leds(void *keyboard);
void usb_hid_move(void *mouse, int dx, int dy, int dz, unsigned buttons);
void usb_hid_place(void *tablet, unsigned x, unsigned y, int dz, unsigned buttons);
bool usb_hid_in_use(void *hid);         /* the guest has configured it */

#endif
