"""A VRMA that is not ours, on our VRM, played by three-vrm: the body turns as the one it was made for."""

import numpy as np
import pytest
from character3d.pipeline.formats import VrmMeta, write_vrm
from character3d.pipeline.rigging import normalize_to_t_pose
from character3d.tests.humanoids import CHIBI, make_humanoid
from character3d.tests.motions import BONES, RATE, perform, write_gltf_motion
from character3d.tests.readers.locate import run_reader

pytestmark = pytest.mark.nightly
_FRAMES = 9


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """The performance of an adult in T-pose at the frames that were played, and the report on a chibi."""
    folder = tmp_path_factory.mktemp("vrma")
    performed = perform(arm_drop=0.0)
    sway = np.sin(np.linspace(0, 2 * np.pi, len(performed)))[:, None] * (0.1, 0.05, 0.2)
    performed.hips, performed.places = performed.hips + sway, performed.places + sway[:, None]
    write_gltf_motion(folder / "take.vrma", performed, has_roles=True)
    character = normalize_to_t_pose(make_humanoid(CHIBI, arm_drop=60))
    write_vrm(folder / "us.vrm", character, VrmMeta(name="Us", authors=("One",)))
    report = run_reader(
        "three-vrma", folder / "report.json", folder / "take.vrma", folder / "us.vrm", str(_FRAMES)
    )
    times = report["duration"] * np.arange(_FRAMES) / _FRAMES
    return performed, np.rint(times * RATE).astype(int), report


def read_matrices(report, role):
    """(1 + T, 4, 4) at rest, then at each frame."""
    joint = report["joints"][role]
    return np.array([joint["rest"], *joint["frames"]]).reshape(-1, 4, 4)


def test_the_file_is_read_without_a_warning_and_whole(played):
    performed, keys, report = played
    assert report["warnings"] == []
    assert abs(report["duration"] - (len(performed) - 1) / RATE) < 1e-4
    assert np.allclose(report["duration"] * np.arange(_FRAMES) / _FRAMES * RATE, keys, atol=1e-3)


def test_every_part_turns_as_it_was_performed(played):
    """From the T-pose, about all axes: direction and roll."""
    performed, keys, report = played
    assert {*performed.roles} <= {*report["joints"]}
    for role, joint in performed.roles.items():
        axes = read_matrices(report, role)[:, :3, :3]
        turns = axes[1:] @ axes[0].T
        off = np.swapaxes(performed.turns[keys, joint], 1, 2) @ turns
        cosine = (np.trace(off, axis1=1, axis2=2) - 1) / 2
        assert np.degrees(np.arccos(np.clip(cosine, -1, 1))).max() < 0.5, role


def test_limbs_point_where_they_did(played):
    performed, keys, report = played
    for side in ("left", "right"):
        for start, stop in BONES:
            first, last = (read_matrices(report, side + part)[1:, :3, 3] for part in (start, stop))
            own = performed.direction(side + start, side + stop)[keys]
            cosine = ((last - first) * own).sum(axis=1)
            cosine /= np.linalg.norm(last - first, axis=1) * np.linalg.norm(own, axis=1)
            # Shins lean as they are built: the T-pose sets a leg from hip to ankle upright.
            limit = 5 if "Leg" in start else 1
            assert np.degrees(np.arccos(np.clip(cosine, -1, 1))).max() < limit, side + start


def test_the_hips_move_by_their_height(played):
    performed, keys, report = played
    places = read_matrices(report, "hips")[:, :3, 3]
    own = performed.hips[keys] / performed.skeleton.positions[performed.roles["hips"], 1]
    assert np.allclose(places[1:] / places[0, 1], own, atol=1e-3)
