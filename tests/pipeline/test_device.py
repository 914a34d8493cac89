"""What computes with tensors runs on the device that it is given, without hidden copies."""

import numpy as np
import pytest
import torch
from character3d.pipeline.animation import load_clip, retarget_clip
from character3d.pipeline.cameras import build_six_view_rig
from character3d.pipeline.device import CPU, array_to_tensor, tensor_to_array
from character3d.pipeline.generating_multiview_texture import render_view_maps, synthesize_views
from character3d.pipeline.preview import (
    render_animation,
    render_contact_sheet,
    render_preview,
    render_turntable,
)
from character3d.pipeline.rasterize import interpolate_attributes, list_covered_samples, rasterize_triangles
from character3d.pipeline.texture_baking import bake_colors, bake_views, unwrap_mesh
from character3d.pipeline.types import FramedPicture, Mesh, ViewImages
from character3d.tests.capsules import join_capsules
from character3d.tests.humanoids import CHIBI, make_humanoid
from character3d.tests.pipeline.other_device import OTHER, ImplicitCopy, OtherDevice, OtherTensor

TOLERANCE = 1e-4
SIDE, VIEW = 256, 96


@pytest.fixture(scope="module")
def figure():
    """A body, a head and two arms that hide each other, so that views have outlines and the fill has work."""
    limbs = [((0, 0.5, 0), (0, 1.2, 0), 0.16), ((0, 1.5, 0.02), (0, 1.56, 0.02), 0.14)]
    limbs += [((0.2 * side, 1.2, 0), (0.4 * side, 0.7, 0.1), 0.06) for side in (-1, 1)]
    mesh = join_capsules(limbs, 12)
    return Mesh(mesh.vertices, mesh.faces)


@pytest.fixture(scope="module")
def picture():
    """A disc of two colors."""
    y, x = np.mgrid[-1 : 1 : VIEW * 1j, -1 : 1 : VIEW * 1j]
    color = np.where((y < 0)[..., None], (0.8, 0.3, 0.2), (0.2, 0.3, 0.7))
    return FramedPicture(np.dstack([color, x * x + y * y < 0.8]))


@pytest.fixture(scope="module")
def unwrapped(figure):
    return unwrap_mesh(figure, texture_size=SIDE)


@pytest.fixture(scope="module")
def images(figure):
    maps = render_view_maps(figure, build_six_view_rig(figure), VIEW)
    return ViewImages(maps.rig, np.sin(9 * maps.position) / 2 + 0.5, maps.mask.astype(np.float32))


@pytest.fixture(scope="module")
def chibi():
    return make_humanoid(CHIBI)


def run_on_both(work):
    """The results of work(device), tuples of arrays, on the CPU and on the other device, and that device."""
    device = OtherDevice()
    with device:
        found = work(OTHER)
    return work(CPU), found, device


def check_equal(wanted, found):
    assert len(wanted) == len(found)
    for one, two in zip(wanted, found, strict=True):
        assert type(two) is np.ndarray and one.dtype == two.dtype
        np.testing.assert_allclose(one, two, atol=TOLERANCE, rtol=0)


def add_host_tensor(tensor):
    return tensor + torch.ones(4)


def index_by_host_mask(tensor):
    return tensor[torch.ones(4, dtype=torch.bool)]


def index_host_tensor(tensor):
    return torch.ones(4)[tensor.long()]


def index_by_array(tensor):
    return tensor[np.array([0, 1])]


def write_from_host(tensor):
    tensor[:2] = torch.ones(2)


def forget_the_device(tensor):
    return torch.cat((tensor, torch.zeros(len(tensor))))


@pytest.mark.parametrize(
    "fault",
    [
        add_host_tensor, index_by_host_mask, index_host_tensor, index_by_array, write_from_host,
        forget_the_device, torch.Tensor.numpy, torch.Tensor.tolist, np.asarray, np.sqrt,
    ],
)  # fmt: skip
def test_the_other_device_refuses_hidden_copies(fault):
    with OtherDevice():
        tensor = (
            torch.zeros(4, device=OTHER)
            if fault is not torch.Tensor.tolist
            else torch.zeros(99, device=OTHER)
        )
        with pytest.raises(ImplicitCopy):
            fault(tensor)


def test_the_other_device_allows_what_names_it():
    with OtherDevice() as device:
        tensor = torch.arange(4, device=OTHER) + array_to_tensor(np.ones(4), OTHER)
        tensor[tensor > 2] = 0
        both = torch.cat((tensor, torch.zeros_like(tensor), tensor.new_zeros(3), torch.ones(2).to(OTHER)))
        assert type(both) is OtherTensor and both.device == OTHER and int(both.sum()) == 5
        assert tensor_to_array(both).tolist() == [1, 2, 0, 0] + 7 * [0] + [1, 1]
        assert device.downloads == [13]


def test_rasterizing():
    generator = torch.Generator().manual_seed(3)
    positions = torch.rand((90, 3), generator=generator) * 40
    faces = torch.arange(90).reshape(30, 3)

    def work(device):
        here = positions.to(device), faces.to(device)
        raster = rasterize_triangles(*here, (40, 48))
        colors = interpolate_attributes(raster, here[1], here[0])
        return tuple(
            tensor_to_array(item) for item in (*raster, colors, *list_covered_samples(*here, (40, 48)))
        )

    wanted, found, device = run_on_both(work)
    check_equal(wanted, found)
    assert device.calls > 100 and len(device.downloads) == 6


def test_view_maps(figure):
    rig = build_six_view_rig(figure)

    def work(device):
        maps = render_view_maps(figure, rig, VIEW, device=device)
        return maps.position, maps.normal, maps.depth, maps.mask

    wanted, found, device = run_on_both(work)
    check_equal(wanted, found)
    assert device.downloads == 6 * [3 * VIEW**2, 3 * VIEW**2, VIEW**2, VIEW**2]


def test_synthesized_views(figure, picture):
    maps = render_view_maps(figure, build_six_view_rig(figure), VIEW)

    def work(device):
        return (synthesize_views(figure, picture, maps, device=device).color,)

    wanted, found, device = run_on_both(work)
    check_equal(wanted, found)
    assert device.downloads == 4 * [3 * VIEW**2]  # the front and the back need no rendering


def test_unwrapping(figure):
    def work(device):
        mesh = unwrap_mesh(figure, texture_size=SIDE, device=device)
        return mesh.positions, mesh.faces, mesh.normals, mesh.uvs

    wanted, found, device = run_on_both(work)
    check_equal(wanted, found)
    assert device.calls > 100 and max(device.downloads) <= 2 * SIDE**2


@pytest.mark.parametrize("painted", [False, True])
def test_baking(unwrapped, images, painted):
    weights = np.full(images.mask.shape, 0.5, np.float32) if painted else None

    def work(device):
        baked = bake_views(unwrapped, images, texture_size=SIDE, weights=weights, device=device)
        metrics = np.array(list(baked.metrics.values()))
        return baked.textured.material.base_color, baked.coverage, baked.weights, metrics

    wanted, found, device = run_on_both(work)
    check_equal(wanted, found)
    assert wanted[1].min() == 0 and wanted[1].max() == 1  # some of it is filled in
    # Texture and coverage; which faces are unseen, and colors around vertices and which are known; per view
    # its weights, and its outlines if the distance to them is needed.
    assert len(device.downloads) == 2 + 3 + 6 * (1 if painted else 2)


def test_baking_vertex_colors(figure):
    colors = np.sin(9 * figure.positions) / 2 + 0.5
    colored = Mesh(figure.positions, figure.faces, colors=np.pad(colors, ((0, 0), (0, 1)), constant_values=1))

    def work(device):
        return (bake_colors(colored, texture_size=SIDE, device=device).material.base_color,)

    wanted, found, _ = run_on_both(work)
    check_equal(wanted, found)


@pytest.mark.parametrize("transparent", [False, True])
@pytest.mark.parametrize("textured", [False, True])
def test_previews(chibi, textured, transparent):
    mesh = chibi.textured if textured else chibi.textured.mesh

    def work(device):
        return (render_preview(mesh, size=VIEW, transparent=transparent, device=device),)

    wanted, found, device = run_on_both(work)
    check_equal(wanted, found)
    assert device.downloads == [4 * VIEW**2]


def test_moving_previews_and_contact_sheets(chibi):
    walk = retarget_clip(load_clip("walk"), chibi)

    def work(device):
        return (
            render_turntable(chibi.textured, frames=3, size=64, device=device),
            render_animation(chibi, walk, fps=3, size=64, device=device),
            render_contact_sheet(chibi.textured, azimuths=(0, 1), size=64, device=device),
        )

    wanted, found, device = run_on_both(work)
    check_equal(wanted, found)
    assert device.downloads == (3 + len(wanted[1]) + 2) * [4 * 64**2]
