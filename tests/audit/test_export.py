"""Failing inputs as a data file: what the model answers wrongly, with its records' labels and patients."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from test_curve import POLICY, ROWS, setting

from medaudit import data as readers
from medaudit.audit.export import export
from medaudit.audit.scan import scan
from medaudit.core.errors import RunError
from medaudit.core.interface import Channel, Input, Interface, Output
from medaudit.model.codec import points_to_stored, stored_to_points
from medaudit.report.bundle import publish


def test_every_failing_input_is_there(tmp_path: Path) -> None:
    options = setting(tmp_path)
    report, run = scan(options)
    publish(report, run)
    (check,) = report.checks
    out = tmp_path / "adversarial.npz"
    assert export(run, out) == sum(case.success for case in check.cases)
    assert options.data is not None
    clean, found = readers.read(options.data), readers.read(out)
    assert found.classes == clean.classes
    assert found.y is not None
    assert clean.y is not None
    place = {name: i for i, name in enumerate(clean.ids)}
    rows = [place[name.removesuffix("~near")] for name in found.ids]
    assert found.y.tolist() == clean.y[rows].tolist()
    assert found.groups == tuple(clean.groups[i] for i in rows)
    assert np.abs(found.x[""] - clean.x[""][rows]).max() <= 0.5 * (1 + 1e-5)
    answers = (found.x[""].mean(axis=1) > 0).astype(int)  # the model
    assert (answers != found.y).all()


def test_nothing_to_export(tmp_path: Path) -> None:
    options = setting(tmp_path, POLICY.replace("eps: 0.5", "eps: 0.001").replace("curve: [0.25, 0.5, 1, 2.5], ", ""))
    report, run = scan(options)
    publish(report, run)
    with pytest.raises(RunError, match="holds no failing input"):
        export(run, tmp_path / "adversarial.npz")
    with pytest.raises(RunError, match="has no attack 'far'"):
        export(run, tmp_path / "adversarial.npz", "far")
    assert not (tmp_path / "adversarial.npz").exists()
    assert report.data.rows == ROWS


AXES = [
    ("image", ("batch", "channel", "row", "column"), (2, 3, 4), ("batch", "row", "column", "channel"), (5, 3, 4, 2)),
    ("signal", ("batch", "time", "lead"), (7, 2), ("batch", "lead", "time"), (5, 2, 7)),
    ("sequence", ("batch", "hour", "variable"), (4, 3), ("batch", "hour", "variable"), (5, 4, 3)),
    ("table", ("batch", "feature"), (6,), ("batch", "feature"), (5, 6)),
]


@pytest.mark.parametrize(("domain", "axes", "shape", "stored", "size"), AXES)
def test_points_come_back_as_stored(
    domain: str, axes: tuple[str, ...], shape: tuple[int, ...], stored: tuple[str, ...], size: tuple[int, ...]
) -> None:
    """In any order of the file's axes."""
    item = Input("x", "float32", domain, axes, shape, stored, channels=(Channel(""),))
    face = Interface((item,), Output("multiclass", ("y",)))
    values = np.random.default_rng(1).normal(0, 1, size).astype(np.float32)
    (back,) = points_to_stored(face, stored_to_points(face, {"x": values}))
    np.testing.assert_array_equal(back.reshape(size), values)
