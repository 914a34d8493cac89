"""Sheets to look at: a character from eight directions, and posed with both arms raised and one knee bent.

    python benchmarks/look.py examples/elf.png FOLDER

Writes FOLDER/<name>_around.jpg, the picture at its left, FOLDER/<name>_posed.jpg and, walking,
FOLDER/<name>_walk.webp. Run it with a Python that has the pack's requirements. ComfyUI is not needed: the
figure is then read from its outline. With CHARACTER3D_COMFYUI=FOLDER, the ComfyUI that quickstart.py set up,
BlazeFace and BlazePose read it too, as in a job.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from math import radians
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.spatial.transform import Rotation

_REPOSITORY = Path(__file__).resolve().parent.parent
_spec = importlib.util.spec_from_file_location(
    "character3d", _REPOSITORY / "__init__.py", submodule_search_locations=[str(_REPOSITORY)]
)
sys.modules.setdefault("character3d", importlib.util.module_from_spec(_spec))

from character3d.pipeline.animation import load_clip, retarget_clip, settle_skin  # noqa: E402
from character3d.pipeline.cameras import build_six_view_rig  # noqa: E402
from character3d.pipeline.decode import decode_picture  # noqa: E402
from character3d.pipeline.figure import Figure  # noqa: E402
from character3d.pipeline.generating_multiview_texture import render_view_maps, synthesize_views  # noqa: E402
from character3d.pipeline.mesh.normals import compute_vertex_normals  # noqa: E402
from character3d.pipeline.mesh_generation import inflate_silhouette  # noqa: E402
from character3d.pipeline.preprocessing import preprocess_picture  # noqa: E402
from character3d.pipeline.preprocessing.read_figure import read_figure  # noqa: E402
from character3d.pipeline.preview import encode_webp, render_animation, render_contact_sheet  # noqa: E402
from character3d.pipeline.rigging import (  # noqa: E402
    compute_skin_weights,
    fit_skeleton,
    pose_vertices,
)
from character3d.pipeline.texture_baking import bake_views, unwrap_mesh  # noqa: E402
from character3d.pipeline.types import FramedPicture, RiggedCharacter, Skeleton, TexturedMesh  # noqa: E402

_WALK_SIDE = 320
_ARMS_RAISED, _THIGH_RAISED, _KNEE_BENT = 60.0, 70.0, 80.0
"""Degrees: arms above the horizontal, left thigh forward, left knee back."""


def make_character(picture: Path) -> RiggedCharacter:
    """Run the five stages with their embedded methods and default parameters."""
    framed = preprocess_picture(decode_picture(picture.read_bytes()).astype(np.float32) / 255)
    figure = read_figure(framed, *find_points(framed))
    mesh = inflate_silhouette(framed, figure=figure)
    maps = render_view_maps(mesh, build_six_view_rig(mesh), 768)
    textured = bake_views(unwrap_mesh(mesh), synthesize_views(mesh, framed, maps, figure=figure)).textured
    return rig_character(textured, figure)


def rig_character(textured: TexturedMesh, figure: Figure) -> RiggedCharacter:
    """Fit, bind, cut, mend and hold as a job does."""
    fitted = fit_skeleton(textured.mesh, figure=figure)
    skeleton, apart = fitted.skeleton, fitted.legs_apart_below
    skin = compute_skin_weights(
        textured.mesh,
        skeleton,
        hidden=fitted.hidden,
        legs_apart_below=apart,
        appendages=fitted.appendages,
        solid=fitted.solid,
    )
    return settle_skin(textured, skeleton, skin, legs_apart_below=apart).character


def find_points(framed: FramedPicture) -> tuple[Any, Any]:
    """BlazePose's points and BlazeFace's face; None without the ComfyUI that loads both."""
    comfyui = os.environ.get("CHARACTER3D_COMFYUI")
    if comfyui is None:
        return None, None
    sys.path.append(comfyui)
    from comfy.cli_args import args

    args.cpu = True
    import folder_paths
    from character3d.backends import blazeface, blazepose
    from character3d.nodes.read_picture import read_points

    for name in ("blazeface", "blazepose"):
        folder_paths.add_model_folder_path(name, str(Path(comfyui).parents[1] / "models" / name))
    return read_points(framed, {network: network.load_model() for network in (blazeface, blazepose)})


def turn_joint(skeleton: Skeleton, name: str, axis: Sequence[float], degrees: float) -> npt.NDArray[Any]:
    """The turn (3, 3) in the joint's own frame that is one about `axis` of the mesh's frame at rest."""
    rest = skeleton.rest[skeleton.index(name), :3, :3]
    turn = Rotation.from_rotvec(np.radians(degrees) * np.asarray(axis, float)).as_matrix()
    return rest.T @ turn @ rest


def raise_arm(skeleton: Skeleton, side: str, sign: float) -> npt.NDArray[Any]:
    """The turn of the upper arm that brings it from where it rests to _ARMS_RAISED."""
    joints = (skeleton.index(f"mixamorig:{side}{part}") for part in ("ForeArm", "Arm"))
    elbow, shoulder = (skeleton.positions[joint] for joint in joints)
    now = np.degrees(np.arctan2(elbow[1] - shoulder[1], sign * (elbow[0] - shoulder[0])))
    return turn_joint(skeleton, f"mixamorig:{side}Arm", (0, 0, sign), _ARMS_RAISED - now)


def pose_character(character: RiggedCharacter) -> TexturedMesh:
    """Both arms raised and the left knee bent."""
    skeleton, textured = character.skeleton, character.textured
    turns = {
        "mixamorig:LeftArm": raise_arm(skeleton, "Left", 1.0),
        "mixamorig:RightArm": raise_arm(skeleton, "Right", -1.0),
        "mixamorig:LeftUpLeg": turn_joint(skeleton, "mixamorig:LeftUpLeg", (1, 0, 0), -_THIGH_RAISED),
        "mixamorig:LeftLeg": turn_joint(skeleton, "mixamorig:LeftLeg", (1, 0, 0), _KNEE_BENT),
    }
    positions = pose_vertices(textured.mesh, skeleton, character.skin, turns)
    normals = compute_vertex_normals(positions, textured.mesh.faces)
    return replace(textured, mesh=replace(textured.mesh, positions=positions, normals=normals))


def save_picture(array: npt.NDArray[Any], path: Path) -> None:
    """Write (H, W, 3 or 4) 0..1."""
    Image.fromarray(np.round(array[..., :3] * 255).astype(np.uint8)).save(path, quality=88)


def read_square(picture: Path, side: int) -> npt.NDArray[Any]:
    """The picture on white, (side, side, 3) 0..1."""
    image = Image.open(picture).convert("RGBA").resize((side, side), Image.Resampling.LANCZOS)
    return np.asarray(Image.alpha_composite(Image.new("RGBA", image.size, "white"), image))[..., :3] / 255


def main(picture: Path, folder: Path) -> None:
    """Make the character and write both sheets and the walk."""
    folder.mkdir(parents=True, exist_ok=True)
    character = make_character(picture)
    around = render_contact_sheet(character.textured)[..., :3]
    square = read_square(picture, len(around))
    save_picture(np.concatenate([square, around], axis=1), folder / f"{picture.stem}_around.jpg")
    azimuths = [radians(angle) for angle in (0, 45, 90, 180)]
    posed = render_contact_sheet(pose_character(character), azimuths=azimuths)
    save_picture(posed, folder / f"{picture.stem}_posed.jpg")
    clip = retarget_clip(load_clip("walk"), character)
    frames = render_animation(character, clip, size=_WALK_SIDE)
    walk = encode_webp(frames, len(frames) / float(clip.times[-1]))
    (folder / f"{picture.stem}_walk.webp").write_bytes(walk)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
