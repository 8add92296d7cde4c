"""A RETAIN's own contributions, read out of its graph, are its formula's."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from medaudit.audit.attribute import attribute
from medaudit.audit.scan import Options, scan
from medaudit.policy.schema import ExplainerSection
from tests import retain

HOURS, VARIABLES, HIDDEN = 12, 5, 8
POLICY = """
medaudit: 1
policy: {id: retain}
threats: {box: {access: scores, norm: linf, eps: 0.2 sd}}
explainers:
  own: {kind: exported, alpha: alpha, beta: beta, embedding: embedding, out: out}
checks:
  - {id: led, rule: explanation-drift, threat: box, with: {explainer: own, records: 4, randomised: true},
     budget: {queries: 200}, require: {metric: excess_over_random, at_most: 50%}}
"""


def test_contributions_match_the_formula(tmp_path: Path) -> None:
    """alpha_t <w, beta_t * E_k> x_tk of the decided class less the other's, to 1e-5; they add up to its log-odds."""
    weights = retain.drawn(VARIABLES, HIDDEN, 4)
    retain.save(tmp_path / "m.onnx", weights, HOURS)
    x = np.random.default_rng(1).normal(size=(30, HOURS, VARIABLES)).astype(np.float32)
    logits, parts = retain.contributions(weights, x)
    names = np.array([f"v{k}" for k in range(VARIABLES)])
    np.savez(tmp_path / "d.npz", x=x, y=logits.argmax(axis=1), classes=np.array(["stays", "dies"]), names=names)
    section = ExplainerSection(kind="exported", alpha="alpha", beta="beta", embedding="embedding", out="out")
    for row in (0, 7, 29):
        found = attribute(tmp_path / "m.onnx", tmp_path / "d.npz", row, section, "", None)
        assert found.rows == 1
        k = int(logits[row].argmax())
        of_class = np.array(found.values).reshape(VARIABLES, HOURS).T
        assert np.abs(of_class - (parts[row, k] - parts[row, 1 - k])).max() < 1e-5
        assert abs(found.explained - (logits[row, k] - logits[row, 1 - k])) < 1e-4
        bias = weights["bias"][k] - weights["bias"][1 - k]
        assert abs(sum(found.values) + bias - found.explained) < 1e-4


def test_shuffled_weights_are_those_that_the_map_is_made_of(tmp_path: Path) -> None:
    """The last layer is in the formula: its shuffled weights give another map."""
    weights = retain.drawn(VARIABLES, HIDDEN, 4)
    retain.save(tmp_path / "m.onnx", weights, HOURS)
    x = np.random.default_rng(1).normal(size=(20, HOURS, VARIABLES)).astype(np.float32)
    logits, _ = retain.contributions(weights, x)
    names = np.array([f"v{k}" for k in range(VARIABLES)])
    np.savez(tmp_path / "d.npz", x=x, y=logits.argmax(axis=1), classes=np.array(["stays", "dies"]), names=names)
    (tmp_path / "p.yaml").write_text(POLICY)
    report, _ = scan(
        Options(tmp_path / "m.onnx", str(tmp_path / "p.yaml"), tmp_path / "d.npz", workers=1, out=tmp_path / "r")
    )
    seen = report.checks[0].explanation
    assert seen is not None
    assert 0 < seen.measures["randomised_last"].value < 0.95
    assert seen.measures["incompleteness"].value < 0.5
    assert all(seen.plans)
