"""Every node as ComfyUI sees it: ids, help pages, tooltips, and what an older ComfyUI must not be told."""

import json
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
IN_OTHER_GRAPHS = {
    "C3DLoadMesh",
    "C3DVrmMeta",
    "C3DApplyTexture",
    "C3DMergeMaterials",
    "C3DRenderViewMaps",
    "C3DApplyIG2MV",
    "C3DLoadShapeModel",
    "C3DDecodeShape",
    "C3DCleanMesh",
}
_SIDES = (f"{side}{kind}" for side in ("left", "back", "right") for kind in ("", "_mask"))
_MAPS = "cameras", "metallic_roughness", "normal", "emissive"
OPTIONAL = {"figure", "weights", "vrm_meta", "model", "clip", "vae", *_SIDES, *_MAPS}


@pytest.fixture
def schemas(load_nodes):
    return {schema.node_id: schema for schema in (node.GET_SCHEMA() for node in load_nodes("").NODES)}


def test_every_node_has_its_names_and_its_help_page(schemas):
    assert all(name.startswith("C3D") for name in schemas)
    assert all(schema.category.startswith("character3d/") for schema in schemas.values())
    assert all(schema.display_name and schema.description for schema in schemas.values())
    pages = {page.stem for page in (REPOSITORY / "web" / "docs").glob("*.md")}
    assert pages == set(schemas)


def test_every_input_and_output_has_a_tooltip(schemas):
    for schema in schemas.values():
        assert [item.id for item in schema.inputs if not item.tooltip] == []
        assert [item.display_name for item in schema.outputs if not item.tooltip] == []


def test_help_pages_name_every_input_and_output(schemas):
    for name, schema in schemas.items():
        page = (REPOSITORY / "web" / "docs" / f"{name}.md").read_text(encoding="utf-8")
        named = [item.id for item in schema.inputs] + [item.display_name for item in schema.outputs]
        assert [word for word in named if f"`{word}`" not in page] == []


def test_the_api_graph_sets_every_input_of_every_node(schemas):
    graph = json.loads((REPOSITORY / "workflows/api/character.json").read_text(encoding="utf-8"))
    own = [node for node in graph.values() if node["class_type"] in schemas]
    assert {node["class_type"] for node in own} == set(schemas) - IN_OTHER_GRAPHS
    for node in own:
        every = {item.id for item in schemas[node["class_type"]].inputs}
        assert every - OPTIONAL <= set(node["inputs"]) <= every


def test_schema_fields_that_this_comfyui_does_not_know_are_left_out(load_nodes):
    compat = load_nodes("compat")
    schema = compat.make_schema(node_id="C3DProbe", invented_in_the_future=True, inputs=[], outputs=[])
    assert schema.node_id == "C3DProbe"


def test_newer_comfyui_gets_a_file_3d_output_last(load_nodes, monkeypatch, tmp_path):
    compat, export = load_nodes("compat"), load_nodes("export")
    seen = []

    class File3DGLB(compat.io.Custom("FILE_3D_GLB")):
        pass

    monkeypatch.setattr(compat, "HAS_FILE_3D", True)
    monkeypatch.setattr(compat.io, "File3DGLB", File3DGLB, raising=False)
    monkeypatch.setattr(compat.io, "File3DAny", File3DGLB, raising=False)
    monkeypatch.setattr(compat.Types, "File3D", lambda *args: seen.append(args) or "file", raising=False)
    outputs = export.SaveMesh.define_schema().outputs
    assert [output.io_type for output in outputs] == ["STRING", "FILE_3D_GLB"]
    assert compat.file_3d_values(tmp_path / "a.glb") == ("file",)
    assert seen == [(str(tmp_path / "a.glb"), "glb")]


def test_an_unknown_method_lists_the_known_ones(load_nodes):
    choose_method = load_nodes("stage").choose_method
    assert choose_method("auto", ["best", "good"]) == "best"
    with pytest.raises(ValueError, match="no method 'magic'; there are: auto, best, good"):
        choose_method("magic", ["best", "good"])
