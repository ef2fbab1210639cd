/* The console: 6507, RIOT and TIA in one plain struct, and what the chips offer each other.
 *
 * Everything here is a function of its Console: no globals that change, no allocation, no Python.
 * A Console holds no pointer, so copying it saves and restores it, in any process.
 *
 * Time is counted in CPU cycles (1.19 MHz) and colour clocks (three a cycle, 228 a line) from the
 * frame's origin, the start of the line in which the last frame ended.
 */
#ifndef FASTPONG_CONSOLE_H
#define FASTPONG_CONSOLE_H

#include <stdbool.h>
#include <stdint.h>

enum {
    CYCLES_PER_LINE = 76,
    CLOCKS_PER_LINE = 228,
    BLANK_CLOCKS = 68, /* of a line's clocks, before its first pixel */
    WIDTH = 160,       /* pixels of a line */
    /* A frame that the program has not ended by then ends at the next write to the TIA, or after
       so many instructions. Found by a black box: docs/design/console.md. */
    MAX_LINES = 291,
    MAX_CYCLES = MAX_LINES * CYCLES_PER_LINE,
    MAX_INSTRUCTIONS = 25000,
    ROM_SIZE = 4096, /* 2K cartridges appear twice */
};

/* Objects that the TIA draws, in the order of their masks. */
enum { PLAYFIELD, BALL, MISSILE0, MISSILE1, PLAYER0, PLAYER1, OBJECTS };

#define OBJECT(o) (1u << (o))

typedef struct {
    uint64_t word[3]; /* bit x of 160: the object covers pixel x */
} Mask;

typedef struct {
    uint8_t a, x, y, sp;
    uint8_t n, z;    /* N is bit 7 of n. Z is set when z is 0. */
    uint8_t c, v, d, i; /* 0 or 1 */
    uint16_t pc;
    int32_t cycle; /* since the frame's origin */
} Cpu;

typedef struct {
    int32_t timer_set;  /* cycle of the last write to TIMxT */
    uint8_t timer_value, timer_shift;
    uint8_t timer_was_read, timer_first_read; /* INTIM past 0: if, and how many cycles past */
    uint8_t port_a, port_b;           /* pins as the controllers and switches drive them */
    uint8_t direction_a;              /* written and read back, and without effect */
} Riot;

typedef struct {
    int32_t drawn;      /* colour clocks drawn so far */
    int32_t line_clock; /* first clock of the line that `drawn` is in */
    int32_t line;       /* its number */
    int32_t cpu_line;   /* first cycle of the CPU's line, or of one before it */
    int32_t vsync_end;  /* clock from which on clearing VSYNC ends the frame */
    int32_t released;   /* cycle at which the paddles' capacitors began to charge */
    int32_t charge[4];  /* cycles that each takes */
    uint8_t vsync, vblank;
    uint8_t nusiz[2], colup[2], colupf, colubk, ctrlpf, refp[2], pf[3];
    uint8_t grp[2], grp_old[2]; /* old: the copy that VDELP shows */
    uint8_t enam[2], enabl, enabl_old, vdelp[2], vdelbl, resmp[2];
    uint8_t motion[OBJECTS], position[OBJECTS];
    uint8_t written[64]; /* last value of each register whose rewriting changes nothing */
    uint8_t skip_main;   /* objects whose first copy is not drawn on this line */
    uint8_t button[2]; /* 0x80 or, pressed, 0 */
    uint8_t reflected; /* the playfield's right half, on this line */
    uint8_t comb;      /* HMOVE blanks the first 8 pixels: 1 of this line, 2 of the next one */
    uint8_t dirty;  /* objects whose masks are out of date */
    uint8_t active; /* objects that have any pixel */
    uint16_t collisions;
    Mask mask[OBJECTS];
} Tia;

typedef struct {
    uint8_t ram[128];
    Cpu cpu;
    Riot riot;
    Tia tia;
    int32_t halt;        /* cycles that WSYNC makes the CPU wait */
    uint8_t frame_ended; /* VSYNC was cleared */
    uint8_t jammed;      /* an opcode stopped the CPU for good */
} Console;

/* What a console is plugged into. Shared by consoles, except for the screen. */
typedef struct {
    const struct Program *program; /* the predecoded cartridge, see program.h */
    uint8_t *screen;               /* (rows, 160) colours, or NULL: draw nothing */
    int32_t first_line, rows;      /* lines that the television shows */
} Board;

/* --- console.c ----------------------------------------------------------------------------- */

/* Power on, with every byte of RAM 0 and the CPU at the reset vector. */
void console_init(Console *console, const struct Program *program);

/* Say whether a Console that came from a file can be run without leaving its memory. */
bool console_is_valid(const Console *console);

/* Run until the frame ends. Returns the lines that it took. */
int32_t console_frame(Console *console, const Board *board);

/* Draw what is left of a frame and move the origin. Returns the lines that it took. */
int32_t console_end_frame(Console *console, const Board *board);

/* --- tia.c --------------------------------------------------------------------------------- */

void tia_init(Tia *tia);
bool tia_is_valid(const Tia *tia);

/* Bring the picture and the collisions up to a colour clock. */
void tia_draw(Tia *tia, const Board *board, int32_t clock);

/* Move the frame's origin to the CPU's line and return the cycles it moved by. */
int32_t tia_rebase(Tia *tia, int32_t cycle);

/* The general cases of tia_read and tia_write in tia.h. */
uint8_t tia_read_slow(Console *console, const Board *board, unsigned reg, uint8_t bus,
                      int32_t cycle);
void tia_write_slow(Console *console, const Board *board, unsigned reg, uint8_t value,
                    int32_t cycle);

/* --- riot.c -------------------------------------------------------------------------------- */

void riot_init(Riot *riot);
bool riot_is_valid(const Riot *riot);
void riot_rebase(Riot *riot, int32_t cycles);
uint8_t riot_read(Riot *riot, unsigned address, int32_t cycle);
void riot_write(Riot *riot, unsigned address, uint8_t value, int32_t cycle);

/* Return how many rounds of LDA INTIM, BNE to itself are sure to go on. */
int32_t riot_idle_rounds(const Riot *riot, int32_t cycle, int32_t round);

#endif
