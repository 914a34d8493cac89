import io
import struct
import subprocess
import sys
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from character3d.pipeline.decode import decode_picture
from character3d.pipeline.errors import PictureError, PictureFormatError, PictureTooLargeError
from character3d.pipeline.preprocessing import composite_on_gray, preprocess_picture
from PIL import Image
from PIL.ImageCms import ImageCmsProfile, createProfile
from scipy import ndimage

SIZE = 160
REPOSITORY = Path(__file__).resolve().parents[2]
FILES = REPOSITORY / "tests" / "files"


def encode(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def gradient_rgb(height=20, width=30):
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([rows * 8, columns * 8, np.full_like(rows, 77)], axis=-1).astype(np.uint8)


# decoding


def test_png_round_trip():
    rgba = np.dstack([gradient_rgb(), np.full((20, 30), 200, np.uint8)])
    decoded = decode_picture(encode(Image.fromarray(rgba)))
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, rgba)


def test_jpeg_is_opaque_and_close():
    decoded = decode_picture(encode(Image.fromarray(gradient_rgb()), "JPEG", quality=98))
    assert (decoded[..., 3] == 255).all()
    assert np.abs(decoded[..., :3].astype(int) - gradient_rgb()).mean() < 4


def test_palette_with_transparency():
    image = Image.new("P", (10, 10), 0)
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.paste(1, (5, 0, 10, 10))
    decoded = decode_picture(encode(image, transparency=0))
    assert tuple(decoded[0, 0]) == (255, 0, 0, 0)
    assert tuple(decoded[0, 9]) == (0, 255, 0, 255)


def test_sixteen_bit_grey_is_scaled_not_clipped():
    grey = np.linspace(0, 65535, 100).astype(np.uint16).reshape(10, 10)
    decoded = decode_picture(encode(Image.fromarray(grey)))
    np.testing.assert_allclose(decoded[..., 0], grey / 257, atol=0.51)
    assert (decoded[..., 3] == 255).all()


def test_sixteen_bit_rgb():
    row = b"\0" + struct.pack(">3H", 65535, 0, 32896) * 8
    header = struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0)
    data = png_of([(b"IHDR", header), (b"IDAT", zlib.compress(row * 8)), (b"IEND", b"")])
    assert tuple(decode_picture(data)[3, 3]) == (255, 0, 128, 255)


@pytest.mark.parametrize("mode", ["L", "LA", "1", "RGB"])
def test_other_png_modes(mode):
    image = Image.fromarray(gradient_rgb()).convert(mode)
    assert decode_picture(encode(image)).shape == (20, 30, 4)


def test_grey_with_alpha_keeps_both():
    grey = np.dstack([np.full((9, 9), 120, np.uint8), np.full((9, 9), 60, np.uint8)])
    assert tuple(decode_picture(encode(Image.fromarray(grey, "LA")))[0, 0]) == (120, 120, 120, 60)


def test_cmyk_and_progressive_jpeg():
    red = Image.new("RGB", (16, 16), (220, 30, 30))
    cmyk = decode_picture(encode(red.convert("CMYK"), "JPEG", quality=98))
    assert np.abs(cmyk[8, 8, :3].astype(int) - (220, 30, 30)).max() < 12
    assert decode_picture(encode(red, "JPEG", progressive=True)).shape == (16, 16, 4)


def test_colors_of_a_profile_become_srgb():
    picture = decode_picture((FILES / "adobe_rgb.png").read_bytes())
    assert np.abs(picture[190, 128].astype(int) - (200, 30, 30, 255)).max() <= 2


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "CMYK"])
@pytest.mark.parametrize("profile", ["damaged", "sRGB"])
def test_profiles_that_change_nothing(mode, profile):
    picture = Image.new("RGBA", (16, 16), (200, 30, 30, 128)).convert(mode)
    stored = b"damaged" if profile == "damaged" else ImageCmsProfile(createProfile("sRGB")).tobytes()
    kind = "JPEG" if mode == "CMYK" else "PNG"
    files = (encode(picture, kind), encode(picture, kind, icc_profile=stored))
    pictures = [decode_picture(file).astype(int) for file in files]
    assert np.abs(pictures[0] - pictures[1]).max() <= 1


def test_the_clear_value_of_deep_grey():
    picture = decode_picture((FILES / "grey16_trns.png").read_bytes())
    assert picture[0, 0, 3] == 0 and picture[190, 128].tolist() == [81, 81, 81, 255]


def test_a_see_through_figure_is_taken_for_opaque():
    picture = decode_picture((FILES / "alpha_third.png").read_bytes()) / 255
    framed = preprocess_picture(picture, size=256, outline=32)
    assert framed.method == "alpha" and framed.mask.mean() > 0.1
    assert "see-through (most of it by 67%)" in framed.warnings[0]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(orientation):
    picture = np.full((16, 32, 3), 30, np.uint8)
    picture[:8, :8] = 230
    upright = Image.fromarray(picture)
    undo = {
        1: (), 2: ("FLIP_LEFT_RIGHT",), 3: ("ROTATE_180",), 4: ("FLIP_TOP_BOTTOM",), 5: ("TRANSPOSE",),
        6: ("ROTATE_90",), 7: ("TRANSVERSE",), 8: ("ROTATE_270",),
    }  # fmt: skip
    stored = upright
    for name in undo[orientation]:
        stored = stored.transpose(Image.Transpose[name])
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = decode_picture(encode(stored, "JPEG", quality=95, exif=exif.tobytes()))
    assert decoded.shape == (16, 32, 4)
    assert decoded[:6, :6, 0].min() > 200
    assert decoded[10:, 10:, 0].max() < 60


def test_damaged_exif_does_not_matter():
    data = encode(Image.fromarray(gradient_rgb()), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert decode_picture(data).shape == (20, 30, 4)


def test_animation_gives_its_first_frame():
    frames = [Image.new("RGBA", (12, 12), color) for color in ("red", "lime", "blue")]
    data = encode(frames[0], save_all=True, append_images=frames[1:], duration=20)
    assert tuple(decode_picture(data)[0, 0]) == (255, 0, 0, 255)


@pytest.mark.parametrize(
    "data", [b"hello, I am a text file", b"GIF89a" + bytes(40), b"RIFF\0\0\0\0WEBPVP8 ", b"%PDF-1.7", b"\0"]
)
def test_other_formats_are_refused(data):
    with pytest.raises(PictureFormatError, match="neither PNG nor JPEG"):
        decode_picture(data)


def test_real_gif_is_refused():
    with pytest.raises(PictureFormatError):
        decode_picture(encode(Image.fromarray(gradient_rgb()), "GIF"))


def test_nothing_and_almost_nothing():
    with pytest.raises(PictureError, match="0 bytes"):
        decode_picture(b"")
    with pytest.raises(PictureError, match="1 x 1"):
        decode_picture(encode(Image.new("RGB", (1, 1))))
    with pytest.raises(PictureError, match="damaged"):
        decode_picture(b"\x89PNG\r\n\x1a\n")


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("eighths", range(1, 7))
def test_truncated_pictures(kind, eighths):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise), kind)
    with pytest.raises(PictureError, match="damaged"):
        decode_picture(data[: len(data) * eighths // 8])


def test_every_flipped_byte_is_a_picture_or_a_picture_error():
    data = bytearray(encode(Image.fromarray(gradient_rgb())))
    for position in range(8, len(data)):
        broken = bytes(data[:position]) + bytes([data[position] ^ 0xFF]) + bytes(data[position + 1 :])
        with suppress(PictureError):
            assert decode_picture(broken).shape[2] == 4


def test_too_many_pixels_are_refused_before_decoding():
    header = struct.pack(">IIBBBBB", 13000, 13000, 1, 0, 0, 0, 0)
    data = png_of([(b"IHDR", header), (b"IDAT", b"not even zlib"), (b"IEND", b"")])
    with pytest.raises(PictureTooLargeError, match="13000 x 13000"):
        decode_picture(data)
    huge = png_of([(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)), (b"IEND", b"")])
    with pytest.raises(PictureTooLargeError):
        decode_picture(huge)


def test_too_many_bytes_are_refused():
    with pytest.raises(PictureTooLargeError, match="11 bytes"):
        decode_picture(b"\x89PNG\r\n\x1a\n...", max_bytes=10)


def png_of(chunks):
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def test_imaging_needs_no_torch():
    script = (
        "import sys; sys.modules['torch'] = None; sys.path.insert(0, 'tests'); import conftest;"
        "import character3d.pipeline.preprocessing; assert 'skimage' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, check=True)


# cutting out and framing


def soft_figure(size=SIZE):
    """Alpha of a ring with a foot: a hole, a thin bar and a soft edge."""
    y, x = np.mgrid[0:size, 0:size] + 0.5
    ring = np.abs(np.hypot(x - size / 2, y - 0.4 * size) - 0.2 * size) - 0.08 * size
    bar = np.maximum(np.abs(x - size / 2) - 0.02 * size, np.abs(y - 0.75 * size) - 0.15 * size)
    return np.clip(0.5 - np.minimum(ring, bar), 0, 1).astype(np.float32)


def composite(alpha, background, color=(0.8, 0.3, 0.2)):
    return (alpha[..., None] * np.float32(color) + (1 - alpha[..., None]) * background).astype(np.float32)


def backgrounds():
    y, x = np.mgrid[0 : 1 : SIZE * 1j, 0 : 1 : SIZE * 1j]
    rng = np.random.default_rng(3)
    plain = np.full((SIZE, SIZE, 3), 0.82)
    slope = np.stack([0.4 + 0.4 * y, 0.6 + 0.2 * x, 0.9 - 0.3 * x * y], axis=-1)
    stripes = 0.6 + 0.1 * np.sin(40 * (x + y))[..., None] * np.array([0.5, 1, 0.8])
    return {
        "plain": plain,
        "gradient": slope,
        "textured": stripes + rng.normal(0, 0.02, (SIZE, SIZE, 3)),
    }


def iou(one, two):
    return (one & two).sum() / (one | two).sum()


def frame_truth(alpha, size, outline):
    return preprocess_picture(
        np.dstack([np.zeros((*alpha.shape, 3)), alpha]), size=size, outline=outline
    ).mask


@pytest.mark.parametrize("name", ["plain", "gradient", "textured"])
def test_grabcut_finds_the_figure_and_its_hole(name):
    alpha = soft_figure()
    framed = preprocess_picture(composite(alpha, backgrounds()[name]), size=SIZE, outline=16)
    assert framed.method == "grabcut"
    assert iou(framed.mask, frame_truth(alpha, SIZE, 16)) > (0.97 if name != "textured" else 0.94)
    assert framed.rgba[SIZE // 2 - 20, SIZE // 2, 3] < 0.05  # inside the ring
    assert framed.warnings == ()


def test_subject_is_centred_and_padded():
    framed = preprocess_picture(composite(soft_figure(), backgrounds()["plain"]), size=256, outline=32)
    rows, columns = (np.flatnonzero(framed.mask.any(axis=axis)) for axis in (1, 0))
    assert abs(rows[0] - 32) <= 2
    assert abs(256 - 1 - rows[-1] - 32) <= 2
    assert abs(columns[0] - (255 - columns[-1])) <= 2


def test_the_frame_is_known_in_pixels_of_the_picture():
    picture = np.zeros((300, 200, 4), np.float32)
    picture[50:250, 60:120] = 1.0
    metrics = preprocess_picture(picture, size=200, outline=20).metrics
    assert [metrics[f"frame_{edge}"] for edge in ("left", "top", "side")] == [-35, 25, 250]
    assert preprocess_picture(picture, size=100, outline=10).metrics["frame_side"] == pytest.approx(250, 0.02)


def test_edges_are_soft_and_hold_no_background():
    color = (0.8, 0.3, 0.2)
    green = np.broadcast_to(np.float32((0.1, 0.9, 0.1)), (SIZE, SIZE, 3))
    framed = preprocess_picture(composite(soft_figure(), green, color), size=SIZE, outline=16)
    alpha = framed.rgba[..., 3]
    assert ((alpha > 0.1) & (alpha < 0.9)).sum() > 100
    assert np.abs(framed.rgba[..., :3] - color).max() < 0.1  # under alpha 0 too


def test_coverage_is_kept_to_a_fraction_of_a_pixel():
    alpha = soft_figure()
    picture = composite(alpha, backgrounds()["plain"])
    found = preprocess_picture(picture, size=SIZE, outline=16).metrics["coverage"]
    assert found == pytest.approx(float(alpha.mean()), rel=0.02)


def test_alpha_is_used_and_mask_wins_over_it():
    alpha = soft_figure()
    picture = np.dstack([composite(alpha, backgrounds()["plain"]), alpha])
    assert preprocess_picture(picture, size=SIZE, outline=8).method == "alpha"
    half = np.zeros_like(alpha)
    half[:, : SIZE // 2] = alpha[:, : SIZE // 2]
    framed = preprocess_picture(picture, mask=half, size=SIZE, outline=8)
    assert framed.method == "mask"
    assert framed.metrics["coverage"] == pytest.approx(float(half.mean()), rel=0.05)


def test_all_white_mask_and_opaque_alpha_say_nothing():
    picture = np.dstack([composite(soft_figure(), backgrounds()["plain"]), np.ones((SIZE, SIZE))])
    framed = preprocess_picture(picture, mask=np.ones((64, 64), np.float32), size=SIZE, outline=8)
    assert framed.method == "grabcut"


def test_islands_are_removed():
    alpha = soft_figure()
    alpha[2:5, 2:5] = 1
    framed = preprocess_picture(np.dstack([np.zeros((SIZE, SIZE, 3)), alpha]), size=SIZE, outline=8)
    assert iou(framed.mask, frame_truth(soft_figure(), SIZE, 8)) == 1


def test_pictures_without_subject_say_what_was_found():
    with pytest.raises(PictureError, match="a single color \\(#336699\\)"):
        preprocess_picture(np.broadcast_to(np.float32((0.2, 0.4, 0.6)), (32, 32, 3)))
    with pytest.raises(PictureError, match="fully transparent"):
        preprocess_picture(np.zeros((32, 32, 4), np.float32))
    with pytest.raises(PictureError, match="fully masked out"):
        preprocess_picture(np.full((32, 32, 3), 0.5, np.float32), mask=np.zeros((32, 32), np.float32))
    with pytest.raises(PictureError, match="no transparency"):
        preprocess_picture(composite(soft_figure(), backgrounds()["plain"]), method="alpha")


@pytest.mark.parametrize("seed", [0, 1])
def test_landscape_gives_a_subject_and_a_warning(seed):
    y, x = np.mgrid[0:1:90j, 0:1:160j]
    hills = 0.55 + 0.1 * np.sin(9 * x + seed) + 0.03 * np.sin(37 * x)
    ground = np.float32((0.25, 0.4, 0.15)) + np.random.default_rng(seed).normal(0, 0.03, (90, 160, 3))
    sky = np.dstack([0.5 + 0.3 * y, 0.7 + 0.2 * y, np.full_like(y, 0.95)])
    framed = preprocess_picture(np.where((y > hills)[..., None], ground, sky), size=SIZE, outline=16)
    assert framed.mask.mean() > 0.01
    assert framed.warnings


def test_noise_gives_a_subject_and_a_warning():
    noise = np.random.default_rng(0).uniform(0, 1, (80, 120, 3)).astype(np.float32)
    framed = preprocess_picture(noise, size=SIZE, outline=16)
    assert framed.mask.mean() > 0.01


def test_same_input_same_output_and_input_untouched():
    picture = composite(soft_figure(), backgrounds()["textured"])
    before = picture.copy()
    one, two = (preprocess_picture(picture, size=SIZE, outline=16).rgba for _ in range(2))
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(picture, before)


def test_progress_rises_and_can_cancel():
    told = []
    picture = composite(soft_figure(), backgrounds()["plain"])
    preprocess_picture(picture, size=SIZE, outline=16, progress=told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0

    def cancel(fraction):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        preprocess_picture(picture, size=SIZE, outline=16, progress=cancel)


def test_impossible_arguments():
    picture = composite(soft_figure(), backgrounds()["plain"])
    with pytest.raises(ValueError, match="outline"):
        preprocess_picture(picture, size=256, outline=128)
    with pytest.raises(ValueError, match="unknown method 'magic'"):
        preprocess_picture(picture, method="magic")


def test_the_subject_lies_on_plain_gray():
    color = (0.8, 0.3, 0.2)
    framed = preprocess_picture(
        composite(soft_figure(), backgrounds()["plain"], color), size=SIZE, outline=32
    )
    shown = composite_on_gray(framed.rgba)
    assert (shown[0, 0] == 0.5).all()
    assert np.array_equal(shown[framed.mask], framed.rgba[framed.mask][:, :3])
    rim = ndimage.binary_dilation(framed.mask)
    assert np.abs(shown[rim] - color).max() < 0.1
