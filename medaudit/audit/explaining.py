"""Attacks on explanations in a worker: what asks the model, and what makes cases of the maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from medaudit.audit.explainers import ALONE, asking, explainer_of, others_of, plans_for, reading
from medaudit.audit.lanes import LaneMaker, Verifier, answered, decision_words
from medaudit.audit.likeness import empty, likeness
from medaudit.audit.quality import quality
from medaudit.audit.spec import CheckSpec, Clean
from medaudit.core import streams
from medaudit.core.arrays import Array, array_module, namespace, to_numpy
from medaudit.core.compose import compose
from medaudit.core.protocol import Attack, Explained, Lanes, Search
from medaudit.core.region import Region
from medaudit.core.subspace import within
from medaudit.domain.cells import Cells
from medaudit.engine.loop import Finished
from medaudit.engine.pool import Case
from medaudit.oracle.decision import decide
from medaudit.oracle.explained import explaining
from medaudit.oracle.explanation import Wanted, goal, losses, moved, published, same, wish
from medaudit.oracle.graded import FEASIBLE, Design, graded
from medaudit.probe.explainer import Explainer, explain
from medaudit.probe.kinds import Spec
from medaudit.rule import Context, Rule
from medaudit.search import uniform
from medaudit.stats.maps import mass_overlap

if TYPE_CHECKING:
    from medaudit.audit.asked import Asked

GOALS = {"explanation-drift": "drift", "explanation-target": "target", "hidden-error": "hide"}
SHORT = "the budget is too small for one search step"
LENT = 64  # patients whose maps can be goals


def wanted_of(check: CheckSpec, cells: Cells) -> Wanted:
    """What the attacker wants."""
    s = check.settings
    named = cells.named(getattr(s, "features", ()))
    return Wanted(GOALS.get(check.rule, getattr(s, "way", "")), named, s.tolerance, s.logits)


def chances(search: Search, region: Region, count: int) -> Callable[[Lanes], Array]:
    """lanes -> so many random changes of full size, [L, count, D]."""

    def made(lanes: Lanes) -> Array:
        xp = namespace(lanes.x)
        none = xp.zeros(lanes.x.shape[0], dtype=xp.float32, device=lanes.x.device)
        state, out = search.init(region, lanes), []
        for _ in range(count):
            query = search.ask(region, lanes, state)
            out.append(query.points)
            state = search.tell(region, lanes, state, query, none, none > 0)
        return xp.stack(out, axis=1)

    return made


class Explaining:
    """The explanations of one check. `asked` is the model, or the model behind stages."""

    def __init__(
        self, asked: Asked, check: CheckSpec, clean: Clean, rule: Rule, context: Context, area: Region,
        replays: Sequence[Asked] = (), randomised: dict[str, Asked] | None = None, hidden: Asked | None = None,
    ) -> None:  # fmt: skip
        """replays: behind other stages; randomised: the model with shuffled weights; hidden: with its last hidden layer
        behind each answer, where it has one."""
        self.randomised, self.hidden = randomised or {}, hidden
        self.asked, self.check, self.clean, self.rule, self.context = asked, check, clean, rule, context
        face, s = asked.spec.interface, check.settings
        self.output = face.output
        self.explainer = explainer_of(check, asked.spec.explainers)
        self.ground, self.plans = plans_for(self.explainer, face, asked.data, asked.spec.seed, s.fresh)
        self.wanted, self.read = (
            wanted_of(check, self.ground.cells),
            reading(face.output, self.explainer, self.plans[0].width),
        )
        self.maker = LaneMaker(asked, check, area, clean, bool(np.isnan(asked.points).any()))
        self.verifier = Verifier(asked, check, area, clean, self.maker, (), replays)
        self.targets = self._targets() if self.wanted.what == "target" else None
        each = self.plans[0].asks * asked.votes
        self.others = {
            name: (spec, plans_for(spec, face, asked.data, asked.spec.seed, 1)[1][1])
            for name, spec in others_of(check, asked.spec.explainers).items()
        }
        self.design = Design(len(self.plans) - 1, s.random, check.budget // each, self.targets is not None)

    def _targets(self) -> np.ndarray:
        """Rows whose maps can be goals."""
        finite = np.isfinite(self.clean.answers).all(axis=1)
        return np.flatnonzero(finite)[:: max(1, int(finite.sum()) // LENT)]

    def attack(self) -> Attack:
        own, m = replace(self.context, explained=self._explained()), self.output.width
        search = self.rule.search(own) if self.rule.search else uniform.search()
        chance = uniform.search()
        if own.subspace is not None:
            search, chance = (within(one, own.subspace) for one in (search, chance))  # type: ignore[arg-type]
        votes, cells = self.plans[0].asks * self.asked.votes, self.ground.cells.size
        guide = goal(self.output, self.wanted, cells)
        composed = compose(search, guide, own.region, stop="budget", keep_worst=True, votes=votes)  # type: ignore[arg-type]
        xp = array_module(self.asked.spec.device)
        targets = None if self.targets is None else xp.asarray(self.asked.points[self.targets])
        made = chances(chance, own.region, self.check.settings.random)
        self.drawn = made, own.region
        asker = graded(composed, guide, own.region, made, targets, self.design, cells)
        hide = self.wanted.what == "hide"
        return explaining(asker, self.plans, self.read, m, own.interface.size, own=hide, votes=self.asked.votes)

    def _explained(self) -> Explained:
        """What each cell of a map loses, and other records that a search may borrow from."""
        cells, points = self.ground.cells, self.asked.points
        lent = None if self.targets is None else points[self.targets]

        def donors(lanes: Lanes) -> Array:
            return None if lent is None else lent[to_numpy(lanes.target)]

        told = losses(self.output, self.wanted, cells.size)
        wished, costs = wish(self.wanted, self.output.width, cells.size), partial(published, self.output, cells.size)
        return Explained(cells.of, cells.size, told, None if lent is None else donors, wished, costs)

    def lanes(self, samples: list[int]) -> Lanes:
        xp = array_module(self.asked.spec.device)
        lanes: Lanes = self.maker.on(xp)(samples)
        if self.targets is None:
            return lanes
        return lanes._replace(target=xp.asarray(np.array([self._goal_of(i) for i in samples], dtype=np.int64)))

    def _goal_of(self, sample: int) -> int:
        """Which target: a patient who is answered otherwise, drawn by the record's name; any other, where none is."""
        data, rows = self.asked.data, self.targets if self.targets is not None else np.zeros(0, dtype=np.int64)
        decided = np.asarray(decide(self.output, self.clean.answers)).reshape(len(self.clean.answers), -1)
        other = np.array([data.groups[i] != data.groups[sample] for i in rows])
        unlike = other & (decided[rows] != decided[sample]).any(axis=1)
        able = np.flatnonzero(unlike if unlike.any() else other if other.any() else ~other)
        return int(able[streams.key(self.asked.spec.seed, self.check.id, "goal", data.ids[sample]) % len(able)])

    def case(self, finished: Finished) -> Case:
        """Likenesses of the maps, and what was found, its place and its decision checked again alone."""
        got, sample, d = finished.arrays, finished.sample, self.design
        record: dict[str, Any] = answered(finished)
        kept, m = got["kept"].astype(np.float64), self.output.width
        answers, maps = kept[:, :m].astype(np.float32), kept[:, m:]
        short = not int(got["spent"])
        if short or not np.isfinite(kept).all():
            short = short or finished.exhausted
            record["note"] = SHORT if short else "an answer is not a number"
            record["unfinished"] = True
            return Case(finished.check, sample, record, {})
        late = slice(d.before + d.random, d.fixed)
        chance, found, clean = maps[d.before : d.before + d.random], maps[late], maps[1 : 1 + d.fresh]
        if empty(maps[: 1 + d.fresh]):
            record["note"], record["empty"] = "nothing that the explainer asks moves the answer: no explanation", True
            return Case(finished.check, sample, record, {})
        point, _, distance, near, wrong = self.verifier.placed(sample, got["point"])
        alone = self.asked.alone(point[None])[:, :m]
        record["verification"] = self.asked.votes
        base = self.clean.single[[sample]]
        stays = bool(same(self.output, base, alone)[0]) and bool(moved(self.output, self.wanted, base, alone)[0] <= 1)
        turned = bool(np.isfinite(alone).all()) and not bool(same(self.output, base, alone)[0])
        allowed = near and not wrong and (turned if self.wanted.what == "hide" else stays)
        if wrong or not near:
            record["note"] = f"the re-check found {wrong or 'the point too far away'}"
        searched = float(got["low"]) < FEASIBLE
        fair = self._fair(answers[d.before : d.before + d.random], answers[0])
        record["measures"], rows = quality(self, sample, got["point"], chance, answers, clean[0], fair)
        record["verification"] += rows
        target = maps[d.fresh + 2 : 2 * d.fresh + 2] if d.target else None
        told = likeness(self.ground.cells, self.wanted, maps[: 1 + d.fresh], clean, found, chance[fair], target)
        record |= told | {
            "found": 0, "distance": distance, "allowed": allowed and searched,
            "success": allowed and searched and not empty(found) and self._led(told),
            "size": distance if searched else None,
            "before": decision_words(self.output, base), "after": decision_words(self.output, alone),
            "floor": self._floor(point, alone if self.wanted.what == "hide" else base, clean, found, record),
        }  # fmt: skip
        if allowed and searched:
            behind = {name: other for name, other, _ in self.verifier.replays}
            mine = self.explainer, self.plans[1]
            record["recovered"] = {k: self._again(other, *mine, sample, point, record) for k, other in behind.items()}
            record["others"] = {
                k: self._again(self.asked, *own, sample, point, record) for k, own in self.others.items()
            }
        delta = point.astype(np.float64) - self.asked.points[sample].astype(np.float64)
        arrays = {"delta": delta, "clean": clean.mean(axis=0), "found": found.mean(axis=0)}
        if target is not None:
            arrays["target"] = target.mean(axis=0)
        return Case(finished.check, sample, record, arrays)

    def _fair(self, answers: np.ndarray, base: np.ndarray) -> np.ndarray:
        """Which random changes [K] keep the answer as the attack has to; all, where none does."""
        first = np.broadcast_to(base, answers.shape)
        good = same(self.output, first, answers) & (moved(self.output, self.wanted, first, answers) <= 1)
        return good if good.any() and self.wanted.what != "hide" else np.ones(len(answers), dtype=bool)

    def _led(self, told: dict[str, Any]) -> bool:
        """Whether the explanation was led where the attacker wanted it."""
        s, what = self.check.settings, self.wanted.what
        if what == "hide":
            return bool(told["overlap"] >= s.alike)
        if what == "target":
            return bool(told["ratio"] < 1)
        if what == "drift":
            return bool(told["overlap"] < s.alike)
        before, after = told["rank"]
        return bool(before <= s.rank < after if what == "demote" else after <= s.rank < before)

    def _floor(
        self, point: np.ndarray, of: np.ndarray, clean: np.ndarray, found: np.ndarray, record: dict[str, Any]
    ) -> float | None:  # fmt: skip
        """How far the found map moves when its rows are asked one by one: what is numbers, not reasons."""
        plan = self.plans[1]
        if plan.asks > ALONE:
            return None
        values = explain(plan, point[None], asking(self.read, self.asked.alone, of))
        record["verification"] += plan.asks * self.asked.votes
        again = plan.reduce(values, point[None])
        return float(np.abs(again[0] - found[0]).max() / max(float(np.abs(clean[0]).max()), 1e-12))

    def _again(
        self, asked: Asked, spec: Spec, plan: Explainer, sample: int, point: np.ndarray, record: dict[str, Any]
    ) -> float:  # fmt: skip
        """Overlap, behind stages or by another explainer, of the maps of the clean record and of what was found."""
        pair = np.stack([self.asked.points[sample], point]).astype(np.float32)
        values = explain(plan, pair, asking(reading(self.output, spec, plan.width), asked.ask, asked.ask(pair[:1])))
        record["verification"] += (2 * plan.asks + 1) * asked.votes
        both = plan.reduce(values, pair)
        return float(mass_overlap(both[:1], both[1:])[0])
