"""The texts of the nodes in English and Chinese: complete, and such that the editor can show them."""

import json
import re

import pytest
from character3d.scripts.locales import LOCALES, list_common_texts, list_texts, write_texts

FILES = ("nodeDefs", "main")
ONLY_WITH_FILE_3D = re.compile(r"/C3DLoadM(esh|otion)/inputs/file|/C3DSave(Mesh|Character|Motion)/outputs/1")
"""Texts of sockets that older releases of ComfyUI have not."""


def read(language, name):
    return json.loads((LOCALES / language / f"{name}.json").read_text(encoding="utf-8"))


def flatten(texts, path=""):
    """Path -> text of every text."""
    if isinstance(texts, str):
        return {path: texts}
    return {
        key: text for name, item in texts.items() for key, text in flatten(item, f"{path}/{name}").items()
    }


@pytest.fixture
def generated(load_nodes):
    schemas = [node.GET_SCHEMA() for node in load_nodes("").NODES]
    return {"nodeDefs": list_texts(schemas), "main": list_common_texts(schemas)}


@pytest.mark.parametrize("name", FILES)
def test_english_is_what_the_schemas_say(generated, load_nodes, name):
    """Otherwise run scripts/locales.py."""
    made, written = flatten(generated[name]), flatten(read("en", name))
    if not load_nodes("compat").HAS_FILE_3D:
        written = {key: text for key, text in written.items() if not ONLY_WITH_FILE_3D.match(key)}
    assert written == made


@pytest.mark.parametrize("name", FILES)
def test_the_file_is_formatted_as_the_script_writes_it(name):
    for language in ("en", "zh"):
        text = (LOCALES / language / f"{name}.json").read_text(encoding="utf-8")
        assert text == write_texts(json.loads(text))


@pytest.mark.parametrize("name", FILES)
def test_chinese_has_every_text(name):
    english, chinese = flatten(read("en", name)), flatten(read("zh", name))
    assert list(chinese) == list(english)
    same = {key for key, text in chinese.items() if not re.search(r"[\u4e00-\u9fff]", text)}
    assert {chinese[key] for key in same} <= {"VAE", "CLIP", "CFG", "Latent", "trimesh"}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_text_has_a_character_that_the_editors_message_format_reads(language):
    """vue-i18n: {} interpolates, @ links, | separates plurals."""
    for name in FILES:
        texts = {**flatten(read(language, name))}
        assert {key: text for key, text in texts.items() if re.search(r"[{}@|]", text)} == {}
