"""The files of the studio page: its words, its libraries, its policy and its size."""

import base64
import gzip
import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from character3d.server_routes import graph, parameters
from PIL import ImageFont

from .registry_archive import list_archive

REPOSITORY = Path(__file__).resolve().parent.parent
STUDIO = REPOSITORY / "studio"
PAGE = (STUDIO / "index.html").read_text(encoding="utf-8")
OTHERS = {"vendor", "fonts"}
"""Folders with the work of others."""
OWN = [path for path in STUDIO.rglob("*") if path.is_file() and OTHERS.isdisjoint(path.parts)]
FONT = STUDIO / "fonts" / "noto-sans-sc.woff2"
SCRIPTS = [path for path in OWN if path.suffix == ".js"]
WORDS = {
    code: json.loads((STUDIO / "words" / f"{code}.json").read_text(encoding="utf-8")) for code in ("en", "zh")
}
LATER = {"viewer.js", "result.js", "painting.js", "files.js", "job.js", "gallery.js", "report.js"}
"""Scripts that are loaded where they are needed."""
MADE = ("kind.", "landmark.", "stage.", "state.", "picture.", "file.", "view.", "map.", "look.", "pose.")
MADE += ("option.", "options.", "choice.", "pictures.", "trouble.", "report.")
"""Starts of keys that scripts put together."""
MOST_BYTES = 300_000


def read(path):
    return path.read_text(encoding="utf-8")


def test_libraries_are_the_files_of_their_packages():
    """Their hashes are those of the table, which scripts/studio_vendor.py writes from the packages."""
    vendor = STUDIO / "vendor"
    table = json.loads(read(vendor / "packages.json"))
    listed = {
        vendor / package["folder"] / name: found
        for package in table
        for name, found in package["files"].items()
    }
    there = {path for path in vendor.rglob("*") if path.is_file()} - {vendor / "packages.json"}
    assert listed.keys() == there
    assert {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in there} == listed
    for package in table:
        assert package["licence"] == "MIT"
        assert "Permission is hereby granted" in read(vendor / package["folder"] / "LICENSE")


def test_both_languages_say_the_same_with_the_same_values():
    assert WORDS["en"].keys() == WORDS["zh"].keys()
    for key, text in WORDS["en"].items():
        assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", WORDS["zh"][key])), key
        assert text.strip() and WORDS["zh"][key].strip(), key


def test_the_font_has_every_chinese_character_of_the_words():
    """scripts/studio_font.py makes it anew; a character that it lacks is drawn as nothing."""
    said = json.dumps(WORDS["zh"], ensure_ascii=False) + "中文"
    chinese = {character for character in said if "\u2e80" <= character <= "\u9fff" or character > "\uff00"}
    font = ImageFont.truetype(FONT, 24)
    assert [character for character in chinese if not font.getmask(character).getbbox()] == []
    assert font.getmask("龘").getbbox() is None  # a character of no word
    assert "SIL OPEN FONT LICENSE Version 1.1" in read(FONT.with_name("LICENSE"))


def test_every_word_that_the_page_says_is_there():
    said = set(re.findall(r'data-say(?:-label)?="([\w.]+)"', PAGE))
    for path in SCRIPTS:
        said |= set(re.findall(r'(?:say|"aria-label"|alt): \[?"([\w.]+)"', read(path)))
        said |= set(
            re.findall(r'(?:announce|say|complain|failed|makeToggle|makeChoice)\("([\w.]+)"', read(path))
        )
    assert len(said) > 80 and said <= WORDS["en"].keys(), said - WORDS["en"].keys()


def test_every_option_and_choice_of_the_service_has_words():
    """Numbers, and names of models, speak for themselves."""
    fields = parameters.FormFields.model_json_schema()["properties"]
    names = fields.keys() - {"corrections", "webhook_url"}
    assert {f"option.{name}" for name in names} <= WORDS["en"].keys()
    choices = {f"choice.{name}.{word}" for name in names for word in fields[name].get("enum", ())}
    worded = {key for key in choices if not key.rpartition(".")[2].isdigit()}
    assert worded <= WORDS["en"].keys(), worded - WORDS["en"].keys()


def test_each_preview_among_the_files_has_words_of_its_own():
    values = {name: field.default for name, field in parameters.FIELDS.items()} | {"animated_preview": True}
    made = graph.build_graph(graph.load_template(), "", {"image": "picture.png"}, values)
    shown = [node for node, key in made.result_nodes.items() if key == "preview_images"]
    stages = {made.prompt[node]["inputs"]["filename_prefix"]: made.node_stages[node] for node in shown}
    (table,) = re.findall(r"PREVIEWS = \{(.*?)\}", read(STUDIO / "files.js"))
    assert dict(re.findall(r'(\w+): "(\w+)"', table)) == stages and len(stages) == 3
    for words in WORDS.values():
        said = {words[f"file.preview_images.{stage}"] for stage in stages.values()}
        assert len(said) == 3 and words["file.preview_images"] not in said


def test_no_word_is_left_over():
    text = PAGE + "".join(map(read, SCRIPTS))
    unused = [key for key in WORDS["en"] if key not in text and not key.startswith(MADE)]
    assert unused == []


def test_no_other_host_is_asked():
    for path in OWN:
        hosts = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+", read(path))) - {"http://www.w3.org"}
        assert not hosts, (path.name, hosts)


def test_the_policy_allows_the_import_map_and_no_other_inline_script():
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', PAGE)
    (inline,) = re.findall(r'<script type="importmap">(.*?)</script>', PAGE, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
    rules = {words.split()[0]: words.split()[1:] for words in policy.split(";")}
    assert rules["default-src"] == ["'none'"]
    assert rules["script-src"] == ["'self'", f"'sha256-{digest}'", "'wasm-unsafe-eval'"]
    assert rules["style-src"] == ["'self'"] and "style=" not in PAGE
    allowed = {"'self'", "'none'", "blob:", "data:", "'wasm-unsafe-eval'", f"'sha256-{digest}'"}
    assert {source for sources in rules.values() for source in sources} <= allowed
    for path in SCRIPTS:
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|eval\(|new Function", read(path)), path


def test_the_import_map_leads_to_files():
    (inline,) = re.findall(r'<script type="importmap">(.*?)</script>', PAGE, re.DOTALL)
    for target in json.loads(inline)["imports"].values():
        assert (REPOSITORY / target.replace("./character/", "")).exists(), target


def list_imports(path):
    """Scripts that a script loads at once."""
    found = re.findall(r'^(?:import|\} from)\b.*?"\./([\w./]+)";$', read(path), re.MULTILINE)
    return {STUDIO / name for name in found}


def test_the_first_load_is_small():
    """All scripts of the page but the viewer's, whose libraries are loaded with the first model."""
    first, waiting = {STUDIO / "index.html", STUDIO / "style.css", STUDIO / "words/en.json"}, []
    waiting = [STUDIO / "app.js", STUDIO / "create.js"]
    while waiting:
        path = waiting.pop()
        if path not in first:
            first.add(path)
            waiting.extend(list_imports(path))
    names = {path.name for path in first}
    assert {"pictures.js", "options.js", "landmarks.js", "words.js"} <= names and not names & LATER
    assert not [path for path in first if "vendor" in path.parts]
    size = sum(path.stat().st_size for path in first)
    packed = sum(len(gzip.compress(path.read_bytes())) for path in first)
    assert size < MOST_BYTES / 2 and packed < MOST_BYTES / 4, (size, packed)
    assert size + FONT.stat().st_size < MOST_BYTES  # of a system without a Chinese font


def test_the_archive_of_the_registry_has_the_page():
    if not (REPOSITORY / ".git").exists():
        pytest.skip("no clone")
    wanted = {path.relative_to(REPOSITORY).as_posix() for path in STUDIO.rglob("*") if path.is_file()}
    assert wanted <= set(list_archive())


def test_the_editor_loads_none_of_it():
    """ComfyUI loads every script below the web folder into its editor."""
    assert not (REPOSITORY / "web" / "studio").exists()
    assert 'WEB_DIRECTORY = "./web"' in read(REPOSITORY / "__init__.py")


def test_scripts_are_well_formed(tmp_path):
    node = shutil.which("node")
    if not node:
        pytest.skip("no node here")
    for path in SCRIPTS:
        module = tmp_path / f"{path.stem}.mjs"
        module.write_text(read(path), encoding="utf-8")
        done = subprocess.run([node, "--check", module], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
