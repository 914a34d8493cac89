"""Stage `mesh_generation`: from the framed picture to a clean mesh."""

from __future__ import annotations

from typing import Any

import torch

from ..backends import hunyuan3d
from ..backends.installed import list_installed_models
from ..pipeline import mesh_generation
from ..pipeline.figure import Figure
from ..pipeline.progress import span_progress
from ..pipeline.types import PictureSet
from .compat import io, make_stage_schema
from .inputs import (
    face_count_input,
    figure_input,
    mesh_model_input,
    method_input,
    picture_inputs,
    pictures_input,
    resolution_input,
    seed_input,
    side_picture_inputs,
)
from .model_node import ModelNode, fingerprint_files
from .sockets import SIDES, mesh_outputs, mesh_values, sockets_to_views
from .stage import StageRun, choose_method

_METHODS = ("hunyuan3d", "silhouette_inflation")
_MODEL_INPUTS = ("mesh_model", "guidance_scale", "mesh_steps", "seed", "octree_resolution")
_STEPS, _TURBO_STEPS = 50, 5


def _choose(method: str) -> str:
    return choose_method(method, _METHODS, _METHODS if list_installed_models() else _METHODS[1:])


class GenerateMesh(ModelNode):
    """Generates the character's shape from its framed picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:  # noqa: D102
        unused = "Inflation ignores it."
        return make_stage_schema(
            node_id="C3DGenerateMesh",
            display_name="Generate Mesh",
            category="character3d/2 mesh generation",
            description="Generates a closed mesh of the character from the framed picture.",
            search_aliases=["image to 3d", "hunyuan3d"],
            inputs=[
                *picture_inputs(),
                method_input(_METHODS, "silhouette_inflation"),
                mesh_model_input(),
                io.Float.Input(
                    "guidance_scale",
                    default=5.5,
                    min=1.0,
                    max=20.0,
                    step=0.1,
                    tooltip=f"How closely a diffusion model follows the picture. {unused}",
                ),
                io.Int.Input(
                    "mesh_steps",
                    default=0,
                    min=0,
                    max=100,
                    tooltip=f"Sampling steps of a diffusion model. 0: {_STEPS}, or {_TURBO_STEPS} for a "
                    f"turbo model. {unused}",
                ),
                resolution_input(),
                face_count_input(),
                seed_input(f"Seed of a diffusion model. {unused}"),
                *side_picture_inputs(),
                figure_input("What was read in the picture: limbs that touch come apart. Inflation uses it."),
                pictures_input(
                    "Pictures from other sides, from Preprocess Picture: the shape follows their outlines."
                ),
            ],
            outputs=mesh_outputs("The mesh, +Y up, facing +Z, in metres."),
        )

    @classmethod
    def fingerprint_inputs(cls, method: str = "auto", mesh_model: str = "auto", **inputs: Any) -> str:
        """The file of the model that this run uses; nothing for inflation."""
        if _choose(method) == "silhouette_inflation":
            return ""
        multiview = [any(side in inputs for side in SIDES)]
        if "pictures" in inputs and not multiview[0]:  # how many there are is known when they are made
            multiview.append(True)
        return fingerprint_files(
            lambda: [hunyuan3d.find_shape_model(mesh_model, multiview=item) for item in multiview]
        )

    @classmethod
    def execute(
        cls,
        image: torch.Tensor,
        mask: torch.Tensor,
        method: str,
        face_count: int,
        mesh_model: str,
        guidance_scale: float,
        mesh_steps: int,
        seed: int,
        octree_resolution: int,
        figure: Figure | None = None,
        pictures: PictureSet | None = None,
        **sides: torch.Tensor | None,
    ) -> io.NodeOutput:
        """IMAGE (1, S, S, 3), MASK (1, S, S), and so for each side -> TRIMESH, MESH."""
        chosen = _choose(method)
        run, views = StageRun("mesh_generation"), sockets_to_views(image, mask, sides, pictures)
        if chosen == "silhouette_inflation":
            cls.release_models()
            mesh = mesh_generation.inflate_silhouette(
                views.pop("front"), figure=figure, sides=views, face_count=face_count, progress=run.progress
            )
            metrics = {"vertices": len(mesh.positions), "faces": len(mesh.faces)}
            report = run.finish(
                chosen, (), metrics, (*_MODEL_INPUTS, *(name for name in ("back", "top") if name in views))
            )
            return io.NodeOutput(*mesh_values(mesh), ui=report)
        views.pop("top", None)  # no shape model takes it
        file = hunyuan3d.find_shape_model(mesh_model, multiview=len(views) > 1)
        shape = cls.load_models(file, lambda: hunyuan3d.load_shape_model(file.name))
        field = hunyuan3d.generate_field(
            shape,
            views,
            steps=mesh_steps or (_TURBO_STEPS if shape.traits.turbo else _STEPS),
            guidance_scale=guidance_scale,
            seed=seed,
            resolution=octree_resolution,
            progress=span_progress(run.progress, 0, 0.85),
        )
        cleaned = mesh_generation.reconstruct_mesh(
            field, face_count=face_count, progress=span_progress(run.progress, 0.85, 1)
        )
        report = run.finish(chosen, (), cleaned.metrics)
        return io.NodeOutput(*mesh_values(cleaned.mesh), ui=report)
