"""The part of the panel where the user says who they are, and keeps their profile: reset, export, import."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from InteractiveAdaptSegLib.Words import profileText

SETTING = "InteractiveAdaptSeg/User"


class ProfileChooser:
    """Shows and changes which user's profile is in use; the user is remembered in Slicer's settings.

    Args:
        ui: the panel's widgets.
        profile: the `ChosenProfile`.
        reported: within it, errors are shown to the user.
        onChosen: called with the name of a user that was chosen, None for nobody.
    """

    def __init__(
        self,
        ui: Any,
        profile: Any,
        reported: Callable[[], AbstractContextManager[None]],
        onChosen: Callable[[str | None], None],
    ) -> None:
        self.ui = ui
        self._profile = profile
        self._reported = reported
        self._onChosen = onChosen
        self._isRemembered = False
        ui.userSelector.connect("activated(int)", self.onUserChosen)
        ui.userSelector.lineEdit().connect("editingFinished()", self.onUserChosen)
        ui.resetProfileButton.connect("clicked()", self.onReset)
        ui.exportProfileButton.connect("clicked()", self.onExport)
        ui.importProfileButton.connect("clicked()", self.onImport)

    def listUsers(self) -> None:
        """List the users, and show the chosen one; the first time, that is the user of Slicer's last session."""
        if not self._isRemembered:
            self._isRemembered = True
            user = slicer.app.userSettings().value(SETTING)
            if user and self._profile.user is None:
                self._choose(user)
        self.ui.userSelector.clear()
        self.ui.userSelector.addItems(list(self._profile.users()))
        self.ui.userSelector.setEditText(self._profile.user or "")

    def show(self, state: Any, canChoose: bool) -> None:
        """Show a `ProfileState`, None for nobody."""
        self.ui.profileLabel.text = profileText(state, _)
        isStored = canChoose and state is not None and state.picks > 0
        for widget, enabled in (
            (self.ui.userSelector, canChoose),
            (self.ui.resetProfileButton, isStored),
            (self.ui.exportProfileButton, isStored),
            (self.ui.importProfileButton, canChoose),
        ):
            widget.enabled = enabled

    def onUserChosen(self) -> None:
        """The user has chosen or typed a name; without a name, nobody's preference is learnt."""
        name = self.ui.userSelector.currentText.strip() or None
        if name != self._profile.user and self.ui.userSelector.enabled:
            self._choose(name)
            self.listUsers()

    def onReset(self) -> None:
        question = _(
            "What {user} has picked and accepted for {task} will no longer count. The old file is kept."
        ).format(user=self._profile.user, task=self._profile.task)
        if slicer.util.confirmOkCancelDisplay(question, _("Reset the profile")):
            with self._reported():
                self._profile.reset()

    def onExport(self) -> None:
        name = f"{self._profile.user} {self._profile.task}.profile.safetensors"
        path = qt.QFileDialog.getSaveFileName(self.ui.learningSection, _("Export the profile"), name, _filter())
        if path:
            with self._reported():
                self._profile.export(Path(path))

    def onImport(self) -> None:
        path = qt.QFileDialog.getOpenFileName(self.ui.learningSection, _("Import a profile"), "", _filter())
        if path:
            with self._reported():
                self._profile.importFrom(Path(path))
            self._remember()
            self.listUsers()

    def _choose(self, name: str | None) -> None:
        with self._reported():
            self._profile.choose(name)
            self._remember()

    def _remember(self) -> None:
        slicer.app.userSettings().setValue(SETTING, self._profile.user or "")
        self._onChosen(self._profile.user)


def _filter() -> str:
    return _("Profiles (*.profile.safetensors)")
