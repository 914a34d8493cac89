"""What a reader leaves out of a file, told in one sentence. The workers import it alone."""

from __future__ import annotations

from collections import Counter

_MOST_NAMES = 3


class LeftOut:
    """Counts what has no place in a Model, and names whose motion has none."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._names: dict[str, dict[str, None]] = {}

    def count(self, kind: str, number: int = 1) -> None:
        """`number` more of a kind, such as "camera"."""
        self._counts[kind] += number

    def name(self, kind: str, name: str) -> None:
        """One that has a name, such as "scale animation of" a joint."""
        self._names.setdefault(kind, {})[name] = None

    def describe(self) -> list[str]:
        """One sentence, such as "left out: 2 cameras, scale animation of 'Bone'"; none if all was read."""
        counted = [
            f"{number} {kind}" if number == 1 else f"{number} {kind}s"
            for kind, number in sorted(self._counts.items())
            if number
        ]
        named = [f"{kind} {_list_names([*names])}" for kind, names in self._names.items()]
        return [f"left out: {', '.join(counted + named)}"] if counted or named else []


def _list_names(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_MOST_NAMES])
    return f"{shown} and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else shown
