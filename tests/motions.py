"""A performance whose joints are known, written as files of motion by writers of the tests' own."""

import json
import struct

import numpy as np
from character3d.tests.humanoids import ADULT, make_humanoid
from character3d.tests.rigged_gltf import Writer
from scipy.spatial.transform import Rotation

RATE = 30
BONES = (("UpperArm", "LowerArm"), ("LowerArm", "Hand"), ("UpperLeg", "LowerLeg"), ("LowerLeg", "Foot"))
SMPL = {
    "hips": 0, "leftUpperLeg": 1, "rightUpperLeg": 2, "spine": 3, "leftLowerLeg": 4, "rightLowerLeg": 5,
    "chest": 6, "leftFoot": 7, "rightFoot": 8, "upperChest": 9, "leftToes": 10, "rightToes": 11, "neck": 12,
    "leftShoulder": 13, "rightShoulder": 14, "head": 15, "leftUpperArm": 16, "rightUpperArm": 17,
    "leftLowerArm": 18, "rightLowerArm": 19, "leftHand": 20, "rightHand": 21,
}  # fmt: skip
"""Role -> number of its rotation in SMPL."""
LYING = Rotation.from_euler("x", 90, degrees=True).as_matrix()
"""Takes +Y up to +Z up."""


class Performance:
    """Local turns (T, 3, 3) by role about axes of the mesh frame, from rest, and the hips (T, 3)."""

    def __init__(self, skeleton, local, hips):
        self.skeleton, self.hips, self.roles = skeleton, hips, skeleton.roles
        count = len(hips)
        turns, names = [], {joint: role for role, joint in skeleton.roles.items()}
        for joint, parent in enumerate(skeleton.parents):
            own = local.get(names.get(joint, ""), np.tile(np.eye(3), (count, 1, 1)))
            turns.append(own if parent < 0 else turns[parent] @ own)
        self.turns = np.stack(turns, axis=1)
        rest = skeleton.positions.astype(float)
        places = [hips]
        for joint in range(1, len(rest)):
            parent = skeleton.parents[joint]
            places.append(places[parent] + self.turns[:, parent] @ (rest[joint] - rest[parent]))
        self.places = np.stack(places, axis=1)

    def __len__(self):
        return len(self.hips)

    def direction(self, start, stop):
        """(T, 3) from one role's joint to another's."""
        return self.places[:, self.roles[stop]] - self.places[:, self.roles[start]]


def perform(arm_drop=20.0, count=46, skeleton=None):
    """Arms go up and forward, elbows bend, the chest turns, the left knee rises; the right foot stands."""
    skeleton = skeleton or make_humanoid(ADULT, arm_drop).skeleton
    share = (1 - np.cos(np.linspace(0, 2 * np.pi, count))) / 2

    def turn(axis, degrees):
        return Rotation.from_euler(axis, (degrees * share)[:, None], degrees=True).as_matrix()

    local = {
        "spine": turn("y", 12),
        "chest": turn("y", 10),
        "neck": turn("x", 12),
        "head": turn("y", -20),
        "leftUpperArm": turn("z", 55),
        "leftLowerArm": turn("y", -60),
        "rightUpperArm": turn("y", 60),
        "rightLowerArm": turn("y", 40),
        "leftUpperLeg": turn("x", -60),
        "leftLowerLeg": turn("x", 70),
    }
    return Performance(skeleton, local, np.repeat(skeleton.positions[:1].astype(float), count, axis=0))


def write_bvh(path, performed, names=None, frame=None, scale=100.0):
    """Rotations about Z, X and Y in turn. frame: (3, 3), takes the mesh frame to the file's."""
    frame = np.eye(3) if frame is None else frame
    skeleton, names = performed.skeleton, names or performed.skeleton.names
    rest = skeleton.positions.astype(float) @ frame.T * scale
    lines, order = ["HIERARCHY"], []

    def write(joint, depth):
        parent, tab = skeleton.parents[joint], "\t" * depth
        order.append(joint)
        offset = rest[joint] - rest[parent] if parent >= 0 else np.zeros(3)
        kind = "ROOT" if parent < 0 else "JOINT"
        channels = "CHANNELS 3 Zrotation Xrotation Yrotation"
        if parent < 0:
            channels = "CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation"
        lines.extend(
            (f"{tab}{kind} {names[joint]}", f"{tab}{{", f"{tab}\tOFFSET {offset[0]} {offset[1]} {offset[2]}")
        )
        lines.append(f"{tab}\t{channels}")
        children = np.flatnonzero(skeleton.parents == joint)
        for child in children:
            write(child, depth + 1)
        if not len(children):
            lines.extend((f"{tab}\tEnd Site", f"{tab}\t{{", f"{tab}\t\tOFFSET 0 1 0", f"{tab}\t}}"))
        lines.append(f"{tab}}}")

    write(0, 0)
    lines += ["MOTION", f"Frames: {len(performed)}", f"Frame Time: {1 / RATE}"]
    turns = frame @ performed.turns @ frame.T
    for place, turned in zip(performed.hips @ frame.T * scale, turns, strict=True):
        row = list(place)
        for joint in order:
            parent = skeleton.parents[joint]
            own = turned[joint] if parent < 0 else turned[parent].T @ turned[joint]
            row += list(Rotation.from_matrix(own).as_euler("ZXY", degrees=True))
        lines.append(" ".join(f"{value:.6f}" for value in row))
    path.write_text("\n".join(lines) + "\n")


def write_gltf_motion(path, performed, names=None, has_roles=False, seed=1):
    """Bare nodes whose axes are random, below an armature in centimetres that lies on its back.

    has_roles: as VRMA says them, and then the axes are those of the mesh, as VRMA asks for.
    """
    skeleton, names = performed.skeleton, names or performed.skeleton.names
    count = len(skeleton.names)
    axes = Rotation.random(count, random_state=seed).as_matrix()
    armature, scale = (np.eye(3), 1.0) if has_roles else (LYING, 0.01)
    made, rest = Writer(), skeleton.positions.astype(float)
    if has_roles:
        axes = np.tile(np.eye(3), (count, 1, 1))
    nodes = [{"name": "Armature", "children": [1], "scale": [scale] * 3,
              "rotation": Rotation.from_matrix(armature).as_quat().tolist()}]  # fmt: skip
    times = made.add(np.arange(len(performed)) / np.float32(RATE))
    channels, samplers = [], []

    def key(node, path_, values):
        channels.append({"sampler": len(samplers), "target": {"node": node, "path": path_}})
        samplers.append({"input": times, "output": made.add(values), "interpolation": "LINEAR"})

    for joint, parent in enumerate(skeleton.parents):
        above = armature if parent < 0 else axes[parent]
        origin = np.zeros(3) if parent < 0 else rest[parent]
        children = (np.flatnonzero(skeleton.parents == joint) + 1).tolist()
        nodes.append({
            "name": names[joint],
            "translation": (above.T @ (rest[joint] - origin) / scale).tolist(),
            "rotation": Rotation.from_matrix(above.T @ axes[joint]).as_quat().tolist(),
        } | ({"children": children} if children else {}))  # fmt: skip
        posed = performed.turns[:, joint] @ axes[joint]
        over = armature[None] if parent < 0 else performed.turns[:, parent] @ axes[parent]
        key(joint + 1, "rotation", Rotation.from_matrix(np.swapaxes(over, 1, 2) @ posed).as_quat())
        if parent < 0:
            key(1, "translation", performed.hips @ armature / scale)
    tree = {
        "asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": [0]}], "nodes": nodes,
        "animations": [{"name": "Take", "channels": channels, "samplers": samplers}],
        "accessors": made.accessors, "bufferViews": made.views,
        "buffers": [{"byteLength": len(made.data)}],
    }  # fmt: skip
    if has_roles:
        bones = {role: {"node": joint + 1} for role, joint in skeleton.roles.items()}
        tree["extensionsUsed"] = ["VRMC_vrm_animation"]
        tree["extensions"] = {"VRMC_vrm_animation": {"specVersion": "1.0", "humanoid": {"humanBones": bones}}}
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    body = struct.pack("<I4s", len(text), b"JSON") + text
    body += struct.pack("<I4s", len(made.data), b"BIN\0") + bytes(made.data)
    path.write_bytes(struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body)


def write_smpl(path, performed, width=52, layout="amass"):
    """Rotations from the zero pose, in AMASS's frame, which has +Z up; the rest pose is that pose."""
    vectors = np.zeros((len(performed), width, 3))
    for role, number in SMPL.items():
        joint = performed.roles[role]
        parent = performed.skeleton.parents[joint]
        above = np.swapaxes(performed.turns[:, parent], 1, 2) if parent >= 0 else LYING
        own = above @ performed.turns[:, joint]
        vectors[:, number] = Rotation.from_matrix(own).as_rotvec()
    flat, trans = vectors.reshape(len(performed), -1), performed.hips @ LYING.T
    if layout == "amass":
        np.savez(path, poses=flat, trans=trans, mocap_framerate=RATE, betas=np.zeros(16))
    else:
        np.savez(path, root_orient=flat[:, :3], pose_body=flat[:, 3:66], trans=trans, mocap_frame_rate=RATE)


def rename(skeleton, table):
    """Names of the joints: those of the table by role, and others that say nothing."""
    roles = {joint: role for role, joint in skeleton.roles.items()}
    return tuple(
        table(roles[joint]) if joint in roles else f"x{joint}" for joint in range(len(skeleton.names))
    )
