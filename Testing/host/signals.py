"""Signals as PythonQt connects and delivers them.

Nothing that goes wrong in a slot comes back to the sender: PythonQt prints it, through `sys.excepthook`, and goes on.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from types import FunctionType, MethodType
from typing import Any

from PySide6.QtCore import QMetaMethod, QMetaObject, QObject, Qt

Slot = Callable[..., Any]


class UnknownSignalError(Exception):
    """A signal was asked for that its sender does not have; PythonQt prints this and the slot is never called."""


class Receiver(QObject):
    """Child of a sender that knows which slots are connected to it, as PythonQt's receiver is."""

    def __init__(self, sender: QObject) -> None:
        super().__init__(sender)
        self.connections: list[tuple[str, Slot, Any]] = []

    @staticmethod
    def of(sender: QObject) -> Receiver:
        return sender.findChild(Receiver, options=Qt.FindChildOption.FindDirectChildrenOnly) or Receiver(sender)


def connect(sender: QObject, signature: str, slot: Slot, present: Callable[[Any], Any] = lambda value: value) -> bool:
    """Call a slot at each emission of a signal; whether there is such a signal.

    Args:
        signature: "name(types)".
        present: makes of Qt's arguments what the slot gets.
    """
    known = _known_signature(sender, signature)
    if known is None:
        return False

    def receive(*arguments: Any) -> None:
        deliver(slot, [present(argument) for argument in arguments])

    Receiver.of(sender).connections.append((known, slot, QObject.connect(sender, f"2{known}", receive)))
    return True


def count_slots(sender: QObject, name: str) -> int:
    """How many slots are connected to a signal, whatever its arguments."""
    return sum(signature.startswith(f"{name}(") for signature, *_ in Receiver.of(sender).connections)


def disconnect(sender: QObject, signature: str, slot: Slot | None = None) -> bool:
    """Take off one connection of a slot, or all of the signal; whether there was one."""
    known, connections = _known_signature(sender, signature), Receiver.of(sender).connections
    found = [entry for entry in connections if entry[0] == known and slot in (None, entry[1])]
    for entry in found if slot is None else found[:1]:
        QObject.disconnect(entry[2])
        connections.remove(entry)
    return bool(found)


def first_signature(sender: QObject, name: str) -> str | None:
    """Signature of the first signal with that name; None if there is none."""
    return next((shown for _, shown in _signals(sender) if shown.split("(")[0] == name), None)


def deliver(slot: Slot, arguments: Sequence[Any] = ()) -> None:
    """Call a slot with as many of the arguments as it takes, and print what it raises."""
    try:
        slot(*arguments[: _argument_count(slot)])
    except Exception as error:
        print_error(error)


def print_error(error: Exception) -> None:
    """What PythonQt does with an error that nobody can catch."""
    sys.excepthook(type(error), error, error.__traceback__)


def _argument_count(slot: Slot) -> int | None:
    """Arguments that PythonQt passes at most; None for all, as for whatever is no Python function or method."""
    function = slot.__func__ if isinstance(slot, MethodType) else slot
    if not isinstance(function, FunctionType) or function.__code__.co_flags & inspect.CO_VARARGS:
        return None
    return function.__code__.co_argcount - isinstance(slot, MethodType)


def _known_signature(sender: QObject, signature: str) -> str | None:
    """A signal's signature in Qt; an unknown one is printed."""
    normalized = QMetaObject.normalizedSignature(signature).data().decode()
    known = next((known for known, shown in _signals(sender) if shown == normalized), None)
    if known is None:
        name = sender.metaObject().className()
        print_error(UnknownSignalError(f"signal '{signature}' does not exist on {name}"))
    return known


def _signals(sender: QObject) -> Iterator[tuple[str, str]]:
    """Signature of each signal in Qt and in Slicer: here, nodes and scenes travel as Python objects."""
    meta = sender.metaObject()
    for index in range(meta.methodCount()):
        method = meta.method(index)
        if method.methodType() == QMetaMethod.MethodType.Signal:
            known = method.methodSignature().data().decode()
            name = known.split("(")[0]
            yield known, known.replace("PyObject", getattr(sender, "VTK_ARGUMENTS", {}).get(name, "PyObject"))
