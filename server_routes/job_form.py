"""What the form of POST /generate_character says beside its files, on one machine and on several."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from .errors import invalid_parameter
from .parameters import Parameters, parse_form
from .upload import SHEET, Form


def read_job_form(
    form: Form, models: tuple[list[str], list[str]], check_url: Callable[[str], None]
) -> tuple[Parameters, bool]:
    """As parse_form, and what the files of the form do not go with is refused, or said."""
    parameters, is_learned = parse_form(form.fields, models, check_url)
    if SHEET in form.files and parameters.values["corrections"]:  # of which of its views is not said
        message = f"Invalid corrections. They are of the landmarks of image, and {SHEET} was sent"
        raise invalid_parameter(message, "corrections", provided=SHEET)
    if form.motion and not parameters.values["enable_rigging"]:
        warnings = (*parameters.warnings, "motion: ignored, since enable_rigging is false")
        parameters = replace(parameters, warnings=warnings)
    return parameters, is_learned
