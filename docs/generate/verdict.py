"""docs/reference/verdict.md: the fields of a verdict, from edgeguard/verdict.schema.json.

This module knows no field by name.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from generate.markdown import NOTICE, code, table

Schema = dict[str, Any]

_HEAD = f"""{NOTICE}
# The verdict's schema

What `edgeguard check --json` prints, `batch` writes, `POST /v1/guard` answers and
`Verdict.to_json()` returns is one JSON object. `edgeguard/verdict.schema.json` in the package
describes it as JSON Schema; fields are only ever added. `batch` leaves out `seconds`, so that every
run writes the same bytes.

"""


def page() -> str:
    """The page."""
    text = resources.files("edgeguard").joinpath("verdict.schema.json").read_text("utf-8")
    schema: Schema = json.loads(text)
    rows = list(_rows(schema["properties"], schema["$defs"]))
    return _HEAD + table(("field", "type", "what it says"), rows)


def _rows(properties: Schema, defs: Schema, lead: str = "") -> list[tuple[str, str, str]]:
    rows = []
    for name, found in properties.items():
        found = {**defs.get(found.get("$ref", "").rpartition("/")[2], {}), **found}
        rows.append((code(lead + name), _type(found, defs), found.get("description", "")))
        rows += _rows(found.get("properties", {}), defs, f"{lead}{name}.")
    return rows


def _type(found: Schema, defs: Schema) -> str:
    if "$ref" in found and "enum" not in found:
        found = defs[found["$ref"].rpartition("/")[2]]
    if "enum" in found:
        return ", ".join(code(json.dumps(value)) for value in found["enum"])
    if found["type"] == "array":
        return f"list of {_type(found['items'], defs)}"
    if "propertyNames" in found:
        return f"object: a number for each of {_type(found['propertyNames'], defs)}" + (
            ", or null" if "null" in found["type"] else ""
        )
    return str(found["type"])
