"""A character whose maps were baked from views, through rig and clip into files that other programs read."""

from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from character3d.pipeline.cameras import build_six_view_rig, camera_basis
from character3d.pipeline.formats import read_mesh
from character3d.pipeline.generating_multiview_texture import render_view_maps
from character3d.tests.file_maps import read_fbx_maps, read_gltf_maps
from character3d.tests.readers.locate import require_reader

FIGURE = Path(__file__).parents[1] / "files" / "textured.glb"


def paint(points):
    """The albedo (..., 3) of points (..., 3) on the figure, metres."""
    return 0.5 + 0.4 * np.sin(points * (3.0, 2.0, 5.0) + (0, 1, 2))


PAINTED = {
    "texture": paint,
    "metallic_roughness": lambda points: paint(points)[..., (2, 0, 1)],
    "emissive": lambda points: 1 - paint(points),
}
"""By the names of core's MESH."""


@pytest.fixture
def inputs():
    """Of Bake Texture: the figure, and six views of what is painted on it and of its normals."""
    mesh = read_mesh(FIGURE).surface.mesh
    rig = build_six_view_rig(mesh)
    maps = render_view_maps(mesh, rig, 512)
    views = {name: paint(maps.position) for name, paint in PAINTED.items()}
    axes = [camera_basis(camera) for camera in rig.cameras]
    views["normal"] = np.einsum("nij,nhwj->nhwi", axes, maps.normal) / 2 + 0.5
    given = {name: torch.from_numpy(view.astype(np.float32)) for name, view in views.items()}
    masks = torch.from_numpy(maps.mask.astype(np.float32))
    return {"mesh": trimesh.load_mesh(FIGURE), "views": given.pop("texture"), "masks": masks, **given}


@pytest.fixture
def baked(inputs, load_nodes):
    return load_nodes("texture_baking").BakeTexture.execute(texture_size=1024, **inputs).args


@pytest.fixture
def character(baked, load_nodes):
    rigged = load_nodes("rigging").RigCharacter.execute(baked[0], "T-pose", "geodesic_voxel_binding")
    return load_nodes("animation").AddAnimation.execute(rigged.args[0][0], "walk").args[0]


def sample(texels, uvs):
    """The texels (N, 3), 0..1, nearest to uvs whose v is up."""
    rows = ((1 - uvs[:, 1]) * len(texels)).astype(int)
    return texels[rows, (uvs[:, 0] * texels.shape[1]).astype(int)] / 255


def check_maps(found, baked):
    """The maps of a file are the baked ones, and those show at every face's center what is painted there."""
    material, faces = baked[0].visual.material, baked[0].faces
    given = {
        "texture": material.baseColorTexture,
        "metallic_roughness": material.metallicRoughnessTexture,
        "normal_map": material.normalTexture,
        "emissive": material.emissiveTexture,
    }
    centers, uvs = baked[0].vertices[faces].mean(axis=1), baked[0].visual.uv[faces].mean(axis=1)
    seen = sample(np.rint(baked[2][0].numpy()[..., None] * 255), uvs)[:, 0] > 0.99
    for name, picture in given.items():
        expected = np.asarray(picture.convert("RGB"))
        channels = slice(1 if name == "metallic_roughness" else 0, 3)
        np.testing.assert_array_equal(found[name][..., channels], expected[..., channels])
        if name in PAINTED:
            error = np.abs(sample(found[name], uvs) - PAINTED[name](centers))[seen][:, channels]
            assert np.quantile(error, 0.5) < 1 / 255 and np.quantile(error, 0.98) < 5 / 255, name
    assert seen.mean() > 0.4  # arms and cape hide much of it
    tilt = sample(found["normal_map"], uvs)[seen, 2]
    assert np.median(tilt) > 0.99  # the views show the mesh's own normals


@pytest.mark.nightly  # a push tests the bake of the maps, and the way of other maps into the files
def test_baked_maps_reach_the_files_of_a_character(baked, character, load_nodes, tmp_path):
    require_reader("ufbx")
    save = load_nodes("save_character")
    assert character.clips[0].name == "walk"
    for character_format in ("fbx", "vrm", "glb"):
        path = tmp_path / f"a.{character_format}"
        path.write_bytes(
            save._choose_encoder(character, save.FileSettings(character_format), save._NO_META)("a")
        )
        check_maps(read_fbx_maps(path) if character_format == "fbx" else read_gltf_maps(path), baked)
