"""What a cluster costs and how fast it is: redelivery, throughput, acceptance, overhead, costs of a job."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import itertools
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psycopg

from benchmarks.chaos import run_cluster
from benchmarks.chaos_clients import TERMINAL, open_user
from benchmarks.cluster_parts import Cluster, describe_machine
from benchmarks.cluster_usage import Usage

REPOSITORY = Path(__file__).resolve().parent.parent
DOORS = 2
MOST_REDELIVERY, MOST_OVERHEAD, MOST_ACCEPT, LEAST_SHARE, MOST_DEVIATION = 5.0, 0.5, 0.3, 0.9, 0.15

IDLE_SECONDS = 10.0

Engines = tuple[Any, Any]


@dataclass
class Run:
    """One job: when it was ordered, accepted, begun and ended as its client heard; seconds, monotonic."""

    job_id: str = ""
    ordered: float = 0.0
    accepted: float = 0.0
    begun: float = 0.0
    ended: float = 0.0
    events: int = 0
    body: dict[str, Any] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        return self.ended - self.ordered


async def run_job(address: str, picture: bytes, seconds: float) -> Run:
    """Have one job done by a new user, who listens to its events."""
    run = Run()
    async with open_user(60.0) as session:
        form = aiohttp.FormData(default_to_multipart=True)
        form.add_field("image", picture, filename="input.png")
        form.add_field("prompt", str(seconds))
        run.ordered = time.monotonic()
        async with session.post(f"{address}/generate_character", data=form) as answer:
            body = await answer.json()
            assert answer.status == 202, body
        run.accepted, run.job_id = time.monotonic(), body["job_id"]
        async with session.get(f"{address}/job/{run.job_id}/events") as answer:
            async for line in answer.content:
                if line.startswith(b"data: "):
                    frame = json.loads(line.removeprefix(b"data: "))
                    run.begun, run.events = run.begun or time.monotonic(), frame["seq"]
                    if frame["type"] in TERMINAL:
                        run.ended, run.body = time.monotonic(), frame["data"]
    assert run.body.get("status") == "completed", run.body
    return run


def list_doors(cluster: Cluster) -> list[str]:
    return [address for name, address in cluster.addresses.items() if name.startswith("door")]


async def measure_redelivery(
    folder: Path, engines: Engines, options: argparse.Namespace, picture: bytes
) -> bool:
    """From kill -9 of a worker that runs a job to the next attempt at it, five times."""
    seconds = []
    async with run_cluster(Cluster(folder, *engines), DOORS, 2) as cluster:
        doors = list_doors(cluster)
        for number in range(5):
            job = asyncio.create_task(run_job(doors[number % DOORS], picture, 4.0))
            worker = await _wait_for(
                cluster, "SELECT worker FROM jobs WHERE attempt = 1 AND state = 'processing'"
            )
            await asyncio.sleep(0.3 * number)
            cluster.kill(worker)
            killed = time.monotonic()
            await _wait_for(cluster, "SELECT 1 FROM jobs WHERE attempt = 2 AND ended IS NULL")
            seconds.append(time.monotonic() - killed)
            cluster.start(worker)
            run = await job
            print(
                f"    redelivered after {seconds[-1]:.2f} s, done {run.seconds:.1f} s after its order",
                flush=True,
            )
            await cluster.wait()
    print(
        f"redelivery: {max(seconds):.2f} s at most of {len(seconds)},"
        f" median {statistics.median(seconds):.2f} s, to reach {MOST_REDELIVERY:g} s ({describe_machine()})"
    )
    return max(seconds) <= MOST_REDELIVERY


async def _wait_for(cluster: Cluster, query: str) -> Any:
    """The first value of the first row that a query finds, once there is one."""
    async with await psycopg.AsyncConnection.connect(cluster.database, autocommit=True) as connection:
        async with asyncio.timeout(60):
            while not (found := await (await connection.execute(query.encode())).fetchone()):
                await asyncio.sleep(0.01)
    return found[0]


async def measure_throughput(
    folder: Path, engines: Engines, options: argparse.Namespace, picture: bytes
) -> bool:
    """Jobs a minute with 1, 2, 4 and 8 workers, all ordered at once."""
    rates: dict[int, float] = {}
    async with run_cluster(Cluster(folder, *engines), DOORS, 0) as cluster:
        for count in (1, 2, 4, 8):
            for number in range(max(rates, default=0), count):
                await cluster.add_worker(number)
            await cluster.wait()
            await run_together(cluster, picture, count, 0.2)
            await asyncio.sleep(1)
            runs = await run_together(cluster, picture, count * options.jobs, options.seconds)
            rates[count] = (
                len(runs) / (max(run.ended for run in runs) - min(run.ordered for run in runs)) * 60
            )
            share = rates[count] / count / rates[1]
            print(
                f"    {count} workers: {rates[count]:.1f} jobs a minute, {share:.0%} of linear"
                f" ({describe_machine()})",
                flush=True,
            )
    least = min(rate / count / rates[1] for count, rate in rates.items())
    figures = ", ".join(f"{count}: {rate:.1f}" for count, rate in rates.items())
    print(
        f"throughput: jobs of {options.seconds:g} s a minute by workers {figures};"
        f" {least:.0%} of linear at least, to reach {LEAST_SHARE:.0%} ({describe_machine()})"
    )
    return least >= LEAST_SHARE


async def run_together(cluster: Cluster, picture: bytes, count: int, seconds: float) -> list[Run]:
    """Some jobs that are ordered at once, by a user each."""
    doors = list_doors(cluster)
    return await asyncio.gather(*(run_job(doors[index % DOORS], picture, seconds) for index in range(count)))


async def measure_overhead(
    folder: Path, engines: Engines, options: argparse.Namespace, picture: bytes
) -> bool:
    """From the order to its end, by the cluster and by the ComfyUI beside its worker, in turn."""
    direct, through = [], []
    async with _run_one(folder, engines, options) as cluster:
        doors, comfyui = list_doors(cluster), cluster.addresses["comfyui0"]
        for number in range(options.jobs + 2):
            direct.append(await run_job(comfyui, picture, 2.0))
            through.append(await run_job(doors[number % DOORS], picture, 2.0))
    direct, through = direct[2:], through[2:]
    alone, together = (statistics.median(run.seconds for run in runs) for runs in (direct, through))
    difference = [there.seconds - here.seconds for here, there in zip(direct, through, strict=True)]
    middle = statistics.median(difference)
    print(
        f"overhead: a job takes {alone:.2f} s by one {'ComfyUI' if options.real else 'stub'} and"
        f" {together:.2f} s by the cluster: {middle:.2f} s more, {max(difference):.2f} s at most"
        f" of {len(difference)},"
        f" to reach {MOST_OVERHEAD:g} s ({describe_machine()})"
    )
    return middle <= MOST_OVERHEAD


@contextlib.asynccontextmanager
async def _run_one(folder: Path, engines: Engines, options: argparse.Namespace) -> AsyncIterator[Cluster]:
    """A cluster of one worker, with --real beside a ComfyUI whose nodes only wait."""
    if not options.real:
        async with run_cluster(Cluster(folder, *engines), DOORS, 1) as cluster:
            yield cluster
        return
    with run_comfyui(folder / "real", 2.0) as address:
        async with run_cluster(Cluster(folder, *engines), DOORS, 0) as cluster:
            cluster.addresses["comfyui0"] = address
            await cluster.add_worker(0, address)
            await cluster.wait()
            yield cluster


@contextlib.contextmanager
def run_comfyui(base: Path, seconds: float) -> Iterator[str]:
    """A ComfyUI with the tests' stub nodes, as beside a worker; its address. seconds: of a job, about."""
    from tests.server.conftest import lay_base_folder, run_stub_server

    base.mkdir()
    lay_base_folder(base)
    (base / "control.json").write_text(json.dumps({"every": seconds / 20}))
    comfyui = Path(os.environ["CHARACTER3D_COMFYUI"])
    with run_stub_server(comfyui, base, CHARACTER3D_REQUESTS_PER_MINUTE="0") as server:
        yield server.url


async def measure_accept(folder: Path, engines: Engines, options: argparse.Namespace, picture: bytes) -> bool:
    """The 202 of pictures of 10 MB, 20 a second, at two front doors; the load comes from another process."""
    cluster = Cluster(folder, *engines)
    if options.storage == "s3":
        await cluster.add_s3()
    async with run_cluster(cluster, DOORS, 0):
        usage = Usage(cluster)
        script = str(REPOSITORY / "benchmarks" / "cluster_load.py")
        arguments = {"rate": options.rate, "seconds": options.load_seconds, "picture": options.picture}
        words = [f"--{name}={value}" for name, value in arguments.items()]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", script, *words, *list_doors(cluster), stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate()
        found = json.loads(output)
        print(usage.describe(found["count"], cluster), f"CPU s client {found['processor']:.3g}", flush=True)
    print(
        f"accept: {found['count']} {options.picture} of {found['megabytes']:.1f} MB at {options.rate:g}"
        f" a second into {options.storage}: p50 {found['p50']:.0f} ms, p95 {found['p95']:.0f} ms,"
        f" p99 {found['p99']:.0f} ms, refused {found['refused']}, to reach {MOST_ACCEPT * 1000:g} ms"
        f" ({describe_machine()})"
    )
    return bool(found["p95"] <= MOST_ACCEPT * 1000 and not found["refused"])


async def measure_agreement(
    folder: Path, engines: Engines, options: argparse.Namespace, picture: bytes
) -> bool:
    """The same arrivals and times of jobs on a real cluster and in the simulation, with 2, 4 and 8 workers.

    With four, one worker dies on the way. What the simulation is given comes from nine jobs before.
    """
    simulator = importlib.import_module("benchmarks.simulate_cluster")
    deviations = []
    async with run_cluster(Cluster(folder, *engines), DOORS, 1) as cluster:
        doors = list_doors(cluster)
        known = _split([await run_job(doors[number % DOORS], picture, 1.0) for number in range(4)])
        ends = sorted(run.ended for run in await run_together(cluster, picture, 5, 1.0))
        turn = (ends[-1] - ends[0]) / (len(ends) - 1) - 1.0
        costs = simulator.Costs(begin=known["begin"], end=max(0.0, turn - known["begin"]))
        count = 1
        for workers in (2, 4, 8):
            for number in range(count, workers):
                await cluster.add_worker(number)
            await cluster.wait()
            count = workers
            plan = _plan_jobs(random.Random(workers), workers, options.jobs * workers)
            real, deaths = await _run_plan(cluster, picture, plan, "worker0" if workers == 4 else "")
            accepted = [(moment + known["accept"], seconds) for moment, seconds in plan]
            played = simulator.Simulation(simulator.Scenario(workers, accepted, deaths), costs).run()
            deviations += _compare(workers, real, [job.wait + known["accept"] for job in played], played)
    worst = max(deviations)
    print(
        f"agreement: the simulation is {worst:.0%} off at worst, to reach {MOST_DEVIATION:.0%}"
        f" ({describe_machine()})"
    )
    return worst <= MOST_DEVIATION


def _plan_jobs(dice: random.Random, workers: int, count: int) -> list[tuple[float, float]]:
    """When jobs arrive, and how long each runs: more than the workers can do, so that they wait."""
    moments = itertools.accumulate(dice.expovariate(1.6 * workers / 2.5) for _ in range(count))
    return [(moment, round(dice.uniform(1.0, 4.0), 2)) for moment in moments]


async def _run_plan(
    cluster: Cluster, picture: bytes, plan: Sequence[tuple[float, float]], victim: str
) -> tuple[list[Run], dict[int, list[tuple[float, float]]]]:
    """The jobs of a plan, and the death of a worker on the way: when, and how long it is away."""
    doors, started, deaths = list_doors(cluster), time.monotonic(), dict[int, list[tuple[float, float]]]()

    async def run_in_time(number: int, moment: float, seconds: float) -> Run:
        await asyncio.sleep(moment)
        return await run_job(doors[number % DOORS], picture, seconds)

    async def kill_in_time() -> None:
        await asyncio.sleep(plan[len(plan) // 2][0])
        killed = time.monotonic()
        cluster.kill(victim)
        cluster.start(victim)
        await cluster.wait()
        deaths[0] = [(killed - started, time.monotonic() - killed)]

    jobs = [run_in_time(number, *job) for number, job in enumerate(plan)]
    runs, _ = await asyncio.gather(asyncio.gather(*jobs), kill_in_time() if victim else asyncio.sleep(0))
    return runs, deaths


def _compare(
    workers: int, real: Sequence[Run], simulated: Sequence[float], played: Sequence[Any]
) -> list[float]:
    """Prints both, and returns how far the simulation is off. simulated: seconds from order to begin."""
    waited = [run.begun - run.ordered for run in real]
    figures = {
        "mean wait": [statistics.mean(waits) for waits in (waited, simulated)],
        "longest wait": [max(waits) for waits in (waited, simulated)],
        "all done": [
            max(run.ended for run in real) - min(run.ordered for run in real),
            max(job.ended for job in played) - min(job.arrives for job in played),
        ],
    }
    for name, (was, said) in figures.items():
        print(
            f"    {workers} workers, {len(real)} jobs: {name} {was:.2f} s, simulated {said:.2f} s", flush=True
        )
    return [abs(said - was) / was for was, said in figures.values()]


async def measure_costs(folder: Path, engines: Engines, options: argparse.Namespace, picture: bytes) -> bool:
    """What a job costs each part, and each second that it runs; kept as JSON for the simulation.

    From jobs of two lengths, less what the parts use while nothing runs.
    """
    short, long, few = options.seconds, 3 * options.seconds, max(2, options.jobs // 2)
    async with run_cluster(Cluster(folder, *engines), DOORS, 1) as cluster:
        doors = list_doors(cluster)
        await run_job(doors[0], picture, 0.2)
        idle = await _use(cluster, lambda number: asyncio.sleep(IDLE_SECONDS), 1)
        runs: list[Run] = []

        async def run_short(number: int) -> None:
            runs.append(await run_job(doors[number % DOORS], picture, short))

        used = await _use(cluster, run_short, few)
        used_long = await _use(cluster, lambda number: run_job(doors[number % DOORS], picture, long), few)
    resting = {name: value / IDLE_SECONDS for name, value in idle.items()}
    second = {name: (used_long[name] - used[name]) / (long - short) - resting[name] for name in used}
    once = {name: used[name] - short * (second[name] + resting[name]) for name in used}
    events = statistics.mean(run.events for run in runs)
    costs = {"once": once, "second": second, "resting": resting, "events": events, "seconds": _split(runs)}
    for name, rest in resting.items():
        print(f"    {name}: {once[name]:.4g} a job, {second[name]:.4g} a second of it, {rest:.4g} resting")
    print(f"    events: {events:.1f} a job")
    print("    seconds: " + ", ".join(f"{name} {value:.3f}" for name, value in costs["seconds"].items()))
    if options.output:
        options.output.write_text(json.dumps(costs, indent=1) + "\n")
    print(f"costs: of {few} jobs of {short:g} s and {few} of {long:g} s ({describe_machine()})")
    return True


async def _use(cluster: Cluster, work: Callable[[int], Awaitable[Any]], times: int) -> dict[str, float]:
    """What a cluster uses for a piece of work that is done some times."""
    usage = Usage(cluster)
    for number in range(times):
        await work(number)
    return usage.compare(times, cluster)


def _split(runs: Sequence[Run]) -> dict[str, float]:
    """Median seconds of the parts of a job as its client sees them."""
    ran = [run.body["processing_time_seconds"] for run in runs]
    return {
        "accept": statistics.median(run.accepted - run.ordered for run in runs),
        "begin": statistics.median(run.begun - run.accepted for run in runs),
        "run": statistics.median(ran),
        "end": statistics.median(
            run.ended - run.begun - seconds for run, seconds in zip(runs, ran, strict=True)
        ),
        "all": statistics.median(run.seconds for run in runs),
    }


def new_folder(folder: Path | None, part: str) -> contextlib.AbstractContextManager[Path]:
    """Where a part's files lie: below a folder that stays, or in one that is deleted."""
    if folder is None:
        return _temporary()
    (folder / part).mkdir(parents=True)
    return contextlib.nullcontext(folder / part)


@contextlib.contextmanager
def _temporary() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        yield Path(name)
