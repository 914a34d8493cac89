"""Levels of detail: vertices of the finest level alone, closed where it is closed, no seam torn."""

import json

import numpy as np
import pytest
from character3d.pipeline.formats import encode_fbx, read_mesh
from character3d.pipeline.formats.glb import encode_compact_glb
from character3d.pipeline.formats.lods import make_lods, reduce_triangles
from character3d.pipeline.mesh.simplify import simplify_faces
from character3d.pipeline.mesh.topology import is_closed, is_manifold
from character3d.pipeline.mesh.weld import weld_equal
from character3d.tests.readers.compare import write_ask
from character3d.tests.readers.locate import require_reader, run_reader
from character3d.tests.readers.read_ufbx import keep_alive
from character3d.tests.readers.sample_humanoid import make_humanoid

ufbx = pytest.importorskip("ufbx")


def make_globe(rows=40, columns=80):
    """A sphere with one seam of uvs from pole to pole; its poles are points."""
    v, u = np.meshgrid(np.linspace(0, 1, rows + 1), np.linspace(0, 1, columns + 1), indexing="ij")
    turn, rise = np.cos(2 * np.pi * u), np.cos(np.pi * v)
    points = np.stack((np.sin(np.pi * v) * turn, rise, np.sin(np.pi * v) * np.sin(2 * np.pi * u)), axis=2)
    points[:, -1] = points[:, 0]
    points[0], points[-1] = (0, 1, 0), (0, -1, 0)
    corner = np.arange((rows + 1) * (columns + 1)).reshape(rows + 1, columns + 1)
    a, b, c, d = corner[:-1, :-1], corner[:-1, 1:], corner[1:, :-1], corner[1:, 1:]
    upper, lower = np.stack((a, b, c), 2)[1:], np.stack((b, d, c), 2)[:-1]
    faces = np.concatenate((upper.reshape(-1, 3), lower.reshape(-1, 3))).astype(np.int32)
    return (
        points.reshape(-1, 3).astype(np.float32),
        faces,
        np.stack((u, v), 2).reshape(-1, 2).astype(np.float32),
    )


def test_a_globe_stays_closed_round_and_mapped():
    points, faces, uvs = make_globe()
    coarse = simplify_faces(points, faces, len(faces) // 8, uvs)
    welded = weld_equal(points).inverse[coarse].astype(np.int32)
    assert len(faces) // 10 < len(coarse) <= len(faces) // 8
    assert is_closed(welded) and is_manifold(welded)
    middles = points[coarse].mean(axis=1)
    assert np.linalg.norm(middles, axis=1).min() > 0.95
    # No triangle reaches across the map: its uvs are as far apart as its corners are.
    assert np.ptp(uvs[coarse][..., 1], axis=1).max() < 0.25
    middle = np.abs(middles[:, 1]) < 0.7
    assert np.ptp(uvs[coarse][middle][..., 0], axis=1).max() < 0.25
    u, v = uvs[coarse].mean(axis=1).T
    mapped = np.stack((np.sin(np.pi * v) * np.cos(2 * np.pi * u), np.cos(np.pi * v)), axis=1)
    assert np.abs(mapped - middles[:, :2])[middle].max() < 0.1
    area, before = measure_areas(uvs[coarse]), measure_areas(uvs[faces])
    assert (area * before[0] >= 0).all() and abs(area.sum() / before.sum() - 1) < 0.05


def measure_areas(corners):
    """(F,) signed, of triangles (F, 3, 2)."""
    (ax, ay), (bx, by) = (corners[:, 1] - corners[:, 0]).T, (corners[:, 2] - corners[:, 0]).T
    return (ax * by - ay * bx) / 2


def test_an_open_sheet_keeps_its_border():
    x, y = np.meshgrid(np.linspace(0, 1, 21), np.linspace(0, 1, 21))
    points = np.stack((x, y, 0 * x), axis=2).reshape(-1, 3).astype(np.float32)
    corner = np.arange(441).reshape(21, 21)
    a, b, c, d = corner[:-1, :-1], corner[:-1, 1:], corner[1:, :-1], corner[1:, 1:]
    faces = np.concatenate([np.stack(t, 2).reshape(-1, 3) for t in ((a, b, c), (b, d, c))]).astype(np.int32)
    coarse = simplify_faces(points, faces, 20)
    sides = points[coarse][:, 1:] - points[coarse][:, :1]
    assert len(coarse) <= 20
    assert np.linalg.norm(np.cross(sides[:, 0], sides[:, 1]), axis=1).sum() / 2 == pytest.approx(1, abs=1e-5)


def test_levels_share_skeleton_uvs_and_skin():
    character = make_humanoid()
    first = character.textured.mesh
    rows = {tuple(point): number for number, point in enumerate(np.c_[first.positions, first.uvs].tolist())}
    for level in make_lods(character, 3):
        mesh = level.textured.mesh
        own = [rows[tuple(point)] for point in np.c_[mesh.positions, mesh.uvs].tolist()]
        assert (character.skin.joints[own] == level.skin.joints).all()
        assert (character.skin.weights[own] == level.skin.weights).all()
        assert level.skeleton is character.skeleton and not level.clips
        assert level.textured.material is character.textured.material
    assert reduce_triangles(character, len(first.faces)) is character


def test_ufbx_reads_the_levels_of_an_fbx(tmp_path):
    character = make_humanoid()
    levels = make_lods(character, 3)
    (tmp_path / "a.fbx").write_bytes(encode_fbx(character, "a", levels))
    scene = keep_alive(ufbx.load_file(str(tmp_path / "a.fbx")))
    names = [node.name for node in scene.nodes if node.name.startswith("Character")]
    assert names == ["Character", *(f"Character_LOD{level}" for level in range(4))]
    counts = [len(level.textured.mesh.faces) for level in (character, *levels)]
    assert [mesh.num_faces for mesh in scene.meshes] == counts
    assert all(len(mesh.skin_deformers) == 1 for mesh in scene.meshes)
    assert len(scene.lod_groups) == 1 and len(scene.materials) == 1


def write_glb_levels(path):
    """A character and its three coarser levels in a GLB; the levels, and the file's JSON."""
    character = make_humanoid()
    levels = (character, *make_lods(character, 3))
    data = encode_compact_glb(character, "none", 0, levels[1:])
    path.write_bytes(data)
    return levels, json.loads(data[20 : 20 + int.from_bytes(data[12:16], "little")])


def test_a_glb_has_its_levels_beside_the_scene(tmp_path):
    levels, tree = write_glb_levels(tmp_path / "a.glb")
    (node,) = (node for node in tree["nodes"] if "extensions" in node)
    others = [tree["nodes"][number] for number in node["extensions"]["MSFT_lod"]["ids"]]
    primitives = [tree["meshes"][item["mesh"]]["primitives"] for item in (node, *others)]
    counts = [tree["accessors"][indices["indices"]]["count"] // 3 for (indices,) in primitives]
    assert counts == [len(level.textured.mesh.faces) for level in levels]
    assert {item["skin"] for item in others} == {node["skin"]} and len(tree["materials"]) == 1
    assert node["extras"]["MSFT_screencoverage"] == [0.5, 0.25, 0.125, 0.0]
    assert not {*node["extensions"]["MSFT_lod"]["ids"]} & {*tree["scenes"][0]["nodes"]}
    assert len(read_mesh(tmp_path / "a.glb").surface.mesh.faces) == counts[0]


@pytest.mark.parametrize("reader", ["gltf-validator", "three"])
def test_who_does_not_know_levels_shows_the_finest(tmp_path, reader):
    require_reader(reader)
    levels, _ = write_glb_levels(tmp_path / "a.glb")
    if reader == "gltf-validator":
        report = run_reader(reader, tmp_path / "report.json", tmp_path / "a.glb")
        assert (report["issues"]["numErrors"], report["issues"]["numWarnings"]) == (0, 0), report["issues"]
        return
    report = run_reader(
        reader, tmp_path / "report.json", tmp_path / "a.glb", write_ask(tmp_path / "ask.json")
    )
    assert len(report["positions"]) == len(levels[0].textured.mesh.faces)
