"""Prompts of challenge archives out of a pickle, without unpickling: its opcodes are followed, and nothing is called.

What a pickle may hold is a list here and not what a library does with it: numbers, strings, lists, tuples, dicts, and
arrays and numbers of NumPy, which are rebuilt from their bytes. Names in a pickle are compared with a few known ones
and never looked up.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

NODES = 250_000
"""Values that a pickle may hold, those that are named again counted again."""
_OPCODES = 4 * NODES
_DEPTH = 32
_AXES = 8
_LONGEST_NUMBER = 32
"""Bytes of an integer."""
_BYTES_OF = {"b": (1,), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "f": (2, 4, 8)}

_NAMES = {
    **{f"{room}.multiarray._reconstruct": "reconstruct" for room in ("numpy.core", "numpy._core")},
    **{f"{room}.multiarray.scalar": "scalar" for room in ("numpy.core", "numpy._core")},
    **{f"{room}.numeric._frombuffer": "frombuffer" for room in ("numpy.core", "numpy._core")},
    "numpy.ndarray": "ndarray",
    "numpy.dtype": "dtype",
    "_codecs.encode": "encode",
}
"""What stands for the few functions that NumPy's arrays are pickled with, under old and new names."""


class PickleRejected(ValueError):  # noqa: N818 - says what happened
    """A pickle that holds something else than plain values, or is damaged."""


@dataclass(frozen=True)
class _Name:
    """One of ``_NAMES``."""

    meaning: str


@dataclass
class _Dtype:
    """A dtype under construction; ``order`` comes after it."""

    text: str
    order: str = "|"


@dataclass
class _Array:
    """An array under construction; its state comes after it."""

    shape: tuple[int, ...] = ()
    dtype: _Dtype | None = None
    fortran: bool = False
    content: Any = None


@dataclass(frozen=True)
class _Encoded:
    """Bytes that are written as text, as older pickles have them; they are made where they are needed, and once."""

    text: str


@dataclass
class _Machine:
    """Stack, marks and memo of one pickle."""

    stack: list[Any] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def pop(self) -> Any:
        """Return the topmost value of the part above the last mark, and take it off."""
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise PickleRejected("it is damaged")
        return self.stack.pop()

    def pop_many(self, count: int) -> list[Any]:
        """Return ``count`` values in the order in which they were put."""
        return [self.pop() for _ in range(count)][::-1]

    def pop_to_mark(self) -> list[Any]:
        """Return what lies above the last mark, and take both off."""
        if not self.marks:
            raise PickleRejected("it is damaged")
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def top(self, kind: type) -> Any:
        """Return the topmost value, which has to be of a kind."""
        if len(self.stack) <= (self.marks[-1] if self.marks else 0) or type(self.stack[-1]) is not kind:
            raise PickleRejected("it is damaged")
        return self.stack[-1]


def plain_value(pickled: bytes) -> Any:
    """Return the value of a pickle as plain lists, dicts, numbers and strings, with arrays of numbers as arrays.

    Tuples become lists, arrays of objects nested lists, an array of no axes what is in it.

    Args:
        pickled: Of any protocol.

    Raises:
        PickleRejected: It holds anything else, is damaged, or holds too much.
    """
    try:
        return _Plain().of(_run(pickled), 0)
    except PickleRejected:
        raise
    except (ValueError, TypeError, IndexError, KeyError, OverflowError, UnicodeError) as error:
        raise PickleRejected("it is damaged") from error


def _run(pickled: bytes) -> Any:
    machine = _Machine()
    for number, (opcode, argument, _) in enumerate(pickletools.genops(pickled)):
        name = opcode.name
        if number > _OPCODES:
            raise PickleRejected(f"more than {NODES:,} values")
        if name == "STOP":
            value = machine.pop()
            if machine.stack or machine.marks:
                raise PickleRejected("it is damaged")
            return value
        if name in _VALUES:
            machine.stack.append(_checked_number(argument))
        elif name in _STEPS:
            _STEPS[name](machine)
        elif name in _STEPS_WITH:
            _STEPS_WITH[name](machine, argument)
        elif name not in _NOTHING:
            raise PickleRejected(f"it uses {name}, which is rejected for safety")
    raise PickleRejected("it is damaged")


def _checked_number(value: Any) -> Any:
    if isinstance(value, int) and value.bit_length() > 8 * _LONGEST_NUMBER:
        raise PickleRejected("a number too long")
    return value


def _push_name(machine: _Machine, module: Any, name: Any) -> None:
    full = f"{module}.{name}"
    if not isinstance(module, str) or not isinstance(name, str) or full not in _NAMES:
        raise PickleRejected(f"it asks for {full[:80]}, which is rejected for safety")
    machine.stack.append(_Name(_NAMES[full]))


def _reduce(machine: _Machine) -> None:
    called, arguments = machine.pop_many(2)
    if not isinstance(called, _Name) or not isinstance(arguments, tuple) or called.meaning not in _MADE:
        raise PickleRejected("it calls what is no part of an array, which is rejected for safety")
    machine.stack.append(_MADE[called.meaning](*arguments))


def _reconstruct(kind: Any, shape: Any, code: Any) -> _Array:
    del shape, code
    if kind != _Name("ndarray"):
        raise PickleRejected("it makes an array of another kind, which is rejected for safety")
    return _Array()


def _dtype(text: Any, align: Any = False, copy: Any = True) -> _Dtype:
    del align, copy
    if not isinstance(text, str):
        raise PickleRejected("it is damaged")
    return _Dtype(text)


def _from_buffer(content: Any, dtype: Any, shape: Any, order: Any) -> _Array:
    array = _Array()
    _fill(array, (1, shape, dtype, order == "F", content))
    return array


def _scalar(dtype: Any, content: Any) -> _Array:
    return _from_buffer(content, dtype, (), "C")


def _encode(text: Any, code: Any) -> _Encoded:
    if not isinstance(text, str) or code != "latin1":
        raise PickleRejected("it is damaged")
    return _Encoded(text)


_MADE: dict[str, Callable[..., Any]] = {
    "reconstruct": _reconstruct,
    "dtype": _dtype,
    "frombuffer": _from_buffer,
    "scalar": _scalar,
    "encode": _encode,
}


def _build(machine: _Machine) -> None:
    state = machine.pop()
    target = machine.stack[-1] if machine.stack else None
    if isinstance(target, _Dtype) and isinstance(state, tuple) and len(state) >= 2 and state[1] in ("<", ">", "|", "="):
        target.order = state[1]
    elif isinstance(target, _Array) and isinstance(state, tuple) and len(state) == 5:
        _fill(target, state)
    else:
        raise PickleRejected("it gives a state to what has none, which is rejected for safety")


def _fill(array: _Array, state: tuple[Any, ...]) -> None:
    _, shape, dtype, fortran, content = state
    if (
        array.dtype is not None
        or not isinstance(dtype, _Dtype)
        or not isinstance(shape, tuple)
        or len(shape) > _AXES
        or not all(type(n) is int and 0 <= n < 2**48 for n in shape)
    ):
        raise PickleRejected("it is damaged")
    array.shape, array.dtype, array.fortran, array.content = shape, dtype, bool(fortran), content


def _append(machine: _Machine, values: list[Any]) -> None:
    machine.top(list).extend(values)


def _set_items(machine: _Machine, items: list[Any]) -> None:
    target = machine.top(dict)
    if len(items) % 2 or not all(type(key) in (str, int) for key in items[::2]):
        raise PickleRejected("a dict whose keys are no words")
    target.update(zip(items[::2], items[1::2], strict=True))


def _remember(machine: _Machine, place: int) -> None:
    if not machine.stack:
        raise PickleRejected("it is damaged")
    machine.memo[place] = machine.stack[-1]


def _dict_of(machine: _Machine, items: list[Any]) -> None:
    machine.stack.append({})
    _set_items(machine, items)


_VALUES = frozenset(
    (
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "STRING", "BINSTRING", "SHORT_BINSTRING"),
        *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    )
)
"""Opcodes whose argument is a value."""

_STEPS: dict[str, Callable[[_Machine], Any]] = {
    "NONE": lambda m: m.stack.append(None),
    "NEWTRUE": lambda m: m.stack.append(True),
    "NEWFALSE": lambda m: m.stack.append(False),
    "MARK": lambda m: m.marks.append(len(m.stack)),
    "POP": lambda m: m.pop(),
    "POP_MARK": lambda m: m.pop_to_mark(),
    "EMPTY_LIST": lambda m: m.stack.append([]),
    "EMPTY_DICT": lambda m: m.stack.append({}),
    "EMPTY_TUPLE": lambda m: m.stack.append(()),
    "LIST": lambda m: m.stack.append(m.pop_to_mark()),
    "TUPLE": lambda m: m.stack.append(tuple(m.pop_to_mark())),
    "TUPLE1": lambda m: m.stack.append(tuple(m.pop_many(1))),
    "TUPLE2": lambda m: m.stack.append(tuple(m.pop_many(2))),
    "TUPLE3": lambda m: m.stack.append(tuple(m.pop_many(3))),
    "DICT": lambda m: _dict_of(m, m.pop_to_mark()),
    "APPEND": lambda m: _append(m, m.pop_many(1)),
    "APPENDS": lambda m: _append(m, m.pop_to_mark()),
    "SETITEM": lambda m: _set_items(m, m.pop_many(2)),
    "SETITEMS": lambda m: _set_items(m, m.pop_to_mark()),
    "MEMOIZE": lambda m: _remember(m, len(m.memo)),
    "STACK_GLOBAL": lambda m: _push_name(m, *m.pop_many(2)),
    "REDUCE": _reduce,
    "BUILD": _build,
}
"""What is done at opcodes without an argument."""

_STEPS_WITH: dict[str, Callable[[_Machine, Any], Any]] = {
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _remember),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda m, place: m.stack.append(m.memo[place])),
    "GLOBAL": lambda m, names: _push_name(m, *str(names).split(" ", 1)),
}
_NOTHING = ("PROTO", "FRAME")


class _Plain:
    """Turns what was put together into plain values, and counts them."""

    def __init__(self) -> None:
        self._nodes = 0

    def of(self, value: Any, depth: int) -> Any:
        """Return the plain value of ``value``; what holds itself runs into the depth."""
        self._count(1)
        if depth > _DEPTH:
            raise PickleRejected(f"values nested more than {_DEPTH} deep")
        if value is None or type(value) in (bool, int, float, str):
            return value
        if type(value) in (list, tuple):
            return [self.of(item, depth + 1) for item in value]
        if type(value) is dict:
            return {key: self.of(item, depth + 1) for key, item in value.items()}
        if type(value) is _Array:
            return self._array(value, depth)
        raise PickleRejected("it holds something else than lists, dicts, numbers and strings")

    def _array(self, array: _Array, depth: int) -> Any:
        if array.dtype is None:
            raise PickleRejected("it is damaged")
        kind, size = array.dtype.text[:1], array.dtype.text[1:]
        count = int(np.prod(array.shape, dtype=object))
        if kind == "O":
            if not isinstance(array.content, list) or len(array.content) != count or count > NODES:
                raise PickleRejected("it is damaged")
            values = [self.of(item, depth + 1) for item in array.content]
            # Objects are listed row by row in either order.
            return _nested(values, array.shape)
        if kind == "U":
            return self._text(array, size, count)
        if kind not in _BYTES_OF or not size.isdigit() or int(size) not in _BYTES_OF[kind]:
            raise PickleRejected(f"an array of dtype {array.dtype.text[:20]}")
        self._count(count)
        content = _content(array, count * int(size))
        order = ">" if array.dtype.order == ">" else "<"
        flat = np.frombuffer(content, np.dtype(f"{order}{kind}{size}" if int(size) > 1 else f"{kind}1"))
        made = flat.reshape(array.shape, order="F" if array.fortran else "C").astype(flat.dtype.newbyteorder("="))
        return made if array.shape else made.item()

    def _text(self, array: _Array, size: str, count: int) -> Any:
        """Return the words of an array of text."""
        letters = int(size) if size.isdigit() else 0
        # Letters count, too: one long word that is named again and again would be made again each time.
        self._count(count * max(1, letters))
        big = array.dtype is not None and array.dtype.order == ">"
        words = text_of(_content(array, 4 * letters * count), letters, count, big=big)
        return _nested(words, array.shape, fortran=array.fortran)

    def _count(self, more: int) -> None:
        self._nodes += more
        if self._nodes > NODES:
            raise PickleRejected(f"more than {NODES:,} values")


def _content(array: _Array, size: int) -> bytes:
    """Return the bytes of an array, of which there have to be ``size``."""
    content = array.content
    if isinstance(content, _Encoded) and len(content.text) == size:
        return content.text.encode("latin-1")
    if not isinstance(content, bytes | bytearray) or len(content) != size:
        raise PickleRejected("it is damaged")
    return bytes(content)


def text_of(content: bytes, letters: int, count: int, *, big: bool = False) -> list[str]:
    """Return the words of NumPy's text, each of ``letters`` characters of four bytes, those without content cut off.

    Raises:
        UnicodeError: Bytes that are no characters.
    """
    code, size = "utf-32-be" if big else "utf-32-le", 4 * letters
    return [content[i * size : (i + 1) * size].decode(code).rstrip("\0") for i in range(count)]


def _nested(values: list[Any], shape: tuple[int, ...], *, fortran: bool = False) -> Any:
    """Return a flat list as lists in lists of a shape, or its one value where the shape has no axes."""
    if not shape:
        return values[0]
    if fortran and len(shape) > 1:
        order = np.arange(len(values)).reshape(shape, order="F").ravel()
        values = [values[i] for i in order]
    for axis in shape[:0:-1]:
        values = [values[i : i + axis] for i in range(0, len(values), axis)] if axis else []
    return values
