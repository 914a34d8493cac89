"""Core's cameras: where they see a point, against three.js's own matrices and core's own renderer."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from character3d.pipeline.cameras import build_six_view_rig, project_points
from character3d.pipeline.errors import PictureError
from character3d.pipeline.mesh.normals import compute_vertex_normals
from character3d.pipeline.rasterize import interpolate_attributes, rasterize_view
from character3d.pipeline.types import Mesh
from character3d.tests.hill import make_hill, paint_waves, place_texels
from scipy.spatial.transform import Rotation

SIDE = 128
POINTS = np.random.default_rng(0).uniform(-0.5, 0.5, (50, 3)).astype(np.float32)
MESH = Mesh(POINTS, np.arange(48).reshape(-1, 3))


def xyz(values, names="xyz"):
    return {name: float(value) for name, value in zip(names, values, strict=True)}


def look(position, target=(0, 0, 0), roll=0.0, **further):
    """A camera as core's Create Camera Info writes it."""
    towards = np.subtract(position, target)
    right = np.cross((0, 1, 0), towards)
    axes = np.stack((right, np.cross(towards, right), towards), axis=1)
    turn = Rotation.from_matrix(axes / np.linalg.norm(axes, axis=0)) * Rotation.from_euler(
        "z", roll, degrees=True
    )
    info = {"position": xyz(position), "target": xyz(target), "quaternion": xyz(turn.as_quat(), "xyzw")}
    return {**info, "fov": 35.0, "zoom": 1.0, "cameraType": "perspective", **further}


def project_as_threejs(info, points, aspect):
    """u and v, 0..1, by three.js's documentation of Object3D, PerspectiveCamera and OrthographicCamera."""
    turn = Rotation.from_quat([info["quaternion"][name] for name in "xyzw"]).as_matrix()
    seen = (points - [info["position"][name] for name in "xyz"]) @ turn
    if info["cameraType"] == "orthographic":
        half = (info["frustum"]["top"] - info["frustum"]["bottom"]) / 2 / info["zoom"]
        flat = seen[:, :2] / half
    else:
        flat = seen[:, :2] / -seen[:, 2:] * info["zoom"] / math.tan(math.radians(info["fov"]) / 2)
    return (flat / (aspect, -1) + 1) / 2


@pytest.mark.parametrize("aspect", [1.0, 1.5, 0.5])
@pytest.mark.parametrize(
    "info",
    [
        look((1.5, 0.8, 2)),
        look((-2, -1, -1.5), (0.1, 0.2, 0), roll=30, zoom=1.4, fov=50.0),
        look((0.001, 2, 0), roll=-70),
        look((3, 1, 0), cameraType="orthographic", frustum={"top": 0.9, "bottom": -0.9}, zoom=1.2),
    ],
    ids=["beside", "rolled", "above", "orthographic"],
)  # fmt: skip
def test_a_camera_sees_points_where_three_js_does(load_nodes, info, aspect):
    (camera,) = load_nodes("core_cameras").read_cameras([info], MESH, aspect).cameras
    uv = project_points(camera, POINTS)[0]
    wanted = project_as_threejs(info, POINTS, aspect)
    # The picture lies in the middle of a square.
    share = np.array((aspect, 1)) / max(aspect, 1)
    np.testing.assert_allclose((uv - 0.5) / share + 0.5, wanted, atol=2e-6)


VIEWS = build_six_view_rig(MESH).cameras


@pytest.mark.parametrize("camera", [*VIEWS, replace(VIEWS[1], roll=0.5, distance=3.0, elevation=0.4)])
def test_our_cameras_are_core_s_and_three_js_s(load_nodes, camera):
    module, wanted = load_nodes("core_cameras"), project_points(camera, POINTS)[0]
    info = module.camera_to_core(camera)
    np.testing.assert_allclose(project_as_threejs(info, POINTS, 1.0), wanted, atol=2e-6)
    perspective = {**info, "cameraType": "perspective"}
    np.testing.assert_allclose(project_as_threejs(perspective, POINTS, 1.0), wanted, atol=0.005)
    (again,) = module.read_cameras(info, MESH, 1.0).cameras
    np.testing.assert_allclose(project_points(again, POINTS)[0], wanted, atol=2e-6)


def test_render_mesh_draws_what_our_view_maps_show(render_mesh, load_nodes):
    mesh = make_hill()
    value = load_nodes("sockets").mesh_to_trimesh(mesh)
    _, _, (masks,), cameras = load_nodes("view_steps").RenderViewMaps.execute(value, 256).args
    assert len(cameras) == len(masks) == 6
    for view in (0, 1, 3):
        _, mask = render_mesh(mesh, cameras[view], "normal")
        seen = np.asarray(torch.nn.functional.interpolate(masks[None, view : view + 1], mask.shape)[0, 0])
        assert ((seen > 0.5) != (mask > 0.5)).mean() < 0.01


def test_lists_of_cameras_and_older_cameras(load_nodes):
    read = load_nodes("core_cameras").read_cameras
    old = {"position": xyz((0, 0, 3)), "target": xyz((0, 0, 0)), "zoom": 1, "cameraType": "perspective"}
    one, two, three = read([old, [look((0, 0, 3), fov=40.0), look((2, 0, 0))]], MESH, 1.0).cameras
    np.testing.assert_allclose(project_points(one, POINTS)[0], project_points(two, POINTS)[0], atol=1e-6)
    assert [one.name, two.name, three.name] == ["1", "2", "3"] and three.azimuth == pytest.approx(math.pi / 2)
    ortho = look((0, 0, 3), cameraType="orthographic")
    (flat,) = read(ortho, MESH, 1.0).cameras
    assert flat.half_extent == pytest.approx(3 * math.tan(math.radians(17.5))) and math.isinf(flat.distance)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "found an empty list"),
        ("front", "a camera or a list of cameras, found str"),
        ({"target": xyz((0, 0, 0))}, "expected position with numbers x, y, z; found None"),
        (look((0, 0, 3), fov=float("nan")), "expected a zoom above 0 and a fov of 0..180; found 1.0, nan"),
        (look((0, 0, 3), target=(0, 0, 5)), "camera 1 has the mesh behind it"),
    ],
)
def test_what_is_no_camera_is_named(load_nodes, value, message):
    with pytest.raises(PictureError, match=message):
        load_nodes("core_cameras").read_cameras(value, MESH, 1.0)


@pytest.fixture
def render_mesh(comfyui_modules):
    """(mesh, camera, mode, width, height) -> picture and mask of core's Render Mesh."""
    extras = pytest.importorskip("comfy_extras.nodes_mesh_postprocess")
    from comfy_api.latest import Types

    def render(mesh, info, mode, width=192, height=192, **attributes):
        given = {name: torch.tensor(value)[None] for name, value in attributes.items()}
        core = Types.MESH(torch.tensor(mesh.positions)[None], torch.tensor(mesh.faces).long()[None], **given)
        picture, mask = extras.RenderMesh.execute(core, mode, width, height, "#808080", None, info).result
        return picture[0].numpy(), mask[0].numpy()

    return render


@pytest.mark.parametrize("size", [(160, 120), pytest.param((120, 160), marks=pytest.mark.nightly)], ids=str)
def test_our_view_is_that_of_render_mesh(render_mesh, load_nodes, size):
    """Vertex colors are the place, so that every pixel says which point of the surface it shows."""
    mesh, (width, height) = make_hill(), size
    info = look((0.9, 0.5, 1.4), (0.05, 0, 0), fov=42.0, zoom=1.1)
    picture, mask = render_mesh(
        mesh, info, "vertex colors", *size, vertex_colors=(mesh.positions + 1) ** 2.2 / 4
    )
    (camera,) = load_nodes("core_cameras").read_cameras(info, mesh, width / height).cameras
    faces, positions, side = torch.tensor(mesh.faces), torch.tensor(mesh.positions), max(size)
    raster = rasterize_view(camera, positions, faces, side)
    top, left = (side - height) // 2, (side - width) // 2
    window = slice(top, top + height), slice(left, left + width)
    ours = raster.mask.numpy()[window]
    assert np.count_nonzero(ours != (mask > 0.5)) < 0.002 * ours.sum()
    place = interpolate_attributes(raster, faces, positions).numpy()[window]
    both = ours & (mask > 0.5)
    found = picture * 4 ** (1 / 2.2) - 1
    assert np.quantile(np.abs(found - place)[both], 0.999) < 1e-3


CAMERAS = [look((0, 0, 1.8), fov=45.0), [look((1, 0.4, 1.5), fov=45.0), look((-0.8, -0.5, 1.6), fov=45.0)]]


def bake(load_nodes, views, masks, cameras=CAMERAS, **maps):
    """The hill as Bake Texture puts it out, read as Rig Character reads it; and its view_weights."""
    sockets, node = load_nodes("sockets"), load_nodes("texture_baking").BakeTexture
    mesh = sockets.mesh_to_trimesh(make_hill())
    result = node.execute(mesh, views, masks, SIDE, keep_uvs=True, cameras=cameras, **maps).result
    return sockets.socket_to_textured(result[0]).material, result[3]


def test_views_of_cores_cameras_are_baked(load_nodes):
    """Pictures wider than high, with further maps, which reach what Rig Character and Save Mesh read."""
    mesh, views, masks = make_hill(), [], []
    faces, positions = torch.tensor(mesh.faces), torch.tensor(mesh.positions)
    for camera in load_nodes("core_cameras").read_cameras(CAMERAS, mesh, 1.5).cameras:
        raster = rasterize_view(camera, positions, faces, 240)
        x, y, _ = np.moveaxis(interpolate_attributes(raster, faces, positions).numpy(), -1, 0)
        views.append(np.where(raster.mask[..., None], paint_waves(x, y), 0)[40:200])
        masks.append(raster.mask.numpy()[40:200])
    views, masks = (torch.tensor(np.float32(item)) for item in (views, masks))
    material, weights = bake(load_nodes, views, masks, metallic_roughness=1 - views, emissive=views**2)
    assert weights.shape == masks.shape and weights.amax() > 0.9 and not weights[masks == 0].any()
    x, y, inside = place_texels(SIDE)
    truth = paint_waves(x, y)
    for found, wanted in (
        (material.base_color[..., :3], truth),
        (material.maps["metallic_roughness"] / 255, 1 - truth),
        (material.maps["emissive"] / 255, truth**2),
    ):
        assert np.abs(found - wanted)[inside].max() < 1.6 / 255
    with pytest.raises(PictureError, match="expected 3 views and masks, one for each camera; found 2 views"):
        bake(load_nodes, views[:2], masks[:2])


def test_what_render_mesh_draws_is_baked_back(render_mesh, load_nodes):
    """Color, two maps and the mesh's own normals, which a normal map has none of: it is flat."""
    mesh, cameras = make_hill(), [CAMERAS[0], CAMERAS[1][0]]
    color = paint_waves(*mesh.positions[:, :2].T)
    drawn = {
        "views": ("vertex colors", {"vertex_colors": color**2.2}),
        "metallic_roughness": ("vertex colors", {"vertex_colors": (1 - color) ** 2.2}),
        "normal": ("normal", {"normals": mesh.normals}),
    }
    views = {
        role: [render_mesh(mesh, info, mode, **attributes) for info in cameras]
        for role, (mode, attributes) in drawn.items()
    }
    batches = {role: torch.tensor(np.stack([image for image, _ in found])) for role, found in views.items()}
    masks = torch.tensor(np.stack([mask for _, mask in views["views"]]))
    material, _ = bake(load_nodes, batches.pop("views"), masks, cameras, **batches)
    x, y, inside = place_texels(SIDE)
    truth = paint_waves(x, y)
    assert np.abs(material.base_color[..., :3] - truth)[inside].max() < 1 / 255
    assert np.abs(material.maps["metallic_roughness"] / 255 - (1 - truth))[inside].max() < 1 / 255
    assert np.abs(material.maps["normal"].astype(int) - (128, 128, 255))[inside].max() <= 1


@pytest.mark.parametrize("turn", ["mirrored", pytest.param("turned", marks=pytest.mark.nightly)])
def test_our_normal_map_is_that_of_core(render_mesh, load_nodes, turn):
    """Bumps of the hill: Render Mesh draws their normals and we bake them; core bakes them from the mesh."""
    extras = pytest.importorskip("comfy_extras.nodes_mesh_postprocess")
    sockets, low = load_nodes("sockets"), make_hill(turn)
    x, y, _ = low.positions.T
    bumps = low.positions + np.stack((0 * x, 0 * y, 0.004 * np.sin(20 * x) * np.cos(16 * y)), axis=1)
    high = Mesh(bumps, low.faces, compute_vertex_normals(bumps, low.faces))
    cores = [sockets.mesh_to_core(mesh) for mesh in (low, high)]
    side = 64
    drawn = extras.BakeNormalMapFromMesh.execute(*cores, side, 0.02, False).result[0]
    with_map = extras.ApplyTextureToMesh.execute(cores[0], drawn, normal_map=drawn).result[0]
    core = sockets.socket_to_textured(with_map)
    theirs = core.material.maps["normal"].astype(int)
    assert (core.mesh.extras.tangents[:, 3] == (-1 if turn == "mirrored" else 1)).all()
    picture, mask = render_mesh(high, CAMERAS[0], "normal", normals=high.normals)
    view, mask = (torch.tensor(item)[None] for item in (picture, mask))
    node = load_nodes("texture_baking").BakeTexture
    baked = node.execute(cores[0], view, mask, side, keep_uvs=True, cameras=CAMERAS[0], normal=view).result[0]
    ours = sockets.socket_to_textured(baked).material.maps["normal"].astype(int)
    inside = place_texels(side, turn)[2]
    assert np.abs(ours - (128, 128, 255))[inside].max() > 8
    assert np.quantile(np.abs(ours - theirs)[inside], 0.99) <= 1.5
