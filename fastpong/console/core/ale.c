/* Found by comparing with ale-py as a black box: docs/design/console.md. */
#include "ale.h"

enum {
    IDLE_FRAMES = 60,
    SWITCHES = 0x3F, /* nothing pressed, in colour, difficulty B */
    /* A paddle's resistance in ohms, and how far an action turns it. */
    LEAST_RESISTANCE = 27450,
    MOST_RESISTANCE = 790196,
    MIDDLE_RESISTANCE = (LEAST_RESISTANCE + MOST_RESISTANCE) / 2,
    TURN = 23000,
};

enum { UP = 1, RIGHT = 2, LEFT = 4, DOWN = 8, FIRE = 16 };

/* ALE's actions, 0 NOOP to 17 DOWNLEFTFIRE. */
static const uint8_t MOVES[18] = {
    0, FIRE, UP, RIGHT, LEFT, DOWN, UP | RIGHT, UP | LEFT, DOWN | RIGHT, DOWN | LEFT, UP | FIRE,
    RIGHT | FIRE, LEFT | FIRE, DOWN | FIRE, UP | RIGHT | FIRE, UP | LEFT | FIRE,
    DOWN | RIGHT | FIRE, DOWN | LEFT | FIRE,
};

/* Return the cycles in which a paddle's capacitor (68 nF) charges: 1.6 R C' f, in ALE's numbers. */
static int32_t charge_cycles(int32_t resistance) {
    return (int32_t)(1.6 * resistance * 0.01e-6 * 1.19e6);
}

static void plug_in(Machine *machine, const Game *game) {
    Tia *tia = &machine->console.tia;
    if (game->paddle < 0) return;
    machine->resistance = MIDDLE_RESISTANCE;
    tia->charge[0] = tia->charge[1] = charge_cycles(MIDDLE_RESISTANCE);
    tia->charge[2] = tia->charge[3] = 0;
}

static void turn_paddle(Machine *machine, const Game *game, unsigned moves) {
    int32_t resistance = machine->resistance;
    if (moves & RIGHT) resistance -= TURN;
    if (moves & LEFT) resistance += TURN;
    if (resistance < LEAST_RESISTANCE) resistance = LEAST_RESISTANCE;
    if (resistance > MOST_RESISTANCE) resistance = MOST_RESISTANCE;
    machine->resistance = resistance;
    machine->console.tia.charge[game->paddle] = charge_cycles(resistance);
    machine->console.riot.port_a = moves & FIRE ? (game->paddle ? 0xBF : 0x7F) : 0xFF;
}

static void push_stick(Machine *machine, unsigned moves) {
    Tia *tia = &machine->console.tia;
    unsigned pressed = (moves & UP ? 0x10 : 0) | (moves & DOWN ? 0x20 : 0) |
                       (moves & LEFT ? 0x40 : 0) | (moves & RIGHT ? 0x80 : 0);
    machine->console.riot.port_a = (uint8_t)~pressed;
    tia->button[0] = moves & FIRE ? 0 : 0x80;
}

static int32_t points(const Machine *machine, const Game *game) {
    if (game->score < 0) return 0;
    return machine->console.ram[game->score] - machine->console.ram[game->against];
}

void machine_reset(Machine *machine, const Setup *setup, int32_t max_frames) {
    Console *console = &machine->console;
    *machine = (Machine){.max_frames = max_frames};
    console_init(console, setup->board.program);
    plug_in(machine, &setup->game);
    for (int i = 0; i < IDLE_FRAMES; i++) console_frame(console, &setup->board);
    console->riot.port_b = SWITCHES & ~RESET_SWITCH;
    for (int i = 0; i < setup->game.reset_frames; i++) console_frame(console, &setup->board);
    console->riot.port_b = SWITCHES;
    machine->points = points(machine, &setup->game);
}

void machine_turn(Machine *machine, const Setup *setup, int32_t paddle, double share) {
    double way = share * (MOST_RESISTANCE - LEAST_RESISTANCE);
    int32_t resistance = LEAST_RESISTANCE + (int32_t)way;
    if (paddle == setup->game.paddle) machine->resistance = resistance;
    machine->console.tia.charge[paddle] = charge_cycles(resistance);
}

void machine_hold(Machine *machine, uint8_t switches) {
    machine->console.riot.port_b = (uint8_t)(SWITCHES & ~switches);
}

bool machine_is_over(const Machine *machine) {
    return machine->terminated || machine->frames >= machine->max_frames;
}

int32_t machine_act(Machine *machine, const Setup *setup, int32_t action) {
    return machine_act_beside(machine, setup, action, 0);
}

int32_t machine_act_beside(Machine *machine, const Setup *setup, int32_t action, uint8_t pins) {
    const Game *game = &setup->game;
    if (machine_is_over(machine)) return 0;
    if (game->paddle < 0) push_stick(machine, MOVES[action]);
    else turn_paddle(machine, game, MOVES[action]);
    machine->console.riot.port_a &= (uint8_t)~pins;
    machine->lines = console_frame(&machine->console, &setup->board);
    machine->frames++;
    int32_t before = machine->points;
    machine->points = points(machine, game);
    if (game->score >= 0) {
        const uint8_t *ram = machine->console.ram;
        machine->terminated = ram[game->score] == game->points_to_win ||
                              ram[game->against] == game->points_to_win;
    }
    return machine->points - before;
}

int32_t machine_play(Machine *machine, const Setup *setup, const uint8_t *actions,
                     int32_t count) {
    Setup unseen = *setup;
    unseen.board.screen = 0;
    const Machine start = *machine;
    int32_t reward = 0;
    for (int32_t i = 0; i + 1 < count && !machine_is_over(machine); i++) {
        Machine before = *machine; /* 20 ns, so that a game's last frame can be drawn after all */
        int32_t points = machine_act(machine, &unseen, actions[i]);
        if (machine_is_over(machine)) {
            *machine = before;
            points = machine_act(machine, setup, actions[i]);
        }
        reward += points;
    }
    reward += machine_act(machine, setup, actions[count - 1]);
    if (machine->lines < setup->board.first_line + setup->board.rows) {
        /* The last rows are from frames before, so draw these, too. No usual program needs it. */
        *machine = start;
        reward = 0;
        for (int32_t i = 0; i < count; i++) reward += machine_act(machine, setup, actions[i]);
    }
    return reward;
}

bool machine_is_valid(const Machine *machine) {
    return console_is_valid(&machine->console) && machine->terminated <= 1 &&
           machine->frames >= 0 && machine->max_frames > 0 &&
           machine->points >= -UINT8_MAX && machine->points <= UINT8_MAX &&
           machine->resistance >= 0 && machine->resistance <= MOST_RESISTANCE;
}
