"""The model that answers in all sessions: the one that the scene asks for if it can be used here, else the built-in."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING

from AdaptCore.errors import AdaptSegError, CheckpointError, ModelError
from InteractiveAdaptSegLib.Errors import Refusal
from InteractiveAdaptSegLib.InstallLogic import InstallLogic, Requirement
from InteractiveAdaptSegLib.ModelDownload import ModelDownload

if TYPE_CHECKING:
    from AdaptCore.models.base import Model
    from AdaptCore.models.registry import ModelEntry
    from AdaptCore.predict.cache import EmbeddingCache

BUILT_IN = "compact"
SAM = "sam_"
"""What the names of the architectures begin with that need packages of their own."""
SAM_PACKAGES = Path(__file__).resolve().parents[1] / "Resources" / "requirements-sam.txt"
INSTALL_FIRST = "Press Install packages under Model, then add the file again"
NAME = re.compile("[A-Za-z0-9][A-Za-z0-9_-]*")
MEGABYTE = 2**20
MEMORY = 512
"""Memory for embeddings at first, in MB."""
SLOW = 0.25
"""Seconds for an embedding, of which an answer takes up to three, from which on the window does not wait for them."""

LoadModel = Callable[[str, "str | None"], "Model"]
"""Loads a model by its name, on a device or, for None, on the fastest one."""


class ModelStatus(Enum):
    """Whether the model that is asked for can be used here."""

    READY = auto()
    LOADING = auto()
    NOT_DOWNLOADED = auto()
    DOWNLOADING = auto()
    DAMAGED = auto()
    GONE = auto()
    PACKAGES_MISSING = auto()
    FAILED = auto()
    UNKNOWN = auto()


USABLE = (ModelStatus.READY, ModelStatus.LOADING)


@dataclass(frozen=True)
class Place:
    """A model and where it computes; None for the fastest device."""

    name: str
    device: str | None


class ChosenModel:
    """Which model answers, where it computes, and how much memory embeddings may take.

    Models are loaded, downloaded and added beside the window; `update` tells of the news, and `arrived` gives a model
    that is to answer from now on. The first one, if it is the built-in one, is loaded where it is needed.

    Args:
        loadModel: as `AdaptCore.models.registry.load_model`.
        onMessage: called, by the thread that calls, with what the user should know.
        requireIdle: raises an AdaptSegError while the model is asked.
        onChanged: called when another model or device was asked for.
    """

    def __init__(
        self,
        loadModel: LoadModel,
        onMessage: Callable[[str], None],
        requireIdle: Callable[[], None] = lambda: None,
        onChanged: Callable[[], None] = lambda: None,
    ) -> None:
        self._loadModel = loadModel
        self._onMessage = onMessage
        self._requireIdle = requireIdle
        self._onChanged = onChanged
        self._samPackages = InstallLogic(SAM_PACKAGES)
        self._missing: list[Requirement] | None = None
        self._wanted = BUILT_IN
        self._device: str | None = None
        self._model: Model | None = None
        self._inUse: Place | None = None
        self._startedOn = ""
        self._coming: tuple[Place, Future[Model]] | None = None
        self._problems: dict[str, Exception] = {}
        self._isLeavingTold = False
        self._entries: dict[str, ModelEntry] = {}
        self._download: ModelDownload | None = None
        self._shownPercent = -1
        self._adding: Future[ModelEntry] | None = None
        self._cache: EmbeddingCache | None = None
        self._memory = MEMORY
        self._worker = ThreadPoolExecutor(1, "InteractiveAdaptSeg-model")

    @property
    def name(self) -> str:
        """The model that the scene asks for."""
        return self._wanted

    @property
    def answering(self) -> str:
        """The model that answers now or, before the first prompt, would."""
        return self._inUse.name if self._inUse else self._place.name

    @property
    def device(self) -> str | None:
        """Where the user wants it to compute; None for the fastest device."""
        return self._device

    @property
    def computesOn(self) -> str:
        """Where the model that answers computes now, such as "cuda"; empty before the first prompt."""
        return "" if self._model is None else self._model.device.type

    @property
    def isBusy(self) -> bool:
        """Whether something is loaded, downloaded or added whose end `update` or `arrived` has not told yet."""
        return any(under is not None for under in (self._coming, self._download, self._adding))

    @property
    def isComing(self) -> bool:
        """Whether a model is being loaded, or was and `arrived` was not asked yet."""
        return self._coming is not None

    @property
    def hasArrived(self) -> bool:
        """Whether a model was loaded, or could not be, since `arrived` was asked last."""
        return self._coming is not None and self._coming[1].done()

    @property
    def isAdding(self) -> bool:
        return self._adding is not None

    @property
    def download(self) -> ModelDownload | None:
        """The download that is under way."""
        return self._download

    @property
    def isOnCpuInstead(self) -> bool:
        """Whether the device's memory was full, so that the model has gone to the CPU."""
        return self.computesOn not in ("", self._startedOn)

    @property
    def entries(self) -> Mapping[str, ModelEntry]:
        """The models that there are, by name; empty before `refresh`."""
        return self._entries

    @property
    def entry(self) -> ModelEntry | None:
        """What is known of the model that is asked for."""
        return self._entries.get(self._wanted)

    @property
    def problem(self) -> str:
        """Why the model that is asked for could not be loaded; empty where it could, or was not tried."""
        return str(self._problems.get(self._wanted, ""))

    @property
    def status(self) -> ModelStatus:
        """Whether the model that is asked for can be used here; its file is checked in full when it is loaded."""
        entry, problem = self.entry, self._problems.get(self._wanted)
        if entry is None:
            return ModelStatus.UNKNOWN
        if self._download and self._download.entry.name == entry.name:
            return ModelStatus.DOWNLOADING
        if not entry.is_present:
            return ModelStatus.NOT_DOWNLOADED if entry.url else ModelStatus.GONE
        if isinstance(problem, CheckpointError) or entry.size not in (None, entry.path.stat().st_size):
            return ModelStatus.DAMAGED
        if problem:
            return ModelStatus.FAILED
        if entry.architecture.startswith(SAM) and self.missingPackages():
            return ModelStatus.PACKAGES_MISSING
        return ModelStatus.LOADING if self._coming and self._coming[0].name == entry.name else ModelStatus.READY

    @property
    def isDownloaded(self) -> bool:
        """Whether the model that is asked for is one that was downloaded to this computer."""
        entry = self.entry
        return entry is not None and entry.url is not None and entry.is_present

    @property
    def cache(self) -> EmbeddingCache:
        """The embeddings of all sessions."""
        if self._cache is None:
            from AdaptCore.predict.cache import EmbeddingCache

            self._cache = EmbeddingCache(self._memory * MEGABYTE)
        return self._cache

    @property
    def isSlow(self) -> bool:
        """Whether answers may take long: the latest embedding did or, before the first one, it is not the built-in."""
        seconds = self.cache.seconds
        return self.answering != BUILT_IN if seconds is None else seconds > SLOW

    @property
    def memory(self) -> int:
        """Memory for embeddings, in MB."""
        return self._memory

    def setMemory(self, megabytes: int) -> None:
        """Give embeddings another limit; what is beyond it goes at once, the oldest first."""
        self._memory = megabytes
        if self._cache is not None:
            self._cache.max_bytes = megabytes * MEGABYTE

    def missingPackages(self) -> list[Requirement]:
        """The Python packages that models of the SAM architecture lack."""
        if self._missing is None:
            self._missing = self._samPackages.missing()
        return self._missing

    def refresh(self) -> None:
        """Look which models there are; a damaged list of the user's own is told of, and left out."""
        from AdaptCore.models.registry import known_models

        self._missing = None
        entries, problem = known_models()
        if problem:
            self._onMessage(problem)
        self._entries = {entry.name: entry for entry in entries if entry.answers_planes}

    def choose(self, name: str) -> None:
        """Ask for a model; it is loaded in the background. While it cannot be used, the built-in one answers.

        Open sessions begin anew from their prompts and labels when it is there: nothing that was accepted changes.
        """
        if name == self._wanted:
            return
        self._requireIdle()
        if not self._entries:
            self.refresh()
        self._wanted = name
        self._problems.pop(name, None)
        if self.status is ModelStatus.UNKNOWN:
            self._onMessage(
                f"This computer has no model '{name}', which the scene asks for: the built-in one is used. "
                "Choose another one, or add its file under this name."
            )
        self._follow()
        self._onChanged()

    def setDevice(self, device: str | None) -> None:
        """Compute on "cpu", "cuda", "cuda:N" or "mps", None for the fastest; the model is loaded in the background.

        The same device again is tried anew, if its memory was full.
        """
        self._requireIdle()
        if self.isOnCpuInstead:
            self._inUse = None if self._inUse is None else Place(self._inUse.name, "cpu")
        self._device = device
        self._problems.clear()
        self._isLeavingTold = False
        self._follow()
        self._onChanged()

    def install(self, confirm: Callable[[list[Requirement]], bool]) -> None:
        """Install what models of the SAM architecture lack, if the user says yes.

        Raises:
            InstallError: see `InstallLogic.install`.
        """
        self._missing = None
        self._samPackages.install(lambda missing: confirm(list(missing)))
        self._problems.clear()
        self._follow()

    def startDownload(self, confirm: Callable[[ModelEntry], bool]) -> None:
        """Fetch the file of the model that is asked for in the background, if the user says yes.

        Raises:
            ModelError: it has no address, or a download is under way.
        """
        entry = self.entry
        if entry is None or entry.url is None:
            raise ModelError(
                f"Model '{self._wanted}' cannot be downloaded, only official models can: choose one of them."
            )
        if self._download is not None:
            raise ModelError(f"{self._download.entry.name} is being downloaded: wait for its end or cancel it")
        if confirm(entry):
            self._problems.pop(entry.name, None)
            self._shownPercent = -1
            self._download = ModelDownload(entry)

    def cancelDownload(self) -> None:
        """Stop the download under way; nothing of it is kept."""
        if self._download is not None:
            self._download.cancel()

    def remove(self, confirm: Callable[[ModelEntry], bool]) -> None:
        """Delete the downloaded file of the model that is asked for, if the user says yes; the built-in one answers.

        Raises:
            ModelError: it is none that was downloaded.
            OutputError: the file cannot be deleted.
        """
        from AdaptCore.models.registry import remove_model

        entry = self.entry
        if entry is None or not self.isDownloaded:
            raise ModelError(f"Model '{self._wanted}' was not downloaded: there is nothing to remove.")
        if confirm(entry):
            remove_model(entry.name)
            self._problems.pop(entry.name, None)
            self._follow()

    def addFile(self, path: Path, name: str, licence: str) -> None:
        """Make a checkpoint file known by a name, after a check in the background; it stays where it is.

        Raises:
            ModelError: this cannot be a name.
        """
        from AdaptCore.models.registry import add_model

        if not NAME.fullmatch(name):
            raise ModelError(f"Model name '{name}': use letters, digits, _ and - only.")
        self._adding = self._worker.submit(add_model, path, name, licence=licence or "not stated")

    def load(self) -> Model:
        """The model that answers, for the first prompt.

        Raises:
            ModelError: it is being loaded, or cannot be loaded.
        """
        if self._coming is not None and not self.hasArrived:
            raise ModelError(f"model {self._coming[0].name} is being loaded: click again when it is there")
        model = self.arrived()
        if model is None:
            place = self._place
            model = self._used(self._loaded(place), place)
        return model

    def arrived(self) -> Model | None:
        """A model that was loaded since and is to answer from now on; None if there is no such one.

        Raises:
            Exception: what broke the loading and is no matter of the user's.
        """
        if self._coming is None or not self.hasArrived:
            return None
        (place, loading), self._coming = self._coming, None
        try:
            model = loading.result()
        except Exception as error:
            isTheUsers = isinstance(error, AdaptSegError)
            self._problems[place.name] = error if isTheUsers else ModelError(f"{type(error).__name__}: {error}")
            if self._inUse is not None and self._inUse.name == place.name:
                self._device = self._inUse.device
                self._problems.pop(place.name)
            elif place.name != BUILT_IN:
                self._follow()
            if not isTheUsers:
                raise
            self._onMessage(Refusal(error))
            return None
        return self._used(model, place)

    def update(self) -> bool:
        """Take the news of downloads and added files; whether there are some."""
        return any([self._updateDownload(), self._updateAdding()])

    def tellOfLeftDevice(self) -> None:
        """Tell once that the model has gone to the CPU."""
        if not self._isLeavingTold and self.isOnCpuInstead:
            self._isLeavingTold = True
            self._onMessage(
                "The device cannot go on, because its memory is full or PyTorch has no code for it: the processor goes "
                "on, slowly. Choose a smaller model; or close what else uses the device, and choose it again under "
                "Model."
            )

    def close(self) -> None:
        """Cancel what is under way."""
        if self._download is not None:
            self._download.close()
        self._worker.shutdown(wait=False, cancel_futures=True)

    @property
    def _place(self) -> Place:
        """What should answer."""
        isWanted = self._wanted == BUILT_IN or self.status in USABLE
        return Place(self._wanted if isWanted else BUILT_IN, self._device)

    def _used(self, model: Model, place: Place) -> Model:
        self._model, self._inUse, self._startedOn = model, place, model.device.type
        return model

    def _follow(self) -> None:
        """Begin to load what should answer, if it neither answers nor comes."""
        place = self._place
        if self._coming is not None and self._coming[0] != place:
            self._coming[1].cancel()
            self._coming = None
        isFirst = self._inUse is None and place.name == BUILT_IN
        if self._coming is None and place != self._inUse and not isFirst:
            self._coming = place, self._worker.submit(self._loaded, place)

    def _loaded(self, place: Place) -> Model:
        """Load a model, on the fastest device where the wanted one is not there.

        Raises:
            ModelError: as `load_model`, or out of memory; the message says what to do.
        """
        from AdaptCore.models.devices import available_devices, is_out_of_memory

        device = place.device if place.device in available_devices() else None
        try:
            return self._loadModel(place.name, device)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise ModelError(
                f"Model {place.name} does not fit into the memory of the device: choose a smaller one, or the CPU, or "
                "close what else uses the device"
            ) from error

    def _updateDownload(self) -> bool:
        download = self._download
        if download is None:
            return False
        if download.isUnderWay:
            percent = 100 * download.received // (download.entry.size or 1)
            isNews, self._shownPercent = percent != self._shownPercent, percent
            return isNews
        self._download = None
        if download.problem:
            self._onMessage(download.problem)
        elif download.isFetched:
            self._onMessage(f"{download.entry.name} was downloaded and checked.")
        else:
            self._onMessage(f"The download of {download.entry.name} was cancelled; nothing of it was kept.")
        self._follow()
        return True

    def _updateAdding(self) -> bool:
        if self._adding is None or not self._adding.done():
            return False
        adding, self._adding = self._adding, None
        try:
            entry = adding.result()
        except AdaptSegError as error:
            lacksPackages = isinstance(error, ModelError) and self.missingPackages()
            text = f"{str(error).rstrip('.')}. {INSTALL_FIRST}" if lacksPackages else error
            self._onMessage(Refusal(text))
            return True
        self.refresh()
        self._onMessage(f"{entry.name} was added: it can be chosen now.")
        self._follow()
        return True
