/*
 * data.c - where the data of an NVMe command is: PRP entries and lists, and SGLs (NVM
 * Express 1.4, 4.3 and 4.4).
 *
 * What is found are pieces of guest RAM, for the disk to read and write without a copy.
 * Invariant: the pieces of a command that was mapped add up to the length asked for.  Each step of a list
 * takes at least one page of data, or (SGL) one of a bounded number of descriptors: lists that loop end.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "hw/nvme/nvme_int.h"

#define SGL_MAX       1024u     /* descriptors of a command, of all kinds */
#define SGL_LEN       16u
#define SGL_DATA      0x0
#define SGL_BUCKET    0x1
#define SGL_SEGMENT   0x2
#define SGL_LAST      0x3

static void piece(struct nvme_cmd *c, uint64_t pa, void *host, uint64_t len)
{
    struct disk_buf *last = c->nbufs ? &c->bufs[c->nbufs - 1] : NULL;

    c->bytes += len;
    if (last && (uint8_t *)last->data + last->len == host && c->pa[c->nbufs - 1] + last->len == pa) {
        last->len += len;
        return;
    }
    if (c->nbufs == c->room) {
        unsigned room = c->room ? 2 * c->room : 16;
        struct disk_buf *bufs = realloc(c->bufs, room * sizeof(*bufs));
        uint64_t *pas = realloc(c->pa, room * sizeof(*pas));

        if (!bufs || !pas)
            die(EXIT_CODE_HOST, "out of memory for an NVMe command");
        c->bufs = bufs;
        c->pa = pas;
        c->room = room;
    }
    c->bufs[c->nbufs] = (struct disk_buf){ host, len };
    c->pa[c->nbufs++] = pa;
}

static bool add(struct nvme_cmd *c, uint64_t pa, uint64_t len, bool in)
{
    while (len) {
        uint64_t run;
        void *host = pci_dma_host(c->s->pci, pa, len, in, &run);

        if (!host)
            return false;
        piece(c, pa, host, run);
        pa += run;
        len -= run;
    }
    return true;
}

/* ---- PRP ---- */

/* A list at `list`, which may begin anywhere in its page; the last entry of a page that does not end the
   list is the address of the next page of it. */
static uint16_t prp_list(struct nvme_cmd *c, uint64_t list, uint64_t left, uint64_t page, bool in)
{
    uint8_t entry[64 * 8];
    unsigned have = 0, at = 0;          /* bytes of entry[] */

    while (left) {
        uint64_t to_end = page - (list & (page - 1)), prp;

        if (at == have) {
            uint64_t want = (left + page - 1) / page * 8;

            have = want < sizeof(entry) ? want : sizeof(entry);
            have = have < to_end ? have : to_end;
            at = 0;
            if (!pci_dma_read(c->s->pci, list, entry, have))
                return NVME_BAD_DATA;
        }
        prp = nvme_get(entry + at, 8);
        at += 8;
        if (prp & (page - 1))
            return NVME_BAD_PRP;
        if (to_end == 8 && left > page) {
            list = prp;
            at = have = 0;
            continue;
        }
        list += 8;
        if (!add(c, prp, left < page ? left : page, in))
            return NVME_BAD_DATA;
        left -= left < page ? left : page;
    }
    return NVME_OK;
}

static uint16_t map_prp(struct nvme_cmd *c, uint64_t len, bool in)
{
    uint64_t page = (uint64_t)4096 << (c->s->cc >> 7 & 15);
    uint64_t prp1 = c->dw[6] | (uint64_t)c->dw[7] << 32, prp2 = c->dw[8] | (uint64_t)c->dw[9] << 32;
    uint64_t first = page - (prp1 & (page - 1));

    if (prp1 & 3)
        return NVME_BAD_PRP;
    if (first > len)
        first = len;
    if (!add(c, prp1, first, in))
        return NVME_BAD_DATA;
    len -= first;
    if (!len)
        return NVME_OK;
    if (len > page)
        return prp2 & 7 ? NVME_BAD_PRP : prp_list(c, prp2, len, page, in);
    if (prp2 & (page - 1))
        return NVME_BAD_PRP;
    return add(c, prp2, len, in) ? NVME_OK : NVME_BAD_DATA;
}

/* ---- SGL ---- */

static uint16_t sgl_data(struct nvme_cmd *c, const uint8_t *d, uint64_t *left, bool in)
{
    uint64_t pa = nvme_get(d, 8), len = nvme_get(d + 8, 4);

    if (len > *left)
        return NVME_BAD_SGL_LENGTH;
    *left -= len;
    return add(c, pa, len, in) ? NVME_OK : NVME_BAD_DATA;
}

static uint16_t map_sgl(struct nvme_cmd *c, uint64_t len, bool in)
{
    uint8_t d[SGL_LEN];
    uint64_t left = len, at = 0, end = 0;       /* the segment being read */
    bool last = true;
    unsigned n = 0;

    for (unsigned i = 0; i < SGL_LEN / 4; i++)
        nvme_put(d + 4 * i, 4, c->dw[6 + i]);
    for (;;) {
        unsigned type = d[15] >> 4;
        uint16_t status;

        if (++n > SGL_MAX)
            return NVME_BAD_SGL_COUNT;
        if (d[15] & 15)         /* sub type: only "address" */
            return NVME_BAD_SGL_TYPE;
        if (type == SGL_DATA) {
            status = sgl_data(c, d, &left, in);
            if (status)
                return status;
        } else if (type == SGL_SEGMENT || type == SGL_LAST) {
            uint64_t bytes = nvme_get(d + 8, 4);

            /* Only as a segment's last descriptor, or as the command's own. */
            if (at != end || (n > 1 && last) || !bytes || bytes % SGL_LEN)
                return NVME_BAD_SGL_SEGMENT;
            at = nvme_get(d, 8);
            end = at + bytes;
            last = type == SGL_LAST;
        } else {
            if (type == SGL_BUCKET)
                log_msg(LOG_UNIMP, "nvme: SGL bit bucket descriptors are not supported");
            return NVME_BAD_SGL_TYPE;
        }
        if (at == end)
            break;
        if (!pci_dma_read(c->s->pci, at, d, SGL_LEN))
            return NVME_BAD_DATA;
        at += SGL_LEN;
    }
    if (!last)
        return NVME_BAD_SGL_SEGMENT;
    return left ? NVME_BAD_SGL_LENGTH : NVME_OK;
}

uint16_t nvme_map(struct nvme_cmd *c, uint64_t len, bool in)
{
    unsigned psdt = c->dw[0] >> 14 & 3;

    c->nbufs = 0;
    c->bytes = 0;
    if (psdt == 0)
        return map_prp(c, len, in);
    /* Over PCIe admin commands have no SGLs. */
    if (psdt == 3 || !c->sq)
        return NVME_BAD_FIELD;
    return map_sgl(c, len, in);
}

/* ---- copies ---- */

void nvme_data_written(struct nvme_cmd *c)
{
    for (unsigned i = 0; i < c->nbufs; i++)
        pci_dma_written(c->s->pci, c->pa[i], c->bufs[i].len);
}

void nvme_data_put(struct nvme_cmd *c, const void *from)
{
    const uint8_t *p = from;

    for (unsigned i = 0; i < c->nbufs; p += c->bufs[i++].len)
        memcpy(c->bufs[i].data, p, c->bufs[i].len);
    nvme_data_written(c);
}

void nvme_data_get(struct nvme_cmd *c, void *to)
{
    uint8_t *p = to;

    for (unsigned i = 0; i < c->nbufs; p += c->bufs[i++].len)
        memcpy(p, c->bufs[i].data, c->bufs[i].len);
}
