"""A VRM's expressions and look-at, by the names of its morph targets: VRMC_vrm 1.0.

Source: VRM Consortium, specification/VRMC_vrm-1.0/expressions.md and lookAt.md. Targets with ARKit's names
serve, whoever made them; an expression that lacks one of its targets is left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..types import Mesh, RiggedCharacter
from .joint_transforms import make_exact_rest

_LOOKS = {
    "Up": ("eyeLookUpLeft", "eyeLookUpRight"),
    "Down": ("eyeLookDownLeft", "eyeLookDownRight"),
    "Left": ("eyeLookOutLeft", "eyeLookInRight"),
    "Right": ("eyeLookInLeft", "eyeLookOutRight"),
}
_MOODS = {
    "happy": {"mouthSmile": 0.9, "eyeBlink": 0.25},
    "angry": {"browDown": 1.0, "mouthFrown": 0.5},
    "sad": {"mouthFrown": 0.8, "eyeBlink": 0.2},
    "relaxed": {"eyeBlink": 0.45, "mouthSmile": 0.35},
    "surprised": {"eyeWide": 1.0, "browOuterUp": 0.8},
}
"""Preset -> targets without their side, and how much of them."""
_RANGE = {"inputMaxValue": 35.0, "outputScale": 1.0}
"""Degrees at which the eyes look as far aside as the targets move them."""


def _list_presets() -> dict[str, dict[str, float]]:
    presets = {vowel: {vowel: 1.0} for vowel in ("aa", "ih", "ou", "ee", "oh")}
    presets["blink"] = {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}
    presets |= {f"blink{side}": {f"eyeBlink{side}": 1.0} for side in ("Left", "Right")}
    presets |= {f"look{way}": dict.fromkeys(targets, 1.0) for way, targets in _LOOKS.items()}
    for mood, parts in _MOODS.items():
        presets[mood] = {part + side: much for part, much in parts.items() for side in ("Left", "Right")}
    return presets


PRESETS = _list_presets()
"""Preset of VRM -> name of a morph target -> its weight."""


def list_expressions(mesh: Mesh) -> dict[str, list[tuple[int, float]]]:
    """Return the presets whose morph targets are all there: the number of each target, and how much of it."""
    morphs = () if mesh.extras is None else mesh.extras.morphs
    numbers = {morph.name: number for number, morph in enumerate(morphs)}
    return {
        preset: [(numbers[name], weight) for name, weight in targets.items()]
        for preset, targets in PRESETS.items()
        if set(targets) <= set(numbers)
    }


def describe_expressions(mesh: Mesh, node: int) -> dict[str, Any]:
    """Return `expressions` of VRMC_vrm, or nothing; node: that of the mesh."""
    presets = {
        preset: {
            "morphTargetBinds": [
                {"node": node, "index": index, "weight": weight} for index, weight in targets
            ]
        }
        for preset, targets in list_expressions(mesh).items()
    }
    return {"expressions": {"preset": presets}} if presets else {}


def describe_look_at(character: RiggedCharacter) -> dict[str, Any]:
    """Return `lookAt` of VRMC_vrm, from between the eyes, if morph targets turn them; else nothing."""
    mesh, skeleton = character.textured.mesh, character.skeleton
    morphs = {} if mesh.extras is None else {morph.name: morph for morph in mesh.extras.morphs}
    if not {name for targets in _LOOKS.values() for name in targets} <= set(morphs):
        return {}
    sides = [mesh.positions[morphs[name].vertices] for name in _LOOKS["Up"]]
    eyes = np.mean([points.astype(np.float64).mean(axis=0) for points in sides], axis=0)
    to_head = np.linalg.inv(make_exact_rest(skeleton)[skeleton.roles["head"]])
    look_at: dict[str, Any] = {
        "type": "expression",
        "offsetFromHeadBone": (to_head[:3, :3] @ eyes + to_head[:3, 3]).tolist(),
    }
    ranges = ("HorizontalInner", "HorizontalOuter", "VerticalDown", "VerticalUp")
    return {"lookAt": look_at | {f"rangeMap{name}": _RANGE for name in ranges}}
