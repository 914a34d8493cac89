"""The OpenAPI document is valid and lists every route; the page that shows it needs no other host."""

import json
import re
import subprocess

import pytest
import tomllib
from character3d.launcher.installation import REPOSITORY
from character3d.pipeline.quality import report_quality
from character3d.server_routes import routes as routes_module
from character3d.server_routes.errors import PROCESSING_ERROR
from character3d.server_routes.events import (
    ERROR,
    JOB_COMPLETED,
    PREVIEW_READY,
    PROGRESS_UPDATE,
    STAGE_COMPLETED,
)
from character3d.server_routes.openapi import describe_service
from character3d.server_routes.parameters import FIELDS, parse_parameters
from character3d.tests.host.test_editor import FLAGS, find_chromium
from character3d.tests.loopback import serve_answers
from character3d.tests.pipeline.test_quality import make_character, make_figure, make_picture, make_plane

from .conftest import check_schema

DOCUMENT = describe_service()


def list_operations():
    return {(method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods}


def test_the_document_is_valid():
    validator = pytest.importorskip("openapi_spec_validator")
    validator.validate(DOCUMENT)


def test_every_reference_leads_somewhere():
    names = set(re.findall(r"'#/components/schemas/(\w+)'", repr(DOCUMENT)))
    assert names == set(DOCUMENT["components"]["schemas"])


def test_a_quality_report_is_as_the_document_says():
    plane, reference = make_plane(), DOCUMENT["paths"]["/job/{job_id}/download/{filename}"]["get"]
    everything = {"picture": make_picture(), "figure": make_figure(), "character": make_character(plane, 9.0)}
    for options in ({}, everything):
        body = json.loads(json.dumps(report_quality(plane, **options).to_dict()))
        check_schema(reference["x-file-schemas"]["report"], body)
        assert body.keys() == DOCUMENT["components"]["schemas"]["QualityReport"]["properties"].keys()
        for name in filter(body.get, ("figure", "shape", "texture", "rig")):
            described = DOCUMENT["components"]["schemas"][f"Quality{name.title()}"]
            assert body[name].keys() == described["properties"].keys()


def test_the_version_is_the_packs():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    assert DOCUMENT["info"]["version"] == project["project"]["version"]


def test_every_operation_needs_a_key_where_there_are_keys():
    """In the address only where browsers cannot send a header."""
    streams = {"/ws/{job_id}", "/job/{job_id}/events"}
    for path, operations in describe_service(needs_key=True)["paths"].items():
        ways = [{"key": []}, {"keyInQuery": []}] if path in streams else [{"key": []}]
        assert [operation["security"] for operation in operations.values()] == [ways] * len(operations)
    described = [one for operations in DOCUMENT["paths"].values() for one in operations.values()]
    assert all(operation["security"] == [] for operation in described)


def list_enums(node):
    """Every `enum` of the document."""
    if isinstance(node, list):
        return [found for item in node for found in list_enums(item)]
    if not isinstance(node, dict):
        return []
    own = [node["enum"]] if isinstance(node.get("enum"), list) else []
    return own + [found for value in node.values() for found in list_enums(value)]


def test_the_values_of_an_enum_are_of_one_type():
    """Generators of clients leave out an operation where they are not."""
    enums = list_enums(DOCUMENT)
    assert len(enums) > 10
    assert [values for values in enums if len({type(value) for value in values}) > 1] == []


def test_every_event_is_described():
    described = DOCUMENT["components"]["schemas"]["Event"]["discriminator"]["mapping"]
    constants = (PROGRESS_UPDATE, PREVIEW_READY, STAGE_COMPLETED, JOB_COMPLETED, ERROR)
    assert described.keys() == set(constants)


def test_every_route_is_described():
    table, added = routes_module.web.RouteTableDef(), set()
    page = routes_module.StudioPage()
    routes_module.add_routes(
        table, routes_module.Routes(None, None, routes_module.Access(), None, None, page)
    )
    for route in table:
        path = route.path.replace(r":[^/]+}", "}").replace(r":[\s\S]*}", "}")
        if route.method != "*" and route.path not in routes_module.OPEN_PATHS:
            added.add((route.method, path))
    assert added | {("GET", "/models")} == list_operations()


def test_defaults_are_what_the_schema_allows():
    values = parse_parameters({}, []).values
    schema = DOCUMENT["components"]["schemas"]["Parameters"]
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(dict(values), schema)
    assert set(values) == set(FIELDS) == set(schema["properties"])


async def test_it_is_served_and_the_page_asks_no_other_host(client):
    async with client.get("/generate_character/openapi.json") as answer:
        assert answer.status == 200 and await answer.json() == DOCUMENT
    async with client.get("/generate_character/docs") as answer:
        text = await answer.text()
        assert answer.status == 200 and """<meta http-equiv="Content-Security-Policy" """ in text
        assert not re.findall(r"(?:src|href)\s*=|https?://", text)


async def test_the_page_for_language_models_names_what_there_is(client):
    async with client.get("/llms.txt") as answer:
        text = await answer.text()
        assert (answer.status, answer.content_type) == (200, "text/plain")
    assert text == (REPOSITORY / "llms.txt").read_text(encoding="utf-8")
    named = set(re.findall(r"`(?:GET|POST|DELETE) (/[^`]+)`", text))
    assert named - {"/character"} == {path for _, path in list_operations()}
    assert [name for name in FIELDS if f"`{name}`" not in text] == []
    for path in re.findall(r"blob/main/([^)]+)\)", text):
        assert (REPOSITORY / path).is_file(), path


def render(url, profile):
    """The page as Chromium shows it once its script has run, as HTML."""
    options = [*FLAGS, "--headless", f"--user-data-dir={profile}", "--virtual-time-budget=10000"]
    command = [find_chromium(), *options, "--dump-dom", url]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def test_the_page_shows_all_of_the_document(tmp_path):
    def answer(request):
        if request.path.endswith("/openapi.json"):
            return 200, {"Content-Type": "application/json"}, json.dumps(DOCUMENT).encode()
        return 200, {"Content-Type": "text/html"}, routes_module.PAGE.read_bytes()

    with serve_answers(answer) as url:
        shown = render(f"{url}/generate_character/docs", tmp_path)
    schemas = DOCUMENT["components"]["schemas"]
    folds = re.findall(r"<details><summary>(.*?)</summary>", shown)
    titles = [" ".join(re.findall(r">([^<]+)</(?:b|code)>", fold)) for fold in folds]
    operations = [f"{method} {path}" for path, methods in DOCUMENT["paths"].items() for method in methods]
    assert titles == [*operations, *schemas]
    codes = [option["const"] for option in schemas["ErrorCode"]["oneOf"]]
    assert re.findall(r'<dt id="(\w+)">', shown) == codes and PROCESSING_ERROR in codes
    body = shown.split("<script>")[0]
    assert not re.findall(r"undefined|\[object|NaN", body)
    assert body.count("<tr>") > sum(len(schema.get("properties", ())) for schema in schemas.values())


def test_the_policy_of_the_page_lets_its_script_ask_no_other_host(tmp_path):
    """A script of its own tries to, and to load what is not inline."""
    asked = []

    def answer(request):
        asked.append(request.path)
        return 200, {"Content-Type": "text/plain", "Access-Control-Allow-Origin": "*"}, b""

    with serve_answers(answer) as other:
        image = f'document.body.append(Object.assign(new Image(), {{ src: "{other}/image" }}));'
        attack = f'fetch("{other}/fetched"); {image}'
        page = routes_module.PAGE.read_text("utf-8").replace("<script>", f"<script>{attack}", 1)
        with serve_answers(lambda request: (200, {"Content-Type": "text/html"}, page.encode())) as url:
            assert "<h1>" in render(url, tmp_path)
    assert asked == []
