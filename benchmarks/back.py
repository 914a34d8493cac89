"""Color of the synthesized back against the true one, without ComfyUI.

    python benchmarks/back.py FOLDER                # FOLDER/NAME/front.png with the true back.png
    python benchmarks/back.py FOLDER --only 1 4 6   # some of them
    python benchmarks/back.py FOLDER --sheet back.png

A row each: mean CIE 1976 difference of the picture's mirror image, and of the synthesized back view, where
both show the subject; their boxes are laid on each other (as pictures.py does with the baked mesh). Both
pictures need an alpha channel. The figure is read from the outline alone. The last line holds the medians.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

_REPOSITORY = Path(__file__).resolve().parent.parent
_spec = importlib.util.spec_from_file_location(
    "character3d", _REPOSITORY / "__init__.py", submodule_search_locations=[str(_REPOSITORY)]
)
sys.modules.setdefault("character3d", importlib.util.module_from_spec(_spec))

from character3d.pipeline.cameras import build_six_view_rig  # noqa: E402
from character3d.pipeline.color import srgb_to_lab  # noqa: E402
from character3d.pipeline.conventions import VIEW_NAMES  # noqa: E402
from character3d.pipeline.decode import decode_picture  # noqa: E402
from character3d.pipeline.generating_multiview_texture import render_view_maps, synthesize_views  # noqa: E402
from character3d.pipeline.mesh_generation import inflate_silhouette  # noqa: E402
from character3d.pipeline.preprocessing import preprocess_picture  # noqa: E402
from character3d.pipeline.preprocessing.read_figure import read_figure  # noqa: E402
from picture_measures import compare_colors  # noqa: E402

_BACK = VIEW_NAMES.index("back")
_SIDE = 768
Array = npt.NDArray[Any]


def synthesize_back(picture: Array) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Mask and sRGB of a picture's mirror image, and of its synthesized back."""
    framed = preprocess_picture(picture)
    figure = read_figure(framed)
    mesh = inflate_silhouette(framed, figure=figure)
    maps = render_view_maps(mesh, build_six_view_rig(mesh), _SIDE)
    views = synthesize_views(mesh, framed, maps, figure=figure)
    mirrored = framed.mask[:, ::-1], framed.rgba[:, ::-1, :3]
    return mirrored, (maps.mask[_BACK], views.color[_BACK])


def read_picture(path: Path) -> Array:
    """The picture (H, W, 3 or 4) 0..1."""
    return decode_picture(path.read_bytes()).astype(np.float32) / 255


def make_tile(mask: Array, color: Array) -> Array:
    """The subject on white, 256 rows high."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    pixels = Image.fromarray(np.uint8(255 * np.where(mask[..., None], color, 1.0)[window].clip(0, 1)))
    return np.asarray(pixels.resize((max(1, 256 * pixels.width // pixels.height), 256)))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", help="names of folders")
    parser.add_argument("--sheet", type=Path, help="a picture to write: mirror image, synthesized, true back")
    arguments = parser.parse_args()
    rows, lines = [], []
    for front in sorted(arguments.folder.glob("*/front.png")):
        name = front.parent.name
        if arguments.only and name not in arguments.only:
            continue
        back = read_picture(front.parent / "back.png")
        true = back[..., 3] >= 0.5, back[..., :3]
        pair = synthesize_back(read_picture(front))
        rows.append([compare_colors(made, true, srgb_to_lab) for made in pair])
        lines.append(np.concatenate([make_tile(*view) for view in (*pair, true)], axis=1))
        print(f"{name:12} mirror {rows[-1][0]:5.1f}  synthesized {rows[-1][1]:5.1f}", flush=True)
    mirror, made = (statistics.median(column) for column in zip(*rows, strict=True))
    print(f"{'median':12} mirror {mirror:5.1f}  synthesized {made:5.1f}")
    if arguments.sheet:
        width = max(line.shape[1] for line in lines)
        padded = [np.pad(line, ((0, 8), (0, width - line.shape[1]), (0, 0))) for line in lines]
        Image.fromarray(np.concatenate(padded)).save(arguments.sheet)


if __name__ == "__main__":
    main()
