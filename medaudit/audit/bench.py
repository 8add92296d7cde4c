"""An opened run in a worker: sessions, points, cohorts; takes lanes, gives verified cases."""

from __future__ import annotations

import os
import platform
import sys
import time
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from medaudit import data as readers
from medaudit.audit.asked import Asked
from medaudit.audit.attacks import fitting, weakened
from medaudit.audit.attribute import attributed, exchanged
from medaudit.audit.certificates import Smoothing
from medaudit.audit.explaining import Explaining
from medaudit.audit.exposing import Exposing, sessions_of, tensors_of, weights_of
from medaudit.audit.handoff import findings
from medaudit.audit.inputs import points_of
from medaudit.audit.lanes import LaneMaker, Verifier, decision_words
from medaudit.audit.probes import Corruptions
from medaudit.audit.renamed import renamed
from medaudit.audit.searches import Joint, Searching, searched_field
from medaudit.audit.spec import CheckSpec, Clean, WorkSpec, around, face_behind
from medaudit.audit.sweeps import Sweep, field_of
from medaudit.core import subspace as subspaces
from medaudit.core.arrays import Array, array_module
from medaudit.core.errors import ModelError, ModelFault
from medaudit.core.interface import Interface
from medaudit.core.region import Region
from medaudit.core.relations import Rules
from medaudit.data import Dataset
from medaudit.domain import threat as threats
from medaudit.engine import protocol_checks
from medaudit.engine.loop import Cohort, Finished, room_for, tick
from medaudit.model import file as files
from medaudit.model import session as sessions
from medaudit.model.codec import Codec
from medaudit.model.expose import exposed
from medaudit.model.graph import Model, choose_batching
from medaudit.model.guard import Guard
from medaudit.model.lineage import kinship
from medaudit.model.permuted import last_hidden, permuted
from medaudit.model.pipeline import Pipeline
from medaudit.oracle.decision import decide
from medaudit.oracle.noise import clearance
from medaudit.probe.kinds import OWN
from medaudit.rule import RULES, Context
from medaudit.rule.base import PROBED

Probe = Corruptions | Smoothing | Sweep | Searching | Explaining
PROBES: dict[str, type[Corruptions | Smoothing | Sweep]] = {
    "corruption": Corruptions,
    "certificate": Smoothing,
    "sweep": Sweep,
    "known-trigger": Sweep,
}
BEAT = 0.5  # seconds between signs of life
SNAPSHOT = 60.0  # seconds of model time between snapshots of open lanes


class Bench:
    """An opened run: pipelines, points, cohorts."""

    def __init__(self, spec: WorkSpec, pipe: Connection) -> None:
        self.spec, self.pipe = spec, pipe
        self.data: Dataset = readers.read(Path(spec.data))
        self.points = points_of(spec.interface, self.data)
        self.model = Model(Path(spec.model), spec.batching, spec.device)
        self.sessions = self.model, Model(Path(spec.model), spec.batching, "cpu")
        self.padding = padding_of(spec, self.data)
        self.asked = {name: self._open(name) for name in ("", *(name for name in spec.stages if name))}
        self.asked |= {name: self._reference(path) for name, path in spec.references.items()}
        self.bare = self.asked[""]
        self.own = {name: sessions_of(spec, one) for name, one in spec.explainers.items() if one.kind == OWN}
        self.cohorts: dict[str, Cohort] = {}
        self.verifiers: dict[str, Verifier | Probe] = {}
        self.joint: Joint | None = None
        self.rows = self.padded = 0
        self.seconds = 0.0
        self.beat = time.monotonic()
        self.saved_at = 0.0

    def _reference(self, path: str) -> Asked:
        """Another model in the place of this one. Raises ModelError where it does not take the same inputs."""
        face = renamed(face_behind(self.spec, ""), self.model.facts, files.inspect(Path(path))[0])
        feeds = Codec(face).encode(self.points[: max(2, self.spec.block)])
        try:
            batching = choose_batching(Path(path), feeds)
        except ModelFault as error:
            raise ModelError(
                f"{path}: this reference model does not take what the model takes: {error.message}",
                "give a version that was exported with the same inputs",
            ) from error
        both = Model(Path(path), batching, self.spec.device), Model(Path(path), batching, "cpu")
        return self._open("", both, face)

    def _open(
        self, name: str, sessions: tuple[Model, Model] | None = None, face: Interface | None = None
    ) -> Asked:  # fmt: skip
        """The model behind stages: sessions are shared, noise differs between searching and re-checking."""
        sessions = sessions or self.sessions
        spec, stages = replace(self.spec, interface=face or face_behind(self.spec, name)), around(self.spec, name)
        alone = spec.batching.size if spec.batching.kind == "fixed" else 1
        search, single = sessions
        some = self.points[: max(2, spec.block)]

        def pipeline(model: Model, block: int, salt: int) -> Pipeline:
            guard = Guard(stages, spec.interface, model.device, salt, some) if stages else None
            return Pipeline(model, spec.interface, block, guard)

        both = pipeline(search, spec.block, 0), pipeline(single, alone, 1)
        return Asked(spec, self.data, self.points, self.padding, *both)

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

    def clean(self, index: np.ndarray, behind: str) -> dict[str, Any]:
        return self.asked[behind].clean(index) | {"kin": self._kin(behind)}

    def _kin(self, behind: str) -> float:
        """How far this model's weights go with a reference's; of anything else 0."""
        other = self.spec.references.get(behind)
        return kinship(files.load(Path(self.spec.model)), files.load(Path(other))) if other else 0.0

    def protocol(self, kind: str, index: np.ndarray, key: int) -> dict[str, Any]:
        """What a check that is made once finds on some records, as plain data."""
        points = self.points[index]
        if kind == "graph":
            return findings(self.spec, points)
        output = self.spec.interface.output

        def decided(answers: np.ndarray) -> np.ndarray:
            return np.asarray(decide(output, answers))

        if kind == "repeatability":
            got = protocol_checks.repeatability(points, self.bare.ask, decided)
        elif kind == "row-purity":
            got = protocol_checks.row_purity(points, self.bare.ask, decided, key)
        else:
            got = protocol_checks.batch_isolation(points, self.bare.ask, self.bare.alone, decided)
        return {
            "rows": int(self.bare.votes * got.rows),
            "changed": [bool(v) for v in got.changed],
            "decision": [bool(v) for v in got.decision],
            "gap": [float(v) if np.isfinite(v) else None for v in got.gap],
        }

    def replay(self, sample: int, delta: np.ndarray, behind: str = "") -> dict[str, Any]:
        """Clean and perturbed record, each asked alone; their answers, and arrays as encoded."""
        reference = self.asked[behind].reference
        clean = self.points[sample]
        point = (clean.astype(np.float64) + delta).astype(np.float32)
        arrays: dict[str, np.ndarray] = {"clean": clean, "perturbed": point}
        for word, row in (("clean", clean), ("perturbed", point)):
            for name, tensor in reference.codec.encode(row[None]).items():
                arrays[f"{word}__{name}"] = tensor.astype(str) if tensor.dtype == object else tensor
        answers = [reference.answer(row[None]) for row in (clean, point)]
        words = [decision_words(reference.interface.output, a) for a in answers]
        return {"before": words[0], "after": words[1], "arrays": arrays}

    def attribute(self, index: int) -> dict[str, Any]:
        """The explanation of one record, by the explainer that was given."""
        return attributed(self._exposing("given", "", self.bare), index, self.spec.explainers["given"])

    def importance(self, rows: int) -> dict[str, Any]:
        """What counts over all records, in the cells of the explainer that was given."""
        return exchanged(self.bare, rows, self.spec.explainers["given"])

    def calibrate(self, seconds: float) -> float:
        """Seconds per row in blocks, best of several rounds."""
        points = self.points[: self.spec.block]
        best, until = np.inf, time.monotonic() + seconds
        while time.monotonic() < until:
            start = time.perf_counter()
            self.bare.ask(points)
            best = min(best, (time.perf_counter() - start) / (self.bare.votes * self.spec.block))
        return float(best)

    # --- lanes

    def prepare(
        self, checks: tuple[CheckSpec, ...], cleans: dict[str, Clean], changes: dict[str, np.ndarray]
    ) -> None:  # fmt: skip
        """Build every check's attack; after this, lanes may come.

        cleans: by the name of stages. changes: by check id, what was fitted, or the cells that a sweep asks again.
        """
        xp = array_module(self.spec.device)
        wide = np.isnan(self.points).any()
        for check in checks:
            rule, asked, clean = RULES[check.rule], self.asked[check.behind], cleans[check.behind]
            if rule.kind in PROBED:
                probe = self._probe(check, cleans, changes.get(check.id))
                self.cohorts[check.id] = Cohort(check.id, probe.attack(), check.budget, probe.lanes)
                self.verifiers[check.id] = probe
                continue
            if rule.search is None or check.threat is None:
                continue
            area = threats.region(asked.spec.interface, check.threat)
            context = self._context(check, check.threat, clean, area, changes.get(check.id))
            replays = [self.asked[name] for name in check.replay]
            if rule.kind == "explanation":
                named = check.settings.explainer
                asked = self._exposing(named, check.behind, asked)
                replays = [self._exposing(named, name, self.asked[name]) for name in check.replay]
                shuffled = self._randomised(named) if check.settings.randomised else {}
                hidden = self._hidden(check.behind)
                own = Explaining(asked, check, clean, rule, context, area, replays, shuffled, hidden)
                self.cohorts[check.id] = Cohort(check.id, own.attack(), check.budget, own.lanes)
                self.verifiers[check.id] = own
                continue
            lanes = LaneMaker(asked, check, area, clean, bool(wide))
            answers = xp.asarray(clean.answers[clean.donors]) if check.planted else None
            make = lanes.on(xp)
            if check.fit:
                attack, make = fitting(rule, context, make(list(check.fit)), answers)
            else:
                attack = rule.attack(context)
                if answers is not None:
                    attack = weakened(attack, rule, context, answers)
            self.cohorts[check.id] = Cohort(check.id, attack, check.budget, make)
            self.verifiers[check.id] = Verifier(asked, check, area, clean, lanes, attack.members, replays)

    def _exposing(self, named: str, behind: str, asked: Asked) -> Asked:
        """What a check of explanations asks: the model, or the same with a tensor of its own beside each answer."""
        if named not in self.own:
            return asked
        key = f"{behind}+{named}"
        if key not in self.asked:
            self.asked[key] = self._with_tensors(named, asked, self.own[named])
        return self.asked[key]

    def _with_tensors(
        self, named: str, asked: Asked, models: tuple[Model, Model], edited: Any = None
    ) -> Asked:  # fmt: skip
        explainer, face = self.spec.explainers[named], asked.spec.interface
        fed = () if explainer.tensor else tuple(i.name for i in face.inputs if i.domain in ("sequence", "signal"))[:1]
        extra = (*tensors_of(explainer), *fed)
        search, alone = (
            Pipeline(model, face, old.block, old.guard, extra)
            for model, old in zip(models, (asked.pipeline, asked.reference), strict=True)
        )
        return Exposing(asked, explainer, search, alone, weights_of(Path(self.spec.model), explainer, edited))

    def _hidden(self, behind: str) -> Asked | None:
        """The model behind stages, with its last hidden layer behind each answer; None where it has none."""
        key, base, path = f"{behind}+hidden", self.asked[behind], Path(self.spec.model)
        graph = files.load(path)
        name = last_hidden(graph)
        if not name or base.votes > 1:
            return None
        if key not in self.asked:
            model = Model(path, self.spec.batching, self.spec.device, exposed(graph, (name,)))
            pipe = Pipeline(model, base.spec.interface, base.pipeline.block, base.pipeline.guard, (name,))
            self.asked[key] = Asked(base.spec, base.data, base.points, base.padding, pipe, pipe)
        return self.asked[key]

    def _randomised(self, named: str) -> dict[str, Asked]:
        """The bare model with the weights of its last layer shuffled, and with those of all; {} where it stores none.

        Raises ModelError for weights that cannot be read.
        """
        path, own = Path(self.spec.model), named in self.own
        graph = exposed(files.load(path), tensors_of(self.spec.explainers[named])) if own else None
        out = {}
        for name, share in (("randomised_last", 0.0), ("randomised_overlap", 1.0)):
            key = f"{name}+{named if own else ''}"
            if key not in self.asked:
                shuffled = permuted(path, share, self.spec.seed, graph)
                if shuffled is None:
                    return {}
                model = Model(path, self.spec.batching, self.spec.device, shuffled)
                bare = self._open("", (model, model))
                self.asked[key] = self._with_tensors(named, bare, (model, model), shuffled) if own else bare
            out[name] = self.asked[key]
        return out

    def _context(
        self, check: CheckSpec, threat: threats.Threat, clean: Clean, area: Region, change: np.ndarray | None
    ) -> Context:  # fmt: skip
        """What a rule may look at. change: what was fitted."""
        xp = array_module(self.spec.device)
        face, rule = self.asked[check.behind].spec.interface, RULES[check.rule]
        here, narrow = map_tree_region(area, xp), threats.subspace(face, threat)
        lent = list(check.lent) if check.fit else clean.donors
        return Context(
            interface=face,
            region=here,
            goal=check.goal,
            access=rule.access or threat.access,
            clearance=clearance(face.output, clean.floor),
            settings=check.settings,
            donors=xp.asarray(np.ascontiguousarray(self.points[lent])) if narrow is None else None,
            kinds=xp.asarray(clean.kinds) if narrow is None and not check.fit else None,
            subspace=None if narrow is None else subspaces.on(here.scale, narrow),
            change=None if change is None else xp.asarray(change),
        )

    def _probe(self, check: CheckSpec, cleans: dict[str, Clean], again: np.ndarray | None) -> Probe:
        """The questions of a check. again: the cells that a sweep asks again, or the members that a search found."""
        asked, clean, kind = self.asked[check.behind], cleans[check.behind], RULES[check.rule].kind
        if kind == "search" and check.screen:  # on the model and its references together
            names = list(self.spec.references)
            self.joint = self.joint or Joint(self.bare, [self.asked[name] for name in names])
            return Searching(self.joint, check, [cleans[name] for name in ("", *names)], self.data, self.points)
        if kind == "search":
            face = self.spec.interface
            cells = field_of(face, self.data, self.points, check)
            return Sweep(asked, check, clean, found=searched_field(cells, face.output, np.asarray(again)))
        return PROBES[kind](asked, check, clean) if again is None else Sweep(asked, check, clean, again)

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
        finished: list[Finished] = []
        room = self.spec.room or room_for(self.spec.block, self.spec.interface.size)
        every: list[Asked | Joint] = [*self.asked.values(), *([self.joint] if self.joint else [])]
        for asked in every:
            own = [c for n, c in self.cohorts.items() if self.verifiers[n].asked is asked and (c.waiting or c.open)]
            if own:
                finished += tick(own, self.spec.block, partial(self._answer, asked), room)
        if finished:
            # Statistics first: when the last case arrives, the parent stops listening.
            self.pipe.send(("stats", self.statistics()))
            self.pipe.send(("cases", [self.verifiers[f.check].case(f) for f in finished]))
        now = time.monotonic()
        if now - self.beat > BEAT:
            self.beat = now
            self.pipe.send(("stats", self.statistics()))
        if self.seconds - self.saved_at > SNAPSHOT:
            self.saved_at = self.seconds
            states = [(c.check, s, blob) for c in self.cohorts.values() for s, blob in c.snapshots()]
            self.pipe.send(("snapshots", states))

    def _answer(self, asked: Asked | Joint, points: Array) -> np.ndarray:
        start = time.perf_counter()
        answers = asked.ask(points)
        self.seconds += time.perf_counter() - start
        self.rows += asked.votes * len(answers)
        self.padded += asked.votes * (self.spec.block - len(answers))
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
            "calls": sum(asked.pipeline.calls for asked in self.asked.values()),
            "seconds": self.seconds,
        }


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
    names = ("scale", "step", "choices", "alike")
    moved = {name: xp.asarray(value) for name in names if (value := getattr(area, name)) is not None}
    if area.rules is not None:
        relations = tuple(r._replace(index=xp.asarray(r.index)) for r in area.rules.relations)
        moved["rules"] = Rules(relations, tuple(xp.asarray(group) for group in area.rules.one_hot))
    if area.injected is not None and area.injected.muted is not None:
        moved["injected"] = area.injected._replace(muted=xp.asarray(area.injected.muted))
    return area._replace(**moved)


def _processor() -> str:
    """The CPU's model name: int8 and some float answers depend on it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()
