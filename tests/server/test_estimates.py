"""Estimates from history: only of like jobs, wide enough for most, and shares of progress by stage."""

import numpy as np
import pytest
from character3d.server_routes.estimates import (
    EMBEDDED_SECONDS,
    ENOUGH_JOBS,
    LEARNED_SECONDS,
    STAGE_SECONDS,
    History,
)
from character3d.server_routes.job_record import job_to_row

from .test_jobs import STAGES, Run

VALUES = Run().job.parameters.values


def ended(seconds, stages=(), cached=(), **form):
    row = job_to_row(Run(**{name: str(value) for name, value in form.items()}).job)
    reports = [{"stage": stage, "seconds": took} for stage, took in dict(stages).items()]
    row.body.update(
        seconds=seconds, reports=reports, cached_nodes=list(cached), completed_stages=list(STAGES)
    )
    return row


def test_without_history_the_table_speaks():
    history = History()
    assert history.estimate(VALUES, is_learned=False).seconds == EMBEDDED_SECONDS
    assert history.estimate(VALUES, is_learned=True).seconds == LEARNED_SECONDS
    for _ in range(ENOUGH_JOBS - 1):
        history.add(ended(60))
    assert history.estimate(VALUES, is_learned=False).seconds == EMBEDDED_SECONDS


def test_only_jobs_that_take_as_long_count():
    history = History()
    for number in range(5):
        history.add(ended(60, seed=number, prompt=f"{number}"))
        history.add(ended(600, steps=50))
        history.add(ended(1, cached=["5"]))
    assert history.estimate(VALUES, is_learned=False).seconds == (54, 66)
    assert history.estimate({**VALUES, "steps": 50}, is_learned=False).seconds == (540, 660)


@pytest.mark.parametrize("seed", range(5))
def test_four_of_five_jobs_end_in_the_range(seed):
    rng = np.random.default_rng(seed)
    history, inside = History(), 0
    for number in range(210):
        took = float(40 * rng.lognormal(sigma=0.2))
        low, high = history.estimate(VALUES, is_learned=False).seconds
        inside += number >= 10 and low <= took <= high
        history.add(ended(took))
    assert inside / 200 >= 0.8


def test_old_times_are_forgotten():
    history = History()
    for took in [100] * 60 + [10] * 60:
        history.add(ended(took))
    assert history.estimate(VALUES, is_learned=False).seconds == (9, 11)


def test_progress_follows_the_stages_own_times():
    history = History()
    for _ in range(ENOUGH_JOBS):
        history.add(ended(100, {"mesh_generation": 80.0, "preprocessing": 0.0, "rigging": 2.0}))
    stages = history.estimate(VALUES, is_learned=False).stages
    assert stages == {**STAGE_SECONDS, "mesh_generation": 80.0, "preprocessing": 0.05, "rigging": 2.0}
