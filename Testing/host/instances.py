"""Qt objects and classes as PythonQt shows them to Python code in Slicer.

What PythonQt does not have fails here as it does there: properties are values and not methods, unknown attributes are
neither read nor set, keyword arguments are refused, and an object that Qt has deleted cannot be used any more.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from functools import cache
from typing import Any

import shiboken6
from PySide6.QtCore import QEvent, QMetaProperty, QObject, QTimer

from Testing.host import signals

CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "QString": str,
    "bool": bool,
    "int": math.floor,
    "double": float,
}
"""What PythonQt makes of a value that is set as a property of a type."""


class InstanceClass(type):
    """A class of Qt objects: called to make one, and home of enum values and static functions."""

    qt_class: type[QObject]

    def __call__(cls, *arguments: Any) -> Any:
        if "qt_class" in vars(cls):
            return wrapped(cls.qt_class(*map(unwrapped, arguments)))
        instance = object.__new__(cls)
        instance.__init__(*arguments)
        return instance

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("_") or not hasattr(cls.qt_class, name):
            raise AttributeError(f"{cls.__name__} has no attribute named '{name}'")
        return _shown(getattr(cls.qt_class, name))

    def __setattr__(cls, name: str, value: Any) -> None:
        raise AttributeError(f"'{name}' cannot be set on the class {cls.__name__}")


class Instance(metaclass=InstanceClass):
    """A Qt object. Classes are not related to each other: a push button is no instance of QWidget."""

    __slots__ = ("__weakref__", "_object")
    _object: QObject

    def __init__(self, *arguments: Any) -> None:
        """What a Python subclass calls to make its Qt object, which lives as long as the instance."""
        shell = _shell_of(type(self).qt_class)(*map(unwrapped, arguments))
        object.__setattr__(self, "_object", shell)
        shell._seen_as = weakref.ref(self)

    @property
    def _alive(self) -> QObject:
        """The Qt object, if it has not been deleted."""
        if not shiboken6.isValid(self._object):
            raise ValueError(f"a destroyed {type(self).__name__} object was used")
        return self._object

    def __getattr__(self, name: str) -> Any:
        qt_object, meta_property = self._alive, _property(self._object, name)
        if meta_property is not None:
            return wrapped(meta_property.read(qt_object))
        signature = signals.first_signature(qt_object, name)
        if signature is not None:
            return Signal(qt_object, signature)
        method = name.removesuffix("_")
        if not name.startswith("_") and hasattr(type(qt_object), method):
            return _shown(getattr(qt_object, method))
        if name in _dynamic_properties(qt_object):
            return wrapped(qt_object.property(name))
        for child in qt_object.children():
            if child.objectName() == name:
                return wrapped(child)
        raise AttributeError(f"{type(self).__name__} has no attribute named '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        qt_object, meta_property = self._alive, _property(self._object, name)
        if meta_property is not None:
            if not _write(meta_property, qt_object, value):
                raise AttributeError(f"Property '{name}' of {type(self).__name__} does not accept {value!r}")
        elif name in _dynamic_properties(qt_object):
            qt_object.setProperty(name, unwrapped(value))
        elif "qt_class" not in vars(type(self)):
            object.__setattr__(self, name, value)
        else:
            raise AttributeError(f"'{name}' of {type(self).__name__} cannot be set: it is no property")

    def connect(self, signature: str, slot: signals.Slot) -> bool:
        return signals.connect(self._alive, signature, slot, wrapped)

    def disconnect(self, signature: str, slot: signals.Slot | None = None) -> bool:
        return signals.disconnect(self._alive, signature, slot)

    def findChild(self, kind: InstanceClass | str, name: str | None = None) -> Any:
        return next(iter(self.findChildren(kind, name)), None)

    def findChildren(self, kind: InstanceClass | str, name: str | None = None) -> tuple[Any, ...]:
        found = self._alive.findChildren(QObject, name)
        if isinstance(kind, str):
            return wrapped([child for child in found if child.inherits(kind)])
        return wrapped([child for child in found if isinstance(child, kind.qt_class)])

    def className(self) -> str:
        return self._alive.metaObject().className()

    def delete(self) -> None:
        shiboken6.delete(self._alive)


class Signal:
    """A signal of an object, such as `button.clicked`."""

    def __init__(self, sender: QObject, signature: str) -> None:
        self._sender, self._signature = sender, signature

    def connect(self, slot: signals.Slot) -> bool:
        return signals.connect(self._sender, self._signature, slot, wrapped)

    def disconnect(self, slot: signals.Slot | None = None) -> bool:
        return signals.disconnect(self._sender, self._signature, slot)

    def emit(self, *arguments: Any) -> None:
        getattr(self._sender, self._signature.split("(")[0]).emit(*map(unwrapped, arguments))

    __call__ = emit


@cache
def class_of(qt_class: type[QObject]) -> InstanceClass:
    """The class that Python code sees for a class of Qt."""
    return InstanceClass(qt_class.__name__, (Instance,), {"__slots__": (), "qt_class": qt_class})


def wrapped(value: Any) -> Any:
    """What Python code sees of a value from Qt; of an object, the same instance as long as that is in use."""
    if isinstance(value, (list, tuple)):
        return tuple(map(wrapped, value))
    if not isinstance(value, QObject):
        return value
    instance = getattr(value, "_seen_as", lambda: None)()
    if instance is None:
        instance = object.__new__(class_of(type(value)))
        object.__setattr__(instance, "_object", value)
        value._seen_as = weakref.ref(instance)
    return instance


@cache
def _shell_of(qt_class: type[QObject]) -> type[QObject]:
    """A class of Qt whose objects ask their Python instance for the event filter; an error in it is printed."""

    def event_filter(shell: Any, watched: QObject, event: QEvent) -> bool:
        instance = shell._seen_as()
        try:
            return instance is not None and bool(instance.eventFilter(wrapped(watched), event))
        except Exception as error:
            signals.print_error(error)
            return False

    return type(f"{qt_class.__name__}Shell", (qt_class,), {"eventFilter": event_filter})


def unwrapped(value: Any) -> Any:
    """What Qt gets for a value of Python code."""
    if isinstance(value, (list, tuple)):
        return [unwrapped(item) for item in value]
    return value._alive if isinstance(value, Instance) else value


def _shown(member: Any) -> Any:
    """A method that takes and gives instances; classes and enum values as they are."""
    if isinstance(member, type) or not callable(member):
        return member

    def call(*arguments: Any) -> Any:
        return wrapped(member(*map(unwrapped, arguments)))

    return call


def _property(qt_object: QObject, name: str) -> QMetaProperty | None:
    """A property by its name, or by the short name of `objectName`; a timer's `singleShot` is a function."""
    meta = qt_object.metaObject()
    index = meta.indexOfProperty("objectName" if name == "name" and meta.indexOfProperty(name) < 0 else name)
    is_hidden = isinstance(qt_object, QTimer) and name == "singleShot"
    return None if index < 0 or is_hidden else meta.property(index)


def _write(meta_property: QMetaProperty, qt_object: QObject, value: Any) -> bool:
    if not meta_property.isWritable():
        return False
    try:
        converted = CONVERSIONS.get(meta_property.typeName(), unwrapped)(value)
        return meta_property.write(qt_object, converted)
    except (TypeError, ValueError):
        return False


def _dynamic_properties(qt_object: QObject) -> set[str]:
    return {bytes(name.data()).decode() for name in qt_object.dynamicPropertyNames()}
