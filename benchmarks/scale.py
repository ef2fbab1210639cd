"""How many workers one learner keeps busy, simulated from measured costs.

    python benchmarks/scale.py                 all four agents, two minutes
    python benchmarks/scale.py pong --n-envs 64

Costs are CPU seconds of one thread: a task's play, the learner's share of a task and of an update.
Costs of Ray are those of tasks of the same size that play nothing (``--ray`` measures them, else
those below are taken). Then driver and workers are simulated as ``runtime.cluster.pool`` has them:
the driver does one thing at a time, tasks are given to idle workers first, and to others while
there are enough for all. Each task is a call here. In the pool short ones share calls.
"""

from __future__ import annotations

import argparse
import heapq
import pickle
import random
import statistics
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastpong import recipes
from fastpong.agents import make_plan
from fastpong.agents.protocol import Chance
from fastpong.envs.choice import prepare
from fastpong.envs.draws import TRAIN
from fastpong.runtime.pool import Task
from fastpong.runtime.sharedmem import SharedArrays
from fastpong.settings.config import Config

RECIPES = ("karpathy", "keras", "pong", "pong-sticky")
WORKERS = (1, 2, 4, 8, 16, 32, 64, 128)
WARM = {"keras": 2, "pong": 12, "pong-sticky": 12}
"""Updates that do not count, else one. dqn learns nothing in its first 20,000 steps."""
BUSY = 0.8
"""Share of its time that a worker must play, for a number of workers to be worth it."""


@dataclass(frozen=True)
class RayCosts:
    """What a task costs on Ray, in seconds.

    trip    : from submit to result, of a task that plays nothing
    task    : of it the driver's own time
    publish : of new weights, the driver's time
    """

    trip: float = 1.5e-3
    task: float = 0.6e-3
    publish: float = 5e-3


@dataclass(frozen=True)
class Costs:
    """What an agent's training costs, in seconds and bytes.

    play    : of tasks, one by one
    add     : the learner's, for a task
    update  : the learner's, for an update
    steps   : of a task, in the mean
    results, payloads, weights : bytes of a task's result and payload, of a version
    """

    name: str
    batch: int
    lag: int
    by_batches: bool
    play: Sequence[float]
    add: float
    update: float
    steps: float
    results: float
    payloads: float
    weights: int

    @property
    def bytes_per_step(self) -> float:
        """Return what a step sends, besides the weights."""
        return (self.results + self.payloads) / self.steps

    @property
    def weights_per_step(self) -> float:
        """Return the bytes of weights that a step sends to each node."""
        return self.weights / (self.batch * self.steps)


def measure(
    name: str, settings: dict[str, Any], warm: int, updates: int, emulator: str = "console"
) -> Costs:
    """Train an agent in this process, and take its times.

    warm : updates before those that count
    """
    config = Config.build({**recipes.load(name).values, **settings})
    prepare(config.env, emulator)
    plan = make_plan(config.env, config.stages, config.backend, config.dtype, emulator)
    stage = plan.stages[0]
    spec = stage.spec
    learner = spec.learner(stage, spec.initial_parameters(0), 1)
    actor = spec.actor(stage, Chance(0, TRAIN))
    play: list[float] = []
    add: list[float] = []
    update: list[float] = []
    steps: list[int] = []
    results: list[int] = []
    payloads: list[int] = []
    for number in range(warm + updates):
        tasks = range(number * spec.tasks_per_update, (number + 1) * spec.tasks_per_update)
        for task in tasks:
            payload = learner.payload(task, None)
            result = _timed(play, lambda t=task, p=payload: actor.play(t, learner.parameters, p))
            _timed(add, lambda r=result: learner.add(r, learner.parameters))
            steps.append(result.length)
            results.append(len(pickle.dumps(result, pickle.HIGHEST_PROTOCOL)))
            payloads.append(len(pickle.dumps(payload, pickle.HIGHEST_PROTOCOL)))
        _timed(update, learner.update)
    first = warm * spec.tasks_per_update
    return Costs(
        name,
        spec.tasks_per_update,
        stage.stage.settings.lag,
        spec.steps_per_task is not None,
        play[first:],
        statistics.fmean(add[first:]),
        statistics.fmean(update[warm:]),
        statistics.fmean(steps[first:]),
        statistics.fmean(results[first:]),
        statistics.fmean(payloads[first:]),
        sum(array.nbytes for array in learner.parameters.values()),
    )


def _timed(times: list[float], action: Callable[[], Any]) -> Any:
    begun = time.process_time()
    result = action()
    times.append(time.process_time() - begun)
    return result


@dataclass(frozen=True)
class Simulated:
    """What a simulation came to.

    rate    : steps a second
    busy    : share of its time that a worker plays
    learner : share of its time that the driver is busy
    """

    rate: float
    busy: float
    learner: float


def simulate(costs: Costs, ray: RayCosts, workers: int, updates: int = 60) -> Simulated:
    """Simulate so many updates with so many workers of one CPU each."""
    rng = random.Random(0)
    play = [rng.choice(costs.play) for _ in range((updates + costs.lag + 2) * costs.batch)]
    travel = max(ray.trip - ray.task, 0.0) / 2
    now = worked = played = 0.0
    free, load = [0.0] * workers, [0] * workers
    queue: deque[int] = deque()
    coming: list[tuple[float, int, int]] = []  # arrival, worker, task
    there: set[int] = set()
    submitted = done = update = 0

    def submit() -> None:
        nonlocal submitted
        while submitted < (update + costs.lag + 1) * costs.batch:
            before = submitted - costs.batch
            if costs.by_batches and before >= done and before not in there:
                return
            queue.append(submitted)
            submitted += 1

    def give() -> None:
        nonlocal now, worked, played
        for most in (0, 1):
            for worker in range(workers):
                if not queue or (most and len(queue) < workers):
                    break
                if load[worker] == most:
                    task = queue.popleft()
                    now, worked = now + ray.task / 2, worked + ray.task / 2
                    free[worker] = max(free[worker], now + travel) + play[task]
                    played += play[task]
                    load[worker] += 1
                    heapq.heappush(coming, (free[worker] + travel, worker, task))

    submit()
    give()
    while update < updates:
        now = max(now, coming[0][0])
        while coming and coming[0][0] <= now:
            _, worker, task = heapq.heappop(coming)
            now, worked = now + ray.task / 2, worked + ray.task / 2
            load[worker] -= 1
            there.add(task)
        submit()
        give()
        while done in there and (not costs.by_batches or _whole(there, done, costs.batch)):
            there.remove(done)
            done += 1
            now, worked = now + costs.add, worked + costs.add
            if done % costs.batch == 0:
                spent = costs.update + ray.publish
                now, worked, update = now + spent, worked + spent, update + 1
                submit()
                give()
    total = done * costs.steps
    return Simulated(total / now, min(played / (workers * now), 1.0), worked / now)


def _whole(there: set[int], done: int, batch: int) -> bool:
    """Return whether the rest of a batch has come."""
    return all(task in there for task in range(done, (done // batch + 1) * batch))


def best(costs: Costs, ray: RayCosts) -> tuple[float, int, int]:
    """Return what many workers gain over one, how many gain 0.9 of that, how many are busy."""
    found = {n: simulate(costs, ray, n) for n in range(1, WORKERS[-1] + 1)}
    most = max(simulated.rate for simulated in found.values())
    enough = next(n for n in found if found[n].rate >= 0.9 * most)
    busy = [n for n in found if found[n].busy >= BUSY]
    return most / found[1].rate, enough, max(busy, default=0)


def measure_ray(costs: Costs, tasks: int = 200) -> RayCosts:
    """Measure tasks of an agent's size on a Ray of our own with one worker."""
    from scale import make_player  # not of the program itself, which workers do not import

    from fastpong.runtime.cluster.pool import RayPool

    size, payload = int(costs.results), bytes(int(costs.payloads))
    weights = SharedArrays({"w": (max(costs.weights // 4, 1),)}, np.float32, 1)
    about = "pong", "cython", "console"
    with RayPool(make_player, (size,), weights, address="ray", workers=1, about=about) as pool:
        arrays = {"w": np.zeros(weights.shapes["w"], np.float32)}
        publish = [_wall(lambda: pool.publish(0, arrays)) for _ in range(20)]

        def play(number: int) -> None:
            pool.submit(Task(number, 0, payload))
            while not pool.collect(1):
                pass

        play(-1)
        begun = time.process_time()
        trips = [_wall(lambda n=n: play(n)) for n in range(tasks)]
        own = (time.process_time() - begun) / tasks
    weights.close()
    return RayCosts(statistics.median(trips), own, statistics.median(publish))


def make_player(size: int) -> Callable[..., bytes]:
    """Return a player that plays nothing, and sends so many bytes."""
    return lambda task, weights: bytes(size)


def _wall(action: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


HEADER = [
    "| recipe | play, ms a task | learn, ms a task | ms an update | bytes a step | weights, MiB | "
    f"most over one worker | workers for 0.9 of that | workers busy for {BUSY} of the time |",
    "|---|" + 8 * "---:|",
]


def summary(costs: Costs, ray: RayCosts) -> str:
    """Return an agent's line of the table."""
    most, enough, busy = best(costs, ray)
    return (
        f"| {costs.name} | {1e3 * statistics.fmean(costs.play):.1f} | {1e3 * costs.add:.2f} "
        f"| {1e3 * costs.update:.0f} | {costs.bytes_per_step:.0f} | {costs.weights / 2**20:.1f} "
        f"| {most:.1f} | {enough} | {busy or 'none'} |"
    )


def curve(costs: Costs, ray: RayCosts) -> list[str]:
    """Return an agent's table of numbers of workers."""
    lines = ["| workers | steps/s | worker busy | driver busy |", "|" + 4 * "---:|"]
    for workers in WORKERS:
        found = simulate(costs, ray, workers)
        lines.append(f"| {workers} | {found.rate:,.0f} | {found.busy:.2f} | {found.learner:.2f} |")
    return [costs.name, "", *lines, ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("recipes", nargs="*", default=[], metavar="RECIPE")
    parser.add_argument("--ray", action="store_true", help="measure the costs of Ray, too")
    parser.add_argument("--n-envs", type=int, help="environments of ppo and dqn")
    parser.add_argument("--emulator", default="console", choices=("console", "ale"))
    asked = parser.parse_args()
    lines, curves = [*HEADER], []
    for name in asked.recipes or RECIPES:
        settings = {"n_envs": asked.n_envs} if asked.n_envs and name.startswith("pong") else {}
        updates = 20 if name == "keras" else 4  # an update of keras is one episode
        costs = measure(name, settings, WARM.get(name, 1), updates, asked.emulator)
        ray = measure_ray(costs) if asked.ray else RayCosts()
        if asked.ray:
            print(f"{name}: {ray}")
        lines.append(summary(costs, ray))
        curves += curve(costs, ray)
    print("\n".join([*lines, "", *curves]))


if __name__ == "__main__":
    main()
