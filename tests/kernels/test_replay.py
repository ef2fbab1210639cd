"""The replay buffer against one that stores every stack whole, in all backends."""

from __future__ import annotations

import copy
import pickle
import zipfile
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import ALL_BACKENDS
from plain_replay import PlainReplay
from tolerances import assert_same

from fastpong.kernels import Prioritized, ReplayBatch, ReplayBuffer

pytestmark = pytest.mark.filterwarnings("error")

SHAPES = {"vector": ((5,), np.float32), "screen": ((3, 4), np.uint8), "number": ((), np.int16)}


@pytest.fixture(params=ALL_BACKENDS)
def backend(request: pytest.FixtureRequest) -> Any:
    return request.param


class Play:
    """Random steps of some environments that are reset where they end."""

    def __init__(self, seed: int, n_envs: int, shape: Any, dtype: Any) -> None:
        self.rng, self.n_envs, self.shape, self.dtype = (
            np.random.default_rng(seed),
            n_envs,
            shape,
            dtype,
        )
        self.reset()

    def draw(self) -> Any:
        return self.rng.integers(1, 200, (self.n_envs, *self.shape)).astype(self.dtype)

    def reset(self) -> None:
        self.frames = self.draw()

    def step(self) -> tuple[Any, ...]:
        """Return the arguments of ``add``."""
        rng, n = self.rng, self.n_envs
        terminated, truncated = rng.random((2, n)) < 0.1
        valid, after = rng.random(n) < 0.9, self.draw()
        step = (
            self.frames, rng.integers(0, 6, n), rng.standard_normal(n), terminated, truncated,
            after, valid,
        )  # fmt: skip
        ended = (terminated | truncated).reshape(n, *[1] * len(self.shape))
        goes_on = valid.reshape(ended.shape)
        self.frames = np.where(goes_on, np.where(ended, self.draw(), after), self.frames)
        return step


def plain_add(plain: PlainReplay, step: tuple[Any, ...]) -> None:
    *fields, valid = step
    for number, env in enumerate(plain.envs):
        if valid[number]:
            env.add(*(field[number] for field in fields[:1]), *(f[number] for f in fields[1:]))


def assert_holds(buffer: ReplayBuffer, wanted: dict[int, tuple[Any, ...]]) -> None:
    """Assert that exactly these transitions may be sampled, with all their fields."""
    assert len(buffer) == len(wanted)
    batch = buffer.get(np.array(sorted(wanted), np.int64))
    for k, index in enumerate(batch.indices.tolist()):
        for field, want in zip(batch[:6], wanted[index], strict=True):
            np.testing.assert_array_equal(field[k], want)
    assert (batch.weights == 1).all()


def contents(buffer: ReplayBuffer) -> list[bytes]:
    """Return all arrays that sampling depends on."""
    tree = [] if buffer.tree is None else [buffer.tree.nodes]
    return [array.tobytes() for array in (*buffer._storage, buffer._heads, *tree)]


def filled(steps: int = 40, seed: int = 3, **settings: Any) -> ReplayBuffer:
    n_envs = settings.get("n_envs", 1)
    buffer = ReplayBuffer(16 * n_envs, (3, 4), **{"seed": seed} | settings)
    play = Play(seed, n_envs, (3, 4), np.uint8)
    for _ in range(steps):
        buffer.add(*play.step())
    return buffer


# --- against the plain one ----------------------------------------------------------------------


@dataclass
class Settings:
    n_envs: int
    frame_stack: int
    n_step: int
    spare: int
    gamma: float
    padding_type: str
    kind: str
    prioritized: bool
    seed: int

    @property
    def slots(self) -> int:
        return max(self.frame_stack, self.n_step) + 1 + self.spare

    def buffer(self, backend: str) -> ReplayBuffer:
        shape, dtype = SHAPES[self.kind]
        return ReplayBuffer(
            self.slots * self.n_envs, shape, dtype, n_envs=self.n_envs,
            frame_stack=self.frame_stack, padding_type=self.padding_type, n_step=self.n_step,
            gamma=self.gamma, seed=self.seed, backend=backend,
            prioritized=Prioritized(0.7, 0.5, 1e-3) if self.prioritized else None,
        )  # fmt: skip

    def plain(self) -> PlainReplay:
        return PlainReplay(self.slots, self.n_envs, self.frame_stack, self.padding_type == "zero")


SETTINGS = st.builds(
    Settings,
    n_envs=st.integers(1, 3),
    frame_stack=st.integers(1, 5),
    n_step=st.integers(1, 5),
    spare=st.integers(0, 12),
    gamma=st.sampled_from([0.0, 0.5, 0.9, 0.99, 1.0]),
    padding_type=st.sampled_from(["reset", "zero"]),
    kind=st.sampled_from(sorted(SHAPES)),
    prioritized=st.booleans(),
    seed=st.integers(0, 2**32),
)


@given(settings=SETTINGS, steps=st.integers(1, 60))
def test_every_backend_holds_what_the_plain_one_holds(settings: Settings, steps: int) -> None:
    buffers = [settings.buffer(name) for name in ALL_BACKENDS]
    plain, play = settings.plain(), Play(settings.seed, settings.n_envs, *SHAPES[settings.kind])
    for t in range(steps):
        if play.rng.random() < 0.05:
            for held in (*buffers, plain):
                held.cut()
            play.reset()
        step = play.step()
        plain_add(plain, step)
        for buffer in buffers:
            buffer.add(*step)
        if t % 5 == 0 or t == steps - 1:
            wanted = plain.transitions(settings.n_step, settings.gamma)
            for buffer in buffers:
                assert_holds(buffer, wanted)
            assert_samples_alike(buffers, set(wanted), play.rng)


def assert_samples_alike(buffers: list[ReplayBuffer], wanted: set[int], rng: Any) -> None:
    """Assert the same samples in all backends, and update priorities."""
    assert all(contents(buffer) == contents(buffers[0]) for buffer in buffers)
    if not wanted:
        return
    batches = [buffer.sample(9) for buffer in buffers]
    assert len({b"".join(field.tobytes() for field in batch) for batch in batches}) == 1
    assert set(batches[0].indices.tolist()) <= wanted
    if buffers[0].tree is not None:
        errors = rng.standard_normal(9)
        for buffer in buffers:
            buffer.update_priorities(batches[0].indices, errors)


def test_a_truncated_episode_goes_on_from_its_last_frame(backend: Any) -> None:
    """Frames 1, 2 | 3, cut off: the step before sees 3 next, and the new episode does not."""
    for terminated in (False, True):
        buffer = ReplayBuffer(16, (), frame_stack=3, n_step=3, gamma=0.5, backend=backend)
        one = lambda number: np.array(number, np.uint8)  # noqa: E731
        buffer.add(one(1), 0, 1.0, False, False, one(2))
        buffer.add(one(2), 1, 2.0, terminated, not terminated, one(3))
        buffer.add(one(9), 2, 4.0, False, False, one(10))
        batch = buffer.get(np.array([0, 1, 3]))
        assert batch.observations.tolist() == [[1, 1, 1], [1, 1, 2], [9, 9, 9]]
        assert batch.next_observations.tolist() == [[1, 2, 3], [1, 2, 3], [9, 9, 10]]
        assert batch.rewards.tolist() == [2.0, 2.0, 4.0]
        assert batch.discounts.tolist() == ([0.0, 0.0, 0.5] if terminated else [0.25, 0.5, 0.5])
        assert batch.terminated.tolist() == [terminated, terminated, False]
        assert batch.actions.tolist() == [0, 1, 2]


def test_uniform_samples_are_uniform(backend: Any) -> None:
    for steps in (9, 40):  # partly filled, and full
        buffer = filled(steps, n_envs=3, backend=backend)
        drawn = np.concatenate([buffer.sample(600).indices for _ in range(10)])
        places, counts = np.unique(drawn, return_counts=True)
        assert len(places) == len(buffer)
        expected = 6000 / len(buffer)
        assert ((counts - expected) ** 2 / expected).sum() < 2 * len(buffer)


def test_few_transitions_in_many_slots_are_found() -> None:
    buffer = ReplayBuffer(4000, (2,), n_envs=2, frame_stack=1, seed=1)
    frame = np.zeros((2, 2), np.uint8)
    for _ in range(500):
        buffer.add(frame, [0, 0], [0.0, 0.0], [1, 1], [0, 0], frame, [True, False])
    assert len(buffer) == 500
    assert set(buffer.sample(2000).indices.tolist()) <= set(range(0, 1000, 2))


# --- priorities ---------------------------------------------------------------------------------


def test_priorities_and_weights_are_the_papers(backend: Any) -> None:
    buffer = filled(10, prioritized=Prioritized(0.5, 0.4, 0.01), backend=backend)
    batch = buffer.sample(50)
    assert (batch.weights == 1).all()  # all are new
    errors = np.linspace(-3, 1, 50)
    buffer.update_priorities(batch.indices, errors)
    tree: Any = buffer.tree
    wanted = dict(zip(batch.indices.tolist(), (np.abs(errors) + 0.01) ** 0.5, strict=True))
    assert_same(tree.get(batch.indices), np.array([wanted[i] for i in batch.indices.tolist()]))
    held = tree.get(np.arange(16))
    batch = buffer.sample(50, beta=1.0)
    least = held[held > 0].min()
    assert_same(batch.weights, (least / held[batch.indices]).astype(np.float32))
    assert_same(buffer.sample(50).weights.max(), np.float32(1))


def test_new_steps_have_the_highest_priority_so_far(backend: Any) -> None:
    buffer = filled(5, prioritized=Prioritized(1.0, 0.4, 1e-6), backend=backend)
    tree: Any = buffer.tree
    buffer.update_priorities(buffer.sample(1).indices, [4.0])
    buffer.cut()
    frame = np.zeros((3, 4), np.uint8)
    buffer.add(frame, 0, 0.0, False, False, frame)
    assert tree.get(np.array([buffer._heads[0, 0] - 1]))[0] == 4.0 + 1e-6


def test_overwritten_transitions_keep_no_priority(backend: Any) -> None:
    buffer = filled(10, prioritized=Prioritized(), backend=backend)
    indices = buffer.sample(40).indices
    play = Play(1, 1, (3, 4), np.uint8)
    buffer.cut()
    for _ in range(12):
        buffer.add(*play.step()[:-1])
    buffer.update_priorities(indices, np.full(40, 2.0))
    tree: Any = buffer.tree
    may = buffer._storage[3] & 4 != 0
    assert_same(tree.get(np.arange(16)) > 0, may)


# --- batches ------------------------------------------------------------------------------------


def test_a_given_batch_is_overwritten(backend: Any) -> None:
    one, two = filled(n_envs=2, backend=backend), filled(n_envs=2, backend=backend)
    out = one.batch(7)
    for _ in range(3):
        assert one.sample(7, out=out) is out
        for mine, want in zip(out, two.sample(7), strict=True):
            assert_same(mine, want)
            assert mine.flags.c_contiguous and mine.flags.writeable
    indices = out.indices.copy()
    assert two.get(indices, out=out) is out
    for mine, want in zip(out, two.get(indices), strict=True):
        assert_same(mine, want)


def test_batches_are_of_the_stated_dtypes_and_shapes(backend: Any) -> None:
    buffer = ReplayBuffer(
        20, (2, 3), np.float64, frame_stack=2, action=np.zeros(3, np.float32), backend=backend
    )
    frame = np.ones((2, 3))
    buffer.add(frame, [1, 2, 3], 1, 0, 0, frame)
    for batch in (buffer.sample(5), buffer.batch(5)):
        shapes = [(5, 2, 2, 3), (5, 3), (5,), (5, 2, 2, 3), (5,), (5,), (5,), (5,)]
        dtypes = ["f8", "f4", "f4", "f8", "f4", "?", "i8", "f4"]
        assert [field.shape for field in batch] == shapes
        assert [field.dtype for field in batch] == [np.dtype(kind) for kind in dtypes]
    assert buffer.sample(1).actions.tolist() == [[1, 2, 3]]


def test_tensors_are_read_and_written(backend: Any) -> None:
    torch = pytest.importorskip("torch")
    one, two = (filled(9, prioritized=Prioritized(), backend=backend) for _ in range(2))
    one.cut()
    two.cut()
    frames = torch.arange(24, dtype=torch.uint8).reshape(2, 1, 3, 4)
    step = torch.tensor([3]), torch.tensor([0.5]), torch.tensor([False]), torch.tensor([0.0])
    one.add(frames[0], *step, frames[1])
    two.add(frames[0].numpy(), 3, 0.5, 0, 0, frames[1].numpy())
    out = ReplayBatch(*map(torch.from_numpy, one.batch(6)))
    for _ in range(2):
        assert one.sample(6, out=out) is out
        for mine, want in zip(out, two.sample(6), strict=True):
            assert_same(mine.numpy(), want)
    one.update_priorities(out.indices, out.rewards)
    two.update_priorities(out.indices.numpy(), out.rewards.numpy())
    assert contents(one) == contents(two)
    with pytest.raises(TypeError, match=r"^td_errors: .*requires grad"):
        one.update_priorities(out.indices, torch.zeros(6, requires_grad=True))
    with pytest.raises(TypeError, match=r"^out\.observations: expected"):
        one.sample(6, out=out._replace(observations=out.observations.to("meta")))


def test_empty_batches_are_allowed(backend: Any) -> None:
    for prioritized in (None, Prioritized()):
        buffer = ReplayBuffer(20, (2, 3), prioritized=prioritized, backend=backend)
        batch = buffer.sample(0)
        assert batch.observations.shape == (0, 4, 2, 3) and batch.weights.shape == (0,)
        assert buffer.get(np.zeros(0, np.int64)).indices.shape == (0,)
        if prioritized:
            buffer.update_priorities(batch.indices, [])
        assert len(buffer) == 0


def test_memory_is_a_quarter_of_stacked_frames() -> None:
    buffer = ReplayBuffer(10_000, (84, 84))
    assert buffer.nbytes == 10_000 * (84 * 84 + 8 + 6) + 24
    stacked = 10_000 * (4 * 84 * 84 + 8 + 4 + 1)
    assert buffer.nbytes / stacked < 0.251
    prioritized = ReplayBuffer(10_000, (84, 84), prioritized=Prioritized())
    assert prioritized.nbytes - buffer.nbytes < 20.6 * 10_000


# --- files --------------------------------------------------------------------------------------


@given(settings=SETTINGS, steps=st.integers(0, 40))
def test_a_restored_buffer_goes_on_the_same(
    tmp_path_factory: Any, settings: Settings, steps: int
) -> None:
    path = tmp_path_factory.mktemp("replay") / "buffer.npz"
    buffer = settings.buffer("cython")
    play = Play(settings.seed, settings.n_envs, *SHAPES[settings.kind])
    for _ in range(steps):
        buffer.add(*play.step())
    buffer.save(path)
    restored = [ReplayBuffer.load(path, backend=name) for name in ALL_BACKENDS]
    for _ in range(4):
        step = play.step()
        for one in (buffer, *restored):
            one.add(*step)
        if len(buffer):
            assert_samples_alike([buffer, *restored], set(range(10_000)), play.rng)
    assert [path] == list(path.parent.iterdir())


@pytest.mark.parametrize("action", [0, np.zeros(3)])
def test_a_restored_buffer_of_one_environment_needs_no_axis_either(
    tmp_path: Any, action: Any
) -> None:
    buffer = ReplayBuffer(20, (2,), action=action, seed=1)
    frames = np.zeros((3, 2), np.uint8)
    buffer.add(frames[0], action, 0.0, False, False, frames[1])
    buffer.save(tmp_path / "buffer.npz")
    restored = ReplayBuffer.load(tmp_path / "buffer.npz")
    assert restored.settings == buffer.settings
    restored.add(frames[1], action, 0.0, False, False, frames[2])
    assert len(restored) == 2


@pytest.mark.parametrize("bits", ["PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"])
def test_the_generators_state_is_saved(tmp_path: Any, bits: str) -> None:
    rng = np.random.Generator(getattr(np.random, bits)(5))
    rng.integers(0, 9, 3, np.uint8)  # leaves half a number behind
    buffer = filled(seed=rng)
    buffer.save(tmp_path / "buffer")
    restored = ReplayBuffer.load(tmp_path / "buffer")
    for _ in range(3):
        assert_same(restored.sample(9).observations, buffer.sample(9).observations)
    assert rng.random() == restored._rng.random()


def test_the_file_is_plain_arrays(tmp_path: Any) -> None:
    buffer = filled(n_envs=2, prioritized=Prioritized())
    buffer.save(tmp_path / "buffer.npz")
    with np.load(tmp_path / "buffer.npz", allow_pickle=False) as file:
        assert file["frames"].shape == (2, 16, 3, 4) and file["frames"].dtype == np.uint8
        assert file["priorities"].shape == (32,) and file["rewards"].dtype == np.float32


def test_damage_is_refused_or_harmless(tmp_path: Any) -> None:
    buffer = filled(9, prioritized=Prioritized())
    path = tmp_path / "buffer.npz"
    buffer.save(path)
    whole, wanted = path.read_bytes(), contents(buffer)
    rng, refused = np.random.default_rng(1), 0
    for place in rng.choice(len(whole), 400, replace=False).tolist():
        path.write_bytes(
            whole[:place] + bytes([whole[place] ^ 1 << rng.integers(8)]) + whole[place + 1 :]
        )
        try:
            assert contents(ReplayBuffer.load(path)) == wanted
        except ValueError as error:
            assert str(error).startswith(f"{path}: expected a file of ReplayBuffer.save")
            refused += 1
    assert refused > 200
    for size in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match="damaged or foreign"):
            ReplayBuffer.load(path)


def test_foreign_files_are_refused(tmp_path: Any) -> None:
    path = tmp_path / "other.npz"
    np.savez(path, settings=np.arange(3))
    with pytest.raises(ValueError, match="damaged or foreign"):
        ReplayBuffer.load(path)
    np.savez(path, frames=np.arange(3))
    with pytest.raises(ValueError, match=r"settings\.npy"):
        ReplayBuffer.load(path)
    np.savez(path, settings=np.array([print], dtype=object))
    with pytest.raises(ValueError, match="damaged or foreign"):
        ReplayBuffer.load(path)
    with pytest.raises(FileNotFoundError):
        ReplayBuffer.load(tmp_path / "none")


def test_members_that_are_longer_or_shorter_are_refused(tmp_path: Any) -> None:
    path, other = tmp_path / "buffer.npz", tmp_path / "other.npz"
    filled().save(path)
    for change in (lambda data: data + b"0", lambda data: data[:-1]):
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(other, "w") as new:
            for name in old.namelist():
                data = old.read(name)
                new.writestr(name, change(data) if name == "rewards.npy" else data)
        with pytest.raises(ValueError, match="damaged or foreign"):
            ReplayBuffer.load(other)


@pytest.mark.parametrize(
    "name, value, reason",
    [
        ("heads", [[16, 16, 0]], "heads"),
        ("heads", [[-1, 5, 0]], "heads"),
        ("heads", [[3, 17, 0]], "heads"),
        ("heads", [[3, 4, 2]], "heads"),
        ("ages", 4, "ages"),
        ("flags", 8, "flags"),
        ("priorities", -1.0, "priorities"),
    ],
)
def test_arrays_that_lead_astray_are_refused(
    tmp_path: Any, name: str, value: Any, reason: str
) -> None:
    path = tmp_path / "buffer.npz"
    filled(prioritized=Prioritized()).save(path)
    with np.load(path) as file:
        arrays = dict(file)
    arrays[name][...] = value
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=reason):
        ReplayBuffer.load(path)


def test_a_failed_save_leaves_the_old_file(tmp_path: Any) -> None:
    path = tmp_path / "buffer.npz"
    filled().save(path)
    before = path.read_bytes()

    class Other(np.random.PCG64):
        state = property(lambda self: {"bit_generator": "Other"})  # type: ignore[assignment]

    with pytest.raises(ValueError, match=r"^seed: expected a generator on one of PCG64"):
        filled(seed=np.random.Generator(Other(1))).save(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_copies_are_of_their_own(backend: Any) -> None:
    buffer = filled(prioritized=Prioritized(), backend=backend)
    for twin in (copy.deepcopy(buffer), pickle.loads(pickle.dumps(buffer))):
        assert contents(twin) == contents(buffer)
        assert_same(twin.sample(5).observations, copy.deepcopy(buffer).sample(5).observations)
        twin.cut()
        frame = np.full((3, 4), 7, np.uint8)
        twin.add(frame, 0, 0.0, False, False, frame)
        assert contents(twin) != contents(buffer)


# --- arguments ----------------------------------------------------------------------------------

GOOD: dict[str, Any] = {
    "frames": np.full((2, 3, 4), 5, np.uint8),
    "actions": np.array([1, 2]),
    "rewards": np.array([0.5, -1.0], np.float32),
    "terminated": np.array([False, True]),
    "truncated": np.array([False, False]),
    "next_frames": np.full((2, 3, 4), 6, np.uint8),
    "valid": np.array([True, True]),
}


def two(backend: str, **settings: Any) -> ReplayBuffer:
    return ReplayBuffer(40, (3, 4), n_envs=2, seed=1, backend=backend, **settings)


@pytest.mark.parametrize("name", GOOD)
def test_steps_that_are_refused_change_nothing(backend: Any, name: str) -> None:
    buffer = two(backend, prioritized=Prioritized())
    buffer.add(**GOOD)
    before, good = contents(buffer), GOOD | {"frames": GOOD["next_frames"]}
    good["terminated"] = np.array([0, 0])
    bad: list[tuple[Any, Any]] = [
        (good[name][:1], ValueError),
        (np.stack([good[name]] * 2), ValueError),
        (good[name].reshape(-1)[0], ValueError),
        ("12", TypeError),
        (object(), TypeError),
        ([[1], [2, 3]], TypeError),
        (good[name].astype(object), TypeError),
        (good[name] + 1j, TypeError),
    ]
    if "frames" in name:
        bad += [(good[name].astype(np.int64), TypeError), (good[name].astype(bool), TypeError)]
    if name == "rewards":
        bad += [(np.array([1.0, value]), ValueError) for value in (np.nan, np.inf, -1e300)]
    if name == "actions":
        bad += [(np.array([1.0, 2.0]), TypeError), (np.array([2**63, 1], np.uint64), ValueError)]
    for value, error in bad:
        with pytest.raises(error, match=rf"^{name}: expected"):
            buffer.add(**good | {name: value})
        assert contents(buffer) == before and len(buffer) == 2
    if name != "valid":
        with pytest.raises(TypeError, match=rf"^{name}: expected"):
            buffer.add(**good | {name: None})


def test_steps_of_any_layout_and_kind_are_taken(backend: Any) -> None:
    wanted, got = two(backend), two(backend)
    wanted.add(**GOOD)
    strided = np.repeat(GOOD["frames"], 2, axis=2)[:, :, ::2]
    got.add(
        strided, [1, 2], [0.5, -1], np.array([0.0, 2.5]), [0, 0],
        np.asfortranarray(GOOD["next_frames"]), (1, 1),
    )  # fmt: skip
    assert contents(got) == contents(wanted)


def test_a_single_environment_needs_no_axis(backend: Any) -> None:
    buffers = [ReplayBuffer(20, (3, 4), seed=1, backend=backend) for _ in range(2)]
    one = {name: value[:1] for name, value in GOOD.items()}
    buffers[0].add(**one)
    buffers[1].add(**{name: value[0] for name, value in one.items()})
    assert contents(buffers[0]) == contents(buffers[1])


def test_an_episode_goes_on_with_the_frame_it_led_to(backend: Any) -> None:
    buffer = two(backend)
    buffer.add(**GOOD)
    before = contents(buffer)
    other = GOOD["next_frames"].copy()
    other[0, 2, 3] += 1
    with pytest.raises(
        ValueError, match=r"^frames: expected next_frames .* environment 0.*cut\(\)"
    ):
        buffer.add(**GOOD | {"frames": other})
    assert contents(buffer) == before
    buffer.add(**GOOD | {"frames": other, "valid": [False, True]})  # the other one has ended
    buffer.cut()
    buffer.add(**GOOD | {"frames": other})
    assert len(buffer) == 5


@pytest.mark.parametrize(
    "changed, error",
    [
        ({"capacity": 0}, ValueError),
        ({"capacity": 2.5}, TypeError),
        ({"capacity": 4}, ValueError),
        ({"n_envs": 0}, ValueError),
        ({"n_envs": 9}, ValueError),
        ({"frame_stack": 0}, ValueError),
        ({"frame_stack": 257, "capacity": 1000}, ValueError),
        ({"padding_type": "edge"}, ValueError),
        ({"n_step": 0}, ValueError),
        ({"n_step": 1.0}, TypeError),
        ({"gamma": 1.5}, ValueError),
        ({"gamma": np.nan}, ValueError),
        ({"observation_shape": 84}, TypeError),
        ({"observation_shape": (0, 3)}, ValueError),
        ({"dtype": "object"}, TypeError),
        ({"dtype": "nonsense"}, TypeError),
        ({"action": "left"}, TypeError),
        ({"prioritized": (0.6, 0.4)}, TypeError),
        ({"prioritized": Prioritized(alpha=1.5)}, ValueError),
        ({"prioritized": Prioritized(beta=-1)}, ValueError),
        ({"prioritized": Prioritized(epsilon=0)}, ValueError),
        ({"seed": -1}, ValueError),
        ({"seed": 1.5}, TypeError),
        ({"backend": "fortran"}, ValueError),
    ],
)
def test_settings_out_of_range(changed: dict[str, Any], error: Any) -> None:
    settings = {"capacity": 40, "observation_shape": (3, 4)} | changed
    name = "capacity" if changed.get("n_envs") == 9 else next(iter(changed))
    with pytest.raises(error, match=rf"^{name}\b.*expected"):
        ReplayBuffer(**settings)


def test_samples_that_cannot_be_had(backend: Any) -> None:
    for prioritized in (None, Prioritized()):
        buffer = two(backend, prioritized=prioritized)
        with pytest.raises(ValueError, match=r"^batch_size: expected 0 of an empty buffer"):
            buffer.sample(1)
        buffer.add(**GOOD)
        for size, error in ((-1, ValueError), (2.0, TypeError), (None, TypeError)):
            with pytest.raises(error, match=r"^batch_size: expected"):
                buffer.sample(size)
        with pytest.raises(ValueError, match=r"^indices: expected transitions"):
            buffer.get(np.array([0, 1]))
        for indices, error in (([40], ValueError), ([-1], ValueError), ([0.5], TypeError)):
            with pytest.raises(error, match=r"^indices: expected"):
                buffer.get(np.array(indices))
    with pytest.raises(ValueError, match=r"^beta: expected a number in \[0, 1\]"):
        buffer.sample(1, beta=1.5)
    with pytest.raises(ValueError, match=r"^beta: expected None"):
        two(backend).sample(0, beta=0.5)


def test_priorities_that_are_refused_change_nothing(backend: Any) -> None:
    buffer = filled(prioritized=Prioritized(alpha=1.0), backend=backend)
    indices, before = buffer.sample(3).indices, contents(buffer)
    for errors, error in (
        ([1.0, np.nan, 0.0], ValueError),
        ([1.0, np.inf, 0.0], ValueError),
        ([1.0, 1e300, 0.0], ValueError),
        (np.ma.array([1.0, 2.0, 3.0], mask=[1, 0, 0]), TypeError),
        ([1.0, 2.0], ValueError),
        ([[1.0, 2.0, 3.0]], ValueError),
        (["1", "2", "3"], TypeError),
        (None, TypeError),
    ):
        with pytest.raises(error, match=r"^td_errors: expected"):
            buffer.update_priorities(indices, errors)
    with pytest.raises(ValueError, match=r"^indices: expected"):
        buffer.update_priorities(np.array([0, 1, 16]), np.ones(3))
    assert contents(buffer) == before
    with pytest.raises(ValueError, match=r"^prioritized: expected"):
        filled(backend=backend).update_priorities(indices, np.ones(3))


def test_batches_that_cannot_be_written(backend: Any) -> None:
    buffer = filled(backend=backend)
    good = buffer.batch(4)
    with pytest.raises(TypeError, match=r"^out: expected a ReplayBatch"):
        buffer.sample(4, out=tuple(good))  # type: ignore[arg-type]
    for name, array in good._asdict().items():
        read_only = array.copy()
        read_only.flags.writeable = False
        bad: list[tuple[Any, Any]] = [
            (array.tolist(), TypeError),
            (array.astype(np.complex64), TypeError),
            (array[:3].copy(), ValueError),
            (np.repeat(array, 2, axis=-1)[..., ::2], ValueError),
            (read_only, ValueError),
        ]
        for value, error in bad:
            with pytest.raises(error, match=rf"^out\.{name}: expected"):
                buffer.sample(4, out=good._replace(**{name: value}))
    with pytest.raises(ValueError, match=r"^out\.\w+: shares memory"):
        buffer.sample(4, out=good._replace(rewards=good.weights))
    with pytest.raises(ValueError, match=r"^out\.observations: expected shape"):
        buffer.sample(4, out=good)
        buffer.sample(5, out=good)


def test_a_batch_that_is_resized_after_its_check(backend: Any) -> None:
    for name in ReplayBatch._fields:
        buffer = filled(backend=backend)
        batch = ReplayBatch(*(array.copy() for array in buffer.batch(4)))
        buffer.sample(4, out=batch)
        getattr(batch, name).resize(1, refcheck=False)
        with pytest.raises(ValueError, match=rf"^out\.{name}: expected shape"):
            buffer.sample(4, out=batch)


def test_a_batch_of_another_type() -> None:
    assert isinstance(filled().sample(2), ReplayBatch)
