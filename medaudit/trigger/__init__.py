"""The library of triggers: every family in a file of its own; which of them an input can carry."""

from medaudit.trigger.base import Family, Space, planted
from medaudit.trigger.families import FAMILIES, applicable

__all__ = ["FAMILIES", "Family", "Space", "applicable", "planted"]
