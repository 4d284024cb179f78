/*
 * e1000_int.h - what the files of the 82540EM share: registers, state.
 */
#ifndef HW_NET_E1000_INT_H
#define HW_NET_E1000_INT_H

#include "hw/net/eeprom93.h"
#include "hw/net/nic.h"

/* Offsets of registers (SDM table 13-2). */
enum {
    R_CTRL = 0x0000, R_STATUS = 0x0008, R_EECD = 0x0010, R_EERD = 0x0014, R_CTRL_EXT = 0x0018, R_FLA = 0x001c,
    R_MDIC = 0x0020, R_FCAL = 0x0028, R_FCAH = 0x002c, R_FCT = 0x0030, R_VET = 0x0038, R_ICR = 0x00c0,
    R_ITR = 0x00c4, R_ICS = 0x00c8, R_IMS = 0x00d0, R_IMC = 0x00d8, R_RCTL = 0x0100, R_FCTTV = 0x0170,
    R_TXCW = 0x0178, R_RXCW = 0x0180, R_TCTL = 0x0400, R_TIPG = 0x0410, R_AIFS = 0x0458, R_LEDCTL = 0x0e00,
    R_PBA = 0x1000, R_FCRTL = 0x2160, R_FCRTH = 0x2168, R_RDFH = 0x2410, R_RDFPC = 0x2430, R_RDBAL = 0x2800,
    R_RDBAH = 0x2804, R_RDLEN = 0x2808, R_RDH = 0x2810, R_RDT = 0x2818, R_RDTR = 0x2820, R_RXDCTL = 0x2828,
    R_RADV = 0x282c, R_RSRPD = 0x2c00, R_TXDMAC = 0x3000, R_TDFH = 0x3410, R_TDFPC = 0x3430, R_TDBAL = 0x3800,
    R_TDBAH = 0x3804, R_TDLEN = 0x3808, R_TDH = 0x3810, R_TDT = 0x3818, R_TIDV = 0x3820, R_TXDCTL = 0x3828,
    R_TADV = 0x382c, R_TSPMT = 0x3830, R_STATS = 0x4000, R_STATS_END = 0x4128, R_RXCSUM = 0x5000,
    R_MTA = 0x5200, R_RA = 0x5400, R_VFTA = 0x5600, R_WUC = 0x5800, R_WUFC = 0x5808, R_WUS = 0x5810,
    R_MANC = 0x5820, R_IPAV = 0x5838, R_IP4AT = 0x5840,
    R_IP6AT = 0x5880, R_WUPL = 0x5900, R_WUPM = 0x5a00,
    R_SWSM = 0x5b50, R_SW_FW_SYNC = 0x5b5c, R_END = 0x5c00
};

/* Statistics. Those of 64 bits have their upper half behind them. */
enum {
    S_MPC = 0x4010, S_XONRXC = 0x4048, S_XOFFRXC = 0x4050, S_PRC64 = 0x405c, S_GPRC = 0x4074, S_BPRC = 0x4078,
    S_MPRC = 0x407c, S_GPTC = 0x4080, S_GORC = 0x4088, S_GOTC = 0x4090, S_RNBC = 0x40a0, S_RUC = 0x40a4,
    S_ROC = 0x40ac, S_TOR = 0x40c0, S_TOT = 0x40c8, S_TPR = 0x40d0, S_TPT = 0x40d4, S_PTC64 = 0x40d8,
    S_MPTC = 0x40f0, S_BPTC = 0x40f4,
    S_TSCTC = 0x40f8, S_TSCTFC = 0x40fc
};

#define CTRL_FD       (1u << 0)
#define CTRL_SLU      (1u << 6)
#define CTRL_FRCSPD   (1u << 11)
#define CTRL_FRCDPX   (1u << 12)
#define CTRL_RST      (1u << 26)
#define CTRL_RFCE     (1u << 27)
#define CTRL_VME      (1u << 30)
#define CTRL_PHY_RST  (1u << 31)
#define STATUS_LU     (1u << 1)

#define INT_TXDW    (1u << 0)
#define INT_TXQE    (1u << 1)
#define INT_LSC     (1u << 2)
#define INT_RXDMT0  (1u << 4)
#define INT_RXO     (1u << 6)
#define INT_RXT0    (1u << 7)
#define INT_MDAC    (1u << 9)
#define INT_TXD_LOW (1u << 15)
#define INT_SRPD    (1u << 16)
#define INT_ALL     0x1f6dfu

#define RCTL_EN     (1u << 1)
#define RCTL_SBP    (1u << 2)
#define RCTL_UPE    (1u << 3)
#define RCTL_MPE    (1u << 4)
#define RCTL_LPE    (1u << 5)
#define RCTL_LBM    (3u << 6)
#define RCTL_BAM    (1u << 15)
#define RCTL_VFE    (1u << 18)
#define RCTL_CFIEN  (1u << 19)
#define RCTL_CFI    (1u << 20)
#define RCTL_PMCF   (1u << 23)
#define RCTL_BSEX   (1u << 25)
#define RCTL_SECRC  (1u << 26)

#define TCTL_EN     (1u << 1)
#define TCTL_PSP    (1u << 3)

#define DESC        16u         /* bytes of a descriptor */
#define FRAME_MAX   16384u      /* bytes of one frame, as the chip's packet buffer limits it (3.2.1: 16288) */
#define PHY_REGS    32
#define VLAN_TAG    4u

/* What a context descriptor said (3.3.6). Sums and places are offsets in the frame. */
struct e1000_ctx {
    uint8_t ipcss, ipcso, tucss, tucso, hdrlen, tucmd;
    uint16_t ipcse, tucse, mss;
    uint32_t paylen;
};

struct e1000 {
    struct pci_dev *pci;
    struct net *net;
    struct clock *clock;
    struct nic_crc crc;
    uint8_t mac[6];
    uint32_t reg[R_END / 4];
    uint32_t io_addr;
    /* interrupts */
    uint8_t line;
    uint64_t last_int;          /* when the line rose */
    struct timer throttle, rx_packet, rx_absolute, tx_packet, tx_absolute;
    /* PHY */
    uint16_t phy[PHY_REGS];
    uint8_t phy_link, phy_link_lost;    /* lost: not told to the guest yet */
    struct timer negotiation;
    struct eeprom93 ee;
    /* the transmitter: one frame, gathered over descriptors */
    struct e1000_ctx ctx[2];    /* 0: checksums, 1: segmentation */
    uint8_t tx_active;          /* a frame has begun */
    uint8_t tx_cmd, tx_popts, tx_bad, tx_cso, tx_css, tx_tse, tx_extended;
    uint16_t tx_special;
    uint32_t tx_len;            /* bytes in frame[] */
    uint32_t tx_left;           /* segmentation: payload that has not been cut yet */
    uint32_t tx_segment;        /* number of the next */
    struct timer tx_more;       /* goes on with a long ring */
    bool sending;               /* in e1000_transmit() */
    uint8_t frame[FRAME_MAX];
};

static inline uint32_t *e1000_reg(struct e1000 *e, unsigned off)
{
    return &e->reg[off / 4];
}

/* e1000.c */
void e1000_cause(struct e1000 *, uint32_t causes);
void e1000_count(struct e1000 *, unsigned stat, uint64_t n);
void e1000_count64(struct e1000 *, unsigned stat, uint64_t n);
/* Frames of this length, by size class; `base` is the first class's counter. Check sequence included. */
void e1000_count_size(struct e1000 *, unsigned base, size_t len);
/* A delay timer in units of 1.024 us. */
void e1000_delay(struct e1000 *, struct timer *, uint32_t units);
bool e1000_link(const struct e1000 *);
bool e1000_phy_loops(const struct e1000 *);

/* e1000_tx.c */
void e1000_transmit(struct e1000 *);    /* what TDT has given */

/* e1000_rx.c */
bool e1000_receive(void *dev, const uint8_t *frame, size_t len);
/* The same, wherever it comes from: loopback. */
bool e1000_receive_frame(struct e1000 *, const uint8_t *frame, size_t len);

#endif
