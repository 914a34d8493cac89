"""Bakes of several maps from any cameras, against a surface whose maps are known at every point."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from character3d.pipeline.cameras import camera_basis
from character3d.pipeline.errors import MeshError, PictureError
from character3d.pipeline.rasterize import interpolate_attributes, rasterize_view
from character3d.pipeline.texture_baking import bake_views
from character3d.pipeline.types import Camera, CameraRig, ViewImages
from character3d.tests.hill import TURNS, list_axes, make_hill, paint_waves, place_texels

SIDE = 128


def make_rig(*angles, distance=2.0, roll=0.0):
    """Cameras at (azimuth, elevation) in degrees."""
    return CameraRig(tuple(
        Camera(str(number), math.radians(azimuth), math.radians(elevation), 0.75, (0, 0, 0), distance, roll)
        for number, (azimuth, elevation) in enumerate(angles, start=1)
    ))  # fmt: skip


FRONT, AROUND = make_rig((0, 0)), make_rig((0, 0), (35, 10), (-30, -20), roll=0.4)


def render(mesh, rig, paint, side=192, samples=2):
    """(N, S, S, 3) and (N, S, S): what paint(x, y, camera) looks like, antialiased, on magenta."""
    colors, masks = [], []
    for camera in rig.cameras:
        faces, positions = torch.tensor(mesh.faces), torch.tensor(mesh.positions)
        raster = rasterize_view(camera, positions, faces, side * samples)
        x, y, _ = np.moveaxis(interpolate_attributes(raster, faces, positions).numpy(), -1, 0)
        mask = raster.mask.numpy()[..., None]
        layers = np.concatenate((np.where(mask, paint(x, y, camera), (1, 0, 1)), mask), axis=-1)
        pixels = layers.reshape(side, samples, side, samples, 4).mean(axis=(1, 3))
        colors.append(pixels[..., :3])
        masks.append(pixels[..., 3])
    return np.float32(colors), np.float32(masks)


def paint_color(x, y, camera):
    return paint_waves(x, y)


def bump(x, y):
    """A normal in tangent space."""
    normal = np.stack((0.3 * np.sin(7 * x), 0.3 * np.cos(6 * y), np.ones_like(x)), axis=-1)
    return normal / np.linalg.norm(normal, axis=-1, keepdims=True)


def bake(mesh, rig, paints=None, **options):
    """The bake of the waves, and of `paints` by role."""
    views, masks = render(mesh, rig, paint_color)
    maps = {role: render(mesh, rig, paint)[0] for role, paint in (paints or {}).items()}
    return bake_views(mesh, ViewImages(rig, views, masks), maps=maps, texture_size=SIDE, **options)


@pytest.mark.parametrize("distance", [2.0, math.inf], ids=["perspective", "orthographic"])
def test_maps_come_back(distance):
    """Within one step of eight bits; a camera sees every texel at more than 60 degrees."""
    x, y, inside = place_texels(SIDE)
    rig = CameraRig(tuple(replace(camera, distance=distance) for camera in AROUND.cameras))
    paints = {
        "metallic_roughness": lambda x, y, _: paint_waves(y, x),
        "emissive": lambda x, y, _: paint_waves(-x, y) ** 2,
    }
    material = bake(make_hill(), rig, paints).textured.material
    assert np.abs(material.base_color[..., :3] - paint_waves(x, y))[inside].max() < 1 / 255
    for role, paint in paints.items():
        assert np.abs(material.maps[role] / 255 - paint(x, y, None))[inside].max() < 1 / 255
    assert (material.metallic, material.roughness, material.emissive) == (1, 1, (1, 1, 1))


@pytest.mark.parametrize("turn", TURNS)
def test_normals_of_cameras_become_those_of_texels(turn):
    x, y, inside = place_texels(SIDE, turn)

    def paint(x, y, camera):
        parts = zip(np.moveaxis(bump(x, y), -1, 0), list_axes(x, y, turn), strict=True)
        return sum(part[..., None] * axis for part, axis in parts) @ camera_basis(camera).T / 2 + 0.5

    baked = bake(make_hill(turn), AROUND, {"normal": paint})
    found = baked.textured.material.maps["normal"] / 255
    assert np.abs(found - (bump(x, y) / 2 + 0.5))[inside].max() < 1 / 255


def test_maps_share_the_weights_and_the_fill_of_the_color():
    """Half of the hill is painted over: there a map is filled as the color is, and normals are flat."""
    mesh, (views, masks) = make_hill(), render(make_hill(), FRONT, paint_color)
    masks[:, :, 96:] = 0
    maps = {"emissive": views, "normal": views}
    baked = bake_views(mesh, ViewImages(FRONT, views, masks), maps=maps, texture_size=SIDE)
    alone = bake_views(mesh, ViewImages(FRONT, views, masks), texture_size=SIDE)
    np.testing.assert_array_equal(baked.weights, alone.weights)
    np.testing.assert_array_equal(baked.coverage, alone.coverage)
    color, material = baked.textured.material.base_color[..., :3], baked.textured.material
    np.testing.assert_allclose(color, alone.textured.material.base_color[..., :3], atol=1e-4)
    np.testing.assert_allclose(material.maps["emissive"], color * 255, atol=0.51)
    unseen = place_texels(SIDE)[2] & (baked.coverage == 0)
    assert unseen.mean() > 0.3 and (material.maps["normal"][unseen] == (128, 128, 255)).all()


def test_a_close_view_outweighs_a_far_one():
    """The far view is gray: where the close one sees the surface, nothing of it is left."""
    close = replace(FRONT.cameras[0], half_extent=0.15, name="close")
    rig, mesh = CameraRig((*FRONT.cameras, close)), make_hill()
    views, masks = render(
        mesh, rig, lambda x, y, camera: paint_waves(x, y) if camera is close else 0.5 + 0 * paint_waves(x, y)
    )
    color = bake_views(mesh, ViewImages(rig, views, masks), texture_size=SIDE).textured.material.base_color
    x, y, _ = place_texels(SIDE)
    middle = np.maximum(np.abs(x), np.abs(y)) < 0.1
    assert np.abs(color[..., :3] - paint_waves(x, y))[middle].max() < 0.03
    assert np.abs(color[..., :3] - 0.5)[(np.abs(x) > 0.2) & place_texels(SIDE)[2]].max() < 0.01


def test_a_view_from_elsewhere_is_named():
    mesh = make_hill()
    views, masks = render(mesh, make_rig((0, 0), (60, 0)), paint_color, samples=1)
    wrong = ViewImages(make_rig((0, 0), (-60, 60)), views, masks)
    named = [
        text for text in bake_views(mesh, wrong, texture_size=SIDE).warnings if "beside the mesh" in text
    ]
    assert len(named) == 1 and "view 2 (2)" in named[0]
    white = replace(wrong, mask=np.ones_like(masks))
    assert not any("beside" in text for text in bake_views(mesh, white, texture_size=SIDE).warnings)


@pytest.mark.parametrize(
    ("maps", "error", "message"),
    [
        (
            {"height": (1, 192, 192, 3)},
            PictureError,
            "expected maps metallic_roughness, normal, emissive; found",
        ),
        ({"normal": (2, 192, 192, 3)}, PictureError, r"expected normal views of shape \(1, 192, 192, 3\)"),
        ({}, MeshError, "camera 1 stands in the mesh"),
    ],
)
def test_what_does_not_fit_is_refused(maps, error, message):
    images = ViewImages(
        FRONT if maps else make_rig((0, 0), distance=0.1),
        *(np.zeros((1, 192, 192, 3)), np.ones((1, 192, 192))),
    )
    with pytest.raises(error, match=message):
        bake_views(
            make_hill(),
            images,
            maps={role: np.zeros(shape) for role, shape in maps.items()},
            texture_size=SIDE,
        )
