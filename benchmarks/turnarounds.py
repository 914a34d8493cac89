"""A character from several pictures against the pictures, without ComfyUI.

    python benchmarks/turnarounds.py FOLDER                    # FOLDER/NAME/front.png, left.png and back.png
    python benchmarks/turnarounds.py FOLDER --only 1 4 6       # some of them
    python benchmarks/turnarounds.py FOLDER --given back       # of the further pictures only this one goes in
    python benchmarks/turnarounds.py FOLDER --sheets SHEETS    # a contact sheet of each: NAME.jpg

The pictures need an alpha channel. The figure is read from the outline, or as look.py says by the networks
too. Rows: IoU of the mesh's silhouette with the front's, the side's and the back's, at one height and the
best shift; mean CIE 1976 difference of the baked mesh from the left and from behind, where both show the
figure; the color step where one view hands over to another, in those within a view; seconds. The closing
lines hold the medians: `seam S`, then `side S back B colour C`, C of sides and backs together.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
import time
from math import pi
from pathlib import Path
from typing import Any, NamedTuple

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
from character3d.pipeline.decode import decode_picture  # noqa: E402
from character3d.pipeline.errors import Character3DError  # noqa: E402
from character3d.pipeline.figure import Figure  # noqa: E402
from character3d.pipeline.generating_multiview_texture import render_view_maps, synthesize_views  # noqa: E402
from character3d.pipeline.mesh_generation import inflate_silhouette  # noqa: E402
from character3d.pipeline.preprocessing import bring_together, preprocess_picture  # noqa: E402
from character3d.pipeline.preprocessing.read_figure import read_figure  # noqa: E402
from character3d.pipeline.preprocessing.side_depth import measure_depths  # noqa: E402
from character3d.pipeline.texture_baking import bake_views, unwrap_mesh  # noqa: E402
from character3d.pipeline.texture_baking.seam_metrics import measure_side_seams  # noqa: E402
from character3d.pipeline.types import TexturedMesh  # noqa: E402
from look import find_points, pose_character, rig_character  # noqa: E402
from picture_measures import compare_colors, compare_sides  # noqa: E402
from picture_sheet import render_row, view_mesh  # noqa: E402

_SIDES = ("left", "back")
_AZIMUTHS = {"front": 0.0, "left": pi / 2, "back": pi}
_TILE = 256
Array = npt.NDArray[Any]


class Case(NamedTuple):
    """A character: its name, the true pictures by view, what was made, and the row of the table."""

    name: str
    true: dict[str, Array]
    textured: TexturedMesh
    figure: Figure
    row: list[float]


def read_picture(path: Path) -> Array:
    """The picture (H, W, 3 or 4) 0..1."""
    return decode_picture(path.read_bytes()).astype(np.float32) / 255


def make_textured(true: dict[str, Array], given: list[str]) -> tuple[TexturedMesh, Figure, float]:
    """Run the stages up to the texture, embedded methods and defaults; also the seam between views."""
    framed = preprocess_picture(true["front"])
    figure = read_figure(framed, *find_points(framed))
    further = {name: preprocess_picture(true[name]) for name in given}
    sides = bring_together(framed, further).sides
    seen = (read_figure(item, *find_points(item)) for name, item in further.items() if name == "left")
    figure = measure_depths(figure, seen)
    mesh = inflate_silhouette(framed, figure=figure, sides=sides)
    maps = render_view_maps(mesh, build_six_view_rig(mesh), 768)
    views = synthesize_views(mesh, framed, maps, sides=sides, figure=figure)
    pictured = ("front", *sides)
    textured = bake_views(unwrap_mesh(mesh), views, pictured=pictured).textured
    return textured, figure, measure_side_seams(textured, views, pictured)


def measure_case(folder: Path, given: list[str]) -> Case:
    """Make the character and compare it with the pictures."""
    true = {name: read_picture(folder / f"{name}.png") for name in _AZIMUTHS}
    started = time.perf_counter()
    textured, figure, seam = make_textured(true, given)
    seconds = time.perf_counter() - started
    views = {name: view_mesh(textured, azimuth) for name, azimuth in _AZIMUTHS.items()}
    masks = {name: picture[..., 3] >= 0.5 for name, picture in true.items()}
    row = [compare_sides(views[name][0], masks[name])[0] for name in _AZIMUTHS]
    row += [compare_colors(views[name], (masks[name], true[name][..., :3]), srgb_to_lab) for name in _SIDES]
    return Case(folder.name, true, textured, figure, [*row, seam, seconds])


def draw_case(case: Case) -> Image.Image:
    """The pictures, and below them the mesh from eight directions and posed."""
    tiles = [_on_gray(picture) for picture in case.true.values()]
    turned = [(case.textured, number * pi / 4) for number in range(8)]
    tiles += [tile.resize((_TILE, _TILE)) for tile in render_row(turned)]
    try:
        posed = pose_character(rig_character(case.textured, case.figure))
    except Character3DError as error:
        print(f"{case.name}: {error}")
    else:
        tiles += [
            tile.resize((_TILE, _TILE)) for tile in render_row([(posed, 0.0), (posed, pi / 3), (posed, pi)])
        ]
    sheet = Image.new("RGB", (7 * _TILE, 2 * _TILE), "gray")
    for number, tile in enumerate(tiles):
        sheet.paste(tile, (number % 7 * _TILE, number // 7 * _TILE))
    return sheet


def _on_gray(picture: Array) -> Image.Image:
    alpha = picture[..., 3:]
    pixels = Image.fromarray(np.uint8(255 * (picture[..., :3] * alpha + 0.5 * (1 - alpha))))
    return pixels.resize((_TILE, _TILE))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", help="names of folders")
    parser.add_argument(
        "--given", nargs="*", default=list(_SIDES), choices=_SIDES, help="pictures beside the front"
    )
    parser.add_argument("--sheets", type=Path, help="a folder for contact sheets")
    arguments = parser.parse_args()
    titles = ("front", "side", "back", "left dE", "back dE", "seam", "seconds")
    print(f"{'':12}" + "".join(f"{title:>9}" for title in titles))
    rows = []
    for front in sorted(arguments.folder.glob("*/front.png")):
        if arguments.only and front.parent.name not in arguments.only:
            continue
        case = measure_case(front.parent, arguments.given)
        rows.append(case.row)
        print(f"{case.name:12}" + "".join(f"{value:9.3f}" for value in case.row), flush=True)
        if arguments.sheets:
            arguments.sheets.mkdir(parents=True, exist_ok=True)
            draw_case(case).save(arguments.sheets / f"{case.name}.jpg", quality=90)
    _, side, back, *colors, seams, _ = zip(*rows, strict=True)
    color = statistics.median([value for column in colors for value in column])
    print(f"seam {statistics.median(seams):.2f}")
    print(f"side {statistics.median(side):.3f} back {statistics.median(back):.3f} colour {color:.1f}")


if __name__ == "__main__":
    main()
