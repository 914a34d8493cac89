"""Stage `mesh_generation` step by step, around ComfyUI's own Hunyuan3D nodes and its KSampler."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..backends import hunyuan3d
from ..pipeline import mesh_generation, texture_baking
from ..pipeline.conventions import TEXTURE_SIZES
from ..pipeline.progress import Progress, span_progress
from ..pipeline.types import Mesh, TexturedMesh
from .compat import io, make_schema
from .inputs import face_count_input, mesh_input, mesh_model_input, resolution_input
from .model_node import ModelNode, fingerprint_files
from .sockets import mesh_lists, mesh_outputs, mesh_values, socket_to_surfaces
from .stage import StageRun, join_reports, reserve_device

_CATEGORY = "character3d/2 mesh generation"
_MOST_TEXELS = TEXTURE_SIZES[-1] ** 2


class LoadShapeModel(ModelNode):
    """Loads a single-file Hunyuan3D model."""

    @classmethod
    def define_schema(cls) -> io.Schema:  # noqa: D102
        return make_schema(
            node_id="C3DLoadShapeModel",
            display_name="Load Shape Model (Hunyuan3D)",
            category=_CATEGORY,
            description="Loads a Hunyuan3D 2.0, 2mini, 2mv or 2.1 file from models/diffusion_models or "
            "models/checkpoints, for ComfyUI's own nodes.",
            search_aliases=["hunyuan3d", "checkpoint"],
            inputs=[mesh_model_input()],
            outputs=[
                io.Model.Output(display_name="model", tooltip="The diffusion model, for a KSampler."),
                io.ClipVision.Output(
                    display_name="clip_vision", tooltip="The image encoder, for CLIP Vision Encode."
                ),
                io.Vae.Output(display_name="vae", tooltip="The shape decoder, for Decode Shape."),
                io.Int.Output(
                    display_name="resolution", tooltip="Tokens of a shape, for Empty Latent Hunyuan3Dv2."
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, mesh_model: str) -> str:
        """The file that this run reads."""
        return fingerprint_files(lambda: [hunyuan3d.find_shape_model(mesh_model)])

    @classmethod
    def execute(cls, mesh_model: str) -> io.NodeOutput:
        """-> MODEL, CLIP_VISION, VAE, INT."""
        file = hunyuan3d.find_shape_model(mesh_model)
        shape = cls.load_models(file, lambda: hunyuan3d.load_shape_model(file.name))
        return io.NodeOutput(shape.model, shape.image_encoder, shape.vae, shape.latent_count)


class DecodeShape(io.ComfyNode):
    """Decodes a latent to a surface, evaluating the field only near the surface."""

    @classmethod
    def define_schema(cls) -> io.Schema:  # noqa: D102
        return make_schema(
            node_id="C3DDecodeShape",
            display_name="Decode Shape (Hunyuan3D)",
            category=_CATEGORY,
            description="Decodes a latent to triangles, as VAE Decode Hunyuan3D and Voxel to Mesh do "
            "together, at a fraction of the points.",
            search_aliases=["vae decode hunyuan3d", "marching cubes"],
            inputs=[
                io.Latent.Input("samples", tooltip="The latent from a KSampler."),
                io.Vae.Input("vae", tooltip="The VAE of a Hunyuan3D model."),
                resolution_input(),
            ],
            outputs=mesh_outputs("The surface as decoded, in the model's cube from -1.01 to 1.01."),
        )

    @classmethod
    def execute(cls, samples: dict[str, Any], vae: Any, octree_resolution: int) -> io.NodeOutput:
        """LATENT, VAE -> TRIMESH, MESH of the first shape in the batch."""
        run, latent = StageRun("mesh_generation"), samples["samples"][:1]
        field = hunyuan3d.decode_field(
            vae, latent, octree_resolution, progress=span_progress(run.progress, 0, 0.9)
        )
        mesh = Mesh(*mesh_generation.extract_surface(field))
        run.progress(1.0)
        return io.NodeOutput(*mesh_values(mesh))


class CleanMesh(io.ComfyNode):
    """Prepares a generated mesh for texturing and rigging."""

    @classmethod
    def define_schema(cls) -> io.Schema:  # noqa: D102
        return make_schema(
            node_id="C3DCleanMesh",
            display_name="Clean Mesh",
            category=_CATEGORY,
            description="Removes floaters, internal shells and degenerate faces, reduces the mesh to a "
            "number of faces, scales it to a person's height and stands it on the ground. Its colors stay: "
            "where it has fewer faces now, its textures are drawn anew.",
            search_aliases=["decimate", "simplify", "floaters", "postprocess mesh"],
            inputs=[
                mesh_input("mesh", "A mesh that stands upright (+Y) and faces the front (+Z)."),
                face_count_input(),
            ],
            outputs=mesh_outputs("The clean mesh, in metres, its feet on the ground.", is_output_list=True),
        )

    @classmethod
    def execute(cls, mesh: Any, face_count: int) -> io.NodeOutput:
        """TRIMESH, MESH or FILE_3D -> TRIMESH, MESH, one of each for each mesh of a batch."""
        meshes, reports = [], []
        for surface in socket_to_surfaces(mesh):
            run = StageRun("mesh_generation")
            cleaned, warnings, metrics = _clean(surface, face_count, run.progress)
            reports.append(run.finish("clean_up", warnings, metrics))
            meshes.append(cleaned)
        return io.NodeOutput(*mesh_lists(meshes), ui=join_reports(reports))


def _clean(
    surface: Mesh | TexturedMesh, face_count: int, progress: Progress
) -> tuple[Mesh | TexturedMesh, list[str], Mapping[str, float]]:
    """The clean surface, what it lost, and metrics; textures are drawn anew only if its faces are others."""
    mesh = surface.mesh if isinstance(surface, TexturedMesh) else surface
    has_color = isinstance(surface, TexturedMesh) or mesh.colors is not None
    if not has_color and mesh.uvs is None and mesh.extras is None:
        raw = mesh_generation.clean_mesh(mesh.positions, mesh.faces, face_count=face_count, progress=progress)
        return raw.mesh, [], raw.metrics
    steps = span_progress(progress, 0, 0.3)
    cleaned = mesh_generation.clean_whole_mesh(mesh, face_count=face_count, progress=steps)
    whole = replace(surface, mesh=cleaned.whole) if isinstance(surface, TexturedMesh) else cleaned.whole
    if cleaned.mesh is None:
        progress(1.0)
        return whole, [], cleaned.metrics
    reduced: Mesh | TexturedMesh = cleaned.mesh
    if has_color:
        steps, device = span_progress(progress, 0.3, 1), reserve_device(_MOST_TEXELS)
        reduced = texture_baking.transfer_surface(whole, cleaned.mesh, device=device, progress=steps)
    return reduced, _name_lost(mesh, has_color), cleaned.metrics


def _name_lost(mesh: Mesh, has_color: bool) -> list[str]:
    """The parts of a mesh that one with other faces cannot keep."""
    lost = [] if has_color or mesh.uvs is None else ["uvs"]
    if mesh.extras is not None and (named := replace(mesh.extras, tangents=None).describe()):
        lost.append(named)
    return [f"left out, because the mesh has other faces now: {', '.join(lost)}"] if lost else []
