"""Stage `rigging`: a textured mesh in, a rigged character out."""

from __future__ import annotations

from typing import Any

from ..pipeline.conventions import REST_POSES
from ..pipeline.progress import span_progress
from ..pipeline.rig import compute_skin_weights, fit_skeleton, separate_limbs
from ..pipeline.types import RiggedCharacter, TexturedMesh
from .compat import io, make_schema
from .inputs import mesh_input, method_input
from .sockets import Character, socket_to_textured
from .stage import StageRun, choose_method

_METHODS = ("geodesic_voxel_binding",)


class RigCharacter(io.ComfyNode):
    """Fits a humanoid skeleton to the mesh and binds the mesh to it."""

    @classmethod
    def define_schema(cls) -> io.Schema:  # noqa: D102
        return make_schema(
            node_id="C3DRigCharacter",
            display_name="Rig Character",
            category="character3d/5 rigging",
            description="Fits a humanoid skeleton with Mixamo's joint names and computes skin weights.",
            search_aliases=["skeleton", "skinning", "mixamo", "auto rig"],
            is_output_node=True,
            inputs=[
                mesh_input("mesh", "A humanoid mesh that stands upright and faces the front (+Z)."),
                io.Combo.Input(
                    "pose_type",
                    options=list(REST_POSES),
                    default=REST_POSES[0],
                    tooltip="The pose the mesh stands in: 大-pose (arms and legs spread), T-pose or A-pose; "
                    "No recognises it from the mesh.",
                ),
                method_input(_METHODS, "geodesic_voxel_binding"),
            ],
            outputs=[Character.Output(display_name="character", tooltip="Mesh, skeleton and skin weights.")],
        )

    @classmethod
    def execute(cls, mesh: Any, pose_type: str, method: str) -> io.NodeOutput:
        """TRIMESH or MESH -> C3D_CHARACTER."""
        chosen = choose_method(method, _METHODS)
        run, textured = StageRun("rigging"), socket_to_textured(mesh)
        fitted = fit_skeleton(
            textured.mesh, pose_type=pose_type, progress=span_progress(run.progress, 0, 0.5)
        )
        skin = compute_skin_weights(
            textured.mesh, fitted.skeleton, progress=span_progress(run.progress, 0.5, 0.9)
        )
        separated = separate_limbs(textured.mesh, fitted.skeleton, skin, colors=textured.vertex_colors)
        textured = TexturedMesh(separated.mesh, textured.material)
        cuts = ("arms were cut free where they touched the body",) if separated.cut_faces else ()
        return io.NodeOutput(
            RiggedCharacter(textured, fitted.skeleton, separated.skin),
            ui=run.finish(
                chosen,
                (*fitted.warnings, *cuts),
                {**fitted.metrics, "cut_faces": separated.cut_faces},
            ),
        )
