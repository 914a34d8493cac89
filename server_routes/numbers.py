"""Whole numbers in queries and headers. The length of the text is bounded before its value is computed."""

from __future__ import annotations

from .errors import invalid_parameter


def parse_whole_number(text: str, parameter: str, expected: str, *, minimum: int, maximum: int) -> int:
    """A non-negative decimal number of ASCII digits, with no more digits than `maximum` has.

    expected: what the error message asks for. Raises ApiError 400.
    """
    is_plain = text.isascii() and text.isdigit() and len(text) <= len(str(maximum))
    if not (is_plain and minimum <= int(text) <= maximum):
        message = f"Invalid {parameter}. {expected}"
        raise invalid_parameter(message, parameter, provided=text[:100], minimum=minimum, maximum=maximum)
    return int(text)
