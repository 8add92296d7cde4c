"""A worker: holds the sessions, the data and the streams; takes lanes, gives verified cases.

Runs in a spawned process. The parent never parses a model file nor imports onnxruntime.
"""

from __future__ import annotations

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
for _name in [n for n in os.environ if n.startswith("ORT_") and n != "ORT_DISABLE_TELEMETRY"]:
    del os.environ[_name]

import platform
import signal
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from medaudit import data as readers
from medaudit.audit.discover import discover
from medaudit.audit.spec import CheckSpec, Clean, Found, WorkSpec
from medaudit.core import streams
from medaudit.core.arrays import Array, array_module, map_tree
from medaudit.core.errors import EngineError, MedauditError, ModelFault
from medaudit.core.interface import Output
from medaudit.core.protocol import Lanes
from medaudit.core.region import L0, LINF, Region
from medaudit.data import Dataset
from medaudit.domain import threat as threats
from medaudit.engine import protocol_checks
from medaudit.engine.loop import Cohort, Finished, room_for, tick
from medaudit.engine.memory import keep_heap
from medaudit.engine.pool import Case
from medaudit.model import file as files
from medaudit.model import session as sessions
from medaudit.model.codec import stored_to_points
from medaudit.model.facts import Facts
from medaudit.model.pipeline import Model, Pipeline
from medaudit.oracle.decision import decide, scores
from medaudit.oracle.goal import oracle, wanted_classes
from medaudit.rule import RULES, Context

BEAT = 0.5  # seconds between signs of life
SNAPSHOT = 60.0  # seconds of model time between snapshots of open lanes


def main(pipe: Connection) -> None:
    """Serve requests until told to stop or the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keep_heap()
    worker = Worker(pipe)
    try:
        while worker.serve():
            pass
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


class Worker:
    """State of one worker process."""

    def __init__(self, pipe: Connection) -> None:
        self.pipe = pipe
        self.bench: Bench | None = None

    def serve(self) -> bool:
        """Handle one request, or one tick when there is nothing to read."""
        if self.bench is not None and self.bench.busy and not self.pipe.poll():
            return self._guarded(self.bench.step, reply=False)
        name, payload = self.pipe.recv()
        if name == "stop":
            return False
        if name == "lanes":
            return self._guarded(lambda: self._ready().take(payload), reply=False)
        if name == "share":
            return self._guarded(lambda: self.pipe.send(("shared", self._ready().share())), reply=False)
        return self._guarded(lambda: getattr(self, f"do_{name}")(payload), reply=True)

    def _guarded(self, work: Any, *, reply: bool) -> bool:
        """Errors of ours travel to the parent as values; anything else is a bug and says so."""
        try:
            value = work()
        except MedauditError as error:
            self.pipe.send(("error", error))
            return True
        except (
            ArithmeticError,
            AttributeError,
            LookupError,
            TypeError,
            ValueError,
            RuntimeError,
        ) as error:
            import traceback

            text = "".join(traceback.format_exception(error))
            self.pipe.send(("error", EngineError(f"{type(error).__name__}: {error}", text)))
            return True
        if reply:
            self.pipe.send(("ok", value))
        return True

    def do_inspect(self, path: str) -> Facts:
        return files.inspect(Path(path))[0]

    def do_load(self, payload: tuple[str, str]) -> list[str]:
        """Open a session to see whether the model loads; its providers."""
        path, device = payload
        return list(sessions.open_session(Path(path), device).get_providers())

    def do_providers(self, _: None) -> list[str]:
        return sessions.available()

    def do_cuda(self, _: None) -> None:
        """Raises ModelError unless a real CUDA session can be had."""
        sessions.open_session(sessions.tiny_model(), "cuda:0")

    def do_discover(self, payload: tuple[str, str, Any, str]) -> Found:
        path, data, section, hint = payload
        facts, _ = files.inspect(Path(path))
        return discover(Path(path), facts, readers.read(Path(data)), section, hint)

    def do_open(self, spec: WorkSpec) -> dict[str, str]:
        self.bench = Bench(spec, self.pipe)
        return self.bench.environment()

    def do_clean(self, index: np.ndarray) -> dict[str, Any]:
        return self._ready().clean(index)

    def do_protocol(self, payload: tuple[str, np.ndarray, int]) -> protocol_checks.Comparison:
        return self._ready().protocol(*payload)

    def do_replay(self, payload: tuple[int, np.ndarray]) -> dict[str, Any]:
        return self._ready().replay(*payload)

    def do_calibrate(self, seconds: float) -> float:
        return self._ready().calibrate(seconds)

    def do_prepare(self, payload: tuple[tuple[CheckSpec, ...], Clean]) -> None:
        self._ready().prepare(*payload)

    def _ready(self) -> Bench:
        if self.bench is None:
            raise EngineError("the run was not opened")
        return self.bench


class Bench:
    """An opened run: pipelines, points, cohorts."""

    def __init__(self, spec: WorkSpec, pipe: Connection) -> None:
        self.spec, self.pipe = spec, pipe
        self.data: Dataset = readers.read(Path(spec.data))
        self.points = points_of(spec, self.data)
        self.padding = padding_of(spec, self.data)
        self.model = Model(Path(spec.model), spec.batching, spec.device)
        self.pipeline = Pipeline(self.model, spec.interface, spec.block)
        alone = spec.batching.size if spec.batching.kind == "fixed" else 1
        self.reference = Pipeline(Model(Path(spec.model), spec.batching, "cpu"), spec.interface, alone)
        self.cohorts: dict[str, Cohort] = {}
        self.verifiers: dict[str, Verifier] = {}
        self.rows = self.padded = 0
        self.beat = time.monotonic()
        self.saved_at = 0.0
        self.faults: list[str] = []  # what the model said when it failed

    def environment(self) -> dict[str, str]:
        """What answers may depend on; goes into the fingerprint and the report."""
        return {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "onnxruntime": sessions.version(),
            "provider": self.model.session.get_providers()[0],
            "machine": f"{platform.system()} {platform.machine()}",
            "processor": _processor(),
            "telemetry": "off (ORT_DISABLE_TELEMETRY=1 before onnxruntime was imported)",
            "executable": Path(sys.executable).name,
        }

    # --- requests that answer at once

    def clean(self, index: np.ndarray) -> dict[str, Any]:
        """Answers to rows `index` in blocks, and one at a time on the reference session."""
        points = self.points[index]
        answers = self._ask(points)
        single = self._alone(points)
        if self.faults and np.isnan(answers).all():
            raise ModelFault(f"the model fails on every row of the data: {self.faults[0]}")
        a, b = (scores(self.spec.interface.output, v) for v in (answers, single))
        gap = np.abs(a.astype(np.float64) - b)
        return {
            "answers": answers,
            "single": single,
            "floor": float(np.max(gap[np.isfinite(gap)], initial=0.0)),
            "rows": 2 * len(index),
            "fault": self.faults[0] if self.faults else "",
        }

    def protocol(self, kind: str, index: np.ndarray, key: int) -> protocol_checks.Comparison:
        points = self.points[index]
        output = self.spec.interface.output

        def decided(answers: np.ndarray) -> np.ndarray:
            return np.asarray(decide(output, answers))

        if kind == "repeatability":
            return protocol_checks.repeatability(points, self._ask, decided)
        if kind == "row-purity":
            return protocol_checks.row_purity(points, self._ask, decided, key)
        return protocol_checks.batch_isolation(points, self._ask, self._alone, decided)

    def replay(self, sample: int, delta: np.ndarray) -> dict[str, Any]:
        """Clean and perturbed record, each asked alone; their answers, and arrays as fed."""
        clean = self.points[sample]
        point = (clean.astype(np.float64) + delta).astype(np.float32)
        arrays: dict[str, np.ndarray] = {"clean": clean, "perturbed": point}
        for word, row in (("clean", clean), ("perturbed", point)):
            for name, tensor in self.reference.codec.encode(row[None]).items():
                arrays[f"{word}__{name}"] = tensor.astype(str) if tensor.dtype == object else tensor
        answers = [self.reference.answer(row[None]) for row in (clean, point)]
        words = [decision_words(self.spec.interface.output, a) for a in answers]
        return {"before": words[0], "after": words[1], "arrays": arrays}

    def calibrate(self, seconds: float) -> float:
        """Seconds per row in blocks, best of several rounds."""
        points = self.points[: self.spec.block]
        best, until = np.inf, time.monotonic() + seconds
        while time.monotonic() < until:
            start = time.perf_counter()
            self._ask(points)
            best = min(best, (time.perf_counter() - start) / self.spec.block)
        return float(best)

    def _ask(self, points: np.ndarray) -> np.ndarray:
        return self._in_blocks(self.pipeline, points, array_module(self.spec.device))

    def _alone(self, points: np.ndarray) -> np.ndarray:
        parts = [self._in_blocks(self.reference, points[i : i + 1], np) for i in range(len(points))]
        return np.concatenate(parts)

    def _in_blocks(self, pipeline: Pipeline, points: Array, xp: Any) -> np.ndarray:
        """Answers block after block; a row on which the model fails answers NaN, like any other nonsense."""
        block, parts = self.spec.block, []
        for start in range(0, len(points), block):
            rows = xp.asarray(points[start : start + block])
            try:
                parts.append(pipeline.answer(rows))
            except ModelFault as fault:
                self.faults.append(fault.message)
                if len(rows) > 1:  # which of them?
                    parts += [self._in_blocks(pipeline, rows[i : i + 1], xp) for i in range(len(rows))]
                else:
                    parts.append(np.full((1, self.spec.interface.output.width), np.nan, dtype=np.float32))
        return np.concatenate(parts)

    # --- lanes

    def prepare(self, checks: tuple[CheckSpec, ...], clean: Clean) -> None:
        """Build every check's attack; after this, lanes may come."""
        xp = array_module(self.spec.device)
        wide = np.isnan(self.points).any()
        donors = np.ascontiguousarray(self.points[clean.donors])
        for check in checks:
            rule = RULES[check.rule]
            if rule.search is None or check.threat is None:
                continue
            area = threats.region(self.spec.interface, check.threat)
            here = map_tree_region(area, xp)
            context = Context(
                interface=self.spec.interface,
                region=here,
                goal=check.goal,
                access=rule.access or check.threat.access,
                clearance=2 * clean.floor,
                settings=check.settings,
                donors=xp.asarray(donors),
                kinds=xp.asarray(clean.kinds),
            )
            lanes = LaneMaker(self, check, area, clean, bool(wide))
            self.cohorts[check.id] = Cohort(check.id, rule.attack(context), check.budget, lanes.on(xp))
            self.verifiers[check.id] = Verifier(self, check, area, clean, lanes)

    def take(self, lanes: list[tuple[str, int, bytes | None]]) -> None:
        for check, sample, saved in lanes:
            self.cohorts[check].waiting.append((sample, saved))

    def share(self) -> list[tuple[str, int, bytes | None]]:
        """Half of the lanes of every check, to be continued by another worker."""
        given: list[tuple[str, int, bytes | None]] = []
        odd = 0
        for check, cohort in self.cohorts.items():
            half, odd = divmod(len(cohort.waiting) + cohort.open + odd, 2)
            given += [(check, sample, state) for sample, state in cohort.give(half)]
        return given

    @property
    def busy(self) -> bool:
        return any(c.waiting or c.open for c in self.cohorts.values())

    def step(self) -> None:
        """One tick; report what finished, statistics, and now and then snapshots."""
        finished = tick(
            [c for c in self.cohorts.values() if c.waiting or c.open],
            self.spec.block,
            self._answer,
            self.spec.room or room_for(self.spec.block, self.spec.interface.size),
        )
        if finished:
            # Statistics first: when the last case arrives, the parent stops listening.
            self.pipe.send(("stats", self.statistics()))
            self.pipe.send(("cases", [self.verifiers[f.check].case(f) for f in finished]))
        now = time.monotonic()
        if now - self.beat > BEAT:
            self.beat = now
            self.pipe.send(("stats", self.statistics()))
        if self.pipeline.seconds - self.saved_at > SNAPSHOT:
            self.saved_at = self.pipeline.seconds
            states = [(c.check, s, blob) for c in self.cohorts.values() for s, blob in c.snapshots()]
            self.pipe.send(("snapshots", states))

    def _answer(self, points: Array) -> np.ndarray:
        start = time.perf_counter()
        answers = self._ask(points)
        self.pipeline.seconds += time.perf_counter() - start
        self.rows += len(answers)
        self.padded += self.spec.block - len(answers)
        now = time.monotonic()
        if now - self.beat > BEAT:
            self.beat = now
            self.pipe.send(("stats", self.statistics()))
        return answers

    def statistics(self) -> dict[str, float]:
        return {
            "worker": os.getpid(),
            "rows": self.rows,
            "padding": self.padded,
            "calls": self.pipeline.calls,
            "seconds": self.pipeline.seconds,
        }


def points_of(spec: WorkSpec, data: Dataset) -> np.ndarray:
    """All rows of the data file as points [n, D] float32; NaN where nothing was measured."""
    arrays = {i.name: data.x[i.name if i.name in data.x else ""] for i in spec.interface.inputs}
    return stored_to_points(spec.interface, arrays)


def padding_of(spec: WorkSpec, data: Dataset) -> np.ndarray | None:
    """[n, D] bool: numbers behind the end of a row's series; None without `length`."""
    if data.length is None:
        return None
    parts = []
    for item in spec.interface.inputs:
        part = item.part
        if item.domain not in ("signal", "sequence"):
            parts.append(np.zeros((len(data.length), part.size), dtype=bool))
            continue
        late = np.arange(part.columns)[None, :] >= data.length.reshape(-1)[:, None]
        grid = np.broadcast_to(late[:, None, :], (len(late), part.planes * part.rows, part.columns))
        parts.append(grid.reshape(len(late), part.size))
    return np.concatenate(parts, axis=1)


def map_tree_region(area: Region, xp: Any) -> Region:
    """The region's arrays in the namespace of the device."""
    moved = {
        name: xp.asarray(value) for name in ("scale", "step", "choices") if (value := getattr(area, name)) is not None
    }
    return area._replace(**moved)


class LaneMaker:
    """Builds the lanes of one check from sample numbers."""

    def __init__(self, bench: Bench, check: CheckSpec, area: Region, clean: Clean, missing: bool) -> None:
        self.bench, self.check, self.area, self.clean, self.missing = (
            bench,
            check,
            area,
            clean,
            missing,
        )
        output = bench.spec.interface.output
        decided = np.asarray(decide(output, clean.answers))
        single = output.task in ("multiclass", "binary", "label")
        self.label = decided.astype(np.int64) if single else np.full(len(decided), -1, dtype=np.int64)
        wanted = wanted_classes(output, check.goal)
        self.target = wanted[0] if len(wanted) == 1 and single else -1

    def on(self, xp: Any) -> Any:
        def make(samples: list[int]) -> Lanes:
            return map_tree(xp.asarray, self.host(samples))

        return make

    def host(self, samples: list[int], answers: np.ndarray | None = None) -> Lanes:
        bench, check = self.bench, self.check
        index = np.asarray(samples)
        x = bench.points[index]
        padding = None if bench.padding is None else bench.padding[index]
        if check.threat is None:
            raise EngineError(f"check {check.id} has no threat")
        lo, hi = threats.boxes(bench.spec.interface, check.threat, self.area, x, padding)
        names = [streams.key(bench.spec.seed, check.rule, check.id, bench.data.ids[i]) for i in samples]
        return Lanes(
            key=np.array(names, dtype=np.uint64),
            x=np.nan_to_num(x, nan=0.0),
            lo=lo,
            hi=hi,
            missing=np.isnan(x) if self.missing else None,
            ref=(self.clean.answers if answers is None else answers)[index],
            label=self.label[index],
            target=np.full(len(index), self.target, dtype=np.int64),
        )


class Verifier:
    """Never believes a claim: region, distance and decision again, alone, on another session."""

    def __init__(self, bench: Bench, check: CheckSpec, area: Region, clean: Clean, lanes: LaneMaker) -> None:
        self.bench, self.check, self.area, self.clean, self.lanes = bench, check, area, clean, lanes
        output = bench.spec.interface.output
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
        arrays: dict[str, np.ndarray] = {}
        if np.isfinite(size):
            arrays = self._verify(finished.sample, np.asarray(got["claim"]), record)
        return Case(finished.check, finished.sample, record, arrays)

    def _verify(self, sample: int, claim: np.ndarray, record: dict[str, Any]) -> dict[str, np.ndarray]:
        bench = self.bench
        lanes = self.lanes.host([sample], self.clean.single)
        clean = bench.points[sample]
        point = np.where(np.isnan(clean), np.nan, claim).astype(np.float32)
        tripped = np.nan_to_num(bench.reference.codec.round_trip(point[None]))[0]
        slack = np.abs(tripped - np.nan_to_num(point))  # the input's own precision
        distance = self._distance(tripped, lanes, slack)
        # float32 rounding of x, of a bound and of their difference
        slack = slack + 4e-7 * np.maximum(np.abs(lanes.x[0]), np.abs(tripped))
        inside = np.all(tripped >= lanes.lo[0] - slack) and np.all(tripped <= lanes.hi[0] + slack)
        answer = bench._alone(point[None])
        record["verification"] = 1
        _, hit = self.judge.score(lanes, np.zeros(1, dtype=np.int64), answer)
        record["distance"] = distance
        output = bench.spec.interface.output
        record["before"] = decision_words(output, self.clean.single[[sample]])
        record["after"] = decision_words(output, answer)
        reached = distance <= self.area.eps * (1 + 1e-5) + self._tolerance(slack)
        if not np.all(np.isfinite(answer)):
            record["note"] = "the re-check answered a number that is not finite"
        elif not inside:
            record["note"] = "the re-check found the point outside the region"
        elif not bool(hit[0]):
            record["note"] = "the re-check did not reach the goal: its margin is within the model's numeric noise"
        else:
            record["success"] = bool(reached) and record["found"] > 0
            record["reached"] = True
        delta = point.astype(np.float64) - clean.astype(np.float64)
        return {"delta": delta}

    def _tolerance(self, slack: np.ndarray) -> float:
        ratio = slack / self.area.scale
        return float(np.max(ratio) if self.area.norm == LINF else np.sqrt(np.sum(ratio**2)))

    def _distance(self, point: np.ndarray, lanes: Lanes, slack: np.ndarray) -> float:
        delta = point - lanes.x[0].astype(np.float64)
        if self.area.norm == L0:
            return float(np.count_nonzero(np.abs(delta) > slack))
        delta = delta / self.area.scale
        if self.area.norm == LINF:
            return float(np.max(np.abs(delta), initial=0.0))
        return float(np.sqrt(np.sum(delta * delta)))


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


def _processor() -> str:
    """The CPU's model name: int8 and some float answers depend on it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()
