"""What Rig Character does with a mesh that is no person: a skeleton along its own limbs."""

from __future__ import annotations

from collections.abc import Mapping

from ..pipeline import orientation, rigging
from ..pipeline.errors import RigError
from ..pipeline.progress import Progress, span_progress
from ..pipeline.types import Mesh, RiggedCharacter, TexturedMesh

SKELETONS = ("auto", "humanoid", "along limbs")
METHOD = "curve_skeleton"
"""What the report names."""
_NO_PERSON = (
    "it looks like {} ({:.0%} sure), so it got a skeleton along its own limbs: {}. Clips of people do not "
    "fit it, and it cannot be saved as VRM; set skeleton to humanoid if it is a person"
)
_DOUBT = "it may be no person ({}) and was rigged as one; look at the rig, or set skeleton to along limbs"


def wants_own_skeleton(mesh: Mesh, skeleton: str, strict: bool) -> tuple[bool, orientation.Form | None]:
    """Return whether a mesh gets a skeleton of its own, and its form, if that was read.

    skeleton: one of SKELETONS. RigError: it would, and `strict` is set.
    """
    if skeleton == SKELETONS[1]:
        return False, None
    form = orientation.read_form(mesh)
    if form.is_figure and skeleton == SKELETONS[0]:
        return False, form
    if strict and skeleton == SKELETONS[0]:
        sure = f"{form.confidence:.0%} sure"
        raise RigError(f"the mesh is not a standing humanoid: it looks like {form.name} ({sure})")
    return True, form


def describe_doubt(form: orientation.Form | None, metrics: Mapping[str, float]) -> list[str]:
    """What to say of a mesh that was rigged as a person; metrics: of the rig, see FittedSkeleton."""
    if form is None or form.is_surely_figure(has_joints=metrics.get("joints_seen", 1.0) > 0):
        return []
    return [_DOUBT.format(", ".join(f"{name} {share:.0%}" for name, share in form.rank() if share >= 0.05))]


def rig_along_limbs(
    textured: TexturedMesh, form: orientation.Form, progress: Progress
) -> tuple[RiggedCharacter, list[str], dict[str, float]]:
    """Return the character, what to say about it, and what was measured. RigError: it encloses no volume."""
    fitted = rigging.fit_creature(textured.mesh, form, progress=span_progress(progress, 0, 0.4))
    binding = span_progress(progress, 0.4, 1)
    skin = rigging.bind_creature(textured.mesh, fitted.skeleton, fitted.parts, fitted.solid, progress=binding)
    notes = [_NO_PERSON.format(form.name, form.confidence, ", ".join(fitted.limbs))]
    measured = {"confidence": form.confidence, "joints": float(len(fitted.skeleton.names))}
    return RiggedCharacter(textured, fitted.skeleton, skin), notes, measured
