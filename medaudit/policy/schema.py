"""The policy's schema, version 1. Unknown keys are refused; docstrings describe the keys.

`POLICY_SCHEMA` (JSON Schema, for editors) is made from these models and shipped in `policies/`.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)

from medaudit.core.interface import AXES, DOMAINS, MEANINGS, TASKS
from medaudit.domain.quantity import Quantity, parse

VERSION = 1
EXPLAINERS = (
    "occlusion", "shapley", "kernel-shap", "lime", "lime-compat", "rise", "gradient", "smoothgrad", "temporal",
    "exported",
)  # fmt: skip


def _share(value: Any) -> Any:
    """80% or 0.8."""
    if isinstance(value, str):
        quantity = parse(value)
        if quantity.unit != "%":
            raise ValueError(f"{value!r} is not a share such as '80%' or 0.8")
        return quantity.value / 100
    return value


def _number(value: Any) -> Any:
    """True is 1 in Python, not in a policy."""
    return str(value) if isinstance(value, bool) else value


def _amount(value: Any) -> Any:
    return value if isinstance(value, Quantity) else parse(value)


Share = Annotated[
    float, BeforeValidator(_share), Field(ge=0, le=1),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string", "pattern": "%$"}]}),
]  # fmt: skip
Amount = Annotated[
    Any,
    BeforeValidator(_amount),
    PlainSerializer(lambda q: str(q) if q.unit else q.value),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string"}], "examples": ["0.05 mV", "0.3 sd"]}),
]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)]
Word = Annotated[str, Field(min_length=1, max_length=300)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class About(Strict):
    """Who says so: a policy is a claim that someone signed."""

    id: Name
    version: str = "1.0.0"
    title: str = ""
    domain: Literal[DOMAINS] | None = None  # type: ignore[valid-type]
    basis: str = Field("", description="where the thresholds come from")


class ChannelSection(Strict):
    """One channel, lead, variable or feature, in stored units."""

    name: str
    unit: str = ""
    kind: Literal["number", "integer", "binary", "category"] = "number"
    fixed: bool = Field(False, description="the attacker may not change it (age, sex)")
    range: tuple[float, float] | None = Field(None, description="legal values, low and high")
    sd: float | None = Field(None, gt=0, description="standard deviation; measured when left out")
    step: float = Field(0.0, ge=0, description="precision of the instrument; 0: continuous")
    categories: tuple[str, ...] = ()


def _amounts(value: Any) -> Any:
    return tuple(_amount(v) for v in value) if isinstance(value, (list, tuple)) else (_amount(value),)


Amounts = Annotated[
    Any,
    BeforeValidator(_amounts),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string"}, {"type": "array"}]}),
]


class ScaleSection(Strict):
    """What the graph expects: (x - minus) / over; one amount, or one per channel."""

    minus: Amounts = (Quantity(0.0),)
    over: Amounts = (Quantity(1.0),)

    @model_validator(mode="after")
    def _divides(self) -> ScaleSection:
        if any(q.value == 0 for q in self.over):
            raise ValueError("over must not be zero: stored values are divided by it")
        return self


class InputSection(Strict):
    """One input of the graph. Everything left out is found from the model and the data."""

    axes: tuple[Literal[AXES], ...] | None = None  # type: ignore[valid-type]
    stored_axes: tuple[Literal[AXES], ...] | None = None  # type: ignore[valid-type]
    domain: Literal[DOMAINS] | None = None  # type: ignore[valid-type]
    rate: Amount | None = Field(None, description="samples per second, e.g. 300 Hz")
    unit: str | None = Field(None, description="unit of the stored values")
    scale: ScaleSection | None = None
    values: Literal["physical", "scaled"] = Field(
        "physical", description="scaled: the data file already holds (x - minus) / over"
    )
    channels: tuple[ChannelSection, ...] | None = None


class OutputSection(Strict):
    """How the answer is read."""

    task: Literal[TASKS] | None = None  # type: ignore[valid-type]
    tensors: tuple[str, ...] | None = None
    meaning: Literal[MEANINGS] | None = None  # type: ignore[valid-type]
    classes: tuple[str, ...] | None = None
    labels: tuple[str | int, ...] | None = Field(None, description="what the graph calls the classes")
    at_least: tuple[float, ...] | float | None = Field(None, description="decision threshold; one, or one per finding")
    disease: tuple[str, ...] | None = Field(None, description="classes or findings that are disease")
    units: tuple[str, ...] | None = None
    class_axis: int | None = None


class ConstraintsSection(Strict):
    """What holds between the values of a real record, and so of every record that is asked."""

    relations: tuple[str, ...] = Field((), description="'diastolic < systolic'; names with blanks in backticks")
    one_hot: tuple[tuple[str, ...], ...] = Field((), description="columns of which exactly one is 1")


class StageSection(Strict):
    """One stage before or after the model: one of these kinds."""

    median: int | None = Field(None, ge=3, le=99, description="window: pixels a side, samples or hours; odd")
    blur: float | None = Field(None, gt=0, le=100, description="Gaussian: standard deviation in pixels, samples, hours")
    jpeg: int | None = Field(None, ge=1, le=100, description="quality")
    bits: int | None = Field(None, ge=1, le=16, description="depth")
    band_pass: tuple[Amount, Amount] | None = Field(None, description="[0.5 Hz, 40 Hz]: what is kept")
    z_score: Literal[True] | None = Field(None, description="mean 0 and sd 1 over each record's lead or plane")
    noise: Amount | None = Field(None, description="standard deviation of added noise, e.g. 0.1 sd")
    votes: int | None = Field(None, ge=1, le=1000, description="with noise: askings, of which the mean answer counts")
    denoiser: Word | None = Field(None, description="an ONNX file that takes and gives the model's input tensor")
    detector: Word | None = Field(None, description="an ONNX file that gives a score to the model's input tensor")
    at_least: float | None = Field(None, description="with detector: scores from here on are refused")
    confidence: Share | None = Field(None, description="answers less sure than this are refused")

    @property
    def kind(self) -> str:
        return next(iter(self._kinds()), "")

    def _kinds(self) -> list[str]:
        return [name for name, value in self if name not in ("votes", "at_least") and value is not None]

    @model_validator(mode="after")
    def _is_one(self) -> StageSection:
        if len(self._kinds()) != 1:
            names = ", ".join(name for name in type(self).model_fields if name not in ("votes", "at_least"))
            raise ValueError(f"a stage is exactly one of: {names}")
        if self.median is not None and self.median % 2 == 0:
            raise ValueError(f"the window of a median is odd, not {self.median}")
        if self.votes is not None and self.noise is None:
            raise ValueError("votes goes with noise")
        if (self.at_least is not None) != (self.detector is not None):
            raise ValueError("detector and at_least go together: scores from at_least on are refused")
        if self.noise is not None and not self.noise.value > 0:
            raise ValueError("noise must be above zero")
        return self


class ModelSection(Strict):
    inputs: dict[str, InputSection] = Field(default_factory=dict)
    output: OutputSection = OutputSection()
    votes: int = Field(
        1, ge=1, le=1000, description="for a model that answers differently when asked again: askings of every row"
    )
    constraints: ConstraintsSection = ConstraintsSection()
    stages: tuple[StageSection, ...] = Field((), description="what always stands before or after the graph")


class UseSection(Strict):
    at_most: int | None = Field(None, ge=1, description="groups, in data order")
    only_correct: bool = Field(
        True, description="attack only what the model gets right; false: every record, what is wrong already is broken"
    )


class DataSection(Strict):
    path: str | None = None
    use: UseSection = UseSection()


class ThreatSection(Strict):
    """What an attacker sees and may change."""

    access: Literal["scores", "labels"]
    norm: Literal["linf", "l2", "l1", "l0", "patch", "roughness", "roughness-l2", "injected"]
    eps: Amount
    within: dict[str, Amount] = Field(
        default_factory=dict, description="reach of each named channel, no other may move; then eps is a share of it"
    )
    inputs: tuple[str, ...] = ()
    channels: tuple[str, ...] = Field((), description="channels, leads or features that may be touched; all")
    only: tuple[str, ...] = Field((), description="masks of the data file (mask__NAME): nothing outside is touched")
    never: tuple[str, ...] = Field((), description="masks of the data file (mask__NAME): nothing inside is touched")
    smooth: Amount | None = Field(None, description="width of the Gaussian bumps a change is made of: 20 ms, 2")
    waves: int = Field(0, ge=0, description="a change is made of so many slow cosines; 0: of anything")
    window: Amount | None = Field(None, description="how long an injected signal is: 10 s, 3000; the whole record")
    high_pass: Amount | None = Field(None, description="below it the recorder takes an injected signal out: 0.05 Hz")
    notches: tuple[Amount, ...] = Field((), description="frequencies that the recorder takes out: [50 Hz, 60 Hz]")
    rationale: str = Field("", description="why this size")

    @model_validator(mode="after")
    def _allows_something(self) -> ThreatSection:
        for amount in (self.eps, *self.within.values()):
            if not 0 < amount.value < 1e12:
                raise ValueError(f"the size {amount} of a threat must be positive and below 1e12")
        if self.smooth is not None and self.waves:
            raise ValueError("give smooth or waves, not both")
        if self.within and self.norm in ("linf", "l2", "l1") and self.eps.unit:
            raise ValueError(f"with within, eps is a share of each channel's reach: write eps: 1, not {self.eps}")
        if self.norm != "injected" and (self.window is not None or self.high_pass is not None or self.notches):
            raise ValueError(f"window, high_pass and notches are of injected signals, not of {self.norm}")
        if (self.smooth is not None or self.waves) and self.norm == "injected":
            raise ValueError("an injected signal is made of waves by its rule: leave smooth and waves out")
        if (self.smooth is not None or self.waves) and self.norm in ("l0", "patch"):
            raise ValueError(f"smooth and waves change everywhere at once; they do not go with {self.norm}")
        if self.smooth is not None and self.norm.startswith("roughness"):
            raise ValueError(f"{self.norm} measures how smooth a change is: leave smooth out, or give waves")
        if self.smooth is not None and not self.smooth.value > 0:
            raise ValueError(f"smooth is {self.smooth}, a width above zero was expected")
        if self.norm == "l0" and (self.eps.unit not in ("", "features") or self.eps.value != int(self.eps.value)):
            raise ValueError(f"eps of an l0 threat is a number of features, not {self.eps}")
        return self


class ExplainerSection(Strict):
    """How an answer is explained: what checks of explanations attack, and `medaudit attribute` draws."""

    kind: Literal[EXPLAINERS] = "occlusion"  # type: ignore[valid-type]
    rows: int = Field(0, ge=0, le=1_000_000, description="model rows of one explanation, about; 0: the kind's own")
    fill: Literal["", "own", "rows", "missing"] = Field(
        "",
        description="what stands where something is taken out: its surroundings, reference rows, or nothing measured",
    )
    background: int = Field(0, ge=0, description="reference rows that fills are drawn from; 0: 100")
    groups: int = Field(0, ge=0, description="signals: groups of leads; 0: of two")
    windows: int = Field(0, ge=0, description="signals: windows of a record")
    grid: int = Field(0, ge=0, description="images: squares a side")
    hours: int = Field(0, ge=0, description="sequences: hours of a block")
    tensor: str = Field("", description="exported: a tensor of the graph with a number for every number of an input")
    alpha: str = Field("", description="exported, of RETAIN: the tensor of attention over hours")
    beta: str = Field("", description="and that over hidden units")
    embedding: str = Field("", description="and the stored weight [hidden, variables]")
    out: str = Field("", description="and the stored weight [classes, hidden]")
    copies: int = Field(
        0, ge=0, le=1000, description="noisy copies of a record that are explained in its place; 0: none"
    )
    merge: Literal["mean", "median"] = Field("mean", description="of the copies' maps")
    noise: float = Field(0.0, ge=0, le=10, description="of the copies, in each number's spread; 0: a tenth")

    @model_validator(mode="after")
    def _names_its_tensors(self) -> ExplainerSection:
        parts = (self.alpha, self.beta, self.embedding, self.out)
        if self.kind != "exported" and (self.tensor or any(parts)):
            raise ValueError(f"tensor, alpha, beta, embedding and out go with kind: exported, not {self.kind}")
        if self.kind == "exported" and bool(self.tensor) == all(parts):
            raise ValueError("an exported explanation names its tensor, or alpha, beta, embedding and out")
        if self.copies == 1 or (not self.copies and (self.noise or self.merge != "mean")):
            raise ValueError("merge and noise go with copies, and copies are several: write for example copies: 8")
        return self


class BudgetSection(Strict):
    queries: int = Field(1000, ge=1, le=10_000_000, description="model rows per sample")


class GoalSection(Strict):
    """What the attacker wants, and when a lane stops."""

    what: str = "any"
    name: str = ""
    amount: Amount = Quantity(0.0)
    stop: Literal["flip", "budget"] = "flip"


class RequireSection(Strict):
    """A metric and a bound."""

    metric: str
    at_least: Share | Amount | None = None
    at_most: Share | Amount | None = None


class CheckSection(Strict):
    id: Name
    rule: str
    threat: str | None = None
    goal: GoalSection = GoalSection()
    curve: tuple[Annotated[float, Field(gt=0, lt=1e12)], ...] = Field(
        (),
        max_length=40,
        description="other sizes, in the unit of the threat's eps: the attack is made at each of them",
    )
    behind: tuple[Name, ...] = Field((), description="stages by name: the attack is also made behind each of them")
    budget: BudgetSection | None = None
    with_: dict[str, Any] = Field(default_factory=dict, alias="with")
    require: RequireSection | None = None
    severity: Literal["low", "medium", "high", "critical"] = "medium"
    maps_to: tuple[str, ...] = ()


class DefaultsSection(Strict):
    confidence: Annotated[Share, Field(gt=0.5, lt=1)] = 0.95
    seed: int = Field(1, ge=0)
    budget: BudgetSection = BudgetSection()


def _day(text: str) -> str:
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        raise ValueError(f"{text!r} is not a day such as 2027-03-31")
    return dt.date.fromisoformat(text).isoformat()


class WaiverSection(Strict):
    """A check whose verdict does not count until `expires`; it is shown all the same."""

    check: str
    reason: Word
    owner: Word
    expires: Annotated[str, AfterValidator(_day), Field(json_schema_extra={"format": "date"})]

    def live(self, today: dt.date) -> bool:
        return dt.date.fromisoformat(self.expires) >= today


class Policy(Strict):
    """A whole policy file."""

    medaudit: Annotated[Literal[VERSION], BeforeValidator(_number)]  # type: ignore[valid-type]
    policy: About
    model: ModelSection = ModelSection()
    data: DataSection = DataSection()
    threats: dict[str, ThreatSection] = Field(default_factory=dict)
    stages: dict[Name, Annotated[tuple[StageSection, ...], Field(min_length=1)]] = Field(
        default_factory=dict, description="what could stand before or after the model, in order, by name"
    )
    explainers: dict[Name, ExplainerSection] = Field(
        default_factory=dict, description="explanations by name; without any, occlusion"
    )
    defaults: DefaultsSection = DefaultsSection()
    checks: tuple[CheckSection, ...] = Field(min_length=1)
    waivers: tuple[WaiverSection, ...] = ()
