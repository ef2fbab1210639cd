/* The TIA's common reads and writes, inlined into the CPU.
 *
 * A program writes about a thousand TIA registers a frame, of which ninety change anything.
 */
#ifndef FASTPONG_TIA_H
#define FASTPONG_TIA_H

#include "console.h"

/* Registers, by their addresses (Stella Programmer's Guide, "TIA registers"). */
enum {
    VSYNC, VBLANK, WSYNC, RSYNC, NUSIZ0, NUSIZ1, COLUP0, COLUP1, COLUPF, COLUBK, CTRLPF, REFP0,
    REFP1, PF0, PF1, PF2, RESP0, RESP1, RESM0, RESM1, RESBL, AUDC0, AUDC1, AUDF0, AUDF1, AUDV0,
    AUDV1, GRP0, GRP1, ENAM0, ENAM1, ENABL, HMP0, HMP1, HMM0, HMM1, HMBL, VDELP0, VDELP1, VDELBL,
    RESMP0, RESMP1, HMOVE, HMCLR, CXCLR,
};
enum { CXM0P, CXPPMM = 7, INPT0 = 8, INPT3 = 11, INPT4, INPT5 };

#define REGISTERS(first, last) (((2ull << ((last) - (first))) - 1) << (first))

/* Registers for which writing the same value again changes nothing. */
#define STABLE_REGISTERS \
    (REGISTERS(NUSIZ0, PF2) | REGISTERS(ENAM0, ENABL) | REGISTERS(HMP0, VDELBL))
/* Sound, and RSYNC, which no game uses. */
#define SILENT_REGISTERS (REGISTERS(AUDC0, AUDV1) | REGISTERS(RSYNC, RSYNC))

/* Return the cycle's place in its line. */
static inline int32_t tia_line_cycle(Tia *tia, int32_t cycle) {
    int32_t start = tia->cpu_line;
    while (cycle - start >= CYCLES_PER_LINE) start += CYCLES_PER_LINE;
    tia->cpu_line = start;
    return cycle - start;
}

static inline void tia_write(Console *console, const Board *board, unsigned reg, uint8_t value,
                             int32_t cycle) {
    Tia *tia = &console->tia;
    reg &= 63;
#ifdef LATE_WRITES_END_FRAMES
    if (cycle >= MAX_CYCLES) console->frame_ended = 1;
#endif
    if (STABLE_REGISTERS >> reg & 1) {
        if (tia->written[reg] == value) return;
        tia->written[reg] = value;
    } else if (SILENT_REGISTERS >> reg & 1) {
        return;
    } else if (reg == GRP0) {
        if (tia->grp[0] == value && tia->grp_old[1] == tia->grp[1]) return;
    } else if (reg == GRP1) {
        if (tia->grp[1] == value && tia->grp_old[0] == tia->grp[0] &&
            tia->enabl_old == tia->enabl) return;
    } else if (reg == WSYNC) {
        int32_t at = tia_line_cycle(tia, cycle);
        if (at) console->halt = CYCLES_PER_LINE - at;
        return;
    }
    tia_write_slow(console, board, reg, value, cycle);
}

static inline uint8_t tia_read(Console *console, const Board *board, unsigned reg, uint8_t bus,
                               int32_t cycle) {
    const Tia *tia = &console->tia;
    reg &= 15;
    if (reg >= INPT0 && reg <= INPT3) {
        /* A paddle reads 1 once its capacitor has charged. VBLANK's bit 7 keeps it empty. */
        bool charged = !(tia->vblank & 0x80) && cycle - tia->released > tia->charge[reg - INPT0];
        return (bus & 0x3F) | (charged ? 0x80 : 0);
    }
    return tia_read_slow(console, board, reg, bus, cycle);
}

#endif
