"""How long a job takes: from this machine's own history, or from a table until there is one."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .database import Row

log = logging.getLogger("character3d")

EMBEDDED_SECONDS = (14, 28)
"""For the embedded methods on two CPU cores, from benchmarks/job.py."""
LEARNED_SECONDS = (120, 180)
"""With a learned mesh: the wire contract's example; it has not been measured on a GPU yet."""
MESH_SECONDS = (2, 12)
"""For rigging a mesh with the embedded method on two CPU cores."""
STAGE_SECONDS: Mapping[str, float] = {
    "preprocessing": 3.7,
    "mesh_generation": 1.8,
    "generating_multiview_texture": 3.5,
    "texture_baking": 4.4,
    "rigging": 2.0,
}
"""Seconds by stage of the embedded methods on two CPU cores, from benchmarks/job.py."""

ENOUGH_JOBS = 3
REMEMBERED = 500
_CONSIDERED = 50
_TAILS = (0.1, 0.9)
_MARGIN = 0.1
_FREE = frozenset(
    {"prompt", "negative_prompt", "seed", "pose_type", "guidance_scale", "cfg_scale", "webhook_url"}
)
"""Fields that do not influence how long a job takes."""


@dataclass(frozen=True)
class _Run:
    kind: tuple[Any, ...]
    seconds: float
    stages: Mapping[str, float]


@dataclass(frozen=True)
class Estimate:
    """seconds: the range in which four of five jobs end. stages: each stage's share, in any unit."""

    seconds: tuple[int, int]
    stages: Mapping[str, float]


def _kind(values: Mapping[str, Any], takes_mesh: bool) -> tuple[Any, ...]:
    return takes_mesh, *((name, values[name]) for name in sorted(values) if name not in _FREE)


class History:
    """The completed jobs of this machine, from which the next are estimated."""

    def __init__(self) -> None:
        self._runs: deque[_Run] = deque(maxlen=REMEMBERED)

    def load(self, rows: Iterable[Row]) -> None:
        """Add the records of completed jobs, given newest first."""
        for row in reversed(list(rows)):
            self.add(row)

    def add(self, row: Row) -> None:
        """Add a completed job, unless some of its results were cached."""
        run = _read_run(row)
        if run:
            self._runs.append(run)

    def estimate(self, values: Mapping[str, Any], is_learned: bool, takes_mesh: bool = False) -> Estimate:
        """What to expect of a job. is_learned: whether a learned mesh model is installed."""
        kind = _kind(values, takes_mesh)
        runs = [run for run in self._runs if run.kind == kind][-_CONSIDERED:]
        if len(runs) < ENOUGH_JOBS:
            usual = LEARNED_SECONDS if is_learned else EMBEDDED_SECONDS
            return Estimate(MESH_SECONDS if takes_mesh else usual, STAGE_SECONDS)
        low, high = (_quantile(sorted(run.seconds for run in runs), share) for share in _TAILS)
        seconds = max(1, math.floor(low * (1 - _MARGIN))), max(2, math.ceil(high * (1 + _MARGIN)))
        return Estimate(seconds, {**STAGE_SECONDS, **_mean_stages(runs)})


def _read_run(row: Row) -> _Run | None:
    """The run of a record; None where results were cached, or where it is damaged."""
    try:
        if row.body["cached_nodes"]:
            return None
        stages = {str(report["stage"]): float(report["seconds"]) for report in row.body["reports"]}
        takes_mesh = "mesh_generation" not in row.body["completed_stages"]
        return _Run(_kind(dict(row.body["values"]), takes_mesh), float(row.body["seconds"]), stages)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        log.warning("job %s: its record could not be read: %r", row.id, error)
        return None


def _quantile(ordered: Sequence[float], share: float) -> float:
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def _mean_stages(runs: Sequence[_Run]) -> dict[str, float]:
    """Mean seconds of each stage that every run reported, at least 0.05."""
    common = set.intersection(*(set(run.stages) for run in runs))
    return {stage: max(0.05, sum(run.stages[stage] for run in runs) / len(runs)) for stage in common}
