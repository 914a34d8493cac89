"""The Khronos glTF validator on what write_glb writes: no error, no warning, and the right content."""

from dataclasses import replace

import numpy as np
import pytest
from character3d.pipeline.formats import write_glb
from character3d.pipeline.types import Material, Mesh, TexturedMesh
from character3d.tests.readers.locate import run_reader
from character3d.tests.readers.sample_character import make_character

TEXTURED = make_character().textured
MESH = TEXTURED.mesh
TRANSLUCENT = Material(np.concatenate([TEXTURED.material.base_color[..., :3], np.full((64, 64, 1), 0.5)], -1))
ONE_TRIANGLE = Mesh([[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, 2]])
WITHOUT_NORMALS = Mesh(MESH.positions, MESH.faces, uvs=MESH.uvs)
UPPER = MESH.positions[:, 1] > np.median(MESH.positions[:, 1])
NUMBERS = np.zeros(len(MESH.positions), np.uint16)
NUMBERS[MESH.faces[UPPER[MESH.faces].all(axis=1)]] = 1
OF_ONE = (NUMBERS[MESH.faces] == NUMBERS[MESH.faces[:, :1]]).all(axis=1)
GLOWING = Material(
    np.full((2, 2, 4), 200, np.uint8),
    emissive=(0.0, 0.5, 2.0),
    alpha_mode="MASK",
    wrap=("REPEAT", "MIRROR"),
    is_double_sided=True,
    maps={
        name: np.full((2, 2, 3), 128, np.uint8) for name in ("metallic_roughness", "occlusion", "emissive")
    },
)

MODELS = {
    "mesh": MESH,
    "bare mesh": Mesh(MESH.positions, MESH.faces),
    "one triangle": ONE_TRIANGLE,
    "textured": TEXTURED,
    "textured without normals": TexturedMesh(
        Mesh(MESH.positions, MESH.faces, uvs=MESH.uvs), TEXTURED.material
    ),
    "translucent": TexturedMesh(MESH, TRANSLUCENT),
    "several materials": TexturedMesh(
        replace(MESH, faces=MESH.faces[OF_ONE], material_numbers=NUMBERS), TEXTURED.material, (GLOWING,)
    ),
    "texture that is not square": TexturedMesh(MESH, Material(TEXTURED.material.base_color[:33, :50])),
}


@pytest.fixture(scope="module")
def validate(tmp_path_factory):
    def run(model):
        folder = tmp_path_factory.mktemp("glb")
        write_glb(folder / "model.glb", model)
        return run_reader("gltf-validator", folder / "report.json", folder / "model.glb")

    return run


@pytest.mark.parametrize("name", MODELS)
def test_no_error_and_no_warning(validate, name):
    report = validate(MODELS[name])
    assert report["mimeType"] == "model/gltf-binary"
    assert report["issues"]["numErrors"] == 0, report["issues"]["messages"]
    assert report["issues"]["numWarnings"] == 0, report["issues"]["messages"]


def test_everything_is_in_the_file(validate):
    info = validate(TEXTURED)["info"]
    assert info["version"] == "2.0"
    assert info["totalVertexCount"] == len(MESH.positions)
    assert info["totalTriangleCount"] == len(MESH.faces)
    assert info["materialCount"] == 1
    assert info["hasTextures"]
    (image,) = (item for item in info["resources"] if item["pointer"].startswith("/images/"))
    assert image["storage"] == "buffer-view"
    assert (image["image"]["width"], image["image"]["height"]) == (64, 64)


def test_validator_does_find_faults(tmp_path):
    """A file cut short must not pass, or the tests above prove nothing."""
    path = tmp_path / "cut.glb"
    write_glb(path, TEXTURED)
    path.write_bytes(path.read_bytes()[:-8])
    assert run_reader("gltf-validator", tmp_path / "report.json", path)["issues"]["numErrors"] > 0
