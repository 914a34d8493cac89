"""What schemathesis, which loads this file, must know beyond the OpenAPI document."""

import io
import random
import unicodedata

import schemathesis
from hypothesis import strategies as st
from PIL import Image

KNOWN = {
    "model_name": ["realistic_vision.safetensors", "sub/other.safetensors"],
    "mesh_model": ["auto", "hunyuan3d-dit-v2-0-fp16.safetensors"],
    "webhook_url": ["", "https://example.org/hook"],
}
"""Values that the server of the test accepts in fields whose values depend on the machine."""

_deleted = set()


def encode_picture(color):
    """A PNG of one color."""
    buffer = io.BytesIO()
    Image.new("RGBA", (16, 16), (*color, 255)).save(buffer, "PNG")
    return buffer.getvalue()


schemathesis.openapi.format("binary", st.tuples(*[st.integers(0, 255)] * 3).map(encode_picture))
schemathesis.openapi.format("any-host", st.text().map(lambda host: f"https://{host}/"))


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """Offer known values beside arbitrary text, so that some of these forms are accepted."""
    form = raw_schema["paths"]["/generate_character"]["post"]["requestBody"]["content"]["multipart/form-data"]
    for name, values in KNOWN.items():
        text = form["schema"]["properties"][name]
        form["schema"]["properties"][name] = {"anyOf": [{"enum": values}, text]}
    form["schema"]["properties"]["webhook_url"]["anyOf"].append({"type": "string", "format": "any-host"})


@schemathesis.hook
def filter_case(context, case):
    """Leave out forms whose fields contradict each other, and names that a form cannot carry."""
    form = case.body if isinstance(case.body, dict) else {}
    outline, side = form.get("outline_size"), form.get("mesh_input_size", 1024)
    if isinstance(outline, int) and isinstance(side, int) and side // 2 - 1 < outline <= 512:
        return False
    return not any(unicodedata.category(letter) == "Cc" for name in form for letter in name)


@schemathesis.hook
def before_call(context, case, kwargs):
    """Every request comes from another user, through a trusted proxy, so that no limit hides a defect."""
    case.headers["X-Forwarded-For"] = ".".join(str(random.randrange(1, 224)) for _ in range(4))


@schemathesis.hook
def after_call(context, case, response):
    if case.method == "DELETE" and response.status_code == 200:
        _deleted.add(case.path_parameters["job_id"])


def _is_expected(case, response):
    """A full server (503), or a value that this machine does not have (400)."""
    details = response.json().get("details", {})
    if response.status_code == 503:
        return details["reason"] == "queue_full"
    wrong = {error.get("parameter") for error in details.get("errors", [details])}
    return response.status_code == 400 and wrong <= KNOWN.keys() & case.body.keys()


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """DELETE answers 202 while it stops a job, which stays."""
    if type(failure).__name__ == "UseAfterFree":
        return case.path_parameters["job_id"] in _deleted
    return not (response.status_code in (400, 503) and _is_expected(case, response))
