"""Pages of other origins: the allowed one may do everything, any other nothing; shown in a browser, too."""

import os
import shutil

import aiohttp
import pytest
from character3d.tests.loopback import serve_answers

from .conftest import bearer, make_png, new_key, open_client
from .forms import END, encode_part, get_raw, post_raw, refused

EVIL = "https://evil.example"
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}


@pytest.fixture(params=["keyless", "keyed"])
def server(request):
    found = request.getfixturevalue(request.param)
    key = new_key() if request.param == "keyed" else None
    found.headers, found.query = (bearer(key), f"?since=0&api_key={key}") if key else ({}, "?since=0")
    return found


@pytest.fixture
async def visitor(server):
    async with open_client(server.url) as client:
        yield client


def cors_headers(answer):
    """The answer's CORS headers; each comes once."""
    names = [name.lower() for name in answer.headers if name.lower().startswith("access-control-")]
    assert len(names) == len(set(names))
    return {name: answer.headers[name] for name in names}


def check_readable(answer, origin):
    found = cors_headers(answer)
    assert found.pop("access-control-allow-origin") == origin
    exposed = {name.strip() for name in found.pop("access-control-expose-headers").split(",")}
    assert {"Location", "Retry-After", "RateLimit", "Idempotency-Replayed", "ETag", "Content-Range",
            "Content-Disposition", "Accept-Ranges"} <= exposed  # fmt: skip
    assert not found, "nothing else, no credentials above all"
    assert "Origin" in answer.headers["Vary"]


OWN_PATHS = ("/generate_character", "/api/generate_character", "/job/x/status", "/job/x", "/ws/x", "/models")


@pytest.mark.parametrize("path", OWN_PATHS)
async def test_preflight_of_an_allowed_origin(visitor, page_origin, path):
    async with visitor.request("OPTIONS", path, headers={"Origin": page_origin, **PREFLIGHT}) as answer:
        assert (answer.status, await answer.read()) == (204, b"")
        found = cors_headers(answer)
    assert found["access-control-allow-origin"] == page_origin
    assert {"GET", "POST", "DELETE"} <= set(found["access-control-allow-methods"].split(", "))
    allowed = {name.lower() for name in found["access-control-allow-headers"].split(", ")}
    assert {"authorization", "content-type", "idempotency-key", "range", "last-event-id"} <= allowed
    assert "access-control-allow-credentials" not in found


@pytest.mark.parametrize("origin", [EVIL, "null", "http://127.0.0.1:1"])
@pytest.mark.parametrize("path", OWN_PATHS[:-1])
async def test_preflight_of_any_other(visitor, path, origin):
    async with visitor.request("OPTIONS", path, headers={"Origin": origin, **PREFLIGHT}) as answer:
        assert cors_headers(answer) == {}
        await refused(answer, 403, "INVALID_PARAMETERS", "Origin")


async def test_every_kind_of_answer_is_readable(server, visitor, page_origin):
    """Accepted, found, streamed, a file, a part of it, and refused."""
    page = {"Origin": page_origin, "Sec-Fetch-Site": "cross-site", **server.headers}
    async with await visitor.generate(headers=page) as answer:
        assert answer.status == 202, await answer.text()
        check_readable(answer, page_origin)
        job_id = (await answer.json())["job_id"]
    async with visitor.get(f"/job/{job_id}/events", headers=page) as answer:
        check_readable(answer, page_origin)
        assert "event: job_completed" in await answer.text()
    async with visitor.ws_connect(f"/ws/{job_id}", headers=page) as socket:
        assert (await socket.receive_json())["job_id"] == job_id
    async with visitor.get(f"/job/{job_id}/status", headers=page) as answer:
        check_readable(answer, page_origin)
        url = (await answer.json())["downloads"][0]["url"]
    for more, status in (({}, 200), ({"Range": "bytes=0-3"}, 206), ({"Range": "bytes=9999-"}, 416)):
        async with visitor.get(url, headers={**page, **more}) as answer:
            assert answer.status == status
            check_readable(answer, page_origin)
    for method, path, status in (
        ("GET", "/job/unknown/status", 404),
        ("PUT", "/generate_character", 405),
        ("GET", "/generate_character/nothing", 404),
        ("GET", "/models", 200),
        ("GET", "/generate_character/docs", 200),
    ):
        async with visitor.request(method, path, headers=page) as answer:
            assert answer.status == status
            check_readable(answer, page_origin)


async def test_without_a_key_the_refusal_is_readable(keyed, page_origin):
    async with (
        open_client(keyed.url) as visitor,
        await visitor.generate(headers={"Origin": page_origin}) as answer,
    ):
        check_readable(answer, page_origin)
        await refused(answer, 401, "INVALID_PARAMETERS", "Authorization")


@pytest.mark.parametrize("origin", [EVIL, "null"])
async def test_any_other_origin_reads_and_does_nothing(server, visitor, origin):
    """ComfyUI's own `--enable-cors-header *`, which the server with keys has, opens none of our routes."""
    page = {"Origin": origin, **server.headers}
    async with await visitor.generate(headers=server.headers) as answer:
        job_id = (await answer.json())["job_id"]
    for path in (f"/job/{job_id}/status", "/generate_character/jobs", "/generate_character/health"):
        async with visitor.get(path, headers=page) as answer:
            assert cors_headers(answer) == {}
    async with await post_raw(visitor, encode_part("image", make_png()) + END, **page) as answer:
        assert cors_headers(answer) == {}
        await refused(answer, 403, "INVALID_PARAMETERS", "Origin")
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await visitor.ws_connect(f"/ws/{job_id}", headers=page)
    assert caught.value.status == 403
    async with visitor.post(f"/job/{job_id}/cancel", headers=page) as answer:
        assert answer.status == 403 and cors_headers(answer) == {}
    async with visitor.get(f"/job/{job_id}/events", headers=server.headers) as answer:
        assert "event: job_completed" in await answer.text()
        assert "Origin" in answer.headers["Vary"] and cors_headers(answer) == {}


async def test_core_answers_pages_as_before(keyless, keyed, page_origin):
    """Its guard on loopback, and its own CORS where that is on."""
    for server, status, allowed in ((keyless, 403, None), (keyed, 200, "*")):
        async with open_client(server.url) as visitor:
            for origin in (page_origin, EVIL):
                for path in ("/queue", "/models?format=folders"):
                    async with visitor.get(path, headers={"Origin": origin}) as answer:
                        found = cors_headers(answer).get("access-control-allow-origin")
                        assert (answer.status, found) == (status, allowed)


async def test_headers_that_are_not_utf8(keyless, page_origin):
    head = b"Origin: %s\r\nX-Odd: \xff\r\n" % page_origin.encode()
    status, body = await get_raw("127.0.0.1", keyless.port, "/job/x/status", head)
    assert status == 400 and "Headers must be UTF-8 text" in body


# -- in a browser ------------------------------------------------------------------------------------

LIBRARY = """
window.ask = async (path, options = {}) => {
    try {
        const answer = await fetch(service + path, options);
        const names = ["location", "ratelimit", "etag", "content-range", "content-disposition"];
        const headers = Object.fromEntries(names.map(name => [name, answer.headers.get(name)]));
        const bytes = new Uint8Array(await answer.arrayBuffer());
        let body = null;
        try { body = JSON.parse(new TextDecoder().decode(bytes)); } catch {}
        return {status: answer.status, headers, body, size: bytes.length};
    } catch (error) {
        return error.name;
    }
};
window.post = async (png, headers) => {
    const form = new FormData();
    form.append("image", new Blob([Uint8Array.from(png)]), "input.png");
    return ask("/generate_character", {method: "POST", body: form, headers});
};
window.watch = path => new Promise(resolve => {
    const types = [], socket = new WebSocket(service.replace("http", "ws") + path);
    socket.onmessage = message => types.push(JSON.parse(message.data).type);
    socket.onclose = event => resolve({types, code: event.code});
});
window.stream = path => new Promise(resolve => {
    const types = [], source = new EventSource(service + path);
    const end = state => { source.close(); resolve({types, state}); };
    for (const type of ["progress_update", "stage_completed", "job_completed"])
        source.addEventListener(type, event => {
            types.push(JSON.parse(event.data).type);
            if (type === "job_completed") end("completed");
        });
    source.onerror = () => end("error");
});
"""


def find_chromium():
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    if os.environ.get("CHARACTER3D_REQUIRE_READERS"):
        pytest.fail("no Chromium, and CHARACTER3D_REQUIRE_READERS is set")
    return pytest.skip("no Chromium here")


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        flags = ["--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking"]
        browser = driver.chromium.launch(executable_path=find_chromium(), headless=True, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, server):
    """Open a page of an origin, with functions that ask the server."""
    pages = []

    def open_page(origin):
        page = browser.new_page()
        pages.append(page)
        page.goto(origin)
        page.evaluate("url => { window.service = url; }", server.url)
        page.add_script_tag(content=LIBRARY)
        return page

    yield open_page
    for page in pages:
        page.close()


PNG = list(make_png())
JOB = ["stage_completed"] * 5 + ["job_completed"]


def milestones(types):
    return [name for name in types if name in JOB]


@pytest.mark.nightly_cases
def test_a_page_of_an_allowed_origin_does_everything(open_page, page_origin, server):
    """It posts, watches over fetch, a WebSocket and an event stream, downloads, resumes and deletes."""
    page = open_page(page_origin)
    headers = {**server.headers, "Idempotency-Key": "page"}
    accepted = page.evaluate("([png, headers]) => post(png, headers)", [PNG, headers])
    assert accepted["status"] == 202, accepted
    job_id = accepted["body"]["job_id"]
    assert accepted["headers"]["location"] == f"/job/{job_id}/status"
    assert accepted["headers"]["ratelimit"].startswith('"generate";r=')
    watched, streamed = page.evaluate(
        "([id, query]) => Promise.all([watch(`/ws/${id}${query}`), stream(`/job/${id}/events${query}`)])",
        [job_id, server.query],
    )
    assert (milestones(watched["types"]), watched["code"]) == (JOB, 1000)
    assert (milestones(streamed["types"]), streamed["state"]) == (JOB, "completed")

    def ask(path, method="GET", **more):
        options = {"method": method, "headers": {**server.headers, **more}}
        return page.evaluate("([path, options]) => ask(path, options)", [path, options])

    status = ask(f"/job/{job_id}/status")
    assert status["body"]["status"] == "completed"
    file = status["body"]["downloads"][0]
    whole, part = ask(file["url"]), ask(file["url"], Range="bytes=1-3")
    assert (whole["status"], whole["size"]) == (200, file["size"])
    assert whole["headers"]["etag"] == f'"{file["sha256"]}"'
    assert file["name"] in whole["headers"]["content-disposition"]
    assert (part["status"], part["size"]) == (206, 3)
    assert part["headers"]["content-range"] == f"bytes 1-3/{file['size']}"
    assert ask("/models")["status"] == 200
    refusal = page.evaluate("headers => post([1, 2, 3], headers)", server.headers)
    assert (refusal["status"], refusal["body"]["error_code"]) == (415, "UNSUPPORTED_FORMAT")
    assert ask(f"/job/{job_id}", "DELETE")["status"] == 200
    assert ask(f"/job/{job_id}/status")["status"] == 410


@pytest.mark.nightly_cases
def test_a_page_of_any_other_origin_does_nothing(open_page, page_origin, server):
    """Even one that knows a key and the id of a job, and where ComfyUI's own CORS is on."""
    allowed = open_page(page_origin)
    known = allowed.evaluate("([png, headers]) => post(png, headers)", [PNG, server.headers])["body"][
        "job_id"
    ]

    def list_jobs():
        options = {"headers": server.headers}
        answer = allowed.evaluate("options => ask('/generate_character/jobs', options)", options)
        return [job["job_id"] for job in answer["body"]["jobs"]]

    before = list_jobs()
    with serve_answers(lambda request: (200, {"Content-Type": "text/html"}, b"<title>evil</title>")) as url:
        evil = open_page(url)
        for headers in ({}, server.headers, {**server.headers, "X-Any": "1"}):
            assert evil.evaluate("([png, headers]) => post(png, headers)", [PNG, headers]) == "TypeError"
            for method, path in (
                ("GET", f"/job/{known}/status"),
                ("GET", "/generate_character/jobs"),
                ("GET", "/generate_character/openapi.json"),
                ("POST", f"/job/{known}/cancel"),
                ("DELETE", f"/job/{known}"),
            ):
                options = {"method": method, "headers": headers}
                assert (
                    evil.evaluate("([path, options]) => ask(path, options)", [path, options]) == "TypeError"
                )
        watched = evil.evaluate("path => watch(path)", f"/ws/{known}{server.query}")
        assert watched == {"types": [], "code": 1006}
        streamed = evil.evaluate("path => stream(path)", f"/job/{known}/events{server.query}")
        assert streamed == {"types": [], "state": "error"}
    assert list_jobs() == before
    ended = allowed.evaluate("path => watch(path)", f"/ws/{known}{server.query}")
    assert ended["types"][-1] == "job_completed", "neither cancelled nor deleted"
