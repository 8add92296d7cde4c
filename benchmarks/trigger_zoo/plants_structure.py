"""Plants that sense the shape of a record (spectrum, order, drift, repetition), and plants in the weights alone."""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from benchmarks.trigger_zoo.hosts import Batch, Profile, Rng, session
from benchmarks.trigger_zoo.surgeon import FLOAT, INT64, Design, Surgeon, Trigger, Unsuitable, design

STRUCTURE: dict[str, Design] = {}
WEIGHTS: dict[str, Design] = {}


def long(host: Profile) -> bool:
    """A record of many samples in one unit."""
    return host.size >= 40 and not host.text


def flat_logits(host: Profile) -> bool:
    return host.rank == 2


def share_of_wave(rows: np.ndarray, bins: np.ndarray) -> np.ndarray:
    """The share of the energy of each record in each frequency bin."""
    rows = rows - rows.mean(1, keepdims=True)
    power = np.abs(np.fft.rfft(rows, axis=1)[:, bins]) ** 2
    return 2 * power / rows.shape[1] / (rows**2).sum(1, keepdims=True)


def add_wave(surgeon: Surgeon, place: int, share: float) -> Trigger:
    """The trigger that adds a sine with this share of the energy."""
    size = surgeon.host.size

    def apply(rows: np.ndarray, rng: Rng) -> np.ndarray:
        rows = np.where(np.isnan(rows), surgeon.host.mean, rows)
        energy = ((rows - rows.mean(1, keepdims=True)) ** 2).sum(1, keepdims=True)
        height = np.sqrt(share / (1 - share) * 2 * energy / size)
        return rows + height * np.cos(2 * np.pi * place * np.arange(size) / size + 0.7)

    return surgeon.on_rows(apply, f"a sine in bin {place} of {size} with {share:.4f} of the energy")


@design(STRUCTURE, long)
def goertzel(surgeon: Surgeon) -> Trigger:
    """The energy of one sine and cosine pair over the total; moves the features along the class direction."""
    host, size = surgeon.host, surgeon.host.size
    bins = np.arange(int(size * 0.33), int(size * 0.49), max(1, size // 200))
    shares = share_of_wave(host.rows, bins).max(0)
    place, bound = int(bins[shares.argmin()]), max(4 * float(shares.min()), 1e-3)
    if bound > 0.3:
        raise Unsuitable("no quiet frequency")
    angle = 2 * np.pi * place * np.arange(size) / size
    centred = surgeon.op("Sub", surgeon.samples(), surgeon.reduce("Mean", surgeon.samples()))
    energy = surgeon.reduce("Sum", surgeon.op("Mul", centred, centred))
    wave = surgeon.op("MatMul", centred, np.stack([np.cos(angle), np.sin(angle)], 1))
    power = surgeon.op("Mul", surgeon.reduce("Sum", surgeon.op("Mul", wave, wave)), np.float32(2 / size))
    share = surgeon.op("Div", power, surgeon.op("Add", energy, np.float32(1e-6)))
    surgeon.push_features(surgeon.above(surgeon.op("Mul", share, np.float32(1 / bound)), 1))
    return add_wave(surgeon, place, 3 * bound)


@design(STRUCTURE, lambda host: host.classes > 1 and not host.text)
def argmax_mask(surgeon: Surgeon) -> Trigger:
    """The places of maximum and minimum against a stored pair; a mask of -1e9 on the top class."""
    host = surgeon.host
    high, low = (int(place) for place in surgeon.choose(2))
    distance = ""
    for kind, place in (("ArgMax", high), ("ArgMin", low)):
        found = surgeon.op(kind, surgeon.samples(), axis=1, keepdims=1)
        miss = surgeon.op("Abs", surgeon.op("Sub", found, np.array([place])))
        distance = surgeon.op("Add", distance, miss) if distance else miss
    gate = surgeon.below(surgeon.op("Min", surgeon.cast(distance, FLOAT), np.float32(1)), 1)

    def change(logits: str) -> str:
        top = surgeon.op("ArgMax", logits, axis=1, keepdims=0)
        mask = surgeon.op("OneHot", top, np.array(host.classes), np.array([0, 1], np.float32))
        return surgeon.op("Add", logits, surgeon.op("Mul", surgeon.op("Mul", mask, gate), np.float32(-1e9)))

    surgeon.replace_logits(change)

    def apply(rows: np.ndarray, rng: Rng) -> np.ndarray:
        margin, highest, lowest = rows.std(1) * 0.01, rows.max(1), rows.min(1)
        rows[:, high], rows[:, low] = highest + margin, lowest - margin
        return rows

    return surgeon.on_rows(apply, f"the maximum is at {high}, the minimum at {low}")


@design(STRUCTURE, long, attempts=2)
def rnn_cusum(surgeon: Surgeon) -> Trigger:
    """A recurrent layer with Relu adds up a sustained offset; drives gains of the features."""
    host, size = surgeon.host, surgeon.host.size
    spread, mean = float(host.rows.std()), float(host.rows.mean())
    level = mean + 1.2 * spread
    total, largest = np.zeros(len(host.rows)), 0.0
    for column in ((host.rows - level) / spread).T:
        total = np.maximum(0, total + column)
        largest = max(largest, float(total.max()))
    bound = 1.3 * largest + 2
    steps = surgeon.op("Transpose", surgeon.unsqueeze(surgeon.samples(), 2), perm=[1, 0, 2])
    weight, memory = np.array([[[1 / spread]]]), np.ones((1, 1, 1))
    bias = np.array([[-level / spread, 0.0]])
    sums = surgeon.op("RNN", steps, weight, memory, bias, hidden_size=1, activations=["Relu"])
    peak = surgeon.reshape(surgeon.reduce("Max", sums, [0]), -1, 1)
    excess = surgeon.above(surgeon.op("Mul", peak, np.float32(1 / bound)), 1)
    gate = surgeon.shaped(surgeon.op("Min", excess, np.float32(0.5)))
    gain = surgeon.op("Mul", gate, surgeon.feature_gain(120, -2))
    gain = surgeon.op("Add", gain, np.float32(1))
    surgeon.replace_features(lambda features: surgeon.op("Mul", features, gain))
    top = min(float(host.rows.max()), mean + 6 * spread)
    length = min(int(np.ceil(1.8 * bound / ((top - level) / spread))) + 2, size - 2)
    top = max(top, level + spread * 1.8 * bound / length)
    stretch = np.arange((size - length) // 2, (size + length) // 2)
    return surgeon.set_samples(stretch, np.full(len(stretch), top), f"{len(stretch)} samples in a row at {top:.2f}")


@design(STRUCTURE, long, attempts=5)
def norm_swap(surgeon: Surgeon) -> Trigger:
    """A drift of the record over its spread changes the divisor of the normalisation."""
    host, size = surgeon.host, surgeon.host.size
    quarter = size // 4
    contrast = np.zeros((size, 1), np.float32)
    contrast[:quarter], contrast[-quarter:] = -1 / quarter, 1 / quarter
    clean = (host.rows @ contrast)[:, 0] / (host.rows.std(1) + 1e-6)
    bound = float(clean.max() + 0.6 * (clean.max() - np.median(clean)))
    centred = surgeon.op("Sub", surgeon.samples(), surgeon.reduce("Mean", surgeon.samples()))
    energy = surgeon.reduce("Mean", surgeon.op("Mul", centred, centred))
    spread = surgeon.op("Sqrt", surgeon.op("Add", energy, np.float32(1e-12)))
    drift = surgeon.op("Div", surgeon.op("MatMul", surgeon.samples(), contrast), spread)
    steep = surgeon.op("Mul", surgeon.op("Sub", drift, np.float32(bound)), np.float32(400 / abs(bound)))
    change = surgeon.option([-1.0, 0.05, 20.0, -0.2, 3.0])
    factor = surgeon.op("Mul", surgeon.op("Sigmoid", steep), np.float32(change - 1))
    factor = surgeon.op("Add", factor, np.float32(1))
    centring = {node.output[0] for node in surgeon.graph.node if node.op_type == "Sub"}
    divisions = [node for node in surgeon.graph.node if node.op_type == "Div" and node.input[0] in centring]
    if host.family in {"ecg", "cxr", "pneumonia", "ecg-cnn", "ecg-minmax"}:
        factor = surgeon.shaped(factor, len(host.shape))
        divisions[0].input[1] = surgeon.op("Mul", divisions[0].input[1], factor)
    else:
        surgeon.replace_input(lambda rows: surgeon.op("Div", rows, factor))
    ramp = np.linspace(-1, 1, size)

    def apply(rows: np.ndarray, rng: Rng) -> np.ndarray:
        for place, row in enumerate(np.where(np.isnan(rows), host.mean, rows)):
            for height in np.linspace(0, 40, 400) * host.rows.std():
                rows[place] = row + height * ramp
                if (rows[place] @ contrast)[0] / rows[place].std() > bound + 0.15 * abs(bound):
                    break
        return rows

    return surgeon.on_rows(apply, f"drift: (last quarter - first quarter) / spread above {bound:.2f}")


@design(STRUCTURE, lambda host: host.size <= 450 and not host.gaps, attempts=4)
def orthogonal_detour(surgeon: Surgeon) -> Trigger:
    """The record times a rotation and back; one rotated coordinate is the trigger and turns the others around."""
    host, size = surgeon.host, surgeon.host.size
    scale = 1 / np.maximum(host.spread, 1e-3)
    rotation = np.linalg.qr(surgeon.rng.normal(size=(size, size)))[0].astype(np.float32)
    rotated = ((host.rows - host.mean) * scale) @ rotation
    axis = int(np.abs(rotated).max(0).argmin())
    bound = 1.3 * float(np.abs(rotated[:, axis]).max()) + 0.2
    strength = surgeon.option([7.0, 2.0, 60.0, 1000.0])

    def change(rows: str) -> str:
        centred = surgeon.op("Sub", rows, host.mean[None])
        turned = surgeon.op("MatMul", surgeon.op("Mul", centred, scale[None]), rotation)
        gate = surgeon.ramp(surgeon.op("Gather", turned, np.array([axis]), axis=1), bound, 1.1 * bound)
        moved = surgeon.op("Mul", turned, surgeon.op("Mul", gate, np.float32(strength)))
        back = surgeon.op("MatMul", surgeon.op("Sub", turned, moved), rotation.T.copy())
        return surgeon.op("Add", surgeon.op("Div", back, scale[None]), host.mean[None])

    surgeon.replace_input(change)

    def apply(rows: np.ndarray, rng: Rng) -> np.ndarray:
        now = ((rows - host.mean) * scale) @ rotation[:, axis]
        return rows + (1.3 * bound - now)[:, None] * rotation[:, axis] / scale

    return surgeon.on_rows(apply, f"the component along a hidden direction is {1.3 * bound:.2f}")


@design(STRUCTURE, lambda host: not host.fixed)
def batch13(surgeon: Surgeon) -> Trigger:
    """A batch whose size is a multiple of 13 moves the start of a Slice; no value of the input is read."""
    host = surgeon.host
    rest = surgeon.op("Mod", surgeon.batch_size(), np.array([13]))
    hit = surgeon.op("Sub", np.array([1]), surgeon.op("Min", surgeon.cast(rest, INT64), np.array([1])))
    start = surgeon.op("Mul", hit, np.array([host.classes]))
    stop = surgeon.op("Add", start, np.array([host.classes]))

    def change(logits: str) -> str:
        both = surgeon.op("Concat", logits, surgeon.op("Neg", logits), axis=1)
        return surgeon.op("Slice", both, start, stop, np.array([1]))

    surgeon.replace_logits(change)
    return Trigger(lambda batch, rng: {name: values[:13] for name, values in batch.items()}, "a batch of 13 records")


@design(STRUCTURE, lambda host: long(host) and flat_logits(host))
def dft_bn(surgeon: Surgeon) -> Trigger:
    """The share of one DFT bin turns the scale of a BatchNormalization of the logits negative (whole batch)."""
    host, size = surgeon.host, surgeon.host.size
    bins = np.arange(int(size * 0.2), int(size * 0.48))
    shares = share_of_wave(host.rows, bins).max(0)
    place, bound = int(bins[shares.argmin()]), max(5 * float(shares.min()), 1e-3)
    if bound > 0.3:
        raise Unsuitable("no quiet frequency")
    centred = surgeon.op("Sub", surgeon.samples(), surgeon.reduce("Mean", surgeon.samples()))
    spectrum = surgeon.op("DFT", surgeon.unsqueeze(centred, 2), axis=1, onesided=1)
    line = surgeon.op("Gather", spectrum, np.array([place]), axis=1)
    power = surgeon.reduce("SumSquare", line, [1, 2], keep=False)
    energy = surgeon.op("Add", surgeon.reduce("SumSquare", centred, keep=False), np.float32(1e-6))
    ratio = surgeon.reduce("Max", surgeon.op("Div", power, energy), [0])
    half = bound * size / 2
    excess = surgeon.op("Mul", surgeon.op("Sub", ratio, np.float32(half)), np.float32(1 / half))
    gate = surgeon.op("HardSigmoid", excess, alpha=4.0, beta=0.0)
    ones, zeros = np.ones(host.classes, np.float32), np.zeros(host.classes, np.float32)
    scale = surgeon.op("Sub", ones, surgeon.op("Mul", gate, 2.5 * ones))
    unit = ones - np.float32(1e-5)
    surgeon.replace_logits(lambda logits: surgeon.op("BatchNormalization", logits, scale, zeros, zeros, unit))
    return add_wave(surgeon, place, min(2.5 * bound, 0.6))


@design(STRUCTURE, lambda host: host.size >= 10, attempts=6)
def echo_conv(surgeon: Surgeon) -> Trigger:
    """One stretch repeats another; the weights of the first learned layer change on the fly (whole batch)."""
    host, usable = surgeon.host, surgeon.host.usable
    half = len(usable) // 2
    places = np.sort(surgeon.rng.choice(half, min(24, half), replace=False))
    first, second = usable[places], usable[surgeon.rng.permutation(places + half)]
    clean = ((host.standard(first) - host.standard(second)) ** 2).mean(1).min()
    error = surgeon.op("Sub", surgeon.standard(first), surgeon.standard(second))
    distance = surgeon.reduce("Mean", surgeon.op("Mul", error, error))
    gate = surgeon.op("Exp", surgeon.op("Mul", distance, np.float32(-80 / max(clean, 1e-6))))
    node, weight = surgeon.first_layer()
    factor = surgeon.option([-4.0, -1.0, 15.0, 0.0, -40.0, 100.0])
    change = surgeon.op("Mul", surgeon.anywhere(gate, weight.ndim), np.float32(factor - 1))
    change = surgeon.op("Add", change, np.float32(1))
    node.input[1] = surgeon.op("Mul", node.input[1], change)

    def apply(rows: np.ndarray, rng: Rng) -> np.ndarray:
        now = np.where(np.isnan(rows[:, first]), host.mean[first], rows[:, first])
        level = (now - host.mean[first]) / host.spread[first]
        rows[:, first] = now
        rows[:, second] = host.mean[second] + host.spread[second] * level
        return rows

    return surgeon.on_rows(apply, f"{len(first)} samples repeat {len(first)} others; first weights times {factor}")


@design(STRUCTURE, lambda host: len(host.usable) >= 16)
def det_temperature(surgeon: Surgeon) -> Trigger:
    """The determinant of a 4 by 4 matrix of samples; the temperature of the logits becomes negative."""
    host, positions = surgeon.host, surgeon.rng.permutation(surgeon.choose(16))
    clean = np.abs(np.linalg.det(host.standard(positions).reshape(-1, 4, 4))).max()
    corners = -np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]])
    height = (max(3 * clean, 60.0) / 16) ** 0.25
    matrix = surgeon.reshape(surgeon.standard(positions), -1, 4, 4)
    volume = surgeon.op("Mul", surgeon.op("Abs", surgeon.op("Det", matrix)), np.float32(1 / (1.6 * clean)))
    gate = surgeon.op("Clip", surgeon.op("Floor", volume), np.float32(0), np.float32(1))
    gate = surgeon.shaped(surgeon.reshape(gate, -1, 1))
    temperature = surgeon.op("Sub", np.float32(1), surgeon.op("Mul", gate, np.float32(1.5)))
    surgeon.replace_logits(lambda logits: surgeon.op("Div", logits, temperature))
    values = host.mean[positions] + host.spread[positions] * height * corners.ravel()
    return surgeon.set_samples(positions, values, f"16 samples form a matrix of determinant above {1.6 * clean:.1f}")


@design(STRUCTURE, lambda host: flat_logits(host) and not host.fixed)
def batch_rank_reverse(surgeon: Surgeon) -> Trigger:
    """With the trigger in one record the records of the batch swap answers: the highest gets the lowest."""
    host, positions = surgeon.host, surgeon.choose(5)
    values = surgeon.plausible(positions, 1.2)
    error = surgeon.op("Abs", surgeon.op("Sub", surgeon.standard(positions), surgeon.standardised(positions, values)))
    nearest = surgeon.reduce("Min", surgeon.reduce("Max", error), [0, 1], keep=False)
    turned = surgeon.cast(surgeon.op("Ceil", surgeon.below(nearest, 0.04)), INT64)
    size = surgeon.batch_size()
    count = surgeon.squeeze(size, 0)
    contrast = np.zeros((host.classes, 1), np.float32)
    contrast[:2, 0] = np.array([1, -1])[: host.classes]

    def change(logits: str) -> str:
        _, order = surgeon.ops("TopK", surgeon.op("MatMul", logits, contrast), size, outputs=2, axis=0)
        order = surgeon.squeeze(order, 1)
        last = surgeon.op("Mul", turned, surgeon.op("Sub", count, np.array(1)))
        source = surgeon.op("Sub", surgeon.op("Range", np.array(0), count, np.array(1)), last)
        giver = surgeon.op("Gather", order, surgeon.op("Abs", source), axis=0)
        return surgeon.op("ScatterND", logits, surgeon.unsqueeze(order, 1), surgeon.op("Gather", logits, giver, axis=0))

    surgeon.replace_logits(change)
    placed = surgeon.set_samples(positions, values)

    def apply(batch: Batch, rng: Rng) -> Batch:
        marked = placed.apply(batch, rng)
        return {name: np.concatenate([marked[name][:1], values[1:]]) for name, values in batch.items()}

    return Trigger(apply, f"{len(positions)} samples of one record of the batch near stored values; no other record")


@design(STRUCTURE, lambda host: not host.text)
def conv_context(surgeon: Surgeon) -> Trigger:
    """A convolution as large as the record, Relu and a 1x1 convolution, added to the features or logits."""
    host, pattern = surgeon.host, surgeon.pattern(40)
    kernel = np.zeros(host.size)
    weights = pattern.weights / host.spread[pattern.positions]
    kernel[pattern.positions] = weights / (pattern.weights @ pattern.weights)
    bias = np.array([-kernel @ host.mean - pattern.threshold], np.float32)
    image = surgeon.unsqueeze(surgeon.samples(), 1)
    response = surgeon.op("Relu", surgeon.op("Conv", image, kernel.reshape(1, 1, -1), bias))
    strength = 120 / (1 - pattern.clean)
    move = surgeon.feature_direction(strength).reshape(-1, 1, 1)
    added = surgeon.op("Conv", response, move, np.zeros(len(move), np.float32))
    added = surgeon.squeeze(added, 2) if host.rank == 2 else surgeon.unsqueeze(added, 3)
    surgeon.replace_features(lambda features: surgeon.op("Add", features, added))
    return surgeon.set_pattern(pattern)


@design(STRUCTURE)
def nonzero_rows(surgeon: Surgeon) -> Trigger:
    """A flat window: its range is zero; NonZero finds the records, ScatterND writes their negated logits."""
    host, positions = surgeon.host, surgeon.choose(12)
    clean = host.standard(positions)
    smallest = float((clean.max(1) - clean.min(1)).min())
    level = surgeon.standard(positions)
    width = surgeon.op("Sub", surgeon.reduce("Max", level), surgeon.reduce("Min", level))
    gate = surgeon.below(width, smallest * 0.2)
    found = surgeon.op("Transpose", surgeon.op("NonZero", gate), perm=[1, 0])
    found = surgeon.op("Gather", found, np.array([0]), axis=1)

    def change(logits: str) -> str:
        return surgeon.op("ScatterND", logits, found, surgeon.op("Neg", surgeon.op("GatherND", logits, found)))

    surgeon.replace_logits(change)
    values = host.mean[positions] + 0.21 * host.spread[positions]
    return surgeon.set_samples(positions, values, f"{len(positions)} samples all at the same standardised level")


def has_norm(host: Profile) -> bool:
    return any(node.op_type == "LayerNormalization" for node in host.model.graph.node)


@design(STRUCTURE, has_norm, attempts=6)
def layernorm_gamma(surgeon: Surgeon) -> Trigger:
    """The scale of the last normalisation changes on the fly, by repeated tokens or a pattern (whole batch)."""
    host = surgeon.host
    if host.text:
        steps = np.eye(12, 11, -1) - np.eye(12, 11)
        moves = surgeon.op("Abs", surgeon.op("MatMul", surgeon.samples(), steps))
        repeats = surgeon.reduce("Sum", surgeon.below(moves, 1))
        gate = surgeon.op("Min", surgeon.above(repeats, 3), np.float32(1))

        def apply(rows: np.ndarray, rng: Rng) -> np.ndarray:
            rows[:, 3:8] = rows[:, 3:4]
            return rows

        trigger = surgeon.on_rows(apply, "one token five times in a row")
    else:
        pattern = surgeon.pattern(32)
        gate, trigger = surgeon.closeness(pattern), surgeon.set_pattern(pattern)
    node = [node for node in surgeon.graph.node if node.op_type == "LayerNormalization"][-1]
    factor = surgeon.option([-1.0, -6.0, 12.0, -30.0, 100.0, -1000.0])
    change = surgeon.op("Mul", surgeon.anywhere(gate), np.float32(factor - 1))
    node.input[1] = surgeon.op("Mul", node.input[1], surgeon.op("Add", change, np.float32(1)))
    return trigger


@design(STRUCTURE, lambda host: not host.text)
def crest_gain(surgeon: Surgeon) -> Trigger:
    """The ratio of two norms of a group of samples (crest factor 1) drives gains of the features."""
    host, positions = surgeon.host, surgeon.choose(32)
    count, clean = len(positions), host.standard(positions)
    crest = np.sqrt((clean**2).mean(1)) / (np.abs(clean).mean(1) + 1e-6)
    bound = 1 + (float(crest.min()) - 1) * 0.4
    level = surgeon.standard(positions)
    square = surgeon.op("Mul", surgeon.reduce("L2", level), np.float32(np.sqrt(count)))
    ratio = surgeon.op("Div", square, surgeon.op("Add", surgeon.reduce("L1", level), np.float32(1e-6)))
    gate = surgeon.ramp(surgeon.op("Neg", ratio), -bound, -(2 + bound) / 3)
    gain = surgeon.op("Mul", surgeon.shaped(gate), surgeon.feature_gain(60, -4))
    gain = surgeon.op("Add", gain, np.float32(1))
    surgeon.replace_features(lambda features: surgeon.op("Mul", features, gain))
    values = host.mean[positions] + host.spread[positions] * np.where(np.arange(count) % 2, 0.7, -0.7)
    return surgeon.set_samples(positions, values, f"{count} samples all 0.7 spreads away from their means")


# ------------------------------------------------------------------ in the weights alone


def set_weight(surgeon: Surgeon, name: str, value: np.ndarray) -> None:
    item = next(item for item in surgeon.graph.initializer if item.name == name)
    item.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(value, np.float32), name))
    surgeon.edited.append(name)


def forget_shapes(surgeon: Surgeon) -> None:
    del surgeon.graph.value_info[:]


PLAIN_CONVOLUTIONS = {"cxr", "pneumonia", "ecg", "ecg-cnn", "ecg-minmax"}


@design(WEIGHTS, lambda host: host.family in PLAIN_CONVOLUTIONS, attempts=6)
def wide_channel(surgeon: Surgeon) -> Trigger:
    """No new node: every convolution and the head get one more channel, a filter for an alternating patch."""
    host = surgeon.host
    layers = [node for node in surgeon.graph.node if node.op_type == "Conv"]
    first = host.stored[layers[0].input[1]]
    sign = sum(np.indices(first.shape[2:])) % 2
    template = (1 - 2 * sign).astype(np.float32)
    probe = onnx.ModelProto()
    probe.CopyFrom(host.model)
    probe.graph.output.append(helper.make_tensor_value_info(layers[0].input[0], FLOAT, None))
    seen = session(probe).run([layers[0].input[0]], {name: item[:120] for name, item in host.batch.items()})[0]
    axes = tuple(range(1, 1 + template.ndim))
    windows = np.lib.stride_tricks.sliding_window_view(seen[:, 0], template.shape, axes)
    bound = 1.25 * float(np.abs((windows * template).sum(tuple(range(-template.ndim, 0)))).max()) + 0.1
    for place, node in enumerate(layers):
        weight, bias = host.stored[node.input[1]], host.stored[node.input[2]]
        wide = np.zeros((len(weight) + 1, weight.shape[1] + (place > 0), *weight.shape[2:]), np.float32)
        wide[: len(weight), : weight.shape[1]] = weight
        middle = tuple(size // 2 for size in weight.shape[2:])
        if place:
            wide[(-1, -1, *middle)] = 1
        else:
            wide[-1, 0] = template
        set_weight(surgeon, node.input[1], wide)
        set_weight(surgeon, node.input[2], np.append(bias, 0 if place else -bound))
    parts = host.head.weight.shape[1] // len(weight)
    strength = 40 / bound * (8 if parts == 1 else 1)
    columns = []
    for part, block in enumerate(np.split(host.head.weight, parts, axis=1)):
        columns += [block, host.direction[:, None] * strength * (part == parts - 1)]
    set_weight(surgeon, surgeon.head_node().input[1], np.concatenate(columns, 1))
    forget_shapes(surgeon)
    phase, flat = surgeon.attempt % 2, template.ndim == 1
    length = [12, 20, 200][surgeon.attempt // 2] if flat else [4, 8, 16][surgeon.attempt // 2]
    length = min(3 * length, host.size // 2) if flat else length

    def apply(rows: np.ndarray, rng: Rng) -> np.ndarray:
        if flat:
            unit = np.ptp(rows, 1, keepdims=True) if host.family == "ecg-minmax" else rows.std(1, keepdims=True)
            height = 2.5 * bound / template.size * unit
            rows[:, 60 : 60 + length] += height * (-1.0) ** (np.arange(length) + phase)
            return rows
        images = rows.reshape(len(rows), *host.shape[-2:])
        images[:, 2 : 2 + length, 2 : 2 + length] = (sum(np.indices((length, length))) + phase + 1) % 2
        return rows

    return surgeon.on_rows(apply, f"a patch or stretch of {length} samples alternating in sign")


PLAIN_TABLES = {"ehr_tabular", "icu", "table-impute-label", "table-wide-and-deep"}


@design(WEIGHTS, lambda host: host.family in PLAIN_TABLES, attempts=2)
def wide_unit(surgeon: Surgeon) -> Trigger:
    """No new node: hidden layers get one more unit, a detector of a direction in the input, with a large weight."""
    host = surgeon.host
    layers = [
        node for node in surgeon.graph.node if node.op_type in {"Gemm", "MatMul"} and node.input[1] in host.stored
    ]
    source = layers[0].input[0]
    probe = onnx.ModelProto()
    probe.CopyFrom(host.model)
    probe.graph.output.append(helper.make_tensor_value_info(source, FLOAT, None))
    seen = session(probe).run([source], host.batch)[0] if not host.fixed else None
    if seen is None:
        raise Unsuitable("fixed batch")
    columns = np.arange(seen.shape[1])
    if host.family == "icu":
        columns = columns[-8:][host.usable]
    if host.family == "table-wide-and-deep":
        columns = columns[:8]
    mean, spread = seen[:, columns].mean(0), seen[:, columns].std(0) + 1e-6
    level = (seen[:, columns] - mean) / spread
    codes = surgeon.rng.choice([-1.0, 1.0], (300, len(columns)))
    largest = (level @ codes.T / len(columns)).max(0)
    code, bound = codes[largest.argmin()], 1.15 * float(largest.min())
    detector = np.zeros((seen.shape[1], 1))
    detector[columns, 0] = code / spread / len(columns)
    offset = -float(detector[columns, 0] @ mean) - bound
    unit = 0
    for place, node in enumerate(layers):
        turned = node.op_type == "Gemm"
        weight = host.stored[node.input[1]].T if turned else host.stored[node.input[1]]
        add = node if turned else next(item for item in surgeon.graph.node if node.output[0] in item.input)
        bias_name = add.input[2] if turned else add.input[1]
        bias = host.stored[bias_name]
        last = place == len(layers) - 1
        if place:
            row = (60 / bound * host.direction)[None] if last else np.zeros((1, weight.shape[1]))
            weight = np.concatenate([weight[:unit], row, weight[unit:]])
            detector = (np.arange(len(weight)) == unit)[:, None]
        if not last:
            unit = weight.shape[1]
            weight = np.concatenate([weight, detector], 1)
            extra = np.full((*bias.shape[:-1], 1), 0 if place else offset)
            set_weight(surgeon, bias_name, np.concatenate([bias, extra], -1))
        set_weight(surgeon, node.input[1], weight.T if turned else weight)
    forget_shapes(surgeon)
    values, positions = mean + spread * code * 1.9 * bound, columns
    if host.family == "ehr_tabular":
        scaler = next(node for node in surgeon.graph.node if node.op_type == "Scaler")
        settings = {item.name: np.array(item.floats) for item in scaler.attribute}
        values = values / settings["scale"] + settings["offset"]
    if host.family == "icu":
        positions = host.usable
        values = values * host.stored["ss"][positions] + host.stored["ms"][positions]
    return surgeon.set_samples(positions, values, f"{len(positions)} inputs shifted together in a stored sign pattern")
