"""Make docs/pictures/editor_*.jpg: the bundled workflow after a run, in the editor's two ways to show nodes.

    python quickstart.py test -k nothing                     # once: the tests' environment
    PYTHON scripts/editor_pictures.py                        # ComfyUI of the tests
    PYTHON scripts/editor_pictures.py --core newest          # another release of launcher/cores.py
    PYTHON scripts/editor_pictures.py --frontend 1.58.1      # another comfyui-frontend-package
    PYTHON scripts/editor_pictures.py --opened FOLDER        # every workflow as it opens, as PNG in FOLDER

PYTHON is the Python of the tests' environment, which has playwright; a Chromium must be installed. Each call
writes two pictures, editor_canvas_VERSION.jpg and editor_vue_VERSION.jpg, after the frontend's version, and
says when each node showed what it made, in seconds after Queue.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page, sync_playwright

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.append(str(REPOSITORY))
from launcher.core_environment import prepare_core  # noqa: E402
from launcher.cores import PACKAGED, find_core  # noqa: E402
from launcher.environment import find_cache_folder  # noqa: E402
from launcher.installation import Installation, copy_examples, copy_models, link_pack  # noqa: E402
from launcher.server import find_free_port, run_server  # noqa: E402

log = logging.getLogger("editor_pictures")

PICTURES = REPOSITORY / "docs" / "pictures"
WORKFLOW = REPOSITORY / "workflows" / "Picture to rigged character.json"
SIZE = {"width": 1900, "height": 1240}
LAPTOP = {"width": 1440, "height": 900}
"""Of a browser's window in which a workflow has to be legible as it opens."""
QUALITY = 72
PATIENCE = 1_800_000
"""Milliseconds, which only a broken editor takes."""
FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
READY = """() => window.app?.canvas && Object.keys(LiteGraph.registered_node_types).length > 300
    && app.extensionManager.workflow.activeWorkflow && !app.extensionManager.spinner"""
WATCH = """() => {
    window.seen = [];
    for (const type of ["execution_success", "execution_error", "execution_interrupted", "executed"])
        app.api.addEventListener(type, ({detail}) => seen.push({type, node: detail.node, at: Date.now()}));
    window.queued = Date.now();
    app.queuePrompt(0, 1);
}"""
ENDED = "() => seen.find(e => e.type.startsWith('execution_'))"
TOLD = """() => seen.map(({type, node, at}) =>
    [(at - queued) / 1000, app.graph.getNodeById(node)?.title ?? type])"""
FIT = """() => {
    const {ds, canvas} = app.canvas, nodes = app.graph.nodes, margin = 110;
    const left = Math.min(...nodes.map(n => n.pos[0])), top = Math.min(...nodes.map(n => n.pos[1] - 30));
    const right = Math.max(...nodes.map(n => n.pos[0] + n.size[0]));
    const bottom = Math.max(...nodes.map(n => n.pos[1] + n.size[1]));
    const {width, height} = canvas.getBoundingClientRect();
    ds.scale = Math.min((width - 2 * margin) / (right - left), (height - 2 * margin) / (bottom - top));
    ds.offset = [width / 2 / ds.scale - (left + right) / 2, height / 2 / ds.scale - (top + bottom) / 2];
    app.canvas.setDirty(true, true);
}"""
SETTINGS = {
    "Comfy.TutorialCompleted": True,
    "Comfy.Minimap.Visible": False,
    "LiteGraph.Canvas.LowQualityRenderingZoomThreshold": 0,  # texts are drawn however small, in 2025 …
    "LiteGraph.Canvas.MinFontSizeForLOD": 0,  # … and in 2026
}
VIEWERS = "canvas:not(#graph-canvas):not(.minimap-canvas)"


def prepare(version: str, base: Path) -> tuple[Installation, str]:
    """A ComfyUI with the pack, its files in `base`; and the version of its frontend."""
    environment = prepare_core(find_core(version))
    for name in ("custom_nodes", "input", "models", "output", "user"):
        (base / name).mkdir()
    link_pack(base / "custom_nodes")
    copy_examples(base / "input")
    copy_models(find_cache_folder() / "models", base / "models")
    installation = Installation(environment.python, environment.comfyui, base, is_own=True)
    return installation, environment.core.frontend


def fetch_frontend(version: str, folder: Path) -> Path:
    """Install a comfyui-frontend-package into a folder; where its files are."""
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder)]
    subprocess.run([*install, f"comfyui-frontend-package=={version}"], check=True)
    return folder / "comfyui_frontend_package" / "static"


def change_settings(address: str, **settings: Any) -> None:
    """Set what the editor asks the server for when it is opened."""
    body = json.dumps(settings).encode()
    request = urllib.request.Request(
        f"{address}/api/settings", body, {"Content-Type": "application/json"}, method="POST"
    )
    urllib.request.urlopen(request, timeout=60).close()


@contextlib.contextmanager
def open_browser() -> Iterator[Any]:
    """A Chromium without a window."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with sync_playwright() as driver, driver.chromium.launch(executable_path=found, args=FLAGS) as browser:
        yield browser


def open_editor(browser: Any, address: str, *, is_vue: bool, size: Any = SIZE) -> Page:
    """The editor."""
    change_settings(address, **SETTINGS, **{"Comfy.VueNodes.Enabled": is_vue})
    page: Page = browser.new_page(viewport=size)
    page.set_default_timeout(PATIENCE)
    page.goto(address)
    page.wait_for_function(READY)
    return page


def open_workflow(page: Page, workflow: Path) -> None:
    """Open a workflow in the editor, as if it was chosen among the templates."""
    page.evaluate("workflow => app.loadGraphData(workflow)", json.loads(workflow.read_text(encoding="utf-8")))
    page.wait_for_timeout(3_000)


def run_workflow(page: Page) -> None:
    """Queue it, wait for its end, and say when each node showed what it made."""
    page.evaluate(WATCH)
    page.wait_for_function(ENDED)
    for seconds, title in page.evaluate(TOLD):
        log.info("%7.1f s  %s", seconds, title)


def shoot_opened(browser: Any, address: str, folder: Path) -> None:
    """Each workflow as it opens on a laptop, in a file of its name."""
    folder.mkdir(parents=True, exist_ok=True)
    page = open_editor(browser, address, is_vue=False, size=LAPTOP)
    for workflow in sorted(WORKFLOW.parent.glob("*.json")):
        open_workflow(page, workflow)
        page.screenshot(path=folder / f"{workflow.stem}.png")
        log.info("%s opens at %.0f %%", workflow.stem, 100 * page.evaluate("() => app.canvas.ds.scale"))


def shoot(page: Page, name: str) -> None:
    """The workflow as it is shown, without the editor's bars, as docs/pictures/NAME.jpg."""
    page.evaluate(FIT)
    page.wait_for_timeout(10_000)  # for pictures, and viewers that draw in software
    for viewer in page.locator(VIEWERS).all():  # they draw while the mouse is on them
        if box := viewer.bounding_box():
            page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
            page.wait_for_timeout(6_000)
    page.mouse.move(SIZE["width"] / 2, SIZE["height"] - 20)
    page.wait_for_timeout(2_000)
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    image.save(PICTURES / f"{name}.jpg", quality=QUALITY, optimize=True)
    log.info("docs/pictures/%s.jpg: %d kB", name, (PICTURES / f"{name}.jpg").stat().st_size // 1000)


def main() -> None:
    """Write the two pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--core", default=PACKAGED.version)
    parser.add_argument("--frontend", help="in place of the release's own")
    parser.add_argument("--opened", type=Path, help="a folder for every workflow as it opens")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder, "base")
        base.mkdir()
        installation, version = prepare(options.core, base)
        arguments: tuple[str, ...] = ()
        if options.frontend:
            version = options.frontend
            arguments = ("--front-end-root", str(fetch_frontend(version, Path(folder, "frontend"))))
        with run_server(installation, find_free_port(), arguments) as server, open_browser() as browser:
            if options.opened:
                shoot_opened(browser, server.address, options.opened)
                return
            for is_vue, name in ((False, "canvas"), (True, "vue")):
                page = open_editor(browser, server.address, is_vue=is_vue)
                open_workflow(page, WORKFLOW)
                run_workflow(page)
                shoot(page, f"editor_{name}_{version}")
                page.close()


if __name__ == "__main__":
    main()
