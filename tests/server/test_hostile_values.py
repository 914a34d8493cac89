"""Hostile values of form fields, and prompts that name files: refused, or carried as plain text."""

import importlib
import sys
from pathlib import Path

import pytest
from character3d.server_routes.picture import EDIT_SUFFIXES, MESH_INPUTS, MOTION_SUFFIXES, PICTURE_SUFFIXES

from .forms import END, encode_part, post_raw, record_opened, refused

ALLOWED = ["realistic_vision.safetensors", "sub/other.safetensors"]

DIGITS = "1" + "0" * 5000

WRONG = {
    "image_size": ("999", "768.0", "7e2", "0x300", "٧٦٨", "１２", DIGITS, "-0"),
    "steps": ("٧", "１２", "nan", "0b1", "1_0", "1,0", "+5", "--5", DIGITS, "\t"),
    "guidance_scale": ("nan", "inf", "-inf", "1e400", "Infinity", "１", DIGITS),
    "cfg_scale": ("-0.1", "1e-4000", "1e400", "0x1p3", "1.5.5", "." * 5000),
    "seed": ("-2", str(2**53), str(2**64), DIGITS, "-", ""),
    "enable_rigging": ("2", "maybe", "ＴＲＵＥ", "truetrue", "null", ""),
    "pose_type": ("å¤§", "大", "大-pose\u200b", "pose", "../大-pose", "大-pose" * 1000),
    "prompt": ("a\0b", "x" * 2001, "x" * 100_000, "(" * 10_000),
    "negative_prompt": ("\0", "(" * 101 + "x" + ")" * 101),
    "model_name": (
        "../x.safetensors",
        "..\\x.safetensors",
        "/etc/passwd",
        "C:\\x.safetensors",
        "\\\\host\\share\\x.safetensors",
        "Realistic_Vision.safetensors",
        "REALISTIC_VISION.SAFETENSORS",
        "realistic_vision.safetensors ",
        "realistic_vision.safetensors\0",
        "realistic_vision",
        "./realistic_vision.safetensors",
        "sub/../realistic_vision.safetensors",
        "sub\\other.safetensors",
        "sub//other.safetensors",
        "other.safetensors",
        "sub",
        "old.ckpt",
        "x" * 5000,
        "",
    ),
    "mesh_model": ("../x.safetensors", "/etc/passwd", "AUTO", "flux.safetensors"),
}


def shorten(value):
    return f"{value[:20]}…{len(value)}" if isinstance(value, str) and len(value) > 24 else None


@pytest.mark.parametrize(
    ("name", "text"), [(name, text) for name, texts in WRONG.items() for text in texts], ids=shorten
)
async def test_refused_by_name(client, inputs_left, name, text):
    answer = await client.generate(**{name: text})
    details = await refused(answer, 400, "INVALID_PARAMETERS", name)
    assert len(await answer.read()) < 4000
    if len(text) <= 2**16:  # longer fields are refused before they are read
        quoted = text if len(text) <= 100 else text[:100] + "…"
        assert details["provided"] == quoted or details["provided"] == float(text)
    if name == "model_name":
        assert details["allowed"] == ALLOWED
    assert inputs_left() == []


RIGHT = [
    ("image_size", " 768 ", 768),
    ("cfg_scale", "-0", 0.0),
    ("guidance_scale", "5.50000", 5.5),
    ("seed", str(2**53 - 1), 2**53 - 1),
    ("enable_rigging", "TRUE ", True),
    ("pose_type", "å¤§-pose", "大-pose"),
    ("pose_type", "a\u030a¤§-pose", "大-pose"),
    ("prompt", "", ""),
    ("prompt", "x\r\ny\t\u202e\ufeff😀", "x\r\ny\t\u202e\ufeff😀"),
    ("prompt", "(" * 2000, "(" * 2000),
    ("prompt", "' OR 1=1; DROP TABLE jobs;--", "' OR 1=1; DROP TABLE jobs;--"),
]


@pytest.mark.parametrize(("name", "text", "value"), RIGHT, ids=shorten)
async def test_taken_as_meant(client, name, text, value):
    job = await client.start_job(**{name: text})
    assert job["parameters"][name] == value
    assert (await client.finish(job["job_id"]))["parameters"][name] == value


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("pose_type", "大-pose".encode("cp936")),
        ("pose_type", "大-pose".encode("utf-16")),
        ("prompt", b"\xff\xfe"),
        ("prompt", b"\xed\xa0\x80"),
        ("prompt", b"\xc0\xaf"),
        ("prompt", b"\xf4\x90\x80\x80"),
        ("steps", b"\xff"),
    ],
    ids=["cp936", "utf-16", "invalid", "surrogate", "overlong", "beyond", "number"],
)
async def test_bytes_that_are_no_utf8(client, png, name, data):
    body = encode_part("image", png()) + encode_part(name, data) + END
    await refused(await post_raw(client, body), 400, "INVALID_PARAMETERS", name)


PROMPTS = [
    "embedding:../../../etc/passwd",
    "embedding:/etc/passwd, (embedding:..\\..\\secret:1.2)",
    "<lora:../../x:1>",
    "{a|../../etc/passwd} __../../etc/passwd__ [a:b:0.5]",
    "(" * 100 + "x" + ")" * 100,
]


async def test_prompts_that_name_files_open_none(client, comfyui):
    """From the request to the end of the job."""
    (comfyui.base / "models" / "embeddings").mkdir(exist_ok=True)
    async with record_opened(client) as opened:
        jobs = [await client.finish((await client.start_job(prompt=prompt))["job_id"]) for prompt in PROMPTS]
    assert [job["parameters"]["prompt"] for job in jobs] == PROMPTS
    assert {job["status"] for job in jobs} == {"completed"}
    own = {"control.json", "input", "temp", "output", "jobs.sqlite3-wal"}  # the last to wait for the disk
    kinds = (*PICTURE_SUFFIXES.values(), *EDIT_SUFFIXES.values(), *MOTION_SUFFIXES, *MESH_INPUTS)
    own.update(job["job_id"] + kind for job in jobs for kind in kinds)
    for job in jobs:
        own.update(item["name"] for item in job["downloads"])
        own.update(Path(job["results"]["raw_mesh"]).parts)
    uploads = comfyui.base / "user" / "character3d" / "uploads"
    kept = (comfyui.base / "models", comfyui.base / "temp", uploads, Path("/proc"), Path("/sys"))
    foreign = {path for path in map(Path, opened()) if path.name not in own}
    assert {path for path in foreign if not any(map(path.is_relative_to, kept))} == set()


def test_comfyuis_tokenizer_stays_in_the_folder_of_embeddings(comfyui_modules, tmp_path):
    """A prompt reaches the disk as embedding:name; ours go to this tokenizer as they are."""
    clip = importlib.import_module("comfy.sd1_clip")
    embeddings = tmp_path / "embeddings"
    embeddings.mkdir()
    (tmp_path / "secret.pt").write_bytes(b"secret")
    tokenizer, opened = clip.SDTokenizer(embedding_directory=[str(embeddings)]), []
    sys.addaudithook(lambda event, arguments: opened.append(str(arguments[0])) if event == "open" else None)
    prompts = [
        *PROMPTS,
        f"embedding:{tmp_path / 'secret.pt'}",
        "embedding:../secret",
        "embedding:../secret.pt",
    ]
    for prompt in prompts:
        assert tokenizer.tokenize_with_weights(prompt)
    assert [path for path in opened if "passwd" in path or "secret" in path] == []


async def test_models_by_links_are_those_that_are_listed(client, comfyui):
    """People link models into their folders: such a name counts like any other, its file is not read."""
    target = comfyui.base / "elsewhere.bin"
    target.write_bytes(b"x")
    link = comfyui.base / "models" / "checkpoints" / "linked.safetensors"
    link.symlink_to(target)
    try:
        async with client.get("/models") as answer:
            assert "linked.safetensors" in (await answer.json())["diffusion_models"]
        async with record_opened(client) as opened:
            job = await client.start_job(model_name="linked.safetensors")
            await client.finish(job["job_id"])
        assert not {"elsewhere.bin", "linked.safetensors"} & {Path(path).name for path in opened()}
    finally:
        link.unlink()
        target.unlink()
    await refused(
        await client.generate(model_name="linked.safetensors"), 400, "INVALID_PARAMETERS", "model_name"
    )
