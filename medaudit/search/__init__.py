"""Searches: how to propose points. One idea per file."""
