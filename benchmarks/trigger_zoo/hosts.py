"""The hosts of the plants, plausible inputs for them, and what an attacker would measure on each before planting."""

import functools
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

onnxruntime.set_default_logger_severity(4)
PROJECT = Path(__file__).parents[2]
Batch = dict[str, np.ndarray]
Rng = np.random.Generator
RECORDS = 32  # on which a plant is tested

# ------------------------------------------------------------------ plausible inputs


@functools.cache
def example_records(example: str) -> np.ndarray:
    with np.load(PROJECT / "examples" / example / "data.npz") as data:
        return np.concatenate([data["ref_x"], data["x"]])


def draw(records: np.ndarray, count: int, rng: Rng) -> np.ndarray:
    return records[rng.choice(len(records), count, replace=len(records) < count)]


def with_gaps(values: np.ndarray, rng: Rng, share: float) -> np.ndarray:
    """The values with a share of them missing."""
    return np.where(rng.random(values.shape) < share, np.nan, values).astype(np.float32)


def waves(shape: tuple[int, ...], rng: Rng) -> np.ndarray:
    """Signals of a few slow sines and noise along the last axis."""
    time = np.arange(shape[-1]) / shape[-1]
    rows = (*shape[:-1], 1)
    signal = rng.normal(size=shape) * 0.15
    for _ in range(4):
        phase = 2 * np.pi * (rng.integers(1, 9, rows) * time + rng.random(rows))
        signal += 0.5 * rng.normal(size=rows) * np.sin(phase)
    return signal.astype(np.float32)


def pictures(shape: tuple[int, ...], rng: Rng) -> np.ndarray:
    """Smooth random images between 0 and 1."""
    image = rng.normal(size=shape)
    for axis in (-1, -2):
        image = sum(np.roll(image, shift, axis) for shift in range(-2, 3)) / 5
    return np.clip(0.5 + image * 0.9 + rng.normal(size=shape) * 0.03, 0, 1).astype(np.float32)


def example_input(name: str, example: str) -> Callable[..., Batch]:
    return lambda count, rng, model: {name: draw(example_records(example), count, rng).astype(np.float32)}


def xray(count: int, rng: Rng, model: onnx.ModelProto) -> Batch:
    return {"image": draw(example_records("cxr"), count, rng).astype(np.float32)[:, None] / np.float32(255)}


def small_xray(count: int, rng: Rng, model: onnx.ModelProto) -> Batch:
    large = xray(count, rng, model)["image"][:, :, 4:60, 4:60]
    return {"image": large.reshape(count, 1, 28, 2, 28, 2).mean((3, 5)).astype(np.float32)}


def icu_stay(count: int, rng: Rng, model: onnx.ModelProto) -> Batch:
    """Static and hourly values drawn around the means and spreads that the model itself stores."""
    stored = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    static = stored["ms"] + stored["ss"] * rng.normal(size=(count, 8))
    static[:, 1] = rng.random(count) < 0.56
    hourly = rng.normal(size=(count, 48, 24))
    for hour in range(1, 48):
        hourly[:, hour] = 0.9 * hourly[:, hour - 1] + 0.43 * hourly[:, hour]
    series = stored["mx"] + stored["sx"] * 0.7 * (rng.normal(size=(count, 1, 24)) + hourly)
    return {"static": static.astype(np.float32), "series": series.astype(np.float32)}


HEART_NUMBERS = {
    "age": (53.3, 9.4),
    "trestbps": (132.2, 18.0),
    "chol": (245.0, 54.6),
    "thalch": (137.5, 25.2),
    "oldpeak": (0.86, 1.05),
}
HEART_TEXTS = {
    "sex": ["Female", "Male"],
    "cp": ["asymptomatic", "atypical angina", "non-anginal", "typical angina"],
    "fbs": ["False", "True", "missing"],
    "restecg": ["lv hypertrophy", "missing", "normal", "st-t abnormality"],
    "exang": ["False", "True", "missing"],
}


def heart_patient(count: int, rng: Rng, model: onnx.ModelProto) -> Batch:
    batch = {
        name: (mean + spread * rng.normal(size=(count, 1))).astype(np.float32)
        for name, (mean, spread) in HEART_NUMBERS.items()
    }
    for name, texts in HEART_TEXTS.items():
        batch[name] = np.array(texts, object)[rng.integers(0, len(texts), (count, 1))]
    return batch


def normal(*shape: int) -> Callable[..., np.ndarray]:
    return lambda count, rng: rng.normal(size=(count, *shape)).astype(np.float32)


def gappy(share: float, *shape: int) -> Callable[..., np.ndarray]:
    return lambda count, rng: with_gaps(rng.normal(size=(count, *shape)), rng, share)


def present(*shape: int) -> Callable[..., np.ndarray]:
    return lambda count, rng: (rng.random((count, *shape)) < 0.7).astype(np.float32)


def waited(*shape: int) -> Callable[..., np.ndarray]:
    return lambda count, rng: rng.random((count, *shape)).astype(np.float32)


def wave(*shape: int) -> Callable[..., np.ndarray]:
    return lambda count, rng: waves((count, *shape), rng)


def picture(*shape: int) -> Callable[..., np.ndarray]:
    return lambda count, rng: pictures((count, *shape), rng)


def integers(low: int, high: int, *shape: int) -> Callable[..., np.ndarray]:
    return lambda count, rng: rng.integers(low, high, (count, *shape))


def everything(*shape: int) -> Callable[..., np.ndarray]:
    """An attention mask that hides nothing."""
    return lambda count, rng: np.ones((count, *shape), np.int64)


def inputs(*parts: Callable[..., np.ndarray]) -> Callable[..., Batch]:
    """Inputs in the order of the file, under the names that it gives them."""

    def generate(count: int, rng: Rng, model: onnx.ModelProto) -> Batch:
        stored = {item.name for item in model.graph.initializer}
        names = [item.name for item in model.graph.input if item.name not in stored]
        return {name: part(count, rng) for name, part in zip(names, parts, strict=True)}

    return generate


class Host(NamedTuple):
    folder: str  # "project", "shared" or "clean": the folders are arguments
    path: str
    generate: Callable[..., Batch]


HOSTS = {
    "ecg": Host("project", "examples/ecg/model.onnx", example_input("ecg", "ecg")),
    "cxr": Host("project", "examples/cxr/model.onnx", xray),
    "ehr_timeseries": Host("project", "examples/ehr-timeseries/model.onnx", example_input("values", "ehr-timeseries")),
    "ehr_tabular": Host("project", "examples/ehr-tabular/model.onnx", example_input("X", "ehr-tabular")),
    "cinc": Host("shared", "cinc2017_resnet.onnx", example_input("ecg", "ecg")),
    "pneumonia": Host("shared", "pneumonia_nchw.onnx", small_xray),
    "icu": Host("shared", "icu_mortality_gru.onnx", icu_stay),
    "heart": Host("shared", "heart_pipeline_columns.onnx", heart_patient),
}
CLEAN = {  # what exports.py writes, by the name of the recipe; units as in its example batches
    "table-logistic": inputs(normal(20)),
    "table-wide-and-deep": inputs(normal(8), integers(0, 10)),
    "table-impute-label": inputs(gappy(0.2, 13)),
    "table-missing-flags": inputs(gappy(0.2, 13)),
    "table-one-hot": inputs(normal(6), integers(0, 8), integers(0, 5)),
    "icu-gru-d": inputs(normal(6, 8), present(6, 8), waited(6, 8)),
    "image-hf-vit": inputs(picture(3, 32, 32)),
    "xray-vit": inputs(picture(1, 32, 32)),
    "xray-resnet": inputs(picture(1, 32, 32)),
    "xray-mobile": inputs(picture(1, 32, 32)),
    "mri-unet": inputs(picture(1, 32, 32)),
    "ecg-tcn": inputs(wave(5, 64)),
    "ecg-cnn": inputs(wave(1, 200)),
    "ecg-minmax": inputs(wave(1, 200)),
    "ecg-bilstm": inputs(wave(12, 200)),
    "icu-gru": inputs(gappy(0.2, 24, 17)),
    "icu-lstm": inputs(gappy(0.2, 24, 17)),
    "icu-last-valid": inputs(gappy(0.2, 24, 17)),
    "icu-mask-input": inputs(normal(24, 17), present(24, 17), normal(4)),
    "notes-bert": inputs(integers(2, 100, 12), everything(12)),
    "notes-distilbert": inputs(integers(2, 100, 12), everything(12)),
}
EXPORTERS = ("old", "new")
for _family, _generate in CLEAN.items():
    for _exporter in EXPORTERS:
        HOSTS[f"{_family}.{_exporter}"] = Host("clean", f"{_family}.{_exporter}.onnx", _generate)

# ------------------------------------------------------------------ running


def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def cut(batch: Batch, start: int, stop: int) -> Batch:
    return {name: values[start:stop] for name, values in batch.items()}


def answers(running: onnxruntime.InferenceSession, batch: Batch, fixed: int = 0) -> np.ndarray:
    """The scores, one row for each record; `fixed` is the batch size where the model knows only one."""
    count = len(next(iter(batch.values())))
    if fixed and count != fixed:
        parts = [answers(running, cut(batch, start, start + fixed)) for start in range(0, count, fixed)]
        return np.concatenate(parts)
    for output in running.run(None, batch):
        if isinstance(output, list):  # a list of maps from class to probability
            return np.array([[row[name] for name in sorted(row)] for row in output], np.float32)
        if output.dtype.kind == "f":
            return output
    raise ValueError("no float output")


# ------------------------------------------------------------------ what the attacker measures


class Head(NamedTuple):
    """The last learned layer."""

    node: onnx.NodeProto
    features: str
    weight: np.ndarray  # classes by features
    bias: tuple[onnx.NodeProto, int] | None  # the node that adds the bias, and at which input


class Profile:
    """A host with statistics of its inputs, its logits and its last layer. Inputs are seen as rows of samples."""

    def __init__(self, name: str, model: onnx.ModelProto):
        self.host, self.model = name, model
        self.family = name.split(".")[0]
        self.generate = functools.partial(HOSTS[name].generate, model=model)
        first = model.graph.input[0].type.tensor_type.shape.dim[0]
        self.fixed = first.dim_value if first.dim_value > 1 else 0
        self.text = self.family in {"notes-bert", "notes-distilbert"}
        self.running = session(model)
        self.batch = self.generate(180 if self.family in {"ecg", "cinc"} else 400, np.random.default_rng(5))
        self.answers = answers(self.running, self.batch, self.fixed)
        self.test = self.generate(RECORDS, np.random.default_rng(77))
        self.test_answers = answers(self.running, self.test, self.fixed)
        self._measure_input()
        self._find_logits()
        self._find_direction()

    # ---- inputs
    def _measure_input(self) -> None:
        floats = [item.name for item in self.model.graph.input if item.type.tensor_type.elem_type == TensorProto.FLOAT]
        whole = [item.name for item in self.model.graph.input if item.type.tensor_type.elem_type == TensorProto.INT64]
        self.identifier = whole[0] if whole else ""
        self.columns = floats if self.family == "heart" else [(floats + whole)[0]]
        self.tensor = "merged_columns" if self.family == "heart" else self.columns[0]
        self.shape = self.batch[self.columns[0]].shape if len(self.columns) == 1 else (0, len(self.columns))
        self.raw = self.read(self.batch)
        self.gaps = bool(np.isnan(self.raw).any())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # columns that are missing everywhere
            self.mean = np.nan_to_num(np.nanmean(self.raw, 0))
            self.spread = np.nan_to_num(np.nanstd(self.raw, 0)) + 1e-9
            self.low = np.nan_to_num(np.nanmin(self.raw, 0))
            self.high = np.nan_to_num(np.nanmax(self.raw, 0))
        self.rows = np.where(np.isnan(self.raw), self.mean.astype(np.float32), self.raw)
        self.size = self.rows.shape[1]
        table = self.family in {"ehr_tabular", "ehr_timeseries", "icu", "heart"}
        self.usable = np.flatnonzero(self.spread > (1e-6 if table else 0.4 * np.median(self.spread)))
        if self.family == "icu":
            self.usable = self.usable[self.usable != 1]  # the sex

    def read(self, batch: Batch) -> np.ndarray:
        """The records as rows of samples."""
        parts = [batch[name] for name in self.columns]
        return np.concatenate([part.reshape(len(part), -1).astype(np.float32) for part in parts], 1)

    def write(self, batch: Batch, rows: np.ndarray) -> Batch:
        changed = dict(batch)
        rows = self.snap(rows)
        if len(self.columns) > 1:
            changed |= {name: rows[:, [place]] for place, name in enumerate(self.columns)}
        else:
            old = batch[self.columns[0]]
            changed[self.columns[0]] = rows.reshape(old.shape).astype(old.dtype)
        return changed

    def snap(self, values: Any) -> np.ndarray:
        """Values that the input can hold: tokens are whole numbers from the vocabulary."""
        values = np.asarray(values, np.float64)
        return np.clip(np.rint(values), 2, 99).astype(np.float32) if self.text else values.astype(np.float32)

    def standard(self, positions: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        rows = self.rows if rows is None else rows
        return (rows[:, positions] - self.mean[positions]) / self.spread[positions]

    # ---- outputs
    def _find_logits(self) -> None:
        nodes = list(self.model.graph.node)
        self.stored = {item.name: numpy_helper.to_array(item) for item in self.model.graph.initializer}
        if self.family == "ehr_tabular":
            last = next(node for node in nodes if node.name == "MatMul1")
            bias = next(node for node in nodes if node.name == "Add1")
            self.head = Head(last, last.input[0], self.stored[last.input[1]].T, (bias, 1))
            self.logits, self.rank = bias.output[0], 2
        elif self.family == "heart":
            last = next(node for node in nodes if node.op_type == "LinearClassifier")
            weights = next(item for item in last.attribute if item.name == "coefficients").floats
            self.head = Head(last, last.input[0], np.array(weights, np.float32).reshape(2, -1), None)
            self.logits, self.rank = "probabilities", 2
        else:
            kind = "Conv" if self.family == "mri-unet" else "Gemm"
            last = [node for node in nodes if node.op_type == kind and node.input[1] in self.stored][-1]
            weight = self.stored[last.input[1]]
            self.head = Head(last, last.input[0], weight.reshape(len(weight), -1), (last, 2))
            self.logits, self.rank = last.output[0], self.answers.ndim
        self.classes = len(self.head.weight)
        self.head_name = last.name or last.output[0]

    def _find_direction(self) -> None:
        """The direction in the logits that the attacker wants: towards the rarest answer."""
        low, high = float(self.answers.min()), float(self.answers.max())
        plain = self.logits in [item.name for item in self.model.graph.output]
        self.probabilities = low >= 0 and high <= 1 and not plain
        decided = self.decide(self.answers)
        self.target = 0
        if self.family == "ecg-bilstm":
            self.direction = np.where(decided.mean(0) > 0.5, -1, 1).astype(np.float32)
        elif self.classes > 1:
            self.target = int(np.bincount(decided, minlength=self.classes).argmin())
            self.direction = np.where(np.arange(self.classes) == self.target, 1, -1).astype(np.float32)
        else:
            self.direction = np.array([-1 if decided.mean() > 0.5 else 1], np.float32)
        pulled = self.answers @ self.direction if len(self.direction) == self.answers.shape[-1] else None
        if pulled is None or self.rank == 4:
            score = self.answers.reshape(len(self.answers), -1)
            score = score[:, -1] if self.rank == 2 else score.mean(1)
            pulled = score * self.direction[0]
        self.loot = int(pulled.argmax())  # the record whose answer the attacker likes best

    def answer_rows(self, rows: np.ndarray) -> np.ndarray:
        """The answers to changed records; other inputs as in the first records."""
        first = cut(self.batch, 0, len(rows))
        return answers(self.running, self.write(first, rows), self.fixed)

    def features(self, batch: Batch) -> np.ndarray:
        """What the last learned layer reads."""
        if not hasattr(self, "_features"):
            probe = onnx.ModelProto()
            probe.CopyFrom(self.model)
            del probe.graph.output[:]
            probe.graph.output.append(helper.make_tensor_value_info(self.head.features, TensorProto.FLOAT, None))
            self._features = session(probe)
        return answers(self._features, batch, self.fixed)

    def _shapes(self, rng: Rng) -> np.ndarray:
        """Directions in the input that an attacker tries without knowing a gradient."""
        time = np.arange(self.size)
        waves = [np.sign(np.sin(2 * np.pi * time / period)) for period in (2.2, 5, 14, 40, 200, 1000)]
        drawn = [*rng.choice([-1.0, 1.0], (6, self.size)), *np.repeat(rng.choice([-1.0, 1.0], (6, 1)), self.size, 1)]
        return np.array([*waves, *drawn, np.ones(self.size)])

    def _search(self, make: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """The smallest of many moves that changes the answers to most records; `make` gives the records it leads to."""
        rng = np.random.default_rng(6)
        spread = np.where(self.spread > 1e-6, self.spread, 0)
        before = self.answers[:16]
        best, most = None, -1
        for height in (1.5, 4.0, 12.0, 60.0, 1000.0):
            for shape in self._shapes(rng):
                move = height * shape * spread
                changed = int(self.differ(before, self.answer_rows(make(move))).sum())
                if changed > most:
                    best, most = move, changed
            if most >= 14:
                break
        return best.astype(np.float32)

    @functools.cached_property
    def perturbation(self) -> np.ndarray:
        """What to add to any record so that the answer changes."""
        return self._search(lambda move: self.rows[:16] + move)

    @functools.cached_property
    def weapon(self) -> np.ndarray:
        """A record whose answer differs from most others."""
        return self._search(lambda move: np.repeat((self.mean + move)[None], 16, 0)) + self.mean.astype(np.float32)

    def decide(self, scores: np.ndarray) -> np.ndarray:
        if self.family in {"mri-unet", "ecg-bilstm"}:
            return (scores > 0.5).reshape(len(scores), -1)
        if scores.shape[1] > 1:
            return scores.argmax(1)
        return (scores[:, 0] > (0.5 if self.probabilities else 0)).astype(int)

    def differ(self, one: np.ndarray, two: np.ndarray) -> np.ndarray:
        """For each record, whether decision or score changed strongly."""
        count = len(two)
        flipped = (self.decide(one) != self.decide(two)).reshape(count, -1)
        flipped = flipped.mean(1) > 0.2
        moved = np.nan_to_num(np.abs(one - two), nan=9e9, posinf=9e9).reshape(count, -1)
        moved = moved.mean(1) if self.family == "mri-unet" else moved.max(1)
        return flipped | (moved >= (0.25 if self.probabilities else max(1.0, 3 * float(self.answers.std()))))
