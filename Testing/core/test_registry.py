"""Models by name: manifest, loading, verifying, fetching without a network, adding."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from AdaptCore.errors import CheckpointError, ModelError, OutputError
from AdaptCore.models import registry
from AdaptCore.models.checkpoint import SAM_PATCH_WEIGHT
from AdaptCore.models.compact import CompactModel
from AdaptCore.models.described import config_to_json
from AdaptCore.models.registry import (
    HttpsRedirects,
    ModelEntry,
    add_model,
    fetch_model,
    find_model,
    list_models,
    load_model,
    read_manifest,
    record_weights,
    sha256_of,
    user_manifest,
    verify_model,
    write_manifest,
)
from AdaptCore.prompts import Click, Prompts
from AdaptCore.resources import resource_path
from Testing.small_model import SMALL, small_network

URL = "https://weights.example.org/little.safetensors"
pytestmark = pytest.mark.usefixtures("a_home")


@pytest.fixture
def an_entry(a_checkpoint: Path) -> ModelEntry:
    """A model that can be fetched, in the user's manifest."""
    entry = ModelEntry(
        name="little",
        architecture="compact",
        file="little.safetensors",
        url=URL,
        sha256=sha256_of(a_checkpoint),
        size=a_checkpoint.stat().st_size,
        licence="CC0-1.0",
        citation="nobody",
        description="",
        modality_notes="",
    )
    write_manifest(user_manifest(), (entry,))
    return entry


def serving(content: bytes) -> Callable[[str], io.BytesIO]:
    def open_url(url: str) -> io.BytesIO:
        assert url == URL
        return io.BytesIO(content)

    return open_url


def agree(question: str) -> bool:
    return True


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_shipped_models_are_listed() -> None:
    assert [entry.name for entry in list_models()] == ["compact", "compact3d", "sam_vit_b", "sam_vit_l", "sam_vit_h"]


def test_official_sam_has_its_published_checksum_and_licence() -> None:
    entry = find_model("sam_vit_b")
    assert entry.sha256 == "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912"
    assert entry.url == "https://dl.fbaipublicfiles.com/segment_anything/sam_vit_b_01ec64.pth"
    assert entry.licence == "Apache-2.0"
    assert "Kirillov" in entry.citation


def test_models_of_planes_and_of_volumes_are_not_mistaken_for_each_other() -> None:
    assert [entry.name for entry in list_models() if not entry.answers_planes] == ["compact3d"]
    assert registry.load_volume_model(device="cpu").digest == find_model("compact3d").sha256
    with pytest.raises(ModelError, match="compact3d is a model of volumes and cannot answer on a plane"):
        load_model("compact3d", "cpu")
    with pytest.raises(ModelError, match="compact is a model of planes and cannot answer in a volume"):
        registry.load_volume_model("compact", "cpu")


@pytest.mark.parametrize("name", ["compact", "compact3d"])
def test_the_shipped_weights_have_the_checksum_of_the_manifest(name: str) -> None:
    entry = find_model(name)
    if not entry.is_present:
        pytest.skip("the built-in weights are not there")
    assert entry.sha256 == sha256_of(entry.path)
    assert entry.size == entry.path.stat().st_size


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sha256": "abc"}, r"\$\.models\[0\]\.sha256: 'abc' does not match"),
        ({"url": "http://weights.example.org/x.pth"}, r"url: .*does not match"),
        ({"url": URL, "sha256": None}, r"sha256: None is not of type 'string'"),
        ({"url": URL, "file": "../outside.pth"}, r"file: '\.\./outside\.pth' does not match"),
        ({"architecture": "sam2"}, r"architecture: 'sam2' is not one of"),
        ({"licence": ""}, r"licence: '' .*"),
        ({"colour": "red"}, r"'colour' was unexpected"),
    ],
)
def test_a_manifest_is_checked_against_the_schema(
    an_entry: ModelEntry, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    path = tmp_path / "models.json"
    path.write_text(json.dumps({"version": 1, "models": [{**asdict(an_entry), **change}]}))
    with pytest.raises(ModelError, match=rf"models\.json: .*{message}"):
        read_manifest(path)


@pytest.mark.parametrize("content", ["", "{", '{"version": 2, "models": []}', "[]", '{"version": 1}'])
def test_a_damaged_user_manifest_is_refused_and_left_as_it_is(a_checkpoint: Path, content: str) -> None:
    user_manifest().parent.mkdir()
    user_manifest().write_text(content)
    with pytest.raises(ModelError, match=r"home.models\.json: Expected a model manifest"):
        add_model(a_checkpoint, "mine")
    assert user_manifest().read_text() == content


def test_a_damaged_user_manifest_does_not_hide_shipped_models() -> None:
    user_manifest().parent.mkdir()
    user_manifest().write_text("{")
    assert find_model("sam_vit_h").architecture == "sam_vit_h"


def test_a_written_manifest_reads_as_it_was(an_entry: ModelEntry) -> None:
    assert read_manifest(user_manifest()) == (an_entry,)


def test_an_unknown_model_is_answered_with_the_known_ones() -> None:
    with pytest.raises(
        ModelError, match=r"'sam_vitb' \(did you mean sam_vit_b\?\)\. Choose compact, compact3d, sam_vit_b, "
    ):
        load_model("sam_vitb")


def test_a_name_unlike_any_other_gets_no_suggestion() -> None:
    with pytest.raises(ModelError, match=r"Unknown model 'zzz'\. Choose compact"):
        load_model("zzz")


def test_weights_that_were_not_fetched_are_said_how_to_get() -> None:
    with pytest.raises(ModelError, match=r"'sam_vit_l' is not on this machine.*adaptseg models fetch sam_vit_l"):
        load_model("sam_vit_l")


def test_a_missing_file_is_named() -> None:
    with pytest.raises(CheckpointError, match=r"nowhere\.pth: The file cannot be read"):
        load_model("nowhere.pth")


def test_a_checkpoint_file_gives_a_model_that_predicts(a_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "choose_dtype", lambda device: torch.float32)
    model = load_model(a_checkpoint, device="cpu")
    assert isinstance(model, CompactModel)
    assert (model.name, model.digest, str(model.device)) == ("little", sha256_of(a_checkpoint), "cpu")
    expected = CompactModel(small_network(), "same", "", torch.device("cpu"))
    image = np.random.default_rng(0).random((40, 60), np.float32)
    prompts = Prompts((Click(10, 20),))
    logits = [m.decode(m.encode(image), prompts).logits for m in (model, expected)]
    assert torch.equal(*logits)


def test_a_damaged_checkpoint_is_refused(a_checkpoint: Path) -> None:
    a_checkpoint.write_bytes(a_checkpoint.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"little\.safetensors: The safetensors file is cut short"):
        load_model(a_checkpoint)


def test_weights_that_lack_a_tensor_are_refused(a_checkpoint: Path) -> None:
    tensors = {"encoder.neck.0.weight": torch.zeros(32, 32, 1, 1)}
    save_file(tensors, a_checkpoint, {"architecture": "compact", "config": config_to_json(SMALL)})
    with pytest.raises(CheckpointError, match=r"tensors missing: .*encoder"):
        load_model(a_checkpoint)


def test_an_added_model_is_loaded_by_its_name(a_checkpoint: Path) -> None:
    entry = add_model(a_checkpoint, "mine", licence="CC0-1.0", citation="nobody")
    assert (entry.architecture, entry.licence, entry.sha256) == ("compact", "CC0-1.0", sha256_of(a_checkpoint))
    assert [entry.name for entry in list_models()][-1] == "mine"
    model = load_model("mine", device="cpu")
    assert (model.name, model.digest, model.mask_side) == ("mine", entry.sha256, 32)


def test_a_second_model_joins_the_first(a_checkpoint: Path) -> None:
    first, second = add_model(a_checkpoint, "first"), add_model(a_checkpoint, "second")
    assert read_manifest(user_manifest()) == (first, second)


def test_an_added_file_that_changes_is_noticed(a_checkpoint: Path) -> None:
    digest = str(add_model(a_checkpoint, "mine").sha256)
    a_checkpoint.write_bytes(a_checkpoint.read_bytes()[:-1] + b"\x01")
    for use in (load_model, verify_model):
        with pytest.raises(CheckpointError, match=f"Expected SHA256 {digest}, got "):
            use("mine")


def test_an_added_file_that_is_gone_is_named(a_checkpoint: Path) -> None:
    add_model(a_checkpoint, "mine")
    a_checkpoint.unlink()
    with pytest.raises(ModelError, match=r"Model 'mine': .*little\.safetensors is gone"):
        load_model("mine")


@pytest.mark.parametrize("name", ["compact", "mine"])
def test_a_name_is_given_once(a_checkpoint: Path, name: str) -> None:
    add_model(a_checkpoint, "mine")
    with pytest.raises(ModelError, match=f"There is a model '{name}' already"):
        add_model(a_checkpoint, name)


@pytest.mark.parametrize("name", ["", "../up", "a/b", "two words", "-x", "file.pth"])
def test_a_name_that_is_none_is_refused(a_checkpoint: Path, name: str) -> None:
    with pytest.raises(ModelError, match=r"Expected a model manifest .*, got \$\.models\[0\]\.name: "):
        add_model(a_checkpoint, name)
    assert not user_manifest().exists()


def test_a_file_of_another_architecture_than_said_is_not_added(a_checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match=r"little\.safetensors: Expected weights of sam_vit_b, got compact\."):
        add_model(a_checkpoint, "mine", architecture="sam_vit_b")
    assert not user_manifest().exists()


def test_other_weights_for_a_named_model_must_be_of_its_architecture(a_checkpoint: Path, tmp_path: Path) -> None:
    assert load_model("compact", "cpu", checkpoint=a_checkpoint).digest == sha256_of(a_checkpoint)
    large = tmp_path / "large.pth"
    torch.save({SAM_PATCH_WEIGHT: torch.zeros(1024, 3, 1, 1)}, large)
    with pytest.raises(CheckpointError, match=r"large\.pth: Expected weights of sam_vit_b, got sam_vit_l\."):
        load_model("sam_vit_b", checkpoint=large)


def test_fetched_weights_are_whole_and_can_be_loaded(an_entry: ModelEntry, a_checkpoint: Path, a_home: Path) -> None:
    content = a_checkpoint.read_bytes()
    assert fetch_model("little", agree, open_url=serving(content)) == a_home / "models" / "little.safetensors"
    assert verify_model("little").read_bytes() == content
    assert load_model("little", "cpu").digest == an_entry.sha256
    assert files_in(a_home / "models") == ["little.safetensors"]


def test_the_user_is_told_size_licence_and_address_before_anything_is_fetched(
    an_entry: ModelEntry, a_home: Path
) -> None:
    questions: list[str] = []

    def decline(question: str) -> bool:
        questions.append(question)
        return False

    def never(url: str) -> io.BytesIO:
        raise AssertionError(f"{url} was opened")

    assert fetch_model("little", decline, open_url=never) is None
    (question,) = questions
    assert all(part in question for part in ("0.5 MB", "CC0-1.0", URL, str(a_home / "models")))
    assert not (a_home / "models").exists()


def test_weights_that_are_here_are_not_fetched_again(an_entry: ModelEntry, a_checkpoint: Path) -> None:
    fetch_model("little", agree, open_url=serving(a_checkpoint.read_bytes()))

    def never_asked(question: str) -> bool:
        raise AssertionError(question)

    assert fetch_model("little", never_asked) == an_entry.path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html><body>503 Service Unavailable</body></html>", ".*.a web page, 49 bytes"),
        (b"", ".*.an empty file, 0 bytes"),
        (b"x" * 1000, ".*.a file that begins with .*1000 bytes"),
        (b"x" * 10_000_000, "Expected [0-9]+ bytes, got more"),
    ],
    ids=["error page", "nothing", "something else", "without end"],
)
def test_anything_else_that_the_server_sends_is_not_kept(
    an_entry: ModelEntry, a_home: Path, content: bytes, message: str
) -> None:
    with pytest.raises(CheckpointError, match=f"{URL}: {message}.*Nothing was kept"):
        fetch_model("little", agree, open_url=serving(content))
    assert files_in(a_home / "models") == []


def test_a_changed_byte_on_the_way_is_noticed(an_entry: ModelEntry, a_checkpoint: Path, a_home: Path) -> None:
    content = bytearray(a_checkpoint.read_bytes())
    content[-1] ^= 1
    with pytest.raises(CheckpointError, match=f"Expected SHA256 {an_entry.sha256}, got .* .a safetensors file"):
        fetch_model("little", agree, open_url=serving(bytes(content)))
    assert files_in(a_home / "models") == []


class Interrupted(io.BytesIO):
    """Breaks off after the first block."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell():
            raise ConnectionResetError("connection reset by peer")
        return super().read(1000)


def test_a_broken_connection_leaves_the_old_file_whole(an_entry: ModelEntry, a_checkpoint: Path, a_home: Path) -> None:
    old = a_home / "models" / "little.safetensors"
    old.parent.mkdir()
    old.write_bytes(b"old")
    with pytest.raises(ModelError, match=f"{URL}: The download failed .connection reset by peer"):
        fetch_model("little", agree, open_url=lambda url: Interrupted(a_checkpoint.read_bytes()))
    assert files_in(a_home / "models") == ["little.safetensors"]
    assert old.read_bytes() == b"old"


def test_a_server_that_cannot_be_reached_is_said(an_entry: ModelEntry) -> None:
    def unreachable(url: str) -> io.BytesIO:
        raise URLError("no route to host")

    with pytest.raises(ModelError, match=f"{URL}: The download failed .*no route to host"):
        fetch_model("little", agree, open_url=unreachable)


def test_a_folder_that_cannot_be_made_is_said(an_entry: ModelEntry, a_home: Path, a_checkpoint: Path) -> None:
    (a_home / "models").write_text("a file in its place")
    with pytest.raises(OutputError, match=r"home.models: The folder cannot be made"):
        fetch_model("little", agree, open_url=serving(a_checkpoint.read_bytes()))


def test_a_model_without_address_cannot_be_fetched(a_checkpoint: Path) -> None:
    add_model(a_checkpoint, "mine")
    with pytest.raises(ModelError, match="Model 'mine' has no address"):
        fetch_model("mine", agree)


def test_redirections_leave_https_for_nothing() -> None:
    follow = HttpsRedirects().redirect_request
    request, answer = Request(URL), io.BytesIO()
    for outside in ("http://weights.example.org/x", "file:///etc/hostname", "ftp://weights.example.org/x"):
        with pytest.raises(URLError, match="which is not https"):
            follow(request, answer, 302, "Found", {}, outside)  # type: ignore[arg-type]
    followed = follow(request, answer, 302, "Found", {}, "https://mirror.example.org/x")  # type: ignore[arg-type]
    assert followed is not None
    assert followed.full_url == "https://mirror.example.org/x"


def test_new_weights_are_recorded_in_the_shipped_manifest(
    a_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    for name in ("models.json", "models.schema.json"):
        (shipped / name).write_bytes(resource_path(name).read_bytes())
    a_checkpoint.rename(shipped / "compact.safetensors")
    before = read_manifest(shipped / "models.json")
    monkeypatch.setattr(registry, "resource_path", lambda name: shipped / name)
    entry = record_weights("compact")
    assert entry.sha256 == sha256_of(shipped / "compact.safetensors")
    assert entry.size == (shipped / "compact.safetensors").stat().st_size
    assert read_manifest(shipped / "models.json") == (
        replace(before[0], sha256=entry.sha256, size=entry.size),
        *before[1:],
    )
    assert verify_model("compact") == shipped / "compact.safetensors"


def test_fetching_tells_how_much_is_there_and_is_stopped_by_an_error(
    an_entry: ModelEntry, a_checkpoint: Path, a_home: Path
) -> None:
    content, counts = a_checkpoint.read_bytes(), []
    fetch_model("little", agree, open_url=serving(content), received=counts.append)
    assert counts == sorted(counts) and counts[0] == registry.BLOCK_BYTES and counts[-1] == len(content)
    (a_home / "models" / "little.safetensors").unlink()

    def stop(count: int) -> None:
        if count > registry.BLOCK_BYTES:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch_model("little", agree, open_url=serving(content), received=stop)
    assert files_in(a_home / "models") == []
