"""What the fit accepts and refuses: damaged, dressed and disconnected bodies; furniture and animals."""

import numpy as np
import pytest
from character3d.pipeline.errors import RigError
from character3d.pipeline.rigging import compute_skin_weights, fit_skeleton, pose_vertices
from character3d.pipeline.types import Mesh

from .figures import join_parts, make_body, make_box, make_capsule


def make_ball():
    return join_parts([make_capsule((0, 0.84, 0), (0, 0.86, 0), 0.84)])


def make_chair():
    legs = [make_box((x, 0, z), (x + 0.06, 0.45, z + 0.06)) for x in (-0.22, 0.16) for z in (-0.22, 0.16)]
    seat, back = (
        make_box((-0.22, 0.44, -0.22), (0.22, 0.5, 0.22)),
        make_box((-0.22, 0.49, -0.22), (0.22, 1.0, -0.17)),
    )
    return join_parts([*legs, seat, back])


def make_table():
    legs = [make_box((x, 0, z), (x + 0.07, 0.71, z + 0.07)) for x in (-0.6, 0.53) for z in (-0.4, 0.33)]
    return join_parts([*legs, make_box((-0.65, 0.7, -0.45), (0.65, 0.75, 0.45))])


def make_house():
    """Walls, a saddle roof and a chimney."""
    roof = np.array(
        [(-2.2, 2.5, -2.2), (2.2, 2.5, -2.2), (-2.2, 2.5, 2.2), (2.2, 2.5, 2.2), (0, 4, -2.2), (0, 4, 2.2)]
    )
    faces = np.array([(0, 1, 3), (0, 3, 2), (0, 4, 1), (2, 3, 5), (0, 2, 5), (0, 5, 4), (1, 4, 5), (1, 5, 3)])
    corners = roof[faces]
    volume = np.einsum("ij,ij->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2]))
    walls, chimney = make_box((-2, 0, -2), (2, 2.6, 2)), make_box((0.8, 3, -0.3), (1.3, 4.6, 0.3))
    return join_parts([walls, (roof, faces if volume > 0 else faces[:, ::-1]), chimney])


def make_car():
    wheels = [
        make_capsule((x - 0.1, 0.32, z), (x + 0.1, 0.32, z), 0.3) for x in (-0.75, 0.75) for z in (-1.3, 1.3)
    ]
    return join_parts(
        [
            make_box((-0.85, 0.3, -2.1), (0.85, 0.9, 2.1)),
            make_box((-0.7, 0.85, -1.1), (0.7, 1.45, 0.9)),
            *wheels,
        ]
    )


def make_dog():
    """Stands along z, its head in front."""
    legs = [make_capsule((x, 0.06, z), (x, 0.5, z), 0.06) for x in (-0.13, 0.13) for z in (-0.4, 0.4)]
    return join_parts(
        [
            *legs,
            make_capsule((0, 0.55, -0.4), (0, 0.58, 0.4), 0.18),
            make_capsule((0, 0.62, 0.45), (0, 0.85, 0.62), 0.09),
            make_capsule((0, 0.88, 0.6), (0, 0.86, 0.8), 0.11),
            make_capsule((0, 0.65, -0.5), (0, 0.85, -0.8), 0.03),
        ]
    )


def make_dog_aside():
    dog = make_dog()
    return Mesh(dog.positions[:, [2, 1, 0]] * (1, 1, -1), dog.faces)


def make_bottle():
    return join_parts(
        [make_capsule((0, 0.3, 0), (0, 1.0, 0), 0.3), make_capsule((0, 1.2, 0), (0, 1.7, 0), 0.09)]
    )


def make_tree():
    return join_parts(
        [make_capsule((0, 0.1, 0), (0, 1.2, 0), 0.12), make_capsule((0, 1.6, 0), (0, 1.9, 0), 0.6)]
    )


REFUSED = {
    "ball": make_ball,
    "box": lambda: join_parts([make_box((-0.4, 0, -0.4), (0.4, 1.7, 0.4))]),
    "chair": make_chair,
    "table": make_table,
    "house": make_house,
    "car": make_car,
    "dog": make_dog,
    "dog seen from the side": make_dog_aside,
    "bottle": make_bottle,
    "tree": make_tree,
}


@pytest.mark.nightly_cases
@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED)
def test_no_humanoid_is_refused_with_measurements_if_strict(make):
    with pytest.raises(RigError, match=r"not a standing humanoid.*neck prominence \d.*height \d"):
        fit_skeleton(make(), strict=True)


ODD = REFUSED | {
    "plate": lambda: join_parts([make_box((-0.5, 0, -0.005), (0.5, 1, 0.005))]),
    "balls apart": lambda: join_parts([make_capsule((x, 0.3, 0), (x, 0.32, 0), 0.3) for x in (0, 3)]),
}


@pytest.mark.parametrize("corner", [(0.02, 2, 0.02), (1, 0.06, 0.03)], ids=["pole", "beam"])
def test_bars_are_refused(corner):
    with pytest.raises(RigError, match=r"no figure: it is .* times as long as thick"):
        fit_skeleton(join_parts([make_box((-corner[0], 0, -corner[2]), corner)]))


@pytest.mark.nightly_cases
@pytest.mark.parametrize("make", ODD.values(), ids=ODD)
def test_what_is_no_humanoid_gets_a_skeleton_by_proportions_and_a_warning(make):
    mesh = make()
    fitted = fit_skeleton(mesh)
    assert [w for w in fitted.warnings if "placed by average proportions" in w and "height" in w] != []
    at = dict(zip(fitted.skeleton.names, fitted.skeleton.positions, strict=True))
    low, high = mesh.bounds
    room = 0.15 * (high - low).max()
    assert all((low - room <= place).all() and (place <= high + room).all() for place in at.values())
    level = {name.removeprefix("mixamorig:"): place[1] for name, place in at.items()}
    assert level["HeadTop_End"] > level["Head"] > level["Neck"] > level["Spine2"] > level["Hips"]
    for side, sign in (("Left", 1), ("Right", -1)):
        assert level["Hips"] > level[side + "Leg"] > level[side + "Foot"]
        shoulders = at[f"mixamorig:{side}Arm"][0] - at["mixamorig:Neck"][0]
        assert sign * shoulders > 0
    assert np.isfinite(compute_skin_weights(mesh, fitted.skeleton).weights).all()


@pytest.mark.parametrize(
    ("mesh", "found"),
    [
        (Mesh(np.zeros((0, 3)), np.zeros((0, 3), int)), "0 vertices and 0 faces"),
        (Mesh([(np.nan, 0, 0), (1, 0, 0), (0, 1, 0)], [(0, 1, 2)]), "finite"),
        (
            Mesh([(0, 0, 0), (1, 0, 0), (0, 2, 0), (1, 2, 0)], [(0, 1, 2), (1, 3, 2)]),
            "0 closed and 2 open faces",
        ),
        (Mesh([(0, 0, 0), (1, 0, 0)], [(0, 1, 1)]), "all of its faces are degenerate"),
    ],
    ids=["empty", "not finite", "plane", "line"],
)
def test_what_has_no_inside_is_refused(mesh, found):
    with pytest.raises(RigError, match=found):
        fit_skeleton(mesh)


@pytest.fixture(scope="module")
def body():
    return make_body(45, 4)


@pytest.fixture(scope="module")
def fitted(body):
    return fit_skeleton(body[0], pose_type="A-pose")


@pytest.fixture(scope="module")
def reference(fitted):
    return fitted.skeleton.positions


def cut_holes(mesh):
    middles = mesh.positions[mesh.faces].mean(axis=1)
    kept = np.ones(len(middles), bool)
    for place in middles[np.random.default_rng(3).choice(len(middles), 12, replace=False)]:
        kept &= np.linalg.norm(middles - place, axis=1) > 0.035
    return Mesh(mesh.positions, mesh.faces[kept])


def mix_winding(mesh):
    turned = np.random.default_rng(4).uniform(size=len(mesh.faces)) < 0.5
    return Mesh(mesh.positions, np.where(turned[:, None], mesh.faces[:, ::-1], mesh.faces))


def add_sheet(mesh):
    """A cape of one layer behind the back."""
    sheet = np.array([(x, y, -0.14) for y in (1.35, 0.3) for x in (-0.3, 0.3)])
    return join_parts([(mesh.positions, mesh.faces), (sheet, np.array([(0, 2, 1), (1, 2, 3)]))])


DAMAGE = {
    "inside out": lambda mesh: Mesh(mesh.positions, mesh.faces[:, ::-1]),
    "half inside out": lambda mesh: Mesh(
        mesh.positions, np.where(mesh.faces[:, :1] % 7 == 0, mesh.faces, mesh.faces[:, ::-1])
    ),
    "mixed winding": mix_winding,
    "holed": cut_holes,
    "every face apart": lambda mesh: Mesh(
        mesh.positions[mesh.faces].reshape(-1, 3), np.arange(3 * len(mesh.faces)).reshape(-1, 3)
    ),
    "cape of one layer": add_sheet,
}


@pytest.mark.nightly_cases
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damage_moves_no_joint_by_much(body, reference, damage):
    found = fit_skeleton(damage(body[0]), pose_type="A-pose").skeleton.positions
    gaps = np.linalg.norm(found - reference, axis=1)
    assert gaps.max() < 0.035 * 1.7 and gaps.mean() < 0.012 * 1.7


@pytest.mark.nightly_cases
@pytest.mark.parametrize("scale", [0.01, 1 / 1.7, 100.0, 1000.0])
def test_unit_and_place_do_not_matter(body, reference, scale):
    shift = scale * np.array((3.0, -2.0, 5.0))
    moved = Mesh(body[0].positions * scale + shift, body[0].faces)
    found = fit_skeleton(moved, pose_type="A-pose")
    assert np.allclose((found.skeleton.positions - shift) / scale, reference, atol=0.012 * 1.7)
    assert np.isclose(found.metrics["arm_span"], 2 * (0.165 + 0.732 * np.cos(np.pi / 4)) / 1.7, atol=0.03)


@pytest.mark.nightly
def test_floating_head_and_hands_are_part_of_the_body(body, reference):
    mesh, joints = body
    height, side = mesh.positions[:, 1], np.abs(mesh.positions[:, 0])
    head = height > 1.44
    hand = (side > joints["LeftHand"][0] + 0.02) & (height < 1.2)
    piece = np.where(head, 1, np.where(hand, 2 + (mesh.positions[:, 0] > 0), 0))
    corner = piece[mesh.faces]
    kept = (corner == corner[:, :1]).all(axis=1)
    away = np.zeros_like(mesh.positions)
    away[head] = (0, 0.012, 0)
    away[hand] = np.sign(mesh.positions[hand][:, :1]) * (0.006, 0, 0) + (0, -0.006, 0)
    apart = Mesh(mesh.positions + away, mesh.faces[kept])
    skeleton = fit_skeleton(apart, pose_type="A-pose").skeleton
    assert np.linalg.norm(skeleton.positions - reference, axis=1).max() < 0.04 * 1.7
    skin = compute_skin_weights(apart, skeleton)
    owner = [skeleton.names[joint] for joint in skin.joints[np.arange(len(piece)), skin.weights.argmax(1)]]
    used = np.isin(np.arange(len(piece)), apart.faces)
    assert {owner[v] for v in np.flatnonzero(head & used)} <= {"mixamorig:Head", "mixamorig:Neck"}
    assert {owner[v].removeprefix("mixamorig:") for v in np.flatnonzero(hand & used)} <= {
        "LeftHand",
        "RightHand",
    }


@pytest.mark.nightly
def test_a_button_is_not_torn_and_moves_with_what_it_sits_on(body):
    mesh, joints = body
    half = np.array((0.02, 0, 0))
    place = 0.5 * (joints["LeftArm"] + joints["LeftForeArm"]) + (0, 0.05, 0.06)
    button = make_capsule(place - half, place + half, 0.012)
    dressed = join_parts([(mesh.positions, mesh.faces), button])
    skeleton = fit_skeleton(dressed, pose_type="A-pose").skeleton
    skin = compute_skin_weights(dressed, skeleton)
    count = len(button[0])
    assert (
        np.ptp(skin.weights[-count:], axis=0).max() == 0 and np.ptp(skin.joints[-count:], axis=0).max() == 0
    )
    turn = np.array(((0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)))
    posed = pose_vertices(dressed, skeleton, skin, {"mixamorig:LeftForeArm": turn, "mixamorig:LeftArm": turn})
    before, after = (points[-count:] - points[-count:].mean(axis=0) for points in (dressed.positions, posed))
    assert np.linalg.norm(posed[-count:] - dressed.positions[-count:], axis=1).min() > 0.1
    assert np.allclose(np.linalg.norm(before, axis=1), np.linalg.norm(after, axis=1), rtol=0.02)


def test_a_skirt_is_seen_and_said(body, reference):
    mesh, _ = body
    turn = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    rings = [
        np.stack((r * np.cos(turn), np.full(32, y), r * np.sin(turn)), 1)
        for r, y in ((0.15, 1.05), (0.26, 0.5))
    ]
    points = np.concatenate([*rings, [(0, 1.05, 0), (0, 0.5, 0)]])
    a, b = np.arange(32), np.roll(np.arange(32), -1)
    faces = np.concatenate(
        [
            np.stack(f, 1)
            for f in ((a, b, a + 32), (b, b + 32, a + 32), (b, a, 0 * a + 64), (a + 32, b + 32, 0 * a + 65))
        ]
    )
    fitted = fit_skeleton(join_parts([(mesh.positions, mesh.faces), (points, faces)]), pose_type="A-pose")
    assert "a skirt hides the crotch; the hips were estimated" in fitted.warnings
    gaps = np.linalg.norm(fitted.skeleton.positions - reference, axis=1)
    assert gaps.mean() < 0.025 * 1.7 and gaps.max() < 0.08 * 1.7


def test_a_body_without_clothes_has_no_warnings(fitted):
    assert fitted.warnings == ()


def test_long_hair_pulls_no_joint_out_of_the_body(body, reference):
    mesh, _ = body
    hair = make_box((-0.14, 0.95, -0.22), (0.14, 1.62, -0.08))
    skeleton = fit_skeleton(join_parts([(mesh.positions, mesh.faces), hair]), pose_type="A-pose").skeleton
    trunk = [skeleton.index(f"mixamorig:{name}") for name in ("Hips", "Spine", "Spine1", "Spine2", "Neck")]
    assert np.abs(skeleton.positions[trunk, 2]).max() < 0.08
    hands = [skeleton.index(f"mixamorig:{side}Hand") for side in ("Left", "Right")]
    assert np.allclose(skeleton.positions[hands], reference[hands], atol=0.03)
