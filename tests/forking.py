"""Starts ComfyUI in a fraction of its usual time.

Most of ComfyUI's start is the import of torch and of other packages. Here one process imports them
(multiprocessing's fork server), and each ComfyUI is a fork of it that runs main.py as the command line
would. The shared ComfyUI of tests/host starts as users start it.
"""

import multiprocessing
import os
import runpy
import signal
import subprocess
from pathlib import Path

PACKAGES = (
    "torch", "torchvision.models.convnext", "transformers.modeling_utils", "transformers", "kornia",
    "scipy.stats", "scipy.integrate", "spandrel", "torchsde", "safetensors.torch", "sqlalchemy.orm",
    "alembic.config", "alembic.command", "av", "aiohttp.web", "pydantic_settings", "requests", "yaml",
    "PIL.Image",
)  # fmt: skip
CHILD = Path(__file__).with_name("forked_main.py")

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(list(PACKAGES))


class ForkedProcess:
    """What launcher.server and the tests use of a subprocess.Popen."""

    def __init__(self, process):
        self._process, self.pid = process, process.pid

    @property
    def returncode(self):
        return self._process.exitcode

    def poll(self):
        return self._process.exitcode

    def wait(self, timeout=None):
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("ComfyUI", timeout)
        return self._process.exitcode

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def kill(self):
        self.send_signal(signal.SIGKILL)


def start_fork(command, environment, installation):
    """Run the command `python [options] main.py [arguments]` in a fork, with its output in the log."""
    settings = {
        "arguments": command[command.index(str(installation.comfyui / "main.py")) :],
        "environment": environment,
        "folder": str(installation.comfyui),
        "log": str(installation.log),
    }
    script = {"path_name": str(CHILD), "init_globals": {"settings": settings}}
    process = _context.Process(target=runpy.run_path, kwargs=script, daemon=True)
    process.start()
    return ForkedProcess(process)
