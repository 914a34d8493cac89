"""A whole cluster on this machine: what it promises while parts of it die, and what it costs.

    python benchmarks/cluster.py chaos [--rounds 100] [--seed 1] [--first 1] [--workers 2]
    python benchmarks/cluster.py redelivery throughput accept overhead costs agreement [--real]

Starts a PostgreSQL, a RabbitMQ, two front doors, and workers beside stubs of ComfyUI (stage_stub.py), all on
loopback. Each part ends with one line that says what came out, and the exit status is 1 where a promise is
broken.

chaos: in each round four jobs with idempotency keys, by clients that listen (WebSocket or event stream) and
poll, and at a random moment one disaster: kill -9 of a worker, a ComfyUI, a front door or the broker's node,
a crash of PostgreSQL, or a cut between any two. A round is told by its seed and number: `--seed 1 --first 37
--rounds 1` has the disaster of round 37 again.
redelivery: seconds from kill -9 of a worker to the next attempt at its job.
throughput: jobs a minute with 1, 2, 4 and 8 workers.
accept: milliseconds to the 202 of pictures of 10 MB, 20 a second, at two front doors.
overhead: what the cluster adds to a job of the ComfyUI beside its worker.
costs: processor seconds, rows, commits and bytes of a job, and the seconds of its parts.
agreement: runs with 2, 4 and 8 workers held against simulate_cluster.py; needs simpy.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from benchmarks.stub_server import enter_test_environment  # noqa: E402

enter_test_environment()

from PIL import Image  # noqa: E402

from benchmarks import cluster_measures as measures  # noqa: E402
from benchmarks.chaos import run_chaos, run_cluster  # noqa: E402
from benchmarks.cluster_parts import Cluster, describe_machine, run_engines  # noqa: E402

DOORS = 2


def make_picture(side: int = 64) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (200, 30, 30)).save(buffer, "PNG")
    return buffer.getvalue()


async def measure_chaos(
    folder: Path, engines: measures.Engines, options: argparse.Namespace, picture: bytes
) -> bool:
    """Chaos; True where nothing is wrong."""
    cluster = Cluster(folder, *engines, cuts=True)
    numbers = range(options.first, options.first + options.rounds)
    async with run_cluster(cluster, DOORS, options.workers):
        tally = await run_chaos(cluster, options.seed, numbers, DOORS, options.workers, picture)
    print(*tally.faults, sep="\n")
    print(f"chaos: {options.rounds} rounds, seed {options.seed}: {tally.describe()} ({describe_machine()})")
    return not tally.faults


PARTS: dict[str, Callable[..., Coroutine[Any, Any, bool]]] = {
    "chaos": measure_chaos,
    "redelivery": measures.measure_redelivery,
    "throughput": measures.measure_throughput,
    "accept": measures.measure_accept,
    "overhead": measures.measure_overhead,
    "costs": measures.measure_costs,
    "agreement": measures.measure_agreement,
}


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="+", choices=PARTS)
    parser.add_argument("--rounds", type=int, default=100, help="of chaos")
    parser.add_argument("--seed", type=int, default=1, help="of chaos")
    parser.add_argument("--first", type=int, default=1, help="the number of chaos's first round")
    parser.add_argument("--workers", type=int, default=2, help="of chaos")
    parser.add_argument("--jobs", type=int, default=6, help="for each worker")
    parser.add_argument("--seconds", type=float, default=4.0, help="of a job")
    parser.add_argument("--rate", type=float, default=20.0, help="pictures a second")
    parser.add_argument("--load-seconds", type=float, default=15.0, help="for how long they come")
    parser.add_argument("--picture", choices=["PNG", "JPEG"], default="PNG", help="that is accepted")
    parser.add_argument("--storage", choices=["folder", "s3"], default="folder", help="of what is accepted")
    parser.add_argument("--real", action="store_true", help="overhead over a real ComfyUI, not over a stub")
    parser.add_argument("--output", type=Path, help="where the costs of a job are written, as JSON")
    parser.add_argument("--folder", type=Path, help="where files and logs are left; else they are deleted")
    return parser.parse_args()


def main() -> None:
    """Run the parts that are asked for."""
    options, are_well = read_options(), []
    for part in options.parts:
        with run_engines() as engines, measures.new_folder(options.folder, part) as folder:
            are_well.append(asyncio.run(PARTS[part](folder, engines, options, make_picture())))
    sys.exit(not all(are_well))


if __name__ == "__main__":
    main()
