"""The API-format graph (ComfyUI's prompt) of a job: its nodes, bound to the form, and the stage of each."""

from __future__ import annotations

import copy
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..pipeline.conventions import PICTURE_VIEWS, SIDE_NAMES, STAGES, VIEW_NAMES
from ..pipeline.presets import NO_PRESET
from .parameters import FIELDS
from .upload import MESH, SHEET, SIDE_PICTURES, TEXTURE

GRAPH_FILE = Path(__file__).resolve().parent.parent / "workflows" / "api" / "Picture to rigged character.json"

STAGE_NODES: Mapping[str, str] = {
    "C3DSplitSheet": "preprocessing",
    "C3DLoadMesh": "preprocessing",
    "C3DPreprocessPicture": "preprocessing",
    "C3DGenerateMesh": "mesh_generation",
    "C3DLoadShapeModel": "mesh_generation",
    "C3DDecodeShape": "mesh_generation",
    "C3DCleanMesh": "mesh_generation",
    "C3DRenderViewMaps": "generating_multiview_texture",
    "C3DGenerateViews": "generating_multiview_texture",
    "C3DBakeTexture": "texture_baking",
    "C3DRigCharacter": "rigging",
}
"""Node type -> the stage whose work it does. Any other node belongs to the latest stage it depends on."""

RESULT_NODES: Mapping[str, str] = {
    "Save raw mesh": "raw_mesh",
    "Save textured mesh": "textured_mesh",
    "Save rigged character": "rigged_character",
    "Preview raw mesh": "preview_images",
    "Preview textured mesh": "preview_images",
    "Preview animation": "preview_images",
    "Save figure": "figure",
    "Save views": "views",
    "Quality report": "report",
}
"""Title of a node -> the key, in a job's results or downloads, of the file that it writes."""

SHOWN_NODES: Mapping[str, str] = {"Framed picture": "cut_out", "Figure": "figure", "Six views": "views"}
"""Title of a node -> what the pictures are that it shows while the job runs."""

SWITCHES: Mapping[str, str] = {"enable_rigging": "C3DRigCharacter", "animated_preview": "C3DPreviewAnimation"}
"""Form field -> the node type that is removed, with all that depends on it, when the field is false."""

OPTIONAL_LINKS: Mapping[str, Collection[str]] = {"C3DReportQuality": ("character",)}
"""Node type -> inputs that it does without: it stays when what they come from is removed."""

UNBOUND_FIELDS = frozenset({*SWITCHES, "webhook_url", "root_motion", "views", "preset"})
"""Fields that the service handles itself; no node of the template takes them."""
MOTION_AFTER, MOTION_NODE = "C3DAddAnimation", "C3DLoadMotion"
"""The node type whose character a motion is put onto, and the one that does it."""
PICTURE_NODE, SHEET_NODE = "C3DPreprocessPicture", "C3DSplitSheet"
"""The node type that takes all pictures, and the one that makes several of one."""
SHEET_VIEWS = ("image", "left", "right", "back")
"""Inputs of the former for the views that the latter puts out, each as picture and mask, in this order."""
MASKS: Mapping[str, str] = {"image": "mask", **{side: f"{side}_mask" for side in SIDE_NAMES}}
"""Input for a picture -> the one for its mask."""
VIEWS_NODE, BAKE_NODE = "C3DGenerateViews", "C3DBakeTexture"
SAVE_NODE, REPLACE_NODE, TEXTURE_NODE = "C3DSaveViews", "C3DReplaceViews", "C3DApplyTexture"
"""Node types that make the views and bake them, and those that save and replace views and texture."""
LOAD_NODE, RIG_NODE, CHARACTER_NODE = "C3DLoadMesh", "C3DRigCharacter", "C3DSaveCharacter"
"""Node types that take a client's mesh, rig it and save it."""
OF_A_PICTURE: Mapping[str, Collection[str]] = {RIG_NODE: ("figure", "face"), CHARACTER_NODE: ("model_file",)}
"""Node type -> its optional inputs that need a picture."""
OWN_INPUTS = frozenset({(BAKE_NODE, "texture_size")})
"""Inputs that keep the template's values, although a form field has their name: that is of the file."""
NEWEST_CLIP = "newest clip"
"""What the preview shows of a character with a motion."""

Prompt = dict[str, dict[str, Any]]


class GraphError(Exception):
    """The graph file lacks a node that the service needs; the message says which."""


@dataclass(frozen=True)
class JobGraph:
    """A prompt for ComfyUI, and what its nodes are to the job.

    stages: the stages that run, in order. node_stages: node id -> stage. result_nodes: node id ->
    result key. field_stages: form field -> the stages whose nodes take it.
    """

    prompt: Prompt
    stages: tuple[str, ...]
    node_stages: Mapping[str, str]
    result_nodes: Mapping[str, str]
    field_stages: Mapping[str, frozenset[str]]

    def needed_nodes(self, outputs: list[str]) -> frozenset[str]:
        """The nodes that ComfyUI runs for these output nodes: themselves and everything they depend on."""
        needed, waiting = set[str](), list(outputs)
        while waiting:
            node_id = waiting.pop()
            if node_id not in needed:
                needed.add(node_id)
                waiting.extend(_links(self.prompt[node_id]))
        return frozenset(needed)

    def is_stage_node(self, node_id: str) -> bool:
        """Whether the node does the work of a stage, rather than saving or showing its result."""
        return self.prompt[node_id]["class_type"] in STAGE_NODES

    def name_shown(self, node_id: str) -> str | None:
        """What the pictures are that a node shows; None of any other node."""
        return SHOWN_NODES.get(self.prompt[node_id].get("_meta", {}).get("title", ""))

    def order_nodes(self, node_ids: list[str]) -> list[str]:
        """Sort nodes by stage, and within a stage by depth.

        ComfyUI runs output nodes that are ready in the given order, so the files of a stage are saved
        and shown before the next stage starts.
        """
        depth = _node_depths(self.prompt)
        return sorted(node_ids, key=lambda node: (STAGES.index(self.node_stages[node]), depth[node], node))


def _links(node: Mapping[str, Any]) -> Iterator[str]:
    for value in node["inputs"].values():
        if isinstance(value, list) and len(value) == 2:
            yield str(value[0])


def _node_depths(prompt: Prompt) -> dict[str, int]:
    """Node id -> length of the longest chain of links that ends at the node."""
    depths: dict[str, int] = {}

    def depth(node_id: str) -> int:
        if node_id not in depths:
            depths[node_id] = 1 + max((depth(link) for link in _links(prompt[node_id])), default=0)
        return depths[node_id]

    for node_id in prompt:
        depth(node_id)
    return depths


def _assign_stages(prompt: Prompt) -> dict[str, str]:
    stages: dict[str, str] = {}
    depths = _node_depths(prompt)
    for node_id in sorted(prompt, key=depths.__getitem__):
        own = STAGE_NODES.get(prompt[node_id]["class_type"], STAGES[0])
        inherited = (stages[link] for link in _links(prompt[node_id]))
        stages[node_id] = max((own, *inherited), key=STAGES.index)
    return stages


def _prune(prompt: Prompt, class_types: Collection[str]) -> Prompt:
    """Remove the nodes of these types and everything that depends on them."""
    removed = {node_id for node_id, node in prompt.items() if node["class_type"] in class_types}
    depths = _node_depths(prompt)
    for node_id in sorted(prompt, key=depths.__getitem__):
        _drop_links(prompt[node_id], removed)
        if not removed.isdisjoint(_links(prompt[node_id])):
            removed.add(node_id)
    return {node_id: node for node_id, node in prompt.items() if node_id not in removed}


def _drop_links(node: dict[str, Any], removed: Collection[str]) -> None:
    """Let a node do without the links to removed nodes that it can do without."""
    for name in OPTIONAL_LINKS.get(node["class_type"], ()):
        if name in node["inputs"] and node["inputs"][name][0] in removed:
            del node["inputs"][name]


def _unlinked_inputs(prompt: Prompt) -> Iterator[tuple[str, str]]:
    """(node id, input name) of every unlinked input of this pack's nodes."""
    for node_id, node in prompt.items():
        if node["class_type"].startswith("C3D"):
            for name, value in node["inputs"].items():
                if not isinstance(value, list) and (node["class_type"], name) not in OWN_INPUTS:
                    yield node_id, name


def _field_stages(prompt: Prompt, node_stages: Mapping[str, str]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for node_id, name in _unlinked_inputs(prompt):
        if name in FIELDS:
            found.setdefault(name, set()).add(node_stages[node_id])
    return {name: frozenset(stages) for name, stages in found.items()}


def _result_nodes(prompt: Prompt) -> dict[str, str]:
    titles = {node_id: node.get("_meta", {}).get("title", "") for node_id, node in prompt.items()}
    return {node_id: RESULT_NODES[title] for node_id, title in titles.items() if title in RESULT_NODES}


def load_template(path: Path = GRAPH_FILE) -> Prompt:
    """Read a graph in API format; raises GraphError if a form field or a result has no node."""
    prompt: Prompt = json.loads(path.read_text(encoding="utf-8"))
    bound = {name for _, name in _unlinked_inputs(prompt)}
    missing = sorted(FIELDS.keys() - bound - UNBOUND_FIELDS)
    missing += sorted(set(RESULT_NODES.values()) - {*_result_nodes(prompt).values(), "views"})
    if missing:
        raise GraphError(f"{path.name}: no node for {', '.join(missing)}")
    if not any(node["class_type"] == "LoadImage" for node in prompt.values()):
        raise GraphError(f"{path.name}: no LoadImage node")
    return prompt


def _insert_motion(prompt: Prompt, motion: str, root_motion: str) -> None:
    """Put a node in place that puts a motion onto the character; nothing where no character is rigged."""
    before = next((key for key, node in prompt.items() if node["class_type"] == MOTION_AFTER), None)
    if before is None:
        return
    inputs: dict[str, Any] = {"motion_file": motion, "root_motion": root_motion, "clip_name": "motion"}
    number = _add_node(prompt, MOTION_NODE, "Load motion", inputs)
    _relink(prompt, [before, 0], [number, 0])
    for node in prompt.values():
        if node["class_type"] == SWITCHES["animated_preview"]:
            node["inputs"]["motion"] = NEWEST_CLIP
    inputs["character"] = [before, 0]


def _add_node(prompt: Prompt, class_type: str, title: str, inputs: dict[str, Any]) -> str:
    """Add a node; returns its id."""
    number = str(1 + max(map(int, prompt)))
    prompt[number] = {"class_type": class_type, "inputs": inputs, "_meta": {"title": title}}
    return number


def _split_sheet(prompt: Prompt, inputs: dict[str, Any]) -> None:
    """Put a node before the preprocessing, of these inputs, that splits its picture into views."""
    taken = {name: inputs[name] for name in ("image", "mask")}
    split = _add_node(prompt, SHEET_NODE, "Split sheet", {**taken, "figure": inputs["figure"]})
    inputs["figure"] = -1
    for index, name in enumerate(SHEET_VIEWS):
        inputs |= {name: [split, 2 * index], MASKS[name]: [split, 2 * index + 1]}


def _insert_pictures(prompt: Prompt, pictures: Mapping[str, str], uses_sheet: bool) -> None:
    """Have the preprocessing take the further pictures, and those on a sheet."""
    inputs = prompt[_find_type(prompt, PICTURE_NODE)]["inputs"]
    if SHEET in pictures and uses_sheet:
        _split_sheet(prompt, inputs)
    for name, side in SIDE_PICTURES.items():
        if name in pictures:
            load = _add_node(prompt, "LoadImage", f"Load {side} picture", {"image": pictures[name]})
            mask = _add_node(prompt, "InvertMask", f"Mask of {side} picture", {"mask": [load, 1]})
            inputs |= {side: [load, 0], MASKS[side]: [mask, 0]}


def _find_type(prompt: Prompt, class_type: str) -> str:
    """The id of the first node of a type."""
    return next(key for key, node in prompt.items() if node["class_type"] == class_type)


def _relink(prompt: Prompt, old: list[Any], new: list[Any]) -> None:
    """Let all that takes an output take another."""
    for node in prompt.values():
        for name, value in node["inputs"].items():
            if value == old:
                node["inputs"][name] = new


def _load_edits(prompt: Prompt, names: Collection[str], edits: Mapping[str, str]) -> dict[str, Any]:
    """Links to pictures that a person painted, by their names."""
    return {
        name: [_add_node(prompt, "LoadImage", f"Load painted {name}", {"image": edits[name]}), 0]
        for name in names
        if name in edits
    }


def _take_mesh(prompt: Prompt, mesh: str) -> Prompt:
    """Rig a mesh of the input folder in place of the one that is made of a picture."""
    for node in prompt.values():
        for name in OF_A_PICTURE.get(node["class_type"], ()):
            node["inputs"].pop(name, None)
        if node["class_type"] == CHARACTER_NODE:
            node["inputs"]["filename_prefix"] = "3D/rigged"
    placing = {"up": "auto", "front": "auto", "height_meters": 0.0}
    load = _add_node(prompt, LOAD_NODE, "Load mesh", {"mesh_file": mesh, **placing})
    prompt[_find_type(prompt, RIG_NODE)]["inputs"]["mesh"] = [load, 0]
    return _prune(prompt, {"LoadImage"})


def _take_pictures(
    prompt: Prompt, job_id: str, pictures: Mapping[str, str], edits: Mapping[str, str], uses_sheet: bool
) -> None:
    """Bind the pictures and what was painted, and have the views saved."""
    for node in prompt.values():
        if node["class_type"] == "LoadImage":
            node["inputs"]["image"] = pictures["image"] if "image" in pictures else pictures[SHEET]
    _insert_pictures(prompt, pictures, uses_sheet)
    _insert_edits(prompt, edits)
    _save_views(prompt, job_id)


def _insert_edits(prompt: Prompt, edits: Mapping[str, str]) -> None:
    """Put painted views, and a painted texture, in the place of those that are made."""
    views, baked = [_find_type(prompt, VIEWS_NODE), 0], [_find_type(prompt, BAKE_NODE), 0]
    if painted := _load_edits(prompt, VIEW_NAMES, edits):
        replaced = _add_node(prompt, REPLACE_NODE, "Replace views", painted)
        _relink(prompt, views, [replaced, 0])
        prompt[replaced]["inputs"]["views"] = views
    if texture := _load_edits(prompt, (TEXTURE,), edits):
        applied = _add_node(prompt, TEXTURE_NODE, "Apply texture", texture)
        _relink(prompt, baked, [applied, 0])
        prompt[applied]["inputs"]["mesh"] = baked


def _save_views(prompt: Prompt, job_id: str) -> None:
    """Have the views that are baked written as files."""
    bake = prompt[_find_type(prompt, BAKE_NODE)]["inputs"]
    taken = {name: bake[name] for name in ("views", "masks", "mesh")}
    options = {"filename_prefix": "3D/views", "container": "zip", "sheet": False, "job_id": job_id}
    _add_node(prompt, SAVE_NODE, "Save views", {**taken, **options})


def build_graph(
    template: Prompt,
    job_id: str,
    pictures: Mapping[str, str],
    values: Mapping[str, Any],
    motion: str = "",
    edits: Mapping[str, str] = MappingProxyType({}),
) -> JobGraph:
    """Make the graph of a job from a copy of the template.

    Each unlinked input of this pack's nodes takes the value of the form field of the same name, `job_id`
    inputs take the id of the job, and LoadImage takes the picture. pictures: files below the input folder by
    their names in the form, one of them `image` or SHEET, or MESH alone. values: every form field. motion: a
    file below the input folder that is put onto the character, or empty. edits: such files by the names of
    EDITS.
    """
    prompt = copy.deepcopy(template)
    if MESH in pictures:
        prompt = _take_mesh(prompt, pictures[MESH])
    prompt = _prune(prompt, {node for field, node in SWITCHES.items() if not values[field]})
    # Its settings are among the values; the node's own preset would take defaults for settings not chosen.
    bound = {**values, "preset": NO_PRESET, "job_id": job_id}
    for node_id, name in _unlinked_inputs(prompt):
        if name in bound:
            prompt[node_id]["inputs"][name] = bound[name]
    if MESH not in pictures:
        _take_pictures(prompt, job_id, pictures, edits, uses_sheet=values["views"] == PICTURE_VIEWS[0])
    if motion:
        _insert_motion(prompt, motion, values["root_motion"])
    node_stages = _assign_stages(prompt)
    stages = tuple(stage for stage in STAGES if stage in node_stages.values())
    fields = _field_stages(prompt, node_stages)
    return JobGraph(prompt, stages, node_stages, _result_nodes(prompt), fields)
