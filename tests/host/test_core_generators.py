"""The workflows whose mesh core's own generators make, in a real ComfyUI that has their nodes.

Core builds TRELLIS.2 and Pixal3D in the sizes of the published files, which no test can hold: their graphs
are validated, and run from the decoded mesh and voxels on. Hunyuan3D 2.1 runs whole, on weights that make a
figure.
"""

from types import SimpleNamespace

import numpy as np
import pygltflib
import pytest
import trimesh
from character3d.tests import small_hunyuan3d as small

from .conftest import WORKFLOWS, Client, load_graph, run_comfyui
from .test_rig_mesh import saved_files

WEIGHTS = {"ckpt_name", "clip_name", "model_name", "unet_name", "vae_name"}
"""Inputs that name files which a test's ComfyUI has not."""
DECODED = {"Decode shape": 0, "Decode texture": 1}
"""Titles in the workflows of TRELLIS.2 and Pixal3D -> which output of the pack below stands for the node."""
UPPER, LOWER = ((0.8, 0.2, 0.1), 1.0, 0.3), ((0.1, 0.3, 0.8), 0.0, 0.8)
"""Base color, metallic and roughness of the halves of the figure."""

PACK = f"""
import folder_paths, numpy as np, torch, trimesh
from comfy_api.latest import Types

class VoxelFigure:
    RETURN_TYPES, FUNCTION, CATEGORY = ("MESH", "VOXEL"), "make", "test"
    INPUT_TYPES = classmethod(lambda cls: {{"required": {{}}}})

    def make(self):
        mesh = trimesh.load_mesh(folder_paths.get_annotated_filepath("figure.glb"))
        mesh.vertices = (mesh.vertices - mesh.bounds.mean(axis=0)) * 0.95 / mesh.extents.max()
        points = trimesh.sample.sample_surface(mesh, 400_000, seed=0)[0]
        cells = np.unique(((points + 0.5) * 128).astype(np.int32), axis=0)
        upper, lower = ([[*color, *rest, 1]] for color, *rest in {(UPPER, LOWER)!r})
        material = np.where(cells[:, 1:2] >= 64, upper, lower)
        voxels = torch.from_numpy(np.pad(cells, ((0, 0), (1, 0)))), torch.from_numpy(material).float()
        vertices, faces = (torch.from_numpy(np.array(part))[None] for part in (mesh.vertices, mesh.faces))
        return Types.MESH(vertices.float(), faces.int()), Types.VOXEL(*voxels, 128)

NODE_CLASS_MAPPINGS = {{"VoxelFigure": VoxelFigure}}
"""


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_graph_lacks_nothing_but_weights(client, name):
    graph, _ = load_graph(name)
    missing = {node["class_type"] for node in graph.values()} - set(client.get_json("/object_info"))
    if missing:
        assert name.startswith(("Pixal3D", "TRELLIS.2")), missing
        pytest.skip(f"this ComfyUI has no {', '.join(sorted(missing))}")
    refused = client.validate(graph)
    errors = [error for node in refused.values() for error in node["errors"]]
    if name.startswith("Motion"):
        named = {error["details"].split(" - ")[0] for error in errors}
        assert "motion_file" in named and named <= {"motion_file", "input_types"}  # no such file here
        return
    assert {error["type"] for error in errors} <= {"value_not_in_list"}, errors
    assert {error["extra_info"]["input_name"] for error in errors} <= WEIGHTS


@pytest.fixture(scope="module")
def server(comfyui_folder, tmp_path_factory):
    """ComfyUI with the weights that make a figure, and with the pack above."""
    base = tmp_path_factory.mktemp("generators")
    checkpoint = base / "models" / "checkpoints" / "hunyuan_3d_v2.1.safetensors"
    small.save_checkpoint(checkpoint, small.draw_full_figure_checkpoint())
    pack = base / "custom_nodes" / "voxel_figure"
    pack.mkdir(parents=True)
    (pack / "__init__.py").write_text(PACK)
    with run_comfyui(comfyui_folder, base) as (running, _):
        yield SimpleNamespace(url=running.address, base=base)


def run(server, graph):
    """Title of a node -> the file that it wrote."""
    history = Client(server.url).run_graph(graph)
    assert history["status"]["status_str"] == "success", history["status"]
    return saved_files(server, graph, history)


@pytest.fixture(scope="module")
def hunyuan3d(server):
    """The character that core's Hunyuan3D nodes and ours make, and its files."""
    graph, by_title = load_graph("Hunyuan3D 2.1 to rigged character")
    by_title["Empty latent"]["resolution"] = 64
    by_title["Sample"]["steps"] = 1
    by_title["Decode voxels"]["octree_resolution"] = 48
    by_title["Generate views"]["image_size"] = 512
    return run(server, graph)


@pytest.mark.nightly
def test_cores_hunyuan3d_becomes_a_textured_character_that_stands_and_faces_the_front(hunyuan3d):
    assert hunyuan3d["Save FBX"].read_bytes().startswith(b"Kaydara FBX Binary")
    skinned = pygltflib.GLTF2().load(hunyuan3d["Save GLB"])
    assert len(skinned.skins) == 1 and len(skinned.animations) == 8 and skinned.images
    mesh = trimesh.load_mesh(hunyuan3d["Save GLB"], process=False)
    assert mesh.volume > 0 and mesh.bounds[:, 1] == pytest.approx([0, 1.7], abs=1e-3)
    feet = mesh.vertices[mesh.vertices[:, 1] < 0.1]
    assert feet[:, 2].max() > -1.5 * feet[:, 2].min() > 0


def start_decoded(graph):
    """The part of a graph after core's decoders, with the pack's figure in their place."""
    numbers = {node["_meta"]["title"]: number for number, node in graph.items()}
    given = {numbers[title]: ["figure", output] for title, output in DECODED.items()}
    for node in graph.values():
        inputs = node["inputs"]
        inputs |= {name: given[value[0]] for name, value in inputs.items() if _is_link(value, given)}
    kept = {number: node for number, node in graph.items() if int(number) >= int(numbers["Even mesh"])}
    return kept | {"figure": {"class_type": "VoxelFigure", "inputs": {}, "_meta": {"title": "Figure"}}}


def _is_link(value, sources):
    return isinstance(value, list) and value[0] in sources


def sample(texture, mesh, rows):
    """The colors (N, 3) of a texture at the vertices in `rows` of a mesh."""
    pixels = np.asarray(texture.convert("RGB"), float) / 255
    size = pixels.shape[0]
    column, row = (np.clip((uv * size).astype(int), 0, size - 1) for uv in mesh.visual.uv[rows].T)
    return pixels[size - 1 - row, column]


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["TRELLIS.2 to rigged character", "Pixal3D to rigged character"])
def test_cores_mesh_and_voxels_become_a_character_with_its_material(server, hunyuan3d, name):
    """From the decoded mesh on; the figure of the test above, in the generator's cube."""
    client = Client(server.url)
    if "BakeTextureFromVoxel" not in client.get_json("/object_info"):
        pytest.skip("this ComfyUI has no TRELLIS.2")
    mesh = trimesh.load_mesh(hunyuan3d["Save GLB"])
    mesh.export(server.base / "input" / "figure.glb")
    graph, by_title = load_graph(name)
    by_title["Even mesh"]["resolution"] = 128
    by_title["Fewer faces"]["target_face_count"] = 6000
    by_title["Base color, metallic, roughness"]["texture_size"] = 512
    for title in ("Unwrap", "Normal map"):
        by_title[title]["resolution"] = 512
    files = run(server, start_decoded(graph))
    assert files["Save FBX"].read_bytes().startswith(b"Kaydara FBX Binary")
    (material,) = pygltflib.GLTF2().load(files["Save GLB"]).materials
    assert material.normalTexture and material.pbrMetallicRoughness.metallicRoughnessTexture
    mesh = trimesh.load_mesh(files["Save GLB"], process=False)
    assert mesh.bounds[:, 1] == pytest.approx([0, 1.7], abs=1e-3)
    shown = mesh.visual.material
    for rows, (color, metallic, roughness) in (
        (mesh.vertices[:, 1] > 0.95, UPPER),
        (mesh.vertices[:, 1] < 0.75, LOWER),
    ):
        assert np.median(sample(shown.baseColorTexture, mesh, rows), axis=0) == pytest.approx(color, abs=0.01)
        _, rough, metal = np.median(sample(shown.metallicRoughnessTexture, mesh, rows), axis=0)
        assert (rough, metal) == pytest.approx((roughness, metallic), abs=0.01)
