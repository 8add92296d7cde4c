"""What a rule is: metadata, a page, settings, and how its parts are composed."""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from medaudit.core.arrays import Array
from medaudit.core.compose import compose
from medaudit.core.crowd import Crowd, changes_region, goal
from medaudit.core.interface import Interface
from medaudit.core.protocol import Attack, Explained, Search
from medaudit.core.region import Region
from medaudit.core.subspace import Subspace, slow, within
from medaudit.oracle.goal import Goal, oracle
from medaudit.search import portfolio

FAMILIES = {
    "SA": "sanity of model and protocol",
    "CO": "corruptions",
    "EV": "evasion",
    "EX": "explanations",
    "TR": "triggers",
    "CE": "certificates",
}
KINDS = (
    "attack", "corruption", "certificate", "sweep", "baseline", "repeatability", "row-purity", "batch-isolation",
    "finite-answers", "graph", "extremes", "known-trigger", "suspicious", "search",
    "explanation", "scaffold",
)  # fmt: skip
ONCE = (
    "repeatability",
    "row-purity",
    "batch-isolation",
    "graph",
    "extremes",
    "suspicious",
    "scaffold",
)  # asked of one worker, before any lane
SWEPT = ("sweep", "search", "known-trigger")  # triggers laid over records, of reference models too
PROBED = ("corruption", "certificate", *SWEPT)  # fixed lists of questions
# metric -> (kind, the side on which it is good)
METRICS = {
    "accuracy": ("share", "at_least"),
    "balanced_accuracy": ("share", "at_least"),
    "sensitivity": ("share", "at_least"),
    "specificity": ("share", "at_least"),
    "auroc": ("share", "at_least"),
    "mean_dice": ("share", "at_least"),
    "robust_accuracy": ("share", "at_least"),
    "attack_success": ("share", "at_most"),
    "share_of_moments": ("share", "at_most"),
    "auroc_under_attack": ("share", "at_least"),
    "corruption_accuracy": ("share", "at_least"),
    "worst_corruption": ("share", "at_least"),
    "certified_accuracy": ("share", "at_least"),
    "smoothed_accuracy": ("share", "at_least"),
    "median_distance": ("distance", "at_least"),
    "mean_absolute_error": ("value", "at_most"),
    "changed_answers": ("count", "at_most"),
    "changed_decisions": ("count", "at_most"),
    "invalid_answers": ("count", "at_most"),
    "failed_extremes": ("count", "at_most"),
    "confident_extremes": ("count", "at_most"),
    "scaffold_signs": ("count", "at_most"),
    "high_findings": ("count", "at_most"),
    "triggers_found": ("count", "at_most"),
    "trigger_success": ("share", "at_most"),
    "suspicious_inputs": ("count", "at_most"),
    "mass_overlap": ("share", "at_least"),
    "explanations_led": ("share", "at_most"),
    "excess_over_random": ("share", "at_most"),
    "faithfulness": ("share", "at_least"),
    "max_sensitivity": ("value", "at_most"),
    "randomised_overlap": ("share", "at_most"),
}
HEADINGS = (
    "What it asks",
    "How it works",
    "What a failure means",
    "What a pass does not mean",
    "Settings",
    "Cost",
    "References",
)


@dataclass(frozen=True)
class Context:
    """What a rule may look at when it builds an attack."""

    interface: Interface
    region: Region
    goal: Goal
    access: str
    clearance: float  # numeric noise floor of the model's scores
    settings: Any  # the rule's own settings type
    donors: Array | None = None  # [S, D] clean points to start from, a fit: to be made of; None inside a subspace
    kinds: Array | None = None  # [S] their decisions; None: of a fit
    subspace: Subspace | None = None  # the threat's own: all that may be asked lies in it
    change: Array | None = None  # [D] the one change that was fitted, for rules that fit one
    explained: Explained | None = None  # what searches for explanations may look at

    def in_waves(self, search: Search, waves: int, most: int = 0) -> Search:
        """The search over slow cosines; as it is in a threat's own subspace, in tables, and up to `most` numbers."""
        parts = self.region.parts
        plain = all(part.domain == "table" for part in parts) or sum(part.size for part in parts) <= most
        if plain or self.subspace is not None:
            return search
        return within(search, slow(parts, waves, self.region.scale), exact=False)


class Set(NamedTuple):
    """Searches that take turns on each sample, the rows of their first turns, and how turns grow."""

    members: tuple[Search, ...]
    first: tuple[int, ...]
    growth: tuple[int, ...] = ()  # 2 each where it is not given


@dataclass(frozen=True)
class Rule:
    """One rule. `kind` says who runs it: the engine (attack, corruption, certificate), or the audit (all others)."""

    id: str  # stable, for machines: EV101
    name: str  # what a policy writes: square-noise
    title: str
    kind: str  # one of KINDS
    metrics: tuple[str, ...]  # the first is the default of `require`
    page: str  # the module's docstring
    access: str = ""  # scores | labels: what the attacker must see
    norms: tuple[str, ...] = ()
    domains: tuple[str, ...] = ("signal", "image", "table", "sequence")
    settings: Any = None  # a NamedTuple type; None: no settings
    search: Callable[[Context], Search | Set] | None = None  # attacks: how they propose
    fit: Callable[[Context], Search] | None = None  # how one change for many records is searched, before `search`
    smallest: bool = False  # of its claims the smallest is kept, not the first
    by_labels: tuple[str, ...] = ()  # norms in which something in it looks at answers alone, whatever it sees
    columns: int = 0  # most columns of tables that it can search; 0: any number
    strength: int = 0  # among attacks of one norm: labels < scores

    @property
    def family(self) -> str:
        return self.id[:2]

    @property
    def minimises(self) -> bool:
        """The distance is what the attack is after, beyond any eps."""
        return self.smallest and "median_distance" in self.metrics

    def attack(self, context: Context) -> Attack:
        """The rule's search, guided by what the policy wants, inside the threat's region."""
        if self.search is None:
            raise ValueError(f"rule {self.name} is no attack")
        guide = oracle(context.interface.output, context.goal, context.access, context.clearance)
        found, narrow = self.search(context), context.subspace
        members = (found,) if isinstance(found, Search) else found.members
        if narrow is not None:
            members = tuple(within(member, narrow) for member in members)
        search = members[0]
        if isinstance(found, Set):
            search = portfolio.search(self.name, members, found.first, found.growth)
        stop = context.goal.stop
        # Only who sees scores pushes them, and only a lane that goes on to the end pushes them far.
        worst = stop == "budget" and context.access == "scores" and "auroc_under_attack" in self.metrics
        votes = context.interface.output.votes
        return compose(search, guide, context.region, stop=stop, smallest=self.smallest, keep_worst=worst, votes=votes)

    def fitting(self, context: Context, crowd: Crowd) -> Attack:
        """The search for one change that turns as many of the crowd as it can; `worst` of its result holds it."""
        if self.fit is None:
            raise ValueError(f"rule {self.name} fits nothing")
        search = self.fit(context)
        if context.subspace is not None:
            search = within(search, context.subspace)
        votes = context.interface.output.votes
        return compose(search, goal(crowd), changes_region(context.region), stop="budget", keep_worst=True, votes=votes)

    def applies(self, interface: Interface) -> str:
        """Why the rule cannot run on this model; "" when it can."""
        domains = {item.domain for item in interface.inputs}
        if not domains & set(self.domains):
            return f"it needs {' or '.join(self.domains)} data"
        wide = sum(item.part.columns for item in interface.inputs if item.domain == "table")
        if self.columns and wide > self.columns:
            return f"its tables have {wide} columns, and this search can learn {self.columns}"
        if self.access == "scores" and interface.output.task == "label":
            return "the model gives labels only, and this attack needs scores"
        if self.kind == "certificate" and interface.output.task not in ("multiclass", "binary", "label"):
            return "it is about answers that are one class"
        return ""


def settings_of(rule: Rule, given: dict[str, Any]) -> Any:
    """The rule's settings with the policy's `with:` values. Raises ValueError per fault."""
    if rule.settings is None:
        if given:
            raise ValueError(f"rule {rule.name} has no settings")
        return None
    defaults = rule.settings()
    for name, value in given.items():
        if name not in defaults._fields:
            raise ValueError(f"rule {rule.name} has no setting {name!r}; it has: {', '.join(defaults._fields)}")
        kind = type(getattr(defaults, name))
        if kind is tuple:
            if not isinstance(value, (list, tuple)) or not all(isinstance(v, str) for v in value):
                raise ValueError(f"setting {name} of rule {rule.name} must be a list of names")
            defaults = defaults._replace(**{name: tuple(value)})
            continue
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if kind is bool and type(value) is not bool:
            raise ValueError(f"setting {name} of rule {rule.name} must be true or false")
        if type(value) is not kind or (kind in (int, float) and not value > 0):
            word = "a text" if kind is str else f"a positive {kind.__name__}"
            raise ValueError(f"setting {name} of rule {rule.name} must be {word}")
        defaults = defaults._replace(**{name: value})
    return defaults


def page_of(module: types.ModuleType) -> str:
    """A module's docstring as the rule's page."""
    return inspect.cleandoc(module.__doc__ or "")


def sections(page: str) -> dict[str, str]:
    """Heading -> text of a page; "" holds the title."""
    parts = re.split(r"^(.+)\n-{3,}\n", page, flags=re.M)
    out = {"": parts[0].strip()}
    for heading, text in zip(parts[1::2], parts[2::2], strict=True):
        out[heading.strip()] = text.strip()
    return out


def as_dict(settings: Any) -> dict[str, Any]:
    """Settings for the resolved policy."""
    if settings is None:
        return {}
    return {name: list(v) if isinstance(v, tuple) else v for name, v in settings._asdict().items()}
