/* probe.c - see probe.h. */
#include "block/probe.h"

#include <string.h>

static const struct magic {
    const char *format;
    size_t at, len;
    const char *bytes;
} magics[] = {
    { "qcow2", 0, 4, "QFI\xfb" },       /* version 1 (qcow), too: qcow2_open() says so */
    { "qed", 0, 4, "QED\0" },
    { "vmdk", 0, 4, "KDMV" },
    { "vmdk", 0, 4, "COWD" },
    { "vmdk", 0, 21, "# Disk DescriptorFile" },
    { "vhdx", 0, 8, "vhdxfile" },
    { "vpc", 0, 8, "conectix" },
    { "vdi", 64, 4, "\x7f\x10\xda\xbe" },
    { "parallels", 0, 16, "WithoutFreeSpace" },
    { "parallels", 0, 16, "WithouFreSpacExt" },
    { "luks", 0, 6, "LUKS\xba\xbe" },
    { "bochs", 0, 22, "Bochs Virtual HD Image" },
    { "cloop", 0, 22, "#!/bin/sh\n#V2.0 Format" },
};

const char *probe_format(const void *first, size_t len, const char **refused)
{
    *refused = NULL;
    for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++) {
        const struct magic *m = &magics[i];

        if (m->at + m->len <= len && memcmp((const char *)first + m->at, m->bytes, m->len) == 0) {
            if (i)
                *refused = "this format is not supported: convert it by qemu-img convert -O qcow2, or if it "
                    "is the guest's own data, say -f raw (format=raw)";
            return m->format;
        }
    }
    return "raw";
}
