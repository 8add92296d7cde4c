"""Text from models, policies and data files is hostile: made printable before anyone sees it."""

from __future__ import annotations


def printable(text: str, limit: int = 300) -> str:
    """Without control or direction-changing characters, at most `limit` long."""
    clean = "".join(c if c.isprintable() else "?" for c in text)
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"
