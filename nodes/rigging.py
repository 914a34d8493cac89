"""Stage `rigging`: fits a skeleton to a textured mesh and binds the mesh to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from ..backends import make_it_animatable, skintokens
from ..backends.predicted_rig import PredictedRig
from ..backends.weight_files import WeightsFile
from ..pipeline import animation, orientation, rigging
from ..pipeline.conventions import AXIS_OPTIONS, BIND_POSES, INFLUENCES, REST_POSES
from ..pipeline.figure import Figure
from ..pipeline.progress import Progress, span_progress
from ..pipeline.types import Mesh, RiggedCharacter, Skeleton, SkinWeights, TexturedMesh
from .compat import io, is_file_3d, make_stage_schema
from .identify import identify
from .inputs import figure_input, mesh_input, method_input, placing_inputs
from .mesh_file import load_file_3d
from .model_node import ModelNode, fingerprint_files
from .own_skeleton import METHOD, SKELETONS, describe_doubt, rig_along_limbs, wants_own_skeleton
from .sockets import Character, socket_to_surfaces
from .stage import StageRun, choose_method, join_reports
from .surfaces import make_textured

_EMBEDDED = "geodesic_voxel_binding"
_TOKENS, _TOKENS_SKIN, _ANIMATABLE = "skintokens", "skintokens_skin", "make_it_animatable"
_METHODS = (_TOKENS, _TOKENS_SKIN, _ANIMATABLE, _EMBEDDED)
_WITHOUT_FIT = (_TOKENS, _ANIMATABLE)
"""The methods that place the joints themselves."""
_TEARS = (
    "parts that touch in the mesh stretch up to {:.0f} times when the character walks or waves; use a "
    "picture in which arms, legs and what they hold are apart from the body"
)
_STILL_TEARS = ", and what touches stretches up to {:.0f} times all the same"
_NO_FACE = "the face has no morph targets: figure does not show both eyes from the front"
_NO_MOUTH = "the face has morph targets of its eyes only: no mouth was found in the picture"
_HELD = (
    "what cannot be told from the body keeps its place when the character moves: {}{}; use a picture with "
    "arms and legs away from the body and from each other"
)


class _BoundMesh(NamedTuple):
    """A rigged character without its material; notes: warnings about it."""

    mesh: Mesh
    skeleton: Skeleton
    skin: SkinWeights
    notes: Sequence[str]
    metrics: Mapping[str, float]

    def put_on(self, textured: TexturedMesh) -> RiggedCharacter:
        """The character with the materials of the mesh that it was made from."""
        return RiggedCharacter(replace(textured, mesh=self.mesh), self.skeleton, self.skin)


def _choose(method: str) -> str:
    learned = {_TOKENS: skintokens.is_installed, _ANIMATABLE: make_it_animatable.is_installed}
    installed = [name for name, is_installed in learned.items() if method == "auto" and is_installed()]
    return choose_method(method, _METHODS, [*installed, _EMBEDDED])


def _find_files(method: str) -> tuple[WeightsFile, ...]:
    """The weight files that a method reads. WeightsError if one is missing."""
    if method == _EMBEDDED:
        return ()
    if method == _ANIMATABLE:
        return tuple(make_it_animatable.find_files().values())
    return tuple(skintokens.find_files())


def _fit_rig(
    mesh: Mesh,
    figure: Figure | None,
    *,
    model: Any = None,
    rig_seed: int = 0,
    influences: int = INFLUENCES[0],
    progress: Progress,
    **options: Any,
) -> PredictedRig:
    """Fit the skeleton to the mesh in its own pose, and bind the mesh to it, with SkinTokens' model if given.

    rig_seed: of that model alone.
    """
    fitted = rigging.fit_skeleton(mesh, figure=figure, **options, progress=span_progress(progress, 0, 0.5))
    apart, binding = fitted.legs_apart_below, span_progress(progress, 0.5, 1)
    if model is not None:
        skin = skintokens.skin_mesh(
            mesh, fitted.skeleton, model, hidden=fitted.hidden, seed=rig_seed, progress=binding
        )
    else:
        skin = rigging.compute_skin_weights(
            mesh,
            fitted.skeleton,
            hidden=fitted.hidden,
            legs_apart_below=apart,
            appendages=fitted.appendages,
            solid=fitted.solid,
            influences=influences,
            progress=binding,
        )
    return PredictedRig(fitted.skeleton, skin, {}, fitted.warnings, fitted.metrics, apart)


class RigCharacter(ModelNode):
    """Fits a humanoid skeleton to the mesh and binds the mesh to it."""

    @classmethod
    def define_schema(cls) -> io.Schema:  # noqa: D102
        return make_stage_schema(
            node_id="C3DRigCharacter",
            display_name="Rig Character",
            category="character3d/5 rigging",
            description="Fits a humanoid skeleton with Mixamo's joint names and computes skin weights.",
            search_aliases=["skeleton", "skinning", "mixamo", "auto rig"],
            inputs=[
                mesh_input("mesh", "A humanoid mesh. It is stood up and turned to the front if need be."),
                io.Combo.Input(
                    "pose_type",
                    options=list(REST_POSES),
                    default=REST_POSES[0],
                    tooltip="The pose of the mesh: 大-pose (arms and legs spread), T-pose or A-pose. "
                    "No: any other. make_it_animatable converts it, and the arms of an A-pose, to the "
                    "T-pose; geodesic_voxel_binding recognizes the pose by itself.",
                ),
                method_input(_METHODS, _EMBEDDED),
                io.Combo.Input(
                    "bind_pose",
                    options=list(BIND_POSES),
                    default=BIND_POSES[0],
                    optional=True,
                    tooltip="The rest pose of the character: as generated, or converted to the T-pose.",
                ),
                io.Boolean.Input(
                    "fingers",
                    default=False,
                    optional=True,
                    tooltip="Rig the fingers where they are separate. make_it_animatable always does.",
                ),
                io.Boolean.Input(
                    "strict",
                    default=False,
                    optional=True,
                    tooltip="Fail if the mesh is not a standing humanoid, instead of placing what cannot "
                    "be found by average proportions. make_it_animatable accepts any mesh.",
                ),
                figure_input("Where the joints are in the picture that the mesh was made from."),
                *placing_inputs(),
                io.Boolean.Input(
                    "face",
                    default=False,
                    optional=True,
                    tooltip="Give the face morph targets for vowels, jaw, blink, look, brows and smile, "
                    "where figure shows both eyes from the front. Its triangles get smaller.",
                ),
                io.Combo.Input(
                    "skeleton",
                    options=list(SKELETONS),
                    default=SKELETONS[0],
                    optional=True,
                    tooltip="auto: a person's, or for a mesh that is no person one along its own limbs. Not "
                    "used with figure, where it is always a person's.",
                ),
                io.Int.Input(
                    "rig_seed",
                    default=0,
                    min=0,
                    max=2**31 - 1,
                    optional=True,
                    tooltip="Another number gives another rig. Only for skintokens and skintokens_skin.",
                ),
                io.Combo.Input(
                    "influences",
                    options=list(map(str, INFLUENCES)),
                    default=str(INFLUENCES[0]),
                    optional=True,
                    tooltip="Joints per vertex at most. Not every engine reads 8; the four strongest come "
                    "first. Only for geodesic_voxel_binding.",
                ),
            ],
            outputs=[
                Character.Output(
                    display_name="character",
                    tooltip="Mesh, skeleton and skin weights; one for each mesh of a batch.",
                    is_output_list=True,
                )
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, method: str, **inputs: Any) -> str:
        """The weight files that this run reads; nothing for geodesic_voxel_binding."""
        return _fingerprint(_choose(method))

    @classmethod
    def execute(
        cls,
        mesh: Any,
        pose_type: str,
        method: str,
        bind_pose: str = BIND_POSES[0],
        fingers: bool = False,
        strict: bool = False,
        figure: Figure | None = None,
        up: str = AXIS_OPTIONS[0],
        front: str = AXIS_OPTIONS[0],
        height_meters: float = 0.0,
        face: bool = False,
        skeleton: str = SKELETONS[0],
        rig_seed: int = 0,
        influences: str = str(INFLUENCES[0]),
    ) -> io.NodeOutput:
        """TRIMESH, MESH or FILE_3D -> C3D_CHARACTER, one for each mesh of a batch."""
        chosen = _choose(method)
        if figure is not None or chosen == _TOKENS:  # which makes a skeleton of its own for anything
            skeleton = SKELETONS[1]
        placing: dict[str, Any] = {"up": up, "front": front, "height": height_meters}
        options: dict[str, Any] = {"pose_type": pose_type, "fingers": fingers, "strict": strict}
        options |= {"figure": figure, "rig_seed": rig_seed, "influences": int(influences)}
        rigged = []
        for textured, notes in _read_placed(mesh, figure, **placing):
            run = StageRun("rigging")
            has_own, form = wants_own_skeleton(textured.mesh, skeleton, strict)
            if has_own and form is not None:
                rigged.append(_rig_along_limbs(textured, form, notes, run))
                continue
            bound = cls.make_once(
                identify(textured.mesh, chosen, _fingerprint(chosen), options),
                partial(cls._bind, textured, chosen, run.progress, options),
            )
            character, found = bound.put_on(textured), list(bound.notes)
            if face:
                character, found = _add_face(character, figure, found)
            if bind_pose != BIND_POSES[0] and bound.skeleton.roles:
                character = rigging.normalize_to_t_pose(character)
            doubt = describe_doubt(form, bound.metrics)
            warnings = [*notes, *doubt, *found, *_name_replaced(textured.mesh)]
            character = replace(character, warnings=tuple(warnings), metrics=bound.metrics)
            ignored = _list_ignored(chosen, figure)
            rigged.append((character, run.finish(chosen, warnings, bound.metrics, ignored)))
        reports = join_reports([report for _, report in rigged])
        return io.NodeOutput([character for character, _ in rigged], ui=reports)

    @classmethod
    def _bind(
        cls, textured: TexturedMesh, method: str, progress: Progress, options: dict[str, Any]
    ) -> _BoundMesh:
        """The mesh with a rig found for it, whatever its texture: a painted one gets the same again."""
        rig = cls._find_rig(textured.mesh, method, span_progress(progress, 0, 0.9), options)
        return _bind_mesh(textured, rig, options["pose_type"])

    @classmethod
    def _find_rig(cls, mesh: Mesh, method: str, progress: Progress, options: dict[str, Any]) -> PredictedRig:
        if method == _EMBEDDED:
            cls.release_models()
            return _fit_rig(mesh, progress=progress, **options)
        files = _find_files(method)
        if method == _ANIMATABLE:
            models = cls.load_models(files, make_it_animatable.load_models)
            pose_type = options["pose_type"]
            return make_it_animatable.rig_mesh(mesh, models, pose_type=pose_type, progress=progress)
        model = cls.load_models(files, skintokens.load_model)
        if method == _TOKENS:
            return skintokens.rig_mesh(mesh, model, seed=options["rig_seed"], progress=progress)
        return _fit_rig(mesh, model=model, progress=progress, **options)


def _rig_along_limbs(
    textured: TexturedMesh, form: orientation.Form, notes: Sequence[str], run: StageRun
) -> tuple[RiggedCharacter, dict[str, list[object]]]:
    """The character with a skeleton of its own, and the report."""
    character, found, measured = rig_along_limbs(textured, form, run.progress)
    warnings = [*notes, *found, *_name_replaced(textured.mesh)]
    character = replace(character, warnings=tuple(warnings), metrics=measured)
    return character, run.finish(METHOD, warnings, measured, ("pose_type", "bind_pose", "fingers", "face"))


def _add_face(
    character: RiggedCharacter, figure: Figure | None, notes: list[str]
) -> tuple[RiggedCharacter, list[str]]:
    """The character with a face that moves where it is sure of it, and the notes with why not."""
    has_roles = bool(character.skeleton.roles)
    place = rigging.place_face(figure, character.textured.mesh) if figure is not None and has_roles else None
    if place is None:
        return character, [*notes, _NO_FACE]
    return rigging.add_face(character, place), notes if place.mouth is not None else [*notes, _NO_MOUTH]


def _name_replaced(mesh: Mesh) -> list[str]:
    """The mesh's own skeleton, and the clips for it, which no saved file of the character has."""
    if mesh.extras is None or mesh.extras.rig is None:
        return []
    own = replace(mesh.extras, uv_sets={}, morphs=(), tangents=None).describe()
    return [f"replaced by this rig is the mesh's own: {own}"]


def _list_ignored(method: str, figure: Figure | None) -> tuple[str, ...]:
    """The inputs that have no effect; a mesh that was made from a picture stands already."""
    placing = () if figure is None else ("up", "front", "height_meters")
    pose = ("pose_type",) if method == _TOKENS else ()
    fit = ("fingers", "strict", "figure") if method in _WITHOUT_FIT else ()
    return (*pose, *fit, *placing)


def _read_placed(
    value: Any, figure: Figure | None, **placing: Any
) -> list[tuple[TexturedMesh, Sequence[str]]]:
    """The meshes at the input, stood up and turned to the front, with what was noticed.

    A mesh that was made from the picture of `figure` stands already.
    """
    if is_file_3d(value):
        surface, notes = load_file_3d(value, **placing)
        return [(make_textured(surface), notes)]
    meshes = [make_textured(surface) for surface in socket_to_surfaces(value)]
    if figure is not None:
        return [(textured, ()) for textured in meshes]
    return [_place(textured, **placing) for textured in meshes]


def _place(textured: TexturedMesh, **placing: Any) -> tuple[TexturedMesh, Sequence[str]]:
    placed = orientation.place_mesh(textured, **placing)
    assert isinstance(placed.surface, TexturedMesh)
    return placed.surface, placed.notes


def _bind_mesh(textured: TexturedMesh, rig: PredictedRig, pose_type: str) -> _BoundMesh:
    if not rig.skeleton.roles:  # nothing is known of how such a skeleton moves
        return _BoundMesh(textured.mesh, rig.skeleton, rig.skin, rig.warnings, rig.metrics)
    reset = partial(make_it_animatable.reset_to_rest, turns=rig.turns) if rig.turns else None
    apart = rig.legs_apart_below
    settled = animation.settle_skin(textured, rig.skeleton, rig.skin, legs_apart_below=apart, reset=reset)
    notes = list(rig.warnings)
    tears = settled.stretch > animation.MAX_STRETCH
    if held := (*settled.fused, *settled.torn):
        notes.append(_HELD.format(", ".join(held), _STILL_TEARS.format(settled.stretch) if tears else ""))
    elif tears:
        notes.append(_TEARS.format(settled.stretch))
    if rig.turns:
        notes.append(f"pose_type is {pose_type}: {len(rig.turns)} joints were turned to the T-pose")
    figures = {**rig.metrics, "cut_faces": settled.cut_faces, "stretch_999": settled.stretch}
    made = settled.character
    return _BoundMesh(made.textured.mesh, made.skeleton, made.skin, tuple(notes), figures)


def _fingerprint(method: str) -> str:
    return fingerprint_files(lambda: _find_files(method))
