"""Remove paths of the server's disk from messages that clients see."""

from __future__ import annotations

import re
from collections.abc import Iterable

MAX_MESSAGE = 1000

_ABSOLUTE_PATH = re.compile(
    r"""(?<![\w:/\\.])(?:[A-Za-z]:)?[\\/]{1,2}(?:[^\s\\/:'"<>|]+[\\/]+)+(?P<name>[^\s\\/:'"<>|]*)"""
)


def redact_paths(message: str, folders: Iterable[str] = ()) -> str:
    """Replace absolute paths by their last component, and cut the message to MAX_MESSAGE characters.

    folders: paths that are known to occur. They may contain spaces, which end a path for the pattern.
    """
    for folder in sorted((folder for folder in folders if len(folder) > 1), key=len, reverse=True):
        message = re.sub(re.escape(folder) + r"(?:[\\/]|(?![\w.-]))", "", message)
    message = _ABSOLUTE_PATH.sub(lambda match: match["name"] or "…", message).strip()
    return message if len(message) <= MAX_MESSAGE else message[:MAX_MESSAGE] + "…"
