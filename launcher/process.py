"""A process of this program's own: with a log, and out of reach of Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .terminal import QuickstartError, read_tail

NOBODY = 65534
"""The user without rights on Linux."""
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)


def is_root() -> bool:
    """Whether this program has all rights, which some servers refuse to have."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def find_account() -> dict[str, Any]:
    """Arguments of subprocess with which a server of the system's runs without root's rights."""
    return {"user": NOBODY, "group": NOBODY, "extra_groups": ()} if is_root() else {}


def make_own_folder(folder: Path) -> None:
    """Make a folder for the account of `find_account`, closed to others.

    Raises QuickstartError where that account cannot get there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    if is_root():
        os.chown(folder, NOBODY, NOBODY)
        if subprocess.run(["test", "-w", folder], **find_account()).returncode:
            said = f"Root does not run servers, and `nobody` cannot enter {folder}: choose another folder."
            raise QuickstartError(said)


class Process:
    """A running process. check, wait_until: QuickstartError with the end of its log where it has ended."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        log: Path,
        environment: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        """name: in what is said of it. environment: the whole of it. options: of subprocess.Popen."""
        self.name, self.log = name, log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as sink:
            self._process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                env=environment,
                start_new_session=True,
                **options,
            )

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def check(self) -> None:
        """Raise QuickstartError where the process has ended."""
        if (status := self._process.poll()) is not None:
            said = f"{self.name} has ended, status {status}. The end of {self.log}:"
            raise QuickstartError(f"{said}\n{read_tail(self.log)}")

    def wait_until(self, is_ready: Callable[[], bool], seconds: float) -> None:
        """Return when it is ready; QuickstartError where it ends, or is not ready in time."""
        deadline = time.monotonic() + seconds
        while not is_ready():
            self.check()
            if time.monotonic() > deadline:
                said = f"{self.name} is not ready after {seconds:g} seconds. The end of {self.log}:"
                raise QuickstartError(f"{said}\n{read_tail(self.log)}")
            time.sleep(0.1)

    def stop(self, number: int = signal.SIGTERM, seconds: float = 10.0) -> None:
        """Stop it with a signal, or by force what is left of it and its children after so many seconds."""
        try:
            self._process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
        finally:  # of a second Ctrl-C, too
            self.kill()

    def kill(self) -> None:
        """End it and its children at once."""
        if hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, KILL)
        else:
            self._process.kill()
        self._process.wait()
