"""Proof: signs of scaffolds over a zoo of tabular models, honest ones and ones that show an explainer another model.

Each model is asked about 400 real rows, the rows of an explainer (permutation Shapley, or LIME, of 100 other records)
and two kinds that nobody has; its honest twins are asked the same. Wanted: the area under the curve of scaffolds
against honest models at least .95, by the largest of a model's signs in spreads of its twins; of honest models at
most 5 % called at p .05 (Holm), and none of those that are honest and biased.

Usage: python -m benchmarks.prove_scaffolds [--seed N] [--models N]
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np

from benchmarks.scaffold_zoo import Specimen, specimens
from medaudit.core.interface import Input, Interface, Output
from medaudit.probe import scaffold
from medaudit.probe.kinds import Spec, ground_of, plans_of
from medaudit.stats import bounds
from medaudit.stats.chance import holm

REAL, EXPLAINED = 400, 100
LAWS = {"shapley": 200, "lime": 100}  # rows of an explanation
KEY = 7


def asked(specimen: Specimen, kind: str, rows: int) -> np.ndarray:
    """Rows that an explainer asks of records that nobody else sees, as many as are taken, drawn among all."""
    axes, wide = ("batch", "feature"), specimen.rows.shape[1]
    table = Input("x", "float32", "table", axes, (wide,), axes, channels=specimen.channels)
    face = Interface((table,), Output("multiclass", ("y",), "probabilities", ("no", "yes")))
    spec, points = Spec(kind, rows=rows), specimen.rows[REAL : REAL + EXPLAINED]
    plan = plans_of(spec, ground_of(spec, face, specimen.rows[:REAL], KEY))(0)
    which, t = np.repeat(np.arange(len(points)), plan.asks - 1), np.tile(np.arange(1, plan.asks), len(points))
    some = np.random.default_rng(KEY).permutation(len(which))[: scaffold.ASKED]
    return np.asarray(plan.rows(points, which[some], t[some]))


def judged(specimen: Specimen, kind: str) -> tuple[float, float]:
    """The largest sign in spreads of the twins, and p by Holm."""
    rows = specimen.rows[:REAL]
    whole = np.array([c.kind in ("category", "binary") for c in specimen.channels])
    real = scaffold.Real(rows, rows.std(axis=0).astype(np.float64), whole, KEY)

    def ask(given: np.ndarray) -> np.ndarray:
        return specimen.answer(given).astype(np.float64)[:, 1:]

    questions = scaffold.questions(real, asked(specimen, kind, LAWS[kind]))
    z, p = scaffold.beyond(*scaffold.compared(real, questions, ask))
    return float(z.max()), float(holm(p).min())


def main() -> None:
    """One line a law; exit 1 where a wanted figure is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--models", type=int, default=10**6, help="at most so many")
    given, start = parser.parse_args(), time.monotonic()
    names, planted, found = [], [], []
    for specimen in specimens(given.seed):
        if len(names) == given.models:
            break
        names.append(specimen.name)
        planted.append(specimen.scaffold)
        found.append([judged(specimen, kind) for kind in LAWS])
    lab, good = np.array(planted), True
    for k, kind in enumerate(LAWS):
        z, p = (np.array([one[k][i] for one in found]) for i in (0, 1))
        area = bounds.auroc(z, lab, 0.95)
        called = [names[i] for i in np.flatnonzero((p <= 0.05) & ~lab)]
        met = area.value >= 0.95 and len(called) <= 0.05 * (~lab).sum() and not any("biased" in n for n in called)
        good &= met
        print(
            f"{kind}: {lab.sum()} scaffolds, {(~lab).sum()} honest: area {area.value:.3f} ({area.low:.3f} to "
            f"{area.high:.3f}); found {(p[lab] <= 0.05).mean():.3f}; called of honest {called}", flush=True,
        )  # fmt: skip
        print("" if met else "  MISSED", end="" if met else "\n")
        print("  not found:", "; ".join(names[i] for i in np.flatnonzero((p > 0.05) & lab)) or "none")
    print(f"{time.monotonic() - start:.0f} s")
    sys.exit(not good)


if __name__ == "__main__":
    main()
