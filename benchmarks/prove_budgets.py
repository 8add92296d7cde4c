"""Proof: rows counted by an independent wrapper around the session equal the ledger, for every rule.

The wrapper replaces ONNX Runtime's session object itself and counts the rows of every call, block
padding included; what the ledger says (rows of cases, clean pass, protocol checks, re-checks) plus
the padding that the engine reports must add up to the same number. Budgets of 1, 2 and 7 are never
exceeded, nor one of 20 where every answer is a vote of 3. Usage: python -m benchmarks.prove_budgets
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import yaml

from medaudit.audit import scan as scanning
from medaudit.audit import work
from medaudit.audit.scan import Options, scan
from medaudit.engine.pool import Worker
from medaudit.policy.write import dump
from medaudit.rule import RULES

HERE = Path(__file__).resolve().parent.parent
# The workers are other processes that import this file again: the first one names the count.
COUNT = Path(os.environ.setdefault("ROW_COUNT", str(Path(tempfile.gettempdir()) / f"rows-{os.getpid()}")))


class Counter:
    """Stands in for a session; counts rows of every call in a file that outlives the worker."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(self, outputs: Any, feeds: dict[str, np.ndarray], *rest: Any) -> Any:
        with COUNT.open("a") as stream:
            stream.write(f"{len(next(iter(feeds.values())))}\n")
        return self._session.run(outputs, feeds, *rest)


def counting_worker(pipe: Any) -> None:
    """A worker whose every session is wrapped."""
    from medaudit.audit.worker import main as serve
    from medaudit.model import session as sessions

    plain = sessions.open_session

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return Counter(plain(*args, **kwargs))

    sessions.open_session = wrapped
    serve(pipe)


def start() -> Worker:
    return Worker(counting_worker)


def main() -> None:
    work.start_worker = start
    scanning.start_worker = start
    for example, policy in (("ehr-tabular", "ehr-tabular.yaml"), ("cxr", "cxr.yaml")):
        folder = HERE / "examples" / example
        written = yaml.safe_load((HERE / "policies" / policy).read_text())
        for budget, votes in ((1, 1), (2, 1), (7, 1), (60, 1), (20, 3)):
            with tempfile.TemporaryDirectory() as name:
                own = Path(name) / "policy.yaml"
                own.write_text(dump(with_every_rule(written, example, budget) | {"model": {"votes": votes}}))
                options = Options(
                    folder / "model.onnx",
                    str(own),
                    folder / "data.npz",
                    out=Path(name) / "run",
                    workers=1,
                    limit=30,
                )
                discovery = discovery_rows(options)
                COUNT.write_text("")
                report, _ = scan(options)
                counted = sum(int(v) for v in COUNT.read_text().split()) - discovery
                attacks = [c for c in report.checks if c.family == "EV" and c.verdict != "not-run"]
                for check in attacks:
                    most = max((case.rows for case in check.cases), default=0)
                    assert most <= budget, (check.id, most)
                    assert check.queries.fit <= budget * 30, check.id
                    assert sum(case.rows for case in check.cases) == check.queries.rows
                searched = sum(c.queries.rows + c.queries.fit + c.queries.control + c.queries.planted for c in attacks)
                ledger = searched + report.cost.padding + sum(c.queries.verification for c in attacks)
                block = report.block
                for check in report.checks:
                    # Clean pass and protocol checks ask whole blocks of their rows, and rows alone.
                    ledger += votes * own_rows(check.rule, report.data.rows, block)
                print(
                    f"{example:12} budget {budget:3}, votes {votes}: {len(attacks)} attack checks, "
                    f"{searched} rows searched "
                    f"({sum(c.queries.starts for c in attacks)} for starts), "
                    f"{sum(c.queries.verification for c in attacks)} verified, "
                    f"{report.cost.padding} padding; wrapper {counted}, ledger {ledger}",
                    flush=True,
                )
                assert counted == ledger, (counted, ledger)
    COUNT.unlink()
    print("the ledger equals the wrapper's count for every rule; budgets of 1, 2 and 7 were never exceeded")


def with_every_rule(policy: dict[str, Any], example: str, budget: int) -> dict[str, Any]:
    """The policy with this budget, and one more check for every attack rule and norm that fits the example."""
    norms = {"linf": "0.3 sd", "l2": "3 sd", "l1": "20 sd", "l0": 2} | ({"patch": 6} if example == "cxr" else {})
    threats = {f"{a}-{n}": {"access": a, "norm": n, "eps": e} for n, e in norms.items() for a in ("scores", "labels")}
    require = {"metric": "robust_accuracy", "at_least": "50%"}
    kept = [c | ({"budget": {"queries": budget}} if "budget" in c else {}) for c in policy["checks"]]
    domain = "image" if example == "cxr" else "table"
    more = [
        {
            "id": f"{rule.name}-{norm}",
            "rule": rule.name,
            "require": dict(require),
            "threat": f"{rule.access or 'scores'}-{norm}",
        }  # fmt: skip
        for rule in RULES.values()
        if rule.kind == "attack" and domain in rule.domains
        for norm in rule.norms
        if norm in norms
    ]
    budgets = {"defaults": policy.get("defaults", {}) | {"budget": {"queries": budget}}}
    return policy | budgets | {"threats": policy["threats"] | threats, "checks": [*kept, *more]}


def own_rows(rule: str, rows: int, block: int) -> int:
    """Rows, padding included, that the clean pass and the protocol checks ask."""
    if rule == "baseline":
        return padded(rows, block) + rows
    if rule in ("repeatability", "row-purity"):
        return 3 * padded(min(128, rows), block)
    if rule == "batch-isolation":
        return padded(min(64, rows), block) + min(64, rows)
    return 0


def padded(rows: int, block: int) -> int:
    return -(-rows // block) * block


def discovery_rows(options: Options) -> int:
    """Rows that finding the interface asks: the same in every run, counted once by itself."""
    from medaudit.audit.scan import open_run, read_inputs

    COUNT.write_text("")
    policy, document, data = read_inputs(options)
    worker = start()
    try:
        open_run(options, policy, document, data, worker)
    finally:
        worker.close()
    return sum(int(v) for v in COUNT.read_text().split())


if __name__ == "__main__":
    main()
