"""The graph that is submitted: values are bound, switched-off nodes pruned, nodes assigned to stages."""

import json

import pytest
from character3d.server_routes.graph import GRAPH_FILE, GraphError, build_graph, load_template
from character3d.server_routes.parameters import parse_parameters

VALUES = {
    **parse_parameters({}, []).values,
    "seed": 5,
    "prompt": "a knight",
    "steps": 3,
    "mesh_steps": 4,
    "pose_type": "T-pose",
    "image_size": 512,
}


RESULTS_WITHOUT_A_RIG = ("raw_mesh", "textured_mesh", "preview_images", "figure", "views", "report")


@pytest.fixture(scope="module")
def template():
    return load_template()


def build(template, **values):
    return build_graph(template, "the-job", {"image": "character3d/the-job.png"}, {**VALUES, **values})


def by_title(graph):
    return {node["_meta"]["title"]: node["inputs"] for node in graph.prompt.values()}


def test_every_value_reaches_its_node(template):
    nodes = by_title(build(template))
    assert nodes["Load picture"]["image"] == "character3d/the-job.png"
    assert nodes["Preprocess picture"]["mesh_input_size"] == 1024
    assert nodes["Generate mesh"]["mesh_steps"] == 4
    assert nodes["Generate mesh"]["seed"] == nodes["Generate views"]["seed"] == 5
    assert nodes["Generate views"]["prompt"] == "a knight"
    assert nodes["Generate views"]["steps"] == 3
    assert nodes["Generate views"]["image_size"] == 512
    assert nodes["Rig character"]["pose_type"] == "T-pose"
    for title in ("Save raw mesh", "Save textured mesh", "Save rigged character", "Preview raw mesh"):
        assert nodes[title]["job_id"] == "the-job"


def test_the_size_of_textures_in_the_file_is_not_the_size_that_is_baked(template):
    nodes = by_title(build(template, texture_size=512))
    assert nodes["Bake texture"]["texture_size"] == "auto"
    assert nodes["Save rigged character"]["texture_size"] == 512


def test_one_picture_adds_no_node_but_the_one_that_saves_its_views(template):
    prompt = build(template, animated_preview=True).prompt
    added = {key: node for key, node in prompt.items() if key not in template}
    assert [node["class_type"] for node in added.values()] == ["C3DSaveViews"]
    for key, node in template.items():
        assert prompt[key]["class_type"] == node["class_type"]
        assert prompt[key]["inputs"].keys() == node["inputs"].keys()


def test_painted_views_and_a_painted_texture_come_in_place_of_those_made(template):
    edits = {"left": "l.tif", "texture": "t.tif"}
    graph = build_graph(template, "the-job", {"image": "a.tif"}, VALUES, "", edits)
    ids = {node["_meta"]["title"]: key for key, node in graph.prompt.items()}
    nodes = by_title(graph)
    made, baked = [ids["Generate views"], 0], [ids["Bake texture"], 0]
    assert nodes["Replace views"]["views"] == made and set(nodes["Replace views"]) == {"views", "left"}
    assert nodes["Load painted left"] == {"image": "l.tif"}
    for title in ("Bake texture", "Save views", "Six views"):
        taken = nodes[title].get("views") or nodes[title]["images"]
        assert taken == [ids["Replace views"], 0]
    assert nodes["Bake texture"]["masks"] == nodes["Save views"]["masks"] == [made[0], 1]
    assert nodes["Apply texture"] == {"mesh": baked, "texture": [ids["Load painted texture"], 0]}
    for title in ("Save textured mesh", "Rig character", "Preview textured mesh", "Quality report"):
        assert nodes[title]["mesh"] == [ids["Apply texture"], 0]
    assert graph.node_stages[ids["Apply texture"]] == "texture_baking"


def test_each_picture_is_loaded_for_its_side(template):
    pictures = {"image": "a.tif", "image_left": "a_left.tif", "image_top": "a_top.tif"}
    nodes = build_graph(template, "the-job", pictures, VALUES).prompt
    taken = next(node["inputs"] for node in nodes.values() if node["class_type"] == "C3DPreprocessPicture")
    assert "right" not in taken and "back_mask" not in taken
    for side in ("left", "top"):
        load, mask = nodes[taken[side][0]], nodes[taken[f"{side}_mask"][0]]
        assert (load["class_type"], load["inputs"]) == ("LoadImage", {"image": f"a_{side}.tif"})
        assert (mask["class_type"], mask["inputs"]) == ("InvertMask", {"mask": [taken[side][0], 1]})
        assert taken[side][1] == taken[f"{side}_mask"][1] == 0


def test_a_sheet_is_split_before_it_is_cut_out(template):
    pictures = {"image_sheet": "a.tif", "image_back": "b.tif"}
    graph = build_graph(template, "the-job", pictures, {**VALUES, "figure": 2})
    nodes = by_title(graph)
    (split,) = (key for key, node in graph.prompt.items() if node["class_type"] == "C3DSplitSheet")
    taken, before = nodes["Preprocess picture"], by_title(build(template))["Preprocess picture"]
    assert nodes["Load picture"]["image"] == "a.tif"
    assert nodes["Split sheet"] == {"image": before["image"], "mask": before["mask"], "figure": 2}
    assert taken["figure"] == -1 and graph.node_stages[split] == "preprocessing"
    outputs = {name: link[1] for name, link in taken.items() if isinstance(link, list) and link[0] == split}
    assert outputs == {
        "image": 0,
        "mask": 1,
        "left": 2,
        "left_mask": 3,
        "right": 4,
        "right_mask": 5,
    }
    assert graph.prompt[taken["back"][0]]["inputs"] == {"image": "b.tif"}


def test_template_is_not_changed(template):
    before = json.dumps(template)
    build(template)
    assert json.dumps(template) == before


def test_nodes_belong_to_the_stage_they_depend_on(template):
    graph = build(template)
    titles = {node["_meta"]["title"]: node_id for node_id, node in graph.prompt.items()}
    stages = {title: graph.node_stages[node_id] for title, node_id in titles.items()}
    assert stages["Load picture"] == "preprocessing"
    assert stages["Save raw mesh"] == stages["Show raw mesh"] == "mesh_generation"
    assert stages["Preview textured mesh"] == "texture_baking"
    assert stages["Show rigged character"] == "rigging"


def test_output_nodes_are_ordered_so_that_files_are_saved_before_the_next_stage(template):
    graph = build(template)
    ordered = [graph.prompt[node]["_meta"]["title"] for node in graph.order_nodes(list(graph.prompt))]
    for earlier, later in [
        ("Load picture", "Preprocess picture"),
        ("Show raw mesh", "Generate views"),
        ("Preview raw mesh", "Generate views"),
        ("Save textured mesh", "Show textured mesh"),
        ("Preview textured mesh", "Rig character"),
    ]:
        assert ordered.index(earlier) < ordered.index(later)


def test_without_rigging_nothing_of_it_is_left(template):
    graph = build(template, enable_rigging=False)
    assert "rigging" not in graph.stages and len(graph.stages) == 4
    assert set(graph.result_nodes.values()) == set(RESULTS_WITHOUT_A_RIG)
    links = {
        value[0]
        for node in graph.prompt.values()
        for value in node["inputs"].values()
        if isinstance(value, list)
    }
    assert links <= graph.prompt.keys()
    assert "pose_type" not in graph.field_stages


def test_the_report_is_made_with_and_without_a_rig(template):
    for rigging, stage in ((True, "rigging"), (False, "texture_baking")):
        graph = build(template, enable_rigging=rigging)
        (number,) = (key for key, result in graph.result_nodes.items() if result == "report")
        taken = graph.prompt[number]["inputs"]
        assert ("character" in taken) is rigging and {"mesh", "image", "figure", "coverage"} <= taken.keys()
        assert graph.node_stages[number] == stage


def test_what_is_asked_of_the_character_reaches_its_nodes(template):
    asked = {
        "fingers": True,
        "strict": True,
        "bind_pose": "T-pose",
        "animation": "all",
        "character_format": "vrm",
    }
    nodes = by_title(build(template, **asked, bone_names="unity"))
    assert nodes["Rig character"]["fingers"] is True and nodes["Rig character"]["bind_pose"] == "T-pose"
    assert nodes["Rig character"]["strict"] is True
    assert nodes["Add animation"]["animation"] == "all"
    saved = nodes["Save rigged character"]
    assert (saved["character_format"], saved["bone_names"]) == ("vrm", "unity")


def test_the_moving_preview_is_made_on_request(template):
    assert "Preview animation" not in by_title(build(template))
    graph = build(template, animated_preview=True)
    (node,) = (key for key, node in graph.prompt.items() if node["_meta"]["title"] == "Preview animation")
    assert graph.result_nodes[node] == "preview_images" and graph.node_stages[node] == "rigging"
    assert "Preview animation" not in by_title(build(template, animated_preview=True, enable_rigging=False))


def test_a_graph_without_a_node_for_a_field_is_refused(tmp_path):
    graph = json.loads(GRAPH_FILE.read_text(encoding="utf-8"))
    for node in graph.values():
        node["inputs"].pop("cfg_scale", None)
    path = tmp_path / "graph.json"
    path.write_text(json.dumps(graph))
    with pytest.raises(GraphError, match="cfg_scale"):
        load_template(path)


def test_a_motion_is_put_onto_the_character(template):
    values = {**VALUES, "root_motion": "in place", "animated_preview": True}
    graph = build_graph(template, "the-job", {"image": "a.tif"}, values, "character3d/the-job.bvh")
    titles = {node["_meta"]["title"]: number for number, node in graph.prompt.items()}
    nodes = by_title(graph)
    assert nodes["Load motion"] == {
        "character": [titles["Add animation"], 0],
        "motion_file": "character3d/the-job.bvh",
        "root_motion": "in place",
        "clip_name": "motion",
    }
    moved = [titles["Load motion"], 0]
    assert nodes["Save rigged character"]["character"] == nodes["Preview animation"]["character"] == moved
    assert nodes["Preview animation"]["motion"] == "newest clip"
    assert graph.node_stages[titles["Load motion"]] == "rigging"


def test_a_motion_needs_a_rig(template):
    values = {**VALUES, "enable_rigging": False}
    graph = build_graph(template, "the-job", {"image": "a.tif"}, values, "character3d/the-job.bvh")
    assert "Load motion" not in by_title(graph)
