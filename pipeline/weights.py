"""The catalogue of weights (weights.json) and what the name of a model's file tells.

The keys of a file do not tell whether the model takes several pictures, nor whether it was distilled to a few
steps; the names of all releases so far do.
"""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SHAPE_MODEL_FOLDERS = ("diffusion_models", "checkpoints")
"""ComfyUI's model folders that are searched for shape models, in this order."""
SHAPE_MODEL_SUFFIXES = (".safetensors", ".ckpt")
"""Single files; pickles (.ckpt) are loaded with `weights_only`."""

VIEW_ADAPTER_FOLDERS = ("model_patches", "controlnet")
"""ComfyUI's model folders that are searched for view adapters; older versions have only the second."""

RIG_MODEL_FOLDERS = ("make_it_animatable",)
"""Model folder of Make-It-Animatable's files."""
_RIG_SUFFIXES = (".pth", ".safetensors")

TOKEN_MODEL_FOLDERS = ("skintokens",)
"""Model folder of SkinTokens' file."""
_TOKEN_SUFFIXES = (".ckpt", ".safetensors")

OWN_MODEL_FOLDERS = (*RIG_MODEL_FOLDERS, *TOKEN_MODEL_FOLDERS, "blazeface", "blazepose", "isnet", "u2net")
"""Model folders that no ComfyUI has by itself: the pack registers them."""

_SHAPE_MODEL = re.compile(r"hunyuan[-_ ]?3d|hy3d", re.IGNORECASE)
_NOT_SHAPE = re.compile(r"paint|delight|vae|texgen", re.IGNORECASE)
_VIEW_ADAPTER = re.compile(r"ig2mv.*sdxl|sdxl.*ig2mv", re.IGNORECASE)


@functools.cache
def load_catalogue() -> Mapping[str, Any]:
    """Return the catalogue: licenses by key, and the models of each kind, best first."""
    text = Path(__file__).with_name("weights.json").read_text(encoding="utf-8")
    catalogue: Mapping[str, Any] = json.loads(text)
    return catalogue


@dataclass(frozen=True)
class ShapeModelTraits:
    """multiview: takes front, left, back and right pictures. turbo: distilled to 5 to 10 steps."""

    multiview: bool
    turbo: bool


def read_traits(name: str) -> ShapeModelTraits:
    """Infer the traits of a shape model from its file name, including the folder."""
    words = set(re.split(r"[^a-z0-9]+", name.lower()))
    return ShapeModelTraits(bool(words & {"mv", "2mv", "multiview"}), "turbo" in words)


def list_shape_models(names: Iterable[str]) -> list[str]:
    """Return the names of Hunyuan3D shape models, in the order of the catalogue, then by name."""
    found = {
        name
        for name in names
        if name.lower().endswith(SHAPE_MODEL_SUFFIXES)
        and _SHAPE_MODEL.search(name)
        and not _NOT_SHAPE.search(name)
    }
    return sorted(found, key=lambda name: (_rank(name), name))


def _rank(name: str) -> int:
    """Rank in the catalogue of the file, or of the catalogue's file with the most similar name."""
    name = name.replace("\\", "/").lower()
    models = load_catalogue()["shape_models"]
    stems = [[_stem(file) for file in (model["file"], *model["also"])] for model in models]
    matches = [
        (-len(stem), rank) for rank, files in enumerate(stems) for stem in files if stem in _stem(name)
    ]
    return min(matches)[1] if matches else len(models)


def measure_shape_model(name: str) -> float:
    """GB of a shape model's file, as the catalogue says; of one that it lacks, those of its largest."""
    models, rank = load_catalogue()["shape_models"], _rank(name)
    sizes = [float(model["gigabytes"]) for model in models]
    return sizes[rank] if rank < len(sizes) else max(sizes)


def _stem(name: str) -> str:
    """The name without precision and suffix, common to the variants of a model."""
    return re.sub(r"([-_/.]|model|fp16|fp32|bf16|safetensors|ckpt)+", "-", name.lower()).strip("-")


def list_view_adapters(names: Iterable[str]) -> list[str]:
    """Return the names of IG2MV adapters for SDXL, those for partial pictures last."""
    found = (name for name in names if name.lower().endswith(".safetensors") and _VIEW_ADAPTER.search(name))
    return sorted(found, key=lambda name: ("partial" in name.lower(), name))


def list_rig_files(names: Iterable[str]) -> dict[str, str]:
    """Return Make-It-Animatable's files by stem; of several, the one in the shallowest folder."""
    known = {os.path.splitext(model["file"])[0] for model in load_catalogue()["rig_models"]}
    found: dict[str, str] = {}
    for name in sorted(names, key=lambda file: (len(re.split(r"[/\\]", file)), file)):
        stem, suffix = os.path.splitext(re.split(r"[/\\]", name)[-1])
        if stem in known and suffix.lower() in _RIG_SUFFIXES:
            found.setdefault(stem, name)
    return found


def list_token_models(names: Iterable[str]) -> list[str]:
    """Return the names of SkinTokens' files, the one in the shallowest folder first."""
    known = {os.path.splitext(model["file"])[0] for model in load_catalogue()["token_models"]}
    found = []
    for name in names:
        stem, suffix = os.path.splitext(re.split(r"[/\\]", name)[-1])
        if stem in known and suffix.lower() in _TOKEN_SUFFIXES:
            found.append(name)
    return sorted(found, key=lambda file: (len(re.split(r"[/\\]", file)), file))


def describe_shape_models() -> str:
    """Describe the catalogue's shape models, one per line: file, size, license, territory, source."""
    return describe_models("shape_models")


def describe_view_adapters() -> str:
    """Describe the catalogue's view adapters, one per line: file, size, license, territory, source."""
    return describe_models("view_adapters")


def describe_rig_models() -> str:
    """Describe the files of the learned rigging method, one per line, with size, license and source."""
    return describe_models("rig_models")


def describe_models(kind: str) -> str:
    """Describe a list of the catalogue, one model per line: file, size, license, territory, source."""
    catalogue = load_catalogue()
    lines = []
    for model in catalogue[kind]:
        licence = catalogue["licences"][model["licence"]]
        lines.append(
            f"{model['file']} ({model['model']}, {_describe_size(model)}; {licence['name']}, "
            f"{licence['territory']}; {model['source']})"
        )
    return "\n".join(lines)


def _describe_size(model: Mapping[str, Any]) -> str:
    return f"{model['bytes'] / 1e6:.1f} MB" if "bytes" in model else f"{model['gigabytes']} GB"
