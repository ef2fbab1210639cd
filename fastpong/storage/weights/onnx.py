"""An agent as an ONNX model: from screens to probabilities and an action, in one graph.

Inputs, for n observations:

    screens     : (n, k, 210, 160, 3) uint8, RGB, the newest first. They are ``frame_spread`` steps
                  apart. An episode's first screen also stands for those before it
    last_action : (n,) int64, gymnasium's number of the action before, -1 at an episode's beginning.
                  Only of agents with the setting last_action

Outputs:

    probabilities : (n, actions), of the actions in the order of the metadata "actions". Of dqn
                    instead q_values, (n, 2)
    action        : (n,) int64, gymnasium's number of the likeliest or best action

The metadata has "actions", gymnasium's numbers as JSON, "frame_spread", and "fastpong" as an
exported file has it. The graph is what docs/design/exported-weights.md says in words.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from fastpong.arrays import Array, Arrays
from fastpong.extras import how_to_install, unusable
from fastpong.geometry import BACKGROUND_REDS, PONG
from fastpong.storage.weights.pickle import ForeignError

Untyped: TypeAlias = Any
"""An object of onnx, imported only when needed and without types."""

OPSET = 17
MOVES = {"karpathy": (3, 2), "keras": (0, 1, 2, 3, 4, 5), "ppo": (3, 2), "dqn": (3, 2)}
"""Gymnasium's numbers of each agent's actions: 3 is LEFT, 2 RIGHT."""
LEFT, RIGHT = MOVES["ppo"]


def dump(agent: str, parameters: Arrays, about: Mapping[str, Any]) -> bytes:
    """Return the bytes of a model.

    about : as an exported file has it, with ``settings`` and ``frame_spread``

    Raises ForeignError without onnx.
    """
    graph = _Graph()
    if agent == "karpathy":
        scores = _karpathy(graph, parameters)
    elif agent == "keras":
        scores = _keras(graph, parameters)
    else:
        scores = _cells(graph, parameters, about["settings"], agent == "dqn")
    best = graph.add("ArgMax", scores, axis=1, keepdims=0)
    graph.add("Gather", graph.constant(np.array(MOVES[agent], np.int64)), best, name="action")
    metadata = {
        "fastpong": json.dumps(about),
        "actions": json.dumps(MOVES[agent]),
        "frame_spread": str(about["frame_spread"]),
    }
    return graph.model(scores, metadata)


class _Graph:
    """Collect nodes and constants."""

    def __init__(self) -> None:
        try:
            import onnx
        except Exception as error:  # a broken package's own
            raise ForeignError(
                f"an ONNX model needs the package onnx, which {unusable('onnx', error)}: "
                f"{how_to_install('onnx')}"
            ) from error
        self._onnx: Untyped = onnx
        self._nodes: list[Untyped] = []
        self._constants: list[Untyped] = []
        self._inputs: list[Untyped] = []

    def input(self, name: str, dtype: str, shape: tuple[int | str, ...]) -> str:
        """Declare an input of the model."""
        kind = getattr(self._onnx.TensorProto, dtype)
        self._inputs.append(self._onnx.helper.make_tensor_value_info(name, kind, shape))
        return name

    def constant(self, array: Array) -> str:
        """Add a constant."""
        name = f"c{len(self._constants)}"
        tensor = self._onnx.numpy_helper.from_array(np.asarray(array, order="C"), name)
        self._constants.append(tensor)
        return name

    def ints(self, *values: int) -> str:
        """Add a constant of int64."""
        return self.constant(np.array(values, np.int64))

    def add(self, kind: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        """Add a node and return its output."""
        name = name or f"n{len(self._nodes)}"
        node = self._onnx.helper.make_node(kind, inputs, [name], **attributes)
        self._nodes.append(node)
        return name

    def cut(self, x: str, axis: int, start: int, stop: int, step: int = 1) -> str:
        """Slice one axis."""
        ends = (self.ints(start), self.ints(stop), self.ints(axis), self.ints(step))
        return self.add("Slice", x, *ends)

    def dense(self, x: str, w: Array, b: Array | None = None, relu: bool = False) -> str:
        """Add a dense layer."""
        x = self.add("MatMul", x, self.constant(w))
        if b is not None:
            x = self.add("Add", x, self.constant(b))
        return self.add("Relu", x) if relu else x

    def fields(self, count: int, stride: int) -> str:
        """Return ``count`` fields of 0 and 1: (n, count, side, side) float32."""
        shape = ("n", count, *PONG.screen, 3)
        red = self.add(
            "Gather", self.input("screens", "UINT8", shape), self.constant(np.array(0)), axis=4
        )
        bottom, right = PONG.top + PONG.height, PONG.left + PONG.width
        field = self.cut(self.cut(red, 2, PONG.top, bottom, stride), 3, PONG.left, right, stride)
        field = self.add("Cast", field, to=int(self._onnx.TensorProto.FLOAT))
        background = ""
        for value in BACKGROUND_REDS:
            same = self.add("Equal", field, self.constant(np.array(value, np.float32)))
            background = self.add("Or", background, same) if background else same
        foreground = self.add("Not", background)
        return self.add("Cast", foreground, to=int(self._onnx.TensorProto.FLOAT))

    def model(self, scores: str, metadata: Mapping[str, str]) -> bytes:
        """Return the checked model."""
        helper, proto = self._onnx.helper, self._onnx.TensorProto
        outputs = [
            helper.make_tensor_value_info(scores, proto.FLOAT, ("n", None)),
            helper.make_tensor_value_info("action", proto.INT64, ("n",)),
        ]
        graph = helper.make_graph(
            self._nodes, "fastpong", self._inputs, outputs, initializer=self._constants
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="fastpong"
        )
        model.ir_version = 8  # of that opset's time, so that older runtimes take it
        helper.set_model_props(model, dict(metadata))
        self._onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString())


def _float32(parameters: Arrays) -> dict[str, Array]:
    return {name: array.astype(np.float32) for name, array in parameters.items()}


def _difference(graph: _Graph) -> str:
    """Return the difference frame, (n, 6400)."""
    fields = graph.fields(2, PONG.stride)
    now, before = graph.cut(fields, 1, 0, 1), graph.cut(fields, 1, 1, 2)
    return graph.add("Reshape", graph.add("Sub", now, before), graph.ints(-1, PONG.pixels))


def _of_two(graph: _Graph, logit: str) -> str:
    """Return the probabilities of LEFT and RIGHT."""
    both = graph.add("Concat", graph.add("Neg", logit), logit, axis=1)
    return graph.add("Sigmoid", both, name="probabilities")


def _karpathy(graph: _Graph, parameters: Arrays) -> str:
    p = _float32(parameters)
    hidden = graph.dense(_difference(graph), p["w1"], relu=True)
    return _of_two(graph, graph.dense(hidden, p["w2"][:, None]))


def _keras(graph: _Graph, parameters: Arrays) -> str:
    p = _float32(parameters)
    side, channels = PONG.rows, p["kernel"].shape[2]
    shape = graph.ints(-1, PONG.pixels // side // channels, side, channels)
    frames = graph.add("Reshape", _difference(graph), shape)
    first = graph.add("Transpose", frames, perm=[0, 3, 1, 2])
    kernel = graph.constant(p["kernel"].transpose(3, 2, 0, 1))
    maps = graph.add(
        "Conv", first, kernel, graph.constant(p["bias"]), strides=[3, 3], auto_pad="SAME_UPPER"
    )
    last = graph.add("Transpose", graph.add("Relu", maps), perm=[0, 2, 3, 1])
    x = graph.add("Reshape", last, graph.ints(-1, len(p["w1"])))
    for k in (1, 2):
        x = graph.dense(x, p[f"w{k}"], p[f"b{k}"], relu=True)
    x = graph.dense(x, p["w3"], p["b3"])
    return graph.add("Softmax", x, axis=1, name="probabilities")


def _cells(graph: _Graph, parameters: Arrays, settings: Mapping[str, Any], values: bool) -> str:
    """Return the probabilities of LEFT and RIGHT, or their values."""
    p = _float32(parameters)
    bias, a, v = p["units"]
    x, mirrored = _inputs(graph, settings)
    hidden = graph.dense(x, p["rows"], bias, relu=True)
    image = graph.dense(mirrored, p["rows"], bias, relu=True)
    advantage = graph.dense(graph.add("Sub", hidden, image), a[:, None])
    if not values:
        return _of_two(
            graph, graph.add("Mul", advantage, graph.constant(np.array([2], np.float32)))
        )
    value = graph.dense(graph.add("Add", hidden, image), v[:, None])
    left, right = graph.add("Sub", value, advantage), graph.add("Add", value, advantage)
    return graph.add("Concat", left, right, axis=1, name="q_values")


def _inputs(graph: _Graph, settings: Mapping[str, Any]) -> tuple[str, str]:
    """Return the inputs, and those of the field upside down."""
    channels, size = 2 + settings["frame_history"], settings["cell_size"]
    field = PONG.height // settings["pixel_stride"]
    side = field // size
    blocks = graph.add(
        "Reshape",
        graph.fields(channels, settings["pixel_stride"]),
        graph.ints(-1, channels, side, size, side, size),
    )
    cells = graph.add("ReduceSum", blocks, graph.ints(3, 5), keepdims=0)
    now, before = graph.cut(cells, 1, 0, channels - 1), graph.cut(cells, 1, 1, channels)
    differences = graph.add("Sub", now, before)
    x = graph.add("Concat", graph.cut(cells, 1, 0, 1), differences, axis=1)
    mirrored = graph.cut(x, 2, -1, -side - 1, -1)
    flat = [graph.add("Reshape", y, graph.ints(-1, channels * side**2)) for y in (x, mirrored)]
    if settings["last_action"]:
        last = graph.add("Unsqueeze", graph.input("last_action", "INT64", ("n",)), graph.ints(1))
        for k, moves in enumerate(((LEFT, RIGHT), (RIGHT, LEFT))):
            one_hot = graph.add("Equal", last, graph.ints(*moves))
            one_hot = graph.add("Cast", one_hot, to=1)
            flat[k] = graph.add("Concat", flat[k], one_hot, axis=1)
    return flat[0], flat[1]
