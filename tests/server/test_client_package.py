"""The client as a wheel in an environment of its own: its command, and its MCP server with the SDK."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from character3d.launcher.environment import find_python
from character3d.launcher.installation import REPOSITORY
from character3d.pipeline.conventions import CHARACTER_FORMATS
from character3d.pipeline.presets import PRESETS

from .conftest import make_png

pytestmark = pytest.mark.nightly
HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The Python of an environment with the client's wheel, and neither ComfyUI nor torch."""
    generators = Path(os.environ.get("CHARACTER3D_GENERATORS", "/nowhere"))
    if not generators.is_dir():
        pytest.skip("no generators here; `python quickstart.py nightly` installs them")
    site = tmp_path_factory.mktemp("client")
    python = find_python(generators / "venv")
    copied = site / "source"
    copied.mkdir()
    for file in (REPOSITORY / "client").iterdir():
        if file.is_file():
            (copied / file.name).write_bytes(file.read_bytes())
    pip = [python, "-m", "pip"]
    subprocess.run([*pip, "wheel", "-q", "--no-deps", "-w", site, copied], check=True)
    (wheel,) = site.glob("*.whl")
    subprocess.run([*pip, "install", "-q", "--no-deps", "--force-reinstall", wheel], check=True)
    has = "import importlib.util as u; print(*[n for n in ('torch', 'aiohttp', 'comfy') if u.find_spec(n)])"
    assert subprocess.run([python, "-I", "-c", has], capture_output=True, text=True).stdout.strip() == ""
    return python


def run_command(python, *arguments):
    command = [python.parent / "character3d", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_the_command_of_the_wheel(installed, comfyui, tmp_path):
    (tmp_path / "knight.png").write_bytes(make_png())
    options = ("-o", tmp_path / "out", "--format", "vrm", "--server", comfyui.url)
    done = run_command(installed, tmp_path / "knight.png", *options)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["knight.vrm"]


def test_the_tools_of_the_mcp_server(installed, comfyui, tmp_path):
    (tmp_path / "knight.png").write_bytes(make_png())
    (tmp_path / "robot.glb").write_bytes(b"glTF")
    (tmp_path / "walk.bvh").write_bytes(b"HIERARCHY")
    command = [installed, "-I", HERE / "data" / "ask_mcp.py", installed.parent / "character3d", comfyui.url]
    done = subprocess.run([*command, tmp_path], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["tools"] == ["animate", "check", "download", "generate", "rig", "status"]
    assert found["schema"]["preset"]["enum"] == list(PRESETS)
    assert found["schema"]["character_format"]["anyOf"][0]["enum"] == list(CHARACTER_FORMATS)
    assert [found[name]["status"] for name in ("generate", "rig", "animate")] == ["completed"] * 3
    assert found["check"] == ["text", "image"] and found["check_mesh"]["kind"] == "humanoid"
    assert all(Path(path).stat().st_size for path in found["files"]) and len(found["files"]) > 4
    assert found["refused"].endswith("404 JOB_NOT_FOUND: Job not found")


@pytest.mark.skipif(sys.platform == "win32", reason="mypy's paths")
def test_the_client_is_typed(installed, tmp_path):
    (tmp_path / "use.py").write_text(
        "from character3d_client import Client\n"
        "reveal_type(Client('http://x').generate(b'')['job_id'])\n"
        "Client('http://x').generate(b'', steps='three')\n"
    )
    command = [sys.executable, "-m", "mypy", "--python-executable", installed, "use.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert re.search(r'Revealed type is "(builtins\.)?str"', done.stdout), done.stdout
    assert 'incompatible type "str"; expected "int"' in done.stdout
