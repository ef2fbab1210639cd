"""Fits the arguments of a call to a kernel's declaration, in C, and runs the raw kernel.

``Fit`` reads a declaration once. Where the arguments of a call need neither copy nor conversion,
they are checked here, outputs are allocated, and the raw kernel is run. Whatever raises a doubt
does not fit: the checks in Python (``spec.Kernel.check``) then copy, convert or explain. So they
alone say what is refused, and what fits is a part of what they accept. See docs/design/calls.md.
"""

cimport numpy as cnp
from cpython.float cimport PyFloat_AsDouble, PyFloat_CheckExact, PyFloat_FromDouble
from cpython.long cimport PyLong_CheckExact
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE, PyTuple_New, PyTuple_SET_ITEM
from libc.math cimport INFINITY, isfinite
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint64_t
from libc.string cimport memset

import numpy as np

from fastpong.kernels import bundles, checks, parts
from fastpong.kernels.arguments import (
    FLAGS, AboveZero, Bound, Call, Choice, Flag, In, InPlace, Number, One, Out, Scratch, Size)
from fastpong.kernels.numbers import MOST_PIXELS

cnp.import_array()

cdef extern from *:
    """
    #define FASTPONG_PLAIN (NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_ALIGNED)
    """
    int PLAIN "FASTPONG_PLAIN"

SHAPES = {
    parts.ravel: RAVEL, parts.column: COLUMN, parts.lines: LINES, parts.batch_of_one: BATCH_OF_ONE,
    parts.images: IMAGES, parts.one_image: ONE_IMAGE,
}
RANGES = {
    checks.fraction: FRACTION, checks.not_negative: NOT_NEGATIVE, checks.not_tiny: NOT_TINY,
    checks.threshold: NOT_NEGATIVE,  # infinity is left to the checks in Python
    checks.real: REAL_NUMBER, checks.below_one: BELOW_ONE, checks.limit: LIMIT,
    checks.count: COUNT, checks.whole: WHOLE,
}
RULES = {
    parts.two_colours: TWO_COLOURS, bundles.two_actions: TWO_ACTIONS,
    parts.actions_below: ACTIONS_BELOW, parts.some_actions: SOME_ACTIONS,
    parts.sparse_frames: SPARSE_FRAMES, parts.channels: CHANNELS,
    bundles.steps_of_batch: STEPS_OF_BATCH, bundles.mirrored: MIRRORED,
    bundles.batch_and_mirror: BATCH_AND_MIRROR, bundles.rows_above: ROWS_ABOVE,
    parts.variances: VARIANCES, parts.row_count: ROW_COUNT,
}
"""Rules for values that have a compiled twin. Others are called in Python."""
PIXELS = parts.PIXELS
KINDS = {
    In: ARRAY, Bound: ARRAY, InPlace: ARRAY, Out: OUT, Scratch: SCRATCH, Number: NUMBER, One: ONE,
    AboveZero: ABOVE_ZERO, Flag: FLAG, Choice: CHOICE, Size: PAIR,
}


class Unfit(Exception):
    """A declaration with items of its own kind."""


cdef class Fit:
    """A declaration, and the raw kernel."""

    cdef Slot slots[MOST_ITEMS]
    cdef Entry entries[MOST_ITEMS]
    cdef int slot_count, entry_count, size_count, output_count, value_count
    cdef int indptr, indices, order, parents    # slots that rules read
    cdef int d, a, n, b, r, p, p_f    # sizes that rules read or set
    cdef bint python_rules
    cdef dict size_numbers
    cdef tuple items
    cdef object raw, single, double

    def __init__(self, kernel, raw):
        self.raw, self.items, self.size_numbers = raw, tuple(kernel.flat()), {}
        # Cython's own choice by the dtypes of the arguments takes 0.2 us.
        signatures = getattr(raw, "__signatures__", {})
        chosen = signatures if set(signatures) == {"float", "double"} else {}
        self.single, self.double = chosen.get("float", raw), chosen.get("double", raw)
        self.slot_count, self.entry_count = len(self.items), len(kernel.items)
        if self.slot_count > MOST_ITEMS:
            raise Unfit
        for i, item in enumerate(self.items):
            self._read(i, item)
        first = 0
        for n, item in enumerate(kernel.items):
            inside = getattr(item, "items", (item,))
            self.entries[n] = Entry(
                first, len(inside), hasattr(item, "items"), bool(getattr(item, "name", "")))
            self.value_count += (
                1 if self.entries[n].group and self.entries[n].named
                else sum(part.takes for part in inside))
            first += len(inside)
        names = [item.name for item in self.items]
        self.indptr, self.indices, self.order, self.parents = [
            names.index(name) if name in names else UNKNOWN
            for name in ("indptr", "indices", "order", "parents")]
        self.d, self.a, self.n, self.b, self.r, self.p, self.p_f = [
            self.size_numbers.get(name, UNKNOWN) for name in ("D", "A", "N", "B", "R", "P", "P F")]
        for i in range(self.slot_count):
            if not self._has_twin(i):
                self.slots[i].rule = PYTHON
            if self.slots[i].kind in (ARRAY, OUT):
                self.python_rules |= self.slots[i].rule == PYTHON

    cdef bint _has_twin(self, int i) noexcept:
        """Return whether all that the rule's twin reads is there, in its dtype."""
        cdef Way rule = self.slots[i].rule
        if rule in (TWO_COLOURS, TWO_ACTIONS):
            return self._is(i, cnp.NPY_UINT8)
        if rule == ACTIONS_BELOW:
            return self._is(i, cnp.NPY_UINT8) and self.a != UNKNOWN
        if rule == SOME_ACTIONS:
            return self.a != UNKNOWN
        if rule == CHANNELS:
            return self.slots[i].ndim == 4
        if rule == ROWS_ABOVE:
            return self._is(self.parents, cnp.NPY_INT32) and min(self.b, self.r) != UNKNOWN
        if rule in (SPARSE_FRAMES, BATCH_AND_MIRROR) and not (
                self._is(self.indptr, cnp.NPY_INT64) and self._is(self.indices, cnp.NPY_UINT16)):
            return False
        if rule in (STEPS_OF_BATCH, BATCH_AND_MIRROR) and not (
                self._is(self.order, cnp.NPY_INT64) and self.n != UNKNOWN):
            return False
        return rule not in (MIRRORED, BATCH_AND_MIRROR) or (
            self._is(i, cnp.NPY_INT32) and self.b != UNKNOWN)

    cdef bint _is(self, int i, int type_number) noexcept:
        return (
            i != UNKNOWN and not self.slots[i].optional and self.slots[i].type_count == 1
            and self.slots[i].types[0] == type_number and self.slots[i].kind in (ARRAY, OUT))

    def _read(self, int i, item):
        cdef Slot *slot = &self.slots[i]
        memset(slot, 0, sizeof(Slot))
        if type(item) not in KINDS:
            raise Unfit
        slot.kind, slot.takes = KINDS[type(item)], item.takes
        if slot.kind == NUMBER:
            slot.rule = RANGES.get(item.rule, PYTHON)
        if slot.kind == PAIR:
            for k, name in enumerate((*item.before, *item.after)):
                slot.dims[k].size = self._number(name)
        if slot.kind not in (ARRAY, OUT, SCRATCH):
            return
        slot.rule = NONE if item.then is None else RULES.get(item.then, PYTHON)
        slot.shaped = NONE if item.shaped is None else SHAPES.get(item.shaped, PYTHON)
        slot.written, slot.added = isinstance(item, InPlace), getattr(item, "added", False)
        self.output_count += slot.kind == OUT
        self._read_types(slot, item)
        self._read_dims(slot, item)
        names = [other.name for other in self.items[:i]]
        for name in getattr(item, "aliases", ()):
            slot.aliases |= <uint64_t>1 << <int>names.index(name)

    cdef _read_types(self, Slot *slot, item):
        slot.shared, slot.type_count = item.shared, len(item.dtypes)
        slot.flags, slot.optional = item.dtypes is FLAGS, getattr(item, "optional", False)
        if slot.type_count > MOST_TYPES:
            raise Unfit
        for k, dtype in enumerate(item.dtypes):
            slot.types[k] = dtype.num

    cdef _read_dims(self, Slot *slot, item):
        slot.any_shape, slot.ndim = item.any_shape, len(item.parsed)
        slot.starred, slot.row, slot.line = item.starred, item.row, item.dims == ("T",)
        if slot.ndim > MOST_DIMS:
            raise Unfit
        for k, (name, times, plus) in enumerate(item.parsed):
            slot.dims[k] = Dim(UNKNOWN if name is None else self._number(name), times, plus)

    cdef int _number(self, str name) except -2:
        number = self.size_numbers.setdefault(name, len(self.size_numbers))
        if number >= MOST_SIZES:
            raise Unfit
        self.size_count = len(self.size_numbers)
        return number

    cdef tuple fit(self, tuple values, dict sizes, tuple outputs, State *state):
        """Return the raw kernel's arguments and fill the outputs, or return None."""
        cdef Py_ssize_t at = 0, inside
        cdef int n, k, out = 0
        cdef Entry *entry
        cdef tuple arguments, target, source
        if PyTuple_GET_SIZE(values) != self.value_count:
            return None
        self._begin(state, sizes)
        arguments = PyTuple_New(self.entry_count)
        for n in range(self.entry_count):
            entry = &self.entries[n]
            if not entry.group:
                if not self._one(entry.first, values, &at, arguments, n, state, outputs, &out):
                    return None
                continue
            target = PyTuple_New(entry.count)
            put(arguments, n, target)
            source, inside = values, at
            if entry.named:
                part = <object>PyTuple_GET_ITEM(values, at)
                if not isinstance(part, tuple) or len(part) != self._taken(entry):
                    return None
                source, inside, at = <tuple>part, 0, at + 1
            for k in range(entry.count):
                if not self._one(
                        entry.first + k, source, &inside, target, k, state, outputs, &out):
                    return None
            if not entry.named:
                at = inside
        return arguments if self._apart(state) else None

    cdef object run(self, tuple arguments, const State *state):
        """Call the raw kernel of the call's float dtype."""
        if state.float_type == cnp.NPY_FLOAT32:
            return self.single(*arguments)
        if state.float_type == cnp.NPY_FLOAT64:
            return self.double(*arguments)
        return self.raw(*arguments)

    cdef int _taken(self, Entry *entry) noexcept:
        cdef int k, taken = 0
        for k in range(entry.first, entry.first + entry.count):
            taken += self.slots[k].takes
        return taken

    cdef int _begin(self, State *state, dict sizes) except -1:
        cdef int k
        memset(state, 0, sizeof(State))
        state.float_type = state.first = UNKNOWN
        for k in range(self.size_count):
            state.sizes[k] = UNKNOWN
        if sizes:
            for name, size in sizes.items():
                if name in self.size_numbers:
                    state.sizes[<int>self.size_numbers[name]] = size
        return 0

    cdef bint _one(
            self, int i, tuple source, Py_ssize_t *at, tuple target, int k, State *state,
            tuple outputs, int *out) except -1:
        """Put argument k of a raw kernel's tuple in its place."""
        cdef Slot *slot = &self.slots[i]
        cdef bint made = False
        value = None
        if slot.takes:
            value = <object>PyTuple_GET_ITEM(source, at[0])
            at[0] += 1
        if slot.kind == NUMBER or slot.kind == ABOVE_ZERO:
            raw = self._number_for(i, value, state)
        elif slot.kind == FLAG:
            raw = value if value is True or value is False else None
        elif slot.kind == CHOICE:
            raw = position((<object>self.items[i]).names, value)
        elif slot.kind == PAIR:
            raw = self._pair(slot, value, state)
        elif slot.kind == ONE:
            raw = row_of(value, state.float_type, 1)
        elif slot.kind == SCRATCH:
            raw = self._make(slot, state, not slot.shared)
        elif value is None and slot.optional:
            put(target, k, None)
            return True
        else:
            if slot.row and not cnp.PyArray_CheckExact(value):
                value = self._row(slot, value, state)
            if slot.kind == OUT and value is None:
                self._set_defaults(i, state)
                raw, made = self._make(slot, state, slot.added), True
                if raw is None:
                    return False
                value = self._as_given(slot, raw, state)
            else:
                raw = self._same(i, value, state)
                if raw is None or (raw is not value and self.python_rules):
                    return False
            self._take(i, value, made, state)
            if slot.kind == OUT:
                put(outputs, out[0], value)
                out[0] += 1
            if slot.rule != NONE and not self._rule(i, raw, state):
                return False
            if slot.shaped != NONE:
                raw = self._shape(i, raw)
        if raw is None:
            return False
        put(target, k, raw)
        return True

    cdef object _row(self, Slot *slot, value, State *state):
        cdef int size = slot.dims[0].size
        return row_of(value, state.float_type, max(1, state.sizes[size]))

    cdef object _same(self, int i, value, State *state):
        """Return it as the raw kernel has it if type, dtype, layout and shape are right."""
        cdef Slot *slot = &self.slots[i]
        cdef cnp.npy_intp dims[MOST_DIMS]
        cdef cnp.ndarray array
        if not cnp.PyArray_CheckExact(value):
            return None
        array = <cnp.ndarray>value
        if not cnp.PyArray_CHKFLAGS(array, PLAIN) or not cnp.PyArray_ISNOTSWAPPED(array):
            return None
        if slot.written and not cnp.PyArray_ISWRITEABLE(array):
            return None
        if not self._type_is(slot, cnp.PyArray_TYPE(array), state):
            return None
        if slot.any_shape:
            if state.first != UNKNOWN and not (
                    self.slots[state.first].any_shape
                    and alike(array, <cnp.ndarray>state.arrays[state.first])):
                return None
            return value
        if not self._ranked(slot, array, dims, state) or not self._sized(slot, dims, state):
            return None
        if slot.flags and cnp.PyArray_TYPE(array) != cnp.NPY_UINT8:
            return flags_of(array, slot.ndim, dims)
        if cnp.PyArray_NDIM(array) == slot.ndim:
            return value
        return view(array, slot.ndim, dims, cnp.PyArray_TYPE(array))

    cdef bint _ranked(
            self, Slot *slot, cnp.ndarray array, cnp.npy_intp *dims, State *state) noexcept:
        """Set the dimensions of the raw kernel's array."""
        cdef int k, skip = 0, ndim = cnp.PyArray_NDIM(array)
        cdef bint short = slot.starred and ndim == slot.ndim - 1 and ndim > 0
        cdef bint tall = slot.line and ndim == 2 and cnp.PyArray_DIM(array, 1) == 1
        if state.first == UNKNOWN:
            state.short, state.tall = short, tall
        if slot.row and ndim == 2 and cnp.PyArray_DIM(array, 0) == 1:
            skip = 1
        elif not (short or tall or ndim == slot.ndim):
            return False
        for k in range(slot.ndim):
            dims[k] = cnp.PyArray_DIM(array, k + skip) if k + skip < ndim else 1
        return True

    cdef bint _sized(self, Slot *slot, cnp.npy_intp *dims, State *state) noexcept:
        cdef int k, size
        for k in range(slot.ndim):
            size = slot.dims[k].size
            if size == UNKNOWN:
                if dims[k] != slot.dims[k].plus:
                    return False
                continue
            if state.sizes[size] == UNKNOWN:
                if dims[k] < slot.dims[k].plus:
                    return False
                state.sizes[size] = (dims[k] - slot.dims[k].plus) // slot.dims[k].times
            if state.sizes[size] * slot.dims[k].times + slot.dims[k].plus != dims[k]:
                return False
        return True

    cdef object _as_given(self, Slot *slot, raw, State *state):
        """Return an output shaped as the call's first array is."""
        cdef cnp.npy_intp dims[MOST_DIMS]
        cdef cnp.ndarray array = <cnp.ndarray>raw
        cdef int k
        if state.short and slot.starred and slot.ndim > 1:
            for k in range(slot.ndim - 1):
                dims[k] = cnp.PyArray_DIM(array, k)
            return view(array, slot.ndim - 1, dims, cnp.PyArray_TYPE(array))
        if state.tall and slot.line:
            dims[0], dims[1] = cnp.PyArray_DIM(array, 0), 1
            return view(array, 2, dims, cnp.PyArray_TYPE(array))
        return raw

    cdef bint _type_is(self, Slot *slot, int type_number, State *state) noexcept:
        cdef int k
        if slot.flags:
            return type_number in (
                cnp.NPY_BOOL, cnp.NPY_UINT8, cnp.NPY_FLOAT32, cnp.NPY_FLOAT64)
        if slot.shared and state.float_type != UNKNOWN:
            return type_number == state.float_type
        for k in range(slot.type_count):
            if type_number == slot.types[k]:
                if slot.shared:
                    state.float_type = type_number
                return True
        return False

    cdef void _take(self, int i, array, bint made, State *state) noexcept:
        state.arrays[i] = <PyObject *>array
        state.begin[i] = cnp.PyArray_BYTES(<cnp.ndarray>array)
        state.length[i] = cnp.PyArray_NBYTES(<cnp.ndarray>array)
        if state.first == UNKNOWN:
            state.first = i
        if self.slots[i].written and not made:
            state.given |= <uint64_t>1 << i

    cdef int _set_defaults(self, int i, State *state) except -1:
        default = self.items[i].default
        if default is not None:
            for name, size in default.items():
                if state.sizes[<int>self.size_numbers[name]] == UNKNOWN:
                    state.sizes[<int>self.size_numbers[name]] = size
        return 0

    cdef object _make(self, Slot *slot, State *state, bint cleared):
        """Return room of the shape that the sizes give, or None."""
        cdef cnp.npy_intp dims[MOST_DIMS]
        cdef int k, size, type_number = slot.types[0]
        if slot.kind == SCRATCH and slot.shared and state.float_type < 0:
            return None
        if slot.any_shape:
            return self._make_alike(state, cleared)
        for k in range(slot.ndim):
            size, dims[k] = slot.dims[k].size, slot.dims[k].plus
            if size != UNKNOWN:
                if state.sizes[size] == UNKNOWN:
                    return None
                dims[k] += slot.dims[k].times * state.sizes[size]
        if slot.shared and state.float_type != UNKNOWN:
            type_number = state.float_type
        if cleared:
            return cnp.PyArray_ZEROS(slot.ndim, dims, type_number, 0)
        return cnp.PyArray_EMPTY(slot.ndim, dims, type_number, 0)

    cdef object _make_alike(self, State *state, bint cleared):
        """Return room like the first array, or None."""
        cdef cnp.ndarray first
        if state.first == UNKNOWN:
            return None
        first = <cnp.ndarray>state.arrays[state.first]
        if cleared:
            return cnp.PyArray_ZEROS(
                cnp.PyArray_NDIM(first), cnp.PyArray_DIMS(first), cnp.PyArray_TYPE(first), 0)
        return cnp.PyArray_EMPTY(
            cnp.PyArray_NDIM(first), cnp.PyArray_DIMS(first), cnp.PyArray_TYPE(first), 0)

    cdef bint _apart(self, State *state) noexcept:
        """Return whether outputs share no memory that they must not."""
        cdef int i, j
        cdef uint64_t earlier = 0
        for i in range(self.slot_count):
            if not state.given >> i & 1:
                continue
            earlier |= <uint64_t>1 << i
            for j in range(self.slot_count):
                if earlier >> j & 1 or not overlap(state, i, j):
                    continue
                if not self.slots[i].aliases >> j & 1 or not (
                        state.begin[i] == state.begin[j] and state.length[i] == state.length[j]):
                    return False
        return True

    cdef object _number_for(self, int i, value, State *state):
        """Return a number as the raw kernel takes it, or None."""
        cdef Slot *slot = &self.slots[i]
        cdef double number
        if slot.rule == PYTHON:
            try:
                return self.items[i].rule(self.items[i].name, value)
            except Exception:
                return None
        if slot.rule == COUNT or slot.rule == WHOLE:
            least = 1 if slot.rule == COUNT else 0
            return value if PyLong_CheckExact(value) and least <= value < MOST_STEPS else None
        if slot.rule == LIMIT and value is None:
            return PyFloat_FromDouble(INFINITY)
        if not is_number(value, &number):
            return None
        if slot.kind == ABOVE_ZERO:
            if not number > 0 or not (
                    state.float_type == cnp.NPY_FLOAT64
                    or state.float_type == cnp.NPY_FLOAT32 and <float>number > 0):
                return None
        elif not in_range(slot.rule, number):
            return None
        return value if PyFloat_CheckExact(value) else PyFloat_FromDouble(number)

    cdef object _pair(self, Slot *slot, value, State *state):
        """Return rows and columns to resize to, or None."""
        cdef Py_ssize_t known, k
        pair = <tuple>value if isinstance(value, tuple) else (value, value)
        if len(pair) != 2:
            return None
        for k in range(2):
            known = state.sizes[slot.dims[k].size]
            if not 1 <= known <= MOST or not PyLong_CheckExact(pair[k]):
                return None
            if not 1 <= pair[k] <= MOST:
                return None
            state.sizes[slot.dims[2 + k].size] = pair[k]
        return pair

    cdef bint _rule(self, int i, array, State *state) except -1:
        """Return whether the item's rule for values holds."""
        cdef Way rule = self.slots[i].rule
        if rule == PYTHON:
            return self._python_rule(i, array, state)
        if rule == TWO_COLOURS or rule == TWO_ACTIONS:
            return bytes_below(<uint8_t *>state.begin[i], state.length[i], 2)
        if rule == VARIANCES or rule == ROW_COUNT:
            return none_negative(
                <double *>state.begin[i], state.length[i] // <Py_ssize_t>sizeof(double))
        if rule == ACTIONS_BELOW:
            return bytes_below(<uint8_t *>state.begin[i], state.length[i], state.sizes[self.a])
        if rule == SOME_ACTIONS:
            return 1 <= state.sizes[self.a] <= 255
        if rule == CHANNELS:
            return self._channels(cnp.PyArray_DIM(array, 2), cnp.PyArray_DIM(array, 3), state)
        if rule == SPARSE_FRAMES:
            known = self.d != UNKNOWN and state.sizes[self.d] != UNKNOWN
            return self._sparse(state.sizes[self.d] if known else PIXELS, state)
        if rule == STEPS_OF_BATCH:
            return self._in_batch(state)
        if rule == ROWS_ABOVE:
            return state.arrays[self.parents] != NULL and rows_above(
                <int32_t *>state.begin[self.parents],
                state.length[self.parents] // <Py_ssize_t>sizeof(int32_t), state.sizes[self.b],
                state.sizes[self.r])
        if not mirrored(<int32_t *>state.begin[i], state.sizes[self.b]):
            return False
        return rule == MIRRORED or (
            self._sparse(state.sizes[self.b], state) and self._in_batch(state))

    cdef bint _channels(self, Py_ssize_t channels, Py_ssize_t filters, State *state) noexcept:
        if channels != 1 and channels != 80:
            return False
        if self.p != UNKNOWN:
            state.sizes[self.p] = 27 if channels == 80 else 27 * 27
        if self.p_f != UNKNOWN:
            state.sizes[self.p_f] = filters * (27 if channels == 80 else 27 * 27)
        return True

    cdef bint _sparse(self, Py_ssize_t limit, State *state) noexcept:
        if state.arrays[self.indptr] == NULL or state.arrays[self.indices] == NULL:
            return False    # they come later in the declaration
        return sparse_below(
            <int64_t *>state.begin[self.indptr],
            state.length[self.indptr] // <Py_ssize_t>sizeof(int64_t),
            <uint16_t *>state.begin[self.indices],
            state.length[self.indices] // <Py_ssize_t>sizeof(uint16_t), limit)

    cdef bint _in_batch(self, State *state) noexcept:
        return state.arrays[self.order] != NULL and within(
            <int64_t *>state.begin[self.order],
            state.length[self.order] // <Py_ssize_t>sizeof(int64_t), state.sizes[self.n])

    cdef bint _python_rule(self, int i, array, State *state) except -1:
        call = Call()
        for name, number in self.size_numbers.items():
            if state.sizes[<int>number] != UNKNOWN:
                call.sizes[name] = state.sizes[<int>number]
        for k, item in enumerate(self.items):
            if state.arrays[<int>k] != NULL:
                call.arrays[item.name] = <object>state.arrays[<int>k]
        try:
            self.items[i].then(call, array)
        except Exception:
            return False
        for name, size in call.sizes.items():
            if name in self.size_numbers:
                state.sizes[<int>self.size_numbers[name]] = size
        return True

    cdef object _shape(self, int i, array):
        """Return the array as the raw kernel wants it shaped."""
        cdef cnp.ndarray given = <cnp.ndarray>array
        cdef cnp.npy_intp dims[MOST_DIMS + 2]
        cdef Way shaped = self.slots[i].shaped
        cdef int k, first, ndim = cnp.PyArray_NDIM(given)
        if shaped == PYTHON:
            return self.items[i].shaped(array)
        if shaped == RAVEL and ndim == 1:
            return array
        if shaped == BATCH_OF_ONE or shaped == IMAGES or shaped == ONE_IMAGE:
            first = shaped != IMAGES
            dims[0] = dims[first + ndim] = 1
            for k in range(ndim):
                dims[first + k] = cnp.PyArray_DIM(given, k)
            ndim += first + (shaped != BATCH_OF_ONE)
            return view(given, ndim, dims, cnp.PyArray_TYPE(given))
        dims[0], dims[1] = cnp.PyArray_SIZE(given), 1
        if shaped == LINES:
            dims[1] = cnp.PyArray_DIM(given, ndim - 1)
            if dims[1] == 0:
                return None
            dims[0] //= dims[1]
        return view(given, 1 if shaped == RAVEL else 2, dims, cnp.PyArray_TYPE(given))


MOST_STEPS = 2 ** 62
cdef Py_ssize_t MOST = MOST_PIXELS


cdef object position(tuple names, value):
    """Return the position of a name, or None."""
    if isinstance(value, str):
        for k, name in enumerate(names):
            if name == value:
                return k
    return None


cdef inline void put(tuple target, Py_ssize_t k, value) noexcept:
    Py_INCREF(value)
    PyTuple_SET_ITEM(target, k, value)


cdef bint none_negative(const double *values, Py_ssize_t size) noexcept:
    cdef Py_ssize_t k
    for k in range(size):
        if not (values[k] >= 0 and isfinite(values[k])):
            return False
    return True


cdef inline bint alike(cnp.ndarray one, cnp.ndarray other) noexcept:
    cdef int k
    if cnp.PyArray_NDIM(one) != cnp.PyArray_NDIM(other):
        return False
    for k in range(cnp.PyArray_NDIM(one)):
        if cnp.PyArray_DIM(one, k) != cnp.PyArray_DIM(other, k):
            return False
    return True


cdef inline bint is_number(value, double *number) except -1:
    # Numbers of Python and of NumPy. A bool is none.
    if PyFloat_CheckExact(value):
        number[0] = PyFloat_AsDouble(value)
    elif PyLong_CheckExact(value):
        try:
            number[0] = PyFloat_AsDouble(value)
        except OverflowError:
            return False
    elif isinstance(value, (np.floating, np.integer)) and not isinstance(value, np.timedelta64):
        number[0] = PyFloat_AsDouble(value)
    else:
        return False
    return isfinite(number[0])


cdef object row_of(value, int float_type, Py_ssize_t size):
    """Return a row of one number, or None."""
    cdef double number
    cdef cnp.npy_intp dim = size
    cdef Py_ssize_t k
    if float_type == UNKNOWN or not is_number(value, &number):
        return None
    array = cnp.PyArray_EMPTY(1, &dim, float_type, 0)
    cdef char *data = cnp.PyArray_BYTES(<cnp.ndarray>array)
    for k in range(size):
        if float_type == cnp.NPY_FLOAT32:
            (<float *>data)[k] = <float>number
        else:
            (<double *>data)[k] = number
    return array


cdef object flags_of(cnp.ndarray array, int ndim, cnp.npy_intp *dims):
    """Return uint8 of bools or floats, or None for NaN."""
    if cnp.PyArray_TYPE(array) == cnp.NPY_BOOL:
        return view(array, ndim, dims, cnp.NPY_UINT8)
    flags = cnp.PyArray_EMPTY(ndim, dims, cnp.NPY_UINT8, 0)
    if to_flags(
            cnp.PyArray_BYTES(array), cnp.PyArray_TYPE(array), cnp.PyArray_SIZE(array),
            <uint8_t *>cnp.PyArray_DATA(<cnp.ndarray>flags)):
        return flags
    return None


cdef object view(cnp.ndarray array, int ndim, cnp.npy_intp *dims, int type_number):
    """Return the memory of a plain array in another shape, or as bytes."""
    cdef int flags = cnp.NPY_ARRAY_CARRAY if cnp.PyArray_ISWRITEABLE(array) else PLAIN
    other = cnp.PyArray_New(
        cnp.ndarray, ndim, dims, type_number, NULL, cnp.PyArray_DATA(array), 0, flags, None)
    cnp.set_array_base(other, array)
    return other


cdef class Calls:
    """Runs kernels: in C where the arguments fit, else by the checks in Python.

    checked : ``runner.Checked``, the same in Python
    """

    cdef dict fits
    cdef object checked, raw

    def __init__(self, checked):
        self.checked, self.raw, self.fits = checked, checked.raw, {}

    cdef Fit _fit(self, kernel):
        fit = self.fits.get(kernel, False)
        if fit is False:
            raw = self.raw[kernel]
            try:
                fit = Fit(kernel, raw)
            except Unfit:
                fit = None
            self.fits[kernel] = fit
        return fit

    def fitted(self, kernel, *values, **sizes):
        """Return the raw arguments and the outputs, or None."""
        cdef State state
        cdef Fit fit = self._fit(kernel)
        if fit is None:
            return None
        outputs = PyTuple_New(fit.output_count)
        arguments = fit.fit(values, sizes, outputs, &state)
        return None if arguments is None else (arguments, outputs)

    def run(self, kernel, *values, bint added=False):
        """Run a kernel, return its outputs. See ``Checked.run``."""
        cdef State state
        cdef Fit fit = self._fit(kernel)
        cdef tuple arguments, outputs
        cdef int i
        if fit is not None:
            outputs = PyTuple_New(fit.output_count)
            arguments = fit.fit(values, None, outputs, &state)
            if arguments is not None:
                if not added:
                    for i in range(fit.slot_count):
                        if fit.slots[i].added and state.given >> i & 1:
                            memset(state.begin[i], 0, state.length[i])
                fit.run(arguments, &state)
                return outputs
        return self.checked.run(kernel, *values, added=added)

    def run_one(self, kernel, *values):
        """Run a kernel of one output, return that."""
        cdef State state
        cdef Fit fit = self._fit(kernel)
        cdef tuple arguments, outputs
        if fit is not None:
            outputs = PyTuple_New(fit.output_count)
            arguments = fit.fit(values, None, outputs, &state)
            if arguments is not None:
                fit.run(arguments, &state)
                return outputs[0]
        return self.checked.run_one(kernel, *values)

    def run_raw(self, kernel, *values, **sizes):
        """Return the raw kernel's own result, and the outputs."""
        cdef State state
        cdef Fit fit = self._fit(kernel)
        cdef tuple arguments, outputs
        if fit is not None:
            outputs = PyTuple_New(fit.output_count)
            arguments = fit.fit(values, sizes, outputs, &state)
            if arguments is not None:
                return fit.run(arguments, &state), outputs
        return self.checked.run_raw(kernel, *values, **sizes)
