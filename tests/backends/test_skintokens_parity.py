"""SkinTokens through ComfyUI against its own code, on identical random weights and inputs in float32.

tests/golden/skintokens.npz holds what the reference (VAST-AI-Research/SkinTokens at 273b691, without Blender
and with torch's attention in place of flash-attention's; transformers 4.57.6, torch 2.13.0, on the CPU) said
of small_skintokens.draw_file(5). Points with normals: draw_points(1, 4096).
condition, shape        every eighth word of what the encoders say of the shape; 11 chose the former's points
prefix, columns, logits scores of some words after each of `prefix`
tokens_sampled_1        four sentences at a time from seed 1, up to 420 words; joints_, parents_ of it, and
                        skin_ of every sixteenth point
tokens_sampled_2        ten at a time from seed 2, cut off after 200 words
own_*, tokens_own       a given skeleton, its words, and the sentence of its skin, four at a time from seed 4
vertex_skin             of tokens_own's skin at draw_points(2, 301)
sentence_N              random sentences; allowed_N the words that may follow each of their beginnings,
                        bones_N the number of their joints; read_* the skeleton of each
normalized              draw_points(3, 300), twice as large and 0.3 aside, between -1 and 1
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from character3d.pipeline.errors import RigError
from character3d.tests import small_skintokens as small

GOLDEN = np.load(Path(__file__).resolve().parents[1] / "golden" / "skintokens.npz")
CLOSE = 1e-4
SENTENCES = [int(name.removeprefix("sentence_")) for name in GOLDEN.files if name.startswith("sentence_")]


def draw_points(seed, count):
    """Points between -1 and 1, and unit normals."""
    rng = np.random.default_rng(seed)
    points = np.clip(rng.standard_normal((count, 3)) * (0.3, 0.12, 0.4), -1, 1)
    normals = rng.standard_normal((count, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return points.astype(np.float32), normals.astype(np.float32)


def check(ours, name):
    golden = GOLDEN[name]
    assert tuple(ours.shape) == golden.shape
    assert np.abs(np.asarray(ours, np.float64) - golden).max() <= CLOSE


@pytest.fixture
def model(skintokens, token_models):
    small.save_file(token_models, 5)
    return skintokens.loading.load_model().model


@pytest.fixture
def cloud():
    return torch.from_numpy(np.concatenate(draw_points(1, 4096), axis=1))


def decode(skintokens, model, cloud, name):
    words = GOLDEN[f"tokens_{name}"].tolist()
    return skintokens.generate.decode_skin(model, cloud, words, 11, lambda fraction: None)


def test_what_the_networks_say(model, cloud):
    check(model.skin.encode_shape(cloud, 11)[::8], "condition")
    shape = model.shape(cloud)
    check(shape[::8], "shape")
    prefix = torch.from_numpy(GOLDEN["prefix"])[None]
    memory = []
    model.language(shape[None], memory)
    one_by_one = [model.language(model.language.embed(word[None]), memory)[0] for word in prefix.T]
    check(model.language.score(torch.cat(one_by_one))[:, GOLDEN["columns"]], "logits")


@pytest.mark.nightly
@pytest.mark.parametrize("beams", [4, 10])
def test_sentences(skintokens, model, cloud, beams):
    """The same words from the same seed, whether the sentence ends or is cut off."""
    seed, room = {4: (1, 420), 10: (2, 200)}[beams]
    shape = model.shape(cloud)
    sampling = skintokens.sampling.Sampling(beams=beams, seed=seed, longest=514 + room)
    said = skintokens.sampling._search(model.language, shape, [257, 266], sampling, lambda fraction: None)
    np.testing.assert_array_equal([257, 266, *said[0]], GOLDEN[f"tokens_sampled_{seed}"])


def test_skeleton_of_a_sentence(skintokens):
    joints = skintokens.tokens.read_joints(GOLDEN["tokens_sampled_1"].tolist())
    check(joints.positions, "joints_sampled_1")
    np.testing.assert_array_equal(joints.parents, GOLDEN["parents_sampled_1"])


@pytest.mark.nightly
def test_skin_of_a_sentence(skintokens, model, cloud):
    check(decode(skintokens, model, cloud, "sampled_1")[::16], "skin_sampled_1")


def test_skin_of_a_given_skeleton(skintokens, model, cloud):
    given = skintokens.tokens.Joints(GOLDEN["own_joints"], GOLDEN["own_parents"])
    first = skintokens.tokens.write_joints(given)
    assert first == GOLDEN["own_tokens"].tolist()
    sampling = skintokens.sampling.Sampling(beams=4, seed=4, longest=934)
    words = skintokens.sampling.say_rig(model.language, model.shape(cloud), first, sampling)
    assert words == GOLDEN["tokens_own"].tolist()
    skin = decode(skintokens, model, cloud, "own")
    check(skin[::16], "skin_own")
    spread = skintokens.generate.average_nearest(cloud[:, :3].numpy(), skin, draw_points(2, 301)[0])
    check(spread, "vertex_skin")


@pytest.mark.parametrize("number", SENTENCES)
def test_grammar(skintokens, number):
    tokens, words = skintokens.tokens, GOLDEN[f"sentence_{number}"].tolist()
    allowed = np.unpackbits(GOLDEN[f"allowed_{number}"])[: 267 * len(words)].reshape(-1, 267).astype(bool)
    for length, marks in enumerate(allowed):
        ours = tokens.find_allowed(words[:length])
        np.testing.assert_array_equal(ours[:267], marks)
        assert not ours[267:].any()
    counts = [tokens.count_joints(words[: length + 1]) for length in range(len(words))]
    assert counts == GOLDEN[f"bones_{number}"].tolist()
    if GOLDEN[f"read_joints_{number}"].max() > 1:  # it took a word that is none for a coordinate
        with pytest.raises(RigError, match=r"words 18 to 20 of 140 are \[260, 15, 169\]"):
            tokens.read_joints(words)
        return
    joints = tokens.read_joints(words)
    check(joints.positions, f"read_joints_{number}")
    np.testing.assert_array_equal(joints.parents, GOLDEN[f"read_parents_{number}"])


def test_frame(skintokens):
    """Theirs is in Blender's axes before and after; ours turns to them."""
    points = draw_points(3, 300)[0] * 2 + np.float32(0.3)
    ours = points @ skintokens.generate._Z_UP.astype(np.float32)
    mesh = skintokens.generate.Mesh(ours, np.arange(300).reshape(-1, 3))
    frame, _ = skintokens.generate._draw_points(mesh, mesh.positions, 0)
    check(frame.to_model(mesh.positions), "normalized")
    assert np.abs(frame.to_mesh(GOLDEN["normalized"]) - ours).max() <= CLOSE
