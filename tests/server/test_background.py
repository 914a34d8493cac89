"""Background tasks: failures are logged, loops start again, and stopping waits for all."""

import asyncio

import pytest
from character3d.server_routes import background as module
from character3d.server_routes.background import Background


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.0)


async def test_a_task_that_fails_is_logged(caplog):
    background = Background()

    async def fail():
        raise KeyError("what it was")

    background.spawn(fail(), "end job-1")
    while "failed" not in caplog.text:
        await asyncio.sleep(0)
    assert "background task end job-1 failed" in caplog.text and "what it was" in caplog.text
    await background.stop()


@pytest.mark.parametrize("error", [ValueError("x"), UnicodeError("x"), asyncio.TimeoutError(), None])
async def test_a_loop_starts_again_however_it_ended(error, caplog):
    background, runs, done = Background(), [], asyncio.Event()

    async def work():
        runs.append(1)
        if len(runs) == 5:
            done.set()
            await asyncio.Event().wait()
        if error:
            raise error

    background.spawn_loop(work, "loop")
    await done.wait()
    assert caplog.text.count("background task loop") == 4
    await background.stop()
    assert len(runs) == 5


async def test_pauses_grow_to_a_limit(monkeypatch):
    pauses, done = [], asyncio.Event()

    async def sleep(seconds):
        pauses.append(seconds)
        if len(pauses) == 10:
            done.set()
            await asyncio.Event().wait()

    async def fail():
        raise OSError

    monkeypatch.setattr(module, "FIRST_PAUSE", 1.0)
    monkeypatch.setattr(module.asyncio, "sleep", sleep)
    background = Background()
    background.spawn_loop(fail, "loop")
    await done.wait()
    await background.stop()
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]


async def test_stop_waits_until_tasks_have_cleaned_up():
    background, ended = Background(), []
    started = asyncio.Event()

    async def work():
        try:
            started.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            ended.append(1)

    background.spawn(work(), "a")
    background.spawn_loop(work, "b")
    await started.wait()
    await asyncio.sleep(0)
    await background.stop()
    assert ended == [1, 1]
    background.spawn(work(), "too late")
    await asyncio.sleep(0)
    assert ended == [1, 1]
