/* The 6507: decoded instructions, each with a handler that jumps to the next one's.
 *
 * Registers live in a local Cpu, so that the compiler keeps them in the machine's. A handler is an
 * inline function, so the frequent sequences of superinstructions.h are the same functions in a
 * row, without the jumps between them.
 */
#include "addressing.h"

/* How a handler ended. */
typedef enum { NEXT, JUMPED, OUTSIDE, ENDED } Outcome;

#define CORE Cpu *cpu, Console *console, const Board *board, const Decoded *program, \
             const Decoded **at
#define CORE_PASS &cpu, console, board, program, &at

INLINE Outcome after_write(Cpu *cpu, Console *console) {
    if (!(console->halt | console->frame_ended)) return NEXT;
    wait_for_line(cpu, console);
    return console->frame_ended || cpu->cycle >= MAX_CYCLES ? ENDED : NEXT;
}

/* While decoded instructions run, cpu->pc holds the upper four bits of the address alone. */
INLINE uint16_t address_of(const Cpu *cpu, const Decoded *program, const Decoded *at) {
    return (uint16_t)((cpu->pc & 0xF000) + (at - program));
}

INLINE Outcome jump(Cpu *cpu, const Decoded *program, const Decoded **at, uint16_t address) {
    cpu->pc = address;
    if (!(address & IN_CARTRIDGE)) return OUTSIDE;
    *at = program + (address & (ROM_SIZE - 1));
    return cpu->cycle >= MAX_CYCLES ? ENDED : JUMPED;
}

INLINE bool may_write_tia(int variant) {
    return variant != variant_zp_ram && variant != variant_abs_ram && variant != variant_abs_riot;
}

/* Every handler of instructions.h as a function. */
#define BEGIN \
    const Decoded *in = *at; \
    (void)program;

#define READ_HANDLER(code, name, where, variant, length, cycles) \
    INLINE Outcome name##_##code##_##where(CORE) { \
        BEGIN \
        cpu->cycle += (cycles); \
        name(cpu, fetch_##variant(PASS)); \
        *at += (length); \
        return NEXT; \
    }
#define WRITE_HANDLER(code, name, where, variant, length, cycles) \
    INLINE Outcome name##_##code##_##where(CORE) { \
        BEGIN \
        cpu->cycle += (cycles); \
        store_##variant(PASS, name(cpu)); \
        *at += (length); \
        return may_write_tia(variant_##variant) ? after_write(cpu, console) : NEXT; \
    }
#define UNSTABLE_HANDLER(code, name, mode, length, cycles) \
    INLINE Outcome name##_##code##_any(CORE) { \
        BEGIN \
        cpu->cycle += (cycles); \
        store_masked(cpu, console, board, at_##mode(PASS), name(cpu)); \
        *at += (length); \
        return after_write(cpu, console); \
    }
#define MODIFY_HANDLER(code, name, where, variant, length, cycles) \
    INLINE Outcome name##_##code##_##where(CORE) { \
        BEGIN \
        cpu->cycle += (cycles); \
        store_##variant(PASS, name(cpu, fetch_##variant(PASS))); \
        *at += (length); \
        return may_write_tia(variant_##variant) ? after_write(cpu, console) : NEXT; \
    }
#define IMPLIED_HANDLER(code, name) \
    INLINE Outcome name##_##code##_any(CORE) { \
        (void)console, (void)board, (void)program; \
        cpu->cycle += 2; \
        name(cpu); \
        *at += 1; \
        return NEXT; \
    }
#define BRANCH_HANDLER(code, name) \
    INLINE Outcome name##_##code##_any(CORE) { \
        (void)console, (void)board; \
        cpu->cycle += 2; \
        if (!name(cpu)) { \
            *at += 2; \
            return NEXT; \
        } \
        cpu->cycle += (*at)->taken_cycles; \
        *at = program + (*at)->target; \
        return cpu->cycle >= MAX_CYCLES ? ENDED : JUMPED; \
    }
#define CONTROL_HANDLER(code, name, length, cycles) \
    INLINE Outcome name##_##code##_any(CORE) { \
        BEGIN \
        cpu->cycle += (cycles); \
        uint16_t here = address_of(cpu, program, in), next = run_##name(PASS, here); \
        Outcome wrote = after_write(cpu, console), went = NEXT; /* the stack may be the TIA */ \
        if (next == (uint16_t)(here + 1)) *at += 1; \
        else went = jump(cpu, program, at, next); \
        return wrote == ENDED && went != OUTSIDE ? ENDED : went; \
    }

#include "instructions.h"

#ifdef __GNUC__

enum { /* handlers as Fused.parts has them */
#define READ_HANDLER(code, name, where, variant, length, cycles) \
    part_##name##_##code##_##where = 0x##code | variant_##variant << 8,
#define WRITE_HANDLER READ_HANDLER
#define MODIFY_HANDLER READ_HANDLER
#define UNSTABLE_HANDLER(code, name, mode, length, cycles) \
    READ_HANDLER(code, name, any, mode, length, cycles)
#define IMPLIED_HANDLER(code, name) READ_HANDLER(code, name, any, implied, 1, 2)
#define BRANCH_HANDLER(code, name) READ_HANDLER(code, name, any, branch, 2, 2)
#define CONTROL_HANDLER(code, name, length, cycles) \
    READ_HANDLER(code, name, any, control, length, cycles)
#include "instructions.h"
};

static bool is_over(const Console *console) {
    return console->frame_ended || console->cpu.cycle >= MAX_CYCLES;
}

/* Run a console, or, with `ask`, only tell where the handlers are. */
static void core(Console *console, const Board *board, Handlers *ask) {
#define READ_HANDLER(code, name, where, variant, length, cycles) \
    {&&name##_##code##_##where, 0x##code, variant_##variant, length},
#define WRITE_HANDLER READ_HANDLER
#define MODIFY_HANDLER READ_HANDLER
#define UNSTABLE_HANDLER(code, name, mode, length, cycles) \
    READ_HANDLER(code, name, any, mode, length, cycles)
#define IMPLIED_HANDLER(code, name) READ_HANDLER(code, name, any, implied, 1, 2)
#define BRANCH_HANDLER(code, name) READ_HANDLER(code, name, any, branch, 2, 2)
#define CONTROL_HANDLER(code, name, length, cycles) \
    READ_HANDLER(code, name, any, control, length, cycles)
    static const Handler handlers[] = {
#include "instructions.h"
    };
#define FUSE2(a, b) {&&a##__##b, 2, {part_##a, part_##b}},
#define FUSE3(a, b, c) {&&a##__##b##__##c, 3, {part_##a, part_##b, part_##c}},
#define FUSE4(a, b, c, d) \
    {&&a##__##b##__##c##__##d, 4, {part_##a, part_##b, part_##c, part_##d}},
#define FUSE5(a, b, c, d, e) \
    {&&a##__##b##__##c##__##d##__##e, 5, {part_##a, part_##b, part_##c, part_##d, part_##e}},
#define FUSE6(a, b, c, d, e, f) \
    {&&a##__##b##__##c##__##d##__##e##__##f, 6, \
     {part_##a, part_##b, part_##c, part_##d, part_##e, part_##f}},
    static const Fused fused[] = {
#include "superinstructions.h"
    };
    if (ask) {
        *ask = (Handlers){handlers, sizeof handlers / sizeof *handlers, fused,
                          sizeof fused / sizeof *fused, &&outside, &&wait_timer, &&translated};
        return;
    }

    const Decoded *program = board->program->decoded, *at;
    Cpu cpu = console->cpu;

#define DISPATCH goto *at->handler
#define RUN(handler) \
    switch (handler(CORE_PASS)) { \
    case NEXT: break; \
    case JUMPED: DISPATCH; \
    case OUTSIDE: goto elsewhere; \
    case ENDED: goto save; \
    }
    if (!(cpu.pc & IN_CARTRIDGE)) goto elsewhere;
    at = program + (cpu.pc & (ROM_SIZE - 1));
    DISPATCH;

#define READ_HANDLER(code, name, where, variant, length, cycles) \
    name##_##code##_##where: RUN(name##_##code##_##where) DISPATCH;
#define WRITE_HANDLER READ_HANDLER
#define MODIFY_HANDLER READ_HANDLER
#define UNSTABLE_HANDLER(code, name, mode, length, cycles) \
    READ_HANDLER(code, name, any, mode, length, cycles)
#define IMPLIED_HANDLER(code, name) READ_HANDLER(code, name, any, implied, 1, 2)
#define BRANCH_HANDLER(code, name) READ_HANDLER(code, name, any, branch, 2, 2)
#define CONTROL_HANDLER(code, name, length, cycles) \
    READ_HANDLER(code, name, any, control, length, cycles)
#include "instructions.h"

#define FUSE2(a, b) a##__##b: RUN(a) RUN(b) DISPATCH;
#define FUSE3(a, b, c) a##__##b##__##c: RUN(a) RUN(b) RUN(c) DISPATCH;
#define FUSE4(a, b, c, d) a##__##b##__##c##__##d: RUN(a) RUN(b) RUN(c) RUN(d) DISPATCH;
#define FUSE5(a, b, c, d, e) \
    a##__##b##__##c##__##d##__##e: RUN(a) RUN(b) RUN(c) RUN(d) RUN(e) DISPATCH;
#define FUSE6(a, b, c, d, e, f) \
    a##__##b##__##c##__##d##__##e##__##f: RUN(a) RUN(b) RUN(c) RUN(d) RUN(e) RUN(f) DISPATCH;
#include "superinstructions.h"

wait_timer: {
    int32_t round = 4 + 2 + at[3].taken_cycles;
    cpu.cycle += round * riot_idle_rounds(&console->riot, cpu.cycle, round);
    if (at->opcode == 0xAD) RUN(lda_AD_riot)
    else if (at->opcode == 0xAE) RUN(ldx_AE_riot)
    else RUN(ldy_AC_riot)
    RUN(bne_D0_any)
    DISPATCH;
}

translated:
    cpu.pc = address_of(&cpu, program, at);
    console->cpu = cpu;
    if (board->program->translated(console, board)) return;
    cpu = console->cpu;
    if (!(cpu.pc & IN_CARTRIDGE)) goto elsewhere;
    at = program + (cpu.pc & (ROM_SIZE - 1));
    goto *board->program->plain[at - program];

outside:
    cpu.pc = address_of(&cpu, program, at);
elsewhere:
    console->cpu = cpu;
    do {
        if (is_over(console)) return;
        cpu_step(console, board);
        cpu.pc = console->cpu.pc;
        at = program + (cpu.pc & (ROM_SIZE - 1));
    } while (!(cpu.pc & IN_CARTRIDGE) || at->handler == &&outside);
    if (is_over(console)) return;
    cpu = console->cpu;
    DISPATCH;

save:
    cpu.pc = address_of(&cpu, program, at);
    console->cpu = cpu;
}

Handlers cpu_handlers(void) {
    Handlers handlers;
    core(0, 0, &handlers);
    return handlers;
}

void cpu_run(Console *console, const Board *board) { core(console, board, 0); }

#else /* labels have no addresses: slow, and the same bits */

Handlers cpu_handlers(void) { return (Handlers){0}; }

void cpu_run(Console *console, const Board *board) {
    while (!console->frame_ended && console->cpu.cycle < MAX_CYCLES) cpu_step(console, board);
}

#endif
