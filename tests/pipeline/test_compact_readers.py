"""Small GLBs in programs that are not ours: the shape, the skin and a clip as in the plain character."""

from dataclasses import replace

import numpy as np
import pytest
from character3d.pipeline.formats import encode_glb, read_mesh
from character3d.pipeline.formats.glb import encode_compact_glb
from character3d.pipeline.formats.reading.soft_packages import has_soft
from character3d.tests.readers.compare import write_ask
from character3d.tests.readers.locate import require_reader, run_reader
from character3d.tests.readers.sample_character import follow_clip_by_hand, make_clip
from character3d.tests.readers.sample_humanoid import make_humanoid
from scipy.spatial import cKDTree

BARE = make_humanoid()
CLIP = make_clip(BARE.skeleton, "wave", np.linspace(0, 1, 31), {"mixamorig:LeftArm": (0.4, 0.2, -1.0)})
CHARACTER = replace(BARE, clips=(CLIP,))
FACES = CHARACTER.textured.mesh.faces
TIMES = (0.3, 0.7)
PACKAGES = {"meshopt": "meshopt", "draco": "DracoPy"}


def match_corners(found, wanted):
    """Index of the corners (F, 3, 3) found that are those wanted: faces and vertices are reordered."""
    distances, order = cKDTree(found.mean(axis=1)).query(wanted.mean(axis=1))
    assert distances.max() < 1e-3 and len(np.unique(order)) > 0.99 * len(wanted)
    first = np.linalg.norm(found[order] - wanted[:, :1], axis=2).argmin(axis=1)
    return order[:, None], (first[:, None] + np.arange(3)) % 3


def spread(weights, names):
    """Weights by joint, (F, 3, J), of a report's corners."""
    dense = np.zeros((len(weights), len(names)))
    for row, corner in enumerate(weights):
        for name, share in corner.items():
            dense[row, names.index(name)] += share
    return dense.reshape(-1, 3, len(names))


def test_a_draco_packed_glb_has_no_fault_and_the_same_shape(tmp_path):
    pytest.importorskip("DracoPy")
    small = encode_compact_glb(CHARACTER, "draco", 90)
    (tmp_path / "a.glb").write_bytes(small)
    report = run_reader("gltf-validator", tmp_path / "report.json", tmp_path / "a.glb")
    assert (report["issues"]["numErrors"], report["issues"]["numWarnings"]) == (0, 0), report["issues"]
    mesh, ours = read_mesh(tmp_path / "a.glb").surface.mesh, CHARACTER.textured.mesh
    at = match_corners(mesh.positions[mesh.faces], ours.positions[FACES])
    assert np.abs(mesh.positions[mesh.faces][at] - ours.positions[FACES]).max() < 3e-4
    assert np.abs(mesh.uvs[mesh.faces][at] - ours.uvs[FACES]).max() < 1e-4
    assert len(small) < 0.5 * len(encode_glb(CHARACTER))


@pytest.mark.parametrize(
    ("compression", "reader"),
    [
        ("quantized", "three"),
        ("meshopt", "three"),
        ("draco", "three"),
        ("draco", "blender"),
    ],
)
def test_readers_see_the_same_character_in_a_small_glb(tmp_path, compression, reader):
    require_reader(reader)
    if not has_soft(PACKAGES.get(compression, "numpy")):
        pytest.skip(f"{compression} needs a package")
    (tmp_path / "a.glb").write_bytes(encode_compact_glb(CHARACTER, compression, 90))
    ask = write_ask(tmp_path / "ask.json", {}, TIMES)
    report = run_reader(reader, tmp_path / "report.json", tmp_path / "a.glb", ask)
    rest = CHARACTER.textured.mesh.positions[FACES]
    found = np.array(report["posed"])
    at = match_corners(found, rest)
    assert np.abs(found[at] - rest).max() < 5e-4
    assert np.abs(np.array(report["uvs"])[at] - CHARACTER.textured.mesh.uvs[FACES]).max() < 2e-4
    names = [name.replace(":", "") if reader == "three" else name for name in CHARACTER.skeleton.names]
    ours = np.zeros((len(CHARACTER.skin.joints), len(names)))
    np.add.at(ours, (np.arange(len(ours))[:, None], CHARACTER.skin.joints), CHARACTER.skin.weights)
    assert np.abs(spread(report["weights"], names)[at] - ours[FACES]).max() < 0.006
    for time, points in zip(TIMES, report["clips"]["wave"], strict=True):
        expected = follow_clip_by_hand(CHARACTER, CLIP, time)[FACES]
        assert np.abs(np.array(points)[at] - expected).max() < 2e-3
