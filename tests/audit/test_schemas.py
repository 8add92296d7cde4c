"""Published schemas are current and hold for what the tool writes."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import yaml

from medaudit.audit.schemas import schemas, text
from medaudit.policy.loader import shipped, shipped_folder


def test_shipped_schemas_are_current() -> None:
    for name, schema in schemas().items():
        assert (shipped_folder() / name).read_text() == text(schema), "run python -m medaudit.audit.schemas"
        jsonschema.Draft202012Validator.check_schema(schema)


def test_shipped_policies_fit_the_schema() -> None:
    schema = schemas()["policy-v1.schema.json"]
    for name in shipped():
        data = yaml.safe_load(Path(shipped_folder() / name).read_text())
        jsonschema.validate(json.loads(json.dumps(data)), schema)
