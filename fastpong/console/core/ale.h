/* A console as the Arcade Learning Environment plays on it: start-up, actions, rewards, the end. */
#ifndef FASTPONG_ALE_H
#define FASTPONG_ALE_H

#include "console.h"

enum { RESET_SWITCH = 1, SELECT_SWITCH = 2, BUTTON0 = 0x80, BUTTON1 = 0x40 };

/* What ALE knows of a game. */
typedef struct {
    int32_t reset_frames;  /* with the RESET switch held, after 60 frames untouched */
    int32_t paddle;        /* the player's, 0 to 3, or -1: a joystick */
    int32_t score, against; /* RAM bytes of the points, or -1: rewards and ends are unknown */
    int32_t points_to_win;
} Game;

typedef struct {
    Console console;
    int32_t resistance; /* of the player's paddle */
    int32_t points;     /* won minus lost */
    int32_t frames;     /* of the episode */
    int32_t max_frames;
    int32_t lines; /* of the last frame */
    uint8_t terminated;
} Machine;

/* What a machine is plugged into. */
typedef struct {
    Board board;
    Game game;
} Setup;

/* Power on and begin an episode, as ALE's reset_game(). Draws the start screen. */
void machine_reset(Machine *machine, const Setup *setup, int32_t max_frames);

/* Emulate one frame of an ALE action and return the reward. After the end it does nothing. */
int32_t machine_act(Machine *machine, const Setup *setup, int32_t action);

/* The same, with buttons of other players pressed: BUTTON0 and BUTTON1 of the paddles 0 and 1. */
int32_t machine_act_beside(Machine *machine, const Setup *setup, int32_t action, uint8_t pins);

/* Emulate a frame for each action and return the summed reward. The screen shows the last one. */
int32_t machine_play(Machine *machine, const Setup *setup, const uint8_t *actions, int32_t count);

/* Turn a paddle, 0 to 3, to a share of its way. Actions turn the player's own, from there on. */
void machine_turn(Machine *machine, const Setup *setup, int32_t paddle, double share);

/* Hold the console's switches from the next frame on: RESET_SWITCH, SELECT_SWITCH, or 0. */
void machine_hold(Machine *machine, uint8_t switches);

bool machine_is_over(const Machine *machine);

/* Say whether a Machine that came from a file can be run. */
bool machine_is_valid(const Machine *machine);

#endif
