"""What goes wrong on accelerators and on no CPU, on a device that stands in for them."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils import backend_registration

from AdaptCore.adapt.history import Event
from AdaptCore.adapt.learner import Knowledge, Learner, learnt
from AdaptCore.adapt.lessons import lesson_losses
from AdaptCore.adapt.recipe import DEFAULT, VOLUMES
from AdaptCore.models.compact import CompactModel
from AdaptCore.models.devices import on_device_or_cpu, why_device_fails
from AdaptCore.models.volumetric import VolumetricModel
from AdaptCore.predict.block import BlockSession
from AdaptCore.predict.plane import PlaneSession
from AdaptCore.preference.adviser import Adviser, space_of
from AdaptCore.preference.profile import Profile
from AdaptCore.prompts import Click, Prompts
from Testing.tiny_model import moved, tiny_model
from Testing.tiny_volume_model import tiny_volume_model

if not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"):
    pytest.skip("this PyTorch knows no devices written in Python", allow_module_level=True)

from Testing.stand_in_device import ACCELERATOR, ACCELERATOR_DEVICE, CPU

FULL = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
OTHERS = [
    RuntimeError("CUDA error: no kernel image is available for execution on the device\nCUDA kernel errors might be"),
    RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR"),
    NotImplementedError("The operator 'aten::x' is not currently implemented for the MPS device."),
    TypeError("Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64."),
]
DISC = np.hypot(*(np.mgrid[:48, :60] - np.array([24, 30])[:, None, None])) < 12
PLANE = np.where(DISC, 0.8, 0.2).astype(np.float32)


def on_the_device(seed: int = 0) -> CompactModel:
    model = tiny_model(seed)
    return CompactModel(model.network, model.name, model.digest, ACCELERATOR_DEVICE)


def after_clicks(model: CompactModel, count: int = 2, adapter: Learner | None = None) -> PlaneSession:
    session = PlaneSession(model, PLANE, zoom=None, adapter=adapter)
    for place in range(count):
        session.click(30 + 3 * place, 24)
    return session


def test_the_device_is_another_one() -> None:
    tensor = torch.ones(3, device="standin")
    assert tensor.device == ACCELERATOR_DEVICE != CPU and torch.equal(tensor.cpu(), torch.ones(3))
    with pytest.raises(RuntimeError, match="on the same device"):
        tensor + torch.ones(3)
    with pytest.raises(TypeError, match="float64"):
        tensor.double()


def test_copies_and_waits_are_counted() -> None:
    ACCELERATOR.begin_anew()
    tensor = torch.arange(3.0).to("standin")
    assert (ACCELERATOR.to_device, ACCELERATOR.to_host, ACCELERATOR.waits) == (1, 0, 0)
    (tensor + 1).cpu()
    assert (ACCELERATOR.to_device, ACCELERATOR.to_host, ACCELERATOR.waits) == (1, 1, 0)
    assert float(tensor.sum()) == 3 and ACCELERATOR.waits == 1


def test_a_model_answers_and_learns_there_as_on_the_cpu() -> None:
    known = []
    for model in (on_the_device(), tiny_model()):
        with Learner(model) as learner:
            session = after_clicks(model, adapter=learner)
            learner.learn(session.examples(DISC))
            learner.wait()
            assert learner.problem == "" and learner.knowledge.history[0].event is Event.LEARNT
            known.append(learner.knowledge.model)
    there, here = known
    assert (there.device, here.device) == (ACCELERATOR_DEVICE, CPU)
    pairs = [(there.decoder_parameters()[name].cpu(), weight) for name, weight in here.decoder_parameters().items()]
    assert torch.cat([(one - other).abs().flatten() for one, other in pairs]).median() < 1e-6
    frozen = tiny_model().decoder_parameters()
    assert any(not torch.equal(weight, frozen[name]) for name, weight in here.decoder_parameters().items())


def test_a_step_waits_for_the_device_a_few_times_and_not_for_each_weight() -> None:
    model = on_the_device()
    with Learner(model) as learner:
        session = after_clicks(model, count=1, adapter=learner)
        ACCELERATOR.begin_anew()
        session.click(36, 24)
        assert 1 <= ACCELERATOR.waits <= 10 < len(model.decoder_parameters())
        ACCELERATOR.begin_anew()
        learner.learn(session.examples(DISC))
        learner.wait()
    steps = DEFAULT.post_steps
    assert steps <= ACCELERATOR.waits <= 2 * steps + 12


def test_objects_are_answered_and_learnt_there_as_on_the_cpu() -> None:
    volume = np.zeros((24, 22, 20), np.float32)
    volume[8:15, 7:14, 6:13] = 1
    found = []
    for device in (ACCELERATOR_DEVICE, CPU):
        here = tiny_volume_model()
        model = VolumetricModel(here.network, here.name, here.digest, device)
        with Learner(model, VOLUMES) as learner:
            session = BlockSession(model, volume, (1.0, 1.0, 1.0), adapter=learner)
            session.click(11, 10, 9)
            answer = session.click(12, 10, 9)
            learner.learn(session.examples(volume > 0))
            learner.wait()
            assert learner.problem == learner.click_problem == ""
            assert learner.knowledge.history[0].event is Event.LEARNT
            found.append(answer.logits)
    assert (found[0] - found[1]).abs().max() < 1e-3


@pytest.mark.parametrize("trained", [True, False], ids=["latent", "free"])
def test_a_preference_is_learnt_there_without_float64(trained: bool) -> None:
    from Testing.core.test_advising import a_latent

    model = on_the_device()
    latent = a_latent(tiny_model()) if trained else None
    adviser = Adviser(Profile.fresh("Anna", "cup", space_of(model, latent)), latent)
    session = after_clicks(model)
    shown = adviser.ask(session)
    if shown.proposal.candidates:
        adviser.picked(shown, shown.proposal.candidates[0])
    assert adviser.learn(model, session.examples(DISC))
    assert adviser.profile.picks >= 1 and adviser.preferred(model, session.question) is not None


@pytest.mark.parametrize("error", [FULL, *OTHERS], ids=lambda error: str(error)[:30])
def test_a_device_that_cannot_go_on_is_left_for_the_cpu(error: Exception) -> None:
    model, expected = on_the_device(), tiny_model().encode(PLANE)
    reason = "is out of memory" if error is FULL else rf"cannot compute this \({str(error)[:12]}"
    told = pytest.warns(UserWarning, match=rf"^standin:0 {reason}.*\. Going on with the CPU, more slowly\.$")
    with told, ACCELERATOR.failing(error):
        embedding = model.encode(PLANE)
    assert model.device == CPU
    torch.testing.assert_close(embedding.features[0], expected.features[0])


def test_another_error_is_no_reason_to_leave() -> None:
    assert why_device_fails(RuntimeError("mat1 and mat2 shapes cannot be multiplied")) is None
    model = on_the_device()
    with ACCELERATOR.failing(RuntimeError("mat1 and mat2")), pytest.raises(RuntimeError, match="mat1"):
        model.encode(PLANE)
    assert model.device == ACCELERATOR_DEVICE


def test_all_copies_of_a_model_leave_together_and_share_one_network() -> None:
    model = on_the_device()
    taught, other = moved(model, 0.5), moved(model, 0.25)
    before = {name: weight.cpu() for name, weight in taught.decoder_parameters().items()}
    embedding = model.encode(PLANE)
    with pytest.warns(UserWarning) as told, ACCELERATOR.failing(FULL):
        for each in (taught, model, other):
            each.decode(embedding, Prompts((Click(30, 24),)))
    assert len(told) == 1, "the others had left with the first"
    assert model.device == taught.device == other.device == CPU
    assert taught.network.encoder is model.network.encoder is other.network.encoder
    for name, weight in taught.decoder_parameters().items():
        assert torch.equal(weight, before[name])
    assert moved(taught, 0.0).device == CPU


def test_leaving_allocates_nothing_on_the_full_device() -> None:
    model = on_the_device()
    ACCELERATOR.log.clear()
    with ACCELERATOR.failing(FULL):
        model.move_to(CPU)
    assert set(ACCELERATOR.log) <= {"aten::_to_copy", "aten::detach", "aten::_copy_from", "aten::alias"}


def test_lessons_from_before_the_device_was_left_are_repeated_on_the_cpu() -> None:
    model = on_the_device()
    examples = after_clicks(model).examples(DISC)
    known = learnt(Knowledge.none(model, DEFAULT), examples, model, DEFAULT, seed=0)
    (lessons,) = known.memory.images
    model.move_to(CPU)
    losses = lesson_losses(known.model, lessons, DEFAULT)
    assert losses.device == CPU and losses.isfinite().all()
    again = learnt(known, after_clicks(model).examples(DISC), model, replace(DEFAULT, replayed=2), seed=0)
    assert [outcome.event for outcome in again.history] == [Event.LEARNT] * 2


@pytest.mark.parametrize("error", [FULL, OTHERS[1], MemoryError()], ids=["full", "cublas", "host"])
def test_a_click_whose_step_finds_no_memory_is_answered(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    model = on_the_device()
    with Learner(model) as learner:
        session = after_clicks(model, 1, learner)

        def no_room(*arguments: object, **options: object) -> None:
            raise error

        monkeypatch.setattr("AdaptCore.adapt.clicks.take_steps", no_room)
        assert learner.click_problem == ""
        prediction = session.click(36, 24)
        assert learner.click_problem.endswith(". The click is answered, but nothing is learnt from it.")
    assert prediction.mask.shape == PLANE.shape
    assert len(session.prompts.clicks) == 2 and session.model is model and model.device == ACCELERATOR_DEVICE


def test_an_accepted_mask_is_learnt_from_on_the_cpu_where_the_device_is_full() -> None:
    model = on_the_device()
    with Learner(model) as learner, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        examples = after_clicks(model).examples(DISC)
        with ACCELERATOR.failing(FULL):
            learner.learn(examples)
            learner.wait()
        assert learner.problem == "" and learner.knowledge.history[0].event is Event.LEARNT
        assert learner.model.device == model.device == CPU


def test_an_accepted_mask_whose_steps_alone_find_no_memory_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*arguments: object, **options: object) -> None:
        raise MemoryError

    model = on_the_device()
    monkeypatch.setattr("AdaptCore.adapt.learner.take_steps", no_room)
    with Learner(model) as learner:
        learner.learn(after_clicks(model).examples(DISC))
        learner.wait()
        assert learner.problem == "out of memory" and learner.knowledge.history == ()


def test_work_that_a_device_cannot_end_begins_again_on_the_cpu() -> None:
    def work(place: torch.device) -> str:
        torch.ones(2, device=place) + 1
        return str(place)

    assert on_device_or_cpu(work, ACCELERATOR_DEVICE) == "standin:0"
    with pytest.warns(UserWarning, match="standin:0 is out of memory"), ACCELERATOR.failing(FULL):
        assert on_device_or_cpu(work, ACCELERATOR_DEVICE) == "cpu"
