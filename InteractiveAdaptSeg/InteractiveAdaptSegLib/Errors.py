"""Errors of the scene that the user can act on, and how those are told that nobody waits for."""

from __future__ import annotations

from AdaptCore.errors import AdaptSegError


class SceneError(AdaptSegError):
    """A node that cannot be used, is missing, or is gone."""


class InstallError(AdaptSegError):
    """A package that is needed and cannot be installed."""


class Refusal(str):
    """A message that says why something was refused, made of the error: the panel shows it with an icon."""
