"""The API-format graph that a job submits, and what its nodes mean to the job."""

from __future__ import annotations

import copy
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..pipeline.conventions import STAGES
from .parameters import FIELDS

GRAPH_FILE = Path(__file__).resolve().parent.parent / "workflows" / "api" / "character.json"

STAGE_NODES: Mapping[str, str] = {
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
"""Nodes that do a stage's work. Every other node belongs to the latest stage that it depends on."""

RESULT_NODES: Mapping[str, str] = {
    "Save raw mesh": "raw_mesh",
    "Save textured mesh": "textured_mesh",
    "Save rigged character": "rigged_character",
    "Preview raw mesh": "preview_images",
    "Preview textured mesh": "preview_images",
    "Preview animation": "preview_images",
}
"""Title of a node in the graph -> key of the file it writes in a job's results."""

SWITCHES: Mapping[str, str] = {"enable_rigging": "C3DRigCharacter", "animated_preview": "C3DPreviewAnimation"}
"""Form field -> the nodes that go, with all that depends on them, when it is false."""

UNBOUND_FIELDS = frozenset({*SWITCHES, "webhook_url"})
"""Fields that the service itself obeys."""

Prompt = dict[str, dict[str, Any]]


class GraphError(Exception):
    """The graph file does not fit the service; the message says what is missing."""


@dataclass(frozen=True)
class JobGraph:
    """A prompt for ComfyUI with what the job must know about it.

    stages: the stages that run, in order. node_stages: node id -> stage. result_nodes: node id ->
    result key. field_stages: form field -> stages whose nodes take it.
    """

    prompt: Prompt
    stages: tuple[str, ...]
    node_stages: Mapping[str, str]
    result_nodes: Mapping[str, str]
    field_stages: Mapping[str, frozenset[str]]

    def needed_nodes(self, outputs: list[str]) -> frozenset[str]:
        """The nodes that ComfyUI runs for these output nodes: they and all that they depend on."""
        needed, waiting = set[str](), list(outputs)
        while waiting:
            node_id = waiting.pop()
            if node_id not in needed:
                needed.add(node_id)
                waiting.extend(_links(self.prompt[node_id]))
        return frozenset(needed)

    def is_stage_node(self, node_id: str) -> bool:
        """Whether the node does a stage's work, rather than saving or showing it."""
        return self.prompt[node_id]["class_type"] in STAGE_NODES

    def order_nodes(self, node_ids: list[str]) -> list[str]:
        """The nodes by stage, and within a stage inputs first.

        ComfyUI runs ready output nodes in the order in which they are given, so a stage's files are
        saved and shown before the next stage starts.
        """
        depth = _node_depths(self.prompt)
        return sorted(node_ids, key=lambda node: (STAGES.index(self.node_stages[node]), depth[node], node))


def _links(node: Mapping[str, Any]) -> Iterator[str]:
    for value in node["inputs"].values():
        if isinstance(value, list) and len(value) == 2:
            yield str(value[0])


def _node_depths(prompt: Prompt) -> dict[str, int]:
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
    """The prompt without the nodes of these types and all that depends on them."""
    removed = {node_id for node_id, node in prompt.items() if node["class_type"] in class_types}
    depths = _node_depths(prompt)
    for node_id in sorted(prompt, key=depths.__getitem__):
        if removed.intersection(_links(prompt[node_id])):
            removed.add(node_id)
    return {node_id: node for node_id, node in prompt.items() if node_id not in removed}


def _own_inputs(prompt: Prompt) -> Iterator[tuple[str, str]]:
    """(node id, input name) of every unlinked input of this pack's nodes."""
    for node_id, node in prompt.items():
        if node["class_type"].startswith("C3D"):
            for name, value in node["inputs"].items():
                if not isinstance(value, list):
                    yield node_id, name


def _field_stages(prompt: Prompt, node_stages: Mapping[str, str]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for node_id, name in _own_inputs(prompt):
        if name in FIELDS:
            found.setdefault(name, set()).add(node_stages[node_id])
    return {name: frozenset(stages) for name, stages in found.items()}


def _result_nodes(prompt: Prompt) -> dict[str, str]:
    titles = {node_id: node.get("_meta", {}).get("title", "") for node_id, node in prompt.items()}
    return {node_id: RESULT_NODES[title] for node_id, title in titles.items() if title in RESULT_NODES}


def load_template(path: Path = GRAPH_FILE) -> Prompt:
    """Read a graph in API format; raises GraphError when a field or a result has no node."""
    prompt: Prompt = json.loads(path.read_text(encoding="utf-8"))
    bound = {name for _, name in _own_inputs(prompt)}
    missing = sorted(FIELDS.keys() - bound - UNBOUND_FIELDS)
    missing += sorted(set(RESULT_NODES.values()) - set(_result_nodes(prompt).values()))
    if missing:
        raise GraphError(f"{path.name}: no node for {', '.join(missing)}")
    if not any(node["class_type"] == "LoadImage" for node in prompt.values()):
        raise GraphError(f"{path.name}: no LoadImage node")
    return prompt


def build_graph(template: Prompt, job_id: str, image: str, values: Mapping[str, Any]) -> JobGraph:
    """Bind a job to a copy of the template.

    Every unlinked input of this pack's nodes that is named like a form field takes that field's
    value, `job_id` inputs take the job's id, and LoadImage takes the picture.
    """
    prompt = copy.deepcopy(template)
    prompt = _prune(prompt, {node for field, node in SWITCHES.items() if not values[field]})
    bound = {**values, "job_id": job_id}
    for node_id, name in _own_inputs(prompt):
        if name in bound:
            prompt[node_id]["inputs"][name] = bound[name]
    for node in prompt.values():
        if node["class_type"] == "LoadImage":
            node["inputs"]["image"] = image
    node_stages = _assign_stages(prompt)
    stages = tuple(stage for stage in STAGES if stage in node_stages.values())
    fields = _field_stages(prompt, node_stages)
    return JobGraph(prompt, stages, node_stages, _result_nodes(prompt), fields)
