/*
 * board_none.c - board "none": memory from 0 up, if -m asked for any, and neither processor nor bus nor device. Nothing runs:
 * it is there for who asks by QMP what Latimer can do before a machine is made, as libvirt does.
 */
#include "hw/boards.h"
#include "hw/clock.h"
#include "hw/plug.h"

static void init(struct machine *m)
{
    struct plug_env env = { .m = m };

    m->phys = phys_new(&m->lock);
    m->ports = ports_new();
    m->chips = chips_new();
    if (m->cfg.ram) {
        m->ram = machine_ram(m);
        m->ram_low = m->cfg.ram;
        phys_map_ram(m->phys, 0, m->ram_low, m->ram, false, "ram");
    }
    plugs_make(&env, m->cfg.devices);           /* says what bus is missing */
}

static void board_free(struct machine *m)
{
    chips_free(m->chips);
    ports_free(m->ports);
    phys_free(m->phys);
    clock_free(m->clock);
}

static void power_button(struct machine *m)
{
}

const struct board board_none = {
    "none", "no processor and no device, for questions by QMP", .bare = true, .ram_id = "ram", .init = init,
    .free = board_free, .power_button = power_button
};
