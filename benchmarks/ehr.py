"""Models of records to try constraints on: those shipped, two made here, and real ones where a folder has them.

Every record made here is synthetic. `Records` names the files and what must hold between the values.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from skl2onnx import to_onnx
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
NUCLEI = ("radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity", "concave points",
          "symmetry", "fractal dimension")  # fmt: skip
TRIAGE = {  # name -> (lowest, highest, step; 0: continuous)
    "age": (18, 95, 1), "sex": (0, 1, 1), "systolic": (60, 240, 1), "diastolic": (30, 140, 1),
    "mean pressure": (40, 180, 1), "heart rate": (30, 200, 1), "temperature": (33, 42, 0.1), "oxygen": (60, 100, 1),
    "breaths": (6, 50, 1), "pain": (0, 10, 1), "lactate": (0.3, 15, 0), "creatinine": (0.2, 10, 0),
    "glucose low": (20, 400, 1), "glucose mean": (20, 500, 1), "glucose high": (20, 600, 1), "visits": (0, 12, 1),
    "arrival": (0, 3, 1), "home": (0, 1, 1), "ward": (0, 1, 1), "intensive": (0, 1, 1),
}  # fmt: skip
STAYS = ("HR", "SysABP", "DiasABP", "MAP", "GCS", "Urine", "BUN", "Lactate")  # of the first day of the real stays


@dataclass(frozen=True)
class Records:
    """A model, its data, and what its policy says."""

    name: str
    model: Path
    data: Path
    relations: tuple[str, ...] = ()
    one_hot: tuple[tuple[str, ...], ...] = ()
    channels: dict[str, dict[str, Any]] = field(default_factory=dict)  # what differs from what is found
    patients: int = 60  # attacked
    near: float = 1.0  # standard deviations that an entry may move in a near threat
    attacks: tuple[tuple[str, dict[str, Any], tuple[str, ...]], ...] = ()  # threat's name, threat, rules


def tables(folder: Path, real: Path | None) -> Iterator[Records]:
    """Tables to search whole; files that have to be made come into the folder."""
    home = EXAMPLES / "ehr-tabular"
    yield Records("nuclei, network", home / "model.onnx", home / "data.npz", nuclei_relations(), near=2.5)
    said = {"arrival": {"kind": "category", "categories": ["walk-in", "ambulance", "helicopter", "transfer"]}}
    relations = ("diastolic + 10 <= systolic", "diastolic <= `mean pressure`", "`mean pressure` <= systolic",
                 "systolic - diastolic <= 120", "`glucose low` <= `glucose mean`",
                 "`glucose mean` <= `glucose high`")  # fmt: skip
    for kind in ("trees", "network"):
        path = triage(folder, kind)
        group = (("home", "ward", "intensive"),)
        yield Records(f"triage, {kind}", path, folder / "triage.npz", relations, group, said)
    if real is None:
        return
    own = "heart_pipeline_columns"
    yield Records("heart, linear", real / "models" / f"{own}.onnx", real / "data" / f"{own}.npz")
    yield heart(folder, real)
    yield stays(folder, real)


def nuclei_relations() -> tuple[str, ...]:
    """Of each measure the mean of all nuclei is at most that of the three largest."""
    return tuple(f"`mean {name}` <= `worst {name}`" for name in NUCLEI)


# --- charts, and tables under threats that cannot be searched whole


def attacks(*threats: tuple[str, str, str, dict[str, Any]], few: tuple[str, ...]) -> Any:
    """Threats by name, norm, size and the rest, each with its rules: `few` for those that count changes."""
    for name, norm, eps, more in threats:
        yield name, {"access": "scores", "norm": norm, "eps": eps, **more}, few if norm == "l0" else ("standard",)


def elsewhere(folder: Path, real: Path | None) -> Iterator[Records]:
    """Charts by the hour and tables under small changes, with threats in clinical units."""
    few = ("standard", "few-features", "few-places")
    pressures = ["Diastolic blood pressure", "Mean blood pressure", "Systolic blood pressure"]
    within = {"Heart Rate": "25 bpm", "Systolic blood pressure": "30 mmHg", "Glucose": "100 mg/dL",
              "Oxygen saturation": "6 %", "Respiratory rate": "8 breaths/min",
              "Glascow coma scale total": "4 points"}  # fmt: skip
    low, middle, high = (f"`{name}`" for name in pressures)
    coma = " + ".join(f"`Glascow coma scale {part}`" for part in ("eye opening", "motor response", "verbal response"))
    total = "`Glascow coma scale total`"
    home = EXAMPLES / "ehr-timeseries"
    data = with_mask(home / "data.npz", folder / "charts.npz", "x", "mask__second_day")
    yield Records(
        "charts, convolutions", home / "model.onnx", data,
        (f"{low} <= {middle}", f"{middle} <= {high}", f"{high} - {low} >= 10", f"{coma} <= {total}",
         f"{coma} >= {total}"),
        attacks=tuple(attacks(
            ("all-cells", "linf", "0.3 sd", {}),
            ("second-day", "linf", "0.5 sd", {"only": ["second_day"]}),
            ("spread", "l2", "4 sd", {}),
            ("few-cells", "l0", "6", {"within": within}),
            few=few,
        )),
    )  # fmt: skip
    yield Records("charts, clinical units", home / "model.onnx", data, (f"{low} <= {middle}", f"{middle} <= {high}"),
                  attacks=tuple(attacks(
                      ("pressures", "linf", "10 mmHg", {"channels": pressures}),
                      ("pressures-l2", "l2", "120 mmHg", {"channels": pressures}),
                      ("breaths", "linf", "4 breaths/min", {"channels": ["Respiratory rate"]}), few=few,
                  )))  # fmt: skip
    home = EXAMPLES / "ehr-tabular"
    small = (("all-entries", "linf", "0.05 range", {}), ("spread", "l2", "1.2 sd", {}))
    yield Records("nuclei, small changes", home / "model.onnx", home / "data.npz", nuclei_relations(),
                  attacks=tuple(attacks(*small, few=())))  # fmt: skip
    if real is None:
        return
    small = (("all-entries", "linf", "0.08 range", {}),)
    yield Records("heart, small changes", real / "models" / "heart_pipeline_columns.onnx",
                  real / "data" / "heart_pipeline_columns.npz", attacks=tuple(attacks(*small, few=())))  # fmt: skip
    data = with_mask(real / "data" / "icu_mortality.npz", folder / "icu.npz", "x__series", "mask__second_day__series")
    within = {"HR": "25 bpm", "SysABP": "30 mmHg", "Glucose": "100 mg/dL", "GCS": "4 points", "BUN": "20 mg/dL"}
    yield Records(
        "stays, recurrent", real / "models" / "icu_mortality_gru.onnx", data,
        ("DiasABP < SysABP", "DiasABP <= MAP", "MAP <= SysABP"),
        (("ICU_coronary", "ICU_cardiac_surgery", "ICU_medical", "ICU_surgical"),),
        attacks=tuple(attacks(
            ("all-cells", "linf", "0.2 sd", {}),
            ("second-day", "linf", "0.3 sd", {"only": ["second_day"], "inputs": ["series"]}),
            ("spread", "l2", "3 sd", {}),
            ("few-cells", "l0", "6", {"within": within}),
            ("any-cells", "l0", "2", {}),
            few=few,
        )),
    )  # fmt: skip
    own = ["SysABP", "DiasABP", "MAP"]
    yield Records("stays, clinical units", real / "models" / "icu_mortality_gru.onnx", data,
                  ("DiasABP < SysABP", "DiasABP <= MAP", "MAP <= SysABP"), patients=200,
                  attacks=tuple(attacks(
                      ("pressures", "linf", "15 mmHg", {"channels": own}),
                      ("pressures-l2", "l2", "200 mmHg", {"channels": own}),
                      ("heart-rate", "linf", "15 bpm", {"channels": ["HR"]}), few=few,
                  )))  # fmt: skip


def with_mask(source: Path, path: Path, key: str, name: str) -> Path:
    """The data file with a mask of its last half, hour after hour."""
    with np.load(source, allow_pickle=False) as stored:
        arrays = {word: stored[word] for word in stored.files}
    hours, variables = arrays[key].shape[1:]
    late = np.arange(hours) >= hours // 2
    np.savez(path, **arrays, **{name: np.repeat(late[:, None], variables, axis=1)})
    return path


# --- a table made here


def triage(folder: Path, kind: str) -> Path:
    """A model of synthetic emergency records with everything a policy can say of a table."""
    names = list(TRIAGE)
    rng = np.random.default_rng(20260203)
    x = patients(rng, 2400)
    y = (risk(x) + 0.25 * rng.standard_normal(len(x)) > 0).astype(np.int64)
    lo, hi, step = (np.array([TRIAGE[name][k] for name in names], dtype=np.float64) for k in range(3))
    np.savez(
        folder / "triage.npz", x=x[:300], y=y[:300], ref_x=x[300:800], ref_y=y[300:800], names=np.array(names),
        lo=lo, hi=hi, units=np.array(["C" if n == "temperature" else "" for n in names]),
        ids=np.array([f"T{i:04d}" for i in range(300)]), classes=np.array(["low", "high"]),
    )  # fmt: skip
    return export(folder / f"triage-{kind}.onnx", kind, x[800:], y[800:])


def patients(rng: np.random.Generator, n: int) -> np.ndarray:
    """Records in the order of TRIAGE; a quarter of the lactates and a seventh of the creatinines were not measured."""
    sick = rng.standard_normal(n)
    systolic = rng.normal(128, 20, n) - 6 * sick
    diastolic = systolic - np.clip(rng.normal(48, 12, n), 12, 110)
    middle = diastolic + (systolic - diastolic) * rng.uniform(0.25, 0.5, n)
    low = rng.lognormal(np.log(95), 0.25, n)
    high = low + rng.lognormal(3.5, 0.8, n)
    columns = [
        rng.uniform(18, 95, n), rng.integers(0, 2, n), systolic, diastolic, middle, rng.normal(84, 15, n) + 8 * sick,
        rng.normal(37.1, 0.7, n) + 0.2 * sick, 98 - rng.exponential(2.5, n) - np.maximum(sick, 0),
        rng.normal(18, 4, n) + 2 * sick, rng.integers(0, 11, n), rng.lognormal(0.4 + 0.3 * sick, 0.5, n),
        rng.lognormal(0.1 + 0.2 * sick, 0.4, n), low, low + (high - low) * rng.uniform(0.2, 0.8, n), high,
        rng.poisson(1.2, n), rng.choice(4, n, p=[0.55, 0.3, 0.05, 0.1]),
    ]  # fmt: skip
    place = np.eye(3)[np.clip(np.rint(0.5 + 0.6 * sick + 0.5 * rng.standard_normal(n)), 0, 2).astype(int)]
    x = np.column_stack([*columns, place])
    for k, (lo, hi, step) in enumerate(TRIAGE.values()):
        x[:, k] = np.clip(np.rint(x[:, k] / step) * step if step else x[:, k], lo, hi)
    names = list(TRIAGE)
    x[rng.random(n) < 0.25, names.index("lactate")] = np.nan
    x[rng.random(n) < 0.14, names.index("creatinine")] = np.nan
    return x.astype(np.float32)


def risk(x: np.ndarray) -> np.ndarray:
    """A score with valleys and products, so that neither ends of ranges nor single entries say everything."""
    v = {name: x[:, k].astype(np.float64) for k, name in enumerate(TRIAGE)}
    pulse = v["systolic"] - v["diastolic"]
    score = 0.025 * (v["age"] - 55) + 0.6 * np.abs((v["temperature"] - 37) / 0.9) - 0.9
    score += 0.8 * (v["intensive"] - 0.6 * v["home"]) + 0.03 * (v["heart rate"] - 84) * (v["pain"] > 4)
    score += 0.02 * np.abs(pulse - 48) + 0.12 * (96 - v["oxygen"]) + 0.4 * (v["arrival"] == 2) - 0.2 * (pulse > 70)
    score += 0.35 * (np.nan_to_num(v["lactate"], nan=1.5) - 1.5) + 0.004 * (v["glucose high"] - v["glucose low"] - 40)
    return np.asarray(score - 0.35)


def export(path: Path, kind: str, x: np.ndarray, y: np.ndarray) -> Path:
    """Train on rows with missing cells, and write the model as ONNX."""
    if kind == "trees":
        steps = (SimpleImputer(), GradientBoostingClassifier(n_estimators=60, max_depth=3, random_state=0))
    else:
        net = MLPClassifier((24,), alpha=0.3, learning_rate_init=0.02, tol=1e-3, max_iter=400, random_state=0)
        steps = (SimpleImputer(), StandardScaler(), net)
    model = make_pipeline(*steps).fit(x, y)
    made = to_onnx(model, x[:1].astype(np.float32), target_opset={"": 17, "ai.onnx.ml": 3}, options={"zipmap": False})
    made.ir_version = 10
    path.write_bytes(made.SerializeToString())
    return path


# --- real data, where there is some


def heart(folder: Path, real: Path) -> Records:
    """Boosted trees on the coded columns of the heart data."""
    path = real / "data" / "heart_rf_labelonly.npz"
    with np.load(path, allow_pickle=False) as data:
        model = export(folder / "heart.onnx", "trees", data["ref_x"], data["ref_y"])
        said = {}
        for words in data["category_codes"].tolist():
            name, codes = words.split(": ")
            said[name] = {"kind": "category", "categories": [code.partition("=")[2] for code in codes.split(", ")]}
    return Records("heart, trees", model, path, channels=said)


def stays(folder: Path, real: Path) -> Records:
    """Boosted trees on first-day summaries of real stays: last, least, largest and mean value of eight variables."""
    with np.load(real / "data" / "icu_hgb_nan.npz", allow_pickle=False) as data:
        names = data["names"].tolist()
        kept = [k for k, name in enumerate(names) if k < 8 or name.partition("_")[0] in STAYS]
        some = {word: data[word][..., kept] for word in ("x", "ref_x", "lo", "hi", "names", "units")}
        rest = {word: data[word] for word in ("y", "ref_y", "ids", "classes")}
    np.savez(folder / "stays.npz", **some, **rest)
    x = np.concatenate([some["ref_x"], some["x"][500:]])
    y = np.concatenate([rest["ref_y"], rest["y"][500:]])
    relations = []
    for name in STAYS:
        for inner in ("last", "mean"):
            relations += [f"{name}_min24h <= {name}_{inner}24h", f"{name}_{inner}24h <= {name}_max24h"]
    relations += [f"DiasABP_{word}24h < SysABP_{word}24h" for word in ("last", "mean")]
    group = ("ICU_coronary", "ICU_cardiac_surgery", "ICU_medical", "ICU_surgical")
    model = export(folder / "stays.onnx", "trees", x, y)
    return Records("stays, trees", model, folder / "stays.npz", tuple(relations), (group,))
