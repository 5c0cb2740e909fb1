"""Weight files are read whole and unchanged, and nothing in them is run."""

from __future__ import annotations

import hashlib
import json
import pickle
import warnings
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn

from AdaptCore.errors import CheckpointError
from AdaptCore.models.checkpoint import (
    MEDSAM,
    SAM_PATCH_WEIGHT,
    detect_architecture,
    load_into,
    load_tensors,
    sha256_of,
)
from AdaptCore.models.registry import read_weights

WEIGHTS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor([1, 2])}


class RunsCode:
    """Unpickling it touches a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


@pytest.fixture
def a_pytorch_file(tmp_path: Path) -> Path:
    torch.save(WEIGHTS, tmp_path / "weights.pth")
    return tmp_path / "weights.pth"


@pytest.fixture
def a_safetensors_file(tmp_path: Path) -> Path:
    save_file(WEIGHTS, tmp_path / "weights.safetensors", {"architecture": "compact"})
    return tmp_path / "weights.safetensors"


def assert_same(tensors: dict[str, Tensor]) -> None:
    assert tensors.keys() == WEIGHTS.keys()
    for name, tensor in WEIGHTS.items():
        assert torch.equal(tensors[name], tensor)
        assert tensors[name].dtype == tensor.dtype


def test_a_pytorch_file_gives_its_tensors(a_pytorch_file: Path) -> None:
    tensors, metadata = load_tensors(a_pytorch_file)
    assert_same(tensors)
    assert metadata == {}


def test_a_safetensors_file_gives_tensors_and_metadata(a_safetensors_file: Path) -> None:
    tensors, metadata = load_tensors(a_safetensors_file)
    assert_same(tensors)
    assert metadata == {"architecture": "compact"}


def test_formats_are_told_apart_by_content(a_safetensors_file: Path) -> None:
    assert_same(load_tensors(a_safetensors_file.rename(a_safetensors_file.with_suffix(".pth")))[0])


def test_a_pytorch_file_may_bear_the_other_formats_name(a_pytorch_file: Path) -> None:
    assert_same(load_tensors(a_pytorch_file.rename(a_pytorch_file.with_suffix(".safetensors")))[0])


@pytest.mark.parametrize(
    ("member", "content", "reason"),
    [
        ("word/document.xml", b"<w/>", "The PyTorch file is cut short or damaged"),
        ("archive/data.pkl", b"\x80\x02K\x01Q.", "The PyTorch file is cut short or damaged"),
        (
            "archive/data.pkl",
            b"\x80\x02X\x03\x00\x00\x00abcq\x00.",
            "Expected a dictionary of named tensors, got str",
        ),
    ],
    ids=["document", "number for a tensor", "text"],
)
def test_another_zip_is_refused_whatever_its_name(tmp_path: Path, member: str, content: bytes, reason: str) -> None:
    path = tmp_path / "weights.safetensors"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, content)
        archive.writestr("archive/version", "3\n")
    with pytest.raises(CheckpointError, match=rf"weights\.safetensors: {reason}"):
        load_tensors(path)


def test_tensors_survive_a_replaced_file(a_safetensors_file: Path) -> None:
    tensors, _ = load_tensors(a_safetensors_file)
    a_safetensors_file.write_bytes(b"")
    assert_same(tensors)


def test_the_checksum_is_the_contents_sha256(a_pytorch_file: Path) -> None:
    assert sha256_of(a_pytorch_file) == hashlib.sha256(a_pytorch_file.read_bytes()).hexdigest()


def test_the_right_checksum_is_accepted_in_either_case(a_pytorch_file: Path) -> None:
    assert_same(load_tensors(a_pytorch_file, sha256_of(a_pytorch_file).upper())[0])


def test_one_changed_byte_fails_the_checksum(a_safetensors_file: Path) -> None:
    digest = sha256_of(a_safetensors_file)
    content = bytearray(a_safetensors_file.read_bytes())
    content[-1] ^= 1
    a_safetensors_file.write_bytes(content)
    with pytest.raises(CheckpointError, match=f"weights.safetensors: Expected SHA256 {digest}, got "):
        load_tensors(a_safetensors_file, digest)


def test_a_pickle_in_place_of_weights_does_not_run(tmp_path: Path) -> None:
    path, touched = tmp_path / "weights.pth", tmp_path / "touched"
    path.write_bytes(pickle.dumps(RunsCode(touched)))
    with pytest.raises(CheckpointError, match=r"weights.pth: Expected .*, got a file that begins with"):
        load_tensors(path)
    assert not touched.exists()


def test_code_inside_a_pytorch_file_does_not_run(tmp_path: Path) -> None:
    path, touched = tmp_path / "weights.pth", tmp_path / "touched"
    torch.save({"a": torch.zeros(2), "b": RunsCode(touched)}, path)
    with pytest.raises(CheckpointError, match=r"weights.pth: The file is refused.*run code"):
        load_tensors(path)
    assert not touched.exists()


def test_a_pytorch_file_that_runs_code_would_do_so_with_a_plain_load(tmp_path: Path) -> None:
    path, touched = tmp_path / "weights.pth", tmp_path / "touched"
    torch.save({"b": RunsCode(touched)}, path)
    torch.load(path, weights_only=False)
    assert touched.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "an empty file"),
        (b"<!DOCTYPE html><html>404</html>", "a web page"),
        (b"GIF89a and some more bytes", "a file that begins with b.GIF89a"),
        (b"PK\x03\x04 and nothing more", "cut short or damaged"),
        (b"\xff" * 8 + b"{" + b"x" * 40, "cut short or damaged"),
    ],
    ids=["empty", "web page", "other format", "zip without end", "header longer than the file"],
)
def test_what_is_no_checkpoint_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "file.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"file\.pth: .*{message}"):
        load_tensors(path)


def test_a_zip_archive_of_something_else_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "file.pth", "w") as archive:
        archive.writestr("slides/one.xml", "<p/>")
    with pytest.raises(CheckpointError, match=r"file\.pth: The PyTorch file is cut short or damaged"):
        load_tensors(tmp_path / "file.pth")


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_a_truncated_file_is_refused(a_pytorch_file: Path, a_safetensors_file: Path, suffix: str, kept: float) -> None:
    path = a_pytorch_file if suffix == "pth" else a_safetensors_file
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(CheckpointError, match=f"weights.{suffix}: "):
        load_tensors(path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 255)), min_size=1, max_size=6), pth=st.booleans()
)
def test_a_damaged_file_is_read_or_refused_with_one_error(
    a_pytorch_file: Path, a_safetensors_file: Path, tmp_path: Path, changes: list[tuple[int, int]], pth: bool
) -> None:
    content = bytearray((a_pytorch_file if pth else a_safetensors_file).read_bytes())
    for place, value in changes:
        content[place % len(content)] = value
    damaged = tmp_path / "damaged"
    damaged.write_bytes(content)
    try:
        tensors, _ = load_tensors(damaged)
    except CheckpointError as error:
        assert str(error).startswith(str(damaged))
    else:
        assert all(isinstance(tensor, Tensor) for tensor in tensors.values())


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nowhere\.pth: The file cannot be read"):
        load_tensors(tmp_path / "nowhere.pth")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_tensors(tmp_path)


@pytest.mark.parametrize(
    "content",
    [{"generator": {"a": torch.zeros(2)}, "epoch": 3}, [torch.zeros(2)], {}, {1: torch.zeros(2)}],
    ids=["nested", "list", "empty", "unnamed"],
)
def test_anything_but_named_tensors_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(CheckpointError, match="dictionary of named tensors, got"):
        load_tensors(tmp_path / "weights.pth")


@pytest.mark.parametrize(("width", "architecture"), [(768, "sam_vit_b"), (1024, "sam_vit_l"), (1280, "sam_vit_h")])
def test_sam_is_told_by_the_width_of_its_encoder(width: int, architecture: str) -> None:
    assert detect_architecture({SAM_PATCH_WEIGHT: torch.zeros(width, 3, 1, 1)}, {}, "file") == architecture


def test_the_compact_model_is_told_by_its_metadata() -> None:
    assert detect_architecture(WEIGHTS, {"architecture": "compact", "config": json.dumps({})}, "file") == "compact"


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (
            {"conv.weight": torch.zeros(1)},
            r"net\.pth: Expected weights of .*, got 1 tensors \(conv.weight\) of no known architecture",
        ),
        ({SAM_PATCH_WEIGHT: torch.zeros(384, 3, 1, 1)}, r"net\.pth: Expected a SAM encoder of width .*, got 384"),
        ({SAM_PATCH_WEIGHT: torch.tensor(1.0)}, r"net\.pth: Expected a SAM encoder of width .*, got 0"),
    ],
)
def test_an_unknown_architecture_is_refused(tensors: dict[str, Tensor], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        detect_architecture(tensors, {}, "net.pth")


def test_half_precision_weights_are_loaded_in_the_modules_precision() -> None:
    module = nn.Linear(2, 1)
    load_into(module, {"weight": torch.tensor([[0.5, 2.0]], dtype=torch.float16), "bias": torch.ones(1)}, "file")
    assert module.weight.tolist() == [[0.5, 2.0]]
    assert module.weight.dtype == torch.float32


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"weight": torch.zeros(1, 2)}, "1 tensors missing: bias"),
        ({"weight": torch.zeros(1, 2), "bias": torch.zeros(1), "c": torch.zeros(1)}, "1 tensors unexpected: c"),
        (
            {"weight": torch.zeros(1, 3), "bias": torch.zeros(1)},
            r"1 tensors of wrong shape: weight \(1, 3\) instead of \(1, 2\)",
        ),
    ],
    ids=["missing", "unexpected", "wrong shape"],
)
def test_weights_of_another_network_are_refused_and_change_nothing(tensors: dict[str, Tensor], message: str) -> None:
    module = nn.Linear(2, 1)
    before = module.weight.clone()
    with pytest.raises(CheckpointError, match=rf"net\.pth: Expected weights of little, got {message}\."):
        load_into(module, tensors, "net.pth", "little")
    assert torch.equal(module.weight, before)


def test_of_many_wrong_tensors_the_first_few_are_named() -> None:
    with pytest.raises(
        CheckpointError, match="Expected weights of Identity, got 7 tensors unexpected: t0, t1, t2 and 4 more"
    ):
        load_into(nn.Identity(), {f"t{i}": torch.zeros(1) for i in range(7)}, "net.pth")


# Layouts that people have

SAM = {SAM_PATCH_WEIGHT: torch.rand(768, 3, 16, 16), "mask_decoder.iou_token.weight": torch.rand(1, 256)}


def prefixed(prefix: str) -> dict[str, torch.Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in SAM.items()}


@pytest.mark.parametrize(
    "content",
    [
        SAM,
        prefixed("module."),
        {"model": SAM, "optimizer": {"state": {0: {"step": 3}}, "param_groups": [{"lr": 1e-4}]}, "epoch": 7},
        {"state_dict": prefixed("model."), "pytorch-lightning_version": "2.1", "global_step": 9},
        {"model": {"state_dict": prefixed("_orig_mod.module.sam.")}, "loss": 0.5},
    ],
    ids=["plain", "DataParallel", "MedSAM's training", "Lightning", "several"],
)
def test_weights_are_found_in_what_training_programs_save(tmp_path: Path, content: dict[str, object]) -> None:
    torch.save(content, tmp_path / "w.pth")
    weights = read_weights(tmp_path / "w.pth")
    assert weights.architecture == "sam_vit_b" and set(weights.tensors) == set(SAM)
    assert all(torch.equal(weights.tensors[name], tensor) for name, tensor in SAM.items())


def test_prefixed_weights_are_found_in_the_other_format(tmp_path: Path) -> None:
    save_file(prefixed("module."), tmp_path / "w.safetensors")
    assert set(read_weights(tmp_path / "w.safetensors").tensors) == set(SAM)


def test_a_prefix_of_some_names_stays(tmp_path: Path) -> None:
    torch.save({**prefixed("module."), "head.weight": torch.ones(2)}, tmp_path / "w.pth")
    assert "module.mask_decoder.iou_token.weight" in load_tensors(tmp_path / "w.pth")[0]


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("image_encoder.patch_embed.seq.0.c.weight", "MobileSAM or LiteMedSAM"),
        ("image_encoder.trunk.pos_embed", "SAM 2"),
        ("vision_encoder.patch_embed.projection.weight", "a SAM of Hugging Face"),
        ("mask_decoder.hf_token.weight", "HQ-SAM"),
        ("image_encoder.blocks.0.Adapter.channel.0.weight", "SAM-Med2D or another SAM with adapters"),
        ("image_encoder.blocks.0.attn.qkv.linear_a_q.weight", "a SAM with LoRA layers"),
    ],
)
def test_models_like_sam_that_cannot_be_used_are_named(tmp_path: Path, name: str, what: str) -> None:
    torch.save({"model": {**SAM, name: torch.ones(2)}}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError) as refused:
        read_weights(tmp_path / "w.pth")
    assert str(refused.value) == (
        f"{tmp_path / 'w.pth'}: Weights of {what} cannot be used. Choose those of compact, sam_vit_b, sam_vit_l, "
        "sam_vit_h or MedSAM."
    )


def test_medsam_is_known_by_its_name_or_by_what_the_user_says(tmp_path: Path) -> None:
    for name in ("medsam_vit_b.pth", "tuned.pth"):
        torch.save(SAM, tmp_path / name)
    with pytest.warns(
        UserWarning, match=r"^medsam_vit_b\.pth is taken for MedSAM because of its name; for SAM vit_b, "
    ):
        assert read_weights(tmp_path / "medsam_vit_b.pth").architecture == MEDSAM
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_weights(tmp_path / "medsam_vit_b.pth", "sam_vit_b").architecture == "sam_vit_b"
        assert read_weights(tmp_path / "tuned.pth", MEDSAM).architecture == MEDSAM
        assert read_weights(tmp_path / "tuned.pth").architecture == "sam_vit_b"
