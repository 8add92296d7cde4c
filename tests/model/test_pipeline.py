"""Every specimen through discovery and pipeline: the same answers as ONNX Runtime's own."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from test_zoo import Bench
from zoo import SPECIMENS, Built

from medaudit.audit.discover import discover
from medaudit.audit.spec import Found
from medaudit.audit.truth import truth_of
from medaudit.core.errors import ModelFault
from medaudit.data import Dataset, read
from medaudit.model import file as files
from medaudit.model.codec import stored_to_points
from medaudit.model.facts import Batching
from medaudit.model.graph import Model, choose_batching
from medaudit.model.pipeline import Pipeline, pad
from medaudit.oracle.decision import decide
from medaudit.policy.schema import ModelSection, OutputSection

Array = NDArray[Any]
IMPURE = ("batch-coupled", "random-output")
# Where the file alone cannot tell, a policy says what is meant.
SAID = {"single-sigmoid-flat": OutputSection(at_least=0.3)}


class Read(NamedTuple):
    """A specimen, and what discovery makes of it."""

    built: Built
    data: Dataset
    found: Found
    points: Array


Reader = Callable[[str], Read]


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """Builds a specimen and discovers its interface, once for each."""

    @cache
    def make(name: str) -> Read:
        built = SPECIMENS[name].build(tmp_path_factory.mktemp(name))
        facts, _ = files.inspect(built.model)
        data = read(built.data)
        section = ModelSection(output=SAID.get(name, OutputSection()))
        found = discover(built.model, facts, data, section, "")
        keys = {i.name: i.name if i.name in data.x else "" for i in found.interface.inputs}
        arrays = {name: data.x[key] for name, key in keys.items()}
        return Read(built, data, found, stored_to_points(found.interface, arrays))

    return make


def pipeline_of(one: Read, block: int = 8) -> Pipeline:
    """The pipeline as a worker builds it."""
    batching = one.found.batching
    block = batching.size if batching.kind == "fixed" else block
    return Pipeline(Model(one.built.model, batching), one.found.interface, block)


def direct(bench: Bench, one: Read) -> Array:
    """ONNX Runtime's own answers, in the form that decoding gives."""
    answer, expect = bench.run(bench.feed()), bench.expect
    output = one.found.interface.output
    if expect["read"] == "columns":
        return np.stack([answer[n] for n in expect["output"]], 1)
    raw = answer[expect["output"]]
    if expect["read"] == "zipmap":
        return np.array([[row[k] for k in output.labels] for row in raw], dtype=np.float32)
    if expect["read"] == "label":
        return np.asarray(bench.decide(answer), dtype=np.float32)[:, None]
    if output.task == "reconstruction":
        gap = (raw - bench.feed()["trace"]).reshape(len(raw), -1).astype(np.float64)
        return np.sqrt((gap**2).mean(1, keepdims=True))
    if output.task == "segmentation" and output.class_axis:
        raw = np.moveaxis(raw, output.class_axis, 1)
    return np.asarray(raw, dtype=np.float32).reshape(len(raw), -1)


@pytest.mark.parametrize("name", [n for n in SPECIMENS if n not in IMPURE])
def test_answers_and_accuracy(name: str, reading: Reader) -> None:
    """Task, domain, answers, decisions: as the specimen's builder says."""
    one = reading(name)
    bench = Bench(one.built)
    expect, output = bench.expect, one.found.interface.output
    answers = pipeline_of(one).answer_all(one.points)
    assert answers.dtype == np.float32
    expected = direct(bench, one)
    assert np.allclose(answers, expected, rtol=2e-5, atol=2e-5, equal_nan=True)
    task = expect["task"]
    if name == "svc-binary-reversed":
        task = "label"  # two columns of which the larger is the wrong class
    elif task == "binary" and (expected.shape[1] > 1 or expect["read"] == "zipmap"):
        task = "multiclass"  # two columns
    assert output.task == task
    assert expect["domain"] in {i.domain for i in one.found.interface.inputs}
    assert one.data.y is not None
    if expect.get("accuracy") is None:
        return
    decided, truth = decide(output, answers), truth_of(output, one.data.y)
    assert decided.shape == truth.shape
    assert float((decided == truth).mean()) == pytest.approx(expect["accuracy"], abs=1e-12)


@pytest.mark.parametrize("name", IMPURE)
def test_impure_models_are_read_all_the_same(name: str, reading: Reader) -> None:
    """What they answer is for the checks to say; they load, and answer rows of the right form."""
    one = reading(name)
    answers = pipeline_of(one).answer_all(one.points)
    assert answers.shape == (120, 3)
    assert np.isfinite(answers).all()


@pytest.mark.parametrize("name", [n for n in SPECIMENS if n not in IMPURE])
def test_blocks_do_not_change_decisions(name: str, reading: Reader) -> None:
    """Blocks of 1, 5 and 64, padded or not: the same answers up to the last digits."""
    one = reading(name)
    if one.found.batching.kind == "fixed":
        blocks = [one.found.batching.size]
    else:
        blocks = [1, 5, 64]
    rows = one.points[:11]
    first = None
    for block in blocks:
        pipeline = pipeline_of(one, block)
        answers = pipeline.answer_all(rows)
        assert len(answers) == len(rows)
        assert pipeline.calls == -(-len(rows) // pipeline.block)
        same = pipeline.answer_all(rows)
        assert np.array_equal(answers, same, equal_nan=True), "equal blocks, equal bits"
        first = answers if first is None else first
        assert np.allclose(first, answers, rtol=1e-4, atol=1e-5, equal_nan=True)


@pytest.mark.parametrize("name", [n for n in SPECIMENS if n.startswith(("fixed-", "lstm-"))])
def test_batch_freed_or_fixed(name: str, reading: Reader) -> None:
    """Freed where the builder says it can be, else asked at its own size; never other answers."""
    one = reading(name)
    expect, batching = one.built.expect, one.found.batching
    size = int(str(expect.get("fixed_batch", expect.get("runs_only_batch", 0))))
    if expect["batch_freed"]:
        assert batching.kind == "freed"
        assert f"batch of {size} was freed" in batching.reason
    elif batching.kind == "freed":
        # Zero initial states can be taken out too, which is more than rewriting shapes.
        assert name.startswith("lstm-")
    else:
        assert (batching.kind, batching.size) == ("fixed", size)
        assert "cannot be freed" in batching.reason
    assert "\n" not in batching.reason


def test_random_and_coupled_stay_free(reading: Reader) -> None:
    """A dynamic batch that runs is left as it is."""
    for name in (*IMPURE, "linear-sigmoid", "dynamic-time"):
        assert reading(name).found.batching == Batching("free")


def test_fixed_batch_is_filled_up(reading: Reader) -> None:
    """118 rows at a batch of 4: the last block is filled with a copy, and the copy is dropped."""
    one = reading("fixed-batch-4")
    model = Model(one.built.model, Batching("fixed", 4))
    pipeline = Pipeline(model, one.found.interface, 4)
    answers = pipeline.answer_all(one.points)
    freed = pipeline_of(one).answer_all(one.points)
    assert len(answers) == len(one.points) == 118
    assert np.allclose(answers, freed, atol=1e-6)


def test_faults_of_a_model_are_findings(reading: Reader) -> None:
    """Fed what it cannot take, a model raises ModelFault in one line."""
    built = reading("linear-sigmoid").built
    model = Model(built.model, Batching("free"))
    name = model.facts.inputs[0].name
    for wrong in (np.zeros((2, 5), dtype=np.float32), np.zeros((2, 6), dtype=np.float64)):
        with pytest.raises(ModelFault) as caught:
            model.call({name: wrong})
        assert "\n" not in str(caught.value)
        assert "[ONNXRuntimeError]" not in str(caught.value)


def test_a_short_answer_is_noticed(reading: Reader) -> None:
    """A graph that answers fewer rows than it was asked is an error, not a shift of rows."""
    one = reading("linear-sigmoid")
    pipeline = pipeline_of(one)
    whole = pipeline.model.call
    pipeline.model.call = lambda feeds, outputs=None: [v[:-1] for v in whole(feeds, outputs)]  # type: ignore[method-assign]
    with pytest.raises(ModelFault, match="answered 7 rows when it was asked 8"):
        pipeline.answer(one.points[:8])


def test_pad() -> None:
    """The last row is repeated."""
    rows = np.arange(4, dtype=np.float32).reshape(2, 2)
    assert pad(rows, 4).tolist() == [[0, 1], [2, 3], [2, 3], [2, 3]]


def test_choosing_needs_one_row_only(reading: Reader) -> None:
    """A data file with a single row is enough to decide about the batch."""
    one = reading("fixed-batch-4")
    name = one.found.facts.inputs[0].name
    batching = choose_batching(one.built.model, {name: one.points[:1]})
    assert batching.kind in ("freed", "fixed")
