"""Zero-effect control: audits of explanations whose attack does nothing; how many of them report an effect.

Everything runs as in a scan, but in the place of what the search found stands one more random change. A check reports
an effect where the BCa bound of the excess lies above 0 and the exchange test rejects (`audit.led.beyond_chance`).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np

from medaudit.audit.explaining import chances
from medaudit.audit.led import beyond_chance
from medaudit.audit.likeness import likeness
from medaudit.core import streams
from medaudit.core.compose import compose
from medaudit.core.interface import Channel, Input, Interface, Output
from medaudit.core.protocol import Lanes
from medaudit.core.region import L2, LINF, Region
from medaudit.engine.inline import run_inline
from medaudit.oracle.explained import explaining
from medaudit.oracle.explanation import Wanted, evidence, goal
from medaudit.oracle.graded import Design, graded
from medaudit.probe.kinds import Spec, ground_of, plans_of
from medaudit.search import uniform
from medaudit.stats import bounds
from medaudit.stats.chance import exchanged

FEATURES, RECORDS, RANDOM = 10, 30, 16
KINDS = (Spec("occlusion", background=4), Spec("shapley", rows=80), Spec("lime", rows=60), Spec("gradient"))
GOALS = ("drift", "target", "demote")


def models(rng: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
    """A random model [R, D] -> logits [R, 2]: linear parts, waves and products of two columns."""
    weight, wave, often = (rng.normal(size=FEATURES) for _ in range(3))
    one, two = rng.permutation(FEATURES)[:4], rng.permutation(FEATURES)[:4]

    def answer(x: np.ndarray) -> np.ndarray:
        x = np.asarray(x, dtype=np.float64)
        score = x @ weight + np.sin(3 * often * x) @ wave + (x[:, one] * x[:, two]).sum(axis=1)
        return np.stack([-score / 2, score / 2], axis=1).astype(np.float32)

    return answer


def audit(number: int) -> tuple[bool, float, float]:
    """One audit: whether it reports an effect, the bound of its excess and p."""
    rng = np.random.default_rng(number)
    spec, wanted = KINDS[number % len(KINDS)], Wanted(GOALS[number // len(KINDS) % len(GOALS)], (0, 1), 10.0, 100.0)
    norm, width = (LINF, L2)[number % 2], 0.05 * 2 ** rng.uniform(0, 4)
    channels = tuple(Channel(f"f{i}") for i in range(FEATURES))
    axes = ("batch", "feature")
    face = Interface(
        (Input("x", "float32", "table", axes, (FEATURES,), axes, channels=channels),),
        Output("multiclass", ("y",), "logits", ("no", "yes")),
    )
    model, x = models(rng), rng.normal(size=(RECORDS, FEATURES)).astype(np.float32)
    ground = ground_of(spec, face, rng.normal(size=(50, FEATURES)).astype(np.float32), number)
    plans = [plans_of(spec, ground)(k) for k in range(3 if spec.kind in ("shapley", "lime") else 2)]
    area = Region(norm, width * (1 if norm == LINF else 2), np.ones(FEATURES, dtype=np.float32), None, face.parts)
    answers = model(x)
    reach = np.float32(area.eps if norm == LINF else 10)

    def lanes(samples: list[int]) -> Lanes:
        own = x[samples]
        keys = np.array([streams.key(number, s) for s in samples], dtype=np.uint64)
        label = answers[samples].argmax(axis=1).astype(np.int64)
        return Lanes(
            keys, own, own - reach, own + reach, None, answers[samples], label, (np.array(samples) + 7) % RECORDS
        )

    guide = goal(face.output, wanted, FEATURES)
    inner = compose(uniform.search(), guide, area, stop="budget", keep_worst=True, votes=plans[0].asks)
    fresh, target = len(plans) - 1, wanted.what == "target"
    design = Design(fresh, RANDOM, 0, target)
    design = design._replace(total=design.fixed)
    drawn = chances(uniform.search(), area, RANDOM + 1)
    asker = graded(inner, guide, area, drawn, x if target else None, design, FEATURES, idle=True)
    attack = explaining(
        asker, plans, lambda a, of: evidence(face.output, a, of)[:, None], 2, FEATURES, own=False, votes=1
    )
    done = run_inline([("null", attack, 10**9, lanes, list(range(RECORDS)))], model, 64, 2048)
    told = []
    for one in sorted(done, key=lambda f: f.sample):
        maps = one.arrays["kept"].astype(np.float64)[:, 2:]
        clean, late = maps[1 : 1 + fresh], maps[design.before + RANDOM :]
        random, goal_map = maps[design.before : design.before + RANDOM], maps[fresh + 2 : 2 * fresh + 2]
        told.append(
            likeness(ground.cells, wanted, maps[: 1 + fresh], clean, late, random, goal_map if target else None)
        )
    excess = bounds.bootstrap(np.array([one["excess"] for one in told]), 0.95, None, number)
    p = exchanged(np.array([one["led"] for one in told]), [np.array(one["chance"]) for one in told], number)
    return beyond_chance(excess, p, 0.95), excess.low, p


def main() -> None:
    """Run the audits; exit 1 where more than 5 % report an effect."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--audits", type=int, default=240)
    asked = parser.parse_args()
    outcomes = [audit(number) for number in range(asked.audits)]
    count = sum(effect for effect, _, _ in outcomes)
    bound = float(np.mean([low > 0 for _, low, _ in outcomes]))
    test = float(np.mean([p <= 0.05 for _, _, p in outcomes]))
    share = bounds.share(count, asked.audits, 0.95)
    print(f"{count} of {asked.audits} audits report an effect ({share.value:.1%}, at most {share.high:.1%})")
    print(f"the bound alone {bound:.1%}, the test alone {test:.1%}")
    raise SystemExit(int(count > 0.05 * asked.audits))


if __name__ == "__main__":
    main()
