"""The same ONNX file, samples and rows for medaudit, ART and Foolbox: one table.

Rows are counted by a wrapper around the one session that all tools share (one thread, CPU); they
hold everything a tool asks: clean answers, searches for a start, checks at the end. A peer runs
first, with its own settings at about --budget rows a sample; medaudit then gets the mean number of
rows the peer really took. Results are judged here, outside the count, by asking the model again.

    result     square: share of samples changed inside eps; hopskipjump: median L2 of what is returned
    asked      hopskipjump: median L2 of the nearest changed point that the tool ever asked about
    calls      of ONNX Runtime; `padded`: rows that only fill up medaudit's last blocks, not in rows
    overhead   wall / (rows x best bare seconds a row, any block size); 1.0 is the limit
    ratio      medaudit's wall a row / the peer's, minima of interleaved repeats

Needs `pip install adversarial-robustness-toolbox foolbox` (extra `bench`).
Usage: python -m benchmarks.peers [--shared DIR] [--samples N] [--budget Q] [--quick] [NAME...]
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np

from benchmarks.limit import Bare, interface_of
from benchmarks.models import small_cnn
from medaudit.core import streams
from medaudit.core.compose import compose
from medaudit.core.protocol import Lanes
from medaudit.core.region import Region
from medaudit.engine.inline import run_inline
from medaudit.engine.memory import keep_heap
from medaudit.model.facts import Batching, block_size
from medaudit.model.pipeline import Model, Pipeline
from medaudit.oracle.decision import decide
from medaudit.oracle.goal import Goal, oracle
from medaudit.search import hopskipjump, square

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
DONORS = 16
BATCH = 128  # ART's own default


class Spec(NamedTuple):
    """model, data: under the folder; over: stored values are divided by it; eps: of square."""

    folder: str
    model: str
    data: str
    over: float
    row: tuple[int, ...]
    domain: str
    meaning: str
    lo: float
    hi: float
    eps: float
    share: float  # of --samples, for slow models


SPECS = {
    "cxr": Spec("examples", "cxr/model.onnx", "cxr/data.npz", 255, (1, 64, 64), "image",
                "logits", 0, 1, 3 / 255, 1.0),
    "pneumonia": Spec("shared", "models/pneumonia_nchw.onnx", "data/pneumonia.npz", 255,
                      (1, 28, 28), "image", "probabilities", 0, 1, 8 / 255, 1.0),
    "ecg": Spec("examples", "ecg/model.onnx", "ecg/data.npz", 1, (9000, 1), "signal",
                "probabilities", -5, 5, 0.03, 0.24),
    "small-cnn": Spec("made", "model.onnx", "data.npz", 1, (1, 64, 64), "image",
                      "logits", 0, 1, 2 / 255, 1.0),
}  # fmt: skip


def make_small_cnn(folder: Path) -> None:
    """A fast model with random weights, for walls only; levelled to split random images in halves."""
    import onnx
    from onnx import numpy_helper

    path = folder / SPECS["small-cnn"].model
    small_cnn(path)
    tiles = np.random.default_rng(0).random((400, 1, 16, 16), dtype=np.float32)
    x = np.repeat(np.repeat(tiles, 4, axis=2), 4, axis=3)
    proto = onnx.load(path)
    mean, deviation = proto.graph.initializer[-2:]  # what `Graph.save` levels by
    scores = Model(path, Batching("free")).call({"x": x})[0]
    shift = np.array([np.median(scores[:, 0] - scores[:, 1]), 0]) * numpy_helper.to_array(deviation)
    level = (numpy_helper.to_array(mean) + shift).astype(np.float32)
    mean.CopyFrom(numpy_helper.from_array(level, mean.name))
    onnx.save(proto, str(path))
    y = Model(path, Batching("free")).call({"x": x})[0].argmax(axis=1)
    np.savez(folder / SPECS["small-cnn"].data, x=x[:200], y=y[:200], ref_x=x[200:], ref_y=y[200:],
             classes=np.array(["a", "b"]))  # fmt: skip


class Counted:
    """A session that counts its rows and calls."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.reset()

    def reset(self) -> None:
        self.rows = self.calls = 0

    def run(self, names: Any, feeds: dict[str, np.ndarray], *rest: Any) -> Any:
        self.calls += 1
        self.rows += len(next(iter(feeds.values())))
        return self.session.run(names, feeds, *rest)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.session, name)


class Victim:
    """A trained model with samples it decides correctly, and clean points to start from."""

    def __init__(self, name: str, spec: Spec, folder: Path, samples: int) -> None:
        self.name, self.spec = name, spec
        data = np.load(folder / spec.data, allow_pickle=False)
        self.classes = len(data["classes"])
        self.model = Model(folder / spec.model, Batching("free"))
        self.counted = self.model.session = Counted(self.model.session)
        first = self.model.facts.inputs[0].name
        face = interface_of(spec.row, spec.domain, self.classes)
        self.interface = dataclasses.replace(
            face,
            inputs=(dataclasses.replace(face.inputs[0], name=first),),
            output=dataclasses.replace(face.output, tensors=(self.model.outputs[0],), meaning=spec.meaning),
        )
        count = max(4, round(samples * spec.share))
        self.x, self.label = self._correct(data["x"], data["y"], 0)
        self.x, self.label = self.x[:count], self.label[:count]
        self.block = block_size(4 * self.interface.size, Batching("free"), "cpu", len(self.x))
        donors, kinds = self._correct(data["ref_x"], data["ref_y"], 1)
        each = [np.flatnonzero(kinds == k)[: DONORS // self.classes] for k in range(self.classes)]
        self.donors, self.kinds = donors[np.concatenate(each)], kinds[np.concatenate(each)]
        self.best: np.ndarray | None = None
        self.uncounted = SimpleNamespace(facts=self.model.facts, session=self.counted.session)

    def bare(self, seconds: float) -> float:
        """Seconds a row without any tool, at the best block size."""
        loop = Bare(self.uncounted, self.x, self.spec.row)
        loop.run(seconds)
        return loop.seconds / loop.rows

    def _correct(self, x: np.ndarray, y: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows the model decides correctly, shuffled, and their decisions."""
        order = np.random.default_rng(seed).permutation(len(x))[:400]
        rows = (x[order].astype(np.float32) / np.float32(self.spec.over)).reshape(len(order), -1)
        label = self.labels(rows)
        good = np.flatnonzero(label == y[order])
        return np.ascontiguousarray(rows[good]), label[good]

    def labels(self, points: np.ndarray) -> np.ndarray:
        """Decisions outside the count."""
        feed = points.astype(np.float32).reshape(-1, *self.spec.row)
        name = self.interface.inputs[0].name
        parts = [self.counted.session.run(self.model.outputs[:1], {name: feed[i : i + 64]})[0]
                 for i in range(0, len(feed), 64)]  # fmt: skip
        return np.concatenate(parts).argmax(axis=1)

    def answer(self, points: np.ndarray) -> np.ndarray:
        """What peers call: [n, ...] in the model's units -> scores."""
        feed = np.ascontiguousarray(points, dtype=np.float32).reshape(-1, *self.spec.row)
        scores = self.counted.run(self.model.outputs[:1], {self.interface.inputs[0].name: feed})[0]
        if self.best is not None:
            self._watch(feed.reshape(len(feed), -1), scores.argmax(axis=1))
        return scores

    def watch(self, index: list[int] | None) -> None:
        """From now on note the nearest changed point of these samples; None: stop."""
        if index is None:
            self.best = None
            return
        self.watched = np.asarray(index)
        if self.best is None:
            self.best = np.full(len(self.x), np.inf)

    def _watch(self, points: np.ndarray, label: np.ndarray) -> None:
        own = self.watched
        if len(own) != len(points):
            if len(own) != 1:
                return
            own = np.repeat(own, len(points))
        distance = np.linalg.norm(points.astype(np.float64) - self.x[own], axis=1)
        distance[label == self.label[own]] = np.inf
        np.minimum.at(self.best, own, distance)

    def starts(self) -> np.ndarray:
        """The nearest donor of another decision, for each sample."""
        distance = np.linalg.norm(self.x[:, None, :] - self.donors[None], axis=2)
        distance[self.label[:, None] == self.kinds[None]] = np.inf
        return self.donors[distance.argmin(axis=1)]


class Done(NamedTuple):
    rows: float  # a sample
    padded: float
    calls: int
    wall: float
    points: np.ndarray  # [n, D]; the clean point where nothing was found


def clocked(victim: Victim, attack: Callable[[], np.ndarray]) -> Done:
    victim.counted.reset()
    start = time.perf_counter()
    points = attack()
    wall = time.perf_counter() - start
    fed = victim.counted.rows / len(victim.x)
    return Done(fed, 0.0, victim.counted.calls, wall, np.asarray(points).reshape(victim.x.shape))


# ---------------------------------------------------------------------------------- medaudit


def ours(victim: Victim, attack: str, budget: float, block: int, start: str) -> Done:
    """budget: rows a sample with the clean answers of samples and donors included."""
    n, spec, output = len(victim.x), victim.spec, victim.interface.output
    part = victim.interface.parts[0]
    scale = np.ones(part.size, dtype=np.float32)
    used = 0.0

    def go() -> np.ndarray:
        nonlocal used
        pipeline = Pipeline(victim.model, victim.interface, block)
        answers = pipeline.answer_all(victim.x)
        label = np.asarray(decide(output, answers))
        overhead = 1.0
        if attack == "square":
            area = Region("linf", spec.eps, scale, None, (part,))
            found = compose(square.search(), oracle(output, Goal(), "scores"), area)
            reach = spec.eps
        else:
            donors = kinds = None
            if start == "donor":
                donors = victim.donors
                kinds = np.asarray(decide(output, pipeline.answer_all(donors)))
                overhead += len(donors) / n
            area = Region("l2", 1e9, scale, None, (part,))
            guide = oracle(output, Goal(stop="budget"), "labels")
            search = hopskipjump.search(donors=donors, kinds=kinds)
            found = compose(search, guide, area, stop="budget", smallest=True)
            reach = np.inf

        def make(samples: list[int]) -> Lanes:
            own = victim.x[samples]
            lo, hi = own - np.float32(reach), own + np.float32(reach)
            # One number inwards: rounding to float32 may not take a success out of eps.
            lo = np.maximum(np.nextafter(lo, own), np.float32(spec.lo))
            hi = np.minimum(np.nextafter(hi, own), np.float32(spec.hi))
            return Lanes(
                key=np.array([streams.key("peers", s) for s in samples], dtype=np.uint64),
                x=own, lo=lo, hi=hi, missing=None, ref=answers[samples], label=label[samples],
                target=np.full(len(samples), -1),
            )  # fmt: skip

        job = ("peers", found, int(budget - overhead), make, list(range(n)))
        done = run_inline([job], pipeline.answer, block)
        used = sum(f.rows for f in done) / n + overhead
        points = victim.x.copy()
        for f in done:
            if f.arrays["found"] > 0 or attack != "square":
                points[f.sample] = f.arrays["claim"]
        return points

    result = clocked(victim, go)
    return result._replace(rows=used, padded=result.rows - used)


# ---------------------------------------------------------------------------------- the peers


def art_square(victim: Victim, budget: float, start: str, watch: bool) -> np.ndarray:
    from art.attacks.evasion import SquareAttack
    from art.estimators.classification import BlackBoxClassifierNeuralNetwork

    spec = victim.spec
    model = BlackBoxClassifierNeuralNetwork(
        victim.answer, spec.row, victim.classes, channels_first=True, clip_values=(spec.lo, spec.hi)
    )
    # It asks about three rows an iteration and sample until the sample is changed.
    attack = SquareAttack(
        model, norm=np.inf, eps=spec.eps, max_iter=max(1, int(budget) // 3), batch_size=BATCH,
        verbose=False,
    )  # fmt: skip
    return attack.generate(victim.x.reshape(-1, *spec.row))


def art_iterations(size: int, budget: float, start: str) -> int:
    """Iterations of HopSkipJump that fit: a bisection, 100 sqrt(i) probes and about 1.5 jumps."""
    bisection = int(np.ceil(np.log2(100 * np.sqrt(size))))
    rows, i = 4.0 + (12 if start == "noise" else 0), 0
    while rows + bisection + 100 * np.sqrt(i + 1) + 1.5 <= budget or i == 0:
        rows += bisection + 100 * np.sqrt(i + 1) + 1.5
        i += 1
    return i


def art_hopskipjump(victim: Victim, budget: float, start: str, watch: bool) -> np.ndarray:
    from art.attacks.evasion import HopSkipJump
    from art.estimators.classification import BlackBoxClassifier

    spec = victim.spec
    model = BlackBoxClassifier(victim.answer, spec.row, victim.classes, clip_values=(spec.lo, spec.hi))
    steps = art_iterations(victim.x.shape[1], budget, start)
    attack = HopSkipJump(model, batch_size=BATCH, norm=2, max_iter=steps, verbose=False)
    x = victim.x.reshape(-1, *spec.row)
    begin = victim.starts().reshape(x.shape) if start == "donor" else None
    if not watch:
        return attack.generate(x, x_adv_init=begin) if start == "donor" else attack.generate(x)
    points = []
    for i in range(len(x)):
        victim.watch([i])
        extra = {"x_adv_init": begin[i : i + 1]} if begin is not None else {}
        points.append(attack.generate(x[i : i + 1], **extra))
    return np.concatenate(points)


def foolbox_hopskipjump(batch: int) -> Callable[..., np.ndarray]:
    """Foolbox clips to [0, 1] whatever the bounds are, so it sees every model on that scale."""

    def attack(victim: Victim, budget: float, start: str, watch: bool) -> np.ndarray:
        from foolbox import NumPyModel
        from foolbox.attacks import HopSkipJumpAttack

        lo, wide = victim.spec.lo, victim.spec.hi - victim.spec.lo
        unit = (lo, wide) != (0, 1)

        def answer(points: np.ndarray) -> np.ndarray:
            return victim.answer(points * np.float32(wide) + np.float32(lo) if unit else points)

        model = NumPyModel(answer, bounds=(0, 1), data_format="channels_first")
        search = HopSkipJumpAttack(steps=foolbox_steps(victim.x.shape[1], budget))
        squeeze = ((victim.x - lo) / wide).astype(np.float32).reshape(-1, *victim.spec.row)
        begin = ((victim.starts() - lo) / wide).astype(np.float32).reshape(squeeze.shape)
        points = []
        for i in range(0, len(squeeze), batch or len(squeeze)):
            own = slice(i, i + (batch or len(squeeze)))
            if watch:
                victim.watch(list(range(len(squeeze)))[own])
            got = search.run(model, squeeze[own], victim.label[own], starting_points=begin[own])
            points.append(got)
        return np.concatenate(points) * np.float32(wide) + np.float32(lo)

    return attack


def foolbox_steps(size: int, budget: float) -> int:
    """As above; a bisection ends at 1 / size^1.5, and asserts ask three rows a step."""
    bisection = int(np.ceil(1.5 * np.log2(size)))
    rows, i = 3.0 + bisection, 0
    while rows + bisection + 100 * np.sqrt(i + 1) + 3.5 <= budget or i == 0:
        rows += bisection + 100 * np.sqrt(i + 1) + 3.5
        i += 1
    return i


# ---------------------------------------------------------------------------------- comparing


class Pair(NamedTuple):
    """A peer's attack, and the block sizes of medaudit to set beside it (0: the engine's own)."""

    attack: str
    start: str
    tool: str
    run: Callable[..., np.ndarray]
    blocks: tuple[int, ...]


PAIRS = (
    Pair("square", "-", "ART", art_square, (0, 8)),
    Pair("hopskipjump", "noise", "ART", art_hopskipjump, (0,)),
    Pair("hopskipjump", "donor", "ART", art_hopskipjump, (0, 8, 64)),
    Pair("hopskipjump", "donor", "Foolbox, batch 1", foolbox_hopskipjump(1), (0,)),
    Pair("hopskipjump", "donor", "Foolbox, batch all", foolbox_hopskipjump(0), (0,)),
)

HEAD = (
    f"{'model':10} {'attack':11} {'start':5} {'tool':19} {'rows':>6} {'padded':>6} {'calls':>7} "
    f"{'result':>7} {'asked':>7} {'wall s':>7} {'overhead':>8} {'ratio':>6}"
)


def verdict(victim: Victim, attack: str, points: np.ndarray) -> tuple[float, float]:
    """(result, share changed) of the returned points, asked again; out of the box: not changed."""
    spec = victim.spec
    changed = victim.labels(points) != victim.label
    changed &= (points >= spec.lo - 1e-6).all(axis=1) & (points <= spec.hi + 1e-6).all(axis=1)
    delta = points.astype(np.float64) - victim.x
    if attack == "square":
        inside = np.abs(delta).max(axis=1) <= spec.eps * (1 + 1e-5) + 1e-7
        return float((changed & inside).mean()), float(changed.mean())
    distance = np.where(changed, np.linalg.norm(delta, axis=1), np.inf)
    return float(np.median(distance)), float(changed.mean())


def compare(victim: Victim, pair: Pair, budget: float, repeats: int) -> Iterator[str]:
    def peer(watch: bool = False) -> Done:
        np.random.seed(0)  # noqa: NPY002  (the peers draw from the global generator)
        return clocked(victim, lambda: pair.run(victim, budget, pair.start, watch))

    lead = f"{victim.name:10} {pair.attack:11} {pair.start:5}"
    base = victim.bare(0.3)
    try:
        first = peer()
    except Exception as error:  # noqa: BLE001  (whatever a peer raises is its result)
        text = str(error).splitlines()[0][:70]
        yield f"{lead} {pair.tool:19} does not run: {type(error).__name__}: {text}"
        mine = ours(victim, pair.attack, budget, victim.block, pair.start)
        result, _ = verdict(victim, pair.attack, mine.points)
        yield line(lead, "medaudit", mine, result, result, mine.wall, base, "", len(victim.x))
        return
    theirs, mine = [first], {b: [] for b in pair.blocks}
    for turn in range(repeats):
        for block in pair.blocks:
            size = block or victim.block
            mine[block].append(ours(victim, pair.attack, first.rows, size, pair.start))
        base = min(base, victim.bare(0.3))
        if turn < repeats - 1:
            theirs.append(peer())
    base = min(base, victim.bare(0.3))
    asked = np.nan
    if pair.attack == "hopskipjump":
        victim.watch([0])
        peer(watch=True)
        asked = float(np.median(victim.best))
        victim.watch(None)
    result = float(np.median([verdict(victim, pair.attack, t.points)[0] for t in theirs]))
    wall = min(t.wall for t in theirs)
    n = len(victim.x)
    yield line(lead, pair.tool, first, result, asked, wall, base, "", n)
    for block, done in mine.items():
        result, _ = verdict(victim, pair.attack, done[0].points)
        own = min(d.wall for d in done)
        ratio = (own / done[0].rows) / (wall / first.rows)
        name = f"medaudit, block {block}" if block else f"medaudit ({victim.block})"
        best = result if pair.attack == "hopskipjump" else np.nan
        if pair.attack == "square":  # lanes end at their success: compare whole walls
            ratio = own / wall
        yield line(lead, name, done[0], result, best, own, base, f"{ratio:.2f}", n)


def line(
    lead: str, tool: str, done: Done, result: float, asked: float, wall: float, base: float,
    ratio: str, n: int,
) -> str:  # fmt: skip
    note = f"{asked:7.3f}" if np.isfinite(asked) else f"{'-' if np.isnan(asked) else 'none':>7}"
    shown = f"{result:7.3f}" if np.isfinite(result) else f"{'none':>7}"
    return (
        f"{lead} {tool:19} {done.rows:6.0f} {done.padded:6.1f} {done.calls:7} {shown} {note} "
        f"{wall:7.2f} {wall / (done.rows * n * base):8.2f} {ratio:>6}"
    )


def main() -> None:
    keep_heap()
    warnings.filterwarnings("ignore")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, help="folder with models/ and data/ of its own")
    parser.add_argument("--samples", type=int, default=50)
    parser.add_argument("--budget", type=float, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="12 samples, 250 rows, one repeat")
    parser.add_argument("names", nargs="*", help=f"of {', '.join(SPECS)}")
    options = parser.parse_args()
    if options.quick:
        options.samples, options.budget, options.repeats = 12, 250, 1
    made = tempfile.TemporaryDirectory()
    make_small_cnn(Path(made.name))
    folders = {"examples": EXAMPLES, "shared": options.shared, "made": Path(made.name)}
    print(HEAD)
    for name, spec in SPECS.items():
        folder = folders[spec.folder]
        if folder is None or (options.names and name not in options.names):
            continue
        victim = Victim(name, spec, folder, options.samples)
        best = victim.bare(0.5)
        print(f"# {name}: {len(victim.x)} samples, {1e6 * best:.1f} us a row, eps {spec.eps:.4f}")
        for pair in PAIRS:
            for text in compare(victim, pair, options.budget, options.repeats):
                print(text, flush=True)


if __name__ == "__main__":
    main()
