"""Attacks on a whole model in this process: discovery, lanes and re-checks, without workers, journal or report."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from medaudit import data as readers
from medaudit.audit import resolve, verdicts
from medaudit.audit.bench import Bench
from medaudit.audit.discover import discover
from medaudit.audit.results import Value
from medaudit.audit.spec import Clean, WorkSpec
from medaudit.core.region import L0, L1, L2, LINF, PATCH
from medaudit.model import file as files
from medaudit.model.facts import block_size
from medaudit.policy import loader
from medaudit.policy.schema import ModelSection
from medaudit.policy.write import dump
from medaudit.rule import RULES

CONFIDENCE = 0.95
Attack = tuple[str, str]  # rule, norm


class Sink:
    """The parent's end of a worker's pipe: keeps the cases."""

    def __init__(self) -> None:
        self.cases: list[Any] = []

    def send(self, message: tuple[str, Any]) -> None:
        """Take what a worker says."""
        if message[0] == "cases":
            self.cases += message[1]


EVERYWHERE = (LINF, L2, L1, L0)  # sizes that any record has


@dataclasses.dataclass(frozen=True)
class Outcome:
    """One attack on the records it was admitted to."""

    success: Value  # of patients, with its bounds
    records: verdicts.Records


class Attacked:
    """One model with its data, opened once, attacked as often as one likes."""

    def __init__(self, model: Path, data: Path) -> None:
        facts, _ = files.inspect(model)
        self.data = readers.read(data)
        found = discover(model, facts, self.data, ModelSection(), "")
        self.face, self.pipe = found.interface, Sink()
        fixed = found.batching.size if found.batching.kind == "fixed" else 0
        block = fixed or block_size(4 * self.face.size, found.batching, "cpu", self.data.rows)
        self.spec = WorkSpec(str(model), str(data), self.face, found.batching, "cpu", block, 1)
        self.bench = Bench(self.spec, self.pipe)  # type: ignore[arg-type]
        got = self.bench.clean(np.arange(self.data.rows), "")
        donors = resolve.donors(self.face.output, self.data, got["answers"])
        self.clean = Clean(got["answers"], got["single"], got["floor"], *donors)

    def attacks(self) -> list[Attack]:
        """Every rule that attacks each record by itself and applies, in each of its norms."""
        able = [r for r in RULES.values() if r.kind == "attack" and r.fit is None and not r.applies(self.face)]
        windows = any(item.domain != "table" for item in self.face.inputs)
        norms = (*EVERYWHERE, PATCH) if windows else EVERYWHERE
        return [(rule.name, norm) for rule in able for norm in rule.norms if norm in norms]

    def run(
        self, attacks: Iterable[Attack], eps: dict[str, str], queries: int, limit: int, seed: int = 1
    ) -> dict[Attack, Outcome]:
        """Each attack within eps of its norm, on the first records that the model decides correctly."""
        checks = []
        for rule, norm in attacks:
            threat = f"{RULES[rule].access or self.access}-{norm}"
            require = {"metric": "attack_success", "at_most": "50%"}  # no verdict is asked for
            checks.append({"id": f"{rule}-{norm}", "rule": rule, "threat": threat, "require": require})
        threats = {
            f"{access}-{norm}": {"access": access, "norm": norm, "eps": size}
            for norm, size in eps.items()
            for access in ("scores", "labels")
        }
        policy = {"threats": threats, "checks": checks, "defaults": {"budget": {"queries": queries}}}
        resolved = self.resolved(policy, limit)
        assert not any(check.blocked for check in resolved), [check.blocked for check in resolved]
        self.bench.bare.spec = dataclasses.replace(self.spec, seed=seed)
        self.pipe.cases.clear()
        self.bench.prepare(tuple(check.spec for check in resolved), {"": self.clean}, {})
        self.bench.take([(check.spec.id, sample, None) for check in resolved for sample in check.samples])
        while self.bench.busy:
            self.bench.step()
        return {(check.rule.name, norm_of(check)): self.outcome(check) for check in resolved}

    @property
    def access(self) -> str:
        """What an attack that takes either is given."""
        return "labels" if self.face.output.task == "label" else "scores"

    def resolved(self, policy: dict[str, Any], limit: int) -> list[resolve.Resolved]:
        """The checks of a policy."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "policy.yaml"
            path.write_text(dump({"medaudit": 1, "policy": {"id": "attacked"}, **policy}, {}))
            loaded = loader.load(path)
        return resolve.resolve(*loaded, self.spec, self.data, {"": self.clean.answers}, limit)

    def outcome(self, check: resolve.Resolved) -> Outcome:
        """The report's own figure, and the records it is made of."""
        records = {case.sample: case.record for case in self.pipe.cases if case.check == check.spec.id}
        records = dict(sorted(records.items()))
        assert list(records) == sorted(check.samples)
        assert not any(record.get("fault") for record in records.values())
        judged = verdicts.attack(check, self.data, records, CONFIDENCE)
        return Outcome(judged.metrics["attack_success"], records)


def norm_of(check: resolve.Resolved) -> str:
    """The norm of a check's threat."""
    assert check.spec.threat is not None
    return check.spec.threat.norm


def sizes(share: float, face: Any) -> dict[str, str]:
    """eps of each norm for `share` standard deviations a number; L0 and patch: that share of numbers, of the side."""
    d = face.size
    side = max(max(item.part.rows * (item.domain == "image"), item.part.columns) for item in face.inputs)
    return {
        "linf": f"{share:g} sd", "l2": f"{share * d**0.5:g} sd", "l1": f"{share * d:g} sd",
        L0: f"{max(1, round(min(1.0, share) * d))} features", PATCH: f"{max(1, round(min(1.0, share) * side))}",
    }  # fmt: skip
