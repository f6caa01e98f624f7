"""What all tests share."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

SMALL_WIDTHS, SMALL_DEPTHS = (4, 8, 8, 12, 12, 16), (1, 2, 1, 1, 1, 2)

# No test may fail because the machine was busy, and continuous integration draws the same examples every time.
settings.register_profile(
    "bedside", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize="CI" in os.environ
)
settings.load_profile("bedside")

# A shell that starts tests in the background has them and their processes ignore Ctrl+C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def nninteractive_folder(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder as nnInteractive's weights are published, of a network with random parameters.

    Called with widths and depths of the stages; with ``changes`` to the checkpoint's dictionary. Without widths the
    weights are those of a network too small to answer anything, made in a moment.
    """

    def make(widths: Sequence[int] = SMALL_WIDTHS, depths: Sequence[int] = SMALL_DEPTHS, **changes: Any) -> Path:
        torch = pytest.importorskip("torch")
        from bedside.engines.nninteractive.network import NNInteractive

        torch.set_num_threads(1)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = NNInteractive(widths, depths)
            with torch.no_grad():
                for parameter in network.parameters():
                    parameter.add_(torch.randn(parameter.shape) * 0.05)
        folder = tmp_path / "published"
        (folder / "fold_0").mkdir(parents=True)
        content = {
            "network_weights": network.state_dict(),
            "trainer_name": "nnInteractiveTrainer_stub",
            "init_args": {"configuration": "3d_fullres_ps192_bs24", "fold": 0, "device": torch.device("cuda")},
            # What a training's log leaves behind.
            "_best_ema": np.float64(0.9),
            **changes,
        }
        torch.save(content, folder / "fold_0" / "checkpoint_final.pth")
        arguments = {
            "n_stages": len(widths),
            "features_per_stage": list(widths),
            "n_blocks_per_stage": list(depths),
            "strides": [[1] * 3] + [[2] * 3] * (len(widths) - 1),
            "kernel_sizes": [[3] * 3] * len(widths),
        }
        name = "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet"
        base = {
            "patch_size": [128] * 3,
            "architecture": {"network_class_name": name, "arch_kwargs": arguments},
        }
        plans = {
            "dataset_name": "Dataset225_nnInteractiveV2",
            "plans_name": "nnUNetResEncUNetLPlans_noResampling",
            "configurations": {
                "3d_fullres": base,
                "3d_fullres_ps192_bs24": {"inherits_from": "3d_fullres", "patch_size": [192] * 3, "batch_size": 24},
            },
        }
        metadata = {
            "inference_class": "nnInteractiveInferenceSession",
            "point_radius": 4,
            "preferred_scribble_thickness": 2,
        }
        (folder / "plans.json").write_text(json.dumps(plans))
        (folder / "dataset.json").write_text(json.dumps({"channel_names": {"0": "image"}, "labels": {"background": 0}}))
        (folder / "inference_session_class.json").write_text(json.dumps(metadata, indent=4) + "\n")
        return folder

    return make
