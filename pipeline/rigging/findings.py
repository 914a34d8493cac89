"""What is said of a mesh that is to be rigged, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass

from ..orientation import SECOND_BODY, PlacedMesh, name_unit
from ..orientation.form import BUST, HALF_BODY, Form
from .fit.fit_skeleton import FittedSkeleton

_SYMMETRIC = 0.6
_MANY_PIECES = 2
_OWN_SKELETON = (
    "Rig Character gives it a skeleton along its own limbs: clips of people do not fit it, and it cannot be "
    "a VRM. Set skeleton to humanoid if it is a person."
)
_DOUBT = (
    "Look at the rig before you use it; if it is no person, set skeleton to along limbs in Rig Character."
)
_HALVES = {
    HALF_BODY: ("half a body, cut at the hips or thighs", "Use a mesh of the whole body for legs that walk."),
    BUST: ("a bust: head and chest", "Use a mesh of the whole body for arms and legs."),
}


@dataclass(frozen=True)
class Finding:
    """code: for programs, the same for the same finding. message: what was found. advice: what to do."""

    code: str
    message: str
    advice: str = ""


def find_in_form(form: Form, *, has_joints: bool) -> list[Finding]:
    """What the mesh is, unless it surely is a whole person. has_joints: see Form."""
    seen = f"it looks like {form.name} ({form.confidence:.0%} sure)"
    if not form.is_figure:
        return [Finding("no_humanoid", seen, _OWN_SKELETON)]
    found, is_sure = [], form.is_surely_figure(has_joints=has_joints)
    if form.kind in _HALVES and form.is_surely_figure(has_joints=True):
        what, advice = _HALVES[form.kind]
        found.append(Finding(form.kind, f"it looks like {what} ({form.confidence:.0%} sure)", advice))
    if not is_sure:
        others = ", ".join(f"{name} {share:.0%}" for name, share in form.rank() if share >= 0.05)
        message = f"it may be no person, and is rigged as one ({others})"
        found.append(Finding("unsure", message, _DOUBT))
    return found


def find_in_place(placed: PlacedMesh) -> list[Finding]:
    """How it stands, its unit, and what is in the file beside it."""
    found = []
    several = [note for note in placed.notes if note.startswith(SECOND_BODY)]
    if several:
        message = f"there are {1 + len(several)} figures; the largest is rigged, without the others"
        found.append(Finding("several_figures", message, "Rig each from a file of its own."))
    left_out = [note for note in placed.notes if "was left out" in note and note not in several]
    found += [
        Finding("left_out", note, "Remove it from the file if it is none of the figure.") for note in left_out
    ]
    if (placed.up, placed.front) != ("+Y", "+Z"):
        message = f"its up axis is {placed.up} and it faces {placed.front}"
        advice = "It is stood up and turned to face +Z; set up and front if that is wrong."
        found.append(Finding("turned", message, advice))
    if abs(placed.scale - 1) > 1e-9:
        unit = name_unit(placed.scale)
        is_known = unit != "unknown"
        message = f"its unit was taken to be {unit}" if is_known else "its unit is unknown"
        found.append(Finding("unit", message, "Set height_meters if its height is not the true one."))
    inward = [note for note in placed.notes if "inside out" in note or "there twice" in note]
    found += [Finding("surface", note) for note in inward]
    return found


def find_in_surface(pieces: int, holes: int, form: Form) -> list[Finding]:
    """Pieces, holes, and halves that differ."""
    found = []
    if pieces > _MANY_PIECES:
        advice = "Clothes, hair and armour may be pieces of their own; parts of a body should be joined."
        found.append(Finding("pieces", f"it has {pieces} pieces that do not hang together", advice))
    if holes:
        message = f"the surface has {holes} open {'rim' if holes == 1 else 'rims'}"
        found.append(Finding("holes", message, "Small holes do no harm; close large ones, such as a cut."))
    if form.symmetry < _SYMMETRIC:
        message = f"its halves are not alike (symmetry {form.symmetry:.2f} of 1)"
        advice = "A pose in which both sides are alike (T, A or 大) is rigged best."
        found.append(Finding("asymmetric", message, advice))
    return found


def find_in_body(fitted: FittedSkeleton) -> list[Finding]:
    """What of a person's body is missing or grown together, as Rig Character would warn."""
    metrics, found = fitted.metrics, []
    if metrics["arms_found"] < 2:
        missing = int(2 - metrics["arms_found"])
        message = f"{'both arms are' if missing == 2 else 'one arm is'} not apart from the body"
        found.append(Finding("arms", message, "Use a mesh whose arms are away from the body."))
    if metrics["legs_found"] < 2:
        advice = "Use a mesh whose legs are apart; under a robe they are placed by proportions."
        found.append(Finding("legs", "no pair of legs was found", advice))
    return found + [Finding("body", warning) for warning in fitted.warnings]
