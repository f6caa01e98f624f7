"""Where the weights that others publish can be had, as far as is known.

A source without an address of its own lies behind a page that only a person can use; then the file is fetched by hand
and brought in by ``bedside weights import``, or pulled from a folder or a server that keeps copies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

DRIVE_FILE = "https://drive.google.com/file/d/"
DRIVE_FOLDER = "https://drive.google.com/drive/folders/"


@dataclass(frozen=True)
class Source:
    """One file of weights.

    Attributes:
        model: In the registry.
        file: Name of the file as it is published, or where that is not known the name under which a copy is looked for.
        page: Where a person finds it.
        licence: SPDX identifier of the weights.
        variant: Which set of the model's weights it is; "" where there is but one.
        url: Address of the file itself; None where there is only the page.
        size: Bytes; None where unknown.
        sha256: Hexadecimal; None where unknown.
        note: What else is to be known.
        parts: Files of a folder, relative to it; then ``file`` is the folder's name and ``url`` its address.
    """

    model: str
    file: str
    page: str
    licence: str
    variant: str = ""
    url: str | None = None
    size: int | None = None
    sha256: str | None = None
    note: str = ""
    parts: tuple[str, ...] = ()

    @property
    def stem(self) -> str:
        """What the converted files are called."""
        return weights_stem(self.model, self.variant)


_DAFT = {
    "": ("1ojqPtCYwh-bzPdgA7GS0Zt78AO3cjde5", "general"),
    "3d": ("1jR7Qz-RSm-uDaZzpOxFI4wBFeCxeSFEb", "3D"),
    "dermoscopy": ("1Zwwp0kScYJsLB1exs63B_HODT-9csj_g", "Dermoscopy"),
    "endoscopy": ("1-QrmdwEUYEZsrXlEilhrovP-299li1J-", "Endoscopy"),
    "fundus": ("1I2QESz1VXcKDrKDg-Er44PqwS00vtSMc", "Fundus"),
    "mammography": ("1kS0s7fcIlXE-hS0-sWDNWXWHQ9hxqHhh", "Mammography"),
    "microscopy": ("1p788QfFuLZW2XBKyjpbS9leoWOJhn5wg", "Microscopy"),
    "oct": ("1RcX686vYU-jHWwi8NZ9JWKSc61vmF_XB", "OCT"),
    "us": ("1dWifPYpA168KbUoKF5XWBnCBaU4fzeMm", "US"),
    "x-ray": ("120gqhi-psC0c1W-D18iXiya9zuH2a9nX", "X-Ray"),
}

DAFT_SUBMISSION = f"{DRIVE_FILE}1OvQInteX8E4qWgDi4OQGCb1lKGL9t3qL"
DAFT_BOOSTER = f"{DRIVE_FOLDER}1E763mmHuWghMt5Uv8lY96vRLZW6IYfLL"
"""Of the branches finalsubmission and main of the team's repository, by their READMEs."""
HUB = "https://huggingface.co/"
NNINTERACTIVE = "MIC-DKFZ/nnInteractive"

SOURCES: tuple[Source, ...] = (
    Source("lite-medsam", "lite_medsam.pth", f"{DRIVE_FILE}18Zed-TUTsmr2zc5CHUWd5Tu13nb6vq6z", "Apache-2.0"),
    Source(
        "medsam",
        "medsam_vit_b.pth",
        f"{DRIVE_FILE}1UAmWL88roYR7wKlnApw5Bcuzf2iQgk6_",
        "Apache-2.0",
        note="about 375 MB",
    ),
    *(
        Source(
            f"medficientsam-{size}",
            f"medficientsam_{size}.ckpt",
            f"{DRIVE_FOLDER}19RHM-qN4KUlCnHj_SJiUBwSbZybeCZfC",
            "Apache-2.0",
            note="a Lightning checkpoint",
        )
        for size in ("l0", "l1", "l2")
    ),
    *(
        Source(
            "daft",
            f"{weights_file}.pth",
            DRIVE_FOLDER + folder,
            "BSD-3-Clause",
            variant=variant,
            note=f"{title}; import the folder of graphs as it is. All of the submission are at {DAFT_SUBMISSION}, "
            f"those after the challenge at {DAFT_BOOSTER}",
        )
        for variant, (folder, title) in _DAFT.items()
        for weights_file in (f"daft-{variant}" if variant else "daft",)
    ),
    Source(
        "rep-medsam",
        "rep_medsam.pth",
        "https://github.com/muxin-wei/Rep-MedSAM",
        "Apache-2.0",
        url="https://github.com/muxin-wei/Rep-MedSAM/raw/HEAD/ckpts/rep_medsam.pth",
    ),
    Source(
        "swin-lite-medsam",
        "swin_lite_medsam.pth",
        f"{DRIVE_FILE}1x587vVKtPZ2sGcC29gKsHO0Ha7YZTVO4",
        "MIT",
    ),
    Source(
        "mcp-medsam",
        "mcp_medsam.pth",
        "https://huggingface.co/Leo-Lyu/MCP-MedSAM",
        "MIT",
        note="needs the folder of PubMedCLIP (flaviagiammarino/pubmed-clip-vit-base-patch32) too",
    ),
)

FOLDERS: tuple[Source, ...] = (
    Source(
        "nninteractive",
        "nnInteractive_v1.0",
        f"{HUB}{NNINTERACTIVE}",
        "CC-BY-NC-SA-4.0",
        url=f"{HUB}{NNINTERACTIVE}/resolve/main/nnInteractive_v1.0",
        note="about 411 MB",
        parts=("plans.json", "dataset.json", "inference_session_class.json", "fold_0/checkpoint_final.pth"),
    ),
)
"""Sources of several files each, of networks that are published as folders."""


def weights_stem(model: str, variant: str = "") -> str:
    """Return what the files of a model's weights are called; those of its first variant as the model itself."""
    from bedside.weights.models import model_card

    variants = model_card(model).variants
    return model if not variant or variant == (variants[0] if variants else "") else f"{model}-{variant}"


def sources_of(model: str, variant: str = "", sources: Sequence[Source] | None = None) -> list[Source]:
    """Return the known sources of a model's weights, or of one variant of them.

    Args:
        model: In the registry.
        variant: Which; "" for the first.
        sources: Catalogue to look into, by default both of this module's.
    """
    stem = weights_stem(model, variant)
    return [s for s in ((*SOURCES, *FOLDERS) if sources is None else sources) if s.model == model and s.stem == stem]
