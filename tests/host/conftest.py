"""A real ComfyUI in a process of its own, with this very pack, and clients that behave like a user's."""

import contextlib
import io
import itertools
import json
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import character3d.client
import numpy as np
import pytest
import trimesh
from character3d.launcher.installation import PACK_NAME, Installation, copy_examples, link_pack
from character3d.launcher.server import find_free_port, run_server, start_process
from character3d.tests.forking import start_fork
from character3d.tests.loopback import open_from
from character3d.tests.registry_archive import unpack_archive
from PIL import Image

REPOSITORY = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted(path.stem for path in (REPOSITORY / "workflows").glob("*.json"))
"""The names that the editor shows under Templates."""
JOB_SECONDS = 900
"""A limit for whole jobs that only a broken one reaches, however busy the machine is."""
SMALL = {"image_size": 512, "mesh_input_size": 256, "outline_size": 32, "face_count": 5_000}
"""Fields of a job whose size does not matter to a test."""

PROBE = """
import sys
from aiohttp import web
from execution import validate_prompt
from server import PromptServer

NODE_CLASS_MAPPINGS = {}

@PromptServer.instance.routes.post("/probe/validate")
async def validate(request):
    return web.json_response((await validate_prompt("probe", await request.json(), None))[3])

@PromptServer.instance.routes.get("/probe/modules")
async def list_modules(request):
    return web.json_response(sorted(sys.modules))
"""


@contextlib.contextmanager
def run_comfyui(comfyui_folder, base, start=start_fork):
    """Run a ComfyUI in the folder `base` with this pack and its examples; the server and its log.

    The pack is a link to this repository, unless its folder is there already.
    """
    if not (base / "custom_nodes" / PACK_NAME).exists():
        link_pack(base / "custom_nodes")
    copy_examples(base / "input")
    installation = Installation(Path(sys.executable), comfyui_folder, base, is_own=True)
    with run_server(installation, find_free_port(), start=start) as server:
        yield server, installation.log


@pytest.fixture(scope="session")
def comfyui(comfyui_folder, tmp_path_factory):
    """url, base (its folder), log (of its process), modules (what was loaded before the first job).

    Its pack is what the registry would install, where this is a clone.
    """
    base = tmp_path_factory.mktemp("host")
    if (REPOSITORY / ".git").exists():
        unpack_archive(base / "custom_nodes" / PACK_NAME)
    probe = base / "custom_nodes" / "probe"
    probe.mkdir(parents=True)
    (probe / "__init__.py").write_text(PROBE)
    with run_comfyui(comfyui_folder, base, start_process) as (server, log):
        modules = json.load(urllib.request.urlopen(f"{server.address}/probe/modules"))
        yield SimpleNamespace(url=server.address, base=base, log=log, modules=modules)


_addresses = (f"127.{a}.{b}.7" for a, b in itertools.product(range(3, 250), range(250)))


class Client(character3d.client.Client):
    """One user, with a loopback address of its own and thereby limits of its own."""

    def __init__(self, url):
        self.opener = open_from(next(_addresses))
        super().__init__(url, opener=self.opener)

    def read(self, path, data=None, **headers):
        """The body of any route's answer; raises urllib's HTTPError where it is none of success."""
        request = urllib.request.Request(self.address + path, data, headers)
        with self.opener.open(request, timeout=60) as answer:
            return answer.read()

    def get_json(self, path):
        return json.loads(self.read(path))

    def watch(self, job_id):
        """Every status answer until the job has ended, the last one included."""
        answers = []
        deadline = time.monotonic() + JOB_SECONDS
        while not answers or answers[-1]["status"] == "processing":
            assert time.monotonic() < deadline, answers[-1]
            time.sleep(0.2)
            answers.append(self.status(job_id))
        return answers

    def cancel_while_in(self, stage, image, **fields):
        """Cancel a job in the midst of `stage`: its last status, and how often it made progress after that.

        A job that notices at its next step makes none, or one that was on its way already.
        """
        job_id = self.generate(image, **fields)["job_id"]
        events = (event for event in self.events(job_id) if event["type"] == "progress_update")
        inside = (event for event in events if event["data"].get("current_stage") == stage)
        assert len({event["data"]["progress"] for event in itertools.islice(inside, 3)}) > 1
        accepted = self.cancel(job_id)
        late = {event["data"]["progress"] for event in events} - set(range(accepted["progress"] + 1))
        return self.watch(job_id)[-1], len(late)

    def validate(self, graph):
        """What ComfyUI refuses in a graph, by the node's number; only the shared server can be asked."""
        body = json.dumps(graph).encode()
        return json.loads(self.read("/probe/validate", body, **{"Content-Type": "application/json"}))

    def run_graph(self, graph):
        """The history of a graph that was submitted to ComfyUI's own queue."""
        body = json.dumps({"prompt": graph, "client_id": "steps"})
        answer = self.read("/prompt", body.encode(), **{"Content-Type": "application/json"})
        prompt_id, deadline = json.loads(answer)["prompt_id"], time.monotonic() + JOB_SECONDS
        while not (history := self.get_json(f"/history/{prompt_id}")):
            assert time.monotonic() < deadline
            time.sleep(0.3)
        return history[prompt_id]

    def read_result(self, job_id, path):
        """The bytes of a result, by the path that `results` gave."""
        with tempfile.TemporaryDirectory() as folder:
            return self.download(job_id, path.rsplit("/", 1)[-1], Path(folder)).read_bytes()


def load_graph(name):
    """A shipped API graph, and its nodes' inputs by title."""
    graph = json.loads((REPOSITORY / "workflows" / "api" / f"{name}.json").read_text(encoding="utf-8"))
    return graph, {node["_meta"]["title"]: node["inputs"] for node in graph.values()}


def find_saved(base, history):
    """The first mesh that a graph saved under the output folder of `base`."""
    assert history["status"]["status_str"] == "success", history["status"]
    saved = [out["3d"][0] for out in history["outputs"].values() if {"3d", "character3d_file"} <= out.keys()]
    return trimesh.load_mesh(base / "output" / saved[0]["subfolder"] / saved[0]["filename"])


@pytest.fixture
def client(comfyui):
    return Client(comfyui.url)


def encode(pixels, kind="PNG", **options):
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(pixels, np.uint8)).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def elf():
    return (REPOSITORY / "examples" / "elf.png").read_bytes()


@pytest.fixture(scope="session")
def landscape():
    """A photo-like view without a person: sky, two ridges, a meadow, grain over all of it (JPEG bytes)."""
    rng = np.random.default_rng(5)
    height, width = 480, 720
    y, x = np.mgrid[0:height, 0:width].astype(float)
    sky = np.stack([120 + y / 4, 160 + y / 5, 230 - y / 12], -1)
    far = 190 + 40 * np.sin(x / 90) + 18 * np.sin(x / 31)
    near = 290 + 30 * np.sin(x / 140 + 2) + 9 * np.sin(x / 23)
    picture = np.where((y > far)[..., None], [96, 110, 128], sky)
    picture = np.where((y > near)[..., None], np.stack([60 + y / 9, 100 + y / 8, 50 + y / 20], -1), picture)
    return encode((picture + rng.normal(0, 6, picture.shape)).clip(0, 255), "JPEG", quality=90)


@pytest.fixture(scope="session")
def elf_job(comfyui, elf):
    """The one default job that many tests look at: job_id, acceptance, answers, seconds."""
    client = Client(comfyui.url)
    started = time.monotonic()
    acceptance = client.generate(elf, seed=42)
    answers = client.watch(acceptance["job_id"])
    assert answers[-1]["status"] == "completed", answers[-1]
    return SimpleNamespace(
        job_id=acceptance["job_id"],
        acceptance=acceptance,
        answers=answers,
        seconds=time.monotonic() - started,
        client=client,
    )
