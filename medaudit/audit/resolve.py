"""Policy + interface + clean answers -> checks with every number known, and who is attacked."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from medaudit.audit.explainers import too_small
from medaudit.audit.inputs import mask_of, points_of, shut_by
from medaudit.audit.searches import POPULATION, searched, ways
from medaudit.audit.spec import CheckSpec, WorkSpec, face_behind
from medaudit.audit.sweeps import field_of, most_chosen, rows_of
from medaudit.audit.truth import right_decisions, truth_of
from medaudit.core import streams
from medaudit.core.errors import MedauditError, PolicyError, PolicyErrors
from medaudit.core.interface import Interface, Output
from medaudit.data import Dataset
from medaudit.domain import corruptions
from medaudit.domain import threat as threats
from medaudit.domain.corruption import SEVERITIES
from medaudit.domain.quantity import Quantity, convert, known
from medaudit.domain.relations import rules_of
from medaudit.domain.threat import Threat
from medaudit.oracle.decision import decide
from medaudit.oracle.goal import DICE_DROP, EVERY, MOVE_SD, WHATS, Goal, dice, goals_of, oracle, wanted_classes
from medaudit.oracle.trigger import limits, pushed
from medaudit.policy.schema import CheckSection, Policy, RequireSection
from medaudit.policy.strict import Document
from medaudit.probe.kinds import OWN, Spec, cells_for, tensors, unsuited
from medaudit.rule import RULES, Rule, find, settings_of
from medaudit.rule.base import METRICS, PROBED, SWEPT
from medaudit.rule.explanations import METHODS, WAYS
from medaudit.stage.stage import askings, refuses
from medaudit.stats.certificate import largest
from medaudit.trigger.families import FAMILIES

LEAST_RECORDS = 4  # patients of a sweep


@dataclass(frozen=True)
class Resolved:
    """A check of the policy, ready to run, or with the reason why it cannot."""

    section: CheckSection
    rule: Rule
    spec: CheckSpec
    samples: tuple[int, ...] = ()  # rows of the data file under attack
    blocked: str = ""  # why it cannot run on this model or data
    deselected: bool = False
    unit: str = ""  # of eps
    fit: tuple[int, ...] = ()  # rows that the one change is fitted on, or that a sweep or search chooses by
    refuses: bool = False  # stages before it may give no answer
    fit_budget: int = 0  # rows asked to fit it
    lanes: int = 0  # of a search that comes before the check, each of fit_budget
    notes: tuple[str, ...] = field(default=())


def check_names(policy: Policy, document: Document) -> None:
    """Rules, settings and metrics exist: what can be said before any process is started."""
    problems: list[PolicyError] = []
    for i, section in enumerate(policy.checks):
        try:
            _rule_of(section)
        except PolicyError as error:
            problems.append(document.error(("checks", i, *error.path.split(".")), error.message))
    if problems:
        raise PolicyErrors(problems)


def check_threats(policy: Policy, document: Document, interface: Interface) -> None:
    """Threats and goals fit this model: what can be said before anything is written."""
    problems: list[PolicyError] = []
    _check_constraints(policy, document, interface)
    for i, section in enumerate(policy.checks):
        try:
            _static(policy, section, interface)
        except PolicyError as error:
            problems.append(document.error(("checks", i, *error.path.split(".")), error.message))
        except MedauditError as error:
            problems.append(document.error(("checks", i, "threat"), str(error)))
    if problems:
        raise PolicyErrors(problems)


def _check_constraints(policy: Policy, document: Document, interface: Interface) -> None:
    """Each constraint fits this model, and all of them each other."""
    limits = policy.model.constraints
    each: list[tuple[tuple[str | int, ...], tuple[str, ...], tuple[tuple[str, ...], ...]]] = [
        *((("relations", i), (relation,), ()) for i, relation in enumerate(limits.relations)),
        *((("one_hot", i), (), (group,)) for i, group in enumerate(limits.one_hot)),
    ]
    problems: list[PolicyError] = []
    for place, relations, groups in [*each, ((), limits.relations, limits.one_hot)]:
        try:
            if place or not problems:
                rules_of(interface, relations, groups)
        except MedauditError as error:
            problems.append(document.error(("model", "constraints", *place), str(error)))
    if problems:
        raise PolicyErrors(problems)


def threshold_of(require: RequireSection) -> tuple[Literal["at_least", "at_most"], float, str]:
    """(op, number, unit) of a requirement."""
    op: Literal["at_least", "at_most"] = "at_least" if require.at_least is not None else "at_most"
    bound = getattr(require, op)
    if isinstance(bound, Quantity):
        share = bound.unit == "%"
        return op, bound.value / 100 if share else bound.value, "" if share else bound.unit
    return op, float(bound), ""


def _rule_of(section: CheckSection) -> tuple[Rule, Any]:
    """The rule and its settings. Raises PolicyError with the key at fault as path."""
    try:
        rule = find(section.rule)
    except ValueError as error:
        raise PolicyError(str(error), path="rule") from error
    try:
        settings = settings_of(rule, section.with_)
    except ValueError as error:
        raise PolicyError(str(error), path="with") from error
    if section.require is not None and section.require.metric not in rule.metrics:
        raise PolicyError(
            f"rule {rule.name} has no metric {section.require.metric!r}; it has: {', '.join(rule.metrics)}",
            path="require.metric",
        )
    _demand(rule, section)
    wants_scores = section.require is not None and section.require.metric == "auroc_under_attack"
    if wants_scores and section.goal.stop != "budget":
        raise PolicyError(
            "auroc_under_attack reads scores at the budget's end: write goal: {stop: budget}", path="goal"
        )
    if rule.norms and section.threat is None:
        raise PolicyError(f"rule {rule.name} needs a threat", path="threat")
    if section.behind and rule.kind not in ("attack", "explanation"):
        raise PolicyError(f"rule {rule.name} is no attack: it is not made behind stages", path="behind")
    if section.curve and (rule.kind != "attack" or rule.fit is not None):
        raise PolicyError(f"rule {rule.name} does not attack each record by itself: it has no curve", path="curve")
    return rule, settings


def _demand(rule: Rule, section: CheckSection) -> None:
    """The requirement can pass and can fail. Raises PolicyError otherwise."""
    require = section.require
    if require is None:
        raise PolicyError(
            f"check {section.id!r} requires nothing and could never fail; add require with metric {rule.metrics[0]}",
            path="id",
        )
    kind, good = METRICS[require.metric]
    given = "at_least" if require.at_least is not None else "at_most"
    if given != good:
        better = "larger" if good == "at_least" else "smaller"
        raise PolicyError(f"{require.metric} is better when {better}: write {good}", path="require")
    _, number, unit = threshold_of(require)
    if kind == "share" and (unit or not 0 < number < 1):
        raise PolicyError(
            f"{require.metric} is a share: give a number between 0% and 100%, both excluded",
            path="require",
        )
    if kind == "count" and (unit or number < 0 or number != int(number)):
        raise PolicyError(f"{require.metric} is a count: give a whole number of rows", path="require")
    if kind in ("distance", "value") and not 0 < number < float("inf"):
        raise PolicyError(f"{require.metric} needs a positive bound", path="require")


def _same_unit(section: CheckSection, threat: Threat) -> None:
    """A distance is required in the unit of the threat's eps."""
    if section.require is None or section.require.metric != "median_distance":
        return
    unit = threshold_of(section.require)[2]
    if unit != threat.eps.unit and not (threat.norm == "l0" and unit in ("", "features")):
        raise PolicyError(
            f"median_distance is measured in {threat.eps.unit or 'stored units'!r}, "
            f"the bound is in {unit or 'no unit'!r}; use the unit of the threat's eps",
            path="require",
        )


def _static(policy: Policy, section: CheckSection, interface: Interface) -> Resolved:
    """A check without its samples; `blocked` where it cannot run on this model."""
    rule, settings = _rule_of(section)
    budget = (section.budget or policy.defaults.budget).queries
    threat = None if section.threat is None or not rule.norms else _threat(policy, section.threat)
    if threat is not None and budget < policy.model.votes:
        raise PolicyError(
            f"a budget of {budget} rows is less than one answer, which is a vote of {policy.model.votes}", path="budget"
        )
    spec = CheckSpec(section.id, rule.name, threat, Goal(), budget, settings)
    if rule.kind == "corruption":
        return _corruptions(policy, Resolved(section, rule, spec), interface)
    if rule.kind in ("sweep", "search"):
        for name in (name for name in settings.families if name not in FAMILIES):
            raise PolicyError(f"family {name!r} is not known; use some of: {', '.join(FAMILIES)}", path="with")
    if section.require is not None and section.require.metric == "randomised_overlap" and not settings.randomised:
        raise PolicyError("randomised_overlap is measured only with randomised: true", path="with")
    unexplained = _explained(policy, rule, settings, interface) if rule.kind in ("explanation", "scaffold") else ""
    if threat is None:
        return Resolved(section, rule, spec, blocked=rule.applies(interface) or unexplained)
    if rule.kind == "explanation" and settings.method:
        led = rule.name == "explanation-target"
        able = [name for name, one in METHODS.items() if (led or not one.led) and threat.norm in one.norms]
        if settings.method not in able:
            raise PolicyError(
                f"method {settings.method!r} is none for this rule and norm: {', '.join(able)}", path="with"
            )
    if threat.norm not in rule.norms:
        raise PolicyError(
            f"rule {rule.name} works in {' or '.join(rule.norms)}, threat {section.threat!r} is in {threat.norm}",
            path="threat",
        )
    if rule.access == "scores" and threat.access == "labels":
        raise PolicyError(
            f"rule {rule.name} needs scores, threat {section.threat!r} gives labels only",
            path="threat",
        )
    _same_unit(section, threat)
    if threat.norm == "l0" and any(value != int(value) for value in section.curve):
        raise PolicyError("the sizes of an l0 threat are numbers of features", path="curve")
    if rule.kind == "certificate":
        _certificate(section, threat, settings)
        spec = replace(spec, budget=(settings.guess + settings.draws) * policy.model.votes)
    why = rule.applies(interface) or threats.unsuited(interface, threat) or unexplained
    if why:
        return Resolved(section, rule, spec, blocked=why)
    if section.goal.what == EVERY and interface.output.task not in ("multiclass", "label"):
        why = f"goal {EVERY!r} is about answers that are one of several classes, not {interface.output.task}"
        return Resolved(section, rule, spec, blocked=why)
    _check_goal(section, interface.output)
    for key, names in (("within", [name for name, _ in threat.within]), ("channels", threat.channels)):
        for name in names:
            if not any(c.name == name for i in interface.inputs for c in i.channels):
                raise PolicyError(f"{key} names {name!r}, which is not a channel of this model", path="threat")
    threats.region(interface, threat)
    threats.subspace(interface, threat)
    known_inputs = [i.name for i in interface.inputs]
    for name in threat.inputs:
        if name not in known_inputs:
            raise PolicyError(
                f"threat {section.threat!r} names input {name!r}; the model has: {', '.join(known_inputs)}",
                path="threat",
            )
    blocked = ""
    if not threats.movable(interface, threat).any():
        blocked = "the threat allows no number of this model's input to change"
    return Resolved(section, rule, spec, blocked=blocked, unit=threat.eps.unit)


def _explained(policy: Policy, rule: Rule, settings: Any, interface: Interface) -> str:
    """Why a check's explainer cannot explain this model; "" when it can. Raises PolicyError for what is not there."""
    for name in filter(None, (settings.explainer, *getattr(settings, "also", ()))):
        if name not in policy.explainers:
            known = ", ".join(policy.explainers) or "none; leave explainer out for occlusion"
            raise PolicyError(f"explainer {name!r} is not one of the policy's: {known}", path="with")
    for name in ("alike", "agreement"):
        if getattr(settings, name, 0.0) > 1:
            raise PolicyError(f"{name} is a share of two maps: give a number between 0 and 1", path="with")
    every = {name: Spec(**section.model_dump()) for name, section in policy.explainers.items()}
    spec = every.get(settings.explainer, Spec())
    for name in getattr(settings, "also", ()):
        if every[name].kind == OWN and tensors(every[name]) != tensors(spec):
            raise PolicyError(
                f"also names {name!r}, an exported explanation, which the check itself is not of", path="with"
            )
        if why := unsuited(every[name], interface):
            return f"{name}: {why}"
    if rule.kind == "scaffold" and (spec.kind == OWN or spec.fill == "missing"):
        return "the explainer asks no rows that could be a patient's: name another"
    if not hasattr(settings, "features"):
        return unsuited(spec, interface)
    if settings.way not in WAYS:
        raise PolicyError(f"way is {settings.way!r}, {' or '.join(WAYS)} was expected", path="with")
    for feature in settings.features:
        if not cells_for(spec, interface).named((feature,)):
            raise PolicyError(f"features names {feature!r}, which the explainer has no cell of", path="with")
    if not settings.features:
        raise PolicyError("features is empty: name the channels, leads or columns that it is about", path="with")
    cells = cells_for(spec, interface)
    named = cells.named(settings.features)
    if settings.rank >= cells.size:
        return f"the explanation has {cells.size} cells, and all of them are among its first {settings.rank} reasons"
    if len(named) >= cells.size:
        return "features names every cell of the explanation: nothing else could be a reason"
    return unsuited(spec, interface)


def _corruptions(policy: Policy, check: Resolved, interface: Interface) -> Resolved:
    """The questions of a corruption check are counted beforehand."""
    wanted = check.spec.settings.kinds
    able, why = corruptions.applicable(interface)
    for name in wanted:
        if name not in corruptions.NAMES:
            raise PolicyError(f"kind {name!r} is not known; use some of: {', '.join(corruptions.NAMES)}", path="with")
        if name not in {kind.name for kind in able}:
            reason = why.get(name, "it happens to other data")
            raise PolicyError(f"kind {name!r} cannot happen to this model's inputs: {reason}", path="with")
    count = len([kind for kind in able if not wanted or kind.name in wanted])
    blocked = "" if count else "nothing of what the rule knows can happen to this model's inputs"
    if interface.output.task == "reconstruction":
        blocked = "a reconstruction has no right answer to compare with"
    rows = SEVERITIES * count * policy.model.votes
    return replace(check, spec=replace(check.spec, budget=rows), blocked=blocked)


def _certificate(section: CheckSection, threat: Threat, settings: Any) -> None:
    """What is asked can be certified at all. Raises PolicyError otherwise."""
    if section.goal.what != "any":
        raise PolicyError("a certificate is about any other answer: leave the goal out", path="goal")
    if settings.alpha >= 0.5:
        raise PolicyError(f"alpha is {settings.alpha}, a probability of an error, below 0.5, was expected", path="with")
    far = largest(settings.draws, settings.alpha, settings.sigma)
    if far < threat.eps.value:
        raise PolicyError(
            f"{settings.draws} draws of noise of {settings.sigma:g} certify at most "
            f"{Quantity(round(far, 4), threat.eps.unit)}, eps is {threat.eps}: take a larger sigma or a smaller eps",
            path="with",
        )


def _check_goal(section: CheckSection, output: Output) -> None:
    """A goal that the policy writes must fit the model."""
    goal = section.goal
    if goal.what not in WHATS:
        near = difflib.get_close_matches(goal.what, WHATS, 1, 0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"use one of: {', '.join(WHATS)}"
        raise PolicyError(f"goal {goal.what!r} is not known; {hint}", path="goal")
    if goal.amount.value < 0:
        raise PolicyError("the goal's amount must not be negative", path="goal")
    if goal.what == "any":
        return
    if goal.what == EVERY:
        if len(output.classes) < 2:
            raise PolicyError(f"goal {EVERY!r} needs a model that names its classes", path="goal")
        return
    try:
        oracle(output, Goal(goal.what, goal.name, goal.amount.value, goal.stop), "scores")
    except MedauditError as error:
        raise PolicyError(str(error), path="goal") from error


def resolve(
    policy: Policy,
    document: Document,
    spec: WorkSpec,
    data: Dataset,
    answers: dict[str, np.ndarray],
    limit: int | None,
) -> list[Resolved]:
    """Every check with its goal and samples, and after it the same behind each of its stages.

    answers: to the clean records, by the name of stages. Raises PolicyErrors with places.
    """
    interface = spec.interface
    check_threats(policy, document, interface)
    _check_masks(policy, document, interface, data)
    out: list[Resolved] = []
    for section in policy.checks:
        for one in each_target(section, interface.output):
            own = _static(policy, one, interface)
            own = replace(
                own, spec=replace(own.spec, trigger=spec.triggers.get(getattr(own.spec.settings, "file", ""), ""))
            )
            if own.rule.kind == "suspicious" and not spec.suspicious:
                own = replace(own, blocked="no inputs were given to look at (--suspicious-inputs FILE)")
            if own.rule.kind == "search" and not spec.references:
                own = replace(own, blocked="it compares with reference models (--reference MODEL), and none was given")
            bare = _with_samples(policy, own, interface, data, answers[""], limit)
            out.append(replace(bare, spec=replace(bare.spec, replay=section.behind)))
            out += [_behind(policy, bare, spec, name, data, answers) for name in section.behind]
    return out


def _behind(
    policy: Policy, bare: Resolved, spec: WorkSpec, name: str, data: Dataset, answers: dict[str, np.ndarray]
) -> Resolved:
    """The check behind stages: as many answers each, of those of its records that are decided rightly there."""
    output, count = face_behind(spec, name).output, askings(spec.stages[name])
    own = replace(bare.spec, id=f"{bare.spec.id}@{name}", behind=name, budget=count * bare.spec.budget)
    good = right_behind(output, data, answers[""], answers[name])
    able = set(eligible(output, bare.spec.goal, data, answers[name], policy.data.use.only_correct))
    able = {s for s in able if good[s] or not policy.data.use.only_correct}
    samples, fit = (tuple(s for s in rows if s in able) for rows in (bare.samples, bare.fit))
    blocked = bare.blocked or ("" if samples and (fit or not bare.fit) else "behind the stages no record is left")
    fitting = count * bare.fit_budget * len(fit) // max(1, len(bare.fit))
    return replace(
        bare,
        spec=own,
        samples=samples,
        fit=fit,
        fit_budget=fitting,
        blocked=blocked,
        refuses=refuses(spec.stages[name]),
    )


def right_behind(output: Output, data: Dataset, bare: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Rows [n] bool that are decided rightly behind a stage; as on the bare model, where there are no labels."""
    decided, truth = np.asarray(decide(output, answers)), right_decisions(output, data.y, bare)
    return np.asarray(correct(output, decided, truth) & np.isfinite(answers).all(axis=1))


def each_target(section: CheckSection, output: Output) -> list[CheckSection]:
    """The check itself, or one check a class where its goal is every target: ID~CLASS."""
    if section.goal.what != EVERY or output.task not in ("multiclass", "label"):
        return [section]
    out: list[CheckSection] = []
    for k, name in enumerate(output.classes):
        goal = section.goal.model_copy(update={"what": "target", "name": name})
        slug = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-") or f"class-{k}"
        slug += f"-{k}" if any(done.id == f"{section.id}~{slug}" for done in out) else ""
        out.append(section.model_copy(update={"id": f"{section.id}~{slug}", "goal": goal}))
    return out


def written_id(name: str) -> str:
    """The id that the policy writes, of a check that may be one of its targets, or behind stages."""
    return re.split("[~@]", name)[0]


def _check_masks(policy: Policy, document: Document, interface: Interface, data: Dataset) -> None:
    """Masks that threats name are in the data file. Raises PolicyErrors with places."""
    problems = []
    for name in dict.fromkeys(c.threat for c in policy.checks if c.threat is not None):
        section = policy.threats[name]
        for key, masks in (("only", section.only), ("never", section.never)):
            for mask in masks:
                try:
                    mask_of(interface, data, mask)
                except MedauditError as error:
                    problems.append(document.error(("threats", name, key), str(error)))
    if problems:
        raise PolicyErrors(problems)


def _with_samples(
    policy: Policy,
    check: Resolved,
    interface: Interface,
    data: Dataset,
    answers: np.ndarray,
    limit: int | None,
) -> Resolved:
    if check.rule.kind in SWEPT and not check.blocked:
        return _sweep(check, policy, interface, data, answers, limit)
    if check.rule.kind in PROBED and not check.blocked:
        goal = _goal(check.section, interface.output, data, answers)
        rows = first_groups(data, list(range(data.rows)), _least(policy.data.use.at_most, limit))
        return replace(check, spec=replace(check.spec, goal=goal), samples=tuple(rows))
    if check.blocked or check.spec.threat is None:
        return check
    try:
        goal = _goal(check.section, interface.output, data, answers)
        oracle(interface.output, goal, "scores")
    except MedauditError as error:
        return replace(check, blocked=str(error))
    shut = shut_by(interface, data, check.spec.threat)
    if shut is not None and not (threats.movable(interface, check.spec.threat) & ~shut).any():
        return replace(check, blocked="the threat's masks allow no number of any record to change")
    output = interface.output
    samples = eligible(output, goal, data, answers, policy.data.use.only_correct)
    most = check.spec.settings.records if check.rule.kind == "explanation" else None
    samples = first_groups(data, samples, _least(policy.data.use.at_most, limit, most))
    blocked = "" if samples else "no record is admitted: none is decided correctly and fits the goal"
    truth = not policy.data.use.only_correct and data.y is not None
    check = replace(check, spec=replace(check.spec, goal=goal, truth=truth), samples=tuple(samples), blocked=blocked)
    if check.rule.kind == "explanation" and samples:
        own = {name: Spec(**section.model_dump()) for name, section in policy.explainers.items()}
        why = too_small(check.spec, own, interface, data, check.rule.name == "explanation-target")
        return replace(check, blocked=why)
    if check.rule.fit is None or blocked:
        return check
    check = _split(check, data, output.votes)
    return replace(check, spec=replace(check.spec, lent=_lent(check, output, data, answers)))


def _sweep(
    check: Resolved, policy: Policy, interface: Interface, data: Dataset, answers: np.ndarray, limit: int | None
) -> Resolved:
    """A few records of every decision, each of another patient; of a sweep one half to choose by, one to measure on."""
    try:
        found = field_of(interface, data, points_of(interface, data), check.spec)
    except MedauditError as error:
        return replace(check, blocked=str(error))
    if not found.cells:
        return replace(check, blocked="no family of triggers fits this model's inputs")
    rows = first_groups(data, list(range(data.rows)), _least(policy.data.use.at_most, limit))
    finite = np.isfinite(answers).all(axis=1)
    single = [rows[k] for k in np.unique([data.groups[i] for i in rows], return_index=True)[1] if finite[rows[k]]]
    margin = pushed(interface.output, answers, limits(interface.output, answers))
    sides = margin[sorted(single)].argmax(axis=1)
    picked = balanced(sides, check.spec.settings.records)
    chosen = [int(sorted(single)[i]) for i in picked]
    turns = np.argsort(sides[picked], kind="stable")  # both halves hold every answer
    blocked = "" if len(chosen) >= LEAST_RECORDS else f"a sweep needs {LEAST_RECORDS} patients"
    votes, some = policy.model.votes, len(found.cells) if check.spec.trigger else most_chosen(found)
    check = replace(check, spec=replace(check.spec, budget=rows_of(check.spec, some) * votes), blocked=blocked)
    if check.spec.trigger:
        return replace(check, samples=tuple(chosen))
    if check.rule.kind == "search":
        many = len(ways(found, interface.output))
        lists = check.spec.settings.generations * POPULATION * (len(chosen) - len(chosen) // 2) * votes
        asked = rows_of(check.spec, searched(many)) * votes
        check = replace(check, spec=replace(check.spec, budget=asked), lanes=many, fit_budget=lists)
    else:
        check = replace(check, fit_budget=len(found.cells) * votes)
    second, first = (tuple(chosen[i] for i in sorted(turns[odd::2])) for odd in (1, 0))
    return replace(check, samples=second, fit=first)


def balanced(kinds: np.ndarray, count: int) -> np.ndarray:
    """Places of `count` of them, as many of each kind as there are, in order."""
    order = [np.flatnonzero(kinds == k) for k in np.unique(kinds)]
    turns = [i for at in range(len(kinds)) for i in (rows[at] for rows in order if at < len(rows))]
    return np.sort(np.array(turns[:count], dtype=np.int64))


def _split(check: Resolved, data: Dataset, votes: int) -> Resolved:
    """Some patients to fit the one change on, by the order of their ids' hashes; the others measure it."""
    groups = sorted({data.groups[s] for s in check.samples}, key=lambda name: streams.key("fit", name))
    count = min(check.spec.settings.patients, len(groups) // 2)
    if not count:
        return replace(check, blocked="it needs two patients: one to fit the change on, and one to measure it")
    chosen = set(groups[:count])
    fit = tuple(s for s in check.samples if data.groups[s] in chosen)
    held = tuple(s for s in check.samples if data.groups[s] not in chosen)
    moments = getattr(check.spec.settings, "moments", 1)
    spec = replace(check.spec, budget=votes * (moments + 1 if moments > 1 else 1))
    return replace(check, spec=spec, samples=held, fit=fit, fit_budget=check.spec.budget * len(fit))


def _lent(check: Resolved, output: Output, data: Dataset, answers: np.ndarray, most: int = 32) -> tuple[int, ...]:
    """Rows whose recordings a change may be made of: where one class is wanted, of patients whose records are
    decided as that class and who are not measured; else of the patients set aside."""
    goal = check.spec.goal
    if not getattr(check.spec.settings, "recordings", False):
        return ()
    if goal.what != "target" or output.task not in ("multiclass", "label"):
        return check.fit[:most]
    decided, measured = np.asarray(decide(output, answers)), {data.groups[s] for s in check.samples}
    wanted = np.flatnonzero((decided == output.classes.index(goal.name)) & np.isfinite(answers).all(axis=1))
    return tuple(int(s) for s in wanted if data.groups[int(s)] not in measured)[:most]


def _least(*limits: int | None) -> int | None:
    given = [v for v in limits if v is not None]
    return min(given) if given else None


def _threat(policy: Policy, name: str) -> Threat:
    section = policy.threats[name]
    return Threat(
        section.access,
        section.norm,
        section.eps,
        tuple(section.within.items()),
        tuple(section.inputs),
        channels=section.channels,
        only=section.only,
        never=section.never,
        smooth=section.smooth,
        waves=section.waves,
        window=section.window,
        high_pass=section.high_pass,
        notches=tuple(section.notches),
        relations=policy.model.constraints.relations,
        one_hot=policy.model.constraints.one_hot,
    )


def _goal(section: CheckSection, output: Output, data: Dataset, answers: np.ndarray) -> Goal:
    """The goal with its amount; "any" becomes what the task means by it."""
    wanted = section.goal
    goal = Goal(wanted.what, wanted.name, float(wanted.amount.value), wanted.stop)
    default = goals_of(output.task)[0]
    if goal.what == "any" and default != "any":
        goal = replace(goal, what=default)
    if goal.what == "dice-drop" and goal.amount == 0:
        goal = replace(goal, amount=DICE_DROP)
    if goal.what == "moved":
        goal = replace(goal, amount=_tolerance(wanted.amount, output, data, answers))
    return goal


def _tolerance(amount: Quantity, output: Output, data: Dataset, answers: np.ndarray) -> float:
    """Tolerance of a regression in its own unit; half a standard deviation where none is given."""
    values = answers if data.y is None or output.task == "reconstruction" else truth_of(output, data.y)
    values = np.asarray(values, dtype=np.float64)
    sd = float(np.std(values[np.isfinite(values)])) or 1.0
    if amount.value == 0:
        return MOVE_SD * sd
    if amount.unit == "sd":
        return amount.value * sd
    unit = output.units[0] if output.units else ""
    if amount.unit and known(unit):
        return convert(amount, unit)
    if amount.unit:
        raise MedauditError(
            f"the goal's amount is {amount}, but the output has no unit",
            "give model.output.units in the policy",
        )
    return amount.value


def eligible(output: Output, goal: Goal, data: Dataset, answers: np.ndarray, only_correct: bool) -> list[int]:
    """Rows that may be attacked: answered with numbers, decided correctly, and not yet at the goal."""
    decided = np.asarray(decide(output, answers))
    admit = np.all(np.isfinite(answers), axis=1)
    if only_correct and data.y is not None:
        admit &= correct(output, decided, truth_of(output, data.y))
    wanted = wanted_classes(output, goal)
    sick = [i for i, c in enumerate(output.classes) if c in output.disease]
    if output.task == "multilabel":
        positive = decided == 1
        chosen = wanted or (
            sick if goal.what in ("missed-disease", "false-alarm") and sick else list(range(decided.shape[1]))
        )
        if goal.what in ("clear", "missed-disease"):
            admit &= positive[:, chosen].any(axis=1)
        if goal.what in ("raise", "false-alarm"):
            admit &= (~positive[:, chosen]).any(axis=1)
    elif output.task == "binary":
        ill = 1 if not sick else sick[0]
        if goal.what == "missed-disease":
            admit &= decided == ill
        if goal.what == "false-alarm":
            admit &= decided == 1 - ill
    elif output.task in ("multiclass", "label"):
        if goal.what == "missed-disease":
            admit &= np.isin(decided, sick)
        elif goal.what == "false-alarm":
            admit &= ~np.isin(decided, sick)
        elif wanted:
            admit &= ~np.isin(decided, wanted)
    elif output.task == "segmentation":
        admit &= (decided > 0).any(axis=1)
    return [int(i) for i in np.flatnonzero(admit)]


def correct(output: Output, decided: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Rows the model gets right, [n] bool; regressions and reconstructions are never wrong."""
    if output.task in ("multiclass", "binary", "label"):
        return np.asarray(decided == truth)
    if output.task == "multilabel":
        return np.asarray((decided == truth).all(axis=1))
    if output.task == "segmentation":
        return np.asarray(dice(decided > 0, truth > 0) >= 0.5)
    return np.ones(len(decided), dtype=bool)


def first_groups(data: Dataset, samples: list[int], limit: int | None) -> list[int]:
    """Rows of the first `limit` groups in data order."""
    if limit is None:
        return samples
    kept: dict[str, None] = {}
    out = []
    for i in samples:
        group = data.groups[i]
        if group not in kept:
            if len(kept) >= limit:
                continue
            kept[group] = None
        out.append(i)
    return out


def donors(output: Output, data: Dataset, answers: np.ndarray, limit: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Rows to start label-only walks from, evenly over decisions, and those decisions."""
    decided = np.asarray(decide(output, answers))
    finite = np.all(np.isfinite(answers), axis=1)
    if output.task not in ("multiclass", "binary", "label"):
        index = np.flatnonzero(finite)[:limit]
        return index, np.full(len(index), -1, dtype=np.int64)
    kinds = [k for k in np.unique(decided) if k >= 0]
    each = max(1, limit // max(1, len(kinds)))
    index = np.concatenate([np.flatnonzero(finite & (decided == k))[:each] for k in kinds] or [np.zeros(0, int)])
    return index.astype(np.int64), decided[index.astype(np.int64)].astype(np.int64)


__all__ = ["RULES", "Resolved", "donors", "eligible", "first_groups", "resolve"]
