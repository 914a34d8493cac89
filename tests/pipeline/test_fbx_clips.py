"""Clips in an FBX file, as four independent readers play them."""

import functools
from dataclasses import replace

import numpy as np
import pytest
from character3d.pipeline.animation.sampling import sample_rotations
from character3d.pipeline.errors import FormatError
from character3d.pipeline.formats import write_fbx, write_glb
from character3d.pipeline.formats.fbx_angles import euler_to_quaternion, quaternions_to_continuous_euler
from character3d.pipeline.formats.fbx_animation import FRAME_RATE, LINEAR_TOLERANCE
from character3d.pipeline.types import AnimationClip
from character3d.tests.readers.compare import largest_difference, limit, write_ask
from character3d.tests.readers.locate import require_reader, run_reader
from character3d.tests.readers.sample_character import (
    find_local_rest,
    follow_clip_by_hand,
    make_character,
    make_clips,
)
from scipy.spatial.transform import Rotation, Slerp

BARE = make_character()
CHARACTER = replace(BARE, clips=make_clips(BARE.skeleton))
FACES, CLIPS = BARE.textured.mesh.faces, {clip.name: clip for clip in CHARACTER.clips}
READERS = ("ufbx", "blender", "assimp", "three")
FRAMES = [frame / FRAME_RATE for frame in (0, 3, 8, 15, 22, 30)]
BETWEEN = [0.0501, 0.4177, 0.777, 0.93]
KEYS = {"walk": FRAMES, "spin": [*map(float, CLIPS["spin"].times), *FRAMES]}
TIMES = sorted({*FRAMES, *BETWEEN, *KEYS["spin"]})


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    write_fbx(folder / "clips.fbx", CHARACTER)
    ask = write_ask(folder / "ask.json", times=TIMES)
    return functools.cache(
        lambda reader: run_reader(reader, folder / f"{reader}.json", folder / "clips.fbx", ask)
    )


@pytest.fixture(params=READERS)
def reader(request):
    require_reader(request.param)
    return request.param


def find_errors(report, name):
    """time -> metres between a reader's skinned points and our own."""
    clip, found = CLIPS[name], report["clips"][name]
    return {
        time: largest_difference(points, follow_clip_by_hand(CHARACTER, clip, time)[FACES])
        for time, points in zip(TIMES, found, strict=True)
        if time <= clip.times[-1]
    }


def test_readers_see_every_clip(read, reader):
    report = read(reader)
    assert report["warnings"] == []
    assert set(report["clips"]) == set(CLIPS)


@pytest.mark.parametrize("name", CLIPS)
def test_readers_pose_it_as_we_do_at_keys(read, reader, name):
    errors = find_errors(read(reader), name)
    at_keys = {time: error for time, error in errors.items() if min(abs(time - k) for k in KEYS[name]) < 1e-6}
    assert len(at_keys) >= 5
    assert max(at_keys.values()) < limit(reader, "posed"), at_keys


@pytest.mark.parametrize("name", CLIPS)
def test_readers_stay_close_between_keys(read, reader, name):
    """ufbx goes straight from angle to angle, as FBX means it; nothing is farther than 1.2 m from a joint."""
    assert max(find_errors(read(reader), name).values()) < 1.2 * np.radians(LINEAR_TOLERANCE)


def test_rest_pose_is_the_same_with_clips(read, reader):
    """Whoever plays nothing sees the rest pose."""
    expected = BARE.textured.mesh.positions[FACES]
    assert largest_difference(read(reader)["positions"], expected) < limit(reader, "positions")


def test_slerp_is_scipys():
    clip = CLIPS["spin"]
    times = np.linspace(0, float(clip.times[-1]), 57)
    found = sample_rotations(clip, times)
    for joint in range(found.shape[1]):
        slerp = Slerp(clip.times.astype(np.float64), Rotation.from_quat(clip.rotations[:, joint]))
        apart = Rotation.from_quat(found[:, joint]) * slerp(times).inv()
        assert apart.magnitude().max() < 1e-6


@pytest.mark.parametrize("seed", range(4))
def test_angles_are_those_rotations_and_do_not_jump(seed):
    """A random tumble through all orientations, with one joint that dwells in gimbal lock."""
    generator, steps = np.random.default_rng(seed), 400
    speed = np.cumsum(generator.normal(size=(steps, 2, 3)) * 0.01, axis=0)
    turns = Rotation.from_rotvec(speed.reshape(-1, 3)).as_matrix().reshape(steps, 2, 3, 3)
    tumble = np.empty((steps, 3, 4))
    walk = np.tile(np.eye(3), (2, 1, 1))
    for step in range(steps):
        walk = walk @ turns[step]
        tumble[step, :2] = Rotation.from_matrix(walk).as_quat()
    spin = np.linspace(0, 7, steps)
    for step in range(steps):
        locked = Rotation.from_euler("xyz", (spin[step], np.pi / 2, 0)).as_matrix()
        tumble[step, 2] = Rotation.from_matrix(locked).as_quat()
    angles = quaternions_to_continuous_euler(tumble, np.zeros((3, 3)))
    back = Rotation.from_quat(euler_to_quaternion(angles).reshape(-1, 4))
    apart = back * Rotation.from_quat(tumble.reshape(-1, 4)).inv()
    assert apart.magnitude().max() < 1e-7
    # Angles turn as fast as the joint over the cosine of Y, twice that at most (X and Z together).
    steps = np.abs(np.diff(angles[:, :2], axis=0)).max(axis=-1)
    turned = np.degrees(Rotation.from_matrix(turns[1:].reshape(-1, 3, 3)).magnitude()).reshape(steps.shape)
    cosine = np.cos(np.radians(angles[:, :2, 1]))
    cosine = np.minimum(np.abs(cosine[1:]), np.abs(cosine[:-1]))
    is_free = cosine > 0.3
    assert is_free.mean() > 0.5
    assert (steps[is_free] <= 2 * turned[is_free] / cosine[is_free]).all()
    assert np.abs(np.diff(angles[:, 2], axis=0)).max() < 2


def test_same_clips_give_same_bytes(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write_fbx(tmp_path / folder / "c.fbx", replace(BARE, clips=make_clips(make_character().skeleton)))
    assert (tmp_path / "a/c.fbx").read_bytes() == (tmp_path / "b/c.fbx").read_bytes()


def test_one_key_and_a_clip_that_keeps_the_rest_pose(tmp_path, reader):
    """A pose is a clip of one key; a clip without motion still is one."""
    rest = Rotation.from_matrix(find_local_rest(BARE.skeleton)[:, :3, :3]).as_quat()
    still = AnimationClip("still", [0.0, 1.0], np.stack([rest, rest]), BARE.skeleton.positions[[0, 0]])
    moved = np.add(BARE.skeleton.positions[:1], (0.1, 0.2, 0.3))
    pose = AnimationClip("pose", [0.0], rest[None], moved)
    write_fbx(tmp_path / "c.fbx", replace(BARE, clips=(still, pose)))
    report = run_reader(
        reader, tmp_path / "r.json", tmp_path / "c.fbx", write_ask(tmp_path / "ask.json", times=[0.0])
    )
    for name, shift in (("still", (0, 0, 0)), ("pose", (0.1, 0.2, 0.3))):
        expected = (BARE.textured.mesh.positions + shift)[FACES]
        assert largest_difference(report["clips"][name][0], expected) < limit(reader, "posed")


def with_clip(**changes):
    return replace(BARE, clips=(replace(CLIPS["walk"], **changes),))


@pytest.mark.parametrize("write", [write_fbx, write_glb], ids=["fbx", "glb"])
@pytest.mark.parametrize(
    ("character", "message"),
    [
        (replace(BARE, clips=(CLIPS["walk"], CLIPS["walk"])), "two clips have the same name"),
        (with_clip(rotations=CLIPS["walk"].rotations[:, :3]), "'walk' rotates 3 joints, the skeleton has 7"),
        (with_clip(times=CLIPS["walk"].times[::-1]), "times that rise from 0"),
        (with_clip(times=CLIPS["walk"].times + 1), "times that rise from 0"),
        (with_clip(times=CLIPS["walk"].times * 0), "times that rise from 0"),
    ],
)
def test_clips_that_do_not_fit_are_named(tmp_path, write, character, message):
    with pytest.raises(FormatError, match=message):
        write(tmp_path / "bad", character)
    assert list(tmp_path.iterdir()) == []
