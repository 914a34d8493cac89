"""Take paths of the server's disk out of messages that leave it."""

from __future__ import annotations

import re
from collections.abc import Iterable

MAX_MESSAGE = 1000

_ABSOLUTE_PATH = re.compile(
    r"""(?<![\w:/\\.])(?:[A-Za-z]:)?[\\/]{1,2}(?:[^\s\\/:'"<>|]+[\\/]+)+(?P<name>[^\s\\/:'"<>|]*)"""
)


def redact_paths(message: str, folders: Iterable[str] = ()) -> str:
    """Replace absolute paths by their last component, and cut the message to MAX_MESSAGE characters.

    folders: paths that are known to occur; they may hold blanks, which the pattern cannot see.
    """
    for folder in sorted((folder for folder in folders if len(folder) > 1), key=len, reverse=True):
        message = re.sub(re.escape(folder) + r"(?:[\\/]|(?![\w.-]))", "", message)
    message = _ABSOLUTE_PATH.sub(lambda match: match["name"] or "…", message).strip()
    return message if len(message) <= MAX_MESSAGE else message[:MAX_MESSAGE] + "…"
