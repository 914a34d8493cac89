"""VRM 1.0: the extension by its published schema, and the character as three-vrm and the validator see it."""

import json
import struct
from dataclasses import replace

import numpy as np
import pytest
from character3d.pipeline.errors import FormatError
from character3d.pipeline.formats import VrmMeta, encode_glb, encode_vrm, write_vrm
from character3d.pipeline.formats.vrm_humanoid import REQUIRED_BONES
from character3d.pipeline.humanoid import ROLE_PARENTS
from character3d.tests.readers.compare import assert_meshes_agree, largest_difference, rename, write_ask
from character3d.tests.readers.locate import run_reader
from character3d.tests.readers.sample_character import make_character, make_clip, pose_by_hand
from character3d.tests.readers.sample_humanoid import (
    NORMALIZED_POSE,
    make_humanoid,
    normalized_to_joint_turns,
)

CHARACTER = make_humanoid()
MESH, SKELETON = CHARACTER.textured.mesh, CHARACTER.skeleton
THUMBNAIL = np.random.default_rng(1).integers(0, 256, (16, 16, 4)) / 255
META = VrmMeta(
    name="Elf 大",
    authors=("One", "Two"),
    version="2.1",
    references=("https://example.org/elf",),
    thumbnail=THUMBNAIL,
    avatar_permission="everyone",
    commercial_usage="corporation",
    allow_redistribution=True,
    modification="allowModificationRedistribution",
    other_license_url="https://example.org/licence",
)

# The schema's own words: specification/VRMC_vrm-1.0/schema, VRMC_vrm.meta.schema.json and …humanBones…
ENUMS = {
    "avatarPermission": {"onlyAuthor", "onlySeparatelyLicensedPerson", "everyone"},
    "commercialUsage": {"personalNonProfit", "personalProfit", "corporation"},
    "creditNotation": {"required", "unnecessary"},
    "modification": {"prohibited", "allowModification", "allowModificationRedistribution"},
}
FLAGS = {
    "allowExcessivelyViolentUsage",
    "allowExcessivelySexualUsage",
    "allowPoliticalOrReligiousUsage",
    "allowAntisocialOrHateUsage",
    "allowRedistribution",
}
TEXTS = {
    "name",
    "version",
    "copyrightInformation",
    "contactInformation",
    "thirdPartyLicenses",
    "licenseUrl",
    "otherLicenseUrl",
}
REQUIRED = [
    "hips", "spine", "head", "leftUpperLeg", "leftLowerLeg", "leftFoot", "rightUpperLeg", "rightLowerLeg",
    "rightFoot", "leftUpperArm", "leftLowerArm", "leftHand", "rightUpperArm", "rightLowerArm",
    "rightHand",
]  # fmt: skip


def read_tree(data):
    length = struct.unpack_from("<I", data, 12)[0]
    return json.loads(data[20 : 20 + length])


def check_by_schema(tree):
    """What VRMC_vrm's JSON schema asks for, and that every index leads to something."""
    extension = tree["extensions"]["VRMC_vrm"]
    assert set(extension) == {"specVersion", "meta", "humanoid"} and extension["specVersion"] == "1.0"
    meta, bones = dict(extension["meta"]), extension["humanoid"]["humanBones"]
    assert meta["name"] and meta["licenseUrl"] == "https://vrm.dev/licenses/1.0/"
    for name, allowed in ENUMS.items():
        assert meta.pop(name) in allowed
    for name in FLAGS:
        assert isinstance(meta.pop(name), bool)
    for name in ("authors", "references"):
        assert (values := meta.pop(name, ["absent"])) and all(isinstance(v, str) and v for v in values)
    assert 0 <= meta.pop("thumbnailImage", 0) < len(tree["images"])
    assert set(meta) <= TEXTS and all(isinstance(value, str) for value in meta.values())
    assert set(REQUIRED) <= set(bones) <= set(ROLE_PARENTS)
    assert all(set(bone) == {"node"} and 0 <= bone["node"] < len(tree["nodes"]) for bone in bones.values())
    assert len({bone["node"] for bone in bones.values()}) == len(bones)


@pytest.mark.parametrize("meta", [META, VrmMeta("Elf", ("One",))], ids=["full", "plain"])
def test_extension_follows_the_schema(meta):
    tree = read_tree(encode_vrm(CHARACTER, meta))
    check_by_schema(tree)
    assert tree["extensionsUsed"] == ["VRMC_vrm"]
    assert "animations" not in tree and "cameras" not in tree


def test_required_bones_are_the_schemas():
    assert sorted(REQUIRED_BONES) == sorted(REQUIRED)
    assert len(ROLE_PARENTS) == 55


def test_defaults_give_no_permission():
    meta = VrmMeta("Elf", ("One",)).describe()
    assert {name: meta[name] for name in ENUMS} == {
        "avatarPermission": "onlyAuthor",
        "commercialUsage": "personalNonProfit",
        "creditNotation": "required",
        "modification": "prohibited",
    }
    assert not any(meta[name] for name in FLAGS)


def test_validator_finds_nothing_wrong(tmp_path):
    """It does not know the extension, and so does not see who uses the thumbnail."""
    write_vrm(tmp_path / "a.vrm", CHARACTER, META)
    report = run_reader("gltf-validator", tmp_path / "report.json", tmp_path / "a.vrm")
    assert (report["issues"]["numErrors"], report["issues"]["numWarnings"]) == (0, 0)
    found = {message["code"] for message in report["issues"]["messages"]}
    assert found == {"UNSUPPORTED_EXTENSION", "UNUSED_OBJECT"}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vrm")
    write_vrm(folder / "a.vrm", CHARACTER, META)
    ask = write_ask(folder / "ask.json", NORMALIZED_POSE)
    return run_reader("three-vrm", folder / "report.json", folder / "a.vrm", ask)


def test_three_vrm_sees_the_mesh(report):
    assert_meshes_agree(report, MESH, "three-vrm")


def test_three_vrm_knows_every_bone(report):
    wanted = {role: rename("three-vrm", SKELETON.names[joint]) for role, joint in SKELETON.roles.items()}
    assert len(wanted) == 52
    assert report["human_bones"] == wanted


def test_three_vrm_reads_the_licence(report):
    expected = read_tree(encode_vrm(CHARACTER, META))["extensions"]["VRMC_vrm"]["meta"]
    del expected["thumbnailImage"]  # which three-vrm loads only when it is asked to
    assert report["meta"] == {"metaVersion": "1", **expected}


def test_normalized_pose_bends_it_as_we_do(report):
    expected = pose_by_hand(CHARACTER, normalized_to_joint_turns(SKELETON, NORMALIZED_POSE))
    assert np.abs(expected - MESH.positions).max() > 0.5
    assert largest_difference(report["posed"], expected[MESH.faces]) < 1e-5


def test_clips_stay_out_and_bytes_stay_the_same():
    clip = make_clip(SKELETON, "walk", [0, 1], {"mixamorig:Head": (0, 1, 0)})
    with_clip = encode_vrm(replace(CHARACTER, clips=(clip,)), META)
    assert with_clip == encode_vrm(make_humanoid(), META)
    assert b'"animations"' in encode_glb(replace(CHARACTER, clips=(clip,)))


def without(*roles, **changes):
    kept = {role: joint for role, joint in SKELETON.roles.items() if role not in roles}
    return replace(CHARACTER, skeleton=replace(SKELETON, roles=kept | changes))


def with_arm_lowered():
    rest = np.array(SKELETON.rest)
    rest[SKELETON.roles["leftLowerArm"], :3, 3] -= (0.1, 0.2, 0)
    return replace(CHARACTER, skeleton=replace(SKELETON, rest=rest))


@pytest.mark.parametrize(
    ("character", "message"),
    [
        (without("spine", "leftHand"), "no spine, leftHand; VRM requires them"),
        (without("chest"), "upperChest may only exist with chest"),
        (without("leftIndexProximal"), "leftIndexIntermediate may only exist with leftIndexProximal"),
        (without(tail=3), "tail are not humanoid bones of VRM 1.0"),
        (without(jaw=SKELETON.roles["head"]), "one joint has two humanoid roles"),
        (
            without(leftHand=SKELETON.roles["rightHand"], rightHand=SKELETON.roles["leftHand"]),
            "expected leftHand below leftLowerArm, it is below rightLowerArm",
        ),
        (with_arm_lowered(), "the T-pose; leftUpperArm is 48 degrees off"),
        (make_character(), "the skeleton is no person's, and a VRM is one"),
    ],
)
def test_what_is_no_vrm_is_refused_in_words(tmp_path, character, message):
    with pytest.raises(FormatError, match=message):
        write_vrm(tmp_path / "a.vrm", character, META)
    assert list(tmp_path.iterdir()) == []


def test_optional_bones_may_be_missing(tmp_path):
    gone = {"neck", "chest", "upperChest", "leftShoulder", "rightShoulder", "leftToes", "rightToes"}
    fingers = {
        role for role in SKELETON.roles if any(part in role for part in ("Proximal", "Inter", "Dist", "Meta"))
    }
    character = without(*gone, *fingers)
    assert set(character.skeleton.roles) == set(REQUIRED)
    write_vrm(tmp_path / "a.vrm", character, META)
    ask = write_ask(tmp_path / "ask.json")
    found = run_reader("three-vrm", tmp_path / "report.json", tmp_path / "a.vrm", ask)
    assert found["warnings"] == [] and set(found["human_bones"]) == set(REQUIRED)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": ""}, "needs a name"),
        ({"authors": ()}, "list of authors"),
        ({"authors": "One"}, "list of authors.*'One'"),
        ({"authors": ("One", "")}, "list of authors"),
        ({"avatar_permission": "all"}, "avatar_permission to be one of onlyAuthor, .*'all'"),
        ({"commercial_usage": "yes"}, "commercial_usage"),
        ({"credit_notation": ""}, "credit_notation"),
        ({"modification": "ok"}, "modification"),
        ({"thumbnail": np.zeros((8, 4, 4))}, r"square thumbnail .*\(8, 4, 4\)"),
    ],
)
def test_meta_takes_only_what_the_specification_allows(changes, message):
    with pytest.raises(FormatError, match=message):
        replace(META, **changes)
