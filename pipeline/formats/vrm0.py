"""Writer of VRM 0.x: a GLB whose extension VRM maps humanoid bones to nodes and holds the license.

Programs of before 2022, and those that bring avatars to VRChat, read no other. It faces -Z, and its joints
have the axes of the model. Twist joints stay as they are: VRM 0.x has no constraints.

Source: VRM Consortium, specification/0.0/README.md and its JSON schemas.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ..rigging.springs import SpringRig, find_springs
from ..types import Float64Array, RiggedCharacter
from ..vrm_meta import VrmMeta
from .files import encode_png
from .glb import describe_character
from .gltf_document import GENERATOR, GltfDocument
from .joint_transforms import make_exact_rest
from .validate import check_character
from .vrm_expressions import describe_look_at, list_expressions
from .vrm_humanoid import check_humanoid

_TURN = np.diag((-1.0, 1.0, -1.0))
"""Half a turn about +Y."""
_THUMBS = {"ThumbMetacarpal": "ThumbProximal", "ThumbProximal": "ThumbIntermediate"}
"""Bones that VRM 1.0 calls otherwise."""
_PRESETS = {
    "aa": "a", "ih": "i", "ou": "u", "ee": "e", "oh": "o", "blink": "blink", "blinkLeft": "blink_l",
    "blinkRight": "blink_r", "lookUp": "lookup", "lookDown": "lookdown", "lookLeft": "lookleft",
    "lookRight": "lookright", "happy": "joy", "angry": "angry", "sad": "sorrow", "relaxed": "fun",
}  # fmt: skip
"""Expression of VRM 1.0 -> preset of VRM 0.x."""
_USERS = {
    "onlyAuthor": "OnlyAuthor",
    "onlySeparatelyLicensedPerson": "ExplicitlyLicensedPerson",
    "everyone": "Everyone",
}
_HUMAN = {
    "armStretch": 0.05,
    "legStretch": 0.05,
    "upperArmTwist": 0.5,
    "lowerArmTwist": 0.5,
    "upperLegTwist": 0.5,
    "lowerLegTwist": 0.5,
    "feetSpacing": 0.0,
    "hasTranslationDoF": False,
}
"""Unity's defaults of a humanoid avatar."""
_LOOK_DEGREES = 35.0
_MOST_SPHERES = 6
"""Of a capsule, which VRM 0.x has not."""


def encode_vrm0(character: RiggedCharacter, meta: VrmMeta) -> bytes:
    """Return a .vrm file of version 0.x of a character that rests in the T-pose, facing +Z; it has no clips.

    Raises FormatError as `write_vrm` does. The same input gives the same bytes.
    """
    check_character(character, "VRM")
    check_humanoid(character.skeleton)
    turned = _turn_around(character)
    document, joints = describe_character(replace(turned, clips=()))
    document.add_extension(
        "VRM",
        {
            "exporterVersion": GENERATOR,
            "specVersion": "0.0",
            "meta": _describe_meta(document, meta),
            "humanoid": {"humanBones": _list_bones(turned, joints), **_HUMAN},
            "firstPerson": _describe_view(turned, joints),
            "blendShapeMaster": {"blendShapeGroups": _list_groups(turned)},
            "secondaryAnimation": _describe_springs(turned, find_springs(character), joints),
            "materialProperties": [_describe_material(item) for item in document.tree["materials"]],
        },
    )
    return document.pack()


def _turn_around(character: RiggedCharacter) -> RiggedCharacter:
    """The character facing -Z, its joints with the axes of the model."""
    mesh, rest = character.textured.mesh, np.tile(np.eye(4), (len(character.skeleton.names), 1, 1))
    rest[:, :3, 3] = character.skeleton.positions @ _TURN
    normals = None if mesh.normals is None else mesh.normals @ _TURN
    extras = None if mesh.extras is None else mesh.extras.transform(_TURN, 1.0, np.zeros(3))
    turned = replace(mesh, positions=mesh.positions @ _TURN, normals=normals, extras=extras)
    return replace(
        character,
        textured=replace(character.textured, mesh=turned),
        skeleton=replace(character.skeleton, rest=rest),
    )


def _describe_meta(document: GltfDocument, meta: VrmMeta) -> dict[str, Any]:
    """A permission that VRM 0.x cannot tell apart is withheld."""
    allowed = {True: "Allow", False: "Disallow"}
    is_open = meta.allow_redistribution and bool(meta.other_license_url)
    picture = -1
    if meta.thumbnail is not None:
        source = document.add_image("thumbnail", encode_png(meta.thumbnail)[0])
        picture = document.add("textures", {"source": source})
    return {
        "title": meta.name,
        "version": meta.version,
        "author": ", ".join(meta.authors),
        "contactInformation": meta.contact_information,
        "reference": ", ".join(meta.references),
        "texture": picture,
        "allowedUserName": _USERS[meta.avatar_permission],
        "violentUssageName": allowed[meta.allow_excessively_violent_usage],
        "sexualUssageName": allowed[meta.allow_excessively_sexual_usage],
        "commercialUssageName": allowed[meta.commercial_usage == "corporation"],
        "otherPermissionUrl": "",
        "licenseName": "Other" if is_open else "Redistribution_Prohibited",
        "otherLicenseUrl": meta.other_license_url,
    }


def _list_bones(character: RiggedCharacter, joints: list[int]) -> list[dict[str, Any]]:
    return [
        {"bone": _name_bone(role), "node": joints[joint], "useDefaultValues": True}
        for role, joint in character.skeleton.roles.items()
    ]


def _name_bone(role: str) -> str:
    side = next((side for side in ("left", "right") if role.startswith(side)), "")
    return side + _THUMBS.get(role.removeprefix(side), role.removeprefix(side))


def _describe_view(character: RiggedCharacter, joints: list[int]) -> dict[str, Any]:
    """First person and look-at: from between the eyes, which morph targets or joints turn."""
    head = character.skeleton.roles["head"]
    look_at = describe_look_at(character).get("lookAt", {})
    x, y, z = look_at.get("offsetFromHeadBone", (0.0, 0.06, 0.0))
    curve = {"curve": [0, 0, 0, 1, 1, 1, 1, 0], "xRange": _LOOK_DEGREES, "yRange": 1.0}
    ways = ("HorizontalInner", "HorizontalOuter", "VerticalDown", "VerticalUp")
    return {
        "firstPersonBone": joints[head],
        "firstPersonBoneOffset": {"x": x, "y": y, "z": -z},
        "meshAnnotations": [{"mesh": 0, "firstPersonFlag": "Auto"}],
        "lookAtTypeName": "BlendShape" if look_at else "Bone",
        **{f"lookAt{way}": curve for way in ways},
    }


def _list_groups(character: RiggedCharacter) -> list[dict[str, Any]]:
    return [
        {
            "name": _PRESETS.get(name, name),
            "presetName": _PRESETS.get(name, "unknown"),
            "binds": [{"mesh": 0, "index": index, "weight": 100 * weight} for index, weight in parts],
            "materialValues": [],
            "isBinary": False,
        }
        for name, parts in list_expressions(character.textured.mesh).items()
    ]


def _describe_springs(turned: RiggedCharacter, springs: SpringRig, joints: list[int]) -> dict[str, Any]:
    """What swings, each chain from its first joint, and the spheres that it stays out of."""
    rest = make_exact_rest(turned.skeleton)
    groups = [
        {
            "node": joints[collider.joint],
            "colliders": [
                {
                    "offset": _to_left_handed(place @ _TURN - rest[collider.joint, :3, 3]),
                    "radius": collider.radius,
                }
                for place in _fill_capsule(collider.start, collider.end, collider.radius)
            ],
        }
        for collider in springs.colliders
    ]
    chains = [
        {
            "comment": chain.name,
            "stiffiness": chain.settings.stiffness,
            "gravityPower": float(np.max(chain.gravity, initial=0.0)),
            "gravityDir": {"x": 0.0, "y": -1.0, "z": 0.0},
            "dragForce": chain.settings.drag,
            "center": -1,
            "hitRadius": float(np.mean(chain.radii)),
            "bones": [joints[chain.joints[0]]],
            "colliderGroups": list(chain.colliders),
        }
        for chain in springs.chains
    ]
    return {"boneGroups": chains, "colliderGroups": groups}


def _fill_capsule(start: Float64Array, end: Float64Array, radius: float) -> Float64Array:
    """Centers (N, 3) of spheres along a capsule, a radius apart where there are not too many."""
    length = float(np.linalg.norm(end - start))
    count = min(int(np.ceil(length / max(radius, 1e-6))) + 1, _MOST_SPHERES)
    return start + np.linspace(0, 1, count)[:, None] * (end - start) if count > 1 else start[None]


def _to_left_handed(offset: Float64Array) -> dict[str, float]:
    x, y, z = map(float, offset)
    return {"x": x, "y": y, "z": -z}


def _describe_material(material: Mapping[str, Any]) -> dict[str, Any]:
    """Shown as its glTF material says."""
    groups = ("floatProperties", "vectorProperties", "textureProperties", "keywordMap", "tagMap")
    shown = {"name": material["name"], "shader": "VRM_USE_GLTFSHADER", "renderQueue": 2000}
    return shown | {group: {} for group in groups}
