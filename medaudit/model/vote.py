"""One answer of a noisy model: the rows are asked several times, in calls of their own, and their answers put together.

A model that draws random numbers (dropout left on, test-time augmentation) does not answer a row, it draws an
answer. Attacks on single draws count luck as success; on means of several they need a lasting change (Athalye,
Carlini, Wagner 2018, "Obfuscated gradients give a false sense of security", section 4.2, on randomised defences).
"""

from __future__ import annotations

import numpy as np

from medaudit.core.interface import Output


def vote(output: Output, drawn: list[np.ndarray]) -> np.ndarray:
    """Answers [R, M], one array an asking, to one [R, M]: their mean; of labels each class's share, [R, K].

    One answer that is not finite makes the mean so. A label that no class has is nobody's vote.
    """
    if len(drawn) == 1:
        return drawn[0]
    if output.task == "label":
        kinds = np.arange(len(output.classes), dtype=np.float32)
        drawn = [(answers == kinds).astype(np.float32) for answers in drawn]
    return np.asarray(np.mean(np.stack(drawn), axis=0, dtype=np.float64), dtype=np.float32)
