"""The commands of docs/rest.md are run in order, and answer what the page says."""

import base64
import json
import re
import shutil
import subprocess
import sys
import time

import pytest
from character3d.launcher.installation import REPOSITORY
from character3d.server_routes.webhooks import sign
from PIL import Image

from .conftest import DOCUMENT

PAGE = (REPOSITORY / "docs" / "rest.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
WORDS = {"status", "error_code", "message", "parameter", "provided", "result", "media_type"}
# Its own address makes the page a user of its own; the HTTP status is written last.
SHELL = 'curl() { command curl -sS --interface 127.252.0.1 -w "%{stderr}%{http_code}" "$@"; }\n'


class Reader:
    """Runs the commands one by one, and fills values from earlier answers into later commands."""

    def __init__(self, url, folder):
        self.url, self.folder, self.values = url, folder, {"http://localhost:8188": url}

    def fill_in(self, text):
        for name, value in self.values.items():
            text = text.replace(name, value)
        return text

    def run(self, block):
        """Run a block of one curl command, check the status that it states, and return the answer."""
        command, status = re.fullmatch(r"(curl .*)\n# (\d{3})\n", block, re.DOTALL).groups()
        done = subprocess.run(
            ["bash", "-c", SHELL + self.fill_in(command)], cwd=self.folder, capture_output=True, text=True
        )
        assert (done.returncode, done.stderr[-3:]) == (0, status), (command, done.stderr, done.stdout)
        return done.stdout

    def wait_for_end(self, job_id):
        command = f"{SHELL}curl {self.url}/job/{job_id}/status"
        while (
            b'"status": "processing"'
            in subprocess.run(["bash", "-c", command], capture_output=True).stdout[:40]
        ):
            time.sleep(0.05)

    def remember(self, answer):
        if answer.get("status") == "accepted":
            first = self.values.setdefault("JOB_ID", answer["job_id"])
            if first != answer["job_id"]:
                self.wait_for_end(answer["job_id"])  # else a user's jobs are too many at once
        if answer.get("pictures"):
            self.values.update(SHOWN=answer["pictures"][0]["url"].rsplit("/", 1)[-1])
        if answer.get("status") == "completed":
            self.values.update(NAME=answer["downloads"][0]["name"], SHA256=answer["downloads"][0]["sha256"])


def check_shown(shown, answer):
    """Check that the answer has what the page shows: the members, their types, and the contract's words."""
    if isinstance(shown, dict):
        for name in shown.keys() - {"…"}:
            assert name not in WORDS or shown[name] == answer[name]
            check_shown(shown[name], answer[name])
    elif isinstance(shown, list):
        for item, found in zip([item for item in shown if item != "…"], answer, strict=False):
            check_shown(item, found)
    else:
        assert type(answer) is type(shown) or {type(answer), type(shown)} == {int, float}


@pytest.fixture(scope="module")
def reader(comfyui, tmp_path_factory):
    if not shutil.which("curl") or not shutil.which("bash"):
        pytest.skip("no curl or bash here")
    folder = tmp_path_factory.mktemp("page")
    picture = Image.new("RGB", (64, 64), (220, 220, 220))
    picture.paste((200, 30, 30), (20, 8, 44, 60))
    picture.save(folder / "input.jpg", quality=92)
    Image.new("RGB", (768, 768), (90, 30, 30)).save(folder / "painted.png")
    (folder / "mesh.glb").write_bytes(b"glTF")
    (folder / "walk.bvh").write_bytes(b"HIERARCHY")
    return Reader(comfyui.url, folder)


def test_every_command_answers_what_the_page_says(reader):
    answer, runs = "", 0
    for kind, block in BLOCKS:
        if kind == "bash":
            answer, runs = reader.run(block), runs + 1
            if answer.startswith("{"):
                reader.remember(json.loads(answer))
        elif kind == "json":
            check_shown(json.loads(block), json.loads(answer))
        elif kind == "python" and "aiohttp" in block:
            done = run_python(reader, block)
            assert done.stdout.split()[-2] == "job_completed", done.stderr
    assert runs == sum(kind == "bash" for kind, _ in BLOCKS) > 15
    saved = reader.folder / reader.values["NAME"]
    assert (reader.folder / "part").read_bytes() == saved.read_bytes()


def run_python(reader, block):
    command = [sys.executable, "-c", reader.fill_in(block)]
    environment = {"PYTHONPATH": str(REPOSITORY), "PYTHONUTF8": "1"}
    return subprocess.run(
        command, cwd=reader.folder, env=environment, capture_output=True, text=True, timeout=120
    )


def test_the_python_client_of_the_page(reader):
    (block,) = (block for kind, block in BLOCKS if kind == "python" and "from client" in block)
    assert len([line for line in block.splitlines() if line]) <= 10
    done = run_python(reader, block)
    names = done.stdout.split()
    assert len(names) == 8 and all((reader.folder / name).stat().st_size for name in names), done.stderr


def test_the_webhook_check_of_the_page():
    (block,) = (block for kind, block in BLOCKS if kind == "python" and "hmac" in block)
    space = {}
    exec(block, space)
    key, body, now = b"0123456789abcdef01234567", b'{"type": "character.completed"}', int(time.time())

    def check(body, timestamp, signature):
        names = {"webhook-id": "msg_1", "webhook-timestamp": str(timestamp), "webhook-signature": signature}
        return space["is_genuine"]("whsec_" + base64.b64encode(key).decode(), names, body)

    signature = sign(key, "msg_1", now, body)
    assert check(body, now, signature)
    assert not check(body + b" ", now, signature) and not check(body, now, signature[:-2] + "x=")
    assert not check(body, now - 301, sign(key, "msg_1", now - 301, body))


def test_every_route_is_on_the_page():
    commands = [block for kind, block in BLOCKS if kind == "bash"]
    for path, operations in DOCUMENT["paths"].items():
        pattern = path.replace("{job_id}", "JOB_ID").replace("pictures/{filename}", "pictures/SHOWN")
        pattern = pattern.replace("{filename}", "NAME") + r'["?\s]'
        found = [command for command in commands if re.search(r"8188" + pattern, command)]
        for method in operations:
            wanted = {"delete": "-X DELETE", "post": r"-F |-X POST", "get": "^(?!.*(-X|-F ))"}[method]
            assert [command for command in found if re.search(wanted, command)], (method, path)
