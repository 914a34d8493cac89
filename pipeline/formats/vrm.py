"""Writer of VRM 1.0: a GLB whose extension VRMC_vrm maps humanoid bones to nodes and holds the license.

Morph targets become expressions by their names, what hangs on the body swings by a second extension,
VRMC_springBone, and twist joints roll by a third.

Source: VRM Consortium, specification/VRMC_vrm-1.0/README.md. VRM uses neither animations nor cameras.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..rigging.springs import find_springs
from ..types import RiggedCharacter
from ..vrm_meta import VrmMeta
from .files import encode_png, replace_file
from .glb import describe_character
from .validate import check_character
from .vrm_constraints import add_roll_constraints
from .vrm_expressions import describe_expressions, describe_look_at
from .vrm_humanoid import check_humanoid
from .vrm_springs import EXTENSION as SPRINGS
from .vrm_springs import describe_springs

EXTENSION = "VRMC_vrm"
SPEC_VERSION = "1.0"


def write_vrm(path: str | Path, character: RiggedCharacter, meta: VrmMeta) -> None:
    """Write a character that rests in the T-pose, facing +Z, as one .vrm file. Its clips are not written.

    Joints are found by `Skeleton.roles`. Raises FormatError if a bone that VRM requires is missing or has
    the wrong parent, if the rest pose is not the T-pose, and for whatever `write_glb` refuses; OSError
    from writing. The same input gives the same bytes; the file is written atomically.
    """
    replace_file(Path(path), encode_vrm(character, meta))


def encode_vrm(character: RiggedCharacter, meta: VrmMeta) -> bytes:
    """Return the content of the file that `write_vrm` writes."""
    check_character(character, "VRM")
    check_humanoid(character.skeleton)
    document, joints = describe_character(replace(character, clips=()))
    description = meta.describe()
    if meta.thumbnail is not None:
        description["thumbnailImage"] = document.add_image("thumbnail", encode_png(meta.thumbnail)[0])
    bones = {role: {"node": joints[joint]} for role, joint in character.skeleton.roles.items()}
    mesh = next(number for number, node in enumerate(document.tree["nodes"]) if "mesh" in node)
    face = describe_expressions(character.textured.mesh, mesh) | describe_look_at(character)
    document.add_extension(
        EXTENSION,
        {"specVersion": SPEC_VERSION, "meta": description, "humanoid": {"humanBones": bones}, **face},
    )
    springs = find_springs(character)
    if springs.chains:
        document.add_extension(SPRINGS, describe_springs(character, springs, joints))
    add_roll_constraints(document, character.skeleton, joints)
    return document.pack()
