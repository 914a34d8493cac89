"""The command `character3d`: from a file to a file, and what it says where that fails."""

import inspect
import itertools
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from character3d import client
from character3d.client import AsyncClient, Client, ServiceError
from character3d.client.command import INTERRUPTED, USAGE, main, read_arguments
from character3d.launcher.installation import REPOSITORY
from character3d.tests.loopback import open_from, serve_answers

from .conftest import make_png

_addresses = (f"127.253.{a}.{b}" for a, b in itertools.product(range(250), range(2, 250)))
JSON = {"Content-Type": "application/json"}
RUN = "import sys; from client.command import main; sys.exit(main())"


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in ("CHARACTER3D_SERVER", "CHARACTER3D_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "knight.png"
    path.write_bytes(make_png())
    return path


def refuse(status, code, **headers):
    """What a service answers that refuses everything."""
    body = {"status": "error", "error_code": code, "message": f"Refused as {code}", "details": {}}
    return lambda request: (status, {**JSON, **headers}, json.dumps(body).encode())


def start_command(server, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", RUN, *map(str, arguments), "--server", server.url],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_job(out):
    """The id of the job that a command has begun."""
    for _ in range(600):
        for record in out.glob(".*.json"):
            if job_id := json.loads(record.read_text())["job_id"]:
                return job_id
        time.sleep(0.05)
    raise AssertionError("no job was begun")


def test_a_picture_becomes_a_file_of_its_name(comfyui, picture, tmp_path, capsys):
    out = tmp_path / "out"
    assert main([str(picture), "-o", str(out), "--format", "vrm", "--server", comfyui.url]) == 0
    assert [path.name for path in out.iterdir()] == ["knight.vrm"]
    assert "character" in json.loads((out / "knight.vrm").read_text())
    shown = capsys.readouterr().err
    assert "knight.png: " in shown and "knight.vrm" in shown and "seconds" in shown


def test_a_preset_is_a_field_of_the_form(comfyui, picture, tmp_path):
    out = tmp_path / "out"
    assert main([str(picture), "-o", str(out), "--preset", "roblox", "--server", comfyui.url]) == 0
    assert [path.name for path in out.iterdir()] == ["knight.fbx"]
    user = Client(comfyui.url)
    newest = next(user.list_jobs("completed"))
    chosen = user.status(newest["job_id"])["parameters"]
    assert (chosen["bone_names"], chosen["max_triangles"]) == ("roblox", 6_000)


def test_a_folder_is_gone_on_with(comfyui, tmp_path, capsys):
    folder, out = tmp_path / "pictures", tmp_path / "out"
    folder.mkdir()
    for name in ("a.png", "b.JPG", "c.png", "notes.txt"):
        (folder / name).write_bytes(make_png())
    command = [str(folder), "-o", str(out), "--format", "glb", "--server", comfyui.url]
    assert main(command) == 0, capsys.readouterr().err
    before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    assert sorted(before) == ["a.glb", "b.glb", "c.glb"]
    (out / "b.glb").unlink()
    assert main(command) == 0
    after = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    assert {name for name in after if after[name] != before[name]} == {"b.glb"}
    assert f"2 of 3 pictures have results in {out}; --again makes them anew" in capsys.readouterr().err


def test_a_folder_without_pictures_is_named(tmp_path, capsys):
    assert main([str(tmp_path), "--server", "http://127.0.0.1:1"]) == 2
    assert capsys.readouterr().err == f"character3d: {tmp_path} has no PNG or JPEG file\n"


def test_a_mesh_is_rigged_animated_and_checked(comfyui, tmp_path, capsys):
    mesh, motion, out = tmp_path / "robot.glb", tmp_path / "walk.bvh", tmp_path / "out"
    mesh.write_bytes(b"glTF")
    motion.write_bytes(b"HIERARCHY")
    options = ["-o", str(out), "--format", "glb", "--server", comfyui.url]
    assert main(["rig", str(mesh), *options, "--animation", "walk"]) == 0
    assert json.loads((out / "robot_rigged.glb").read_text())["character"] == "character walk"
    assert main(["animate", str(mesh), str(motion), *options, "--set", "root_motion=in place"]) == 0
    animated = json.loads((out / "robot_animated.glb").read_text())
    assert animated["character"] == "character none motion in place 9"
    capsys.readouterr()
    assert main(["check", str(mesh), "--server", comfyui.url]) == 0
    assert capsys.readouterr().out.startswith("robot.glb: humanoid (97% sure), skeleton: humanoid")


def test_a_killed_command_goes_on_with_its_job(comfyui, control, picture, tmp_path):
    control(seconds={"C3DGenerateMesh": 3})
    out = tmp_path / "out"
    killed = start_command(comfyui, picture, "-o", out)
    job_id = wait_for_job(out)
    killed.kill()
    killed.communicate()
    control()
    again = start_command(comfyui, picture, "-o", out)
    shown = again.communicate(timeout=120)[1]
    assert again.returncode == 0 and "of the job that was begun before" in shown, shown
    assert [path.name for path in out.iterdir()] == ["knight.fbx"]
    assert Client(comfyui.url).status(job_id)["status"] == "completed"


def test_ctrl_c_cancels_the_job(comfyui, control, picture, tmp_path):
    control(seconds={"C3DGenerateMesh": 30})
    out = tmp_path / "out"
    stopped = start_command(comfyui, picture, "-o", out)
    job_id = wait_for_job(out)
    stopped.send_signal(signal.SIGINT)
    shown = stopped.communicate(timeout=60)[1]
    assert stopped.returncode == INTERRUPTED and f"its job {job_id} was cancelled" in shown
    assert Client(comfyui.url).wait(job_id)["cancelled"] is True
    assert "Traceback" not in shown and list(out.iterdir()) == []


def test_a_server_that_is_down(picture, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("character3d.client.connection.FIRST_PAUSE", 0.01)
    with serve_answers(refuse(500, "PROCESSING_ERROR")) as url:
        pass  # it has gone, its address is nobody's
    assert main([str(picture), "-o", str(tmp_path / "out"), "--server", url]) == 1
    shown = capsys.readouterr().err
    assert f"{url} does not answer" in shown.replace("\n", "") and "Is ComfyUI running?" in shown


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (401, "INVALID_PARAMETERS", "Put the server's key into CHARACTER3D_API_KEY"),
        (413, "FILE_TOO_LARGE", "failed. Refused as FILE_TOO_LARGE"),
    ],
)
def test_what_is_refused_is_said(picture, tmp_path, capsys, status, code, said):
    with serve_answers(refuse(status, code)) as url:
        assert main([str(picture), "-o", str(tmp_path / "out"), "--server", url]) == 1
    assert said in capsys.readouterr().err


def test_a_busy_server_is_asked_again_when_it_says(comfyui, picture, tmp_path, capsys):
    """The first two requests are refused; those that come after go to the service."""
    keys = []

    def answer(request):
        keys.append(request.headers["Idempotency-Key"])
        if len(keys) < 3:
            return refuse(429, "SERVER_BUSY", **{"Retry-After": "1"})(request)
        return refuse(400, "INVALID_PARAMETERS")(request)

    with serve_answers(answer) as url:
        started = time.monotonic()
        assert main([str(picture), "-o", str(tmp_path / "out"), "--server", url]) == 1
    shown = capsys.readouterr().err
    assert time.monotonic() - started >= 2 and len(keys) == 3 and len(set(keys)) == 1
    assert "waiting 1 s: Refused as SERVER_BUSY" in shown and "failed. Refused as INVALID_PARAMETERS" in shown


def test_without_events_the_status_is_asked_for(comfyui, monkeypatch):
    """As behind a proxy that lets no stream through."""
    monkeypatch.setattr("character3d.client.client.POLL_SECONDS", 0.05)
    user = Client(comfyui.url, opener=open_from(next(_addresses)))
    job_id = user.generate(make_png())["job_id"]

    def refuse_stream(*arguments):
        raise ConnectionError("cut off")

    monkeypatch.setattr(user, "_stream", refuse_stream)
    jobs = list(user.follow(job_id))
    assert jobs[-1]["status"] == "completed" and jobs[-1] == user.status(job_id)
    progress = [job["progress"] for job in jobs]
    assert progress == sorted(progress) and len(jobs) > 1


def test_progress_does_not_fall_where_a_job_is_followed_late(comfyui):
    user = Client(comfyui.url, opener=open_from(next(_addresses)))
    job_id = user.generate(make_png())["job_id"]
    for job in user.follow(job_id):
        if job["progress"] > 30:
            break
    progress = [job["progress"] for job in user.follow(job_id)]
    assert progress[0] > 30 and progress == sorted(progress) and progress[-1] == 100


async def test_the_asynchronous_client(comfyui, tmp_path):
    user = AsyncClient(comfyui.url, opener=open_from(next(_addresses)))
    job_id = (await user.generate(make_png(), steps=3))["job_id"]
    assert [job async for job in user.follow(job_id)][-1]["status"] == "completed"
    job = await user.wait(job_id)
    assert [listed["job_id"] async for listed in user.list_jobs()] == [job_id]
    saved = await user.download(job_id, job["downloads"][0]["name"], tmp_path)
    assert saved.stat().st_size == job["downloads"][0]["size"]
    assert (await user.health())["status"] == "ready"
    with pytest.raises(ServiceError, match="JOB_NOT_FOUND"):
        _ = [event async for event in user.events("nobody")]


def test_both_clients_have_the_same_methods():
    def list_methods(kind):
        return {name for name in vars(kind) if not name.startswith("_")}

    assert list_methods(client.Client) - list_methods(AsyncClient) == {"address"}
    for name in list_methods(AsyncClient) - {"client"}:
        both = (inspect.signature(getattr(kind, name)).parameters for kind in (client.Client, AsyncClient))
        ours, theirs = (list(parameters.values()) for parameters in both)
        assert ours == theirs, name


def test_usage(tmp_path, picture, capsys):
    assert read_arguments([str(picture)]).command == "generate"
    assert main([str(tmp_path / "nobody.png")]) == USAGE and "does not exist" in capsys.readouterr().err
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / "knight.jpg"
    other.write_bytes(make_png())
    assert main([str(picture), str(other)]) == USAGE and "of the same name" in capsys.readouterr().err
    assert main([str(picture), "--server", "nowhere"]) == USAGE and "expected http" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([str(picture), "--set", "steps"])
    assert "is not NAME=VALUE" in capsys.readouterr().err
