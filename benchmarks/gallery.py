"""One picture of many characters: python benchmarks/gallery.py docs/pictures/gallery.jpg PICTURE...

For each, two a row: the picture, the character from the front, from aside and from behind, and walking. All
parameters are the defaults; see look.py for how the figure is read.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from look import (
    load_clip,
    make_character,
    read_square,
    render_animation,
    render_contact_sheet,
    retarget_clip,
    save_picture,
)
from PIL import Image

_WIDE, _HIGH, _COLUMNS = 160, 232, 2
_AZIMUTHS = (0.0, 1.05, np.pi)
_STRIDE = 5 / 8
"""Which moment of the walk, as a share of its length."""


def show_character(picture: Path) -> npt.NDArray[Any]:
    """(232, 800, 3) 0..1: five tiles."""
    character = make_character(picture)
    sheet = render_contact_sheet(character.textured, size=_HIGH, azimuths=_AZIMUTHS, columns=len(_AZIMUTHS))
    frames = render_animation(character, retarget_clip(load_clip("walk"), character), size=_HIGH, fps=8)
    tiles = [*np.split(sheet, len(_AZIMUTHS), axis=1), frames[int(len(frames) * _STRIDE)]]
    wide, high = np.ptp(character.textured.mesh.positions[:, :2], axis=0)
    share = wide / max(wide, high)
    return np.concatenate(
        [fit_tile(tile[..., :3], share) for tile in (read_square(picture, _HIGH), *tiles)], 1
    )


def fit_tile(tile: npt.NDArray[Any], share: float) -> npt.NDArray[Any]:
    """Cut the square tile to _WIDE, and shrink it first if the figure's share of its width needs that.

    What is missing above and below continues the border.
    """
    side = round(_HIGH * min(1.0, _WIDE / (0.92 * share * _HIGH)))
    image = Image.fromarray(np.round(tile * 255).astype(np.uint8)).resize(
        (side, side), Image.Resampling.LANCZOS
    )
    left, above = (side - _WIDE) // 2, (_HIGH - side) // 2
    pixels = np.asarray(image)[:, left : left + _WIDE] / 255
    return np.pad(pixels, ((above, _HIGH - side - above), (0, 0), (0, 0)), mode="edge")


def main(target: Path, pictures: list[Path]) -> None:
    """Write the gallery."""
    figures = [show_character(picture) for picture in pictures]
    figures += [np.ones_like(figures[0])] * (-len(figures) % _COLUMNS)
    rows = [np.concatenate(figures[i : i + _COLUMNS], axis=1) for i in range(0, len(figures), _COLUMNS)]
    save_picture(np.concatenate(rows), target)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
