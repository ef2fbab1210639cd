/* One instruction at a time, from anywhere in memory. Slow and short. */
#define LATE_WRITES_END_FRAMES /* which cpu_run leaves to console_frame */
#include "addressing.h"

static uint8_t fetch(Cpu *cpu, Console *console, const Board *board, uint16_t address) {
    return read_memory(cpu, console, board, (Operand){address, 0});
}

static void branch(Cpu *cpu, const Decoded *in, bool taken) {
    uint16_t next = cpu->pc + 2, target = next + (int8_t)in->operand[0];
    cpu->pc = next;
    cpu->cycle += 2;
    if (!taken) return;
    cpu->cycle += 1 + ((next ^ target) >> 8 & 1);
    cpu->pc = target;
}

void cpu_step(Console *console, const Board *board) {
    Cpu *cpu = &console->cpu;
    Decoded decoded = {.opcode = fetch(cpu, console, board, cpu->pc)}, *in = &decoded;
    in->operand[0] = fetch(cpu, console, board, cpu->pc + 1);
    in->operand[1] = fetch(cpu, console, board, cpu->pc + 2);
    /* Handlers for special places are for decoded programs. */
#define STEP_ram(...)
#define STEP_tia(...)
#define STEP_rom(...)
#define STEP_riot(...)
#define STEP_any(code, length_, cycles_, ...) \
    case 0x##code: \
        cpu->pc += length_; \
        cpu->cycle += cycles_; \
        __VA_ARGS__; \
        break;
#define READ_HANDLER(code, name, where, variant, length, cycles) \
    STEP_##where(code, length, cycles, name(cpu, fetch_##variant(PASS)))
#define WRITE_HANDLER(code, name, where, variant, length, cycles) \
    STEP_##where(code, length, cycles, store_##variant(PASS, name(cpu)))
#define UNSTABLE_HANDLER(code, name, mode, length, cycles) \
    STEP_any(code, length, cycles, \
             store_masked(cpu, console, board, at_##mode(PASS), name(cpu)))
#define MODIFY_HANDLER(code, name, where, variant, length, cycles) \
    STEP_##where(code, length, cycles, store_##variant(PASS, name(cpu, fetch_##variant(PASS))))
#define IMPLIED_HANDLER(code, name) STEP_any(code, 1, 2, name(cpu))
#define BRANCH_HANDLER(code, name) \
    case 0x##code: branch(cpu, in, name(cpu)); break;
#define CONTROL_HANDLER(code, name, length, cycles) \
    STEP_any(code, 0, cycles, cpu->pc = run_##name(PASS, cpu->pc))
    switch (in->opcode) {
#include "instructions.h"
    }
    wait_for_line(cpu, console);
}
