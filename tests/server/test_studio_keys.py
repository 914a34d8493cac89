"""The studio on a server with API keys, in a headless Chromium: it asks for one, and again if it is wrong."""

import pytest
from character3d.tests.host.test_editor import FLAGS, find_chromium

from .conftest import make_png, new_key

pytestmark = pytest.mark.nightly
PATIENCE = 120_000


@pytest.fixture
def page():
    playwright = pytest.importorskip("playwright.sync_api")
    with (
        playwright.sync_playwright() as driver,
        driver.chromium.launch(executable_path=find_chromium(), args=FLAGS) as browser,
    ):
        context = browser.new_context(locale="en", accept_downloads=True)
        context.set_default_timeout(PATIENCE)
        yield context.new_page()


def give_key(page, key):
    page.fill("#key-input", key)
    page.get_by_role("button", name="Use key").click()


def test_a_key_is_asked_for_and_goes_with_every_request(keyed, page, tmp_path):
    (tmp_path / "knight.png").write_bytes(make_png())
    page.goto(f"{keyed.url}/character")
    give_key(page, "no such key")
    page.wait_for_selector("#key-input")  # asked again
    give_key(page, new_key())
    page.wait_for_selector(".options .field")
    page.set_input_files("input[data-slot=image]", tmp_path / "knight.png")
    page.click(".primary:not([disabled])")
    page.wait_for_url("**/character#/job/*")
    with page.expect_download() as found:
        page.click(".file.first")
    found.value.save_as(tmp_path / "character")
    assert (tmp_path / "character").stat().st_size
    page.reload()
    page.wait_for_selector(".file.first")
    page.click("#nav [data-page=characters]")
    page.wait_for_selector(".cards .card")
    assert page.locator("#key-input").count() == 0
