"""The nodes inside this process: ComfyUI's modules on the path, its server not started."""

import importlib

import pytest


@pytest.fixture
def load_nodes(comfyui_modules):
    """Import a module of `nodes/` by its name; the empty name is the package."""
    return lambda name: importlib.import_module(f"character3d.nodes.{name}".rstrip("."))


class MeshOf2026:
    """The attributes of core's MESH since 2026, by their names and defaults."""

    def __init__(
        self, vertices, faces, uvs=None, vertex_colors=None, texture=None, metallic_roughness=None,
        vertex_counts=None, face_counts=None, unlit=False, normals=None, tangents=None, normal_map=None,
        occlusion_in_mr=False, material=None, emissive=None,
    ):  # fmt: skip
        self.__dict__.update({name: value for name, value in locals().items() if name != "self"})


@pytest.fixture(params=["mesh of 2026", "running ComfyUI's"])
def mesh_class(request, load_nodes, monkeypatch):
    """A MESH that holds more than triangles, which `nodes` takes for the running ComfyUI's."""
    compat = load_nodes("compat")
    if request.param == "running ComfyUI's":
        if "uvs" not in compat._MESH_FIELDS:
            pytest.skip("this ComfyUI's MESH has vertices and faces only")
        return compat.CoreMesh
    monkeypatch.setattr(compat, "CoreMesh", MeshOf2026)
    monkeypatch.setattr(compat, "_MESH_FIELDS", {*vars(MeshOf2026(None, None))})
    return MeshOf2026
