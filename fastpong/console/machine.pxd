# The console's C interface, for other Cython code. Nothing here needs the GIL.

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "program.h" nogil:
    ctypedef struct Program:
        pass
    bint program_init(Program *program, const uint8_t *rom, int32_t size)

cdef extern from "translation.h" nogil:
    ctypedef struct Fact:
        const char *name
        uint64_t value

    ctypedef struct Row:
        uint8_t opcode
        uint8_t length
        uint8_t cycles
        char kind
        const char *name
        const char *where
        const char *variant

    ctypedef struct Profile:
        uint32_t run[4096]
        uint32_t taken[4096]
        uint8_t jumped[4096]

    void translation_profile(const Program *program, Profile *profile, int32_t frames)
    const Fact *translation_facts(int32_t *count)
    const Row *translation_rows(int32_t *count)
    void *translation_load(const uint8_t *code, size_t size)
    void translation_unload(void *code, size_t size)
    void translation_attach(
        Program *program, const void *code, const uint16_t *entries, int32_t count)

cdef extern from "ale.h" nogil:
    ctypedef struct Board:
        const Program *program
        uint8_t *screen
        int32_t first_line
        int32_t rows

    ctypedef struct Game:
        int32_t reset_frames
        int32_t paddle
        int32_t score
        int32_t against
        int32_t points_to_win

    ctypedef struct Console:
        uint8_t ram[128]

    ctypedef struct CMachine "Machine":
        Console console
        int32_t frames
        int32_t max_frames
        uint8_t terminated

    ctypedef struct Setup:
        Board board
        Game game

    enum:
        RESET_SWITCH
        SELECT_SWITCH
        BUTTON0
        BUTTON1

    void machine_reset(CMachine *machine, const Setup *setup, int32_t max_frames)
    int32_t machine_act(CMachine *machine, const Setup *setup, int32_t action)
    int32_t machine_act_beside(
        CMachine *machine, const Setup *setup, int32_t action, uint8_t pins)
    int32_t machine_play(
        CMachine *machine, const Setup *setup, const uint8_t *actions, int32_t count)
    void machine_turn(
        CMachine *machine, const Setup *setup, int32_t paddle, double share)
    void machine_hold(CMachine *machine, uint8_t switches)
    bint machine_is_over(const CMachine *machine)
    bint machine_is_valid(const CMachine *machine)

cdef enum:
    WIDTH = 160
    ACTIONS = 18    # of ALE's, 0 to 17

cdef class Cartridge:
    cdef Program *program
    cdef void *code
    cdef size_t code_size
    cdef readonly object rom

cdef class Machine:
    cdef CMachine state
    cdef CMachine start
    cdef Setup setup
    cdef readonly Cartridge cartridge
    cdef readonly object game
    cdef uint8_t[:, ::1] screen
    cdef uint8_t[:, ::1] start_screen
    cdef bint at_start

    # Emulate a frame for each of `count` actions, 1 or more, and draw the last one to `screen`,
    # (rows, 160). Returns the summed reward. Read no screen before `show` was called.
    cdef int32_t emulate(
        self, const uint8_t *actions, int32_t count, uint8_t *screen) noexcept nogil
    cdef bint ended(self) noexcept nogil
    cdef void show(self, const uint8_t *screen) noexcept nogil
