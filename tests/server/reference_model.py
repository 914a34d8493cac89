"""What clients know of the service, and what it may answer them: the reference of the state machine."""

import asyncio
import contextlib
import dataclasses
import hashlib
import itertools
import json
import time
from collections import defaultdict
from types import SimpleNamespace

import aiohttp

from .conftest import QUICK, lay_base_folder, make_png, open_client, run_stub_server

QUOTA, WINDOW, JOBS_AT_ONCE, ATTEMPTS = 10, 60.0, 2, 2
STAGES = ["preprocessing", "mesh_generation", "generating_multiview_texture", "texture_baking", "rigging"]
PICTURE = make_png()


@dataclasses.dataclass
class Known:
    """A job that was accepted. end: the text of its status once it has ended. events: those seen, by seq."""

    id: str
    user: str
    form: dict
    accepted: dict
    seen: dict = dataclasses.field(default_factory=lambda: {"progress": 0, "attempts": 0})
    end: str | None = None
    events: dict = dataclasses.field(default_factory=dict)
    log: list | None = None
    is_deleted: bool = False
    cancel_asked: bool = False
    restarts: int = 0


class World:
    """A server that may be killed, and all that its users were ever told."""

    def __init__(self, comfyui_folder, base):
        lay_base_folder(base)
        self.base, self._comfyui = base, comfyui_folder
        self.jobs: dict[str, Known] = {}
        self.keys: dict[tuple[str, str], Known] = {}
        self._posts = defaultdict(list)
        self.steps = self.restarts = 0
        self.run = asyncio.new_event_loop().run_until_complete
        self._server = contextlib.ExitStack()
        self.start()

    def start(self):
        context = run_stub_server(self._comfyui, self.base)
        server = self._server.enter_context(context)
        self.url, self.process = server.url, server.process

    def stop(self):
        """Ask the server to end, unless it was killed."""
        self._server.close()

    def restart(self, is_killed):
        """All that lives is begun again; the rate limit starts anew."""
        if is_killed:
            self.process.kill()
            self.process.wait()
        self.stop()
        self.start()
        self.restarts += 1
        self._posts.clear()
        for job in self.jobs.values():
            job.restarts += job.end is None

    def set_pace(self, every):
        """Seconds that each node takes."""
        (self.base / "control.new").write_text(json.dumps({**QUICK, "every": every}))
        (self.base / "control.new").replace(self.base / "control.json")

    async def _ask(self, user, method, path, **options):
        async with open_client(self.url, user) as client, client.request(method, path, **options) as answer:
            return SimpleNamespace(
                status=answer.status, data=await answer.read(), headers=answer.headers.copy()
            )

    def ask(self, user, method, path, **options):
        return self.run(self._ask(user, method, path, **options))

    def jobs_of(self, user):
        """What the list must show, newest first."""
        return [job for job in reversed(self.jobs.values()) if job.user == user and not job.is_deleted]

    def live(self, user):
        """The user's jobs that live, as of now."""
        for job in self.jobs_of(user):
            if job.end is None:
                self.check(job)
        return [job for job in self.jobs_of(user) if job.end is None]

    def pictures(self):
        return [path.name for path in (self.base / "input").rglob("*") if path.is_file()]

    # -- a job's state ------------------------------------------------------------------------------

    def check(self, job):
        """Its status: never older than what was seen, and for ever the same once it has ended."""
        answer = self.ask(job.user, "GET", f"/job/{job.id}/status")
        if job.is_deleted:
            assert (answer.status, json.loads(answer.data)["error_code"]) == (410, "JOB_NOT_FOUND")
            return
        assert answer.status == 200
        self.take_status(job, answer.data.decode())

    def take_status(self, job, text):
        if job.end is not None:
            assert text == job.end
            return
        body, before = json.loads(text), job.seen
        assert body["job_id"] == job.id and body["parameters"] == job.accepted["parameters"]
        assert body["progress"] >= before["progress"]
        assert before["attempts"] <= body["attempts"] <= min(ATTEMPTS, 1 + job.restarts)
        job.seen = body
        if body["status"] != "processing":
            self._take_end(job, body)
            job.end = text

    def _take_end(self, job, body):
        if body["status"] == "completed":
            stages = STAGES if body["parameters"]["enable_rigging"] else STAGES[:-1]
            assert body["progress"] == 100
            assert body["stages"] and [entry["name"] for entry in body["stages"]] == stages
            assert len({item["name"] for item in body["downloads"]}) == (8 if stages == STAGES else 7)
        elif body.get("cancelled"):
            assert job.cancel_asked and body["error"] == "Cancelled"
        else:
            assert body["error"] == "Server restarted"
            assert body["attempts"] == ATTEMPTS and job.restarts >= ATTEMPTS
        assert all(item["sha256"] and item["size"] for item in body["downloads"])

    def check_file(self, job, number):
        """A file of an ended job is what the status says of it."""
        files = json.loads(job.end)["downloads"]
        if not files:
            return
        item = files[number % len(files)]
        answer = self.ask(job.user, "GET", item["url"])
        if job.is_deleted:
            assert answer.status == 410
        else:
            assert answer.status == 200 and len(answer.data) == item["size"]
            assert hashlib.sha256(answer.data).hexdigest() == item["sha256"]

    def check_list(self, user, limit):
        """Page by page exactly the user's jobs, newest first."""
        listed, query = [], f"?limit={limit}"
        while True:
            page = json.loads(self.ask(user, "GET", f"/generate_character/jobs{query}").data)
            listed += page["jobs"]
            if page["next"] is None:
                break
            query = f"?limit={limit}&before={page['next']}"
        assert [body["job_id"] for body in listed] == [job.id for job in self.jobs_of(user)]
        for body in listed:
            self.take_status(self.jobs[body["job_id"]], json.dumps(body))

    # -- requests ----------------------------------------------------------------------------------

    def post_form(self, form, key):
        data = aiohttp.FormData(default_to_multipart=True)
        data.add_field("image", PICTURE, filename="input.png")
        for name, value in form.items():
            data.add_field(name, value)
        return {"data": data, "headers": {"Idempotency-Key": key} if key else None}

    def submit(self, user, form, key):
        """POST; the answer must be the one that the limits and the key call for."""
        known = self.keys.get((user, key)) if key else None
        known = None if known is None or known.is_deleted else known
        before, sent = self.live(user), time.monotonic()
        answer = self.ask(user, "POST", "/generate_character", **self.post_form(form, key))
        body, came = json.loads(answer.data), time.monotonic()
        surely = [span for span in self._posts[user] if span[0] + WINDOW > came]
        maybe = [span for span in self._posts[user] if span[1] + WINDOW > sent]
        if answer.status == 429:
            if body["details"]["reason"] == "rate_limit":
                assert len(maybe) >= QUOTA
            else:
                assert body["details"]["reason"] == "concurrent_jobs"
                assert len(before) >= JOBS_AT_ONCE and known is None
            assert int(answer.headers["Retry-After"]) >= 1
            return
        assert len(surely) < QUOTA
        self._posts[user].append((sent, came))
        if known and known.form != form:
            assert answer.status == 422
            return
        assert answer.status == 202, body
        assert ("Idempotency-Replayed" in answer.headers) == (known is not None)
        if known:
            assert (body["job_id"], body["parameters"]) == (known.id, known.accepted["parameters"])
        else:
            self.add(user, form, key, body)
            assert len(self.live(user)) <= JOBS_AT_ONCE

    def add(self, user, form, key, accepted):
        job = Known(accepted["job_id"], user, form, accepted)
        assert self.jobs.setdefault(job.id, job) is job
        if key:
            self.keys[user, key] = job
        return job

    async def _post_and_kill(self, user, form, key, delay):
        request = asyncio.ensure_future(
            self._ask(user, "POST", "/generate_character", **self.post_form(form, key))
        )
        await asyncio.sleep(delay)
        self.process.kill()
        with contextlib.suppress(aiohttp.ClientError, OSError):
            return await request

    def restart_in_request(self, user, form, key, delay):
        """Kill the server while it reads a form: the job is there or not, and asked again there is one."""
        answer = self.run(self._post_and_kill(user, form, key, delay))
        self.restart(is_killed=True)
        page = json.loads(self.ask(user, "GET", "/generate_character/jobs?limit=100").data)
        new = [body for body in page["jobs"] if body["job_id"] not in self.jobs]
        assert len(new) <= 1
        if answer and answer.status == 202:
            assert [body["job_id"] for body in new] == [json.loads(answer.data)["job_id"]]
        for body in new:
            self.add(user, form, key, body).restarts = 1
        self.submit(user, form, key)

    def cancel(self, job):
        was_live = self._was_live(job)
        answer = self.ask(job.user, "POST", f"/job/{job.id}/cancel")
        if job.is_deleted:
            assert answer.status == 410
        else:
            assert answer.status in ((200, 202) if was_live else (200,))
            self.take_status(job, answer.data.decode())
            assert (answer.status == 200) == (job.end is not None)

    def delete(self, job):
        """Of a job that lives it is the same as cancel, unless the job was quicker."""
        if job.is_deleted:
            assert self.ask(job.user, "DELETE", f"/job/{job.id}").status == 410
            return
        was_live = self._was_live(job)
        answer = self.ask(job.user, "DELETE", f"/job/{job.id}")
        assert answer.status in ((200, 202) if was_live else (200,))
        self.take_status(job, answer.data.decode())
        status = self.ask(job.user, "GET", f"/job/{job.id}/status").status
        job.is_deleted = status == 410
        assert job.is_deleted or was_live
        if job.is_deleted and all(other.end for other in self.jobs.values()):
            assert not self._names(job) & {path.name for path in (self.base / "output").rglob("*")} - {
                name for other in self.jobs.values() if not other.is_deleted for name in self._names(other)
            }

    def _names(self, job):
        """Its files; ComfyUI gives names that have become free to later jobs."""
        return {item["name"] for item in json.loads(job.end)["downloads"]}

    def _was_live(self, job):
        if not job.is_deleted:
            self.check(job)
        job.cancel_asked |= job.end is None
        return job.end is None

    # -- events ------------------------------------------------------------------------------------

    def take_event(self, job, frame):
        """An event is told the same to everybody, and a status is never older than it."""
        assert frame["job_id"] == job.id
        assert job.events.setdefault(frame["seq"], frame) == frame
        self.check(job)
        if job.is_deleted:
            return
        assert json.loads(job.end or json.dumps(job.seen))["progress"] >= frame["data"].get("progress", 0)
        if frame["type"] in ("job_completed", "error"):
            assert job.end is not None and json.loads(job.end) == frame["data"]

    def check_log(self, job, frames):
        """The log of an ended job: milestones, all that were told, its end once and last; for ever."""
        kinds = [frame["type"] for frame in frames]
        assert "progress_update" not in kinds
        assert kinds[-1] == ("job_completed" if json.loads(job.end)["status"] == "completed" else "error")
        assert not {"job_completed", "error"} & set(kinds[:-1])
        numbers = [frame["seq"] for frame in frames]
        assert all(a < b for a, b in itertools.pairwise(numbers))
        told = [event for _, event in sorted(job.events.items()) if event["type"] != "progress_update"]
        assert [frame for frame in frames if frame["seq"] in job.events] == told
        progress = [e["data"]["progress"] for _, e in sorted(job.events.items()) if "progress" in e["data"]]
        assert progress == sorted(progress)
        assert job.log in (None, frames)
        job.log = frames
