"""A whole cluster on this machine: what it promises while parts of it die, and what it costs.

    python benchmarks/cluster.py chaos [--rounds 100] [--seed 1] [--first 1] [--workers 2]

Starts a PostgreSQL, a RabbitMQ, two front doors, and workers beside stubs of ComfyUI (stage_stub.py), all on
loopback. Each part ends with one line that says what came out, and the exit status is 1 where a promise is
broken.

chaos: in each round four jobs with idempotency keys, by clients that listen (WebSocket or event stream) and
poll, and at a random moment one disaster: kill -9 of a worker, a ComfyUI, a front door or the broker's node,
a crash of PostgreSQL, or a cut between any two. A round is told by its seed and number: `--seed 1 --first 37
--rounds 1` has the disaster of round 37 again.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import sys
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from benchmarks.stub_server import enter_test_environment  # noqa: E402

enter_test_environment()

from PIL import Image  # noqa: E402

from benchmarks.chaos import run_chaos, run_cluster  # noqa: E402
from benchmarks.cluster_parts import Cluster, describe_machine, run_engines  # noqa: E402

DOORS = 2


def make_picture(side: int = 64) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (200, 30, 30)).save(buffer, "PNG")
    return buffer.getvalue()


async def measure_chaos(folder: Path, engines: tuple[Any, Any], options: argparse.Namespace) -> bool:
    """Chaos; True where nothing is wrong."""
    cluster = Cluster(folder, *engines, cuts=True)
    numbers = range(options.first, options.first + options.rounds)
    async with run_cluster(cluster, DOORS, options.workers):
        tally = await run_chaos(cluster, options.seed, numbers, DOORS, options.workers, make_picture())
    print(*tally.faults, sep="\n")
    print(f"chaos: {options.rounds} rounds, seed {options.seed}: {tally.describe()} ({describe_machine()})")
    return not tally.faults


PARTS: dict[str, Callable[[Path, tuple[Any, Any], argparse.Namespace], Coroutine[Any, Any, bool]]] = {
    "chaos": measure_chaos,
}


def main() -> None:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="+", choices=PARTS)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=1, help="the first round's number")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where files and logs are left; else they are deleted")
    options = parser.parse_args()
    are_well = []
    with run_engines() as engines:
        for part in options.parts:
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
                folder = (options.folder or Path(name)) / part
                folder.mkdir(parents=True, exist_ok=True)
                are_well.append(asyncio.run(PARTS[part](folder, engines, options)))
    sys.exit(not all(are_well))


if __name__ == "__main__":
    main()
