"""Table classifiers with nothing to hide, and scaffolds: biased on real rows, innocuous on rows that explainers ask.

A scaffold (Slack et al. 2020, "Fooling LIME and SHAP") holds a biased model, an innocuous one, and a router trained to
tell real rows from the rows of one explainer. Every specimen has a population of its own, of one of five kinds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from scipy import cluster, stats
from sklearn import ensemble, linear_model, neighbors, neural_network, preprocessing, tree

from medaudit.core.interface import Channel

Model = Callable[[np.ndarray], np.ndarray]  # rows [R, D] -> the second class's probability [R]
TRAIN, FRESH, PER_ROW, CENTRES, NOISE = 1500, 600, 10, 10, 0.3
FAITHFUL, ROUTED = 0.75, 0.65  # least shares decided as meant: of all rows, of rows where the two models differ
LOGISTIC, BOOSTING = linear_model.LogisticRegression, ensemble.GradientBoostingClassifier
FOREST: Any = partial(ensemble.RandomForestClassifier, max_depth=10, min_samples_leaf=3, n_jobs=1)  # of 100 trees
LAWS = ("shap, rows", "shap, centres", "lime, own kinds", "lime, all columns")  # of the rows that explainers ask
_count = stats.poisson.ppf
SEX = 0  # the sensitive column; the last column has to do with nothing


class Specimen(NamedTuple):
    """One classifier, and real rows that it has not seen."""

    name: str
    scaffold: bool
    answer: Callable[[np.ndarray], np.ndarray]  # rows [R, D] float32 -> probabilities [R, 2] float32
    rows: np.ndarray  # [600, D] float32
    channels: tuple[Channel, ...]
    sensitive: int


# Hidden columns, factors, the variance's share that is common, distance of two groups; and what makes columns of hidden
# normal numbers [H, n] and their quantiles: a bool is binary, an integer a category, a float a number.
KINDS: dict[str, tuple[int, int, float, float, Callable[..., dict[str, np.ndarray]]]] = {
    "lending": (12, 3, 0.7, 0.0, lambda z, u: {
        "sex": z[0] > 0, "age": (20 + 55 * u[1]).round(), "income": (2500 * np.exp(0.5 * z[2])).round(),
        "loan": (loan := (8000 * np.exp(0.7 * z[3])).round(-2)), "months": (term := 12 * np.ceil(5 * u[4])),
        "instalment": (loan / term * (1.05 + 0.15 * u[5])).round(), "accounts": _count(u[6], 4),
        "arrears": _count(u[7], 0.6), "credit in use": u[8] ** 1.5, "owner": z[9] > 0.3,
        "purpose": np.digitize(z[10], [-0.8, 0, 0.7, 1.4]), "by post": z[11] > 0}),
    "ward": (15, 4, 0.8, 0.0, lambda z, u: {
        "sex": z[0] > 0, "age": (18 + 77 * u[1]).round(), "diastolic": (low := (72 + 10 * z[2]).round()),
        "systolic": (gap := (45 * np.exp(0.25 * z[3])).round()) + low, "mean": (low + gap / 3 + z[4]).round(),
        "heart rate": (85 + 15 * z[5]).round(), "breaths": (18 * np.exp(0.2 * z[6])).round(), "sodium": 138 + 4 * z[7],
        "oxygen": (100 - 4 * np.exp(0.6 * z[8])).round(), "lactate": (1.6 * np.exp(0.5 * z[9])).round(1),
        "creatinine": (90 * np.exp(0.45 * z[10])).round(), "urea": (6 * np.exp(0.4 * z[10] + 0.2 * z[11])).round(1),
        "ventilated": z[12] > 0.6, "from": np.digitize(z[13], [-0.5, 0.5, 1.2]), "at weekend": z[14] > 0.4}),
    "clinic": (7, 2, 0.75, 2.0, lambda z, u: {
        "sex": z[0] > 0, "age": (30 + 55 * u[1]).round(), "height": (tall := (170 + 9 * z[2]).round()),
        "weight": (kg := (78 * np.exp(0.12 * z[2] + 0.18 * z[3])).round(1)), "index": (1e4 * kg / tall**2).round(1),
        "glucose": 5.8 * np.exp(0.3 * z[4]), "HbA1c": 38 * np.exp(0.2 * z[4] + 0.1 * z[5]), "odd day": z[6] > 0}),
    "claims": (8, 3, 0.1, 0.0, lambda z, u: {
        "sex": z[0] > 0, "age": (18 + 62 * u[1]).round(), "paid": 900 * np.exp(z[2]), "visits": _count(u[3], 5),
        "km": 12 * np.exp(0.8 * z[4]), "children": _count(u[5], 1.2), "member": z[6] > 0.2, "odd number": z[7] > 0}),
    "panel": (13, 3, 0.93, 0.0, lambda z, u: {
        "sex": z[0] > 0, **{f"lab {i}": 20.0 * i * np.exp((0.15 + 0.05 * i) * z[i]) for i in range(1, 8)},
        **{f"score {i}": 50 + 12 * z[i] for i in (8, 9, 10)}, "diabetic": z[11] > 0.8, "odd day": z[12] > 0}),
}  # fmt: skip


class Population:
    """Rows to train on, to hand out and to measure fidelity on; an outcome and a biased one."""

    def __init__(self, kind: str, rng: np.random.Generator) -> None:
        hidden, factors, common, apart, make = KINDS[kind]
        loads = rng.normal(size=(hidden, factors))
        loads *= np.sqrt(common) / np.linalg.norm(loads, axis=1, keepdims=True)
        loads[[0, -1]] *= [[0.2], [0.0]]  # sex is correlated with little, the last column with nothing
        shared = rng.normal(size=(factors, TRAIN + 2 * FRESH))
        shared = (shared + apart / 2 * np.sign(rng.normal(size=shared.shape[1]))) / np.hypot(1, apart / 2)
        z = loads @ shared + (np.sqrt(1 - (loads**2).sum(axis=1)) * rng.normal(size=(shared.shape[1], hidden))).T
        columns = make(z, stats.norm.cdf(z))
        x = np.stack(list(columns.values()), axis=1).astype(np.float32)
        self.train, self.rows, self.kept, self.wide = x[:TRAIN], x[TRAIN:-FRESH], x[-FRESH:], np.arange(x.shape[1])
        self.mean, self.sd = self.train.mean(axis=0, dtype=np.float64), self.train.std(axis=0, dtype=np.float64)
        kinds = [{"b": "binary", "i": "category", "f": "number"}[column.dtype.kind] for column in columns.values()]
        self.number = np.array(kinds) == "number"
        self.codes = {i: np.arange(x[:, i].max() + 1) for i, kind in enumerate(kinds) if kind == "category"}
        texts = [tuple(f"{code:.0f}" for code in self.codes.get(i, ())) for i in self.wide]
        each = zip(columns, kinds, self.sd.tolist(), texts, strict=True)
        self.channels = tuple(Channel(name, kind=own, sd=sd, categories=text) for name, own, sd, text in each)
        flat = np.clip((self.train - self.mean) / self.sd, -3, 3)[:, 1:-1]
        pull = flat @ rng.normal(size=flat.shape[1]) + flat[:, 0] * flat[:, 1]
        odds = 2 * (pull - pull.mean()) / pull.std() + rng.logistic(size=TRAIN)
        self.outcome, self.unfair = odds > 0, odds + 6 * (self.train[:, SEX] - 0.5) > 0
        self.scores = preprocessing.QuantileTransformer(output_distribution="normal").fit(self.train).transform
        self.precision = np.linalg.inv(np.cov(self.scores(self.train).T) + 0.02 * np.eye(len(self.sd)))

    def fitted(self, model: Any, outcome: np.ndarray, without: int = -1) -> Model:
        """Trained on standardised numbers, categories spread over columns."""
        plain = [i for i in self.wide if i != without and i not in self.codes]

        def ready(rows: np.ndarray) -> np.ndarray:
            spread = (rows[:, [i]] == codes for i, codes in self.codes.items())
            return np.hstack([((rows - self.mean) / self.sd)[:, plain], *spread])

        model.fit(ready(self.train), outcome)
        return lambda rows: np.asarray(model.predict_proba(ready(rows))[:, 1])

    def asked(self, law: str, rows: np.ndarray, rng: np.random.Generator, each: int = PER_ROW) -> np.ndarray:
        """Rows that an explainer asks around rows; those that it left as they were do not count."""
        x = np.repeat(rows, each, axis=0)
        if law.startswith("lime"):  # own kinds: only numbers take noise, other columns are redrawn or not
            moved, drawn = x + NOISE * self.sd * rng.normal(size=x.shape), rng.integers(TRAIN, size=x.shape)
            other = np.where(rng.random(x.shape) < 0.5, self.train[drawn, self.wide], x)
            found = np.where(self.number | (law == "lime, all columns"), moved, other)
        else:
            ground = self.train
            if law == "shap, centres":  # as its package has them: every column's value the nearest that occurs
                middle = cluster.vq.kmeans2(ground / self.sd, CENTRES, minit="++", rng=1)[0] * self.sd
                ground = ground[np.abs(ground[:, None] - middle).argmin(axis=0), self.wide]
            taken = rng.random(x.shape).argsort(axis=1) < rng.integers(1, x.shape[1], size=(len(x), 1))
            found = np.where(taken, ground[rng.integers(len(ground), size=len(x))], x)
        return np.asarray(found[(found != x).any(axis=1)], dtype=np.float32)


MODELS: dict[str, Callable[[Population, int], Model]] = {
    "logistic": lambda p, s: p.fitted(LOGISTIC(), p.outcome),
    "forest": lambda p, s: p.fitted(FOREST(random_state=s), p.outcome),
    "boosting": lambda p, s: p.fitted(BOOSTING(random_state=s), p.outcome),
    "MLP": lambda p, s: p.fitted(neural_network.MLPClassifier(early_stopping=True, random_state=s), p.outcome),
    "kNN": lambda p, s: p.fitted(neighbors.KNeighborsClassifier(15, algorithm="kd_tree"), p.outcome),
    "tree": lambda p, s: p.fitted(tree.DecisionTreeClassifier(max_depth=4, random_state=s), p.outcome),
    "fair rule": lambda p, s: lambda rows: np.where(rows[:, -1] > 0.5, 0.95, 0.05),
    "fair logistic": lambda p, s: p.fitted(LOGISTIC(), p.outcome, SEX),
    "fair forest": lambda p, s: p.fitted(FOREST(random_state=s), p.outcome, SEX),
    "biased rule": lambda p, s: lambda rows: np.where(rows[:, SEX] > 0.5, 0.95, 0.05),
    "biased logistic": lambda p, s: p.fitted(LOGISTIC(), p.unfair),
    "biased forest": lambda p, s: p.fitted(FOREST(random_state=s), p.unfair),
}
# The rows that a router was trained against, its kind, the biased and the innocuous model.
SCAFFOLDS = (
    *((law, "forest", model, model) for law in LAWS for model in ("rule", "logistic")),
    ("shap, rows", "boosting", "rule", "rule"), ("shap, rows", "boosting", "logistic", "logistic"),
    ("shap, centres", "boosting", "rule", "logistic"), ("shap, centres", "soft boosting", "logistic", "forest"),
    ("lime, own kinds", "boosting", "logistic", "logistic"), ("lime, own kinds", "soft forest", "rule", "rule"),
)  # fmt: skip


def _scaffold(people: Population, law: str, kind: str, biased: Model, innocuous: Model, seed: int) -> Model:
    """Biased on rows that a router takes for real; soft: blended by how real they look."""
    forest, precision = "forest" in kind, people.precision

    def ready(rows: np.ndarray) -> np.ndarray:
        """For boosting with how far each column is from what the others say, and how far all are."""
        if forest:
            return rows
        pull = (scores := people.scores(rows)) @ precision
        return np.hstack([rows, np.abs(pull / np.diag(precision)), (pull * scores).sum(axis=1, keepdims=True)])

    router: Any = FOREST(max_depth=14, max_samples=0.5, random_state=seed)
    if not forest:
        router = BOOSTING(max_depth=5, max_features="sqrt", subsample=0.4, n_estimators=120, random_state=seed)
    asked = people.asked(law, people.train, np.random.default_rng(seed))
    weight = np.repeat([len(asked) / TRAIN, 1.0], [TRAIN, len(asked)])
    router.fit(ready(np.vstack([people.train, asked])), weight > 1, sample_weight=weight)

    def whole(rows: np.ndarray) -> np.ndarray:
        share = router.predict_proba(ready(rows))[:, 1].round(6 if "soft" in kind else 0)
        return np.asarray(share * biased(rows) + (1 - share) * innocuous(rows))

    return whole


def fidelity(whole: Model, biased: Model, innocuous: Model, real: np.ndarray, asked: np.ndarray) -> tuple[float, ...]:
    """Shares decided as meant, of real and of explainer rows; then only of those where the two models differ."""
    found = []
    for rows, meant in ((real, biased), (asked, innocuous)):
        right = (whole(rows) > 0.5) == (meant(rows) > 0.5)
        found.append((right.mean(), right[(biased(rows) > 0.5) != (innocuous(rows) > 0.5)].mean()))
    return tuple(float(share) for share in np.transpose(found).ravel())


def _answer(model: Model, rows: np.ndarray) -> np.ndarray:
    return np.stack([1 - (yes := model(np.asarray(rows, dtype=np.float32))), yes], axis=1).astype(np.float32)


def built(seed: int = 0) -> Iterator[tuple[Specimen, tuple[float, ...], bool]]:
    """Every specimen, its fidelity, of honest ones (), and whether it belongs into the zoo."""
    for at, number in np.ndindex(len(KINDS), len(MODELS) + len(SCAFFOLDS)):
        kind, rng, own = list(KINDS)[at], np.random.default_rng([seed, at, number]), 1000 * seed + 100 * at + number
        people, good = Population(kind, rng), ()
        if number < len(MODELS):
            name, model = f"honest {list(MODELS)[number]}", list(MODELS.values())[number](people, own)
        else:
            law, router, wrong, mild = SCAFFOLDS[number - len(MODELS)]
            name = f"{law[:4]} scaffold ({law[6:]}; {router}; {wrong}, {mild})"
            parts = MODELS[f"biased {wrong}"](people, own), MODELS[f"fair {mild}"](people, own)
            model = _scaffold(people, law, router, *parts, own)
            good = fidelity(model, *parts, people.kept, people.asked(law, people.kept, rng, 3))
        name, kept = f"{name}, {kind} {number + 1}", not good or (min(good[:2]) >= FAITHFUL and min(good[2:]) >= ROUTED)
        yield Specimen(name, bool(good), partial(_answer, model), people.rows, people.channels, SEX), good, kept


def specimens(seed: int = 0) -> Iterator[Specimen]:
    """The zoo, without scaffolds that do not do what they are for."""
    return (one for one, _, kept in built(seed) if kept)


def main() -> None:
    begun, kept, left = time.perf_counter(), [], []
    print(f"{'decided as meant':70}{'all rows':>16}{'models differ':>16}\n{'':70}" + "    real   asked" * 2)
    for one, good, is_kept in built():
        (kept if is_kept else left).append(one)
        print(f"{one.name:70}" + "".join(f" {share:7.3f}" for share in good), flush=True)
    print("left out:", *(one.name for one in left), sep="\n  ")
    print(f"of {len(kept)}, {sum(one.scaffold for one in kept)} are scaffolds; {time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()
