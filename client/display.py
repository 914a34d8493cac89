"""What the command shows: a bar for each job on a terminal, and a line for each stage elsewhere."""

from __future__ import annotations

import threading
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn


class Display:
    """Shows orders by their names, on standard error, while its `with` block runs. For any thread."""

    def __init__(self) -> None:
        self.console = console = Console(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[stage]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._stages: dict[str, str] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Display:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def show(self, name: str, stage: str, percent: int) -> None:
        """Show what an order is doing, and its progress 0..100."""
        with self._lock:
            if not self.console.is_terminal:
                if self._stages.get(name) != stage:
                    self.say(f"{name}: {stage} ({percent} %)")
                self._stages[name] = stage
                return
            if name not in self._tasks:
                self._tasks[name] = self._bars.add_task(escape(name), total=100, stage="")
            self._bars.update(self._tasks[name], completed=percent, stage=escape(stage))

    def end(self, name: str, sentence: str) -> None:
        """Replace an order's bar by a sentence about how it ended."""
        with self._lock:
            if name in self._tasks:
                self._bars.remove_task(self._tasks.pop(name))
        self.say(f"{name}: {sentence}")

    def say(self, sentence: str) -> None:
        """Show a line above the bars."""
        self.console.print(sentence, markup=False, highlight=False, soft_wrap=True)
