"""The Python client against the service, and through connections that break."""

import hashlib
import itertools
import json
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest
from character3d.client import Client, ServiceError
from character3d.launcher.job import run_job
from character3d.pipeline.conventions import STAGES
from character3d.tests.loopback import CuttingProxy, open_from, serve_answers

from .conftest import assert_only_progress_is_left_out, make_png, new_key

_addresses = (f"127.251.{a}.{b}" for a, b in itertools.product(range(250), range(2, 250)))
JSON = {"Content-Type": "application/json"}
ENDS = ("job_completed", "error")


@pytest.fixture
def user(comfyui):
    """A client that is a user of its own."""
    return Client(comfyui.url, opener=open_from(next(_addresses)))


@pytest.fixture
def through(comfyui):
    """A client behind a proxy that cuts its connections: through(cuts, ...) is (client, proxy)."""
    proxies = []

    def open_proxy(cuts, patience=20.0, **options):
        proxies.append(CuttingProxy(comfyui.url, next(_addresses), cuts, **options).__enter__())
        return Client(proxies[-1].url, patience=patience, timeout=20.0), proxies[-1]

    yield open_proxy
    for proxy in proxies:
        proxy.__exit__()


@pytest.fixture
def ended(user, comfyui):
    """A completed job whose raw mesh is large: its id, the file's name and path."""
    job = user.wait(user.generate(make_png())["job_id"])
    (raw,) = (file for file in job["downloads"] if file["result"] == "raw_mesh")
    path = comfyui.base / "output" / job["results"]["raw_mesh"].removeprefix("/output/")
    path.write_bytes(make_data(0))
    return job["job_id"], raw["name"], path


def make_data(seed, size=3_000_000):
    return hashlib.shake_256(bytes([seed])).digest(size)


def refusal(call, *arguments, **fields):
    with pytest.raises(ServiceError) as raised:
        call(*arguments, **fields)
    return raised.value


def test_a_whole_job(user, comfyui, tmp_path):
    picture = tmp_path / "input.png"
    picture.write_bytes(make_png())
    acceptance = user.generate(picture, steps=3, prompt="a knight, “brave”", fingers=True)
    job_id, chosen = acceptance["job_id"], acceptance["parameters"]
    assert (chosen["steps"], chosen["prompt"], chosen["fingers"]) == (3, "a knight, “brave”", True)
    events = list(user.events(job_id))
    assert_only_progress_is_left_out(events, list(user.events(job_id)))
    assert [event["type"] for event in events if event["type"] in ENDS] == ["job_completed"]
    job = user.status(job_id)
    assert events[-1]["data"] == job == user.wait(job_id) and job["status"] == "completed"
    assert [listed["job_id"] for listed in user.list_jobs()] == [job_id]
    for file in job["downloads"]:
        saved = user.download(job_id, file["name"], tmp_path / "a" / "b")
        (path,) = (comfyui.base / "output").rglob(file["name"])
        assert saved == tmp_path / "a" / "b" / file["name"] and saved.read_bytes() == path.read_bytes()
    assert sorted(path.name for path in saved.parent.iterdir()) == sorted(
        file["name"] for file in job["downloads"]
    )


def test_models_and_health(user):
    assert "realistic_vision.safetensors" in user.models()["diffusion_models"]
    assert user.models()["3d_models"] == ["hunyuan3d-dit-v2-0-fp16.safetensors"]
    health = user.health()
    assert (health["status"], health["reasons"]) == ("ready", [])


def test_health_that_is_not_ready_is_no_error():
    body = {"status": "not_ready", "reasons": [{"message": "full", "reason": "queue_full"}], "jobs": {}}
    with serve_answers(lambda request: (503, JSON, json.dumps(body).encode())) as url:
        assert Client(url).health() == body


def test_cancel_and_delete(user, control):
    control(seconds={"C3DGenerateMesh": 20})
    job_id = user.generate(make_png())["job_id"]
    assert [job["job_id"] for job in user.list_jobs("processing")] == [job_id]
    assert user.cancel(job_id)["job_id"] == job_id
    job = user.wait(job_id)
    assert job["status"] == "failed" and job["cancelled"] is True
    assert user.delete(job_id) == job
    gone = refusal(user.status, job_id)
    assert (gone.status, gone.error_code, gone.details["job_id"]) == (410, "JOB_NOT_FOUND", job_id)


def test_pages(comfyui):
    """The list asks for page after page; a handler makes them short."""

    class ShortPages(urllib.request.BaseHandler):
        asked = 0

        def http_request(self, request):
            if "/jobs?" in request.full_url:
                request.full_url += "&limit=2"
                self.asked += 1
            return request

    pages = ShortPages()
    user = Client(comfyui.url, opener=open_from(next(_addresses), pages))
    ids = []
    for _ in range(5):
        ids.append(user.generate(make_png())["job_id"])
        user.wait(ids[-1])
    assert [job["job_id"] for job in user.list_jobs("completed")] == ids[::-1]
    assert pages.asked == 3 and list(user.list_jobs("failed")) == []


# -- refusals ------------------------------------------------------------------------------------------


def test_refusals_carry_what_the_service_says(user):
    error = refusal(user.generate, make_png(), image_size=999)
    assert (error.status, error.error_code) == (400, "INVALID_PARAMETERS")
    assert error.details == {"parameter": "image_size", "provided": 999, "allowed": [512, 768, 1024]}
    assert error.message == "Invalid image size. Must be 512, 768, or 1024" and error.retry_after is None
    assert str(error) == f"400 INVALID_PARAMETERS: {error.message}"
    error = refusal(user.status, "../../nobody")
    assert (error.status, error.error_code, error.details) == (
        404,
        "JOB_NOT_FOUND",
        {"job_id": "../../nobody"},
    )
    for call in (user.wait, user.cancel, user.delete):
        assert refusal(call, "nobody").error_code == "JOB_NOT_FOUND"


def test_a_picture_that_is_too_large_is_refused_though_it_is_not_read(user):
    error = refusal(user.generate, bytes(11 * 2**20))
    assert (error.status, error.error_code) == (413, "FILE_TOO_LARGE")


def test_limits_say_when_to_come_again(user, control):
    control(seconds={"C3DGenerateMesh": 5})
    ids = [user.generate(make_png())["job_id"] for _ in range(2)]
    error = refusal(user.generate, make_png())
    assert (error.status, error.error_code, error.retry_after) == (429, "SERVER_BUSY", 5.0)
    assert error.details == {"reason": "concurrent_jobs", "limit": 2}
    for job_id in ids:
        user.cancel(job_id)


def test_an_unknown_field_is_warned_of(user):
    acceptance = user.generate(make_png(), stepps=3)
    assert "stepps: unknown field, ignored" in acceptance["warnings"]


def test_api_key(keyed, tmp_path):
    for key in (None, "unknown"):
        error = refusal(Client(keyed.url, api_key=key).generate, make_png() + bytes(9 * 2**20))
        assert (error.status, error.details) == (401, {"parameter": "Authorization"})
    first, second = (Client(keyed.url, api_key=new_key()) for _ in range(2))
    job = first.wait(first.generate(make_png())["job_id"])
    assert [job["job_id"]] == [job["job_id"] for job in first.list_jobs()]
    assert list(second.list_jobs()) == []
    assert first.download(job["job_id"], job["downloads"][0]["name"], tmp_path / "here").exists()


def test_a_redirection_does_not_get_the_key():
    seen = []

    def answer(request):
        seen.append(request.headers.get("Authorization"))
        return 200, JSON, b"{}"

    with (
        serve_answers(answer) as elsewhere,
        serve_answers(lambda request: (302, {"Location": elsewhere}, b"")) as url,
    ):
        Client(url, api_key="secret").models()
    assert seen == [None]


# -- connections that break --------------------------------------------------------------------------


@pytest.mark.nightly_cases
@pytest.mark.parametrize("abruptly", [False, True], ids=["ended", "reset"])
def test_events_go_on_where_they_were(user, through, control, abruptly):
    control(seconds={"C3DGenerateMesh": 1.0, "C3DGenerateViews": 1.0})
    job_id = user.generate(make_png())["job_id"]
    client, proxy = through([2_000, 6_000, 0, 1], abruptly=abruptly)
    events = list(client.events(job_id))
    assert len(proxy.heads) == 5
    assert_only_progress_is_left_out(events, list(user.events(job_id)))
    assert events[-1]["type"] == "job_completed"


def test_events_after_a_number(user):
    job_id = user.generate(make_png())["job_id"]
    events = list(user.events(job_id))
    milestones = [event for event in events if event["type"] != "progress_update"]
    assert list(user.events(job_id)) == milestones
    assert list(user.events(job_id, since=milestones[2]["seq"])) == milestones[3:]
    assert list(user.events(job_id, since=events[-1]["seq"])) == []


@pytest.mark.parametrize("size", [0, 1, 65_536, 300_000])
def test_events_of_every_length_and_signs_of_life(size):
    event = {"type": "error", "seq": 7, "data": {"text": "ä\n\u2028" * size}}
    text = json.dumps(event, ensure_ascii=False)
    body = f": still here\n\nid: 7\nevent: error\ndata: {text}\n\n: still here\n\n".encode()
    with serve_answers(lambda request: (200, {"Content-Type": "text/event-stream"}, body)) as url:
        assert list(Client(url).events("job")) == [event]


@pytest.mark.nightly_cases
@pytest.mark.parametrize("abruptly", [False, True], ids=["ended", "reset"])
def test_a_download_goes_on_where_it_was(through, ended, tmp_path, abruptly):
    job_id, name, path = ended
    client, proxy = through([1_000_000, 600_000, 0, 50], abruptly=abruptly)
    saved = client.download(job_id, name, tmp_path / "here")
    assert saved.read_bytes() == path.read_bytes() and list(saved.parent.iterdir()) == [saved]
    tag = f'"{hashlib.sha256(path.read_bytes()).hexdigest()}"'
    assert len(proxy.heads) == 6 and all(f"If-Range: {tag}".encode() in head for head in proxy.heads[1:5])
    if not abruptly:  # a reset may take bytes with it that had arrived
        assert proxy.relayed < 3_020_000


def test_a_file_that_changes_meanwhile_comes_whole(through, ended, tmp_path):
    job_id, name, path = ended
    client, proxy = through([1_000_000], before={1: lambda: path.write_bytes(make_data(1))})
    assert client.download(job_id, name, tmp_path).read_bytes() == make_data(1)
    assert len(proxy.heads) == 3


def test_a_download_that_cannot_be_ended_leaves_nothing(through, ended, tmp_path):
    job_id, name, _ = ended
    client, _ = through([1_000_000], patience=0)
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / name).write_bytes(b"older")
    with pytest.raises(ConnectionError, match="cut off"):
        client.download(job_id, name, tmp_path / "here")
    assert [path.read_bytes() for path in (tmp_path / "here").iterdir()] == [b"older"]


@pytest.mark.parametrize("told", [hashlib.sha256(b"right").hexdigest(), None])
def test_bytes_of_another_hash_are_refused(tmp_path, told):
    """The hash is the status's, or the entity tag's while the job runs."""
    status = {"status": "processing", "downloads": [{"name": "a.glb", "sha256": told}]}

    def answer(request):
        if request.path.endswith("/status"):
            return 200, JSON, json.dumps(status).encode()
        return 200, {"ETag": f'"{hashlib.sha256(b"right").hexdigest()}"'}, b"wrong"

    with serve_answers(answer) as url:
        error = refusal(Client(url).download, "job", "a.glb", tmp_path)
    assert hashlib.sha256(b"wrong").hexdigest() in error.message
    assert hashlib.sha256(b"right").hexdigest() in error.message and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "...",
        "../evil",
        "/etc/evil",
        "a/b",
        "a\\b",
        "..\\evil",
        "C:evil",
        "a:b",
        "a\x00b",
        "a\nb",
    ],
)
def test_a_name_that_is_a_path_is_refused(tmp_path, name):
    with (
        serve_answers(lambda request: (200, {"ETag": '"x"'}, b"evil")) as url,
        pytest.raises(ValueError, match="without folders"),
    ):
        Client(url).download("job", name, tmp_path / "here")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("abruptly", [False, True], ids=["ended", "reset"])
@pytest.mark.parametrize("arrived", [0, 10, 50, 400])
def test_a_request_whose_answer_is_lost_is_one_job(through, arrived, abruptly):
    client, proxy = through([arrived], abruptly=abruptly)
    acceptance = client.generate(make_png())
    assert [job["job_id"] for job in client.list_jobs()] == [acceptance["job_id"]]
    keys = [head.split(b"Idempotency-Key: ")[1].split(b"\r\n")[0] for head in proxy.heads[:2]]
    assert keys[0] == keys[1] and len(keys[0]) == 36


def test_a_request_is_repeated_once_only(through):
    client, proxy = through([0, 0])
    with pytest.raises(ConnectionError):
        client.generate(make_png())
    assert len(proxy.heads) == 2 and len(list(client.list_jobs())) == 1


def test_the_same_key_is_the_same_job(user):
    first, again = (user.generate(make_png(), idempotency_key="mine") for _ in range(2))
    assert first["job_id"] == again["job_id"]
    assert refusal(user.generate, make_png(), idempotency_key="mine", steps=3).status == 422


@pytest.mark.parametrize("breaks", [True, False])
def test_a_request_that_is_still_in_progress_is_waited_for(breaks):
    """409: the server reads the request whose connection broke; one of another's is an error."""
    conflict = {"error_code": "INVALID_PARAMETERS", "message": "in progress", "details": {}}
    answers = [None] if breaks else []
    answers += [
        (409, {"Retry-After": "1", **JSON}, json.dumps(conflict).encode()),
        (202, JSON, b'{"job_id": ""}'),
    ]
    with serve_answers(lambda request: answers.pop(0)) as url:
        if breaks:
            assert Client(url).generate(b"") == {"job_id": ""}
        else:
            error = refusal(Client(url).generate, b"")
            assert (error.status, error.retry_after) == (409, 1.0)
    assert len(answers) == (0 if breaks else 1)


def test_no_server(unused_tcp_port):
    client = Client(f"http://127.0.0.1:{unused_tcp_port}", patience=1)
    for call in (client.models, lambda: client.generate(b""), lambda: list(client.events("job"))):
        with pytest.raises(ConnectionError, match=f"http://127.0.0.1:{unused_tcp_port} does not answer"):
            call()


# -- quickstart ------------------------------------------------------------------------------------------


def test_quickstart_shows_a_job_though_its_connection_breaks(through, comfyui, control, tmp_path, capsys):
    control(seconds={"C3DGenerateMesh": 1.0})
    picture, checks = tmp_path / "input.png", []
    picture.write_bytes(make_png())
    server = SimpleNamespace(
        check=lambda: checks.append("alive"), installation=SimpleNamespace(base=comfyui.base)
    )
    client, _ = through([None, 3_000], patience=0)
    assert run_job(server, client, picture, tmp_path / "out") is True
    lines = capsys.readouterr().out.splitlines()
    stages = [words[1] for words in map(str.split, lines) if words[:1] in (["✓"], ["+"])]
    assert stages == list(STAGES) and checks == ["alive"]
    saved = [Path(line.split("  (")[0].strip()) for line in lines[lines.index("") + 2 :] if "  (" in line]
    assert sorted(saved) == sorted((tmp_path / "out").iterdir()) and len(saved) == 5
