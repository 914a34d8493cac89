"""Meshes of random features, written by pygltflib and trimesh: what is read is what was written."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import trimesh
from character3d.pipeline.color import linear_to_srgb
from character3d.pipeline.formats import read_mesh
from character3d.pipeline.types import TexturedMesh
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

SETTINGS = settings(
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # shrinking such a scene takes minutes
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
INTEGERS = {5120: np.int8, 5121: np.uint8, 5122: np.int16, 5123: np.uint16, 5125: np.uint32}
FLOAT = 5126
NAMES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
TRIANGLES, STRIP, FAN = 4, 5, 6

small = st.floats(-2, 2, width=32).map(lambda value: round(value, 3))
scales = st.sampled_from((-2.0, -1.0, 0.5, 1.0, 3.0))


class Writer:
    """A document of pygltflib's, and the buffer that its accessors read."""

    def __init__(self):
        self.lib = pytest.importorskip("pygltflib")
        self.document = self.lib.GLTF2(
            scene=0, scenes=[self.lib.Scene(nodes=[])], extensionsUsed=["KHR_mesh_quantization"]
        )
        self.blob = b""

    def add_view(self, data, stride=None):
        self.blob += b"\0" * (-len(self.blob) % 4)
        view = self.lib.BufferView(
            buffer=0, byteOffset=len(self.blob), byteLength=len(data), byteStride=stride
        )
        self.blob += data
        self.document.bufferViews.append(view)
        return len(self.document.bufferViews) - 1

    def add_accessor(self, rows, component, normalized=False, padding=None, sparse=None):
        """An accessor of (N, k) rows.

        padding: bytes between rows, None for no stride. sparse: the rows that stand in the sparse part.
        """
        rows = np.ascontiguousarray(rows)
        base, width = rows.copy(), rows.dtype.itemsize * rows.shape[1]
        if sparse is not None:
            base[sparse] = 7
        data, stride = base.tobytes(), None
        if padding is not None:
            stride = (width + 3) // 4 * 4 + padding
            data = b"".join(row.tobytes().ljust(stride, b"\xee") for row in base)
        accessor = self.lib.Accessor(
            bufferView=self.add_view(data, stride),
            componentType=component,
            normalized=normalized,
            count=len(rows),
            type=NAMES[rows.shape[1]],
        )
        if sparse is not None:
            places = self.add_view(np.asarray(sparse, np.uint16).tobytes())
            values = self.add_view(rows[sparse].tobytes())
            accessor.sparse = self.lib.Sparse(
                count=len(sparse),
                indices=self.lib.AccessorSparseIndices(bufferView=places, componentType=5123),
                values=self.lib.AccessorSparseValues(bufferView=values),
            )
        self.document.accessors.append(accessor)
        return len(self.document.accessors) - 1

    def save(self, path):
        self.document.buffers = [self.lib.Buffer(byteLength=len(self.blob))]
        self.document.set_binary_blob(self.blob)
        self.document.save_binary(path)


def draw_rows(draw, count, width, component):
    """Distinct rows in a component type -> the rows, whether they are normalized, and what they mean."""
    number = st.integers(0, 127) if component in (5121, 5123) else st.integers(-127, 127)
    rows = st.lists(st.tuples(*[number] * width), min_size=count, max_size=count, unique=True)
    stored = np.array(draw(rows))
    if component == FLOAT:
        stored = (stored / 16).astype(np.float32)
        return stored, False, stored.astype(np.float64)
    stored, normalized = stored.astype(INTEGERS[component]), draw(st.booleans())
    return stored, normalized, stored / (np.iinfo(stored.dtype).max if normalized else 1)


def draw_primitive(draw, writer):
    """A primitive of any mode -> pygltflib's, its corners (F, 3, 3) and colors (F, 3, 4) or None."""
    lib, count = writer.lib, draw(st.integers(3, 9))
    component = draw(st.sampled_from((FLOAT, 5120, 5121, 5122, 5123)))
    stored, normalized, positions = draw_rows(draw, count, 3, component)
    sparse = draw(st.none() | st.lists(st.integers(0, count - 1), min_size=1, unique=True).map(sorted))
    needs_stride = stored.dtype.itemsize * 3 % 4
    padding = draw(st.sampled_from((0, 4) if needs_stride else (None, 0, 8)))
    attributes = lib.Attributes(POSITION=writer.add_accessor(stored, component, normalized, padding, sparse))
    colors = None
    if draw(st.booleans()):
        width, kind = draw(st.sampled_from((3, 4))), draw(st.sampled_from((FLOAT, 5121, 5123)))
        values = np.array(draw(st.lists(st.integers(0, 255), min_size=count * width, max_size=count * width)))
        most = 255 if kind != 5123 else 65535
        values = values.reshape(count, width) * (most // 255)
        raw = (values / 255).astype(np.float32) if kind == FLOAT else values.astype(INTEGERS[kind])
        padding = 0 if raw.dtype.itemsize * width % 4 else None
        attributes.COLOR_0 = writer.add_accessor(raw, kind, kind != FLOAT, padding)
        colors = np.ones((count, 4))
        colors[:, :width] = values / most
    targets, moved = [], positions
    weights = draw(st.none() | st.lists(small, min_size=1, max_size=2))
    for weight in weights or []:
        offset, _, meant = draw_rows(draw, count, 3, FLOAT)
        targets.append({"POSITION": writer.add_accessor(offset, FLOAT)})
        moved = moved + weight * meant
    mode = draw(st.sampled_from((TRIANGLES, STRIP, FAN)))
    indices = np.arange(count)
    primitive = lib.Primitive(attributes=attributes, mode=mode, targets=targets)
    if draw(st.booleans()):
        kind = draw(st.sampled_from((5121, 5123, 5125)))
        indices = np.array(draw(st.lists(st.integers(0, count - 1), min_size=3, max_size=12)))
        primitive.indices = writer.add_accessor(indices[:, None].astype(INTEGERS[kind]), kind)
    faces = list_faces(mode, indices)
    return primitive, weights, moved[faces], None if colors is None else colors[faces]


def list_faces(mode, indices):
    """As section 3.7.2.1 of glTF has it."""
    if mode == TRIANGLES:
        faces = [tuple(indices[at : at + 3]) for at in range(0, len(indices) - 2, 3)]
    elif mode == STRIP:
        faces = [
            (indices[at], indices[at + 1 + at % 2], indices[at + 2 - at % 2])
            for at in range(len(indices) - 2)
        ]
    else:
        faces = [(indices[at + 1], indices[at + 2], indices[0]) for at in range(len(indices) - 2)]
    return np.array(faces, int).reshape(-1, 3)


def find_whole(triangles):
    """Which of the triangles (F, 3, 3) have three corners."""
    sides = triangles - np.roll(triangles, 1, axis=1)
    return (np.abs(sides).max(axis=2) > 1e-6).all(axis=1)


def draw_node(draw, lib):
    """A node with a place -> pygltflib's and its matrix."""
    matrix = np.eye(4)
    turn = Rotation.from_rotvec(draw(st.tuples(small, small, small)))
    scale, move = draw(st.tuples(scales, scales, scales)), draw(st.tuples(small, small, small))
    matrix[:3, :3], matrix[:3, 3] = turn.as_matrix() * scale, move
    if draw(st.booleans()):
        return lib.Node(matrix=matrix.T.ravel().tolist()), matrix
    place = {"rotation": turn.as_quat().tolist(), "scale": list(scale), "translation": list(move)}
    return lib.Node(**place), matrix


@st.composite
def scenes(draw):
    """A document, the triangles that its scene shows in their order, and their colors."""
    writer = Writer()
    triangles, colors = [], []
    for _ in range(draw(st.integers(1, 3))):
        above, chain = np.eye(4), draw(st.integers(1, 3))
        for depth in range(chain):
            node, matrix = draw_node(draw, writer.lib)
            above = above @ matrix
            writer.document.nodes.append(node)
            number = len(writer.document.nodes) - 1
            if depth:
                writer.document.nodes[number - 1].children = [number]
            else:
                writer.document.scenes[0].nodes.append(number)
        primitive, weights, corners, own = draw_primitive(draw, writer)
        node.mesh = len(writer.document.meshes)
        writer.document.meshes.append(writer.lib.Mesh(primitives=[primitive], weights=weights))
        placed = corners @ above[:3, :3].T + above[:3, 3]
        flip = slice(None, None, -1 if np.linalg.det(above) < 0 else 1)
        triangles.append(placed[:, flip])
        colors.append(np.ones((len(corners), 3, 4)) if own is None else own[:, flip])
    return writer, np.concatenate(triangles), np.concatenate(colors)


@SETTINGS
@given(scenes())
def test_gltf_of_any_features_is_read_as_it_was_meant(scene):
    writer, triangles, colors = scene
    whole = find_whole(triangles)
    if not whole.any():
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.glb")
        writer.save(str(path))
        loaded = read_mesh(path)
    mesh, triangles = loaded.surface, triangles[whole]
    kept = find_whole(mesh.positions[mesh.faces])
    found = mesh.positions[mesh.faces][kept]
    if loaded.warnings:  # a small mesh far from the origin is moved there
        assert "was moved there" in loaded.warnings[0] and len(loaded.warnings) == 1
        triangles = triangles - triangles[0, 0] + found[0, 0]
    np.testing.assert_allclose(found, triangles, atol=2e-5 * np.ptp(triangles))
    seen = np.ones((1, 3, 4)) if mesh.colors is None else mesh.colors[mesh.faces][kept]
    np.testing.assert_allclose(np.broadcast_to(seen, (len(found), 3, 4)), colors[whole], atol=1e-5)


@st.composite
def colored_boxes(draw):
    """Boxes with a color at each vertex, each at a place of its own."""
    boxes = []
    for place in range(draw(st.integers(1, 3))):
        box = trimesh.creation.box([draw(st.floats(0.5, 2, width=16)) for _ in range(3)])
        box.apply_translation((3 * place, draw(small), draw(small)))
        rows = st.lists(st.integers(0, 255), min_size=24, max_size=24)
        colors = np.array(draw(rows), np.uint8).reshape(8, 3)
        box.visual.vertex_colors = np.c_[colors, np.full(8, 255, np.uint8)]
        boxes.append(box)
    return boxes


@pytest.mark.parametrize("suffix", ["glb", "ply", "obj", "off", "stl"])
@SETTINGS
@given(boxes=colored_boxes())
def test_what_trimesh_writes_is_read(suffix, boxes):
    joined = trimesh.util.concatenate(boxes)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"a.{suffix}")
        (trimesh.Scene(boxes) if suffix == "glb" else joined).export(path)
        surface = read_mesh(path).surface
    mesh = surface.mesh if isinstance(surface, TexturedMesh) else surface
    np.testing.assert_allclose(mesh.positions[mesh.faces], joined.triangles, atol=1e-4)
    if suffix in (
        "ply",
        "obj",
    ):  # trimesh writes its sRGB into glTF's linear colors, and none into the others
        seen = linear_to_srgb(mesh.colors[mesh.faces][..., :3]) * 255
        np.testing.assert_allclose(seen, joined.visual.vertex_colors[joined.faces][..., :3], atol=1)
