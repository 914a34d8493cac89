"""From skin weights to a character that moves without tearing: limbs cut apart, skin mended, limbs held."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ..rigging import find_fused_arms, hold_limbs, separate_limbs
from ..rigging.skin.held_limbs import LIMBS
from ..types import Mesh, RiggedCharacter, Skeleton, SkinWeights, TexturedMesh
from .mend import MAX_STRETCH, mend_skin
from .stretch import move_edges, spread_weights

_LEGS_HELD = 1.5 * MAX_STRETCH
"""Stretch from which legs are held: a character that walks is worth a little stretch."""
_OWN = 0.1
"""Share of a limb in what moves the torn edges from which it is the one that tears."""


@dataclass(frozen=True, eq=False)
class SettledCharacter:
    """stretch: 99.9th percentile of the edges'. fused, torn: limbs that are held, by what they would do.

    cut_faces: number of faces removed between limbs.
    """

    character: RiggedCharacter
    stretch: float
    fused: tuple[str, ...]
    torn: tuple[str, ...]
    cut_faces: int


def settle_skin(
    textured: TexturedMesh,
    skeleton: Skeleton,
    skin: SkinWeights,
    *,
    legs_apart_below: float,
    reset: Callable[[Mesh, Skeleton, SkinWeights], tuple[Mesh, Skeleton]] | None = None,
) -> SettledCharacter:
    """Cut limbs from what they touch, mend the skin where it stretches, and hold the limbs that tear even so.

    A limb is held, that is, moves with chest or hips, if it is mere relief on the body, or if the character
    tears in its walk and wave and less so without it. reset: makes another pose the rest pose after the cuts.
    """

    def bind(skin: SkinWeights) -> SettledCharacter:
        separated = separate_limbs(
            textured.mesh, skeleton, skin, legs_apart_below=legs_apart_below, colors=textured.vertex_colors
        )
        fused = find_fused_arms(separated, skeleton)
        if fused:
            return replace(bind(hold_limbs(skeleton, skin, fused)), fused=fused)
        mesh, rest = separated.mesh, skeleton
        if reset is not None:
            mesh, rest = reset(mesh, rest, separated.skin)
        mended = mend_skin(RiggedCharacter(replace(textured, mesh=mesh), rest, separated.skin))
        return SettledCharacter(mended.character, mended.stretch, (), (), separated.cut_faces)

    settled = bind(skin)
    while settled.stretch > MAX_STRETCH and (limb := _find_torn_limb(settled.character)):
        if limb == "legs" and settled.stretch <= _LEGS_HELD:
            break
        held = bind(hold_limbs(skeleton, skin, (*settled.fused, *settled.torn, limb)))
        if held.stretch >= settled.stretch:
            break
        settled = replace(held, fused=settled.fused, torn=(*settled.torn, limb))
    return settled


def _find_torn_limb(character: RiggedCharacter) -> str:
    """The one of LIMBS that moves most of what stretches too far; "" if it is none of them."""
    moving = move_edges(character)
    weights = spread_weights(character, moving)
    torn = moving.edges[moving.measure(weights) > MAX_STRETCH]
    if not len(torn):
        return ""
    moved = weights[torn].mean(axis=(0, 1))
    names = character.skeleton.names
    share, limb = max(
        (float(moved[[name.startswith(beginnings) for name in names]].sum()), limb)
        for limb, beginnings in LIMBS.items()
    )
    return limb if share >= _OWN else ""
