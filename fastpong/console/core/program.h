/* A cartridge as the interpreter runs it: every address decoded once, with its handler. */
#ifndef FASTPONG_PROGRAM_H
#define FASTPONG_PROGRAM_H

#include "console.h"

typedef struct {
    const void *handler; /* an address in cpu_run, or a number where labels have no addresses */
    uint16_t target;     /* a branch's or jump's index into the decoded cartridge */
    uint8_t operand[2];
    uint8_t value;        /* what a read of the cartridge's own bytes yields */
    uint8_t taken_cycles; /* that a taken branch costs more than one not taken */
    uint8_t opcode, variant;
} Decoded;

/* What translated code calls. See translation.h. */
typedef struct {
    uint8_t (*read)(Console *, const Board *, unsigned address, uint8_t bus, int32_t cycle);
    void (*write)(Console *, const Board *, unsigned address, uint8_t value, int32_t cycle);
    uint8_t (*tia_read)(Console *, const Board *, unsigned reg, uint8_t bus, int32_t cycle);
    void (*tia_write)(Console *, const Board *, unsigned reg, uint8_t value, int32_t cycle);
    uint8_t (*riot_read)(Riot *, unsigned address, int32_t cycle);
    void (*riot_write)(Riot *, unsigned address, uint8_t value, int32_t cycle);
    int32_t (*idle_rounds)(const Riot *, int32_t cycle, int32_t round);
} Services;

/* Run from an entry. Returns whether the frame is over. If not, the CPU is at an instruction that
   the interpreter must run. */
typedef int32_t (*Translated)(Console *, const Board *);

typedef struct Program {
    uint8_t rom[ROM_SIZE];
    /* Beyond the end the CPU leaves the cartridge: bit 12 of its address changes. */
    Decoded decoded[ROM_SIZE + 3];
    const void *plain[ROM_SIZE]; /* the handlers without translated code */
    Translated translated;       /* NULL: nothing was translated */
    Services services;
} Program;

/* Decode a cartridge of 2048 or 4096 bytes. Returns whether the size is one of these. */
bool program_init(Program *program, const uint8_t *rom, int32_t size);

/* One handler of an instruction, as cpu.c lists them: the special ones of an opcode first. */
typedef struct {
    const void *handler;
    uint8_t opcode, variant, length;
} Handler;

/* Handlers in a row that are run as one. */
typedef struct {
    const void *handler;
    uint8_t count;
    uint16_t parts[6]; /* opcode | variant << 8 */
} Fused;

typedef struct {
    const Handler *handlers;
    int32_t handler_count;
    const Fused *fused; /* longest first */
    int32_t fused_count;
    const void *outside;    /* runs whatever was not decoded */
    const void *wait_timer; /* runs LDA INTIM, BNE to itself */
    const void *translated; /* runs machine code of translation.h */
} Handlers;

/* --- cpu.c --------------------------------------------------------------------------------- */

Handlers cpu_handlers(void);

/* Run until VSYNC ends the frame, or somewhere after MAX_CYCLES. */
void cpu_run(Console *console, const Board *board);

/* --- step.c -------------------------------------------------------------------------------- */

/* Run one instruction from anywhere in memory. */
void cpu_step(Console *console, const Board *board);

#endif
