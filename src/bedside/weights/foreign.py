"""Reading checkpoints that others made, of which nothing may be executed. Needs torch.

Such files are pickles, and a pickle can name any function of the machine to be called on opening. Here only tensors,
plain values and the few things beside them that trainings leave behind (a device, a NumPy number) are let through, and
a file that names anything else is refused with that name.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from bedside.core.errors import WeightsError

LISTED = 3
"""How many of the names that a refused file holds the message lists."""


def _allowed() -> list[Any]:
    """What may be named beside torch's own tensors: NumPy numbers, as a training's log holds them."""
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
    """The dictionary that ``torch.save`` wrote to a file, with tensors that lie in the file until they are used.

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
            raise _refusal(path, f"{type(error).__name__}: {_first_line(error)}") from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise _refusal(
            path, f"a {type(content).__name__}" if not isinstance(content, dict) else "keys that are no text"
        )
    return content


def _refusal(path: Path, got: str) -> WeightsError:
    return WeightsError(f"checkpoint {path.name}", expected="a dictionary of tensors written by torch", got=got)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:160] if lines else ""


def _check_archive(path: Path) -> None:
    """Refuse what is no plain zip file of torch: its reader would guess at other formats, or inflate without end."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except FileNotFoundError as error:
        raise WeightsError(f"checkpoint {path}", expected="a file", got="none") from error
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise _refusal(path, f"no complete zip file ({_first_line(error)})") from error
    names = [entry.filename.rpartition("/")[2] for entry in entries]
    if names.count("data.pkl") != 1 or "constants.pkl" in names:
        raise _refusal(path, "a zip file of something else")
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise _refusal(path, "a compressed zip file, which torch does not write")


def _check_names(path: Path) -> None:
    try:
        names = sorted(get_unsafe_globals_in_checkpoint(path))
    except Exception as error:
        raise _refusal(path, f"{type(error).__name__}: {_first_line(error)}") from error
    if names:
        listed = ", ".join(names[:LISTED]) + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")
        raise WeightsError(
            f"checkpoint {path.name} would execute code",
            expected="tensors and plain values only",
            got=listed[:300],
            fix="nothing of it was loaded; use a file from a source that you trust",
        )
