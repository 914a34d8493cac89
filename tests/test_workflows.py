"""The bundled workflows as files: both forms agree, and what a person sees of one as it opens can be read."""

import json
import re
from itertools import combinations
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
FOLDER = REPOSITORY / "workflows"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))
BLUEPRINTS = sorted((REPOSITORY / "subgraphs").glob("*.json"))
CATALOGUE = (REPOSITORY / "pipeline" / "weights.json").read_text(encoding="utf-8")
OF_CORE = {
    "hunyuan_3d_v2.1.safetensors",
    "pixal3d_int8_convrot.safetensors",
    "trellis_2_int8_convrot.safetensors",
    "trellis_2_shape_vae_bf16.safetensors",
    "trellis_2_texture_vae_bf16.safetensors",
    "dino_v3_L_naf_fp32.safetensors",
    "moge_2_vitl_normal_fp16.safetensors",
}
"""Files of ComfyUI's own loaders, which the pack's catalogue does not have."""
LAPTOP = (1440, 900)
"""Of a browser's window, in pixels."""
LEGIBLE = 0.8
"""The editor's zoom from which its 14 pixels of text are eleven."""
TITLE = 30
"""Height of a node's title, which is above its position."""

every_workflow = pytest.mark.parametrize("name", NAMES)


def load(name):
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def find_start(workflow):
    (start,) = (group["bounding"] for group in workflow["groups"] if group["title"] == "Start here")
    return start


def find_box(node):
    (x, y), (width, height) = node["pos"], node["size"]
    return x, y - TITLE, x + width, y + height


def is_inside(box, bounding):
    x, y, width, height = bounding
    return box[0] >= x and box[1] >= y and box[2] <= x + width and box[3] <= y + height


@every_workflow
def test_both_forms_have_the_same_nodes_and_links(name):
    workflow = load(name)
    api = json.loads((FOLDER / "api" / f"{name}.json").read_text(encoding="utf-8"))
    nodes = {str(node["id"]): node for node in workflow["nodes"] if node["type"] != "MarkdownNote"}
    links = {link[0]: [str(link[1]), link[2]] for link in workflow["links"]}
    assert {key: node["type"] for key, node in nodes.items()} == {
        key: node["class_type"] for key, node in api.items()
    }
    for key, node in nodes.items():
        assert node["title"] == api[key]["_meta"]["title"]
        linked = {
            item["name"]: links[item["link"]] for item in node["inputs"] if item.get("link") is not None
        }
        assert linked == {
            slot: value for slot, value in api[key]["inputs"].items() if isinstance(value, list)
        }


@every_workflow
def test_each_link_is_known_at_both_of_its_ends(name):
    """The editor mends others with a warning over the workflow."""
    workflow = load(name)
    links = sorted(workflow["links"])
    assert len({link[0] for link in links}) == len(links)
    starts = [
        [link, node["id"], slot]
        for node in workflow["nodes"]
        for slot, output in enumerate(node["outputs"])
        for link in output["links"] or ()
    ]
    ends = [
        [item["link"], node["id"], slot]
        for node in workflow["nodes"]
        for slot, item in enumerate(node["inputs"])
        if item.get("link") is not None
    ]
    assert sorted(starts) == [link[:3] for link in links]
    assert sorted(ends) == [[link[0], *link[3:5]] for link in links]


@every_workflow
def test_it_opens_legible_where_one_starts(name):
    workflow = load(name)
    view, start = workflow["extra"]["ds"], find_start(workflow)
    assert view["scale"] >= LEGIBLE
    left, top = ((start[axis] + view["offset"][axis]) * view["scale"] for axis in (0, 1))
    right, bottom = left + start[2] * view["scale"], top + start[3] * view["scale"]
    assert left >= 50 and top >= 40 and right <= LAPTOP[0] and bottom <= LAPTOP[1]


@every_workflow
def test_its_note_says_where_to_start_and_names_files_that_there_are(name):
    workflow = load(name)
    (note,) = (node for node in workflow["nodes"] if node["type"] == "MarkdownNote")
    (text,) = note["widgets_values"]
    assert is_inside(find_box(note), find_start(workflow)) and text.startswith("## ")
    assert "://" not in text
    for file in re.findall(r"\*\*([\w.-]+\.(?:safetensors|ckpt|pth|onnx))\*\*", text):
        assert f'"{file}"' in CATALOGUE or file in OF_CORE


def check_places(graph):
    """Each node lies in one group, and none over another."""
    for node in graph["nodes"]:
        groups = [group for group in graph["groups"] if is_inside(find_box(node), group["bounding"])]
        assert len(groups) == 1, node["title"]
    for one, other in combinations(graph["nodes"], 2):
        a, b = find_box(one), find_box(other)
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1], (one["title"], other["title"])


@every_workflow
def test_nodes_lie_in_one_group_each_and_not_over_each_other(name):
    check_places(load(name))


@pytest.mark.parametrize("file", BLUEPRINTS, ids=lambda file: file.stem)
def test_so_they_do_in_a_blueprint_where_they_take_as_much_room(file):
    (subgraph,) = json.loads(file.read_text(encoding="utf-8"))["definitions"]["subgraphs"]
    check_places(subgraph)
    sizes = {node["type"]: node["size"][1] for node in load("Picture to rigged character")["nodes"]}
    own = [node for node in subgraph["nodes"] if node["type"] != "MarkdownNote"]
    assert all(node["size"][1] >= sizes[node["type"]] for node in own)


@pytest.mark.parametrize("file", BLUEPRINTS, ids=lambda file: file.stem)
def test_in_a_blueprint_widgets_come_after_all_other_inputs(file):
    """Editors of 2025 bring them into that order, and then find by its old place what a link sets."""
    (subgraph,) = json.loads(file.read_text(encoding="utf-8"))["definitions"]["subgraphs"]
    inputs = {node["id"]: node["inputs"] for node in subgraph["nodes"]}
    for items in inputs.values():
        assert items == sorted(items, key=lambda item: "widget" in item)
    for link in subgraph["links"]:
        if items := inputs.get(link["target_id"]):
            assert items[link["target_slot"]]["link"] == link["id"]


def test_a_graph_from_a_picture_to_a_rig_measures_its_result():
    files = [*FOLDER.glob("*.json"), *BLUEPRINTS]
    types = {file: set(re.findall(r'"type": "(C3D\w+)"', file.read_text(encoding="utf-8"))) for file in files}
    whole = {file for file, names in types.items() if {"C3DBakeTexture", "C3DRigCharacter"} <= names}
    assert len(whole) > 3 and whole & set(BLUEPRINTS)
    assert {file.stem for file in whole if "C3DReportQuality" not in types[file]} == set()
