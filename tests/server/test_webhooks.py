"""Webhooks: signed as Standard Webhooks says, retried, kept over a restart, never to private addresses."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import logging
import socket
import threading

import pytest
from aiohttp import web
from character3d.server_routes import webhooks as module
from character3d.server_routes.background import Background
from character3d.server_routes.database import JobDatabase, Row
from character3d.server_routes.database_engine import DatabaseError
from character3d.server_routes.database_threads import DatabaseThreads
from character3d.server_routes.errors import ApiError
from character3d.server_routes.sqlite_engine import SqliteEngine
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
async def threads(tmp_path):
    threads = DatabaseThreads(JobDatabase(SqliteEngine(tmp_path)))
    yield threads
    await threads.close()


@pytest.fixture
def database(threads):
    return threads.database


def announce(database, url, event, data, job_id="job-1"):
    ended = Row(job_id, "user", 0.0, 1.0, "completed", {})
    database.update(ended, None, make_delivery(job_id, url, event, data))


@contextlib.asynccontextmanager
async def sending(threads, environment=ENVIRONMENT):
    """Webhooks that are sent as the service does it."""
    hooks, background = Webhooks(threads, environment), Background()
    background.spawn_loop(hooks.run, "webhooks")
    yield hooks
    await background.stop()


@pytest.fixture
async def hooks(threads, monkeypatch):
    monkeypatch.setattr(module, "PAUSES", (0.05, 0.05))
    async with sending(threads) as hooks:
        yield hooks


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
    first = JobDatabase(SqliteEngine(tmp_path))
    async with receive() as receiver:
        announce(first, receiver.url, "character.completed", {})
        first.close()
        second = DatabaseThreads(JobDatabase(SqliteEngine(tmp_path)))
        async with sending(second):
            await wait_for(lambda: receiver.requests)
            await wait_for(lambda: second.database.next_delivery() is None)
        await second.close()


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
        "https://a..b/",
        "https://.example.com/",
        "https://example..com/",
        "https://\u2024/",
        "https://\u3002/",
        f"https://{'a' * 64}.example.com/",
        "https://" + "\u00e9" * 60 + ".example.com/",
        f"https://{'a.' * 130}com/",
        "https://-a.example.com/",
        "https://a-.example.com/",
        "https://a b.example.com/",
        "https://exa%mple.com/",
        "https://\ud800.example.com/",
        "https://*.example.com/",
        "https://example.com/a b",
        "https://example.com/\x01",
    ],
)
async def test_addresses_that_are_refused(threads, url):
    hooks = Webhooks(threads, {SECRET: ENVIRONMENT[SECRET]})
    with pytest.raises(ApiError) as error:
        hooks.check_url(url)
    assert (error.value.status, error.value.details["parameter"]) == (400, "webhook_url")


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/hook?x=1",
        "https://example.com.:8443/",
        "https://b\u00fccher.example/",
        "https://xn--bcher-kva.example/",
        f"https://{'a' * 63}.example.com/",
        "https://a_b.example.com/",
        "https://8.8.8.8/",
        "https://[2606:4700::1111]/",
    ],
)
async def test_addresses_that_are_accepted(threads, url):
    Webhooks(threads, {SECRET: ENVIRONMENT[SECRET]}).check_url(url)


async def test_a_url_that_cannot_be_sent_to_stops_nobody_elses(threads, database, monkeypatch):
    """Such rows were written by releases that accepted them."""
    monkeypatch.setattr(module, "PAUSES", ())
    monkeypatch.setattr(Webhooks, "check_url", lambda hooks, url: None)
    urls = [
        "https://a..b/",
        "https://.example.com/",
        f"https://{'a' * 64}.x/",
        "http://\u2024/",
        "",
        "\0",
        "//",
    ]
    async with receive() as receiver, sending(threads) as hooks:
        for number, url in enumerate(urls):
            announce(database, url, "character.completed", {}, f"bad-{number}")
        announce(database, receiver.url, "character.completed", {})
        hooks.wake()
        await wait_for(lambda: database.next_delivery() is None)
        assert [headers["webhook-id"] for headers, _ in receiver.requests] == ["msg_job-1"]


async def test_a_damaged_row_stops_nobody_elses(threads, database):
    async with receive() as receiver, sending(threads) as hooks:
        announce(database, receiver.url, "character.completed", {}, "damaged")
        database.engine.file.writer.execute("UPDATE deliveries SET body = ?, tries = 'often'", (b"\xff",))
        announce(database, receiver.url, "character.completed", {}, "never due")
        database.engine.file.writer.execute("UPDATE deliveries SET due = 'soon' WHERE id = 'msg_never due'")
        announce(database, receiver.url, "character.completed", {})
        hooks.wake()
        await wait_for(lambda: database.next_delivery() is None)
        assert [headers["webhook-id"] for headers, _ in receiver.requests] == ["msg_job-1"]


async def test_a_database_that_fails_for_a_while_stops_nothing(threads, database, monkeypatch, caplog):
    monkeypatch.setattr("character3d.server_routes.background.FIRST_PAUSE", 0.01)
    failures = iter([DatabaseError("database or disk is full")] * 3)
    drop = JobDatabase.drop_delivery

    def drop_or_fail(database, delivery_id):
        for error in failures:
            raise error
        drop(database, delivery_id)

    monkeypatch.setattr(JobDatabase, "drop_delivery", drop_or_fail)
    with caplog.at_level(logging.ERROR):
        async with receive() as receiver, sending(threads) as hooks:
            announce(database, receiver.url, "character.completed", {})
            hooks.wake()
            await wait_for(lambda: database.next_delivery() is None)
    assert len(receiver.requests) == 4
    assert len({headers["webhook-id"] for headers, _ in receiver.requests}) == 1
    assert caplog.text.count("background task webhooks failed") == 3


async def test_name_servers_that_do_not_answer_hold_up_nobody_but_webhooks(threads, database, monkeypatch):
    """Their look-ups have threads of their own; the event loop's are free."""
    go_on, waiting = threading.Event(), threading.Semaphore(0)

    def hang(*arguments, **options):
        waiting.release()
        go_on.wait()
        raise socket.gaierror("no answer")

    monkeypatch.setattr(module, "PAUSES", ())
    monkeypatch.setattr(socket, "getaddrinfo", hang)
    async with sending(threads) as hooks:
        for number in range(16):
            announce(
                database, f"http://hanging-{number}.example/", "character.completed", {}, f"job-{number}"
            )
        hooks.wake()
        for _ in range(module.RESOLVING_AT_ONCE):
            await asyncio.to_thread(waiting.acquire)
        assert await asyncio.gather(*(asyncio.to_thread(int, number) for number in range(50)))
        go_on.set()
        await wait_for(lambda: database.next_delivery() is None)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.1.2.3", "192.168.0.1", "100.64.0.1", "::1", "fe80::1%eth0"]
)
def test_private_addresses(address):
    assert not is_public(address)
    assert is_public("8.8.8.8") and is_public("2606:4700::1111")


async def test_a_name_of_a_private_address_is_not_connected_to(threads, database, monkeypatch):
    """localhost is a name: it passes the check of the URL, and is stopped where it is resolved."""
    monkeypatch.setattr(module, "PAUSES", ())
    async with receive() as receiver, sending(threads, {SECRET: ENVIRONMENT[SECRET]}) as hooks:
        url = receiver.url.replace("http://127.0.0.1", "https://localhost")
        hooks.check_url(url)
        announce(database, url, "character.completed", {})
        hooks.wake()
        await wait_for(lambda: database.next_delivery() is None)
        assert receiver.requests == []


async def test_without_a_secret_there_are_none(client, png):
    async with await client.generate(png(), webhook_url="https://example.com/hook") as answer:
        body = await refused(answer, 400, "INVALID_PARAMETERS", "webhook_url")
        assert body is not None


def shown_urls(frames):
    return [frame["data"]["parameters"]["webhook_url"] for frame in frames if "parameters" in frame["data"]]


async def check_others_see_no_url(server, job_id, count):
    """Who knows the id may see the job, but not where its webhook goes."""
    async with open_client(server.url) as other:
        frames, _ = await other.events(job_id, since=0)
        body = await other.status(job_id)
        async with other.get(f"/job/{job_id}/events") as answer:
            stream = await answer.text()
        async with other.post(f"/job/{job_id}/cancel") as answer:
            cancelled = await answer.json()
    assert len(shown_urls(frames)) > 1 and set(shown_urls(frames)) == {""}
    assert body["parameters"]["webhook_url"] == cancelled["parameters"]["webhook_url"] == ""
    assert "job_completed" in stream and "/hook" not in stream


async def test_a_job_tells_its_end(comfyui_folder, tmp_path, monkeypatch):
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    lay_base_folder(tmp_path)
    async with receive() as receiver:
        with run_stub_server(comfyui_folder, tmp_path) as server:
            async with open_client(server.url) as client:
                url = f"{receiver.url}?token=secret"
                job_id = (await client.start_job(webhook_url=url))["job_id"]
                frames, _ = await client.events(job_id, since=0)
                body = await client.status(job_id)
                await wait_for(lambda: receiver.requests)
                assert {body["parameters"]["webhook_url"], *shown_urls(frames)} == {receiver.url}
                await check_others_see_no_url(server, job_id, len(frames))
        sent = json.loads(receiver.requests[0][1])
        assert (sent["type"], sent["data"]) == ("character.completed", body)
