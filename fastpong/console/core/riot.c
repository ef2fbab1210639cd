/* The 6532: 128 bytes of RAM (in console.h), two ports and a timer.
 *
 * Source: MOS 6532 data sheet. What a black box showed beyond it: docs/design/console.md.
 */
#include "console.h"

void riot_init(Riot *riot) {
    *riot = (Riot){.timer_value = 25, .timer_shift = 10 - 4, .port_a = 0xFF, .port_b = 0x3F};
}

/* The timer's longest period. Whole periods may be left out, so that a timer that is never set again
   does not overflow. */
enum { TIMER_PERIOD = 256 << 10, OLDEST_TIMER = -4 * TIMER_PERIOD };

bool riot_is_valid(const Riot *riot) {
    return riot->timer_shift <= 10 && riot->timer_set >= OLDEST_TIMER &&
           riot->timer_set <= CYCLES_PER_LINE;
}

void riot_rebase(Riot *riot, int32_t cycles) {
    riot->timer_set -= cycles;
    if (riot->timer_set < OLDEST_TIMER) riot->timer_set += TIMER_PERIOD;
}

/* Cycles that the timer has counted, from 0. */
static int32_t elapsed(const Riot *riot, int32_t cycle) { return cycle - riot->timer_set - 1; }

static int32_t intervals_left(const Riot *riot, int32_t cycle) {
    return riot->timer_value - (elapsed(riot, cycle) >> riot->timer_shift) - 1;
}

static uint8_t read_timer(Riot *riot, int32_t cycle) {
    int32_t left = intervals_left(riot, cycle);
    if (left >= 0) return left;
    /* Past 0 it counts every cycle, and is slowed to its interval by the first read. A black box
       shows the cycles before that read twice: once in each rate. */
    int32_t past = elapsed(riot, cycle) - (riot->timer_value << riot->timer_shift);
    if (past == 0) return 0xFF; /* too early to slow it */
    if (!riot->timer_was_read) {
        riot->timer_was_read = 1;
        riot->timer_first_read = (uint8_t)past;
    }
    return -1 - riot->timer_first_read - (past >> riot->timer_shift);
}

uint8_t riot_read(Riot *riot, unsigned address, int32_t cycle) {
    switch (address & 7) {
    case 0: return riot->port_a;
    case 1: return riot->direction_a;
    case 2: return riot->port_b;
    case 3: return 0;
    case 4: case 6: return read_timer(riot, cycle);
    default: return intervals_left(riot, cycle) >= 0 || riot->timer_was_read ? 0 : 0x80;
    }
}

void riot_write(Riot *riot, unsigned address, uint8_t value, int32_t cycle) {
    static const uint8_t shifts[4] = {0, 3, 6, 10}; /* TIM1T, TIM8T, TIM64T, T1024T */
    if (address & 0x10) {
        if (!(address & 4)) return;
        riot->timer_value = value;
        riot->timer_shift = shifts[address & 3];
        riot->timer_set = cycle;
        riot->timer_was_read = 0;
        return;
    }
    if ((address & 7) == 1) riot->direction_a = value;
}

int32_t riot_idle_rounds(const Riot *riot, int32_t cycle, int32_t round) {
    /* The timer reads 1 or more before this cycle. The first read comes four cycles from now. */
    int32_t zero = riot->timer_set + 1 + (riot->timer_value - 1) * (1 << riot->timer_shift);
    int32_t idle = zero - (cycle + 4), room = (MAX_CYCLES - 1 - cycle) / round;
    if (idle <= 0 || room <= 0) return 0;
    int32_t rounds = (idle + round - 1) / round;
    return rounds < room ? rounds : room;
}
