"""A machine: one console with one game, played as ALE plays it."""

from libc.errno cimport errno
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

import hashlib
import os

import numpy as np

from fastpong.console.cartridge import check_size
from fastpong.console.palette import NTSC_PALETTE

VERSION = b"fastpong console 1\n"
"""Beginning of all bytes that ``Machine.save`` returns."""


def facts():
    """Return the numbers that a translator needs, by name."""
    cdef int32_t count, i
    cdef const Fact *fact = translation_facts(&count)
    return {fact[i].name.decode(): fact[i].value for i in range(count)}


def rows():
    """Return (opcode, length, cycles, kind, name, where, variant) of every handler."""
    cdef int32_t count, i
    cdef const Row *row = translation_rows(&count)
    return [
        (row[i].opcode, row[i].length, row[i].cycles, chr(row[i].kind), row[i].name.decode(),
         row[i].where.decode(), row[i].variant.decode())
        for i in range(count)
    ]


cdef class Cartridge:
    """Hold a decoded cartridge, shared by all machines that play it.

    rom : of ``cartridge.load_rom``

    Raises EmulatorError for a cartridge that switches banks. 100 kB, 1 ms.
    """

    def __cinit__(self, rom):
        check_size(rom)
        cdef const uint8_t[::1] data = rom.data
        self.program = <Program *>calloc(1, sizeof(Program))
        if self.program is NULL:
            raise MemoryError
        self.rom = rom
        program_init(self.program, &data[0], <int32_t>len(data))

    def __dealloc__(self):
        free(self.program)
        if self.code is not NULL:
            translation_unload(self.code, self.code_size)

    def profile(self, int frames):
        """Play some frames and count what they execute, with inputs of their own.

        Returns (run, taken, jumped): how often each address was executed, how often it did not
        lead to the next instruction, and whether a pointer led to it, (4096,) each.
        """
        cdef Profile *profile = <Profile *>calloc(1, sizeof(Profile))
        if profile is NULL:
            raise MemoryError
        try:
            with nogil:
                translation_profile(self.program, profile, frames)
            return (
                np.array(<uint32_t[:4096]>profile.run),
                np.array(<uint32_t[:4096]>profile.taken),
                np.array(<uint8_t[:4096]>profile.jumped, dtype=bool),
            )
        finally:
            free(profile)

    @property
    def translated(self):
        """Return whether machine code runs where it can."""
        return self.code is not NULL

    def attach(self, const uint8_t[::1] code, const uint16_t[::1] entries):
        """Run machine code from some addresses on, at once and in all machines.

        code    : of ``fastpong.console.translate``, for this cartridge. It is not checked
        entries : addresses within the cartridge

        Raises OSError where memory cannot be made executable. Later calls change nothing.
        """
        if self.code is not NULL:
            return
        if not len(code) or not len(entries) or max(entries) >= 4096:
            raise ValueError(f"entries: expected code and addresses below 4096, got "
                             f"{len(code)} bytes and {len(entries)} addresses")
        cdef void *memory = translation_load(&code[0], len(code))
        if memory is NULL:
            raise OSError(errno, f"executable memory: {os.strerror(errno)}")
        self.code, self.code_size = memory, len(code)
        translation_attach(self.program, memory, &entries[0], <int32_t>len(entries))


cdef int check_actions(const uint8_t *actions, Py_ssize_t count) except -1:
    """Raise ValueError for a number that is none of ALE's."""
    cdef Py_ssize_t i
    for i in range(count):
        if actions[i] >= ACTIONS:
            raise ValueError(f"actions: expected 0 to {ACTIONS - 1}, got {actions[i]}")
    return 0


cdef class Machine:
    """Play a game, one frame an action, as ``ale_py.ALEInterface`` does.

    cartridge  : the game's
    game       : a ConsoleGame
    max_frames : an episode is cut off there

    Equal to ale_py with frame skip 1 and without sticky actions: RAM, screen, rewards and ends.
    Threads may play on machines of their own, at once. One machine is for one thread.
    """

    def __cinit__(self, Cartridge cartridge not None, game, int max_frames):
        if max_frames < 1:
            raise ValueError(f"max_frames: expected 1 or more, got {max_frames}")
        self.cartridge, self.game = cartridge, game
        self.screen = np.zeros((game.rows, WIDTH), np.uint8)
        score, against = game.score_bytes
        self.setup.board = Board(
            cartridge.program, &self.screen[0, 0], game.first_line, game.rows)
        self.setup.game = Game(
            game.reset_frames, game.paddle, score, against, game.points_to_win)
        with nogil:
            machine_reset(&self.start, &self.setup, max_frames)
        self.start_screen = self.screen.copy()
        self.reset_game()

    @property
    def screen_shape(self):
        """Return (rows, 160)."""
        return self.screen.shape[0], WIDTH

    @property
    def actions(self):
        """Return ALE's numbers of the actions that do something."""
        return self.game.actions

    @property
    def max_frames(self):
        """Return the frames at which an episode is cut off."""
        return self.state.max_frames

    @property
    def frames(self):
        """Return the frames of this episode."""
        return self.state.frames

    @property
    def over(self):
        """Return whether the episode has ended or was cut off."""
        return bool(machine_is_over(&self.state))

    @property
    def terminated(self):
        """Return whether the game itself has ended."""
        return bool(self.state.terminated)

    @property
    def truncated(self):
        """Return whether the episode has reached ``max_frames``.

        As in ALE, a game that ends with its last frame is both truncated and terminated.
        """
        return self.state.frames >= self.state.max_frames

    @property
    def lives(self):
        """Return 0: Pong has none."""
        return 0

    def reset_game(self):
        """Begin an episode. A copy of the start state, 0.1 us."""
        self.state = self.start
        self.at_start = True

    def act(self, int action, *, bint button0=False, bint button1=False):
        """Emulate one frame and return the reward.

        action           : of ALE's numbers, 0 to 17
        button0, button1 : the buttons of paddle 0 and 1 are pressed, whatever the action

        Raises ValueError for another number.
        """
        cdef int32_t reward
        cdef uint8_t pins = (BUTTON0 if button0 else 0) | (BUTTON1 if button1 else 0)
        if not 0 <= action < ACTIONS:
            raise ValueError(f"action: expected 0 to {ACTIONS - 1}, got {action}")
        with nogil:
            reward = machine_act_beside(&self.state, &self.setup, action, pins)
        self.at_start = False
        return reward

    def play(self, const uint8_t[::1] actions not None):
        """Emulate a frame for each action and return the summed reward.

        Draws the last frame alone: the screen is as after as many calls of ``act``.
        """
        cdef int32_t reward
        if not actions.shape[0]:
            return 0
        check_actions(&actions[0], actions.shape[0])
        with nogil:
            reward = machine_play(
                &self.state, &self.setup, &actions[0], <int32_t>actions.shape[0])
        self.at_start = False
        return reward

    def turn(self, int paddle, double share):
        """Turn a paddle by hand, from the next frame on.

        paddle : 0 to 3. Actions turn the player's own, from there on
        share  : of its way, from 0 to 1. Pong's paddles are at the top at 0

        Raises ValueError for other numbers.
        """
        if not 0 <= paddle <= 3 or not 0 <= share <= 1:
            raise ValueError(
                f"paddle, share: expected 0 to 3 and 0 to 1, got {paddle} and {share}")
        machine_turn(&self.state, &self.setup, paddle, share)

    def hold(self, *, bint select=False, bint reset=False):
        """Hold the console's switches from the next frame on, or release them."""
        machine_hold(&self.state, (SELECT_SWITCH if select else 0) | (RESET_SWITCH if reset else 0))

    cdef int32_t emulate(
            self, const uint8_t *actions, int32_t count, uint8_t *screen) noexcept nogil:
        cdef Setup setup = self.setup
        setup.board.screen = screen
        self.at_start = False
        return machine_play(&self.state, &setup, actions, count)

    cdef bint ended(self) noexcept nogil:
        return machine_is_over(&self.state)

    cdef void show(self, const uint8_t *screen) noexcept nogil:
        memcpy(&self.screen[0, 0], screen, self.screen.shape[0] * WIDTH)

    def read_ram(self):
        """Return the 128 bytes of RAM, (128,) uint8."""
        return np.array(<uint8_t[:128]>&self.state.console.ram[0])

    def read_screen(self, uint8_t[:, ::1] out not None):
        """Write the screen's palette indices into ``out``, (rows, 160) uint8."""
        if out.shape[0] != self.screen.shape[0] or out.shape[1] != WIDTH:
            raise ValueError(
                f"out: expected shape {self.screen_shape}, got {(out.shape[0], out.shape[1])}")
        out[...] = self.start_screen if self.at_start else self.screen

    def read_rgb(self, out):
        """Write the screen's colours into ``out``, (rows, 160, 3) uint8."""
        indices = np.empty(self.screen_shape, np.uint8)
        self.read_screen(indices)
        np.take(NTSC_PALETTE, indices >> 1, axis=0, out=out)

    def save(self):
        """Return the state of the episode, for ``restore``. 0.5 kB, without the screen."""
        data = (<const char *>&self.state)[:sizeof(CMachine)]
        return VERSION + hashlib.sha256(data).digest()[:8] + data

    def restore(self, bytes saved):
        """Resume a saved episode, here or in another process.

        The screen still shows the picture from before, until the next frame.

        Raises ValueError for bytes of another kind or version.
        """
        head = len(VERSION) + 8
        data = saved[head:]
        if not saved.startswith(VERSION) or len(data) != sizeof(CMachine):
            raise ValueError(
                f"saved: expected {head + sizeof(CMachine)} bytes of this version's console, that "
                f"begin with {VERSION!r}, got {len(saved)} that begin with "
                f"{saved[:len(VERSION)]!r}; use the version of fastpong that saved them")
        cdef CMachine state
        memcpy(&state, <const char *>data, sizeof(CMachine))
        damaged = hashlib.sha256(data).digest()[:8] != saved[len(VERSION):head]
        if damaged or not machine_is_valid(&state):
            raise ValueError("saved: expected the bytes of Machine.save, got damaged ones")
        state.max_frames = self.start.max_frames
        self.state = state
        self.at_start = False


def play_all(
        machines, const uint8_t[:, ::1] actions not None, int32_t[::1] rewards not None):
    """Emulate frames of many machines in one call.

    As ``Machine.play`` of each, without the GIL: threads may call it at once, with machines of
    their own.

    machines : N of `Machine`
    actions  : (N, frames) uint8, of ALE's numbers. Episodes that are over stay as they are
    rewards  : (N,) int32, written, the sums over the frames

    Raises ValueError for other shapes or numbers.
    """
    machines = tuple(machines)    # nobody can take one away while they play
    cdef Py_ssize_t i, n = len(machines), frames = actions.shape[1]
    if actions.shape[0] != n or rewards.shape[0] != n or not frames:
        raise ValueError(
            f"actions, rewards: expected {n} rows of one frame or more, and {n}, got "
            f"{(actions.shape[0], frames)} and {rewards.shape[0]}")
    if n:
        check_actions(&actions[0, 0], n * frames)
    cdef CMachine **states = <CMachine **>calloc(n + 1, sizeof(CMachine *))
    cdef Setup **setups = <Setup **>calloc(n + 1, sizeof(Setup *))
    cdef Machine machine
    try:
        if states is NULL or setups is NULL:
            raise MemoryError
        for i in range(n):
            machine = machines[i]
            if machine is None:
                raise TypeError("machines: expected Machine objects, got None")
            states[i], setups[i], machine.at_start = &machine.state, &machine.setup, False
        with nogil:
            for i in range(n):
                rewards[i] = machine_play(states[i], setups[i], &actions[i, 0], <int32_t>frames)
    finally:
        free(states)
        free(setups)
