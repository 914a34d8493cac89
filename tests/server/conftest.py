"""A ComfyUI that all tests of the service share; every test is a user of its own, by its loopback address."""

import importlib.util
import io
import itertools
import json
import os
import re
import socket
import sys
import tempfile
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace

import aiohttp
import jsonschema
import pytest
from character3d.launcher import server as launcher
from character3d.launcher.installation import REPOSITORY, Installation
from character3d.tests.forking import start_fork
from character3d.tests.loopback import serve_answers
from hypothesis import settings
from PIL import Image

HERE = Path(__file__).resolve().parent
HOST_MODULES = ("execution", "folder_paths", "nodes")
QUICK = {"every": 0.03}
OWN_PATHS = ("/generate_character", "/character/", "/job/", "/ws/")
SECRETS = (tempfile.gettempdir(), sys.prefix, str(REPOSITORY), str(Path.home()), "Traceback")
"""What no refusal may say: where things lie on the disk, and in which lines of code."""

os.environ["CHARACTER3D_REPOSITORY"] = str(REPOSITORY)  # where the stub pack finds the service

pytest.register_assert_rewrite(f"{__package__}.reference_model")
settings.register_profile("long", max_examples=10, stateful_step_count=50)

_addresses = (f"127.{a}.{b}.{c}" for a, b, c in itertools.product(range(7, 250), range(250), range(2, 250)))


def _import_without_comfyui(name):
    """Import a part of the service where ComfyUI's modules are not; the tests here do not call them."""
    absent = [host for host in HOST_MODULES if host not in sys.modules]
    sys.modules.update({host: ModuleType(host) for host in absent})
    try:
        return importlib.import_module(name)
    finally:
        for host in absent:
            del sys.modules[host]


_import_without_comfyui("character3d.server_routes.registration")
DOCUMENT = importlib.import_module("character3d.server_routes.openapi").describe_service()


def check_answer(method, path, status, body):
    """Hold a JSON answer against the OpenAPI document."""
    for template, operations in DOCUMENT["paths"].items():
        pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template))
        operation = operations.get("get" if method == "HEAD" else method.lower())
        if operation and re.fullmatch(pattern, path):
            content = operation["responses"][str(status)]["content"]["application/json"]
            check_schema(content["schema"], body)


def check_schema(schema, body):
    """Hold a JSON value against a schema of the OpenAPI document."""
    schema = {**schema, "components": DOCUMENT["components"]}
    jsonschema.validate(body, schema, format_checker=jsonschema.FormatChecker())


def read_strict_json(text):
    """Python's reader alone accepts NaN and Infinity; other clients fail at them."""

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON: {text}")

    return json.loads(text, parse_constant=refuse)


async def check_trace(session, context, params):
    """Every answer that a test gets from the service's own paths is checked."""
    answer = params.response
    if answer.status >= 400 and params.url.path.startswith(OWN_PATHS):
        text = await answer.text()
        assert not [secret for secret in SECRETS if secret in text], text
    if params.method != "HEAD" and answer.content_type == "application/json":
        body = await answer.json(loads=read_strict_json)
        if not isinstance(body, list):  # core's /models
            check_answer(params.method, params.url.path, answer.status, body)


class Client:
    """An HTTP client with an address of its own, and thereby limits of its own."""

    has_probes = True
    """Whether the server has the stub nodes' routes, which look into its process."""

    def __init__(self, session):
        self.get, self.head, self.post, self.delete = session.get, session.head, session.post, session.delete
        self.request, self.ws_connect = session.request, session.ws_connect

    async def generate(self, image=None, headers=None, **fields):
        form = aiohttp.FormData(default_to_multipart=True)
        form.add_field("image", make_png() if image is None else image, filename="input.png")
        for name, value in fields.items():
            form.add_field(name, str(value))
        return await self.post("/generate_character", data=form, headers=headers)

    async def start_job(self, **fields):
        async with await self.generate(**fields) as answer:
            assert answer.status == 202, await answer.text()
            return await answer.json()

    async def status(self, job_id):
        async with self.get(f"/job/{job_id}/status") as answer:
            assert answer.status == 200
            return await answer.json()

    async def events(self, job_id, since=None):
        """All frames until the server closes, and its close code."""
        query = "" if since is None else f"?since={since}"
        async with self.ws_connect(f"/ws/{job_id}{query}", timeout=aiohttp.ClientWSTimeout(ws_close=5)) as ws:
            frames = [read_strict_json(message.data) async for message in ws]
        for frame in frames:
            check_schema({"$ref": "#/components/schemas/Event"}, frame)
        return frames, ws.close_code

    async def finish(self, job_id):
        await self.events(job_id)
        return await self.status(job_id)


def make_png(size=(16, 16), color=(200, 30, 30, 255), **options):
    picture = Image.new("RGBA", size, color)
    picture.putpixel((0, 0), (0, 0, 0, 0))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", **options)
    return buffer.getvalue()


def assert_only_progress_is_left_out(events, log):
    """A listener has all events of an ended job's log in order; newer progress may replace progress."""
    numbers = [event["seq"] for event in events]
    assert numbers == sorted(set(numbers))
    assert [event for event in events if event["type"] != "progress_update"] == log


def lay_base_folder(base):
    """Make a ComfyUI base folder with the stub nodes and names of models."""
    (base / "control.json").write_text(json.dumps(QUICK))
    checkpoints = base / "models" / "checkpoints"
    (checkpoints / "sub").mkdir(parents=True)
    for name in ("realistic_vision.safetensors", "old.ckpt", "sub/other.safetensors"):
        (checkpoints / name).touch()
    shapes = base / "models" / "diffusion_models"
    shapes.mkdir()
    for name in ("hunyuan3d-dit-v2-0-fp16.safetensors", "flux.safetensors", "hunyuan3d-paint.safetensors"):
        (shapes / name).touch()
    for name in ("custom_nodes", "input"):
        (base / name).mkdir()
    (base / "custom_nodes" / "stub_pack").symlink_to(HERE / "stub_pack", target_is_directory=True)


@contextmanager
def run_stub_server(comfyui_folder, base, *arguments, **variables):
    """A ComfyUI on a base folder from lay_base_folder: url, base folder, log and process.

    arguments: of ComfyUI's command line. variables: of its environment.
    """
    installation = Installation(Path(sys.executable), comfyui_folder, base, is_own=True)
    # Its nodes for paid services take most of what is left of its start.
    arguments = ("--disable-api-nodes", *arguments)
    with ExitStack() as running:
        with pytest.MonkeyPatch.context() as patch:  # while it starts: others may start while it runs
            for name, value in variables.items():
                patch.setenv(name, value)
            start = launcher.run_server(installation, launcher.find_free_port(), arguments, start_fork)
            server = running.enter_context(start)
        yield SimpleNamespace(
            url=server.address,
            base=base,
            control=base / "control.json",
            log=installation.log,
            process=server.process,
        )


@pytest.fixture(scope="session")
def serve(comfyui_folder, tmp_path_factory):
    """(*arguments, **variables) -> a running ComfyUI with the stub nodes, as run_stub_server gives it.

    arguments: of its command line. variables: of its environment. It starts once for the same settings.
    """
    servers, running = {}, ExitStack()

    def start(*arguments, **variables):
        settings = (arguments, frozenset(variables.items()))
        if settings not in servers:
            base = tmp_path_factory.mktemp("comfyui")
            lay_base_folder(base)
            server = run_stub_server(comfyui_folder, base, *arguments, **variables)
            servers[settings] = running.enter_context(server)
        return servers[settings]

    with running:
        yield start
    for server in servers.values():
        require_no_defects(server.log)


def require_no_defects(log):
    """Hold a server's log against answers of 500."""
    text = log.read_text("utf-8", "replace")
    assert re.findall(r"request [0-9a-f-]{36}: .* failed", text) == [], "an answer was 500"


class FrontDoor:
    """A cluster's front door in the place of a ComfyUI: url, log, process, and control of the stub nodes.

    Tests that look into ComfyUI's folders cannot apply.
    """

    def __init__(self, cluster, address, base):
        self.url, self.control = address, base / "control.json"
        self.process, self.log = cluster.processes["door"], cluster.folder / "door.log"

    @property
    def base(self):
        pytest.skip("it looks into the folders of ComfyUI, which a front door has not")


@contextmanager
def run_front_door(comfyui_folder, postgres, folder, base, **variables):
    """A front door, and a worker beside a ComfyUI on a base folder from lay_base_folder.

    folder: for the cluster's files. variables: of the front door's environment.
    """
    processes = importlib.import_module("character3d.tests.cluster_processes")
    brokers = importlib.import_module("character3d.tests.rabbitmq_server")
    with ExitStack() as running:
        broker = running.enter_context(brokers.run_rabbitmq())
        if broker is None:
            pytest.skip("RabbitMQ is not installed")
        host = run_stub_server(comfyui_folder, base, CHARACTER3D_REQUESTS_PER_MINUTE="0")
        beside = running.enter_context(host)
        cluster = processes.Cluster(folder, postgres.new_schema(), broker, **variables)
        running.callback(lambda: [cluster.kill(name) for name in list(cluster.processes)])
        cluster.start_worker("worker", beside.url)
        address = cluster.start_door()
        cluster.wait_for(address, "worker")
        yield FrontDoor(cluster, address, base)
    for log in (folder / "door.log", beside.log):
        require_no_defects(log)


@pytest.fixture(scope="session")
def front_door(postgres, comfyui_folder, tmp_path_factory):
    """The front door that tests share with `--service cluster`."""
    pytest.importorskip("celery", reason="Celery is not installed")
    folder, base = tmp_path_factory.mktemp("cluster"), tmp_path_factory.mktemp("beside")
    lay_base_folder(base)
    with run_front_door(comfyui_folder, postgres, folder, base, CHARACTER3D_ALLOW_OPEN="1") as door:
        yield door


@pytest.fixture(scope="session")
def comfyui(request):
    """The ComfyUI that the tests share unless they ask for other settings: url, base folder, log, process.

    With `--service cluster` a front door, which has no base folder.
    """
    if request.config.getoption("service") == "cluster":
        return request.getfixturevalue("front_door")
    # Clients come from loopback, and some say that they come through a proxy.
    return request.getfixturevalue("serve")(CHARACTER3D_ALLOW_OPEN="1")


@asynccontextmanager
async def open_client(url, address=None):
    """A client, by default a user of its own."""
    connector = aiohttp.TCPConnector(local_addr=(address or next(_addresses), 0))
    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(check_trace)
    async with aiohttp.ClientSession(url, connector=connector, trace_configs=[trace]) as session:
        yield Client(session)


@pytest.fixture
async def client(comfyui):
    async with open_client(comfyui.url) as client:
        client.has_probes = not isinstance(comfyui, FrontDoor)
        yield client


@pytest.fixture
async def other_client(comfyui):
    async with open_client(comfyui.url) as client:
        client.has_probes = not isinstance(comfyui, FrontDoor)
        yield client


@pytest.fixture
def control(comfyui):
    """Say how the stub nodes behave; undone after the test."""
    path = comfyui.control

    def write(**settings):
        replacement = path.with_suffix(".new")
        replacement.write_text(json.dumps({**QUICK, **settings}))
        os.replace(replacement, path)

    yield write
    write()


@pytest.fixture
def inputs_left(comfyui):
    """Names of the pictures that lie in ComfyUI's input folder now, also where it is beside a worker."""
    base = comfyui.control.parent

    def list_pictures():
        return sorted(str(path.name) for path in (base / "input").rglob("*") if path.is_file())

    return list_pictures


@pytest.fixture
def png():
    return make_png


def find_own_address():
    """An address of this machine that is not loopback: clients that come from it are on another machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("203.0.113.1", 9))
        except OSError:
            return None
        address = probe.getsockname()[0]
    return None if address.startswith("127.") else address


@contextmanager
def run_shared_server(comfyui_folder, base, *arguments, **variables):
    """A stub server that listens on all addresses."""
    base.mkdir()
    lay_base_folder(base)
    with run_stub_server(comfyui_folder, base, "--listen", "0.0.0.0", *arguments, **variables) as server:
        server.port = int(server.url.rpartition(":")[2])
        yield server


@pytest.fixture(scope="session")
def page_origin():
    """The origin of a web page that two servers allow; the page itself is empty."""
    with serve_answers(lambda request: (200, {"Content-Type": "text/html"}, b"<title>page</title>")) as url:
        yield url


@pytest.fixture(scope="session")
def keyless(comfyui_folder, tmp_path_factory, page_origin):
    """A server that listens on all addresses and has no keys."""
    base = tmp_path_factory.mktemp("keyless") / "base"
    with run_shared_server(comfyui_folder, base, CHARACTER3D_ALLOWED_ORIGINS=page_origin) as server:
        yield server


_KEYS = [f"sesame{number}" for number in range(200)]
_unused_keys = iter(_KEYS)


def new_key():
    """A key of the server with keys, and thereby a user of its own."""
    return next(_unused_keys)


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture(scope="session")
def keyed(comfyui_folder, tmp_path_factory, page_origin):
    """A server that listens on all addresses, has keys, and ComfyUI's own CORS for every origin."""
    base = tmp_path_factory.mktemp("keyed") / "base"
    variables = {"CHARACTER3D_API_KEYS": ", ".join(_KEYS), "CHARACTER3D_ALLOWED_ORIGINS": page_origin}
    with run_shared_server(comfyui_folder, base, "--enable-cors-header", "*", **variables) as server:
        yield server
    assert "sesame" not in server.log.read_text("utf-8", "replace")


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request, tmp_path):
    """An empty database of each kind, which the test closes."""
    if request.param == "sqlite":
        return importlib.import_module("character3d.server_routes.sqlite_engine").SqliteEngine(
            tmp_path / "user"
        )
    url = request.getfixturevalue("postgres").new_schema()
    return importlib.import_module("character3d.server_routes.postgres_engine").PostgresEngine(url)
