"""A cluster as a discrete-event simulation, with service times that benchmarks/cluster.py has measured.

    pip install simpy
    python benchmarks/simulate_cluster.py [--costs costs.json] [--seconds 120] [--load 0.8] [--hours 4]

Jobs arrive at random, wait in one queue, and are run by workers that die now and then. The database is a
server of some processors, of which events and heartbeats keep a part busy. Prints p50 and p99 of the wait,
what a second of work costs in seconds of a worker, and how many jobs are given up, for 10 to 1,000 workers.
`benchmarks/cluster.py agreement` holds it against real runs. Times are in seconds.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import simpy

MOST_ATTEMPTS = 4
"""As cluster/worker.py."""
EVENTS_PER_SECOND = 4.0
"""Of a job that runs, at most: progress is told every quarter of a second. The stubs tell less."""


@dataclass(frozen=True)
class Costs:
    """begin: from a free worker and a waiting job to the job's start; end: from its end to the next message.

    redelivery: from a worker's death to its message at another. database: processor seconds of PostgreSQL for
    each second that a job runs, on `processors` of them; claim: the same to begin or end one.
    """

    begin: float = 0.05
    end: float = 0.03
    redelivery: float = 0.1
    database: float = 0.0
    claim: float = 0.005
    processors: int = 16

    def count_busy(self, running: float) -> float:
        """How many processors of the database `running` jobs keep busy."""
        return self.database * running

    @classmethod
    def read(cls, path: Path) -> Costs:
        """Of one job, as `benchmarks/cluster.py costs --output` writes them."""
        found = json.loads(path.read_text())
        seconds, event = found["seconds"], found["once"]["CPU s postgres"] / found["events"]
        return cls(
            begin=seconds["begin"],
            end=max(0.0, seconds["end"]),
            database=EVENTS_PER_SECOND * event,
            claim=event,
        )


@dataclass
class SimulatedJob:
    arrives: float
    seconds: float
    begun: float = -1.0
    ended: float = -1.0
    attempts: int = 0
    spent: float = 0.0
    is_lost: bool = False

    @property
    def wait(self) -> float:
        return self.begun - self.arrives


@dataclass(frozen=True)
class Scenario:
    """jobs: (when it arrives, how long it runs). deaths: of each worker, (when, how long it is away)."""

    workers: int
    jobs: Sequence[tuple[float, float]]
    deaths: Mapping[int, Sequence[tuple[float, float]]] = field(default_factory=dict)


class Simulation:
    """Runs a scenario once; the jobs say what came out."""

    def __init__(self, scenario: Scenario, costs: Costs) -> None:
        self._costs = costs
        self._environment = simpy.Environment()
        self._queue = simpy.PriorityStore(self._environment)
        left = costs.processors - round(costs.count_busy(scenario.workers))
        if left < 1:
            raise ValueError(
                f"{scenario.workers} workers need more than {costs.processors} processors of a database"
            )
        self._database = simpy.Resource(self._environment, left)
        self._number = 0
        self.jobs = [SimulatedJob(*job) for job in scenario.jobs]
        self._environment.process(self._arrive())
        for number in range(scenario.workers):
            worker = self._environment.process(self._work())
            self._environment.process(self._kill(worker, scenario.deaths.get(number, ())))

    def run(self) -> Sequence[SimulatedJob]:
        """Until nothing is left to happen."""
        self._environment.run()
        return self.jobs

    def _arrive(self) -> Generator[Any, Any, None]:
        for job in self.jobs:
            yield self._environment.timeout(max(0.0, job.arrives - self._environment.now))
            self._send(1, job)

    def _send(self, priority: int, job: SimulatedJob) -> None:
        """priority: what comes back goes before what waits, as in a quorum queue."""
        self._number += 1
        self._queue.put(simpy.PriorityItem((priority, self._number), job))

    def _kill(
        self, worker: simpy.Process, deaths: Sequence[tuple[float, float]]
    ) -> Generator[Any, Any, None]:
        for moment, away in deaths:
            yield self._environment.timeout(max(0.0, moment - self._environment.now))
            worker.interrupt(away)

    def _work(self) -> Generator[Any, Any, None]:
        while True:
            request, job = self._queue.get(), None
            try:
                job = (yield request).item
                yield from self._run_job(job)
            except simpy.Interrupt as death:
                request.cancel()
                if job is None and request.triggered:
                    job = request.value.item
                if job is not None and job.ended < 0:
                    self._environment.process(self._redeliver(job))
                yield from self._be_away(death.cause)

    def _be_away(self, seconds: float) -> Generator[Any, Any, None]:
        try:
            yield self._environment.timeout(seconds)
        except simpy.Interrupt as death:
            yield from self._be_away(death.cause)

    def _run_job(self, job: SimulatedJob) -> Generator[Any, Any, None]:
        job.attempts += 1
        if job.attempts > MOST_ATTEMPTS:
            job.is_lost, job.ended = True, self._environment.now
            return
        taken = self._environment.now
        try:
            yield self._environment.timeout(self._costs.begin)
            yield from self._ask_database()
            job.begun = self._environment.now if job.begun < 0 else job.begun
            yield self._environment.timeout(job.seconds)
            yield from self._ask_database()
            job.ended = self._environment.now
            yield self._environment.timeout(self._costs.end)
        finally:
            job.spent += self._environment.now - taken

    def _ask_database(self) -> Generator[Any, Any, None]:
        """The statements that begin or end a job, on the processors that events and heartbeats leave."""
        with self._database.request() as place:
            yield place
            yield self._environment.timeout(self._costs.claim)

    def _redeliver(self, job: SimulatedJob) -> Generator[Any, Any, None]:
        yield self._environment.timeout(self._costs.redelivery)
        self._send(0, job)


def make_scenario(
    workers: int,
    seconds: float,
    load: float,
    duration: float,
    dice: random.Random,
    between: float,
    away: float,
) -> Scenario:
    """Poisson arrivals at a share of what the workers can do; times of jobs vary by a third.

    between: mean time from one death of a worker to the next; 0: none dies.
    """
    jobs, moment = [], 0.0
    while moment < duration:
        moment += dice.expovariate(load * workers / seconds)
        jobs.append((moment, max(0.1 * seconds, dice.gauss(seconds, seconds / 3))))
    deaths = {number: _list_deaths(dice, between, away, duration) for number in range(workers) if between}
    return Scenario(workers, jobs, deaths)


def _list_deaths(
    dice: random.Random, between: float, away: float, duration: float
) -> list[tuple[float, float]]:
    deaths, moment = [], dice.expovariate(1 / between)
    while moment < duration:
        deaths.append((moment, away))
        moment += away + dice.expovariate(1 / between)
    return deaths


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def describe(jobs: Sequence[SimulatedJob]) -> str:
    waits = [job.wait for job in jobs if job.begun >= 0]
    cost = sum(job.spent for job in jobs) / sum(job.seconds for job in jobs)
    again, lost = sum(job.attempts > 1 for job in jobs), sum(job.is_lost for job in jobs)
    return (
        f"{len(jobs):6} jobs | wait p50 {statistics.median(waits):6.2f} p99 {percentile(waits, 0.99):7.2f}"
        f" | worker {cost:.3f} s a second of work | begun again {again / len(jobs):.2%} | given up {lost}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--costs", type=Path, help="of `benchmarks/cluster.py costs --output`")
    parser.add_argument("--seconds", type=float, default=120.0, help="of a job")
    parser.add_argument(
        "--load", type=float, default=0.8, help="share of the workers' time that is asked for"
    )
    parser.add_argument("--hours", type=float, default=4.0)
    parser.add_argument("--away", type=float, default=90.0, help="until a dead worker is back")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    costs = Costs.read(options.costs) if options.costs else Costs()
    print(f"{costs}; jobs of {options.seconds:g} s, load {options.load:g}")
    for between, what in (
        (0.0, "nothing dies"),
        (24 * 3600.0, "a death a day each"),
        (3600.0, "a death an hour each"),
    ):
        for workers in (10, 100, 1000):
            dice = random.Random(options.seed)
            made = (options.seconds, options.load, options.hours * 3600, dice, between, options.away)
            jobs = Simulation(make_scenario(workers, *made), costs).run()
            busy = costs.count_busy(workers * options.load)
            database = f"database {busy:.2f} of {costs.processors} busy"
            print(f"{what:22} {workers:5} workers {describe(jobs)} | {database}", flush=True)


if __name__ == "__main__":
    main()
