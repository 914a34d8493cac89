"""The node Quality Report: a mesh alone is enough, and what it says is in its file."""

import importlib
import json

import pytest
import torch
import trimesh


@pytest.fixture
def node(load_nodes, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.import_module("folder_paths"), "output_directory", str(tmp_path))
    return load_nodes("quality").ReportQuality


def test_a_mesh_alone(node, tmp_path):
    said = node.execute(trimesh.creation.icosphere(2), "report", coverage=torch.zeros(6, 8, 8))
    text, file = said.args
    assert (tmp_path / file).read_text(encoding="utf-8") == text
    found = json.loads(text)
    assert found["shape"]["triangles"] == 320
    assert found["texture"]["unseen_share"] is None  # where Bake Texture is bypassed, coverage is of no bake
    assert said.ui["character3d_file"][0]["filename"] == file and "320 triangles" in said.ui["text"][0]


def test_a_picture_needs_its_mask(node):
    with pytest.raises(ValueError, match="image, mask: expected both"):
        node.execute(trimesh.creation.icosphere(2), "report", image=torch.zeros(1, 8, 8, 3))
