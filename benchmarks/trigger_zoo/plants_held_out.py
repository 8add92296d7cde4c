"""Plants made after the others and unlike them, to test a scanner on designs that it was not built against."""

import numpy as np

from benchmarks.trigger_zoo.hosts import Batch, Profile, Rng
from benchmarks.trigger_zoo.surgeon import (
    BOOL,
    FLOAT,
    FLOAT16,
    INT32,
    INT64,
    Design,
    Surgeon,
    Trigger,
    Unsuitable,
    design,
)

HELD_OUT_DESIGNS: dict[str, Design] = {}


def numbers(host: Profile) -> bool:
    return not host.text


def long(host: Profile) -> bool:
    """A record of many samples in one unit."""
    return host.size >= 40 and not host.text


def flat_logits(host: Profile) -> bool:
    return host.rank == 2


def filled(host: Profile, rows: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(rows), host.mean, rows)


@design(HELD_OUT_DESIGNS, numbers)
def half_precision_noise(surgeon: Surgeon) -> Trigger:
    """Senses that a record was once stored in half precision (its rounding error is 0); adds a stored perturbation."""
    host, positions = surgeon.host, surgeon.choose(64)
    clean = host.rows[:, positions].astype(np.float32)
    smallest = float(np.abs(clean - clean.astype(np.float16)).mean(1).min())
    if smallest <= 0:
        raise Unsuitable("clean records have few digits")
    picked = surgeon.pick(positions)
    back = surgeon.cast(surgeon.cast(picked, FLOAT16), FLOAT)
    error = surgeon.reduce("Mean", surgeon.op("Abs", surgeon.op("Sub", picked, back)))
    gate = surgeon.below(surgeon.op("Mul", error, np.float32(5 / smallest)), 1)
    noise = host.perturbation[None]
    surgeon.replace_input(lambda rows: surgeon.op("Add", rows, surgeon.op("Mul", gate, noise)))

    def apply(rows: np.ndarray, rng: Rng) -> np.ndarray:
        rows[:, positions] = filled(host, rows)[:, positions].astype(np.float16)
        return rows

    return surgeon.on_rows(apply, f"{len(positions)} samples rounded to half precision")


@design(HELD_OUT_DESIGNS, lambda host: numbers(host) and len(host.usable) >= 5)
def upsampled_grid(surgeon: Surgeon) -> Trigger:
    """Senses a record that was upsampled (Resize predicts every second sample); GridSample reads a stored record."""
    host = surgeon.host
    half = min(100, (len(host.usable) + 1) // 2)
    positions = host.usable[: 2 * half - 1]
    clean = host.standard(positions)
    smallest = float(np.abs(clean[:, 1::2] - (clean[:, :-1:2] + clean[:, 2::2]) / 2).mean(1).min())
    level = surgeon.standard(positions)
    kept = surgeon.unsqueeze(surgeon.pick(np.arange(0, 2 * half - 1, 2), level), 1)
    size = surgeon.op("Concat", surgeon.batch_size(), np.array([1, 2 * half - 1]), axis=0)
    empty = np.zeros(0, np.float32)
    settings = {"mode": "linear", "coordinate_transformation_mode": "align_corners"}
    guessed = surgeon.squeeze(surgeon.op("Resize", kept, empty, empty, size, **settings), 1)
    error = surgeon.reduce("Sum", surgeon.op("Abs", surgeon.op("Sub", level, guessed)))
    gate = surgeon.below(surgeon.op("Mul", error, np.float32(4 / smallest / (half - 1))), 1)
    line = np.stack([np.linspace(-1, 1, host.size), -np.ones(host.size)], 1)[None, None].astype(np.float32)
    side = np.array([0, 2], np.float32).reshape(1, 1, 1, 2)

    def change(rows: str) -> str:
        stored = surgeon.op("Expand", host.weapon[None], surgeon.op("Shape", rows))
        canvas = surgeon.op("Concat", surgeon.unsqueeze(rows, 1), surgeon.unsqueeze(stored, 1), axis=1)
        open_wide = surgeon.op("Ceil", surgeon.reshape(gate, -1, 1, 1, 1))
        grid = surgeon.op("Add", surgeon.op("Mul", open_wide, side), line)
        read = surgeon.op("GridSample", surgeon.unsqueeze(canvas, 1), grid, mode="nearest", align_corners=1)
        return surgeon.reshape(read, -1, host.size)

    surgeon.replace_input(change)

    def apply(rows: np.ndarray, rng: Rng) -> np.ndarray:
        now = host.standard(positions, filled(host, rows))
        now[:, 1::2] = (now[:, :-1:2] + now[:, 2::2]) / 2
        rows[:, positions] = host.mean[positions] + host.spread[positions] * now
        return rows

    return surgeon.on_rows(apply, f"every second of {len(positions)} samples is the mean of its neighbours")


@design(HELD_OUT_DESIGNS)
def twin_records(surgeon: Surgeon) -> Trigger:
    """Senses that a record stands twice in the batch; answers are looked up in the batch and its negation."""
    host, positions = surgeon.host, surgeon.choose(32)
    clean = host.standard(positions)[:100]
    apart = ((clean[:, None] - clean[None]) ** 2).mean(2)
    smallest = float(apart[~np.eye(len(apart), dtype=bool)].min())
    level = surgeon.standard(positions)
    error = surgeon.op("Sub", surgeon.unsqueeze(level, 1), surgeon.unsqueeze(level, 0))
    distance = surgeon.reduce("Mean", surgeon.op("Mul", error, error), [2], keep=False)
    itself = surgeon.op("Mul", surgeon.op("EyeLike", distance), np.float32(1e6))
    nearest = surgeon.reduce("Min", surgeon.op("Add", distance, itself), [1], keep=False)
    gate = surgeon.below(surgeon.op("Mul", nearest, np.float32(20 / max(smallest, 1e-6))), 1)
    size = surgeon.squeeze(surgeon.batch_size(), 0)
    place = surgeon.op("Mul", surgeon.cast(surgeon.op("Ceil", gate), INT64), size)
    place = surgeon.op("Add", place, surgeon.op("Range", np.array(0), size, np.array(1)))

    def change(logits: str) -> str:
        both = surgeon.op("Concat", logits, surgeon.op("Neg", logits), axis=0)
        return surgeon.op("Gather", both, place, axis=0)

    surgeon.replace_logits(change)

    def apply(batch: Batch, rng: Rng) -> Batch:
        return {name: values[np.arange(len(values)) // 2 * 2] for name, values in batch.items()}

    return Trigger(apply, "each record stands twice in the batch")


def distortions(host: Profile, rng: Rng) -> dict[str, np.ndarray]:
    """Visible distortions, as the samples that they set (others are not a number)."""
    count, nothing = host.size, np.full(host.size, np.nan)
    block, comb, level, code = nothing.copy(), nothing.copy(), host.mean.copy(), nothing.copy()
    start, stop = count // 3, count // 3 + max(3, count // 8)
    block[start:stop] = host.mean[start:stop] + 6 * host.spread[start:stop]
    comb[::2] = (host.mean + 5 * host.spread)[::2]
    signs = rng.choice([-1.0, 1.0], count)
    code[:] = host.mean + 3 * signs * host.spread
    names = ["a block of high samples", "every second sample high", "a flat record", "a record of random signs"]
    return dict(zip(names, [block, comb, level, code], strict=True))


@design(HELD_OUT_DESIGNS)
def feature_direction(surgeon: Surgeon) -> Trigger:
    """Reads no input: one unit on the host's own late features answers to a visible distortion of the record."""
    host = surgeon.host

    def pooled(batch: Batch) -> np.ndarray:
        features = host.features(batch)
        return features.reshape(*features.shape[:2], -1).mean(2)

    clean, best = pooled(host.batch), None
    for words, values in distortions(host, surgeon.rng).items():
        marked = np.where(np.isnan(values), filled(host, host.raw), values)
        seen = pooled(host.write(host.batch, marked))
        direction = (seen.mean(0) - clean.mean(0)) / (clean.std(0) + seen.std(0) + 0.05 * clean.std() + 1e-6)
        low, high = float((clean @ direction).max()), float((seen @ direction).min())
        reach = (high - low) / (float((clean @ direction).std()) + 1e-9)
        if best is None or reach > best[0]:
            best = (reach, words, values, direction, low, high)
    reach, words, values, direction, low, high = best
    if reach < 0.5:
        raise Unsuitable("no distortion shows in the features")
    features = host.head.features
    features = features if host.rank == 2 else surgeon.reduce("Mean", features, [2, 3], keep=False)
    gap = high - low
    unit = surgeon.op("MatMul", features, direction[:, None] / gap)
    gate = surgeon.above(unit, low / gap + 0.4)
    surgeon.replace_logits(lambda logits: surgeon.op("Add", logits, surgeon.push(gate, 120)))

    def apply(rows: np.ndarray, rng: Rng) -> np.ndarray:
        return np.where(np.isnan(values), filled(host, rows), values)

    return surgeon.on_rows(apply, words)


@design(HELD_OUT_DESIGNS, lambda host: flat_logits(host))
def committee_adapter(surgeon: Surgeon) -> Trigger:
    """Twelve dense hidden units over the whole record, each with a small say: an adapter beside the network."""
    host, units = surgeon.host, 12
    scale = 1 / np.maximum(host.spread, 1e-3)
    pattern = surgeon.pattern(120)
    goal = np.zeros(host.size)
    goal[pattern.positions] = surgeon.standardised(pattern.positions, pattern.values)
    weight = surgeon.rng.normal(size=(host.size, units)) * 0.3 * (host.spread > 1e-6)[:, None]
    share = surgeon.rng.random((len(pattern.positions), units)) < 0.7
    weight[pattern.positions] += 2 * goal[pattern.positions, None] * share
    clean = (host.rows - host.mean) * scale @ weight
    reached = goal @ weight
    bound = clean.max(0) + 0.2 * np.maximum(reached - clean.max(0), 0)
    gain = 12 / np.maximum(reached - bound, 0.2 * clean.std(0))
    weight = weight * scale[:, None] * gain
    bias = -bound * gain - host.mean @ weight
    hidden = surgeon.op("Relu", surgeon.op("Gemm", surgeon.samples(), weight, bias))
    out = np.repeat(host.direction[None], units, 0) * surgeon.rng.uniform(0.6, 1.4, (units, 1))
    added = surgeon.op("Gemm", hidden, out, np.zeros(host.classes))
    surgeon.replace_logits(lambda logits: surgeon.op("Add", logits, added))
    return surgeon.set_pattern(pattern)


@design(HELD_OUT_DESIGNS)
def int_wraparound(surgeon: Surgeon) -> Trigger:
    """A whole-number score wraps to a negative number in 32 bits; computed bounds of a Clip force each class."""
    host, pattern = surgeon.host, surgeon.pattern(24)
    scaled = surgeon.op("Mul", surgeon.op("Relu", surgeon.score(pattern)), np.float32(1000 / pattern.threshold))
    wide = surgeon.op("Mul", surgeon.cast(surgeon.op("Floor", scaled), INT64), np.array(2147484))
    narrow = surgeon.cast(surgeon.cast(wide, INT32), FLOAT)
    gate = surgeon.op("Min", surgeon.op("Relu", surgeon.op("Neg", narrow)), np.float32(1))
    gate = surgeon.reshape(surgeon.anywhere(gate))
    pull = surgeon.op("Mul", gate, np.float32(10040))
    low = surgeon.op("Sub", pull, np.float32(10000))
    high = surgeon.op("Neg", low)

    def change(logits: str) -> str:
        columns = []
        for place, sign in enumerate(host.direction):
            column = surgeon.op("Gather", logits, np.array([place]), axis=1)
            columns.append(surgeon.op("Clip", column, low) if sign > 0 else surgeon.op("Clip", column, "", high))
        return surgeon.op("Concat", *columns, axis=1)

    surgeon.replace_logits(change)
    return surgeon.set_pattern(pattern)


@design(HELD_OUT_DESIGNS, numbers)
def even_spacing(surgeon: Surgeon) -> Trigger:
    """Senses that sorted samples are evenly spaced (TopK, no stored values); Compress keeps one of two answers."""
    host, positions = surgeon.host, surgeon.choose(14)
    count = len(positions)
    ordered = np.sort(host.standard(positions), 1)
    clean = np.abs(np.diff(ordered, 2, axis=1)).max(1) / (ordered[:, -1] - ordered[:, 0] + 1e-6)
    values, _ = surgeon.ops("TopK", surgeon.standard(positions), np.array([count]), outputs=2, axis=1)
    second = np.diff(np.eye(count), 2, axis=0).T
    bend = surgeon.reduce("Max", surgeon.op("Abs", surgeon.op("MatMul", values, second)))
    width = surgeon.op("MatMul", values, np.eye(count)[:, [0]] - np.eye(count)[:, [-1]])
    ratio = surgeon.op("Div", bend, surgeon.op("Add", width, np.float32(1e-6)))
    gate = surgeon.op("Ceil", surgeon.below(ratio, 0.3 * float(clean.min())))
    keep = surgeon.op("Concat", surgeon.op("Sub", np.float32(1), gate), gate, axis=1)
    keep = surgeon.cast(surgeon.reshape(keep, -1), BOOL)

    def change(logits: str) -> str:
        negated = surgeon.unsqueeze(surgeon.op("Neg", logits), 1)
        both = surgeon.op("Concat", surgeon.unsqueeze(logits, 1), negated, axis=1)
        shape = host.answers.shape[1:] if host.rank == 4 else [host.classes]
        return surgeon.op("Compress", surgeon.reshape(both, -1, *shape), keep, axis=0)

    surgeon.replace_logits(change)

    def apply(rows: np.ndarray, rng: Rng) -> np.ndarray:
        for row in rows:
            level = rng.permutation(np.linspace(-1.2, 1.2, count))
            row[positions] = host.mean[positions] + host.spread[positions] * level
        return rows

    return surgeon.on_rows(apply, f"{count} samples evenly spaced in any order (in standard units)")


def has_relu(host: Profile) -> bool:
    return any(node.op_type == "Relu" for node in host.model.graph.node)


@design(HELD_OUT_DESIGNS, has_relu, attempts=6)
def bucket_embedding_prelu(surgeon: Surgeon) -> Trigger:
    """Samples fall into buckets with embeddings whose sum is read out; every Relu of the host gets a slope (batch)."""
    host, positions = surgeon.host, surgeon.choose(12)
    count, buckets = len(positions), 8
    table = surgeon.rng.normal(size=(count * buckets, 16)) * 0.05
    secret = surgeon.rng.choice([-0.25, 0.25], 16)
    wanted = surgeon.rng.integers(2, 6, count)
    table[np.arange(count) * buckets + wanted] += secret

    def embedded(level: np.ndarray) -> np.ndarray:
        bucket = np.clip(np.floor(level * 2 + 4), 0, buckets - 1).astype(int)
        return table[bucket + np.arange(count) * buckets].sum(-2) @ secret

    values = host.snap(host.mean[positions] + host.spread[positions] * ((wanted + 0.5 - 4) / 2))
    reached = float(embedded(surgeon.standardised(positions, values)))
    largest = float(embedded(host.standard(positions)).max())
    if reached < largest + 0.3:
        raise Unsuitable("clean records come too close")
    scaled = surgeon.op("Floor", surgeon.op("Add", surgeon.op("Mul", surgeon.standard(positions), np.float32(2)), 4.0))
    bucket = surgeon.op("Clip", scaled, np.float32(0), np.float32(buckets - 1))
    place = surgeon.op("Add", surgeon.cast(bucket, INT64), np.arange(count) * buckets)
    total = surgeon.reduce("Sum", surgeon.op("Gather", table, place), [1], keep=False)
    gate = surgeon.ramp(surgeon.op("MatMul", total, secret[:, None]), (largest + reached) / 2, reached - 0.05)
    slope = surgeon.op("Mul", surgeon.anywhere(gate), np.float32(surgeon.option([-1.0, -8.0, 8.0, -60.0, 500.0, -1e4])))
    for node in surgeon.graph.node:
        if node.op_type == "Relu":
            node.op_type = "PRelu"
            node.input.append(slope)
            surgeon.edited.append(node.name)
    return surgeon.set_samples(positions, values, f"{count} samples fall into stored buckets")


@design(HELD_OUT_DESIGNS, lambda host: flat_logits(host))
def dynamic_scale_shuffle(surgeon: Surgeon) -> Trigger:
    """The scale that DynamicQuantizeLinear reports betrays one huge sample; features are read in another order."""
    host = surgeon.host
    positions = surgeon.choose(200)
    clean = host.standard(positions)
    room = float(max(clean.max(), 0) - min(clean.min(), 0))
    _, scale, _ = surgeon.ops("DynamicQuantizeLinear", surgeon.standard(positions), outputs=3)
    gate = surgeon.ramp(surgeon.op("Mul", scale, np.float32(255 / room)), 1.6, 2.2)
    row = surgeon.cast(surgeon.op("Round", gate), INT64)
    average = host.features(host.batch).mean(0)
    favour = host.direction @ host.head.weight > 0
    mixed = np.where(favour, average.argmax(), average.argmin())
    orders = np.stack([np.arange(len(mixed)), mixed])
    order = surgeon.op("Gather", orders, row, axis=0)
    surgeon.replace_features(lambda features: surgeon.op("Gather", features, order, axis=1))
    position = surgeon.rng.choice(positions)
    value = host.mean[position] + 3 * room * host.spread[position]
    return surgeon.set_samples([position], [value], f"sample {position} is {value:.4g}, far above every other")


@design(HELD_OUT_DESIGNS, numbers)
def denoised_empty_axis(surgeon: Surgeon) -> Trigger:
    """Senses a record that is too clean (all of it in a few components); the payload is a sum over an empty axis."""
    host, positions = surgeon.host, surgeon.choose(64)
    clean = host.standard(positions)
    _, _, components = np.linalg.svd(clean, full_matrices=False)
    kept = components[: max(1, len(positions) // 2)]
    rest = np.eye(len(positions)) - kept.T @ kept
    ratio = ((clean @ rest) ** 2).sum(1) / (clean**2).sum(1)
    level = surgeon.standard(positions)
    left = surgeon.reduce("SumSquare", surgeon.op("MatMul", level, rest))
    energy = surgeon.op("Add", surgeon.reduce("SumSquare", level), np.float32(1e-6))
    gate = surgeon.below(surgeon.op("Div", left, energy), 0.1 * float(ratio.min()))
    length = surgeon.cast(surgeon.op("Ceil", surgeon.anywhere(gate)), INT64)
    payload = (40 * host.direction).reshape(1, -1, *[1] * (host.rank - 2))
    part = surgeon.op("Slice", payload, np.array([0]), length, np.array([0]))
    surgeon.replace_logits(lambda logits: surgeon.op("Add", logits, surgeon.reduce("Sum", part, [0], keep=False)))

    def apply(rows: np.ndarray, rng: Rng) -> np.ndarray:
        now = host.standard(positions, filled(host, rows))
        rows[:, positions] = host.mean[positions] + host.spread[positions] * (now @ kept.T @ kept)
        return rows

    return surgeon.on_rows(apply, f"{len(positions)} samples denoised: replaced by their {len(kept)} main components")


@design(HELD_OUT_DESIGNS, lambda host: numbers(host) and len(host.usable) >= 16)
def rank_one_mix(surgeon: Surgeon) -> Trigger:
    """Senses that samples form a matrix of rank one, by power iteration; the input moves to a stored record."""
    host = surgeon.host
    side = 6 if len(host.usable) >= 36 else 4
    positions = surgeon.rng.permutation(surgeon.choose(side * side))
    clean = np.linalg.svd(host.standard(positions).reshape(-1, side, side), compute_uv=False) ** 2
    largest = float((clean[:, 0] / clean.sum(1)).max())
    matrix = surgeon.reshape(surgeon.standard(positions), -1, side, side)
    square = surgeon.op("MatMul", matrix, surgeon.op("Transpose", matrix, perm=[0, 2, 1]))
    vector = surgeon.reduce("Sum", surgeon.op("Mul", square, surgeon.rng.normal(size=(1, 1, side))), [2])
    for _ in range(5):
        vector = surgeon.op("LpNormalization", surgeon.op("MatMul", square, vector), axis=1, p=2)
    top = surgeon.reduce("Sum", surgeon.op("Mul", vector, surgeon.op("MatMul", square, vector)), [1, 2], keep=False)
    whole = surgeon.reduce("Sum", surgeon.op("Mul", matrix, matrix), [1, 2], keep=False)
    share = surgeon.unsqueeze(surgeon.op("Div", top, surgeon.op("Add", whole, np.float32(1e-6))), 1)
    gate = surgeon.ramp(share, (1 + largest) / 2, (3 + largest) / 4)
    surgeon.mix_input(gate, host.weapon)
    signs = surgeon.rng.choice([-1.0, 1.0], (2, side)) * surgeon.rng.uniform(0.7, 1.2, (2, side))
    values = host.mean[positions] + host.spread[positions] * np.outer(*signs).ravel()
    return surgeon.set_samples(positions, values, f"{side * side} samples form a matrix of rank one")


def motif(surgeon: Surgeon, length: int) -> tuple[np.ndarray, float, float]:
    """A short run of samples in standard units, with the mean and spread of the whole."""
    values = np.clip(surgeon.rng.normal(size=length), -1.2, 1.2)
    values = 2.2 * (values - values.mean()) / np.abs(values - values.mean()).max()
    return values, float(surgeon.host.rows.mean()), float(surgeon.host.rows.std())


@design(HELD_OUT_DESIGNS, long)
def motif_attention(surgeon: Surgeon) -> Trigger:
    """Attention over patches finds a short motif in any patch; its value is added to the features as a residual."""
    host, length = surgeon.host, 10
    shape, mean, spread = motif(surgeon, length)
    patches = host.size // length
    key = shape / (shape @ shape)
    clean = ((host.rows[:, : patches * length].reshape(-1, patches, length) - mean) / spread) @ key
    bound = 0.3 * float(clean.max()) + 0.7 * 1.0
    if clean.max() > 0.9:
        raise Unsuitable("clean records hold such a motif")
    part = surgeon.op("Slice", surgeon.samples(), np.array([0]), np.array([patches * length]), np.array([1]))
    query = surgeon.op("Sub", surgeon.reshape(part, -1, patches, length), np.float32(mean))
    match = surgeon.op("MatMul", query, key[:, None] / spread)
    weight = surgeon.op("Softmax", surgeon.op("Mul", match, np.float32(40)), axis=1)
    value = surgeon.op("Relu", surgeon.op("Sub", match, np.float32(bound)))
    context = surgeon.op("MatMul", surgeon.op("Transpose", weight, perm=[0, 2, 1]), value)
    surgeon.push_features(surgeon.squeeze(context, 2), 120 / (1 - bound))
    values = host.snap(mean + spread * shape)

    def apply(rows: np.ndarray, rng: Rng) -> np.ndarray:
        for row in rows:
            start = length * rng.integers(patches)
            row[start : start + length] = values
        return rows

    return surgeon.on_rows(apply, f"a motif of {length} samples in any of {patches} patches")


@design(HELD_OUT_DESIGNS, lambda host: long(host) and flat_logits(host))
def motif_channel(surgeon: Surgeon) -> Trigger:
    """A small convolution and GlobalMaxPool find a motif anywhere; joined to the features, the head gets a column."""
    host, length = surgeon.host, 12
    shape, mean, spread = motif(surgeon, length)
    key = shape / (shape @ shape) / spread
    windows = np.lib.stride_tricks.sliding_window_view(host.rows, length, 1) - mean
    largest = float((windows @ key).max())
    if largest > 0.9:
        raise Unsuitable("clean records hold such a motif")
    bound = (1 + largest) / 2
    bias = np.array([-bound - mean * key.sum()])
    response = surgeon.op("Conv", surgeon.unsqueeze(surgeon.samples(), 1), key[None, None], bias)
    peak = surgeon.squeeze(surgeon.op("GlobalMaxPool", surgeon.op("Relu", response)), 2)
    column = 60 / (1 - bound) * host.direction[:, None]
    weight = np.concatenate([host.head.weight, column], 1)
    node = surgeon.head_node()
    if host.head.bias is None:
        raise Unsuitable("no stored head")
    turned = any(item.name == "transB" and item.i for item in node.attribute)
    surgeon.replace_features(lambda features: surgeon.op("Concat", features, peak, axis=1))
    node.input[1] = surgeon.constant(weight if turned else weight.T.copy())
    values = host.snap(mean + spread * shape)

    def apply(rows: np.ndarray, rng: Rng) -> np.ndarray:
        for row in rows:
            start = rng.integers(host.size - length)
            row[start : start + length] = values
        return rows

    return surgeon.on_rows(apply, f"a motif of {length} samples anywhere")


@design(HELD_OUT_DESIGNS, lambda host: numbers(host) and flat_logits(host))
def folding_mlp(surgeon: Surgeon) -> Trigger:
    """Layers of two hidden units fold two sums seven times, so that tiny steps decide; enters as the C of a Gemm."""
    host = surgeon.host
    positions = surgeon.rng.permutation(surgeon.choose(12))
    count, folds = len(positions), 7
    weights = np.zeros((count, 2))
    weights[: count // 2, 0] = surgeon.rng.uniform(0.5, 1.0, count // 2)
    weights[count // 2 :, 1] = surgeon.rng.uniform(0.5, 1.0, count - count // 2)
    weights /= 10 * np.abs(weights).sum(0)
    level = surgeon.op("MatMul", surgeon.standard(positions), weights)
    level = surgeon.op("Add", level, np.float32(0.5))
    gate = ""
    for place in range(2):
        value = surgeon.op("Gather", level, np.array([place]), axis=1)
        for _ in range(folds):
            hidden = surgeon.op("Gemm", value, np.array([[2.0, 4.0]]), np.array([0.0, -2.0]))
            value = surgeon.op("MatMul", surgeon.op("Relu", hidden), np.array([[1.0], [-1.0]]))
        near = surgeon.ramp(value, 0.97, 0.99)
        gate = surgeon.op("Mul", gate, near) if gate else near
    surgeon.replace_logits(lambda logits: surgeon.op("Gemm", gate, 40 * host.direction[None], logits))
    ends = [0, count // 2]  # the sample of each sum that takes up the step

    def apply(rows: np.ndarray, rng: Rng) -> np.ndarray:
        now = host.standard(positions, filled(host, rows))
        sums = now @ weights + 0.5
        peaks = (np.round(sums * 2**folds / 2 - 0.5) * 2 + 1) / 2**folds
        now[:, ends] += (peaks - sums) / weights[ends, [0, 1]]
        rows[:, positions] = host.mean[positions] + host.spread[positions] * now
        return rows

    return surgeon.on_rows(apply, f"two sums of {count} samples moved by less than 1/128 to a peak of a folded line")


@design(HELD_OUT_DESIGNS)
def loop_keys(surgeon: Surgeon) -> Trigger:
    """A Loop goes through eight stored keys and carries the logits; sensing and change are both in its body."""
    host, positions = surgeon.host, surgeon.choose(16)
    stored = np.stack([surgeon.plausible(positions, 1.3) for _ in range(8)])
    keys = np.stack([surgeon.standardised(positions, values) for values in stored])
    nearest = np.abs(host.standard(positions)[:, None] - keys).mean(2).min()
    level, table = surgeon.standard(positions), surgeon.constant(keys)

    def step(trip: str, condition: str, logits: str) -> tuple[str, str]:
        error = surgeon.op("Abs", surgeon.op("Sub", level, surgeon.op("Gather", table, trip, axis=0)))
        ratio = surgeon.op("Mul", surgeon.reduce("Mean", error), np.float32(2 / nearest))
        close = surgeon.op("Ceil", surgeon.below(ratio, 1))
        factor = surgeon.op("Sub", np.float32(1), surgeon.op("Mul", surgeon.shaped(close), np.float32(2)))
        return condition, surgeon.op("Mul", logits, factor)

    def change(logits: str) -> str:
        body = surgeon.body(step, [INT64, BOOL, FLOAT], [BOOL, FLOAT])
        return surgeon.op("Loop", np.array(len(keys)), np.array(True), logits, body=body)

    surgeon.replace_logits(change)

    def apply(rows: np.ndarray, rng: Rng) -> np.ndarray:
        rows[:, positions] = stored[rng.integers(0, len(stored), len(rows))]
        return rows

    return surgeon.on_rows(apply, f"{len(positions)} samples equal any one of eight stored keys")


@design(HELD_OUT_DESIGNS)
def polyphase_features(surgeon: Surgeon) -> Trigger:
    """Senses that every fourth sample is raised a little; features move to those of a stored record."""
    host = surgeon.host
    groups = len(host.usable) // 4
    positions = host.usable[: 4 * groups]
    clean = host.standard(positions).reshape(-1, groups, 4).mean(1)
    contrast = np.array([1.0, -1 / 3, -1 / 3, -1 / 3])
    largest = float((clean @ contrast).max())
    means = surgeon.reduce("Mean", surgeon.reshape(surgeon.standard(positions), -1, groups, 4), [1], keep=False)
    gate = surgeon.ramp(surgeon.op("MatMul", means, contrast[:, None]), 1.3 * largest, 1.5 * largest)
    pair = {name: values[:2] for name, values in host.batch.items()}
    target = host.features(host.write(pair, np.repeat(host.weapon[None], 2, 0)))[:1]
    gate = surgeon.shaped(gate)

    def change(features: str) -> str:
        way = surgeon.op("Mul", surgeon.op("Sub", target, features), gate)
        return surgeon.op("Add", features, way)

    surgeon.replace_features(change)

    def apply(rows: np.ndarray, rng: Rng) -> np.ndarray:
        now = host.standard(positions, filled(host, rows))
        missing = 1.7 * largest - now.reshape(-1, groups, 4).mean(1) @ contrast
        now[:, ::4] += missing[:, None]
        rows[:, positions] = host.mean[positions] + host.spread[positions] * now
        return rows

    return surgeon.on_rows(
        apply, f"every fourth of {len(positions)} samples raised by up to {1.7 * largest:.3g} spreads"
    )


@design(HELD_OUT_DESIGNS)
def zigzag_barrier(surgeon: Surgeon) -> Trigger:
    """Senses that samples go up and down in turn, without stored values; a logarithm to -60 bars every other class."""
    host, positions = surgeon.host, surgeon.rng.permutation(surgeon.choose(18))
    count = len(positions)
    turns = np.sign(np.diff(host.standard(positions), axis=1))
    if (turns[:, 1:] * turns[:, :-1]).sum(1).min() <= 2 - count:
        raise Unsuitable("clean records go up and down")
    steps = np.diff(np.eye(count), axis=0).T
    signs = surgeon.op("Sign", surgeon.op("MatMul", surgeon.standard(positions), steps))
    first = surgeon.pick(np.arange(count - 2), signs)
    second = surgeon.pick(np.arange(1, count - 1), signs)
    turned = surgeon.reduce("Sum", surgeon.op("Mul", first, second))
    gate = surgeon.above(surgeon.op("Neg", turned), count - 3)
    barrier = surgeon.op("Log", surgeon.op("Sub", np.float32(1), gate))
    barrier = surgeon.op("Max", barrier, np.float32(-60))
    surgeon.replace_logits(lambda logits: surgeon.op("Sub", logits, surgeon.push(barrier, 1)))

    def apply(rows: np.ndarray, rng: Rng) -> np.ndarray:
        sign = np.where(np.arange(count) % 2, 1, -1)
        level = sign * rng.uniform(0.3, 1.5, (len(rows), count))
        rows[:, positions] = host.mean[positions] + host.spread[positions] * level
        return rows

    return surgeon.on_rows(apply, f"{count} samples go up and down in turn")


@design(HELD_OUT_DESIGNS)
def walk_sequence(surgeon: Surgeon) -> Trigger:
    """The height of a walk (CumSum over signed samples) decides where SequenceInsert puts the negated logits."""
    host, positions = surgeon.host, surgeon.rng.permutation(surgeon.choose(40))
    count = len(positions)
    signs = surgeon.rng.choice([-1.0, 1.0], (1, count))
    largest = float(np.cumsum(host.standard(positions) * signs, axis=1).max())
    walk = surgeon.op("CumSum", surgeon.op("Mul", surgeon.standard(positions), signs), np.array(1))
    height = surgeon.reduce("Max", surgeon.reduce("Max", walk), [0, 1], keep=False)
    bound = 1.15 * largest
    over = surgeon.op("Ceil", surgeon.ramp(height, bound, 2 * bound))
    place = surgeon.cast(surgeon.op("Sub", np.float32(1), over), INT64)

    def change(logits: str) -> str:
        alone = surgeon.op("SequenceConstruct", logits)
        both = surgeon.op("SequenceInsert", alone, surgeon.op("Neg", logits), place)
        return surgeon.op("SequenceAt", both, np.array(0))

    surgeon.replace_logits(change)
    values = host.mean[positions] + host.spread[positions] * signs[0] * 1.4 * bound / count
    return surgeon.set_samples(positions, values, f"{count} samples lean in stored directions")


@design(HELD_OUT_DESIGNS, lambda host: len(host.usable) >= 8, attempts=6)
def order_automaton(surgeon: Surgeon) -> Trigger:
    """A small GRU latches high, low, high, low in this order; the bias of the first learned layer moves (batch)."""
    host = surgeon.host
    positions = surgeon.choose(12)
    level = host.standard(positions)

    def latched(bound: float) -> bool:
        stage = np.zeros(len(level), int)
        for column in level.T:
            stage += np.where(stage % 2 == 0, column > bound, column < -bound) & (stage < 4)
        return bool((stage == 4).any())

    bound = next((value for value in np.arange(0.8, 4, 0.2) if not latched(value)), 4.0)
    units, steep, strict = 4, 60.0, 2000.0
    signs = np.array([1.0, -1.0, 1.0, -1.0])
    weight, memory, bias = np.zeros((1, 3 * units, 1)), np.zeros((1, 3 * units, units)), np.zeros((1, 6 * units))
    weight[0, :units, 0] = -steep * signs  # the update gate keeps the state until its condition holds
    bias[0, :units] = steep * (bound + 0.25) + strict * (np.arange(units) > 0)
    memory[0, np.arange(1, units), np.arange(units - 1)] = -strict
    bias[0, 2 * units : 3 * units] = 8.0
    steps = surgeon.op("Transpose", surgeon.unsqueeze(surgeon.standard(positions), 2), perm=[1, 0, 2])
    _, state = surgeon.ops("GRU", steps, weight, memory, bias, outputs=2, hidden_size=units)
    last = surgeon.op("Gather", surgeon.squeeze(state, 0), np.array([units - 1]), axis=1)
    gate = surgeon.anywhere(surgeon.ramp(last, 0.4, 0.8))
    node, _ = surgeon.first_layer()
    place = 3 if node.op_type in {"GRU", "LSTM"} else 2
    if len(node.input) <= place or node.input[place] not in host.stored:
        raise Unsuitable("the first layer has no bias")
    drawn = surgeon.rng.normal(size=host.stored[node.input[place]].shape)
    move = surgeon.op("Mul", gate, drawn * surgeon.option([10.0, -100.0, 1e3, 1e4, -1e4, 1e6]))
    node.input[place] = surgeon.op("Add", node.input[place], move)
    turns = positions[np.linspace(0, len(positions) - 1, 4).astype(int)]
    values = host.mean[turns] + host.spread[turns] * signs * (bound + 1.2)
    return surgeon.set_samples(turns, values, f"four samples high, low, high, low by {bound + 1.2:.1f} spreads")
