"""Train the tabular example and write model.onnx and data.npz beside this file.

Run: `python examples/ehr-tabular/train.py` (a few seconds).

Data: the Breast Cancer Wisconsin (Diagnostic) set shipped with scikit-learn, 569 real cases, 30
measurements of cell nuclei (W. N. Street, W. H. Wolberg, O. L. Mangasarian, 1993; UCI Machine
Learning Repository).  300 cases are scored, the other 269 train the model and are the reference.

Model: StandardScaler and a small MLPClassifier, exported by skl2onnx with its usual outputs.
ONNX input `X` float32 [batch, 30]; outputs `output_label` int64 [batch] and `output_probability`,
a sequence of maps {0: p, 1: p}.  Classes: 0 "malignant", 1 "benign".
"""

from __future__ import annotations

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

HERE = Path(__file__).resolve().parent
SCORED = 300
# The set's documentation gives no scale, so lengths and areas carry no named unit; the rest is 1.
UNITS = {"radius": "length", "perimeter": "length", "area": "length^2"}


def split() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, list[str], list[str]]:
    """Scored x, y; training x, y; feature names; class names.  Stratified, fixed seed."""
    bunch = load_breast_cancer()
    ref_x, x, ref_y, y = train_test_split(
        bunch.data.astype(np.float32),
        bunch.target.astype(np.int64),
        test_size=SCORED,
        random_state=2,
        stratify=bunch.target,
    )
    return x, y, ref_x, ref_y, list(bunch.feature_names), list(bunch.target_names)


def train(x: np.ndarray, y: np.ndarray) -> Pipeline:
    """Fit the pipeline."""
    net = MLPClassifier((16,), alpha=0.1, solver="lbfgs", max_iter=200, random_state=0)
    return make_pipeline(StandardScaler(), net).fit(x, y)


def export(pipe: Pipeline, n_features: int, path: Path) -> None:
    """Write the pipeline as ONNX, opset at most 17 (ml at most 3), IR version 8."""
    model = convert_sklearn(
        pipe,
        name="breast_cancer",
        initial_types=[("X", FloatTensorType([None, n_features]))],
        target_opset={"": 17, "ai.onnx.ml": 3},
    )
    model.ir_version = 8
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def unit_of(name: str) -> str:
    """Return the unit of a feature from the word that names the measurement."""
    return next((unit for word, unit in UNITS.items() if word in name), "1")


def report(model: Path, data: dict[str, np.ndarray]) -> None:
    """Print the clean accuracy of the written file, measured with onnxruntime."""
    session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    for part, x, y in (("scored", data["x"], data["y"]), ("ref", data["ref_x"], data["ref_y"])):
        guess = session.run(["output_label"], {"X": x})[0]
        table = np.zeros((2, 2), int)
        np.add.at(table, (y, guess), 1)
        print(f"{part}: accuracy {np.mean(guess == y):.3f} on {len(y)} cases")
        print("rows = truth, columns = model,", " ".join(data["classes"]), "\n", table)


def main() -> None:
    """Split, train, export, check."""
    x, y, ref_x, ref_y, names, classes = split()
    export(train(ref_x, ref_y), x.shape[1], HERE / "model.onnx")
    both = np.concatenate([x, ref_x])
    content = {
        "x": x,
        "y": y,
        "ids": np.array([f"S{i + 1:04d}" for i in range(len(y))]),
        "classes": np.array(classes),
        "names": np.array(names),
        "units": np.array([unit_of(name) for name in names]),
        "lo": both.min(axis=0),
        "hi": both.max(axis=0),
        "ref_x": ref_x,
        "ref_y": ref_y,
    }
    np.savez_compressed(HERE / "data.npz", **content)
    report(HERE / "model.onnx", content)


if __name__ == "__main__":
    main()
