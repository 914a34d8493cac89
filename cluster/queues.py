"""Which queue a job goes to: one all of whose workers have the models that were asked for, and the memory.

A worker takes from one queue; workers of one queue should be alike, and offer what all have.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from ..pipeline.weights import measure_shape_model
from ..server_routes.errors import ApiError
from ..server_routes.parameters import DEFAULT_MODEL

QUEUE = "character3d"
"""Of workers that name no other."""

VIEW_GIGABYTES: Mapping[int, float] = {512: 7.6, 768: 8.4, 1024: 9.4}
"""Of six views by their side in pixels, made by SDXL in half precision: benchmarks/view_memory.py."""

T = TypeVar("T")
Models = tuple[list[str], list[str]]
"""As Service.list_models: the names that model_name takes, and those of mesh_model, best first."""


@dataclass(frozen=True)
class WorkerQueue:
    """models: what all of its workers have. workers: how many are heard of. waiting: jobs not begun.

    memory: GB that each worker has at least for its models; infinite where none has said it.
    """

    name: str
    models: Models
    workers: int
    waiting: int
    memory: float = math.inf

    @property
    def load(self) -> tuple[bool, float]:
        """What is smaller where a job is begun sooner."""
        return not self.workers, self.waiting / max(1, self.workers)

    @property
    def preference(self) -> tuple[bool, bool, bool, float]:
        """What is smaller where a job of pictures that names no model is made better, or sooner."""
        diffusion, shape = self.models
        is_away, load = self.load
        return is_away, not shape, DEFAULT_MODEL not in diffusion, load


def read_queues(
    workers: Iterable[tuple[str, str, float | None, bool]], waiting: Mapping[str, int]
) -> list[WorkerQueue]:
    """The queues of (queue, models as JSON, GB of memory, whether it is heard of) of workers.

    What a worker had that is away counts only where all of its queue are.
    """
    found: dict[str, list[tuple[Models, float, bool]]] = {}
    for name, text, memory, is_heard in workers:
        stored = json.loads(text)
        models = stored["diffusion_models"], stored["3d_models"]
        found.setdefault(name, []).append((models, math.inf if memory is None else memory, is_heard))
    queues = []
    for name, entries in found.items():
        heard = [entry for entry in entries if entry[-1]]
        common = _find_common([models for models, _, _ in heard or entries])
        least = min(memory for _, memory, _ in heard or entries)
        queues.append(WorkerQueue(name, common, len(heard), waiting.get(name, 0), least))
    return queues


def _find_common(models: Sequence[Models]) -> Models:
    first, *others = models
    diffusion, shape = (
        [name for name in first[kind] if all(name in other[kind] for other in others)] for kind in (0, 1)
    )
    return diffusion, shape


def merge_models(queues: Sequence[WorkerQueue]) -> Models:
    """What the workers of any queue have."""
    shape = [name for queue in queues for name in queue.models[1]]
    return sorted({name for queue in queues for name in queue.models[0]}), list(dict.fromkeys(shape))


def measure_need(values: Mapping[str, Any], models: Models) -> float:
    """GB that the largest model of a job takes where a worker has those models.

    values: of its form. ComfyUI has one model after another in memory, and moves parts of one that does not
    fit, so that less is slow rather than wrong.
    """
    diffusion, shapes = models
    shape = values["mesh_model"] if values["mesh_model"] in shapes else next(iter(shapes), None)
    sizes = [measure_shape_model(shape)] if shape else []
    if values["model_name"] in diffusion:
        sizes.append(VIEW_GIGABYTES[values["image_size"]])
    return max(sizes, default=0.0)


def find_queue(
    queues: Sequence[WorkerQueue], read_form: Callable[[Models], T], measure: Callable[[T, Models], float]
) -> tuple[str, T]:
    """The queue for a form of pictures, and what read_form makes of the form with the models of that queue.

    read_form raises ApiError where the form names a model that is not among them, or anything else is wrong
    with it. Where no queue has all that it names, that is raised, as on one machine that lacks the model.
    measure: GB that such a job needs. Where no queue has them, the one with most memory is the queue.
    """
    preferred = sorted(queues, key=lambda queue: queue.preference)
    able: list[tuple[WorkerQueue, T]] = []
    for queue in preferred:
        with suppress(ApiError):
            able.append((queue, read_form(queue.models)))
    for queue, read in able:
        if queue.memory >= measure(read, queue.models):
            return queue.name, read
    if able:
        queue, read = max(able, key=lambda found: found[0].memory)
        return queue.name, read
    read = read_form(merge_models(queues))
    if preferred:  # each model is somewhere, and both together are nowhere
        read = read_form(preferred[0].models)
    return QUEUE, read


def find_soonest(queues: Sequence[WorkerQueue]) -> str:
    """The queue of a job that needs no model."""
    return min(queues, key=lambda queue: queue.load).name if queues else QUEUE
