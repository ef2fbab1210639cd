"""Linear layers: compiled in ``fastpong._kernels``, whose cores other Cython code can cimport."""

from fastpong._kernels import PolicyStep as PolicyStep
from fastpong._kernels import Step as Step
from fastpong._kernels import dense_backward as dense_backward
from fastpong._kernels import dense_forward as dense_forward
from fastpong._kernels import policy_backward as policy_backward
from fastpong._kernels import policy_forward as policy_forward
from fastpong._kernels import sparse_policy_backward as sparse_policy_backward
from fastpong._kernels import sparse_policy_forward as sparse_policy_forward
