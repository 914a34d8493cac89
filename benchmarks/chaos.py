"""Rounds of chaos: jobs run, and something dies or is cut at a random moment."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from benchmarks.chaos_clients import Customer, Job
from benchmarks.cluster_parts import Cluster
from benchmarks.cut_link import BROKEN, SILENT

JOBS = 4
JOB_SECONDS = (0.4, 1.6)
STRIKE_SECONDS = (0.0, 3.0)
LONGEST_CUT, LONGEST_ABSENCE = 5.0, 2.5


class Disasters:
    """What may happen to a cluster, each by one method that begins it and undoes it."""

    def __init__(self, cluster: Cluster, doors: int, workers: int) -> None:
        self._cluster, self._doors, self._workers = cluster, doors, workers

    def choose(self, dice: random.Random) -> tuple[str, Callable[[], Coroutine[Any, Any, None]]]:
        """A disaster: what it is called, and what does it."""
        away = dice.uniform(0.0, LONGEST_ABSENCE)
        door, worker = dice.randrange(self._doors), dice.randrange(self._workers)
        link, how = dice.choice(sorted(self._cluster.links)), dice.choice((SILENT, BROKEN))
        seconds, resets = dice.uniform(0.3, LONGEST_CUT), dice.random() < 0.5
        kinds = {
            f"kill -9 worker{worker}, away {away:.1f} s": lambda: self._kill(f"worker{worker}", away),
            f"kill -9 comfyui{worker}, away {away:.1f} s": lambda: self._kill(f"comfyui{worker}", away),
            f"kill -9 door{door}, away {away:.1f} s": lambda: self._kill(f"door{door}", away),
            f"kill -9 of the broker node, away {away:.1f} s": lambda: self._kill_broker(away),
            f"PostgreSQL {'crashes' if resets else 'restarts'}, away {away:.1f} s": lambda: (
                self._restart_postgres(away, resets)
            ),
            f"{link} is {how} for {seconds:.1f} s{', then reset' * resets}": lambda: self._cut(
                link, how, seconds, resets
            ),
        }
        name = dice.choice(list(kinds))
        return name, kinds[name]

    async def _kill(self, name: str, away: float) -> None:
        self._cluster.kill(name)
        await asyncio.sleep(away)
        self._cluster.start(name)

    async def _kill_broker(self, away: float) -> None:
        await asyncio.to_thread(self._cluster.broker.kill)
        await asyncio.sleep(away)
        await asyncio.to_thread(self._cluster.broker.start)

    async def _restart_postgres(self, away: float, crashes: bool) -> None:
        postgres = self._cluster.postgres
        await asyncio.to_thread(postgres.kill if crashes else postgres.stop)
        await asyncio.sleep(away)
        await asyncio.to_thread(self._cluster.postgres.start)

    async def _cut(self, link: str, how: str, seconds: float, resets: bool) -> None:
        self._cluster.links[link].cut(how)
        await asyncio.sleep(seconds)
        self._cluster.links[link].heal(resets)


class Tally:
    """What the rounds gave."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.faults: list[str] = []

    def add(self, where: str, job: Job) -> None:
        self.counts["accepted"] += 1
        self.counts[job.body.get("status", "unknown")] += 1
        self.counts["begun again"] += job.body.get("attempts", 1) > 1
        self.counts["lost"] += any(fault.startswith("LOST") for fault in job.faults)
        self.counts["done twice"] += any(fault.startswith("DONE TWICE") for fault in job.faults)
        self.counts["files half"] += any(fault.startswith("HALF") for fault in job.faults)
        self.counts["otherwise wrong"] += bool(job.faults)
        if job.body.get("status") == "failed":
            print(f"    failed: {job.body['error']}: {job.body['error_details']}", flush=True)
        self.faults += [f"{where}, job {'/'.join(job.job_ids)}: {fault}" for fault in job.faults]

    def describe(self) -> str:
        names = ("accepted", "completed", "failed", "begun again", "lost", "done twice", "files half")
        return ", ".join(f"{name} {self.counts[name]}" for name in names)


async def run_round(
    cluster: Cluster, seed: int, number: int, disasters: Disasters, picture: bytes
) -> list[Job]:
    """Some jobs, and one disaster at a random moment of them; returns the jobs when all have ended."""
    dice = random.Random(f"{seed}/{number}")
    doors = [address for name, address in cluster.addresses.items() if name.startswith("door")]
    jobs = [Job(f"{seed}-{number}-{index}", round(dice.uniform(*JOB_SECONDS), 2)) for index in range(JOBS)]
    customers = [Customer(doors, random.Random(dice.random()), picture) for _ in jobs]
    moment = dice.uniform(*STRIKE_SECONDS)
    name, strike = disasters.choose(dice)
    print(f"round {number}: after {moment:.1f} s {name}", flush=True)

    async def strike_in_time() -> None:
        await asyncio.sleep(moment)
        await strike()

    tasks = [customer.have_done(job) for customer, job in zip(customers, jobs, strict=True)]
    started = time.monotonic()
    await asyncio.gather(strike_in_time(), *tasks)
    seconds = [f"{job.heard - job.ordered:.1f}" for job in jobs]
    print(f"    {time.monotonic() - started:.1f} s; jobs {', '.join(seconds)}", flush=True)
    return jobs


async def run_chaos(
    cluster: Cluster, seed: int, numbers: range, doors: int, workers: int, picture: bytes
) -> Tally:
    """Every round on the same cluster, which nobody repairs in between."""
    tally, disasters = Tally(), Disasters(cluster, doors, workers)
    for number in numbers:
        for job in await run_round(cluster, seed, number, disasters, picture):
            before = len(tally.faults)
            tally.add(f"seed {seed}, round {number}", job)
            for fault in tally.faults[before:]:
                print(f"    WRONG {fault}", flush=True)
    return tally


@contextlib.asynccontextmanager
async def run_cluster(cluster: Cluster, doors: int, workers: int) -> AsyncIterator[Cluster]:
    """A cluster with stubs that is up."""
    try:
        for number in range(doors):
            await cluster.add_door(f"door{number}")
        for number in range(workers):
            await cluster.add_worker(number)
        await cluster.wait()
        yield cluster
    finally:
        await cluster.stop()
