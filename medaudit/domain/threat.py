"""Threats in clinical units -> regions and boxes in the numbers of a point."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from medaudit.core.errors import MedauditError
from medaudit.core.injection import muted_waves
from medaudit.core.interface import Channel, Input, Interface
from medaudit.core.region import BALLS, INJECTED, L0, L1, L2, LINF, PATCH, ROUGH, ROUGH_L2, Injection, Region
from medaudit.core.subspace import Side, Subspace, bumps, even, slow, smooth
from medaudit.domain.quantity import COUNT, RELATIVE, Quantity, convert, known
from medaudit.domain.relations import rules_of

NORMS = {
    ROUGH: "roughness (100 x sd of first differences)", ROUGH_L2: "roughness and a tenth of the root of summed squares",
    L0: "changed", L1: "sum of changes", L2: "root of summed squares", LINF: "largest change", PATCH: "one window of",
    INJECTED: "one signal sent at any moment, root of its mean square",
}  # fmt: skip
UNKNOWN = 10.0  # standard deviations that a number without a legal range may move, where eps counts changes


@dataclass(frozen=True)
class Threat:
    """What the attacker sees and how far they may go."""

    access: str  # scores | labels
    norm: str  # linf | l2 | l1 | l0 | patch | roughness | roughness-l2 | injected
    eps: Quantity
    within: tuple[tuple[str, Quantity], ...] = ()  # reach of each named channel, no other moves
    inputs: tuple[str, ...] = ()  # inputs that may be touched; empty: all
    channels: tuple[str, ...] = ()  # channels that may be touched; empty: all
    only: tuple[str, ...] = ()  # masks of the data file: nothing outside them may be touched
    never: tuple[str, ...] = ()  # masks of the data file: nothing inside them may be touched
    smooth: Quantity | None = None  # width of the Gaussian bumps that a change is made of
    waves: int = 0  # a change is made of so many slow cosines; 0: of anything
    window: Quantity | None = None  # length of an injected signal; None: of the whole record
    high_pass: Quantity | None = None  # the recorder's, before which an injected signal comes
    notches: tuple[Quantity, ...] = ()  # the recorder's
    relations: tuple[str, ...] = ()  # what must hold between channels
    one_hot: tuple[tuple[str, ...], ...] = ()  # columns of which exactly one is 1


def spread(item: Input, values: np.ndarray) -> np.ndarray:
    """One value per channel -> one per number of the part, [size]."""
    part = item.part
    if values.size == 1:
        return np.full(part.size, values.ravel()[0])
    shape = {"image": (-1, 1, 1), "table": (1, 1, -1)}.get(item.domain, (1, -1, 1))
    return np.broadcast_to(values.reshape(shape), (part.planes, part.rows, part.columns)).reshape(-1)


def per_number(interface: Interface, value: Callable[[Channel, Input], float], dtype: type = float) -> np.ndarray:
    """value(channel, input) for every number of a point, [D]."""
    parts = []
    for item in interface.inputs:
        parts.append(spread(item, np.array([value(c, item) for c in item.channels], dtype=dtype)))
    return np.concatenate(parts)


def unit_scale(interface: Interface, eps: Quantity, threat: Threat | None = None) -> np.ndarray:
    """How much of each number is one unit of eps, [D]; 1 for what the threat may not change.

    Raises MedauditError for unknown scales.
    """

    reach = {} if threat is None else dict(threat.within)

    def one(channel: Channel, item: Input) -> float:
        if channel.kind == "category" or (threat is not None and not _moves(threat, channel, item)):
            return 1.0
        if channel.name in reach:
            return _stored(reach[channel.name], channel, item, interface)
        if eps.unit == "sd":
            return channel.sd if channel.sd > 0 else 1.0
        if eps.unit == "range":
            lo, hi = channel.lo, channel.hi
            if lo is None or hi is None or not hi > lo:
                raise MedauditError(
                    f"eps is a share of the range, but {channel.name!r} of input {item.name!r} has none",
                    "give range: [low, high] for it in the policy, or lo and hi in the data file",
                )
            return hi - lo
        if not eps.unit:
            return 1.0
        if not known(channel.unit):
            shown = f"in {channel.unit!r}" if channel.unit else "without a unit"
            raise MedauditError(
                f"eps is {eps}, but {channel.name!r} of input {item.name!r} is stored {shown}",
                "declare unit and scale for this input in the policy, or write eps in 'sd' or 'range'",
            )
        try:
            return convert(Quantity(1.0, eps.unit), channel.unit) * item.unit_size
        except ValueError as error:
            raise MedauditError(
                f"eps is {eps}, but {channel.name!r} of input {item.name!r} is in {channel.unit!r} ({error})",
                "write eps in that unit, or in 'sd' or 'range'",
            ) from error

    return per_number(interface, one)


def region(interface: Interface, threat: Threat) -> Region:
    """The pure-number region of a threat."""
    if threat.norm not in (L0, PATCH) and not threat.eps.unit and not threat.within:
        _one_unit(interface, threat)
    rules = rules_of(interface, threat.relations, threat.one_hot)
    if threat.norm == PATCH:
        scale = _cells_per_unit(interface, threat.eps)
    else:
        scale = np.ones(interface.size) if threat.norm == L0 else unit_scale(interface, threat.eps, threat)
    step = per_number(interface, lambda c, _: c.step if c.kind != "category" else 1.0)
    choices = per_number(interface, lambda c, _: len(c.categories) if c.kind == "category" else 0)
    return Region(
        norm=threat.norm,
        eps=float(threat.eps.value),
        scale=np.maximum(scale, 1e-30).astype(np.float32),
        step=step.astype(np.float32) if step.any() else None,
        parts=interface.parts,
        choices=choices.astype(np.int64) if choices.any() else None,
        alike=_alike(interface, rules.one_hot) if threat.norm == L0 else None,
        rules=rules if rules.relations or rules.one_hot else None,
        injected=_injection(interface, threat) if threat.norm == INJECTED else None,
    )


def _injection(interface: Interface, threat: Threat) -> Injection:
    """The window of an injected signal and what the recorder takes out of it.

    Muted in the search: the bins of the Fourier transform of the record, filled up to a power of two, that lie
    below the high pass and nearest to the notches (Chen et al. 2020, "ECGadv", section 4.3). The filters: a causal
    Butterworth high-pass of third order, and notches of quality 30. Raises MedauditError where it is `unsuited`.
    """
    from scipy.signal import butter, iirnotch, tf2sos

    able = _sent_into(interface, threat)
    if not able:
        return Injection(0, 1, 1, 1.0, None, None)
    why = unsuited(interface, threat)
    if why:
        raise MedauditError(why)
    item = interface.inputs[able[0]]
    n, rate = item.part.columns, item.rate
    wide = n if threat.window is None else min(n, int(round(_numbers(threat.window, item, "window"))))
    if wide < 2:
        raise MedauditError(f"a window of {threat.window} holds no two samples", "give a longer one")
    length = 1 << (n - 1).bit_length()
    cut = 0.0 if threat.high_pass is None else _hertz(threat.high_pass)
    centres = [_hertz(notch) for notch in threat.notches]
    bins = [*range(1, int(np.ceil(cut * length / rate)) + 1), *(round(f * length / rate) for f in centres)]
    sections = [butter(3, cut, "highpass", fs=rate, output="sos")] if cut else []
    sections += [tf2sos(*iirnotch(f, 30, fs=rate)) for f in centres]
    return Injection(
        part=able[0],
        columns=wide,
        numbers=wide * item.part.rows,
        rate=rate,
        muted=muted_waves(wide, length, tuple(sorted(set(bins)))),
        filters=np.concatenate(sections) if sections else None,
    )


def unsuited(interface: Interface, threat: Threat) -> str:
    """Why the threat cannot be made to these inputs, though nothing is wrong with its words; "" where it can.

    Raises MedauditError for what is wrong with them.
    """
    able = _sent_into(interface, threat) if threat.norm == INJECTED else []
    if not able:
        return ""
    item, half = interface.inputs[able[0]], interface.inputs[able[0]].rate / 2
    if len(able) > 1:
        return f"an injected signal goes into one input; {len(able)} signals may change; name one of them in inputs"
    if not half:
        return f"an injected signal needs the sampling rate of input {item.name!r}; give rate for this input"
    for value in (*threat.notches, *([threat.high_pass] if threat.high_pass else [])):
        if not 0 < _hertz(value) < half:
            return f"a filter at {value} does not go with {item.rate:g} samples a second; write one below {half:g} Hz"
    return ""


def _sent_into(interface: Interface, threat: Threat) -> list[int]:
    """Places of the inputs that the threat may change."""
    return [i for i, item in enumerate(interface.inputs) if any(_moves(threat, c, item) for c in item.channels)]


def _hertz(value: Quantity) -> float:
    """A frequency in Hz. Raises MedauditError where it is none."""
    try:
        return convert(value, "Hz")
    except ValueError as error:
        raise MedauditError(f"{value} is no frequency ({error})", "write it as 50 Hz") from error


def _alike(interface: Interface, one_hot: tuple[np.ndarray, ...]) -> np.ndarray | None:
    """Numbers that count as one change: the planes of an image's pixel, a one-hot group; None: none do."""
    ids, begin = np.arange(interface.size), 0
    for part in interface.parts:
        if part.domain == "image":
            ids[begin : begin + part.size] = begin + np.tile(np.arange(part.rows * part.columns), part.planes)
        begin += part.size
    for group in one_hot:
        ids[group] = ids[group[0]]
    return ids if len(np.unique(ids)) < len(ids) else None


def subspace(interface: Interface, threat: Threat) -> Subspace | None:
    """The subspace that the threat's changes lie in; None: any change. Raises MedauditError for units."""
    parts = interface.parts
    if threat.norm in (ROUGH, ROUGH_L2):
        return even(parts, threat.norm, threat.waves)
    if threat.waves:
        return slow(parts, threat.waves, np.zeros(0))
    if threat.smooth is None:
        return None
    sides: dict[int, tuple[Side | None, Side | None]] = {}
    for i, item in enumerate(interface.inputs):
        if item.domain == "table":
            continue
        width = max(1.0, _numbers(threat.smooth, item, "smooth"))
        columns = bumps(item.part.columns, width)
        sides[i] = (bumps(item.part.rows, width) if item.domain == "image" else None, columns)
    if not sides:
        raise MedauditError("smooth needs a signal, an image or a sequence", "leave it out for tables")
    return smooth(parts, sides)


def _cells_per_unit(interface: Interface, side: Quantity) -> np.ndarray:
    """How many neighbouring numbers one unit of a patch's side is, [D]; tables hold no patch."""
    one, most = Quantity(1.0, side.unit), 0.0
    sizes = []
    for item in interface.inputs:
        cells = 1.0 if item.domain == "table" else _numbers(one, item, "eps")
        most = max(most, 0.0 if item.domain == "table" else side.value * cells)
        sizes.append(np.full(item.part.size, cells))
    if most < 1:
        raise MedauditError(
            f"a patch of {side} holds no number of this model's input",
            "patches need a signal, an image or a sequence, and a side of at least one sample, pixel or hour",
        )
    return np.concatenate(sizes)


def _numbers(width: Quantity, item: Input, key: str) -> float:
    """A width as a count of neighbouring numbers: pixels, samples, hours. key: what says so, for errors."""
    if not width.unit:
        return width.value
    try:
        seconds = convert(width, "s")
    except ValueError as error:
        raise MedauditError(f"{key} is {width}, a time was expected ({error})") from error
    rate = 1 / 3600 if item.domain == "sequence" else item.rate
    if not rate or item.domain == "image":
        raise MedauditError(
            f"{key} is {width}, but the sampling rate of input {item.name!r} is not known",
            "give rate for this input, or a number of samples without a unit",
        )
    return seconds * rate


def _one_unit(interface: Interface, threat: Threat) -> None:
    """A bare number means stored units: raises MedauditError where what may move is stored in several."""
    units = {
        f"{c.unit!r}" if c.unit else "no unit"
        for item in interface.inputs
        for c in item.channels
        if _moves(threat, c, item)
    }
    if len(units) > 1:
        raise MedauditError(
            f"eps is {threat.eps}, a number without a unit, but what it moves is stored in {', '.join(sorted(units))}",
            "write eps in 'sd' or 'range', or name inputs of one unit",
        )


def boxes(
    interface: Interface,
    threat: Threat,
    area: Region,
    x: np.ndarray,
    closed: np.ndarray | None,
    *,
    legal: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """lo, hi [n, D] float32 around clean points x [n, D] (NaN where missing).

    closed: [n, D] bool, padding and what masks close. What is fixed, missing, closed or of an
    untouched input gets lo == hi == x. Bounds lie on the instrument's grid and never outside
    eps, also after rounding to float32. legal: only what is legal binds, not the eps of Linf.
    """
    none = np.nan
    legal_lo = per_number(interface, lambda c, _: none if c.lo is None else c.lo)
    legal_hi = per_number(interface, lambda c, _: none if c.hi is None else c.hi)
    reach = _reach(interface, threat, area, legal)
    wide = x.astype(np.float64)
    lo, hi = wide - reach, wide + reach
    # A clean value outside its legal range stays legal, but may not move further out.
    lo = np.where(np.isfinite(legal_lo), np.minimum(np.maximum(lo, legal_lo), wide), lo)
    hi = np.where(np.isfinite(legal_hi), np.maximum(np.minimum(hi, legal_hi), wide), hi)
    if threat.norm == L0 and area.choices is not None:
        category = area.choices > 0
        lo = np.where(category, 0.0, lo)
        hi = np.where(category, np.maximum(area.choices - 1, 0), hi)
    if area.step is not None:
        step = np.where(area.step > 0, area.step, 1.0).astype(np.float64)
        lo = np.where(area.step > 0, np.minimum(np.ceil(lo / step - 1e-6) * step, wide), lo)
        hi = np.where(area.step > 0, np.maximum(np.floor(hi / step + 1e-6) * step, wide), hi)
    shut = np.isnan(wide) | ~movable(interface, threat)
    if closed is not None:
        shut = shut | closed
    for group in () if area.rules is None else area.rules.one_hot:
        # A group turns as a whole or not at all.
        whole = ~shut[:, group] & (lo[:, group] <= 0) & (hi[:, group] >= 1)
        shut[:, group] |= ~whole.all(axis=1, keepdims=True)
    clean = np.nan_to_num(x, nan=0.0)
    low, high = _inward(lo, wide, up=True), _inward(hi, wide, up=False)
    return np.where(shut, clean, low).astype(np.float32), np.where(shut, clean, high).astype(np.float32)


def movable(interface: Interface, threat: Threat) -> np.ndarray:
    """Numbers that the threat allows to change at all, [D] bool."""
    return per_number(interface, lambda c, item: _moves(threat, c, item), bool).astype(bool)


def _moves(threat: Threat, channel: Channel, item: Input) -> bool:
    """Whether the threat allows this channel to change."""
    named = dict(threat.within)
    if channel.fixed or (threat.inputs and item.name not in threat.inputs):
        return False
    if threat.channels and channel.name not in threat.channels:
        return False
    if threat.norm != L0 and any(channel.name in group for group in threat.one_hot):
        return False
    if threat.norm == PATCH and item.domain == "table":
        return False
    if threat.norm in (ROUGH, ROUGH_L2) and item.domain not in ("signal", "sequence"):
        return False
    if threat.norm == INJECTED and item.domain != "signal":
        return False
    if channel.kind == "category" and (threat.norm != L0 or len(channel.categories) < 2):
        return False
    return not named or channel.name in named


def _reach(interface: Interface, threat: Threat, area: Region, legal: bool) -> np.ndarray:
    """How far each number may move, [D]; inf where only the legal range binds."""
    if threat.norm in BALLS or (legal and threat.norm == LINF):
        return np.full(interface.size, np.inf)
    if threat.norm not in (L0, PATCH):
        return np.asarray(area.eps * area.scale.astype(np.float64))
    named = dict(threat.within)

    def one(channel: Channel, item: Input) -> float:
        limit = named.get(channel.name)
        if limit is None:
            # Where nothing says what is legal, a value may still not be just anything.
            return np.inf if channel.lo is not None and channel.hi is not None else UNKNOWN * channel.sd
        return _stored(limit, channel, item, interface)

    return per_number(interface, one)


def _stored(limit: Quantity, channel: Channel, item: Input, interface: Interface) -> float:
    """An amount of one channel in stored units."""
    single = Interface((_only(item, channel),), interface.output)
    return limit.value * float(unit_scale(single, limit)[0])


def _only(item: Input, channel: Channel) -> Input:
    return Input(
        item.name, item.dtype, "table", ("batch", "feature"), (1,), ("batch", "feature"),
        unit_size=item.unit_size, channels=(channel,),
    )  # fmt: skip


def _inward(bound: np.ndarray, x: np.ndarray, *, up: bool) -> np.ndarray:
    """Round bounds to float32 without crossing them: up for lower bounds, down for upper ones."""
    big = np.finfo(np.float32).max
    near = np.clip(bound, -big, big).astype(np.float32)
    wrong = near.astype(np.float64) < bound if up else near.astype(np.float64) > bound
    moved = np.nextafter(near, np.float32(np.inf if up else -np.inf))
    out = np.where(wrong & np.isfinite(bound), moved, near)
    own = x.astype(np.float32)
    return np.asarray(np.minimum(out, own) if up else np.maximum(out, own))


def describe(threat: Threat) -> str:
    """One line in words."""
    norm = NORMS[threat.norm]
    of = {L0: f" {COUNT}", PATCH: " cells a side"}.get(threat.norm, "") if not threat.eps.unit else ""
    amount = f"{threat.eps}{of}"
    if threat.within and threat.norm not in (L0, PATCH):
        amount += f" of {', '.join(f'{name} {limit}' for name, limit in threat.within)}"
    relative = " of each channel" if threat.eps.unit in RELATIVE else ""
    more = [f"made of {threat.waves} slow waves"] if threat.waves else []
    more += [f"smooth over {threat.smooth}"] if threat.smooth is not None else []
    more += [f"in {', '.join(threat.channels)} only"] if threat.channels else []
    more += [f"{threat.window} long"] if threat.window is not None else []
    filters = ([f"high-pass {threat.high_pass}"] if threat.high_pass else []) + [f"notch {f}" for f in threat.notches]
    more += [f"through the recorder's filters ({', '.join(filters)})"] if filters else []
    more += [f"inside {', '.join(threat.only)}"] if threat.only else []
    more += [f"outside {', '.join(threat.never)}"] if threat.never else []
    more += [f"keeping {count} constraints"] if (count := len(threat.relations) + len(threat.one_hot)) else []
    return "; ".join([f"{threat.access} only", f"{norm} at most {amount}{relative}", *more])
