"""The mesh node: which method runs, and what it says when it cannot."""

import pytest
import torch
from character3d.pipeline.errors import PictureError, WeightsError
from character3d.tests import small_hunyuan3d as small

INPUTS = {
    "face_count": 2_000, "mesh_model": "auto", "guidance_scale": 5.5, "mesh_steps": 1, "seed": 0,
    "octree_resolution": 16,
}  # fmt: skip


@pytest.fixture
def generate(load_nodes):
    node = load_nodes("mesh_generation").GenerateMesh
    mask = torch.zeros(1, 256, 256)
    mask[:, 30:230, 100:156] = 1
    picture = {"image": torch.full((1, 256, 256, 3), 0.5), "mask": mask}

    def generate(method="auto", **inputs):
        with torch.inference_mode():
            output = node.execute(**picture, method=method, **{**INPUTS, **inputs})
        return output.args[0], output.ui["character3d_report"][0]

    generate.picture, generate.node = picture, node
    return generate


def test_auto_without_a_model_inflates(models, generate):
    mesh, report = generate()
    assert report["method"] == "silhouette_inflation" and mesh.is_watertight
    assert {"mesh_model", "mesh_steps", "octree_resolution", "seed"} <= set(report["ignored_inputs"])


def test_auto_takes_a_model_once_it_is_there(models, generate):
    before = generate.node.fingerprint_inputs(method="auto")
    small.save_checkpoint(models / "hunyuan3d-dit-v2-mini.safetensors", small.draw_figure_checkpoint())
    assert generate.node.fingerprint_inputs(method="auto") != before
    mesh, report = generate()
    assert report["method"] == "hunyuan3d" and report["ignored_inputs"] == [] and mesh.is_watertight
    assert generate("silhouette_inflation")[1]["method"] == "silhouette_inflation"


def test_asking_for_a_model_that_is_not_there_quotes_the_catalogue(models, generate):
    with pytest.raises(WeightsError, match=r"found none\. Nothing is downloaded.*\n.*European Union"):
        generate("hunyuan3d")


def test_a_side_needs_its_mask(models, generate):
    with pytest.raises(PictureError, match="expected left and left_mask together, found only one"):
        generate(left=generate.picture["image"])


def test_sides_go_to_a_multiview_model(models, generate):
    small.save_checkpoint(models / "hunyuan3d-dit-v2-mini.safetensors", small.draw_figure_checkpoint())
    sides = {"back": generate.picture["image"], "back_mask": generate.picture["mask"]}
    with pytest.raises(PictureError, match="takes one picture, from the front; found back as well"):
        generate(**sides)
    small.save_checkpoint(models / "hunyuan3d-dit-v2-mini-mv.safetensors", small.draw_figure_checkpoint())
    assert generate(**sides)[1]["method"] == "hunyuan3d"
    assert generate("silhouette_inflation", **sides)[1]["ignored_inputs"][-1] == "back"
