"""Losses and the softmax in Cython: raw, for callers that have checked their arguments.

Use them through ``fastpong.kernels``. ``fastpong.oracle.losses`` states the mathematics.
"""

from libc.math cimport exp, fabs, log, log1p

cdef double CLIP = 1e-7    # Keras keeps probabilities this far from 0 and 1


# --- softmax ------------------------------------------------------------------------------------

cdef void c_softmax(const floating[:, ::1] logits, floating[:, ::1] out) noexcept nogil:
    cdef Py_ssize_t t
    for t in range(logits.shape[0]):
        row_softmax(logits[t], out[t])


def softmax(const floating[:, ::1] logits, floating[:, ::1] out):
    """Write p_i = exp(l_i) / sum_j exp(l_j): (T, A) -> (T, A)."""
    with nogil:
        c_softmax(logits, out)


# --- cross-entropy ------------------------------------------------------------------------------

cdef void c_cross_entropy_gradient(
        const floating[:, ::1] probability, const uint8_t[::1] actions,
        const floating[::1] advantage, double step, floating[:, ::1] dlogit,
        floating[::1] loss) noexcept nogil:
    # Y = p + step A (onehot - p);  loss = -sum Y log(clip(p));  dl/dlogit_j = p_j S - [in_j] Y_j
    # with S = sum_j [in_j] Y_j. Where nothing is clipped S = 1 and that is step A (p - onehot):
    # written so, because p - Y would cancel in all but its last three digits.
    cdef Py_ssize_t t, j
    cdef double p, y, scale, total, sum
    cdef bint inside
    for t in range(probability.shape[0]):
        scale = step * advantage[t]
        inside = True
        total = sum = 0
        for j in range(probability.shape[1]):
            p = probability[t, j]
            y = p + scale * ((j == actions[t]) - p)
            if CLIP <= p <= 1 - CLIP:
                total += y
            else:
                inside = False
            sum -= y * log(CLIP if p < CLIP else (1 - CLIP if p > 1 - CLIP else p))
        loss[t] = <floating>sum
        for j in range(probability.shape[1]):
            p = probability[t, j]
            y = p + scale * ((j == actions[t]) - p)
            if inside:
                dlogit[t, j] = <floating>(scale * (p - (j == actions[t])))
            else:
                dlogit[t, j] = <floating>(p * total - (y if CLIP <= p <= 1 - CLIP else 0))


def cross_entropy_gradient(
        const floating[:, ::1] probability, const uint8_t[::1] actions,
        const floating[::1] advantage, double step, floating[:, ::1] dlogit, floating[::1] loss):
    """Write every step's cross-entropy and its gradient by the logits."""
    with nogil:
        c_cross_entropy_gradient(probability, actions, advantage, step, dlogit, loss)


# --- PPO ----------------------------------------------------------------------------------------

cdef inline double softplus(double x) noexcept nogil:
    # log(1 + e^x), without overflow
    return (x if x > 0 else 0) + log1p(exp(-fabs(x)))


cdef void c_ppo_gradient(
        const int64_t[::1] order, const floating[::1] logit, const floating[::1] value,
        const uint8_t[::1] actions, const floating[::1] old_logit,
        const floating[::1] advantage, const floating[::1] returns, PpoTerms terms,
        floating[::1] dlogit, floating[::1] dvalue, double[:, ::1] losses) noexcept nogil:
    cdef Py_ssize_t q, t
    cdef double sign, log_odds, p, log_ratio, ratio, gain, slope, error, bounded
    for q in range(order.shape[0]):
        t = order[q]
        sign = 1 if actions[t] else -1
        log_odds = logit[q]
        log_ratio = softplus(-sign * old_logit[t]) - softplus(-sign * log_odds)
        ratio = exp(log_ratio)
        gain = advantage[t]
        bounded = min(max(ratio, 1 - terms.clip_range), 1 + terms.clip_range)
        p = exp(-softplus(-log_odds))
        # d log pi(a) / dl = sign (1 - pi(a));  dH / dl = -p (1 - p) l, l the log odds
        slope = -gain * ratio * sign * exp(-softplus(sign * log_odds))
        # The clipped arm is flat, and bounded is another number than ratio there.
        if (gain > 0 and ratio > bounded) or (gain <= 0 and ratio < bounded):
            slope = 0
        slope += terms.ent_coef * p * exp(-softplus(log_odds)) * log_odds
        error = <double>value[q] - <double>returns[t]
        dlogit[q] = <floating>(slope / terms.size)
        dvalue[q] = <floating>(terms.vf_coef * error / terms.size)
        losses[0, terms.first + q] = -min(ratio * gain, bounded * gain)
        losses[1, terms.first + q] = error * error / 2
        losses[2, terms.first + q] = (
            p * softplus(-log_odds) + exp(-softplus(log_odds)) * softplus(log_odds))
        losses[3, terms.first + q] = ratio - 1 - log_ratio
        losses[4, terms.first + q] = fabs(ratio - 1) > terms.clip_range


def ppo_gradient(
        const int64_t[::1] order, const floating[::1] logit, const floating[::1] value, steps,
        coefficients, out):
    """Write the gradient by logits and values, and every loss."""
    cdef const uint8_t[::1] actions = steps[0]
    cdef const floating[::1] old_logit = steps[1]
    cdef const floating[::1] advantage = steps[2]
    cdef const floating[::1] returns = steps[3]
    cdef floating[::1] dlogit = out[0]
    cdef floating[::1] dvalue = out[1]
    cdef double[:, ::1] losses = out[2]
    cdef PpoTerms terms
    terms.clip_range, terms.ent_coef, terms.vf_coef = coefficients
    terms.size, terms.first = order.shape[0], 0
    with nogil:
        c_ppo_gradient(order, logit, value, actions, old_logit, advantage, returns, terms, dlogit,
                       dvalue, losses)


# --- Q-learning ---------------------------------------------------------------------------------

cdef void c_td_gradient(
        const floating[:, ::1] heads, const floating[:, ::1] target_heads,
        const uint8_t[::1] actions, const double[::1] rewards, const double[::1] discount,
        floating[::1] dlogit, floating[::1] dvalue, double[:, ::1] parts) noexcept nogil:
    cdef Py_ssize_t q, size = actions.shape[0]
    cdef double sign, better, target, error
    for q in range(size):
        # Q(RIGHT) = V + l / 2, Q(LEFT) = V - l / 2
        sign = 0.5 if actions[q] else -0.5
        better = 0.5 if heads[0, size + q] > 0 else -0.5
        target = <double>target_heads[1, q] + better * <double>target_heads[0, q]
        target = rewards[q] + discount[q] * target
        error = <double>heads[1, q] + sign * <double>heads[0, q] - target
        dvalue[q] = <floating>(error / size)
        dlogit[q] = <floating>(sign * (error / size))
        parts[0, q] = error
        parts[1, q] = target


def td_gradient(
        const floating[:, ::1] heads, const floating[:, ::1] target_heads, sample, out):
    """Write the gradient by log odds and values, errors and targets."""
    cdef const uint8_t[::1] actions = sample[0]
    cdef const double[::1] rewards = sample[1]
    cdef const double[::1] discount = sample[2]
    cdef floating[::1] dlogit = out[0]
    cdef floating[::1] dvalue = out[1]
    cdef double[:, ::1] parts = out[2]
    with nogil:
        c_td_gradient(heads, target_heads, actions, rewards, discount, dlogit, dvalue, parts)
