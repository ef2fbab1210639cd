/* The TIA: what is drawn, what collides, what its registers read.
 *
 * The picture is drawn late: registers change, and only when a change would be seen is everything
 * up to that colour clock drawn with the registers as they were. An object is a mask of 160 bits,
 * a collision an AND of two masks.
 *
 * Sources: Steve Wright, "Stella Programmer's Guide" (1979). Andrew Towers, "Atari 2600 TIA
 * Hardware Notes" (2003). What a black box showed beyond them: docs/design/console.md.
 */
#include "tia.h"

#include <string.h>

#ifdef _MSC_VER
#include <intrin.h>
static inline int lowest_bit(uint64_t bits) {
    unsigned long index;
    _BitScanForward64(&index, bits);
    return (int)index;
}
#else
static inline int lowest_bit(uint64_t bits) { return __builtin_ctzll(bits); }
#endif

enum { LAST_BLANK_HMOVE = 20 }; /* the cycle up to which HMOVE lengthens its line's blank */

static const int32_t NEVER = INT32_MAX;
static const int32_t LONG_AGO = -(1 << 30); /* cycles: further back it counts as this */

void tia_init(Tia *tia) {
    *tia = (Tia){
        .vsync_end = NEVER,
        .charge = {NEVER, NEVER, NEVER, NEVER},
        .button = {0x80, 0x80},
        .dirty = (1 << OBJECTS) - 1,
    };
}

bool tia_is_valid(const Tia *tia) {
    for (int o = 0; o < OBJECTS; o++)
        if (tia->position[o] >= WIDTH) return false;
    for (int o = 0; o < OBJECTS; o++)
        if (tia->mask[o].word[2] >> 32) return false;
    return tia->line >= 0 && tia->line <= MAX_LINES && tia->cpu_line == 0 &&
           tia->line_clock == tia->line * CLOCKS_PER_LINE && tia->drawn >= tia->line_clock &&
           tia->drawn < tia->line_clock + CLOCKS_PER_LINE && !(tia->dirty >> OBJECTS) &&
           !(tia->active >> OBJECTS) && !(tia->skip_main >> OBJECTS) &&
           tia->reflected <= 1 && tia->comb <= 2 &&
           tia->released >= LONG_AGO && tia->released <= CYCLES_PER_LINE &&
           (tia->vsync_end == NEVER ||
            (tia->vsync_end >= 0 && tia->vsync_end <= 2 * CLOCKS_PER_LINE));
}

int32_t tia_rebase(Tia *tia, int32_t cycle) {
    tia_line_cycle(tia, cycle);
    int32_t moved = tia->cpu_line;
    tia->cpu_line = 0;
    tia->drawn -= 3 * moved;
    tia->line_clock -= 3 * moved;
    tia->line = tia->line_clock / CLOCKS_PER_LINE;
    tia->released = tia->released < LONG_AGO + moved ? LONG_AGO : tia->released - moved;
    if (tia->vsync_end != NEVER)
        tia->vsync_end = tia->vsync_end < 3 * moved ? 0 : tia->vsync_end - 3 * moved;
    return moved;
}

/* --- masks --------------------------------------------------------------------------------- */

/* Stretch 8 bits to 8 * times: each becomes `times` equal ones, 1, 2 or 4. */
static uint32_t stretched(uint32_t bits, int times) {
    if (times == 4) {
        bits = (bits | bits << 12) & 0x000F000F;
        bits = (bits | bits << 6) & 0x03030303;
        bits = (bits | bits << 3) & 0x11111111;
        return bits * 15;
    }
    if (times == 2) {
        bits = (bits | bits << 4) & 0x0F0F;
        bits = (bits | bits << 2) & 0x3333;
        bits = (bits | bits << 1) & 0x5555;
        return bits * 3;
    }
    return bits;
}

static uint8_t reversed(uint8_t bits) {
    bits = (uint8_t)(bits >> 4 | bits << 4);
    bits = (uint8_t)((bits & 0xCC) >> 2 | (bits & 0x33) << 2);
    return (uint8_t)((bits & 0xAA) >> 1 | (bits & 0x55) << 1);
}

/* Add a pattern of up to 32 pixels at x, from the right edge on to the left one. */
static void add_pattern(Mask *mask, uint32_t pattern, int x) {
    x %= WIDTH;
    int word = x >> 6, shift = x & 63;
    mask->word[word] |= (uint64_t)pattern << shift;
    if (word < 2 && shift) mask->word[word + 1] |= (uint64_t)pattern >> (64 - shift);
    if (word == 2) {
        mask->word[0] |= mask->word[2] >> 32;
        mask->word[2] &= 0xFFFFFFFF;
    }
}

/* Pixels from the first copy to the second and third, by NUSIZ's low bits. 0: no copy. */
static const uint8_t COPIES[8][2] = {{0, 0},  {16, 0}, {32, 0},  {16, 32},
                                     {64, 0}, {0, 0},  {32, 64}, {0, 0}};

static void add_copies(Mask *mask, uint32_t pattern, int x, unsigned nusiz, bool skip_main) {
    if (!skip_main) add_pattern(mask, pattern, x);
    for (int copy = 0; copy < 2; copy++) {
        int offset = COPIES[nusiz & 7][copy];
        if (offset) add_pattern(mask, pattern, x + offset);
    }
}

/* Each of these builds a mask in place, unless nothing of the object is seen. Building it elsewhere
   and copying it stalls: two words are stored singly and then loaded as one. */
static const Mask NONE = {{0, 0, 0}};

static bool build_playfield(Tia *tia, Mask *mask) {
    if (!(tia->pf[0] >> 4 | tia->pf[1] | tia->pf[2])) return false;
    *mask = NONE;
    uint32_t first = stretched(tia->pf[0] >> 4, 4); /* 4 bits, 16 pixels, drawn lowest first */
    uint32_t second = stretched(reversed(tia->pf[1]), 4);
    uint32_t third = stretched(tia->pf[2], 4);
    add_pattern(mask, first, 0);
    add_pattern(mask, second, 16);
    add_pattern(mask, third, 48);
    if (tia->reflected) { /* the right half mirrored */
        add_pattern(mask, stretched(reversed(tia->pf[2]), 4), 80);
        add_pattern(mask, stretched(tia->pf[1], 4), 112);
        add_pattern(mask, stretched(reversed(tia->pf[0]) & 15, 4), 144);
    } else {
        add_pattern(mask, first, 80);
        add_pattern(mask, second, 96);
        add_pattern(mask, third, 128);
    }
    return true;
}

static bool build_ball(Tia *tia, Mask *mask) {
    int width = 1 << (tia->ctrlpf >> 4 & 3);
    if (!(tia->vdelbl ? tia->enabl_old : tia->enabl)) return false;
    *mask = NONE;
    add_pattern(mask, (1u << width) - 1, tia->position[BALL]);
    return true;
}

static bool build_missile(Tia *tia, Mask *mask, int which) {
    unsigned nusiz = tia->nusiz[which];
    int width = 1 << (nusiz >> 4 & 3), object = MISSILE0 + which;
    if (!tia->enam[which] || tia->resmp[which]) return false;
    *mask = NONE;
    add_copies(mask, (1u << width) - 1, tia->position[object], nusiz,
               tia->skip_main & OBJECT(object));
    return true;
}

static bool build_player(Tia *tia, Mask *mask, int which) {
    uint8_t bits = tia->vdelp[which] ? tia->grp_old[which] : tia->grp[which];
    unsigned size = tia->nusiz[which] & 7;
    int times = size == 5 ? 2 : size == 7 ? 4 : 1, object = PLAYER0 + which;
    if (!bits) return false;
    *mask = NONE;
    uint32_t pattern = stretched(tia->refp[which] ? bits : reversed(bits), times);
    add_copies(mask, pattern, tia->position[object] + (times > 1), size,
               tia->skip_main & OBJECT(object));
    return true;
}

static bool build(Tia *tia, int object, Mask *mask) {
    switch (object) {
    case PLAYFIELD: return build_playfield(tia, mask);
    case BALL: return build_ball(tia, mask);
    case MISSILE0: case MISSILE1: return build_missile(tia, mask, object - MISSILE0);
    default: return build_player(tia, mask, object - PLAYER0);
    }
}

static void build_dirty(Tia *tia) {
    for (unsigned dirty = tia->dirty; dirty; dirty &= dirty - 1) {
        int object = lowest_bit(dirty);
        if (build(tia, object, &tia->mask[object])) tia->active |= OBJECT(object);
        else tia->active &= ~OBJECT(object);
    }
    tia->dirty = 0;
}

/* --- drawing ------------------------------------------------------------------------------- */

/* Collisions' bits in the order of their registers, two each: bit 7 of the first is 1. */
static const uint16_t COLLISION[OBJECTS][OBJECTS] = {
    [PLAYFIELD] = {[BALL] = 1 << 12, [MISSILE0] = 1 << 8, [MISSILE1] = 1 << 10,
                   [PLAYER0] = 1 << 4, [PLAYER1] = 1 << 6},
    [BALL] = {[MISSILE0] = 1 << 9, [MISSILE1] = 1 << 11, [PLAYER0] = 1 << 5, [PLAYER1] = 1 << 7},
    [MISSILE0] = {[MISSILE1] = 1 << 15, [PLAYER0] = 1 << 1, [PLAYER1] = 1 << 0},
    [MISSILE1] = {[PLAYER0] = 1 << 2, [PLAYER1] = 1 << 3},
    [PLAYER0] = {[PLAYER1] = 1 << 14},
};

/* Pixels from `from` up to `to` as a mask. */
static void span_mask(Mask *mask, int from, int to) {
    for (int w = 0; w < 3; w++) {
        int low = from - 64 * w, high = to - 64 * w;
        low = low < 0 ? 0 : low;
        high = high > 64 ? 64 : high;
        mask->word[w] = low >= high ? 0 : ~0ull >> (64 - (high - low)) << low;
    }
}

static void collide(Tia *tia, const Mask *span) {
    for (unsigned first = tia->active; first; first &= first - 1) {
        int i = lowest_bit(first);
        const uint64_t *a = tia->mask[i].word;
        for (unsigned second = first & (first - 1); second; second &= second - 1) {
            int j = lowest_bit(second);
            const uint64_t *b = tia->mask[j].word;
            if ((a[0] & b[0] & span->word[0]) | (a[1] & b[1] & span->word[1]) |
                (a[2] & b[2] & span->word[2]))
                tia->collisions |= COLLISION[i][j];
        }
    }
}

/* Paint the runs of a mask. */
static void paint(uint8_t *row, uint64_t bits, int first, uint8_t colour) {
    while (bits) {
        int start = lowest_bit(bits);
        uint64_t rest = ~(bits >> start);
        int length = rest ? lowest_bit(rest) : 64;
        if (length > 64 - start) length = 64 - start;
        memset(row + first + start, colour, length);
        bits = start + length >= 64 ? 0 : bits & (~0ull << (start + length));
    }
}

static void paint_object(const Tia *tia, uint8_t *row, const Mask *span, int object,
                         uint8_t colour) {
    if (!(tia->active & OBJECT(object))) return;
    for (int w = 0; w < 3; w++)
        paint(row, tia->mask[object].word[w] & span->word[w], 64 * w, colour);
}

static void paint_players(const Tia *tia, uint8_t *row, const Mask *span, int which) {
    paint_object(tia, row, span, MISSILE0 + which, tia->colup[which]);
    paint_object(tia, row, span, PLAYER0 + which, tia->colup[which]);
}

/* Score mode: each half of the playfield has its player's colour and rank. */
static void paint_score(const Tia *tia, uint8_t *row, const Mask *span, int from, int to) {
    Mask left, right;
    span_mask(&left, from, to < WIDTH / 2 ? to : WIDTH / 2);
    span_mask(&right, from > WIDTH / 2 ? from : WIDTH / 2, to);
    paint_object(tia, row, span, BALL, tia->colupf);
    paint_object(tia, row, &right, PLAYFIELD, tia->colup[1]);
    paint_players(tia, row, span, 1);
    paint_object(tia, row, &left, PLAYFIELD, tia->colup[0]);
    paint_players(tia, row, span, 0);
}

/* Paint what is seen, the lowest rank first. */
static void paint_objects(const Tia *tia, uint8_t *row, const Mask *span, int from, int to) {
    bool playfield_first = tia->ctrlpf & 4;
    if ((tia->ctrlpf & 6) == 2) {
        paint_score(tia, row, span, from, to);
        return;
    }
    for (int layer = 0; layer < 2; layer++) {
        if ((layer == 1) == playfield_first) {
            paint_object(tia, row, span, PLAYFIELD, tia->colupf);
            paint_object(tia, row, span, BALL, tia->colupf);
        } else {
            paint_players(tia, row, span, 1);
            paint_players(tia, row, span, 0);
        }
    }
}

static void paint_span(const Tia *tia, uint8_t *row, const Mask *span, int from, int to) {
    if (tia->vblank & 2) {
        memset(row + from, 0, to - from);
        return;
    }
    memset(row + from, tia->colubk, to - from);
    if (tia->active) paint_objects(tia, row, span, from, to);
    if (tia->comb == 1 && from < 8) memset(row + from, 0, (to < 8 ? to : 8) - from);
}

static bool is_shown(const Board *board, int32_t line) {
    return line >= board->first_line && line < board->first_line + board->rows;
}

static void draw_span(Tia *tia, const Board *board, int from, int to) {
    if (!is_shown(board, tia->line)) return;
    if (tia->dirty) build_dirty(tia);
    Mask span;
    span_mask(&span, from, to);
    if (tia->active & (tia->active - 1) && !(tia->vblank & 2)) collide(tia, &span);
    if (board->screen)
        paint_span(tia, board->screen + (tia->line - board->first_line) * WIDTH, &span, from, to);
}

/* Say whether a line leaves nothing for its end to take back. */
static bool is_plain(const Tia *tia) {
    return !tia->skip_main && !tia->comb && tia->reflected == (tia->ctrlpf & 1);
}

static void end_line(Tia *tia, const Board *board) {
    tia->line_clock += CLOCKS_PER_LINE;
    tia->line++;
    if (tia->comb == 2) {
        tia->comb = 1;
        return;
    }
    /* Lines above the picture take nothing back: it lasts to the end of the first one shown. */
    if (tia->line <= board->first_line) return;
    tia->comb = 0;
    tia->dirty |= tia->skip_main;
    tia->skip_main = 0;
    if (tia->reflected != (tia->ctrlpf & 1)) tia->dirty |= OBJECT(PLAYFIELD);
    tia->reflected = tia->ctrlpf & 1;
}

/* Draw whole lines that are all alike. */
static void draw_lines(Tia *tia, const Board *board, int32_t count) {
    int32_t end = board->first_line + board->rows;
    if (tia->line < board->first_line) {
        int32_t before = board->first_line - tia->line;
        count = count < before ? count : before;
    } else if (tia->line < end) {
        count = count < end - tia->line ? count : end - tia->line;
        draw_span(tia, board, 0, WIDTH);
        if (board->screen) {
            uint8_t *row = board->screen + (tia->line - board->first_line) * WIDTH;
            for (int32_t i = 1; i < count; i++) memcpy(row + i * WIDTH, row, WIDTH);
        }
    }
    tia->line += count;
    tia->line_clock += CLOCKS_PER_LINE * count;
    tia->drawn = tia->line_clock;
}

void tia_draw(Tia *tia, const Board *board, int32_t clock) {
    while (tia->drawn < clock) {
        int32_t line_end = tia->line_clock + CLOCKS_PER_LINE;
        if (tia->drawn == tia->line_clock && clock >= line_end && is_plain(tia)) {
            draw_lines(tia, board, (clock - tia->line_clock) / CLOCKS_PER_LINE);
            continue;
        }
        int32_t end = clock < line_end ? clock : line_end;
        int32_t from = tia->drawn - tia->line_clock - BLANK_CLOCKS;
        int32_t to = end - tia->line_clock - BLANK_CLOCKS;
        if (from < 0) from = 0;
        if (to > from) draw_span(tia, board, from, to);
        tia->drawn = end;
        if (end == line_end) end_line(tia, board);
    }
}

/* --- registers ----------------------------------------------------------------------------- */

uint8_t tia_read_slow(Console *console, const Board *board, unsigned reg, uint8_t bus,
                      int32_t cycle) {
    Tia *tia = &console->tia;
    uint8_t floating = bus & 0x3F; /* bits that no chip drives hold what the bus had last */
    if (reg <= CXPPMM) {
        tia_draw(tia, board, 3 * cycle);
        unsigned pair = tia->collisions >> (2 * reg) & 3;
        return floating | (pair & 1) << 7 | (pair & 2) << 5;
    }
    /* The hardware's latch, by VBLANK's bit 6, is not in ALE. */
    if (reg == INPT4 || reg == INPT5) return floating | tia->button[reg - INPT4];
    return floating;
}

static int least(int a, int b) { return a < b ? a : b; }

/* Pixels that an object moves to the right after HMOVE at a cycle of the line. */
static int moved(uint8_t motion, int32_t line_cycle) {
    /* HMOVE stops an object for one clock of four, up to 15 times, and makes the horizontal blank
       8 clocks longer. Begun late, it runs into the picture, where those clocks are not missed. */
    int pulses = (motion >> 4) ^ 8;
    if (line_cycle == CYCLES_PER_LINE - 1) return 8 - pulses; /* as on the next line's first */
    if (line_cycle <= LAST_BLANK_HMOVE) return 8 - least(pulses, (70 - 3 * line_cycle) >> 2);
    return -(pulses - least(pulses, (222 - 3 * line_cycle) >> 2));
}

static uint8_t wrapped(int position) { return (uint8_t)((position + 2 * WIDTH) % WIDTH); }

static void move_all(Tia *tia, int32_t line_cycle) {
    if (line_cycle <= LAST_BLANK_HMOVE) tia->comb = 1;
    if (line_cycle == CYCLES_PER_LINE - 1) tia->comb = 2;
    for (int object = BALL; object < OBJECTS; object++)
        tia->position[object] =
            wrapped(tia->position[object] + moved(tia->motion[object], line_cycle));
    tia->skip_main = 0;
    tia->dirty |= ~OBJECT(PLAYFIELD) & ((1 << OBJECTS) - 1);
}

/* RESM0, RESM1, RESBL: the object begins where the beam is, four clocks later. */
static void reset_small(Tia *tia, const Board *board, int object, int32_t cycle) {
    int32_t clock = 3 * tia_line_cycle(tia, cycle);
    tia_draw(tia, board, 3 * cycle + (object == BALL ? 0 : 8));
    tia->position[object] = clock < BLANK_CLOCKS ? 2 : wrapped(clock - BLANK_CLOCKS + 4);
    tia->dirty |= OBJECT(object);
}

/* What the beam is doing with a player's copies at a pixel. */
typedef enum { ELSEWHERE, ABOUT_TO_START, DRAWING } Beam;

static Beam beam_at(const Tia *tia, int which, int pixel) {
    unsigned size = tia->nusiz[which] & 7;
    int width = size == 5 ? 16 : size == 7 ? 32 : 8;
    Beam beam = ELSEWHERE;
    for (int copy = -1; copy < 2; copy++) {
        int offset = copy < 0 ? 0 : COPIES[size][copy];
        if (copy >= 0 && !offset) continue;
        int past = wrapped(pixel - tia->position[PLAYER0 + which] - offset);
        if (past >= WIDTH - 6) past -= WIDTH;
        if (past >= -1 && past <= width - 2) return DRAWING;
        if (past >= -5 && past <= -2) beam = ABOUT_TO_START;
    }
    return beam;
}

/* RESP0, RESP1: as above, five clocks later. A copy being drawn is finished first, and the first
   copy at the new place appears from the next line on, unless the old one was about to start. */
static void reset_player(Tia *tia, const Board *board, int which, int32_t cycle) {
    int32_t clock = 3 * tia_line_cycle(tia, cycle);
    int position = clock < BLANK_CLOCKS ? 3 : wrapped(clock - BLANK_CLOCKS + 5);
    Beam beam = beam_at(tia, which, wrapped(position - 5));
    bool late = clock > 0 || cycle / CYCLES_PER_LINE <= board->first_line;
    tia_draw(tia, board, 3 * cycle + (beam == DRAWING ? 11 : 0));
    tia->position[PLAYER0 + which] = (uint8_t)position;
    tia->skip_main &= ~OBJECT(PLAYER0 + which);
    if (beam == DRAWING || (beam == ELSEWHERE && late))
        tia->skip_main |= OBJECT(PLAYER0 + which);
    tia->dirty |= OBJECT(PLAYER0 + which);
}

/* RESMP: while set, the missile is hidden. Clearing it leaves it in the middle of its player. */
static void lock_missile(Tia *tia, const Board *board, int which, uint8_t value, int32_t clock) {
    unsigned size = tia->nusiz[which] & 7;
    if (tia->resmp[which] == (value & 2)) return;
    tia_draw(tia, board, clock);
    if (tia->resmp[which])
        tia->position[MISSILE0 + which] =
            wrapped(tia->position[PLAYER0 + which] + (size == 5 ? 8 : size == 7 ? 16 : 4));
    tia->resmp[which] = value & 2;
    tia->dirty |= OBJECT(MISSILE0 + which);
}

/* Store a value that masks of some objects depend on, if it is new. */
static void store(Tia *tia, const Board *board, uint8_t *field, uint8_t value, unsigned objects,
                  int32_t clock) {
    if (*field == value) return;
    tia_draw(tia, board, clock);
    *field = value;
    tia->dirty |= objects;
}

static void store_colour(Tia *tia, const Board *board, uint8_t *field, uint8_t value,
                         int32_t clock) {
    if (*field == (value & 0xFE)) return;
    if (board->screen) tia_draw(tia, board, clock); /* collisions know no colours */
    *field = value & 0xFE;
}

static void write_vsync(Console *console, uint8_t value, int32_t clock) {
    Tia *tia = &console->tia;
    tia->vsync = value;
    if (value & 2) {
        tia->vsync_end = clock + CLOCKS_PER_LINE;
    } else if (clock >= tia->vsync_end) {
        tia->vsync_end = NEVER;
        console->frame_ended = 1;
    }
}

static void write_vblank(Tia *tia, const Board *board, uint8_t value, int32_t cycle) {
    if ((tia->vblank ^ value) & 2) tia_draw(tia, board, 3 * cycle + 1);
    if (tia->vblank & ~value & 0x80) tia->released = cycle;
    tia->vblank = value;
}

/* GRP0 and GRP1: each also copies the other one for its vertical delay, GRP1 the ball, too. */
static void write_graphics(Tia *tia, const Board *board, int which, uint8_t value, int32_t clock) {
    tia_draw(tia, board, clock + 1);
    tia->grp[which] = value;
    tia->grp_old[!which] = tia->grp[!which];
    tia->dirty |= OBJECT(PLAYER0) | OBJECT(PLAYER1);
    if (which) {
        tia->enabl_old = tia->enabl;
        tia->dirty |= OBJECT(BALL);
    }
}

static void write_playfield(Tia *tia, const Board *board, int which, uint8_t value,
                            int32_t cycle) {
    /* The playfield takes a new bit every fourth clock, so a write is seen 2 to 5 clocks later. */
    static const uint8_t delay[4] = {4, 5, 2, 3};
    store(tia, board, &tia->pf[which], value, OBJECT(PLAYFIELD),
          3 * cycle + delay[tia_line_cycle(tia, cycle) & 3]);
}

static void write_sizes(Tia *tia, const Board *board, int which, uint8_t value, int32_t clock) {
    if (tia->nusiz[which] == value) return;
    tia_draw(tia, board, clock + 8);
    tia->nusiz[which] = value;
    tia->skip_main &= ~OBJECT(PLAYER0 + which);
    tia->dirty |= OBJECT(MISSILE0 + which) | OBJECT(PLAYER0 + which);
}

static void write_control(Tia *tia, const Board *board, uint8_t value, int32_t cycle) {
    if (tia->ctrlpf == value) return;
    tia_draw(tia, board, 3 * cycle);
    tia->ctrlpf = value;
    /* The right half begins at cycle 49, reflected or not. */
    if (tia_line_cycle(tia, cycle) < 49) tia->reflected = value & 1;
    tia->dirty |= OBJECT(PLAYFIELD) | OBJECT(BALL);
}

void tia_write_slow(Console *console, const Board *board, unsigned reg, uint8_t value,
                    int32_t cycle) {
    Tia *tia = &console->tia;
    const int32_t clock = 3 * cycle;
    switch (reg) {
    case VSYNC: write_vsync(console, value, clock); break;
    case VBLANK: write_vblank(tia, board, value, cycle); break;
    case NUSIZ0: case NUSIZ1: write_sizes(tia, board, reg - NUSIZ0, value, clock); break;
    case COLUP0: case COLUP1: store_colour(tia, board, &tia->colup[reg - COLUP0], value, clock); break;
    case COLUPF: store_colour(tia, board, &tia->colupf, value, clock); break;
    case COLUBK: store_colour(tia, board, &tia->colubk, value, clock); break;
    case CTRLPF: write_control(tia, board, value, cycle); break;
    case REFP0: case REFP1:
        store(tia, board, &tia->refp[reg - REFP0], value & 8, OBJECT(PLAYER0 + reg - REFP0),
              clock + 1);
        break;
    case PF0: case PF1: case PF2: write_playfield(tia, board, reg - PF0, value, cycle); break;
    case RESP0: case RESP1: reset_player(tia, board, reg - RESP0, cycle); break;
    case RESM0: case RESM1: reset_small(tia, board, MISSILE0 + reg - RESM0, cycle); break;
    case RESBL: reset_small(tia, board, BALL, cycle); break;
    case GRP0: case GRP1: write_graphics(tia, board, reg - GRP0, value, clock); break;
    case ENAM0: case ENAM1:
        store(tia, board, &tia->enam[reg - ENAM0], value & 2, OBJECT(MISSILE0 + reg - ENAM0),
              clock);
        break;
    case ENABL: store(tia, board, &tia->enabl, value & 2, OBJECT(BALL), clock); break;
    case HMP0: case HMP1: tia->motion[PLAYER0 + reg - HMP0] = value & 0xF0; break;
    case HMM0: case HMM1: tia->motion[MISSILE0 + reg - HMM0] = value & 0xF0; break;
    case HMBL: tia->motion[BALL] = value & 0xF0; break;
    case VDELP0: case VDELP1:
        store(tia, board, &tia->vdelp[reg - VDELP0], value & 1, OBJECT(PLAYER0 + reg - VDELP0),
              clock);
        break;
    case VDELBL: store(tia, board, &tia->vdelbl, value & 1, OBJECT(BALL), clock); break;
    case RESMP0: case RESMP1: lock_missile(tia, board, reg - RESMP0, value, clock); break;
    case HMOVE:
        tia_draw(tia, board, clock);
        move_all(tia, tia_line_cycle(tia, cycle));
        break;
    case HMCLR:
        memset(tia->motion, 0, sizeof tia->motion);
        memset(tia->written + HMP0, 0, HMBL - HMP0 + 1);
        break;
    case CXCLR:
        tia_draw(tia, board, clock);
        tia->collisions = 0;
        break;
    default: break;
    }
}
