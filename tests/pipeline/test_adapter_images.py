"""The reference picture as MV-Adapter takes it; its maps are in tests/backends/test_ig2mv_parity.py."""

import numpy as np
import pytest
from character3d.pipeline.errors import PictureError
from character3d.pipeline.generating_multiview_texture import frame_reference
from character3d.pipeline.types import FramedPicture


def draw_block(rows, columns, side=200):
    """A red block on transparent green."""
    rgba = np.zeros((side, side, 4), np.float32)
    rgba[..., 1] = 1
    rgba[slice(*rows), slice(*columns)] = (1, 0, 0, 1)
    return FramedPicture(rgba)


@pytest.mark.parametrize(
    ("rows", "columns"), [((10, 190), (80, 120)), ((0, 20), (50, 200)), ((5, 7), (5, 7))]
)
def test_the_longer_side_takes_nine_tenths_and_the_rest_is_gray(rows, columns):
    framed = frame_reference(draw_block(rows, columns), 512)
    assert framed.shape == (512, 512, 3) and framed.dtype == np.float32
    red = framed[..., 0] > 0.99
    height, width = np.ptp(np.flatnonzero(red.any(axis=1))) + 1, np.ptp(np.flatnonzero(red.any(axis=0))) + 1
    assert max(height, width) == int(512 * 0.9)
    assert height / width == pytest.approx((rows[1] - rows[0]) / (columns[1] - columns[0]), rel=0.03)
    assert (framed[~red] == 0.5).all()
    center = np.argwhere(red).mean(axis=0)
    np.testing.assert_allclose(center, 255.5, atol=1)


def test_what_lies_under_transparency_does_not_shine_through():
    picture = draw_block((50, 150), (50, 150))
    rgba = np.array(picture.rgba)
    rgba[60:70, 60:70, 3] = 0.5
    framed = frame_reference(FramedPicture(rgba), 256)
    assert framed[..., 1].max() <= 0.51  # no green, only gray


def test_an_empty_mask_is_refused():
    with pytest.raises(PictureError, match="its mask is black everywhere"):
        frame_reference(draw_block((0, 0), (0, 0)), 256)
