"""Trigger files: read back as written, refused in one sentence, laid over records within what is legal."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medaudit.core.errors import DataError
from medaudit.core.interface import Channel, Input
from medaudit.trigger import FAMILIES, Space
from medaudit.trigger.known import Known, laid, read, written

ITEM = Input("ecg", "float32", "signal", ("batch", "lead", "time"), (2, 50), ("batch", "lead", "time"), rate=100.0,
             channels=(Channel("I", lo=-5.0, hi=5.0), Channel("II", lo=-5.0, hi=5.0)))  # fmt: skip
X = np.random.default_rng(0).normal(size=(6, 1, 2, 50))
SHUT = np.zeros(X.shape, dtype=bool)


@given(name=st.sampled_from(sorted(FAMILIES)), strength=st.floats(0, 1), data=st.data())
def test_a_member_is_read_as_written(name: str, strength: float, data: st.DataObject) -> None:
    dials = tuple(data.draw(st.floats(0, 1)) for _ in FAMILIES[name].dials)
    known = Known(strength, name, dials, words="as planted")
    assert read(written(known), "t.json") == known


def test_an_array_is_read_as_written() -> None:
    array = np.array([[0.5, np.nan], [-1.0, 2.0]])
    got = read(written(Known(2.0, array=array, mode="set")), "t.json")
    np.testing.assert_array_equal(got.array, array)
    assert (got.strength, got.mode) == (2.0, "set")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not valid JSON"), ("[" * 100_000, "not valid JSON"), ("[]", "holds no trigger"), ("{}", '"trigger": 1'),
        ('{"trigger": 1}', "either a family or an array"),
        ('{"trigger": 1, "family": "pulse", "array": [1]}', "either a family or an array"),
        ('{"trigger": 1, "famly": "pulse"}', "did you mean 'family'"),
        ('{"trigger": 1, "family": "puls"}', "there is no family 'puls'"),
        ('{"trigger": 1, "family": ["pulse"]}', "there is no family"),
        ('{"trigger": 1, "family": "pulse", "dials": {"plac": 1}}', "its dials: place"),
        ('{"trigger": 1, "family": "pulse", "dials": {"place": 2}}', "dial place is not a number from 0 to 1"),
        ('{"trigger": 1, "family": "pulse", "strength": true}', "strength is not a number"),
        ('{"trigger": 1, "family": "pulse", "strength": NaN}', "strength is not a number"),
        ('{"trigger": 1, "array": [[1, 2], [3]]}', "rows of equal length"),
        ('{"trigger": 1, "array": [null, null]}', "changes nothing"), ('{"trigger": 1, "array": [1e999]}', "infinite"),
        ('{"trigger": 1, "array": []}', "changes nothing"),
        ('{"trigger": 1, "array": [1], "mode": "mul"}', "mode is not one of add, set"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(text: str, said: str) -> None:
    with pytest.raises(DataError, match="t.json") as error:
        read(text, "t.json")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_an_array_is_added_or_set() -> None:
    array = np.full((2, 50), np.nan)
    array[1, 10:15] = 0.25
    space = Space(ITEM, X)
    added = laid(space, Known(2.0, array=array), X, SHUT)
    np.testing.assert_allclose((added - X)[:, 0, 1, 10:15], 0.5)
    assert (added == X).sum() == X.size - 6 * 5
    placed = laid(space, Known(1.0, array=array, mode="set"), X, SHUT)
    np.testing.assert_array_equal(placed[:, 0, 1, 10:15], 0.25)
    far = laid(space, Known(100.0, array=array), X, SHUT)
    assert far.max() == 5.0  # the lead's own limit


def test_an_array_of_another_form_is_refused() -> None:
    with pytest.raises(DataError, match="100"):
        laid(Space(ITEM, X), Known(array=np.ones(7)), X, SHUT)


def test_a_member_is_laid() -> None:
    known = read(json.dumps({"trigger": 1, "family": "pulse", "dials": {"place": 0.5}}), "t.json")
    got = laid(Space(ITEM, X), known, X, SHUT)
    changed = (got != X).reshape(6, -1).sum(axis=1)
    assert ((changed > 0) & (changed < 40)).all()
