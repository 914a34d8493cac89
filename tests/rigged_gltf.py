"""A skinned, morphed and animated GLB file, written byte by byte as other programs write them."""

import json
import struct

import numpy as np
from scipy.spatial.transform import Rotation

JOINTS = ("Hips", "Spine", "Arm")
PLACES = np.array(((0, 1.0, 0), (0, 1.4, 0), (0.3, 1.4, 0)))
"""Meters in the scene; the armature above the joints is in centimeters and lies on its back."""
TIMES = np.array((0.0, 0.5, 2.0), np.float32)
TURN = Rotation.from_rotvec(np.outer((0, 40, 90), (0, 0, 1)), degrees=True)
SHEET = np.array([(x, y, 0.0) for y in np.linspace(0, 1.8, 10) for x in (-0.2, 0.2)], np.float32)
SMILE = np.array([(0, 0, 0.1 * (number > 15)) for number in range(len(SHEET))], np.float32)
_TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
_CODES = {"float32": 5126, "uint16": 5123, "uint8": 5121}


class Writer:
    """Arrays in one buffer."""

    def __init__(self):
        self.views, self.accessors, self.data = [], [], bytearray()

    def add(self, values):
        values = np.asarray(values)
        values = values.astype(np.float32) if values.dtype.kind == "f" else values
        rows = values.reshape(len(values), -1)
        self.views.append({"buffer": 0, "byteOffset": len(self.data), "byteLength": values.nbytes})
        self.data += values.tobytes() + bytes(-values.nbytes % 4)
        self.accessors.append(
            {
                "bufferView": len(self.views) - 1,
                "componentType": _CODES[values.dtype.name],
                "count": len(values),
                "type": _TYPES[rows.shape[1]],
                "min": rows.min(axis=0).tolist(),
                "max": rows.max(axis=0).tolist(),
            }
        )
        return len(self.accessors) - 1


def write_rigged_gltf(path, interpolation="LINEAR", weights=(0.0, 0.0), parts=1):
    """Two clips: Wave turns the arm and moves the hips, Spin turns a node that is no joint."""
    made = Writer()
    steps = np.arange(9)[:, None] * 2
    faces = np.concatenate([steps + np.array(corners) for corners in ((0, 1, 2), (1, 3, 2))]).astype(
        np.uint16
    )
    joints = np.zeros((len(SHEET), 4), np.uint8)
    joints[:, 1], joints[SHEET[:, 1] > 1.2, 0] = 2, 1
    shares = np.tile(np.float32((0.75, 0.25, 0, 0)), (len(SHEET), 1))
    uvs = SHEET[:, :2] / 2
    attributes = {
        "POSITION": made.add(SHEET),
        "TEXCOORD_0": made.add(uvs),
        "TEXCOORD_1": made.add(1 - uvs),
        "JOINTS_0": made.add(joints),
        "WEIGHTS_0": made.add(shares),
    }
    primitive = {
        "attributes": attributes,
        "indices": made.add(faces.reshape(-1)),
        "targets": [{"POSITION": made.add(deltas)} for deltas in (SMILE, -0.5 * SMILE[::-1])],
    }
    turns = TURN.as_quat()
    moves = np.array(((0, 0, -100.0), (0, 0, -110), (0, 0, -100)))  # the armature's +Z is down
    if interpolation == "CUBICSPLINE":
        turns, moves = (
            np.stack((0 * values, values, 0 * values), 1).reshape(-1, values.shape[1])
            for values in (turns, moves)
        )
    times = made.add(TIMES)
    samplers = [
        {"input": times, "output": made.add(values), "interpolation": interpolation}
        for values in (turns, moves)
    ]
    lying = Rotation.from_euler("x", 90, degrees=True)
    local = np.diff(PLACES, axis=0, prepend=0)
    local = lying.inv().apply(local) * 100
    nodes = [
        {"name": "body", "mesh": 0, "skin": 0},
        {
            "name": "Armature",
            "rotation": lying.as_quat().tolist(),
            "scale": [0.01] * 3,
            "children": [2],
        },
        *(
            {
                "name": name,
                "translation": place.tolist(),
                **({"children": [3 + number]} if number < 2 else {}),
            }
            for number, (name, place) in enumerate(zip(JOINTS, local, strict=True))
        ),
        {"name": "lamp"},
    ]
    targets = [{"node": 4, "path": "rotation"}, {"node": 2, "path": "translation"}]
    clip = [{"sampler": number, "target": target} for number, target in enumerate(targets)]
    spin = [{"sampler": 0, "target": {"node": 5, "path": "rotation"}}]
    # The joints' axes are the armature's, so that their inverse binds undo its turn and its scale.
    placed = np.tile(np.eye(4), (3, 1, 1))
    placed[:, :3, :3], placed[:, :3, 3] = 0.01 * lying.as_matrix(), PLACES
    bind = np.linalg.inv(placed).transpose(0, 2, 1)
    tree = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0, 1, 5]}],
        "nodes": nodes,
        "meshes": [
            {
                "primitives": [primitive] * parts,
                "weights": list(weights),
                "extras": {"targetNames": ["smile", "blink"]},
            }
        ],
        "skins": [{"joints": [2, 3, 4], "inverseBindMatrices": made.add(bind)}],
        "animations": [
            {"name": "Wave", "channels": clip, "samplers": samplers},
            {"name": "Spin", "channels": spin, "samplers": samplers},
        ],
        "bufferViews": made.views,
        "accessors": made.accessors,
        "buffers": [{"byteLength": len(made.data)}],
    }
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    body = struct.pack("<I4s", len(text), b"JSON") + text
    body += struct.pack("<I4s", len(made.data), b"BIN\0") + bytes(made.data)
    path.write_bytes(struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body)
    return path
