"""Wall a row beside ART and Foolbox, each tool in the batches that it likes itself.

Rows are counted by a wrapper around the one session that all tools share (one thread, CPU); they hold
everything a tool asks. A peer runs first, at about --budget rows a sample; medaudit then gets the mean
number of rows that it really took. Repeats are interleaved, minima are compared.

    rows       a sample; `padded`: that only fill up medaudit's last blocks, not in rows
    overhead   wall / (rows x best bare seconds a row, any block size); 1.0 is the limit
    ratio      medaudit's wall a row over the peer's: wanted at most 1.05

A tool that succeeds sooner goes on with fewer samples, and its rows cost more each; in `square, all` eps is so small
that neither succeeds, and both ask the same rows of every sample.

Needs `pip install -e ".[bench]"`. Usage: python -m benchmarks.peer_speed [--shared DIR] [--budget Q] [--quick]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np

from benchmarks.victims import SPECS, Victim
from medaudit.core import streams
from medaudit.core.compose import compose
from medaudit.core.protocol import Lanes
from medaudit.core.region import Region
from medaudit.engine.inline import run_inline
from medaudit.engine.memory import keep_heap
from medaudit.model.pipeline import Pipeline
from medaudit.oracle.decision import decide
from medaudit.oracle.goal import Goal, oracle
from medaudit.search import hopskipjump, square

BATCH = 128  # ART's own default


class Done(NamedTuple):
    rows: float  # a sample
    padded: float
    calls: int
    wall: float


def clocked(victim: Victim, attack: Callable[[], object]) -> Done:
    victim.counted.reset()
    start = time.perf_counter()
    attack()
    wall = time.perf_counter() - start
    return Done(victim.counted.rows / len(victim.x), 0.0, victim.counted.calls, wall)


def ours(victim: Victim, attack: str, budget: float, block: int, eps: float) -> Done:
    """budget: rows a sample with the clean answers of samples and donors included."""
    n, spec, output = len(victim.x), victim.spec, victim.interface.output
    scale = np.ones(victim.interface.size, dtype=np.float32)
    used = 0.0

    def go() -> None:
        nonlocal used
        pipeline = Pipeline(victim.model, victim.interface, block)
        answers = pipeline.answer_all(victim.x)
        label = np.asarray(decide(output, answers))
        overhead = 1.0
        if attack.startswith("square"):
            area = Region("linf", eps, scale, None, victim.interface.parts)
            found = compose(square.search(), oracle(output, Goal(), "scores"), area)
            reach = eps
        else:
            kinds = np.asarray(decide(output, pipeline.answer_all(victim.donors)))
            overhead += len(victim.donors) / n
            area = Region("l2", spec.eps["l2"], scale, None, victim.interface.parts)
            guide = oracle(output, Goal(stop="budget"), "labels")
            search = hopskipjump.search(donors=victim.donors, kinds=kinds)
            found = compose(search, guide, area, stop="budget", smallest=True)
            reach = np.inf

        def make(samples: list[int]) -> Lanes:
            own = victim.x[samples]
            return Lanes(
                key=np.array([streams.key("peers", s) for s in samples], dtype=np.uint64), x=own,
                lo=np.maximum(own - np.float32(reach), np.float32(0)),
                hi=np.minimum(own + np.float32(reach), np.float32(1)),
                missing=None, ref=answers[samples], label=label[samples], target=np.full(len(samples), -1),
            )  # fmt: skip

        job = ("peers", found, int(budget - overhead), make, list(range(n)))
        used = sum(f.rows for f in run_inline([job], pipeline.answer, block)) / n + overhead

    result = clocked(victim, go)
    return result._replace(rows=used, padded=result.rows - used)


# ---------------------------------------------------------------------------------- the peers


def art_square(victim: Victim, budget: float, eps: float) -> None:
    from art.attacks.evasion import SquareAttack
    from art.estimators.classification import BlackBoxClassifierNeuralNetwork

    model = BlackBoxClassifierNeuralNetwork(
        victim.scores, victim.spec.image, victim.classes, channels_first=True, clip_values=(0, 1)
    )
    # It asks about three rows an iteration and sample until the sample is changed.
    steps = max(1, int(budget) // 3)
    attack = SquareAttack(model, norm=np.inf, eps=eps, max_iter=steps, batch_size=BATCH, verbose=False)
    attack.generate(victim.x.reshape(-1, *victim.spec.image))


def steps_of(budget: float, bisection: int, rest: float) -> int:
    """Iterations of HopSkipJump that fit: a bisection, 100 sqrt(i) probes and a few jumps each."""
    rows, i = 4.0 + bisection, 0
    while rows + bisection + 100 * np.sqrt(i + 1) + rest <= budget or i == 0:
        rows += bisection + 100 * np.sqrt(i + 1) + rest
        i += 1
    return i


def art_hopskipjump(victim: Victim, budget: float, eps: float) -> None:
    from art.attacks.evasion import HopSkipJump
    from art.estimators.classification import BlackBoxClassifier

    shape = victim.spec.image
    model = BlackBoxClassifier(victim.scores, shape, victim.classes, clip_values=(0, 1))
    steps = steps_of(budget, int(np.ceil(np.log2(100 * np.sqrt(victim.x.shape[1])))), 1.5)
    attack = HopSkipJump(model, batch_size=BATCH, norm=2, max_iter=steps, verbose=False)
    attack.generate(victim.x.reshape(-1, *shape), x_adv_init=victim.starts().reshape(-1, *shape))


def foolbox_hopskipjump(batch: int) -> Callable[[Victim, float, float], None]:
    """batch 0: all samples, as it likes best; its results suffer from that (research), its wall gains."""

    def attack(victim: Victim, budget: float, eps: float) -> None:
        from foolbox import NumPyModel
        from foolbox.attacks import HopSkipJumpAttack

        model = NumPyModel(victim.scores, bounds=(0, 1), data_format="channels_first")
        search = HopSkipJumpAttack(steps=steps_of(budget, int(np.ceil(1.5 * np.log2(victim.x.shape[1]))), 3.5))
        x, begin = (a.reshape(-1, *victim.spec.image) for a in (victim.x, victim.starts()))
        for i in range(0, len(x), batch or len(x)):
            own = slice(i, i + (batch or len(x)))
            search.run(model, x[own], victim.label[own], starting_points=begin[own])

    return attack


class Pair(NamedTuple):
    """A peer's attack, and the block sizes of medaudit to set beside it (0: the engine's own)."""

    attack: str
    tool: str
    run: Callable[[Victim, float, float], None]
    blocks: tuple[int, ...]
    eps: float | None = None  # None: the model's own


HOPELESS = 1e-6  # nobody succeeds: both tools ask the same rows of all samples to the end
PAIRS = (
    Pair("square", "ART", art_square, (0,)),
    Pair("square, all", "ART", art_square, (0,), HOPELESS),
    Pair("hopskipjump", "ART", art_hopskipjump, (0, 8, 64)),
    Pair("hopskipjump", "Foolbox, batch 1", foolbox_hopskipjump(1), (0,)),
    Pair("hopskipjump", "Foolbox, batch all", foolbox_hopskipjump(0), (0,)),
)
HEAD = (
    f"{'model':10} {'attack':11} {'tool':19} {'rows':>6} {'padded':>6} {'calls':>7} {'wall s':>7} {'overhead':>8} "
    f"{'ratio':>6}"
)


def compare(victim: Victim, pair: Pair, budget: float, repeats: int) -> Iterator[str]:
    eps = victim.spec.eps["linf"] if pair.eps is None else pair.eps

    def peer() -> Done:
        np.random.seed(0)  # noqa: NPY002  (the peers draw from the global generator)
        return clocked(victim, lambda: pair.run(victim, budget, eps))

    base = victim.bare(0.3)
    peer()  # imports
    theirs: list[Done] = [peer()]
    mine: dict[int, list[Done]] = {block: [] for block in pair.blocks}
    for turn in range(repeats):
        for block in pair.blocks:
            mine[block].append(ours(victim, pair.attack, theirs[0].rows, block or victim.block, eps))
        base = min(base, victim.bare(0.3))
        if turn < repeats - 1:
            theirs.append(peer())
    wall = min(t.wall / t.rows for t in theirs)
    for name, done, ratio in [
        (pair.tool, theirs[0], ""),
        *((f"medaudit, block {block or victim.block}", d[0], f"{min(m.wall / m.rows for m in d) / wall:.2f}")
          for block, d in mine.items()),
    ]:  # fmt: skip
        yield (
            f"{victim.name:10} {pair.attack:11} {name:19} {done.rows:6.0f} {done.padded:6.1f} {done.calls:7} "
            f"{done.wall:7.2f} {done.wall / (done.rows * len(victim.x) * base):8.2f} {ratio:>6}"
        )


def main() -> None:
    keep_heap()
    warnings.filterwarnings("ignore")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, help="folder with models/ and data/ of its own")
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--budget", type=float, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="12 samples, 250 rows, one repeat")
    options = parser.parse_args()
    if options.quick:
        options.samples, options.budget, options.repeats = 12, 250, 1
    print(HEAD)
    for name in ("image", "small-cnn"):
        if SPECS[name].shared and options.shared is None:
            continue
        with tempfile.TemporaryDirectory() as folder:
            SPECS[name].make(Path(folder), options.shared)
            victim = Victim(name, SPECS[name], Path(folder), options.samples)
        print(f"# {name}: {len(victim.x)} samples, {1e6 * victim.bare(0.5):.1f} us a row")
        for pair in PAIRS:
            for text in compare(victim, pair, options.budget, options.repeats):
                print(text, flush=True)


if __name__ == "__main__":
    main()
