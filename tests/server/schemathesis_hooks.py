"""What schemathesis must know about the service and the OpenAPI document cannot say; it loads this."""

import io
import random
import unicodedata

import schemathesis
from hypothesis import strategies as st
from PIL import Image

OF_THIS_MACHINE = {
    "model_name": {"enum": ["realistic_vision.safetensors", "sub/other.safetensors"]},
    "mesh_model": {"enum": ["auto", "hunyuan3d-dit-v2-0-fp16.safetensors"]},
    "corrections": {"enum": ["", '{"unit": "pixels", "neck": [8, 4]}']},
    "webhook_url": {"type": "string", "format": "webhook-url"},
}
"""What these fields may be depends on the machine: here, on the models of conftest.lay_base_folder."""

PAINTED = ("front", "left", "back", "right", "top", "bottom")
"""Files that must be as large as a view of the job; what is drawn is not."""

_LABEL = st.from_regex(r"[a-z0-9\u00e0-\u00f6\u4e00-\u4e10]{1,20}", fullmatch=True)
_PATH = st.text("abcXYZ019-._~!$&'()*+,;=:@%/?#\u00e9\u5927", max_size=40)
WEBHOOK_URLS = st.builds(
    "https://{}.{}.invalid{}/{}".format, _LABEL, _LABEL, st.sampled_from(["", ":8443", "."]), _PATH
)
"""Of the top-level domain that never exists (RFC 2606)."""

_deleted = set()


def encode_picture(color):
    """A PNG of one color."""
    buffer = io.BytesIO()
    Image.new("RGBA", (16, 16), (*color, 255)).save(buffer, "PNG")
    return buffer.getvalue()


schemathesis.openapi.format("webhook-url", WEBHOOK_URLS)
schemathesis.openapi.format("binary", st.tuples(*[st.integers(0, 255)] * 3).map(encode_picture))


def say_choice(form):
    """Say which files a form needs without if and else, which schemathesis cannot draw from."""
    condition, otherwise = form.pop("if"), form.pop("else")
    if form.pop("then", None):
        form["oneOf"] = [otherwise, condition]
    else:
        form["anyOf"] = [otherwise, *condition["anyOf"]]


def find_form(operations):
    """The schema of a path's form; empty without one."""
    body = operations.get("post", {}).get("requestBody", {"content": {}})
    return body["content"].get("multipart/form-data", {}).get("schema", {})


@schemathesis.hook
def before_load_schema(context, raw_schema):
    for operations in raw_schema["paths"].values():
        form = find_form(operations)
        if "if" in form:
            say_choice(form)
        if form.get("additionalProperties"):
            form["additionalProperties"] = {"type": "string"}  # all that a form can carry
        fields = form.get("properties", {})
        fields.update({name: rule for name, rule in OF_THIS_MACHINE.items() if name in fields})
        if "image" in fields:
            for name in PAINTED:
                fields.pop(name, None)
        if "motion" not in form.get("required", ()):
            fields.pop("motion", None)  # what is drawn for a file is a picture


BOOLEANS = ("enable_rigging", "fingers", "face", "strict", "animated_preview")
SPELLINGS = ("true", "1", "yes", "on", "false", "0", "no", "off")


def is_spelled_boolean(value):
    """Whether a value that is not a JSON boolean reads like one in a form, which has only text."""
    return not isinstance(value, bool) and str(value).strip().lower() in SPELLINGS


@schemathesis.hook
def filter_case(context, case):
    """Leave out forms whose fields disagree, names that no form can carry, and booleans as other text.

    A list is as many fields of its name: one of a single item is that item, an empty one is no field.
    """
    form = case.body if isinstance(case.body, dict) else {}
    if any(isinstance(value, list) and len(value) < 2 for value in form.values()):
        return False
    if any(is_spelled_boolean(form.get(name)) for name in BOOLEANS):
        return False
    if "image" in form and "image_sheet" in form:
        return False
    outline, side = form.get("outline_size"), form.get("mesh_input_size", 1024)
    if isinstance(outline, int) and isinstance(side, int) and side // 2 - 1 < outline <= 512:
        return False
    return not any(unicodedata.category(letter) == "Cc" for name in form for letter in name)


@schemathesis.hook
def before_call(context, case, kwargs):
    """Every request is another user's, through a trusted proxy, so that no limit hides what is behind."""
    case.headers["X-Forwarded-For"] = ".".join(str(random.randrange(1, 224)) for _ in range(4))


@schemathesis.hook
def after_call(context, case, response):
    if case.method == "DELETE" and response.status_code == 200:
        _deleted.add(case.path_parameters["job_id"])


def is_the_other_picture(failure, case):
    """Whether what a form is said to lack is one of two pictures, and it has the other, which is enough."""
    form = case.body if isinstance(case.body, dict) else {}
    lacks_one = "violates `required` at /oneOf/" in failure.message
    return lacks_one and ("image" in form) != ("image_sheet" in form)


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """DELETE answers 202 while it stops a job, which stays; and a full server says 503, as it should."""
    if type(failure).__name__ == "AcceptedNegativeData" and is_the_other_picture(failure, case):
        return False
    if type(failure).__name__ == "UseAfterFree":
        return case.path_parameters["job_id"] in _deleted
    return not (response.status_code == 503 and response.json()["details"]["reason"] == "queue_full")
