/* The chips together: power-on, and a frame at a time. */
#include "console.h"

#include "program.h"

void console_init(Console *console, const Program *program) {
    *console = (Console){.cpu = {.sp = 0xFF, .z = 1}};
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

/* Run a frame that lasts too long: it ends where its length and its writes say. */
static void run_long_frame(Console *console, const Board *board) {
    for (int i = 0; i < MAX_INSTRUCTIONS && !console->frame_ended; i++) cpu_step(console, board);
}

int32_t console_frame(Console *console, const Board *board) {
    if (console->jammed) return 0;
    const Console before = *console; /* 20 ns, so that cpu_run need not count instructions */
    console->frame_ended = 0;
    cpu_run(console, board);
    if (console->cpu.cycle >= MAX_CYCLES) {
        *console = before;
        console->frame_ended = 0;
        run_long_frame(console, board);
    }
    console->frame_ended = 0;
    return console_end_frame(console, board);
}

int32_t console_end_frame(Console *console, const Board *board) {
    tia_draw(&console->tia, board, 3 * console->cpu.cycle);
    int32_t moved = tia_rebase(&console->tia, console->cpu.cycle);
    console->cpu.cycle -= moved;
    riot_rebase(&console->riot, moved);
    return moved / CYCLES_PER_LINE;
}
