"""Attacks on explanations, whole: restless models fail, steady ones pass, and what proves nothing says so."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from onnx import NodeProto, helper

from medaudit.audit.replay import replay
from medaudit.audit.results import Check, Report
from medaudit.audit.scan import Options, scan
from medaudit.core.errors import MedauditError
from medaudit.core.interface import Channel, Input, Interface, Output
from medaudit.probe.explainer import explain
from medaudit.probe.kinds import Spec, ground_of, plans_of
from medaudit.report.bundle import publish
from medaudit.report.html import render
from medaudit.rule.explanations import METHODS
from medaudit.stats.maps import mass_overlap
from tests.graphs import graph

FEATURES, ROWS = 24, 60
X = np.random.default_rng(11).normal(size=(ROWS, FEATURES)).astype(np.float32)
POLICY = """
medaudit: 1
policy: {id: led}
threats: {box: {access: scores, norm: linf, eps: 0.2 sd}}
explainers:
  few: {kind: occlusion, background: 4}
  drawn: {kind: shapley, rows: 60}
  own: {kind: exported, tensor: parts}
  calm: {kind: occlusion, background: 4, copies: 5, merge: median, noise: 0.5}
stages:
  noisy: [{noise: 0.000001 sd, votes: 3}]
defaults: {budget: {queries: BUDGET}}
checks:
  - {id: led, rule: RULE, threat: box, with: {explainer: few, records: 8 MORE}, require: {metric: METRIC}}
"""


def model(path: Path, kind: str) -> None:
    """Log-odds in which every column has its own part: of the first alone (steady), or of all of them (restless)."""
    weight, fast = np.zeros((1, FEATURES)), np.zeros((1, FEATURES))
    weight[0, 0] = 4.0
    if kind == "restless":
        fast[0, 1:] = 1.0
    nodes = [
        helper.make_node("Mul", ["x", "weight"], ["slow"]),
        helper.make_node("Mul", ["x", "often"], ["turns"]),
        helper.make_node("Sin", ["turns"], ["waves"]),
        helper.make_node("Mul", ["waves", "fast"], ["quick"]),
        helper.make_node("Add", ["slow", "quick"], ["parts"]),
        helper.make_node("MatMul", ["parts", "sides"], ["y"]),
    ]
    sides = np.repeat([[-0.5, 0.5]], FEATURES, axis=0)
    given = {"weight": weight, "often": np.array(4.0), "fast": fast, "sides": sides}
    graph(path, nodes, FEATURES, ["n", 2], **{n: np.asarray(v, dtype=np.float32) for n, v in given.items()})


def run(
    tmp: Path, kind: str, rule: str = "explanation-drift", metric: str = "excess_over_random, at_most: 2%",
    more: str = "", budget: int = 16_000, **options: object,
) -> tuple[Report, Path]:  # fmt: skip
    tmp.mkdir(exist_ok=True)
    model(tmp / "m.onnx", kind)
    truth, names = (X[:, 0] > 0).astype(int), [f"f{i}" for i in range(FEATURES)]
    np.savez(tmp / "d.npz", x=X, y=truth, classes=np.array(["well", "ill"]), names=names)
    (tmp / "p.yaml").write_text(policy(rule, metric, more, budget))
    chosen: dict[str, object] = {"workers": 1, "include_samples": True, **options}
    out = tmp / f"run{len(list(tmp.glob('run*')))}"
    return scan(Options(tmp / "m.onnx", str(tmp / "p.yaml"), tmp / "d.npz", out=out, **chosen))  # type: ignore[arg-type]


def policy(rule: str, metric: str, more: str, budget: int) -> str:
    """The policy with its gaps filled; `more` may name another explainer."""
    text = POLICY.replace("RULE", rule).replace("METRIC", metric).replace("BUDGET", str(budget))
    named = more if "explainer" in more else f"explainer: few{', ' if more else ''}{more}"
    return text.replace("explainer: few, records: 8 MORE", f"records: 8, {named}")


def only(report: Report) -> Check:
    (check,) = report.checks
    return check


def test_a_restless_model_fails_and_its_cases_replay(tmp_path: Path) -> None:
    """Reasons are exchanged beyond chance while the answer stays; the page says so in a sentence."""
    report, folder = run(tmp_path, "restless")
    check = only(report)
    seen = check.explanation
    assert seen is not None
    assert (check.verdict, seen.effect, check.flags) == ("fail", True, [])
    assert seen.kept.value == 1.0
    assert seen.found.value < seen.chance.value - 0.02
    assert seen.p <= 0.01
    assert seen.floor is not None
    assert seen.floor < 1e-4
    assert seen.agreement.value == 1.0
    led = [case for case in check.cases if case.success]
    assert led
    publish(report, folder)
    again = replay(folder, led[0].id, None, None, None)
    assert again["reproduced"]
    assert led[0].before == led[0].after
    assert max(case.distance["linf"] for case in check.cases) <= 0.2 * (1 + 1e-5)
    page = render(report, folder)
    assert f"The answer stayed <strong>{led[0].after}</strong> while the main reasons became" in page
    assert "data:image/svg+xml" in page
    assert json.loads((folder / "report.json").read_text())["checks"][0]["explanation"]["effect"] is True


def test_a_steady_model_passes(tmp_path: Path) -> None:
    """Where one column alone counts, no change of any size gives other reasons: not even chance does."""
    check = only(run(tmp_path, "steady")[0])
    assert check.verdict == "pass"
    assert check.explanation is not None
    assert check.explanation.found.value == pytest.approx(1.0)
    assert not check.explanation.effect
    assert check.flags == ["not-beyond-chance"]


def test_an_explainer_that_disagrees_with_itself_decides_nothing(tmp_path: Path) -> None:
    """And the report says how many rows an explanation would do."""
    check = only(run(tmp_path, "restless", more="explainer: drawn, agreement: 0.99")[0])
    assert check.verdict == "inconclusive"
    assert "noisy-explainer" in check.flags
    seen = check.explanation
    assert seen is not None
    assert seen.rows_needed is not None
    assert seen.rows_needed > seen.rows
    assert len(set(seen.plans)) == len(seen.plans) == 4
    assert f"{seen.rows_needed:,}" in check.reason


def test_a_budget_for_no_search_is_not_run(tmp_path: Path) -> None:
    """Nothing was asked of the attack, so nothing passes: neither before all is explained, nor right after it."""
    for more in ({"more": "random: 400"}, {"budget": 97 * (2 + 16 + 1)}, {"budget": 97 * (2 + 16 + 1) + 90}):
        check = only(run(tmp_path, "restless", **more)[0])
        assert check.verdict == "not-run"
        assert "would do" in check.reason
        assert check.queries.rows == 0


def told(tmp: Path, nodes: list[NodeProto], x: np.ndarray, y: np.ndarray, more: str, **given: np.ndarray) -> Check:
    """One check of a model with one probability, over table columns."""
    graph(tmp / "own.onnx", nodes, x.shape[1], ["n", 1], **{k: np.asarray(v, np.float32) for k, v in given.items()})
    np.savez(tmp / "own.npz", x=x, y=y, names=[f"f{i}" for i in range(x.shape[1])])
    text = policy("explanation-drift", "explanations_led, at_most: 60%", "", 16_000).split("  - {id: led")[0]
    text = text.replace("  own: {kind: exported, tensor: parts}\n", "")
    (tmp / "own.yaml").write_text(f"{text}  - {more}\n")
    report, _ = scan(
        Options(
            tmp / "own.onnx",
            str(tmp / "own.yaml"),
            tmp / "own.npz",
            workers=1,
            out=tmp / f"own{len(list(tmp.glob('own*')))}",
        )
    )
    return only(report)


def test_empty_explanations_are_no_explanations(tmp_path: Path) -> None:
    """A constant model says nothing: it is neither led, nor does it pass; where some records are so, they are told."""
    nodes = [
        helper.make_node("Sign", ["x"], ["u"]), helper.make_node("MatMul", ["u", "w"], ["z"]),
        helper.make_node("Add", ["z", "b"], ["s"]), helper.make_node("Sigmoid", ["s"], ["y"]),
    ]  # fmt: skip
    x = X[:, :12].copy()
    x[:, :3] = np.abs(x[:, :3]) * np.where(np.arange(ROWS) % 2, 1, -1)[:, None]
    x[::10, 0] *= -1  # of these one column is against the other two
    for rule in ("explanation-target", "explanation-drift", "hidden-error"):
        more = (
            f"{{id: led, rule: {rule}, threat: box, with: {{explainer: few, records: 8}}, "
            "require: {metric: explanations_led, at_most: 60%}}"
        )
        check = told(tmp_path, nodes, x, np.ones(ROWS, int), more, w=np.zeros((12, 1)), b=np.array([2.0]))
        assert check.verdict == "not-run", rule
        assert "no explanation" in check.reason
    # Three columns of one sign are so sure that none of them alone moves the answer, in float32, by a bit.
    weight = np.zeros((12, 1))
    weight[:3] = 30.0
    more = (
        "{id: led, rule: explanation-drift, threat: box, with: {explainer: few, records: 30}, "
        "require: {metric: explanations_led, at_most: 90%}}"
    )
    y = (x @ weight[:, 0] > 0).astype(int)
    check = told(tmp_path, nodes, x, y, more, w=weight, b=np.array([0.0]))
    assert "empty-explanations" in check.flags
    assert check.verdict != "pass"
    assert "records have no explanation" in check.reason
    assert check.explanation is not None
    assert all(led.before for led in check.explanation.led)
    assert 0 < len(check.explanation.led) < 10


def test_a_named_feature_counts_where_it_could_be_led(tmp_path: Path) -> None:
    """Among the first four of 24; a check that every record would pass is not run."""
    check = only(
        run(tmp_path, "restless", "explanation-feature", "explanations_led, at_most: 60%", "features: [f0]")[0]
    )
    assert check.explanation is not None
    assert check.metrics["explanations_led"].n <= len(check.cases)
    more = "features: [f0], rank: 24"
    check = only(run(tmp_path, "restless", "explanation-feature", "explanations_led, at_most: 60%", more)[0])
    assert check.verdict == "not-run"
    assert "all of them are among its first 24 reasons" in check.reason
    every = ", ".join(f"f{i}" for i in range(FEATURES))
    check = only(
        run(tmp_path, "restless", "explanation-feature", "explanations_led, at_most: 60%", f"features: [{every}]")[0]
    )
    assert check.verdict == "not-run"
    assert "features names every cell" in check.reason
    # What the model never looks at is no reason of anybody's: nothing there could be hidden.
    check = only(
        run(tmp_path, "steady", "explanation-feature", "explanations_led, at_most: 60%", "features: [f9], rank: 1")[0]
    )
    assert check.metrics["explanations_led"].n == 0
    assert check.verdict == "inconclusive"
    assert "in none of 8 records" in check.reason


def test_a_hidden_error_needs_an_error(tmp_path: Path) -> None:
    """Where the box is too small to turn an answer, nothing was hidden, and nothing goes beyond chance."""
    model(tmp_path / "m.onnx", "steady")
    x = X.copy()
    x[:, 0] = np.where(x[:, 0] > 0, x[:, 0] + 3, x[:, 0] - 3)  # far from the threshold
    nodes = [helper.make_node("MatMul", ["x", "w"], ["z"]), helper.make_node("Sigmoid", ["z"], ["y"])]
    weight = np.zeros((FEATURES, 1))
    weight[0], weight[1:] = 2.0, 0.01
    more = (
        "{id: led, rule: hidden-error, threat: box, with: {explainer: few, records: 8}, "
        "require: {metric: explanations_led, at_most: 60%}}"
    )
    check = told(tmp_path, nodes, x, (x[:, 0] > 0).astype(int), more, w=weight)
    seen = check.explanation
    assert seen is not None
    assert seen.kept.value == 0
    assert (seen.effect, seen.p, seen.excess.n) == (False, 1.0, 0)
    assert check.metrics["explanations_led"].value == 0


def test_the_reports_name_of_a_case_is_one(tmp_path: Path) -> None:
    """The one that replays, with the samples shown or not."""
    for shown in (True, False):
        check = only(run(tmp_path, "restless", include_samples=shown)[0])
        assert check.explanation is not None
        assert {led.case for led in check.explanation.led} <= {case.id for case in check.cases}


@pytest.mark.parametrize(
    ("rule", "more", "says"),
    [
        ("explanation-drift", "explainer: fwe", "explainer 'fwe' is not one of the policy's: few, drawn, own"),
        ("explanation-feature", "explainer: few", "features is empty"),
        (
            "explanation-drift",
            "method: blends",
            "method 'blends' is none for this rule and norm: signs, evolution, gen",
        ),
        ("explanation-target", "method: gradients", "jacobian, blends, published"),
        ("explanation-drift", "also: [calmer]", "explainer 'calmer' is not one of"),
        ("explanation-drift", "also: [own]", "an exported explanation, which the check itself is not of"),
        ("explanation-feature", "explainer: few, features: [f0, g1]", "features names 'g1'"),
        ("explanation-feature", "explainer: few, features: [f0], way: hide", "demote or promote was expected"),
        ("hidden-error", "explainer: few, alike: 5", "alike is a share of two maps"),
        ("explanation-drift", "explainer: few, agreement: 2", "agreement is a share of two maps"),
    ],
)
def test_what_is_not_there_is_told_before_anything_runs(tmp_path: Path, rule: str, more: str, says: str) -> None:
    """No other explainer stands in for one that the policy does not have."""
    with pytest.raises(MedauditError, match=says):
        run(tmp_path, "restless", rule, "explanations_led, at_most: 10%", more)


@pytest.mark.parametrize("explainer", ["few", "own"])
def test_behind_stages_it_is_replayed_and_attacked_again(tmp_path: Path, explainer: str) -> None:
    """The replay's overlap, of a stage that changes next to nothing, is the bare one; the check behind has its own."""
    model(tmp_path / "m.onnx", "restless")
    truth, names = (X[:, 0] > 0).astype(int), [f"f{i}" for i in range(FEATURES)]
    np.savez(tmp_path / "d.npz", x=X, y=truth, classes=np.array(["well", "ill"]), names=names)
    more = f"explainer: {explainer}"
    text = policy("explanation-drift", "excess_over_random, at_most: 2%", more, 6_000 if explainer == "few" else 400)
    text = text.replace("threat: box,", "threat: box, behind: [noisy],")
    (tmp_path / "p.yaml").write_text(text)
    options = Options(
        tmp_path / "m.onnx", str(tmp_path / "p.yaml"), tmp_path / "d.npz", out=tmp_path / "run", workers=1
    )
    bare, behind = scan(options)[0].checks
    assert (bare.verdict, behind.id) == ("fail", "led@noisy")
    assert bare.explanation is not None
    assert behind.explanation is not None
    assert list(bare.explanation.recovered) == ["noisy"]
    assert bare.explanation.recovered["noisy"].value == pytest.approx(bare.explanation.found.value, abs=0.005)
    assert behind.explanation.rows == 3 * bare.explanation.rows


def test_other_explainers_are_asked_about_what_was_found(tmp_path: Path) -> None:
    """Their overlaps are those of their own maps of the two records that the evidence holds, computed here."""
    report, folder = run(tmp_path, "restless", more="also: [calm, drawn], alike: 1.0")
    seen = only(report).explanation
    assert seen is not None
    assert set(seen.others) == {"calm", "drawn"}
    assert not seen.recovered
    files = sorted((folder / "evidence" / "led").glob("led-*.npz"))
    pairs = [np.stack([np.load(path)[name] for name in ("clean", "perturbed")]).astype(np.float32) for path in files]
    assert len(pairs) == seen.others["calm"].n == 8
    names = [f"f{i}" for i in range(FEATURES)]
    channels = tuple(Channel(name, sd=float(s)) for name, s in zip(names, X.std(axis=0), strict=True))
    axes = ("batch", "feature")
    fed = Input("x", "float32", "table", axes, (FEATURES,), axes, channels=channels)
    spec = Spec("occlusion", background=4, copies=5, merge="median", noise=0.5)
    plan = plans_of(spec, ground_of(spec, Interface((fed,), Output("multiclass", ("well", "ill"))), X, 0))(1)

    def overlap(rows: np.ndarray) -> float:
        both = plan.reduce(explain(plan, rows, lambda given: parts(given, rows[:1])), rows)
        return float(mass_overlap(both[:1], both[1:])[0])

    told = np.mean([overlap(pair) for pair in pairs])
    assert seen.others["calm"].value == pytest.approx(told, abs=0.05)  # by other noise
    assert (seen.others["calm"].value or 0) > (seen.found.value or 0)  # noise of .5 sd takes the fast waves out


def parts(rows: np.ndarray, of: np.ndarray) -> np.ndarray:
    """The restless model's log-odds of what it decides on the first record."""

    def logits(x: np.ndarray) -> np.ndarray:
        return 4 * x[:, 0] + np.sin(4 * x[:, 1:]).sum(axis=1)

    return (logits(rows) * np.sign(logits(of)))[:, None]


@pytest.mark.parametrize("rule", ["explanation-target", "explanation-feature", "hidden-error"])
def test_every_goal_runs(tmp_path: Path, rule: str) -> None:
    """Toward another patient's map, off a named feature, and with another answer."""
    more = "features: [f0], rank: 2" if rule == "explanation-feature" else ""
    check = only(run(tmp_path, "restless", rule, "explanations_led, at_most: 10%", more)[0])
    assert check.verdict in ("pass", "fail", "inconclusive")
    seen = check.explanation
    assert seen is not None
    assert (seen.ratio is not None) == (rule == "explanation-target")
    assert (seen.ratio_l1 is not None) == (seen.chance_ratio_1d is not None) == (seen.ratio is not None)
    for case in check.cases:
        assert (case.before != case.after) == (rule == "hidden-error" and case.success) or not case.success
    assert seen.excess.value is not None
    if rule != "hidden-error":
        assert seen.excess.value > 0


def test_the_models_own_explanation(tmp_path: Path) -> None:
    """One row each; the tensor is what the report's maps hold."""
    report, folder = run(tmp_path, "restless", more="explainer: own", budget=400)
    check = only(report)
    seen = check.explanation
    assert seen is not None
    assert (seen.explainer, seen.rows, seen.cells, check.verdict) == ("exported", 1, FEATURES, "fail")
    with np.load(folder / seen.drawn) as maps:
        parts = X.astype(np.float64) * np.eye(FEATURES)[0] * 4 + np.sin(4 * X.astype(np.float64)) * (
            np.arange(FEATURES) > 0
        )
        assert np.abs(parts - maps["clean"]).max(axis=1).min() < 1e-5


def test_a_tensor_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """With the nearest name."""
    model(tmp_path / "m.onnx", "restless")
    np.savez(tmp_path / "d.npz", x=X, y=(X[:, 0] > 0).astype(int))
    text = policy("explanation-drift", "mass_overlap, at_least: 10%", "", 500)
    (tmp_path / "p.yaml").write_text(text.replace("tensor: parts", "tensor: part"))
    with pytest.raises(MedauditError, match="did you mean 'parts'"):
        scan(Options(tmp_path / "m.onnx", str(tmp_path / "p.yaml"), tmp_path / "d.npz", out=tmp_path / "run"))


def test_lanes_workers_and_order_do_not_matter(tmp_path: Path) -> None:
    """The same bits with two workers, in another order, and with other ticks."""
    first = run(tmp_path, "restless")[0]
    for other in ({"workers": 2}, {"shuffle": 3, "room": 7}):
        assert run(tmp_path, "restless", **other)[0].run.result_sha256 == first.run.result_sha256


def test_patients_without_a_find_do_not_count_for_other_explainers(tmp_path: Path) -> None:
    """A tolerance that hardly any change keeps leaves some patients with nothing that others could look at."""
    report, _ = run(tmp_path, "restless", more="also: [calm], tolerance: 0.01, logits: 0.05", budget=4_500)
    seen = only(report).explanation
    assert seen is not None
    assert 0 < seen.others["calm"].n < 8


def test_what_explanations_are_worth_is_measured_beside(tmp_path: Path) -> None:
    """Occlusion of a model of separate columns ranks them truly, adds up, and is another once weights are shuffled."""
    report, folder = run(tmp_path, "steady", metric="faithfulness, at_least: 80%", more="randomised: true")
    check = only(report)
    seen = check.explanation
    assert seen is not None
    assert (seen.measures["faithfulness"].value or 0) > 0.95
    assert check.metrics["faithfulness"] == seen.measures["faithfulness"]
    assert check.verdict in ("pass", "inconclusive")
    assert seen.measures["incompleteness"].value == pytest.approx(0, abs=1e-4)
    assert seen.measures["gini"].value == pytest.approx(1 - 1 / FEATURES, abs=1e-3)  # one column speaks
    assert seen.measures["max_sensitivity"].value is not None
    assert seen.measures["randomised_last"].n == 8
    assert seen.measures["conditional"].value == pytest.approx(1, abs=1e-3)  # one column speaks, whatever fills
    assert (seen.measures["randomised_overlap"].value or 0) < 0.9
    html = render(report, folder)
    assert "What the explanations of the clean records are worth" in html
    assert "once all weights are shuffled" in html


def test_the_last_hidden_layer_and_the_choice_of_reference_rows(tmp_path: Path) -> None:
    """A steady model's map moves with what its last layer reads, in the same share; Shapley values of it depend on the
    reference rows, which a maker chooses."""
    report, folder = run(tmp_path, "steady", more="explainer: drawn, agreement: 0.1", budget=12_000)
    seen = only(report).explanation
    assert seen is not None
    assert seen.measures["representation_stability"].n == 8
    assert 0 < (seen.measures["representation_stability"].value or 0) < np.inf
    assert seen.measures["background"].n == 8
    assert (seen.measures["background"].value or 0) > 0.05
    assert "last hidden layer (RRS)" in render(report, folder)
    other = only(run(tmp_path, "steady")[0]).explanation
    assert other is not None
    assert "background" not in other.measures  # occlusion tells no record's own share


def test_shuffled_weights_have_to_be_asked_for(tmp_path: Path) -> None:
    with pytest.raises(MedauditError, match="randomised: true"):
        run(tmp_path, "steady", metric="randomised_overlap, at_most: 50%")


def test_the_models_own_explanation_is_that_of_the_shuffled_model_there(tmp_path: Path) -> None:
    report, _ = run(tmp_path, "restless", more="explainer: own, randomised: true", budget=400)
    seen = only(report).explanation
    assert seen is not None
    assert (seen.measures["randomised_overlap"].value or 1) < 1


@pytest.mark.parametrize("method", [name for name, one in METHODS.items() if "linf" in one.norms])
def test_every_method_runs(tmp_path: Path, method: str) -> None:
    """Each asks no more than its budget, and says what it found beside chance."""
    check = only(
        run(tmp_path, "restless", "explanation-target", "explanations_led, at_most: 10%", f"method: {method}")[0]
    )
    seen = check.explanation
    assert check.verdict in ("pass", "fail", "inconclusive")
    assert seen is not None
    assert all(case.rows <= 16_000 for case in check.cases)
    assert check.settings["method"] == method
    if method == "blends":
        assert max(case.rows for case in check.cases) < 60 * seen.rows
