"""Bodies that trickle in from many addresses hold no honest client back."""

import asyncio
import itertools
from contextlib import asynccontextmanager, suppress

from character3d.server_routes.limits import JobSlots
from character3d.server_routes.upload_slots import UploadSlots

from .conftest import open_client
from .forms import BOUNDARY, encode_part, pretend

ADDRESSES, PER_ADDRESS, PLACES = 32, 2, 32
START = encode_part("image", b"", '; filename="x.png"')[:-2]
LONG = 60
"""Seconds after which a test that waits for an answer has failed."""


class Attacker:
    """A connection that sends the start of a form, and then now and then a byte."""

    def __init__(self, reader, writer):
        self._writer = writer
        self.answered = asyncio.create_task(reader.readuntil(b"\r\n"))

    @classmethod
    async def connect(cls, url, address):
        host, port = url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port), local_addr=(address, 0))
        writer.write(
            f"POST /generate_character HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 100000\r\n"
            f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n".encode()
            + START
        )
        return cls(reader, writer)

    def trickle(self):
        if not self._writer.is_closing():
            self._writer.write(b"x")

    async def close(self):
        self.answered.cancel()
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()


async def trickle_for_ever(attackers):
    while True:
        for attacker in attackers:
            attacker.trickle()
        await asyncio.sleep(0.05)


@asynccontextmanager
async def attack(url):
    """ADDRESSES x PER_ADDRESS bodies that trickle as long as the block runs."""
    addresses = [f"127.246.1.{number}" for number in range(2, 2 + ADDRESSES)] * PER_ADDRESS
    attackers = await asyncio.gather(*(Attacker.connect(url, address) for address in addresses))
    trickling = asyncio.create_task(trickle_for_ever(attackers))
    try:
        yield attackers
    finally:
        trickling.cancel()
        await asyncio.gather(*(attacker.close() for attacker in attackers))


async def wait_for_answers(attackers, count):
    """The status lines of the answers, once there are as many as that."""
    tasks = {attacker.answered for attacker in attackers}
    done, pending = set(), tasks
    while len(done) < count:
        ended, pending = await asyncio.wait(pending, timeout=LONG, return_when=asyncio.FIRST_COMPLETED)
        assert ended, f"{len(done)} of {count} were answered"
        done |= ended
    return [task.result() for task in done]


async def test_an_attack_from_many_addresses_holds_nobody_back(comfyui, client, inputs_left):
    """64 bodies from 32 addresses, as many as there are places for jobs: one that sends is accepted."""
    await pretend(client, grace_seconds=10.0 * LONG)  # none ends by itself
    try:
        async with attack(comfyui.url) as attackers:
            rest = ADDRESSES * PER_ADDRESS - PLACES
            answers = await wait_for_answers(attackers, rest)
            assert len(answers) == rest, "the others have taken every place for a body"
            async with open_client(comfyui.url) as honest:
                job = await honest.start_job()
                answers = await wait_for_answers(attackers, rest + 1)
                assert len(answers) == rest + 1, "it has taken the place of one attacker"
                assert {answer[:12] for answer in answers} == {b"HTTP/1.1 408"}
                assert (await honest.finish(job["job_id"]))["status"] == "completed"
    finally:
        await pretend(client)
    assert inputs_left() == []


async def test_a_trickling_body_ends_by_itself(comfyui, client):
    """Also where there is room, and long before READ_SECONDS."""
    await pretend(client, grace_seconds=0.0)
    try:
        async with attack(comfyui.url) as attackers:
            answers = await wait_for_answers(attackers, len(attackers))
    finally:
        await pretend(client)
    assert {answer[:12] for answer in answers} == {b"HTTP/1.1 408"}
    await client.finish((await client.start_job())["job_id"])


def test_there_are_as_many_attackers_as_places_for_jobs():
    """Else the attack would prove nothing."""
    slots = JobSlots()
    for number in itertools.count():
        if slots.refusal(str(number)):
            break
        slots.take(str(number))
    assert number == ADDRESSES * PER_ADDRESS and UploadSlots()._total == PLACES
