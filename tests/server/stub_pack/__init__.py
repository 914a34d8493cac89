"""Nodes with the pack's names that only write small files, and the pack's own routes.

Loaded by ComfyUI. CHARACTER3D_REPOSITORY names the checkout; control.json in ComfyUI's base folder
says, for each run of a node, how long it takes and whether it fails. CHARACTER3D_KILL, "before insert",
"after insert", "before end", "after end" or "after mark_deleted", is a commit at which the process kills
itself.
"""

import importlib.util
import json
import os
import signal
import sys
import time
from pathlib import Path

import comfy.utils
import folder_paths
import torch
from comfy_api.latest import ComfyExtension, io
from server import PromptServer

from .probes import add_probes

TICKS = 10
TRIMESH = io.Custom("TRIMESH")
CHARACTER = io.Custom("C3D_CHARACTER")
FIGURE = io.Custom("C3D_FIGURE")
PICTURES = io.Custom("C3D_PICTURES")
IMAGE_AND_MASK = (("image", io.Image), ("mask", io.Mask))


def _load_repository():
    root = Path(os.environ["CHARACTER3D_REPOSITORY"])
    spec = importlib.util.spec_from_file_location(
        "character3d_under_test", root / "__init__.py", submodule_search_locations=[str(root)]
    )
    sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    return importlib.import_module(".server_routes", spec.name)


def _control():
    return json.loads((Path(folder_paths.base_path) / "control.json").read_text())


def _seconds(node_id):
    control = _control()
    return control.get("seconds", {}).get(node_id, control["every"])


def _work(node_id):
    """Take the time that control.json says, also where that changes meanwhile."""
    control, started = _control(), time.monotonic()
    bar = comfy.utils.ProgressBar(TICKS)
    for tick in range(TICKS):
        while time.monotonic() - started < (tick + 1) / TICKS * _seconds(node_id):
            time.sleep(min(0.01, _seconds(node_id) / TICKS))
        bar.update_absolute(tick + 1, TICKS)
    if control.get("fail") == node_id:
        raise RuntimeError(control["message"])


def _report(stage, method, ignored=(), warnings=()):
    report = {
        "stage": stage,
        "method": method,
        "seconds": 0.1,
        "warnings": list(warnings),
        "metrics": {},
        "ignored_inputs": list(ignored),
    }
    return {"character3d_report": [report]}


def _write(prefix, suffix, data=b"stub"):
    folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(
        prefix, folder_paths.get_output_directory()
    )
    path = Path(folder) / f"{name}_{counter:05}_{suffix}"
    if _control().get("skip_file") != suffix:
        path.write_bytes(data)
    return [{"filename": path.name, "subfolder": subfolder, "type": "output"}]


def _node(node_id, inputs, outputs, run, is_output=True):
    class Node(io.ComfyNode):
        @classmethod
        def define_schema(cls):
            return io.Schema(
                node_id=node_id, category="stub", inputs=inputs, outputs=outputs, is_output_node=is_output
            )

        @classmethod
        def execute(cls, **values):
            _work(node_id)
            return run(**values)

    Node.__name__ = node_id
    return Node


def _image():
    return torch.zeros(1, 8, 8, 3)


def _mask():
    return torch.zeros(1, 8, 8)


VIEW_NAMES = ("front", "left", "back", "right", "top", "bottom")
SIDES = ("left", "right", "back", "top")
"""Of which there may be pictures beside the front's."""


def _preprocess(image, mask, **values):
    """With pictures of sides it warns of what it was given: side and width of each."""
    assert image.shape[-1] == 3 and mask.max() == 1
    pictures = {side: values[side] for side in SIDES if values.get(side) is not None}
    assert all(values[f"{side}_mask"].max() == 1 for side in pictures)
    given = [f"{side} {picture.shape[2]}" for side, picture in pictures.items()]
    warnings = [", ".join([f"front {image.shape[2]}", *given])] if given else []
    report = _report("preprocessing", "alpha", warnings=warnings)
    return io.NodeOutput(_image(), _mask(), "figure", "pictures", ui=report)


def _split_sheet(image, mask, figure):
    """As if there were four views in a row, the last one seen from three quarters."""
    width = image.shape[2] // 4
    views = [(image[:, :, k * width : (k + 1) * width], torch.ones(1, 8, 8)) for k in range(3)]
    front, left, back = views
    warning = f"view 4 was left out, figure {figure}"
    return io.NodeOutput(
        *front, *left, None, None, *back, ui=_report("preprocessing", "sheet", warnings=[warning])
    )


def _generate_mesh(**values):
    ignored = ["guidance_scale", "mesh_steps", "seed"]
    return io.NodeOutput("mesh", "mesh", ui=_report("mesh_generation", "inflation", ignored))


def _generate_views(**values):
    ignored = ["prompt", "negative_prompt", "steps", "cfg_scale", "model_name"]
    warnings = [f"see {folder_paths.base_path}/secret.txt"]
    ui = _report("generating_multiview_texture", "projection", ignored, warnings)
    return io.NodeOutput(_image(), _mask(), ui=ui)


def _bake(**values):
    return io.NodeOutput("mesh", _image(), _mask(), ui=_report("texture_baking", "projection_bake"))


def _rig(**values):
    return io.NodeOutput("character", ui=_report("rigging", "voxels"))


def _save(filename_prefix, **values):
    data = json.dumps({key: value for key, value in values.items() if isinstance(value, str)}).encode()
    suffix = f".{values['character_format']}" if "character" in values else ".glb"
    files = _write(filename_prefix, suffix, data)
    relative = f"{files[0]['subfolder']}/{files[0]['filename']}"
    return io.NodeOutput(relative, ui={"character3d_file": files, "3d": files})


def _save_figure(filename_prefix, **values):
    files = _write(filename_prefix, ".json", b"{}")
    return io.NodeOutput(files[0]["filename"], ui={"character3d_file": files})


def _save_views(filename_prefix, views, **values):
    files = _write(filename_prefix, ".zip", b"PK%d" % views.shape[2])
    return io.NodeOutput(files[0]["filename"], ui={"character3d_file": files})


def _report_quality(filename_prefix, character=None, **values):
    """The file says whether there was a character."""
    files = _write(filename_prefix, ".json", json.dumps({"rig": character}).encode())
    return io.NodeOutput(files[0]["filename"], ui={"character3d_file": files})


def _replace_views(views, **painted):
    """The widths of the painted views say which they are."""
    given = [name for name in VIEW_NAMES if painted.get(name) is not None]
    widths = ", ".join(f"{name} {painted[name].shape[2]}" for name in given)
    return io.NodeOutput(views, ui=_report("texture_baking", "", warnings=[f"painted {widths}"]))


def _apply_texture(mesh, texture):
    warning = f"texture {texture.shape[2]}"
    return io.NodeOutput(mesh, mesh, ui=_report("texture_baking", "painted", warnings=[warning]))


def _load_mesh(mesh_file, **values):
    """The mesh says how many bytes it has."""
    size = os.path.getsize(os.path.join(folder_paths.get_input_directory(), mesh_file))
    return io.NodeOutput(f"mesh of {size}", f"mesh of {size}")


def _add_animation(character, animation):
    return io.NodeOutput(f"{character} {animation}")


def _load_motion(character, motion_file, root_motion, clip_name):
    path = os.path.join(folder_paths.get_input_directory(), motion_file)
    with open(path, "rb") as file:
        return io.NodeOutput(f"{character} {clip_name} {root_motion} {len(file.read())}")


def _preview_animation(filename_prefix, **values):
    files = _write(filename_prefix, ".webp", b"RIFF")
    return io.NodeOutput(_image(), ui={"character3d_file": files, "images": files})


def _preview(filename_prefix, **values):
    files = _write(filename_prefix, ".png", b"\x89PNG")
    return io.NodeOutput(_image(), ui={"character3d_file": files, "images": files})


def _texts(*names):
    return [io.String.Input(name) for name in names]


NODES = [
    _node(
        "C3DPreprocessPicture",
        [
            io.Image.Input("image"),
            io.Mask.Input("mask"),
            io.Int.Input("mesh_input_size"),
            io.Int.Input("outline_size"),
            *(io.Image.Input(side, optional=True) for side in SIDES),
            *(io.Mask.Input(f"{side}_mask", optional=True) for side in SIDES),
        ],
        [io.Image.Output(), io.Mask.Output(), FIGURE.Output(), PICTURES.Output()],
        _preprocess,
    ),
    _node(
        "C3DSplitSheet",
        [io.Image.Input("image"), io.Mask.Input("mask"), io.Int.Input("figure", min=-1)],
        [kind.Output(f"{name}{number}") for number in range(4) for name, kind in IMAGE_AND_MASK],
        _split_sheet,
        is_output=False,
    ),
    _node(
        "C3DEditFigure",
        [io.Image.Input("image"), FIGURE.Input("figure"), *_texts("corrections")],
        [FIGURE.Output(), io.Image.Output()],
        lambda **values: io.NodeOutput("figure", _image()),
        is_output=False,
    ),
    _node(
        "C3DSaveFigure",
        [FIGURE.Input("figure"), *_texts("filename_prefix", "job_id")],
        [io.String.Output()],
        _save_figure,
    ),
    _node(
        "C3DGenerateMesh",
        [
            io.Image.Input("image"),
            io.Mask.Input("mask"),
            io.Combo.Input("mesh_model", options=["auto", "hunyuan3d-dit-v2-0-fp16.safetensors"]),
            io.Float.Input("guidance_scale"),
            io.Int.Input("mesh_steps"),
            io.Int.Input("octree_resolution"),
            io.Int.Input("face_count", max=10**6),
            io.Int.Input("seed", max=2**53),
        ],
        [TRIMESH.Output(), TRIMESH.Output()],
        _generate_mesh,
    ),
    _node(
        "C3DLoadMesh",
        _texts("mesh_file", "up", "front"),
        [TRIMESH.Output(), TRIMESH.Output()],
        _load_mesh,
        is_output=False,
    ),
    _node(
        "C3DGenerateViews",
        [
            TRIMESH.Input("mesh"),
            io.Int.Input("image_size"),
            *_texts("prompt", "negative_prompt", "model_name"),
            io.Int.Input("steps"),
            io.Float.Input("cfg_scale"),
            io.Int.Input("seed", max=2**53),
        ],
        [io.Image.Output(), io.Mask.Output()],
        _generate_views,
    ),
    _node(
        "C3DReplaceViews",
        [io.Image.Input("views"), *(io.Image.Input(name, optional=True) for name in VIEW_NAMES)],
        [io.Image.Output()],
        _replace_views,
        is_output=False,
    ),
    _node(
        "C3DSaveViews",
        [io.Image.Input("views"), TRIMESH.Input("mesh"), *_texts("filename_prefix", "job_id")],
        [io.String.Output()],
        _save_views,
    ),
    _node(
        "C3DApplyTexture",
        [TRIMESH.Input("mesh"), io.Image.Input("texture")],
        [TRIMESH.Output(), TRIMESH.Output()],
        _apply_texture,
        is_output=False,
    ),
    _node(
        "C3DBakeTexture",
        [TRIMESH.Input("mesh"), io.Image.Input("views")],
        [TRIMESH.Output(), io.Image.Output(), io.Mask.Output()],
        _bake,
    ),
    _node(
        "C3DRigCharacter",
        [
            TRIMESH.Input("mesh"),
            *_texts("pose_type", "bind_pose"),
            *(io.Boolean.Input(name) for name in ("fingers", "strict")),
            io.Boolean.Input("face", optional=True),
        ],
        [CHARACTER.Output()],
        _rig,
    ),
    _node(
        "C3DAddAnimation",
        [CHARACTER.Input("character"), *_texts("animation")],
        [CHARACTER.Output()],
        _add_animation,
        is_output=False,
    ),
    _node(
        "C3DLoadMotion",
        [CHARACTER.Input("character"), *_texts("motion_file", "root_motion", "clip_name")],
        [CHARACTER.Output()],
        _load_motion,
        is_output=False,
    ),
    _node(
        "C3DSaveMesh",
        [TRIMESH.Input("mesh"), *_texts("filename_prefix", "job_id")],
        [io.String.Output()],
        _save,
    ),
    _node(
        "C3DSaveCharacter",
        [
            CHARACTER.Input("character"),
            *_texts("filename_prefix", "job_id", "character_format", "bone_names"),
        ],
        [io.String.Output()],
        _save,
    ),
    _node(
        "C3DPreviewAnimation",
        [CHARACTER.Input("character"), *_texts("filename_prefix", "job_id")],
        [io.Image.Output()],
        _preview_animation,
    ),
    _node(
        "C3DReportQuality",
        [
            TRIMESH.Input("mesh"),
            *_texts("filename_prefix", "job_id"),
            CHARACTER.Input("character", optional=True),
        ],
        [io.String.Output()],
        _report_quality,
    ),
    _node(
        "C3DPreviewMesh",
        [TRIMESH.Input("mesh"), *_texts("filename_prefix", "job_id")],
        [io.Image.Output()],
        _preview,
    ),
]


def _kill_at(moment, commit, database):
    """Let a commit of a new job, of a job's end, or of its deletion be the last that the process does."""
    name = "update" if commit == "end" else commit
    write = getattr(database, name)

    def write_or_die(self, row, *rest):
        is_meant = commit != "end" or row.ended is not None
        written = None if is_meant and moment == "before" else write(self, row, *rest)
        if is_meant:
            os.kill(os.getpid(), signal.SIGKILL)
        return written

    setattr(database, name, write_or_die)


class StubExtension(ComfyExtension):
    async def get_node_list(self):
        return NODES


async def comfy_entrypoint():
    return StubExtension()


def _read_picture(picture, values):
    """Take the time that control.json says; there is nobody in a picture of one color."""
    time.sleep(_seconds("check"))
    height, width = picture.shape[:2]
    if picture.min() == picture.max():
        raise importlib.import_module("character3d_under_test.pipeline.errors").PictureError(
            "nobody is there"
        )
    point = {"x": 0.5 * width, "y": 0.25 * height, "depth": -1.5, "confidence": 0.875}
    found = {
        "width": width,
        "height": height,
        "method": "alpha",
        "kind": "front",
        "source": "outline",
        "yaw": 0.0,
        "box": [0.0, 0.0, width, height],
        "head_box": [0.0, 0.0, width, 0.25 * height],
        "face": None,
        "landmarks": {"neck": point},
        "parts": {"head": 0.25, "torso": 0.75},
        "warnings": ["the feet are outside the picture", f"figure {values['figure']} of 3 was used"],
    }
    return found, b"\x89PNG"


def _read_rig(path):
    """Take the time that control.json says; the first word of the file says what comes of it."""
    time.sleep(_seconds("rig_check"))
    errors = importlib.import_module("character3d_under_test.pipeline.errors")
    word = path.read_bytes()[:7].decode(errors="replace").strip("\0")
    if path.suffix != ".glb":
        raise errors.FormatError(f"{path}: expected .glb, found {path.suffix or 'none'}")
    if word == "nothing":
        raise errors.MeshError(f"{path.name} has no triangles")
    return {
        "kind": "humanoid",
        "confidence": 0.97,
        "kinds": {"humanoid": 0.97, "object": 0.03},
        "skeleton": "humanoid",
        "up": "+Z",
        "front": "-Y",
        "unit": "centimetres",
        "height_meters": 1.7,
        "vertices": 3,
        "faces": 1,
        "size": [60.0, 30.0, 170.0],
        "pieces": 1,
        "holes": 1,
        "symmetry": 0.9,
        "pose": "A-pose",
        "arms": 2,
        "legs": 2,
        "fingers": 10,
        "findings": [{"code": "turned", "message": "its up axis is +Z", "advice": "It is stood up."}],
    }


_service = _load_repository()
_registration = importlib.import_module(".registration", _service.__name__)
if "CHARACTER3D_KILL" in os.environ:
    _kill_at(*os.environ["CHARACTER3D_KILL"].split(), _service.database.JobDatabase)
_registration.register_routes(PromptServer.instance, _read_picture, _read_rig, None)
add_probes(PromptServer.instance.routes, importlib.import_module(".upload_slots", _service.__name__))
