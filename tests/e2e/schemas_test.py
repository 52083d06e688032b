#!/usr/bin/env python3
"""Goal: the schemas in docs/schemas accept what Weir says and refuse what it never says.
Method: every vector in tests/vectors must be valid; so must a copy with members that nobody knows; each copy with one
required member missing, of another type, or out of its range must not be."""
import copy
import json
import pathlib
import sys

try:
    import jsonschema
except ImportError:
    print("python3-jsonschema is not installed")
    sys.exit(77)

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SCHEMAS = ROOT / "docs" / "schemas"
VECTORS = ROOT / "tests" / "vectors"

# Broken on purpose: vector, path of the member, what it is set to.
BROKEN = [
    ("alert-raised", "specversion", "0.3"),
    ("alert-raised", "type", "dev.weir.gap.v1"),
    ("alert-raised", "source", "urn:weir:0123:alerts"),
    ("alert-raised", "source", "urn:weir:0123456789abcdeffedcba9876543210:raw"),
    ("alert-raised", "id", "01J8Q4W3ZK5T8N2V6R0B7D1F9H"),
    ("alert-raised", "id", "01J8Q4W3ZK5T8N2V6R0B7D1F9H.0"),
    ("alert-raised", "sequence", 17),
    ("alert-raised", "sequence", "17"),
    ("alert-raised", "time", "2026-09-21 14:13:22"),
    ("alert-raised", "severitynumber", 10),
    ("alert-raised", "data.revision", 0),
    ("alert-raised", "data.alert_id", "short"),
    ("alert-raised", "data.transition", "opened"),
    ("alert-raised", "data.state", "cleared"),
    ("alert-cleared", "data.state", "raised"),
    ("alert-raised", "data.severity", "fatal"),
    ("alert-raised", "data.observed", "9.5"),
    ("alert-raised", "data.device", ""),
    ("alert-raised", "data.journal.first_block", -1),
    ("alert-raised", "data.config_digest", "abc"),
    ("alert-raised", "data.enrichment_left_out", True),
    ("alert-unenriched", "data.enrichment_left_out", False),
    ("alert-unenriched", "data.recent", []),
    ("gap", "data.from", 0),
    ("gap", "data.lane", "events"),
    ("notice", "data.facts", {"level": "one"}),
    ("correction", "source", "urn:weir:0123456789abcdeffedcba9876543210:alerts"),
    ("correction", "id", "correction.43"),
    ("correction", "data.kind", "window"),
    ("correction", "data.key", {}),
    ("correction", "data.value", None),
    ("correction", "data.window.count", 0),
    ("correction", "data.needed_lateness_ms", -1),
    ("receipt", "store", "0123"),
    ("receipt", "lanes", {"alerts": -1}),
    ("receipt", "lanes", {"alerts": 1.5}),
    ("replay", "lane", "events"),
    ("replay", "from", 0),
]


def validator_for(vector):
    schema = json.loads((SCHEMAS / f"{vector.split('-')[0]}.v1.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return schema, jsonschema.Draft202012Validator(schema)


def holder_of(document, path):
    *way, last = path.split(".")
    for step in way:
        document = document[step]
    return document, last


def required_paths(schema, prefix=""):
    for name in schema.get("required", []):
        yield prefix + name
        yield from required_paths(schema.get("properties", {}).get(name, {}), f"{prefix}{name}.")


def main():
    faults, checked = [], 0
    vectors = {path.stem: json.loads(path.read_text()) for path in sorted(VECTORS.glob("*.json"))}
    kinds = {path.name.split(".")[0] for path in SCHEMAS.glob("*.json")}
    faults += [f"{kind}: a schema without a vector" for kind in kinds - {name.split("-")[0] for name in vectors}]
    for name, vector in vectors.items():
        schema, validator = validator_for(name)
        for error in validator.iter_errors(vector):
            faults.append(f"{name}: {error.json_path}: {error.message}")
        more = copy.deepcopy(vector)
        more["somethingnew"] = more.get("data", more)["something_new"] = {"a": 1}
        if not validator.is_valid(more):
            faults.append(f"{name}: a new member is refused")
        for path in required_paths(schema):
            for breaks in ("missing", "mistyped"):
                broken = copy.deepcopy(vector)
                holder, last = holder_of(broken, path)
                if breaks == "missing":
                    del holder[last]
                else:
                    holder[last] = ["neither", "this", "nor that"]
                checked += 1
                if validator.is_valid(broken):
                    faults.append(f"{name}: {path} {breaks}, and still valid")
    for name, path, value in BROKEN:
        broken = copy.deepcopy(vectors[name])
        holder, last = holder_of(broken, path)
        holder[last] = value
        checked += 1
        if validator_for(name)[1].is_valid(broken):
            faults.append(f"{name}: {path} = {value!r}, and still valid")
    print("\n".join(faults) or f"{len(vectors)} vectors are valid, {checked} broken copies are not")
    return 1 if faults else 0


sys.exit(main())
