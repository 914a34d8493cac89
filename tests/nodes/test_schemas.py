"""Every node as ComfyUI sees it: ids, help pages, tooltips, and what an older ComfyUI must not be told."""

import ast
import json
import re
from pathlib import Path

import pytest
from PIL import Image

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = REPOSITORY / "web" / "docs"
IN_OTHER_GRAPHS = {
    "C3DLoadMotion",
    "C3DEditClips",
    "C3DSaveMotion",
    "C3DLoadMesh",
    "C3DVrmMeta",
    "C3DApplyTexture",
    "C3DMergeMaterials",
    "C3DSymmetrize",
    "C3DSymmetrizeViews",
    "C3DRenderViewMaps",
    "C3DDelightPicture",
    "C3DApplyIG2MV",
    "C3DLoadShapeModel",
    "C3DDecodeShape",
    "C3DCleanMesh",
    "C3DCheckRig",
    "C3DSplitSheet",
    "C3DLoadViews",
    "C3DReplaceViews",
    "C3DSaveViews",
}
PUBLISHED = IN_OTHER_GRAPHS | {
    "C3DPreprocessPicture",
    "C3DEditFigure",
    "C3DGenerateMesh",
    "C3DGenerateViews",
    "C3DBakeTexture",
    "C3DRigCharacter",
    "C3DAddAnimation",
    "C3DSaveFigure",
    "C3DSaveMesh",
    "C3DSaveCharacter",
    "C3DPreviewMesh",
    "C3DPreviewAnimation",
    "C3DReportQuality",
}
"""Ids in people's workflows. One that goes needs an `io.NodeReplace` by ComfyUI's node replacement API."""
_SIDES = (f"{side}{kind}" for side in ("left", "back", "right", "top") for kind in ("", "_mask"))
_MAPS = "cameras", "metallic_roughness", "normal", "emissive"
OPTIONAL = {"figure", "pictures", "weights", "coverage", "vrm_meta", "model", "clip", "vae", *_SIDES, *_MAPS}
NOT_EVERYWHERE = {"image", "mask", "character"}
"""What a Quality Report reads where there is one: not each graph has a picture, or a rig."""


@pytest.fixture
def schemas(load_nodes):
    return {schema.node_id: schema for schema in (node.GET_SCHEMA() for node in load_nodes("").NODES)}


def test_every_node_has_its_names_and_its_help_page(schemas):
    assert all(name.startswith("C3D") for name in schemas)
    assert all(schema.category.startswith("character3d/") for schema in schemas.values())
    assert all(schema.display_name and schema.description for schema in schemas.values())
    pages = {page.stem for page in DOCS.glob("*.md")}
    assert pages == set(schemas)


def test_no_published_node_is_gone(schemas):
    assert set(schemas) >= PUBLISHED


def test_every_node_is_found_by_other_words(schemas):
    """In the sources, because older releases of ComfyUI leave the field out."""
    calls = [
        {keyword.arg: keyword.value for keyword in call.keywords}
        for file in (REPOSITORY / "nodes").glob("*.py")
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") in ("make_schema", "make_stage_schema")
    ]
    aliases = {
        call["node_id"].value: ast.literal_eval(call.get("search_aliases", ast.List([])))
        for call in calls
        if "node_id" in call
    }
    assert set(aliases) == set(schemas)
    assert [name for name, words in aliases.items() if len(set(words)) < 2] == []


def test_every_input_and_output_has_a_tooltip(schemas):
    for schema in schemas.values():
        assert [item.id for item in schema.inputs if not item.tooltip] == []
        assert [item.display_name for item in schema.outputs if not item.tooltip] == []


@pytest.mark.parametrize("page", ["{}.md", "{}/zh.md"])
def test_help_pages_have_a_picture_and_name_every_input_and_output(schemas, page):
    """The editor shows NAME/LANGUAGE.md and else NAME.md, and looks for pictures beside the latter."""
    for name, schema in schemas.items():
        text = (DOCS / page.format(name)).read_text(encoding="utf-8")
        named = [item.id for item in schema.inputs] + [item.display_name for item in schema.outputs]
        assert [word for word in named if f"`{word}`" not in text] == []
        (picture,) = re.findall(r"!\[.+\]\((.+)\)", text)
        assert picture == f"pictures/{name}.jpg"
        with Image.open(DOCS / picture) as image:
            assert image.format == "JPEG" and image.height <= 256


def test_no_page_and_no_picture_is_left_over(schemas):
    assert {folder.name for folder in DOCS.iterdir() if folder.is_dir()} == {*schemas, "pictures"}
    pictures = list((DOCS / "pictures").iterdir())
    assert {file.stem for file in pictures} == set(schemas)
    assert sum(file.stat().st_size for file in pictures) < 2e6


def test_help_pages_call_nodes_inputs_and_outputs_as_the_editor_does(schemas):
    chinese = json.loads((REPOSITORY / "locales/zh/nodeDefs.json").read_text(encoding="utf-8"))
    for name, schema in schemas.items():
        assert (DOCS / f"{name}.md").read_text(encoding="utf-8").startswith(f"# {schema.display_name}\n")
        texts, page = chinese[name], (DOCS / name / "zh.md").read_text(encoding="utf-8")
        assert page.startswith(f"# {texts['display_name']}\n")
        named = [f"`{item.id}`（{texts['inputs'][item.id]['name']}）" for item in schema.inputs]
        outputs = zip(schema.outputs, texts["outputs"].values(), strict=False)
        named += [f"`{item.display_name}`（{text['name']}）" for item, text in outputs]
        assert [words for words in named if words not in page] == []


def test_the_api_graph_sets_every_input_of_every_node(schemas):
    graph = json.loads(
        (REPOSITORY / "workflows/api/Picture to rigged character.json").read_text(encoding="utf-8")
    )
    own = [node for node in graph.values() if node["class_type"] in schemas]
    assert {node["class_type"] for node in own} == set(schemas) - IN_OTHER_GRAPHS
    for node in own:
        every = {item.id for item in schemas[node["class_type"]].inputs}
        assert every - OPTIONAL <= set(node["inputs"]) <= every


@pytest.mark.parametrize("file", sorted((REPOSITORY / "workflows/api").iterdir()), ids=lambda file: file.stem)
def test_every_api_graph_sets_every_input_of_its_nodes(schemas, file):
    for node in json.loads(file.read_text(encoding="utf-8")).values():
        if node["class_type"] in schemas:
            every = {item.id for item in schemas[node["class_type"]].inputs}
            needed = every - OPTIONAL - {"model_file"}
            if node["class_type"] == "C3DReportQuality":
                needed -= NOT_EVERYWHERE
            assert needed <= set(node["inputs"]) <= every, node["_meta"]["title"]


def test_schema_fields_that_this_comfyui_does_not_know_are_left_out(load_nodes):
    compat = load_nodes("compat")
    schema = compat.make_schema(node_id="C3DProbe", invented_in_the_future=True, inputs=[], outputs=[])
    assert schema.node_id == "C3DProbe"


def test_previews_run_before_stages_where_core_knows_the_difference(schemas, load_nodes):
    """Core runs output nodes that are ready first; the editor is told of an intermediate output as well."""
    knows = "has_intermediate_output" in load_nodes("compat")._SCHEMA_FIELDS
    for name in ("PreprocessPicture", "GenerateMesh", "GenerateViews", "BakeTexture", "RigCharacter"):
        schema = schemas[f"C3D{name}"]
        assert schema.is_output_node is not knows
        assert getattr(schema, "has_intermediate_output", False) is knows
    for name in ("PreviewMesh", "PreviewAnimation", "SaveMesh", "SaveCharacter", "SaveFigure"):
        assert schemas[f"C3D{name}"].is_output_node


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
