"""Names of settings that people try: other programs', and those of version 0.1."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping, Sequence

from fastpong.printable import shorten

OURS = {
    "adam_epsilon": "adam_eps",
    "algo": "agent",
    "algorithm": "agent",
    "anneal": "learning_rate linear:START:END:STEPS",
    "anneal_lr": "learning_rate linear:START:END:STEPS",
    "averaging": "weight_averaging",
    "batch": "batch_size",
    "buffer": "buffer_size",
    "checkpoint_every": "save_every",
    "clip": "clip_range",
    "clip_coef": "clip_range",
    "clip_eps": "clip_range",
    "clip_param": "clip_range",
    "conf": "config",
    "conf_file": "config",
    "continue": "resume",
    "decay": "rmsprop_decay",
    "discount": "gamma",
    "end_e": "exploration_final_eps",
    "ent": "ent_coef",
    "entropy": "ent_coef",
    "entropy_coef": "ent_coef",
    "env_id": "env",
    "env_name": "env",
    "environment": "env",
    "epochs": "n_epochs",
    "eval_freq": "eval_every",
    "eval_interval": "eval_every",
    "evaluation_episodes": "eval_episodes",
    "evaluation_exploration": "eval_eps",
    "exp_name": "run_dir",
    "experiment_name": "run_dir",
    "exploration": "exploration_final_eps",
    "exploration_fraction": "exploration_steps",
    "explore": "exploration_steps",
    "final_entropy": "ent_coef linear:START:END:STEPS",
    "final_rate": "learning_rate linear:START:END:STEPS",
    "fine": "recipe pong-sticky",
    "game": "env",
    "hidden_size": "hidden",
    "hidden_units": "hidden",
    "history": "frame_history",
    "jobs": "workers",
    "lam": "gae_lambda",
    "lambda": "gae_lambda",
    "lanes": "n_envs",
    "levels": "coarse_cells",
    "load": "resume",
    "load_checkpoint": "resume",
    "log_dir": "run_dir",
    "log_folder": "run_dir",
    "logdir": "run_dir",
    "lr": "learning_rate",
    "lr_schedule": "learning_rate linear:START:END:STEPS",
    "max_episodes": "episodes",
    "max_norm": "max_grad_norm",
    "max_steps": "total_timesteps",
    "memory_size": "buffer_size",
    "minibatch": "batch_size",
    "minibatch_size": "batch_size",
    "n_episodes": "episodes",
    "n_eval_episodes": "eval_episodes",
    "n_minibatches": "batch_size",
    "n_steps_return": "n_step",
    "n_timesteps": "total_timesteps",
    "n_seeds": "seeds 1 2 3",
    "n_workers": "workers",
    "nb_workers": "workers",
    "mlflow": "track mlflow",
    "no_op_max": "noop_max",
    "noops": "noop_max",
    "num_cpus": "workers",
    "num_env": "n_envs",
    "num_envs": "n_envs",
    "num_episodes": "episodes",
    "num_epochs": "n_epochs",
    "num_minibatches": "batch_size",
    "num_seeds": "seeds 1 2 3",
    "num_steps": "n_steps",
    "num_timesteps": "total_timesteps",
    "num_workers": "workers",
    "out": "run_dir",
    "output": "run_dir",
    "output_dir": "run_dir",
    "processes": "workers",
    "random_seed": "seed",
    "refine": "recipe pong-sticky",
    "replay": "buffer_size",
    "replay_size": "buffer_size",
    "replay_buffer_size": "buffer_size",
    "resolution": "cell_size",
    "restore": "resume",
    "returns": "n_step",
    "reuse": "replay_ratio",
    "rollout_length": "n_steps",
    "run_name": "run_dir",
    "save_freq": "save_every",
    "save_interval": "save_every",
    "save_path": "run_dir",
    "segment": "n_steps",
    "stride": "pixel_stride",
    "target": "target_update_interval",
    "target_network_frequency": "target_update_interval",
    "target_update": "target_update_interval",
    "target_reward": "until",
    "target_score": "until",
    "threads": "workers",
    "timesteps": "total_timesteps",
    "total_steps": "total_timesteps",
    "trained_agent": "init_from",
    "until_games": "until_episodes",
    "update_epochs": "n_epochs",
    "utd_ratio": "replay_ratio",
    "value_coef": "vf_coef",
    "value_weight": "vf_coef",
    "wandb": "track wandb",
    "warmup": "learning_starts",
    "warmup_steps": "learning_starts",
}
"""Other names -> ours."""

_CPU = "everything runs on the CPU, in as many processes as workers says"
_ONLINE = "--track wandb sends a run there, and WANDB_PROJECT and WANDB_ENTITY name the place"
_VIDEO = "no pictures are stored while training; --watch shows a game, fastpong video makes films"
_STICKY = "the environment has it: --env ALE/Pong-v5 --frame-skip 4 --sticky 0, for one without"
_STAGES = "stages of a recipe say that; fastpong recipes pong-sticky shows some"
_ADAM = "agent keras has adam_beta1, adam_beta2 and adam_eps, and ppo and dqn have fixed ones"

ABSENT = {
    "asynchronous": "lag 1 plays and learns at the same time",
    "beta1": _ADAM,
    "beta2": _ADAM,
    "betas": _ADAM,
    "capture_video": _VIDEO,
    "cuda": _CPU,
    "deterministic": "equal seeds and settings always give equal weights",
    "device": _CPU,
    "epsilon": "too many things have that name; expected rmsprop_eps (agent karpathy), adam_eps "
    "(keras), exploration_final_eps or eval_eps (dqn)",
    "eps": "too many things have that name; expected rmsprop_eps (agent karpathy), adam_eps "
    "(keras), exploration_final_eps or eval_eps (dqn)",
    "fine_gamma": _STAGES,
    "fine_reuse": _STAGES,
    "fine_returns": _STAGES,
    "finest_anneal": _STAGES,
    "finest_exploration": _STAGES,
    "finest_gamma": _STAGES,
    "finest_learning_rate": _STAGES,
    "finest_reuse": _STAGES,
    "frame_skip": "the environment has it, and stages of a recipe may lower it",
    "frame_stack": "ppo and dqn have frame_history, the other agents see differences of frames",
    "frameskip": "the environment has it, and stages of a recipe may lower it",
    "gpu": _CPU,
    "hyper": "settings stand at the top of the file, without a table",
    "hyperparams": "settings are options of their own, or in a file for --config",
    "log_interval": "every episode is a row of metrics.csv",
    "norm_adv": "advantages are always standardized",
    "optimizer": "every agent has its own: karpathy RMSProp, the others Adam",
    "policy": "every agent has its own network; hidden sets its size",
    "refine_anneal": _STAGES,
    "refine_entropy": _STAGES,
    "refine_epochs": _STAGES,
    "refine_lambda": _STAGES,
    "refine_learning_rate": _STAGES,
    "refine_minibatch": _STAGES,
    "refine_segment": _STAGES,
    "refine_sharpening": _STAGES,
    "refine_temperature": _STAGES,
    "render": _VIDEO,
    "render_mode": _VIDEO,
    "start_e": "it is always 1; exploration_final_eps is the end and exploration_steps the way",
    "sticky": _STICKY,
    "sticky_actions": _STICKY,
    "target_kl": "every update makes all of its n_epochs",
    "tau": "the target network is copied whole, every target_update_interval steps",
    "tensorboard": "every run directory has TensorBoard events; see --run-dir",
    "tensorboard_log": "every run directory has TensorBoard events; see --run-dir",
    "torch_deterministic": "equal seeds and settings always give equal weights",
    "verbose": "--no-progress prints a line per episode",
    "video": _VIDEO,
    "wandb_entity": _ONLINE,
    "wandb_project": _ONLINE,
    "wandb_project_name": _ONLINE,
}
"""Other programs' names -> why there is no such setting here."""


def answer(name: str, spell: Callable[[str], str] = str) -> str | None:
    """Explain another program's name. None: it is unknown.

    spell : writes one of our names, as in ``--n-envs``
    """
    name = name.replace("-", "_").lower()
    if name in OURS:
        ours, _, value = OURS[name].partition(" ")
        return f"is called {spell(ours)} here" + (f", as in {spell(ours)} {value}" if value else "")
    return f"not here, because {ABSENT[name]}" if name in ABSENT else None


def unknown(
    name: str, value: object, agent: str, owners: Sequence[str], known: Collection[str]
) -> str:
    """Return the message for an unknown key.

    owners : agents that have it
    known  : the keys that could stand there
    """
    name = shorten(name)
    if isinstance(value, Mapping):
        return f"{name}: expected a setting, got a table; put its keys above the first [table]"
    if owners:
        others = " or ".join(owners)
        return (
            f"{name}: expected a setting of agent {agent}, got one of agent {others}; choose agent "
            f"{others}, or leave it out"
        )
    if (told := answer(name)) and name.replace("-", "_") not in known:
        return f"{name}: {told}"
    (nearest,) = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
    return (
        f"{name}: expected a setting of agent {agent}, got an unknown name; "
        f"the nearest is {nearest}, all are {', '.join(sorted(known))}"
    )
