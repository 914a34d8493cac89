"""Symmetry: one half of a mesh, of its texture, or of its views takes the place of the other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from ..pipeline import generating_multiview_texture as multiview
from ..pipeline import texture_baking
from ..pipeline.conventions import TEXTURE_SIZES
from ..pipeline.errors import MeshError
from ..pipeline.mesh.symmetrize import symmetrize_mesh
from ..pipeline.progress import Progress
from ..pipeline.types import Mesh, TexturedMesh
from .compat import io, make_schema
from .inputs import mesh_input
from .sockets import array_to_image, array_to_mask, mesh_outputs, mesh_values, socket_to_surface
from .stage import StageRun, reserve_device

_CATEGORY = "character3d/4 texture baking"
_DIRECTIONS = {"left to right": "left", "right to left": "right"}
_WHAT = ("shape and texture", "shape", "texture")
_MOST_TEXELS = TEXTURE_SIZES[-1] ** 2


def _direction_input() -> io.Input:
    tip = "Which half of the character, by its own left and right, is mirrored onto which."
    return io.Combo.Input("direction", options=list(_DIRECTIONS), default="left to right", tooltip=tip)


class Symmetrize(io.ComfyNode):
    """Mirrors one half of a mesh, of its texture, or of both onto the other."""

    @classmethod
    def define_schema(cls) -> io.Schema:  # noqa: D102
        return make_schema(
            node_id="C3DSymmetrize",
            display_name="Symmetrize",
            category=_CATEGORY,
            description="Makes a character symmetric: one half of its shape, of its texture, or of both is "
            "mirrored onto the other.",
            search_aliases=["mirror", "symmetry", "mirror texture"],
            inputs=[
                mesh_input(
                    "mesh", "A mesh that stands upright (+Y) and faces the front (+Z), its middle at x = 0."
                ),
                _direction_input(),
                io.Combo.Input(
                    "what",
                    options=list(_WHAT),
                    default=_WHAT[0],
                    tooltip="shape and texture: the mirrored half shares the texture of its original. shape, "
                    "texture: the other stays as it is, and the texture is drawn anew.",
                ),
            ],
            outputs=mesh_outputs("The symmetric mesh."),
        )

    @classmethod
    def execute(cls, mesh: Any, direction: str, what: str) -> io.NodeOutput:
        """TRIMESH, MESH or FILE_3D -> TRIMESH, MESH."""
        surface, run = socket_to_surface(mesh), StageRun("texture_baking")
        return io.NodeOutput(*mesh_values(_symmetrize(surface, _DIRECTIONS[direction], what, run.progress)))


def _symmetrize(
    surface: Mesh | TexturedMesh, kept: str, what: str, progress: Progress
) -> Mesh | TexturedMesh:
    mesh = surface.mesh if isinstance(surface, TexturedMesh) else surface
    has_color = isinstance(surface, TexturedMesh) or mesh.colors is not None
    if what == "texture" and not has_color:
        raise MeshError("expected a mesh with a texture or vertex colors to make symmetric, got one without")
    halved = symmetrize_mesh(mesh, kept)
    both = replace(surface, mesh=halved) if isinstance(surface, TexturedMesh) else halved
    progress(0.1)
    if what == "shape and texture" or not has_color:
        return both
    source, target = (surface, halved) if what == "shape" else (both, mesh)
    bare = replace(target, uvs=None, colors=None, material_numbers=None, extras=None)
    return texture_baking.transfer_surface(
        source, bare, device=reserve_device(_MOST_TEXELS), progress=progress
    )


class SymmetrizeViews(io.ComfyNode):
    """Mirrors one half of the character in its six views onto the other."""

    @classmethod
    def define_schema(cls) -> io.Schema:  # noqa: D102
        return make_schema(
            node_id="C3DSymmetrizeViews",
            display_name="Symmetrize Views",
            category=_CATEGORY,
            description="Makes six views symmetric before they are baked: what one half of the character "
            "shows is mirrored onto the other. For symmetric meshes.",
            search_aliases=["mirror views", "symmetry", "mirror texture"],
            inputs=[
                io.Image.Input("views", tooltip="Six views from Generate Views, painted over or not."),
                io.Mask.Input("masks", tooltip="Their masks."),
                _direction_input(),
            ],
            outputs=[
                io.Image.Output(display_name="views", tooltip="The symmetric views."),
                io.Mask.Output(display_name="masks", tooltip="Their masks, symmetric as well."),
            ],
        )

    @classmethod
    def execute(cls, views: torch.Tensor, masks: torch.Tensor, direction: str) -> io.NodeOutput:
        """IMAGE (6, S, S, 3), MASK (6, S, S) -> IMAGE (6, S, S, 3), MASK (6, S, S)."""
        kept = _DIRECTIONS[direction]
        color, shown = (multiview.symmetrize_views(item.cpu().numpy(), kept) for item in (views, masks))
        return io.NodeOutput(array_to_image(color), array_to_mask(shown))
