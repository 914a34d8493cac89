"""The documentation names files, folders and commands that exist."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PAGES = sorted(
    path for path in (REPOSITORY / "README.md", *(REPOSITORY / "docs").rglob("*.md")) if path.is_file()
)
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@every_page
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r"\]\((?!https?://)([^)#]+)(?:#[^)]*)?\)", text)
    targets += re.findall(r'<img src="([^"]+)"', text)
    assert [target for target in targets if not (page.parent / unquote(target)).exists()] == []


@every_page
def test_anchors_are_headings(page):
    for target, anchor in re.findall(
        r"\]\((?!https?://)([^)#]*)#([^)]+)\)", page.read_text(encoding="utf-8")
    ):
        text = (page.parent / target if target else page).read_text(encoding="utf-8")
        headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
        assert anchor in {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@every_page
def test_files_that_are_named_exist(page):
    """Paths in code spans that begin with a folder of the repository."""
    folders = "|".join(sorted(path.name for path in REPOSITORY.iterdir() if path.is_dir()))
    named = re.findall(rf"`((?:{folders})/[\w./-]+)`", page.read_text(encoding="utf-8"))
    assert [name for name in named if not (REPOSITORY / name).exists()] == []


@every_page
def test_commands_run_scripts_that_exist(page):
    scripts = re.findall(r"python3? ((?:[\w.]+/)*[\w.]+\.py)", page.read_text(encoding="utf-8"))
    assert [script for script in scripts if not (REPOSITORY / script).exists()] == []


def test_every_top_level_folder_is_in_the_house():
    house = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    ignored = {".git", "output", "node_modules", "__pycache__"}
    folders = {path.name for path in REPOSITORY.iterdir() if path.is_dir() and path.name not in ignored}
    caches = {name for name in folders if name.endswith("_cache") or name in (".hypothesis", ".venv")}
    assert {name for name in folders - caches if f"\n{name}/ " not in house} == set()


def test_the_readme_has_no_placeholder():
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert not re.search(r"<(?!img )[a-z][^>]*>|TODO|FIXME|lorem", text)
