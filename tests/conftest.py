"""Helper modules of this folder (the zoo, the kit) are importable from every test."""

from __future__ import annotations

import os

import hypothesis

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

# The machine is shared: a slow moment is no failure, and a failure must be the same tomorrow.
hypothesis.settings.register_profile("house", deadline=None, derandomize=True, max_examples=40)
hypothesis.settings.load_profile("house")
