"""The chosen task, as the model of planes and that of volumes learn it: chosen, saved and closed together."""

from __future__ import annotations

from InteractiveAdaptSegLib.ChosenTask import ChosenTask


class Tasks:
    """What is learnt from slices and from objects under one name.

    Attributes:
        slices: what is learnt by the model of planes.
        objects: what is learnt by the model of volumes.
    """

    def __init__(self, slices: ChosenTask, objects: ChosenTask) -> None:
        self.slices, self.objects = slices, objects
        self._both = slices, objects

    @property
    def isBusy(self) -> bool:
        """Whether something is learnt or saved whose end `update` has not told yet."""
        return any(task.isBusy for task in self._both)

    def choose(self, name: str | None) -> None:
        """Let a task answer and learn; None for the frozen models.

        Raises:
            AdaptSegError: the task cannot be used; the choice stays as it was.
        """
        before = self.slices.name
        self.slices.choose(name)
        try:
            self.objects.choose(name)
        except BaseException:
            self.slices.choose(before)
            raise

    def setOn(self, isOn: bool) -> None:
        """Let chosen tasks learn, or only answer; raises an OutputError where one cannot be saved."""
        for task in self._both:
            task.setOn(isOn)

    def setMeasured(self, isMeasured: bool) -> None:
        """Let what tasks gain be measured by trial, or not."""
        for task in self._both:
            task.setMeasured(isMeasured)

    def update(self) -> bool:
        """Take the news of the background; whether there are some."""
        return any([task.update() for task in self._both])

    def tellOfProblems(self) -> None:
        """Tell once of clicks that taught nothing, and of stored files that cannot be used or written."""
        for task in self._both:
            task.tellOfProblems()

    def end(self) -> None:
        """Save and close what was learnt; what cannot be saved stays in use."""
        for task in self._both:
            task.end()

    def close(self) -> None:
        """Save and close what was learnt, for the last time."""
        for task in self._both:
            task.close()
