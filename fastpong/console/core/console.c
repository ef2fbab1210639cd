/* The chips together: power-on, and a frame at a time. */
#include "console.h"

#include "program.h"

void console_init(Console *console, const Program *program) {
    *console = (Console){.cpu = {.sp = 0xFF, .z = 1, .i = 1}};
    const uint8_t *vector = program->rom + ROM_SIZE - 4;
    console->cpu.pc = (uint16_t)(vector[0] | vector[1] << 8);
    riot_init(&console->riot);
    tia_init(&console->tia);
}

bool console_is_valid(const Console *console) {
    const Cpu *cpu = &console->cpu;
    return cpu->c <= 1 && cpu->v <= 1 && cpu->d <= 1 && cpu->i <= 1 && cpu->cycle >= 0 &&
           cpu->cycle < CYCLES_PER_LINE && console->halt == 0 && riot_is_valid(&console->riot) &&
           tia_is_valid(&console->tia);
}

void console_frame(Console *console, const Board *board) {
    console->frame_ended = 0;
    cpu_run(console, board);
    console_end_frame(console, board);
}

void console_end_frame(Console *console, const Board *board) {
    tia_draw(&console->tia, board, 3 * console->cpu.cycle);
    int32_t moved = tia_rebase(&console->tia, console->cpu.cycle);
    console->cpu.cycle -= moved;
    riot_rebase(&console->riot, moved);
}
