"""Kernels of replay buffers in Cython: raw, for callers that have checked their arguments.

Use them through ``fastpong.kernels``. ``fastpong.oracle.replay`` states the same plainly.

Design
------
(A) A sum tree is a binary tree of which every third level is stored: a node has eight children,
    one cache line. Its sum is ((a + b) + (c + d)) + ((e + f) + (g + h)), to the bit that of three
    levels of two. The levels between are added up again on the way down. A tree of a million
    leaves has seven levels instead of twenty, each of them a cache miss: update and sampling take
    a quarter of a binary heap's time.
(B) A batch goes through the tree level by level. Lines of the next level are fetched meanwhile.
    A level that has no more nodes than the batch has entries is renewed as a whole.
(C) Sums are recomputed from the children and never corrected by a difference. They depend on
    nothing but the leaves.
(D) Minima stand behind the sums, level 1 first: of priorities above 0, else infinity.
(E) Frames are stored once, in a ring of slots per environment. A frame's age is its number of
    frames before it in its episode, at most frame_stack - 1: so far back its stack reaches.
"""

from libc.math cimport INFINITY, isfinite
from libc.string cimport memcmp, memcpy, memset

from fastpong._clones cimport cloned, fetch

from numpy import ndarray

cdef enum:
    BLOCK = 64    # entries that go down a tree together

# So large that no sum of them overflows.
cdef double MOST = 2.0 ** 900

cpdef enum:
    STEP = 1          # of a slot: it has an action, a reward, and a next frame in the slot after it
    TERMINATED = 2
    SAMPLED = 4       # it may be sampled: all frames of its stack are stored


# --- sum tree -----------------------------------------------------------------------------------

cdef Levels c_tree_levels(Py_ssize_t capacity) noexcept nogil:
    # All nodes have eight children, but for the root, which has as many as are needed.
    cdef Levels levels
    cdef Py_ssize_t k, at = 0, width = 1
    levels.count = 2
    while 8 * width < capacity:
        width *= 8
        levels.count += 1
    width *= (capacity + width - 1) // width
    for k in range(levels.count):
        levels.start[k] = at
        levels.width[k] = width
        at += (width + 7) & ~7
        width = (width + 7) >> 3
    return levels


def tree_layout(Py_ssize_t capacity):
    """Return the numbers of a tree, and the places of its sum and of its minimum."""
    cdef Levels levels = c_tree_levels(capacity)
    cdef Py_ssize_t root = levels.start[levels.count - 1], minima = root + 8 - levels.start[1]
    return root + 8 + minima, root, root + minima


cdef inline double sum_of(const double[::1] tree, Py_ssize_t at) noexcept nogil:
    return (((tree[at] + tree[at + 1]) + (tree[at + 2] + tree[at + 3]))
            + ((tree[at + 4] + tree[at + 5]) + (tree[at + 6] + tree[at + 7])))


cdef inline double lower(double a, double b) noexcept nogil:
    return a if a < b else b


cdef inline double above_zero(double a) noexcept nogil:
    return a if a > 0 else INFINITY


cdef inline double least_leaf(const double[::1] tree, Py_ssize_t at) noexcept nogil:
    return lower(
        lower(lower(above_zero(tree[at]), above_zero(tree[at + 1])),
              lower(above_zero(tree[at + 2]), above_zero(tree[at + 3]))),
        lower(lower(above_zero(tree[at + 4]), above_zero(tree[at + 5])),
              lower(above_zero(tree[at + 6]), above_zero(tree[at + 7]))))


cdef inline double least(const double[::1] tree, Py_ssize_t at) noexcept nogil:
    return lower(lower(lower(tree[at], tree[at + 1]), lower(tree[at + 2], tree[at + 3])),
                 lower(lower(tree[at + 4], tree[at + 5]), lower(tree[at + 6], tree[at + 7])))


cdef inline void renew(
        double[::1] tree, const Levels *levels, Py_ssize_t minima, Py_ssize_t k,
        Py_ssize_t node) noexcept nogil:
    cdef Py_ssize_t at = levels.start[k] + node, child = levels.start[k - 1] + 8 * node
    tree[at] = sum_of(tree, child)
    tree[minima + at] = least_leaf(tree, child) if k == 1 else least(tree, minima + child)


cdef Py_ssize_t c_tree_update(
        double[::1] tree, Py_ssize_t capacity, const int64_t[::1] indices,
        const double[::1] priorities) noexcept nogil:
    cdef Levels levels = c_tree_levels(capacity)
    cdef Py_ssize_t n = indices.shape[0], q, k, node
    cdef Py_ssize_t minima = levels.start[levels.count - 1] + 8 - levels.start[1]
    if priorities.shape[0] != n:
        return 0
    for q in range(n):
        if not (0 <= indices[q] < capacity and 0 <= priorities[q] <= MOST):
            return q
        fetch(&tree[indices[q]])
        fetch(&tree[levels.start[1] + (indices[q] >> 3)])
        fetch(&tree[minima + levels.start[1] + (indices[q] >> 3)])
    for q in range(n):
        tree[indices[q]] = priorities[q] + 0.0    # -0.0 becomes 0.0
    for k in range(1, levels.count):
        if levels.width[k] <= n:
            for node in range(levels.width[k]):
                renew(tree, &levels, minima, k, node)
        else:
            for q in range(n):
                renew(tree, &levels, minima, k, indices[q] >> (3 * k))
    return -1


cdef inline bint is_plain(array):
    # Subclasses are refused: a mask would be ignored.
    return type(array) is ndarray


def tree_update(double[::1] tree, Py_ssize_t capacity, indices, priorities):
    """Store priorities and renew the sums above; the last of equal indices counts.

    Returns the first entry that cannot be stored, 0 for what is no plain array, and stores none.
    Or -1.
    """
    cdef Py_ssize_t refused
    cdef const int64_t[::1] places
    cdef const double[::1] values
    if not (is_plain(indices) and is_plain(priorities)):
        return 0
    places, values = indices, priorities
    with nogil:
        refused = c_tree_update(tree, capacity, places, values)
    return refused


cdef inline Py_ssize_t descend_once(
        const double[::1] tree, Py_ssize_t start, double *rest, Py_ssize_t node) noexcept nogil:
    # Each decision is a product and not a branch, which would be mispredicted every other time:
    # 7.4 us instead of 41 for 256 draws from 131,072 leaves. Sums are finite, and 0 * sum is 0.
    cdef Py_ssize_t at = start + 8 * node
    cdef double left = (tree[at] + tree[at + 1]) + (tree[at + 2] + tree[at + 3])
    cdef Py_ssize_t right = rest[0] >= left
    rest[0] -= right * left
    at += 4 * right
    left = tree[at] + tree[at + 1]
    right = rest[0] >= left
    rest[0] -= right * left
    at += 2 * right
    left = tree[at]
    right = rest[0] >= left
    rest[0] -= right * left
    return at + right - start


cdef void descend(
        const double[::1] tree, const Levels *levels, double *rest, Py_ssize_t *nodes,
        Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t q, k = levels.count - 2, last = levels.width[k] - 1
    for q in range(n):
        nodes[q] = descend_once(tree, levels.start[k], &rest[q], 0)
        if nodes[q] > last:    # by rounding: the root has fewer children
            nodes[q], rest[q] = last, -1
        if k > 0:
            fetch(&tree[levels.start[k - 1] + 8 * nodes[q]])
    while k > 0:
        k -= 1
        for q in range(n):
            nodes[q] = descend_once(tree, levels.start[k], &rest[q], nodes[q])
            if k > 0:
                fetch(&tree[levels.start[k - 1] + 8 * nodes[q]])


cdef Py_ssize_t descend_to_positive(
        const double[::1] tree, const Levels *levels, double rest) noexcept nogil:
    # As ``descend``, but never into a half that sums to 0. Rounding can lead there at the end.
    cdef Py_ssize_t k, at, node = 0
    cdef double left, right
    for k in range(levels.count - 2, -1, -1):
        at = levels.start[k] + 8 * node
        left = (tree[at] + tree[at + 1]) + (tree[at + 2] + tree[at + 3])
        right = (tree[at + 4] + tree[at + 5]) + (tree[at + 6] + tree[at + 7])
        if rest >= left and right > 0:
            rest -= left
            at += 4
        left, right = tree[at] + tree[at + 1], tree[at + 2] + tree[at + 3]
        if rest >= left and right > 0:
            rest -= left
            at += 2
        if rest >= tree[at] and tree[at + 1] > 0:
            rest -= tree[at]
            at += 1
        node = at - levels.start[k]
    return node


cdef void find_block(
        const double[::1] tree, const Levels *levels, const double *sums, int64_t *out,
        Py_ssize_t n) noexcept nogil:
    cdef double rest[BLOCK]
    cdef Py_ssize_t nodes[BLOCK]
    cdef Py_ssize_t q
    memcpy(rest, sums, n * sizeof(double))
    descend(tree, levels, rest, nodes, n)
    for q in range(n):
        if rest[q] >= 0 and tree[nodes[q]] > 0:
            out[q] = nodes[q]
        else:
            out[q] = descend_to_positive(tree, levels, sums[q])


cdef Py_ssize_t c_tree_find(
        const double[::1] tree, Py_ssize_t capacity, const double[::1] sums,
        int64_t[::1] out) noexcept nogil:
    cdef Levels levels = c_tree_levels(capacity)
    cdef double total = tree[levels.start[levels.count - 1]]
    cdef Py_ssize_t q, first = 0, n = sums.shape[0]
    if out.shape[0] != n:
        return 0
    for q in range(n):
        if not (total > 0 and 0 <= sums[q] <= total):
            return q
    while first < n:
        find_block(tree, &levels, &sums[first], &out[first], min(BLOCK, n - first))
        first += BLOCK
    return -1


def tree_find(const double[::1] tree, Py_ssize_t capacity, sums, out):
    """Write the leaf in which each prefix sum lies.

    Returns the first sum that lies outside of the tree, and writes none, or -1.
    """
    cdef Py_ssize_t refused
    cdef const double[::1] numbers
    cdef int64_t[::1] found
    if not (is_plain(sums) and is_plain(out)):
        return 0
    numbers, found = sums, out
    with nogil:
        refused = c_tree_find(tree, capacity, numbers, found)
    return refused


cdef Py_ssize_t c_tree_sample(
        const double[::1] tree, Py_ssize_t capacity, const double[::1] uniforms,
        int64_t[::1] indices, double[::1] priorities) noexcept nogil:
    cdef Levels levels = c_tree_levels(capacity)
    cdef double total = tree[levels.start[levels.count - 1]]
    cdef Py_ssize_t q, size, first = 0, n = uniforms.shape[0]
    cdef double sums[BLOCK]
    if indices.shape[0] != n or priorities.shape[0] != n:
        return 0
    for q in range(n):
        if not (total > 0 and 0 <= uniforms[q] < 1):
            return q
    while first < n:
        size = min(BLOCK, n - first)
        for q in range(size):
            sums[q] = (first + q + uniforms[first + q]) / n * total
        find_block(tree, &levels, sums, &indices[first], size)
        for q in range(size):
            priorities[first + q] = tree[indices[first + q]]
        first += BLOCK
    return -1


def tree_sample(const double[::1] tree, Py_ssize_t capacity, uniforms, indices, priorities):
    """Write a leaf of every one of n equal parts of the sum, and its priority.

    Returns the first uniform number outside of [0, 1), and writes none, or -1.
    """
    cdef Py_ssize_t refused
    cdef const double[::1] numbers
    cdef int64_t[::1] found
    cdef double[::1] values
    if not (is_plain(uniforms) and is_plain(indices) and is_plain(priorities)):
        return 0
    numbers, found, values = uniforms, indices, priorities
    with nogil:
        refused = c_tree_sample(tree, capacity, numbers, found, values)
    return refused


# --- replay buffer ------------------------------------------------------------------------------

cdef class Storage:
    """A buffer's arrays, by slots, environment by environment."""

    cdef uint8_t[:, ::1] frames
    cdef uint8_t[:, ::1] actions
    cdef float[::1] rewards
    cdef uint8_t[::1] flags
    cdef uint8_t[::1] ages

    def __init__(self, storage):
        self.frames, self.actions, self.rewards, self.flags, self.ages = storage


cdef class Steps:
    """A step of all environments."""

    cdef const uint8_t[:, ::1] frames
    cdef const uint8_t[:, ::1] actions
    cdef const float[::1] rewards
    cdef const uint8_t[::1] terminated
    cdef const uint8_t[::1] truncated
    cdef const uint8_t[:, ::1] next_frames
    cdef const uint8_t[::1] valid

    def __init__(self, steps):
        (self.frames, self.actions, self.rewards, self.terminated, self.truncated,
         self.next_frames, self.valid) = steps


cdef class Changes:
    """Slots that may be sampled from now on, or no longer, with their priorities."""

    cdef int64_t[::1] slots
    cdef double[::1] priorities
    cdef Py_ssize_t count

    def __init__(self, changes):
        self.slots, self.priorities = changes
        self.count = 0

    cdef void add(self, Py_ssize_t slot, double priority) noexcept nogil:
        self.slots[self.count] = slot
        self.priorities[self.count] = priority
        self.count += 1


cdef void push_frame(
        Storage held, int64_t[::1] head, Py_ssize_t base, Shape shape, const uint8_t *frame,
        uint8_t age, Changes changes) noexcept nogil:
    # Into the slot after the newest, whose old frame no stack can have from now on.
    cdef Py_ssize_t j, slot, newest = head[0] + 1
    if newest == shape.slots:
        newest = 0
    head[0] = newest
    if head[1] < shape.slots:
        head[1] += 1
    for j in range(shape.frame_stack):
        slot = newest + j
        slot = base + (slot if slot < shape.slots else slot - shape.slots)
        if held.flags[slot] & SAMPLED and held.ages[slot] >= j:
            held.flags[slot] &= ~SAMPLED
            changes.add(slot, 0)
    memcpy(&held.frames[base + newest, 0], frame, held.frames.shape[1])
    held.flags[base + newest] = 0
    held.ages[base + newest] = age


cdef void push_step(
        Storage held, int64_t[::1] head, Py_ssize_t env, Shape shape, Steps steps, double priority,
        Changes changes) noexcept nogil:
    # ``head``: an environment's newest slot, its slots in use, whether its episode goes on
    cdef Py_ssize_t slot, base = env * shape.slots
    cdef uint8_t age
    if not head[2]:
        push_frame(held, head, base, shape, &steps.frames[env, 0], 0, changes)
    slot = base + head[0]
    memcpy(&held.actions[slot, 0], &steps.actions[env, 0], held.actions.shape[1])
    held.rewards[slot] = steps.rewards[env]
    age = held.ages[slot]
    push_frame(held, head, base, shape, &steps.next_frames[env, 0],
               age + 1 if age + 1 < shape.frame_stack else age, changes)
    held.flags[slot] = STEP | SAMPLED | (TERMINATED if steps.terminated[env] else 0)
    head[2] = not (steps.terminated[env] or steps.truncated[env])
    changes.add(slot, priority)


def replay_add(storage, int64_t[:, ::1] heads, steps, Py_ssize_t frame_stack, double priority,
               changes):
    """Store a step of every environment that is valid.

    Returns the number of changes: of slots and their priorities, 0 where a slot may no longer be
    sampled. Or -1 - e where the frame of environment e is not the one after its last step, and
    -1 - N - e where its reward is not finite: nothing is stored then.
    """
    cdef Storage held = Storage(storage)
    cdef Steps step = Steps(steps)
    cdef Changes changed = Changes(changes)
    cdef Shape shape
    cdef Py_ssize_t env, n = heads.shape[0], refused = -1
    shape.slots, shape.frame_stack = held.frames.shape[0] // n, frame_stack
    with nogil:
        for env in range(n):
            if not step.valid[env]:
                continue
            if not isfinite(step.rewards[env]):
                refused = n + env
            if heads[env, 2] and memcmp(
                    &held.frames[env * shape.slots + heads[env, 0], 0], &step.frames[env, 0],
                    held.frames.shape[1]) != 0:
                refused = env
            if refused >= 0:
                break
        if refused < 0:
            for env in range(n):
                if step.valid[env]:
                    push_step(held, heads[env], env, shape, step, priority, changed)
    return -1 - refused if refused >= 0 else changed.count


cdef void c_gather_stack(
        const uint8_t[:, ::1] frames, const uint8_t[::1] ages, Shape shape, Py_ssize_t slot,
        uint8_t[:, ::1] out) noexcept nogil:
    cdef Py_ssize_t j, back, size = frames.shape[1], place = slot % shape.slots, from_
    for j in range(shape.frame_stack):
        back = shape.frame_stack - 1 - j
        if back > ages[slot]:
            if shape.zero:
                memset(&out[j, 0], 0, size)
                continue
            back = ages[slot]
        from_ = slot - back if place >= back else slot - back + shape.slots
        memcpy(&out[j, 0], &frames[from_, 0], size)


cdef inline bint in_one_run(const uint8_t[::1] ages, Shape shape, Py_ssize_t slot) noexcept nogil:
    # Whether the frames of a stack stand one after the other.
    cdef Py_ssize_t back = shape.frame_stack - 1
    return ages[slot] >= back and slot % shape.slots >= back


cdef cloned copy_run(
        const uint8_t *from_, Py_ssize_t size, uint8_t *one, uint8_t *two,
        const uint8_t *ahead) noexcept nogil:
    # To one or two places, the others NULL. Line by line, and as many are fetched ahead: memcpy()
    # of whole stacks takes 10 % longer.
    cdef uint8_t line[64]
    cdef Py_ssize_t at = 0
    while at + 64 <= size:
        fetch(ahead + at)
        memcpy(line, from_ + at, 64)
        if one != NULL:
            memcpy(one + at, line, 64)
        if two != NULL:
            memcpy(two + at, line, 64)
        at += 64
    if one != NULL:
        memcpy(one + at, from_ + at, size - at)
    if two != NULL:
        memcpy(two + at, from_ + at, size - at)


cdef void gather_stacks(
        Storage held, Shape shape, Py_ssize_t slot, Py_ssize_t later, Py_ssize_t coming,
        uint8_t[:, ::1] now, uint8_t[:, ::1] after) noexcept nogil:
    # The stacks of a slot and of a later one. ``coming``: the slot that is gathered next.
    cdef Py_ssize_t k = later - slot, last = shape.frame_stack - 1, size = held.frames.shape[1]
    cdef const uint8_t *frames
    cdef const uint8_t *ahead
    if not (0 < k <= last and in_one_run(held.ages, shape, slot)
            and in_one_run(held.ages, shape, later)):
        c_gather_stack(held.frames, held.ages, shape, slot, now)
        c_gather_stack(held.frames, held.ages, shape, later, after)
        return
    # Of one run of frames, the first k are old, the last k are new, and both have the others.
    frames, ahead = &held.frames[slot - last, 0], &held.frames[max(0, coming - last), 0]
    copy_run(frames, k * size, &now[0, 0], NULL, ahead)
    copy_run(frames + k * size, (last + 1 - k) * size, &now[k, 0], &after[0, 0], ahead + k * size)
    copy_run(frames + (last + 1) * size, k * size, NULL, &after[last + 1 - k, 0],
             ahead + (last + 1) * size)


def replay_draw(const uint8_t[::1] flags, Py_ssize_t slots, Py_ssize_t used,
                const double[::1] uniforms, int64_t[::1] out):
    """Write the slots of uniform numbers, those that may be sampled, and return how many these are.

    used : slots of each environment that are drawn from
    """
    cdef Py_ssize_t q, place, count = 0
    cdef double room = used * (flags.shape[0] // slots)
    with nogil:
        for q in range(uniforms.shape[0]):
            place = <Py_ssize_t>(uniforms[q] * room)    # u < 1 is never rounded up to the whole
            place = place // used * slots + place % used
            if flags[place] & SAMPLED:
                out[count] = place
                count += 1
    return count


cdef Py_ssize_t gather_return(
        Storage held, Py_ssize_t slots, Py_ssize_t slot, const double[::1] powers, float *reward,
        float *discount, uint8_t *terminated) noexcept nogil:
    # Returns the slot of the frame after the last step.
    cdef Py_ssize_t k = 0, last = slot, base = slot - slot % slots
    cdef double total = 0
    # A slot without a step is the newest, or follows an episode's end.
    while k < powers.shape[0] - 1 and held.flags[slot] & STEP:
        last = slot
        total += powers[k] * held.rewards[slot]
        slot = slot + 1 if slot + 1 < base + slots else base
        k += 1
    terminated[0] = held.flags[last] & TERMINATED != 0
    discount[0] = <float>(0 if terminated[0] else powers[k])
    reward[0] = <float>total
    return slot


def replay_gather(storage, Py_ssize_t slots, const int64_t[::1] indices, const double[::1] powers,
                  bint zero, out):
    """Write the transitions of some slots, with the returns of at most n steps.

    powers : (n + 1,) gamma^k
    zero   : stacks are filled up with zeros at the start of an episode, else with its first frame
    """
    cdef Storage held = Storage(storage)
    cdef uint8_t[:, :, ::1] observations = out[0]
    cdef uint8_t[:, ::1] actions = out[1]
    cdef float[::1] rewards = out[2]
    cdef uint8_t[:, :, ::1] next_observations = out[3]
    cdef float[::1] discounts = out[4]
    cdef uint8_t[::1] terminated = out[5]
    cdef Py_ssize_t q, first = 0, size, n = indices.shape[0]
    cdef Py_ssize_t later[BLOCK]
    cdef Shape shape
    shape.slots, shape.frame_stack, shape.zero = slots, observations.shape[1], zero
    with nogil:
        while first < n:
            size = min(BLOCK, n - first)
            for q in range(first, first + size):
                fetch(&held.flags[indices[q]])
                fetch(&held.ages[indices[q]])
                fetch(&held.rewards[indices[q]])
                fetch(&held.actions[indices[q], 0])
            for q in range(first, first + size):
                later[q - first] = gather_return(
                    held, slots, indices[q], powers, &rewards[q], &discounts[q], &terminated[q])
                memcpy(&actions[q, 0], &held.actions[indices[q], 0], actions.shape[1])
            for q in range(first, first + size):
                gather_stacks(held, shape, indices[q], later[q - first],
                              indices[min(q + 1, n - 1)], observations[q], next_observations[q])
            first += BLOCK
