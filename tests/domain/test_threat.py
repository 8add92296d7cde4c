"""Clinical units become boxes: the clean point inside, eps never exceeded, fixed means fixed."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from medaudit.core import region as regions
from medaudit.core.errors import MedauditError
from medaudit.core.interface import Channel, Input, Interface, Output
from medaudit.domain.quantity import Quantity, parse
from medaudit.domain.threat import Threat, boxes, describe, movable, region, spread, unit_scale

Array = NDArray[Any]
OUTPUT = Output("regression", ())


def table(*channels: Channel, name: str = "x") -> Interface:
    """One table."""
    axes = ("batch", "feature")
    item = Input(name, "float32", "table", axes, (len(channels),), axes, channels=channels)
    return Interface((item,), OUTPUT)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Interface, Threat, Array]:
    """A table of four channels, a threat of any norm, and two rows, some of them out of range."""
    channels = []
    for i in range(4):
        lo = draw(st.floats(-1e3, 1e3))
        width = draw(st.floats(0.01, 1e3))
        channels.append(
            Channel(
                f"c{i}",
                fixed=draw(st.booleans()) and i > 0,
                lo=lo,
                hi=lo + width,
                sd=draw(st.floats(1e-3, 100)),
                step=draw(st.sampled_from([0.0, 0.0, 0.1, 0.25, 1.0])),
            )
        )
    norm = draw(st.sampled_from(["linf", "l2", "l0"]))
    eps = (
        Quantity(float(draw(st.integers(1, 3))))
        if norm == "l0"
        else Quantity(draw(st.floats(1e-3, 5)), draw(st.sampled_from(["sd", "range"])))
    )
    share = np.array(draw(st.lists(st.floats(-0.2, 1.2), min_size=8, max_size=8))).reshape(2, 4)
    lows, highs = (np.array([getattr(c, w) for c in channels]) for w in ("lo", "hi"))
    x = (lows + share * (highs - lows)).astype(np.float32)
    steps = np.array([c.step for c in channels])
    snapped = np.rint(x / np.where(steps > 0, steps, 1)) * steps
    x = np.where(steps > 0, snapped, x).astype(np.float32)
    if draw(st.booleans()):
        x[0, 2] = np.nan
    within = ()
    if norm == "l0" and draw(st.booleans()):
        within = (("c0", parse("0.5 sd")), ("c1", parse("0.1 range")))
    return table(*channels), Threat("scores", norm, eps, within), x


@given(case=cases())
def test_boxes(case: tuple[Interface, Threat, Array]) -> None:
    """The clean point is inside; eps and the legal range are never exceeded in float64."""
    face, threat, x = case
    area = region(face, threat)
    lo, hi = boxes(face, threat, area, x, None)
    assert lo.dtype == hi.dtype == np.float32
    assert np.isfinite(lo).all()
    assert np.isfinite(hi).all()
    known = ~np.isnan(x)
    clean = np.nan_to_num(x)
    assert np.all(lo <= clean)
    assert np.all(clean <= hi)
    assert np.array_equal(lo[~known], clean[~known])
    assert np.array_equal(hi[~known], clean[~known])
    shut = ~movable(face, threat)
    assert np.array_equal(lo[:, shut], clean[:, shut])
    assert np.array_equal(hi[:, shut], clean[:, shut])
    channels = face.inputs[0].channels
    step = np.array([c.step for c in channels])
    legal_lo, legal_hi = (np.array([getattr(c, w) for c in channels]) for w in ("lo", "hi"))
    wide, low, high = (a.astype(np.float64) for a in (clean, lo, hi))
    # A bound on the grid may miss by a millionth of a step: 0.3 is three steps of 0.1.
    slack = 1e-6 * step
    assert np.all(low >= np.minimum(legal_lo, wide) - slack - grain(step, clean))
    assert np.all(high <= np.maximum(legal_hi, wide) + slack + grain(step, clean))
    if threat.norm == "linf":
        reach = area.eps * area.scale.astype(np.float64)
        assert np.all(wide - low <= reach + slack + grain(step, clean))
        assert np.all(high - wide <= reach + slack + grain(step, clean))
    for name, limit in threat.within:
        i = [c.name for c in channels].index(name)
        reach = limit.value * (channels[i].sd if limit.unit == "sd" else legal_hi[i] - legal_lo[i])
        bound = reach * (1 + 1e-9) + slack[i] + grain(step, clean)[:, i]
        assert np.all(wide[:, i] - low[:, i] <= bound)
        assert np.all(high[:, i] - wide[:, i] <= bound)


def grain(step: Array, x: Array) -> Array:
    """On a grid the clean float32 value itself is only near its multiple of the step."""
    return np.where(step > 0, np.spacing(np.abs(x) + 1).astype(np.float64), 0.0)


@given(case=cases(), seed=st.integers(0, 1000))
def test_points_of_a_box_are_legal(case: tuple[Interface, Threat, Array], seed: int) -> None:
    """Projection into the box is idempotent, and the ends of the box lie on the grid."""
    face, threat, x = case
    area = region(face, threat)
    lo, hi = boxes(face, threat, area, x, None)
    wild = np.random.default_rng(seed).normal(0, 1e3, x.shape).astype(np.float32)
    once = np.clip(wild, lo, hi)
    assert np.array_equal(np.clip(once, lo, hi), once)
    step = np.array([c.step for c in face.inputs[0].channels])
    known = ~np.isnan(x) & (step > 0)
    clean = np.nan_to_num(x)
    for bound in (lo, hi):
        cells = bound.astype(np.float64) / np.where(step > 0, step, 1)
        moved = known & (bound != clean)
        off = np.abs(cells - np.rint(cells))[moved]
        tolerance = (np.spacing(np.abs(bound)) / np.where(step > 0, step, 1))[moved] + 1e-5
        assert np.all(off <= tolerance)


@given(case=cases())
def test_ends_of_an_linf_box_count_as_within_eps(case: tuple[Interface, Threat, Array]) -> None:
    """The corner of the box has, by the searches' own measure, at most the size eps."""
    face, threat, x = case
    if threat.norm != "linf":
        threat = dataclasses.replace(threat, norm="linf", eps=parse("0.3 sd"), within=())
    area = region(face, threat)
    lo, hi = boxes(face, threat, area, x, None)
    clean = np.nan_to_num(x)
    scale = area.scale.astype(np.float64)
    for corner in (lo, hi):
        sizes = np.abs(corner.astype(np.float64) - clean) / scale
        step = np.array([c.step for c in face.inputs[0].channels])
        assert np.all(sizes <= area.eps * (1 + 1e-6) + (1e-6 * step + grain(step, clean)) / scale)


def test_categories() -> None:
    """L0 may pick any category; other norms leave categories alone."""
    face = table(
        Channel("ward", kind="category", categories=("a", "b", "c")),
        Channel("single", kind="category", categories=("a",)),
        Channel("lab", lo=0, hi=10, sd=2),
    )
    x = np.array([[1, 0, 5]], dtype=np.float32)
    threat = Threat("scores", "l0", parse("1 features"))
    area = region(face, threat)
    assert area.choices is not None
    assert area.choices.tolist() == [3, 1, 0]
    lo, hi = boxes(face, threat, area, x, None)
    assert (lo.tolist(), hi.tolist()) == ([[0, 0, 0]], [[2, 0, 10]])
    for norm in ("linf", "l2"):
        soft = Threat("scores", norm, parse("1 sd"))
        lo, hi = boxes(face, soft, region(face, soft), x, None)
        assert lo[0, :2].tolist() == hi[0, :2].tolist() == [1, 0]
        assert lo[0, 2] < 5 < hi[0, 2]


def test_padding_and_inputs() -> None:
    """Padding is shut; so are inputs that the threat does not name."""
    one = Channel("a", lo=-9.0, hi=9.0)
    axes = ("batch", "variable", "hour")
    series = Input("series", "float32", "sequence", axes, (1, 3), axes, channels=(one,))
    static = table(one, name="static").inputs[0]
    face = Interface((series, static), OUTPUT)
    threat = Threat("scores", "linf", parse("1 sd"), inputs=("series",))
    x = np.zeros((1, 4), dtype=np.float32)
    padding = np.array([[False, False, True, False]])
    lo, hi = boxes(face, threat, region(face, threat), x, padding)
    assert lo.tolist() == [[-1, -1, 0, 0]]
    assert hi.tolist() == [[1, 1, 0, 0]]


def test_a_unit_is_needed_only_of_what_moves() -> None:
    """A chart holds many units: 10 mmHg on its pressures asks nothing of its heart rate."""
    face = table(Channel("systolic", unit="mmHg", lo=0.0, hi=300.0), Channel("rate", unit="bpm", lo=0.0, hi=300.0))
    threat = Threat("scores", "linf", parse("10 mmHg"), channels=("systolic",))
    area = region(face, threat)
    lo, hi = boxes(face, threat, area, np.array([[120, 80]], dtype=np.float32), None)
    assert lo.tolist() == [[110, 80]]
    assert hi.tolist() == [[130, 80]]
    with pytest.raises(MedauditError, match="'rate' of input 'x' is in 'bpm'"):
        region(face, dataclasses.replace(threat, channels=()))


def test_units_become_scales() -> None:
    """Physical units by the channel's own unit, with the size of a stored unit."""
    face = table(Channel("II", unit="mV", lo=-5.0, hi=5.0, sd=0.2))
    assert unit_scale(face, parse("20 uV")).tolist() == pytest.approx([1e-3])
    assert unit_scale(face, parse("0.1 sd")).tolist() == pytest.approx([0.2])
    assert unit_scale(face, parse("1 range")).tolist() == pytest.approx([10])
    assert unit_scale(face, Quantity(3.0)).tolist() == [1]
    scored = Interface((dataclasses.replace(face.inputs[0], unit_size=1 / 0.227),), OUTPUT)
    area = region(scored, Threat("scores", "linf", parse("0.0227 mV")))
    assert area.eps * area.scale == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("channel", "eps", "words"),
    [
        (Channel("z"), "0.05 mV", "stored without a unit"),
        (Channel("z", unit="furlong"), "0.05 mV", "is stored in 'furlong'"),
        (Channel("z", unit="Hz"), "0.05 mV", "is in 'Hz'"),
        (Channel("z", unit="mV"), "0.1 range", "is a share of the range"),
        (Channel("z", lo=3.0, hi=3.0), "0.1 range", "is a share of the range"),
    ],
)
def test_unknown_scales_are_errors(channel: Channel, eps: str, words: str) -> None:
    """Never a guess: one sentence that names the channel, and a remedy."""
    with pytest.raises(MedauditError, match=words) as caught:
        region(table(channel), Threat("scores", "linf", parse(eps)))
    assert "'z' of input 'x'" in caught.value.message
    assert caught.value.hint
    assert "\n" not in str(caught.value)


def test_spread_over_parts() -> None:
    """One value per channel along the right side of every domain."""
    image = Input(
        "i", "float32", "image", ("batch", "row", "column", "channel"), (2, 2, 3),
        ("batch", "row", "column", "channel"),
    )  # fmt: skip
    assert spread(image, np.array([1, 2, 3])).tolist() == [1] * 4 + [2] * 4 + [3] * 4
    axes = ("batch", "time", "lead")
    signal = Input("s", "float32", "signal", axes, (3, 2), axes)
    assert spread(signal, np.array([1, 2])).tolist() == [1, 1, 1, 2, 2, 2]
    assert spread(signal, np.array([7])).tolist() == [7] * 6
    assert spread(table(Channel("a"), Channel("b")).inputs[0], np.array([1, 2])).tolist() == [1, 2]


def test_describe() -> None:
    """One line in words."""
    assert describe(Threat("scores", "l0", parse("2"))) == "scores only; changed at most 2 features"
    shown = describe(Threat("labels", "linf", parse("0.3 sd")))
    assert shown == "labels only; largest change at most 0.3 sd of each channel"


def test_a_region_is_pure_numbers() -> None:
    """float32 arrays, None where there is nothing to say."""
    area = region(table(Channel("a", sd=2.0)), Threat("scores", "linf", parse("0.3 sd")))
    assert area.scale.dtype == np.float32
    assert area.step is None
    assert area.choices is None
    assert regions.Part("table", 1, 1, 1) == area.parts[0]


def test_a_bare_number_needs_one_unit() -> None:
    """0.1 of what? Refused where mmHg and mmol/L would move; fixed columns and categories do not count."""
    pressure, salt = Channel("p", unit="mmHg"), Channel("na", unit="mmol/L")
    threat = Threat("scores", "linf", Quantity(0.1))
    with pytest.raises(MedauditError, match=r"'mmHg', 'mmol/L'"):
        region(table(pressure, salt), threat)
    with pytest.raises(MedauditError, match="no unit"):
        region(table(pressure, Channel("score")), threat)
    named = dataclasses.replace(threat, within=(("p", Quantity(1.0, "mmHg")),))
    assert movable(table(pressure, salt), named).tolist() == [True, False]
    assert region(table(pressure, salt), named).eps == pytest.approx(0.1)
    for other in (Channel("p2", unit="mmHg"), dataclasses.replace(salt, fixed=True)):
        assert region(table(pressure, other), threat).eps == pytest.approx(0.1)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_each_channel_its_own_reach(norm: str) -> None:
    """Half of 5 bpm, of 10 mmHg and of 2 sd; what is not named stays."""
    rate, pressure = Channel("hr", unit="bpm", lo=0.0, hi=300.0), Channel("sbp", unit="kPa")
    face = table(rate, pressure, Channel("lactate", sd=1.5), Channel("weight", unit="kg"))
    reach = (("hr", parse("5 bpm")), ("sbp", parse("10 mmHg")), ("lactate", parse("2 sd")))
    threat = Threat("scores", norm, Quantity(0.5), reach)
    area = region(face, threat)
    assert area.eps == 0.5
    assert area.scale[:3] == pytest.approx([5, 10 / 7.50062, 3])
    assert movable(face, threat).tolist() == [True, True, True, False]
    x = np.array([[80, 16, 2, 70]], dtype=np.float32)
    lo, hi = boxes(face, threat, area, x, None)
    if norm == "linf":
        assert (hi - x)[0] == pytest.approx([2.5, 5 / 7.50062, 1.5, 0], abs=1e-5)
        assert (x - lo)[0] == pytest.approx([2.5, 5 / 7.50062, 1.5, 0], abs=1e-5)
    assert "0.5 of hr 5 bpm, sbp 10 mmHg, lactate 2 sd" in describe(threat)


def test_a_group_that_cannot_turn_as_a_whole_is_shut() -> None:
    """One-hot columns: one frozen member, or one closed by a mask, freezes the others of that row."""
    names = ("home", "ward", "icu")
    face = table(*(Channel(n, kind="binary", lo=0.0, hi=1.0, step=1.0) for n in names), Channel("age", lo=0.0, hi=9.0))
    x = np.array([[1, 0, 0, 5], [0, 1, 0, 5]], dtype=np.float32)
    for threat, open_rows in (
        (Threat("scores", "l0", Quantity(1.0), one_hot=(names,)), [True, False]),
        (Threat("scores", "l0", Quantity(1.0), one_hot=(names,), channels=("ward", "icu", "age")), [False, False]),
        (Threat("scores", "linf", Quantity(0.5, "range"), one_hot=(names,)), [False, False]),
    ):
        shut = np.zeros(x.shape, dtype=bool)
        shut[1, 2] = True
        lo, hi = boxes(face, threat, region(face, threat), x, shut)
        for row, free in enumerate(open_rows):
            assert (hi[row, :3] > lo[row, :3]).tolist() == [free] * 3
        assert (hi[:, 3] > lo[:, 3]).all()


def test_a_group_counts_as_one_change() -> None:
    """So does a pixel with all its planes."""
    names = ("home", "ward")
    face = table(*(Channel(n, kind="binary", lo=0.0, hi=1.0, step=1.0) for n in names), Channel("age", lo=0.0, hi=9.0))
    area = region(face, Threat("scores", "l0", Quantity(1.0), one_hot=(names,)))
    changed = np.array([[True, True, False], [True, True, True], [False, False, True], [False] * 3])
    assert regions.changes(area, changed).tolist() == [1, 2, 1, 0]
    axes = ("batch", "channel", "row", "column")
    colour = Input("x", "float32", "image", axes, (3, 2, 2), axes, channels=(Channel("", lo=0.0, hi=1.0),))
    pixels = region(Interface((colour,), OUTPUT), Threat("scores", "l0", Quantity(1.0)))
    some = np.zeros((1, 12), dtype=bool)
    some[0, [1, 5, 9, 2]] = True
    assert regions.changes(pixels, some).tolist() == [2]
