"""Terminal output: permanent lines, one live line, and commands whose output goes to a log."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path


class QuickstartError(Exception):
    """An error for the user at the terminal; its message is shown without a traceback."""


class Terminal:
    """Permanent lines, and on a real terminal one live line below them."""

    def __init__(self) -> None:
        self.live_line = sys.stdout.isatty()
        unicode = (sys.stdout.encoding or "").lower().startswith("utf")
        self.done_mark, self.fail_mark, self.full, self.empty = "✓✗█░" if unicode else "+x#."
        if os.name == "nt":
            os.system("")  # enables escape sequences in the console

    def say(self, text: str = "") -> None:
        """Print a permanent line."""
        print(("\r\033[K" if self.live_line else "") + text, flush=True)

    def live(self, text: str) -> None:
        """Show `text` until the next line; does nothing if the output is not a terminal."""
        if self.live_line:
            width = shutil.get_terminal_size().columns - 1
            print("\r\033[K" + text[:width], end="", flush=True)

    def done(self, title: str, seconds: float) -> None:
        """Report that something is done and how long it took."""
        self.say(f"  {self.done_mark} {title}  {format_seconds(seconds)}")

    def bar(self, fraction: float, width: int = 24) -> str:
        """A progress bar of `width` characters."""
        filled = round(width * min(max(fraction, 0.0), 1.0))
        return self.full * filled + self.empty * (width - filled)


terminal = Terminal()


def format_seconds(seconds: float) -> str:
    """`4.2 s`, `37 s` or `3 min 05 s`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def read_tail(path: Path, lines: int = 25) -> str:
    """Return the last lines of a log, indented."""
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    return "\n".join("    " + line for line in text.splitlines()[-lines:])


def run_step(title: str, command: Sequence[str | Path], log: Path, folder: Path | None = None) -> None:
    """Run a command, write its output to `log` and show the elapsed time.

    Raises QuickstartError with the end of its output if it fails.
    """
    started = time.monotonic()
    if not terminal.live_line:
        terminal.say(f"  … {title}")
    with log.open("ab") as sink:
        start = sink.tell()
        process = subprocess.Popen(
            [str(part) for part in command], cwd=folder, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink
        )
        try:
            while process.poll() is None:
                terminal.live(f"  … {title}  {format_seconds(time.monotonic() - started)}")
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=0.5)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    if process.returncode:
        output = log.read_bytes()[start:].decode(errors="replace").strip()
        end = "\n".join("    " + line for line in output.splitlines()[-25:])
        raise QuickstartError(f"{title}: failed with exit status {process.returncode}.\n{end}\n  Log: {log}")
    terminal.done(title, time.monotonic() - started)
