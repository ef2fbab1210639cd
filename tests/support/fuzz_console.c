/* Random cartridges, random states: nothing may leave its memory, hang, or break a state.
 *
 * Compile with the core's files and -fsanitize=address,undefined, see tests/console/test_fuzz.py.
 *
 *     fuzz_console SECONDS FIRST_SEED [CARTRIDGES]
 *
 * Every cartridge is run twice, by cpu_run and by cpu_step alone, and both must agree. After each
 * frame the state must be valid. Then bytes of a saved state are changed, and what
 * machine_is_valid lets through is run, too.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ale.h"
#include "program.h"

enum { FRAMES = 40, DAMAGED = 30, DAMAGED_FRAMES = 2, HANG_SECONDS = 60 };

static uint64_t state;
static uint64_t seed;

static uint64_t draw(void) { /* splitmix64 */
    uint64_t z = state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static uint32_t below(uint32_t limit) { return (uint32_t)(draw() % limit); }

static void fail(const char *what) {
    printf("seed %llu: %s\n", (unsigned long long)seed, what);
    fflush(stdout);
    abort();
}

/* --- cartridges ---------------------------------------------------------------------------- */

static const uint8_t ADDRESSES[][2] = { /* a page and its places: TIA, RAM, RIOT, cartridge */
    {0, 0}, {0, 0x80}, {1, 0x80}, {2, 0x80}, {0x10, 0}, {0xF0, 0}, {0xFF, 0},
};

/* Operands that reach the chips, which random ones seldom do. */
static void write_likely(uint8_t *rom, int32_t size) {
    for (int32_t i = 0; i + 3 < size; i += 1 + (int32_t)below(3)) {
        const uint8_t *address = ADDRESSES[below(sizeof ADDRESSES / sizeof *ADDRESSES)];
        static const uint8_t opcodes[] = {0x85, 0x86, 0x84, 0x8D, 0xA5, 0xAD, 0xA9, 0xA2, 0xA0, 0x95,
                                          0x9D, 0xB5, 0xBD, 0xB1, 0x91, 0x20, 0x60, 0x4C, 0x48, 0x68,
                                          0x9A, 0xD0, 0xF0, 0x10, 0x90, 0xE6, 0xC6, 0xCA, 0x88, 0x6C};
        rom[i] = below(4) ? opcodes[below(sizeof opcodes)] : (uint8_t)draw();
        rom[i + 1] = (uint8_t)(address[1] | below(64));
        rom[i + 2] = below(2) ? address[0] : (uint8_t)draw();
    }
}

static int32_t put(uint8_t *rom, int32_t at, int count, const uint8_t *bytes) {
    memcpy(rom + at, bytes, (size_t)count);
    return at + count;
}

/* A frame with VSYNC, a timer to wait for and lines with random code, again and again. */
static void write_frame(uint8_t *rom, int32_t size) {
    static const uint8_t begin[] = {0xA9, 2, 0x85, 0, 0x85, 2, 0x85, 2, 0x85, 2, 0xA9, 0, 0x85, 0};
    static const uint8_t line[] = {0x85, 2};
    const uint8_t wait[] = {0xA9, (uint8_t)below(60), 0x8D, (uint8_t)(0x94 + below(4)), 2,
                            0xAD, 0x84, 2, 0xD0, 0xFB};
    int32_t at = put(rom, 0, sizeof begin, begin);
    at = put(rom, at, sizeof wait, wait);
    while (at < size - 300) {
        if (!below(4)) at = put(rom, at, sizeof line, line);
        const uint8_t code[] = {0xA9, (uint8_t)draw(), 0x85, (uint8_t)below(0x2D),
                                (uint8_t)(below(8) ? 0xEA : draw()), 0xEA};
        at = put(rom, at, sizeof code, code);
    }
    const uint8_t again[] = {0x4C, 0, 0xF0};
    put(rom, at, sizeof again, again);
    rom[size - 4] = 0;
    rom[size - 3] = 0xF0;
}

static int32_t write_rom(uint8_t *rom) {
    int32_t size = below(2) ? ROM_SIZE : ROM_SIZE / 2;
    for (int32_t i = 0; i < size; i++) rom[i] = (uint8_t)draw();
    uint32_t kind = below(5);
    if (kind == 1) memset(rom, (int)below(256), (size_t)size - 4); /* the same all over */
    if (kind == 2) write_likely(rom, size);
    if (kind >= 3) write_frame(rom, size);
    if (kind == 4) write_likely(rom + size / 2, size / 2 - 300);
    if (below(2) && kind < 3) rom[size - 3] |= 0x10; /* begin in the cartridge */
    return size;
}

/* --- runs ---------------------------------------------------------------------------------- */

/* console_frame by the slow way alone. */
static void step_frame(Console *console, const Board *board) {
    console->frame_ended = 0;
    for (int i = 0; i < MAX_INSTRUCTIONS && !console->frame_ended; i++) cpu_step(console, board);
    console->frame_ended = 0;
    tia_draw(&console->tia, board, 3 * console->cpu.cycle);
    int32_t moved = tia_rebase(&console->tia, console->cpu.cycle);
    console->cpu.cycle -= moved;
    riot_rebase(&console->riot, moved);
}

static bool equal(const Console *a, const Console *b) {
    const Cpu *p = &a->cpu, *q = &b->cpu;
    return !memcmp(a->ram, b->ram, sizeof a->ram) && p->a == q->a && p->x == q->x &&
           p->y == q->y && p->sp == q->sp && (p->n & 0x80) == (q->n & 0x80) && !p->z == !q->z &&
           p->c == q->c && p->v == q->v && p->d == q->d && p->i == q->i && p->pc == q->pc &&
           p->cycle == q->cycle && !memcmp(&a->riot, &b->riot, sizeof a->riot) &&
           !memcmp(&a->tia, &b->tia, sizeof a->tia) && a->halt == b->halt;
}

static void run_both(Machine *machine, const Setup *setup) {
    size_t size = (size_t)setup->board.rows * WIDTH;
    Setup other = *setup;
    other.board.screen = malloc(size);
    memcpy(other.board.screen, setup->board.screen, size);
    Console *stepped = malloc(sizeof *stepped);
    *stepped = machine->console;
    step_frame(stepped, &other.board);
    console_frame(&machine->console, &setup->board);
    if (!equal(stepped, &machine->console)) fail("cpu_run and cpu_step differ");
    if (memcmp(other.board.screen, setup->board.screen, size)) fail("their screens differ");
    free(stepped);
    free(other.board.screen);
}

static void run_actions(Machine *machine, const Setup *setup, int frames) {
    for (int i = 0; i < frames; i++) {
        uint8_t actions[4];
        int count = 1 + (int)below(4);
        for (int k = 0; k < count; k++) actions[k] = (uint8_t)below(18);
        if (below(2)) machine_play(machine, setup, actions, count);
        else machine_act(machine, setup, actions[0]);
        if (!machine_is_valid(machine)) fail("a frame left an invalid state");
    }
}

static uint64_t damage(const Machine *machine, const Setup *setup) {
    Machine *copy = malloc(sizeof *copy);
    uint64_t accepted = 0;
    for (int i = 0; i < DAMAGED; i++) {
        memcpy(copy, machine, sizeof *copy);
        static const uint8_t extremes[] = {0, 1, 0x7F, 0x80, 0xFF};
        uint8_t *bytes = (uint8_t *)copy;
        for (int k = 1 + (int)below(4); k; k--) {
            size_t at = below(sizeof *copy), count = below(4) ? 1 : 4;
            uint8_t value = below(2) ? extremes[below(5)] : (uint8_t)draw();
            for (size_t j = at; j < at + count && j < sizeof *copy; j++) bytes[j] = value;
        }
        if (!machine_is_valid(copy)) continue;
        accepted++;
        run_actions(copy, setup, DAMAGED_FRAMES);
    }
    free(copy);
    return accepted;
}

static uint64_t run_cartridge(void) {
    uint8_t *rom = malloc(ROM_SIZE);
    Program *program = malloc(sizeof *program);
    int32_t size = write_rom(rom);
    if (!program_init(program, rom, size)) fail("a cartridge was refused");
    Setup setup = {.game = {.reset_frames = 1, .paddle = (int32_t)below(5) - 1,
                            .score = -1, .against = -1, .points_to_win = 21}};
    if (below(2)) setup.game.score = (int32_t)below(128), setup.game.against = (int32_t)below(128);
    setup.board.program = program;
    setup.board.rows = 1 + (int32_t)below(260);
    setup.board.first_line = (int32_t)below(60);
    setup.board.screen = calloc((size_t)setup.board.rows, WIDTH);
    Machine *machine = malloc(sizeof *machine);
    memset(machine, 0, sizeof *machine);
    machine_reset(machine, &setup, 20 + (int32_t)below(2000));
    if (!machine_is_valid(machine)) fail("the start is an invalid state");
    for (int i = 0; i < 3; i++) run_both(machine, &setup);
    run_actions(machine, &setup, FRAMES);
    run_both(machine, &setup);
    uint64_t accepted = damage(machine, &setup);
    free(machine);
    free(setup.board.screen);
    free(program);
    free(rom);
    return accepted;
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    time_t end = time(0) + atoi(argv[1]);
    uint64_t first = strtoull(argv[2], 0, 10), accepted = 0;
    uint64_t limit = argc > 3 ? strtoull(argv[3], 0, 10) : UINT64_MAX;
    uint64_t count = 0;
    for (; count < limit && time(0) < end; count++) {
        state = (seed = first + count) * 0xD1342543DE82EF95u;
        alarm(HANG_SECONDS);
        accepted += run_cartridge();
    }
    printf("cartridges %llu, damaged states run %llu of %llu\n", (unsigned long long)count,
           (unsigned long long)accepted, (unsigned long long)(count * DAMAGED));
    return 0;
}
