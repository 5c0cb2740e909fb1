"""A cohort folder: how it begins, what is set aside, and that nothing accepted is overwritten or lost."""

from __future__ import annotations

import shutil
import threading
from concurrent.futures import CancelledError
from pathlib import Path

import numpy as np
import pytest

from AdaptCore.cohort.accepting import accept, accept_file, accept_proposal, mean_dice, undo
from AdaptCore.cohort.beginning import begin
from AdaptCore.cohort.engine import Watch
from AdaptCore.cohort.folder import Cohort
from AdaptCore.errors import AdaptSegError, CohortError, ImageError, OutputError
from AdaptCore.io import read_volume
from Testing.cohort_toy import a_case, begun, contents, trained, write, write_cohort


def again(folder: Path) -> Cohort:
    """Begin the cohort once more, with the same images."""
    names = folder / "images", folder / "images" / "case-000.nii.gz", folder / "labels" / "case-000.nii.gz"
    return begin(folder / "cohort", [names[0]], names[1], names[2], "toy")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def asides(cohort: Cohort) -> dict[str, str]:
    return {case.id: case.aside for case in cohort.cases() if case.aside}


@pytest.fixture
def a_cohort(tmp_path: Path) -> Cohort:
    return begun(tmp_path)


@pytest.fixture
def a_trained_cohort(tmp_path: Path) -> Cohort:
    return trained(tmp_path)


def test_images_stay_where_they_are_and_as_they_were(tmp_path: Path) -> None:
    write_cohort(tmp_path, 3)
    before = contents(tmp_path, "images", "labels")
    cohort = again(tmp_path)
    assert contents(tmp_path, "images", "labels") == before
    assert cohort.settings.images["case-001"] == "../images/case-001.nii.gz"
    assert [case.id for case in cohort.cases()] == ["case-000", "case-001", "case-002"]
    assert all(case.is_usable for case in cohort.cases())


def test_the_label_of_the_template_is_the_first_accepted_one(a_cohort: Cohort) -> None:
    template = a_cohort.case("case-000")
    assert a_cohort.settings.labels == (2, 5) and a_cohort.classes == 3
    assert [one.file for one in template.accepted] == ["accepted/case-000-1.nii.gz"]
    assert np.array_equal(a_cohort.values(a_cohort.label(template, template.accepted[0])), a_case(0)[1])
    assert read_volume(a_cohort.folder / "accepted/case-000-1.nii.gz").geometry == template.image.geometry


def test_the_folder_can_move_with_its_images(tmp_path: Path) -> None:
    begun(tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    cohort = Cohort.open(tmp_path / "there" / "cohort")
    for case in cohort.cases():
        cohort.check_image(case)


def test_no_cohort_and_an_unusable_one_are_told_apart(tmp_path: Path, a_cohort: Cohort) -> None:
    with pytest.raises(CohortError, match=r"There is no cohort\. Begin one with: adaptseg cohort init"):
        Cohort.open(tmp_path)
    cut(a_cohort.folder / "cohort.json")
    with pytest.raises(CohortError, match=r"cohort\.json: Expected the settings of a cohort, got damaged JSON"):
        Cohort.open(a_cohort.folder)
    with pytest.raises(CohortError, match=r"cohort\.json: Expected the settings of a cohort, got damaged JSON"):
        again(tmp_path)


def test_broken_images_are_set_aside_with_the_reason_and_the_others_go_on(tmp_path: Path) -> None:
    images = write_cohort(tmp_path, 6)[0]
    cut(images / "case-001.nii.gz")
    (images / "case-002.nii.gz").write_bytes(b"")
    write(images / "case-003.nii.gz", np.random.default_rng(0).integers(0, 9, (5, 5, 5, 3)).astype(np.uint8))
    (images / "case-004.nii.gz").write_bytes(b"an error page of a server" * 30)
    with pytest.warns(UserWarning, match="set aside") as warned:
        cohort = again(tmp_path)
    reasons = asides(cohort)
    assert [case.id for case in cohort.cases() if case.is_usable] == ["case-000", "case-005"]
    assert "damaged or cut short" in reasons["case-001"] and "The file is empty" in reasons["case-002"]
    assert "Each voxel holds 3 numbers" in reasons["case-003"] and "case-004" in reasons["case-004"]
    assert len(warned) == 4 and not any(str(tmp_path) in reason for reason in reasons.values())


def test_voxels_of_another_size_are_told_and_gaps_are_mended(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    images = write_cohort(tmp_path, 4)[0]
    image = a_case(1)[0].astype(np.float32)
    write(images / "case-001.nii.gz", image, (1.0, 1.5, 4.0))
    write(images / "case-002.nii.gz", image, (1.2, 1.2, 2.5))
    image[0, :3] = np.nan
    write(images / "case-003.nii.gz", image)
    assert asides(again(tmp_path)) == {}
    size, gaps = (str(warning.message) for warning in recwarn)
    assert size == "case-001: Expected voxels of about 1 x 1.5 x 2 mm as in the template, got 1 x 1.5 x 4 mm."
    assert "case-003.nii.gz: 24 NaN or infinite voxels are replaced by -" in gaps
    again(tmp_path)
    assert len(recwarn) == 2


def test_an_image_that_was_repaired_is_taken_back(tmp_path: Path) -> None:
    images = write_cohort(tmp_path, 3)[0]
    whole = (images / "case-001.nii.gz").read_bytes()
    cut(images / "case-001.nii.gz")
    with pytest.warns(UserWarning, match="case-001: set aside"):
        again(tmp_path)
    (images / "case-001.nii.gz").write_bytes(whole)
    assert asides(again(tmp_path)) == {}


def test_a_changed_image_is_noticed(tmp_path: Path, a_cohort: Cohort) -> None:
    case, path = a_cohort.case("case-002"), tmp_path / "images" / "case-002.nii.gz"
    whole = path.read_bytes()
    write(path, a_case(99)[0])
    with pytest.raises(
        ImageError,
        match=r"case-002\.nii\.gz: The image has changed since it was added: expected SHA256 \w{12}, got \w{12}",
    ):
        a_cohort.image(case)
    with pytest.raises(ImageError, match="The image has changed"):
        accept(a_cohort, "case-002", a_case(2)[1])
    path.unlink()
    with pytest.raises(ImageError, match="cannot be read"):
        a_cohort.image(case)
    path.write_bytes(whole)
    assert np.array_equal(a_cohort.image(case).array, a_case(2)[0])


def test_images_can_be_added_and_what_is_there_stays(tmp_path: Path, a_cohort: Cohort) -> None:
    accept(a_cohort, "case-001", a_case(1)[1])
    before = contents(a_cohort.folder, "cases", "accepted")
    write(tmp_path / "images" / "a-new-one.nrrd", a_case(50)[0])
    cohort = again(tmp_path)
    assert list(cohort.settings.images)[-1] == "a-new-one" and cohort.case("a-new-one").is_usable
    assert before.items() <= contents(a_cohort.folder, "cases", "accepted").items()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"model": "other"}, "holds a cohort with model 'toy'. Choose another one for 'other'."),
        ({"seed": 3}, "holds a cohort with seed 0. Choose another one for 3."),
        ({"template": "case-001", "label": "case-001"}, "holds a cohort with template 'case-000'"),
    ],
)
def test_another_cohort_in_the_folder_is_not_touched(
    tmp_path: Path, a_cohort: Cohort, change: dict[str, str], reason: str
) -> None:
    before = contents(a_cohort.folder, ".")
    given = {"template": "case-000", "label": "case-000", "model": "toy", "seed": 0, **change}
    with pytest.raises(CohortError, match=reason):
        begin(
            a_cohort.folder,
            [tmp_path / "images"],
            tmp_path / "images" / f"{given['template']}.nii.gz",
            tmp_path / "labels" / f"{given['label']}.nii.gz",
            str(given["model"]),
            int(given["seed"]),
        )
    assert contents(a_cohort.folder, ".") == before


def test_a_template_with_an_empty_label_begins_nothing(tmp_path: Path) -> None:
    images, template, label = write_cohort(tmp_path, 2)
    write(label, np.zeros_like(a_case(0)[1]))
    with pytest.raises(ImageError, match=r"The label is empty\. Choose one with at least one voxel of an object"):
        begin(tmp_path / "cohort", [images], template, label, "toy")
    assert not (tmp_path / "cohort").exists()


def test_a_cancelled_beginning_goes_on(tmp_path: Path) -> None:
    images, template, label = write_cohort(tmp_path, 4)
    asked = iter([False, False, True])
    with pytest.raises(CancelledError):
        begin(tmp_path / "cohort", [images], template, label, "toy", watch=Watch(cancelled=lambda: next(asked)))
    cases = list(Cohort.open(tmp_path / "cohort").cases())
    assert [case.image is not None for case in cases] == [True, True, False, False]
    assert all(case.is_usable for case in again(tmp_path).cases())


def test_an_accepted_label_is_never_overwritten(a_cohort: Cohort) -> None:
    first, second = a_case(1)[1], a_case(7)[1]
    accept(a_cohort, "case-001", first)
    before = contents(a_cohort.folder, "accepted")
    case = accept(a_cohort, "case-001", second)
    assert before.items() <= contents(a_cohort.folder, "accepted").items()
    assert [one.file for one in case.accepted] == ["accepted/case-001-1.nii.gz", "accepted/case-001-2.nii.gz"]
    assert np.array_equal(a_cohort.values(a_cohort.label(case, case.accepted[-1])), second)
    case = undo(a_cohort, "case-001")
    assert np.array_equal(a_cohort.values(a_cohort.label(case, case.accepted[-1])), first)
    case = accept(a_cohort, "case-001", second)
    assert case.accepted[-1].file == "accepted/case-001-3.nii.gz" and len(contents(a_cohort.folder, "accepted")) == 4


def test_the_same_label_again_changes_nothing(a_cohort: Cohort) -> None:
    accept(a_cohort, "case-001", a_case(1)[1])
    before = contents(a_cohort.folder, ".")
    accept(a_cohort, "case-001", a_case(1)[1])
    assert contents(a_cohort.folder, ".") == before


def test_undo_leaves_the_template_one_label(a_cohort: Cohort) -> None:
    with pytest.raises(
        CohortError,
        match="case-000: Expected at least 2, because the template keeps one, of accepted",
    ):
        undo(a_cohort, "case-000")
    with pytest.raises(CohortError, match="case-001: Expected at least 1, of accepted labels to take back from, got 0"):
        undo(a_cohort, "case-001")
    with pytest.raises(
        CohortError, match=r"'case-999' is no case of .*cohort\. Choose one that adaptseg cohort status lists"
    ):
        undo(a_cohort, "case-999")


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        (np.zeros((12, 10, 8), np.uint8), r"got .* with \[0\]"),
        (np.ones((12, 10, 8), np.uint8), r"some of the values \[2, 5\] besides 0, got \(12, 10, 8\) with \[1\]"),
        (np.full((12, 10, 7), 2, np.uint8), r"Expected a label of \(12, 10, 8\) voxels .*, got \(12, 10, 7\) with"),
    ],
)
def test_a_label_that_cannot_be_used_is_not_accepted(a_cohort: Cohort, label: np.ndarray, reason: str) -> None:
    before = contents(a_cohort.folder, ".")
    with pytest.raises(ImageError, match=reason):
        accept(a_cohort, "case-001", label)
    assert contents(a_cohort.folder, ".") == before


def test_a_refused_file_is_noted_until_a_good_one_comes(tmp_path: Path, a_cohort: Cohort) -> None:
    path = write(tmp_path / "label.nii.gz", a_case(1)[1][:, :, :7])
    with pytest.raises(ImageError, match="voxels"):
        accept_file(a_cohort, "case-001", path)
    assert a_cohort.case("case-001").refused.startswith(
        "label.nii.gz: Expected the places of the image. The label has (12, 10, 7) voxels; (12, 10, 8)"
    )
    write(path, np.zeros_like(a_case(1)[1]))
    with pytest.raises(ImageError, match="The label is empty"):
        accept_file(a_cohort, "case-001", path)
    write(path, a_case(1)[1])
    case = accept_file(a_cohort, "case-001", path)
    assert (case.refused, len(case.accepted)) == ("", 1)


def test_a_review_tells_how_good_the_proposal_was(a_trained_cohort: Cohort) -> None:
    as_it_is = accept_proposal(a_trained_cohort, "case-001").accepted[-1]
    assert (as_it_is.round, as_it_is.dice) == (1, 1.0)
    shifted = np.roll(a_case(2)[1], 1, axis=0)
    corrected = accept(a_trained_cohort, "case-002", shifted).accepted[-1]
    proposed = a_trained_cohort.values(a_trained_cohort.proposal(a_trained_cohort.case("case-002"), 1))
    assert corrected.dice == mean_dice(proposed, shifted) and 0.5 < (corrected.dice or 0) < 0.9


def test_dice_is_the_mean_over_the_labels_that_are_there() -> None:
    one, other = np.array([0, 2, 2, 5]), np.array([0, 2, 5, 5])
    assert mean_dice(one, other) == pytest.approx((2 / 3 + 2 / 3) / 2)
    assert mean_dice(np.array([0, 2]), np.array([0, 0])) == 0.0
    assert mean_dice(np.zeros(3), np.zeros(3)) == 1.0


def test_a_damaged_accepted_label_is_noticed_and_can_be_accepted_again(a_cohort: Cohort) -> None:
    case = accept(a_cohort, "case-001", a_case(1)[1])
    cut(a_cohort.folder / "accepted/case-001-1.nii.gz")
    with pytest.raises(ImageError, match="The accepted label has changed"):
        a_cohort.label(case, case.accepted[-1])
    case = accept(a_cohort, "case-001", a_case(1)[1])
    assert case.accepted[-1].file == "accepted/case-001-2.nii.gz"
    assert np.array_equal(a_cohort.values(a_cohort.label(case, case.accepted[-1])), a_case(1)[1])


def test_a_damaged_record_stops_only_its_case_and_is_made_again(tmp_path: Path, a_cohort: Cohort) -> None:
    accept(a_cohort, "case-001", a_case(1)[1])
    record = a_cohort.record_path("case-001")
    cut(record)
    damaged = record.read_bytes()
    assert list(asides(a_cohort)) == ["case-001"]
    with pytest.raises(CohortError, match=r"case-001\.json: Expected the case of a cohort, got damaged JSON"):
        accept(a_cohort, "case-001", a_case(7)[1])
    assert record.read_bytes() == damaged
    with pytest.warns(UserWarning, match=r"It is kept as .*case-001\.json\..*\.bak"):
        again(tmp_path)
    case = a_cohort.case("case-001")
    assert case.is_usable and np.array_equal(a_cohort.values(a_cohort.label(case, case.accepted[-1])), a_case(1)[1])


def test_a_damaged_state_is_kept_aside_and_nothing_accepted_is_lost(tmp_path: Path, a_trained_cohort: Cohort) -> None:
    accept_proposal(a_trained_cohort, "case-001")
    cut(a_trained_cohort.folder / "state.json")
    with pytest.raises(CohortError, match=r"state\.json: Expected the state of a cohort, got damaged JSON"):
        _ = a_trained_cohort.state
    with pytest.warns(UserWarning, match=r"It is kept as .*state\.json\..*\.bak"):
        again(tmp_path)
    assert a_trained_cohort.state.current == 0 and len(a_trained_cohort.case("case-001").accepted) == 1


def test_two_who_accept_for_one_case_both_keep_their_label(a_cohort: Cohort) -> None:
    threads = [
        threading.Thread(target=accept, args=(a_cohort, "case-001", a_case(number)[1])) for number in (1, 7, 12, 30)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    case = a_cohort.case("case-001")
    stored = {a_cohort.label(case, accepted).tobytes() for accepted in case.accepted}
    assert len(case.accepted) == len(stored) == 4


def test_a_long_step_keeps_others_out_but_no_review(a_cohort: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("AdaptCore.cohort.folder.STEP_SECONDS", 0.2)
    with a_cohort.working():
        refused = pytest.raises(OutputError, match=r"step\.lock: Another process kept this lock for 0\.2 s")
        with refused, a_cohort.working():
            pass
        accept(a_cohort, "case-001", a_case(1)[1])
    with a_cohort.working():
        pass


def test_what_a_killed_step_left_unfinished_is_removed(a_trained_cohort: Cohort) -> None:
    places = ("features/", "rounds/1/proposals/", "rounds/1/")
    left = [f"{place}.adaptseg-{number * 32}.nii.gz" for number, place in zip("012", places)]
    kept = ["features/.keep", f"accepted/.adaptseg-{'3' * 32}.nii.gz"]
    for name in (*left, *kept):
        (a_trained_cohort.folder / name).write_bytes(b"half")
    with a_trained_cohort.working():
        assert not any((a_trained_cohort.folder / name).exists() for name in left)
    assert all((a_trained_cohort.folder / name).exists() for name in kept)


def test_a_full_disk_leaves_what_was_accepted(a_cohort: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    accept(a_cohort, "case-001", a_case(1)[1])
    before = contents(a_cohort.folder, ".")

    def full(path: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OutputError, match="No space left on device"):
        accept(a_cohort, "case-001", a_case(7)[1])
    monkeypatch.undo()
    assert contents(a_cohort.folder, ".") == before


def test_an_unwritable_place_is_told(tmp_path: Path) -> None:
    images, template, label = write_cohort(tmp_path, 2)
    (tmp_path / "cohort").write_text("a file", encoding="utf-8")
    with pytest.raises(AdaptSegError, match="The folder cannot be made"):
        begin(tmp_path / "cohort", [images], template, label, "toy")


def test_copying_the_folder_alone_tells_that_images_are_missing(tmp_path: Path, a_cohort: Cohort) -> None:
    shutil.copytree(a_cohort.folder, tmp_path / "elsewhere" / "cohort")
    moved = Cohort.open(tmp_path / "elsewhere" / "cohort")
    with pytest.raises(ImageError, match=r"case-001\.nii\.gz: The image cannot be read \(No such file"):
        moved.image(moved.case("case-001"))
