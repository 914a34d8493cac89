"""Whole numbers in queries and headers. The length of the text is bounded before its value is computed."""

from __future__ import annotations

from aiohttp import web

from .errors import ApiError, invalid_parameter

MAX_LENGTH_DIGITS = 18


def parse_whole_number(text: str, parameter: str, expected: str, *, minimum: int, maximum: int) -> int:
    """A non-negative decimal number of ASCII digits, with no more digits than `maximum` has.

    expected: what the error message asks for. Raises ApiError 400.
    """
    is_plain = text.isascii() and text.isdigit() and len(text) <= len(str(maximum))
    if not (is_plain and minimum <= int(text) <= maximum):
        message = f"Invalid {parameter}. {expected}"
        raise invalid_parameter(message, parameter, provided=text[:100], minimum=minimum, maximum=maximum)
    return int(text)


def read_content_length(request: web.Request) -> int:
    """The Content-Length of a request, 0 without one; raises ApiError 400.

    aiohttp's parser accepts more digits than Python converts.
    """
    text = request.headers.get("Content-Length", "0")
    expected, most = "Must be a number of bytes", 10**MAX_LENGTH_DIGITS - 1
    try:
        return parse_whole_number(text, "Content-Length", expected, minimum=0, maximum=most)
    except ApiError as error:
        error.closes = True
        raise
