"""Explanations beside shap, lime, captum, Quantus and DIANNA, on the same ONNX files.

    shapley   exact Shapley values by all coalitions, shap's and ours with the same background rows
    lime      lime's default for tables and `lime-compat`: means of many runs, and how far each agrees with itself
    captum    ablation with one baseline, sampled Shapley values, windows of a signal
    quantus   figures of maps that both define
    rows      rows and time for the error that shap reaches, against 60,000 paired coalitions x 100 rows
    tables    time of lime at 5,000 rows
    share     of images and signals: wall over rows x best bare seconds a row, any block size
    dianna    KernelSHAP and RISE at equal rows

`known` is the first four, `speed` the rest. Everything has one thread; ours and theirs take turns, and the best of
--repeats counts (share: a slice of the bare loop follows every few blocks of ours, and the median counts). Lines
without a wanted figure are for information. Exit 1 where a figure is missed.

Peers get a plain session: on tables in calls of 4,096 rows, which suits them better than one call for all.
Needs shap, lime, captum, quantus and dianna. Usage: python -m benchmarks.explainer_peers [--repeats K] [PART ...]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np
import onnxruntime as ort

from benchmarks.explainer_known import known_captum, known_lime, known_quantus, known_shapley
from benchmarks.explainer_models import Subject, Table
from medaudit.core.arrays import Array
from medaudit.engine.memory import keep_heap
from medaudit.probe.explainer import Explainer
from medaudit.probe.kinds import Spec

LIBRARIES = ("numpy", "onnxruntime-gpu", "onnxruntime", "shap", "lime", "captum", "quantus", "dianna", "torch")
POINTS = 5  # records of a table
PAIRS = 30_000  # of coalitions, for what counts as the true values
GRID = [round(2 ** (k / 2)) for k in range(18, 35)]  # rows that are tried


def in_turn(repeats: int, *runs: Callable[[], object]) -> np.ndarray:
    """The best seconds of things that take turns."""
    out = np.full(len(runs), np.inf)
    for _ in range(repeats):
        for k, run in enumerate(runs):
            start = time.perf_counter()
            run()
            out[k] = min(out[k], time.perf_counter() - start)
    return out


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without what packages print."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


# ---------------------------------------------------------------------------------- tables


def truth(f: Callable[[np.ndarray], np.ndarray], point: np.ndarray, background: np.ndarray, seed: int) -> np.ndarray:
    """Shapley values [S] by a fit to paired coalitions over all background rows."""
    rng, s = np.random.default_rng(seed), point.shape[1]
    sizes = np.arange(1, s)
    chance = 1 / (sizes * (s - sizes))
    size = rng.choice(sizes, PAIRS, p=chance / chance.sum())
    half = np.argsort(np.argsort(rng.random((PAIRS, s)), axis=1), axis=1) < size[:, None]
    z = np.concatenate([half, ~half])
    parts = []
    for some in np.array_split(z, 200):
        rows = np.where(some[:, None], point[None], background[None]).reshape(-1, s)
        parts.append(f(rows).reshape(len(some), -1).mean(axis=1))
    empty, full = f(background).mean(), f(point)[0]
    # The last column gets what is left: values add up to f(x) - f(background).
    design = z[:, :-1].astype(float) - z[:, -1:]
    found = np.linalg.lstsq(design, np.concatenate(parts) - empty - z[:, -1] * (full - empty))[0]
    return np.append(found, full - empty - found.sum())


def speed_rows(folder: Path, table: Table, repeats: int) -> None:
    """Rows and time for the error that shap reaches."""
    import shap

    subject = Subject("table-32", folder)
    background, points = subject.asked.data.ref[""], [subject.points[[i]] for i in range(POINTS)]
    asks = [subject.odds(point) for point in points]
    true = np.stack([truth(f, point, background, i) for i, (f, point) in enumerate(zip(asks, points, strict=True))])
    table.head(f"Shapley values, 32 columns, 100 background rows, {POINTS} records: RMSE to {2 * PAIRS} coalitions")

    def rmse(found: list[list[np.ndarray]]) -> float:
        """Of the maps of each record."""
        return float(np.sqrt(np.mean([(np.stack(own) - right) ** 2 for own, right in zip(found, true, strict=True)])))

    errors = {}
    for rows in GRID:
        plans = [subject.plan(Spec("shapley", rows=rows), k) for k in range(repeats)]
        errors[rows] = rmse([[subject.explained(plan, point) for plan in plans] for point in points])
        table.line(f"shapley, {plans[0].asks} rows: RMSE", errors[rows])
    fitted = subject.plan(Spec("kernel-shap"))
    own = rmse([[subject.explained(fitted, point)] for point in points])
    table.line(f"kernel-shap, {fitted.asks} rows over its 10 background rows: RMSE", own)
    kernels = [shap.KernelExplainer(f, background) for f in asks]
    masker = shap.maskers.Independent(background, max_samples=len(background))
    walks = [shap.PermutationExplainer(f, masker) for f in asks]
    peers: dict[str, Callable[[int], np.ndarray]] = {
        "shap.KernelExplainer, 2 S + 2048 coalitions": lambda i: kernels[i].shap_values(
            points[i][0], l1_reg=False, silent=True
        ),
        "shap.PermutationExplainer, 500 evaluations": lambda i: walks[i](points[i], max_evals=500).values[0],
        "shap.PermutationExplainer, 2080 evaluations": lambda i: walks[i](points[i], max_evals=2080).values[0],
    }
    np.random.seed(0)  # noqa: NPY002  (shap draws from the global generator)
    for name, peer in peers.items():
        with quiet():
            subject.rows = 0
            found = [[peer(i)] for i in range(POINTS)]
            theirs = subject.rows / POINTS
            for i in range(POINTS):
                found[i] += [peer(i) for _ in range(repeats - 1)]
        error = rmse(found)
        rows = next((rows for rows in GRID if errors[rows] <= error), GRID[-1])
        spec = Spec("shapley", rows=rows)
        plan, seconds = subject.plan(spec), np.zeros(3)
        for i, point in enumerate(points):
            runs = (
                lambda i=i, peer=peer: peer(i),
                lambda plan=plan, point=point: subject.explained(plan, point),
                lambda spec=spec, point=point: subject.explained(subject.plan(spec), point),
            )
            with quiet():
                seconds += in_turn(2 * repeats, *runs) / POINTS
        reached = errors[rows] <= error
        table.line(f"{name}: RMSE", error)
        table.line(
            f"  rows: theirs {theirs:.0f}, ours {plan.asks}; share", plan.asks / theirs if reached else np.inf, 1 / 3
        )
        table.line(f"  ms: theirs {1e3 * seconds[0]:.1f}, ours {1e3 * seconds[1]:.1f}; share",
                   seconds[1] / seconds[0] if reached else np.inf, most=1 / 3)  # fmt: skip
        table.line(f"  ms with the plan made anew {1e3 * seconds[2]:.1f}; share", seconds[2] / seconds[0])


def speed_tables(folder: Path, table: Table, repeats: int) -> None:
    """lime's default for tables."""
    from lime.lime_tabular import LimeTabularExplainer

    table.head("lime's default, 32 columns, 5,000 rows")
    subject, spec = Subject("table-32", folder), Spec("lime-compat")
    plan, point, row = subject.plan(spec), subject.points[[0]], subject.points[0].astype(np.float64)
    explainer = LimeTabularExplainer(subject.ground(spec).background.astype(np.float64), random_state=0)
    values, rows = subject.values(plan, point), np.resize(subject.points, (plan.asks, 32))
    runs = {
        "lime": lambda: explainer.explain_instance(row, subject.probabilities, num_features=32, num_samples=5000),
        "ours": lambda: subject.explained(plan, point),
        "ours with the plan made anew": lambda: subject.explained(subject.plan(spec), point),
        "ours: its rows asked, no more": lambda: subject.asked.ask(rows),
        "ours: its reduction, no more": lambda: plan.reduce(values, point),
        "a plain session: as many rows": lambda: subject.logits(rows),
    }
    seconds = in_turn(4 * repeats, *runs.values())
    for name, value in zip(runs, seconds, strict=True):
        table.line(f"{name}: ms", 1e3 * value)
    table.line("lime / ours", seconds[0] / seconds[1], least=10)
    table.line("lime / ours with the plan made anew", seconds[0] / seconds[2])


# ---------------------------------------------------------------------------------- images and signals

KINDS = ("occlusion", "shapley", "kernel-shap", "lime", "rise", "gradient", "smoothgrad")
BLOCKS = (1, 2, 4, 8, 16, 32)
SLICE = 16  # calls of ours before the bare loop's turn


class Bare:
    """The plain session at its best block size, in slices between blocks of ours."""

    def __init__(self, subject: Subject) -> None:
        self.subject, row = subject, subject.made.row
        blocks = [np.ascontiguousarray(subject.points[:b].reshape(b, *row)) for b in BLOCKS]
        each = in_turn(5, *(lambda b=b: self._run(b, 64 // len(b)) for b in blocks))
        self.feeds = blocks[int(each.argmin())]
        self.block, self.seconds, self.rows, self.due = len(self.feeds), 0.0, 0, 0

    def _run(self, rows: np.ndarray, times: int) -> None:
        for _ in range(times):
            self.subject.session.run(None, {"x": rows})

    def catch_up(self) -> None:
        """As many rows as ours asked since the last slice."""
        start = time.perf_counter()
        times = max(0, -(-self.due // self.block))
        self._run(self.feeds, times)
        self.due, self.rows = self.due - times * self.block, self.rows + times * self.block
        self.seconds += time.perf_counter() - start

    def beside(self, plan: Explainer, point: np.ndarray) -> tuple[float, float]:
        """Seconds of an explanation, and of the bare loop for as many rows."""
        pipeline, calls = self.subject.asked.pipeline, 0
        answer = pipeline.answer

        def watched(points: Array) -> np.ndarray:
            nonlocal calls
            calls, self.due = calls + 1, self.due + len(points)
            if calls % SLICE == 0:
                self.catch_up()
            return answer(points)

        self.seconds, self.rows, self.due = 0.0, 0, 0
        pipeline.answer = watched  # type: ignore[method-assign]
        try:
            start = time.perf_counter()
            self.subject.explained(plan, point)
            wall = time.perf_counter() - start - self.seconds
        finally:
            pipeline.answer = answer  # type: ignore[method-assign]
        self.catch_up()
        return wall, self.seconds / self.rows * plan.asks


def speed_share(folder: Path, table: Table, repeats: int) -> None:
    """What explainers of images and signals take beside the model."""
    for name in ("image", "signal"):
        subject = Subject(name, folder)
        bare = Bare(subject)
        table.head(f"{name}: wall over bare model; blocks: bare {bare.block}, ours {subject.asked.spec.block}")
        for kind in KINDS:
            plan = subject.plan(Spec(kind))
            times = [bare.beside(plan, subject.points[[k]]) for k in range(repeats)]
            ratio = float(np.median([wall / model for wall, model in times]))
            least = min(wall for wall, _ in times)
            us = 1e6 * min(model for _, model in times) / plan.asks
            table.line(f"{kind}, {plan.asks} rows, {least:.2f} s, model {us:.0f} us a row", ratio, most=1.15)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Sessions that DIANNA opens get one thread too, and nothing is printed."""
    opened = ort.InferenceSession

    def open_(source: Any, sess_options: Any = None, **more: Any) -> Any:
        options = sess_options or ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        return opened(source, options, **{"providers": ["CPUExecutionProvider"]} | more)

    ort.InferenceSession = open_
    try:
        with quiet():
            yield
    finally:
        ort.InferenceSession = opened


def speed_dianna(folder: Path, table: Table, repeats: int) -> None:
    """DIANNA explains one class of one record; it is given the file, and opens it by itself."""
    import dianna

    table.head("DIANNA, one class, equal rows; images of 224 x 224, signal of 12 x 1000; ratio: theirs / ours")
    for name in ("film", "film-light"):
        dianna_image(Subject(name, folder), table, repeats)
    trace = Subject("signal", folder)
    series, label = trace.points[0].reshape(12, 1000).T, {"labels": [0]}
    turned = {"preprocess_function": lambda x: np.ascontiguousarray(np.transpose(x, (0, 2, 1)), dtype=np.float32)}

    def rise() -> None:
        dianna.explain_timeseries(str(trace.path), series, "RISE", n_masks=1000, **turned, **label)

    beside(table, repeats, "RISE", trace, Spec("rise", rows=1000), rise)


def dianna_image(subject: Subject, table: Table, repeats: int) -> None:
    """Lines of one image model."""
    import dianna
    from dianna.methods.kernelshap_image import KERNELSHAPImage

    still, path, axes = subject.points[0].reshape(subject.made.row), str(subject.path), {"axis_labels": {0: "channels"}}
    fine, asked = {"labels": [0], "nsamples": 1000, "n_segments": 100}, 0

    class Counted(KERNELSHAPImage):
        """Counts the rows that it asks."""

        def _runner(self, features: np.ndarray) -> np.ndarray:
            nonlocal asked
            asked += len(features)
            return super()._runner(features)

    def kernel() -> None:
        dianna.explain_image(path, still, "KernelSHAP", **fine, **axes)

    def rise() -> None:
        dianna.explain_image(path, still, "RISE", labels=[0], n_masks=1000, p_keep=0.5, **axes)

    with one_thread():
        theirs = Counted(**axes).explain(path, still, **fine)
    spec = Spec("kernel-shap", rows=asked, grid=10)
    plan = subject.plan(spec)
    ours = subject.explained(plan, subject.points[[0]])
    assert plan.asks == asked
    for name, found in (("DIANNA", theirs), ("ours", ours)):
        table.line(f"KernelSHAP, {asked} rows, {name}: values that are not 0", len(np.unique(found[found != 0])))
    beside(table, repeats, "KernelSHAP", subject, spec, kernel, least=8)
    beside(table, repeats, "RISE", subject, Spec("rise", rows=1000), rise)


def beside(
    table: Table, repeats: int, what: str, subject: Subject, spec: Spec, theirs: Callable[[], object],
    least: float | None = None,
) -> None:  # fmt: skip
    """A line of two things that ask the same number of rows, with the time of the model alone for them."""
    plan, point = subject.plan(spec), subject.points[[0]]

    def alone() -> None:
        with one_thread():
            theirs()

    other, own = in_turn(repeats, alone, lambda: subject.explained(plan, point))
    bare = Bare(subject)
    model = min(bare.beside(plan, point)[1] for _ in range(2))
    times = f"theirs {other:.2f} s, ours {own:.2f} s, bare model {model:.2f} s"
    table.line(f"{what}, {subject.name}: {times}", other / own, least=least)


# ---------------------------------------------------------------------------------- all

PARTS: dict[str, Callable[[Path, Table, int], None]] = {
    "shapley": known_shapley,
    "lime": known_lime,
    "captum": known_captum,
    "quantus": known_quantus,
    "rows": speed_rows,
    "tables": speed_tables,
    "share": speed_share,
    "dianna": speed_dianna,
}
GROUPS = {"known": tuple(PARTS)[:4], "speed": tuple(PARTS)[4:]}


def installed() -> str:
    """Packages with their versions."""
    out = []
    for name in LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            out.append(f"{name} {version(name)}")
    return ", ".join(out)


def main() -> None:
    """Run the parts; exit 1 where a wanted figure is missed."""
    keep_heap()
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join([*GROUPS, *PARTS]))
    options = parser.parse_args()
    if unknown := [part for part in options.parts if part not in GROUPS and part not in PARTS]:
        parser.error(f"no such part: {unknown[0]}")
    print(installed())
    table = Table()
    wanted = [own for named in options.parts or GROUPS for own in GROUPS.get(named, (named,))]
    for part in wanted:
        with tempfile.TemporaryDirectory() as folder:
            PARTS[part](Path(folder), table, options.repeats)
    print(f"\n{table.missed} figures missed")
    raise SystemExit(int(table.missed > 0))


if __name__ == "__main__":
    main()
