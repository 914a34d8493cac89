"""Files for engines: small GLBs, limits, VRM 0.x and USDZ, each read by a program that is not ours."""

import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from character3d.pipeline.errors import FormatError
from character3d.pipeline.formats import NAME_PROFILES, VrmMeta, encode_character, encode_glb, read_mesh
from character3d.pipeline.formats.glb import encode_compact_glb
from character3d.pipeline.formats.reading.soft_packages import has_soft
from character3d.pipeline.formats.usdz import encode_usdz
from character3d.pipeline.formats.vrm import encode_vrm
from character3d.pipeline.formats.vrm0 import encode_vrm0
from character3d.pipeline.mesh.normals import vertex_normals
from character3d.pipeline.presets import NO_PRESET, PRESETS, FileSettings, apply_preset
from character3d.tests.readers.compare import limit, spread_weights, write_ask
from character3d.tests.readers.locate import require_reader, run_reader
from character3d.tests.readers.sample_character import follow_clip_by_hand, make_clip
from character3d.tests.readers.sample_humanoid import make_humanoid

BARE = make_humanoid()
CLIP = make_clip(BARE.skeleton, "wave", np.linspace(0, 1, 31), {"mixamorig:LeftArm": (0.4, 0.2, -1.0)})
CHARACTER = replace(BARE, clips=(CLIP,))
META = VrmMeta("Elf", ("One", "Two"), avatar_permission="everyone", commercial_usage="corporation")
MESHOPT = pytest.param("meshopt", marks=pytest.mark.skipif(not has_soft("meshopt"), reason="no meshopt"))


def find_turns(found, wanted):
    """Index of the corners (F, 3, 3) found that begins each triangle as wanted: meshopt turns them."""
    first = np.linalg.norm(found - wanted[:, :1], axis=2).argmin(axis=1)
    return np.arange(len(found))[:, None], (first[:, None] + np.arange(3)) % 3


@pytest.mark.parametrize("compression", ["quantized", MESHOPT])
def test_a_small_glb_has_no_fault_and_the_same_shape(tmp_path, compression):
    small = encode_compact_glb(CHARACTER, compression, 90)
    (tmp_path / "a.glb").write_bytes(small)
    report = run_reader("gltf-validator", tmp_path / "report.json", tmp_path / "a.glb")
    assert (report["issues"]["numErrors"], report["issues"]["numWarnings"]) == (0, 0), report["issues"]
    mesh, ours = read_mesh(tmp_path / "a.glb").surface.mesh, CHARACTER.textured.mesh
    extent = float(np.ptp(ours.positions, axis=0).max())
    turn = find_turns(mesh.positions[mesh.faces], ours.positions[ours.faces])
    read = {name: getattr(mesh, name)[mesh.faces][turn] for name in ("positions", "uvs", "normals")}
    assert np.abs(read["positions"] - ours.positions[ours.faces]).max() < 1e-4 * extent
    assert np.abs(read["uvs"] - ours.uvs[ours.faces]).max() < 2e-5
    assert np.abs(read["normals"] - vertex_normals(ours)[ours.faces]).max() < 0.02
    assert len(small) < 0.7 * len(encode_glb(CHARACTER))


def test_without_compression_a_preset_writes_the_same_bytes():
    file = encode_character(CHARACTER, FileSettings("glb"), "a", META)
    assert file.data == encode_glb(CHARACTER) and not file.notes


def test_a_file_fits_its_limit_or_is_refused():
    free = encode_character(CHARACTER, FileSettings("glb"), "a", META)
    limit = len(free.data) * 3 // 4
    small = encode_character(CHARACTER, FileSettings("glb", max_bytes=limit), "a", META)
    assert len(small.data) <= limit and small.notes
    with pytest.raises(FormatError, match="max_bytes: expected at most 1000; the smallest file has"):
        encode_character(CHARACTER, FileSettings("glb", max_bytes=1000), "a", META)


def test_what_a_format_has_not_is_said():
    file = encode_character(CHARACTER, FileSettings("vrm", lods=2), "a", META)
    assert file.notes == ("lods: only FBX and GLB have levels of detail, not a VRM",)
    assert file.data == encode_vrm(CHARACTER, META)


def test_presets_are_whole_and_give_way():
    plain = apply_preset({"lods": 1}, (), NO_PRESET)
    assert plain == {"lods": 1}
    for settings in PRESETS.values():
        assert settings.bone_names in NAME_PROFILES
    chosen = apply_preset({"lods": 0, "max_bytes": 5}, {"lods"}, "unity")
    assert (chosen["lods"], chosen["max_bytes"], chosen["bone_names"]) == (0, 0, "unity")


@pytest.fixture(scope="module")
def vrm0(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vrm0")
    (folder / "a.vrm").write_bytes(encode_vrm0(BARE, META))
    ask = write_ask(folder / "ask.json")
    return run_reader("three-vrm", folder / "report.json", folder / "a.vrm", ask)


def test_three_vrm_reads_version_0(vrm0):
    assert set(vrm0["human_bones"]) == set(BARE.skeleton.roles)
    assert (vrm0["meta"]["metaVersion"], vrm0["meta"]["title"]) == ("0", "Elf")
    assert (vrm0["meta"]["author"], vrm0["meta"]["allowedUserName"]) == ("One, Two", "Everyone")
    assert vrm0["meta"]["licenseName"] == "Redistribution_Prohibited"
    turned = BARE.textured.mesh.positions * (-1, 1, -1)
    assert np.abs(np.array(vrm0["positions"]) - turned[BARE.textured.mesh.faces]).max() < 1e-5


@pytest.mark.parametrize("reader", ["blender", "assimp"])
def test_readers_of_gltf_see_version_0(tmp_path, reader):
    """Mesh, joints and skin, which face the other way there."""
    require_reader(reader)
    (tmp_path / "a.glb").write_bytes(encode_vrm0(BARE, META))
    report = run_reader(reader, tmp_path / "r.json", tmp_path / "a.glb", write_ask(tmp_path / "ask.json"))
    assert_positions_agree(report, reader, BARE.textured.mesh.positions * (-1, 1, -1))
    assert_skin_agrees(report, BARE.skeleton.names)
    for name, place in zip(BARE.skeleton.names, BARE.skeleton.positions * (-1, 1, -1), strict=True):
        rest = np.array(report["joints"][name]["rest"])
        assert np.abs(rest[:3, 3] - place).max() < limit(reader, "joints"), name


def assert_positions_agree(report, reader, points):
    found = np.array(report["positions"])
    assert np.abs(found - points[BARE.textured.mesh.faces]).max() < limit(reader, "posed")


def assert_skin_agrees(report, names):
    found = np.zeros((len(report["weights"]), len(names)))
    for corner, row in enumerate(report["weights"]):
        for name, share in row.items():
            found[corner, names.index(name)] = share
    expected = spread_weights(BARE.skin, len(names))[BARE.textured.mesh.faces.ravel()]
    assert np.abs(found - expected).max() < 1e-5


def test_a_vrm0_names_thumbs_as_version_0_does():
    data = encode_vrm0(BARE, META)
    tree = json.loads(data[20 : 20 + int.from_bytes(data[12:16], "little")])
    bones = {bone["bone"]: bone["node"] for bone in tree["extensions"]["VRM"]["humanoid"]["humanBones"]}
    names = [
        tree["nodes"][bones[f"leftThumb{part}"]]["name"] for part in ("Proximal", "Intermediate", "Distal")
    ]
    assert names == [f"mixamorig:LeftHandThumb{number}" for number in (1, 2, 3)]
    assert len(set(bones.values())) == len(bones) == len(BARE.skeleton.roles)


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    pytest.importorskip("pxr")
    from pxr import Usd

    path = tmp_path_factory.mktemp("usdz") / "a.usdz"
    path.write_bytes(encode_usdz(CHARACTER))
    return path, Usd.Stage.Open(str(path))


def test_usd_finds_no_fault_in_a_usdz(stage):
    from pxr import UsdValidation

    registry = UsdValidation.ValidationRegistry()
    context = UsdValidation.ValidationContext(registry.GetOrLoadAllValidators())
    assert [error.GetMessage() for error in context.Validate(stage[1])] == []
    with zipfile.ZipFile(io.BytesIO(stage[0].read_bytes())) as package:
        assert [item.filename for item in package.infolist()] == ["character.usdc", "base_color_0.png"]
        assert all(item.compress_type == zipfile.ZIP_STORED for item in package.infolist())


def test_usd_poses_the_character_as_we_do(stage):
    """USD's own skinning, by the baked animation, against our linear blend."""
    from pxr import Usd, UsdSkel

    scene, cache = stage[1], UsdSkel.Cache()
    cache.Populate(UsdSkel.Root(scene.GetDefaultPrim()), Usd.PrimDefaultPredicate)
    query = cache.GetSkelQuery(UsdSkel.Skeleton(scene.GetPrimAtPath("/Character/Skeleton")))
    skinning = cache.GetSkinningQuery(scene.GetPrimAtPath("/Character/Mesh"))
    points = scene.GetPrimAtPath("/Character/Mesh").GetAttribute("points").Get()
    assert skinning.ComputeSkinnedPoints(query.ComputeSkinningTransforms(15.0), points, 15.0)
    expected = follow_clip_by_hand(CHARACTER, CLIP, 0.5)
    assert np.abs(np.array(points) - expected).max() < 1e-4


@pytest.mark.parametrize("reader", ["blender"])
def test_blender_plays_a_usdz(tmp_path, reader):
    """It takes time codes, 30 a second in our files, for its own frames, 24 a second."""
    require_reader(reader)
    (tmp_path / "a.usdz").write_bytes(encode_usdz(CHARACTER))
    times = (0.0, 0.3, 0.7)
    ask = write_ask(tmp_path / "ask.json", times=[time * 30 / 24 for time in times])
    report = run_reader(reader, tmp_path / "r.json", tmp_path / "a.usdz", ask)
    assert_positions_agree(report, reader, CHARACTER.textured.mesh.positions)
    names = [name.replace(":", "_") for name in CHARACTER.skeleton.names]
    assert_skin_agrees(report, names)
    assert report["texture"]["size"] == list(CHARACTER.textured.material.texels.shape[1::-1])
    (clip,) = report["clips"].values()
    for time, points in zip(times, clip, strict=True):
        expected = follow_clip_by_hand(CHARACTER, CLIP, time)[CHARACTER.textured.mesh.faces]
        assert np.abs(np.array(points) - expected).max() < 1e-4, time
