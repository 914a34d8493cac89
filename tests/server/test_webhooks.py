"""Webhooks: signed as Standard Webhooks says, repeated, kept over a restart, never to private addresses."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json

import pytest
from aiohttp import web
from character3d.server_routes import webhooks as module
from character3d.server_routes.database import JobDatabase, Row
from character3d.server_routes.errors import ApiError
from character3d.server_routes.webhooks import PRIVATE, SECRET, Webhooks, is_public, make_delivery, sign

from .conftest import lay_base_folder, open_client, run_stub_server
from .test_refusals import refused

KEY = b"0123456789abcdef01234567"
ENVIRONMENT = {SECRET: "whsec_" + base64.b64encode(KEY).decode(), PRIVATE: "1"}


class Receiver:
    """A client's server, which answers with `answers`, then with 204."""

    def __init__(self, answers=()):
        self.answers = list(answers)
        self.requests = []

    async def take(self, request):
        self.requests.append((dict(request.headers), await request.read()))
        return web.Response(status=self.answers.pop(0) if self.answers else 204)


@contextlib.asynccontextmanager
async def receive(answers=()):
    receiver, app = Receiver(answers), web.Application()
    app.router.add_post("/hook", receiver.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/hook"
    try:
        yield receiver
    finally:
        await runner.cleanup()


async def wait_for(condition):
    async with asyncio.timeout(20) if hasattr(asyncio, "timeout") else contextlib.AsyncExitStack():
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
def database(tmp_path):
    database = JobDatabase(tmp_path)
    yield database
    database.close()


def announce(database, url, event, data):
    ended = Row("job-1", "user", 0.0, 1.0, "completed", {})
    database.update(ended, None, make_delivery("job-1", url, event, data))


@pytest.fixture
async def hooks(database, monkeypatch):
    monkeypatch.setattr(module, "PAUSES", (0.05, 0.05))
    hooks = Webhooks(database, ENVIRONMENT)
    task = asyncio.create_task(hooks.run())
    yield hooks
    task.cancel()


def test_the_signature_of_the_specification():
    """The example in the Standard Webhooks specification's own test vector."""
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body) == expected


async def test_it_is_signed_and_sent_once(hooks, database):
    async with receive() as receiver:
        announce(database, receiver.url, "character.completed", {"job_id": "job-1"})
        announce(database, receiver.url, "character.completed", {"job_id": "job-1"})
        hooks.wake()
        await wait_for(lambda: database.next_delivery() is None)
        ((headers, body),) = receiver.requests
    assert json.loads(body)["data"] == {"job_id": "job-1"}
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


async def test_it_is_repeated_with_one_id_until_it_is_taken(hooks, database):
    async with receive([500, 302]) as receiver:
        announce(database, receiver.url, "character.failed", {})
        hooks.wake()
        await wait_for(lambda: database.next_delivery() is None)
        assert len(receiver.requests) == 3
        assert len({headers["webhook-id"] for headers, _ in receiver.requests}) == 1


async def test_it_is_given_up_in_the_end(hooks, database):
    async with receive([500] * 9) as receiver:
        announce(database, receiver.url, "character.failed", {})
        hooks.wake()
        await wait_for(lambda: database.next_delivery() is None)
        assert len(receiver.requests) == 3


async def test_what_waited_is_sent_after_a_restart(tmp_path):
    first = JobDatabase(tmp_path)
    async with receive() as receiver:
        announce(first, receiver.url, "character.completed", {})
        first.close()
        second = JobDatabase(tmp_path)
        task = asyncio.create_task(Webhooks(second, ENVIRONMENT).run())
        await wait_for(lambda: receiver.requests)
        await wait_for(lambda: second.next_delivery() is None)
        task.cancel()
        second.close()


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/x",
        "ftp://example.com",
        "https://",
        "https://user:secret@example.com/",
        "https://127.0.0.1/",
        "https://10.0.0.8/x",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[fd00::1]/",
        "https://0.0.0.0/",
        "https://example.com:99999/",
        "https://[/",
        "https://example.com/" + "x" * 2000,
        "javascript:alert(1)",
    ],
)
async def test_addresses_that_are_refused(database, url):
    hooks = Webhooks(database, {SECRET: ENVIRONMENT[SECRET]})
    with pytest.raises(ApiError) as error:
        hooks.check_url(url)
    assert (error.value.status, error.value.details["parameter"]) == (400, "webhook_url")
    hooks.check_url("https://example.com/hook?x=1")


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.1.2.3", "192.168.0.1", "100.64.0.1", "::1", "fe80::1%eth0"]
)
def test_private_addresses(address):
    assert not is_public(address)
    assert is_public("8.8.8.8") and is_public("2606:4700::1111")


async def test_a_name_that_points_inwards_is_not_followed(database, monkeypatch):
    """localhost is a name: it passes the check of the URL, and is stopped where it is resolved."""
    monkeypatch.setattr(module, "PAUSES", ())
    hooks = Webhooks(database, {SECRET: ENVIRONMENT[SECRET]})
    async with receive() as receiver:
        url = receiver.url.replace("http://127.0.0.1", "https://localhost")
        hooks.check_url(url)
        task = asyncio.create_task(hooks.run())
        announce(database, url, "character.completed", {})
        hooks.wake()
        await wait_for(lambda: database.next_delivery() is None)
        task.cancel()
        assert receiver.requests == []


async def test_without_a_secret_there_are_none(client, png):
    async with await client.generate(png(), webhook_url="https://example.com/hook") as answer:
        body = await refused(answer, 400, "INVALID_PARAMETERS", "webhook_url")
        assert body is not None


async def test_a_job_tells_its_end(comfyui_folder, tmp_path, monkeypatch):
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    lay_base_folder(tmp_path)
    async with receive() as receiver:
        with run_stub_server(comfyui_folder, tmp_path) as server:
            async with open_client(server.url) as client:
                job_id = (await client.start_job(webhook_url=receiver.url))["job_id"]
                body = await client.finish(job_id)
                await wait_for(lambda: receiver.requests)
        sent = json.loads(receiver.requests[0][1])
        assert (sent["type"], sent["data"]) == ("character.completed", body)
