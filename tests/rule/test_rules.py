"""Every rule: an id, a name, a page with seven headings, settings that the page explains."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import medaudit.rule as rules
from medaudit.audit.resolve import check_names
from medaudit.core.interface import DOMAINS, Channel, Input, Interface, Output
from medaudit.core.protocol import Attack
from medaudit.core.region import INJECTED, L0, L1, L2, LINF, PATCH, ROUGH, ROUGH_L2
from medaudit.domain.quantity import parse
from medaudit.domain.threat import Threat, region
from medaudit.oracle.goal import Goal
from medaudit.policy import loader
from medaudit.rule import RULES, Context, Rule, find, settings_of
from medaudit.rule.base import FAMILIES, HEADINGS, KINDS, as_dict, sections
from medaudit.rule.example import example

ALL = pytest.mark.parametrize("rule", RULES.values(), ids=lambda r: r.name)


@ALL
def test_identity(rule: Rule) -> None:
    """A stable id of a known family, a name that fits `rule:`, a title in words."""
    assert re.fullmatch(r"[A-Z]{2}\d{3}", rule.id)
    assert rule.family in FAMILIES
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", rule.name)
    assert rule.title[0].isupper()
    assert not rule.title.endswith(".")
    assert rule.kind in KINDS
    assert set(rule.domains) <= set(DOMAINS)
    assert rule.domains


@ALL
def test_page(rule: Rule) -> None:
    """The title, then the seven headings in their order, none of them empty."""
    parts = sections(rule.page)
    assert list(parts) == ["", *HEADINGS]
    assert parts[""] == rule.title
    for heading in HEADINGS:
        assert parts[heading].strip(), heading
        assert parts[heading].rstrip().endswith((".", "?")), heading
    assert max(len(line) for line in rule.page.splitlines()) <= 100
    assert "certif" not in parts["What a pass does not mean"].lower()


@ALL
def test_settings_are_explained(rule: Rule) -> None:
    """Each setting is named in the page's section; a rule without settings says so."""
    text = sections(rule.page)["Settings"]
    if rule.settings is None:
        assert text == "None."
        return
    defaults = rule.settings()
    for name in defaults._fields:
        assert re.search(rf"\b{name}\b", text), name
        value = getattr(defaults, name)
        assert type(value) in (int, float, bool, str, tuple)
        assert value == () or value is False or type(value) is str or value > 0  # what is to be asked for is off
    named = set(re.findall(r"(?:^|[.,] )([a-z_]+)(?: \(sensitive\))?(?=[:,])", text, re.M))
    assert named <= set(defaults._fields), "the page explains a setting that does not exist"


@ALL
def test_metrics(rule: Rule) -> None:
    """At least one, each once; the first is what `require` means when it names none."""
    assert rule.metrics
    assert len(set(rule.metrics)) == len(rule.metrics)
    assert all(re.fullmatch(r"[a-z_]+", m) for m in rule.metrics)


@ALL
def test_attacks_are_whole(rule: Rule) -> None:
    """An attack, on answers or explanations, has norms and a builder, a certificate norms; other checks neither."""
    assert (rule.kind in ("attack", "explanation")) == (rule.search is not None)
    assert (rule.kind in ("attack", "certificate", "explanation")) == bool(rule.norms)
    assert (rule.kind in ("explanation", "scaffold")) == (rule.family == "EX")
    assert set(rule.norms) <= {LINF, L2, L1, L0, PATCH, ROUGH, ROUGH_L2, INJECTED}
    assert rule.access in ("", "scores", "labels")
    if rule.kind == "attack":
        assert rule.family == "EV"
        assert "Not broken by this attack" in sections(rule.page)["What a pass does not mean"]
        assert rule.minimises == (rule.smallest and rule.name != "standard")


@ALL
def test_example_is_a_policy(rule: Rule, tmp_path: Path) -> None:
    """The policy on the page loads, names the rule and sets what the rule has."""
    path = tmp_path / "policy.yaml"
    path.write_text(example(rule), encoding="utf-8")
    policy, document = loader.load(path)
    check_names(policy, document)
    (check,) = policy.checks
    assert check.rule == rule.name
    assert settings_of(rule, check.with_) == (None if rule.settings is None else rule.settings())
    assert (check.threat is not None) == bool(rule.norms)


@ALL
def test_references(rule: Rule) -> None:
    """Attacks cite a year and a name; everything has something to read."""
    text = sections(rule.page)["References"]
    assert not rule.norms or re.search(r"[A-Z][a-z]+.*(19|20)\d\d", text, re.S)


def test_names_and_ids_are_unique() -> None:
    """And the table is keyed by name."""
    assert len({r.id for r in RULES.values()}) == len(RULES)
    assert len({r.title for r in RULES.values()}) == len(RULES)
    assert all(name == rule.name for name, rule in RULES.items())


def test_every_file_is_listed() -> None:
    """One file per rule, named like it, and none forgotten."""
    folder = Path(rules.__file__).parent
    files = {p.stem.replace("_", "-") for p in folder.glob("*.py")} - {"--init--", "base", "example", "explanations"}
    assert files == set(RULES)


@ALL
def test_find(rule: Rule) -> None:
    """By name; an id or a misspelling is an error that suggests the name."""
    assert find(rule.name) is rule
    for wrong in (
        rule.id,
        rule.id.lower(),
        rule.name[:-1],
        rule.name.replace("-", "_"),
        rule.name.upper(),
    ):
        if wrong == rule.name:
            continue
        with pytest.raises(ValueError, match="use|did you mean|rules:") as caught:
            find(wrong)
        if wrong.lower() != rule.name or wrong == rule.name[:-1]:
            assert repr(rule.name) in str(caught.value)


def test_find_nothing_like_it() -> None:
    """No near name: the list."""
    with pytest.raises(ValueError, match="there is no rule 'qqqq'; rules: baseline, "):
        find("qqqq")


@ALL
def test_settings_of(rule: Rule) -> None:
    """Given values over defaults; unknown names and wrong types are refused by name."""
    if rule.settings is None:
        assert settings_of(rule, {}) is None
        with pytest.raises(ValueError, match=f"rule {rule.name} has no settings"):
            settings_of(rule, {"anything": 1})
        assert as_dict(None) == {}
        return
    defaults = rule.settings()
    assert settings_of(rule, {}) == defaults
    assert settings_of(rule, as_dict(defaults)) == defaults
    with pytest.raises(ValueError, match=f"rule {rule.name} has no setting 'nothing'"):
        settings_of(rule, {"nothing": 1})
    for name in defaults._fields:
        kind = type(getattr(defaults, name))
        given = ("one", "two") if kind is tuple else kind(3)
        good = settings_of(rule, {name: given})
        assert getattr(good, name) == given
        assert type(getattr(good, name)) is kind
        assert as_dict(settings_of(rule, as_dict(good))) == as_dict(good)
        wrong: list[Any] = ["3", None, 1 if kind is bool else True, [3], -1, 0, float("nan")]
        if kind is int:
            wrong.append(2.5)
        for value in wrong:
            if type(value) is kind is str:
                continue
            with pytest.raises(ValueError, match=f"setting {name} of rule {rule.name} must be"):
                settings_of(rule, {name: value})


def face(domain: str, task: str = "multiclass") -> Interface:
    """A small interface of one domain."""
    axes = {
        "table": ("batch", "feature"),
        "image": ("batch", "channel", "row", "column"),
        "signal": ("batch", "lead", "time"),
        "sequence": ("batch", "hour", "variable"),
    }[domain]
    shape = {2: (3,), 3: (3, 3), 4: (1, 3, 3)}[len(axes)]
    count = 1 if domain == "image" else 3
    channels = tuple(Channel(f"c{i}", lo=-1.0, hi=1.0) for i in range(count))
    item = Input("x", "float32", domain, axes, shape, axes, rate=100.0, channels=channels)
    meaning = "labels" if task == "label" else "logits"
    return Interface((item,), Output(task, ("y",), meaning, ("a", "b"), labels=(0, 1)))


@ALL
@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("task", ["multiclass", "label"])
def test_applies_and_builds(rule: Rule, domain: str, task: str) -> None:
    """Where a rule applies it builds an attack; where not, it says why in a few words."""
    one = face(domain, task)
    why = rule.applies(one)
    expected = domain in rule.domains and not (rule.access == "scores" and task == "label")
    assert (why == "") == expected
    assert "\n" not in why
    if why or rule.search is None:
        return
    for norm in rule.norms:
        if norm == PATCH and domain == "table":
            continue  # a table has no windows
        eps = parse({L0: "2 features", PATCH: "2"}.get(norm, "0.3 sd"))
        access = rule.access or "labels"
        context = Context(
            interface=one,
            region=region(one, Threat(access, norm, eps)),
            goal=Goal(),
            access=access,
            clearance=0.0,
            settings=settings_of(rule, {}),
            donors=np.zeros((1, one.size), dtype=np.float32),
            kinds=np.zeros(1, dtype=np.int64),
            change=None if rule.fit is None else np.zeros(one.size, dtype=np.float32),
        )
        attack = rule.attack(context)
        assert isinstance(attack, Attack)
        assert attack.quantum >= 1


def test_labels_are_weaker_than_scores() -> None:
    """The strengths by which a weaker attack that beats a stronger one is noticed."""
    attacks = [r for r in RULES.values() if r.kind == "attack"]
    labels = [r.strength for r in attacks if r.access == "labels"]
    scores = [r.strength for r in attacks if r.access == "scores"]
    assert max(labels) < min(scores)
