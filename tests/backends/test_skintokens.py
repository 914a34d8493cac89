"""The rigger that says its rigs: its file, its frame, what it makes of a mesh, and what it refuses."""

import contextlib
import sys
import types

import numpy as np
import pytest
import torch
from character3d.pipeline.errors import MeshError, RigError, WeightsError
from character3d.pipeline.rigging.skeleton import PREFIX, build_skeleton
from character3d.pipeline.types import Mesh, SkinWeights
from character3d.tests import small_skintokens as small
from safetensors.torch import save_file


@pytest.fixture
def ball():
    """64 triangles of a ball, 1 m, its corners apart."""
    import trimesh

    corners = np.asarray(trimesh.creation.icosphere(1, 0.5).triangles, np.float32).reshape(-1, 3)
    return Mesh(corners + np.float32((0, 0.5, 0)), np.arange(len(corners)).reshape(-1, 3))


@pytest.fixture
def patcher(skintokens, token_models):
    small.save_file(token_models, 5)
    return skintokens.loading.load_model()


def say(skintokens, monkeypatch, joints=None):
    """Put a sentence into the model's mouth: that of joints, or of the words it is asked to go on from."""
    tokens = skintokens.tokens

    def say_rig(model, shape, first, sampling, progress):
        start = list(first) if joints is None else tokens.write_joints(joints)
        count = tokens.count_joints(start)
        return [*start, *range(tokens.FIRST_CODE, tokens.FIRST_CODE + 4 * count - 1), tokens.STOP]

    monkeypatch.setattr(skintokens.generate, "say_rig", say_rig)
    monkeypatch.setattr(skintokens.generate, "POINTS", 2048)


def test_the_published_layout(skintokens):
    """Every tensor of the full size has its place and shape, and no other is expected."""
    layout, keys = skintokens.layout, small.list_keys(**small.PUBLISHED)
    assert len(keys) == 672
    tensors = {name: torch.empty(shape, device="meta") for name, shape in keys.items()}
    sizes = layout.find_sizes(tensors)
    needed = {key: value for key, value in tensors.items() if not key.startswith(layout.TRAINING_ONLY)}
    assert {key: tuple(value.shape) for key, value in needed.items()} == {
        **layout.list_shapes(sizes),
        layout.SAME_TABLE: keys[layout.TABLE],
    }
    with torch.device("meta"):
        model = skintokens.loading.RigModel(sizes)
    ours = layout.rename_tensors(needed, sizes)
    assert {key: value.shape for key, value in model.state_dict().items()} == {
        key: value.shape for key, value in ours.items()
    }
    assert 5.4e8 < sum(value.numel() for value in ours.values()) < 5.5e8


def test_the_file_is_found_by_its_name(skintokens, token_models):
    with pytest.raises(WeightsError, match=r"models/skintokens; found none.*\n.*grpo_1400\.ckpt.*MIT"):
        skintokens.loading.load_model()
    assert not skintokens.loading.is_installed()
    small.save_file(token_models / "articulation_xl_quantization_256_token_4", 5)
    assert skintokens.loading.is_installed()


def test_a_safetensors_file_without_what_training_needs(skintokens, token_models):
    layout, tensors = skintokens.layout, small.draw_file(5)
    del tensors[layout.SAME_TABLE]
    kept = {key: value for key, value in tensors.items() if not key.startswith(layout.TRAINING_ONLY)}
    save_file(kept, str(token_models / "grpo_1400.safetensors"))
    assert skintokens.loading.load_model().model.language.embed_tokens.weight.shape == (33036, 64)


@pytest.fixture
def settings(monkeypatch):
    """An object of a package for settings that is gone when the file is read."""
    module = types.ModuleType("omegaconf.dictconfig")
    config = type("DictConfig", (dict,), {"__module__": module.__name__})
    module.DictConfig = config

    @contextlib.contextmanager
    def there():
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "omegaconf", types.ModuleType("omegaconf"))
            patch.setitem(sys.modules, module.__name__, module)
            yield config({"inner": config({"layers": 28})})

    return there


def test_settings_beside_the_weights_are_not_read(skintokens, token_models, settings):
    with settings() as config:
        state = {f"model.{key}": value for key, value in small.draw_file(5).items()}
        torch.save({"state_dict": state, "hyper_parameters": config}, token_models / small.FILE)
    assert skintokens.loading.load_model().model.skin.embed.weight.shape == (128, 54)


class _Code:
    def __reduce__(self):
        return (print, ("run",))


def test_code_beside_the_weights_is_never_run(skintokens, token_models, capsys):
    torch.save({"state_dict": small.draw_file(5), "extra": _Code()}, token_models / small.FILE)
    with pytest.raises(
        WeightsError, match=r"grpo_1400\.ckpt cannot be read: .* holds code, which is never run"
    ):
        skintokens.loading.load_model()
    assert "run" not in capsys.readouterr().out


def test_a_person_has_our_joints(skintokens, patcher, ball, monkeypatch):
    from character3d.tests.pipeline.test_find_roles import build_tree, place_joints

    names, positions, parents = build_tree(place_joints())
    frame, _ = skintokens.generate._draw_points(ball, ball.positions, 0)
    places = np.clip(frame.to_model((positions * 0.55).astype(np.float32)), -1, 1)
    order = skintokens.tokens.read_joints(
        skintokens.tokens.write_joints(skintokens.tokens.Joints(places, parents))
    )
    np.testing.assert_array_equal(order.parents, parents)
    say(skintokens, monkeypatch, skintokens.tokens.Joints(places, parents))
    rig = skintokens.generate.rig_mesh(ball, patcher)
    assert rig.warnings == () and rig.skeleton.roles["hips"] == 0 and rig.metrics == {"joints": 22.0}
    assert isinstance(rig.skin, SkinWeights)
    step = 1 / 128 / frame.scale
    for name, place in zip(names, positions, strict=True):
        ours = rig.skeleton.positions[rig.skeleton.index(PREFIX + name)]
        assert np.abs(ours - place * 0.55).max() <= step


def test_anything_else_keeps_its_joints_and_says_so(skintokens, patcher, ball, monkeypatch):
    joints = skintokens.tokens.Joints(np.array(((0, 0, 0), (0, 0, 0.5), (0.5, 0, 0))), np.array((-1, 0, 0)))
    say(skintokens, monkeypatch, joints)
    rig = skintokens.generate.rig_mesh(ball, patcher)
    assert rig.skeleton.names == ("Joint0", "Joint1", "Joint2") and not rig.skeleton.roles
    (text,) = rig.warnings
    assert "3 joints is no standing person's" in text
    # +Z is up in the model's frame
    np.testing.assert_allclose(rig.skeleton.positions[1], (0, 0.75, 0), atol=0.01)


def test_a_given_skeleton_is_bound_without_ends_and_hidden_joints(skintokens, patcher, ball, monkeypatch):
    from character3d.pipeline.rigging.adopt_skeleton import _complete
    from character3d.tests.pipeline.test_find_roles import place_joints

    places = {name: np.array(place) * 0.55 for name, place in place_joints(fingers=True).items()}
    skeleton = build_skeleton(_complete(ball, places))
    say(skintokens, monkeypatch)
    skin = skintokens.generate.skin_mesh(ball, skeleton, patcher, hidden=("LeftHand",))
    again = skintokens.generate.skin_mesh(ball, skeleton, patcher, hidden=("LeftHand",))
    np.testing.assert_array_equal(skin.weights, again.weights)
    used = {skeleton.names[joint] for joint in np.unique(skin.joints[skin.weights > 0])}
    assert not [name for name in used if name.endswith(("_End", "4")) or "LeftHand" in name]
    bound = {skeleton.names[joint] for joint in skintokens.generate._list_bound(skeleton, ())}
    assert {name for name in skeleton.names if not name.endswith(("_End", "4"))} == bound
    # what lies at one place moves as one
    _, copies = np.unique(ball.positions, axis=0, return_inverse=True)
    dense = np.zeros((len(ball.positions), len(skeleton.names)))
    np.add.at(dense, (np.arange(len(dense))[:, None], skin.joints), skin.weights)
    for place in range(copies.max() + 1):
        assert np.ptp(dense[copies.reshape(-1) == place], axis=0).max() < 1e-5


def test_a_sentence_without_an_end_is_refused(skintokens, patcher, ball, monkeypatch):
    monkeypatch.setattr(skintokens.generate, "POINTS", 2048)
    short = skintokens.sampling.Sampling(beams=2, longest=524)
    monkeypatch.setattr(skintokens.generate, "Sampling", lambda seed: short)
    with pytest.raises(RigError, match="no whole rig in 10 words; try another seed"):
        skintokens.generate.rig_mesh(ball, patcher)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "its first word is"),
        ([257, 266, 1, 2, 3], "none of its 5 words is 258"),
        ([257, 266, 258], "no joints"),
        ([257, 266, 1, 2, 3, 256, 4, 5, 258], "words 6 to 8 of 8"),
        ([257, 266, 1, 2, 3, 256, 4, 5, 6, 258], "words 9 to 11 of 9"),
        ([257, 266, 1, 2, 3, 259, 258], "word 5 of 6 is 259"),
        ([257, 266, 1, 2, 300, 258], "words 2 to 4 of 5"),
    ],
)
def test_sentences_that_are_no_skeleton(skintokens, words, message):
    with pytest.raises(RigError, match=message):
        skintokens.tokens.read_joints(words)


def test_too_few_codes(skintokens):
    with pytest.raises(RigError, match="has 3 codes; expected 4 for each of 1 joints"):
        skintokens.tokens.split_codes([257, 266, 1, 2, 3, 258, 300, 301, 302], 1)


def test_a_mesh_without_surface(skintokens, patcher):
    flat = Mesh(np.zeros((3, 3), np.float32), np.array(((0, 1, 2),)))
    with pytest.raises(MeshError, match="no surface"):
        skintokens.generate.rig_mesh(flat, patcher)


def test_it_can_be_cancelled_while_it_speaks(skintokens, patcher, ball, monkeypatch):
    monkeypatch.setattr(skintokens.generate, "POINTS", 2048)

    def stop(fraction):
        if fraction > 0.16:  # a few words of the sentence
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        skintokens.generate.rig_mesh(ball, patcher, progress=stop)
