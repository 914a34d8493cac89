"""GET /models beside core's and other packs' routes of that path, whoever comes first."""

import importlib
import json
import logging
from types import SimpleNamespace

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from character3d.server_routes.registration import register_routes
from character3d.server_routes.templates import serve_workflows

from .conftest import open_client

models = importlib.import_module("character3d.server_routes.models")
OURS = {"diffusion_models": ["a.safetensors"], "3d_models": ["hunyuan3d.safetensors"]}
FOLDERS = ["checkpoints", "loras"]


async def list_models(request):
    return web.json_response(OURS)


def add_core(table):
    @table.get("/models")
    async def list_model_types(request):
        return web.json_response(FOLDERS)


def wrap_core(table):
    """A pack that puts a handler of its own around core's, in the table."""
    place, core = next(
        (place, route)
        for place, route in enumerate(table)
        if (route.method, route.path) == ("GET", "/models")
    )

    async def wrapped(request):
        return web.json_response(["wrapped", *json.loads((await core.handler(request)).body)])

    table._items[place] = web.RouteDef("GET", "/models", wrapped, core.kwargs)


async def answer_for_another_pack(request):
    return web.json_response(["another pack's"])


async def ask(app, table, *paths):
    """The answers of a server that adds its table as ComfyUI does, the mirror under /api first."""
    app.add_routes([web.RouteDef(route.method, f"/api{route.path}", route.handler, {}) for route in table])
    app.add_routes(table)
    async with TestClient(TestServer(app)) as client:
        answers = [await client.get(path) for path in paths]
        return [await answer.json() for answer in answers]


@pytest.fixture
def host():
    """(application, table) as ComfyUI has them while it imports packs."""
    table = web.RouteTableDef()
    add_core(table)
    return web.Application(), table


async def test_core_answers_who_wants_folders(host):
    app, table = host
    models.serve_models(app.router, models.SPEC, list_models)
    assert await ask(app, table, "/models", "/models?clientId=x") == [OURS, FOLDERS]


@pytest.mark.parametrize("is_first", [True, False])
async def test_a_pack_that_wraps_core_is_kept(host, is_first):
    app, table = host
    if is_first:
        wrap_core(table)
    models.serve_models(app.router, models.SPEC, list_models)
    if not is_first:
        wrap_core(table)
    assert await ask(app, table, "/models", "/models?format=folders") == [OURS, ["wrapped", *FOLDERS]]


async def test_a_pack_that_comes_later_to_the_router_is_kept(host):
    app, table = host
    models.serve_models(app.router, models.SPEC, list_models)
    app.router.add_get("/models", answer_for_another_pack)
    assert await ask(app, table, "/models", "/models?clientId=x") == [OURS, ["another pack's"]]


async def test_a_pack_that_came_first_to_the_router_stays_and_the_log_says_so(host, caplog):
    app, table = host
    app.router.add_get("/models", answer_for_another_pack)
    models.serve_models(app.router, models.SPEC, list_models)
    assert await ask(app, table, "/models") == [["another pack's"]]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "ours is /generate_character/models" in caplog.text


async def test_without_cores_route_everybody_gets_the_object():
    app = web.Application()
    models.serve_models(app.router, models.SPEC, list_models)
    assert await ask(app, web.RouteTableDef(), "/models", "/models?clientId=x") == [OURS, OURS]


@pytest.mark.parametrize("value", ["spec", "core", "", " spec "])
def test_setting(value):
    assert models.read_setting({models.SETTING: value}) == (value.strip() or "spec")
    assert models.read_setting({}) == "spec"


def test_a_wrong_setting_switches_the_service_off_and_says_what_it_may_be(monkeypatch, caplog):
    monkeypatch.setenv(models.SETTING, "Core")
    server = SimpleNamespace(app=web.Application(), routes=web.RouteTableDef(), prompt_queue=None)
    register_routes(server, None, None, None)
    assert len(server.routes) == len(server.app.router.routes()) == 0
    assert "CHARACTER3D_MODELS_ROUTE is 'Core'; it must be spec or core" in caplog.text


def test_an_import_while_the_server_runs_changes_nothing(caplog):
    app = web.Application()
    app.freeze()
    server = SimpleNamespace(app=app, routes=web.RouteTableDef(), prompt_queue=None)
    register_routes(server, None, None, None)
    serve_workflows(server)
    assert len(server.routes) == len(app.router.resources()) == 0
    assert "ComfyUI's server is running already" in caplog.text


async def test_a_server_whose_models_route_is_left_to_core(serve):
    server = serve(**{models.SETTING: "core"})
    async with open_client(server.url) as client:
        paths = ["/models", "/api/models", "/generate_character/models", "/api/generate_character/models"]
        answers = [await client.get(path) for path in paths]
        bare, core, alias, mirrored = [await answer.json() for answer in answers]
    assert bare == core and "checkpoints" in core
    assert alias == mirrored and alias["3d_models"] == ["hunyuan3d-dit-v2-0-fp16.safetensors"]
    log = server.log.read_text(encoding="utf-8")
    assert log.count("GET /models is ComfyUI's; ours is /generate_character/models") == 1
