"""Returns and advantages of rollouts.

Arrays are (T, N), T steps of N environments, or (T,) for a single one. Episodes end in a rollout at
any step. One convention says where, the same in all functions:

terminated   : step t ended its episode, and nothing is worth anything after it. None: none did
truncated    : step t cut its episode short. The value of its final observation counts, which is
               next_values[t]. A step that is marked as both is terminated
last_value   : (N,) or a number, the value of the observation after the last step
dones_before : instead of terminated, as CleanRL (``dones``) and Stable-Baselines3
               (``episode_starts``) store it: the observation of step t begins an episode. Then
last_done    : (N,) or a number says the same of the observation after the last step

Flags are bool, or numbers of which not 0 is true. Rewards, values and last_value may be integers.
What is true of step t is called t: V_t is the value of the observation that its action was chosen
for, r_t the reward for the action. V'_t is the value of what came after the action: 0 where
terminated, next_values[t] where truncated, else V_{t+1}, or last_value for the last step.
"""

from __future__ import annotations

from fastpong.arrays import Array
from fastpong.kernels import checks
from fastpong.kernels.arguments import FLAGS, FLOAT, REAL, Flag, In, Item, Number, Out
from fastpong.kernels.checks import parts
from fastpong.kernels.foreign import plain
from fastpong.kernels.parts import bits, points
from fastpong.kernels.runner import Runner
from fastpong.kernels.spec import Kernel

ROWS, ROW = ("T", "*N"), ("*N",)
REWARDS = In("rewards", REAL, ROWS, None, points)
VALUES = In("values", REAL, ROWS)
TERMINATED = In("terminated", FLAGS, ROWS, None, bits, optional=True)
LAST_VALUE = In("last_value", REAL, ROW)
TRUNCATED = In("truncated", FLAGS, ROWS, None, bits, optional=True)
NEXT_VALUES = In("next_values", REAL, ROWS, optional=True)
BEFORE: tuple[Item, ...] = (
    In("dones_before", FLAGS, ROWS, None, bits, optional=True),
    In("last_done", FLAGS, ROW, None, bits, optional=True),
)
GAMMA, LAMBDA = Number("gamma", checks.fraction, 0.9), Number("lambda_", checks.fraction, 0.95)
ENDS: tuple[Item, ...] = (TRUNCATED, NEXT_VALUES, *BEFORE)

SIZES = {name: {"T": 5, "N": 3} for name in ("", "truncated", "dones before")}
LEFT_OUT = {
    "": ("truncated", "next_values", "dones_before", "last_done"),
    "truncated": ("dones_before", "last_done"),
    "dones before": ("terminated", "truncated", "next_values"),
}


def _kernel(name: str, *items: Item) -> Kernel:
    return Kernel(name, "returns", items, SIZES, left_out=LEFT_OUT)


DISCOUNT_REWARDS = _kernel(
    "discount_rewards", REWARDS, GAMMA, Out("out", FLOAT, ROWS, aliases=("rewards",)),
    Flag("reset_on_reward", True), TERMINATED, TRUNCATED, *BEFORE,
)  # fmt: skip
_LAMBDA: tuple[Item, ...] = (
    REWARDS, VALUES, TERMINATED, LAST_VALUE, GAMMA, LAMBDA,
    Out("out", FLOAT, ROWS, aliases=("rewards",)), *ENDS,
)  # fmt: skip
GAE, LAMBDA_RETURNS = _kernel("gae", *_LAMBDA), _kernel("lambda_returns", *_LAMBDA)
N_STEP_RETURNS = _kernel(
    "n_step_returns", REWARDS, In("values", REAL, ROWS, optional=True), TERMINATED, LAST_VALUE,
    Number("n", checks.count, 2), GAMMA, Out("out", FLOAT, ROWS), *ENDS,
)  # fmt: skip
VTRACE = _kernel(
    "vtrace", In("log_rhos", REAL, ROWS), REWARDS, VALUES, TERMINATED, LAST_VALUE, GAMMA, LAMBDA,
    Number("clip_rho", checks.threshold, 1.0), Number("clip_c", checks.threshold, 1.0),
    Number("clip_pg_rho", checks.threshold, 1.0), Out("vs", FLOAT, ROWS),
    Out("pg_advantages", FLOAT, ROWS), *ENDS,
)  # fmt: skip


class Returns(Runner):
    """The part of a ``Backend`` that this family adds."""

    def discount_rewards(
        self,
        rewards: Array,
        gamma: float,
        out: Array | None = None,
        reset_on_reward: bool | None = None,
        *,
        terminated: Array | None = None,
        truncated: Array | None = None,
        dones_before: Array | None = None,
        last_done: Array | float | None = None,
    ) -> Array:
        """Return the discounted return of every step.

            G_t = r_t + gamma G_{t+1},   G_T = 0,
            with G_{t+1} taken as 0 after the end of an episode,
            and where r_t != 0 if ``reset_on_reward``: a point of Pong ends a rally.

        rewards         : (T,) or (T, N), float32, float64, or integers
        gamma           : in [0, 1], per step of the agent (not per emulated frame)
        out             : as rewards, may be ``rewards`` itself
        reset_on_reward : None is True where no ends are given, and False where they are

        The others, as in ``gae``, say where episodes end. Nothing is added for what comes after a
        truncation, or after the last step: ``n_step_returns`` with n = T does that.
        Source: Karpathy, "Pong from Pixels" (2016).
        """
        if dones_before is not None or last_done is not None:
            _check_flags(terminated, truncated, dones_before, last_done)
        if reset_on_reward is None:
            reset_on_reward = terminated is None and truncated is None and dones_before is None
        return self._run_one(
            DISCOUNT_REWARDS, rewards, gamma, out, reset_on_reward, terminated, truncated,
            dones_before, last_done,
        )  # fmt: skip

    def gae(
        self,
        rewards: Array,
        values: Array,
        terminated: Array | None,
        last_value: Array | float,
        gamma: float = 0.99,
        lambda_: float = 0.95,
        out: Array | None = None,
        *,
        truncated: Array | None = None,
        next_values: Array | None = None,
        dones_before: Array | None = None,
        last_done: Array | float | None = None,
    ) -> Array:
        """Return generalised advantage estimates.

            delta_t = r_t + gamma V'_t - V_t
            A_t = delta_t + gamma lambda A_{t+1},   A_T = 0,   A_{t+1} taken as 0 at an end

        V'_t is 0 where terminated, next_values[t] where truncated, else V_{t+1}, or last_value.

        rewards, values : (T,), or (T, N) for N side by side, float32, float64, or integers
        terminated      : the same shape, bool or numbers, true for the last step of an episode
        last_value      : (N,) or a number, the value after the last step
        gamma, lambda_  : in [0, 1]
        out             : as rewards, may be ``rewards`` itself, else shares memory with none
        truncated       : flags as terminated, of steps whose episode was cut short
        next_values     : as values, of the final observations. Read only where truncated
        dones_before    : instead of terminated: the observation of step t begins an episode
        last_done       : (N,) or a number, the same of the observation after the last step

        ``dones`` and ``next_done`` of CleanRL, ``episode_starts`` and ``dones`` of SB3 are
        dones_before and last_done. A + values are the returns that a value is learned from, see
        ``lambda_returns``. With lambda 1 A is the discounted return less the value, with lambda 0
        it is delta. Source: Schulman et al. (2016), eq. 16.

        Raises TypeError for flags of both conventions, and for truncated without next_values.
        """
        if not (truncated is next_values is dones_before is last_done is None):
            _check_ends(terminated, truncated, next_values, dones_before, last_done)
        return self._run_one(
            GAE, rewards, values, terminated, last_value, gamma, lambda_, out, truncated,
            next_values, dones_before, last_done,
        )  # fmt: skip

    def lambda_returns(
        self,
        rewards: Array,
        values: Array,
        terminated: Array | None,
        last_value: Array | float,
        gamma: float = 0.99,
        lambda_: float = 0.95,
        out: Array | None = None,
        *,
        truncated: Array | None = None,
        next_values: Array | None = None,
        dones_before: Array | None = None,
        last_done: Array | float | None = None,
    ) -> Array:
        """Return TD(lambda) returns.

            R_t = r_t + gamma ((1 - lambda) V'_t + lambda R_{t+1}),   R_{t+1} = V'_t at an end

        These are the advantages of ``gae`` plus the values, rounded once. Arguments as there.
        With lambda 0 the target of one step, with lambda 1 the discounted return.
        Source: Sutton and Barto, "Reinforcement Learning" (2018), section 12.1.
        """
        if not (truncated is next_values is dones_before is last_done is None):
            _check_ends(terminated, truncated, next_values, dones_before, last_done)
        return self._run_one(
            LAMBDA_RETURNS, rewards, values, terminated, last_value, gamma, lambda_, out,
            truncated, next_values, dones_before, last_done,
        )  # fmt: skip

    def n_step_returns(
        self,
        rewards: Array,
        values: Array | None,
        terminated: Array | None,
        last_value: Array | float,
        n: int,
        gamma: float = 0.99,
        out: Array | None = None,
        *,
        truncated: Array | None = None,
        next_values: Array | None = None,
        dones_before: Array | None = None,
        last_done: Array | float | None = None,
    ) -> Array:
        """Return the rewards of n steps and the value after them.

            G_t = r_t + gamma r_{t+1} + ... + gamma^{m-1} r_{t+m-1} + gamma^m V'_{t+m-1}

        m is n, or less where the episode or the rollout ends before.

        values : as in ``gae``. May be None where n >= T, for then none is read
        n      : steps, >= 1
        out    : as rewards, shares memory with none

        The other arguments as in ``gae``. With n = 1 the target of one step, with n >= T the
        discounted return. Source: Watkins, "Learning from Delayed Rewards" (1989).
        """
        if not (truncated is next_values is dones_before is last_done is None):
            _check_ends(terminated, truncated, next_values, dones_before, last_done)
        if values is None:
            rewards = _check_no_values(rewards, n)
        return self._run_one(
            N_STEP_RETURNS, rewards, values, terminated, last_value, n, gamma, out, truncated,
            next_values, dones_before, last_done,
        )  # fmt: skip

    def vtrace(
        self,
        log_rhos: Array,
        rewards: Array,
        values: Array,
        terminated: Array | None,
        last_value: Array | float,
        gamma: float = 0.99,
        lambda_: float = 1.0,
        clip_rho: float = 1.0,
        clip_c: float = 1.0,
        clip_pg_rho: float = 1.0,
        out: tuple[Array, Array] | None = None,
        *,
        truncated: Array | None = None,
        next_values: Array | None = None,
        dones_before: Array | None = None,
        last_done: Array | float | None = None,
    ) -> tuple[Array, Array]:
        """Return V-trace's targets of values, and its advantages.

            rho_t = exp(log_rho_t),   c_t = lambda min(clip_c, rho_t)
            delta_t = min(clip_rho, rho_t) (r_t + gamma V'_t - V_t)
            v_t = V_t + delta_t + gamma c_t (v_{t+1} - V_{t+1}),   the last term 0 at an end
            A_t = min(clip_pg_rho, rho_t) (r_t + gamma v_{t+1} - V_t),   v_{t+1} = V'_t at an end

        log_rhos : as rewards, log pi(a) - log mu(a): of the policy that learns, less that which
                   played
        clip_*   : >= 0. Infinity clips nothing
        out      : (vs, pg_advantages), each as rewards

        The other arguments as in ``gae``. On-policy, where log_rhos are 0, v are the returns of
        ``lambda_returns``. Source: Espeholt et al., "IMPALA" (2018), section 4.
        """
        if not (truncated is next_values is dones_before is last_done is None):
            _check_ends(terminated, truncated, next_values, dones_before, last_done)
        vs, pg_advantages = (None, None) if out is None else parts("out", out, 2)
        vs, pg_advantages = self._run(
            VTRACE, log_rhos, rewards, values, terminated, last_value, gamma, lambda_, clip_rho,
            clip_c, clip_pg_rho, vs, pg_advantages, truncated, next_values, dones_before,
            last_done,
        )  # fmt: skip
        return vs, pg_advantages


# --- arguments that go together -------------------------------------------------------------------


def _check_ends(
    terminated: object, truncated: object, next_values: object, dones_before: object,
    last_done: object,
) -> None:  # fmt: skip
    """Refuse ends of two conventions, or half of one."""
    if dones_before is not None or last_done is not None:
        _check_flags(terminated, truncated, dones_before, last_done)
    if next_values is None and truncated is not None:
        raise TypeError(
            "next_values: expected the values of the final observations, since truncated is "
            "given, got None; pass an array like values"
        )
    if truncated is None and next_values is not None:
        raise TypeError(
            "truncated: expected flags of the steps where next_values count, got None; pass both "
            "or none"
        )


def _check_flags(
    terminated: object, truncated: object, dones_before: object, last_done: object
) -> None:
    """Refuse flags of two conventions, or half of one."""
    if terminated is truncated is None and dones_before is not None and last_done is not None:
        return  # a loop would take as long as a small kernel
    for name, value in (("dones_before", dones_before), ("last_done", last_done)):
        if value is None:
            raise TypeError(f"{name}: expected an array, got None; pass dones_before and last_done")
    for name, value in (("terminated", terminated), ("truncated", truncated)):
        if value is not None:
            raise TypeError(
                f"{name}: expected None beside dones_before, which marks all ends, got "
                f"{type(value).__name__}; pass flags of one convention"
            )


def _check_no_values(rewards: object, n: object) -> Array:
    """Refuse to do without values that would be read.

    Returns rewards.
    """
    array, reach = plain("rewards", rewards), checks.count("n", n)
    if array.ndim and reach < len(array):
        raise TypeError(
            f"values: expected an array, since n={reach} is less than T={len(array)} steps, got "
            f"None"
        )
    return array
