"""What a sharded store is: ``manifest.json``, which says what each set is and what each shard holds."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from bedside.core.addresses import Address, read_file
from bedside.core.errors import FormatError

MANIFEST = "manifest.json"
FORMAT = "bedside-sharded-store"
VERSION = 1
SHARDS = "shards"
"""Folder of the shards."""


@dataclass(frozen=True)
class StoredSet:
    """A dataset of a store.

    Attributes:
        name: Unique in the store.
        source: Where it came from: the folder, as it was named.
        licence: Licence of the images, "not stated" where nobody said.
        label_kind: "semantic" or "instance".
        structures: Name of each label value, where the set states them; empty for instances.
        modalities: Of its cases, sorted.
        dimensions: 2 where it has images, 3 where it has volumes.
        spacing: The finest and the coarsest of its cases in mm, of all axes; None where no case states any.
        cases: Images or volumes.
        objects: Labelled objects, counting a label's parts beside the label itself.
        superpixels: Superpixels and supervoxels that serve as objects.
    """

    name: str
    source: str
    licence: str
    label_kind: str
    structures: dict[str, str] = field(default_factory=dict)
    modalities: tuple[str, ...] = ()
    dimensions: tuple[int, ...] = ()
    spacing: tuple[float, float] | None = None
    cases: int = 0
    objects: int = 0
    superpixels: int = 0


@dataclass(frozen=True)
class Failure:
    """A case that is not in the store.

    Attributes:
        case: Its name.
        message: Why.
    """

    case: str
    message: str


@dataclass(frozen=True)
class Shard:
    """A file of a store.

    Attributes:
        name: Below ``SHARDS``, without a suffix.
        set_name: Dataset that all of it belongs to.
        fingerprint: Of the source files and of how they were packed.
        sha256: Of the file.
        bytes: Of the file.
        unpacked: Bytes of the arrays in it.
        cases, objects, superpixels, modalities, dimensions, spacing: As in ``StoredSet``.
        failed: Cases that could not be read.
    """

    name: str
    set_name: str
    fingerprint: str
    sha256: str
    bytes: int
    unpacked: int
    cases: int
    objects: int
    superpixels: int
    modalities: tuple[str, ...] = ()
    dimensions: tuple[int, ...] = ()
    spacing: tuple[float, float] | None = None
    failed: tuple[Failure, ...] = ()

    @property
    def file(self) -> str:
        """Its place in the store."""
        return f"{SHARDS}/{self.name}.npz"

    @property
    def record(self) -> str:
        """Place of what is known of it, which is written after it: a shard without a record may be torn."""
        return f"{SHARDS}/{self.name}.json"

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Return the inverse of ``dataclasses.asdict``."""
        failed = tuple(Failure(**failure) for failure in values["failed"])
        return cls(**{**_with_tuples(values), "failed": failed})


@dataclass(frozen=True)
class StoreManifest:
    """The content of ``manifest.json``.

    Attributes:
        sets: Sorted by name.
        shards: Sorted by name.
    """

    sets: tuple[StoredSet, ...]
    shards: tuple[Shard, ...]

    @property
    def sha256(self) -> str:
        """Of the shards, whatever they were packed from: what decides which samples a training sees."""
        listed = [(shard.name, shard.set_name, shard.sha256) for shard in self.shards]
        return hashlib.sha256(json.dumps(listed).encode()).hexdigest()

    def of_set(self, name: str) -> list[Shard]:
        """Return the shards of one set."""
        return [shard for shard in self.shards if shard.set_name == name]

    def to_json(self) -> str:
        """Return the file's content."""
        values = {"format": FORMAT, "version": VERSION, **asdict(self)}
        return json.dumps(values, indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, name: str) -> Self:
        """Return the inverse of ``to_json``; ``name`` is what errors call the file.

        Raises:
            FormatError: It is no manifest of this version.
        """
        try:
            values = json.loads(text)
            if (values["format"], values["version"]) != (FORMAT, VERSION):
                raise ValueError(f"{values['format']} {values['version']}")
            sets = tuple(StoredSet(**_with_tuples(v)) for v in values["sets"])
            return cls(sets, tuple(Shard.from_dict(v) for v in values["shards"]))
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            got = f"{type(error).__name__}: {error}"
            raise FormatError(name, expected=f"{FORMAT} of version {VERSION}", got=got[:200]) from error


def is_sharded(address: Address) -> bool:
    """Return whether an address holds a sharded store, of any version; datasets may have a manifest of their own."""
    try:
        values = json.loads(read_file(address, MANIFEST))
    except (FormatError, ValueError, RecursionError):
        return False
    return isinstance(values, dict) and values.get("format") == FORMAT


def read_manifest(address: Address) -> StoreManifest:
    """Return the manifest of a sharded store.

    Raises:
        FormatError: There is none, or it cannot be understood.
        DependencyError: The package for this kind of storage is not installed.
    """
    return StoreManifest.from_json(read_file(address, MANIFEST), f"{address}/{MANIFEST}")


def _with_tuples(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a dataclass with tuples where JSON has lists."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
