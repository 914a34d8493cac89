"""What Rig Character does with a mesh that is no person: a skeleton along its own limbs."""

from __future__ import annotations

from ..pipeline.errors import RigError
from ..pipeline.orientation.form import Form, read_form
from ..pipeline.progress import Progress, span_progress
from ..pipeline.rigging.creature import bind_creature, fit_creature
from ..pipeline.types import Mesh, RiggedCharacter, TexturedMesh

SKELETONS = ("auto", "humanoid", "along limbs")
METHOD = "curve_skeleton"
"""What the report names."""
_NO_PERSON = (
    "it looks like {} ({:.0%} sure), so it got a skeleton along its own limbs: {}. Clips of people do not "
    "fit it, and it cannot be saved as VRM; set skeleton to humanoid if it is a person"
)
_DOUBT = "it may be no person ({}) and was rigged as one; look at the rig, or set skeleton to along limbs"


def wants_own_skeleton(mesh: Mesh, skeleton: str, strict: bool) -> tuple[Form | None, list[str]]:
    """Return the form of a mesh that gets a skeleton of its own, else None and what to say of a doubt.

    skeleton: one of SKELETONS. RigError: it would, and `strict` is set.
    """
    if skeleton == SKELETONS[1]:
        return None, []
    form = read_form(mesh)
    if form.is_figure and skeleton == SKELETONS[0]:
        others = ", ".join(f"{name} {share:.0%}" for name, share in form.rank() if share >= 0.05)
        return None, [] if form.is_surely_figure else [_DOUBT.format(others)]
    if strict and skeleton == SKELETONS[0]:
        sure = f"{form.confidence:.0%} sure"
        raise RigError(f"the mesh is not a standing humanoid: it looks like {form.name} ({sure})")
    return form, []


def rig_along_limbs(
    textured: TexturedMesh, form: Form, progress: Progress
) -> tuple[RiggedCharacter, list[str], dict[str, float]]:
    """Return the character, what to say about it, and what was measured. RigError: it encloses no volume."""
    fitted = fit_creature(textured.mesh, form, progress=span_progress(progress, 0, 0.4))
    binding = span_progress(progress, 0.4, 1)
    skin = bind_creature(textured.mesh, fitted.skeleton, fitted.parts, fitted.solid, progress=binding)
    notes = [_NO_PERSON.format(form.name, form.confidence, ", ".join(fitted.limbs))]
    measured = {"confidence": form.confidence, "joints": float(len(fitted.skeleton.names))}
    return RiggedCharacter(textured, fitted.skeleton, skin), notes, measured
