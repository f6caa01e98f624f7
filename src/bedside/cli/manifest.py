"""What a segmentation reports: the manifest as plain values, and the same in a few lines for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from bedside.cli.host import versions

if TYPE_CHECKING:
    from bedside.cli.job import Job
    from bedside.cli.stages import Stages
    from bedside.core.image import Image
    from bedside.session import Session


def build_manifest(job: Job, session: Session, labels: NDArray[Any], stages: Stages) -> dict[str, Any]:
    """Return the manifest of a finished ``job``; every value is plain, ready for JSON.

    Lengths are null where the image does not say its spacing.
    """
    import numpy as np

    counts = np.bincount(labels.ravel(), minlength=len(session.objects) + 1)
    return {
        "versions": versions(),
        "model": _model(session),
        "image": _image(session.image),
        "output": str(job.output),
        "overlay": str(job.overlay) if job.overlay else None,
        "policy": job.policy,
        "objects": [
            {
                "id": item.id,
                "name": item.name,
                "label": item.label,
                "prompts": len(item.prompts),
                # Of the mask as written: another object may have got some of this one's voxels.
                **session.image.geometry.size_of(int(counts[item.label])),
            }
            for item in session.objects
        ],
        "passes": session.passes,
        "seconds": {
            **{name: round(s, 6) for name, s in stages.seconds.items()},
            "answers": {name: round(s, 6) for name, s in session.seconds.items()},
            "total": round(stages.total, 6),
        },
    }


def summary(manifest: Mapping[str, Any]) -> Iterable[str]:
    """Return the manifest in a few lines."""
    image, model = manifest["image"], manifest["model"]
    size = " x ".join(str(n) for n in image["shape"][::-1])
    unit = "voxels" if len(image["shape"]) == 3 else "pixels"
    spacing = "spacing unknown"
    if image["spacing"]:
        spacing = f"{' x '.join(f'{s:.4g}' for s in image['spacing'])} mm"
    yield f"{image['path']}: {size} {unit}, {spacing}{', ' + image['modality'] if image['modality'] else ''}"
    running = ", ".join(str(model[key]) for key in ("device", "runtime", "precision") if model[key])
    yield f"{model['name']}{' on ' + running if running else ''}: {_count(manifest['passes'], 'pass')} of the network"
    for item in manifest["objects"]:
        size = f"{item['voxels']:,} {unit}{_measure(item)}"
        yield f"  {item['label']} {item['name']}: {size}, from {_count(item['prompts'], 'prompt')}"
    written = [manifest["output"], *([manifest["overlay"]] if manifest["overlay"] else [])]
    yield f"wrote {' and '.join(written)}"
    seconds = manifest["seconds"]
    stages = ", ".join(f"{name.replace('_', ' ')} {s:.2f}" for name, s in seconds.items() if isinstance(s, float))
    yield f"seconds: {stages}"


def _model(session: Session) -> dict[str, Any]:
    segmenter = session.segmenter
    # What a segmenter of the protocol may leave out, it says as an attribute where it knows.
    known = {key: getattr(segmenter, key, None) for key in ("weights_sha256", "device", "precision", "runtime")}
    said = {"name": session.model, **{key: value if value is None else str(value) for key, value in known.items()}}
    # A system of several networks: which of them predictions is the image's modality's choice.
    experts = getattr(segmenter, "experts", None)
    return {**said, "experts": dict(experts)} if experts else said


def _image(image: Image) -> dict[str, Any]:
    geometry = image.geometry
    return {
        "path": image.source,
        "shape": list(image.shape),
        "colour": image.is_colour,
        "dtype": image.array.dtype.name,
        "spacing": list(geometry.spacing) if geometry.spacing_known else None,
        "modality": image.modality,
    }


def _measure(item: Mapping[str, Any]) -> str:
    if item["volume_ml"] is not None:
        return f", {item['volume_ml']:.4g} ml"
    return f", {item['area_mm2']:.4g} mm2" if item["area_mm2"] is not None else ""


def _count(number: int, noun: str) -> str:
    plural = "es" if noun.endswith("s") else "s"
    return f"{number} {noun}{'' if number == 1 else plural}"
