"""What clients on other machines reach, of the service and of ComfyUI, with API keys and without."""

import re
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from character3d.server_routes.access import Access
from character3d.server_routes.guard import Guard

from .conftest import bearer, find_own_address, new_key, open_client
from .forms import get_raw, refused

OWN = re.compile(
    r"(/api)?/(generate_character(/.*)?|character(/|/studio/.*|/(rig_)?check|/rig|/animate)?|llms\.txt|(job|ws)/.*)"
    r"|/models"
)
CORE_SOCKETS = ("/ws", "/api/ws")
SPELLINGS = (
    "/nothing", "//history", "/history/", "/%68istory", "/api//history", "/HISTORY", "/./history",
    "/api/%2e%2e/history", "/ws?clientId=character3d-x", "/models?format=folders", "/models?clientId=x",
    "/generate_characters", "/jobs",
)  # fmt: skip


def own_address():
    return find_own_address() or pytest.skip("this machine has no address but loopback")


@asynccontextmanager
async def client_elsewhere(server):
    """A client on another machine: connected over an address that is not loopback."""
    address = own_address()
    async with open_client(f"http://{address}:{server.port}", address) as client:
        yield client


@pytest.fixture
async def remote(keyed):
    async with client_elsewhere(keyed) as client:
        yield client


@pytest.fixture
async def local(keyed):
    async with open_client(keyed.url) as client:
        yield client


async def closed(answer):
    details = await refused(answer, 403, "INVALID_PARAMETERS", "path")
    assert "CHARACTER3D_OPEN_COMFYUI" in (await answer.json())["message"]
    return details


async def list_foreign_routes(client):
    """(method, path) of every route that is not the service's, with something in place of its variables."""
    async with client.get("/stub/routes") as answer:
        routes = await answer.json()
    statics = ("GET", "HEAD")
    found = {(method, re.sub(r"\{.*?\}", "x", path) or "/x") for method, path in routes}
    found |= {(method, f"{path.rstrip('/')}/x.js") for method, path in found if method in statics}
    return sorted((method, path) for method, path in found if not OWN.fullmatch(path))


async def test_every_route_that_is_not_ours_is_closed_to_other_machines(remote, local):
    """Asked of the server itself, so no route that ComfyUI or another pack adds is forgotten."""
    routes = await list_foreign_routes(local)
    paths = {path for _, path in routes}
    for path in ("/history", "/queue", "/view", "/interrupt", "/prompt", "/ws", "/userdata", "/upload/image",
                 "/free", "/settings", "/internal/logs", "/", "/stub/opened"):  # fmt: skip
        assert path in paths and (path.startswith("/internal") or path == "/" or f"/api{path}" in paths), path
    for method, path in routes:
        method = "POST" if method == "*" else method
        async with remote.request(method, path) as answer:
            assert answer.status == 403, (method, path)
            if method != "HEAD":
                await closed(answer)


@pytest.mark.parametrize("path", SPELLINGS)
async def test_no_spelling_of_a_path_gets_past(keyed, path):
    for head in (b"", f"Authorization: Bearer {new_key()}\r\n".encode()):
        status, body = await get_raw(own_address(), keyed.port, path, head)
        assert status == 403 and "CHARACTER3D_OPEN_COMFYUI" in body


@pytest.mark.parametrize("method", ["OPTIONS", "PROPFIND", "POST"])
async def test_no_method_does(remote, method):
    async with remote.request(method, "/history") as answer:
        await closed(answer)


async def test_core_opens_no_socket_to_other_machines(remote, local):
    for path in CORE_SOCKETS:
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await remote.ws_connect(f"{path}?clientId=x")
        assert caught.value.status == 403
        async with local.ws_connect(f"{path}?clientId=x") as socket:
            assert (await socket.receive_json())["type"] == "status"


async def test_a_proxy_on_this_machine_makes_nobody_local(keyed, local):
    for headers in (
        {"X-Forwarded-For": "127.0.0.1"},
        {"Forwarded": "for=127.0.0.1"},
        {"Via": "1.1 proxy"},
        {"Host": "app.example"},
    ):
        async with local.get("/history", headers=headers) as answer:
            await closed(answer)
    async with local.get("/history") as answer:
        assert answer.status == 200


async def test_on_this_machine_comfyui_is_as_it_was(local):
    for path in ("/system_stats", "/queue", "/api/history", "/", "/models?format=folders"):
        async with local.get(path) as answer:
            assert answer.status == 200, path


async def test_a_key_holder_on_another_machine_has_the_whole_service(remote, local):
    key = new_key()
    sesame, other = bearer(key), bearer(new_key())
    async with await remote.generate() as answer:
        assert answer.status == 401 and answer.headers["WWW-Authenticate"] == "Bearer"
    async with await remote.generate(headers=sesame) as answer:
        job_id = (await answer.json())["job_id"]
    async with remote.ws_connect(f"/ws/{job_id}?api_key={key}") as socket:
        frames = [message.json() async for message in socket]
    assert frames[-1]["type"] == "job_completed"
    async with remote.get(f"/job/{job_id}/events?api_key={key}") as answer:
        assert "event: job_completed" in await answer.text()
    for headers, status in (({}, 401), (other, 404), (sesame, 200)):
        async with remote.get(f"/job/{job_id}/status", headers=headers) as answer:
            assert answer.status == status
            body = await answer.json()
    file = body["downloads"][0]
    async with remote.get(file["url"], headers=sesame) as answer:
        assert (answer.status, len(await answer.read())) == (200, file["size"])
    async with remote.get(f"{file['url']}?api_key={key}") as answer:
        await refused(answer, 401, "INVALID_PARAMETERS", "api_key")
    subfolder, name = body["results"]["raw_mesh"].removeprefix("/output/").rsplit("/", 1)
    view = f"/view?filename={name}&subfolder={subfolder}&type=output"
    for client, status in ((remote, 403), (local, 200)):
        for path in (view, f"/history/{job_id}"):
            async with client.get(path, headers=sesame) as answer:
                assert answer.status == status
    for headers, count in ((sesame, 1), (other, 0)):
        async with remote.get("/generate_character/jobs", headers=headers) as answer:
            assert len((await answer.json())["jobs"]) == count


async def test_models_need_a_key_like_everything_else(remote, local):
    for client in (remote, local):
        for path in ("/models", "/generate_character/models", "/api/generate_character/models"):
            async with client.get(path) as answer:
                await refused(answer, 401, "INVALID_PARAMETERS", "Authorization")
            async with client.get(path, headers=bearer(new_key())) as answer:
                assert set(await answer.json()) == {"diffusion_models", "3d_models"}


async def test_beside_our_paths_there_is_nothing(keyed):
    status, body = await get_raw(own_address(), keyed.port, "/generate_character/../history")
    assert status == 404 and "There is nothing at this path" in body


async def test_how_to_ask_for_a_key_is_readable_without_one(remote):
    for path in ("/generate_character/openapi.json", "/generate_character/docs"):
        async with remote.get(path) as answer:
            assert answer.status == 200
    async with remote.get("/generate_character/nothing") as answer:
        await refused(answer, 404, "INVALID_PARAMETERS", "path")


async def test_without_keys_other_machines_are_refused_and_comfyui_stays_open(keyless):
    async with client_elsewhere(keyless) as remote, open_client(keyless.url) as local:
        job_id = (await local.start_job())["job_id"]
        await local.finish(job_id)
        for path in (f"/job/{job_id}/status", "/generate_character/jobs", f"/job/{job_id}/events"):
            async with remote.get(path) as answer:
                await refused(answer, 403, "INVALID_PARAMETERS", "Authorization")
                message = (await answer.json())["message"]
                assert "CHARACTER3D_API_KEYS" in message and "CHARACTER3D_ALLOW_OPEN=1" in message
        async with await remote.generate() as answer:
            await refused(answer, 403, "INVALID_PARAMETERS", "Authorization")
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await remote.ws_connect(f"/ws/{job_id}")
        assert caught.value.status == 403
        async with remote.get(f"/history/{job_id}") as answer:
            assert answer.status == 200 and job_id in await answer.json()
    log = keyless.log.read_text("utf-8", "replace")
    assert log.count("THE SERVICE REFUSES CLIENTS ON OTHER MACHINES") == 1


async def test_the_guard_stands_before_other_middlewares():
    """Those that other packs have put there, too."""

    @web.middleware
    async def open_door(request, handler):
        return web.Response(text="open")

    async def own(request):
        return web.Response(text="own")

    app = web.Application(middlewares=[open_door])
    guard = Guard(Access.from_environment({"CHARACTER3D_API_KEYS": "key"}))
    guard.install(app)
    app.router.add_get("/own", own)
    guard.add_own(own)
    forwarded = {"X-Forwarded-For": "203.0.113.9"}
    async with TestClient(TestServer(app)) as client:
        for path, headers, status in (
            ("/own", {}, 401),
            ("/other", forwarded, 403),
            ("/own", {"Authorization": "Bearer key", **forwarded}, 200),
            ("/other", {}, 200),
        ):
            async with client.get(path, headers=headers) as answer:
                assert answer.status == status, (path, headers)
