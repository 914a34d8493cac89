"""Several materials in one atlas: what the surface shows before and after."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from character3d.pipeline.color import srgb_to_lab, srgb_to_linear
from character3d.pipeline.sample_material import sample_material
from character3d.pipeline.texture_baking import merge_materials, read_own_uvs
from character3d.pipeline.types import Material, Mesh, TexturedMesh

TICKS = 6


def make_grid(x, low, high, turn=0):
    """A square of 1 m at (x, 0, 0) with its own uvs from `low` to `high`: positions, uvs, faces."""
    ticks = np.linspace(0, 1, TICKS + 1)
    one, two = (axis.ravel() for axis in np.meshgrid(ticks, ticks))
    across, down = (one, two) if not turn else (two, 1 - one)
    uvs = np.stack((low[0] + across * (high[0] - low[0]), low[1] + down * (high[1] - low[1])), 1)
    first = (np.arange(TICKS)[:, None] * (TICKS + 1) + np.arange(TICKS)).ravel()
    quads = (first, first + 1, first + TICKS + 2), (first, first + TICKS + 2, first + TICKS + 1)
    faces = np.concatenate([np.stack(quad, 1) for quad in quads])
    return np.stack((x + one, two, 0 * one), 1), uvs, faces


def make_waves(high, wide, seed):
    """A smooth texture (H, W, 4) that repeats."""
    phases = np.random.default_rng(seed).random((3, 2)) * 6
    y, x = np.mgrid[0:high, 0:wide]
    u, v = (x + 0.5) / wide * 2 * np.pi, (y + 0.5) / high * 2 * np.pi
    waves = [0.5 + 0.22 * (np.sin(u + a) + np.sin(v + b)) for a, b in phases]
    return np.stack((*waves, np.ones_like(u)), axis=-1).astype(np.float32)


def make_mesh(*parts):
    """One mesh of (grid, material) each."""
    grids = [grid for grid, _ in parts]
    starts = np.cumsum([0, *(len(grid[0]) for grid in grids)])
    numbers = np.repeat(np.arange(len(parts)), [len(grid[0]) for grid in grids])
    mesh = Mesh(
        np.concatenate([grid[0] for grid in grids]),
        np.concatenate([grid[2] + start for grid, start in zip(grids, starts, strict=False)]),
        uvs=np.concatenate([grid[1] for grid in grids]),
        material_numbers=numbers,
    )
    first, *others = [material for _, material in parts]
    return TexturedMesh(mesh, first, tuple(others))


PLAIN = Material(np.full((8, 8, 4), (0.2, 0.6, 0.3, 1)), 0.5, 0.2, "plain")
FINE = Material(make_waves(256, 128, 1), 0.0, 0.9, "fine")
REPEATED = Material(make_waves(64, 64, 2), 0.0, 0.9, "repeated", wrap=("REPEAT", "REPEAT"))
MIRRORED = Material(make_waves(64, 64, 3), 1.0, 0.4, "mirrored", wrap=("MIRROR", "CLAMP"))
SEVERAL = make_mesh(
    (make_grid(0, (0.5, 0.5), (0.5, 0.5)), PLAIN),
    (make_grid(1, (0, 0), (1, 1)), FINE),
    (make_grid(2, (-1.25, 2), (1.5, 4.5)), REPEATED),
    (make_grid(3, (-0.5, 0.2), (1.5, 0.8), turn=1), MIRRORED),
)


def sample_centers(textured, role=None):
    """(F, 4) values at the centers of the faces: base color, or a map with its alpha 1."""
    mesh = textured.mesh
    uvs = torch.tensor(textured.uvs[mesh.faces].mean(axis=1))
    values = np.empty((len(uvs), 4), np.float32)
    for number, material in enumerate(textured.materials):
        if role is not None:
            texels = material.maps[role]
            material = replace(material, texels=np.dstack((texels, np.full(texels.shape[:2], 255, np.uint8))))
        rows = textured.face_materials == number
        values[rows] = sample_material(material, uvs[torch.tensor(rows)]).numpy()
    return values


def measure_change(before, after):
    """CIE76 between sRGB (F, 3)."""
    return np.linalg.norm(srgb_to_lab(before[:, :3]) - srgb_to_lab(after[:, :3]), axis=1)


def measure_density(textured, material, size):
    """Texels a meter along each side of the square that has the material."""
    rows = textured.mesh.faces[textured.face_materials == material] if textured.others else material
    uvs = textured.uvs[rows] * size
    one, two = uvs[:, 1] - uvs[:, 0], uvs[:, 2] - uvs[:, 0]
    return np.sqrt(np.abs(one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]).sum() / 2)


def test_the_surface_shows_the_same_colors():
    merged = merge_materials(SEVERAL)
    after = merged.textured
    assert after.others == () and after.mesh.material_numbers is None
    assert after.uvs.min() >= 0 and after.uvs.max() <= 1
    np.testing.assert_array_equal(after.mesh.faces, SEVERAL.mesh.faces)
    change = measure_change(sample_centers(SEVERAL), sample_centers(after))
    assert change.max() < 1.5, change.reshape(4, -1).max(axis=1)
    assert (
        "4 materials became one with an atlas of 256 x 256 texels" in merged.notes or "512" in merged.notes[0]
    )


def test_each_material_keeps_its_texels():
    after = merge_materials(SEVERAL).textured
    size = after.material.texels.shape[0]
    for number, expected in ((1, (256 * 128) ** 0.5), (2, 64 * (2.75 * 2.5) ** 0.5)):
        faces = SEVERAL.mesh.faces[SEVERAL.face_materials == number]
        found = measure_density(after, faces, size)
        assert found == pytest.approx(expected, rel=0.02)


def test_a_limit_shrinks_all_by_one_factor_and_says_so():
    merged = merge_materials(SEVERAL, most_texels=128)
    after, note = merged.textured, merged.notes[1]
    assert after.material.texels.shape == (128, 128, 4)
    shares = []
    for number, own in ((1, (256 * 128) ** 0.5), (2, 64 * (2.75 * 2.5) ** 0.5)):
        faces = SEVERAL.mesh.faces[SEVERAL.face_materials == number]
        shares.append(measure_density(after, faces, 128) / own)
    assert shares[0] == pytest.approx(shares[1], rel=0.03) and shares[0] < 0.8
    assert f"{np.mean(shares):.0%} of each side" in note
    assert np.median(measure_change(sample_centers(SEVERAL), sample_centers(after))) < 2


def test_metallic_and_roughness_become_a_map():
    after = merge_materials(SEVERAL).textured
    found = sample_centers(after, "metallic_roughness")
    for number, material in enumerate(SEVERAL.materials):
        rows = SEVERAL.face_materials == number
        expected = np.tile((material.roughness, material.metallic), (rows.sum(), 1))
        np.testing.assert_allclose(found[rows, 1:3], expected, atol=0.01)
    assert (after.material.metallic, after.material.roughness) == (1.0, 1.0)


def test_equal_factors_stay_numbers():
    alike = TexturedMesh(
        SEVERAL.mesh, *[FINE], tuple(replace(item, metallic=0.0, roughness=0.9) for item in SEVERAL.others)
    )
    merged = merge_materials(alike).textured.material
    assert merged.maps == {} and (merged.metallic, merged.roughness) == (0.0, 0.9)


def to_map(texels):
    return np.rint(texels[..., :3] * 255).astype(np.uint8)


def test_light_is_kept_with_its_factor():
    glowing = replace(FINE, emissive=(2.0, 1.0, 0.5), maps={"emissive": to_map(FINE.base_color)})
    plain = replace(PLAIN, emissive=(0.25, 0.5, 0.0))
    mesh = make_mesh((make_grid(0, (0, 0), (1, 1)), glowing), (make_grid(1, (0.5, 0.5), (0.5, 0.5)), plain))
    after = merge_materials(mesh).textured
    light = srgb_to_linear(sample_centers(after, "emissive")[:, :3]) * after.material.emissive
    rows = mesh.face_materials == 0
    expected = srgb_to_linear(sample_centers(TexturedMesh(mesh.mesh, glowing, (glowing,)))[:, :3])
    np.testing.assert_allclose(light[rows], (expected * (2.0, 1.0, 0.5))[rows], atol=0.03)
    np.testing.assert_allclose(light[~rows], np.tile((0.25, 0.5, 0.0), ((~rows).sum(), 1)), atol=0.02)


def find_world_normals(textured):
    """(F, 3) the direction that the normal map means at the center of each face, by the uvs' directions."""
    mesh = textured.mesh
    points, uvs = mesh.positions[mesh.faces].astype(float), textured.uvs[mesh.faces].astype(float)
    edges, steps = points[:, 1:] - points[:, :1], uvs[:, 1:] - uvs[:, :1]
    across, down = np.linalg.solve(steps, edges).transpose(1, 0, 2)
    across, down = (item / np.linalg.norm(item, axis=1, keepdims=True) for item in (across, down))
    encoded = sample_centers(textured, "normal")[:, :3] * 2 - 1
    return encoded[:, :1] * across - encoded[:, 1:2] * down + encoded[:, 2:] * (0, 0, 1)


@pytest.mark.parametrize("turn", [0, 1])
def test_normals_turn_with_their_islands(turn):
    slanted = np.zeros((32, 64, 3), np.uint8) + np.array((200, 160, 220), np.uint8)
    one = replace(FINE, maps={"normal": slanted})
    two = replace(REPEATED, maps={"normal": slanted})
    low, high = ((0, 0), (1, 0.25)), ((0, 0), (0.25, 1))
    mesh = make_mesh(
        (make_grid(0, *low, turn), one), (make_grid(1, *high, turn), two), (make_grid(2, *low), one)
    )
    after = merge_materials(mesh).textured
    np.testing.assert_allclose(find_world_normals(after), find_world_normals(mesh), atol=0.03)


@pytest.mark.parametrize(
    ("modes", "merged"),
    [
        (("OPAQUE", "MASK"), "MASK"),
        (("OPAQUE", "BLEND"), "BLEND"),
        (("MASK", "BLEND"), "BLEND"),
        (("", ""), "BLEND"),
    ],
)
def test_alpha_means_what_it_meant(modes, merged):
    faint = FINE.base_color.copy()
    faint[..., 3] = 0.4
    pair = [replace(FINE, texels=faint, alpha_mode=mode, alpha_cutoff=0.3) for mode in modes]
    mesh = make_mesh((make_grid(0, (0, 0), (1, 1)), pair[0]), (make_grid(1, (0, 0), (1, 1)), pair[1]))
    after = merge_materials(mesh).textured
    assert after.material.alpha_mode == merged
    alpha = sample_centers(after)[:, 3]
    for number, mode in enumerate(modes):
        own = alpha[mesh.face_materials == number]
        shown = {"OPAQUE": 1.0, "BLEND": 0.4, "": 0.4, "MASK": 1.0 if merged == "BLEND" else own[0]}[mode]
        np.testing.assert_allclose(own, shown, atol=0.01)
        assert mode != "MASK" or (own >= after.material.alpha_cutoff).all()


def test_islands_that_lie_upon_each_other_stay_so_and_others_can_be_baked():
    stacked = make_mesh((make_grid(0, (0, 0), (1, 1)), FINE), (make_grid(1, (0, 0), (1, 1)), FINE))
    halves = replace(stacked.mesh, material_numbers=None, uvs=stacked.uvs + np.array((0, 3)))
    material = replace(FINE, wrap=("REPEAT", "REPEAT"))
    after = merge_materials(TexturedMesh(halves, material)).textured
    np.testing.assert_allclose(after.uvs[: len(after.uvs) // 2], after.uvs[len(after.uvs) // 2 :])
    apart = make_mesh(
        *[(make_grid(number, (0, 0), (1, 1)), item) for number, item in enumerate((FINE, REPEATED))]
    )
    assert read_own_uvs(apart.mesh, texture_size=256).uvs is None
    assert read_own_uvs(merge_materials(apart).textured.mesh, texture_size=256).note == ""


def test_an_opaque_material_keeps_the_color_of_texels_without_alpha():
    texels = np.full((256, 256, 4), (200, 90, 30, 0), np.uint8)
    texels[0, 0] = 255  # so that it is no plain color
    bare = Material(texels, alpha_mode="OPAQUE", name="bare")
    grids = make_grid(0, (0, 0), (1, 1)), make_grid(1, (0, 0), (1, 1))
    after = merge_materials(make_mesh((grids[0], bare), (grids[1], FINE)), most_texels=64).textured
    middle = after.vertex_colors[len(grids[0][0]) // 2]
    np.testing.assert_allclose(middle, np.array((200, 90, 30, 255)) / 255, atol=0.02)


def test_one_material_in_the_square_is_left_alone():
    single = make_mesh((make_grid(0, (0, 0), (1, 1)), FINE))
    assert merge_materials(single).textured is single
