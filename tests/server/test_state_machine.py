"""Any order of requests, kills and restarts keeps the service's promises; hypothesis chooses the order.

Every example has users of its own, so a failing one can be run again on the same server and made smaller.

The long run, of more than 10,000 steps: pytest tests/server/test_state_machine.py --hypothesis-profile=long
"""

import asyncio
import contextlib
import itertools
import json
import logging

import aiohttp
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from .conftest import open_client
from .reference_model import World

log = logging.getLogger(__name__)

SHORT = {"max_examples": 7, "stateful_step_count": 40}
MANY_STEPS = 10_000
ALWAYS = {
    "deadline": None,
    "database": None,
    "phases": [Phase.generate, Phase.shrink],
    "suppress_health_check": [HealthCheck.too_slow],  # a real server answers
    "print_blob": True,
}
UNKNOWN = "00000000-0000-4000-8000-000000000000"
MOST_WATCHES = 3
# Fixed ranges, whatever there is to choose from: hypothesis wants the same choices to mean the same.
number = st.integers(0, 2**16)
user_number = st.integers(0, 2)
forms = st.fixed_dictionaries(
    {}, optional={"prompt": st.sampled_from(["a knight", "an elf"]), "enable_rigging": st.just("false")}
)
keys = st.sampled_from([None, None, "first", "second"])
seldom = number.map(lambda value: value % 25 == 7)


class Watch:
    """A WebSocket that stays open over several steps."""

    def __init__(self, world, job, since):
        self._world, self._job, self._close_code = world, job, None
        self._stack = contextlib.AsyncExitStack()
        self._socket = world.run(self._open(job, since))
        snapshot = self._receive()
        assert snapshot["snapshot"] and snapshot["type"] == "progress_update"
        world.take_status(job, json.dumps(snapshot["data"]))
        self._is_history = snapshot["data"]["status"] != "processing"
        self._last = snapshot["seq"] if since is None and not self._is_history else since or 0

    async def _open(self, job, since):
        client = await self._stack.enter_async_context(open_client(self._world.url, job.user))
        query = "" if since is None else f"?since={since}"
        return await self._stack.enter_async_context(client.ws_connect(f"/ws/{job.id}{query}"))

    def _receive(self, seconds=5.0):
        """The next frame; None where none comes in time, or the socket was closed."""
        try:
            message = self._world.run(asyncio.wait_for(self._socket.receive(), seconds))
        except asyncio.TimeoutError:
            return None
        if message.type == aiohttp.WSMsgType.CLOSE:
            self._close_code = message.data
        return message.json() if message.type == aiohttp.WSMsgType.TEXT else None

    def read(self, most, seconds):
        """Take frames as they come: progress may be left out for newer progress, nothing else ever."""
        for _ in range(most):
            frame = self._receive(seconds)
            if frame is None:
                break
            assert frame["seq"] > self._last
            if frame["seq"] > self._last + 1 and not self._is_history:
                assert frame["type"] == "progress_update"
            self._last = frame["seq"]
            self._world.take_event(self._job, frame)
        if self._socket.closed:
            assert self._close_code == 1000 and self._job.end is not None

    @property
    def is_closed(self):
        return self._socket.closed

    def close(self):
        self._world.run(self._stack.aclose())


class Clients(RuleBasedStateMachine):
    """Three users of one server, which stays from one example to the next."""

    world: World
    addresses = (f"127.{a}.{b}.{c}" for a, b, c in itertools.product(range(3, 7), range(250), range(2, 250)))

    def __init__(self):
        super().__init__()
        self.users = [next(self.addresses) for _ in range(3)]
        self.watches = []
        self.jobs = []
        self.world.set_pace(0.01)

    def pick(self, index):
        return self.jobs[index % len(self.jobs)] if self.jobs else None

    @initialize(form=forms)
    def submit_first_jobs(self, form):
        for user in self.users:
            self.world.submit(user, form, "first")

    @rule(user=user_number, form=forms, key=keys)
    def submit(self, user, form, key):
        self.world.submit(self.users[user], form, key)

    @rule(seconds=st.sampled_from([0.0, 0.01, 0.05]))
    def set_pace(self, seconds):
        self.world.set_pace(seconds)

    @rule(index=number)
    def cancel(self, index):
        if job := self.pick(index):
            self.world.cancel(job)

    @rule(index=number)
    def delete(self, index):
        if job := self.pick(index):
            self.world.delete(job)

    @rule(index=number, file=number)
    def download(self, index, file):
        job = self.pick(index)
        if job and job.end is not None:
            self.world.check_file(job, file)

    @rule(user=user_number, limit=st.integers(1, 4))
    def list_jobs(self, user, limit):
        self.world.check_list(self.users[user], limit)

    @rule(index=number, is_resumed=st.booleans(), most=st.integers(1, 20))
    def watch(self, index, is_resumed, most):
        job = self.pick(index)
        if job and not job.is_deleted and len(self.watches) < MOST_WATCHES:
            self.watches.append(Watch(self.world, job, max(job.events, default=0) if is_resumed else None))
            self.watches[-1].read(most, 0.01)

    @rule(index=number, most=st.integers(1, 20))
    def read(self, index, most):
        if self.watches:
            watch = self.watches[index % len(self.watches)]
            watch.read(most, 0.02)
            if watch.is_closed:
                self.watches.remove(watch)
                watch.close()

    @rule(index=number)
    def finish(self, index):
        """Watch a job to its end, then read its whole log, by both ways."""
        job = self.pick(index)
        if job is None or job.is_deleted:
            return
        watch = Watch(self.world, job, None)
        watch.read(10_000, 20.0)
        assert watch.is_closed
        watch.close()
        assert job.end is not None
        self.world.check_log(job, self._read_stream(job))
        if job.end is not None and job.log:
            again = Watch(self.world, job, 0)
            again.read(10_000, 5.0)
            again.close()

    def _read_stream(self, job):
        answer = self.world.ask(job.user, "GET", f"/job/{job.id}/events")
        lines = answer.data.decode().splitlines()
        return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]

    @rule(user=user_number)
    def ask_for_unknown(self, user):
        answer = self.world.ask(self.users[user], "GET", f"/job/{UNKNOWN}/status")
        assert (answer.status, json.loads(answer.data)["error_code"]) == (404, "JOB_NOT_FOUND")

    @rule(is_due=seldom, is_killed=st.booleans())
    def restart(self, is_due, is_killed):
        if is_due:
            self._close_watches()
            self.world.restart(is_killed)
            self._check_all()

    @rule(is_due=seldom, user=user_number, form=forms, delay=st.floats(0.0, 0.03))
    def restart_in_request(self, is_due, user, form, delay):
        if is_due:
            self._close_watches()
            key = f"cut {self.world.restarts}"
            self.world.restart_in_request(self.users[user], form, key, delay)
            self._check_all()

    @invariant()
    def nothing_is_lost_or_older(self):
        self.jobs = [job for job in self.world.jobs.values() if job.user in self.users]
        for user in self.users:
            self.world.live(user)
        every = list(self.world.jobs.values())
        if every:
            self.world.check(every[self.world.steps % len(every)])
        self.world.steps += 1

    def _check_all(self):
        """All of this example, and some of those before it."""
        every = list(self.world.jobs.values())
        for job in every[-100:]:
            self.world.check(job)

    def _close_watches(self):
        while self.watches:
            self.watches.pop().close()

    def teardown(self):
        self._close_watches()
        self.world.set_pace(0.0)
        for user in self.users:
            for job in self.world.live(user):
                self.world.cancel(job)
        while any(self.world.live(user) for user in self.users):
            self.world.run(asyncio.sleep(0.02))
        assert self.world.pictures() == []


@pytest.fixture
def world(comfyui_folder, tmp_path):
    world = World(comfyui_folder, tmp_path)
    yield world
    world.stop()


def test_no_order_of_requests_breaks_a_promise(world):
    is_long = settings.get_current_profile_name() == "long"
    Clients.world = world
    options = settings(**ALWAYS, **({} if is_long else SHORT))
    while True:
        run_state_machine_as_test(Clients, settings=options)
        log.info("%d steps, %d jobs, %d restarts", world.steps, len(world.jobs), world.restarts)
        if not is_long or world.steps >= MANY_STEPS:
            break
    if not world.restarts:  # chance had none
        world.restart(is_killed=True)
    for job in world.jobs.values():
        world.check(job)
