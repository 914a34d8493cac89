"""The shipped workflow in the real editor, in a headless Chromium.

A push opens it there, exports it and shows a report; the nightly run also queues it and looks at the viewers.
"""

import importlib.metadata
import io
import json
import os
import shutil
import sys
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
from character3d.launcher.cores import OLDEST, PACKAGED
from PIL import Image

from .conftest import REPOSITORY, WORKFLOWS, Client, find_saved, load_graph

IS_OLD = importlib.metadata.version("comfyui-frontend-package") in (OLDEST.frontend, PACKAGED.frontend)
"""Whether the editor is one of 2025."""
FLAGS = [
    "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--ignore-gpu-blocklist",
    "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
]  # fmt: skip
PATIENCE = 600_000
"""Milliseconds that only a broken editor takes, however busy the machine is."""
READY = """() => window.app?.canvas && Object.keys(LiteGraph.registered_node_types).length > 300
    && app.extensionManager.workflow.activeWorkflow && !app.extensionManager.spinner"""
"""Once the workflow of the last visit is back: it would take the place of one that was loaded before. Asked
by the clock: the next frame, by which playwright asks, is held up by viewers of other pages."""
MISSING_TYPES = (
    "() => app.graph.nodes.filter(n => !(n.type in LiteGraph.registered_node_types)).map(n => n.type)"
)
WATCH = """() => {
    window.seen = [];
    for (const type of ["execution_success", "execution_error", "execution_interrupted", "executed"])
        app.api.addEventListener(type, event => window.seen.push({type, detail: event.detail}));
}"""
ENDED = "() => seen.find(e => e.type.startsWith('execution_'))"
SHOW_VIEWER = """title => {
    const node = app.graph.nodes.find(n => n.title === title);
    app.canvas.ds.scale = 1.5;
    app.canvas.centerOnNode(node);
    app.canvas.setDirty(true, true);
}"""
RESIZE = """title => {
    const node = app.graph.nodes.find(n => n.title === title);
    node.setSize([node.size[0], node.size[1] + 1]);
}"""
"""ComfyUI's viewer takes its size when a model arrives: none at all if its node is out of sight then, until
the node is resized."""
VIEWERS = "canvas:not(#graph-canvas):not(.minimap-canvas)"
"""Beside the viewers of meshes the editor has canvases for the graph and for the map of it."""


def find_chromium():
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    if os.environ.get("CHARACTER3D_REQUIRE_READERS"):
        pytest.fail("no Chromium, and CHARACTER3D_REQUIRE_READERS is set")
    return pytest.skip("no Chromium here")


def post_json(url, value):
    request = urllib.request.Request(url, json.dumps(value).encode(), {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=20).close()


@pytest.fixture(scope="module")
def editor(comfyui, tmp_path_factory):
    """A page with the editor open and the shipped workflow loaded; page.models lists what it fetched."""
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = find_chromium()
    post_json(f"{comfyui.url}/api/settings", {"Comfy.TutorialCompleted": True})
    with playwright.sync_playwright() as driver:
        profile = tmp_path_factory.mktemp("profile")
        context = driver.chromium.launch_persistent_context(
            profile,
            executable_path=chromium,
            headless=True,
            args=FLAGS,
            viewport={"width": 1600, "height": 1000},
        )
        context.set_default_timeout(PATIENCE)
        page = context.pages[0]
        page.models = []
        page.on("response", lambda answer: page.models.append((answer.url, answer.status)))
        open_workflow(page, comfyui.url, "Picture to rigged character")
        yield page
        context.close()


def open_workflow(page, url, name):
    """Open the editor in a page, and a shipped workflow in it."""
    page.goto(url)
    page.wait_for_function(READY, polling=500)
    workflow = json.loads((REPOSITORY / "workflows" / f"{name}.json").read_text(encoding="utf-8"))
    page.evaluate("workflow => app.loadGraphData(workflow)", workflow)
    page.wait_for_function("count => app.graph.nodes.length === count", arg=len(workflow["nodes"]))


def test_no_node_is_missing(editor):
    assert editor.evaluate(MISSING_TYPES) == []
    own = editor.evaluate("() => app.graph.nodes.map(n => n.type).filter(t => t.startsWith('C3D'))")
    assert len(own) >= 9


EXPORT = """async () => {
    const {output} = await app.graphToPrompt();
    for (const node of Object.values(output)) node._meta = {title: node._meta.title};
    return output;
}"""
"""Without what newer editors add to a node's title: the pack that it is of, and its version."""


def test_the_editor_exports_the_graph_that_the_service_submits(editor):
    assert editor.evaluate(EXPORT) == load_graph("Picture to rigged character")[0]


@pytest.mark.nightly
@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_workflow_opens_and_exports(editor, comfyui, name):
    """In a tab of its own; the tests that are named after them run their API graphs."""
    page = editor.context.new_page()
    open_workflow(page, comfyui.url, name)
    exported, missing = page.evaluate(EXPORT), page.evaluate(MISSING_TYPES)
    page.close()
    if missing and name.startswith(("Pixal3D", "TRELLIS.2")):
        pytest.skip(f"this ComfyUI has no {', '.join(missing)}")
    assert (exported, missing) == (load_graph(name)[0], [])


NEED_IT = {
    "Transparency to subject mask": (set(), set()),
    "Framed picture": (set(), set()),
    "Edit figure": (set(), {"Figure", "Save figure"}),
    "Save figure": (set(), set()),
    "Save raw mesh": (set(), {"Show raw mesh"}),
    "Preview raw mesh": (set(), set()),
    "Generate views": (set(), {"Bake texture", "Six views"}),
    "Bake texture": (
        set(),
        {"Save textured mesh", "Rig character", "Preview textured mesh", "Quality report"},
    ),
    "Save textured mesh": (set(), {"Show textured mesh"}),
    "Rig character": ({"Add animation"}, {"Add animation"}),
    "Add animation": (set(), {"Save rigged character", "Preview animation"}),
    "Save rigged character": (set(), {"Show rigged character"}),
    "Quality report": (set(), set()),
}
"""Title of a node -> those that ComfyUI refuses, by an input of theirs, where it is bypassed and muted.

Of a *Show …* without its file editors of 2026 send the empty text of its widget: it shows nothing.
"""
EXPORT_WITHOUT = """async ([title, mode]) => {
    const node = app.graph.nodes.find(n => n.title === title);
    node.mode = mode;
    const {output} = await app.graphToPrompt();
    node.mode = 0;
    return output;
}"""
BYPASSED, MUTED = 4, 2


@pytest.mark.nightly
@pytest.mark.parametrize("title", NEED_IT)
def test_what_a_node_that_is_left_out_is_missed_by(editor, client, title):
    for mode, expected in zip((BYPASSED, MUTED), NEED_IT[title], strict=True):
        graph = editor.evaluate(EXPORT_WITHOUT, [title, mode])
        refused = {graph[number]["_meta"]["title"] for number in client.validate(graph)}
        texts = {node["_meta"]["title"] for node in graph.values() if node["inputs"].get("model_file") == ""}
        assert refused == expected - texts


def type_until_found(page, name, kind):
    """Type a name until the search shows what is of that kind: blueprints come later than the editor."""
    found = page.get_by_text(kind, exact=True).first
    deadline = time.monotonic() + PATIENCE / 1000
    while not found.is_visible():
        assert time.monotonic() < deadline, f"no {name} in the search"
        page.keyboard.press("Control+A")
        page.keyboard.type(name)
        page.wait_for_timeout(3_000)


def place_blueprint(page, url, name):
    """Find a subgraph blueprint in the search for nodes, and put it into an empty graph."""
    page.goto(url)
    page.wait_for_function(READY, polling=500)
    page.evaluate("() => app.graph.clear()")
    page.evaluate("() => app.extensionManager.command.execute('Workspace.SearchBox.Toggle')")
    page.wait_for_function("() => document.activeElement.matches('input, [role=combobox]')")
    type_until_found(page, name, "Subgraph Blueprints" if IS_OLD else "Blueprint")
    page.keyboard.press("Enter")
    for x in range(700, 720, 5):  # newer frontends let it hang on the mouse until a click
        page.mouse.move(x, 500)
    page.mouse.click(720, 500)
    page.wait_for_function("name => app.graph.nodes[0]?.title === name", arg=name)


CONNECT = """async ([type, values]) => {
    const source = LiteGraph.createNode(type);
    app.graph.add(source);
    const widgets = [...source.widgets, ...app.graph.nodes[0].widgets];
    for (const [name, value] of Object.entries(values)) widgets.find(w => w.name === name).value = value;
    source.connect(0, app.graph.nodes[0], 0);
    return (await app.graphToPrompt()).output;
}"""
"""Feeds the subgraph from a node and exports; values of widgets of either."""
BLUEPRINTS = {
    "Mesh to rigged character": ("C3DLoadMesh", {"mesh_file": "elf.glb"}),
    "Picture to rigged character": ("LoadImage", {"image": "elf.png", "face_count": 5000, "image_size": 512}),
}


@pytest.mark.nightly
@pytest.mark.parametrize("name", BLUEPRINTS)
def test_a_blueprint_is_placed_and_runs(editor, comfyui, name):
    client = Client(comfyui.url)
    try:
        offered = {entry["name"] for entry in client.get_json("/global_subgraphs").values()}
    except urllib.error.HTTPError:
        pytest.skip("this ComfyUI offers no subgraphs of packs")
    assert name in offered
    page = editor.context.new_page()
    place_blueprint(page, comfyui.url, name)
    graph = page.evaluate(CONNECT, BLUEPRINTS[name])
    page.close()
    assert client.validate(graph) == {}
    assert find_saved(comfyui.base, client.run_graph(graph)).volume > 0


REPORT = {
    "stage": "rigging",
    "method": "geodesic_voxel_binding",
    "seconds": 5.25,
    "warnings": [
        "This warning is longer than a line of the node, wherever it is shown, and takes two of them.",
        "Another warning.",
    ],
}
EXECUTED = """([title, output]) => {
    const node = app.graph.nodes.find(n => n.title === title).id.toString();
    app.api.dispatchCustomEvent("executed", {node, display_node: node, output, prompt_id: "here"});
}"""
"""What the editor does with a message of the server."""
SEEN = """title => {
    const node = app.graph.nodes.find(n => n.title === title);
    const lines = node.widgets.find(w => w.name === "last run").element.firstChild;
    const box = lines.getBoundingClientRect();
    const isSeen = y => lines.contains(document.elementFromPoint(box.x + box.width / 2, y));
    return isSeen(box.top + 4) && isSeen(box.bottom - 4) && lines.innerText;
}"""
"""The text of a report once its first and its last line are to be seen, with nothing over them."""
HIDDEN = """() => app.graph.nodes.flatMap(n => n.widgets ?? [])
    .filter(w => w.name === "job_id").map(w => w.hidden)"""


def check_report(page):
    exported = page.evaluate(EXPORT)
    page.evaluate(SHOW_VIEWER, "Rig character")
    page.evaluate(EXECUTED, ["Rig character", {"character3d_report": [REPORT]}])
    seen = page.wait_for_function(SEEN, arg="Rig character").json_value()
    told = [line.removeprefix("⚠ ") for line in seen.splitlines()]
    assert told == ["last run: geodesic_voxel_binding, 5.3 s", *REPORT["warnings"]]
    page.evaluate(EXECUTED, ["Quality report", {"text": REPORT["warnings"]}])
    page.evaluate(SHOW_VIEWER, "Quality report")
    seen = page.wait_for_function(SEEN, arg="Quality report").json_value()
    assert seen.splitlines() == REPORT["warnings"]
    assert page.evaluate(EXPORT) == exported
    assert "geodesic" not in page.evaluate("() => JSON.stringify(app.graph.serialize())")
    hidden = page.evaluate(HIDDEN)
    assert hidden and set(hidden) == {True}


def test_a_node_tells_of_its_last_run_and_saves_nothing_of_it(editor):
    check_report(editor)


IN_SUBGRAPH = """title => {
    const node = app.graph.nodes.find(n => n.title === title);
    const made = app.graph.convertToSubgraph(new Set([node]));
    return `${made.node.id}:${made.subgraph.nodes[0].id}`;
}"""
TELL = """([node, output]) =>
    app.api.dispatchCustomEvent("executed", {node, display_node: node, output, prompt_id: "here"})"""
TOLD = """() => [app.graph, ...app.graph.subgraphs?.values() ?? []].flatMap(graph => graph.nodes)
    .flatMap(node => node.widgets ?? []).filter(w => w.name === "last run")
    .map(w => w.element.innerText || w.element.textContent)"""
EXECUTE = "name => app.extensionManager.command.execute(name)"
ACTIVE = "() => app.extensionManager.workflow.activeWorkflow.path"


def go_and_return(page):
    """Open an empty workflow in a tab of its own, and come back. Commands end before what they do."""
    here = page.evaluate(ACTIVE)
    page.evaluate(EXECUTE, "Comfy.NewBlankWorkflow")
    page.wait_for_function(f"here => ({ACTIVE})() !== here && !app.graph.nodes.length", arg=here)
    page.evaluate(EXECUTE, "Workspace.PreviousOpenedWorkflow")
    page.wait_for_function(f"here => ({ACTIVE})() === here && app.graph.nodes.length", arg=here)


@pytest.mark.nightly
@pytest.mark.skipif(IS_OLD, reason="editors of 2025 forget what the nodes of a tab put out once it is left")
@pytest.mark.parametrize("is_in_subgraph", [False, True], ids=["node", "node of a subgraph"])
def test_a_report_comes_back_with_its_tab(editor, comfyui, is_in_subgraph):
    page = editor.context.new_page()
    open_workflow(page, comfyui.url, "Picture to rigged character")
    find = "title => app.graph.nodes.find(n => n.title === title).id.toString()"
    node = page.evaluate(IN_SUBGRAPH if is_in_subgraph else find, "Rig character")
    page.evaluate(TELL, [node, {"character3d_report": [REPORT]}])
    (before,) = page.evaluate(TOLD)
    go_and_return(page)
    page.wait_for_function(f"({TOLD})().length")
    assert page.evaluate(TOLD) == [before] and REPORT["warnings"][0] in before
    page.close()


@pytest.fixture(scope="module")
def queued(editor):
    """The editor after a run from Queue: the events of its run."""
    editor.evaluate(WATCH)
    editor.evaluate("() => app.queuePrompt(0, 1)")
    editor.wait_for_function(ENDED)
    return editor.evaluate("() => seen")


@pytest.mark.nightly
def test_it_runs_from_queue(queued):
    ended = [event for event in queued if event["type"].startswith("execution_")]
    assert [event["type"] for event in ended] == ["execution_success"], ended


NEXT_STAGES = {
    "Framed picture": "Generate mesh",
    "Figure": "Generate mesh",
    "Show raw mesh": "Generate views",
    "Preview raw mesh": "Generate views",
    "Six views": "Bake texture",
    "Show textured mesh": "Rig character",
    "Preview textured mesh": "Rig character",
}


@pytest.mark.nightly
def test_every_preview_is_there_before_the_next_stage(queued, editor, comfyui):
    described = Client(comfyui.url).get_json("/object_info/C3DRigCharacter")["C3DRigCharacter"]
    if described["output_node"]:
        pytest.skip("this ComfyUI runs previews and stages in any order")
    titles = editor.evaluate("() => Object.fromEntries(app.graph.nodes.map(n => [n.id, n.title]))")
    shown = [titles[event["detail"]["node"]] for event in queued if event["type"] == "executed"]
    for preview, stage in NEXT_STAGES.items():
        assert shown.index(preview) < shown.index(stage), shown


def find_viewer(page):
    """The box of the viewer in the middle of the page, once the editor has laid it there."""
    for _ in range(300):
        boxes = [box for canvas in page.locator(VIEWERS).all() if (box := canvas.bounding_box())]
        for box in boxes:
            if box["width"] > 400 and box["x"] < 800 < box["x"] + box["width"]:
                return box
        page.wait_for_timeout(200)
    raise AssertionError(f"no viewer in the middle of the page: {boxes}")


def shoot_viewer(page, path):
    """The pixels of the middle of the viewer; it draws only while the mouse is on it."""
    box = find_viewer(page)
    x, y, width, height = (box[name] for name in ("x", "y", "width", "height"))
    page.mouse.move(x - 60, y + height / 2)
    page.mouse.move(x + width * 0.9, y + height * 0.5, steps=3)
    page.wait_for_timeout(1_500)
    clip = {"x": x + width * 0.3, "y": y + height * 0.1, "width": width * 0.4, "height": height * 0.75}
    picture = Image.open(io.BytesIO(page.screenshot(path=path, clip=clip)))
    return np.asarray(picture.convert("RGB"), float)


def describe(pixels):
    """(is a model there, is it colored)"""
    color = np.ptp(pixels, axis=-1)
    return (pixels.max(axis=-1) > 120).mean() > 0.1, (color > 25).mean() > 0.04


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("title", "is_colored"),
    [("Show raw mesh", False), ("Show textured mesh", True), ("Show rigged character", True)],
)
def test_the_viewer_shows_the_model(queued, editor, title, is_colored, tmp_path):
    path = tmp_path / f"{title}.png"
    seen = None
    editor.evaluate(SHOW_VIEWER, title)
    editor.wait_for_timeout(1_000)
    editor.evaluate(RESIZE, title)
    for _ in range(40):  # software rendering draws about two frames a second
        if seen == (True, is_colored):
            break
        seen = describe(shoot_viewer(editor, path))
    editor.mouse.move(5, 5)  # in software a viewer that draws holds up every page
    sys.stdout.write(f"screenshot: {path}\n")
    assert seen == (True, is_colored), path


@pytest.mark.nightly
def test_the_viewer_fetched_the_models(queued, editor):
    fetched = {
        url.split("filename=")[1].split("&")[0]: status for url, status in editor.models if "filename=" in url
    }
    models = {name: status for name, status in fetched.items() if name.endswith((".glb", ".fbx"))}
    assert len(models) >= 3 and set(models.values()) == {200}, fetched


SELECT = """type => {
    const node = app.graph.nodes.find(n => n.type === type);
    app.canvas.centerOnNode(node);
    app.canvas.selectNode(node);
}"""
SHOWN = """type => {
    const node = app.graph.nodes.find(n => n.type === type);
    const names = slots => slots.map(slot => [slot.name, slot.localized_name]);
    return {inputs: names(node.inputs), outputs: names(node.outputs)};
}"""
TRANSLATED = """type => {
    const [slot] = LiteGraph.createNode(type).inputs;
    return slot.localized_name !== slot.name;
}"""
PICTURE = (
    """name => [...document.images].some(i => i.src.endsWith(`/docs/pictures/${name}`) && i.naturalWidth)"""
)


@pytest.mark.nightly
@pytest.mark.skipif(IS_OLD, reason="editors of 2025 lose the texts of packs when they load a language")
def test_in_chinese_a_node_and_its_help_page_are_chinese(editor, comfyui):
    node = "C3DRigCharacter"
    texts = json.loads((REPOSITORY / "locales/zh/nodeDefs.json").read_text(encoding="utf-8"))[node]
    page = editor.context.new_page()
    post_json(f"{comfyui.url}/api/settings", {"Comfy.Locale": "zh"})
    try:
        page.goto(comfyui.url)
        page.wait_for_function(READY, polling=500)
        page.wait_for_function(TRANSLATED, arg=node)
        page.evaluate("type => { app.graph.add(LiteGraph.createNode(type)); }", node)
        shown = page.evaluate(SHOWN, node)
        assert dict(shown["inputs"]) == {name: text["name"] for name, text in texts["inputs"].items()}
        assert [name for _, name in shown["outputs"]] == [text["name"] for text in texts["outputs"].values()]
        page.evaluate(SELECT, node)
        # Not by the mouse: the toolbox hides until the node is drawn, which viewers in software hold up.
        page.get_by_test_id("info-button").first.dispatch_event("click")
        page.wait_for_function(PICTURE, arg=f"{node}.jpg")
        assert page.get_by_role("heading", name=texts["display_name"]).count()
    finally:
        post_json(f"{comfyui.url}/api/settings", {"Comfy.Locale": "en"})
        page.close()
