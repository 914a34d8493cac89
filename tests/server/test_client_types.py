"""client/types.py is what scripts/client_types.py makes of the service's schemas; pip installs the client."""

import shutil
import subprocess
import sys

import pytest
import tomllib
from character3d import client
from character3d.launcher.installation import REPOSITORY
from character3d.scripts.client_types import TYPES, write_type, write_types
from character3d.server_routes.parameters import FIELDS
from character3d.server_routes.schemas import form_schema, list_schemas
from character3d.server_routes.upload import EDITS, SHEET, SIDE_PICTURES

SCHEMAS = list_schemas()


def test_the_types_are_generated_from_the_schemas():
    """Otherwise run `python scripts/client_types.py`."""
    assert TYPES.read_text(encoding="utf-8") == write_types(SCHEMAS)


def test_the_script_writes_what_is_there():
    before = TYPES.read_bytes()
    done = subprocess.run([sys.executable, REPOSITORY / "scripts" / "client_types.py"], capture_output=True)
    assert (done.returncode, TYPES.read_bytes()) == (0, before), done.stderr.decode()


def test_every_type_is_exported():
    assert set(client.__all__) == {"AsyncClient", "Client", "ServiceError", *SCHEMAS}


def test_every_field_of_the_form_is_typed():
    form = form_schema()
    assert list(form["properties"]) == ["image", *SIDE_PICTURES, SHEET, "motion", *EDITS, *FIELDS]
    assert not form.keys() & {"oneOf", "anyOf", "allOf"}  # generators of clients leave such a form out
    assert list(client.Parameters.__annotations__) == list(FIELDS) and not client.Parameters.__total__


@pytest.mark.parametrize(
    ("schema", "written"),
    [
        ({"type": "integer", "minimum": 1}, "int"),
        ({"type": "number"}, "float"),
        ({"type": "string", "pattern": "^a$"}, "str"),
        ({"type": "boolean"}, "bool"),
        ({"const": True, "type": "boolean"}, "Literal[True]"),
        ({"enum": [512, 768], "type": "integer"}, "Literal[512, 768]"),
        ({"oneOf": [{"const": "a", "description": "A."}, {"const": "b"}]}, "Literal['a', 'b']"),
        ({"anyOf": [{"$ref": "#/components/schemas/Stage"}, {"type": "null"}]}, "Stage | None"),
        ({"type": "array", "items": {"$ref": "#/components/schemas/Job"}}, "list[Job]"),
        ({"type": "object", "additionalProperties": {"type": "string"}}, "dict[str, str]"),
        ({"type": "object", "additionalProperties": True}, "dict[str, Any]"),
        ({"type": "object"}, "dict[str, Any]"),
    ],
)
def test_a_schema_as_a_type(schema, written):
    assert write_type(schema) == written


OBJECT = """class Stage(TypedDict):
    \"\"\"One stage.\"\"\"

    name: str
    seconds: NotRequired[float]
    \"\"\"Wall time.\"\"\"
"""
FORM = """class Form(TypedDict, total=False):
    \"\"\"A form.\"\"\"

    steps: int
"""


def test_members_that_may_be_absent():
    stage = {
        "description": "One stage.",
        "required": ["name"],
        "properties": {
            "name": {"type": "string"},
            "seconds": {"type": "number", "description": "Wall time."},
        },
    }
    form = {
        "description": "A form.",
        "required": ["steps"],
        "properties": {"steps": {"type": "integer", "default": 10}},
    }
    written = write_types({"Stage": stage, "Form": form})
    assert written.endswith(f"\n\n\n{OBJECT}\n\n{FORM}")


def read_version(folder):
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


def test_pip_installs_the_client_under_a_name_of_its_own(tmp_path):
    pytest.importorskip("setuptools")
    shutil.copytree(REPOSITORY / "client", tmp_path / "client")  # setuptools leaves files there
    options = ("--no-deps", "--no-build-isolation", "--target", tmp_path / "site")
    pip = [sys.executable, "-m", "pip", "install", *options, tmp_path / "client"]
    done = subprocess.run(pip, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    script = f"import sys; sys.path.append({str(tmp_path / 'site')!r}); from character3d_client import Client"
    subprocess.run([sys.executable, "-I", "-S", "-c", script], check=True)
    assert (tmp_path / "site" / "character3d_client" / "py.typed").is_file()
    (metadata,) = (tmp_path / "site").glob("comfyui_character3d_client-*.dist-info/entry_points.txt")
    assert "character3d = character3d_client.command:main" in metadata.read_text(encoding="utf-8")


def test_the_client_has_the_version_of_the_pack():
    assert read_version(REPOSITORY / "client") == read_version(REPOSITORY)
