"""quickstart.py cluster, wholly: one character on two workers, and nothing that is left after Ctrl-C."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from character3d.launcher.installation import REPOSITORY
from character3d.launcher.postgres import find_postgres
from character3d.launcher.rabbitmq import find_rabbitmq
from character3d.launcher.server import find_free_port

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.skipif(
        not (find_postgres() and find_rabbitmq()), reason="PostgreSQL or RabbitMQ is not installed"
    ),
]
STAGES = ("preprocessing", "mesh_generation", "generating_multiview_texture", "texture_baking", "rigging")


@pytest.fixture
def folder():
    """One that the user without rights can enter, as whom PostgreSQL and RabbitMQ run for root."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        os.chmod(name, 0o755)
        yield Path(name)


@pytest.fixture
def comfyui(comfyui_folder, folder):
    """The tests' ComfyUI, with a models folder of its own, into which quickstart puts the pack's."""
    base = folder / "ComfyUI"
    (base / "models").mkdir(parents=True)
    (base / "main.py").symlink_to(comfyui_folder / "main.py")
    return base


def find_descendants(pid):
    """{number: command line} of the children of a process, and of theirs."""
    processes = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except (OSError, ValueError):  # it has ended meanwhile
            continue
        processes[int(entry.name)] = (parent, command)
    found = {pid}
    while more := {one for one, (parent, _) in processes.items() if parent in found} - found:
        found |= more
    return {one: processes[one][1] for one in found - {pid} if one in processes}


def find_users_of(folder):
    """Command lines of processes, daemons too, whose command or working folder lies in a folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            place = os.readlink(entry / "cwd")
        except OSError:
            continue
        if str(folder) in command or place.startswith(str(folder)):
            found.append(command)
    return found


def test_one_character_on_a_cluster_which_then_ends_whole(comfyui, folder):
    out, port = folder / "out", find_free_port()
    command = [sys.executable, "-u", REPOSITORY / "quickstart.py", "cluster", "--comfyui", comfyui]
    command += ["--data", folder / "data", "--out", out, "--port", str(port)]
    said = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout:
            said.append(line)
            if "Stop with Ctrl-C" in line:
                running = find_descendants(process.pid)
                process.send_signal(signal.SIGINT)
    text = "".join(said)
    assert process.returncode == 0, text
    shown = re.findall(r"^  . (\w+) .*\d+(?:\.\d)? s$", text, re.MULTILINE)
    assert tuple(name for name in shown if name in STAGES) == STAGES, text
    assert re.search(r"^Done in [\d.]+ seconds\. The files:$", text, re.MULTILINE), text
    files = [Path(name) for name in re.findall(r"^    (.+)  \([\d.]+ MB\)$", text, re.MULTILINE)]
    assert {file.suffix for file in files} == {".glb", ".fbx", ".png"} and len(files) == 5, text
    assert all(file.parent == out and file.stat().st_size > 10_000 for file in files)
    parts = "\n".join(running.values())
    assert len(re.findall(r"main\.py --port", parts)) == 2 and f"front-door --port {port}" in parts
    assert len(re.findall(r"cluster worker", parts)) == 2 and "beam" in parts and "postgres" in parts
    assert not [pid for pid in running if Path(f"/proc/{pid}").exists()]
    assert find_users_of(folder) == []
