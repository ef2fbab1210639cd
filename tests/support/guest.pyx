# cython: language_level=3, boundscheck=False, wraparound=False
"""Calls every core with plain writeable buffers: double[::1] stands for const floating[::1].

A function takes what the raw kernel of its name takes.
"""

from libc.math cimport sqrt
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint16_t
from libc.stdlib cimport free, malloc

from fastpong._kernels cimport (
    adam_rates, c_adam_update, c_dense_backward, c_dense_forward, c_difference_frame,
    c_difference_frame_u8, c_discount_rewards, c_gae, c_policy_backward, c_policy_forward,
    c_preprocess_frame, c_preprocess_frame_rgb, c_rmsprop_update, c_sparse_difference_frame,
    c_sparse_frame_forward, c_sparse_policy_backward, c_sparse_policy_forward, c_standardize,
    sigmoid)
from fastpong.kernels.cython.atari cimport (
    AreaPlan, c_atari_frame, c_frame_stack_push, c_grayscale, c_max_pool_frames, c_resize_area)
from fastpong.kernels.cython.cells cimport (
    CellsAdam, Inputs, Tree, c_cells_adam, c_cells_backward, c_cells_forward, c_cells_heads,
    c_encode_cells)
from fastpong.kernels.cython.conv cimport Frames, c_sparse_conv_backward, c_sparse_conv_forward
from fastpong.kernels.cython.losses cimport (
    PpoTerms, c_cross_entropy_gradient, c_ppo_gradient, c_softmax, c_td_gradient)
from fastpong.kernels.cython.optimizers cimport c_scale, c_squared_norm, clip_factor
from fastpong.kernels.cython.replay cimport (
    Shape, c_gather_stack, c_tree_find, c_tree_levels, c_tree_sample, c_tree_update)
from fastpong.kernels.cython.returns cimport (
    Ends, VtraceTerms, c_discount_rollout, c_gae_rollout, c_lambda_returns, c_n_step_returns,
    c_vtrace, find_ends)
from fastpong.kernels.cython.statistics cimport (
    c_normalize_observations, c_normalize_rewards, c_update_mean_var)


def preprocess_frame(uint8_t[:, ::1] screen, uint8_t[::1] table, float[::1] out):
    with nogil:
        c_preprocess_frame(screen, table, out)


def preprocess_frame_rgb(uint8_t[:, :, ::1] frame, float[::1] out):
    with nogil:
        c_preprocess_frame_rgb(frame, out)


def difference_frame(double[::1] current, double[::1] previous, double[::1] out):
    with nogil:
        c_difference_frame(current, previous, out)


def difference_frame_u8(uint8_t[::1] current, uint8_t[::1] previous, int8_t[::1] out):
    with nogil:
        c_difference_frame_u8(current, previous, out)


def sparse_difference_frame(
        uint8_t[:, ::1] screen, uint8_t[:, ::1] previous, uint8_t[::1] table,
        uint16_t[::1] indices, int8_t[::1] signs):
    cdef Py_ssize_t n
    with nogil:
        n = c_sparse_difference_frame(screen, previous, table, indices, signs)
    return n


def policy_forward(
        double[:, ::1] x, double[:, ::1] w1, double[::1] w2, double[:, ::1] hidden,
        double[::1] probability):
    with nogil:
        c_policy_forward(x, w1, w2, hidden, probability)


def policy_backward(
        double[:, ::1] x, double[:, ::1] hidden, double[::1] dlogit, double[::1] w2,
        double[:, ::1] grad_w1, double[::1] grad_w2):
    with nogil:
        c_policy_backward(x, hidden, dlogit, w2, grad_w1, grad_w2)


def sparse_policy_forward(
        int64_t[::1] indptr, uint16_t[::1] indices, int8_t[::1] signs, double[:, ::1] w1,
        double[::1] w2, double[:, ::1] hidden, double[::1] probability):
    cdef double single
    with nogil:
        c_sparse_policy_forward(indptr, indices, signs, w1, w2, hidden, probability)
        single = c_sparse_frame_forward(
            indices[indptr[0]:indptr[1]], signs[indptr[0]:indptr[1]], w1, w2, hidden[0])
    assert sigmoid(single) == probability[0]


def sparse_policy_backward(
        int64_t[::1] indptr, uint16_t[::1] indices, int8_t[::1] signs, double[:, ::1] hidden,
        double[::1] dlogit, double[::1] w2, double[:, ::1] grad_w1, double[::1] grad_w2):
    with nogil:
        c_sparse_policy_backward(indptr, indices, signs, hidden, dlogit, w2, grad_w1, grad_w2)


def dense_forward(double[:, ::1] x, double[:, ::1] w, double[::1] b, bint relu, double[:, ::1] out):
    with nogil:
        c_dense_forward(x, w, b, relu, out)


def dense_backward(
        double[:, ::1] x, double[:, ::1] w, double[:, ::1] dout, bint relu,
        double[:, ::1] grad_w, double[::1] grad_b, double[:, ::1] dx):
    with nogil:
        c_dense_backward(x, w, dout, relu, grad_w, grad_b, dx)


def discount_line(double[::1] rewards, double gamma, double[::1] out, bint reset_on_reward):
    with nogil:
        c_discount_rewards(rewards, gamma, out, reset_on_reward)


def discount_rewards(
        double[:, ::1] rewards, double gamma, double[:, ::1] out, bint reset_on_reward,
        uint8_t[:, ::1] terminated, uint8_t[:, ::1] truncated, uint8_t[:, ::1] dones_before,
        uint8_t[::1] last_done):
    cdef Ends ends = find_ends(terminated, truncated, dones_before, last_done)
    with nogil:
        c_discount_rollout(rewards, ends, gamma, reset_on_reward, out)


def standardize(
        double[::1] values, double[::1] out, bint center, Py_ssize_t ddof, double epsilon,
        bint sequential):
    with nogil:
        c_standardize(values, out, center, ddof, epsilon, sequential)


def standardize_by_default(double[::1] values, double[::1] out, bint center):
    with nogil:
        c_standardize(values, out, center)


def gae_terminated(
        double[:, ::1] rewards, double[:, ::1] values, uint8_t[:, ::1] terminated,
        double[::1] last_value, double gamma, double lambda_, double[:, ::1] out):
    with nogil:
        c_gae(rewards, values, terminated, last_value, gamma, lambda_, out)


def gae(
        double[:, ::1] rewards, double[:, ::1] values, uint8_t[:, ::1] terminated,
        double[::1] last_value, double gamma, double lambda_, double[:, ::1] out,
        uint8_t[:, ::1] truncated, next_values, uint8_t[:, ::1] dones_before,
        uint8_t[::1] last_done):
    cdef Ends ends = find_ends(terminated, truncated, dones_before, last_done)
    cdef double[:, ::1] following = values if next_values is None else next_values
    with nogil:
        c_gae_rollout(
            rewards, values, ends, following, last_value, gamma, lambda_, out)


def lambda_returns(
        double[:, ::1] rewards, double[:, ::1] values, uint8_t[:, ::1] terminated,
        double[::1] last_value, double gamma, double lambda_, double[:, ::1] out,
        uint8_t[:, ::1] truncated, next_values, uint8_t[:, ::1] dones_before,
        uint8_t[::1] last_done):
    cdef Ends ends = find_ends(terminated, truncated, dones_before, last_done)
    cdef double[:, ::1] following = values if next_values is None else next_values
    with nogil:
        c_lambda_returns(
            rewards, values, ends, following, last_value, gamma, lambda_, out)


def n_step_returns(
        double[:, ::1] rewards, double[:, ::1] values, uint8_t[:, ::1] terminated,
        double[::1] last_value, Py_ssize_t n, double gamma, double[:, ::1] out,
        uint8_t[:, ::1] truncated, next_values, uint8_t[:, ::1] dones_before,
        uint8_t[::1] last_done):
    cdef Ends ends = find_ends(terminated, truncated, dones_before, last_done)
    cdef double[:, ::1] following = values if next_values is None else next_values
    with nogil:
        c_n_step_returns(rewards, values, ends, following, last_value, n, gamma, out)


def vtrace(
        double[:, ::1] log_rhos, double[:, ::1] rewards, double[:, ::1] values,
        uint8_t[:, ::1] terminated, double[::1] last_value, double gamma, double lambda_,
        double clip_rho, double clip_c, double clip_pg_rho, double[:, ::1] vs,
        double[:, ::1] pg_advantages, uint8_t[:, ::1] truncated, next_values,
        uint8_t[:, ::1] dones_before, uint8_t[::1] last_done):
    cdef Ends ends = find_ends(terminated, truncated, dones_before, last_done)
    cdef VtraceTerms terms = VtraceTerms(gamma, lambda_, clip_rho, clip_c, clip_pg_rho)
    cdef double[:, ::1] following = values if next_values is None else next_values
    with nogil:
        c_vtrace(
            log_rhos, rewards, values, ends, following, last_value, terms, vs, pg_advantages)


def rmsprop_update(
        double[::1] parameter, double[::1] gradient, double[::1] cache, double learning_rate,
        double decay, double epsilon, bint maximize):
    with nogil:
        c_rmsprop_update(parameter, gradient, cache, learning_rate, decay, epsilon, maximize)


def adam_update(
        double[::1] parameter, double[::1] gradient, double[::1] mean, double[::1] square,
        int64_t step, double learning_rate, double beta1, double beta2, double epsilon,
        bint epsilon_hat):
    with nogil:
        c_adam_update(parameter, gradient, mean, square, adam_rates(
            step, learning_rate, beta1, beta2, epsilon, epsilon_hat))


def clip_grad_norm(double[::1] gradient, double max_norm):
    cdef double norm
    with nogil:
        norm = sqrt(c_squared_norm(gradient))
        c_scale(gradient, clip_factor(norm, max_norm))
    return norm


def softmax(double[:, ::1] logits, double[:, ::1] out):
    with nogil:
        c_softmax(logits, out)


def cross_entropy_gradient(
        double[:, ::1] probability, uint8_t[::1] actions, double[::1] advantage, double step,
        double[:, ::1] dlogit, double[::1] loss):
    with nogil:
        c_cross_entropy_gradient(probability, actions, advantage, step, dlogit, loss)


def ppo_gradient(
        int64_t[::1] order, double[::1] logit, double[::1] value, steps, coefficients, out):
    cdef uint8_t[::1] actions = steps[0]
    cdef double[::1] old_logit = steps[1], advantage = steps[2], returns = steps[3]
    cdef double[::1] dlogit = out[0], dvalue = out[1]
    cdef double[:, ::1] losses = out[2]
    cdef PpoTerms terms
    terms.clip_range, terms.ent_coef, terms.vf_coef = coefficients
    terms.size, terms.first = order.shape[0], 0
    with nogil:
        c_ppo_gradient(order, logit, value, actions, old_logit, advantage, returns, terms, dlogit,
                       dvalue, losses)


def td_gradient(double[:, ::1] heads, double[:, ::1] target_heads, sample, out):
    cdef uint8_t[::1] actions = sample[0]
    cdef double[::1] rewards = sample[1], discount = sample[2], dlogit = out[0], dvalue = out[1]
    cdef double[:, ::1] parts = out[2]
    with nogil:
        c_td_gradient(heads, target_heads, actions, rewards, discount, dlogit, dvalue, parts)


def encode_cells(
        uint8_t[:, ::1] screen, uint8_t[:, ::1] previous, uint8_t[::1] table,
        Py_ssize_t cell_size, Py_ssize_t pixel_stride, out):
    cdef uint16_t[::1] indices = out[0]
    cdef int8_t[::1] values = out[1]
    cdef Py_ssize_t n
    with nogil:
        n = c_encode_cells(screen, previous, table, cell_size, pixel_stride, indices, values)
    return n


def cells_forward(int64_t[::1] order, inputs, network, mirror, double[:, :, ::1] hidden):
    cdef Inputs given = Inputs(inputs, mirror)
    cdef double[:, ::1] rows = network[0], units = network[1]
    with nogil:
        c_cells_forward(order, given, rows, units, hidden)


def cells_heads(double[:, :, ::1] hidden, double[:, ::1] units, out):
    cdef double[::1] logit = out[0], value = out[1]
    with nogil:
        c_cells_heads(hidden, units, logit, value)


def cells_backward(
        int64_t[::1] order, inputs, tree, double[:, :, ::1] hidden, double[:, ::1] units, upward,
        out):
    cdef Inputs given = Inputs(inputs, tree[0])
    cdef Tree above = Tree(tree)
    cdef double[::1] dlogit = upward[0], dvalue = upward[1], squares = out[1]
    cdef double[:, ::1] gradient = out[0]
    with nogil:
        c_cells_backward(order, given, above, hidden, units, dlogit, dvalue, gradient, squares)


def cells_adam(network, double[:, ::1] gradient, moments, tree, int64_t step, coefficients):
    cdef double[:, ::1] rows = network[0], units = network[1]
    cdef double[:, ::1] mean = moments[0], square = moments[1]
    cdef Tree above = Tree(tree)
    cdef CellsAdam adam
    adam.factor, adam.learning_rate, adam.beta1, adam.beta2, adam.epsilon = coefficients
    adam.step = step
    with nogil:
        c_cells_adam(rows, units, gradient, mean, square, above, adam)


def sparse_conv_forward(frames, layer, scratch, double[:, ::1] hidden):
    cdef double[:, ::1] kernel = layer[0], w = layer[2], values = scratch[0]
    cdef double[::1] bias = layer[1], b = layer[3], base = scratch[1]
    cdef Frames bound = Frames(frames, scratch[2])
    with nogil:
        c_sparse_conv_forward(bound, kernel, bias, w, b, values, base, hidden)


def sparse_conv_backward(frames, layer, double[:, ::1] dhidden, scratch, grads):
    cdef double[:, ::1] kernel = layer[0], w = layer[2], values = scratch[0]
    cdef double[:, ::1] grad_kernel = grads[0], grad_w = grads[2]
    cdef double[::1] bias = layer[1], total = scratch[1], grad_bias = grads[1], grad_b = grads[3]
    cdef Frames bound = Frames(frames, scratch[2])
    with nogil:
        c_sparse_conv_backward(bound, kernel, bias, w, dhidden, values, total, grad_kernel,
                               grad_bias, grad_w, grad_b)


def squared_norm(double[::1] gradient):
    with nogil:
        norm = c_squared_norm(gradient)
    return norm


def scale(double[::1] gradient, double factor):
    with nogil:
        c_scale(gradient, factor)


def update_mean_var(double[:, ::1] batch, double[::1] mean, double[::1] var, double[::1] count):
    with nogil:
        c_update_mean_var(batch, mean, var, count)


def normalize_observations(
        double[:, ::1] observations, double[::1] mean, double[::1] var, double epsilon,
        double clip, double[:, ::1] out):
    with nogil:
        c_normalize_observations(observations, mean, var, epsilon, clip, out)


def normalize_rewards(
        double[:, ::1] rewards, uint8_t[:, ::1] episode_starts, double[::1] returns,
        double[::1] mean, double[::1] var, double[::1] count, double gamma, double epsilon,
        double clip, bint update, double[:, ::1] out):
    with nogil:
        c_normalize_rewards(
            rewards, episode_starts, returns, mean, var, count, gamma, epsilon, clip, update, out)


def max_pool_frames(uint8_t[::1] frame, uint8_t[::1] previous, uint8_t[::1] out):
    with nogil:
        c_max_pool_frames(frame, previous, out)


def grayscale(uint8_t[:, ::1] colours, int32_t compat, uint8_t[::1] out):
    with nogil:
        c_grayscale(colours, compat, out)


def resize_area(uint8_t[:, :, :, ::1] frame, size, uint8_t[:, :, :, ::1] out):
    cdef AreaPlan plan = AreaPlan(frame.shape[1], frame.shape[2], out.shape[1], out.shape[2])
    cdef uint8_t *room = <uint8_t *>malloc(plan.room)
    cdef Py_ssize_t n
    with nogil:
        for n in range(frame.shape[0]):
            c_resize_area(plan, frame[n], out[n], room)
        free(room)


def frame_stack_push(
        uint8_t[:, :, :, ::1] stack, uint8_t[:, :, ::1] frame, uint8_t[::1] fresh, int32_t padding):
    with nogil:
        c_frame_stack_push(stack, frame, fresh, padding == 0)


cdef enum:
    GREY, PALETTE, RGB


cdef void frames(
        uint8_t *frame, uint8_t *previous, Py_ssize_t bytes, int32_t screen, uint8_t *palette,
        int32_t compat, AreaPlan plan, uint8_t[:, :, ::1] out) noexcept nogil:
    cdef uint8_t *room = <uint8_t *>malloc(plan.room)
    cdef Py_ssize_t n
    for n in range(out.shape[0]):
        c_atari_frame(
            plan, frame + n * bytes, previous + n * bytes, screen, palette, compat,
            &out[n, 0, 0], room)
    free(room)


def atari_frame(
        uint8_t[:, :, ::1] frame, uint8_t[:, :, ::1] previous, size, int32_t compat,
        uint8_t[:, :, ::1] out):
    plan = AreaPlan(frame.shape[1], frame.shape[2], out.shape[1], out.shape[2])
    frames(&frame[0, 0, 0], &previous[0, 0, 0], frame.shape[1] * frame.shape[2], GREY, NULL,
           compat, plan, out)


def atari_frame_palette(
        uint8_t[:, :, ::1] frame, uint8_t[:, :, ::1] previous, uint8_t[:, ::1] palette, size,
        int32_t compat, uint8_t[:, :, ::1] out):
    plan = AreaPlan(frame.shape[1], frame.shape[2], out.shape[1], out.shape[2])
    frames(&frame[0, 0, 0], &previous[0, 0, 0], frame.shape[1] * frame.shape[2], PALETTE,
           &palette[0, 0], compat, plan, out)


def atari_frame_rgb(
        uint8_t[:, :, :, ::1] frame, uint8_t[:, :, :, ::1] previous, size, int32_t compat,
        uint8_t[:, :, ::1] out):
    plan = AreaPlan(frame.shape[1], frame.shape[2], out.shape[1], out.shape[2])
    frames(&frame[0, 0, 0, 0], &previous[0, 0, 0, 0], 3 * frame.shape[1] * frame.shape[2], RGB,
           NULL, compat, plan, out)


def tree_room(Py_ssize_t capacity):
    """Return how many numbers a tree has."""
    levels = c_tree_levels(capacity)
    return levels.start[levels.count - 1] + levels.width[levels.count - 1]


def tree_update(
        double[::1] tree, Py_ssize_t capacity, int64_t[::1] indices, double[::1] priorities):
    with nogil:
        first = c_tree_update(tree, capacity, indices, priorities)
    return first


def tree_find(double[::1] tree, Py_ssize_t capacity, double[::1] sums, int64_t[::1] out):
    with nogil:
        first = c_tree_find(tree, capacity, sums, out)
    return first


def tree_sample(
        double[::1] tree, Py_ssize_t capacity, double[::1] uniforms, int64_t[::1] indices,
        double[::1] priorities):
    with nogil:
        first = c_tree_sample(tree, capacity, uniforms, indices, priorities)
    return first


def gather_stack(
        uint8_t[:, ::1] frames, uint8_t[::1] ages, Py_ssize_t slots, bint zero, Py_ssize_t slot,
        uint8_t[:, ::1] out):
    cdef Shape shape
    shape.slots, shape.frame_stack, shape.zero = slots, out.shape[0], zero
    with nogil:
        c_gather_stack(frames, ages, shape, slot, out)
