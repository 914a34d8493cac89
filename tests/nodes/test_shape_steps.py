"""Our nodes and ComfyUI's own Hunyuan3D nodes take what the other ones make."""

import importlib

import numpy as np
import pytest
import torch
from character3d.tests import small_hunyuan3d as small


@pytest.fixture
def steps(models, load_nodes):
    small.save_checkpoint(models / "hunyuan3d-dit-v2-mini.safetensors", small.draw_figure_checkpoint())
    return load_nodes("shape_steps")


@pytest.fixture
def core(comfyui_modules):
    return importlib.import_module("comfy_extras.nodes_hunyuan3d")


def run(node, *arguments):
    """The first output of one of ComfyUI's nodes, which were of the older kind in 0.3.64."""
    if hasattr(node, "execute"):
        return node.execute(*arguments).args[0]
    return getattr(node(), node.FUNCTION)(*arguments)[0]


@pytest.mark.nightly_cases
@pytest.mark.parametrize("algorithm", ["basic", "surface net"])
def test_meshes_of_either_decoder_stand_alike(steps, core, algorithm):
    """Upright, facing +Z, of one height, whichever node decoded the latent."""
    latent = {"samples": torch.randn((1, 64, 16), generator=torch.Generator().manual_seed(0))}
    with torch.inference_mode():
        _, _, vae, resolution = steps.LoadShapeModel.execute("auto").args
        voxels = run(core.VAEDecodeHunyuan3D, vae, latent, 8000, 48)
        theirs = run(core.VoxelToMesh, voxels, algorithm, 0.6)
        ours = steps.DecodeShape.execute(latent, vae, 48).args[1]
    assert resolution == 512
    cleaned = [steps.CleanMesh.execute(mesh, 5_000).args[0][0] for mesh in (theirs, ours)]
    assert np.allclose(cleaned[0].bounds, cleaned[1].bounds, atol=0.06)
    assert cleaned[1].is_watertight and all(len(mesh.faces) <= 5_000 for mesh in cleaned)
