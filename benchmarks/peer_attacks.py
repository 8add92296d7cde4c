"""The attacks of ART, Foolbox, torchattacks and AutoAttack, one small function each, asked sample by sample.

A peer is judged by all it ever asked, not by what it returns: `Watched` answers one sample's rows, notes the
first changed point inside eps and the nearest changed point after each budget, and ends the attack by an
exception once nothing can change any more. So no library's own count, check or stop is needed, its
settings are its defaults, and iterations are set beyond the budget; where steps or windows are scaled
by the number of iterations, the attack runs once a budget (`tuned`).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from benchmarks.victims import Victim
from medaudit.core.region import L0, L2, LINF

MANY = 10**6  # iterations: the budget ends first


class Enough(Exception):  # noqa: N818  (an end, not an error)
    """Nothing that the attack asks from here on counts."""


class Watched:
    """One sample's view of the model; the first `budgets[-1]` rows count."""

    def __init__(self, victim: Victim, sample: int, norm: str, budgets: tuple[int, ...], nearest: bool) -> None:
        self.victim, self.norm, self.budgets, self.nearest = victim, norm, budgets, nearest
        self.x, self.label = victim.x[sample].astype(np.float64), int(victim.label[sample])
        self.eps = victim.spec.eps[norm]
        self.rows, self.best = 0, np.inf
        self.after = dict.fromkeys(budgets, np.inf)  # size of the nearest changed point

    def __call__(self, points: Any) -> np.ndarray:
        rows = np.asarray(points, dtype=np.float32).reshape(len(points), -1)[:, : len(self.x)]
        scores = self.victim.scores(rows)
        delta = rows - self.x
        changed = scores.argmax(axis=1) != self.label
        changed &= (rows >= -1e-6).all(axis=1) & (rows <= 1 + 1e-6).all(axis=1)
        sizes = np.where(changed, size(self.norm, delta), np.inf)
        for budget in self.budgets:
            inside = sizes[: max(0, budget - self.rows)]
            self.after[budget] = min(self.after[budget], inside.min(initial=np.inf))
        self.rows += len(rows)
        self.best = min(self.best, sizes.min(initial=np.inf))
        if self.rows >= self.budgets[-1] or (not self.nearest and self.best <= reach(self.eps)):
            raise Enough
        return scores


def size(norm: str, delta: np.ndarray) -> np.ndarray:
    if norm == L0:
        return (np.abs(delta) > 1e-6).sum(axis=1).astype(np.float64)
    return np.abs(delta).max(axis=1) if norm == LINF else np.linalg.norm(delta, axis=1)


def reach(eps: float) -> float:
    """What still is inside eps after rounding to float32."""
    return eps * (1 + 1e-5) + 1e-7


class Together:
    """All samples' view of the model, for attacks that ask every sample not yet changed once a step."""

    def __init__(self, victim: Victim, norm: str, budget: int) -> None:
        self.victim, self.norm, self.budget, self.rows = victim, norm, budget, 0
        self.left = np.arange(len(victim.x))
        self.sizes = np.full(len(victim.x), np.inf)

    def __call__(self, points: Any) -> np.ndarray:
        rows = np.asarray(points, dtype=np.float32).reshape(len(points), -1)
        assert len(rows) == len(self.left), "this attack asks samples out of turn"
        scores = self.victim.scores(rows)
        changed = scores.argmax(axis=1) != self.victim.label[self.left]
        delta = rows[changed].astype(np.float64) - self.victim.x[self.left[changed]]
        self.sizes[self.left[changed]] = size(self.norm, delta)
        self.left = self.left[~changed]
        self.rows += 1
        if self.rows >= self.budget or not len(self.left):
            raise Enough
        return scores


class Task(NamedTuple):
    """One sample (or all), as a library sees it."""

    answer: Callable[[Any], np.ndarray]
    x: np.ndarray  # [1, channels, height, width]
    label: np.ndarray  # [1]
    start: np.ndarray  # a clean point of another decision, like x
    norm: str
    eps: float
    classes: int
    budget: int
    seed: int


class Peer(NamedTuple):
    library: str
    name: str
    attack: Callable[[Task], object]
    kinds: tuple[str, ...]
    tuned: bool = False  # its schedule follows the budget: one run each
    square: bool = False  # it wants height and width to be equal
    together: bool = False  # all samples at once, as the library does itself
    most: int = MANY  # rows a sample: far behind there already, and slow


def run(victim: Victim, peer: Peer, norm: str, budgets: tuple[int, ...], nearest: bool) -> dict[int, list[float]]:
    """Size of the nearest changed point of each sample after each budget; inf: none (or outside eps, by scores)."""
    seed_all(0)
    starts = victim.starts()
    budgets = tuple(b for b in budgets if b <= peer.most)
    if peer.together:
        return {budget: run_together(victim, peer, norm, budget) for budget in budgets}
    sizes: dict[int, list[float]] = {budget: [] for budget in budgets}
    for sample in range(len(victim.x)):
        for group in [(b,) for b in budgets] if peer.tuned else [budgets]:
            watched = Watched(victim, sample, norm, group, nearest)
            x, start = (as_image(victim, peer, a[[sample]]) for a in (victim.x, starts))
            task = Task(watched, x, victim.label[[sample]], start, norm, watched.eps, victim.classes, group[-1], sample)
            with suppress(Enough):
                peer.attack(task)
            for budget in group:
                sizes[budget].append(float(watched.after[budget]))
    return sizes


def run_together(victim: Victim, peer: Peer, norm: str, budget: int) -> list[float]:
    watched = Together(victim, norm, budget)
    x = as_image(victim, peer, victim.x)
    with suppress(Enough):
        peer.attack(Task(watched, x, victim.label, x, norm, victim.spec.eps[norm], victim.classes, budget, 0))
    return [float(size) for size in watched.sizes]


def as_image(victim: Victim, peer: Peer, points: np.ndarray) -> np.ndarray:
    """[n, channels, height, width]; where it has to be square, numbers that nobody reads fill it up."""
    channels, height, width = victim.spec.image
    if peer.square and height != width:
        side = int(np.ceil(np.sqrt(points.shape[1])))
        points = np.pad(points, ((0, 0), (0, side * side - points.shape[1])), constant_values=0.5)
        channels, height, width = 1, side, side
    return points.reshape(-1, channels, height, width)


def seed_all(seed: int) -> None:
    import torch

    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  (peers draw from the global generators)
    torch.manual_seed(seed)
    torch.set_num_threads(1)


# ------------------------------------------------------------------------------------------- ART


def art_model(task: Task, network: bool = False) -> Any:
    """network: the variant of the class that attacks made for neural networks insist on."""
    from art.estimators.classification import BlackBoxClassifier, BlackBoxClassifierNeuralNetwork

    shape, limits = task.x.shape[1:], (0.0, 1.0)
    if network:
        return BlackBoxClassifierNeuralNetwork(
            task.answer, shape, task.classes, channels_first=True, clip_values=limits
        )
    return BlackBoxClassifier(task.answer, shape, task.classes, clip_values=limits)


def first_share(task: Task) -> float:
    """Square's first window must be smaller than the shorter side, or both ART and torchattacks fail."""
    height, width = task.x.shape[2:]
    side = min(height, width) - (1 if task.norm == LINF else 2)  # in L2 windows are rounded up to odd sides
    return float(min(0.8, 0.999 * side**2 / (height * width)))


def art_square(task: Task) -> None:
    from art.attacks.evasion import SquareAttack

    # It asks three rows an iteration.
    norm = np.inf if task.norm == LINF else 2
    SquareAttack(
        art_model(task, True), norm=norm, eps=task.eps, max_iter=max(1, task.budget // 3), p_init=first_share(task),
        verbose=False,
    ).generate(task.x)  # fmt: skip


def art_simba(way: str) -> Callable[[Task], None]:
    def attack(task: Task) -> None:
        from art.attacks.evasion import SimBA

        # Its default step of .1 would leave eps at once on some models; a fifth of eps is never much larger.
        step, waves = min(0.1, task.eps / 5), min(task.x.shape[2], 28)
        model, rows = art_model(task, True), task.budget
        SimBA(model, attack=way, epsilon=step, max_iter=rows, freq_dim=waves, verbose=False).generate(task.x)

    return attack


def art_pixel(task: Task) -> None:
    from art.attacks.evasion import PixelAttack

    PixelAttack(art_model(task, True), th=int(task.eps), es=1, max_iter=MANY, verbose=False).generate(task.x)


def art_hopskipjump(task: Task) -> None:
    from art.attacks.evasion import HopSkipJump

    norm = np.inf if task.norm == LINF else 2
    HopSkipJump(art_model(task), norm=norm, max_iter=MANY, verbose=False).generate(task.x, x_adv_init=task.start)


def art_boundary(task: Task) -> None:
    from art.attacks.evasion import BoundaryAttack

    BoundaryAttack(art_model(task), targeted=False, max_iter=MANY, verbose=False).generate(
        task.x, x_adv_init=task.start
    )


def art_sign_opt(task: Task) -> None:
    """It refuses two classes, so it is told of a third, which never wins."""
    from art.attacks.evasion import SignOPTAttack

    if task.classes == 2:
        two = task.answer
        task = task._replace(classes=3, answer=lambda points: np.pad(two(points), ((0, 0), (0, 1))))
    SignOPTAttack(art_model(task, True), targeted=False, max_iter=MANY, query_limit=MANY).generate(task.x)


def art_geoda(task: Task) -> None:
    """It still names `np.mat`, which NumPy 2 took away; given back here, so that it runs at all."""
    from art.attacks.evasion import GeoDA

    if not hasattr(np, "mat"):
        np.mat = np.asmatrix
    GeoDA(art_model(task, True), norm=2, max_iter=task.budget, verbose=False).generate(task.x)


# --------------------------------------------------------------------------------------- Foolbox


def foolbox_model(task: Task) -> Any:
    from foolbox import NumPyModel

    return NumPyModel(task.answer, bounds=(0, 1), data_format="channels_first")


def foolbox_hopskipjump(task: Task) -> None:
    from foolbox.attacks import HopSkipJumpAttack

    attack = HopSkipJumpAttack(steps=MANY, constraint="linf" if task.norm == LINF else "l2")
    attack.run(foolbox_model(task), task.x, task.label, starting_points=task.start)


def foolbox_boundary(task: Task) -> None:
    from foolbox.attacks import BoundaryAttack

    BoundaryAttack(steps=MANY).run(foolbox_model(task), task.x, task.label, starting_points=task.start)


def foolbox_genattack(task: Task) -> None:
    """It aims at a class: the other one, where there are two."""
    from foolbox.attacks import GenAttack
    from foolbox.criteria import TargetedMisclassification

    if task.classes > 2:
        raise NotImplementedError("aims at one class, and there are more than two")
    goal = TargetedMisclassification(1 - task.label)
    GenAttack(steps=MANY).run(foolbox_model(task), task.x, goal, epsilon=task.eps)


# --------------------------------------------------------------------- torchattacks and AutoAttack


def torch_model(task: Task) -> Any:
    import torch

    class Wrapped(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.anchor = torch.nn.Parameter(torch.zeros(1))  # torchattacks asks it for the device

        def forward(self, points: Any) -> Any:
            return torch.from_numpy(task.answer(points.detach().numpy()).copy())

    return Wrapped().eval()


def on_torch(make: Callable[[Task, Any], Any]) -> Callable[[Task], None]:
    def attack(task: Task) -> None:
        import torch

        x, label = torch.from_numpy(task.x), torch.from_numpy(task.label.astype(np.int64))
        make(task, torch_model(task))(x, label)

    return attack


def torchattacks_square(task: Task, model: Any) -> Any:
    from torchattacks import Square

    norm = "Linf" if task.norm == LINF else "L2"
    return Square(model, norm=norm, eps=task.eps, n_queries=task.budget, p_init=first_share(task), seed=task.seed)


def torchattacks_onepixel(task: Task, model: Any) -> Any:
    from torchattacks import OnePixel

    # Its default of 10 candidates stands still after 300 rows; twenty generations fill the budget.
    return OnePixel(model, pixels=int(task.eps), steps=MANY, popsize=task.budget // 20)


def torchattacks_pixle(task: Task, model: Any) -> Any:
    """It moves whole patches; patches of at most eps pixels keep the first iterations inside."""
    from torchattacks import Pixle

    return Pixle(
        model, x_dimensions=(1, 2), y_dimensions=(1, max(1, int(task.eps) // 2)), restarts=1, max_iterations=MANY
    )


def autoattack_square(task: Task, model: Any) -> Any:
    from pyautoattack.square import SquareAttack

    norm = "Linf" if task.norm == LINF else "L2"
    share = first_share(task)
    return SquareAttack(model, norm=norm, eps=task.eps, n_queries=task.budget, p_init=share, seed=task.seed).perturb


SCORES = ("linf-scores", "l2-scores")
PEERS = (
    Peer("ART", "Square", art_square, SCORES, True, True, most=1000),
    Peer("AutoAttack", "Square", on_torch(autoattack_square), SCORES, True, together=True),
    Peer(
        "torchattacks",
        "Square",
        on_torch(torchattacks_square),
        ("linf-scores", "l2-scores"),
        True,
        together=True,
        most=500,
    ),
    Peer("Foolbox", "GenAttack", foolbox_genattack, ("linf-scores",), most=500),
    Peer("ART", "SimBA px", art_simba("px"), ("l2-scores",)),
    Peer("ART", "SimBA dct", art_simba("dct"), ("l2-scores",), square=True),
    Peer("ART", "Pixel", art_pixel, ("l0-scores",)),
    Peer("torchattacks", "OnePixel", on_torch(torchattacks_onepixel), ("l0-scores",), True),
    Peer("torchattacks", "Pixle", on_torch(torchattacks_pixle), ("l0-scores",), square=True, most=500),
    Peer("ART", "HopSkipJump", art_hopskipjump, ("l2-labels", "linf-labels")),
    Peer("Foolbox", "HopSkipJump", foolbox_hopskipjump, ("l2-labels", "linf-labels")),
    Peer("ART", "Boundary", art_boundary, ("l2-labels",), most=500),
    Peer("Foolbox", "Boundary", foolbox_boundary, ("l2-labels",), most=500),
    Peer("ART", "Sign-OPT", art_sign_opt, ("l2-labels",), most=1000),
    Peer("ART", "GeoDA", art_geoda, ("l2-labels",), square=True, most=1000),
)
NORMS = {"linf-scores": LINF, "l2-scores": L2, "l0-scores": L0, "l2-labels": L2, "linf-labels": LINF}
