"""The NumPy reference of every kernel: slow, plain, and close to the formulas.

Each function has the name, the arguments and the outputs of the compiled kernel that it judges,
but goes another way wherever there is one: sparse frames are made dense, recursions are written
as sums, passes over single elements as matrix products. Everything is computed in float64 and
rounded once, on its way into the caller's output. Imports NumPy and nothing else.

Notation: T steps, D = 6400 pixels, H hidden units, a frame is 210 rows x 160 columns on screen.
A module a family, as in ``fastpong.kernels``. The names of all of them stand here too.
"""

from __future__ import annotations

from fastpong.oracle.atari import atari_frame as atari_frame
from fastpong.oracle.atari import atari_frame_palette as atari_frame_palette
from fastpong.oracle.atari import atari_frame_rgb as atari_frame_rgb
from fastpong.oracle.atari import frame_stack_push as frame_stack_push
from fastpong.oracle.atari import grayscale as grayscale
from fastpong.oracle.atari import max_pool_frames as max_pool_frames
from fastpong.oracle.atari import resize_area as resize_area
from fastpong.oracle.cells import CellsStep as CellsStep
from fastpong.oracle.cells import cell_counts as cell_counts
from fastpong.oracle.cells import cells_backward as cells_backward
from fastpong.oracle.cells import cells_forward as cells_forward
from fastpong.oracle.cells import cells_heads as cells_heads
from fastpong.oracle.cells import dense_inputs as dense_inputs
from fastpong.oracle.cells import encode_cells as encode_cells
from fastpong.oracle.cells import encode_channels as encode_channels
from fastpong.oracle.conv import ConvStep as ConvStep
from fastpong.oracle.conv import convolve as convolve
from fastpong.oracle.conv import sparse_conv_backward as sparse_conv_backward
from fastpong.oracle.conv import sparse_conv_forward as sparse_conv_forward
from fastpong.oracle.frames import dense_frames as dense_frames
from fastpong.oracle.frames import difference_frame as difference_frame
from fastpong.oracle.frames import preprocess_frame as preprocess_frame
from fastpong.oracle.frames import preprocess_frame_rgb as preprocess_frame_rgb
from fastpong.oracle.frames import sparse_difference_frame as sparse_difference_frame
from fastpong.oracle.linear import PolicyStep as PolicyStep
from fastpong.oracle.linear import dense_backward as dense_backward
from fastpong.oracle.linear import dense_forward as dense_forward
from fastpong.oracle.linear import policy_backward as policy_backward
from fastpong.oracle.linear import policy_forward as policy_forward
from fastpong.oracle.linear import sigmoid as sigmoid
from fastpong.oracle.linear import sparse_policy_backward as sparse_policy_backward
from fastpong.oracle.linear import sparse_policy_forward as sparse_policy_forward
from fastpong.oracle.losses import cross_entropy as cross_entropy
from fastpong.oracle.losses import cross_entropy_gradient as cross_entropy_gradient
from fastpong.oracle.losses import log_probabilities as log_probabilities
from fastpong.oracle.losses import ppo_gradient as ppo_gradient
from fastpong.oracle.losses import ppo_losses as ppo_losses
from fastpong.oracle.losses import soft_targets as soft_targets
from fastpong.oracle.losses import softmax as softmax
from fastpong.oracle.losses import td_gradient as td_gradient
from fastpong.oracle.optimizers import adam_update as adam_update
from fastpong.oracle.optimizers import cells_adam as cells_adam
from fastpong.oracle.optimizers import rmsprop_update as rmsprop_update
from fastpong.oracle.returns import discount_rewards as discount_rewards
from fastpong.oracle.returns import gae as gae
from fastpong.oracle.returns import lambda_returns as lambda_returns
from fastpong.oracle.returns import n_step_returns as n_step_returns
from fastpong.oracle.returns import vtrace as vtrace
from fastpong.oracle.statistics import normalize_observations as normalize_observations
from fastpong.oracle.statistics import normalize_rewards as normalize_rewards
from fastpong.oracle.statistics import standardize as standardize
from fastpong.oracle.statistics import update_mean_var as update_mean_var
from fastpong.oracle.updates import PpoUpdate as PpoUpdate
