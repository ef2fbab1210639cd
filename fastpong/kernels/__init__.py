"""The public kernels: checked, documented, and the same whichever backend computes them.

>>> from fastpong import kernels
>>> kernels.discount_rewards(np.array([0.0, 0.0, 1.0]), gamma=0.5)
array([0.25, 0.5 , 1.  ])

The functions of this module run on the default backend: ``FASTPONG_BACKEND`` if it is set, else
Cython, else (no compiled extension here) Numba. ``get_backend("cython" | "numba" | "numpy")``
returns an object with the same functions.

Conventions. T steps, D = 6400 pixels, H hidden units. Arrays are float32 or float64, one of them
per call. Inputs may be read-only, and are copied where they are not C-contiguous. Outputs given
by ``out=`` must be writeable and C-contiguous. W1 is pixel-major, (D, H), one contiguous row for
a pixel. The reference program's (H, D) matrix is its transpose. Tolerance against
``fastpong.oracle``: pixels exact, float64 1e-12, float32 1e-5 relative. The GIL is released.
Wrong types raise TypeError, wrong shapes and values ValueError, both naming the argument.

Source of the formulas: A. Karpathy, "Deep Reinforcement Learning: Pong from Pixels" (2016).
"""

from __future__ import annotations

from fastpong.geometry import PONG
from fastpong.kernels.backend import Backend as Backend
from fastpong.kernels.backend import get_backend as get_backend
from fastpong.kernels.conv import NETWORK as NETWORK
from fastpong.kernels.normalizers import ObservationNormalizer as ObservationNormalizer
from fastpong.kernels.normalizers import RewardNormalizer as RewardNormalizer
from fastpong.kernels.normalizers import RunningMeanStd as RunningMeanStd
from fastpong.kernels.replay import ReplayBuffer as ReplayBuffer
from fastpong.kernels.replay_input import ReplayBatch as ReplayBatch
from fastpong.kernels.replay_settings import Prioritized as Prioritized
from fastpong.kernels.runner import MODULES as MODULES
from fastpong.kernels.sumtree import SumTree as SumTree

PIXELS, SCREEN = PONG.pixels, PONG.screen

_default = get_backend()

preprocess_frame = _default.preprocess_frame
difference_frame = _default.difference_frame
sparse_difference_frame = _default.sparse_difference_frame
max_pool_frames = _default.max_pool_frames
grayscale = _default.grayscale
resize_area = _default.resize_area
frame_stack_push = _default.frame_stack_push
atari_frame = _default.atari_frame
policy_forward = _default.policy_forward
policy_backward = _default.policy_backward
sparse_policy_forward = _default.sparse_policy_forward
sparse_policy_backward = _default.sparse_policy_backward
policy_step = _default.policy_step
discount_rewards = _default.discount_rewards
rmsprop_update = _default.rmsprop_update
sparse_conv_forward = _default.sparse_conv_forward
sparse_conv_backward = _default.sparse_conv_backward
dense_forward = _default.dense_forward
dense_backward = _default.dense_backward
softmax = _default.softmax
cross_entropy_gradient = _default.cross_entropy_gradient
conv_step = _default.conv_step
adam_update = _default.adam_update
clip_grad_norm = _default.clip_grad_norm
encode_cells = _default.encode_cells
cells_forward = _default.cells_forward
cells_heads = _default.cells_heads
cells_backward = _default.cells_backward
cells_adam = _default.cells_adam
cells_step = _default.cells_step
ppo_gradient = _default.ppo_gradient
td_gradient = _default.td_gradient
ppo_update = _default.ppo_update
gae = _default.gae
lambda_returns = _default.lambda_returns
n_step_returns = _default.n_step_returns
vtrace = _default.vtrace
standardize = _default.standardize
update_mean_var = _default.update_mean_var
normalize_observations = _default.normalize_observations
normalize_rewards = _default.normalize_rewards
