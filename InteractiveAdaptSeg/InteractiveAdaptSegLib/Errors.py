"""Errors of the scene that the user can act on."""

from __future__ import annotations

from AdaptCore.errors import AdaptSegError


class SceneError(AdaptSegError):
    """A node that cannot be used, is missing, or is gone."""


class InstallError(AdaptSegError):
    """A package that is needed and cannot be installed."""
