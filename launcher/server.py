"""The ComfyUI process: start it, wait until it responds, stop it."""

from __future__ import annotations

import contextlib
import functools
import http.client
import os
import random
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .installation import WINDOWS, Installation
from .terminal import QuickstartError, format_seconds, read_tail, terminal

HOST = "127.0.0.1"

ASK_FOR_GPU = (
    "import torch; xpu = getattr(torch, 'xpu', None); "
    "print(any(b and b.is_available() for b in (torch.cuda, torch.backends.mps, xpu)))"
)


@dataclass(frozen=True)
class Server:
    """A ComfyUI process that was started by this program."""

    process: subprocess.Popen[bytes]
    installation: Installation
    port: int

    @property
    def address(self) -> str:
        """The URL of the server."""
        return f"http://{HOST}:{self.port}"

    @property
    def log(self) -> Path:
        """What ComfyUI says."""
        return self.installation.log

    def find_result(self, job_id: str, attempt: int, path: str) -> Path:
        """Where a result file lies. path: as the service names it."""
        return self.installation.base / "output" / path.removeprefix("/output/")

    def check(self) -> None:
        """Raise QuickstartError with the end of the log if ComfyUI has ended."""
        if self.process.poll() is not None:
            log = self.installation.log
            status = self.process.returncode
            raise QuickstartError(f"ComfyUI has ended, status {status}. The end of {log}:\n{read_tail(log)}")

    def wait(self) -> None:
        """Wait until ComfyUI ends; since it should not, raise QuickstartError."""
        self.process.wait()
        self.check()

    def wait_until_ready(self) -> None:
        """Return when ComfyUI responds.

        Raises QuickstartError with the end of its log if it ends, or does not respond within 5 minutes.
        """
        started = time.monotonic()
        while (seconds := time.monotonic() - started) < 300:
            self.check()
            terminal.live(f"  … starting ComfyUI  {format_seconds(seconds)}")
            with contextlib.suppress(OSError, http.client.HTTPException):
                urllib.request.urlopen(f"{self.address}/system_stats", timeout=60).close()
                self.check()  # another server may have the port
                terminal.done(f"ComfyUI is up at {self.address}", seconds)
                return
            time.sleep(0.25)
        log = self.installation.log
        raise QuickstartError(f"ComfyUI does not answer. The end of {log}:\n{read_tail(log)}")

    def stop(self) -> None:
        """Stop ComfyUI: with a signal first, so that it removes its temporary files, then by force."""
        interrupt = signal.CTRL_BREAK_EVENT if WINDOWS else signal.SIGINT  # type: ignore[attr-defined]
        for end in (lambda: self.process.send_signal(interrupt), self.process.terminate, self.process.kill):
            if self.process.poll() is not None:
                return
            end()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=5)


def check_port(port: int) -> None:
    """Raise QuickstartError where another program has the port."""
    with socket.socket() as probe:
        if probe.connect_ex((HOST, port)) == 0:
            raise QuickstartError(f"Port {port} is taken by another program. Choose another with --port.")


def find_free_port() -> int:
    """Return an unused port, for servers that run next to the user's own.

    It lies below the ports that systems give to outgoing connections, which could take it before the server.
    """
    while True:
        port = random.randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind((HOST, port))
            return port


def start_process(
    command: list[str], environment: dict[str, str], installation: Installation
) -> subprocess.Popen[bytes]:
    """Start ComfyUI in a process group of its own, with its output in the log."""
    own_group: dict[str, Any] = (
        {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}  # type: ignore[attr-defined]
        if WINDOWS
        else {"start_new_session": True}  # Ctrl-C reaches ComfyUI only through this program
    )
    with installation.log.open("wb") as sink:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            cwd=installation.comfyui,
            env=environment,
            **own_group,
        )


@contextlib.contextmanager
def run_server(
    installation: Installation,
    port: int,
    arguments: Sequence[str] = (),
    start: Callable[[list[str], dict[str, str], Installation], subprocess.Popen[bytes]] = start_process,
) -> Iterator[Server]:
    """Run ComfyUI while the block runs; yields once it answers.

    arguments: added to its command line. start: how its process starts.
    Raises QuickstartError where the port is taken or ComfyUI does not come up.
    """
    check_port(port)
    installation.log.parent.mkdir(parents=True, exist_ok=True)
    # Threads that wait by spinning take the processor from those they wait for.
    environment = {"OMP_WAIT_POLICY": "passive", **os.environ}
    process = start([*make_server_command(installation, port), *arguments], environment, installation)
    server = Server(process, installation, port)
    try:
        server.wait_until_ready()
        yield server
    finally:
        server.stop()


@functools.cache
def has_no_gpu(python: Path) -> bool:
    """Whether this Python's torch finds no GPU. Takes a few seconds."""
    answer = subprocess.run([python, "-c", ASK_FOR_GPU], capture_output=True, text=True)
    return answer.stdout.strip() == "False"


def make_server_command(installation: Installation, port: int) -> list[str]:
    """Return the command that starts ComfyUI, on the CPU if torch finds no GPU."""
    command = [
        str(installation.python),
        "-X",
        "utf8",
        "-u",
        str(installation.comfyui / "main.py"),
        "--port",
        str(port),
    ]
    if has_no_gpu(installation.python):
        # The attention that ComfyUI chooses for CPUs by default is several times slower.
        command += ["--cpu", "--use-pytorch-cross-attention"]
    if installation.is_own:
        database = installation.base / "user" / "comfyui.db"
        command += [
            "--base-directory",
            str(installation.base),
            "--database-url",
            f"sqlite:///{database.as_posix()}",
        ]
    return command
