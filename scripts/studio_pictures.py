"""Make the studio's picture in docs/: a character in its viewer.

    python scripts/studio_pictures.py --address http://localhost:8188

Needs a server with the pack, which makes the character of examples/elf.png, a Chromium and playwright.
"""

from __future__ import annotations

import argparse
import io
import logging
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, ViewportSize, sync_playwright

REPOSITORY = Path(__file__).resolve().parent.parent
PICTURES = REPOSITORY / "docs" / "pictures"
FLAGS = ["--no-sandbox", "--disable-quic", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
SIZE: ViewportSize = {"width": 1440, "height": 900}
PATIENCE = 900_000
QUALITY = 84

log = logging.getLogger("character3d")


def make_character(page: Page, address: str) -> None:
    """Drop the example with a movement, as a person would, and wait until the viewer shows it."""
    page.goto(f"{address}/character")
    page.set_input_files("input[data-slot=image]", REPOSITORY / "examples" / "elf.png")
    page.select_option("#option-animation", "walk")
    page.click(".primary:not([disabled])")
    page.wait_for_selector(".viewer[data-state=ready]")


def shoot(page: Page, name: str) -> None:
    """The page as it is, as docs/pictures/NAME.jpg."""
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    image.save(PICTURES / f"{name}.jpg", quality=QUALITY, optimize=True)
    log.info("docs/pictures/%s.jpg: %d kB", name, (PICTURES / f"{name}.jpg").stat().st_size // 1000)


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--address", default="http://localhost:8188")
    parser.add_argument("--job", help="show this job instead of making one")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with sync_playwright() as driver, driver.chromium.launch(executable_path=found, args=FLAGS) as browser:
        page = browser.new_page(viewport=SIZE, color_scheme="light", locale="en")
        page.set_default_timeout(PATIENCE)
        if options.job:
            page.goto(f"{options.address}/character#/job/{options.job}")
            page.wait_for_selector(".viewer[data-state=ready]")
        else:
            make_character(page, options.address)
        page.wait_for_timeout(4_000)  # it draws in software
        shoot(page, "studio_result")


if __name__ == "__main__":
    main()
