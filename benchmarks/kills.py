"""Kill the service with -9 again and again under load, and hold what it told against what is there.

    python benchmarks/kills.py [--kills 100] [--seed 1] [--customers 16]

Each customer is a user of a ComfyUI with stub nodes: it orders characters all the time, each with an
Idempotency-Key, cancels some, and watches others by WebSocket or event stream. The server is killed at a
random moment and started again on the same folder. In the end everything may finish, and the books are
checked as Jepsen does: what was accepted is what has ended, once each. An order whose answer was lost is sent
again with its key and must give one job, whether the first one was or not. Exits with 1 where a promise is
broken.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.stub_server import enter_test_environment

TERMINAL = ("job_completed", "error")
QUOTA, JOBS_AT_ONCE = 10, 2
PACES = (0.0, 0.01, 0.03, 0.1)
"""Seconds of a node."""


COUNTS = (
    "accepted",
    "completed",
    "cancelled",
    "failed after two attempts",
    "failed otherwise",
    "begun twice",
    "lost",
    "doubled",
    "not ordered",
    "files listed",
    "files on disk",
)


@dataclass
class Order:
    """A form that a customer sends until it is accepted. answers: the 202s. told: events by seq."""

    key: str
    form: dict[str, str]
    answers: list[dict[str, Any]] = field(default_factory=list)
    told: dict[int, dict[str, Any]] = field(default_factory=dict)
    sent: int = 0
    is_over: bool = False

    @property
    def job_id(self) -> str:
        return str(self.answers[0]["job_id"])


class Customer:
    """One user, by its loopback address."""

    def __init__(self, number: int, dice: random.Random, picture: bytes) -> None:
        self.address = f"127.2.0.{number + 2}"
        self._number, self._dice, self._picture = number, dice, picture
        self.orders: list[Order] = []
        self._posts = 0

    def connect(self, url: str) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(local_addr=(self.address, 0))
        return aiohttp.ClientSession(url, connector=connector)

    async def live(self, url: str) -> None:
        """Order, cancel and watch until the server is gone."""
        self._posts = 0
        with contextlib.suppress(aiohttp.ClientError):
            async with self.connect(url) as session, asyncio.TaskGroup() as group:
                group.create_task(self._order(session))
                group.create_task(self._watch(session))

    async def _order(self, session: aiohttp.ClientSession) -> None:
        with contextlib.suppress(aiohttp.ClientError):
            await self.send_again(session)
            while True:
                await asyncio.sleep(self._dice.uniform(0.0, 0.1))
                if self._posts < QUOTA and await self._count_live(session) < JOBS_AT_ONCE:
                    form = {"prompt": f"knight {self._dice.randrange(1000)}"}
                    self.orders.append(Order(f"{self._number}-{len(self.orders)}", form))
                    await self.send(session, self.orders[-1])
                elif self._dice.random() < 0.01 and self.accepted:
                    order = self._dice.choice(self.accepted[-2:])
                    await session.post(f"/job/{order.job_id}/cancel")

    @property
    def accepted(self) -> list[Order]:
        return [order for order in self.orders if order.answers]

    async def send_again(self, session: aiohttp.ClientSession) -> None:
        """Send what has no answer yet, and now and then what has one."""
        for order in self.orders:
            if not order.answers or self._dice.random() < 0.02:
                await self.send(session, order)

    async def send(self, session: aiohttp.ClientSession, order: Order) -> None:
        data = aiohttp.FormData(default_to_multipart=True)
        data.add_field("image", self._picture, filename="input.png")
        for name, value in order.form.items():
            data.add_field(name, value)
        order.sent += 1
        self._posts += 1
        headers = {"Idempotency-Key": order.key}
        async with session.post("/generate_character", data=data, headers=headers) as answer:
            body = await answer.json()
            if answer.status == 202:
                order.answers.append(body)
            elif answer.status not in (429, 503):
                raise AssertionError(f"an order was answered with {answer.status}: {body}")

    async def _count_live(self, session: aiohttp.ClientSession) -> int:
        async with session.get("/generate_character/jobs?status=processing") as answer:
            return len((await answer.json())["jobs"])

    async def _watch(self, session: aiohttp.ClientSession) -> None:
        read = self._read_socket if self._number % 2 else self._read_stream
        with contextlib.suppress(aiohttp.ClientError):
            while True:
                waiting = [order for order in self.accepted if not order.is_over]
                if waiting:
                    await read(session, self._dice.choice(waiting))
                await asyncio.sleep(0.05)

    async def _read_socket(self, session: aiohttp.ClientSession, order: Order) -> None:
        since = max(order.told, default=0)
        async with session.ws_connect(f"/ws/{order.job_id}?since={since}") as socket:
            async for message in socket:
                frame = message.json()
                if not frame.get("snapshot"):
                    self._take(order, frame)

    async def _read_stream(self, session: aiohttp.ClientSession, order: Order) -> None:
        headers = {"Last-Event-ID": str(max(order.told, default=0))}
        async with session.get(f"/job/{order.job_id}/events", headers=headers) as answer:
            async for line in answer.content:
                if line.startswith(b"data: "):
                    self._take(order, json.loads(line.removeprefix(b"data: ")))

    @staticmethod
    def _take(order: Order, frame: dict[str, Any]) -> None:
        if order.told.setdefault(frame["seq"], frame) != frame:
            raise AssertionError(f"event {frame['seq']} of job {order.job_id} was told twice, differently")
        order.is_over |= frame["type"] in TERMINAL


async def run_until_killed(customers: list[Customer], server: Any, seconds: float) -> None:
    lives = [asyncio.create_task(customer.live(server.url)) for customer in customers]
    await asyncio.sleep(seconds)
    server.process.kill()
    server.process.wait()
    await asyncio.gather(*lives)


class Books:
    """What is there in the end, counted."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter(dict.fromkeys(COUNTS, 0))
        self.faults: list[str] = []

    async def close(self, customer: Customer, url: str) -> None:
        """Have a customer's last orders accepted, wait for all its jobs, and check them."""
        async with customer.connect(url) as session:
            while any(not order.answers for order in customer.orders):
                await customer.send_again(session)
                await asyncio.sleep(0.2)
            for order in customer.orders:
                await self._check(session, order)
            listed = await self._list(session)
        self.counts["not ordered"] += len(listed) - len(customer.orders)
        if sorted(listed) != sorted(order.job_id for order in customer.orders):
            self.faults.append(f"customer {customer.address} has {len(listed)} jobs that it did not order")

    async def _list(self, session: aiohttp.ClientSession) -> list[str]:
        listed: list[str] = []
        query = ""
        while True:
            async with session.get(f"/generate_character/jobs?limit=100{query}") as answer:
                page = await answer.json()
            listed += [body["job_id"] for body in page["jobs"]]
            if page["next"] is None:
                return listed
            query = f"&before={page['next']}"

    async def _check(self, session: aiohttp.ClientSession, order: Order) -> None:
        self.counts["accepted"] += 1
        async with session.get(f"/job/{order.job_id}/events") as answer:
            lines = (await answer.text()).splitlines()
        async with session.get(f"/job/{order.job_id}/status") as answer:
            body, status = await answer.json(), answer.status
        log = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
        ends = [frame for frame in log if frame["type"] in TERMINAL]
        if status != 200 or not ends:
            self.counts["lost"] += 1
            self.faults.append(f"job {order.job_id} is lost: {status}, {len(ends)} ends")
            return
        self.counts["doubled"] += len(ends) > 1 or len({answer["job_id"] for answer in order.answers}) > 1
        self._count_end(body)
        self._compare(order, log, body)
        self.counts["files listed"] += len(body["downloads"])
        for item in body["downloads"]:
            async with session.get(item["url"]) as answer:
                if hashlib.sha256(await answer.read()).hexdigest() != item["sha256"]:
                    self.faults.append(f"job {order.job_id}: {item['name']} is not as its status says")

    def _count_end(self, body: dict[str, Any]) -> None:
        twice = body.get("error") == "Server restarted" and body["attempts"] == 2
        end = "completed" if body["status"] == "completed" else "cancelled" if body.get("cancelled") else ""
        self.counts[end or ("failed after two attempts" if twice else "failed otherwise")] += 1
        self.counts["begun twice"] += body["attempts"] == 2
        if not end and not twice:
            self.faults.append(f"job {body['job_id']}: {body['error']}: {body['error_details']}")

    def _compare(self, order: Order, log: list[dict[str, Any]], body: dict[str, Any]) -> None:
        kept = {frame["seq"]: frame for frame in log}
        told = {seq: frame for seq, frame in order.told.items() if frame["type"] != "progress_update"}
        progress = [
            frame["data"]["progress"]
            for _, frame in sorted(order.told.items())
            if "progress" in frame["data"]
        ]
        faults = {
            "an event that was told is forgotten": any(kept.get(seq) != told[seq] for seq in told),
            "its end is not its last event": log[-1]["type"] not in TERMINAL or log[-1]["data"] != body,
            "its progress fell": progress != sorted(progress),
            "its parameters changed": any(a["parameters"] != body["parameters"] for a in order.answers),
            "its answers name several jobs": any(a["job_id"] != body["job_id"] for a in order.answers),
            "it was begun more than twice": body["attempts"] > 2,
        }
        self.faults += [f"job {order.job_id}: {fault}" for fault, is_so in faults.items() if is_so]


async def settle(customers: list[Customer], url: str) -> Books:
    books = Books()
    await asyncio.gather(*(books.close(customer, url) for customer in customers))
    return books


def count_files(base: Path, books: Books) -> None:
    """More on disk than listed: written by an attempt that was cut off before the service heard of them."""
    files = [path for path in (base / "output").rglob("*") if path.is_file()]
    pictures = [path for path in (base / "input").rglob("*") if path.is_file()]
    books.counts["files on disk"] = len(files)
    if pictures:
        books.faults.append(f"{len(pictures)} pictures are left in the input folder")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--customers", type=int, default=16)
    options = parser.parse_args()
    comfyui = enter_test_environment()
    from tests.server.conftest import lay_base_folder, make_png, run_stub_server

    dice, starts = random.Random(options.seed), []
    customers = [
        Customer(number, random.Random(dice.random()), make_png()) for number in range(options.customers)
    ]
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        lay_base_folder(base)
        for number in range(options.kills + 1):
            (base / "control.json").write_text(json.dumps({"every": dice.choice(PACES)}))
            started = time.monotonic()
            with run_stub_server(comfyui, base) as server:
                starts.append(time.monotonic() - started)
                if number < options.kills:
                    asyncio.run(run_until_killed(customers, server, dice.uniform(0.1, 3.0)))
                else:
                    books = asyncio.run(settle(customers, server.url))
        count_files(base, books)
    orders = [order for customer in customers for order in customer.orders]
    print(f"kills {options.kills}, seed {options.seed}, customers {options.customers}")
    print(f"orders whose answer was lost {sum(order.sent > len(order.answers) for order in orders)}")
    for name, count in books.counts.items():
        print(f"{name} {count}")
    print(f"seconds from start to serving: median {statistics.median(starts):.1f}, most {max(starts):.1f}")
    print(*books.faults[:50], sep="\n")
    sys.exit(bool(books.faults))


if __name__ == "__main__":
    main()
