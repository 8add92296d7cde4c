"""From sample numbers to lanes, and from finished lanes to cases whose claims were checked again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from medaudit.audit.inputs import shut_by
from medaudit.audit.spec import CheckSpec, Clean
from medaudit.audit.truth import truth_of
from medaudit.core import streams
from medaudit.core.arrays import array_module, map_tree
from medaudit.core.errors import EngineError
from medaudit.core.interface import Output
from medaudit.core.protocol import Lanes, Oracle
from medaudit.core.region import L0, LINF, PATCH, Region, changes, length, side
from medaudit.core.relations import broken, held
from medaudit.domain import threat as threats
from medaudit.engine.loop import Finished
from medaudit.engine.pool import Case
from medaudit.oracle.decision import decide, positive_score
from medaudit.oracle.goal import oracle, wanted_classes
from medaudit.rule import RULES

if TYPE_CHECKING:
    from medaudit.audit.asked import Asked


class LaneMaker:
    """Builds the lanes of one check from sample numbers."""

    def __init__(self, asked: Asked, check: CheckSpec, area: Region, clean: Clean, missing: bool) -> None:
        self.asked, self.check, self.area, self.clean, self.missing = (
            asked,
            check,
            area,
            clean,
            missing,
        )
        output = asked.spec.interface.output
        decided = np.asarray(decide(output, clean.answers))
        single = output.task in ("multiclass", "binary", "label")
        self.label = decided.astype(np.int64) if single else np.full(len(decided), -1, dtype=np.int64)
        self.truth = truth_of(output, asked.data.y).astype(np.int64) if single and asked.data.y is not None else None
        if check.truth and self.truth is not None:
            self.label = self.truth
        wanted = wanted_classes(output, check.goal)
        self.target = wanted[0] if len(wanted) == 1 and single else -1
        self.shut = None if check.threat is None else shut_by(asked.spec.interface, asked.data, check.threat)

    def on(self, xp: Any) -> Any:
        def make(samples: list[int]) -> Lanes:
            return map_tree(xp.asarray, self.host(samples))

        return make

    def host(self, samples: list[int], answers: np.ndarray | None = None) -> Lanes:
        asked, check = self.asked, self.check
        index = np.asarray(samples)
        x = asked.points[index]
        shut = None if asked.padding is None else asked.padding[index]
        if self.shut is not None:
            shut = self.shut[index] if shut is None else shut | self.shut[index]
        if check.threat is None:
            raise EngineError(f"check {check.id} has no threat")
        face = asked.spec.interface
        lo, hi = threats.boxes(face, check.threat, self.area, x, shut)
        legal: tuple[np.ndarray, np.ndarray] | tuple[None, None] = (None, None)
        if check.threat.norm == LINF and RULES[check.rule].smallest:
            legal = threats.boxes(face, check.threat, self.area, x, shut, legal=True)
        names = [streams.key(asked.spec.seed, check.rule, check.id, asked.data.ids[i]) for i in samples]
        return Lanes(
            key=np.array(names, dtype=np.uint64),
            x=np.nan_to_num(x, nan=0.0),
            lo=lo,
            hi=hi,
            missing=np.isnan(x) if self.missing else None,
            ref=(self.clean.answers if answers is None else answers)[index],
            label=self.label[index],
            target=np.full(len(index), self.target, dtype=np.int64),
            legal_lo=legal[0],
            legal_hi=legal[1],
        )


def open_lanes(asked: Asked, check: CheckSpec, clean: Clean, samples: list[int]) -> Lanes:
    """Lanes without a box, for lists of questions: `label` is the row of the data file; lo == hi only in padding."""
    x = asked.points[samples]
    shut = np.zeros(x.shape, dtype=bool) if asked.padding is None else asked.padding[samples]
    names = [streams.key(asked.spec.seed, check.rule, check.id, asked.data.ids[i]) for i in samples]
    far, own = np.float32(np.inf), np.nan_to_num(x)
    lanes = Lanes(
        np.array(names, dtype=np.uint64), own, np.where(shut, own, -far), np.where(shut, own, far), np.isnan(x),
        clean.answers[samples], np.asarray(samples, dtype=np.int64), np.full(len(samples), -1),
    )  # fmt: skip
    opened: Lanes = map_tree(array_module(asked.spec.device).asarray, lanes)
    return opened


def answered(finished: Finished) -> dict[str, Any]:
    """The record of a lane that claims nothing."""
    got = finished.arrays
    return {
        "rows": finished.rows, "counted": int(got["rows"]), "found": 0, "exhausted": finished.exhausted,
        "size": None, "invalid": int(got["invalid"]), "curve": [], "starts": 0, "verification": 0,
        "success": False, "note": "",
    }  # fmt: skip


class Verifier:
    """Never believes a claim: region, distance and decision again, alone, on another session."""

    def __init__(
        self,
        asked: Asked,
        check: CheckSpec,
        area: Region,
        clean: Clean,
        lanes: LaneMaker,
        members: tuple[str, ...],
        replays: Sequence[Asked] = (),
    ) -> None:
        self.asked, self.check, self.area, self.clean, self.lanes = asked, check, area, clean, lanes
        self.members = members
        # The same goal behind stages: what the bare model's failing inputs come to there.
        self.replays = [
            (name, other, oracle(other.spec.interface.output, check.goal, "scores"))
            for name, other in zip(check.replay, replays, strict=True)
        ]
        output = asked.spec.interface.output
        self.judge = oracle(output, check.goal, "scores", clean.floor)

    def case(self, finished: Finished) -> Case:
        """The journalled outcome of a lane."""
        got = finished.arrays
        size = float(got["size"])
        record: dict[str, Any] = {
            "rows": finished.rows,
            "counted": int(got["rows"]),
            "found": int(got["found"]),
            "exhausted": finished.exhausted,
            "size": size if np.isfinite(size) else None,
            "invalid": int(got["invalid"]),
            "curve": [float(v) if np.isfinite(v) else None for v in got["curve"]],
            "starts": int(got["starts"]),
            "verification": 0,
            "success": False,
            "note": "",
        }
        output = self.asked.spec.interface.output
        if output.task in ("multiclass", "binary", "label"):
            record["clean"] = decision_words(output, self.clean.single[[finished.sample]])
        if "share" in got and record["rows"]:
            record["share"] = float(got["share"])
        arrays: dict[str, np.ndarray] = {}
        if self.check.fit:
            if record["invalid"] * len(self.check.fit) >= finished.rows:  # nothing was ever scored
                record["fault"] = "the model answered no candidate with numbers"
                return Case(finished.check, finished.sample, record, {})
            return Case(finished.check, finished.sample, record, {"change": np.asarray(got["worst"])})
        if self.check.planted:
            record |= {"possible": bool(got["possible"]), "success": record["found"] > 0}
        elif np.isfinite(size):
            arrays = self._verify(finished.sample, np.asarray(got["claim"]), record)
        if "worst" in got and not self.check.planted:
            record["worst"] = self._worst(finished.sample, np.asarray(got["worst"]), record)
            if self.lanes.truth is not None:
                record["positive"] = bool(self.lanes.truth[finished.sample] == 1)
        if record["success"] and self.check.goal.stop == "flip" and self.members:
            record["by"] = self.members[int(got["turn"])]  # a lane ends with the row that succeeded
        return Case(finished.check, finished.sample, record, arrays)

    def _verify(self, sample: int, claim: np.ndarray, record: dict[str, Any]) -> dict[str, np.ndarray]:
        asked = self.asked
        point, lanes, distance, near, wrong = self.placed(sample, claim)
        answer = asked.alone(point[None])
        record["verification"] = self.asked.votes
        _, hit = self.judge.score(lanes, np.zeros(1, dtype=np.int64), answer)
        record["distance"] = distance
        output = asked.spec.interface.output
        record["before"] = decision_words(output, self.clean.single[[sample]])
        record["after"] = decision_words(output, answer)
        if not np.all(np.isfinite(answer)):
            record["note"] = "the re-check answered a number that is not finite"
        elif wrong:
            record["note"] = f"the re-check found {wrong}"
        elif not bool(hit[0]):
            record["note"] = "the re-check did not reach the goal: its margin is within the model's numeric noise"
        else:
            record["success"] = near and record["found"] > 0
            record["reached"] = True
        if record["success"] and self.replays:
            record["replayed"] = {
                name: self._replayed(point, lanes, other, judge, record) for name, other, judge in self.replays
            }
        return {"delta": point.astype(np.float64) - asked.points[sample].astype(np.float64)}

    def _replayed(
        self, point: np.ndarray, lanes: Lanes, other: Asked, judge: Oracle, record: dict[str, Any]
    ) -> bool:  # fmt: skip
        """Whether a failing input reaches the goal behind stages too; no answer is a refusal only where they refuse."""
        answer = other.alone(point[None])
        record["verification"] += other.votes
        if not np.isfinite(answer).all():
            return other.reference.guard is None or not other.reference.guard.refuses
        _, hit = judge.score(lanes, np.zeros(1, dtype=np.int64), answer)
        return bool(hit[0])

    def placed(self, sample: int, claim: np.ndarray) -> tuple[np.ndarray, Lanes, float, bool, str]:
        """A claim after a round trip through the input's own precision: the point, its lane, how far it lies
        from the clean one, whether that is within eps, and what is wrong with it ("" for nothing)."""
        lanes, clean = self.lanes.host([sample], self.clean.single), self.asked.points[sample]
        point = np.where(np.isnan(clean), np.nan, claim).astype(np.float32)
        tripped = np.nan_to_num(self.asked.reference.codec.round_trip(point[None]))[0]
        slack = np.abs(tripped - np.nan_to_num(point))  # the input's own precision
        distance = self._distance(tripped, lanes, slack)
        # float32 rounding of x, of a bound and of their difference
        slack = slack + 4e-7 * np.maximum(np.abs(lanes.x[0]), np.abs(tripped))
        lo = lanes.lo if lanes.legal_lo is None else lanes.legal_lo
        hi = lanes.hi if lanes.legal_hi is None else lanes.legal_hi
        wrong = "" if self._lawful(lanes, tripped) else "a constraint between values broken"
        if not (np.all(tripped >= lo[0] - slack) and np.all(tripped <= hi[0] + slack)):
            wrong = "the point outside the region"
        near = distance <= self.area.eps * (1 + 1e-5) + self._tolerance(slack)
        return point, lanes, distance, bool(near), wrong

    def _worst(self, sample: int, claim: np.ndarray, record: dict[str, Any]) -> float | None:
        """Score of the positive class at the row with the best score, asked again alone; None: not two classes.

        A row that does not lie in the region counts as the clean one.
        """
        asked, output = self.asked, self.asked.spec.interface.output
        if output.task not in ("multiclass", "binary") or len(output.classes) > 2:
            return None
        point, _, _, near, wrong = self.placed(sample, claim)
        legal = near and not wrong
        answer = asked.alone(point[None]) if legal else self.clean.single[[sample]]
        record["verification"] += asked.votes * int(legal)
        return float(positive_score(output, answer)[0]) if np.isfinite(answer).all() else None

    def _lawful(self, lanes: Lanes, point: np.ndarray) -> bool:
        """Whether every constraint that the record is held to still holds."""
        if self.area.rules is None:
            return True
        for group in self.area.rules.one_hot:
            if sorted(lanes.x[0, group]) != sorted(point[group]):
                return False
        row = point[None].astype(np.float32)
        return not any((broken(r, row) & held(r, lanes)).any() for r in self.area.rules.relations)

    def _tolerance(self, slack: np.ndarray) -> float:
        """The most that errors of `slack` [D] can add to a distance: of roughness, with signs that alternate."""
        if self.area.norm in (L0, PATCH):
            return 0.0
        alternate = np.where(np.arange(slack.size) % 2, -1.0, 1.0)
        return float(length(self.area, (alternate * slack / self.area.scale)[None])[0])

    def _distance(self, point: np.ndarray, lanes: Lanes, slack: np.ndarray) -> float:
        delta = point - lanes.x[0].astype(np.float64)
        if self.area.norm == L0:
            return float(changes(self.area, (np.abs(delta) > slack)[None])[0])
        if self.area.norm == PATCH:
            return float(side(self.area, (np.abs(delta) > slack)[None])[0])
        return float(length(self.area, (delta / self.area.scale)[None])[0])


def decision_words(output: Output, answers: np.ndarray) -> str:
    """A decision in words."""
    if output.task == "segmentation":
        return f"{int((np.asarray(decide(output, answers)) > 0).sum())} positions marked"
    decided = np.atleast_1d(np.asarray(decide(output, answers))[0])
    if output.task in ("multiclass", "binary", "label"):
        k = int(decided[0])
        return output.classes[k] if 0 <= k < len(output.classes) else f"class {k}"
    if output.task == "multilabel":
        found = [output.classes[k] for k in np.flatnonzero(decided == 1)]
        return ", ".join(found) or "no finding"
    return ", ".join(f"{v:.6g}" for v in decided[:4])
