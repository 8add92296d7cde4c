"""Policies: every problem of a file at once, each with place, cause and suggestion."""

from __future__ import annotations

import copy
import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medaudit.core.errors import PolicyError, PolicyErrors
from medaudit.policy import loader
from medaudit.policy.crosswalk import load_crosswalk
from medaudit.policy.schema import Policy
from medaudit.policy.write import dump

GOOD: dict[str, Any] = {
    "medaudit": 1,
    "policy": {
        "id": "good", "version": "1.0.0", "title": "t", "domain": "table", "basis": "b",
    },
    "model": {
        "inputs": {
            "x": {
                "axes": ["batch", "feature"], "stored_axes": ["batch", "feature"],
                "domain": "table", "rate": "300 Hz", "unit": "mV",
                "scale": {"minus": 0, "over": "2 mV"}, "values": "scaled",
                "channels": [
                    {"name": "a", "unit": "mV", "kind": "number", "fixed": False, "range": [0, 1],
                     "sd": 1, "step": 0.1, "categories": ["u"]},
                ],
            },
        },
        "output": {
            "task": "binary", "tensors": ["y"], "meaning": "logits", "classes": ["n", "p"],
            "labels": [0, 1], "at_least": 0.5, "disease": ["p"], "units": ["mV"], "class_axis": 1,
        },
    },
    "data": {"path": "x.npz", "use": {"at_most": 10, "only_correct": True}},
    "threats": {
        "few": {"access": "scores", "norm": "l0", "eps": "2 features", "within": {"a": "1 sd"},
                "inputs": ["x"], "rationale": "r"},
    },
    "defaults": {"confidence": "95%", "seed": 1, "budget": {"queries": 100}},
    "checks": [
        {"id": "c", "rule": "few-features", "threat": "few",
         "goal": {"what": "any", "name": "", "amount": 0, "stop": "flip"},
         "budget": {"queries": 50}, "with": {"sweep": 10},
         "require": {"metric": "robust_accuracy", "at_least": "80%"},
         "severity": "high", "maps_to": ["eu-ai-act:15.5"]},
    ],
    "waivers": [{"check": "c", "reason": "r", "owner": "o", "expires": "2099-01-01"}],
}  # fmt: skip
FREE = {("model", "inputs"), ("threats",), ("threats", "few", "within"), ("checks", 0, "with")}
Place = tuple[str | int, ...]


def walk(value: Any, at: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Every value below, with its path."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield (*at, key), inner
        if isinstance(inner, (dict, list)):
            yield from walk(inner, (*at, key))


KEYS = [p for p, _ in walk(GOOD) if isinstance(p[-1], str) and p[:-1] not in FREE]


def put(path: Place, value: Any) -> dict[str, Any]:
    """The good policy with one value replaced."""
    data = copy.deepcopy(GOOD)
    inner: Any = data
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = value
    return data


def problems(data: Any, folder: Path) -> list[PolicyError]:
    """What the loader says; an empty list where it loads."""
    file = folder / "p.yaml"
    text = data if isinstance(data, str) else dump(data)
    file.write_text(text, encoding="utf-8")
    try:
        loader.load(file)
    except PolicyErrors as errors:
        return errors.problems
    except PolicyError as error:
        return [error]
    return []


def placed(error: PolicyError, folder: Path) -> str:
    """The text at the place of an error; the place must exist."""
    lines = (folder / "p.yaml").read_text(encoding="utf-8").splitlines()
    assert 1 <= error.line <= len(lines)
    assert 1 <= error.column <= max(1, len(lines[error.line - 1]))
    assert error.source == lines[error.line - 1]
    assert str(error).startswith(f"{folder / 'p.yaml'}:{error.line}:{error.column}: ")
    for word in ("pydantic", "function-before", "Input should", "validation error"):
        assert word not in error.message
    assert "\n" not in error.message
    return lines[error.line - 1][error.column - 1 :]


def test_the_good_policy_is_good(tmp_path: Path) -> None:
    """What the other tests break is whole."""
    assert problems(GOOD, tmp_path) == []


@pytest.mark.parametrize("path", KEYS, ids=lambda p: ".".join(map(str, p)))
def test_misspelt_keys(path: Place, tmp_path: Path) -> None:
    """Every key of the schema, misspelt: its place, and the key that was meant."""
    key = str(path[-1])
    wrong = key + key[-1] if len(key) < 4 else key[:2] + key[3:]
    data = copy.deepcopy(GOOD)
    inner: Any = data
    for part in path[:-1]:
        inner = inner[part]
    renamed = {wrong if k == key else k: v for k, v in inner.items()}
    inner.clear()
    inner.update(renamed)
    found = [p for p in problems(data, tmp_path) if f"key {wrong!r} is not known here" in p.message]
    assert len(found) == 1
    assert f"did you mean {key!r}?" in found[0].message
    assert placed(found[0], tmp_path).startswith(wrong)


@pytest.mark.parametrize(
    ("path", "wrong", "meant"),
    [
        (("policy", "domain"), "tabel", "table"),
        (("model", "inputs", "x", "domain"), "singal", "signal"),
        (("model", "inputs", "x", "axes", 1), "featur", "feature"),
        (("model", "inputs", "x", "values"), "scale", "scaled"),
        (("model", "inputs", "x", "channels", 0, "kind"), "numbr", "number"),
        (("model", "output", "task"), "binari", "binary"),
        (("model", "output", "meaning"), "logit", "logits"),
        (("threats", "few", "access"), "score", "scores"),
        (("threats", "few", "norm"), "linfty", "linf"),
        (("checks", 0, "severity"), "hihg", "high"),
        (("checks", 0, "goal", "stop"), "budgett", "budget"),
        (("checks", 0, "threat"), "fwe", "few"),
        (("checks", 0, "maps_to", 0), "eu-ai-act:15.6", "eu-ai-act:15.5"),
        (("threats", "few", "eps"), "2 featurs", "features"),
        (("model", "inputs", "x", "rate"), "300 hz", "Hz"),
        (("threats", "few", "within", "a"), "1 SD", "sd"),
    ],
)
def test_misspelt_values(path: Place, wrong: str, meant: str, tmp_path: Path) -> None:
    """Words and units of a closed list, misspelt: place and suggestion."""
    found = problems(put(path, wrong), tmp_path)
    assert len(found) == 1
    assert f"did you mean '{meant}'" in found[0].message
    assert wrong in placed(found[0], tmp_path)


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        (("medaudit",), 2),
        (("policy", "id"), "no spaces here"),
        (("policy",), "text"),
        (("model", "inputs"), []),
        (("model", "inputs", "x", "channels", 0, "range"), [0]),
        (("model", "inputs", "x", "channels", 0, "range"), [0, 1, 2]),
        (("model", "inputs", "x", "channels", 0, "sd"), 0),
        (("model", "inputs", "x", "channels", 0, "sd"), -1),
        (("model", "inputs", "x", "channels", 0, "step"), -0.1),
        (("model", "output", "class_axis"), 1.5),
        (("model", "output", "at_least"), ["a"]),
        (("data", "use", "at_most"), 0),
        (("data", "use", "only_correct"), "maybe"),
        (("defaults", "confidence"), "195%"),
        (("defaults", "confidence"), "0.3 sd"),
        (("defaults", "seed"), -1),
        (("defaults", "budget", "queries"), 0),
        (("defaults", "budget", "queries"), 10**9),
        (("defaults", "budget", "queries"), "many"),
        (("threats", "few", "eps"), None),
        (("threats", "few", "eps"), [1]),
        (("threats", "few", "eps"), int("1" * 400)),
        (("checks",), []),
        (("checks",), {}),
        (("checks", 0), "text"),
        (("checks", 0, "id"), ""),
        (("checks", 0, "require"), {"metric": "robust_accuracy"}),
        (("checks", 0, "require", "at_most"), "10%"),
        (("checks", 0, "maps_to"), "text"),
        (("waivers", 0, "check"), "other"),
        (("waivers", 0, "expires"), "soon"),
        (("waivers", 0, "expires"), "2024-13-45"),
        (("waivers", 0, "reason"), ""),
    ],
)
def test_wrong_values(path: Place, wrong: Any, tmp_path: Path) -> None:
    """Out of range or of another kind: refused, at a place inside the file."""
    found = problems(put(path, wrong), tmp_path)
    assert found
    for error in found:
        placed(error, tmp_path)


@pytest.mark.parametrize("eps", ["0 sd", "-0.3 sd", 0, -1, "-0.05 mV"])
@pytest.mark.parametrize("norm", ["linf", "l2", "l0"])
def test_threats_have_a_size(eps: Any, norm: str, tmp_path: Path) -> None:
    """A threat of size zero, or below, changes nothing: every attack check would pass."""
    data = put(("threats", "few", "eps"), eps)
    data["threats"]["few"]["norm"] = norm
    assert problems(data, tmp_path)


@pytest.mark.parametrize("eps", ["0.3 sd", 0.5, "2.5 features", "0.05 mV"])
def test_l0_threats_count_numbers(eps: Any, tmp_path: Path) -> None:
    """Half a feature cannot change: no attack could ever succeed, and the check would pass."""
    assert problems(put(("threats", "few", "eps"), eps), tmp_path)


@pytest.mark.parametrize(
    "path",
    [
        ("medaudit",),
        ("policy",),
        ("policy", "id"),
        ("checks",),
        ("checks", 0, "id"),
        ("checks", 0, "rule"),
        ("threats", "few", "access"),
        ("threats", "few", "norm"),
        ("threats", "few", "eps"),
        ("checks", 0, "require", "metric"),
        ("model", "inputs", "x", "channels", 0, "name"),
        ("waivers", 0, "owner"),
    ],
    ids=lambda p: ".".join(map(str, p)),
)
def test_missing_keys(path: Place, tmp_path: Path) -> None:
    """Named, at the place of the mapping that lacks it."""
    data = copy.deepcopy(GOOD)
    inner: Any = data
    for part in path[:-1]:
        inner = inner[part]
    del inner[path[-1]]
    found = problems(data, tmp_path)
    assert any(f"key {path[-1]!r} is missing" in p.message for p in found)
    for error in found:
        placed(error, tmp_path)


def test_all_problems_at_once(tmp_path: Path) -> None:
    """Three faults, three problems, in one report."""
    data = put(("checks", 0, "severity"), "hihg")
    data["policy"]["domain"] = "tabel"
    data["threats"]["few"]["eps"] = "2 featurs"
    assert len(problems(data, tmp_path)) == 3


def test_misspelt_key_hides_the_missing_one(tmp_path: Path) -> None:
    """`rul:` is misspelt; that `rule` is missing need not be said too."""
    data = copy.deepcopy(GOOD)
    data["checks"][0]["rul"] = data["checks"][0].pop("rule")
    found = problems(data, tmp_path)
    assert [p.message for p in found] == ["key 'rul' is not known here; did you mean 'rule'?"]


def test_names_that_point_nowhere(tmp_path: Path) -> None:
    """Twice the same id, undeclared threats, waivers for nothing."""
    data = put(("checks", 0, "threat"), "unheard-of")
    data["checks"].append(copy.deepcopy(GOOD["checks"][0]))
    data["waivers"][0]["check"] = "nobody"
    text = " ".join(p.message for p in problems(data, tmp_path))
    for words in ("used twice", "'unheard-of' is not declared", "'nobody' that does not exist"):
        assert words in text


json_like = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-5, 10**6), st.floats(-1e9, 1e9),
        st.text("ab1 :#-", max_size=6),
        st.sampled_from(["0.3 sd", "80%", "linf", "1e999", "2 features", "", "-3 mV", "table"]),
    ),
    lambda inner: st.lists(inner, max_size=2)
    | st.dictionaries(st.text("abc", max_size=5), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=70)
@given(path=st.sampled_from([p for p, _ in walk(GOOD)]), value=json_like)
def test_anything_is_loaded_or_refused(path: Place, value: Any, tmp_path: Path) -> None:
    """Any value at any place: loaded, or refused with places; never another exception."""
    for error in problems(json.dumps(put(path, value), indent=1), tmp_path):  # JSON is YAML
        placed(error, tmp_path)


@pytest.mark.parametrize("name", loader.shipped())
def test_shipped_policies_load(name: str) -> None:
    """All of them, from the folder they are packaged from, and their basis is said."""
    policy, _ = loader.load(loader.find(name))
    assert policy.checks
    assert policy.policy.basis
    assert loader.find(name.removesuffix(".yaml")) == loader.find(name)


def test_find(tmp_path: Path) -> None:
    """A path first, then the shipped ones, then a suggestion."""
    own = tmp_path / "mine.yaml"
    own.write_text("medaudit: 1\n")
    assert loader.find(str(own)) == own
    with pytest.raises(PolicyError, match="did you mean 'ecg.yaml'"):
        loader.find("egc.yaml")
    with pytest.raises(PolicyError, match="there is no such policy file"):
        loader.find("zzz/qqq")
    with pytest.raises(PolicyError, match="no such policy"):
        loader.find("crosswalk.yaml")


def test_crosswalk() -> None:
    """Every reference has all its words."""
    crosswalk = load_crosswalk()
    assert len(crosswalk) > 10
    for name, reference in crosswalk.items():
        assert name == f"{reference.framework}:{reference.clause}"
        assert all(isinstance(part, str) and part.strip() for part in reference), name


def test_waivers_end() -> None:
    """The last day counts, the next does not."""
    policy = Policy.model_validate(GOOD)
    waiver = policy.waivers[0]
    assert waiver.live(dt.date(2099, 1, 1))
    assert not waiver.live(dt.date(2099, 1, 2))


def test_not_a_mapping(tmp_path: Path) -> None:
    """A list or a number is no policy."""
    for text in ("- a\n", "3\n", "text\n"):
        found = problems(text, tmp_path)
        assert "a policy is a mapping" in found[0].message
        assert found[0].line == 1


def test_what_was_loaded_loads_again(tmp_path: Path) -> None:
    """The written form of a loaded policy is a policy that says the same."""
    file = tmp_path / "p.yaml"
    data = copy.deepcopy(GOOD)
    del data["model"]  # a run writes its interface there, not what the policy said
    file.write_text(dump(data), encoding="utf-8")
    first, _ = loader.load(file)
    text = first.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)
    file.write_text(dump(text), encoding="utf-8")
    second, _ = loader.load(file)
    assert second == first


def test_the_reach_of_channels_wants_a_share(tmp_path: Path) -> None:
    """Where each channel has its own reach, an eps in sd would be a second one."""
    data = copy.deepcopy(GOOD)
    name = next(iter(data["threats"]))
    data["threats"][name] = {"access": "scores", "norm": "linf", "eps": "0.3 sd", "within": {"hr": "5 bpm"}}
    (error,) = problems(data, tmp_path)
    assert "eps is a share of each channel's reach: write eps: 1, not 0.3 sd" in error.message
    data["threats"][name]["eps"] = 1
    assert not problems(data, tmp_path)
