"""Clips of a character removed, renamed, trimmed and closed to loops."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from ..conventions import CLIP_EDITS
from ..errors import FormatError
from ..types import AnimationClip, RiggedCharacter
from .sampling import sample_rotations, sample_translations

_BLEND_SECONDS, _BLEND_SHARE = 0.4, 0.25
_SHORTEST = 1 / 30
_SAME_PLACE = 0.05
"""Metres along the ground within which a clip stays where it is."""


def edit_clips(
    character: RiggedCharacter,
    edit: str,
    clip: str,
    *,
    new_name: str = "",
    start: float = 0.0,
    end: float = 0.0,
) -> RiggedCharacter:
    """Return the character after one of CLIP_EDITS of its clip of that name, or of all where `clip` is empty.

    start, end: seconds to which `trim` cuts; an end of 0 is the clip's own. FormatError names the clips that
    there are, and what the edit lacks.
    """
    names = [found.name for found in character.clips]
    if clip and clip not in names:
        raise FormatError(f"clip: expected one of {', '.join(names) or 'no clips'}; found {clip!r}")
    chosen = [clip] if clip else names
    if edit == "remove":
        return replace(character, clips=tuple(own for own in character.clips if own.name not in chosen))
    if edit == "keep only":
        return replace(character, clips=tuple(own for own in character.clips if own.name in chosen))
    change = _choose_change(edit, names, chosen, new_name.strip(), start, end)
    clips = tuple(change(own) if own.name in chosen else own for own in character.clips)
    return replace(character, clips=clips)


def _choose_change(
    edit: str, names: list[str], chosen: list[str], new_name: str, start: float, end: float
) -> Callable[[AnimationClip], AnimationClip]:
    if edit == "trim":
        return lambda own: trim_clip(own, start, end)
    if edit == "loop":
        return close_loop
    if edit != "rename":
        raise FormatError(f"edit: expected one of {', '.join(CLIP_EDITS)}; found {edit!r}")
    if not new_name or len(chosen) != 1 or new_name in set(names) - set(chosen):
        taken = f"{new_name!r}, which is taken" if new_name in names else repr(new_name)
        raise FormatError(f"rename: expected one clip and a new name; found {', '.join(chosen)} and {taken}")
    return lambda own: replace(own, name=new_name)


def trim_clip(clip: AnimationClip, start: float, end: float) -> AnimationClip:
    """Return the part of a clip from `start` to `end`, seconds; an end of 0 is the clip's own.

    FormatError unless something is left.
    """
    length = float(clip.times[-1])
    stop = min(end or length, length)
    if not 0 <= start < stop - _SHORTEST / 2:
        found = f"{start:g} to {end:g} of {length:.2f}"
        raise FormatError(f"trim: expected a start before the end, in seconds; found {found}")
    inner = clip.times[(clip.times > start + 1e-4) & (clip.times < stop - 1e-4)].astype(np.float64)
    times = np.concatenate(((start,), inner, (stop,)))
    whole = start == 0 and stop == length
    return replace(
        clip,
        times=times - start,
        rotations=sample_rotations(clip, times),
        translations=sample_translations(clip, times),
        loop=clip.loop and whole,
    )


def close_loop(clip: AnimationClip) -> AnimationClip:
    """Return the clip with an end that is its start: its last keys are blended towards the first pose.

    One that goes somewhere keeps its way along the ground. A loop is returned as it is.
    """
    if clip.loop:
        return clip
    length = float(clip.times[-1])
    blend = min(_BLEND_SECONDS, _BLEND_SHARE * length)
    share = np.clip((clip.times.astype(np.float64) - (length - blend)) / max(blend, 1e-9), 0, 1)
    share = share**2 * (3 - 2 * share)
    rotations = clip.rotations.astype(np.float64).copy()
    keys = share > 0
    for joint in range(rotations.shape[1]):
        last, first = Rotation.from_quat(rotations[-1, joint]), Rotation.from_quat(rotations[0, joint])
        change = Slerp((0, 1), Rotation.concatenate((Rotation.identity(), first * last.inv())))(share[keys])
        rotations[keys, joint] = (change * Rotation.from_quat(rotations[keys, joint])).as_quat()
    signs = np.where((rotations[1:] * rotations[:-1]).sum(axis=-1, keepdims=True) < 0, -1.0, 1.0)
    rotations[1:] *= np.cumprod(signs, axis=0)
    moved = clip.translations.astype(np.float64).copy()
    apart = moved[0] - moved[-1]
    stays = bool(np.hypot(apart[0], apart[2]) < _SAME_PLACE)
    moved += share[:, None] * (apart if stays else apart * (0.0, 1.0, 0.0))
    return replace(clip, rotations=rotations, translations=moved, loop=stays)
