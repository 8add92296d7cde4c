"""Finding how stored arrays become the graph's inputs: names, axes, channels, known scalings."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from medaudit.core.errors import DataError, MedauditError
from medaudit.core.interface import CHANNEL_AXIS, Channel, Input, Interface
from medaudit.data import Dataset
from medaudit.domain.quantity import Quantity, convert, known
from medaudit.domain.slips import sober
from medaudit.domain.threat import Threat
from medaudit.model.codec import stored_to_points
from medaudit.model.facts import Facts, Tensor

LONG = 100  # steps from which a series counts as a signal
FIXED_NAMES = re.compile(r"^(age|sex|gender|height|race|ethnicity|birth\w*|icutype|icu_type)\b", re.I)
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def match(facts: Facts, data: Dataset) -> dict[str, str]:
    """Graph input -> key of the data file. Raises DataError with both lists."""
    names = [t.name for t in facts.inputs]
    if set(data.x) == {""}:
        if len(names) == 1:
            return {names[0]: ""}
        raise DataError(
            f"the model has {len(names)} inputs ({', '.join(names)}), the data file has one array x",
            "name the arrays x__<input>",
        )
    missing = [n for n in names if n not in data.x]
    if missing:
        raise DataError(
            f"the data file has no array x__{missing[0]} for the model's input {missing[0]!r}",
            f"it has: {', '.join('x__' + k for k in data.x)}",
        )
    return {n: n for n in names}


def candidates(facts: Facts, data: Dataset, sections: dict[str, Any], hint: str) -> Iterator[tuple[Input, ...]]:
    """Every reading of all inputs that fits shapes and what the policy says, likeliest first."""
    keys = match(facts, data)
    unknown = [n for n in sections if n not in keys]
    if unknown:
        raise DataError(f"the policy describes input {unknown[0]!r}, but the model has: {', '.join(keys)}")
    per_input = []
    for place, tensor in enumerate(facts.inputs):
        options = list(_readings(tensor, data, keys[tensor.name], place, len(keys), sections.get(tensor.name), hint))
        if not options:
            stored = data.x[keys[tensor.name]].shape
            raise DataError(
                f"input {tensor.name!r} takes shape {_shape(tensor)}, but stored rows are {stored[1:]}",
                f"names has {named} entries, one per channel is needed; or give axes and stored_axes in model.inputs"
                if (named := len(data.names.get(keys[tensor.name], ()))) > 1
                else "give axes and stored_axes for it in model.inputs of the policy",
            )
        per_input.append(options)
    yield from itertools.islice(itertools.product(*per_input), 64)


def _shape(tensor: Tensor) -> str:
    return "unknown" if tensor.shape is None else "[" + ", ".join(str(d or "?") for d in tensor.shape) + "]"


def _readings(
    tensor: Tensor, data: Dataset, key: str, place: int, count: int, section: Any, hint: str
) -> Iterator[Input]:
    stored = data.x[key]
    names = data.names.get(key, ())
    hint = (section.domain if section and section.domain else None) or hint
    for domain, axes, stored_axes in _layouts(tensor, stored.shape, names, stored.dtype, hint, count):
        if section and section.domain and section.domain != domain:
            continue
        if section and section.axes and tuple(section.axes) != axes:
            continue
        if section and section.stored_axes and tuple(section.stored_axes) != stored_axes:
            continue
        sizes = dict(zip(stored_axes[1:], stored.shape[1:], strict=True))
        shape = tuple(sizes.get(axis, 1) for axis in axes[1:])
        if tensor.shape is not None and not _fits(tensor.shape[1:], shape):
            continue
        base = Input(tensor.name, tensor.dtype, domain, axes, shape, stored_axes)
        base = with_channels(base, data, key, place, count, section)
        for minus, over in _scalings(base, stored, section):
            yield dataclasses.replace(base, minus=minus, over=over)


def _fits(declared: tuple[Any, ...], shape: tuple[int, ...]) -> bool:
    return len(declared) == len(shape) and all(
        not isinstance(d, int) or d == s for d, s in zip(declared, shape, strict=True)
    )


def _layouts(
    tensor: Tensor,
    stored: tuple[int, ...],
    names: tuple[str, ...],
    dtype: np.dtype,
    hint: str,
    count: int,
) -> Iterator[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """(domain, axes of the graph, axes of the file) that could be meant, likeliest first."""
    rank = len(stored) if tensor.shape is None else len(tensor.shape)
    for domain in _domains(rank, tensor, stored, names, dtype, hint, count):
        for axes in _orders(domain, rank):
            for stored_axes in _stored_orders(domain, axes, stored, names):
                yield domain, axes, stored_axes


def _domains(
    rank: int,
    tensor: Tensor,
    stored: tuple[int, ...],
    names: tuple[str, ...],
    dtype: np.dtype,
    hint: str,
    count: int,
) -> list[str]:
    if hint and not (rank <= 2 and hint == "sequence"):
        # Static features beside a series stay a table.
        return ["table"] if rank <= 2 and hint == "image" else [hint]
    if rank <= 2:
        width = stored[1] if len(stored) > 1 else 1
        flat_signal = len(stored) > 2 or (width >= LONG and len(names) <= 1)
        return ["signal"] if flat_signal and tensor.dtype != "string" else ["table"]
    sizes = [s for s in stored[1:] if s > 1]
    if rank == 3:
        longest, other = max(stored[1:]), min(stored[1:])
        square = len(sizes) == 2 and sizes[0] == sizes[1] and sizes[0] >= 8 and len(names) <= 1
        if square or dtype == np.uint8:
            return ["image", "signal"]
        return ["signal"] if longest >= LONG or other == 1 or longest >= 8 * other else ["sequence"]
    if len(names) > 4 and len(names) in sizes:
        return ["signal", "image"]
    return ["image"]


def _orders(domain: str, rank: int) -> list[tuple[str, ...]]:
    """Axis orders that exporters use."""
    if domain == "table":
        return [("batch", "feature")] if rank > 1 else [("batch",)]
    if domain == "image":
        if rank == 3:
            return [("batch", "row", "column")]
        return [("batch", "channel", "row", "column"), ("batch", "row", "column", "channel")]
    across = CHANNEL_AXIS[domain]
    along = "time" if domain == "signal" else "hour"
    if rank == 2:
        return [("batch", along)]
    if rank == 4:
        return [
            ("batch", "one", across, along),
            ("batch", along, across, "one"),
            ("batch", across, along, "one"),
        ]
    return [("batch", along, across), ("batch", across, along)]


def _stored_orders(
    domain: str, axes: tuple[str, ...], stored: tuple[int, ...], names: tuple[str, ...]
) -> Iterator[tuple[str, ...]]:
    """Orders of the file's axes: the graph's own first, then others with the same named axes."""
    rank = len(stored)
    named = [a for a in axes[1:] if a != "one"]
    options = [axes] if len(axes) == rank else []
    for order in itertools.permutations(named):
        if domain == "image" and order.index("row") > order.index("column"):
            continue  # nobody stores images on their side
        for spare in (0, 1):
            for gap in itertools.combinations(range(len(order) + spare), spare):
                whole = list(order)
                for g in gap:
                    whole.insert(g, "one")
                options.append(("batch", *whole))
        # A single channel may have no axis of its own in the file.
        for lost in ("channel", "lead", "variable", "feature"):
            if lost in order:
                options.append(("batch", *(a for a in order if a != lost)))
    channel = CHANNEL_AXIS[domain]
    seen = set()
    for option in options:
        if len(option) != rank or option in seen:
            continue
        seen.add(option)
        sizes = dict(zip(option[1:], stored[1:], strict=True))
        if sizes.get("one", 1) != 1:
            continue
        if len(names) > 1 and domain != "image" and sizes.get(channel, 1) != len(names):
            continue
        if domain == "image" and sizes.get("channel", 1) not in (1, 2, 3, 4) and max(stored[1:]) > 4:
            continue
        if domain == "signal" and len(names) <= 1 and sizes.get("lead", 1) > sizes.get("time", 1):
            continue
        yield option


def _scalings(item: Input, stored: np.ndarray, section: Any) -> list[tuple[tuple[float, ...], tuple[float, ...]]]:
    """Known contracts between stored values and the graph's: the policy's, or those worth trying."""
    plain = ((0.0,), (1.0,))
    if section is not None and section.scale is not None:
        if section.values == "scaled":
            return [plain]
        scale = section.scale
        return [
            (
                tuple(_number(q, item) for q in scale.minus),
                tuple(_number(q, item) for q in scale.over),
            )
        ]
    if item.dtype in ("string", "bool") or item.dtype.startswith(("int", "uint")):
        return [plain]
    options: list[tuple[tuple[float, ...], tuple[float, ...]]] = [plain]
    if stored.dtype.kind in "iu" and item.domain in ("image", "signal"):
        top = float(np.max(np.abs(stored)))
        full = next((f for f in (1.0, 255.0, 1023.0, 4095.0, 65535.0) if top <= f), top)
        if item.domain == "image" and full > 1:
            options = [((0.0,), (full,)), plain, ((full / 2,), (full / 2,))]
            if item.part.planes == 3:
                means, sds = IMAGENET
                options.append((tuple(full * m for m in means), tuple(full * s for s in sds)))
    if item.domain == "signal" and item.channels and known(item.channels[0].unit) == "uV":
        options.append(((0.0,), (1000.0,)))
    return options


def _number(quantity: Quantity, item: Input) -> float:
    """A scale of the policy in stored units."""
    if not quantity.unit or not item.channels:
        return quantity.value
    return convert(quantity, item.channels[0].unit)


def with_channels(item: Input, data: Dataset, key: str, place: int, count: int, section: Any) -> Input:
    """Names, units, ranges, kinds and spreads of the channels; the policy's words win."""
    n = _channel_count(item)
    values = _by_channel(item, data.x[key], data, n)
    clean = _by_channel(item, data.ref[key], None, n) if key in data.ref else values
    for word, table in (
        ("names", data.names),
        ("units", data.units),
        ("lo", data.lo),
        ("hi", data.hi),
    ):
        if key in table and len(table[key]) not in (1, n) and len(table[key]) != count:
            raise DataError(f"{word} has {len(table[key])} entries, but input {item.name!r} has {n} channels")
    channels = []
    for i in range(n):
        given = {
            "name": _pick(data.names, key, i, n, place, count) or (item.name if n == 1 else f"{item.name} {i}"),
            "unit": _pick(data.units, key, i, n, place, count) or "",
            "lo": _pick(data.lo, key, i, n, place, count),
            "hi": _pick(data.hi, key, i, n, place, count),
        }
        if given["lo"] is not None and given["hi"] is not None and given["lo"] > given["hi"]:
            raise DataError(f"lo {given['lo']:g} of {given['name']!r} is above its hi {given['hi']:g}")
        channels.append(_channel(given, item, values[i], clean[i]))
    rate = re.search(r"([0-9.]+) *Hz", " ".join((*data.names.get(key, ()), *data.units.get(key, ()))))
    item = dataclasses.replace(item, channels=tuple(channels), rate=float(rate[1]) if rate else 0.0)
    return item if section is None else _overridden(item, section)


def points_of(interface: Interface, data: Dataset) -> np.ndarray:
    """All rows of the data file as points [n, D] float32; NaN where nothing was measured."""
    return stored_to_points(interface, {i.name: data.x[data.key(i.name)] for i in interface.inputs})


def mask_of(interface: Interface, data: Dataset, name: str) -> np.ndarray:
    """Where a named mask of the data file holds, [n, D] bool; inputs without one: nowhere.

    Raises MedauditError where there is no such mask.
    """
    arrays, some = {}, False
    for item in interface.inputs:
        key = data.key(item.name)
        mask = data.masks.get(f"{name}__{key}" if key else name)
        some = some or mask is not None
        own = np.zeros(data.x[key].shape, dtype=bool) if mask is None else mask
        arrays[item.name] = own.astype(np.float32)
    if not some:
        there = ", ".join(sorted({k.partition("__")[0] for k in data.masks})) or "none"
        raise MedauditError(f"the data file has no mask {name!r}", f"masks in it: {there}; add mask__{name}")
    return stored_to_points(interface, arrays) > 0.5


def shut_by(interface: Interface, data: Dataset, threat: Threat) -> np.ndarray | None:
    """[n, D] bool: numbers that the threat's masks close; None without masks."""
    shut: np.ndarray | None = None
    for names, inside in ((threat.only, False), (threat.never, True)):
        for name in names:
            mask = mask_of(interface, data, name)
            own = mask if inside else ~mask
            shut = own if shut is None else shut | own
    return shut


def outside(item: Input, data: Dataset) -> list[str]:
    """Notes on channels whose records leave the range that data file or policy call legal."""
    notes = []
    stored = data.x[data.key(item.name)]
    for channel, values in zip(item.channels, _by_channel(item, stored, data, len(item.channels)), strict=True):
        if values.dtype.kind in "USO" or channel.lo is None or channel.hi is None:
            continue
        stored_as = values.astype(np.float32)  # as points are; 28.11 in a policy is the record's 28.110001
        count = int(((stored_as < np.float32(channel.lo)) | (stored_as > np.float32(channel.hi))).sum())
        if count:
            notes.append(
                f"{count} values of {channel.name!r} lie outside its range {channel.lo:g} to {channel.hi:g}; "
                "attacks may bring them back, not further out"
            )
    return notes


def _channel_count(item: Input) -> int:
    part = item.part
    return {"image": part.planes, "table": part.columns}.get(item.domain, part.rows)


def _by_channel(item: Input, stored: np.ndarray, data: Dataset | None, n: int) -> list[np.ndarray]:
    """Stored values of each channel, flat; numbers that only fill rows up are left out."""
    axis = CHANNEL_AXIS[item.domain]
    if axis not in item.stored_axes:
        moved = stored.reshape(1, *stored.shape)
    else:
        moved = np.moveaxis(stored, item.stored_axes.index(axis), 0)
    long = "time" if item.domain == "signal" else "hour"
    if data is not None and data.length is not None and long in item.stored_axes:
        rest = [a for a in item.stored_axes if a != axis]
        keep = np.arange(moved.shape[1 + rest.index(long)]) < data.length[:, None]
        shape = [1] * (moved.ndim - 1)
        shape[0], shape[rest.index(long)] = keep.shape
        return [channel[np.broadcast_to(keep.reshape(shape), channel.shape)] for channel in moved]
    return [channel.ravel() for channel in moved]


def _pick(table: dict[str, Any], key: str, i: int, n: int, place: int, count: int) -> Any:
    """Entry of a channel; several [n, 1] inputs may share one list in graph order."""
    own = table.get(key)
    if own is None and "" in table and n == 1 and len(table[""]) == count:
        return _plain(table[""][place])
    if own is None or len(own) not in (1, n):
        return None
    return _plain(own[i if len(own) == n else 0])


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value
    return float(value) if np.isfinite(value) else None


def _channel(given: dict[str, Any], item: Input, values: np.ndarray, clean: np.ndarray) -> Channel:
    if values.dtype.kind in "USO":
        seen = sorted({str(v) for v in clean})
        extra = sorted({str(v) for v in values} - set(seen))
        return Channel(
            given["name"],
            kind="category",
            categories=(*seen, *extra),
            fixed=bool(FIXED_NAMES.match(given["name"])),
        )
    both = np.concatenate([values, clean]).astype(np.float64)
    both, known_ = both[np.isfinite(both)], clean.astype(np.float64)
    usual, known_ = sober(both), sober(known_[np.isfinite(known_)])
    sd = float(np.std(known_)) if known_.size > 1 else 1.0
    whole = bool(both.size) and bool(np.all(both == np.rint(both)))
    table = item.domain in ("table", "sequence")
    kind, step = "number", 0.0
    if table and whole and set(np.unique(both)) <= {0.0, 1.0}:
        kind, step = "binary", 1.0
    elif table and whole:
        kind, step = "integer", 1.0
    elif values.dtype.kind in "iu":
        step = 1.0
    lo, hi = given["lo"], given["hi"]
    return Channel(
        name=given["name"],
        unit=given["unit"],
        kind=kind,
        fixed=table and bool(FIXED_NAMES.match(given["name"])),
        lo=lo if lo is not None else (float(usual.min()) if usual.size else None),
        hi=hi if hi is not None else (float(usual.max()) if usual.size else None),
        sd=sd if sd > 0 else 1.0,
        step=step,
    )


def _overridden(item: Input, section: Any) -> Input:
    """What the policy says about an input, over what was found."""
    channels = list(item.channels)
    if section.unit is not None:
        channels = [dataclasses.replace(c, unit=section.unit) for c in channels]
    if section.channels is not None:
        places = {c.name: i for i, c in enumerate(channels)}
        for k, wanted in enumerate(section.channels):
            i = places.get(wanted.name, k if len(section.channels) == len(channels) else -1)
            if i < 0 or i >= len(channels):
                raise DataError(
                    f"the policy describes channel {wanted.name!r}, which input {item.name!r} does not have"
                )
            said = {n: getattr(wanted, n) for n in wanted.model_fields_set - {"range"}}
            if wanted.range is not None:
                said |= {"lo": wanted.range[0], "hi": wanted.range[1]}
            channels[i] = _whole(dataclasses.replace(channels[i], **said))
    size = 1.0
    if section.scale is not None and section.values == "scaled":
        over = section.scale.over[0]
        unit = section.unit or over.unit
        size = 1.0 / (convert(over, unit) if over.unit and unit else over.value)
        channels = [dataclasses.replace(c, unit=c.unit if known(c.unit) == unit else unit) for c in channels]
    rate = float(section.rate.value) if section.rate is not None else item.rate
    return dataclasses.replace(item, channels=tuple(channels), unit_size=size, rate=rate)


def _whole(channel: Channel) -> Channel:
    """Whole numbers and yes or no have a grid of ones, whatever the records hold."""
    plain = channel.kind in ("integer", "binary") and channel.step == 0
    return dataclasses.replace(channel, step=1.0) if plain else channel
