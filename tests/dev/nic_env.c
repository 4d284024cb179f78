/*
 * nic_env.c - see nic_env.h.
 */
#include "tests/dev/nic_env.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hw/boards.h"

#define IRQ_PCI 32              /* lines of the environment: PCI's from here, ISA's from 0 */

const uint8_t nic_mac[6] = { 0x52, 0x54, 0x00, 0xab, 0xcd, 0xee };

static struct nic_env *of(struct net *n)
{
    return (struct nic_env *)((char *)n - offsetof(struct nic_env, net));
}

static void sent(struct net *n, const uint8_t *frame, size_t len)
{
    struct nic_env *x = of(n);
    unsigned at = x->nsent++ % NIC_SENT;

    ck_assert_uint_le(len, sizeof(x->sent[at].data));
    memcpy(x->sent[at].data, frame, len);
    x->sent[at].len = len;
}

static void ready(struct net *n)
{
    of(n)->nready++;
}

static const struct net_ops ops = { sent, ready };

static void intx(void *to, int n, bool level)
{
    env_set(to, IRQ_PCI + n, level);
}

static struct irq isa_irq(struct machine *m, unsigned irq, unsigned source)
{
    return env_line((struct env *)((char *)m - offsetof(struct env, m)), (int)irq);
}

static struct net *netdev(void *arg, const char *id)
{
    return strcmp(id, "n") == 0 ? arg : NULL;
}

static void set(struct plug_use *use, const char *key, const char *val, struct nic_env *x)
{
    const struct plug_names names = { .netdev = netdev, .arg = &x->net };
    char why[200];

    ck_assert_ptr_nonnull(plug_prop(use->plug, key));
    ck_assert_msg(plug_set(use, plug_prop(use->plug, key), val, &names, why, sizeof(why)), "%s", why);
}

struct nic_env *nic_env_new(const char *name, const char *props)
{
    static const struct board board = { .name = "test" };
    struct nic_env *x = calloc(1, sizeof(*x));
    struct plug_use *use = plug_use_new(plug_find(name));
    char text[200], *save = NULL, mac[18];

    x->e = env_new();
    x->sent = calloc(NIC_SENT, sizeof(*x->sent));
    x->ram = aligned_alloc(65536, NIC_RAM);
    memset(x->ram, 0, NIC_RAM);
    x->seed = 1;
    x->net = (struct net){ .ops = &ops, .id = "n", .up = true };
    phys_map_ram(x->e->phys, 0, NIC_RAM, x->ram, false, "ram");
    x->e->m = (struct machine){ .chips = x->e->chips, .ports = x->e->ports, .phys = x->e->phys,
                                .clock = x->e->clock,
                                .cfg = { .board = &board } };
    x->bus = pci_bus_new(x->e->chips, x->e->ports, x->e->phys, NULL, NULL,
                         (struct irq){ .set = intx, .to = x->e });
    snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", nic_mac[0], nic_mac[1], nic_mac[2],
             nic_mac[3], nic_mac[4],
             nic_mac[5]);
    set(use, "netdev", "n", x);
    set(use, "mac", mac, x);
    snprintf(text, sizeof(text), "%s", props ? props : "");
    for (char *p = strtok_r(text, ",", &save); p; p = strtok_r(NULL, ",", &save)) {
        char *eq = strchr(p, '=');

        *eq = 0;
        set(use, p, eq + 1, x);
    }
    {
        struct plug_env env = { .m = &x->e->m, .pci = x->bus, .isa_irq = isa_irq };

        plugs_make(&env, use);
        plug_buses_free(&env);
    }
    plug_use_free(use);
    for (unsigned reg = 0x10; reg < 0x28; reg += 4) {
        uint32_t v;

        env_config_write(x->e, 0, reg, 0xffffffff, 4);
        v = env_config_read(x->e, 0, reg, 4);
        env_config_write(x->e, 0, reg, v && v != UINT32_MAX ? v & 1 ? NIC_PORTS : NIC_MMIO : 0, 4);
        if (v && !(v & 1))
            reg = 0x14;         /* the next can be but ports */
    }
    env_config_write(x->e, 0, 4, 7, 2);
    return x;
}

void nic_env_free(struct nic_env *x)
{
    env_check_state(x->e);
    env_free(x->e);
    free(x->ram);
    free(x->sent);
    free(x);
}

bool nic_line(struct nic_env *x)
{
    bool level = false;

    for (unsigned i = 0; i < 36; i++)
        level |= x->e->line[i];
    return level;
}

bool nic_give(struct nic_env *x, const uint8_t *frame, size_t len)
{
    /* Exactly that long, so that reading beyond is found. */
    uint8_t *copy = malloc(len);
    bool taken;

    memcpy(copy, frame, len);
    taken = x->net.user->receive(x->net.dev, copy, len);
    free(copy);
    return taken;
}

void nic_plug(struct nic_env *x, bool up)
{
    x->net.up = up;
    x->net.user->link(x->net.dev, up);
}

uint32_t nic_random(struct nic_env *x)
{
    x->seed ^= x->seed << 13;
    x->seed ^= x->seed >> 7;
    x->seed ^= x->seed << 17;
    return (uint32_t)(x->seed >> 16);
}

void nic_frame(struct nic_env *x, uint8_t *frame, size_t len, const uint8_t *to, unsigned type)
{
    static const uint8_t from[6] = { 2, 0, 0, 0, 0, 1 };

    memcpy(frame, to, 6);
    memcpy(frame + 6, from, 6);
    put_be16(frame + 12, type);
    for (size_t i = 14; i < len; i++)
        frame[i] = (uint8_t)nic_random(x);
}

uint16_t nic_plain_sum(const uint8_t *p, size_t len, uint32_t start)
{
    uint32_t sum = start;

    for (size_t i = 0; i < len; i++) {
        sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)sum;
}

uint32_t nic_plain_crc(const uint8_t *p, size_t len)
{
    uint32_t crc = 0xffffffff;

    for (size_t i = 0; i < 8 * len; i++)
        crc = crc >> 1 ^ ((crc ^ p[i / 8] >> i % 8) & 1 ? 0xedb88320u : 0);
    return ~crc;
}

void nic_tcp_frame(struct nic_env *x, uint8_t *frame, size_t len, const uint8_t *to, bool udp)
{
    uint8_t *ip = frame + 14, *l4 = ip + 20, *sum = l4 + (udp ? 6 : 16);
    uint32_t n = (uint32_t)len - 34;

    nic_frame(x, frame, len, to, 0x0800);
    ip[0] = 0x45;
    put_be16(ip + 2, (uint32_t)len - 14);
    put_be16(ip + 6, 0);
    ip[9] = udp ? 17 : 6;
    put_be16(ip + 10, 0);
    put_be16(ip + 10, (uint16_t)~nic_plain_sum(ip, 20, 0));
    l4[12] = 0x50;
    if (udp)
        put_be16(l4 + 4, n);
    put_be16(sum, 0);
    put_be16(sum, (uint16_t)~nic_plain_sum(l4, n, nic_plain_sum(ip + 12, 8, ip[9] + n)));
}
