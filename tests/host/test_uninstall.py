"""ComfyUI's own routes, answer by answer: before the pack, beside it, and after it is gone.

What a job leaves by design is its files in output/, and the pack's records in user/character3d: of these
core shows the names of files that lie in output/ itself, nothing else.
"""

import contextlib
import json
import re
import sys
from http.client import HTTPConnection
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from character3d.launcher.installation import PACK_NAME, Installation, link_pack
from character3d.launcher.server import find_free_port, run_server
from character3d.tests.forking import start_fork

from .conftest import SMALL, Client

pytestmark = pytest.mark.nightly  # three starts of ComfyUI and a whole job

ROUTE_PROBE = """
from aiohttp import web
from server import PromptServer

NODE_CLASS_MAPPINGS = {}

@PromptServer.instance.routes.get("/probe/routes")
async def list_routes(request):
    routes = request.app.router.routes()
    return web.json_response([[route.method, route.resource.canonical] for route in routes if route.resource])
"""

WITH_PARAMETERS = [
    "/api/models?clientId=x",
    "/models?clientId=x",
    "/models?format=folders",
    "/models/checkpoints",
    "/api/models/checkpoints",
    "/models/nothing",
    "/experiment/models/checkpoints",
    "/object_info/LoadImage",
    "/api/object_info/KSampler",
    "/object_info/Nothing",
    "/view?filename=here.png&type=input",
    "/view?filename=nothing.png",
    "/view_metadata/checkpoints?filename=nothing.safetensors",
    "/userdata?dir=workflows",
    "/userdata?dir=.&recurse=true&full_info=true",
    "/v2/userdata?path=",
    "/userdata/note.txt",
    "/settings/Some.Setting",
    "/history?max_items=5",
    "/history/00000000-0000-4000-8000-000000000000",
    "/internal/files/input",
    "/internal/files/output",
    "/internal/files/temp",
    "/extensions/core/nothing.js",
    "/index.html",
    "/nothing/here",
]
PROBE = {"/probe/routes", "/api/probe/routes"}
FOLDERS = {"Accept": "application/vnd.comfyui.folders+json"}

VOLATILE_HEADERS = {"Date"}
VOLATILE_BODIES = {
    "/system_stats": (rb'"\w*(?:ram|vram)_free": \d+', "the memory that is free at the moment"),
    "/internal/logs": (rb"(?s).+", "the log of this process, with its times"),
    "/internal/logs/raw": (rb"(?s).+", "the log of this process, with its times"),
}
"""Path -> what of the body is no answer but the moment, and why. Its length is masked, too."""


def is_model_folder(name):
    return name in ("blazeface", "blazepose", "isnet", "make_it_animatable", "skintokens", "u2net")


LANGUAGES = sorted(folder.name for folder in (Path(__file__).parents[2] / "locales").iterdir())
ADDITIONS = {
    "/object_info": lambda name, _: name.startswith("C3D"),
    "/extensions": lambda path: path.startswith(f"/extensions/{PACK_NAME}/"),
    "/workflow_templates": lambda name, _: name == PACK_NAME,
    "/i18n": lambda language, _: language in LANGUAGES,
    "/global_subgraphs": lambda _, entry: entry["info"]["node_pack"] == f"custom_nodes.{PACK_NAME}",
    "/models": is_model_folder,
    "/experiment/models": lambda entry: is_model_folder(entry["name"]),
    "/internal/folder_paths": lambda name, _: is_model_folder(name),
}
"""Lists of packs, of their texts and of model folders -> whether the pack has added an entry."""


OF_MODELS = {f"{method} /models" for method in ("GET", "HEAD", "OPTIONS", "POST", "DELETE")}
"""GET and HEAD are the wire contract's beside the pack; the others say that OPTIONS is served."""


def find_list(question):
    """The list of ADDITIONS that a question asks for."""
    method, path = question.removesuffix(" as folders").split(" ")
    path = path.split("?")[0].removeprefix("/api")
    return path if method == "GET" and path in ADDITIONS else None


def drop_additions(entries, is_added):
    if isinstance(entries, dict):
        return {name: value for name, value in entries.items() if not is_added(name, value)}
    return [entry for entry in entries if not is_added(entry)]


def drop_length(headers):
    return [item for item in headers if item[0] != "Content-Length"]


def ask(client, method, path, headers=None):
    """(status, headers, body), what is of the moment masked."""
    connection = HTTPConnection(urlsplit(client.address).netloc, timeout=60)
    with contextlib.closing(connection):
        connection.request(method, path, headers=headers or {})
        answer = connection.getresponse()
        status, found, body = answer.status, answer.headers, answer.read()
    masked = set(VOLATILE_HEADERS)
    pattern, _ = VOLATILE_BODIES.get(path.removeprefix("/api"), (None, ""))
    if pattern:
        body, masked = re.sub(pattern, b"", body), masked | {"Content-Length"}
    return status, sorted(item for item in found.items() if item[0] not in masked), body


def collect(client, paths):
    """{question: answer}"""
    answers = {f"GET {path}": ask(client, "GET", path) for path in paths}
    for method in ("HEAD", "OPTIONS", "POST", "DELETE"):
        answers[f"{method} /models"] = ask(client, method, "/models")
    answers["GET /models as folders"] = ask(client, "GET", "/models", FOLDERS)
    return answers


def list_paths(routes):
    """What core can be asked without parameters."""
    return sorted({path for method, path in routes if method == "GET" and path and "{" not in path} - PROBE)


def run_job(client, picture):
    """The paths of the files of a job that went all the way."""
    final = client.wait(client.generate(picture, **SMALL)["job_id"])
    assert final["status"] == "completed", final
    previews = final["results"].pop("preview_images")
    # What was read in the picture, and the report, are no results; they lie beside the previews.
    beside = {
        f"/output/{file['name']}" for file in final["downloads"] if file["result"] in ("figure", "report")
    }
    return {*final["results"].values(), *previews, *beside}


@pytest.fixture(scope="module")
def runs(comfyui_folder, tmp_path_factory, elf):
    """One ComfyUI started without the pack, with it, and without it again: answers and routes of each.

    `results`: the paths of what the job of the second left behind.
    """
    base = tmp_path_factory.mktemp("core")
    for folder in ("custom_nodes/probe", "input/3d", "output", "user/default"):
        (base / folder).mkdir(parents=True)
    (base / "custom_nodes" / "probe" / "__init__.py").write_text(ROUTE_PROBE)
    (base / "input" / "here.png").write_bytes(elf)
    (base / "output" / "old.png").write_bytes(elf)
    (base / "user" / "default" / "note.txt").write_text("a note")
    installation, port = (
        Installation(Path(sys.executable), comfyui_folder, base, is_own=True),
        find_free_port(),
    )
    runs = SimpleNamespace()
    with run_server(installation, port, start=start_fork) as server:
        client = Client(server.address)
        runs.routes_before = {tuple(route) for route in client.get_json("/probe/routes")}
        paths = [*list_paths(runs.routes_before), *WITH_PARAMETERS]
        runs.before = collect(client, paths)
    link_pack(base / "custom_nodes")
    with run_server(installation, port, start=start_fork) as server:
        client = Client(server.address)
        runs.routes_beside = {tuple(route) for route in client.get_json("/probe/routes")}
        runs.beside = collect(client, paths)
        runs.results = run_job(client, elf)
    (base / "custom_nodes" / PACK_NAME).unlink()
    with run_server(installation, port, start=start_fork) as server:
        runs.after = collect(Client(server.address), paths)
    return runs


def test_every_path_of_core_was_asked(runs):
    asked = {question.removeprefix("GET ") for question in runs.before}
    assert asked >= {
        path for method, path in runs.routes_before if method == "GET" and "{" not in path
    } - PROBE - {""}
    assert asked >= {"/api/models", "/models", "/system_stats", "/queue", "/api/history", "/internal/logs"}


def find_changed(answers, others):
    return {question for question, answer in answers.items() if others[question] != answer}


def test_after_the_pack_every_answer_is_the_same_to_the_byte(runs):
    outputs = "GET /internal/files/output"
    assert find_changed(runs.before, runs.after) == {outputs}
    before, after = (
        {name.removesuffix(" [output]") for name in json.loads(answers[outputs][2])}  # so since 2026
        for answers in (runs.before, runs.after)
    )
    assert before == {"old.png"}
    assert {f"/output/{name}" for name in after - before} == {
        path for path in runs.results if path.count("/") == 2
    }


def test_beside_the_pack_only_models_and_lists_of_packs_and_of_model_folders_differ(runs):
    changed = find_changed(runs.before, runs.beside)
    assert changed - OF_MODELS == {
        question for question in runs.before if find_list(question) and question != "GET /models"
    }
    assert json.loads(runs.beside["GET /models"][2]).keys() == {"diffusion_models", "3d_models"}


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_other_methods_of_models_are_refused_as_before(runs, method):
    """They also name OPTIONS, which pages of other origins ask before they ask for models."""
    before, beside = (answers[f"{method} /models"] for answers in (runs.before, runs.beside))
    named = [(name, value.replace("GET,HEAD,OPTIONS", "GET,HEAD")) for name, value in beside[1]]
    assert (before[0], before[2]) == (beside[0], beside[2]) and before[1] == named and before[0] == 405


def test_lists_differ_by_what_the_pack_adds(runs):
    for question in find_changed(runs.before, runs.beside) - OF_MODELS:
        (status, headers, body), (also, others, longer) = runs.before[question], runs.beside[question]
        assert (status, drop_length(headers)) == (also, drop_length(others))
        assert drop_additions(json.loads(longer), ADDITIONS[find_list(question)]) == json.loads(body)


@pytest.mark.parametrize("question", ["/models?clientId=x", "/models?format=folders", "/models as folders"])
def test_who_wants_folders_gets_cores_answer_to_the_byte(runs, question):
    assert runs.beside[f"GET {question}"] == runs.beside["GET /api/models"]


def test_every_route_of_the_pack_is_under_api_too(runs):
    added = runs.routes_beside - runs.routes_before
    assert runs.routes_before <= runs.routes_beside and len(added) > 50
    bare = {(method, path) for method, path in added if not path.startswith(("/api/", "/extensions/"))}
    mirrored = {(method, path.removeprefix("/api")) for method, path in added if path.startswith("/api/")}
    templates = {(method, f"/workflow_templates/{PACK_NAME}") for method in ("GET", "HEAD")}
    assert bare - {("OPTIONS", "/models")} == mirrored - templates  # /api/models stays core's
