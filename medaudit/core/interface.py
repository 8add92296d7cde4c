"""What a model takes and gives, resolved: the contract between policy, pipeline and oracles.

Plain frozen data: it crosses process boundaries and is written into the run's policy.yaml.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from medaudit.core.region import Part

DOMAINS = ("signal", "image", "table", "sequence")
TASKS = (
    "multiclass",
    "binary",
    "multilabel",
    "label",
    "regression",
    "segmentation",
    "reconstruction",
)
MEANINGS = ("logits", "probabilities", "scores", "labels", "values")

# Which side of a part's [planes, rows, columns] an axis of a tensor runs along.
PLANES = ("channel",)
ROWS = ("lead", "variable", "row")
COLUMNS = ("time", "hour", "column", "feature")
AXES = ("batch", "one", *PLANES, *ROWS, *COLUMNS)
CHANNEL_AXIS = {"signal": "lead", "image": "channel", "table": "feature", "sequence": "variable"}


@dataclass(frozen=True)
class Channel:
    """One channel, lead, variable or feature, in the units of the data file."""

    name: str
    unit: str = ""  # unit symbol; "" when unknown or dimensionless
    kind: str = "number"  # number | integer | binary | category
    fixed: bool = False  # the attacker may not change it
    lo: float | None = None
    hi: float | None = None
    sd: float = 1.0  # standard deviation in the reference part
    step: float = 0.0  # precision of the instrument; 0: continuous
    categories: tuple[str, ...] = ()  # kind category: text of each index


@dataclass(frozen=True)
class Input:
    """One tensor of the graph and how stored values become it: (stored - minus) / over."""

    name: str
    dtype: str  # numpy name of the graph's type; "string" for text
    domain: str
    axes: tuple[str, ...]  # of the graph's tensor, batch first
    shape: tuple[int, ...]  # of one row in those axes, without batch
    stored_axes: tuple[str, ...]  # of the array in the data file, batch first
    minus: tuple[float, ...] = (0.0,)  # one, or one per channel
    over: tuple[float, ...] = (1.0,)
    unit_size: float = 1.0  # how many stored units make one `Channel.unit`
    rate: float = 0.0  # samples per second; 0: unknown
    channels: tuple[Channel, ...] = ()

    @property
    def part(self) -> Part:
        """Geometry of this tensor inside a point."""
        sizes = {"planes": 1, "rows": 1, "columns": 1}
        for axis, length in zip(self.axes[1:], self.shape, strict=True):
            side = side_of(axis)
            if side:
                sizes[side] = length
        return Part(self.domain, sizes["planes"], sizes["rows"], sizes["columns"])


def side_of(axis: str) -> str:
    """Which side of a part an axis runs along; "" for axes of length one and batch."""
    if axis in PLANES:
        return "planes"
    if axis in ROWS:
        return "rows"
    return "columns" if axis in COLUMNS else ""


@dataclass(frozen=True)
class Output:
    """How the answer is read from the graph's outputs, and what a decision is."""

    task: str
    tensors: tuple[str, ...]  # output names in use; several for one-column-per-class exports
    meaning: str = "logits"
    classes: tuple[str, ...] = ()
    labels: tuple[str | int, ...] = ()  # what the graph itself calls the classes (keys, labels)
    thresholds: tuple[float, ...] = ()  # binary: one; multi-label: one per finding
    disease: tuple[str, ...] = ()  # classes or findings that are disease
    units: tuple[str, ...] = ()  # regression: one per value
    class_axis: int = 1  # segmentation: axis of the classes in the tensor; 0: a sigmoid mask
    positions: int = 0  # segmentation: positions per row
    votes: int = 1  # askings of one row, of which an answer is made

    @property
    def shares(self) -> bool:
        """Whether labels are voted on: an answer is then each class's share of the votes, not one label."""
        return self.task == "label" and self.votes > 1

    @property
    def width(self) -> int:
        """Numbers in one decoded answer."""
        if self.task == "segmentation":
            return self.positions * (len(self.classes) if self.class_axis else 1)
        if self.task == "multiclass":
            return len(self.classes)
        if self.task == "multilabel":
            return max(len(self.classes), len(self.thresholds))
        if self.task == "regression":
            return max(1, len(self.units))
        if self.shares:
            return len(self.classes)
        return 1


@dataclass(frozen=True)
class Interface:
    """Everything between stored rows and decisions."""

    inputs: tuple[Input, ...]
    output: Output
    notes: tuple[str, ...] = field(default=())  # what was found, and why, in words

    @property
    def parts(self) -> tuple[Part, ...]:
        return tuple(i.part for i in self.inputs)

    @property
    def size(self) -> int:
        """Numbers in one point."""
        return sum(p.size for p in self.parts)
