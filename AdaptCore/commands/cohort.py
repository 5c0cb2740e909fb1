"""`adaptseg cohort`: label many images from one that is labelled, and review what teaches most."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from AdaptCore.commands.console import add_command, interruptible, positive, progress_bar, say, whole
from AdaptCore.errors import AdaptSegError, CohortError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tqdm import tqdm

    from AdaptCore.cohort.engine import Engine, Watch
    from AdaptCore.cohort.folder import Cohort
    from AdaptCore.cohort.method import Method
    from AdaptCore.cohort.records import Case

STRATEGIES = ("ours", "random", "entropy", "farthest")
BAR = "{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total_fmt} [{elapsed}<{remaining}]"
DEFAULT_COUNT, DEFAULT_ROUNDS = 5, 1


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    parser = add_command(
        subparsers, "cohort", "label many images from one that is labelled, and review what teaches most"
    )
    actions = parser.add_subparsers(dest="action", required=True)
    _add_first(actions)
    _add_init(actions)
    propagate = _add(actions, "propagate", run_propagate, "propose coarse labels for all cases from the template")
    _add_engine(propagate)
    train = _add(actions, "train", run_train, "train networks from scratch and propose better labels")
    train.add_argument("--rounds", type=positive, default=DEFAULT_ROUNDS, help="how many rounds (default: %(default)s)")
    _add_engine(train)
    following = _add(actions, "next", run_next, "tell which cases to review next, and why")
    following.add_argument(
        "--count", type=positive, default=DEFAULT_COUNT, help="how many cases (default: %(default)s)"
    )
    following.add_argument(
        "--by", choices=STRATEGIES, default=STRATEGIES[0], help="how to choose (default: %(default)s)"
    )
    following.add_argument("--seed", type=whole, default=0, help="seed of what is chosen by chance")
    _add_device(following)
    _add_accept(actions)
    status = _add(actions, "status", run_status, "show where the cohort stands")
    status.add_argument("--cases", action="store_true", help="list every case")
    export = _add(actions, "export", run_export, "copy the final labels to another folder")
    export.add_argument("out", type=Path, metavar="OUT", help="the folder to copy them to")
    export.add_argument("--accepted", action="store_true", help="only labels that were accepted, no proposals")
    report = _add(actions, "report", run_report, "write one page with counts, rounds and pictures")
    report.add_argument("out", type=Path, metavar="FILE.html", help="the page to write")


def run_first(arguments: argparse.Namespace) -> None:
    """Show which image to label first.

    Raises:
        AdaptSegError: the model cannot be used, or see `AdaptCore.cohort.first.candidates`.
    """
    from AdaptCore.cohort.first import candidates
    from AdaptCore.models.registry import load_model

    with _watching() as watching:
        model = load_model(arguments.model, arguments.device)
        found = candidates(arguments.images, model, watching, arguments.seed)
    heading = f"To label first, the most typical of {len(found)} images"
    _print_list(heading, [(str(one.path), f"{one.typicality:.3f}") for one in found[: arguments.count]])


def run_init(arguments: argparse.Namespace) -> None:
    """Begin a cohort, go on with one that was interrupted, or add images.

    Raises:
        AdaptSegError: the model cannot be used, or see `AdaptCore.cohort.beginning.begin`.
    """
    from AdaptCore.cohort.beginning import begin
    from AdaptCore.models.registry import lasting_name

    with _watching() as watching:
        begin(
            arguments.folder,
            arguments.images,
            arguments.template,
            arguments.label,
            lasting_name(arguments.model),
            arguments.seed,
            watching("images"),
        )
    run_status(argparse.Namespace(folder=arguments.folder, cases=False))


def run_propagate(arguments: argparse.Namespace) -> None:
    """Tell the size of the features, then compute them and the coarse labels.

    Raises:
        AdaptSegError: see `AdaptCore.cohort.steps.propagate`.
    """
    from AdaptCore.cohort.steps import features_bytes, propagate

    cohort, method = _opened(arguments)
    whole_size, present = features_bytes(cohort, method)
    say(f"Features: {_size(whole_size)}, of which {_size(present)} are there already")
    with _engine(arguments) as engine, _watching() as watching:
        propagate(cohort, method, engine, watching)
    run_status(argparse.Namespace(folder=arguments.folder, cases=False))


def run_train(arguments: argparse.Namespace) -> None:
    """Rounds of training.

    Raises:
        AdaptSegError: see `AdaptCore.cohort.steps.train`.
    """
    from AdaptCore.cohort.steps import train
    from AdaptCore.cohort.summary import describe_round

    cohort, method = _opened(arguments)
    with _engine(arguments) as engine, _watching() as watching:
        rounds = train(cohort, method, arguments.rounds, engine, watching)
    for one in rounds:
        say(f"Round {one.number}: {describe_round(one)}")


def run_next(arguments: argparse.Namespace) -> None:
    """Choose and show what to review next.

    Raises:
        AdaptSegError: see `AdaptCore.cohort.steps.choose_next`.
    """
    from AdaptCore.cohort.steps import choose_next

    cohort, method = _opened(arguments)
    queries = choose_next(cohort, method, arguments.by, arguments.count, arguments.seed)
    if not queries:
        say("Every case with a proposed label has been reviewed.")
        return
    current = cohort.state.current
    paths = (cohort.proposal_path(query.case, current) for query in queries)
    told = [(query.case, f"{query.score:.3f}  {query.reason}; {path}") for query, path in zip(queries, paths)]
    _print_list("To review", told)


def run_accept(arguments: argparse.Namespace) -> None:
    """Take labels, or take the latest ones back.

    Raises:
        AdaptSegError: the arguments do not fit together, or see `AdaptCore.cohort.accepting`.
    """
    from AdaptCore.cohort.accepting import accept_file, accept_proposal, undo
    from AdaptCore.cohort.folder import Cohort

    given = bool(arguments.label) + bool(arguments.labels) + arguments.undo
    if given > 1 or bool(arguments.labels) == bool(arguments.cases) or (arguments.label and len(arguments.cases) != 1):
        raise CohortError(
            "Expected cases alone or with --undo, one case with --label FILE, or --labels DIR alone, got "
            f"{len(arguments.cases)} cases with {given} of --label, --labels and --undo."
        )
    cohort = Cohort.open(arguments.folder)
    if arguments.labels:
        _accept_all(cohort, arguments.labels)
    for name in arguments.cases:
        if arguments.undo:
            left = len(undo(cohort, name).accepted)
            say(f"{name}: the latest accepted label is taken back; {left} left")
            continue
        case = accept_file(cohort, name, arguments.label) if arguments.label else accept_proposal(cohort, name)
        say(f"{name}: accepted as {case.accepted[-1].file}")


def run_status(arguments: argparse.Namespace) -> None:
    """Print where the cohort stands.

    Raises:
        CohortError: its settings or state cannot be used.
    """
    from AdaptCore.cohort.folder import Cohort
    from AdaptCore.cohort.summary import NEW, summarize
    from AdaptCore.evaluate.tables import text_table

    cohort = Cohort.open(arguments.folder)
    summary = summarize(cohort)
    say(f"Cohort    {cohort.folder}")
    say(f"Model     {cohort.settings.model}")
    say(f"Template  {cohort.settings.template}, classes {', '.join(map(str, cohort.settings.labels))}")
    say(f"Cases     {len(summary.cases)}: {', '.join(f'{n} {status}' for status, n in summary.counts.items())}")
    if summary.reviewed_dice:
        say("Reviewed  {}, mean Dice of the proposals {:.3f}".format(*summary.reviewed_dice))
    if summary.counts[NEW]:
        say("Images are not examined yet: run the same adaptseg cohort init again")
    if summary.state.plan:
        say(f"Round {summary.state.plan.number} was interrupted: adaptseg cohort train goes on with it")
    rounds: list[list[object]] = [
        [
            one.number,
            len(one.labelled),
            len(one.trusted),
            "-" if one.agreement is None else f"{one.agreement:.3f}",
            one.collapsed or "yes",
        ]
        for one in summary.state.rounds
    ]
    if rounds:
        say("", *text_table(["round", "accepted", "proposed", "agreement", "kept"], rounds).splitlines())
    _print_list("To review", [(query.case, query.reason) for query in summary.queries])
    shown = [pair for pair in summary.cases if arguments.cases or pair[0].aside or pair[0].refused]
    _print_list("Cases", [(case.id, _told(case, status)) for case, status in shown])


def run_export(arguments: argparse.Namespace) -> None:
    """Copy the final labels.

    Raises:
        AdaptSegError: see `AdaptCore.cohort.exporting.export`.
    """
    from AdaptCore.cohort.exporting import LIST, export
    from AdaptCore.cohort.folder import Cohort

    finals = export(Cohort.open(arguments.folder), arguments.out, proposals=not arguments.accepted)
    accepted = sum(final.source == "accepted" for final in finals)
    say(f"{arguments.out}: {accepted} accepted labels, {len(finals) - accepted} proposed; which is which: {LIST}")


def run_report(arguments: argparse.Namespace) -> None:
    """Write the report.

    Raises:
        AdaptSegError: the cohort cannot be used, or the file cannot be written.
    """
    from AdaptCore.cohort.folder import Cohort
    from AdaptCore.evaluate.drawing import check_installed

    check_installed()
    from AdaptCore.evaluate.cohort_report import cohort_report
    from AdaptCore.evaluate.report import REPORT_SUFFIXES, write_report
    from AdaptCore.io import check_output

    check_output(arguments.out, suffixes=REPORT_SUFFIXES)
    report = cohort_report(Cohort.open(arguments.folder))
    write_report(report, arguments.out)
    say(f"{arguments.out}: {report.summary}")


class Bars:
    """A bar on the terminal for each stage, one after the other; steps stop when `cancelled` says so."""

    def __init__(self, cancelled: Callable[[], bool]) -> None:
        self._cancelled = cancelled
        self._bar: tqdm | None = None

    def stage(self, name: str) -> Watch:
        """Who watches the stage that begins now; its bar appears with its first progress."""
        from AdaptCore.cohort.engine import Watch

        self.close()

        def show(done: float, total: int) -> None:
            if self._bar is None:
                self._bar = progress_bar(total, name, "case")
                self._bar.bar_format = BAR
            self._bar.update(done - self._bar.n)

        return Watch(show, self._cancelled)

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


@contextmanager
def _watching() -> Iterator[Callable[[str], Watch]]:
    """Bars for a step; Ctrl-C ends it at a safe point."""
    with interruptible() as cancelled:
        bars = Bars(cancelled)
        try:
            yield bars.stage
        except CancelledError as signal:
            raise KeyboardInterrupt from signal
        finally:
            bars.close()


@contextmanager
def _engine(arguments: argparse.Namespace) -> Iterator[Engine]:
    from AdaptCore.cohort.engine import LocalEngine

    if arguments.engine == "local" and (arguments.address or arguments.workers):
        raise CohortError("--address and --workers need --engine ray.")
    if arguments.engine == "ray":
        from AdaptCore.cohort.engine_ray import RayEngine

        engine: Engine = RayEngine(arguments.address, arguments.workers, arguments.device)
    else:
        engine = LocalEngine()
    try:
        yield engine
    finally:
        engine.close()


def _opened(arguments: argparse.Namespace) -> tuple[Cohort, Method]:
    """The cohort and its methods on the device that is asked for.

    Raises:
        AdaptSegError: there is no cohort, its settings cannot be used, or this machine has no such device.
    """
    from AdaptCore.cohort import method
    from AdaptCore.cohort.folder import Cohort
    from AdaptCore.models.devices import choose_device

    if arguments.device and getattr(arguments, "engine", "local") == "local":
        choose_device(arguments.device)
    cohort = Cohort.open(arguments.folder)
    return cohort, method.load_method(cohort.settings, arguments.device)


def _accept_all(cohort: Cohort, folder: Path) -> None:
    """Take every label of a folder whose name is that of a case; others are told and passed over."""
    from AdaptCore.cohort.accepting import accept_file
    from AdaptCore.cohort.images import find_images, stem

    accepted = 0
    paths = find_images((folder,))
    for path in paths:
        try:
            accept_file(cohort, stem(path), path)
            accepted += 1
        except AdaptSegError as error:
            warnings.warn(f"Not accepted: {error}", stacklevel=2)
    say(f"{accepted} of {len(paths)} labels accepted")


def _add(
    actions: argparse._SubParsersAction, name: str, run: Callable[[argparse.Namespace], None], text: str
) -> argparse.ArgumentParser:
    parser = add_command(actions, name, text, run)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the cohort's folder")
    return parser


def _add_first(actions: argparse._SubParsersAction) -> None:
    first = add_command(actions, "first", "tell which image to label first: one that the others resemble", run_first)
    _add_images(first)
    first.add_argument("--count", type=positive, default=3, help="how many images are shown (default: %(default)s)")
    _add_model(first)
    first.add_argument("--seed", type=whole, default=0, help="seed of what is drawn from many images")
    _add_device(first)


def _add_init(actions: argparse._SubParsersAction) -> None:
    init = _add(actions, "init", run_init, "begin a cohort from one labelled image; again: go on, or add images")
    _add_images(init)
    init.add_argument("--template", type=Path, required=True, metavar="IMAGE", help="the image that is labelled")
    init.add_argument("--label", type=Path, required=True, metavar="FILE", help="its label, of one or more classes")
    _add_model(init)
    init.add_argument("--seed", type=whole, default=0, help="seed of everything random (default: %(default)s)")


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", default="compact", help="model whose features are compared: a name or file (default: %(default)s)"
    )


def _add_images(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--images",
        type=Path,
        nargs="+",
        required=True,
        metavar="PATH",
        help="image files, folders with image files or DICOM folders; they stay where they are and are never changed",
    )


def _add_accept(actions: argparse._SubParsersAction) -> None:
    accept = _add(actions, "accept", run_accept, "accept labels; what was accepted before is kept")
    accept.add_argument("cases", nargs="*", metavar="CASE", help="a case whose proposed label is accepted as it is")
    accept.add_argument("--label", type=Path, metavar="FILE", help="accept this label for the one case")
    accept.add_argument("--labels", type=Path, metavar="DIR", help="accept all labels here, named as their cases")
    accept.add_argument("--undo", action="store_true", help="take back the latest accepted label of the cases")


def _add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", help="cpu, cuda or mps (default: the best there is)")


def _add_engine(parser: argparse.ArgumentParser) -> None:
    _add_device(parser)
    parser.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="where to work: here, or on a Ray cluster that reaches the same folders (default: %(default)s)",
    )
    parser.add_argument(
        "--address", metavar="HOST:PORT", help="address of a Ray cluster that runs (default: one on this machine)"
    )
    parser.add_argument("--workers", type=positive, help="processes of Ray (default: one for each processor)")


def _print_list(heading: str, lines: list[tuple[str, str]]) -> None:
    """Names and what is told of them, aligned; nothing where there is none."""
    if lines:
        width = max(len(name) for name, _ in lines)
        say("", heading, *(f"  {name:<{width}}  {text}" for name, text in lines))


def _told(case: Case, status: str) -> str:
    refused = f"a label was refused: {case.refused}" if case.refused else ""
    return "; ".join(text for text in (status, case.aside, refused) if text)


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
