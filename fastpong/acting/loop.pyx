"""Playing on a console without Python: frames, policy and records of many steps in one call.

The draws are those of ``episode`` and ``rollout`` in the same order, so the same numbers come out.
"""

from libc.stdint cimport int32_t, uint8_t

import numpy as np

from fastpong._kernels cimport Step
from fastpong.console.machine cimport ACTIONS, Machine
from fastpong.envs.uniforms cimport Uniforms


cdef class ConsoleLoop:
    """Play steps on a console, into the buffers of a compiled step.

    machine   : the console
    screens   : (K, 210, 160) uint8, the ring that the step reads. Step t sees t % K
    rewards   : (cap,) float32, written
    moves     : ALE's numbers of the policy's actions 0, 1, ...
    frameskip : frames of a step, one of them drawn for each step
    sticky    : probability that a frame repeats the action before

    last_action : the policy's, of the step before, -1 at an episode's beginning
    executed    : ALE's number of the action of the frame before
    waiting     : a uniform drawn for a step that had no room, or -1
    """

    cdef Machine machine
    cdef uint8_t[:, :, ::1] screens
    cdef float[::1] rewards
    cdef uint8_t[::1] moves, frames
    cdef int32_t[::1] frameskip
    cdef double sticky
    cdef public Py_ssize_t last_action
    cdef public uint8_t executed
    cdef public double waiting

    def __init__(
            self, Machine machine not None, screens, rewards, moves, frameskip, double sticky):
        """Bind the buffers.

        Raises ValueError for screens of another shape, and for numbers that are impossible.
        """
        if not len(screens) or screens.shape[1:] != machine.screen_shape:
            raise ValueError(
                f"screens: expected shape (K, {machine.screen_shape[0]}, "
                f"{machine.screen_shape[1]}), got {screens.shape}")
        if not moves or not 0 <= min(moves) <= max(moves) < ACTIONS:
            raise ValueError(f"moves: expected numbers from 0 to {ACTIONS - 1}, got {moves}")
        if not frameskip or min(frameskip) < 1:
            raise ValueError(f"frameskip: expected numbers of 1 or more, got {frameskip}")
        self.machine, self.screens, self.rewards = machine, screens, rewards
        self.moves = np.array(moves, np.uint8)
        self.frameskip = np.array(frameskip, np.int32)
        self.frames = np.zeros(max(frameskip), np.uint8)
        self.sticky = sticky
        self.last_action, self.waiting = -1, -1

    def play(
            self, Step step not None, Uniforms draw not None, Py_ssize_t t, Py_ssize_t end,
            double epsilon, bint greedy):
        """Play from step ``t`` up to ``end``, the episode's end, or a step without room.

        epsilon : share of random actions, or -1 to sample from the policy
        greedy  : take the likeliest action, and draw nothing for the policy

        Returns the step reached. A uniform that was drawn for a step without room is kept for the
        next call.
        """
        if not 0 <= t <= end <= self.rewards.shape[0]:
            raise ValueError(f"end: expected {t} to {self.rewards.shape[0]}, got {end}")
        if self.last_action >= self.moves.shape[0] or self.executed >= ACTIONS:
            raise ValueError(
                f"last_action, executed: expected below {self.moves.shape[0]} and {ACTIONS}, got "
                f"{self.last_action} and {self.executed}")
        cdef Py_ssize_t first = t
        with nogil:
            t = self.run(step, draw, t, end, epsilon, greedy)
        if t < 0:
            raise ValueError(f"step: expected an action below {self.moves.shape[0]}")
        if t > first:
            self.machine.show(&self.screens[t % self.screens.shape[0], 0, 0])
        return t

    cdef Py_ssize_t run(
            self, Step step, Uniforms draw, Py_ssize_t t, Py_ssize_t end, double epsilon,
            bint greedy) noexcept nogil:
        cdef double uniform
        cdef Py_ssize_t choice
        cdef int32_t reward
        while t < end and not self.machine.ended():
            if self.waiting >= 0:
                uniform = self.waiting
                self.waiting = -1
            else:
                uniform = 0.5 if greedy else draw.next()
            choice = step.choose(
                t, explored(uniform, epsilon), self.last_action < 0, self.last_action)
            if choice < 0:
                self.waiting = uniform
                break
            if choice >= self.moves.shape[0]:
                return -1
            self.last_action = choice
            reward = self.emulate(draw, self.moves[choice], t + 1)
            self.rewards[t] = reward
            t += 1
        return t

    cdef int32_t emulate(self, Uniforms draw, uint8_t action, Py_ssize_t t) noexcept nogil:
        # The order of draws is part of the format of a run: see Emulator.step.
        cdef Py_ssize_t i, count = self.frameskip[0]
        cdef uint8_t executed = action
        if self.frameskip.shape[0] > 1:
            count = self.frameskip[<Py_ssize_t>(draw.next() * self.frameskip.shape[0])]
        if self.sticky > 0:
            executed = self.executed
        for i in range(count):
            if self.sticky > 0 and draw.next() >= self.sticky:
                executed = action
            self.frames[i] = executed
        if self.sticky > 0:
            self.executed = executed
        return self.machine.emulate(
            &self.frames[0], <int32_t>count, &self.screens[t % self.screens.shape[0], 0, 0])


cdef inline double explored(double uniform, double epsilon) noexcept nogil:
    """Return what the step samples by: RIGHT if it is below the probability of RIGHT."""
    if epsilon < 0:
        return uniform
    return 0.5 if uniform >= epsilon else <double>(2 * uniform < epsilon)
