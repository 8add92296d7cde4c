"""The policy in the README is a policy: it loads, and what it says comes back unchanged."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from medaudit.policy import loader
from medaudit.policy.schema import Policy
from medaudit.policy.strict import parse
from medaudit.policy.write import dump

README = Path(__file__).resolve().parents[2] / "README.md"
BLOCKS = re.findall(r"```yaml\n(.*?)```", README.read_text(encoding="utf-8"), re.S)


def test_there_is_one() -> None:
    """Or nothing below would run."""
    assert BLOCKS


@pytest.mark.parametrize("block", BLOCKS)
def test_it_loads_and_goes_round(block: str, tmp_path: Path) -> None:
    """Through the strict loader, and through the writer back into the same value."""
    path = tmp_path / "policy.yaml"
    path.write_text(f"medaudit: 1\npolicy: {{id: readme}}\n{block}", encoding="utf-8")
    policy, _ = loader.load(path)
    written = dump(policy.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True))
    assert Policy.model_validate(parse(written).data) == policy
    one = policy.model.constraints
    assert one.relations
    assert one.one_hot
    assert {t.waves > 0 for t in policy.threats.values()} == {True, False}
    assert any(t.smooth is not None for t in policy.threats.values())
    assert any(t.never for t in policy.threats.values())
    assert any(t.channels for t in policy.threats.values())
