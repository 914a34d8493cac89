"""API keys, pages of other origins, and names that point at loopback."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from aiohttp import HttpVersion10, HttpVersion11
from aiohttp.test_utils import make_mocked_request
from character3d.server_routes.access import Access
from character3d.server_routes.errors import ApiError

OPEN = Access()
ANYBODY = Access(allows_open=True)


class Transport:
    def __init__(self, address, peer):
        self.addresses = {"sockname": (address, 8188), "peername": (peer, 50000)}

    def get_extra_info(self, name, default=None):
        return self.addresses.get(name, default)

    def is_closing(self):
        return False


def ask(
    method="POST",
    path="/generate_character",
    address="127.0.0.1",
    peer="127.0.0.1",
    version=HttpVersion11,
    **headers,
):
    """A request. address: where the server took the connection. peer: where it comes from."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    named.setdefault("Host", "127.0.0.1:8188")
    transport = Transport(address, peer)
    return make_mocked_request(method, path, headers=named, version=version, transport=transport)


def refusal(access, request):
    try:
        access.check(request)
    except ApiError as error:
        return error.status
    return None


def is_closed(access, request):
    """Whether ComfyUI's own routes are closed to a request."""
    try:
        access.check_comfyui(request)
    except ApiError as error:
        assert (error.status, error.code) == (403, "INVALID_PARAMETERS")
        assert "CHARACTER3D_OPEN_COMFYUI" in error.message
        return True
    return False


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
    beyond = replace(access, allows_open=True)
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
        assert refusal(beyond, ask("GET", "/job/x/status", address="192.168.1.5", Host=host)) is None


def test_beyond_loopback_any_name_will_do():
    request = ask(
        address="192.168.1.5", peer="192.168.1.7", Host="box.lan:8188", Origin="http://box.lan:8188"
    )
    assert refusal(ANYBODY, request) is None


ELSEWHERE = "203.0.113.9"
TRUSTING = Access.from_environment(
    {"CHARACTER3D_TRUSTED_PROXIES": "127.0.0.1, 10.0.0.0/8", "CHARACTER3D_API_KEYS": "key"}
)
KEYED = Access.from_environment({"CHARACTER3D_API_KEYS": "key"})


@pytest.mark.parametrize(
    ("access", "request_of", "local"),
    [
        (KEYED, {}, True),
        (KEYED, {"peer": "::1"}, True),
        (KEYED, {"peer": "::ffff:127.0.0.1"}, True),
        (KEYED, {"peer": "127.8.9.1", "Host": "localhost:8188"}, True),
        (KEYED, {"peer": ELSEWHERE}, False),
        (KEYED, {"peer": "::ffff:203.0.113.9"}, False),
        (KEYED, {"peer": "192.168.1.5", "address": "192.168.1.5"}, False),
        (KEYED, {"peer": ""}, False),
        (KEYED, {"X_Forwarded_For": ELSEWHERE}, False),
        (KEYED, {"X_Forwarded_For": "127.0.0.1"}, False),
        (KEYED, {"Forwarded": "for=127.0.0.1"}, False),
        (KEYED, {"Via": "1.1 proxy"}, False),
        (KEYED, {"X_Real_IP": "127.0.0.1"}, False),
        (KEYED, {"X_Forwarded_Proto": "https"}, False),
        (KEYED, {"CF_Connecting_IP": ELSEWHERE}, False),
        (KEYED, {"version": HttpVersion10}, False),
        (KEYED, {"Host": "app.example"}, False),
        (KEYED, {"Host": ""}, False),
        (TRUSTING, {}, True),
        (TRUSTING, {"X_Forwarded_For": "127.0.0.1"}, True),
        (TRUSTING, {"X_Forwarded_For": ELSEWHERE}, False),
        (TRUSTING, {"X_Forwarded_For": f"127.0.0.1, {ELSEWHERE}"}, False),
        (TRUSTING, {"X_Forwarded_For": f"127.0.0.1, {ELSEWHERE}, 10.1.2.3"}, False),
        (TRUSTING, {"X_Forwarded_For": f"{ELSEWHERE}:1234"}, False),
        (TRUSTING, {"X_Forwarded_For": f"{ELSEWHERE}, unknown"}, False),
        (TRUSTING, {"X_Forwarded_For": ""}, False),
        (TRUSTING, {"X_Forwarded_For": "127.0.0.1, 127.0.0.1"}, True),
        (TRUSTING, {"X_Forwarded_For": "127.0.0.1, 10.1.2.3"}, False),
        (TRUSTING, {"X_Forwarded_For": "127.0.0.1", "peer": "10.1.2.3"}, False),
        (TRUSTING, {"Forwarded": "for=127.0.0.1"}, False),
        (TRUSTING, {"peer": "192.0.2.7", "X_Forwarded_For": "127.0.0.1"}, False),
    ],
    ids=str,
)
def test_with_keys_comfyui_is_for_clients_of_this_machine(access, request_of, local):
    """A proxy on this machine makes every peer loopback: any sign of one counts, whoever sent it."""
    assert is_closed(access, ask("GET", "/history", **request_of)) is not local


@pytest.mark.parametrize("request_of", [{"peer": ELSEWHERE}, {"X_Forwarded_For": ELSEWHERE}], ids=str)
def test_without_keys_or_on_demand_comfyui_stays_open(request_of):
    opened = Access.from_environment({"CHARACTER3D_API_KEYS": "key", "CHARACTER3D_OPEN_COMFYUI": "1"})
    for access in (OPEN, ANYBODY, opened):
        assert not is_closed(access, ask("GET", "/history", **request_of))


@pytest.mark.parametrize(
    "request_of",
    [
        {"peer": ELSEWHERE, "address": "192.0.2.1", "Host": "box.lan:8188"},
        {"peer": ELSEWHERE},
        {"X_Forwarded_For": ELSEWHERE},
        {"version": HttpVersion10},
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_without_keys_only_clients_of_this_machine_are_served(method, request_of):
    request = ask(method, **request_of)
    with pytest.raises(ApiError) as refused:
        OPEN.check(request)
    assert refused.value.status == 403
    assert "CHARACTER3D_API_KEYS" in refused.value.message
    assert "CHARACTER3D_ALLOW_OPEN=1" in refused.value.message
    assert refusal(ANYBODY, request) is None
    keyed = ask(method, **request_of, Authorization="Bearer key")
    assert refusal(KEYED, keyed) is None


@pytest.mark.parametrize(
    ("address", "variables", "said"),
    [
        ("127.0.0.1", {}, ""),
        ("::1", {"CHARACTER3D_ALLOW_OPEN": "1"}, ""),
        ("0.0.0.0", {}, "THE SERVICE REFUSES CLIENTS ON OTHER MACHINES"),
        ("::", {"CHARACTER3D_ALLOW_OPEN": "0"}, "THE SERVICE REFUSES CLIENTS ON OTHER MACHINES"),
        ("0.0.0.0", {"CHARACTER3D_ALLOW_OPEN": "1"}, "ANYBODY WHO REACHES 0.0.0.0 MAY USE THE SERVICE"),
        ("0.0.0.0", {"CHARACTER3D_API_KEYS": "secret"}, ""),
        (
            "0.0.0.0",
            {"CHARACTER3D_API_KEYS": "secret", "CHARACTER3D_OPEN_COMFYUI": "1"},
            "COMFYUI'S OWN ROUTES SHOW EVERY JOB",
        ),
    ],
)
def test_the_log_says_once_and_loudly_who_is_served(address, variables, said, caplog):
    Access.from_environment(variables).warn_when_open(address)
    assert [record.levelname for record in caplog.records] == ["WARNING"] * bool(said)
    assert said in caplog.text and "secret" not in caplog.text
    assert caplog.text.count("CHARACTER3D_API_KEYS") == (
        1 if said and "API_KEYS" not in str(variables) else 0
    )


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
    assert access.find_allowed_origin(ask(Origin="https://app.example")) == "https://app.example"
    assert access.find_allowed_origin(ask(Origin="https://app.example.evil")) is None
    assert access.find_allowed_origin(ask()) is None


def test_origins_that_are_none_are_said_and_ignored(caplog):
    """`*` and `null` stand for any page at all."""
    wrong = ("*", "null", "app.example", "https://app.example/page", "https://a@app.example", "http://[::1")
    access = Access.from_environment(
        {"CHARACTER3D_ALLOWED_ORIGINS": ", ".join((*wrong, "HTTPS://App.Example"))}
    )
    assert access.origins == {"https://app.example"}
    assert [record.levelname for record in caplog.records] == ["ERROR"] * len(wrong)
    for origin in ("*", "null"):
        assert refusal(access, ask(Origin=origin)) == 403


def test_keys():
    access = Access.from_environment({"CHARACTER3D_API_KEYS": "first, second"})
    anyone = SimpleNamespace(users={})
    users = set()
    for value in ("Bearer first", "bearer second"):
        request = ask(Authorization=value)
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
    foreign = {"Origin": "https://anywhere.example"}
    assert refusal(access, ask(Authorization="Bearer first", **foreign)) == 403
    assert refusal(access, ask("GET", "/ws/x?api_key=first", Upgrade="websocket", **foreign)) == 403


@pytest.mark.parametrize(
    ("method", "path", "is_taken"),
    [
        ("GET", "/ws/x", True),
        ("GET", "/job/x/events", True),
        ("GET", "/api/ws/x", True),
        ("GET", "/api/job/x/events", True),
        ("POST", "/generate_character", False),
        ("GET", "/job/x/status", False),
        ("GET", "/job/x/download/events", False),
        ("GET", "/job/x/download/a/events", False),
        ("GET", "/generate_character/jobs", False),
        ("GET", "/models", False),
        ("DELETE", "/job/x", False),
        ("POST", "/job/x/events", False),
    ],
)
def test_a_key_in_the_address_only_where_a_browser_has_no_other_way(method, path, is_taken):
    request = ask(method, f"{path}?api_key=key")
    if is_taken:
        assert refusal(KEYED, request) is None
        assert refusal(KEYED, ask(method, f"{path}?api_key=wrong")) == 401
    else:
        with pytest.raises(ApiError) as refused:
            KEYED.check(request)
        assert (refused.value.status, refused.value.details) == (401, {"parameter": "api_key"})
        assert "Authorization: Bearer" in refused.value.message
    assert refusal(KEYED, ask(method, f"{path}?api_key=wrong", Authorization="Bearer key")) is None
