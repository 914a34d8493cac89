"""The mesh node: which method runs, and what it says when it cannot."""

import importlib

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


@pytest.mark.nightly
def test_sides_go_to_a_multiview_model(models, generate):
    small.save_checkpoint(models / "hunyuan3d-dit-v2-mini.safetensors", small.draw_figure_checkpoint())
    sides = {"back": generate.picture["image"], "back_mask": generate.picture["mask"]}
    with pytest.raises(PictureError, match="takes one picture, from the front; found back as well"):
        generate(**sides)
    small.save_checkpoint(models / "hunyuan3d-dit-v2-mini-mv.safetensors", small.draw_figure_checkpoint())
    assert generate(**sides)[1]["method"] == "hunyuan3d"
    assert generate("silhouette_inflation", **sides)[1]["ignored_inputs"][-1] == "back"


def test_only_the_file_that_a_run_reads_decides_whether_it_is_repeated(models, generate):
    identify = generate.node.fingerprint_inputs
    used, other = models / "hunyuan3d-dit-v2-0.safetensors", models / "hunyuan3d-dit-v2-mini.safetensors"
    small.save_checkpoint(used, small.draw_checkpoint("2.0"))
    named = {"method": "hunyuan3d", "mesh_model": used.name}
    before = identify(**named), identify(method="auto"), identify(method="silhouette_inflation")
    other.write_bytes(b"")
    after = identify(**named), identify(method="auto"), identify(method="silhouette_inflation")
    assert after == before and before[0] == before[1] != before[2] == ""
    small.save_checkpoint(used, small.draw_checkpoint("2.0", 1))
    assert identify(**named) == identify(method="auto") != before[0]
    multiview = models / "hunyuan3d-dit-v2-mv.safetensors"
    multiview.write_bytes(b"")
    assert str(multiview) in identify(method="auto", left=None) and str(used) in identify(method="auto")


def test_a_method_without_a_model_is_repeated_for_no_file(load_nodes, models, tmp_path, monkeypatch):
    """The rigging node, whose method is embedded until all its files are there."""
    folder_paths = importlib.import_module("folder_paths")
    node = load_nodes("rigging").RigCharacter
    folder = tmp_path / "make_it_animatable"
    folder.mkdir()
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "make_it_animatable", ([str(folder)], set()))
    names = ["joints_coarse.pth", "joints.pth", "pose.pth", "bw.pth"]
    for name in names[:3]:
        (folder / name).write_bytes(b"1")
    assert (
        node.fingerprint_inputs(method="auto") == "" == node.fingerprint_inputs(method="make_it_animatable")
    )
    (folder / names[3]).write_bytes(b"1")
    learned = node.fingerprint_inputs(method="auto")
    assert [name for name in names if str(folder / name) not in learned] == []
    assert node.fingerprint_inputs(method="geodesic_voxel_binding") == ""
    (folder / names[0]).write_bytes(b"22")
    assert node.fingerprint_inputs(method="auto") != learned
