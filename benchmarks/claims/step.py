"""Claim c: what a step costs besides the emulator, in the worker and in the trainer."""

from __future__ import annotations

from claims import trainer_step, worker_step
from measure import Effort, Report, Table

# rounds of the worker's arms; rounds, episodes and recorded episodes of the trainer
PLAN = {"quick": (1, (1, 10, 1)), "normal": (30, (3, 100, 4)), "full": (150, (7, 100, 8))}


def measure(effort: Effort) -> Report:
    """Check, then measure both halves."""
    rounds, trainer_plan = PLAN[effort]
    worker, worker_parts = worker_step.measure(rounds)
    trainer, trainer_parts = trainer_step.measure(*trainer_plan)
    rows = [
        [part.what, f"{part.value:.2f}", f"{part.low:.2f} to {part.high:.2f}"]
        for part in (*worker_parts, *trainer_parts)
    ]
    table = Table("Parts, µs per step", ["what", "median", "quartiles"], rows)
    how = f"{worker_step.HOW_WORKER}\n\n{trainer_step.HOW_TRAINER}"
    return Report("A step, besides the emulator", how, [*worker, *trainer], [table])
