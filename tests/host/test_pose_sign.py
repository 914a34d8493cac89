"""The editor on a system without a Chinese font: the name of the usual pose, 大-pose, can be read there."""

import os
import shutil
from pathlib import Path

import pytest

from .test_editor import FLAGS, PATIENCE, READY, find_chromium, post_json

LATIN = "DejaVuSans.ttf"
FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>{fonts}</dir><cachedir>{cache}</cachedir></fontconfig>
"""
DRAW = """([font, text]) => {
    const canvas = new OffscreenCanvas(40, 40), brush = canvas.getContext("2d");
    brush.font = font;
    brush.fillText(text, 4, 32);
    return [...brush.getImageData(0, 0, 40, 40).data].filter((value, index) => index % 4 === 3);
}"""
CANVAS_FONT = "() => `32px ${LiteGraph.NODE_FONT}`"
HAS_SIGN = "() => [...document.fonts].some(f => f.unicodeRange === 'U+5927' && f.status === 'loaded')"


@pytest.fixture
def page(comfyui, tmp_path):
    """The editor in a browser whose system has the letters of Latin alone."""
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = find_chromium()
    found = next(Path("/usr/share/fonts").rglob(LATIN), None)
    if found is None:
        pytest.skip(f"{LATIN} is not installed")
    fonts = tmp_path / "fonts"
    fonts.mkdir()
    shutil.copy(found, fonts)
    config = tmp_path / "fonts.conf"
    config.write_text(FONTS.format(fonts=fonts, cache=tmp_path / "cache"))
    post_json(f"{comfyui.url}/api/settings", {"Comfy.TutorialCompleted": True})
    environment = {**os.environ, "FONTCONFIG_FILE": str(config)}
    with (
        playwright.sync_playwright() as driver,
        driver.chromium.launch(executable_path=chromium, args=FLAGS, env=environment) as browser,
    ):
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(PATIENCE)
        page.goto(comfyui.url)
        page.wait_for_function(READY)
        yield page


@pytest.mark.nightly
def test_the_sign_of_the_pose_is_no_box(page):
    """On the canvas, and since 2026, when the canvas has the font of the page, wherever Vue renders."""
    page.wait_for_function(HAS_SIGN)
    font = page.evaluate(CANVAS_FONT)
    sign, missing, letter = (page.evaluate(DRAW, [font, text]) for text in ("大", "龘", "A"))
    assert any(sign) and sign != missing
    assert letter == page.evaluate(DRAW, [font.partition(",")[0], "A"])
    assert page.evaluate(DRAW, ["32px sans-serif", "大"]) == page.evaluate(DRAW, ["32px sans-serif", "龘"])
