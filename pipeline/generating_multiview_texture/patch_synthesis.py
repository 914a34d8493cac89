"""Fill holes of a picture with its own texture: patches of allowed places, matched from coarse to fine.

Search and vote by turns, after Wexler, Shechtman and Irani, "Space-Time Completion of Video" (PAMI 2007);
the randomized search is that of Barnes et al., "PatchMatch" (SIGGRAPH 2009), over all patches at once.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..progress import Progress, ignore_progress
from ..types import BoolArray, FloatArray, IntArray
from .masked_images import blur_masked, dilate_mask, erode_mask, shrink

_RADIUS = 3
"""Patches have 2 * _RADIUS + 1 pixels a side."""
_LEVELS = ((8, 8), (4, 5))
"""Factor by which a picture 768 wide is reduced, and rounds. Finer levels would break strands into crumbs."""
_DRIFT = 0.005
"""Cost of a patch from one picture's height away, in squared color: near ones fit the light better."""
_REUSE = 0.001
"""Cost of a patch that is used as often as an even share would be."""
_LARGEST_LIGHT = 0.1
"""Largest change of color that hides the border of a filled hole."""
_FEWEST_SOURCES = 30
_STRAND, _ENOUGH = 4.0, 0.12
"""Half the width of a strand in a picture 768 wide; share of a hole that places as wide have to make up."""
_WINDOW = np.ones((2 * _RADIUS + 1,) * 2, dtype=bool)
_NEIGHBORS = ((0, 1), (1, 0), (0, -1), (-1, 0))


def fill_with_patches(
    color: FloatArray,
    guess: FloatArray,
    hole: BoolArray,
    source: BoolArray,
    rng: np.random.Generator,
    progress: Progress = ignore_progress,
    *,
    scale: float = 1.0,
) -> FloatArray:
    """Replace the smooth guess (H, W, 3) in `hole` by texture that the picture `color` has in `source`.

    hole, source: (H, W) bool, which may overlap. scale: the picture's width in units of 768 pixels. Returns
    the guess if there is nothing to take texture from.
    """
    if not hole.any() or not source.any():
        return guess
    shift, factor, done = None, 1, 0
    total = sum(rounds for _, rounds in _LEVELS)
    for step, rounds in _LEVELS:
        reduced_by = round(step * max(1.0, scale))  # smaller pictures have no more strands to match
        level = _Level((color, guess), hole, source, reduced_by)
        if not level.has_sources or len(level.targets) == 0:
            continue
        level.start(shift, rng)
        for number in range(rounds):
            level.search(rng, is_first=number == 0)
            level.vote()
            progress((done + number + 1) / total)
        done += rounds
        shift, factor = level.read_shift(), reduced_by
    return guess if shift is None else _copy_shifted(color, hole, source, shift, factor)


def measure_supply(hole: BoolArray, source: BoolArray, scale: float = 1.0) -> float:
    """How far, 0..1, the texture of `source` suffices for `hole`: narrow places would show as tiles.

    hole, source, scale: as in fill_with_patches.
    """
    wide = erode_mask(source, _STRAND * scale)
    return min(1.0, float(wide.sum() / max(1.0, _ENOUGH * hole.sum())))


class _Level:
    """One level of the search. Pixels are flat indices into the picture, reduced and padded by _RADIUS.

    targets: (N,) pixels whose patches touch the hole. found: (N,) the source pixel of each target's patch.
    """

    def __init__(
        self, pictures: tuple[FloatArray, FloatArray], hole: BoolArray, source: BoolArray, factor: int
    ) -> None:
        pad = ((_RADIUS, _RADIUS), (_RADIUS, _RADIUS))
        solid = np.pad(shrink(source[..., None].astype(np.float32), factor)[..., 0] > 0.99, pad)
        self._hole = np.pad(shrink(hole[..., None].astype(np.float32), factor)[..., 0] > 0, pad)
        self._height, self._width = solid.shape
        self._color, self._painted = (
            np.pad(shrink(picture, factor), (*pad, (0, 0)), mode="edge").reshape(-1, 3)
            for picture in pictures
        )
        whole = ndimage.binary_erosion(solid, _WINDOW)
        allowed = whole if whole.sum() >= _FEWEST_SOURCES else solid
        self.has_sources = bool(allowed.any())
        if not self.has_sources:
            return
        inner = np.zeros_like(solid)
        inner[_RADIUS:-_RADIUS, _RADIUS:-_RADIUS] = True
        known = self._hole | solid
        self._is_target = ndimage.binary_dilation(self._hole, _WINDOW) & known & inner
        self.targets = np.flatnonzero(self._is_target)
        self._sources = np.flatnonzero(allowed)
        rows, columns = np.mgrid[-_RADIUS : _RADIUS + 1, -_RADIUS : _RADIUS + 1].reshape(2, -1)
        self._offsets = rows * self._width + columns
        self._number = self._index(self.targets)
        self._place = self._index(self._sources)
        near = ndimage.distance_transform_edt(~allowed, return_distances=False, return_indices=True)
        self._nearest = (near[0] * self._width + near[1]).ravel()
        weight = known.ravel()[self.targets[:, None] + self._offsets].astype(np.float32)
        self._weight = np.repeat(weight / weight.sum(axis=1, keepdims=True), 3, axis=1)
        self._examples = self._color[self._sources[:, None] + self._offsets].reshape(len(self._sources), -1)

    def _index(self, pixels: IntArray) -> IntArray:
        """The position of each pixel in `pixels`, -1 elsewhere."""
        index = np.full(self._height * self._width, -1)
        index[pixels] = np.arange(len(pixels))
        return index

    def start(self, shift: FloatArray | None, rng: np.random.Generator) -> None:
        """Begin with the shifts (h, w, 2) of the coarser level, or with the source mirrored at its border."""
        rows, columns = np.divmod(self.targets, self._width)
        self._cost = np.zeros(len(self.targets), np.float32)
        if shift is None:
            border = np.divmod(self._nearest[self.targets], self._width)
            self.found = self._snap(2 * border[0] - rows, 2 * border[1] - columns)
            self.vote()
            return
        scale = (self._height - 2 * _RADIUS) / len(shift)
        factor = max(1, round(scale))
        at = [
            np.clip((axis - _RADIUS) // factor, 0, size - 1)
            for axis, size in zip((rows, columns), shift.shape[:2], strict=True)
        ]
        moved = np.round(shift[at[0], at[1]] * factor).astype(np.int64)
        self.found = self._snap(rows + moved[:, 0], columns + moved[:, 1])
        self.vote()

    def _snap(self, rows: IntArray, columns: IntArray) -> IntArray:
        """The allowed source pixels nearest to rows and columns (N,)."""
        rows, columns = np.clip(rows, 0, self._height - 1), np.clip(columns, 0, self._width - 1)
        return self._nearest[rows * self._width + columns]

    def search(self, rng: np.random.Generator, *, is_first: bool) -> None:
        """Improve `found`: by the neighbors' shifts, and by places around it in ever smaller windows."""
        self._patches = self._painted[self.targets[:, None] + self._offsets].reshape(len(self.targets), -1)
        self._count_use()
        self._cost = self._measure(self.found)
        for distance in (1, 2, 4) if is_first else (1,):
            for down, right in _NEIGHBORS:
                self._propagate((down * self._width + right) * distance)
        reach = max(self._height, self._width) // 2
        while reach >= 1:
            rows, columns = np.divmod(self.found, self._width)
            jump = rng.integers(-reach, reach + 1, size=(2, len(rows)))
            self._offer(self._snap(rows + jump[0], columns + jump[1]))
            reach //= 2

    def _count_use(self) -> None:
        """How often each source is used, in units of an even share: smooth places would take over."""
        use = np.bincount(self.found, minlength=self._height * self._width).astype(np.float32)
        spread = ndimage.uniform_filter(use.reshape(self._height, self._width), 3)
        self._use = spread.ravel() * (len(self._sources) / len(self.targets))

    def _propagate(self, step: int) -> None:
        beside = np.clip(self.targets + step, 0, len(self._number) - 1)
        neighbor = self._number[beside]
        candidate = np.where(neighbor >= 0, self.found[neighbor] - step, self.found)
        self._offer(self._nearest[np.clip(candidate, 0, len(self._nearest) - 1)])

    def _offer(self, candidate: IntArray) -> None:
        cost = self._measure(candidate)
        better = cost < self._cost
        self.found = np.where(better, candidate, self.found)
        self._cost = np.where(better, cost, self._cost)

    def _measure(self, candidate: IntArray) -> FloatArray:
        """Cost (N,) of taking each target's patch from a source pixel."""
        gap = self._patches - self._examples[self._place[candidate]]
        rows, columns = np.divmod(candidate, self._width)
        own_rows, own_columns = np.divmod(self.targets, self._width)
        drift = ((rows - own_rows) ** 2 + (columns - own_columns) ** 2) * (_DRIFT / self._height**2)
        return np.einsum("ij,ij,ij->i", gap, gap, self._weight) + drift + _REUSE * self._use[candidate]

    def vote(self) -> None:
        """Paint the hole with the mean of the patches that overlap each pixel; those that fit count more."""
        total = np.zeros((len(self._painted), 4), np.float32)
        scale = 2 * float(np.quantile(self._cost, 0.75)) + 1e-6
        trust = (np.exp(-self._cost / scale) + 1e-3).astype(np.float32)[:, None]
        for offset in self._offsets:
            colors = self._color[self.found + offset]
            total[self.targets + offset] += np.concatenate((colors, np.ones_like(trust)), axis=1) * trust
        fill = self._hole.ravel() & (total[:, 3] > 0)
        self._painted[fill] = total[fill, :3] / total[fill, 3:]

    def read_shift(self) -> FloatArray:
        """Rows and columns (h, w, 2) from each pixel of the reduced picture to where its patch comes from."""
        shift = np.zeros((self._height * self._width, 2), np.float32)
        shift[self.targets] = np.stack(np.divmod(self.found, self._width), axis=1)
        shift[self.targets] -= np.stack(np.divmod(self.targets, self._width), axis=1)
        near = ndimage.distance_transform_edt(~self._is_target, return_distances=False, return_indices=True)
        whole = shift.reshape(self._height, self._width, 2)[near[0], near[1]]
        return whole[_RADIUS:-_RADIUS, _RADIUS:-_RADIUS]


def _copy_shifted(
    color: FloatArray, hole: BoolArray, source: BoolArray, shift: FloatArray, factor: int
) -> FloatArray:
    """Fill the hole at full size from where the shifts of the reduced picture point; patches overlap softly.

    What the same shifts would put around the hole differs from what is there by the light. That difference is
    added inside too, smoothly.
    """
    ring = dilate_mask(hole, _RADIUS * factor) & source & ~hole
    copied, difference = color.copy(), np.zeros_like(color)
    where = hole | ring
    copied[where] = _copy_patches(color, where, source, shift, factor)
    difference[ring] = (color - copied)[ring]
    difference = np.clip(difference, -_LARGEST_LIGHT, _LARGEST_LIGHT)
    near, share = blur_masked(difference, ring, 2.0 * factor)
    light = near * np.minimum(1.0, 3 * share)
    return np.where(hole[..., None], np.clip(copied + light, 0, 1), color)


def _copy_patches(
    color: FloatArray, where: BoolArray, source: BoolArray, shift: FloatArray, factor: int
) -> FloatArray:
    """The colors (N, 3) that the shifts bring to the pixels `where`."""
    rows, columns = np.nonzero(where)
    total = np.zeros((len(rows), 4), np.float32)
    reach = (3 * factor) // 4
    for down in (-reach, 0, reach):
        for right in (-reach, 0, reach):
            at = [
                np.clip((axis + step) // factor, 0, size - 1)
                for axis, step, size in zip((rows, columns), (down, right), shift.shape[:2], strict=True)
            ]
            moved = np.round(shift[at[0], at[1]] * factor).astype(np.int64)
            y = np.clip(rows + moved[:, 0], 0, len(color) - 1)
            x = np.clip(columns + moved[:, 1], 0, color.shape[1] - 1)
            weight = (source[y, x] + 1e-3)[:, None] * (2.0 if down == right == 0 else 1.0)
            total += np.concatenate((color[y, x], np.ones((len(y), 1), np.float32)), axis=1) * weight
    return total[:, :3] / total[:, 3:]
