"""Models by name: the shipped manifest, the user's own, loading, verifying, fetching and adding."""

from __future__ import annotations

import difflib
import json
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.error import URLError

import torch

from AdaptCore.atomic import atomic_target, write_bytes
from AdaptCore.errors import CheckpointError, ModelError, OutputError
from AdaptCore.facts import kind_of
from AdaptCore.json_text import parse, problem_with
from AdaptCore.models.base import Model
from AdaptCore.models.checkpoint import MEDSAM, detect_architecture, first_bytes, load_tensors, sha256_of
from AdaptCore.models.devices import choose_device, choose_dtype
from AdaptCore.resources import resource_path, user_folder

if TYPE_CHECKING:
    from AdaptCore.models.volumetric import VolumetricModel

MANIFEST = "models.json"
SCHEMA = "models.schema.json"
WEIGHT_SUFFIXES = (".pth", ".pt", ".safetensors")
VOLUMETRIC = "compact3d"
"""Architecture of the models of volumes."""

TIMEOUT_SECONDS = 30.0

OpenUrl = Callable[[str], AbstractContextManager[IO[bytes]]]
Received = Callable[[int], None]
"""Told how many bytes of a file are there; what it raises ends the download, and nothing is kept."""
BLOCK_BYTES = 1 << 16


@dataclass(frozen=True)
class ModelEntry:
    """One model of a manifest.

    Attributes:
        name: what the user calls it.
        architecture: "compact", "compact3d", "sam_vit_b", "sam_vit_l", "sam_vit_h" or "sam_vit_b_medsam".
        file: name of the weights among the shipped files or, with a URL, among the fetched ones; else a path.
        url: where the weights can be fetched (https), or None.
        sha256: checksum of the weights (hex), None as long as it is not known.
        size: bytes of the weights, None as long as it is not known.
        licence: of the weights, SPDX where there is a name.
        citation: the paper to cite.
        description: one sentence.
        modality_notes: what images it was trained on and suits.
    """

    name: str
    architecture: str
    file: str
    url: str | None
    sha256: str | None
    size: int | None
    licence: str
    citation: str
    description: str
    modality_notes: str

    @property
    def answers_planes(self) -> bool:
        """Whether it is a model of planes; else it is one of volumes."""
        return self.architecture != VOLUMETRIC

    @property
    def path(self) -> Path:
        """Where the weights are or, with a URL, would be once fetched.

        Raises:
            ModelError: shipped weights that are missing.
        """
        if self.url:
            return user_folder() / "models" / self.file
        return Path(self.file) if Path(self.file).is_absolute() else resource_path(self.file)

    @property
    def is_present(self) -> bool:
        """Whether the weights are on this machine; they are not checked."""
        try:
            return self.path.is_file()
        except (ModelError, OSError, ValueError):  # what cannot be a path, or lies where the user may not look
            return False


def user_manifest() -> Path:
    """The manifest of models that the user added; it may not exist yet."""
    return user_folder() / MANIFEST


def read_manifest(path: Path) -> tuple[ModelEntry, ...]:
    """Read a manifest.

    Raises:
        ModelError: unreadable, no JSON, or not as the schema says.
    """
    try:
        content = parse(path.read_bytes())
    except OSError as error:
        raise ModelError(f"{path}: The model manifest cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise ModelError(f"{path}: Expected a model manifest, got damaged JSON ({error}).") from error
    check_manifest(content, path)
    return tuple(ModelEntry(**entry) for entry in content["models"])


def write_manifest(path: Path, entries: tuple[ModelEntry, ...]) -> None:
    """Replace a manifest.

    Raises:
        ModelError: an entry is not as the schema says; nothing is written.
        OutputError: the system could not write.
    """
    content = {"version": 1, "models": [asdict(entry) for entry in entries]}
    check_manifest(content, path)
    make_folder(path.parent)
    write_bytes(path, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())


def check_manifest(content: object, path: Path) -> None:
    """Check a manifest's content against the schema.

    Raises:
        ModelError: the message names the place in the manifest and what is wrong there.
    """
    problem = problem_with(content, SCHEMA)
    if problem is not None:
        raise ModelError(f"{path}: Expected a model manifest as in {SCHEMA}, got {problem}.")


def make_folder(folder: Path) -> None:
    """Make a folder and those above it where they are missing.

    Raises:
        OutputError: the system could not.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: The folder cannot be made ({error.strerror}).") from error


def shipped_models() -> tuple[ModelEntry, ...]:
    """The models that come with the product.

    Raises:
        ModelError: their manifest is missing or damaged.
    """
    return read_manifest(resource_path(MANIFEST))


def known_models() -> tuple[tuple[ModelEntry, ...], str]:
    """The models that can be chosen, and why those that the user added are not among them, else empty.

    Raises:
        ModelError: the shipped manifest is missing or damaged.
    """
    try:
        return list_models(), ""
    except ModelError as error:
        return shipped_models(), str(error)


def list_models() -> tuple[ModelEntry, ...]:
    """The shipped models and the user's own.

    Raises:
        ModelError: a manifest is damaged.
    """
    added = read_manifest(user_manifest()) if user_manifest().exists() else ()
    return (*shipped_models(), *added)


def find_model(name: str) -> ModelEntry:
    """The manifest's entry of that name; a damaged user manifest does not stand in the way of shipped models.

    Raises:
        ModelError: no model has the name; the message lists those there are.
    """
    entry = next((entry for entry in shipped_models() if entry.name == name), None)
    if entry is not None:
        return entry
    entries = {entry.name: entry for entry in list_models()}
    if name not in entries:
        close = difflib.get_close_matches(name, entries, n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise ModelError(f"Unknown model {name!r}{hint}. Choose {', '.join(entries)} or a checkpoint file.")
    return entries[name]


def load_model(
    name_or_path: str | Path = "compact", device: str | None = None, checkpoint: Path | None = None
) -> Model:
    """Load a model by name, or from a checkpoint file whose architecture shows in its tensors.

    Args:
        name_or_path: name in a manifest, or a file (one without a usual suffix as "./FILE").
        device: "cpu", "cuda", "cuda:N", "mps"; the fastest one there is by default.
        checkpoint: other weights for the named model, of its architecture.

    Raises:
        ModelError: unknown name or device, weights not fetched yet, or a package is missing.
        CheckpointError: weights that are missing, damaged, unsafe or of another architecture.
    """
    weights, name = _named_weights(name_or_path, checkpoint)
    if weights.architecture == VOLUMETRIC:
        raise ModelError(f"{name} is a model of volumes and cannot answer on a plane: choose compact or a SAM.")
    chosen = choose_device(device)
    return build_model(name, weights, chosen, choose_dtype(chosen))


def load_volume_model(name_or_path: str | Path = VOLUMETRIC, device: str | None = None) -> VolumetricModel:
    """Load a model of volumes by name or from its file; arguments as of `load_model`.

    Raises:
        ModelError, CheckpointError: as `load_model`, or a model of planes.
    """
    weights, name = _named_weights(name_or_path, None)
    if weights.architecture != VOLUMETRIC:
        raise ModelError(f"{name} is a model of planes and cannot answer in a volume: choose {VOLUMETRIC}.")
    chosen = choose_device(device)
    return build_volume_model(name, weights, chosen, choose_dtype(chosen))


def answers_planes(name_or_path: str) -> bool:
    """Whether a model, named as in `load_model`, is one of planes; else it is one of volumes.

    Raises:
        ModelError, CheckpointError: as `load_model`.
    """
    if names_file(name_or_path):
        return read_weights(Path(name_or_path)).architecture != VOLUMETRIC
    return find_model(name_or_path).answers_planes


def _named_weights(name_or_path: str | Path, checkpoint: Path | None) -> tuple[Weights, str]:
    """The checked weights that are asked for, and the model's name."""
    if checkpoint is not None:
        entry = find_model(str(name_or_path))
        return read_weights(Path(checkpoint), entry.architecture), entry.name
    if names_file(str(name_or_path)):
        path = Path(name_or_path)
        return read_weights(path), path.stem
    entry = find_model(str(name_or_path))
    return read_weights(present_path(entry), entry.architecture, entry.sha256), entry.name


def names_file(name_or_path: str) -> bool:
    """Whether a model is asked for by its file: by a suffix of weights or a folder before it."""
    return name_or_path.lower().endswith(WEIGHT_SUFFIXES) or "/" in name_or_path or "\\" in name_or_path


def lasting_name(name_or_path: str) -> str:
    """What `load_model` finds the same model by from any folder: its name, or the whole path of its file.

    Raises:
        ModelError: as `load_model`, without building the model.
        CheckpointError: a file that is missing or holds no weights of a known architecture.
    """
    if names_file(name_or_path):
        return str(read_weights(Path(name_or_path).resolve()).path)
    present_path(find_model(name_or_path))
    return name_or_path


def present_path(entry: ModelEntry) -> Path:
    """Path of weights that are on this machine.

    Raises:
        ModelError: they are not; the message says how to get them.
    """
    path = entry.path
    if path.is_file():
        return path
    if entry.url:
        raise ModelError(
            f"model {entry.name!r} is not on this machine; fetch it with: adaptseg models fetch {entry.name}"
        )
    raise ModelError(f"Model {entry.name!r}: {path} is gone. Put the file back, or add the model again.")


@dataclass(frozen=True, eq=False)
class Weights:
    """Tensors of a checked file with their architecture, metadata and SHA256."""

    path: Path
    tensors: dict[str, torch.Tensor]
    metadata: dict[str, str]
    architecture: str
    digest: str


def read_weights(path: Path, architecture: str | None = None, sha256: str | None = None) -> Weights:
    """Read a checkpoint; `architecture` and `sha256` are insisted on where given.

    Raises:
        CheckpointError: missing, damaged, unsafe, or not what is insisted on.
    """
    tensors, metadata = load_tensors(path, sha256)
    found = detect_architecture(tensors, metadata, path)
    if found == MEDSAM.removesuffix("_medsam") and (architecture == MEDSAM or _seems_medsam(path, architecture)):
        found = MEDSAM
    if architecture not in (None, found):
        raise CheckpointError(f"{path}: Expected weights of {architecture}, got {found}.")
    return Weights(path, tensors, metadata, found, sha256 or sha256_of(path))


def _seems_medsam(path: Path, architecture: str | None) -> bool:
    """MedSAM's tensors are those of SAM vit_b, so that only the file's name can tell; the user is told of it."""
    if architecture is not None or "medsam" not in path.name.lower():
        return False
    warnings.warn(
        f"{path.name} is taken for MedSAM because of its name; for SAM vit_b, add it with: adaptseg models add "
        "--architecture sam_vit_b",
        stacklevel=4,
    )
    return True


def build_model(name: str, weights: Weights, device: torch.device, dtype: torch.dtype) -> Model:
    """Build the model of planes that weights belong to.

    Raises:
        CheckpointError: a tensor is missing, left over or of another shape.
        ModelError: a package is missing.
    """
    tensors, digest = weights.tensors, weights.digest
    if weights.architecture == "compact":
        from AdaptCore.models.compact import CompactModel

        return CompactModel.from_tensors(
            tensors, weights.metadata, name=name, digest=digest, device=device, dtype=dtype
        )
    from AdaptCore.models.sam import SamModel

    return SamModel.from_tensors(
        tensors, weights.architecture, name=name, digest=digest, device=device, dtype=dtype, source=weights.path
    )


def build_volume_model(name: str, weights: Weights, device: torch.device, dtype: torch.dtype) -> VolumetricModel:
    """Build the model of volumes that weights belong to.

    Raises:
        CheckpointError: a tensor is missing, left over or of another shape.
    """
    from AdaptCore.models.volumetric import VolumetricModel

    return VolumetricModel.from_tensors(
        weights.tensors, weights.metadata, name=name, digest=weights.digest, device=device, dtype=dtype
    )


def verify_model(name: str) -> Path:
    """Check that a model's weights are here, whole, unchanged and of their architecture; gives their path.

    Raises:
        ModelError: unknown name, or weights that are not on this machine.
        CheckpointError: damaged, changed or of another architecture.
    """
    entry = find_model(name)
    path = present_path(entry)
    read_weights(path, entry.architecture, entry.sha256)
    return path


def add_model(
    path: Path,
    name: str,
    *,
    architecture: str | None = None,
    licence: str = "not stated",
    citation: str = "not stated",
    description: str = "",
) -> ModelEntry:
    """Enter a checkpoint file into the user's manifest; the file stays where it is.

    Raises:
        CheckpointError: the file cannot be used, or is not of the architecture named.
        ModelError: the name is taken or not made of letters, digits, _ and -, or the user's manifest is damaged (it
            stays as it is).
        OutputError: the manifest cannot be written.
    """
    if name in (entry.name for entry in list_models()):
        raise ModelError(f"There is a model {name!r} already. Choose another name.")
    path = Path(path).resolve()
    weights = read_weights(path, architecture)
    build = build_volume_model if weights.architecture == VOLUMETRIC else build_model
    build(name, weights, torch.device("cpu"), torch.float32)
    entry = ModelEntry(
        name=name,
        architecture=weights.architecture,
        file=str(path),
        url=None,
        sha256=weights.digest,
        size=path.stat().st_size,
        licence=licence,
        citation=citation,
        description=description,
        modality_notes="",
    )
    added = read_manifest(user_manifest()) if user_manifest().exists() else ()
    write_manifest(user_manifest(), (*added, entry))
    return entry


def remove_model(name: str) -> ModelEntry:
    """Delete the downloaded weights of a model, or take one that the user added off the list; its file stays.

    Raises:
        ModelError: an unknown name, a model that comes with the program, or one that is not downloaded.
        OutputError: the file cannot be deleted, or the user's manifest cannot be written.
    """
    entry = find_model(name)
    if entry.url is None:
        _forget(entry)
    elif not entry.path.exists():
        raise ModelError(f"Model {name!r} is not downloaded: there is nothing to remove.")
    else:
        _delete(entry.path)
    return entry


def _forget(entry: ModelEntry) -> None:
    if entry in shipped_models():
        raise ModelError(f"Model {entry.name!r} comes with the program and cannot be removed.")
    write_manifest(user_manifest(), tuple(other for other in read_manifest(user_manifest()) if other != entry))


def _delete(path: Path) -> None:
    try:
        path.unlink()
    except OSError as error:
        raise OutputError(
            f"{path}: The file cannot be deleted ({error.strerror}). Close what uses the model, and try again."
        ) from error


def record_weights(name: str = "compact") -> ModelEntry:
    """Enter checksum and size of shipped weights that have changed into the shipped manifest.

    For those who ship new weights, once the file stands in Resources:
    `python -c "from AdaptCore.models.registry import record_weights; record_weights()"`.

    Raises:
        ModelError: the weights or the manifest are missing.
        OutputError: the manifest cannot be written.
    """
    manifest = resource_path(MANIFEST)
    path = find_model(name).path
    entries = tuple(
        replace(entry, sha256=sha256_of(path), size=path.stat().st_size) if entry.name == name else entry
        for entry in read_manifest(manifest)
    )
    write_manifest(manifest, entries)
    return find_model(name)


class HttpsRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirections to https only."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        """The request that follows a redirection.

        Raises:
            URLError: it leads to something else than https.
        """
        if not newurl.lower().startswith("https://"):
            raise URLError(f"the server points to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def open_https(url: str) -> Any:
    """Open an address for reading.

    Raises:
        URLError: the server cannot be reached, or points to something else than https.
    """
    return urllib.request.build_opener(HttpsRedirects).open(url, timeout=TIMEOUT_SECONDS)


def fetch_model(
    name: str,
    confirm: Callable[[str], bool],
    *,
    open_url: OpenUrl = open_https,
    received: Received = lambda count: None,
) -> Path | None:
    """Download a model's weights after the user's consent; whole and checked, or not at all.

    Args:
        name: a model with a URL.
        confirm: shown what would be fetched (size, licence, address); False stops.
        open_url: opens a URL for reading.
        received: told of the progress.

    Returns:
        Where the weights are, or None if the user did not consent.

    Raises:
        ModelError: unknown name, nothing to fetch, or the server cannot be reached.
        CheckpointError: what the server sent is another file.
        OutputError: the file cannot be written.
    """
    entry = find_model(name)
    if entry.url is None:
        raise ModelError(
            f"Model {name!r} has no address to download it from. Choose one that models list shows as to fetch."
        )
    if entry.is_present and sha256_of(entry.path) == entry.sha256:
        return entry.path
    question = f"{name}: {describe_size(entry.size)}, licence {entry.licence}, from {entry.url}, to {entry.path}"
    if not confirm(question):
        return None
    make_folder(entry.path.parent)
    with atomic_target(entry.path) as temporary:
        receive(entry, temporary, open_url, received)
        check_received(entry, temporary)
    return entry.path


def receive(entry: ModelEntry, target: Path, open_url: OpenUrl, received: Received) -> None:
    """Write what the server sends into a file.

    Raises:
        CheckpointError: the server sends more than the model's size.
        ModelError: the server cannot be reached, or breaks off.
    """
    with target.open("wb") as file:
        for block in downloaded_blocks(entry, open_url):
            file.write(block)
            received(file.tell())
            if entry.size is not None and file.tell() > entry.size:
                raise CheckpointError(f"{entry.url}: Expected {entry.size} bytes, got more. Nothing was kept.")


def downloaded_blocks(entry: ModelEntry, open_url: OpenUrl) -> Iterator[bytes]:
    """What the server sends, in blocks so small that a slow download can be stopped soon.

    Raises:
        ModelError: the server cannot be reached, or breaks off.
    """
    try:
        with open_url(str(entry.url)) as stream:
            while block := stream.read(BLOCK_BYTES):
                yield block
    except (OSError, HTTPException) as error:
        raise ModelError(f"{entry.url}: The download failed ({error}). Nothing was kept.") from error


def check_received(entry: ModelEntry, path: Path) -> None:
    """Compare a fetched file with the model's checksum.

    Raises:
        CheckpointError: it is another file.
    """
    found = sha256_of(path)
    if found != entry.sha256:
        raise CheckpointError(
            f"{entry.url}: Expected SHA256 {entry.sha256}, got {found} ({kind_of(first_bytes(path))}, "
            f"{path.stat().st_size} bytes). Nothing was kept."
        )


def describe_size(size: int | None) -> str:
    """A number of bytes as the user reads it, in megabytes."""
    return "size not known" if size is None else f"{size / 1e6:.1f} MB"
