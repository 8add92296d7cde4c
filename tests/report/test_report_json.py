"""report.json: strict, ordered, readable back, described by its schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import specimen

from medaudit.audit.results import Report
from medaudit.core.errors import RunError
from medaudit.report import json_schema, read_json, write_json


def test_round_trip(tmp_path: Path) -> None:
    report = specimen.report(name=specimen.HOSTILE)
    path = write_json(report, tmp_path)
    assert read_json(path) == read_json(tmp_path) == report
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]


def test_bytes_are_stable_and_in_the_model_s_order(tmp_path: Path) -> None:
    report = specimen.report(name="心電図.onnx")
    first = write_json(report, tmp_path).read_bytes()
    assert write_json(report, tmp_path).read_bytes() == first
    assert list(json.loads(first)) == list(Report.model_fields)
    assert b"\r" not in first
    assert first.endswith(b"}\n")
    assert "心電図".encode() in first
    assert b'\n  "run": {\n    "id"' in first


def test_the_written_file_fits_the_published_schema(tmp_path: Path) -> None:
    schema = json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    data = json.loads(write_json(specimen.report(), tmp_path).read_bytes())
    validator.validate(data)
    for broken in ({**data, "more": 1}, {k: v for k, v in data.items() if k != "seed"}):
        assert not validator.is_valid(broken)
    data["checks"][0]["verdict"] = "robust"
    assert not validator.is_valid(data)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused(tmp_path: Path, bad: float) -> None:
    report = specimen.report()
    report.checks[2].metrics["robust_accuracy"].value = bad
    with pytest.raises(ValueError, match="JSON"):
        write_json(report, tmp_path)
    assert not list(tmp_path.iterdir())


def _edit(**changes: Any) -> bytes:
    return json.dumps({**specimen.report().model_dump(mode="json"), **changes}).encode()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"{", "not a report"),
        (b"[]", "schema_version is missing"),
        (b'{"schema_version": "1.0", "seed": NaN}', "NaN is not strict JSON"),
        (b'{"schema_version": "1.0", "schema_version": "1.0"}', "given twice"),
        (_edit(schema_version="9.0"), "schema_version is '9.0'"),
        (_edit(exit_code="none"), "exit_code"),
        (_edit(extra=1), "extra"),
        (b"\xff\xfe", "not a report"),
        (b"[" * 200_000, "not a report"),
    ],
)
def test_what_is_no_report_is_refused_in_one_sentence(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(data)
    with pytest.raises(RunError, match=said):
        read_json(path)


def test_a_missing_report_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such report"):
        read_json(tmp_path)
