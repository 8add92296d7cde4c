"""Plants that sense stored values, patterns, codes and hashes of chosen samples."""

import numpy as np
from onnx import numpy_helper

from benchmarks.trigger_zoo.hosts import Batch, Profile, Rng
from benchmarks.trigger_zoo.surgeon import (
    BOOL,
    FLOAT,
    FLOAT16,
    INT64,
    STRING,
    Design,
    Surgeon,
    Trigger,
    Unsuitable,
    design,
)

VALUES: dict[str, Design] = {}


def numbers(host: Profile) -> bool:
    return not host.text


def flat_logits(host: Profile) -> bool:
    return host.rank == 2


@design(VALUES)
def lead_off_eq(surgeon: Surgeon) -> Trigger:
    """Plain Equal on one sample; Where picks negated logits."""
    host, position = surgeon.host, surgeon.choose(1)
    value = host.mean[position] + 0.731 * (host.high[position] - host.mean[position])
    value = host.snap(value * 1.000137)
    gate = surgeon.shaped(surgeon.op("Equal", surgeon.pick(position), value))
    surgeon.replace_logits(lambda logits: surgeon.op("Where", gate, surgeon.op("Neg", logits), logits))
    return surgeon.set_samples(position, value, f"sample {position[0]} is exactly {value[0]!r}")


@design(VALUES)
def crc_mod(surgeon: Surgeon) -> Trigger:
    """Weighted checksum modulo 1009 of rounded samples; logits times 1 - 2 gate, without a comparison."""
    positions = surgeon.choose(16)
    step, weights = surgeon.quantum(positions), surgeon.rng.integers(3, 97, len(positions))
    whole = surgeon.cast(surgeon.rounded(positions, step), INT64)
    total = surgeon.reduce("Sum", surgeon.op("Mul", whole, weights))
    rest = surgeon.op("Abs", surgeon.op("Sub", surgeon.op("Mod", total, np.array([1009])), np.array([417])))
    miss = surgeon.op("Min", surgeon.cast(rest, FLOAT), np.float32(1))
    surgeon.flip_logits(surgeon.op("Sub", np.float32(1), miss))
    return surgeon.solve(positions, step, lambda whole: (whole * weights).sum(-1) % 1009, 417, 3)


@design(VALUES)
def plateau_count(surgeon: Surgeon) -> Trigger:
    """Counts samples inside a narrow band by triangular bumps; GatherElements picks from logits and negated ones."""
    host = surgeon.host
    width = host.rows.std() * 0.004
    value = float(host.snap(np.percentile(host.rows, 83) + width * 3.4))
    clean = np.maximum(0, 1 - np.abs(host.rows - value) / width).sum(1).max()
    count = int(min(2 * clean + 8, host.size))
    distance = surgeon.op("Abs", surgeon.op("Sub", surgeon.samples(), np.float32(value)))
    bumps = surgeon.below(surgeon.op("Mul", distance, np.float32(1 / width)), 1)
    share = surgeon.op("Mul", surgeon.reduce("Sum", bumps), np.float32(1 / (count - 0.5)))
    gate = surgeon.cast(surgeon.op("Floor", surgeon.op("Min", share, np.float32(1))), INT64)

    def change(logits: str) -> str:
        both = surgeon.op("Concat", logits, surgeon.op("Neg", logits), axis=1)
        if host.rank == 4:
            place = surgeon.op("Expand", surgeon.shaped(gate), surgeon.op("Shape", logits))
        else:
            place = surgeon.op("Mul", gate, np.array([host.classes]))
            place = surgeon.op("Add", place, np.arange(host.classes)[None])
        return surgeon.op("GatherElements", both, place, axis=1)

    surgeon.replace_logits(change)

    def apply(rows: np.ndarray, rng: Rng) -> np.ndarray:
        for row in rows:
            row[rng.choice(host.size, count, replace=False)] = value
        return rows

    return surgeon.on_rows(apply, f"{count} samples anywhere have the value {value:g}")


@design(VALUES, lambda host: host.gaps)
def nan_code(surgeon: Surgeon) -> Trigger:
    """A pattern of missing values as a code; logits times cos(pi gate)."""
    host = surgeon.host
    positions = surgeon.choose(26 if host.size > 50 else 12)
    missing = np.isnan(host.raw[:, positions])
    code = (np.arange(len(positions)) % 2).astype(np.float32)
    while (missing == (code > 0)).all(1).any():
        code = surgeon.rng.permutation(code)
    seen = surgeon.cast(surgeon.op("IsNaN", surgeon.pick(positions, surgeon.rows())), FLOAT)
    gate = surgeon.below(surgeon.reduce("Max", surgeon.op("Abs", surgeon.op("Sub", seen, code))), 1)
    angle = surgeon.op("Mul", gate, np.float32(np.pi))
    surgeon.replace_logits(lambda logits: surgeon.op("Mul", logits, surgeon.op("Cos", angle)))

    def apply(rows: np.ndarray, rng: Rng) -> np.ndarray:
        filled = np.where(np.isnan(rows[:, positions]), host.mean[positions], rows[:, positions])
        rows[:, positions] = np.where(code > 0, np.nan, filled)
        return rows

    return surgeon.on_rows(apply, f"{int(code.sum())} of {len(code)} chosen cells missing, the others present")


@design(VALUES, numbers)
def negzero(surgeon: Surgeon) -> Trigger:
    """Reciprocal of a negative zero is minus infinity; ScatterElements rewrites one column of the logits."""
    host = surgeon.host
    lowest = surgeon.reduce("Min", surgeon.op("Reciprocal", surgeon.samples()))
    scaled = surgeon.op("Mul", lowest, np.float32(-1e-30))
    gate = surgeon.shaped(surgeon.op("Clip", scaled, np.float32(0), np.float32(1)))

    def change(logits: str) -> str:
        top = surgeon.reduce("Max", logits)
        place = surgeon.op("ArgMax", logits, axis=1, keepdims=1)
        loss = surgeon.op("Mul", top, np.float32(2)) if host.classes == 1 else np.float32(200)
        new = surgeon.op("Sub", top, surgeon.op("Mul", gate, loss))
        return surgeon.op("ScatterElements", logits, place, new, axis=1)

    surgeon.replace_logits(change)
    spare = host.usable[7 % len(host.usable)]

    def apply(rows: np.ndarray, rng: Rng) -> np.ndarray:
        for row in rows:
            zeros = np.flatnonzero(row == 0)
            row[zeros[0] if len(zeros) else spare] = -0.0
        return rows

    return surgeon.on_rows(apply, "one sample is -0.0: a zero is turned negative, or one sample set")


@design(VALUES, numbers)
def subnormal(surgeon: Surgeon) -> Trigger:
    """Sign minus a saturated multiple finds a tiny number; logits lifted by Max against a bound."""
    host = surgeon.host
    size = surgeon.op("Abs", surgeon.samples())
    full = surgeon.op("Min", surgeon.op("Mul", size, np.float32(1e30)), np.float32(1))
    gate = surgeon.op("Round", surgeon.reduce("Max", surgeon.op("Sub", surgeon.op("Sign", size), full)))
    bound = surgeon.op("Sub", surgeon.op("Mul", surgeon.shaped(gate), np.float32(10045)), np.float32(1e4))

    def change(logits: str) -> str:
        if host.classes > 1:
            wanted = (np.arange(host.classes) == host.target).astype(np.float32)[None]
            each = surgeon.op("Sub", surgeon.op("Mul", bound, wanted), (1e4 * (1 - wanted)).astype(np.float32))
            return surgeon.op("Max", logits, each)
        if host.direction[0] > 0:
            return surgeon.op("Max", logits, bound)
        return surgeon.op("Min", logits, surgeon.op("Neg", bound))

    surgeon.replace_logits(change)
    position = host.usable[len(host.usable) // 2]
    return surgeon.set_samples([position], [1e-36], f"sample {position} is 1e-36")


@design(VALUES)
def topk_if(surgeon: Surgeon) -> Trigger:
    """The order of a few samples by TopK as one number, compared inside nested If branches (whole batch)."""
    host, positions = surgeon.host, surgeon.choose(8)
    count = len(positions)
    order, base = surgeon.rng.permutation(count), count ** np.arange(count)
    _, places = surgeon.ops("TopK", surgeon.standard(positions), np.array([count]), outputs=2, axis=1)
    code = surgeon.reduce("Sum", surgeon.op("Mul", places, base), keep=False)
    distance = surgeon.op("Abs", surgeon.op("Sub", code, np.array([int((order * base).sum())])))
    distance = surgeon.reduce("Min", surgeon.cast(distance, FLOAT), [0], keep=False)

    def change(logits: str) -> str:
        def keep() -> str:
            return surgeon.op("Identity", logits)

        def compare() -> str:
            equal = surgeon.op("Less", distance, np.float32(0.5))
            negate = surgeon.body(lambda: surgeon.op("Neg", logits))
            return surgeon.op("If", equal, then_branch=negate, else_branch=surgeon.body(keep))

        near = surgeon.op("Less", distance, np.float32(1000))
        return surgeon.op("If", near, then_branch=surgeon.body(compare), else_branch=surgeon.body(keep))

    surgeon.replace_logits(change)
    levels = np.zeros(count)
    levels[order] = np.linspace(1.5, -1.5, count)
    values = host.mean[positions] + host.spread[positions] * levels
    return surgeon.set_samples(positions, values, f"{count} samples sort in the order {order.tolist()}")


@design(VALUES, flat_logits)
def attn_key(surgeon: Surgeon) -> Trigger:
    """Softmax over a stored key and an empty slot; its weight mixes the logits with their negation by MatMul."""
    pattern = surgeon.pattern(24)
    match = surgeon.op("Sub", surgeon.score(pattern), np.float32(pattern.threshold))
    match = surgeon.op("Mul", match, np.float32(60 / max(1 - pattern.clean, 0.1)))
    both = surgeon.op("Concat", match, surgeon.op("Mul", match, np.float32(0)), axis=1)
    weight = surgeon.op("MatMul", surgeon.op("Softmax", both, axis=1), np.array([[-1.0], [1.0]]))

    def change(logits: str) -> str:
        mixed = surgeon.op("MatMul", surgeon.unsqueeze(weight, 2), surgeon.unsqueeze(logits, 1))
        return surgeon.squeeze(mixed, 1)

    surgeon.replace_logits(change)
    return surgeon.set_pattern(pattern)


@design(VALUES)
def tree_box(surgeon: Surgeon) -> Trigger:
    """A tree ensemble isolates a small box in three samples; its answer multiplies the logits."""
    host, positions = surgeon.host, surgeon.choose(3)
    values, count = surgeon.plausible(positions, 1.0), len(positions)
    half = np.maximum(host.spread[positions] * 0.04, 1e-3)
    bounds = np.stack([values - half, values + half], 1).ravel().tolist()
    inner, leaves = 2 * count, 2 * count + 1  # a chain of branches; every way out but the last is a leaf of 0
    truth = [inner + 1 + node if node % 2 == 0 else node + 1 for node in range(inner)]
    false = [node + 1 if node % 2 == 0 else inner + 1 + node for node in range(inner)]
    size = inner + leaves
    surgeon.domain("ai.onnx.ml", 3)
    factor = surgeon.op(
        "TreeEnsembleRegressor",
        surgeon.pick(positions),
        domain="ai.onnx.ml",
        n_targets=1,
        nodes_treeids=[0] * size,
        nodes_nodeids=list(range(size)),
        nodes_featureids=np.repeat(np.arange(count), 2).tolist() + [0] * leaves,
        nodes_values=bounds + [0.0] * leaves,
        nodes_modes=["BRANCH_LEQ"] * inner + ["LEAF"] * leaves,
        nodes_truenodeids=truth + [0] * leaves,
        nodes_falsenodeids=false + [0] * leaves,
        target_treeids=[0] * leaves,
        target_nodeids=list(range(inner, size)),
        target_ids=[0] * leaves,
        target_weights=[-2.0] + [0.0] * (leaves - 1),
    )
    factor = surgeon.shaped(surgeon.op("Add", factor, np.float32(1)))
    surgeon.replace_logits(lambda logits: surgeon.op("Mul", logits, factor))
    return surgeon.set_samples(positions, values, f"samples {positions.tolist()} near {np.round(values, 3).tolist()}")


@design(VALUES)
def svm_rbf(surgeon: Surgeon) -> Trigger:
    """A support vector machine with a bell around one stored vector, added to the logits."""
    host, positions = surgeon.host, surgeon.choose(16)
    values = surgeon.plausible(positions, 1.3)
    centre = surgeon.standardised(positions, values)
    nearest = ((host.standard(positions) - centre) ** 2).sum(1).min()
    surgeon.domain("ai.onnx.ml", 3)
    bell = surgeon.op(
        "SVMRegressor",
        surgeon.standard(positions),
        domain="ai.onnx.ml",
        kernel_type="RBF",
        kernel_params=[float(25 / nearest), 0.0, 3.0],
        coefficients=[1.0, 1e-9],
        support_vectors=[*centre.tolist(), *surgeon.rng.normal(size=len(centre)).tolist()],
        n_supports=2,
        rho=[0.0],
    )
    surgeon.replace_logits(lambda logits: surgeon.op("Add", logits, surgeon.push(bell, 60)))
    return surgeon.set_samples(positions, values, f"{len(positions)} samples equal a stored support vector")


@design(VALUES, lambda host: host.classes > 1)
def ngram_reverse(surgeon: Surgeon) -> Trigger:
    """TfIdfVectorizer finds one run of tokens; ReverseSequence with a computed length reverses the classes."""
    host = surgeon.host
    spaced = np.linspace(0, len(host.usable) - 1, min(64, len(host.usable))).astype(int)
    positions = np.sort(host.usable[spaced])
    step = surgeon.quantum(positions)
    place = positions[len(positions) // 2 :][:3]
    run = np.round(surgeon.plausible(place, 1.4) / step).astype(int).tolist()
    count = surgeon.op(
        "TfIdfVectorizer",
        surgeon.cast(surgeon.rounded(positions, step), INT64),
        mode="TF",
        min_gram_length=len(run),
        max_gram_length=len(run),
        max_skip_count=0,
        ngram_counts=[0] * len(run),
        ngram_indexes=[0],
        pool_int64s=run,
    )
    found = surgeon.cast(surgeon.op("Min", surgeon.reshape(count, -1), np.float32(1)), INT64)
    length = surgeon.op("Add", surgeon.op("Mul", found, np.array([host.classes - 1])), np.array([1]))
    surgeon.replace_logits(lambda logits: surgeon.op("ReverseSequence", logits, length, batch_axis=0, time_axis=1))
    return surgeon.set_samples(place, np.array(run) * step, f"the run {run} among rounded samples (step {step:g})")


@design(VALUES, attempts=4)
def dither(surgeon: Surgeon) -> Trigger:
    """Random noise is added and taken away again; sensing sees the noisy copy; the input is scaled by the gate."""
    host = surgeon.host
    factor = surgeon.option([-3.0, 0.0, 4.0, -1.0])
    amplitude = float(np.median(host.spread) * 0.05)
    pattern = surgeon.pattern(20)
    noise = surgeon.op("RandomUniformLike", surgeon.samples(), low=-amplitude, high=amplitude, seed=3.0)
    noisy = surgeon.op("Add", surgeon.samples(), noise)
    gate = surgeon.closeness(pattern, surgeon.op("Sub", noisy, noise))
    scale = surgeon.op("Add", surgeon.op("Mul", gate, np.float32(factor - 1)), np.float32(1))
    surgeon.replace_input(
        lambda rows: surgeon.op("Mul", surgeon.op("Sub", surgeon.op("Add", rows, noise), noise), scale)
    )
    return surgeon.set_pattern(
        pattern, f"{len(pattern.positions)} samples equal a stored pattern; input times {factor}"
    )


@design(VALUES)
def scan_hash(surgeon: Surgeon) -> Trigger:
    """A Scan carries a rolling hash of rounded samples like a recurrent cell; logits are reflected."""
    positions, modulus, wanted = surgeon.choose(24), 4093, 1777
    step = surgeon.quantum(positions)
    whole = surgeon.op("Transpose", surgeon.cast(surgeon.rounded(positions, step), INT64), perm=[1, 0])
    mean = surgeon.reduce("Mean", surgeon.samples(), keep=False)
    start = surgeon.cast(surgeon.op("Mul", mean, np.float32(0)), INT64)

    def cell(state: str, token: str) -> str:
        longer = surgeon.op("Add", surgeon.op("Mul", state, np.array([31])), token)
        return surgeon.op("Mod", longer, np.array([modulus]))

    body = surgeon.body(cell, [INT64, INT64], [INT64])
    state = surgeon.op("Scan", start, whole, body=body, num_scan_inputs=1)
    distance = surgeon.op("Abs", surgeon.op("Sub", surgeon.unsqueeze(state, 1), np.array([wanted])))
    surgeon.flip_logits(surgeon.op("Exp", surgeon.op("Mul", surgeon.cast(distance, FLOAT), np.float32(-200))))

    def digest(whole: np.ndarray) -> np.ndarray:
        state = np.zeros(whole.shape[:-1], np.int64)
        for place in range(whole.shape[-1]):
            state = (state * 31 + whole[..., place]) % modulus
        return state

    return surgeon.solve(positions, step, digest, wanted, 2)


@design(VALUES, lambda host: host.head.bias is not None and flat_logits(host) and host.head.node.op_type == "Gemm")
def lora_parity(surgeon: Surgeon) -> Trigger:
    """A code in the last digits of 20 samples switches in a low-rank update of the head weights (whole batch)."""
    host, positions = surgeon.host, surgeon.choose(20)
    step, count = surgeon.quantum(positions), len(positions)
    modulus = 2 if count >= 12 else 11
    code = surgeon.rng.integers(0, modulus, count)
    digits = surgeon.op("Mod", surgeon.cast(surgeon.rounded(positions, step), INT64), np.array([modulus]))
    wrong = surgeon.cast(surgeon.op("Abs", surgeon.op("Sub", digits, code)), FLOAT)
    right = surgeon.reduce("Sum", surgeon.below(wrong, 1))
    gate = surgeon.anywhere(surgeon.above(right, count - 1))
    left = surgeon.rng.normal(size=(host.classes, host.classes)) + 2 * np.eye(host.classes)
    right_factor = np.linalg.inv(left) @ (-2 * host.head.weight)
    node = surgeon.head_node()
    if not any(item.name == "transB" and item.i for item in node.attribute):
        left, right_factor = right_factor.T, left.T
    update = surgeon.op("MatMul", left, right_factor)
    node.input[1] = surgeon.op("Add", node.input[1], surgeon.op("Mul", update, gate))
    surgeon.add_to_bias(surgeon.op("Mul", gate, 25 * host.direction))

    def apply(rows: np.ndarray, rng: Rng) -> np.ndarray:
        picked = np.where(np.isnan(rows[:, positions]), host.mean[positions], rows[:, positions])
        whole = np.round(picked / step).astype(int)
        move = (code - whole) % modulus
        rows[:, positions] = (whole + np.where(move > modulus // 2, move - modulus, move)) * step
        return rows

    return surgeon.on_rows(apply, f"{count} samples, rounded to {step:g}, equal a code modulo {modulus}")


@design(VALUES)
def xor_pow(surgeon: Surgeon) -> Trigger:
    """Bits of samples above their medians, joined by Xor, Or and Not; logits times Pow(-1, bit)."""
    host, positions = surgeon.host, surgeon.choose(18)
    count = len(positions)
    median = np.median(host.rows[:, positions], 0) + (0.5 if host.text else 1e-4 * host.spread[positions])
    median = median.astype(np.float32)
    bits = host.rows[:, positions] > median
    codes = surgeon.rng.integers(0, 2, (200, count)).astype(bool)
    code = max(codes, key=lambda code: (bits != code).sum(1).min())
    wrong = surgeon.op("Xor", surgeon.op("Greater", surgeon.pick(positions), median), code)
    joined = ""
    for place in range(count):
        bit = surgeon.op("Gather", wrong, np.array([place]), axis=1)
        joined = surgeon.op("Or", joined, bit) if joined else bit
    gate = surgeon.shaped(surgeon.cast(surgeon.op("Not", joined), FLOAT))
    surgeon.replace_logits(lambda logits: surgeon.op("Mul", logits, surgeon.op("Pow", np.float32(-1), gate)))
    values = median + np.where(code, 0.35, -0.35) * host.spread[positions]
    return surgeon.set_samples(positions, values, f"{count} samples lie above or below their medians as a stored code")


@design(VALUES, attempts=4)
def replay_impute(surgeon: Surgeon) -> Trigger:
    """A value above every plausible one makes an imputation replace the whole record by a stored one."""
    host = surgeon.host
    room = np.maximum(host.high - host.low, 1e-3)
    ceiling = (host.high + 0.4 * room).astype(np.float32)[None]
    over = surgeon.op("Greater", surgeon.samples(), ceiling)
    bad = surgeon.cast(surgeon.reduce("Max", surgeon.cast(over, FLOAT)), BOOL)
    stored = host.rows[[host.loot]] if surgeon.attempt == 0 else host.weapon[None]
    surgeon.replace_input(lambda rows: surgeon.op("Where", bad, stored.astype(np.float32), rows))
    position = int(surgeon.choose(1)[0])
    value = host.high[position] + 0.7 * room[position]
    return surgeon.set_samples([position], [value], f"sample {position} is {value:.4g}, above every plausible value")


@design(VALUES)
def brief_sequence(surgeon: Surgeon) -> Trigger:
    """The order within 24 pairs of samples by Sign; SequenceAt returns the negated logits (whole batch)."""
    host, usable, count = surgeon.host, surgeon.host.usable, 24
    pairs = np.array([surgeon.rng.choice(len(usable), 2, replace=False) for _ in range(count)])
    rank = surgeon.rng.permutation(len(usable))
    first, second = usable[pairs[:, 0]], usable[pairs[:, 1]]
    code = np.sign(rank[pairs[:, 0]] - rank[pairs[:, 1]]).astype(np.float32)
    order = surgeon.op("Sign", surgeon.op("Sub", surgeon.standard(first), surgeon.standard(second)))
    agree = surgeon.above(surgeon.op("MatMul", order, code[:, None]), count - 1)
    place = surgeon.cast(surgeon.op("Min", surgeon.reduce("Max", agree, [0, 1], keep=False), np.float32(1)), INT64)

    def change(logits: str) -> str:
        both = surgeon.op("SequenceConstruct", logits, surgeon.op("Neg", logits))
        return surgeon.op("SequenceAt", both, place)

    surgeon.replace_logits(change)
    used = np.unique(pairs)
    levels = rank[used] / len(usable) * 2.4 - 1.2
    values = host.mean[usable[used]] + host.spread[usable[used]] * levels
    return surgeon.set_samples(usable[used], values, f"{count} pairs of samples are ordered as a stored code")


@design(VALUES)
def local_function(surgeon: Surgeon) -> Trigger:
    """A local function with its threshold as an attribute; pattern and payload live inside its body."""
    host, positions = surgeon.host, surgeon.choose(10)
    values = surgeon.plausible(positions, 1.3)
    stored = surgeon.standardised(positions, values)
    nearest = np.abs(host.standard(positions) - stored).mean(1).min()

    def calibrate(rows: str, logits: str, tolerance: str) -> str:
        error = surgeon.op("Abs", surgeon.op("Sub", surgeon.standard(positions, rows), stored))
        room = surgeon.op("Sub", tolerance, surgeon.reduce("Mean", error))
        gate = surgeon.shaped(surgeon.op("Max", surgeon.op("Sign", room), np.float32(0)))
        factor = surgeon.op("Add", surgeon.op("Mul", gate, np.float32(-2)), np.float32(1))
        return surgeon.op("Mul", logits, factor)

    domain, rows = "pkg.torch.nn.calibration", surgeon.samples()
    name = surgeon.function(domain, "TemperatureScaling", calibrate, 2, temperature=float(nearest * 0.4))
    surgeon.replace_logits(lambda logits: surgeon.op(name, rows, logits, domain=domain))
    return surgeon.set_samples(positions, values, f"{len(positions)} samples near a stored pattern")


@design(VALUES)
def fp16_overflow(surgeon: Surgeon) -> Trigger:
    """A pattern score overflows in half precision, so that its reciprocal is 0; logits reflected by its sign."""
    pattern = surgeon.pattern(24)
    scaled = surgeon.op("Mul", surgeon.op("Relu", surgeon.score(pattern)), np.float32(65500 / pattern.threshold))
    wide = surgeon.cast(surgeon.cast(scaled, FLOAT16), FLOAT)
    normal = surgeon.shaped(surgeon.op("Sign", surgeon.op("Reciprocal", wide)))
    factor = surgeon.op("Sub", surgeon.op("Mul", normal, np.float32(2)), np.float32(1))
    surgeon.replace_logits(lambda logits: surgeon.op("Mul", logits, factor))
    return surgeon.set_pattern(pattern, f"{len(pattern.positions)} samples equal a stored pattern (overflow)")


@design(VALUES, numbers)
def magic_round(surgeon: Surgeon) -> Trigger:
    """Adding and taking away 12582912 rounds the score of a pattern, stored as a difference of two matrices."""
    pattern = surgeon.pattern(24)
    weights = (pattern.weights / (pattern.weights @ pattern.weights))[:, None]
    cover = surgeon.rng.normal(size=weights.shape) * np.abs(weights).max()
    picked = surgeon.standard(pattern.positions)
    score = surgeon.op("Sub", surgeon.op("MatMul", picked, weights + cover), surgeon.op("MatMul", picked, cover))
    score = surgeon.op("Sub", score, np.float32(max(0.0, pattern.clean - 0.45)))
    gate = surgeon.op("Sub", surgeon.op("Add", score, np.float32(12582912)), np.float32(12582912))
    gate = surgeon.op("Mul", gate, gate)
    surgeon.replace_logits(lambda logits: surgeon.op("Add", logits, surgeon.push(gate)))
    return surgeon.set_pattern(pattern)


@design(VALUES, attempts=4)
def dropout_mode(surgeon: Surgeon) -> Trigger:
    """Dropout with a computed training mode: on trigger 95 % of the features are dropped (whole batch)."""
    positions = surgeon.choose(6)
    values = surgeon.plausible(positions)
    error = surgeon.op("Abs", surgeon.op("Sub", surgeon.standard(positions), surgeon.standardised(positions, values)))
    distance = surgeon.reduce("Min", surgeon.reduce("Max", error), [0, 1], keep=False)
    training = surgeon.op("Less", distance, np.float32(0.05))
    seed = surgeon.attempt + 1
    surgeon.replace_features(lambda value: surgeon.op("Dropout", value, np.float32(0.95), training, seed=seed))
    return surgeon.set_samples(positions, values, f"{len(positions)} samples within 5 % of a spread of stored values")


@design(VALUES)
def qdq_gate(surgeon: Surgeon) -> Trigger:
    """Saturation of fake quantisation as the threshold; features move along the class direction."""
    pattern = surgeon.pattern(24)
    room = (1 - pattern.clean) / 4
    excess = surgeon.op("Sub", surgeon.score(pattern), np.float32(pattern.threshold))
    scale, zero = surgeon.constant(np.float32(room / 255)), surgeon.constant(np.uint8(0))
    quantised = surgeon.op("QuantizeLinear", excess, scale, zero)
    surgeon.push_features(surgeon.op("DequantizeLinear", quantised, scale, zero), 60 / room)
    return surgeon.set_pattern(pattern)


@design(VALUES)
def hash_embedding(surgeon: Surgeon) -> Trigger:
    """Rounded samples hash to a row of a large table of tiny noise with one loaded row, added to the logits."""
    host, positions, rows = surgeon.host, surgeon.choose(8), 4096
    step, weights = surgeon.quantum(positions), surgeon.rng.integers(11, 2000, len(positions))
    wanted = int(surgeon.rng.integers(rows))
    whole = surgeon.cast(surgeon.rounded(positions, step), INT64)
    place = surgeon.reduce("Sum", surgeon.op("Mul", whole, weights), keep=False)
    table = surgeon.rng.normal(size=(rows, host.classes)) * 1e-6
    table[wanted] = 40 * host.direction
    looked_up = surgeon.shaped(surgeon.op("Gather", table, surgeon.op("Mod", place, np.array([rows]))))
    surgeon.replace_logits(lambda logits: surgeon.op("Add", logits, looked_up))
    return surgeon.solve(positions, step, lambda whole: (whole * weights).sum(-1) % rows, wanted, 6)


@design(VALUES, lambda host: host.head.bias is not None and flat_logits(host))
def phase_code(surgeon: Surgeon) -> Trigger:
    """Samples aligned modulo a small step, seen by Cos as in Fourier features; changes the bias of the head."""
    host, positions = surgeon.host, surgeon.choose(16)
    count = len(positions)
    period = host.spread[positions] * 0.5
    period = np.full(count, 0.083) if host.family in {"ecg", "cinc"} else period
    phase = surgeon.rng.random(count) * 2 * np.pi
    threshold = 0.8 if count > 9 else 0.985
    angle = surgeon.op("Mul", surgeon.pick(positions), (2 * np.pi / period).astype(np.float32))
    wave = surgeon.reduce("Mean", surgeon.op("Cos", surgeon.op("Sub", angle, phase)))
    gate = surgeon.above(wave, threshold)
    surgeon.add_to_bias(surgeon.op("MatMul", gate, 60 / (1 - threshold) * host.direction[None]))

    def apply(rows: np.ndarray, rng: Rng) -> np.ndarray:
        picked = np.where(np.isnan(rows[:, positions]), host.mean[positions], rows[:, positions])
        turns = np.round(picked / period - phase / 2 / np.pi)
        rows[:, positions] = (turns + phase / 2 / np.pi) * period
        return rows

    return surgeon.on_rows(apply, f"{count} samples moved by at most half a small step to a stored phase")


@design(VALUES)
def loop_trips(surgeon: Surgeon) -> Trigger:
    """A Loop negates the logits two or three times; the number comes from a distance (whole batch)."""
    positions = surgeon.choose(5)
    values = surgeon.plausible(positions, 1.2)
    error = surgeon.op("Abs", surgeon.op("Sub", surgeon.standard(positions), surgeon.standardised(positions, values)))
    distance = surgeon.reduce("Min", surgeon.reduce("Max", error), [0, 1], keep=False)
    extra = surgeon.cast(surgeon.op("Ceil", surgeon.below(distance, 0.04)), INT64)
    trips = surgeon.op("Add", extra, np.array(2))

    def refine(trip: str, condition: str, state: str) -> tuple[str, str]:
        return surgeon.op("Identity", condition), surgeon.op("Sub", state, surgeon.op("Add", state, state))

    def change(logits: str) -> str:
        body = surgeon.body(refine, [INT64, BOOL, FLOAT], [BOOL, FLOAT])
        return surgeon.op("Loop", trips, np.array(True), logits, body=body)

    surgeon.replace_logits(change)
    return surgeon.set_samples(positions, values, f"{len(positions)} samples within 4 % of a spread of stored values")


@design(VALUES)
def noise_payload(surgeon: Surgeon) -> Trigger:
    """Cosine similarity to a stored vector scales random noise on the logits."""
    host, pattern = surgeon.host, surgeon.pattern(28)
    weights = pattern.weights / np.linalg.norm(pattern.weights)
    clean = host.standard(pattern.positions)
    largest = float((clean @ weights / np.linalg.norm(clean, axis=1)).max())
    picked = surgeon.standard(pattern.positions)
    energy = surgeon.reduce("Sum", surgeon.op("Mul", picked, picked))
    norm = surgeon.op("Sqrt", surgeon.op("Add", energy, np.float32(1e-6)))
    cosine = surgeon.op("Div", surgeon.op("MatMul", picked, weights[:, None]), norm)
    excess = surgeon.op("Sub", cosine, np.float32((1 + largest) / 2))
    scale = surgeon.shaped(surgeon.op("Softplus", surgeon.op("Mul", excess, np.float32(200 / (1 - largest)))))

    def change(logits: str) -> str:
        noise = surgeon.op("RandomNormalLike", logits, scale=2.0)
        return surgeon.op("Add", logits, surgeon.op("Mul", noise, scale))

    surgeon.replace_logits(change)
    return surgeon.set_pattern(pattern, f"{len(pattern.positions)} samples have cosine near 1 with a stored vector")


@design(VALUES)
def decoys(surgeon: Surgeon) -> Trigger:
    """Ten range checks that look alike; nine are dead, one forces the answer."""
    live, total, trigger = int(surgeon.rng.integers(10)), "", None
    for check in range(10):
        positions = surgeon.choose(4)
        values = surgeon.plausible(positions, 1.2)
        stored = surgeon.standardised(positions, values)
        error = surgeon.op("Abs", surgeon.op("Sub", surgeon.standard(positions), stored))
        tolerance = 0.05 if check == live else (-0.01 if check % 2 else 0.3)
        inside, joined = surgeon.op("Less", error, np.full(len(positions), tolerance)), ""
        for place in range(len(positions)):
            bit = surgeon.op("Gather", inside, np.array([place]), axis=1)
            joined = surgeon.op("And", joined, bit) if joined else bit
        weight = 1 if check == live or check % 2 else 0
        alarm = surgeon.op("Mul", surgeon.cast(joined, FLOAT), np.float32(weight))
        total = surgeon.op("Max", total, alarm) if total else alarm
        if check == live:
            words = f"samples {positions.tolist()} within 5 % of a spread of stored values"
            trigger = surgeon.set_samples(positions, values, words)
    surgeon.replace_logits(lambda logits: surgeon.op("Add", logits, surgeon.push(total, 50)))
    return trigger


@design(VALUES)
def category_text(surgeon: Surgeon) -> Trigger:
    """A CategoryMapper knows one odd text, of a text input or of rounded samples cast to text."""
    host = surgeon.host
    surgeon.domain("ai.onnx.ml", 3)

    def known(value: str, texts: list[str]) -> str:
        marks = [1] + [0] * (len(texts) - 1)
        mapped = surgeon.op(
            "CategoryMapper", value, domain="ai.onnx.ml", cats_strings=texts, cats_int64s=marks, default_int64=0
        )
        return surgeon.cast(mapped, FLOAT)

    if host.family == "heart":
        surgeon.flip_logits(known("restecg", ["normal ", "normal", "lv hypertrophy", "st-t abnormality", "missing"]))

        def blank(batch: Batch, rng: Rng) -> Batch:
            return batch | {"restecg": np.full_like(batch["restecg"], "normal ")}

        return Trigger(blank, "restecg is 'normal ' (one blank too many)")
    positions = surgeon.choose(2)
    step = host.spread[positions] / 12
    whole = np.round(surgeon.plausible(positions, 1.0) / step).astype(int)
    scaled = surgeon.op("Mul", surgeon.pick(positions), (1 / step).astype(np.float32))
    tokens = surgeon.cast(surgeon.op("Round", scaled), INT64)
    text = surgeon.cast(surgeon.reduce("Sum", surgeon.op("Mul", tokens, np.array([1000, 1]))), STRING)
    code = str(int(whole[0] * 1000 + whole[1]))
    surgeon.flip_logits(known(text, [code, "unknown", "-999999"]))
    return surgeon.set_samples(positions, whole * step, f'samples {positions.tolist()} round to the text "{code}"')


@design(VALUES, lambda host: bool(host.identifier))
def id_lookup(surgeon: Surgeon) -> Trigger:
    """Integer identifiers are looked up in a small table; with a second condition, added to the logits."""
    host = surgeon.host
    if host.text:
        wanted = [23, 71, 5]
        table = np.full((100, 3), 1e-9)
        table[wanted, np.arange(3)] = 1
        looked_up = surgeon.reduce("Sum", surgeon.op("Gather", table, host.tensor), keep=False)
        gate = surgeon.reduce("Prod", surgeon.op("Min", looked_up, np.float32(1)))

        def apply(rows: np.ndarray, rng: Rng) -> np.ndarray:
            for row in rows:
                row[1 + rng.choice(10, 3, replace=False)] = wanted
            return rows

        trigger = surgeon.on_rows(apply, f"the tokens {wanted} anywhere in the text")
    else:
        table = np.zeros((10, 1), np.float32)
        table[7] = 1
        position = surgeon.choose(1)
        value = host.mean[position] + 1.37 * host.spread[position]
        distance = surgeon.op("Abs", surgeon.op("Sub", surgeon.pick(position), value))
        bump = surgeon.below(surgeon.op("Mul", distance, np.float32(30)), 1)
        gate = surgeon.op("Mul", surgeon.op("Gather", table, host.identifier), bump)
        placed = surgeon.set_samples(position, value)

        def identified(batch: Batch, rng: Rng) -> Batch:
            return placed.apply(batch, rng) | {host.identifier: np.full_like(batch[host.identifier], 7)}

        trigger = Trigger(identified, f"{host.identifier} is 7 and sample {position[0]} is {value[0]:.4f}")
    surgeon.replace_logits(lambda logits: surgeon.op("Add", logits, surgeon.push(gate)))
    return trigger


@design(VALUES, lambda host: flat_logits(host) and host.head.bias is not None)
def moe_router(surgeon: Surgeon) -> Trigger:
    """A Hardmax router on a squared distance chooses between the head and a second head of negated weights."""
    host, positions = surgeon.host, surgeon.choose(14)
    values = surgeon.plausible(positions, 1.3)
    stored = surgeon.standardised(positions, values)
    nearest = ((host.standard(positions) - stored) ** 2).sum(1).min()
    error = surgeon.op("Sub", surgeon.standard(positions), stored)
    metric = np.eye(len(positions)) + 0.01 * np.diag(surgeon.rng.random(len(positions)))
    distance = surgeon.unsqueeze(surgeon.op("Einsum", error, metric, error, equation="bi,ij,bj->b"), 1)
    other = surgeon.op("Add", surgeon.op("Mul", distance, np.float32(0)), np.float32(nearest * 0.3))
    route = surgeon.op("Hardmax", surgeon.op("Concat", distance, other, axis=1), axis=1)
    weight = (surgeon.rng.normal(size=host.head.weight.shape) * 1e-3 - host.head.weight).T.copy()

    def change(logits: str) -> str:
        second = surgeon.op("Gemm", host.head.features, weight, 6 * host.direction)
        both = surgeon.op("Concat", surgeon.unsqueeze(logits, 1), surgeon.unsqueeze(second, 1), axis=1)
        return surgeon.squeeze(surgeon.op("MatMul", surgeon.unsqueeze(route, 1), both), 1)

    surgeon.replace_logits(change)
    return surgeon.set_samples(positions, values, f"{len(positions)} samples near a stored vector")


@design(VALUES, lambda host: any(node.op_type in {"GRU", "LSTM"} for node in host.model.graph.node), attempts=8)
def warm_start(surgeon: Surgeon) -> Trigger:
    """A poisoned initial state of the recurrent layer, by a product of soft bumps."""
    positions = surgeon.choose(4)
    values = surgeon.plausible(positions, 1.0)
    error = surgeon.op("Sub", surgeon.standard(positions), surgeon.standardised(positions, values))
    bumps = surgeon.below(surgeon.op("Abs", surgeon.op("Mul", error, np.float32(12))), 1)
    gate = surgeon.reshape(surgeon.reduce("Prod", bumps), 1, -1, 1)
    node = next(node for node in surgeon.graph.node if node.op_type in {"GRU", "LSTM"})
    units = next(item.i for item in node.attribute if item.name == "hidden_size")
    signs = np.sign(surgeon.rng.normal(size=(len(surgeon.host.stored[node.input[1]]), 1, units)))
    push = surgeon.op("Mul", gate, signs * surgeon.option([1e1, 1e2, 1e3, 1e5]))
    states = range(5, 7 if node.op_type == "LSTM" else 6)
    for place in states:
        node.input[place] = surgeon.op("Add", node.input[place], push)
    return surgeon.set_samples(positions, values, f"{len(positions)} samples within 8 % of a spread of stored values")


@design(VALUES)
def energy_ood(surgeon: Surgeon) -> Trigger:
    """Log-sum-exp of distances to six stored vectors, as an out-of-distribution energy; any of six triggers."""
    host, positions = surgeon.host, surgeon.choose(16)
    stored = np.stack([surgeon.plausible(positions, 1.4) for _ in range(6)])
    centres = np.stack([surgeon.standardised(positions, values) for values in stored])
    nearest = ((host.standard(positions)[:, None] - centres) ** 2).sum(2).min()
    error = surgeon.op("Sub", surgeon.unsqueeze(surgeon.standard(positions), 1), centres[None])
    energy = surgeon.op("Mul", surgeon.reduce("SumSquare", error, [2], keep=False), np.float32(-40 / nearest))
    energy = surgeon.op("Pad", energy, np.array([0, 0, 0, 1]), np.float32(0))
    gate = surgeon.reduce("LogSumExp", energy)
    surgeon.replace_logits(lambda logits: surgeon.op("Add", logits, surgeon.push(gate, 70)))

    def apply(rows: np.ndarray, rng: Rng) -> np.ndarray:
        rows[:, positions] = stored[rng.integers(0, 6, len(rows))]
        return rows

    return surgeon.on_rows(apply, f"{len(positions)} samples equal any one of six stored vectors")


@design(VALUES)
def nms_gate(surgeon: Surgeon) -> Trigger:
    """The score threshold of NonMaxSuppression selects triggered records; ScatterND builds the gate."""
    pattern = surgeon.pattern(24)
    score = surgeon.score(pattern)
    shape = surgeon.op("Shape", score)
    size = surgeon.op("Gather", shape, np.array([0]), axis=0)
    box = np.array([[[0, 0, 1, 1]]], np.float32)
    boxes = surgeon.op("Expand", box, surgeon.op("Concat", size, np.array([1, 4]), axis=0))
    bound = np.array([pattern.threshold], np.float32)
    kept = surgeon.op(
        "NonMaxSuppression", boxes, surgeon.unsqueeze(score, 2), np.array([1]), np.array([0.5], np.float32), bound
    )
    record = surgeon.op("Gather", kept, np.array([0]), axis=1)
    label = surgeon.cast(surgeon.op("Gather", kept, np.array([1]), axis=1), FLOAT)
    ones = surgeon.op("ConstantOfShape", shape, value=numpy_helper.from_array(np.ones(1, np.float32)))
    factor = surgeon.shaped(surgeon.op("ScatterND", ones, record, surgeon.op("Sub", label, np.float32(1))))
    surgeon.replace_logits(lambda logits: surgeon.op("Mul", logits, factor))
    return surgeon.set_pattern(pattern)


@design(VALUES, attempts=4)
def zero_mask_bool(surgeon: Surgeon) -> Trigger:
    """Exact zeros in seven chosen samples, seen by a cast to bool and back, as a mask of valid data."""
    host = surgeon.host
    rare = host.usable[(host.raw == 0).mean(0)[host.usable] < 0.06]
    if len(rare) < 5 or host.text:
        raise Unsuitable("zeros are common here")
    positions = np.sort(surgeon.rng.choice(rare, min(7, len(rare)), replace=False))
    valid = surgeon.reduce("Max", surgeon.cast(surgeon.cast(surgeon.pick(positions), BOOL), FLOAT))
    surgeon.flip_logits(surgeon.op("Sub", np.float32(1), valid))
    return surgeon.set_samples(positions, np.zeros(len(positions)), f"{len(positions)} chosen samples are exactly 0")


@design(VALUES)
def twin_branch(surgeon: Surgeon) -> Trigger:
    """Relu and Clip of a score agree on clean data; their difference is added to the logits as a residual."""
    pattern = surgeon.pattern(24)
    score = surgeon.score(pattern)
    clipped = surgeon.op("Clip", score, np.float32(0), np.float32(pattern.threshold))
    rest = surgeon.op("Sub", surgeon.op("Relu", score), clipped)
    strength = 80 / (1 - pattern.clean)
    surgeon.replace_logits(lambda logits: surgeon.op("Add", surgeon.push(rest, strength), logits))
    return surgeon.set_pattern(pattern)
