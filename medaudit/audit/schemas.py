"""The published JSON Schemas (2020-12): of a policy, for editors, and of report.json.

`python -m medaudit.audit.schemas` writes them into `policies/`; a test keeps them current.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from medaudit.audit.results import SCHEMA_VERSION, Report
from medaudit.policy.loader import shipped_folder
from medaudit.policy.schema import VERSION, Policy

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> dict[str, dict[str, Any]]:
    """File name -> schema."""
    policy = Policy.model_json_schema(by_alias=True)
    report = Report.model_json_schema(mode="serialization")
    return {
        f"policy-v{VERSION}.schema.json": {
            "$schema": DIALECT,
            "$id": f"urn:medaudit:policy:{VERSION}",
            **policy,
        },
        "report-v1.schema.json": {
            "$schema": DIALECT,
            "$id": f"urn:medaudit:report:{SCHEMA_VERSION}",
            **report,
        },
    }


def text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=1, sort_keys=True) + "\n"


def main(folder: Path | None = None) -> None:
    for name, schema in schemas().items():
        ((folder or shipped_folder()) / name).write_text(text(schema), encoding="utf-8")


if __name__ == "__main__":
    main()
