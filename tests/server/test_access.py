"""API keys, pages of other origins, and names that point at loopback."""

from types import SimpleNamespace

import pytest
from aiohttp.test_utils import make_mocked_request
from character3d.server_routes.access import Access
from character3d.server_routes.errors import ApiError

from .conftest import lay_base_folder, open_client, run_stub_server

OPEN = Access()


class Transport:
    def __init__(self, address):
        self.address = address

    def get_extra_info(self, name, default=None):
        return (self.address, 8188) if name == "sockname" else default

    def is_closing(self):
        return False


def ask(method="POST", path="/generate_character", address="127.0.0.1", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    named.setdefault("Host", "127.0.0.1:8188")
    return make_mocked_request(method, path, headers=named, transport=Transport(address))


def refusal(access, request):
    try:
        access.check(request)
    except ApiError as error:
        return error.status
    return None


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, None),
        ({"Origin": "http://127.0.0.1:8188"}, None),
        ({"Origin": "http://127.0.0.1:8188", "Sec_Fetch_Site": "same-origin"}, None),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:9999"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
        ({"Host": "evil.example:8188", "Origin": "http://evil.example:8188"}, 403),
        ({"Host": "localhost:8188", "Origin": "http://localhost:8188"}, None),
        ({"Host": "[::1]:8188", "Origin": "http://[::1]:8188"}, None),
    ],
)
def test_pages_of_other_origins_may_not_post(headers, status):
    assert refusal(OPEN, ask(**headers)) == status


def test_other_origins_may_read_but_open_no_socket():
    foreign = {"Origin": "https://evil.example"}
    assert refusal(OPEN, ask("GET", "/job/x/status", **foreign)) is None
    assert refusal(OPEN, ask("GET", "/ws/x", Upgrade="websocket", **foreign)) == 403
    rebound = {"Host": "evil.example", "Origin": "http://evil.example"}
    assert refusal(OPEN, ask("GET", "/job/x/status", **rebound)) == 403


def test_on_loopback_only_names_of_it_and_those_that_were_given():
    """Pages that read from a name that points here send neither Origin nor Sec-Fetch-Site."""
    access = Access.from_environment({"CHARACTER3D_ALLOWED_ORIGINS": "https://app.example"})
    for host, status in (
        ("evil.example:8188", 403),
        ("app.example", None),
        ("localhost", None),
        ("comfy.localhost:8188", None),
        ("127.8.9.1:8188", None),
        ("[::1", 403),
        ("", 403),
    ):
        assert refusal(access, ask("GET", "/job/x/status", Host=host)) == status, host
        assert refusal(access, ask("GET", "/job/x/status", address="192.168.1.5", Host=host)) is None


def test_beyond_loopback_any_name_will_do():
    request = ask(address="192.168.1.5", Host="box.lan:8188", Origin="http://box.lan:8188")
    assert refusal(OPEN, request) is None


@pytest.mark.parametrize(
    ("address", "keys", "warned"),
    [("127.0.0.1", "", 0), ("::1", "", 0), ("0.0.0.0", "", 1), ("::", "", 1), ("0.0.0.0", "secret", 0)],
)
def test_an_open_server_says_so_once_and_loudly(address, keys, warned, caplog):
    Access.from_environment({"CHARACTER3D_API_KEYS": keys}).warn_when_open(address)
    assert [record.levelname for record in caplog.records] == ["WARNING"] * warned
    assert caplog.text.count("CHARACTER3D_API_KEYS") == warned


PROXIES = Access.from_environment({"CHARACTER3D_TRUSTED_PROXIES": "127.0.0.1, 10.0.0.0/8,nonsense"})


@pytest.mark.parametrize(
    ("access", "peer", "forwarded", "user"),
    [
        (OPEN, "127.0.0.1", "203.0.113.9", "127.0.0.1"),
        (PROXIES, "127.0.0.1", None, "127.0.0.1"),
        (PROXIES, "127.0.0.1", "203.0.113.9", "203.0.113.9"),
        (PROXIES, "::ffff:127.0.0.1", "203.0.113.9", "203.0.113.9"),
        (PROXIES, "192.0.2.7", "203.0.113.9", "192.0.2.7"),
        (PROXIES, "127.0.0.1", "198.51.100.1, 203.0.113.9, 10.1.2.3", "203.0.113.9"),
        (PROXIES, "127.0.0.1", "203.0.113.9, made up", "127.0.0.1"),
        (PROXIES, "127.0.0.1", ", ,", "127.0.0.1"),
        (PROXIES, "127.0.0.1", "2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
    ],
)
def test_only_trusted_proxies_say_for_whom_they_ask(access, peer, forwarded, user):
    request = ask(**({"X_Forwarded_For": forwarded} if forwarded else {})).clone(remote=peer)
    assert access.identify(request, None) == f"peer:{user}"


def test_origins_that_are_allowed():
    access = Access.from_environment({"CHARACTER3D_ALLOWED_ORIGINS": " https://app.example/ ,http://b"})
    assert refusal(access, ask(Origin="https://app.example")) is None
    assert refusal(access, ask(Origin="https://evil.example")) == 403


def test_keys():
    access = Access.from_environment({"CHARACTER3D_API_KEYS": "first, second"})
    anyone = SimpleNamespace(users={})
    users = set()
    for value in ("Bearer first", "bearer second"):
        request = ask(Authorization=value, Origin="https://anywhere.example")
        assert refusal(access, request) is None
        users.add(access.identify(request, anyone))
    assert len(users) == 2 and all(user.startswith("key:") for user in users)
    for headers in (
        {},
        {"Authorization": "Bearer third"},
        {"Authorization": "Basic first"},
        {"Authorization": ""},
    ):
        assert refusal(access, ask(**headers)) == 401
    assert refusal(access, ask("GET", "/ws/x?api_key=first")) is None
    assert refusal(access, ask("POST", "/generate_character?api_key=first")) == 401


async def test_a_server_with_keys(comfyui_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("CHARACTER3D_API_KEYS", "sesame,other")
    lay_base_folder(tmp_path)
    sesame, other = ({"Authorization": f"Bearer {key}"} for key in ("sesame", "other"))
    with run_stub_server(comfyui_folder, tmp_path) as server:
        async with open_client(server.url) as client:
            async with await client.generate() as answer:
                body = await answer.json()
                assert (answer.status, body["status"]) == (401, "error")
                assert answer.headers["WWW-Authenticate"] == "Bearer"
            async with await client.generate(headers=sesame) as answer:
                job_id = (await answer.json())["job_id"]
            for headers, status in (({}, 401), (other, 404), (sesame, 200)):
                async with client.get(f"/job/{job_id}/status", headers=headers) as answer:
                    assert answer.status == status
            for path in ("openapi.json", "docs"):
                async with client.get(f"/generate_character/{path}") as answer:
                    assert answer.status == 200
            async with client.ws_connect(f"/ws/{job_id}?api_key=sesame") as ws:
                assert (await ws.receive_json())["job_id"] == job_id
            for headers, count in ((sesame, 1), (other, 0)):
                async with client.get("/generate_character/jobs", headers=headers) as answer:
                    assert len((await answer.json())["jobs"]) == count
            async with client.get("/system_stats") as answer:  # core's routes stay as they are
                assert answer.status == 200
    assert "sesame" not in server.log.read_text("utf-8")
