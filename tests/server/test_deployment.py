"""docs/deployment.md: its proxies pass on the service's paths and nothing else, and its table is complete."""

import os
import re
import shutil
import subprocess
from contextlib import contextmanager

import aiohttp
import pytest
from character3d.launcher.installation import REPOSITORY
from character3d.launcher.server import find_free_port

from .conftest import bearer, new_key, open_client

PAGE = (REPOSITORY / "docs" / "deployment.md").read_text(encoding="utf-8")
SNIPPETS = dict(re.findall(r"^```(nginx|caddyfile)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
ALL = "server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass {url}; }} }}"
"""A proxy as one writes it in a hurry: it passes on everything, and says nothing of its clients."""


def find_program(name):
    if path := shutil.which(name) or shutil.which(name, path="/usr/sbin"):
        return path
    if os.environ.get("CHARACTER3D_REQUIRE_READERS"):
        pytest.fail(f"no {name}, and CHARACTER3D_REQUIRE_READERS is set")
    return pytest.skip(f"no {name} here")


def replace_once(text, old, new):
    assert text.count(old) == 1, old
    return text.replace(old, new)


@contextmanager
def run_proxy(command, folder, said):
    """A proxy in the foreground, from when it says something in its log."""
    process = subprocess.Popen(
        command, cwd=folder, stderr=subprocess.PIPE, text=True, env=os.environ | {"HOME": str(folder)}
    )
    try:
        for line in process.stderr:
            if said in line:
                break
        else:
            raise AssertionError(f"it ended with {process.wait()}")
        yield
    finally:
        process.terminate()
        process.stderr.read()
        process.wait()


@pytest.fixture(scope="module")
def nginx(keyed, tmp_path_factory):
    """The addresses of nginx with the page's configuration, and of one that passes on everything."""
    folder, port, other = tmp_path_factory.mktemp("nginx"), find_free_port(), find_free_port()
    block = re.sub(r"^ *ssl_certificate.*\n", "", SNIPPETS["nginx"], flags=re.MULTILINE)
    block = replace_once(block, "listen 443 ssl;", f"listen 127.0.0.1:{port};")
    block = replace_once(block, "http://127.0.0.1:8188", keyed.url)
    paths = "".join(
        f"{kind}_temp_path {kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; pid pid; error_log stderr notice; events {{}} "
        f"http {{ access_log off; {paths} {block} {ALL.format(port=other, url=keyed.url)} }}"
    )
    command = [find_program("nginx"), "-p", folder, "-e", "stderr", "-c", folder / "nginx.conf"]
    with run_proxy(command, folder, "start worker process"):
        yield f"http://127.0.0.1:{port}", f"http://127.0.0.1:{other}"


@pytest.fixture(scope="module")
def caddy(keyed, tmp_path_factory):
    """The address of Caddy with the page's configuration."""
    folder, port = tmp_path_factory.mktemp("caddy"), find_free_port()
    site = replace_once(SNIPPETS["caddyfile"], "characters.example", f"http://127.0.0.1:{port}")
    site = replace_once(site, "127.0.0.1:8188", keyed.url)
    (folder / "Caddyfile").write_text("{\n\tadmin off\n}\n" + site)
    command = [find_program("caddy"), "run", "--config", "Caddyfile", "--adapter", "caddyfile"]
    with run_proxy(command, folder, "serving initial configuration"):
        yield (f"http://127.0.0.1:{port}",)


@pytest.fixture(params=["nginx", "caddy"])
def proxy(request):
    return request.getfixturevalue(request.param)[0]


@pytest.mark.nightly
async def test_the_whole_service_through_a_proxy(proxy):
    key = new_key()
    sesame = bearer(key)
    async with open_client(proxy) as client:
        async with await client.generate() as answer:
            assert answer.status == 401
        async with await client.generate(headers=sesame) as answer:
            assert answer.status == 202
            job_id = (await answer.json())["job_id"]
        async with client.ws_connect(f"/ws/{job_id}?api_key={key}") as socket:
            assert [message.json()["type"] async for message in socket][-1] == "job_completed"
        async with client.get(f"/job/{job_id}/events?api_key={key}") as answer:
            assert "event: job_completed" in await answer.text()
        async with client.get(f"/job/{job_id}/status", headers=sesame) as answer:
            file = (await answer.json())["downloads"][0]
        part = {**sesame, "Range": "bytes=1-3", "If-Range": f'"{file["sha256"]}"'}
        async with client.get(file["url"], headers=part) as answer:
            assert (answer.status, len(await answer.read())) == (206, 3)
        for path in ("/models", "/generate_character/jobs", "/generate_character/health"):
            async with client.get(path, headers=sesame) as answer:
                assert answer.status == 200
        async with client.request("DELETE", f"/job/{job_id}", headers=sesame) as answer:
            assert answer.status == 200


@pytest.mark.nightly
async def test_no_path_of_comfyui_through_a_proxy(proxy):
    async with open_client(proxy) as client:
        for path in ("/", "/history", "/queue", "/api/queue", "/view", "/ws", "/models/checkpoints",
                     "/generate_characters", "/job", "/api/job/x/status"):  # fmt: skip
            async with client.get(path, headers=bearer(new_key())) as answer:
                assert answer.status == 404 and "Server" in answer.headers, path
                assert "aiohttp" not in answer.headers["Server"], "the request has reached ComfyUI"
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await client.ws_connect("/ws?clientId=x")
        assert caught.value.status == 404


@pytest.mark.nightly
async def test_behind_a_proxy_that_hides_its_clients_comfyui_is_closed(nginx):
    """All that tells it from a program on this machine is HTTP/1.0."""
    async with open_client(nginx[1]) as client:
        for path in ("/history", "/queue", "/"):
            async with client.get(path) as answer:
                body = await answer.json()
                assert answer.status == 403 and "CHARACTER3D_OPEN_COMFYUI" in body["message"]
        async with client.get("/generate_character/jobs", headers=bearer(new_key())) as answer:
            assert answer.status == 200


def test_the_table_lists_every_variable_of_the_service():
    table = PAGE[PAGE.index("## All variables") :]
    listed = re.findall(r"^\| `(CHARACTER3D_\w+)`", table, re.MULTILINE)
    sources = [path.read_text(encoding="utf-8") for path in (REPOSITORY / "server_routes").glob("*.py")]
    assert sorted(listed) == sorted(
        {name for text in sources for name in re.findall(r"CHARACTER3D_[A-Z_]+", text)}
    )
