"""Times of the studio in a browser, from the drop of a picture to its first picture and to the result.

    python quickstart.py test -k nothing          # once: the tests' environment
    PYTHON benchmarks/page.py [--picture PICTURE] [--check] [--runs N] [--animation CLIP]

PYTHON is the Python of the tests' environment, which has playwright; a Chromium must be installed. Starts a
ComfyUI with this pack, opens the page, drops the picture and presses the button at once, or, with --check,
when the points of the body are drawn. Each line is a moment: seconds since the drop, and seconds of
processors that the server had used since then. The first run finds a server that has made nothing yet. Linux
only.
"""

from __future__ import annotations

import argparse
import base64
import dataclasses
import os
import shutil
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import JSHandle, Page, sync_playwright

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from client import Client  # noqa: E402
from launcher.environment import prepare_test_comfyui  # noqa: E402
from launcher.installation import link_pack  # noqa: E402
from launcher.server import Server, find_free_port, run_server  # noqa: E402

FLAGS = ["--no-sandbox", "--disable-quic", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
PATIENCE = 900_000


def read_processor_seconds(pid: int) -> float:
    """Seconds of processors that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def hold(page: Page, picture: Path) -> JSHandle:
    """A file in the page that can be dropped on it: bringing it there takes no part in what is measured."""
    return page.evaluate_handle(
        """([name, text]) => {
            const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
            const data = new DataTransfer();
            data.items.add(new File([bytes], name, {type: "image/png"}));
            return data;
        }""",
        [picture.name, base64.b64encode(picture.read_bytes()).decode()],
    )


def drop(page: Page, held: JSHandle) -> None:
    """Drop a held file on the page."""
    page.evaluate(
        """(data) => {
            const event = new DragEvent("drop", {dataTransfer: data, bubbles: true});
            document.querySelector(".drop").dispatchEvent(event);
        }""",
        held,
    )


def follow(page: Page, held: JSHandle, options: argparse.Namespace) -> Iterator[str]:
    """Make a character as a person would; yields the name of each moment when it has come."""
    drop(page, held)
    if options.check:
        page.wait_for_selector(".landmarks")
        yield "points drawn"
    page.click(".primary:not([disabled])")
    page.wait_for_url("**/character#/job/*")
    yield "job accepted"
    page.wait_for_selector(".strip img[src]")
    yield "first picture"
    page.wait_for_selector(".viewer[data-state]")
    yield "result"
    page.wait_for_selector(".viewer[data-state=ready]")
    yield "viewer drawn"


def measure(page: Page, server: Server, options: argparse.Namespace) -> None:
    """One character, with a line for each moment."""
    page.goto(f"{server.address}/character")
    page.wait_for_selector(".options .field")
    page.select_option("#option-animation", options.animation)
    held = hold(page, options.picture)
    began, used = time.monotonic(), read_processor_seconds(server.process.pid)
    for moment in follow(page, held, options):
        busy = read_processor_seconds(server.process.pid) - used
        print(f"  {moment:14} {time.monotonic() - began:6.1f} s   {busy:6.1f} CPU s", flush=True)
    job_id = page.url.rsplit("/", 1)[-1]
    stages = Client(server.address).status(job_id)["stages"]
    print("  stages         " + ", ".join(f"{stage['name']} {stage['seconds']:.1f}" for stage in stages))


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--picture", type=Path, default=REPOSITORY / "examples" / "elf.png")
    parser.add_argument("--check", action="store_true", help="start when the points of the body are drawn")
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--animation", default="none")
    options = parser.parse_args()
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        installation = dataclasses.replace(prepare_test_comfyui(), base=Path(folder))
        link_pack(installation.base / "custom_nodes")
        browser = driver.chromium.launch(executable_path=found, args=FLAGS)
        with run_server(installation, find_free_port()) as server, browser:
            urllib.request.urlopen(f"{server.address}/character").close()
            for number in range(1, options.runs + 1):
                print(f"run {number}, load {os.getloadavg()[0]:.1f}", flush=True)
                page = browser.new_page(locale="en", viewport={"width": 1440, "height": 900})
                page.set_default_timeout(PATIENCE)
                measure(page, server, options)
                page.close()


if __name__ == "__main__":
    main()
