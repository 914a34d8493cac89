"""Eight joints per vertex, on request: from the mesh to the files, as independent readers see them."""

import numpy as np
import pytest
from character3d.pipeline.formats import encode_fbx, encode_glb
from character3d.pipeline.rigging import add_twist_joints, compute_skin_weights, fit_skeleton
from character3d.pipeline.rigging.skin.skinning import keep_strongest
from character3d.pipeline.types import RiggedCharacter, SkinWeights
from character3d.tests.readers.compare import assert_weights_agree, spread_weights, write_ask
from character3d.tests.readers.locate import require_reader, run_reader
from character3d.tests.readers.sample_humanoid import make_humanoid
from scipy.special import softmax

from .figures import make_body

BARE = make_humanoid()
MESH, SKELETON = BARE.textured.mesh, BARE.skeleton


def bind(count):
    """Each vertex to the nearest joints, with no weight near nothing."""
    away = np.linalg.norm(MESH.positions[:, None] - SKELETON.positions[None], axis=2)
    weights = softmax(-away / away.std(), axis=1)
    return SkinWeights(*keep_strongest(weights, np.arange(len(SKELETON.names)), count=count))


CHARACTER = RiggedCharacter(BARE.textured, SKELETON, bind(8))


@pytest.mark.parametrize(
    ("kind", "reader"),
    [
        ("fbx", "ufbx"),
        ("glb", "assimp"),
        pytest.param("fbx", "blender", marks=pytest.mark.nightly),
        pytest.param("glb", "blender", marks=pytest.mark.nightly),
    ],
)
def test_readers_see_eight(tmp_path, kind, reader):
    require_reader(reader)
    assert (CHARACTER.skin.weights > 0).all()
    model = tmp_path / f"a.{kind}"
    model.write_bytes(encode_glb(CHARACTER) if kind == "glb" else encode_fbx(CHARACTER, "a"))
    report = run_reader(reader, tmp_path / "report.json", model, write_ask(tmp_path / "ask.json"))
    assert_weights_agree(report["weights"], CHARACTER, reader)


def test_the_validator_counts_eight(tmp_path):
    (tmp_path / "a.glb").write_bytes(encode_glb(CHARACTER))
    report = run_reader("gltf-validator", tmp_path / "report.json", tmp_path / "a.glb")
    assert report["issues"]["messages"] == [] and report["info"]["maxInfluences"] == 8


def test_twist_joints_keep_eight():
    grown = add_twist_joints(CHARACTER, {})
    assert grown.skin.influences == 8
    before, after = (spread_weights(c.skin, len(c.skeleton.names)) for c in (CHARACTER, grown))
    untouched = [role for role in SKELETON.roles if "Arm" not in role]
    kept = [SKELETON.roles[role] for role in untouched]
    np.testing.assert_allclose(after[:, kept], before[:, kept], atol=0.02)


def test_a_mesh_bound_to_eight_has_the_same_four_first():
    mesh, _ = make_body()
    skeleton = fit_skeleton(mesh).skeleton
    four, eight = (compute_skin_weights(mesh, skeleton, influences=count) for count in (4, 8))
    assert (four.influences, eight.influences) == (4, 8)
    assert np.array_equal(four.joints[:, 0], eight.joints[:, 0])
    assert ((eight.weights > 0).sum(axis=1) >= (four.weights > 0).sum(axis=1)).all()


def test_no_other_number():
    with pytest.raises(ValueError, match="expected 4 or 8 columns, got 5"):
        SkinWeights(np.zeros((1, 5)), np.full((1, 5), 0.2))
