"""One injected signal for all records

What it asks
------------
Is there a signal that, sent to the electrodes at any moment, turns the answers of many patients? An
attacker who stands beside the patient knows neither the recording nor when it begins.

How it works
------------
Some patients are set aside, and CMA-ES searches for the signal that turns as many of their
recordings as it can, each at several moments chosen by chance. A signal is a short motif that
repeats in a window of the length that the threat allows, made of slow waves, at the full strength
allowed, with nothing in it at the frequencies that the recorder takes out. With `recordings: true`
a second search takes turns with it, which is often much the stronger one: it puts a signal
together from pieces of recordings, of other patients whose records are decided as the class that
is wanted, or, where any other answer will do, of the patients set aside. The best signal is then
sent to all other patients, at a hundred moments each, through the recorder's own filters, and only
those count: a record is broken where at least half of the moments turn its answer. The control
sends random noise of the same size.

What a failure means
--------------------
One signal, found on other patients, turns the answers of the share shown whenever it comes. Each
failing input is kept and can be replayed. The share of moments stands beside it.

What a pass does not mean
-------------------------
Not broken by this attack within this budget: other signals, fitted on more patients or with more
rows, or made for one patient, can turn more, and weaker ones are not tried. Electrodes, skin and
air are not modelled: what arrives is taken to be what was sent.

Settings
--------
patients: at most so many, and at most half of them, to fit the signal on. shifts: moments that each
of their records is asked at; with 1 the signal may come to need that moment. moments: of each other
record. period: of the motif, in seconds. highest: its highest frequency, in Hz. recordings: pieces
of recordings of the data file may be used; the evidence then holds such pieces, with or without
--include-samples, and the run folder is to be kept like patient data.

Cost
----
To fit: the budget for each record of the patients set aside. Then 101 rows per record.

References
----------
Chen, Huang, Huang, Ma, Yu, Zhang 2020, "ECGadv: generating adversarial electrocardiogram to
misguide arrhythmia classification system", AAAI, section 4.3.
Athalye, Engstrom, Ilyas, Kwok 2018, "Synthesizing robust adversarial examples", ICML.
Andriushchenko, Croce, Flammarion, Hein 2020, "Square Attack", ECCV.
Beyer, Sendhoff 2017, "Simplify your covariance matrix adaptation evolution strategy", IEEE TEVC.
"""

import sys
from typing import NamedTuple

from medaudit.core.crowd import lay
from medaudit.core.injection import injection, recordings, signal_region
from medaudit.core.protocol import Search
from medaudit.core.subspace import harmonics, on, smooth, within
from medaudit.rule.base import Context, Rule, page_of
from medaudit.search import cmaes, given, portfolio, splices

# Whatever is sent is sent at full strength: a cloud that is small beside the ball, which would cut its steps, is free
# to move away from nothing, and as it does its spread comes to matter less.
SPREAD = 0.005


class Settings(NamedTuple):
    patients: int = 24
    shifts: int = 4
    moments: int = 100
    period: float = 2.0
    highest: float = 20.0
    recordings: bool = False


def fit(context: Context) -> Search:
    """The waves of a motif; in turns with pieces of recordings, where they may be used."""
    if not context.settings.recordings or context.donors is None or not context.donors.shape[0]:
        return motif(context)
    pieces = splices.search(recordings(context.region, context.donors))
    return portfolio.search("injected-signal", (pieces, motif(context)), (60, 160))


def motif(context: Context) -> Search:
    """CMA-ES over the waves of the motif."""
    own: Settings = context.settings
    one, window = injection(context.region), signal_region(context.region).parts
    period = min(own.period * one.rate, float(one.columns))
    count = 2 * int(min(own.highest * period / one.rate, (period - 1) / 2))
    waves = harmonics(one.columns, period, max(2, count))
    return within(
        cmaes.search(cmaes.Settings(spread=SPREAD)), on(context.region.scale, smooth(window, {0: (None, waves)}))
    )


def fitted(context: Context) -> Search:
    if context.change is None:
        raise ValueError("no signal was fitted")
    return given.search(context.change, lay, context.settings.moments)


RULE = Rule(
    id="EV122",
    name="injected-signal",
    title="One injected signal for all records",
    kind="attack",
    metrics=("robust_accuracy", "attack_success", "share_of_moments"),
    page=page_of(sys.modules[__name__]),
    access="",
    norms=("injected",),
    domains=("signal",),
    settings=Settings,
    search=fitted,
    fit=fit,
    strength=0,
)
