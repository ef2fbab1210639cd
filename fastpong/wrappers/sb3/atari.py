"""Stable-Baselines3's AtariWrapper, faster."""

from __future__ import annotations

import gymnasium as gym
from stable_baselines3.common import atari_wrappers as sb3

from fastpong.arrays import Array
from fastpong.wrappers.drive import drive_of
from fastpong.wrappers.games import Env, Info, game_of
from fastpong.wrappers.skip import MaxAndSkipFrame


class NoopReset(sb3.NoopResetEnv):  # type: ignore[misc]
    """Begin an episode with some frames without action, as NoopResetEnv.

    The observation is that of before these frames: MaxAndSkipFrame looks at the screen itself.
    """

    def __init__(self, env: Env, noop_max: int = 30) -> None:
        super().__init__(env, noop_max)
        self._drive = drive_of(env)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.env, self.noop_max)

    def reset(self, **options: object) -> tuple[Array, Info]:
        """Begin an episode."""
        observation, info = self.env.reset(**options)
        noops = self.override_num_noops
        if noops is None:
            noops = int(self.unwrapped.np_random.integers(1, self.noop_max + 1))
        for _ in range(noops):
            _, terminated, truncated, _ = self._drive.play(self.noop_action, 1)
            info = self._drive.info()
            if terminated or truncated:
                observation, info = self.env.reset(**options)
        return observation, info


class AtariWrapper(sb3.AtariWrapper):  # type: ignore[misc]
    """Preprocess an Atari game as SB3's AtariWrapper does.

    env                       : an environment of ale_py or fastpong, whose frame skip is 1
    noop_max                  : at most so many frames without action begin an episode, 0: none
    frame_skip                : frames an action is played for
    screen_size               : rows and columns of the observation
    terminal_on_life_loss     : a lost life ends the episode, the game goes on in the next
    clip_reward               : only the sign of a reward
    action_repeat_probability : of sticky actions

    Same arguments, observations, rewards, ends and infos, to the last byte. EpisodicLifeEnv,
    FireResetEnv and ClipRewardEnv are SB3's own.
    """

    def __init__(
        self,
        env: Env,
        noop_max: int = 30,
        frame_skip: int = 4,
        screen_size: int = 84,
        terminal_on_life_loss: bool = True,
        clip_reward: bool = True,
        action_repeat_probability: float = 0.0,
    ) -> None:
        game = game_of(env)
        if action_repeat_probability > 0.0:
            env = sb3.StickyActionEnv(env, action_repeat_probability)
        if noop_max > 0:
            env = NoopReset(env, noop_max=noop_max)
        env = MaxAndSkipFrame(env, max(frame_skip, 1), screen_size)
        if terminal_on_life_loss:
            env = sb3.EpisodicLifeEnv(env)
        if "FIRE" in game.get_action_meanings():
            env = sb3.FireResetEnv(env)
        if clip_reward:
            env = sb3.ClipRewardEnv(env)
        gym.Wrapper.__init__(self, env)
