"""The client's types are the schemas that the service publishes: members, kinds, words, what is required."""

import types
import typing

import pytest
from character3d import client
from character3d.server_routes import openapi
from character3d.server_routes.parameters import FIELDS

# The client is typed for Python 3.10, too, where typing lacks this.
NAMES = {"NotRequired": typing.NotRequired}
KINDS = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}
SCHEMAS = openapi.list_schemas()
del SCHEMAS["Problem"]  # the same as Error, for who asks, which the client does not


def describe_members(typed):
    hints = typing.get_type_hints(typed, localns=NAMES, include_extras=True)
    optional = {name for name, hint in hints.items() if typing.get_origin(hint) is typing.NotRequired}
    required = hints.keys() - optional if typed.__total__ else set()
    inner = {name: typing.get_args(hint)[0] if name in optional else hint for name, hint in hints.items()}
    return {
        "type": "object",
        "required": required,
        "properties": {name: describe_type(hint) for name, hint in inner.items()},
    }


def describe_type(hint):
    """A type as the schema of what it allows."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint in KINDS:
        return {"type": KINDS[hint]}
    if origin is typing.Literal:
        return {"enum": set(arguments)}
    if origin is list:
        return {"type": "array", "items": describe_type(arguments[0])}
    if origin is dict:
        values = {} if arguments[1] is typing.Any else {"additionalProperties": describe_type(arguments[1])}
        return {"type": "object", **values}
    if origin in (types.UnionType, typing.Union):
        return unite([describe_type(argument) for argument in arguments])
    return describe_members(hint)


def unite(options):
    """One of some described types; words make one list."""
    if all("enum" in option for option in options):
        return {"enum": set().union(*(option["enum"] for option in options))}
    return {"anyOf": options}


def describe_schema(schema):
    """A schema without what types cannot say: ranges, lengths, patterns, formats, texts."""
    if "$ref" in schema:
        return describe_schema(SCHEMAS[schema["$ref"].rsplit("/", 1)[-1]])
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return unite([describe_schema(option) for option in schema[word]])
    if "const" in schema or "enum" in schema:
        return {"enum": set(schema.get("enum", [schema.get("const")]))}
    described = {"type": schema["type"]}
    if "properties" in schema:
        described["required"] = set(schema["required"])
        described["properties"] = {name: describe_schema(item) for name, item in schema["properties"].items()}
    for word in ("items", "additionalProperties"):
        if word in schema:
            described[word] = describe_schema(schema[word])
    return described


def loosen(described):
    """Parameters is the form's type, too, where all is optional."""
    if isinstance(described, list):
        return [loosen(option) for option in described]
    if not isinstance(described, dict):
        return described
    is_form = described.get("properties", {}).keys() == FIELDS.keys()
    changed = {**described, **({"required": set()} if is_form else {})}
    return {key: loosen(value) for key, value in changed.items()}


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_every_schema_has_its_type(name):
    assert describe_type(getattr(client, name)) == loosen(describe_schema(SCHEMAS[name]))


def test_every_type_has_its_schema():
    assert set(client.__all__) - {"Client", "ServiceError"} == set(SCHEMAS)


def test_every_field_of_the_form_is_typed():
    form = openapi.form_schema()
    assert form["properties"].keys() - {"image"} == typing.get_type_hints(client.Parameters).keys()
    assert form["required"] == ["image"]


class Error(typing.TypedDict):
    status: typing.Literal["error"]
    error_code: str
    message: str
    details: dict[str, typing.Any]


def test_the_check_sees_a_difference():
    assert describe_type(Error) != describe_schema(SCHEMAS["Error"])
