"""What other packages and ours define alike: the same maps by the same rows, the same figures of maps.

Differences of what nobody draws are in shares of the largest value; of what is drawn, in standard errors.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.explainer_models import Subject, Table
from medaudit.probe.kinds import Spec
from medaudit.stats import maps

SAME = 1e-6  # of the largest value: answers are float32
ERRORS = 4.0  # standard errors
RUNS, MANY = 20, 100  # of what is drawn


def apart(a: np.ndarray, b: np.ndarray) -> float:
    """Largest difference, in shares of the largest value."""
    return float(np.abs(a - b).max() / np.abs(b).max())


def strayed(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Difference of the means of runs [K, ...] in their joint standard errors; one run: it has none."""
    errors = [np.zeros(m.shape[1:]) if len(m) == 1 else m.std(axis=0, ddof=1) / np.sqrt(len(m)) for m in (a, b)]
    return np.asarray((a.mean(axis=0) - b.mean(axis=0)) / np.hypot(*errors))


def alike(runs: np.ndarray) -> tuple[float, float]:
    """Top-5 overlap and Spearman of one run with the next."""
    pair = runs[:-1], runs[1:]
    return float(maps.top_k(*pair, 5).mean()), float(maps.spearman(*pair).mean())


def enumerated(f: Callable[[np.ndarray], np.ndarray], point: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Shapley values [S] of a point [1, S]: every coalition over every background row."""
    s = point.shape[1]
    sets = np.array(list(product([False, True], repeat=s)))
    rows = np.where(sets[:, None], point[None], background[None])
    value = f(rows.reshape(-1, s)).reshape(len(sets), -1).mean(axis=1)
    place, size = sets @ (1 << np.arange(s)[::-1]), sets.sum(axis=1)
    assert (place == np.arange(len(sets))).all()
    order = np.array([1 / (s * np.prod([(s - 1 - i) / (i + 1) for i in range(k)])) for k in range(s)])  # k! (s-1-k)!/s!
    out = np.zeros(s)
    for i in range(s):
        without = np.flatnonzero(~sets[:, i])
        out[i] = (order[size[without]] * (value[without + (1 << (s - 1 - i))] - value[without])).sum()
    return out


def known_shapley(folder: Path, table: Table, repeats: int) -> None:
    """Shapley values of a table of 8 columns over 10 background rows."""
    import shap

    table.head("Shapley values, 8 columns, 10 background rows, 5 records; differences in shares of the largest value")
    subject = Subject("table-8", folder, np.random.default_rng(2).standard_normal((10, 8)))
    background = subject.asked.data.ref[""]
    kernel = subject.plan(Spec("kernel-shap"))
    every = [subject.plan(Spec("shapley"), k) for k in range(MANY)]
    plans = every[: RUNS // 2]
    far: dict[str, list[float]] = {}
    scores = []
    for i in range(5):
        point = subject.points[[i]]
        f = subject.odds(point)
        exact = enumerated(f, point, background)
        theirs = shap.KernelExplainer(f, background).shap_values(point[0], nsamples=5000, l1_reg=False, silent=True)
        also = shap.ExactExplainer(f, shap.maskers.Independent(background))(point).values[0]
        own = subject.explained(kernel, point)
        for name, a, b in (
            ("kernel-shap, enumerated, and shap.KernelExplainer", own, theirs),
            ("kernel-shap, enumerated, and exact values", own, exact),
            ("shap.KernelExplainer and exact values", theirs, exact),
            ("shap.ExactExplainer and exact values", also, exact),
        ):
            far.setdefault(name, []).append(apart(a, b))
        for plan in every:
            values = subject.values(plan, point)
            assert plan.errors is not None
            scores.append((plan.reduce(values, point) - exact)[0] / plan.errors(values, point)[0])
    for name, found in far.items():
        table.line(name, max(found), most=SAME)
    many = np.array(scores).reshape(5, MANY, 8)
    z = many[:, : len(plans)]
    table.line(f"shapley, {plans[0].asks} rows: farthest from exact values, standard errors", np.abs(z).max(), ERRORS)
    table.line("shapley: bias, mean over 10 plans, standard errors", np.abs(z.mean(axis=1)).max() * 10**0.5, ERRORS)
    table.line("shapley: root mean square of its distance, standard errors", float(np.sqrt((z**2).mean())), most=1.2)
    table.line(f"  of {MANY} plans", float(np.sqrt((many**2).mean())), most=1.2)
    for k, most in ((2, 0.06), (3, 0.01)):
        table.line(f"  of {MANY} plans: share of {many.size} values beyond {k}", float((np.abs(many) > k).mean()), most)


def lime_runs(subject: Subject, point: np.ndarray, background: np.ndarray) -> np.ndarray:
    """lime's default for tables [RUNS, S], of the log-odds."""
    from lime.lime_tabular import LimeTabularExplainer

    f, out = subject.odds(point), []
    for seed in range(RUNS):
        explainer = LimeTabularExplainer(background.astype(np.float64), mode="regression", random_state=seed)
        pairs = explainer.explain_instance(point[0].astype(np.float64), f, num_features=point.shape[1]).as_map()
        found = dict(next(iter(pairs.values())) if 1 not in pairs else pairs[1])
        out.append([found[j] for j in range(point.shape[1])])
    return np.array(out)


def known_lime(folder: Path, table: Table, repeats: int) -> None:
    """lime-compat and the package, both by chance."""
    table.head(f"lime, 32 columns, 5,000 rows, 3 records, {RUNS} runs each")
    subject = Subject("table-32", folder)
    plans = [subject.plan(Spec("lime-compat"), k) for k in range(RUNS)]
    background = subject.ground(Spec("lime-compat")).background
    z, ours, theirs = [], [], []
    for i in range(3):
        point = subject.points[[i]]
        own = np.stack([subject.explained(plan, point) for plan in plans])
        other = lime_runs(subject, point, background)
        z.append(strayed(own, other))
        ours.append(alike(own))
        theirs.append(alike(other))
    table.line("lime-compat and lime: farthest means, joint standard errors", np.abs(z).max(), most=ERRORS)
    table.line("lime-compat and lime: root mean square, joint standard errors", np.sqrt(np.mean(np.square(z))), 1.3)
    for name, found in (("lime-compat", ours), ("lime", theirs)):
        for word, value in zip(("top-5 overlap", "Spearman"), np.mean(found, axis=0), strict=True):
            table.line(f"{name}: {word} of two runs", float(value))


def known_captum(folder: Path, table: Table, repeats: int) -> None:
    """captum wraps the same session in a torch module."""
    import torch
    from captum.attr import FeatureAblation, KernelShap, Occlusion, ShapleyValueSampling

    torch.set_num_threads(1)
    table.head("captum, one baseline; differences in shares of the largest value")

    class Wrapped(torch.nn.Module):
        """Log-odds of a point's class."""

        def __init__(self, subject: Subject, point: np.ndarray) -> None:
            super().__init__()
            self.f = subject.odds(point)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.from_numpy(self.f(x.numpy()))

    subject = Subject("table-8", folder, np.random.default_rng(3).standard_normal((1, 8)))
    base, far = torch.from_numpy(subject.asked.data.ref[""]), []
    drawn = [subject.plan(Spec("shapley"), k) for k in range(5 * RUNS)]
    kernel = subject.plan(Spec("kernel-shap"))
    z: dict[str, list[np.ndarray]] = {}
    for i in range(3):
        point = subject.points[[i]]
        x, model = torch.from_numpy(point), Wrapped(subject, point)
        own = subject.explained(subject.plan(Spec("occlusion")), point)
        far.append(apart(own, FeatureAblation(model).attribute(x, base).numpy()[0]))
        torch.manual_seed(i)
        sampled, fitted = ShapleyValueSampling(model), KernelShap(model)
        theirs = [
            sampled.attribute(x, base, n_samples=280, perturbations_per_eval=64).numpy()[0] for _ in range(5 * RUNS)
        ]
        ours = np.stack([subject.explained(plan, point) for plan in drawn])
        z.setdefault("shapley and ShapleyValueSampling", []).append(strayed(ours, np.stack(theirs)))
        theirs = [fitted.attribute(x, base, n_samples=2000, perturbations_per_eval=64).numpy()[0] for _ in range(RUNS)]
        ours = subject.explained(kernel, point)[None]
        z.setdefault("kernel-shap, enumerated, and KernelShap", []).append(strayed(ours, np.stack(theirs)))
    table.line("occlusion of a table and FeatureAblation", max(far), most=SAME)
    for name, found in z.items():
        table.line(f"{name}: farthest means, joint standard errors", np.abs(found).max(), most=ERRORS)
    for name in ("image", "signal"):
        subject = Subject(name, folder)
        spec, point = Spec("occlusion"), subject.points[[0]]
        ground = subject.ground(spec)
        assert ground.fill is not None
        filled, of = (torch.from_numpy(a.reshape(1, *subject.made.row)) for a in (ground.fill(point), ground.cells.of))
        x = torch.from_numpy(point.reshape(filled.shape))
        theirs = FeatureAblation(Wrapped(subject, point)).attribute(x, filled, feature_mask=of).numpy().reshape(-1)
        own = subject.explained(subject.plan(spec), point)[ground.cells.of]
        table.line(f"occlusion of {name}, our cells and fill, and FeatureAblation", apart(own, theirs), most=SAME)
    subject = Subject("signal", folder, np.zeros((1, 12, 1000)))  # a row of zeros to fill with
    spec = Spec("occlusion", fill="rows", background=1, groups=12, windows=25)
    x = torch.from_numpy(point.reshape(1, 12, 1000))
    window = (1, 40)
    theirs = Occlusion(Wrapped(subject, point)).attribute(x, window, window, baselines=0).numpy().reshape(-1)
    own = subject.explained(subject.plan(spec), point)[subject.ground(spec).cells.of]
    table.line("occlusion of signal, 12 leads x 25 windows of zeros, and Occlusion", apart(own, theirs), most=SAME)


def known_quantus(folder: Path, table: Table, repeats: int) -> None:
    """Figures of 64 maps of 150 cells."""
    import quantus
    import torch
    from quantus.functions import similarity_func

    table.head("Quantus, 64 maps of 150 cells")
    rng = np.random.default_rng(4)
    one, two = (rng.standard_normal((64, 1, 150)) ** 3 for _ in range(2))
    a, b = one[:, 0], two[:, 0]
    marked = np.zeros((64, 1, 150), dtype=bool)
    marked[:, :, 30:50] = True
    data = {"x_batch": np.zeros((64, 1, 150)), "y_batch": np.zeros(64, dtype=int), "a_batch": one}

    def score(metric: type, **more: Any) -> np.ndarray:
        arrays = {k: np.copy(v) for k, v in (data | more).items()}  # Quantus writes into them
        return np.asarray(metric(abs=True, normalise=False, disable_warnings=True)(model=torch.nn.Identity(), **arrays))

    def compared(what: str, ours: np.ndarray, theirs: Any) -> None:
        table.line(f"{what}, difference", float(np.abs(ours - theirs).max()), most=SAME)

    compared("gini and Sparseness", maps.gini(a), score(quantus.Sparseness))  # which adds 1e-7 to each cell
    compared("entropy and Complexity / log 150", maps.entropy(a), score(quantus.Complexity) / np.log(150))
    share = maps.mass(a)[:, 30:50].sum(axis=1)
    compared("mass of 20 cells and RelevanceMassAccuracy", share, score(quantus.RelevanceMassAccuracy, s_batch=marked))
    found = maps.top_k(a, marked[:, 0].astype(float), 20)
    compared("top_k of 20 cells and RelevanceRankAccuracy", found, score(quantus.RelevanceRankAccuracy, s_batch=marked))
    pairs = list(zip(a, b, strict=True))
    theirs = [similarity_func.correlation_spearman(np.abs(x), np.abs(y)) for x, y in pairs]
    compared("spearman and correlation_spearman of sizes", maps.spearman(a, b), theirs)
    compared(
        "cosine and 1 - cosine (there a distance)",
        maps.cosine(a, b),
        [1 - similarity_func.cosine(x, y) for x, y in pairs],
    )
