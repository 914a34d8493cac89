"""Materials of core's MESH: every map goes in and out, and reaches files that other programs read."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pygltflib
import pytest
import torch
from character3d.pipeline.color import linear_to_srgb, srgb_to_linear
from character3d.pipeline.formats import encode_glb, read_mesh
from character3d.pipeline.mesh.normals import vertex_normals
from character3d.pipeline.mesh_extras import MeshExtras, OwnRig
from character3d.pipeline.progress import ignore_progress
from character3d.pipeline.skeleton_types import Skeleton, SkinWeights
from character3d.pipeline.types import Material, Mesh, TexturedMesh
from character3d.tests.file_maps import read_fbx_maps, read_gltf_maps
from character3d.tests.readers.locate import require_reader, run_reader
from scipy.spatial.transform import Rotation

FILES = Path(__file__).parents[1] / "files"
VERTICES = torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
FACES = torch.tensor([[0, 1, 2], [0, 2, 3]])
UVS = torch.tensor([[0.0, 1], [1, 1], [1, 0.25], [0, 0]])
NAMES = ("texture", "metallic_roughness", "normal_map", "emissive")


def draw(seed, shape=(6, 5, 3)):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def to_batch(*texels):
    return torch.stack([torch.from_numpy(image).float() / 255 for image in texels])


@pytest.fixture
def maps():
    return {name: draw(number) for number, name in enumerate(NAMES)}


@pytest.fixture
def read(mesh_class, load_nodes):
    """The material of a quad with uvs."""

    def read(uvs=UVS, images=None, **attributes):
        batches = {name: to_batch(image) for name, image in (images or {}).items()}
        given = {"uvs": None if uvs is None else uvs[None], **batches, **attributes}
        surface = load_nodes("sockets").socket_to_surface(mesh_class(VERTICES[None], FACES[None], **given))
        return surface.material

    return read


def test_every_map_is_read_to_the_byte(read, maps, caplog):
    with caplog.at_level(logging.WARNING, "character3d"):
        found = read(images=maps, occlusion_in_mr=True)
    assert caplog.records == []
    np.testing.assert_array_equal(np.rint(found.base_color[..., :3] * 255), maps["texture"])
    for role in ("metallic_roughness", "emissive"):
        np.testing.assert_array_equal(found.maps[role], maps[role])
    np.testing.assert_array_equal(found.maps["normal"], maps["normal_map"])
    np.testing.assert_array_equal(found.maps["occlusion"][..., 0], maps["metallic_roughness"][..., 0])
    assert (found.metallic, found.roughness, found.emissive) == (1, 1, (1, 1, 1))


def test_red_of_the_metallic_roughness_map_is_no_occlusion_unless_said(read, maps):
    assert "occlusion" not in read(images=maps).maps


@pytest.mark.parametrize("name", NAMES[1:])
def test_a_map_alone_keeps_the_uvs_and_makes_a_material(read, maps, name):
    assert len(read(images={name: maps[name]}).maps) == 1


def test_factors_scale_what_the_pipeline_has_no_factor_for(read, maps):
    factors = {"emissive_factor": [0.5, 0, 1], "emissive_strength": 2.0, "occlusion_strength": 0.0}
    found = read(images=maps, occlusion_in_mr=True, material={**factors, "normal_scale": 0.0})
    assert found.emissive == (1, 0, 2) and (found.maps["occlusion"] == 255).all()
    flat = found.maps["normal"][maps["normal_map"][..., 2] > 140]
    np.testing.assert_array_equal(flat, np.broadcast_to((128, 128, 255), flat.shape))


@pytest.mark.parametrize("hand", [1.0, -1.0], ids=["up", "down"])
def test_green_of_a_normal_map_is_up_in_the_texture(read, maps, hand):
    """The texture stands upright on the quad: there a bitangent that points up has the sign 1."""
    found = read(images=maps, tangents=torch.tensor((1.0, 0, 0, hand)).expand(1, 4, 4)).maps["normal"]
    wanted = maps["normal_map"].copy()
    wanted[..., 1] = wanted[..., 1] if hand > 0 else 255 - wanted[..., 1]
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(("factor", "expected"), [(None, True), (True, True), (False, False)])
def test_both_sides_are_shown_as_core_shows_them(read, maps, factor, expected):
    material = {} if factor is None else {"double_sided": factor}
    assert read(images=maps, material=material).is_double_sided is expected


def test_unlit_goes_in_and_out_and_into_a_trimesh(read, maps, mesh_class, load_nodes):
    sockets, colors = load_nodes("sockets"), torch.rand(1, 4, 4)
    assert not read(images=maps).is_unlit
    assert read(images=maps, unlit=True).is_unlit
    value = mesh_class(VERTICES[None], FACES[None], vertex_colors=colors, unlit=True)
    painted = sockets.socket_to_surface(value)  # as Splat To Mesh makes them
    np.testing.assert_array_equal(painted.mesh.colors, colors[0].numpy())
    assert sockets.mesh_to_core(painted).unlit is True
    assert sockets.socket_to_surface(sockets.mesh_to_trimesh(painted)).material.is_unlit


def make_glossy(**changes):
    quad = Mesh(VERTICES.numpy(), FACES.numpy(), uvs=UVS.numpy())
    roles = ("metallic_roughness", "normal", "occlusion", "emissive")
    maps = {role: draw(number) for number, role in enumerate(roles)}
    maps["occlusion"][...] = maps["occlusion"][..., :1]
    texels = np.dstack((draw(9), np.full((6, 5), 255, np.uint8)))
    material = Material(texels, 0.5, 0.25, emissive=(1.0, 0.5, 4.0), is_double_sided=True, maps=maps)
    return TexturedMesh(quad, replace(material, **changes))


def test_a_material_survives_the_way_out_and_in(mesh_class, load_nodes):
    sockets, before = load_nodes("sockets"), make_glossy()
    after = sockets.socket_to_surface(sockets.mesh_to_core(before)).material
    for name in ("metallic", "roughness", "emissive", "is_double_sided"):
        assert getattr(after, name) == getattr(before.material, name), name
    for role, texels in before.material.maps.items():
        channels = slice(1, None) if role == "metallic_roughness" else slice(None)
        np.testing.assert_array_equal(after.maps[role][..., channels], texels[..., channels])


def test_occlusion_alone_goes_out(mesh_class, load_nodes):
    occlusion = draw(1)
    core = load_nodes("sockets").mesh_to_core(make_glossy(maps={"occlusion": occlusion}))
    assert core.occlusion_in_mr is True
    red, *others = np.rint(core.metallic_roughness[0].numpy() * 255).transpose(2, 0, 1)
    np.testing.assert_array_equal(red, occlusion[..., 0])
    assert (np.array(others) == 255).all()


def test_occlusion_of_another_size_is_named(mesh_class, load_nodes, caplog):
    maps = {"occlusion": draw(1), "metallic_roughness": draw(2, (3, 3, 3))}
    with caplog.at_level(logging.WARNING, "character3d"):
        load_nodes("sockets").mesh_to_core(make_glossy(maps=maps))
    assert "occlusion, whose size is another" in caplog.text


@pytest.fixture
def figures(mesh_class):
    """A batch of two figures with all maps, each with its own, as core's nodes make them."""
    mesh = read_mesh(FILES / "textured.glb").surface.mesh
    arrays = {"vertices": mesh.positions, "faces": mesh.faces.astype(np.int64), "uvs": mesh.uvs}
    batch = {name: torch.from_numpy(np.stack((array, array))) for name, array in arrays.items()}
    images = {name: [draw(10 * item + n, (16, 16, 3)) for item in (0, 1)] for n, name in enumerate(NAMES)}
    given = {name: to_batch(*both) for name, both in images.items()}
    return mesh_class(**batch, **given, occlusion_in_mr=True), images


@pytest.fixture
def characters(figures, load_nodes):
    rigged = load_nodes("rigging").RigCharacter.execute(figures[0], "T-pose", "geodesic_voxel_binding")
    assert len(rigged.ui["character3d_report"]) == 2
    moving = [load_nodes("animation").AddAnimation.execute(one, "idle").args[0] for one in rigged.args[0]]
    return moving, figures[1]


@pytest.fixture
def splat(figures, load_nodes):
    """A figure that core calls unlit, with tangents of core's kind."""
    value = figures[0]
    normals = torch.from_numpy(vertex_normals(read_mesh(FILES / "textured.glb").surface.mesh))
    axes = torch.nn.functional.normalize(torch.linalg.cross(normals, torch.rand_like(normals)), dim=1)
    signs = torch.where(torch.rand(len(axes), 1) < 0.5, -1.0, 1.0)
    value.tangents, value.unlit = torch.cat((axes, signs), dim=1)[None].expand(2, -1, -1), True
    return load_nodes("sockets").socket_to_surfaces(value)[0]


def test_tangents_and_unlit_reach_a_file(splat, tmp_path, load_nodes):
    path, tangents = tmp_path / "splat.glb", splat.mesh.extras.tangents
    path.write_bytes(encode_glb(splat))
    document = pygltflib.GLTF2().load_binary(path)
    assert document.materials[0].extensions == {"KHR_materials_unlit": {}}
    accessor = document.accessors[document.meshes[0].primitives[0].attributes.TANGENT]
    view = document.bufferViews[accessor.bufferView]
    stored = document.binary_blob()[view.byteOffset : view.byteOffset + view.byteLength]
    np.testing.assert_allclose(np.frombuffer(stored, np.float32).reshape(-1, 4), tangents, atol=1e-6)
    assert read_mesh(path).surface.material.is_unlit
    core = load_nodes("sockets").mesh_to_core(splat)
    np.testing.assert_array_equal(core.tangents[0].numpy(), tangents)
    issues = run_reader("gltf-validator", tmp_path / "report.json", path)["issues"]
    assert [message for message in issues["messages"] if message["severity"] < 2] == []


def test_tangents_turn_with_the_surface_and_leave_with_their_uvs(splat):
    mesh, turn = splat.mesh, Rotation.from_rotvec((0.3, -1, 0.5)).as_matrix()
    turned = mesh.extras.deform(np.broadcast_to(2 * turn, (len(mesh.positions), 3, 3))).tangents
    np.testing.assert_allclose(turned[:, :3], mesh.extras.tangents[:, :3] @ turn.T, atol=1e-6)
    np.testing.assert_array_equal(turned[:, 3], mesh.extras.tangents[:, 3])
    assert mesh.with_uvs(mesh.uvs[::-1]).extras.tangents is None


@pytest.mark.nightly_cases
@pytest.mark.parametrize("character_format", ["glb", "vrm"])
def test_every_map_of_a_batch_reaches_glb_and_vrm(characters, load_nodes, tmp_path, character_format):
    save = load_nodes("save_character")
    for item, character in enumerate(characters[0]):
        path, given = tmp_path / f"{item}.glb", {name: both[item] for name, both in characters[1].items()}
        settings = save.FileSettings(character_format)
        prepared = save._prepare(character, settings, root_joint=False, twist_joints=False)
        path.write_bytes(save._choose_encoder(prepared, settings, save._NO_META)("a"))
        issues = run_reader("gltf-validator", tmp_path / "report.json", path)["issues"]
        warned = {message["code"] for message in issues["messages"] if message["severity"] < 2}
        # Tangents that a file does not have are computed from normals and uvs, as glTF says.
        assert warned == {"MESH_PRIMITIVE_GENERATED_TANGENT_SPACE"}
        found = read_gltf_maps(path)
        for name in NAMES:
            np.testing.assert_array_equal(found[name], given[name])
        np.testing.assert_array_equal(found["occlusion"][..., 0], given["metallic_roughness"][..., 0])


@pytest.mark.nightly
def test_every_map_of_a_batch_reaches_fbx(characters, load_nodes, tmp_path):
    require_reader("ufbx")
    save = load_nodes("save_character")
    for item, character in enumerate(characters[0]):
        path, given = tmp_path / f"{item}.fbx", {name: both[item] for name, both in characters[1].items()}
        path.write_bytes(save._choose_encoder(character, save.FileSettings("fbx"), save._NO_META)("a"))
        found = read_fbx_maps(path)
        for name in NAMES:
            np.testing.assert_array_equal(found[name], given[name])


def test_vertex_colors_are_multiplied_into_the_texture_and_the_maps_stay(load_nodes):
    before = make_glossy()
    gray = replace(before, mesh=replace(before.mesh, colors=np.tile((0.25, 0.25, 0.25, 1), (4, 1))))
    after = load_nodes("surfaces").make_textured(gray)
    assert after.mesh.colors is None
    np.testing.assert_array_equal(after.uvs, before.uvs)
    assert after.material.maps == before.material.maps
    center = np.array([[2.5 / 5, 2.5 / 6]])
    expected = linear_to_srgb(srgb_to_linear(before.material.sample(center)) / 4)[:, :3]
    np.testing.assert_allclose(after.material.sample(center)[:, :3], expected, atol=0.02)


def test_clean_mesh_keeps_every_map_to_the_byte(figures, load_nodes):
    value, images = figures
    done = load_nodes("shape_steps").CleanMesh.execute(value, 10_000)
    for item, core in enumerate(done.args[1]):
        for name, both in images.items():
            np.testing.assert_array_equal(np.rint(getattr(core, name)[0].numpy() * 255), both[item])
        np.testing.assert_array_equal(core.uvs[0].numpy(), value.uvs[item].numpy())
        assert done.ui["character3d_report"][item]["warnings"] == []
    (again,) = load_nodes("sockets").socket_to_surfaces(done.args[0][0])
    assert set(again.material.maps) == {"metallic_roughness", "normal", "occlusion", "emissive"}


def test_clean_mesh_names_what_a_reduced_mesh_cannot_keep(load_nodes):
    mesh = read_mesh(FILES / "textured.glb").surface.mesh
    rows = np.zeros((len(mesh.positions), 4))
    rows[:, 0] = 1
    rig = OwnRig(Skeleton(("Bone",), [-1], np.eye(4)[None]), SkinWeights(rows, rows))
    given = replace(mesh, extras=MeshExtras(rig=rig))
    reduced, lost, _ = load_nodes("shape_steps")._clean(given, 2_000, ignore_progress)
    assert lost == ["left out, because the mesh has other faces now: uvs, skeleton of 1 joint"]
    assert len(reduced.faces) <= 2_000
    whole, lost, _ = load_nodes("shape_steps")._clean(given, 10_000, ignore_progress)
    assert lost == [] and len(whole.extras.rig.skin.joints) == len(whole.positions)


@pytest.mark.nightly
def test_clean_mesh_draws_every_map_of_a_reduced_mesh_anew(figures, load_nodes, tmp_path):
    done = load_nodes("shape_steps").CleanMesh.execute(figures[0], 2_000)
    for item, value in enumerate(done.args[0]):
        path, surface = tmp_path / f"{item}.glb", load_nodes("sockets").socket_to_surface(value)
        path.write_bytes(encode_glb(surface))
        issues = run_reader("gltf-validator", tmp_path / "report.json", path)["issues"]
        assert issues["numErrors"] == 0
        found = read_gltf_maps(path)
        for name in ("texture", "emissive"):  # the picture's noise, at other places
            given = figures[1][name][item].astype(float)
            assert abs(found[name].mean() - given.mean()) < 12 and found[name].std() > 0.5 * given.std()
