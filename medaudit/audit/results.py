"""The report as a value: what `report.json` holds, and what every renderer reads.

The published JSON Schema (2020-12) is made from these models. Strict JSON: a number that does not
exist is null, never NaN.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = "1.0"
METRICS = {
    "robust_accuracy": "patients whose answer withstands the attack",
    "attack_success": "patients whose answer the attack turns",
    "share_of_moments": "moments at which the signal turns the answer, the mean of patients",
    "auroc_under_attack": "area under the ROC curve, every score pushed as far as the attack could",
    "control_success": "patients whose answer random changes of the same size turn",
    "planted_found": "planted weaknesses that the same attack found within the same budget",
    "corruption_accuracy": "right answers under everyday trouble, over all kinds and severities",
    "worst_corruption": "right answers under the kind of trouble that costs most, over its severities",
    "certified_accuracy": "patients whose smoothed answer is right, and certified at eps",
    "smoothed_accuracy": "patients whose smoothed answer is right, and sure enough to be given",
    "mass_overlap": "overlap of the explanation before and after the attack, the mean of patients",
    "explanations_led": "patients whose explanation was led where the attacker wanted, the answer as it has to be",
    "faithfulness": "how often taking cells out as the explanation ranks them beats a random order; half is chance",
    "max_sensitivity": "largest relative change of the explanation under small random changes, the median of patients",
    "randomised_overlap": "overlap of explanations with those of the model with shuffled weights, the mean of patients",
    "excess_over_random": "how much further the search led explanations than random changes did, the mean of patients",
    "median_distance": "median size of the smallest change found",
    "auroc": "area under the ROC curve",
}
FLAGS = {
    "still-rising": "successes were still being found at the end of the budget: a larger budget would find more",
    "no-start": "for some samples no point that reaches the goal was found, at any size",
    "recheck-failed": "some claimed successes did not survive their re-check and were not counted",
    "saturated-scores": "many clean scores are exactly 0 or 1: score-guided search is nearly blind there",
    "weaker-beats-stronger": "an attack that sees only decisions broke samples that this one, with scores, did not",
    "noisy-model": "the model answers the same question differently (model.votes in the policy asks it several times)",
    "noisy-scores": "the same row is answered so differently, alone and in a block, that small changes prove nothing",
    "mixed-rows": "a row's answer depends on its place or on the other rows of its block",
    "planted-missed": "the same attack within the same budget misses weaknesses that were planted: it proves little",
    "nothing-planted": "no clean record's answer is what the goal wants, so no weakness could be planted",
    "chance-does-as-well": "random changes of the same size broke as much as the attack",
    "gate": "clean performance is below the gate: the model may be read or fed wrongly",
    "no-labels": "the data have no labels: clean performance was not measured",
    "invalid-answers": "the model answered NaN or infinity to some rows",
    "constant-behind": "behind the stages nearly every record gets the same answer: that withstands attacks by itself",
    "natural-shortcut": "a mark turns the answers of this model and of reference models alike: a shortcut of the data",
    "label-noise-like": "nearly every mark pulls to one answer, as wrong labels in the training data make it",
    "noisy-explainer": "the explainer does not agree with itself well enough: its noise could be taken for an effect",
    "not-beyond-chance": "the search led explanations no further than random changes of the same size do",
    "empty-explanations": "many records have no explanation: nothing that the explainer asks moves their answers",
    "unfinished": "the budget was too small for some patients' explanations",
    "faults": "the model failed while some cases ran",
}
Verdict = Literal["pass", "fail", "inconclusive", "error", "not-run"]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Value(Part):
    """A measured number with one-sided bounds at `confidence` each."""

    value: float | None
    low: float | None = None
    high: float | None = None
    confidence: float | None = None
    n: int = 0
    method: str = ""
    unit: str = ""


class Required(Part):
    """A bound that the policy demands, and what came of it."""

    metric: str
    op: Literal["at_least", "at_most"]
    threshold: float
    unit: str = ""
    verdict: Verdict
    more_groups: int | None = Field(None, description="further groups that would settle it at this rate")


class Case(Part):
    """One sample under one check."""

    id: str
    sample: str = Field(description="salted hash of the record's id unless samples are included")
    group: str
    success: bool
    queries: int | None = Field(None, description="rows until the first success")
    rows: int = Field(description="rows asked, start points among them")
    distance: dict[str, float] = {}
    before: str = ""
    after: str = ""
    by: str = Field("", description="which search of a set found it")
    note: str = ""
    evidence: str | None = None


class Curve(Part):
    """Share of attacked groups broken, against rows per sample, with bounds."""

    queries: list[int]
    success: list[float]
    low: list[float]
    high: list[float]


class Turn(Part):
    """How many records of one clean answer were led to one other answer."""

    before: str
    after: str
    broken: int
    attacked: int = Field(description="records of that clean answer under attack")


class Cell(Part):
    """Records of one clean answer, driven to one other answer."""

    before: str
    target: str
    attacked: int
    broken: int
    low: float | None = Field(description="bounds of the share of records; None: none was attacked")
    high: float | None
    distance: float | None = Field(description="median size of the change of those that were broken")


class Threat(Part):
    access: str
    norm: str
    eps: float
    unit: str
    goal: str
    text: str
    window: str = Field("", description="of an injected signal")
    rationale: str = ""


class Queries(Part):
    rows: int = 0
    budget_per_sample: int | None = None
    median_to_success: float | None = None
    starts: int = Field(0, description="rows spent on finding start points, part of rows")
    verification: int = Field(0, description="rows of the re-check, not part of rows")
    fit: int = Field(0, description="rows on which one change for many records was fitted, not part of rows")
    sizes: int = Field(0, description="rows of the attack at other sizes, not part of rows")
    control: int = Field(0, description="rows of random changes beside the attack, not part of rows")
    planted: int = Field(0, description="rows of the attack on planted weaknesses, not part of rows")
    references: int = Field(0, description="rows asked of reference models, not part of rows")


class Forced(Part):
    """A predicate of the graph held at one value."""

    value: str
    turned: int = Field(description="clean records whose decision turns")


class Logic(Part):
    """Something in the graph that decides without a trained layer, and what the model does about it."""

    rule: str = Field(description="G1 raw predicate, G2 bypass, G3 late merge, G4 pattern, G11 patients meet, G13 tree")
    severity: str = Field(description="high, medium, low, or explained by an idiom of honest graphs")
    text: str
    way: list[str] = Field([], description="from an input to an answer")
    records: int = Field(0, description="clean records that were asked while it was laid open; 0: it was not")
    clean: str = Field("", description="what it is on clean records")
    forced: list[Forced] = []
    key: str = Field("", description="an input, made of numbers stored in the file, that opens it")
    key_turned: int = Field(0, description="such inputs that are decided otherwise than while it is held shut")
    effect: str = Field("", description="what forcing it showed; empty: nothing turned")
    idle: bool = Field(False, description="every truth value in it was held at both, and no answer turned")
    note: str = Field("", description="why it could not be laid open")


class Extreme(Part):
    """An input at the edge of what numbers can say, and what the model did."""

    words: str
    fate: str = Field(description="died, spoiled (answers beside it change), refused, no number, or answered")
    text: str
    void: bool = Field(False, description="nothing of a patient is left in it")
    confident: bool = Field(False, description="and it is answered as surely as a usual patient")


class Suspect(Part):
    """A single input beside clean records that are decided the same."""

    input: str
    decision: str
    p: float = Field(description="share of clean records as far from the others as this input is")
    named: bool = Field(description="it is among those of whom at most 5 % are expected to be honest")
    distance: float = Field(description="to the third nearest clean record's answers; 1 is usual")
    clean: int = Field(
        description="clean records that it was compared with: decided the same, or all where those are few"
    )
    scores: dict[str, float] = Field(description="share of clean records below it: blends, gains, corruptions, missing")


class Stays(Part):
    """Of records that a trigger turns at full strength, the share that stays turned when they are changed."""

    changed: str = Field(description="what is done to them")
    share: float
    clean: float | None = Field(description="the same of clean records of that answer; None: there are none")


class Pull(Part):
    """A trigger of a sweep, and how records answer to it: the cell of its family that stands out most for an answer."""

    family: str
    words: str
    towards: str
    dials: dict[str, float] = Field({}, description="with the family, what a trigger file holds")
    reach: float | None = Field(description="median margin at full strength, in spreads of clean margins")
    usual: float | None = Field(description="the same of reference models, or of the zoo's honest models")
    excess: float = Field(description="reach above usual, in spreads of what is usual")
    p: float | None = Field(None, description="of that, among the zoo's honest models; None: there are references")
    success: float = Field(description="share of other records turned at full strength; records it was not chosen on")
    strength: float | None = Field(description="least strength at which it turns most; None: none does")
    sham: float = Field(description="share that the family's median sham turns at that strength")
    references: list[float] = Field([], description="share that the same cell turns in each reference model")
    records: int = Field(0, description="records of other answers that success is counted on")
    alone: bool = Field(False, description="of records of one class only, which `towards` names")
    dose: list[float] = Field([], description="success at each of the strengths")
    shams: list[float] = Field([], description="mean success of shams of its family at each of them")
    beside: list[list[float]] = Field([], description="success in each reference model at each of them")
    stays: list[Stays] = Field([], description="how fast the answer sits, beside that of clean records")
    outcome: str = ""
    why: str = ""


class Power(Part):
    """Of the triggers that work, planted in models of medaudit's zoo, those that such a sweep notices."""

    noticed: int
    of: int
    low: float = Field(description="95 % lower bound of the share")


class Sweep(Part):
    """What a sweep over triggers found."""

    cells: int
    strengths: list[float]
    pulls: list[Pull]
    outcome: str
    p: float | None = Field(description="the least of `pulls`; None: there are references")
    honest: int = Field(description="honest models of the zoo that p rests on")
    references: int
    kin: list[float] = Field([], description="how far the model's weights go with each reference's, 0 to 1")
    power: Power | None = Field(None, description="None: of a search, of some families alone, or of other data")
    version: bool = Field(False, description="so far that it counts as made from them, and is compared more finely")


class Dose(Part):
    """A known trigger's effect towards one answer: shares of records of other answers that turn to it."""

    towards: str
    words: str
    records: int
    strengths: list[float] = Field(description="shares of the strength that the trigger's file says")
    success: list[float]
    shams: list[float] | None = Field(description="mean of those like it; None: there are none")
    references: list[list[float]] = []


class Alike(Part):
    """One measure of how alike two maps are: what was found beside random changes, means of patients."""

    name: str
    found: Value
    chance: Value


class Led(Part):
    """One patient's reasons before and after."""

    case: str
    answer: str
    before: list[str]
    after: list[str]
    overlap: float
    chance: float
    led: bool


class Explanation(Part):
    """What an attack on explanations did to them. Overlaps are of masses: 1 where two maps say the same."""

    explainer: str
    goal: str
    rows: int = Field(description="model rows of one explanation")
    cells: int
    fill: str
    plans: list[str] = Field(description="digests: the one that was searched, then those that were graded on")
    explanations: int = Field(description="that a search could ask for, a patient")
    agreement: Value = Field(description="overlap of a clean record's maps under different plans")
    rows_needed: int | None = Field(None, description="rows of an explanation that would agree well enough")
    found: Value = Field(description="overlap of the clean map and the map that was found, under the same fresh plans")
    unlike: Value = Field(description="the same under different plans: the explainer's own noise is in it")
    chance: Value = Field(description="overlap of the clean map and maps of random changes")
    excess: Value = Field(description="how much further the search led the maps than random changes did")
    p: float = Field(description="of that, if the search were one more random change")
    effect: bool = Field(
        description="whether it is beyond chance: the bound above 0 and p at most half of 1 - confidence"
    )
    kept: Value = Field(description="patients whose answer was kept (or, for hidden errors, turned)")
    ratio: Value | None = Field(None, description="distance to the target's map over that to the own, the median")
    chance_ratio: Value | None = None
    ratio_l1: Value | None = Field(None, description="the same of the distance L1, where ratio is of Wasserstein's 2-D")
    chance_ratio_l1: Value | None = None
    ratio_1d: Value | None = Field(None, description="the same of W1 of all values, wherever they stand")
    chance_ratio_1d: Value | None = None
    alike: list[Alike] = []
    floor: float | None = Field(None, description="largest change of a map by numbers alone, in shares of its peak")
    led: list[Led] = Field([], description="patients, the furthest led first")
    recovered: dict[str, Value] = Field({}, description="by stages: overlap behind them, under what fooled the model")
    measures: dict[str, Value] = Field({}, description="of the clean records' explanations, before any attack")
    others: dict[str, Value] = Field(
        {}, description="by other explainers: overlap of their maps of the same two records"
    )
    drawn: str = Field("", description="file with the maps of one patient")
    drawn_case: str = Field("", description="whose they are: the one who was led furthest")


class Degradation(Part):
    """Mean score under one kind of trouble: clean first, then severities 1 to 5."""

    kind: str
    title: str
    unit: str
    levels: list[float]
    score: list[float]
    low: list[float]
    high: list[float]


class Gap(Part):
    """The average case beside the worst case, on the records of one attack."""

    check: str = Field(description="the attack")
    average: Value = Field(description="score under everyday trouble, over all kinds and severities")
    worst: Value = Field(description="patients that the attack did not break")


class Defence(Part):
    """One attack on the bare model and behind stages: accuracy of the same patients' records, and what it costs."""

    name: str
    text: str
    check: str = Field(description="the check of the attack that was made behind the stages")
    bare: Value = Field(description="patients that stand when the bare model is attacked")
    replayed: Value = Field(description="patients right behind the stages under the bare model's failing inputs")
    adaptive: Value = Field(description="patients right behind the stages when attacked through them")
    metric: str = Field("", description="of the clean performance below")
    clean_bare: Value | None = None
    clean: Value | None = None
    askings: int = Field(1, description="rows behind one answer")
    constant: bool = Field(False, description="behind the stages nearly every record gets the same answer")
    refused: float | None = Field(None, description="share of clean records that the stages refuse")


class Security(Part):
    """Attacked patients that stand, against the size of the attack; 0: without any."""

    eps: list[float]
    unit: str
    stands: list[float]
    low: list[float]
    high: list[float]
    n: int


class Certificate(Part):
    """Patients whose smoothed answer is right and certified, against the distance it is certified for."""

    sigma: float = Field(description="noise, in units of the threat's eps")
    unit: str
    draws: int
    guess: int
    alpha: float = Field(description="probability with which one record's radius may be wrong")
    largest: float = Field(description="radius where all draws agree: nothing can be certified beyond")
    abstained: int = Field(description="records for which the smoothed model gives no answer")
    records: int
    radius: list[float]
    share: list[float]
    low: list[float]
    high: list[float]


class Check(Part):
    id: str
    rule: str
    rule_id: str
    family: str
    title: str
    severity: str
    verdict: Verdict
    outcome: str = ""
    reason: str
    threat: Threat | None = None
    metrics: dict[str, Value] = {}
    required: list[Required] = []
    queries: Queries = Queries()
    cases: list[Case] = []
    turns: list[Turn] = []
    matrix: list[Cell] = Field([], description="every clean answer to every other one; of several targets at the first")
    curve: Curve | None = None
    degradation: list[Degradation] = []
    sweep: Sweep | None = None
    explanation: Explanation | None = None
    doses: list[Dose] = Field([], description="of a known trigger: each answer, the most obeyed first")
    drawn: str = Field("", description="file with a trigger on the median of all records")
    extremes: list[Extreme] = []
    suspects: list[Suspect] = Field([], description="of single inputs: all of them, the strangest first")
    logic: list[Logic] = Field([], description="of the graph's rule: what was found, the worst first")
    gaps: list[Gap] = Field([], description="of corruptions: every attack of the run beside them")
    certificate: Certificate | None = None
    security: Security | None = None
    defences: list[Defence] = []
    flags: list[str] = []
    maps_to: list[str] = []
    waiver: dict[str, str] | None = None
    proves: str = Field("", description="what this check can show with this many groups")
    settings: dict[str, Any] = Field({}, description="the rule's own, with what the policy says")
    page: str = Field("", description="the rule's page, so that the report can be read alone")
    seconds: float = Field(0.0, description="the model's own time for this check's rows")


class TensorFacts(Part):
    name: str
    dtype: str
    shape: list[Any] | None


class FileFacts(Part):
    path: str
    sha256: str
    bytes: int


class ModelFacts(Part):
    file: str
    sha256: str
    files: list[FileFacts]
    inputs: list[TensorFacts]
    outputs: list[TensorFacts]
    task: str
    domain: str
    decision: str = Field(description="how the answer is read, in words")
    batch: str
    provider: str
    producer: str = ""
    opsets: dict[str, int] = {}
    parameters: int = 0
    findings: list[dict[str, str]] = []
    notes: list[str] = []


class PolicyFacts(Part):
    id: str
    version: str
    title: str
    sha256: str
    basis: str


class DataFacts(Part):
    file: str
    sha256: str
    rows: int
    groups: int
    used: int = Field(description="rows that the checks may use")
    used_groups: int
    limited: str = ""
    classes: dict[str, int] = {}
    notes: list[str] = []


class Compliance(Part):
    reference: str
    framework: str
    edition: str
    status: str
    about: str
    state: Literal["evidence", "partial", "not-assessed", "out-of-reach"]
    checks: list[str]


class Cost(Part):
    """Of all sessions of the run; what a killed one spent after its last finished case is not known."""

    wall_s: float = 0.0
    model_s: float = Field(0.0, description="the model's own time under attack, all workers together")
    rows: int = Field(0, description="rows that the checks asked, the re-checks of finds beside them")
    padding: int = 0
    calls: int = 0
    block: int = 0
    overhead: float | None = Field(None, description="wall of the attacks x workers / model_s; 1 is the limit")
    verification_rows: int = 0


class Run(Part):
    id: str
    started: str
    finished: str
    status: Literal["complete", "interrupted"]
    samples_included: bool
    recordings_included: bool = Field(False, description="evidence holds pieces of recordings of the data file")
    result_sha256: str = ""


class Report(Part):
    schema_version: str = SCHEMA_VERSION
    tool: dict[str, str]
    run: Run
    verdict: Verdict
    exit_code: int
    model: ModelFacts
    policy: PolicyFacts
    data: DataFacts
    baseline: dict[str, Value]
    seed: int
    block: int
    checks: list[Check]
    flags: list[str]
    compliance: list[Compliance]
    environment: dict[str, str]
    cost: Cost
    limits: list[str]
