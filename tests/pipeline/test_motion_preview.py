"""Moving pictures: what they show, and that others can read them."""

import io

import numpy as np
import pytest
from character3d.pipeline.animation import load_clip, retarget_clip
from character3d.pipeline.preview import encode_webp, render_animation, render_preview, render_turntable
from character3d.tests.humanoids import CHIBI, make_humanoid
from PIL import Image


@pytest.fixture(scope="module")
def chibi():
    return make_humanoid(CHIBI)


@pytest.fixture(scope="module")
def walk(chibi):
    return retarget_clip(load_clip("walk"), chibi)


@pytest.fixture(scope="module")
def frames(chibi, walk):
    return render_animation(chibi, walk, size=128, fps=10, transparent=True)


def test_one_turn_of_the_clip_is_shown_from_one_place(frames, walk):
    """The head stays where it is but for the walk's own bob and sway, and nothing leaves the picture."""
    assert frames.shape == (round(10 * walk.times[-1]), 128, 128, 4)
    assert frames.dtype == np.float32 and frames.min() >= 0 and frames.max() <= 1
    solid = frames[..., 3] > 0.5
    tops = solid.any(axis=2).argmax(axis=1)
    assert np.ptp(tops) <= 4 and tops.min() > 4
    rim = np.concatenate([frames[:, [0, -1], :, 3].reshape(-1), frames[:, :, [0, -1], 3].reshape(-1)])
    assert rim.max() == 0
    assert (solid[1:] != solid[:-1]).sum(axis=(1, 2)).min() > 20


def test_frames_show_what_the_clip_says(frames, chibi, walk):
    """Half a turn later the feet have changed places: the picture from the front is the mirrored one."""
    front = render_animation(chibi, walk, size=128, fps=15, azimuth=0.0, elevation=0.0, transparent=True)
    alpha = front[..., 3]
    half = len(alpha) // 2
    assert len(alpha) == 2 * half
    same = np.abs(alpha[:half] - alpha[half:]).mean()
    mirrored = np.abs(alpha[:half] - alpha[half:, :, ::-1]).mean()
    assert mirrored < 0.005 < same


def test_turntable_goes_once_around_the_middle(chibi):
    around = render_turntable(chibi.textured, frames=4, size=128, elevation=0.0, transparent=True)
    alpha = around[..., 3] > 0.5
    assert around.shape == (4, 128, 128, 4)
    np.testing.assert_array_less(np.abs(alpha[0] ^ alpha[2][:, ::-1]).mean(), 0.01)
    widths, heights = (alpha.any(axis=axis).sum(axis=1) for axis in (1, 2))
    assert np.ptp(heights) <= 1 and widths[1] < widths[0]
    still = render_preview(chibi.textured, size=128, azimuth=np.pi / 2, elevation=0.0, transparent=True)
    seen, wanted = (np.ptp(np.argwhere(item > 0.5), axis=0) for item in (around[1, ..., 3], still[..., 3]))
    assert seen[1] / seen[0] == pytest.approx(wanted[1] / wanted[0], abs=0.04)


def test_webp_reads_back(frames):
    data = encode_webp(frames, 24)
    with Image.open(io.BytesIO(data)) as picture:
        assert (picture.format, picture.n_frames, picture.size) == ("WEBP", len(frames), (128, 128))
        assert picture.info["loop"] == 0
        total = 0
        for index, frame in enumerate(frames):
            picture.seek(index)
            shown = np.asarray(picture.convert("RGBA"), np.float32) / 255
            total += picture.info["duration"]
            assert np.abs(shown[..., 3] - frame[..., 3]).mean() < 0.01
            inside = frame[..., 3] > 0.99
            assert np.abs(shown - frame)[inside].mean() < 0.03
    assert total == round(1000 * len(frames) / 24)
    with pytest.raises(ValueError, match="at least one"):
        encode_webp(frames[:0], 24)


def test_progress_rises_to_one_and_can_cancel(chibi, walk):
    seen = []
    render_animation(chibi, walk, size=64, fps=5, progress=seen.append)
    assert seen == sorted(seen) and seen[-1] == 1.0 and len(seen) > 10

    def cancel(fraction):
        if fraction > 0.4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render_turntable(chibi.textured, frames=6, size=64, progress=cancel)
