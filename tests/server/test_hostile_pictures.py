"""Pictures that are broken, odd, packed, or something else: the answer, and the pixels that the job gets."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageDraw

from .forms import MEBIBYTE, peak_memory, refused

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def encode(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def header(width, height, depth=8, kind=6):
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))


def png_of(*chunks):
    return SIGNATURE + b"".join(chunks) + chunk(b"IEND", b"")


def insert_chunk(png, name, data):
    """A chunk directly after the header."""
    return png[:33] + chunk(name, data) + png[33:]


def draw_picture(mode="RGBA", size=(32, 16)):
    """A light rectangle in the upper left of a dark ground: no orientation looks like another."""
    image = Image.new("RGB", size, (30, 40, 50))
    ImageDraw.Draw(image).rectangle((0, 0, 8, 4), (230, 200, 90))
    return image.convert(mode)


@pytest.fixture(autouse=True)
def nothing_left_behind(inputs_left):
    yield
    assert inputs_left() == []


@pytest.fixture
def see(client, comfyui, control):
    """Post a picture that is taken; returns what LoadImage gets, and stops the job."""
    folder = comfyui.base / "input" / "character3d"
    control(every=5)

    async def post(data):
        job_id = (await client.start_job(image=data))["job_id"]
        with Image.open(folder / f"{job_id}.tif") as stored:
            assert stored.format == "TIFF" and stored.mode in ("RGB", "RGBA")
            assert stored.info.keys() == {"compression", "dpi", "resolution"}  # what every TIFF has
            pixels = np.array(stored.convert("RGBA"))
        await client.post(f"/job/{job_id}/cancel")
        await client.finish(job_id)
        return pixels

    return post


def assert_like(pixels, image, tolerance=0):
    expected = np.array(image.convert("RGBA")).astype(int)
    assert pixels.shape == expected.shape
    assert np.abs(pixels.astype(int) - expected).max() <= tolerance


async def test_kinds_of_png(see):
    rgba = draw_picture()
    rgba.putalpha(Image.linear_gradient("L").resize(rgba.size))
    palette = draw_picture("P")
    grey = draw_picture("LA")
    grey.putalpha(128)
    for image in (rgba, draw_picture("RGB"), palette, draw_picture("L"), grey, draw_picture("1")):
        assert_like(await see(encode(image)), image)


async def test_palette_with_transparent_colors_and_sixteen_bits(see):
    image = Image.new("P", (12, 12), 0)
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.paste(1, (6, 0, 12, 12))
    pixels = await see(encode(image, transparency=b"\x00\x80"))
    assert tuple(pixels[0, 0]) == (255, 0, 0, 0) and tuple(pixels[0, 11]) == (0, 255, 0, 128)
    row = b"\0" + struct.pack(">4H", 65535, 0, 32896, 65535) * 8
    deep = png_of(header(8, 8, depth=16), chunk(b"IDAT", zlib.compress(row * 8)))
    assert tuple((await see(deep))[3, 3]) == (255, 0, 128, 255)


async def test_kinds_of_jpeg(see):
    image = draw_picture("RGB")
    for mode, options in (("RGB", {}), ("RGB", {"progressive": True}), ("CMYK", {}), ("L", {})):
        shown = draw_picture("L") if mode == "L" else image
        data = encode(image.convert(mode), "JPEG", quality=98, subsampling=0, **options)
        assert_like(await see(data), shown, tolerance=24)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
async def test_orientations(see, kind):
    """As EXIF says, pixel by pixel: what is stored turned is seen upright."""
    upright = draw_picture("RGB")
    stored_as = {
        1: None, 2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM",
        5: "TRANSPOSE", 6: "ROTATE_90", 7: "TRANSVERSE", 8: "ROTATE_270",
    }  # fmt: skip
    for orientation, turn in stored_as.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored = upright.transpose(Image.Transpose[turn]) if turn else upright
        options = {} if kind == "PNG" else {"quality": 98, "subsampling": 0}
        pixels = await see(encode(stored, kind, exif=exif.tobytes(), **options))
        assert_like(pixels, upright, tolerance=0 if kind == "PNG" else 24)


async def test_exif_that_leads_in_a_circle(see):
    """The first directory names itself as the next one, and as its own EXIF directory."""
    entry = struct.pack("<HHII", 0x8769, 4, 1, 8)
    loop = b"Exif\0\0II*\0" + struct.pack("<I", 8) + struct.pack("<H", 1) + entry + struct.pack("<I", 8)
    image = draw_picture("RGB")
    assert_like(await see(encode(image, "JPEG", quality=98, subsampling=0, exif=loop)), image, tolerance=24)
    assert_like(await see(insert_chunk(encode(image), b"eXIf", loop[6:])), image)


async def test_animations_and_several_pictures_give_the_first(see):
    image = draw_picture()
    others = [Image.new("RGBA", image.size, color) for color in ("red", "lime")]
    assert_like(await see(encode(image, save_all=True, append_images=others)), image)
    others = [other.convert("RGB") for other in others]
    several = encode(
        image.convert("RGB"), "MPO", save_all=True, append_images=others, quality=98, subsampling=0
    )
    assert_like(await see(several), image, tolerance=24)  # CIPA DC-007: a JPEG with more behind it


async def test_ten_thousand_frames(see, comfyui):
    first = encode(draw_picture())
    idat = first[first.index(b"IDAT") - 4 : first.index(b"IEND") - 4]
    control = struct.pack(">IIIIIHHBB", 0, 32, 16, 0, 0, 1, 10, 0, 0)
    frames = [chunk(b"acTL", struct.pack(">II", 10_000, 0)), chunk(b"fcTL", control), idat]
    for number in range(1, 20_000, 2):
        frames.append(chunk(b"fcTL", struct.pack(">I", number) + control[4:]))
        frames.append(chunk(b"fdAT", struct.pack(">I", number + 1) + idat[8:-4]))
    data = first[:33] + b"".join(frames) + chunk(b"IEND", b"")
    with peak_memory(comfyui.process.pid) as peak:
        assert_like(await see(data), draw_picture())
    assert peak() < 24 * MEBIBYTE


async def test_names_and_types_do_not_count_but_bytes_do(see):
    """A page in front of its pixels: what the job gets is pixels alone, see test_kinds_of_png."""
    page = b"<html><script>alert(1)</script></html>"
    image = draw_picture()
    assert_like(await see(insert_chunk(encode(image), b"tEXt", b"Comment\0" + page)), image)
    assert_like(await see(encode(image) + page), image)


async def test_a_page_in_a_picture_is_never_shown(client, comfyui, control):
    folder = comfyui.base / "input" / "character3d"
    control(every=0.1)
    page = b"<html><script>alert(1)</script></html>"
    data = insert_chunk(encode(draw_picture()), b"tEXt", b"Comment\0" + page)
    job_id = (await client.start_job(image=data))["job_id"]
    assert page not in (folder / f"{job_id}.tif").read_bytes()
    for item in (await client.finish(job_id))["downloads"]:
        async with client.get(item["url"]) as answer:
            assert answer.content_type == "application/octet-stream"
            assert answer.headers["Content-Disposition"].startswith("attachment")
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert page not in await answer.read()


async def test_all_one_color(see):
    image = Image.new("RGB", (64, 64), (128, 128, 128))
    assert_like(await see(encode(image)), image)


async def test_other_formats_under_the_name_of_png(client, other_client):
    image = draw_picture("RGB")
    made = [encode(image, kind) for kind in ("GIF", "WEBP", "TIFF", "BMP", "JPEG2000", "EPS", "PDF", "ICO")]
    written = [
        b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100),
        b"\0\0\0\x18ftypavif\0\0\0\0mif1avif" + bytes(100),
        b"<html>" + encode(image),
        b"\x89PNG\r\n" + encode(image),
        b"\0",
        b"\x89",
    ]
    for data in made:
        await refused(await client.generate(data), 415, "UNSUPPORTED_FORMAT", "image")
    for data in written:
        details = await refused(await other_client.generate(data), 415, "UNSUPPORTED_FORMAT", "image")
        assert details["allowed"] == ["PNG", "JPG", "JPEG"]


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
async def test_cut_at_every_eighth(client, kind):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise), kind)
    for eighths in range(1, 8):
        cut = data[: len(data) * eighths // 8]
        await refused(await client.generate(cut), 400, "INVALID_PARAMETERS", "image")


def damaged_checksum():
    data = bytearray(encode(draw_picture()))
    data[data.index(b"IDAT") + 8] ^= 0xFF
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (SIGNATURE, "damaged"),
        (b"\xff\xd8\xff", "damaged"),
        (encode(Image.new("RGB", (1, 1))), "1 x 1"),
        (encode(Image.new("1", (65500, 1))), "65500 x 1"),
        (png_of(header(0, 16), chunk(b"IDAT", b"")), ""),
        (png_of(header(16, 16)), ""),
        (png_of(header(16, 16), chunk(b"IDAT", zlib.compress(b"\0"))), ""),
        (png_of(header(16, 16, depth=7), chunk(b"IDAT", zlib.compress(bytes(2000)))), ""),
        (damaged_checksum(), "damaged"),
        (encode(Image.new("RGBA", (16, 16), (9, 9, 9, 0))), "transparent"),
    ],
    ids=[
        "nothing", "png magic", "jpeg magic", "1x1", "65500x1", "no width", "no data",
        "little data", "depth", "checksum", "transparent",
    ],
)  # fmt: skip
async def test_damaged_and_useless(client, data, words):
    answer = await client.generate(data)
    await refused(answer, 400, "INVALID_PARAMETERS", "image")
    assert words in (await answer.json())["message"]


BOMB = zlib.compress(bytes(50 * MEBIBYTE), 9)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (encode(Image.new("1", (13000, 13000))), 413),
        (png_of(header(2**31 - 1, 2**31 - 1), chunk(b"IDAT", b"")), 413),
        (insert_chunk(encode(draw_picture()), b"zTXt", b"x\0\0" + BOMB), 400),
        (insert_chunk(encode(draw_picture()), b"iTXt", b"x\0\1\0\0\0" + BOMB), 400),
        (insert_chunk(encode(draw_picture()), b"iCCP", b"x\0\0" + BOMB), 400),
        (png_of(header(16, 16, kind=2), chunk(b"IDAT", BOMB)), 202),
    ],
    ids=["13000x13000", "2^31", "zTXt", "iTXt", "iCCP", "IDAT"],
)
async def test_bombs(client, comfyui, data, status):
    assert len(data) < MEBIBYTE
    await client.finish((await client.start_job())["job_id"])  # what the first job loads stays
    with peak_memory(comfyui.process.pid) as peak:
        answer = await client.generate(data)
        assert answer.status == status, await answer.text()
        if answer.status == 202:
            await client.finish((await answer.json())["job_id"])
    assert peak() < 32 * MEBIBYTE
