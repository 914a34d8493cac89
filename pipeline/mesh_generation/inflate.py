"""The embedded method `silhouette_inflation`: a closed figure inflated from its silhouette."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import torch

from ..device import CPU
from ..figure import Figure
from ..figure.network import read_body
from ..mesh.laplacian import smooth_positions
from ..progress import Progress, ignore_progress, span_progress
from ..types import FloatArray, FramedPicture, Mesh
from .decimate import decimate_surface, place_on_ground
from .depth import sample_depth
from .feet import shorten_feet
from .fit_profile import fit_profile
from .ground import settle_on_ground
from .heads import deepen_head
from .lift import lift_sheets
from .limb_depths import find_limbs, leave_out_limbs, place_limbs
from .limb_seams import open_seams
from .profile import read_profile
from .seated import sit_down
from .silhouette import sample_silhouette
from .silhouette_triangulation import join_sheets, trace_outline
from .trailing import bring_trailing_back
from .volume import lift_volume

NO_SIDES: Mapping[str, FramedPicture] = MappingProxyType({})
_SMOOTHING_ROUNDS = 10
_HELD_HEIGHT = 3.0
_MAX_FACES = 40_000
"""More faces add no detail: the grid that samples the silhouette is no finer."""


def inflate_silhouette(
    picture: FramedPicture,
    *,
    figure: Figure | None = None,
    sides: Mapping[str, FramedPicture] = NO_SIDES,
    face_count: int = _MAX_FACES,
    device: torch.device = CPU,
    progress: Progress = ignore_progress,
) -> Mesh:
    """Make a closed, outward-wound mesh whose front view is the picture's subject.

    A front and a back sheet over the silhouette meet along its outline. Their depths are read from the
    outline and the landmarks of `figure` by a network (pipeline/figure); parts too thin for it are round.
    Limbs that touch are separated where `figure` says where they are. Holes in the silhouette stay open. The
    height is CHARACTER_HEIGHT, the feet stand on y = 0, and x = 0 is midway between them.
    sides: further pictures by name; with one of the left or the right, depths are those of its silhouette.
    Returns a mesh of at most min(face_count, 40,000) faces with smooth normals. MeshError: no subject.
    """
    silhouette = sample_silhouette(picture)
    alpha, colors = picture.rgba[..., 3], picture.rgba[..., :3]
    if figure is None:
        body = read_body(alpha, device=device, colors=colors)
    else:
        silhouette = open_seams(silhouette, figure)
        body = read_body(alpha, figure.landmarks[:, :2], figure.confidence, device, colors=colors)
    outline = trace_outline(silhouette.alpha)
    progress(0.1)
    ground = settle_on_ground(silhouette)
    depth = sample_depth(silhouette, outline, ground, body)
    if figure is not None and figure.kind not in ("side", "back", "other"):
        depth = bring_trailing_back(depth, ground.extended, silhouette, figure)
    if figure is not None and figure.kind in ("front", "three_quarter", "back"):
        depth = shorten_feet(depth, ground, silhouette, figure)
    if figure is not None and figure.kind in ("front", "three_quarter", "back", "sitting"):
        depth = deepen_head(depth, ground.extended, silhouette, figure)
    if figure is not None and figure.kind == "sitting":
        depth = sit_down(depth, ground.extended, silhouette, figure)
    progress(0.5)
    profile = read_profile(silhouette, sides)
    if profile is None:
        triangles, front, back = lift_sheets(outline, depth, ground)
        positions, faces = join_sheets(triangles, front, back)
        # The soles are left out: their long triangles would pull front and back together.
        smoothed = faces[: 2 * len(triangles)]
    else:
        limbs = find_limbs(profile, silhouette, figure)
        bare = leave_out_limbs(profile, limbs, silhouette.ground)
        depth, shift = fit_profile(depth, ground, bare, silhouette.height)
        if figure is not None and limbs:
            depth = place_limbs(depth, ground.extended, limbs, silhouette, figure, shift)
        positions, faces = lift_volume(silhouette, depth, ground, profile, bare, shift)
        smoothed = faces
    positions = smooth_positions(
        positions.astype(np.float32),
        smoothed,
        _SMOOTHING_ROUNDS,
        held=_hold_soles(positions),
        progress=span_progress(progress, 0.5, 0.8),
    )
    positions, faces = decimate_surface(positions, faces, min(face_count, _MAX_FACES))
    progress(0.95)
    return place_on_ground(positions, faces)


def _hold_soles(positions: FloatArray) -> FloatArray:
    """Return (V, 3) weights that hold heights near the ground, where smoothing would round the soles."""
    held = np.zeros_like(positions)
    held[:, 1] = np.clip(1 - positions[:, 1] / _HELD_HEIGHT, 0.0, 1.0)
    return held
