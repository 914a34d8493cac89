"""Roblox's R15: 15 joints and two above them, that move the mesh as the many did before."""

from dataclasses import replace

import numpy as np
import pytest
from character3d.pipeline.errors import RigError
from character3d.pipeline.formats import VrmMeta, encode_character, rename_character
from character3d.pipeline.formats.joint_roles import find_roles
from character3d.pipeline.presets import PRESETS
from character3d.pipeline.skeleton_types import Skeleton
from character3d.tests.readers.compare import assert_joints_agree, largest_difference, limit, write_ask
from character3d.tests.readers.locate import require_reader, run_reader
from character3d.tests.readers.sample_character import follow_clip_by_hand, make_clip
from character3d.tests.readers.sample_humanoid import make_humanoid

BARE = make_humanoid()
LIMBS = {
    "mixamorig:LeftArm": (0.4, 0.2, -1.0),
    "mixamorig:RightLeg": (0.9, 0, 0),
    "mixamorig:Hips": (0.1, 0.7, 0),
}
CLIP = make_clip(BARE.skeleton, "walk", np.linspace(0, 1, 31), LIMBS, sway=(0.2, -0.1, 0.5))
CHARACTER = replace(BARE, clips=(CLIP,))
TIMES = (0.0, 0.3, 0.7)
# create.roblox.com/docs/avatar/character-bodies/specifications, Rigging.
R15 = {
    "Root": None,
    "HumanoidRootPart": "Root",
    "LowerTorso": "HumanoidRootPart",
    "UpperTorso": "LowerTorso",
    "Head": "UpperTorso",
    **{f"{side}UpperArm": "UpperTorso" for side in ("Left", "Right")},
    **{f"{side}LowerArm": f"{side}UpperArm" for side in ("Left", "Right")},
    **{f"{side}Hand": f"{side}LowerArm" for side in ("Left", "Right")},
    **{f"{side}UpperLeg": "LowerTorso" for side in ("Left", "Right")},
    **{f"{side}LowerLeg": f"{side}UpperLeg" for side in ("Left", "Right")},
    **{f"{side}Foot": f"{side}LowerLeg" for side in ("Left", "Right")},
}


def name_parents(skeleton):
    pairs = zip(skeleton.names, skeleton.parents.tolist(), strict=True)
    return {name: None if parent < 0 else skeleton.names[parent] for name, parent in pairs}


def test_the_joints_are_those_of_r15():
    renamed = rename_character(CHARACTER, "roblox")
    skeleton, old = renamed.skeleton, CHARACTER.skeleton
    assert name_parents(skeleton) == R15 and {"spine", "head"} <= skeleton.roles.keys()
    at = dict(zip(skeleton.names, skeleton.positions, strict=True))
    assert not at["Root"].any() and np.array_equal(at["HumanoidRootPart"], at["LowerTorso"])
    assert np.array_equal(at["Head"], old.positions[old.roles["neck"]])
    assert np.array_equal(at["UpperTorso"], old.positions[old.roles["spine"]])
    assert rename_character(renamed, "roblox").skeleton.names == skeleton.names
    assert {"hips", "leftLowerArm", "rightFoot"} <= find_roles(skeleton).keys()


def test_limbs_move_as_before():
    renamed = rename_character(CHARACTER, "roblox")
    for time in TIMES:
        expected = follow_clip_by_hand(CHARACTER, CLIP, time)
        assert np.abs(follow_clip_by_hand(renamed, renamed.clips[0], time) - expected).max() < 1e-5


def test_what_bends_at_several_joints_ends_where_it_did():
    """The chest's bend moves to the waist: shoulders and head are turned as before, about another point."""
    bends = {f"mixamorig:{name}": (0, 0.2, 0) for name in ("Spine", "Spine1", "Spine2", "Neck")}
    bent = replace(BARE, clips=(make_clip(BARE.skeleton, "bend", np.linspace(0, 1, 31), bends),))
    renamed = rename_character(bent, "roblox")
    before, after = (follow_clip_by_hand(item, item.clips[0], 0.5) for item in (bent, renamed))
    head = BARE.textured.mesh.positions[:, 1] > 1.6
    assert head.sum() > 10
    assert np.abs(np.diff(before[head], axis=0) - np.diff(after[head], axis=0)).max() < 1e-5


def test_each_vertex_has_a_joint_once_and_none_of_the_roots():
    renamed = rename_character(CHARACTER, "roblox")
    skin = renamed.skin
    assert skin.influences == 4
    used = [sorted(row[share > 0].tolist()) for row, share in zip(skin.joints, skin.weights, strict=True)]
    assert all(len(set(row)) == len(row) and min(row) >= 2 for row in used)


def test_a_skeleton_without_arms_is_refused():
    hips = Skeleton(("hips",), np.array([-1]), np.eye(4)[None], {"hips": 0})
    skin = replace(CHARACTER.skin, joints=np.zeros_like(CHARACTER.skin.joints))
    bare = replace(CHARACTER, skeleton=hips, skin=skin, clips=())
    with pytest.raises(RigError, match=r"expected joints for spine, neck, left.*found the roles hips"):
        rename_character(bare, "roblox")


@pytest.mark.parametrize("reader", ["ufbx", "blender"])
def test_readers_open_the_file_of_the_preset(tmp_path, reader):
    require_reader(reader)
    renamed = rename_character(CHARACTER, "roblox")
    file = encode_character(renamed, PRESETS["roblox"], "a", VrmMeta("A", ("B",)))
    (tmp_path / "a.fbx").write_bytes(file.data)
    ask = write_ask(tmp_path / "ask.json", {}, TIMES)
    report = run_reader(reader, tmp_path / "report.json", tmp_path / "a.fbx", ask)
    assert {name: joint["parent"] for name, joint in report["joints"].items()} == R15
    assert_joints_agree(report["joints"], renamed.skeleton, reader)
    assert all(
        len(corner) <= 4 and not {"Root", "HumanoidRootPart"} & corner.keys() for corner in report["weights"]
    )
    faces = CHARACTER.textured.mesh.faces
    assert len(report["positions"]) == len(faces) <= PRESETS["roblox"].max_triangles
    for time, points in zip(TIMES, report["clips"]["walk"], strict=True):
        expected = follow_clip_by_hand(CHARACTER, CLIP, time)[faces]
        assert largest_difference(points, expected) < limit(reader, "posed"), time
