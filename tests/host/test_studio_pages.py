"""Pages of the studio in a headless Chromium: for screen readers, at each width, by keyboard, with a VRM."""

import json
from dataclasses import replace

import numpy as np
import pytest
from character3d.pipeline.formats import encode_vrm
from character3d.pipeline.types import Material
from character3d.tests.pipeline import test_face, test_springs
from PIL import Image

from .conftest import Client
from .test_studio import (
    ELF,
    READY,
    WIDTHS,
    browser,
    choose_small,
    find_serious,
    open_studio,
    shoot_viewer,
    wait_for_options,
)

__all__ = ["browser"]
MOST_TABS = 80


@pytest.mark.nightly
@pytest.mark.parametrize("locale", ["en", "zh-CN"])
@pytest.mark.parametrize("path", ["#/characters", "#/job/{job_id}"], ids=["list", "job"])
def test_list_and_job_are_accessible_and_fit_every_width(browser, comfyui, elf_job, path, locale, tmp_path):
    address = "/character" + path.format(job_id=elf_job.job_id)
    with open_studio(browser, comfyui.url, locale=locale) as page:
        listed = {
            "jobs": [elf_job.client.status(elf_job.job_id)],
            "next": None,
        }  # the browser is another user
        page.route("**/generate_character/jobs?*", lambda route: route.fulfill(json=listed))
        page.goto(comfyui.url + address)
        page.wait_for_selector(".report table, .cards .card", state="attached")
        page.evaluate("() => document.querySelectorAll('details').forEach(group => group.open = true)")
        files = page.locator(".files li button span:not(.soft)").all_inner_texts()
        assert len(set(files)) == len(files)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            page.screenshot(path=tmp_path / f"{width}.png", full_page=True)
            assert page.evaluate("() => document.documentElement.scrollWidth") <= width
            assert find_serious(page) == []
        page.click("#theme")
        assert find_serious(page) == []


def tab_to(page, selector):
    """Press Tab until an element has the focus."""
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"{selector} was not reached by {MOST_TABS} tabs")


@pytest.mark.nightly
def test_from_drop_to_download_by_keyboard(browser, comfyui, tmp_path):
    with open_studio(browser, comfyui.url, accept_downloads=True) as page:
        wait_for_options(page)
        # Playwright first asks the browser for choosers when a listener is added, and does not wait for it.
        page.on("filechooser", lambda chooser: None)
        choose_small(page)
        page.evaluate("() => document.activeElement.blur()")
        tab_to(page, "input[data-slot=image]")
        with page.expect_file_chooser() as chooser:
            page.keyboard.press("Enter")
        chooser.value.set_files(ELF)
        page.wait_for_selector(".primary:not([disabled])")
        tab_to(page, ".primary")
        page.keyboard.press("Enter")
        page.wait_for_url("**/character#/job/*")
        page.wait_for_selector(READY)
        tab_to(page, ".viewer canvas")
        before = shoot_viewer(page)
        page.keyboard.press("ArrowLeft")
        page.wait_for_timeout(2_000)
        assert np.abs(shoot_viewer(page) - before).mean() > 0.5
        tab_to(page, ".file.first")
        with page.expect_download() as found:
            page.keyboard.press("Enter")
        found.value.save_as(tmp_path / "character")
        assert (tmp_path / "character").read_bytes()


def show_vrm(page, url, job, character):
    """Open the page of a job as if its character was this one, as VRM."""
    status, made = Client(url).status(job.job_id), encode_vrm(character, test_springs.META)
    for file in status["downloads"]:
        if file["result"] == "rigged_character":
            file["name"] = "made.vrm"
            file["url"] = f"/job/{job.job_id}/download/made.vrm"
    page.route("**/status", lambda route: route.fulfill(json=status))
    page.route("**/events*", lambda route: route.abort())
    page.route("**/made.vrm", lambda route: route.fulfill(body=made))
    page.goto(f"{url}/character#/job/{job.job_id}")
    page.reload()
    page.wait_for_selector(READY)
    page.evaluate("() => document.querySelectorAll('.controls details').forEach(group => group.open = true)")


def slide(page, selector, value):
    """Move a slider, and wait until it was drawn in software."""
    move = "(input, value) => { input.value = value; input.dispatchEvent(new Event('input')); }"
    page.locator(selector).evaluate(move, value)
    page.wait_for_timeout(2_500)


def paint_eyes(size=512):
    """The speaker with a texture on which its eyes are dark, so that it is seen when they close."""
    v, u = (np.mgrid[0:size, 0:size] + 0.5) / size
    turn, tilt = 7 * u, 4 * v  # the uvs of its head
    x, y, z = np.sin(tilt) * np.sin(turn), np.cos(tilt), np.sin(tilt) * np.cos(turn)
    places = np.stack((0.12 * x, 1.66 + 0.12 * y), axis=-1)
    away = np.linalg.norm((places[:, :, None] - test_face.EYES_AT) / (0.02, 0.015), axis=-1).min(axis=-1)
    texels = np.ones((size, size, 4))
    texels[(away < 1) & (z > 0), :3] = 0.1
    speaker = test_face.SPEAKER
    return replace(speaker, textured=replace(speaker.textured, material=Material(texels)))


@pytest.mark.nightly
def test_expressions_of_a_vrm_move_its_face(browser, comfyui, elf_job, tmp_path):
    with open_studio(browser, comfyui.url, device_scale_factor=2) as page:
        show_vrm(page, comfyui.url, elf_job, paint_eyes())
        names = page.locator("[id^=expression-]").evaluate_all("inputs => inputs.map(input => input.id)")
        assert {"expression-aa", "expression-blink", "expression-happy"} <= set(names), names
        rest = shoot_viewer(page)
        for name in ("blink", "aa"):
            slide(page, f"#expression-{name}", 1)
            shot = shoot_viewer(page)
            Image.fromarray(shot.astype(np.uint8)).save(tmp_path / f"{name}.png")
            changed = np.abs(shot - rest).max(axis=-1) > 12
            assert changed.sum() > 10, name
            slide(page, f"#expression-{name}", 0)
            left = np.abs(shoot_viewer(page) - rest).max(axis=-1) > 12
            assert left.sum() < changed.sum() / 4, name


@pytest.mark.nightly
def test_springs_of_a_vrm_swing_until_they_are_stopped(browser, comfyui, elf_job):
    with open_studio(browser, comfyui.url) as page:
        show_vrm(page, comfyui.url, elf_job, test_springs.ANIMAL)
        page.get_by_role("button", name="Skeleton", exact=True).click()  # its strands move no vertex
        swing = page.get_by_role("button", name="Swing", exact=True)
        assert swing.get_attribute("aria-pressed") == "true"
        moved = {}
        for is_on in (True, False):
            if not is_on:
                swing.click()
            page.select_option("#pose-joint", index=0)
            slide(page, "#pose-z", 0)
            page.wait_for_timeout(4_000)
            slide(page, "#pose-z", 60)
            early = shoot_viewer(page)
            page.wait_for_timeout(4_000)
            moved[is_on] = (np.abs(shoot_viewer(page) - early).max(axis=-1) > 12).sum()
        assert moved[True] > 20 and moved[False] < 10, json.dumps({str(k): int(v) for k, v in moved.items()})
