"""Stage `mesh_generation`: the framed picture in, a clean mesh out."""

from __future__ import annotations

import torch

from ..pipeline.shape import inflate_silhouette
from .compat import io, make_schema
from .inputs import method_input, picture_inputs, seed_input
from .sockets import Trimesh, mesh_to_core, mesh_to_trimesh, sockets_to_framed
from .stage import StageRun, choose_method

_METHODS = ("silhouette_inflation",)


class GenerateMesh(io.ComfyNode):
    """Makes the character's shape from its framed picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:  # noqa: D102
        return make_schema(
            node_id="C3DGenerateMesh",
            display_name="Generate Mesh",
            category="character3d/2 mesh generation",
            description="Makes a closed mesh of the character from the framed picture.",
            search_aliases=["image to 3d", "hunyuan3d"],
            is_output_node=True,
            inputs=[
                *picture_inputs(),
                method_input(_METHODS, "silhouette_inflation"),
                io.Float.Input(
                    "guidance_scale",
                    default=5.5,
                    min=1.0,
                    max=20.0,
                    step=0.1,
                    tooltip="How closely a diffusion model follows the picture; inflation ignores it.",
                ),
                io.Int.Input(
                    "mesh_steps",
                    default=50,
                    min=1,
                    max=100,
                    tooltip="Sampling steps of a diffusion model; inflation ignores it.",
                ),
                seed_input("Seed of a diffusion model; inflation ignores it."),
            ],
            outputs=[
                Trimesh.Output(display_name="trimesh", tooltip="The mesh, +Y up, facing +Z, in metres."),
                io.Mesh.Output(display_name="mesh", tooltip="The same as core's MESH."),
            ],
        )

    @classmethod
    def execute(
        cls,
        image: torch.Tensor,
        mask: torch.Tensor,
        method: str,
        guidance_scale: float,
        mesh_steps: int,
        seed: int,
    ) -> io.NodeOutput:
        """IMAGE (1, S, S, 3), MASK (1, S, S) -> TRIMESH, MESH."""
        chosen, run = choose_method(method, _METHODS), StageRun("mesh_generation")
        mesh = inflate_silhouette(sockets_to_framed(image, mask), progress=run.progress)
        return io.NodeOutput(
            mesh_to_trimesh(mesh),
            mesh_to_core(mesh),
            ui=run.finish(
                chosen,
                metrics={"vertices": len(mesh.positions), "faces": len(mesh.faces)},
                ignored_inputs=("guidance_scale", "mesh_steps", "seed"),
            ),
        )
