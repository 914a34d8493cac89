"""Scenes of random features that glTF Transform writes: every triangle is read where it is, in its color.

A scene is its seed. A push reads a few, each night many more.
"""

import base64
import io
import json
import os
import subprocess

import numpy as np
import pytest
from character3d.pipeline.color import linear_to_srgb
from character3d.pipeline.errors import FormatError
from character3d.pipeline.formats import read_mesh
from character3d.pipeline.types import TexturedMesh
from character3d.tests.readers.locate import FOLDER, node_modules, require_reader
from PIL import Image
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

PUSH, NIGHT = range(12), range(100, 400)
CELLS = 4
"""Of the picture, along a side; each has one color."""
TRIANGLES, STRIP, FAN = 4, 5, 6
STEPS = ("dedup", "flatten", "instance", "join", "sparse", "unweld", "weld")
NOT_OF_STRIPS = ("draco", "meshopt", "quantize", "unweld", "weld")
"""Steps that glTF Transform refuses, or does wrong, for strips that it has joined."""


def make_scene(seed):
    """What the script is asked for, the triangles (F, 3, 3), and what `read_shades` should find of them."""
    choose = np.random.default_rng(seed)
    colors = choose.integers(0, 256, (CELLS, CELLS, 3), np.uint8)
    given = {
        "file": f"{seed}/scene.{choose.choice(['glb', 'gltf'])}",
        "materials": [make_material(choose, number) for number in range(choose.integers(1, 4))],
        "steps": [str(step) for step in choose.permutation(STEPS)[: choose.integers(0, 4)]],
    } | make_picture(choose, colors)
    given["steps"] += [str(choose.choice(["quantize", "meshopt", "draco"]))] * int(choose.random() < 0.6)
    count = int(choose.integers(1, 4))
    made = [make_mesh(choose, number, given["materials"], colors) for number in range(count)]
    given["meshes"] = [mesh for mesh, _ in made]
    if "join" in given["steps"] and any(mesh["mode"] != TRIANGLES for mesh in given["meshes"]):
        given["steps"] = [step for step in given["steps"] if step not in NOT_OF_STRIPS]
    given["nodes"], world = make_nodes(choose, len(made))
    scene_of = choose.integers(0, 2, len(world)) if choose.random() < 0.3 else np.zeros(len(world), int)
    roots = [number for number, node in enumerate(given["nodes"]) if node["parent"] is None]
    top = [find_root(given["nodes"], number) for number in range(len(world))]
    shown = int(scene_of[top[0]])
    given |= {"scenes": [[n for n in roots if scene_of[n] == side] for side in (0, 1)], "scene": shown}
    found = [
        (made[node["mesh"]][1], matrix)
        for number, (node, matrix) in enumerate(zip(given["nodes"], world, strict=True))
        if node["mesh"] is not None and scene_of[top[number]] == shown
    ]
    places = [truth[0] @ matrix[:3, :3].T + matrix[:3, 3] for truth, matrix in found]
    return given, np.concatenate(places), np.concatenate([truth[1] for truth, _ in found])


def find_root(nodes, number):
    while nodes[number]["parent"] is not None:
        number = nodes[number]["parent"]
    return number


def make_picture(choose, colors):
    """A picture of colored cells, as PNG or lossless WebP."""
    kind = str(choose.choice(["png", "webp"]))
    held = io.BytesIO()
    Image.fromarray(colors.repeat(16, axis=0).repeat(16, axis=1)).save(held, kind, lossless=True)
    return {"picture": base64.b64encode(held.getvalue()).decode(), "mime": f"image/{kind}"}


def make_material(choose, number):
    moved = {
        "offset": choose.uniform(-1, 1, 2).tolist(),
        "scale": choose.choice([0.5, 1.0, 2.0], 2).tolist(),
        "rotation": float(choose.uniform(-3, 3)),
    }
    return {
        "name": f"material {number}",
        "factor": [*choose.uniform(0.2, 1, 3).round(3).tolist(), 1],
        "metallic": round(float(choose.random()), 3),
        "roughness": round(float(choose.random()), 3),
        "textured": bool(choose.random() < 0.7),
        "transform": moved if choose.random() < 0.4 else None,
    }


def make_mesh(choose, number, materials, colors):
    """Triangles, a strip or a fan in one cell of the picture, and its triangles with their shades."""
    mode = int(choose.choice([TRIANGLES, STRIP, FAN], p=[0.6, 0.2, 0.2]))
    which = int(choose.integers(len(materials)))
    material, cell = materials[which], choose.integers(0, CELLS, 2)
    count = int(choose.integers(2, 9)) * 3
    points = choose.uniform(-1, 1, (count, 3)).round(4)
    order = np.arange(count)
    if mode == TRIANGLES:
        corners = order.reshape(-1, 3)
        points += np.repeat(choose.uniform(-3, 3, (count // 3, 3)), 3, axis=0)
    elif mode == STRIP:
        corners = np.stack((order[:-2], order[1:-1], order[2:]), axis=1)
    else:
        corners = np.stack((0 * order[1:-1], order[1:-1], order[2:]), axis=1)
    uvs = (cell + choose.uniform(0.4, 0.6, (count, 2))) / CELLS
    if material["textured"] and material["transform"]:
        uvs = undo(material["transform"], uvs)
    tint = choose.uniform(0.2, 1, 4).round(3) if choose.random() < 0.4 else None
    mesh = {
        "name": f"mesh {number}",
        "mode": mode,
        "material": which,
        "positions": points.ravel().tolist(),
        "uvs": uvs.ravel().tolist(),
        "colors": None if tint is None else np.tile((*tint[:3], 1), count).tolist(),
        "indices": order.tolist() if choose.random() < 0.5 else None,
    }
    base = colors[cell[1], cell[0]] / 255 if material["textured"] else np.ones(3)
    linear = np.where(base <= 0.04045, base / 12.92, ((base + 0.055) / 1.055) ** 2.4) * material["factor"][:3]
    shade = [*linear_to_srgb(linear), material["metallic"], material["roughness"]]
    shade += [1.0, 1.0, 1.0] if tint is None else tint[:3].tolist()
    return mesh, (points[corners], np.tile(shade, (len(corners), 1)))


def undo(transform, uvs):
    """The uvs that KHR_texture_transform moves to `uvs`."""
    cosine, sine = np.cos(transform["rotation"]), np.sin(transform["rotation"])
    return (uvs - transform["offset"]) @ np.array(((cosine, sine), (-sine, cosine))) / transform["scale"]


def make_nodes(choose, count):
    """A tree with every mesh, some several times, and the world matrix (4, 4) of each node."""
    meshes = [*range(count), *choose.choice([-1, *range(count)], choose.integers(0, 6))]
    nodes, world = [], []
    for number, mesh in enumerate(meshes):
        parent = int(choose.integers(number)) if number and choose.random() < 0.4 else None
        turn = Rotation.from_rotvec(choose.uniform(-2, 2, 3))
        uniform = round(float(choose.uniform(0.5, 2)), 2)
        scale = [uniform * side for side in choose.choice([-1.0, 1.0], 3, p=[0.1, 0.9])]
        move = choose.uniform(-2, 2, 3).round(3)
        nodes.append(
            {
                "name": f"node {number}",
                "mesh": None if mesh < 0 else int(mesh),
                "parent": parent,
                "translation": move.tolist(),
                "rotation": turn.as_quat().tolist(),
                "scale": scale,
            }
        )
        local = np.eye(4)
        local[:3, :3], local[:3, 3] = turn.as_matrix() * scale, move
        world.append(local if parent is None else world[parent] @ local)
    return nodes, world


def write_scenes(folder, scenes):
    require_reader("gltf-transform")
    pytest.importorskip("meshopt")
    pytest.importorskip("DracoPy")
    asked = folder / "asked.json"
    asked.write_text(json.dumps([given for given, *_ in scenes]))
    done = subprocess.run(
        ["node", str(FOLDER / "write_gltf_transform.mjs"), str(asked), str(folder)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env=os.environ | {"CHARACTER3D_NODE_MODULES": str(node_modules())},
    )
    assert done.returncode == 0, done.stderr[-4000:]


def check_scene(folder, given, places, shades):
    """The triangles of a written file are those of the scene, whatever their order."""
    loaded = read_mesh(folder / given["file"])
    surface = loaded.surface
    assert isinstance(surface, TexturedMesh)
    faces = surface.mesh.faces
    found = surface.mesh.positions[faces].mean(axis=1)
    assert len(found) == len(places)
    tolerance = 4e-3 if {"quantize", "meshopt", "draco"} & set(given["steps"]) else 1e-4
    distance, nearest = cKDTree(places.mean(axis=1)).query(found)
    assert distance.max() < tolerance
    assert (np.bincount(nearest, minlength=len(places)) == 1).all()
    np.testing.assert_allclose(read_shades(surface), shades[nearest], atol=0.012)
    assert not [warning for warning in loaded.warnings if "outside the scene" not in warning]


def read_shades(surface):
    """(F, 8) sRGB of the texture at the middle of each face, metallic, roughness, and linear vertex color."""
    mesh, numbers = surface.mesh, surface.face_materials
    rows = np.zeros((len(mesh.faces), 8))
    middle = surface.uvs[mesh.faces].mean(axis=1)
    for number, material in enumerate(surface.materials):
        own = numbers == number
        rows[own, :3] = material.sample(middle[own])[:, :3]
        rows[own, 3:5] = material.metallic, material.roughness
    rows[:, 5:] = 1 if mesh.colors is None else mesh.colors[mesh.faces].mean(axis=1)[:, :3]
    return rows


def find_difference(folder, scene):
    """What is wrong with a scene, in words; nothing if it is read right."""
    try:
        check_scene(folder, *scene)
    except (AssertionError, FormatError) as error:
        return f"{scene[0]['file']} {scene[0]['steps']}: {error}"
    return ""


@pytest.mark.parametrize(
    "seeds", [PUSH, pytest.param(NIGHT, marks=pytest.mark.nightly)], ids=["push", "night"]
)
def test_scenes_of_gltf_transform(tmp_path, seeds):
    scenes = [make_scene(seed) for seed in seeds]
    write_scenes(tmp_path, scenes)
    wrong = [difference for scene in scenes if (difference := find_difference(tmp_path, scene))]
    assert not wrong, "\n".join(wrong)
