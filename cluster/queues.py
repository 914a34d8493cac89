"""Which queue a job goes to: one all of whose workers have the models that were asked for.

A worker takes from one queue; workers of one queue should have the same models, and offer what all have.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from ..server_routes.errors import ApiError
from ..server_routes.parameters import DEFAULT_MODEL

QUEUE = "character3d"
"""Of workers that name no other."""

T = TypeVar("T")
Models = tuple[list[str], list[str]]
"""As Service.list_models: the names that model_name takes, and those of mesh_model, best first."""


@dataclass(frozen=True)
class WorkerQueue:
    """models: what all of its workers have. workers: how many are heard of. waiting: jobs not begun."""

    name: str
    models: Models
    workers: int
    waiting: int

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


def read_queues(workers: Iterable[tuple[str, str, bool]], waiting: Mapping[str, int]) -> list[WorkerQueue]:
    """The queues of (queue, models as JSON, whether it is heard of) of workers.

    What a worker had that is away counts only where all of its queue are.
    """
    found: dict[str, list[tuple[Models, bool]]] = {}
    for name, text, is_heard in workers:
        models = json.loads(text)
        found.setdefault(name, []).append(((models["diffusion_models"], models["3d_models"]), is_heard))
    queues = []
    for name, entries in found.items():
        heard = [models for models, is_heard in entries if is_heard]
        common = _find_common(heard or [models for models, _ in entries])
        queues.append(WorkerQueue(name, common, len(heard), waiting.get(name, 0)))
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


def find_queue(queues: Sequence[WorkerQueue], read_form: Callable[[Models], T]) -> tuple[str, T]:
    """The queue for a form of pictures, and what read_form makes of the form with the models of that queue.

    read_form raises ApiError where the form names a model that is not among them, or anything else is wrong
    with it. Where no queue has all that it names, that is raised, as on one machine that lacks the model.
    """
    preferred = sorted(queues, key=lambda queue: queue.preference)
    for queue in preferred:
        with suppress(ApiError):
            return queue.name, read_form(queue.models)
    read = read_form(merge_models(queues))
    if preferred:  # each model is somewhere, and both together are nowhere
        read = read_form(preferred[0].models)
    return QUEUE, read


def find_soonest(queues: Sequence[WorkerQueue]) -> str:
    """The queue of a job that needs no model."""
    return min(queues, key=lambda queue: queue.load).name if queues else QUEUE
