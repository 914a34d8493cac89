"""The form fields: defaults, ranges, repair, and what a refusal says."""

import pytest
from character3d.server_routes.errors import ApiError
from character3d.server_routes.parameters import FIELDS, MAX_SEED, parse_parameters, repair_mojibake

INSTALLED = ["realistic_vision.safetensors", "sub/other.safetensors"]


def parse(**form):
    return parse_parameters(form, INSTALLED)


def refusal(**form):
    with pytest.raises(ApiError) as caught:
        parse(**form)
    assert (caught.value.status, caught.value.code) == (400, "INVALID_PARAMETERS")
    return caught.value


def test_defaults_are_the_contracts():
    values = dict(parse().values)
    assert 0 <= values.pop("seed") < 2**32
    assert values == {
        "prompt": "Highly Detailed",
        "negative_prompt": "watermark, ugly, deformed, noisy, blurry, low contrast",
        "image_size": 768,
        "mesh_input_size": 1024,
        "outline_size": 128,
        "figure": -1,
        "steps": 10,
        "mesh_model": "auto",
        "mesh_steps": 0,
        "octree_resolution": 384,
        "face_count": 50_000,
        "guidance_scale": 5.5,
        "cfg_scale": 2.0,
        "model_name": "dreamshaper.safetensors",
        "pose_type": "大-pose",
        "enable_rigging": True,
        "fingers": False,
        "face": False,
        "strict": False,
        "bind_pose": "as generated",
        "animation": "none",
        "character_format": "fbx",
        "bone_names": "mixamo",
        "preset": "none",
        "lods": 0,
        "max_triangles": 0,
        "texture_size": 0,
        "compression": "none",
        "max_bytes": 0,
        "animated_preview": False,
        "corrections": "",
        "root_motion": "keep",
        "views": "auto",
        "webhook_url": "",
    }


def test_a_preset_sets_what_was_not_sent():
    values = parse(preset="web").values
    assert (values["character_format"], values["compression"]) == ("glb", "meshopt")
    assert (values["texture_size"], values["max_bytes"]) == (1024, 2_000_000)
    assert values["bone_names"] == "mixamo"
    sent = parse(preset="unity", lods="0", character_format="fbx", bind_pose="as generated")
    assert (sent.values["lods"], sent.values["bind_pose"]) == (0, "as generated")
    assert (sent.values["bone_names"], sent.values["texture_size"]) == ("unity", 2048)


def test_the_contracts_example_of_a_refusal():
    assert refusal(image_size="999").body() == {
        "status": "error",
        "error_code": "INVALID_PARAMETERS",
        "message": "Invalid image size. Must be 512, 768, or 1024",
        "details": {"parameter": "image_size", "provided": 999, "allowed": [512, 768, 1024]},
    }


BOOLEANS = ["true", "1", "yes", "on", "false", "0", "no", "off"]


@pytest.mark.parametrize(
    ("form", "expected", "details"),
    [
        ({"image_size": "x"}, "512, 768, or 1024", {"provided": "x", "allowed": [512, 768, 1024]}),
        ({"steps": "101"}, "a whole number from 1 to 100", {"provided": 101, "minimum": 1, "maximum": 100}),
        ({"steps": "1e1"}, "a whole number from 1 to 100", {"provided": "1e1", "minimum": 1, "maximum": 100}),
        (
            {"cfg_scale": "-1"},
            "a number from 0.0 to 20.0",
            {"provided": -1.0, "minimum": 0.0, "maximum": 20.0},
        ),
        (
            {"cfg_scale": "1e400"},
            "a number from 0.0 to 20.0",
            {"provided": "1e400", "minimum": 0, "maximum": 20},
        ),
        (
            {"outline_size": "512", "mesh_input_size": "512"},
            "a whole number from 0 to 255 when mesh input size is 512",
            {"provided": 512, "minimum": 0, "maximum": 255},
        ),
        ({"fingers": " Maybe"}, "true or false", {"provided": " Maybe", "allowed": BOOLEANS}),
        (
            {"bind_pose": "A"},
            "as generated or T-pose",
            {"provided": "A", "allowed": ["as generated", "T-pose"]},
        ),
        (
            {"pose_type": " Zå"},
            "大-pose, T-pose, A-pose, or No",
            {"provided": " Zå", "allowed": ["大-pose", "T-pose", "A-pose", "No"]},
        ),
        ({"model_name": "x"}, "an installed model", {"provided": "x", "allowed": INSTALLED}),
        ({"mesh_model": "x"}, "an installed model", {"provided": "x", "allowed": ["auto"]}),
    ],
)
def test_what_a_refusal_says(form, expected, details):
    name = next(iter(form))
    error = refusal(**form)
    assert error.message == f"Invalid {name.replace('_', ' ')}. Must be {expected}"
    assert error.details == {"parameter": name, **details}


@pytest.mark.parametrize(
    ("text", "message", "details"),
    [
        ("x" * 2001, "Must have at most 2000 characters", {"maximum_length": 2000}),
        ("\0" * 2001, "Must have at most 2000 characters", {"maximum_length": 2000}),
        ("a\0" + "(" * 101 + ")" * 101, "Must not contain NUL characters", {}),
        ("(" * 101 + ")" * 101, "Must nest parentheses at most 100 deep", {}),
    ],
)
def test_what_the_refusal_of_a_prompt_says(text, message, details):
    error = refusal(negative_prompt=text)
    assert error.message == f"Invalid negative prompt. {message}"
    provided = text if len(text) <= 100 else text[:100] + "…"
    assert error.details == {"parameter": "negative_prompt", "provided": provided, **details}


@pytest.mark.parametrize("text", ["768.0", "7e2", "0x300", "٧٦٨", "７６８", "", "nan", "+768", "7" * 10_000])
def test_whole_numbers_are_ascii_digits(text):
    assert refusal(image_size=text).details["parameter"] == "image_size"
    assert len(str(refusal(image_size=text).details["provided"])) <= 101


@pytest.mark.parametrize("text", ["10", " 10.0 ", "1e1", "1.0E+1", "100e-1"])
def test_a_number_may_have_an_exponent(text):
    assert parse_parameters({"guidance_scale": text}, []).values["guidance_scale"] == 10.0


@pytest.mark.parametrize(
    "text", ["nan", "inf", "-inf", "1e400", "1e2", "1e", "0x5", "", "٥", "0.5", "20.1", "1" * 400]
)
def test_guidance_scale_refuses(text):
    details = refusal(guidance_scale=text).details
    assert (details["minimum"], details["maximum"]) == (1.0, 20.0)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("image_size", " 768 ", 768),
        ("seed", "0", 0),
        ("seed", str(MAX_SEED), MAX_SEED),
        ("guidance_scale", "1", 1.0),
        ("guidance_scale", "20.0", 20.0),
        ("cfg_scale", "-0", 0.0),
        ("cfg_scale", ".5", 0.5),
        ("prompt", "", ""),
        ("prompt", "x" * 2000, "x" * 2000),
        ("enable_rigging", "FALSE ", False),
        ("enable_rigging", "on", True),
        ("model_name", "sub/other.safetensors", "sub/other.safetensors"),
        ("outline_size", "0", 0),
    ],
)
def test_accepted(name, text, value):
    parameters = parse(**{name: text})
    assert parameters.values[name] == value
    assert parameters.sent == {name}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("seed", "-2"),
        ("seed", str(2**53)),
        ("seed", str(2**64)),
        ("steps", "0"),
        ("steps", "abc"),
        ("steps", "101"),
        ("mesh_steps", "-1"),
        ("mesh_input_size", "255"),
        ("mesh_input_size", "2049"),
        ("outline_size", "-1"),
        ("outline_size", "513"),
        ("prompt", "x" * 2001),
        ("prompt", "a\x00b"),
        ("enable_rigging", "maybe"),
        ("enable_rigging", ""),
        ("character_format", "obj"),
        ("bone_names", ""),
        ("bind_pose", "A-pose"),
        ("animation", "moonwalk"),
        ("fingers", "2"),
        ("pose_type", "Z-pose"),
        ("pose_type", ""),
        ("model_name", ""),
        ("model_name", "../x.safetensors"),
        ("model_name", "Realistic_Vision.safetensors"),
        ("model_name", "dreamshaper.safetensors"),
    ],
)
def test_refused(name, text):
    assert refusal(**{name: text}).details["parameter"] == name


def test_model_that_is_not_installed_names_those_that_are():
    assert refusal(model_name="old.ckpt").details["allowed"] == INSTALLED


def test_default_model_that_is_not_installed_is_a_warning_only():
    assert any("dreamshaper" in warning for warning in parse(prompt="an elf").warnings)
    assert not parse().warnings  # nobody asked for what it would do
    assert not parse_parameters({}, ["dreamshaper.safetensors"]).warnings


def test_outline_must_leave_room_for_the_picture():
    assert refusal(outline_size="128", mesh_input_size="256").details["maximum"] == 127
    assert parse(outline_size="127", mesh_input_size="256").values["outline_size"] == 127
    assert parse(mesh_input_size="256").values["outline_size"] == 127


def test_all_wrong_fields_are_listed_in_the_order_of_the_table():
    details = refusal(steps="abc", image_size="1", pose_type="x").details
    assert details["parameter"] == "image_size"
    assert [error["parameter"] for error in details["errors"]] == ["image_size", "steps", "pose_type"]


@pytest.mark.parametrize(
    "text", ["大-pose", "å¤§-pose", "å¤§-pose", " 大-pose ", "大-pose".encode().decode("latin-1")]
)
def test_pose_type_is_repaired(text):
    assert parse(pose_type=text).values["pose_type"] == "大-pose"


def test_repair_leaves_sound_text_alone():
    assert repair_mojibake("T-pose") == "T-pose"
    assert repair_mojibake("café") == "café"


def test_unknown_fields_are_warned_of():
    parameters = parse(color="red")
    assert "color: unknown field, ignored" in parameters.warnings
    assert parameters.sent == set()


def test_drawn_seeds_differ():
    assert len({parse(seed="-1").values["seed"] for _ in range(20)}) > 1
    assert FIELDS["seed"].default == -1
