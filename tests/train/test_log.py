from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from bedside.train.config import TrainingConfig
from bedside.train.log import LOSSES, VALIDATION, RunLog, read_last_validation, read_losses


def test_scores_become_a_line_and_a_row(tmp_path: Path) -> None:
    lines: list[str] = []
    log = RunLog(tmp_path, lines.append)
    assert read_last_validation(tmp_path / VALIDATION) == {}
    log.validation(10, {"dsc_round_0": 0.5, "iou": 0.25})
    log.validation(20, {"dsc_round_0": 0.75, "iou": 0.5})
    log.close()
    assert lines[0] == "step 10  held-out  dsc_round_0 0.5000  iou 0.2500"
    table = (tmp_path / VALIDATION).read_text().splitlines()
    assert table == ["step,dsc_round_0,iou", "10,0.50000,0.25000", "20,0.75000,0.50000"]
    assert read_last_validation(tmp_path / VALIDATION) == {"step": 20, "dsc_round_0": 0.75, "iou": 0.5}


def test_losses_are_averaged_between_lines_and_speed_leaves_out_the_start(
    config: TrainingConfig, tmp_path: Path
) -> None:
    lines: list[str] = []
    log = RunLog(tmp_path, lines.append)
    config = dataclasses.replace(config, log_every=2, steps=4)
    for step, (loss, seconds) in enumerate([(1.0, 50.0), (2.0, 52.0), (3.0, 53.0), (5.0, 54.0)], start=1):
        log.step(step, config, loss=loss, rate=1e-3, norm=1.0, seconds=seconds, samples=4)
    log.close()
    assert [line.split("  ")[1] for line in lines] == ["loss 1.5000", "loss 4.0000"]
    assert [float(line.split("  ")[3].split()[0]) for line in lines] == pytest.approx([2.0, 4.0])
    assert (tmp_path / LOSSES).read_text().splitlines() == [
        "step,loss,rate",
        "2,1.50000,1.000e-03",
        "4,4.00000,1.000e-03",
    ]


def test_steps_that_were_taken_twice_count_as_they_were_last(tmp_path: Path) -> None:
    assert read_losses(tmp_path / LOSSES) == {}
    (tmp_path / LOSSES).write_text("step,loss,rate\n10,3.0,1e-3\n20,2.5,1e-3\n20,2.0,1e-3\n30,1.0,1e-3\n")
    assert read_losses(tmp_path / LOSSES) == {10: 3.0, 20: 2.0, 30: 1.0}
