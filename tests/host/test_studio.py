"""The studio page in a headless Chromium: from the drop of a picture to the download, on the real ComfyUI.

A push looks at the page before a job; the nightly run makes characters with it.
"""

import contextlib
import io
import json
import os
import re
import sys
import time
import urllib.error
import urllib.request
import zipfile

import numpy as np
import pytest
from character3d.tests.loopback import serve_answers
from character3d.tests.readers.locate import node_modules
from PIL import Image

from .conftest import REPOSITORY, Client
from .test_editor import FLAGS, find_chromium

ELF = REPOSITORY / "examples" / "elf.png"
PATIENCE = 900_000
"""A limit, in milliseconds, that only a broken page reaches, however busy the machine is."""
WIDTHS = (390, 820, 1440)
FIRST_LOAD_BYTES = 300_000
SERIOUS = """async () => (await axe.run(document, {resultTypes: ["violations"]})).violations
    .filter(v => ["serious", "critical"].includes(v.impact)).map(v => [v.id, v.nodes.map(n => n.html)])"""
SMALL = {"image_size": "512", "face_count": "5000", "mesh_input_size": "256", "outline_size": "32"}
READY = ".viewer[data-state=ready]"


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = find_chromium()
    with (
        playwright.sync_playwright() as driver,
        driver.chromium.launch(executable_path=chromium, args=FLAGS) as found,
    ):
        yield found


@contextlib.contextmanager
def open_studio(browser, url, path="/character", **options):
    """A page of its own, with what it asked for (`asked`) and complained of (`errors`)."""
    context = browser.new_context(
        **{"locale": "en", "viewport": {"width": 1440, "height": 900}, "reduced_motion": "reduce", **options}
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.asked, page.errors = [], []
    page.on("response", lambda answer: page.asked.append(answer))
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.goto(url + path)
    page.wait_for_selector("#nav [aria-current], .job")
    yield page
    context.close()
    assert page.errors == []


def wait_for_options(page):
    page.wait_for_selector(".options .field")


def choose_small(page):
    """Settings of a job whose size does not matter to a test."""
    page.evaluate("() => document.querySelectorAll('details').forEach(group => group.open = true)")
    for name, value in SMALL.items():
        field = page.locator(f"#option-{name}")
        if field.evaluate("field => field.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(value)
            field.blur()


def drop(page, path, target=".drop"):
    """Drop a file where a person would."""
    data = page.evaluate_handle(
        """([name, bytes]) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], name, {type: "image/png"}));
            return data;
        }""",
        [path.name, list(path.read_bytes())],
    )
    page.dispatch_event(target, "drop", {"dataTransfer": data})


def start(page):
    page.click(".primary:not([disabled])")
    page.wait_for_url("**/character#/job/*")
    return page.url.rsplit("/", 1)[-1]


def find_serious(page):
    """What axe-core finds of serious or critical impact; it skips where npm's packages are not installed."""
    script = node_modules() / "axe-core" / "axe.min.js"
    if not script.exists():
        pytest.skip(f"no {script}; run `npm ci` in tests/readers")
    page.evaluate(script.read_text(encoding="utf-8"))
    return page.evaluate(SERIOUS)


def test_the_first_load_is_small_and_asks_no_other_host(browser, comfyui):
    with open_studio(browser, comfyui.url) as page:
        wait_for_options(page)
        page.wait_for_load_state("networkidle")
        assert {answer.url.split("/")[2] for answer in page.asked} == {comfyui.url.split("/")[2]}
        assert sum(answer.request.sizes()["responseBodySize"] for answer in page.asked) < FIRST_LOAD_BYTES
        assert not [answer.url for answer in page.asked if "vendor" in answer.url]


@pytest.mark.nightly_cases
@pytest.mark.parametrize("locale", ["en", "zh-CN"])
def test_it_fits_every_width_and_is_accessible(browser, comfyui, locale):
    with open_studio(browser, comfyui.url, locale=locale) as page:
        wait_for_options(page)
        assert page.get_attribute("html", "lang") == ("en" if locale == "en" else "zh-Hans")
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("() => document.documentElement.scrollWidth") <= width
        page.set_viewport_size({"width": 390, "height": 844})
        assert find_serious(page) == []
        page.click("#theme")
        assert find_serious(page) == []


def test_no_option_is_a_bare_word_of_another_script(browser, comfyui):
    with open_studio(browser, comfyui.url) as page:
        wait_for_options(page)
        words = page.locator("#option-pose_type option").all_inner_texts()
        assert len(words) == 4 and all(word.isascii() for word in words)


def shoot_viewer(page):
    """The viewer's pixels (H, W, 3), 0..255."""
    shot = page.locator(".viewer").screenshot()
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB"), float)


def is_drawn(page):
    """Whether the viewer shows something with color."""
    return (np.ptp(shoot_viewer(page), axis=-1) > 40).mean() > 0.02


@pytest.mark.nightly
def test_from_drop_to_download(browser, comfyui, tmp_path):
    with open_studio(browser, comfyui.url, accept_downloads=True) as page:
        wait_for_options(page)
        page.select_option("#option-animation", "walk")
        began = time.monotonic()
        drop(page, ELF)
        job_id = start(page)
        page.wait_for_selector(".strip img[src]")
        first = time.monotonic() - began
        page.wait_for_selector(".viewer[data-state]")
        done = time.monotonic() - began
        page.wait_for_selector(READY)
        assert {"cut_out", "figure", "mesh_generation", "views", "texture_baking"} <= {
            button.get_attribute("data-group") for button in page.locator(".strip button").all()
        }
        page.wait_for_function("() => document.querySelector('#choice-viewer-clip')?.options.length > 1")
        assert is_drawn(page)
        for name in ("Skeleton", "Wireframe", "Turn", "Center"):
            page.get_by_role("button", name=name, exact=True).click()
        assert find_serious(page) == []
        with page.expect_download() as found:
            page.click(".file.first")
        status = Client(comfyui.url).status(job_id)
        path = tmp_path / "character"
        found.value.save_as(path)
        assert path.stat().st_size in {file["size"] for file in status["downloads"]}
        with page.expect_download() as found:
            page.get_by_role("button", name="All in one archive").click()
        found.value.save_as(tmp_path / "all.zip")
        with zipfile.ZipFile(tmp_path / "all.zip") as archive:
            assert sorted(archive.namelist()) == sorted(file["name"] for file in status["downloads"])
    sys.stdout.write(f"first picture {first:.1f} s, result {done:.1f} s, load {os.getloadavg()[0]:.1f}\n")


@pytest.mark.nightly
def test_points_can_be_moved_by_mouse_and_by_key(browser, comfyui):
    with open_studio(browser, comfyui.url) as page:
        wait_for_options(page)
        choose_small(page)
        drop(page, ELF)
        page.wait_for_selector(".landmarks")
        assert find_serious(page) == []
        wrist = page.locator("[data-name=left_wrist] .dot")
        wrist.scroll_into_view_if_needed()
        box = wrist.bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(box["x"] + 30, box["y"] - 20, steps=4)
        page.mouse.up()
        page.locator("[data-name=neck]").focus()
        page.keyboard.press("ArrowUp")
        job_id = start(page)
    sent = json.loads(Client(comfyui.url).status(job_id)["parameters"]["corrections"])
    assert sent.keys() == {"unit", "left_wrist", "neck"} and sent["unit"] == "pixels"
    ended = Client(comfyui.url).wait(job_id)
    figure = next(file for file in ended["downloads"] if file["result"] == "figure")
    read = json.loads(Client(comfyui.url).read(figure["url"]))
    assert read["source"] == "hand" and read["landmarks"]["left_wrist"]["confidence"] == 1


@pytest.mark.nightly
def test_a_job_is_found_again_and_can_be_stopped(browser, comfyui):
    with open_studio(browser, comfyui.url) as page:
        wait_for_options(page)
        page.click(".example")
        job_id = start(page)
        page.wait_for_selector(".stages .processing, .stages .completed")
        page.goto("about:blank")
        page.goto(comfyui.url + "/character")
        page.wait_for_url(f"**/character#/job/{job_id}")
        page.get_by_role("button", name="Stop").click()
        page.wait_for_selector("text=Stopped")
        page.click("#nav [data-page=characters]")
        card = page.locator(".cards .card", has=page.locator(f"a[href='#/job/{job_id}']"))
        card.get_by_role("button").click()
        page.get_by_role("button", name="Delete", exact=True).click()
        card.wait_for(state="detached")
    with pytest.raises(urllib.error.HTTPError) as refused:
        Client(comfyui.url).read(f"/job/{job_id}/status")
    assert refused.value.code == 410


class KeepRedirects(urllib.request.HTTPRedirectHandler):
    """Hands an answer that leads elsewhere on, as proxies do."""

    def redirect_request(self, *_):
        return None


def serve_below(url, prefix):
    """A proxy that hands what is below a prefix on, and holds every answer back until it is whole."""
    opener = urllib.request.build_opener(KeepRedirects)

    def answer(request):
        if not request.path.startswith(prefix):
            return 404, {}, b""
        headers = {name: value for name, value in request.headers.items() if name.lower() != "connection"}
        asked = urllib.request.Request(
            url + request.path.removeprefix(prefix), request.body or None, headers, method=request.command
        )
        try:
            found = opener.open(asked, timeout=600)
        except urllib.error.HTTPError as error:
            found = error
        kept = {
            name: found.headers[name] for name in ("Content-Type", "Content-Encoding", "ETag", "Location")
        }
        return found.status, {name: value for name, value in kept.items() if value}, found.read()

    return serve_answers(answer)


@pytest.mark.nightly
def test_it_works_below_a_prefix_of_a_proxy_that_holds_events_back(browser, comfyui):
    with (
        serve_below(comfyui.url, "/at/home") as proxy,
        open_studio(browser, proxy, "/at/home/character/") as page,
    ):
        assert re.search(r"/at/home/character$", page.url.split("#")[0])
        wait_for_options(page)
        choose_small(page)
        drop(page, ELF)
        start(page)
        page.wait_for_selector(READY)
        assert {answer.url.split("/")[2] for answer in page.asked} == {proxy.split("/")[2]}


@pytest.mark.nightly
def test_a_painted_view_is_baked_again(browser, comfyui, client, elf):
    first = client.generate(elf, seed=42)["job_id"]  # ComfyUI keeps what its last graph made
    assert client.watch(first)[-1]["status"] == "completed"
    with open_studio(browser, comfyui.url, f"/character#/job/{first}") as page:
        page.wait_for_selector(READY)
        page.get_by_role("button", name="Open the views").click()
        page.wait_for_selector(".tiles canvas")
        box = page.locator(".sheet").bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] / 2 + 40, box["y"] + box["height"] / 2, steps=5)
        page.mouse.up()
        page.get_by_role("button", name="Bake again").click()
        page.wait_for_url(lambda url: first not in url)
        page.wait_for_selector(READY)
        job_id = page.url.rsplit("/", 1)[-1]
    status = Client(comfyui.url).status(job_id)
    cached = {stage["name"]: stage["cached"] for stage in status["stages"]}
    assert cached["mesh_generation"] and not cached["texture_baking"]
