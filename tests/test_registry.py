"""What the Comfy Registry asks of the repository, and what it gets of it."""

import ast
import os
import re
import subprocess
import sys
import zipfile

import pytest
import tomllib
import yaml
from character3d.tests.registry_archive import REPOSITORY, list_archive, unpack_archive
from PIL import Image

RAW = "https://raw.githubusercontent.com/comfyui-character3d/ComfyUI-Character3D/main/"
NOT_LOADED = {"tests", "benchmarks", "launcher", "training", "scripts", ".ci", ".github", "quickstart"}
"""Modules and folders that stay out of the archive, where scanners would flag them."""
FLAGGED = ("S102", "S307", "E702", "S602", "S604", "S605")
"""Of ruff: what comfy-cli looks for (exec, eval, several statements a line), and commands through a shell."""


@pytest.fixture
def project():
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))


def test_requirements_are_those_of_the_project(project):
    listed = (REPOSITORY / "requirements.txt").read_text(encoding="utf-8").split("\n")
    assert [line for line in listed if line] == project["project"]["dependencies"]


def test_requirements_do_not_fight_comfyui(project):
    names = {re.split(r"[<>=!~ \[]", line)[0].lower() for line in project["project"]["dependencies"]}
    assert not names & {"torch", "torchvision", "torchaudio", "transformers", "comfyui"}
    assert not [line for line in project["project"]["dependencies"] if re.search(r"==|<|~=", line)]


def test_registry_fields_are_complete(project):
    fields = project["project"]
    assert re.fullmatch(r"[a-z][a-z0-9-]{0,98}", fields["name"]) and "comfyui" not in fields["name"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", fields["version"])
    assert fields["description"] and fields["license"] == {"file": "LICENSE"}
    assert fields["urls"]["Repository"].startswith("https://")
    comfy = project["tool"]["comfy"]
    assert comfy["PublisherId"] and comfy["DisplayName"] == "Character3D"
    assert comfy["requires-comfyui"].startswith(">=")
    assert {"Repository", "Documentation", "Issues"} <= set(fields["urls"])


@pytest.mark.parametrize(("field", "largest"), [("Icon", (400, 400)), ("Banner", (1260, 540))])
def test_icon_and_banner_are_pictures_of_the_repository(project, field, largest):
    address = project["tool"]["comfy"][field]
    assert address.startswith(RAW)
    with Image.open(REPOSITORY / address.removeprefix(RAW)) as image:
        assert image.size == largest


def test_the_changelog_begins_with_this_version(project):
    headings = re.findall(
        r"^## (\S+)", (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert headings[0] == project["project"]["version"]


def test_the_client_has_the_packs_version(project):
    client = tomllib.loads((REPOSITORY / "client" / "pyproject.toml").read_text(encoding="utf-8"))
    assert client["project"]["version"] == project["project"]["version"]


def test_workflows_name_this_version_of_the_pack(project):
    named = set()
    for folder in ("workflows", "subgraphs"):
        for file in (REPOSITORY / folder).glob("*.json"):
            for own in re.findall(r'"properties": \{[^{}]*\}', file.read_text(encoding="utf-8")):
                if f'"cnr_id": "{project["project"]["name"]}"' in own:
                    named.update(re.findall(r'"ver": "(.*?)"', own))
    assert named == {project["project"]["version"]}


def test_a_new_version_is_published_by_the_official_action():
    text = (REPOSITORY / ".github" / "workflows" / "publish.yml").read_text(encoding="utf-8")
    workflow = yaml.load(text, yaml.BaseLoader)  # the others take the key `on` for a boolean
    assert workflow["on"]["push"] == {"branches": ["main"], "paths": ["pyproject.toml"]}
    (job,) = workflow["jobs"].values()
    check_out, publish = job["steps"]
    assert check_out["uses"].startswith("actions/checkout@")
    assert publish["uses"].startswith("Comfy-Org/publish-node-action@")
    assert publish["with"] == {"personal_access_token": "${{ secrets.REGISTRY_ACCESS_TOKEN }}"}


@pytest.fixture(scope="module")
def archive():
    if not (REPOSITORY / ".git").exists():
        pytest.skip("no git repository")
    return list_archive()


def test_the_archive_holds_the_pack_and_nothing_else(archive):
    tops = {name.split("/")[0] for name in archive}
    needed = {"__init__.py", "nodes", "pipeline", "backends", "server_routes", "workflows", "web"}
    needed |= {"locales", "studio", "subgraphs", "llms.txt"}
    beside = {
        "LICENSE",
        "README.md",
        "CHANGELOG.md",
        "SECURITY.md",
        "docs",
        "examples",
        "client",
        "cluster",
        "install.py",
    }
    assert tops == needed | beside | {"pyproject.toml", "requirements.txt"}
    assert not [name for name in archive if name.startswith("docs/pictures/")]
    libraries = [name for name in archive if name.startswith("studio/vendor/")]
    networks = [name for name in archive if name.endswith(".safetensors")]
    sizes = {name: (REPOSITORY / name).stat().st_size for name in archive}
    assert sum(sizes[name] for name in libraries) < 1.5e6
    assert sum(sizes[name] for name in networks) < 6.5e6
    assert sum(sizes[name] for name in sizes.keys() - {*libraries, *networks}) < 6e6


def test_nothing_in_the_archive_imports_what_is_not_in_it(archive):
    """Relative imports lead to files of the archive; none of the others names a part that stays out."""
    files = set(archive)
    for name in (name for name in archive if name.endswith(".py")):
        for node in ast.walk(ast.parse((REPOSITORY / name).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert not {alias.name.split(".")[0] for alias in node.names} & NOT_LOADED, name
            elif isinstance(node, ast.ImportFrom) and not node.level:
                assert node.module.split(".")[0] not in NOT_LOADED, name
            elif isinstance(node, ast.ImportFrom):
                package = name.split("/")[: -node.level]
                place = "/".join([*package, *(node.module.split(".") if node.module else [])])
                parts = [place, *(f"{place}/{alias.name}".lstrip("/") for alias in node.names)]
                assert any({f"{part}.py", f"{part}/__init__.py"} & files for part in parts), (name, parts)


def test_scanners_find_nothing_to_flag_in_the_archive(archive, tmp_path):
    unpack_archive(tmp_path)
    select = ("--isolated", "--no-cache", "--output-format=concise", f"--select={','.join(FLAGGED)}")
    command = [sys.executable, "-m", "ruff", "check", *select, tmp_path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.nightly  # pip downloads setuptools
def test_pip_installs_the_requirements_from_the_folder(archive, project, tmp_path):
    unpack_archive(tmp_path / "pack")
    build = ("-m", "pip", "wheel", "--no-deps", "-w", tmp_path, tmp_path / "pack")
    subprocess.run([sys.executable, *build], check=True)
    information = f"character3d-{project['project']['version']}.dist-info"
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as content:
        assert {name.split("/")[0] for name in content.namelist()} == {information}
        metadata = content.read(f"{information}/METADATA").decode()
    required = [line.partition(": ")[2] for line in metadata.splitlines() if line.startswith("Requires-Dist")]
    assert [line for line in required if "extra" not in line] == project["project"]["dependencies"]


def test_licence_is_there():
    text = (REPOSITORY / "LICENSE").read_text(encoding="utf-8")
    assert text.startswith("MIT License") and "Character3D contributors" in text


def test_install_compiles_what_comfyui_imports(archive, tmp_path):
    unpack_archive(tmp_path / "pack")
    command = "import sys; sys.path.insert(0, '.'); import install; install.compile_modules()"
    # Where bytecode has a folder of its own, it does not lie beside the modules.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPYCACHEPREFIX"}
    subprocess.run([sys.executable, "-c", command], cwd=tmp_path / "pack", env=environment, check=True)
    compiled = {file.name.split(".")[0] for file in (tmp_path / "pack" / "nodes" / "__pycache__").iterdir()}
    assert compiled == {file.stem for file in (tmp_path / "pack" / "nodes").glob("*.py")}
    folders = {file.parent.parent.name for file in (tmp_path / "pack").rglob("*.pyc")}
    assert {"server_routes", "rigging", "hunyuan3d"} <= folders and "client" not in folders
