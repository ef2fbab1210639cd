/* What translated code is told, what it calls, and how it gets into memory. */
#include "translation.h"

#include <errno.h>
#include <string.h>

#include "addressing.h"

/* --- facts --------------------------------------------------------------------------------- */

#define CONSOLE(field) {"console." #field, offsetof(Console, field)},
#define SERVICE(field) {"service." #field, offsetof(Program, services.field)},
#define NUMBER(name) {#name, name},

static const Fact FACTS[] = {
    CONSOLE(ram) CONSOLE(riot) CONSOLE(halt) CONSOLE(frame_ended)
    CONSOLE(cpu.a) CONSOLE(cpu.x) CONSOLE(cpu.y) CONSOLE(cpu.sp) CONSOLE(cpu.n) CONSOLE(cpu.z)
    CONSOLE(cpu.c) CONSOLE(cpu.v) CONSOLE(cpu.d) CONSOLE(cpu.i) CONSOLE(cpu.pc) CONSOLE(cpu.cycle)
    CONSOLE(tia.written) CONSOLE(tia.grp) CONSOLE(tia.grp_old) CONSOLE(tia.enabl)
    CONSOLE(tia.enabl_old) CONSOLE(tia.cpu_line) CONSOLE(tia.vblank) CONSOLE(tia.released)
    CONSOLE(tia.charge)
    {"board.program", offsetof(Board, program)}, {"program.rom", offsetof(Program, rom)},
    SERVICE(read) SERVICE(write) SERVICE(tia_read) SERVICE(tia_write) SERVICE(riot_read)
    SERVICE(riot_write) SERVICE(idle_rounds)
    NUMBER(CYCLES_PER_LINE) NUMBER(MAX_CYCLES) NUMBER(STABLE_REGISTERS) NUMBER(SILENT_REGISTERS)
    NUMBER(VSYNC) NUMBER(WSYNC) NUMBER(GRP0) NUMBER(GRP1) NUMBER(CXCLR) NUMBER(INPT0)
    NUMBER(INPT3)
};

const Fact *translation_facts(int32_t *count) {
    *count = sizeof FACTS / sizeof *FACTS;
    return FACTS;
}

#define ROW(kind, code, name, where, variant, length, cycles) \
    {0x##code, length, cycles, kind, #name, #where, #variant},
#define READ_HANDLER(...) ROW('r', __VA_ARGS__)
#define WRITE_HANDLER(...) ROW('w', __VA_ARGS__)
#define MODIFY_HANDLER(...) ROW('m', __VA_ARGS__)
#define UNSTABLE_HANDLER(code, name, mode, length, cycles) \
    ROW('u', code, name, any, mode, length, cycles)
#define IMPLIED_HANDLER(code, name) ROW('i', code, name, any, implied, 1, 2)
#define BRANCH_HANDLER(code, name) ROW('b', code, name, any, branch, 2, 2)
#define CONTROL_HANDLER(code, name, length, cycles) ROW('c', code, name, any, control, length, cycles)
static const Row ROWS[] = {
#include "instructions.h"
};

const Row *translation_rows(int32_t *count) {
    *count = sizeof ROWS / sizeof *ROWS;
    return ROWS;
}

/* --- services ------------------------------------------------------------------------------ */

static uint8_t read(Console *console, const Board *board, unsigned address, uint8_t bus,
                    int32_t cycle) {
    Cpu at = {.cycle = cycle};
    return read_memory(&at, console, board, (Operand){(uint16_t)address, bus});
}

static void write(Console *console, const Board *board, unsigned address, uint8_t value,
                  int32_t cycle) {
    Cpu at = {.cycle = cycle};
    write_memory(&at, console, board, (Operand){(uint16_t)address, 0}, value);
}

void translation_services(Services *services) {
    *services = (Services){read,       write,      tia_read_slow,  tia_write_slow,
                           riot_read,  riot_write, riot_idle_rounds};
}

/* --- profile ------------------------------------------------------------------------------- */

enum { IDLE_FRAMES = 60, RESET_FRAMES = 12, HELD_FRAMES = 8 };

static void count(const Program *program, Profile *profile, uint16_t from, uint16_t to) {
    static const uint8_t indirect[] = {0x00, 0x40, 0x60, 0x6C}; /* BRK, RTI, RTS, JMP () */
    uint8_t opcode = program->rom[from & (ROM_SIZE - 1)];
    profile->run[from & (ROM_SIZE - 1)]++;
    if ((uint16_t)(to - from) > 3) profile->taken[from & (ROM_SIZE - 1)]++;
    if (to & IN_CARTRIDGE && memchr(indirect, opcode, sizeof indirect))
        profile->jumped[to & (ROM_SIZE - 1)] = 1;
}

static void change_inputs(Console *console, int32_t frame) {
    uint32_t noise = (uint32_t)frame * 2654435761u; /* multiplicative hashing, Knuth */
    noise ^= noise >> 15;
    console->riot.port_b = 0x3F;
    console->riot.port_a = (uint8_t)(noise >> 8 | 0x0F);
    for (int i = 0; i < 4; i++) console->tia.charge[i] = 500 + (int32_t)(noise >> 4 * i) % 15000;
    console->tia.button[0] = noise & 1 ? 0 : 0x80;
}

void translation_profile(const Program *program, Profile *profile, int32_t frames) {
    Board board = {.program = program};
    Console console;
    console_init(&console, program);
    for (int32_t frame = 0; frame < frames; frame++) {
        if (frame == IDLE_FRAMES) console.riot.port_b = 0x3E;
        else if (frame >= IDLE_FRAMES + RESET_FRAMES && frame % HELD_FRAMES == 0)
            change_inputs(&console, frame);
        console.frame_ended = 0;
        while (!console.frame_ended && console.cpu.cycle < MAX_CYCLES) {
            uint16_t from = console.cpu.pc;
            cpu_step(&console, &board);
            if (from & IN_CARTRIDGE) count(program, profile, from, console.cpu.pc);
        }
        console_end_frame(&console, &board);
    }
}

/* --- memory -------------------------------------------------------------------------------- */

#if defined(__GNUC__) && !defined(_WIN32)

#include <sys/mman.h>

void *translation_load(const uint8_t *code, size_t size) {
    void *memory = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return 0;
    memcpy(memory, code, size);
    /* Never writable and executable at once. */
    if (mprotect(memory, size, PROT_READ | PROT_EXEC)) {
        int error = errno;
        munmap(memory, size);
        errno = error;
        return 0;
    }
    __builtin___clear_cache((char *)memory, (char *)memory + size);
    return memory;
}

void translation_unload(void *code, size_t size) { munmap(code, size); }

void translation_attach(Program *program, const void *code, const uint16_t *entries,
                        int32_t count) {
    __atomic_store_n(&program->translated, (Translated)code, __ATOMIC_RELEASE);
    const void *handler = cpu_handlers().translated;
    for (int32_t i = 0; i < count; i++)
        __atomic_store_n(&program->decoded[entries[i]].handler, handler, __ATOMIC_RELEASE);
}

#else

void *translation_load(const uint8_t *code, size_t size) {
    (void)code, (void)size;
    errno = ENOSYS;
    return 0;
}

void translation_unload(void *code, size_t size) { (void)code, (void)size; }

void translation_attach(Program *program, const void *code, const uint16_t *entries,
                        int32_t count) {
    (void)program, (void)code, (void)entries, (void)count;
}

#endif
