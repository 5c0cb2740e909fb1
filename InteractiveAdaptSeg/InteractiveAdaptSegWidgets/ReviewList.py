"""The part of the panel where a cohort is reviewed: cases in order, with pictures, opened and accepted one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from InteractiveAdaptSegLib.Words import doubtText, itemToolTip, progressText, reasonText, stateText

INTERVAL = 50
"""Milliseconds between two looks at what the background has drawn, while it draws."""

CASE_WIDTH = 120
"""Pixels of the column with picture and name, which the user can change."""


class ReviewList:
    """Shows a `CohortReview`.

    Args:
        ui: the panel's widgets.
        review: the `CohortReview`.
        reported: within it, errors are shown to the user.
        onOpened: called with the folder of the cohort that the user has opened.
        onShown: called with volume, segmentation and segment ID of the case that was opened.
    """

    def __init__(
        self,
        ui: Any,
        review: Any,
        reported: Callable[[], AbstractContextManager[None]],
        onOpened: Callable[[Path], None],
        onShown: Callable[[Any, Any, str], None],
    ) -> None:
        self.ui = ui
        self._review = review
        self._reported = reported
        self._onOpened = onOpened
        self._onShown = onShown
        self._shown: tuple[Any, str | None] = ((), None)
        self._canOpen = self._isIdle = False
        self._timer = qt.QTimer()
        self._timer.setInterval(INTERVAL)
        self._timer.connect("timeout()", self.onTimer)
        header = ui.cohortTable.horizontalHeader()
        header.setSectionResizeMode(1, qt.QHeaderView.Stretch)
        header.resizeSection(0, CASE_WIDTH)
        ui.openCohortButton.connect("clicked()", self.onOpenCohort)
        ui.refreshCohortButton.connect("clicked()", self.onRefresh)
        ui.openCaseButton.connect("clicked()", self.onOpenCase)
        ui.acceptCaseButton.connect("clicked()", self.onAcceptCase)
        ui.cohortTable.connect("cellDoubleClicked(int,int)", self.onOpenCase)
        ui.cohortTable.connect("itemSelectionChanged()", self.onSelected)
        ui.cohortTable.verticalScrollBar().connect("valueChanged(int)", self.onScrolled)
        ui.cohortSection.connect("contentsCollapsed(bool)", self.onCollapsed)

    def close(self) -> None:
        self._timer.stop()
        self._review.end()

    def follow(self, folder: str) -> None:
        """Open the cohort that the scene names; none where that is empty or cannot be opened."""
        if folder == str(self._review.folder or ""):
            return
        self._review.close()
        if folder:
            with self._reported():
                self._review.open(Path(folder))

    def show(self, canOpen: bool, isIdle: bool) -> None:
        """Show list and state.

        Args:
            canOpen: whether all packages are there.
            isIdle: whether no propagation is under way.
        """
        state = self._review.items, self._review.openCase
        if state[0] is not self._shown[0] or state[1] != self._shown[1]:
            self._shown = state
            self._fill()
        self._canOpen, self._isIdle = canOpen, isIdle
        self._showButtons()
        self.ui.cohortLabel.text = progressText(self._review.progress, self._review.folder, _)

    def onOpenCohort(self) -> None:
        folder = qt.QFileDialog.getExistingDirectory(self.ui.cohortSection, _("Open a cohort folder"))
        if folder:
            with self._reported():
                self._review.open(Path(folder))
                self._onOpened(self._review.folder)

    def onRefresh(self) -> None:
        with self._reported():
            self._review.refresh()

    def onOpenCase(self) -> None:
        item = self._selected()
        if item is not None and self._isIdle and self._mayLoseCorrections():
            with self._reported():
                self._onShown(*self._review.show(item.case))

    def onAcceptCase(self) -> None:
        """Accept the open case after questions about what looks like a slip, and go on with the next one."""
        doubts: Mapping[Any, str] | None = None
        with self._reported():
            doubts = self._review.doubts()
        if doubts is None or not self._isMeant(doubts):
            return
        with self._reported():
            following = self._review.accept()
            if following is not None:
                self._onShown(*self._review.show(following))

    def onSelected(self) -> None:
        self._showButtons()

    def onScrolled(self) -> None:
        self._showPictures()

    def onCollapsed(self) -> None:
        self._showPictures()

    def onTimer(self) -> None:
        """Runs only while pictures are drawn."""
        with slicer.util.tryWithErrorDisplay(_("The pictures of the cohort could not be drawn.")):
            isNew, isBusy = self._review.update()
            if not isBusy:
                self._timer.stop()
            if isNew:
                self._showPictures()

    def _showButtons(self) -> None:
        for button, enabled in (
            (self.ui.openCohortButton, self._canOpen and self._isIdle),
            (self.ui.refreshCohortButton, self._review.folder is not None),
            (self.ui.openCaseButton, self._isIdle and self._selected() is not None),
            (self.ui.acceptCaseButton, self._isIdle and self._review.openCase is not None),
        ):
            button.enabled = enabled

    def _mayLoseCorrections(self) -> bool:
        if not self._review.hasUnsaved:
            return True
        question = _("The corrections of {case} were not accepted. They will be lost.")
        return slicer.util.confirmOkCancelDisplay(question.format(case=self._review.openCase), _("Open another case"))

    def _isMeant(self, doubts: Mapping[Any, str]) -> bool:
        if not doubts:
            return True
        text = "\n".join(doubtText(doubt.name, names, _) for doubt, names in doubts.items())
        return slicer.util.confirmOkCancelDisplay(text, _("Accept case"))

    def _selected(self) -> Any:
        row, items = self.ui.cohortTable.currentRow(), self._shown[0]
        return items[row] if 0 <= row < len(items) else None

    def _fill(self) -> None:
        table, (items, openCase) = self.ui.cohortTable, self._shown
        put, newCell = table.setItem, qt.QTableWidgetItem
        table.setRowCount(len(items))
        for row, item in enumerate(items):
            texts = (item.case, reasonText(item.reason, _), stateText(item.status, item.case == openCase, _))
            cells = [newCell(text) for text in texts]
            cells[0].setToolTip(itemToolTip(item, _))
            for column, cell in enumerate(cells):
                put(row, column, cell)
            if item.case == openCase:
                table.setCurrentCell(row, 0)
        self._showPictures()

    def _showPictures(self) -> None:
        """Show the pictures of the rows that can be seen, and have those that are missing drawn."""
        table, items = self.ui.cohortTable, self._shown[0]
        first, last = table.rowAt(0), table.rowAt(table.viewport().height - 1)
        if not table.visible or first < 0:
            return
        missing = []
        for row in range(first, len(items) if last < 0 else last + 1):
            path = self._review.picture(items[row].case)
            if path is None:
                missing.append(items[row].case)
            elif table.item(row, 0).icon().isNull():
                table.item(row, 0).setIcon(qt.QIcon(qt.QPixmap(str(path))))
        if missing:
            self._review.askForPictures(missing)
            self._timer.start()
