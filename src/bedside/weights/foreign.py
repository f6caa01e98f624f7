"""Reading checkpoints that others made, of which nothing may be executed. Needs torch.

Such files are pickles, and a pickle can name any function of the machine to be called on opening. Here only tensors,
plain values and the few things beside them that trainings leave behind (a device, a NumPy number) are let through, and
a file that names anything else is rejected with that name.

Lightning saves the arguments of a module's constructor beside its tensors, and with them optimisers, schedulers and
networks. Of such a file the tensors alone are read: whatever else it names becomes an inert object of ours, which takes
anything and does nothing, so that nothing that a file names is ever imported or called.
"""

from __future__ import annotations

import pickle
import types
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from bedside.core.errors import WeightsError

LISTED = 3
"""How many of the names that a rejected file holds the message lists."""
STATE = "state_dict"
LIGHTNING = frozenset(
    ("pytorch-lightning_version", "hyper_parameters", "hparams_name", "loops", "callbacks", "lr_schedulers")
)
"""What Lightning writes beside a module's tensors."""


class NamesCodeError(WeightsError):
    """A checkpoint names what would be called on opening it."""


class Inert:
    """Stands for whatever a file names beside tensors: it takes all that a pickle does to an object, and keeps none."""

    def __new__(cls, *_: Any, **__: Any) -> Inert:
        """Take any arguments."""
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __call__(self, *_: Any, **__: Any) -> Inert:
        """Take any arguments."""
        return self

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, value: Any) -> None:
        """Take an element of a list."""

    def extend(self, values: Any) -> None:
        """Take elements of a list."""

    def add(self, value: Any) -> None:
        """Take an element of a set."""


def _tensor_makers() -> dict[tuple[str, str], Any]:
    """Return all that a file may name to be used as what it is: what makes tensors of stored bytes."""
    makers = {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
        ("torch._utils", "_rebuild_parameter"): torch._utils._rebuild_parameter,
        ("torch", "Size"): torch.Size,
    }
    dtypes = {("torch", name): value for name, value in vars(torch).items() if isinstance(value, torch.dtype)}
    return {**makers, **dtypes}


class _InertUnpickler(pickle.Unpickler):
    """A reader that imports nothing; torch derives its own from it, which adds the storages of tensors."""

    def find_class(self, module: str, name: str) -> Any:
        return _tensor_makers().get((module, name), Inert)


class _InertPickle(types.ModuleType):
    """What torch takes in the place of the module ``pickle``."""

    Unpickler = _InertUnpickler


def read_lightning_state(path: Path) -> dict[str, Tensor] | None:
    """Return the tensors of a Lightning module's checkpoint; None where the file is none.

    Args:
        path: As ``read_checkpoint``.

    Raises:
        WeightsError: The file is missing or damaged, or of another format.
    """
    _check_archive(path)
    try:
        inert: Any = _InertPickle("inert")
        content = torch.load(path, map_location="cpu", weights_only=False, mmap=True, pickle_module=inert)
    except Exception as error:
        raise _rejection(path, f"{type(error).__name__}: {_first_line(error)}") from error
    if not isinstance(content, dict) or not LIGHTNING & content.keys():
        return None
    state = content.get(STATE)
    if not isinstance(state, dict):
        return None
    return {key: value for key, value in state.items() if isinstance(key, str) and isinstance(value, Tensor)}


def _allowed() -> list[Any]:
    """Return what may be named beside torch's own tensors: NumPy numbers, as a training's log holds them."""
    scalar = np.float64(0.0).__reduce__()[0]
    numbers = (np.float64, np.float32, np.int64, np.int32, np.bool_)
    return [
        # The module moved in NumPy 2; files hold either name.
        (scalar, "numpy.core.multiarray.scalar"),
        (scalar, "numpy._core.multiarray.scalar"),
        np.dtype,
        *{type(np.dtype(number)) for number in numbers},
    ]


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return the dictionary that ``torch.save`` wrote to a file, with tensors that lie in the file until they are used.

    Args:
        path: A file in torch's zip format, which all versions since 1.6 write.

    Returns:
        Its content: text keys, and values that are tensors, plain values or containers of them.

    Raises:
        WeightsError: The file is missing or damaged, of another format, holds no dictionary, or names something that
            is not on the list of what may be loaded.
    """
    _check_archive(path)
    with safe_globals(_allowed()):
        _check_names(path)
        try:
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except Exception as error:
            # What a damaged pickle makes the reader raise is any of a dozen classes.
            raise _rejection(path, f"{type(error).__name__}: {_first_line(error)}") from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise _rejection(
            path, f"a {type(content).__name__}" if not isinstance(content, dict) else "keys that are no text"
        )
    return content


def _rejection(path: Path, got: str) -> WeightsError:
    return WeightsError(f"checkpoint {path.name}", expected="a dictionary of tensors written by torch", got=got)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:160] if lines else ""


def _check_archive(path: Path) -> None:
    """Reject what is no plain zip file of torch: its reader would guess at other formats, or inflate without end."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except FileNotFoundError as error:
        raise WeightsError(f"checkpoint {path}", expected="a file", got="none") from error
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise _rejection(path, f"no complete zip file ({_first_line(error)})") from error
    names = [entry.filename.rpartition("/")[2] for entry in entries]
    if names.count("data.pkl") != 1 or "constants.pkl" in names:
        raise _rejection(path, "a zip file of something else")
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise _rejection(path, "a compressed zip file, which torch does not write")


def _check_names(path: Path) -> None:
    try:
        names = sorted(get_unsafe_globals_in_checkpoint(path))
    except Exception as error:
        raise _rejection(path, f"{type(error).__name__}: {_first_line(error)}") from error
    if names:
        listed = ", ".join(names[:LISTED]) + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")
        raise NamesCodeError(
            f"checkpoint {path.name} would execute code",
            expected="tensors and plain values only",
            got=listed[:300],
            fix="nothing of it was loaded; use a file from a source that you trust",
        )
