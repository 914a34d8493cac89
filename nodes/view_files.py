"""Views as files to paint over, and views that were painted over in place of those that were made."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import folder_paths
import torch

from ..pipeline import formats
from ..pipeline.cameras import build_six_view_rig
from ..pipeline.conventions import CAMERAS_FILE, VIEW_NAMES
from ..pipeline.errors import FormatError, PictureError
from ..pipeline.types import ViewImages
from .compat import io, make_schema
from .input_files import find_file, find_input_file, list_input_files
from .inputs import job_input, mesh_input, prefix_input
from .output_files import save_counted, save_folder
from .sockets import array_to_image, array_to_mask, image_to_picture, socket_to_mesh

_SUFFIXES = (".zip", CAMERAS_FILE)
_FORMS = ("zip", "folder")
_VIEWS = ", ".join(VIEW_NAMES)


class SaveViews(io.ComfyNode):
    """Writes six views, their masks and cameras as files."""

    @classmethod
    def define_schema(cls) -> io.Schema:  # noqa: D102
        return make_schema(
            node_id="C3DSaveViews",
            display_name="Save Views",
            category="character3d/6 export",
            description="Writes the six views and their masks as PNG, with their cameras as JSON, to be "
            "painted over and read again by Load Views.",
            search_aliases=["export views", "paint over", "multiview"],
            is_output_node=True,
            inputs=[
                io.Image.Input("views", tooltip=f"Six images from Generate Views: {_VIEWS}."),
                io.Mask.Input("masks", tooltip="Their masks."),
                mesh_input("mesh", "The mesh that they were made for; its size says what the cameras show."),
                prefix_input("views"),
                io.Combo.Input(
                    "container",
                    options=list(_FORMS),
                    default=_FORMS[0],
                    tooltip="One zip, or a folder of its own.",
                ),
                io.Boolean.Input(
                    "sheet", default=False, tooltip="Also one picture of all six, to look at: sheet.png."
                ),
                job_input(),
            ],
            outputs=[io.String.Output(display_name="file", tooltip="Path below the output folder.")],
        )

    @classmethod
    def execute(
        cls,
        views: torch.Tensor,
        masks: torch.Tensor,
        mesh: Any,
        filename_prefix: str,
        container: str,
        sheet: bool,
        job_id: str = "",
    ) -> io.NodeOutput:
        """IMAGE (6, V, V, 3), MASK (6, V, V), TRIMESH or MESH -> path below the output folder."""
        rig = build_six_view_rig(socket_to_mesh(mesh))
        if views.shape[:3] != masks.shape or len(views) != len(rig):
            raise PictureError(
                f"expected {len(rig)} views and masks of one size ({_VIEWS}); found views "
                f"{tuple(views.shape[:3])}, masks {tuple(masks.shape)}"
            )
        images = ViewImages(rig, views[..., :3].cpu().numpy(), masks.cpu().numpy())
        files = formats.write_views(images, has_sheet=sheet)
        if container == "zip":
            saved = save_counted(filename_prefix, ".zip", lambda _stem: formats.pack_files(files))
            return io.NodeOutput(saved.relative, ui={"character3d_file": [saved.entry]})
        return io.NodeOutput(f"{save_folder(filename_prefix, files).relative}/{CAMERAS_FILE}")


class LoadViews(io.ComfyNode):
    """Reads views that Save Views wrote."""

    @classmethod
    def define_schema(cls) -> io.Schema:  # noqa: D102
        return make_schema(
            node_id="C3DLoadViews",
            display_name="Load Views",
            category="character3d/3 multiview texture",
            description="Reads the views of Save Views, painted over or not, for Bake Texture.",
            search_aliases=["import views", "painted views"],
            inputs=[
                io.Combo.Input(
                    "views_file",
                    options=list_input_files(_SUFFIXES),
                    tooltip="A zip of views in the input folder, or cameras.json of a folder of them. A path "
                    "below the output folder may be linked.",
                )
            ],
            outputs=[
                io.Image.Output(display_name="views", tooltip=f"Six images: {_VIEWS}."),
                io.Mask.Output(display_name="masks", tooltip="White where the character is, per view."),
            ],
        )

    @classmethod
    def validate_inputs(cls, views_file: str | None = None) -> bool | str:
        """A widget's value is a file below the input folder; what is linked is found when the node runs."""
        if views_file is None or find_input_file(views_file, _SUFFIXES):
            return True
        return f"views_file: expected a .zip or {CAMERAS_FILE} below the input folder, found {views_file!r}"

    @classmethod
    def fingerprint_inputs(cls, views_file: str | None = None) -> str:
        """The bytes of the files, which a person may have changed since."""
        path = _find(views_file) if views_file else None
        if path is None:
            return ""
        files = [path] if path.suffix == ".zip" else sorted(path.parent.iterdir())
        digest = hashlib.sha256()
        for file in files:
            if file.is_file():
                digest.update(file.read_bytes())
        return digest.hexdigest()

    @classmethod
    def execute(cls, views_file: str) -> io.NodeOutput:
        """Path -> IMAGE (6, V, V, 3), MASK (6, V, V)."""
        path = _find(views_file)
        if path is None:
            raise FormatError(
                f"there is no .zip or {CAMERAS_FILE} at {views_file!r} in the input or output folder"
            )
        if path.suffix == ".zip":
            files = formats.unpack_files(path.read_bytes())
        else:
            files = {file.name: file.read_bytes() for file in path.parent.iterdir() if file.is_file()}
        images = formats.read_views(files)
        return io.NodeOutput(array_to_image(images.color), array_to_mask(images.mask))


def _find(name: str) -> Path | None:
    """A file of views below the input folder, else below the output folder."""
    found = find_input_file(name, _SUFFIXES)
    return found or find_file(folder_paths.get_output_directory(), name, _SUFFIXES)


class ReplaceViews(io.ComfyNode):
    """Puts pictures that were painted over in the place of some views."""

    @classmethod
    def define_schema(cls) -> io.Schema:  # noqa: D102
        return make_schema(
            node_id="C3DReplaceViews",
            display_name="Replace Views",
            category="character3d/3 multiview texture",
            description="Puts painted pictures in the place of some of the six views; bake again afterwards.",
            search_aliases=["painted view", "edit view"],
            inputs=[
                io.Image.Input("views", tooltip=f"Six images from Generate Views: {_VIEWS}."),
                *(
                    io.Image.Input(name, optional=True, tooltip=f"In the place of the {name} view, as large.")
                    for name in VIEW_NAMES
                ),
            ],
            outputs=[io.Image.Output(display_name="views", tooltip=f"Six images: {_VIEWS}.")],
        )

    @classmethod
    def execute(cls, views: torch.Tensor, **painted: torch.Tensor | None) -> io.NodeOutput:
        """IMAGE (6, V, V, 3), IMAGE (1, V, V, 3 or 4) for each name -> IMAGE (6, V, V, 3)."""
        if len(views) != len(VIEW_NAMES):
            raise PictureError(f"expected six views ({_VIEWS}), found {len(views)}")
        replaced = views.detach().clone()
        for number, name in enumerate(VIEW_NAMES):
            image = painted.get(name)
            if image is None:
                continue
            picture = image_to_picture(image)[..., :3]
            if picture.shape[:2] != tuple(views.shape[1:3]):
                expected = f"{views.shape[2]} x {views.shape[1]}"
                found = f"{picture.shape[1]} x {picture.shape[0]}"
                raise PictureError(f"{name}: expected {expected} pixels, as its view has, found {found}")
            replaced[number] = torch.from_numpy(picture.copy())
        return io.NodeOutput(replaced)
