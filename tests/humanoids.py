"""Rigged figures of capsules whose joints are known, in any pose of the arms and legs.

Characters are immutable, and binding one takes seconds: each is made once per process.
"""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import trimesh
from character3d.pipeline.formats.mesh_files import read_mesh
from character3d.pipeline.rigging import compute_skin_weights, fit_skeleton, separate_limbs
from character3d.pipeline.rigging.skeleton import build_skeleton
from character3d.pipeline.types import Material, Mesh, RiggedCharacter, Skeleton, TexturedMesh
from scipy.spatial.transform import Rotation

ELF = Path(__file__).resolve().parents[1] / "examples" / "elf.glb"
ADULT = {"head": 0.1, "neck": 1.45, "shoulder": 1.35, "hips": 0.92, "arm": 0.27, "foot": 0.16, "width": 0.13}
CHIBI = {"head": 0.26, "neck": 0.88, "shoulder": 0.8, "hips": 0.42, "arm": 0.15, "foot": 0.13, "width": 0.14}


def make_tube(start, stop, radius):
    """A closed tube between two points with round ends, as a trimesh; its rings are 2 cm apart."""
    way = np.subtract(stop, start).astype(float)
    length = np.linalg.norm(way)
    tilt = np.linspace(0, np.pi / 2, 6)
    cap = radius * np.stack((np.sin(tilt), -np.cos(tilt)), axis=1)
    side = [(radius, z) for z in np.linspace(0, length, max(int(length / 0.02), 2) + 1)[1:-1]]
    profile = np.concatenate((cap, side, np.array((0, length)) + (cap * (1, -1))[::-1]))
    tube = trimesh.creation.revolve(profile, sections=20)
    tube.update_faces(tube.nondegenerate_faces())
    place = trimesh.geometry.align_vectors([0, 0, 1], way)
    place[:3, 3] = start
    return tube.apply_transform(place)


def place_joints(build, arm_drop, leg_spread, knee_out=0.0):
    """Joint name -> (3,): arms `arm_drop` degrees below the horizontal, legs `leg_spread` outwards."""
    neck, hips, width = build["neck"], build["hips"], build["width"]
    levels = {"Hips": hips, "Spine": 0.25, "Spine1": 0.5, "Spine2": 0.75, "Neck": neck}
    places = {
        name: np.array((0, hips + level * (neck - hips) if level < 0.8 and name != "Hips" else level, 0.0))
        for name, level in levels.items()
    }
    places["Head"] = np.array((0, neck + 0.3 * build["head"], 0))
    places["HeadTop_End"] = np.array((0, neck + 2.3 * build["head"], 0))
    drop, spread, out = np.radians((arm_drop, leg_spread, knee_out))
    for side, sign in (("Left", 1), ("Right", -1)):
        arm = build["arm"] * np.array((sign * np.cos(drop), -np.sin(drop), 0))
        thigh = np.array((sign * np.sin(spread + out), -np.cos(spread + out), 0))
        shin = np.array((sign * np.sin(spread - out), -np.cos(spread - out), 0))
        shoulder = np.array((sign * 1.25 * width, build["shoulder"], 0))
        hip = np.array((sign * 0.65 * width, hips - 0.02, 0))
        bone = (hip[1] - 0.06) / (2 * np.cos(spread) * np.cos(out))
        knee = hip + bone * thigh
        ankle = knee + bone * shin
        toe = np.array((0, 0.03 - ankle[1], build["foot"]))
        chain = {
            "Shoulder": shoulder * (0.3, 1, 1),
            "Arm": shoulder,
            "ForeArm": shoulder + arm,
            "Hand": shoulder + 1.9 * arm,
            "UpLeg": hip,
            "Leg": knee,
            "Foot": ankle,
            "ToeBase": ankle + 0.7 * toe,
            "Toe_End": ankle + toe,
        }
        chain["ToeBase"][1] = chain["Toe_End"][1] = 0.03
        places |= {side + name: place for name, place in chain.items()}
    return places


def make_humanoid(build=ADULT, arm_drop=50.0, leg_spread=4.0, knee_out=0.0):
    """A RiggedCharacter; every bone is a capsule of its own, so that the mesh bends at the joints."""
    return _make_humanoid(tuple(build.items()), arm_drop, leg_spread, knee_out)


@cache
def _make_humanoid(build, arm_drop, leg_spread, knee_out):
    build = dict(build)
    places = place_joints(build, arm_drop, leg_spread, knee_out)
    width = build["width"]
    limbs = [
        (places["Hips"], places["Spine1"], 0.9 * width),
        (places["Spine1"], places["Neck"] - (0, 0.1, 0), width),
        (places["Neck"] - (0, 0.1, 0), places["Head"], 0.35 * width),
        (
            places["Head"] + (0, 0.8 * build["head"], 0),
            places["HeadTop_End"] - (0, build["head"], 0),
            build["head"],
        ),
    ]
    for side in ("Left", "Right"):
        joint = {name.removeprefix(side): place for name, place in places.items() if name.startswith(side)}
        hand = joint["Hand"] + 0.5 * (joint["Hand"] - joint["ForeArm"])
        limbs += [
            (joint["Shoulder"], joint["Arm"], 0.05),
            (joint["Arm"], joint["ForeArm"], 0.042),
            (joint["ForeArm"], joint["Hand"], 0.036),
            (joint["Hand"], hand, 0.03),
            (joint["UpLeg"], joint["Leg"], 0.07),
            (joint["Leg"], joint["Foot"] + (0, 0.01, 0), 0.05),
            (joint["Foot"] * (1, 0, 1) + (0, 0.035, -0.02), joint["Toe_End"] + (0, 0.005, 0), 0.035),
        ]
    joined = trimesh.util.concatenate([make_tube(*limb) for limb in limbs])
    mesh = Mesh(joined.vertices, joined.faces, uvs=np.full((len(joined.vertices), 2), 0.5))
    skeleton = build_skeleton(places)
    textured = TexturedMesh(mesh, Material(np.full((4, 4, 4), 0.7)))
    return RiggedCharacter(textured, skeleton, compute_skin_weights(mesh, skeleton))


@cache
def rig_elf():
    """The example's mesh rigged by the embedded method, as the node does it."""
    mesh = read_mesh(ELF).surface.mesh
    skeleton = fit_skeleton(mesh).skeleton
    apart = separate_limbs(mesh, skeleton, compute_skin_weights(mesh, skeleton))
    mesh = replace(apart.mesh, uvs=np.full((len(apart.mesh.positions), 2), 0.5))
    return RiggedCharacter(TexturedMesh(mesh, Material(np.full((4, 4, 4), 0.7))), skeleton, apart.skin)


def change_axes(skeleton, seed=0):
    """The same joints and roles with other names and, at random, other axes."""
    turns = Rotation.random(len(skeleton.names), random_state=seed).as_matrix()
    rest = skeleton.rest.astype(float)
    rest[:, :3, :3] = rest[:, :3, :3] @ turns
    return Skeleton(tuple(f"bone.{n:03}" for n in range(len(rest))), skeleton.parents, rest, skeleton.roles)


def walk_tree(skeleton, rotations, place):
    """(J, 4, 4) transforms of one key as a reader of glTF makes them, local matrices down the tree."""
    rest = skeleton.rest.astype(float)
    world = []
    for joint, parent in enumerate(skeleton.parents):
        local = rest[joint].copy() if parent < 0 else np.linalg.inv(rest[parent]) @ rest[joint]
        local[:3, :3] = Rotation.from_quat(rotations[joint]).as_matrix()
        if joint == 0:
            local[:3, 3] = place
        world.append(local if parent < 0 else world[parent] @ local)
    return np.array(world)


def skin_points(character, world):
    """(V, 3) positions by the textbook formula, vertex by vertex in blocks of four influences."""
    moves = world @ np.linalg.inv(character.skeleton.rest.astype(float))
    points = np.c_[character.textured.mesh.positions, np.ones(len(character.textured.mesh.positions))]
    joints, weights = character.skin.joints, character.skin.weights
    return sum(weights[:, k, None] * (moves[joints[:, k]] @ points[..., None])[:, :3, 0] for k in range(4))


def degrees_between(a, b):
    """(...) degrees between directions (..., 3)."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    return np.degrees(np.arctan2(np.linalg.norm(np.cross(a, b), axis=-1), (a * b).sum(axis=-1)))
