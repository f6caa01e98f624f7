"""One stage of a training of the SAM family, for the loop in ``trainer``."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from bedside.core.errors import InputError
from bedside.core.modality import MODALITIES
from bedside.data.store import Store
from bedside.engines.sam.networks.mcp_medsam import CLIP_WIDTH, McpMedSAM
from bedside.engines.sam.training.answers import answer, answer_loss, mask_scores
from bedside.engines.sam.training.features import FeatureBank
from bedside.engines.sam.training.losses import embedding_loss
from bedside.engines.sam.training.networks import LOGITS, PARTS, logits_side, sam_network
from bedside.engines.sam.training.recipe import epoch_steps
from bedside.engines.sam.training.sampling import SamSampler, SamSampling
from bedside.engines.sam.training.schedule import Plateau, RunningClip, scale
from bedside.engines.sam.training.settings import StageSettings
from bedside.engines.sam.training.slices import SliceTable
from bedside.engines.sam.training.split import split_store
from bedside.engines.sam.training.teacher import EmbeddingBank, Teacher, views_of
from bedside.train.config import TrainingConfig
from bedside.train.memory import check_memory, samples_that_fit, saved_bytes
from bedside.train.precision import autocast
from bedside.train.processes import current_processes
from bedside.train.stages import Stage
from bedside.train.task import Batch, Task

Options = StageSettings
VALIDATION_SEED = 1


class SliceData(Dataset[dict[str, Any]]):
    """Samples by number: slices with the teacher's embeddings, or with boxes.

    Args:
        sampler: Draws them.
        bank: The embeddings, for distillation.
        features: A frozen CLIP's features of what boxes hold, for MCP-MedSAM.
    """

    def __init__(
        self, sampler: SamSampler, bank: EmbeddingBank | None = None, features: FeatureBank | None = None
    ) -> None:
        self._sampler = sampler
        self._bank = bank
        self._features = features

    def __getitem__(self, index: int) -> dict[str, Any]:
        if self._bank is not None:
            picture = self._sampler.picture(index)
            embedding = self._bank.read(int(picture["slice"]), int(picture["flip"]))
            return {"image": picture["image"], "embedding": embedding}
        sample = self._sampler.sample(index)
        if self._features is not None:
            keys = self._sampler.table.slices
            sample["features"] = np.stack([self._features.read(keys[n].key, m, v) for n, m, v in sample["object"]])
        return sample


class SamTask(Task):
    """See the module.

    Args:
        config: Settings of the loop; ``options`` are those of the stage.
        store: Training store.
        device: Where to train.

    Raises:
        InputError: The model is of another family, there is nothing to draw, or the processes cannot divide the batch.
    """

    def __init__(self, config: TrainingConfig, store: Store, device: torch.device) -> None:
        settings: StageSettings = config.options
        self._config, self._settings, self._device = config, settings, device
        self._store = store
        with torch.device("meta"):
            shapes = sam_network(config.model, settings.sampling.side)
        self._part = settings.batch // current_processes().count
        self._truth_side = logits_side(shapes)
        self._takes_content = isinstance(shapes, McpMedSAM)
        if self._takes_content != (settings.sampling.prompts == "content"):
            raise InputError("sampling.prompts", expected="content for mcp-medsam alone", got=settings.sampling.prompts)
        kept, held = split_store(store, config.held_out, settings.validation_share, settings.split_seed)
        modalities = settings.modalities or (MODALITIES if self._takes_content else ())
        self.table = SliceTable(kept, modalities, settings.slices, config.seed)
        self.held_table = held_table(held, modalities, config.validation_samples)
        self._sampler = SamSampler(self.table, settings.sampling, config.seed, self._truth_side)
        self._bank: EmbeddingBank | None = None
        self._held_bank: EmbeddingBank | None = None
        self._features: FeatureBank | None = None
        self._plateau = Plateau(settings.decay, settings.patience)
        self._running_clip = RunningClip()
        self._best: dict[str, Any] = {"loss": math.inf, "waited": 0, "network": {}}
        self.micro_batch = config.batch

    def teach(self, teacher: Teacher, folder: Path, report: Callable[[str], None]) -> None:
        """Compute the teacher's embeddings of all that the stage will see, where they are not in ``folder`` yet."""
        grid, (stage,) = self._truth_side // LOGITS, self.stages()
        self._bank = EmbeddingBank(folder / "training", self.table, grid)
        samples = stage.samples_from(0).stop
        self._bank.prepare(teacher, self._store.sha256, views_of(self._sampler, samples), report)
        if (sampler := self._held_sampler()) is not None:
            self._held_bank = EmbeddingBank(folder / "validation", sampler.table, grid)
            views = views_of(sampler, self._config.validation_samples)
            self._held_bank.prepare(teacher, self._store.sha256, views, report)

    def _held_sampler(self) -> SamSampler | None:
        """Return fixed samples of the held-out cases, without augmentation."""
        if self.held_table is None:
            return None
        return SamSampler(self.held_table, plain(self._settings.sampling), VALIDATION_SEED, self._truth_side)

    def describe_contents(self, features: FeatureBank) -> None:
        """Take a frozen CLIP's features of the stage's objects."""
        self._features = features

    def build(self) -> nn.Module:
        """Return the network, for inputs of the sampling's side."""
        return sam_network(self._config.model, self._settings.sampling.side)

    def stages(self) -> list[Stage]:
        """Return the one stage of this loop."""
        s = self._settings
        return [Stage(0, self._config.steps, s.sampling.side, s.batch, 0, s.accumulate, s.kind)]

    def dataset(self, stage: Stage) -> SliceData:
        """Return slices with embeddings, or with boxes."""
        del stage
        self._check_taught()
        return SliceData(self._sampler, self._bank, self._features)

    def begin(self, stage: Stage, network: nn.Module) -> None:
        """Parts that do not learn keep their running statistics, too."""
        del stage
        for name in PARTS:
            network.get_submodule(name).train(name in self._settings.parts)

    def parameter_groups(self, network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
        """Return all weights of the parts that learn, biases and norms included; the others are frozen."""
        learning: list[nn.Parameter] = []
        for name in PARTS:
            if name in self._settings.parts:
                learning += [p for p in network.get_submodule(name).parameters() if p.requires_grad]
            else:
                network.get_submodule(name).requires_grad_(False)
        return [{"params": learning, "weight_decay": weight_decay}]

    def fit_memory(self, network: nn.Module, memory_gb: float | None) -> str | None:
        """Take a batch in parts that fit."""
        if memory_gb is None:
            return None
        check_memory(memory_gb)
        example = {name: values.to(self._device) for name, values in self._example().items()}
        was_training = network.training
        # Otherwise running statistics would take in the example.
        network.eval()
        with autocast(self._device, self._config.precision):
            saved = saved_bytes(network, lambda: self._answer(network, example))
        network.train(was_training)
        batch = self._part
        self._part = samples_that_fit(network, saved, batch, memory_gb)
        if self._part == batch:
            return None
        taken = f"each batch takes its {batch} samples {self._part} at a time to stay below the memory"
        return f"{taken}; normalisations and losses are those of the parts"

    def _example(self) -> Batch:
        """Return a sample of zeros."""
        sampling, truth = self._settings.sampling, self._truth_side
        side, masks = sampling.side, sampling.masks
        batch = {"image": torch.zeros(1, 3, side, side), "boxes": torch.zeros(1, masks, 4)}
        if sampling.prompts == "points":
            batch |= {"points": torch.zeros(1, masks, 4, 2), "scribble": torch.zeros(1, masks, 1, truth, truth)}
        if sampling.prompts == "content":
            crops = torch.zeros(1, masks, 3, truth // LOGITS, truth // LOGITS)
            batch |= {"crops": crops, "features": torch.zeros(1, masks, CLIP_WIDTH)}
            batch["modality"] = torch.zeros(1, masks, dtype=torch.int64)
        return batch

    def _answer(self, network: Any, batch: Batch) -> Any:
        if self._settings.kind == "distil":
            return network.encode_image(batch["image"])
        texts = torch.zeros(len(MODALITIES), CLIP_WIDTH, device=self._device) if self._takes_content else None
        return answer(network, batch, texts)

    def losses(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> Iterator[Tensor]:
        """Yield the distance to the teacher's embedding, or the losses on masks, of each part of a batch.

        A process has one or more parts of the batch.
        """
        del generator
        own = len(batch["image"])
        samples = own * current_processes().count
        with autocast(self._device, self._config.precision):
            if samples <= self._part:
                yield self._loss(network, batch)
                return
            for first in range(0, own, self._part):
                part = {name: values[first : first + self._part] for name, values in batch.items()}
                yield self._loss(network, part) * (len(part["image"]) / samples)

    def _loss(self, network: Any, batch: Batch) -> Tensor:
        weights = self._settings.loss
        if self._settings.kind == "distil":
            embedding = network.encode_image(batch["image"])[0].float()
            return embedding_loss(embedding, batch["embedding"], weights.embedding)
        return answer_loss(network, batch, weights, self._text_features())

    def _text_features(self) -> Tensor | None:
        return self._features.text.to(self._device) if self._features is not None else None

    @torch.no_grad()
    def validate(self, network: nn.Module) -> dict[str, float]:
        """Return the loss on fixed samples of the held-out cases, and in fine-tuning the mean DSC on the grid."""
        if (sampler := self._held_sampler()) is None:
            return {}
        self._check_taught()
        data = SliceData(sampler, self._held_bank, self._features)
        scores: dict[str, list[float]] = {}
        for first in range(0, self._config.validation_samples, self._config.batch):
            numbers = range(first, min(first + self._config.batch, self._config.validation_samples))
            samples = [data[number] for number in numbers]
            batch = {k: torch.from_numpy(np.stack([s[k] for s in samples])).to(self._device) for k in samples[0]}
            with autocast(self._device, self._config.precision):
                found = {"loss": [float(self._loss(network, batch))] * len(samples)}
                if self._settings.kind == "fine-tune":
                    found["dsc"] = mask_scores(network, batch, self._text_features())
            for name, values in found.items():
                scores.setdefault(name, []).extend(values)
        means = {name: float(np.mean(values)) for name, values in scores.items()}
        self._keep_best(network, means["loss"])
        return means

    def _keep_best(self, network: nn.Module, loss: float) -> None:
        if not self._settings.early_stop:
            return
        if loss < self._best["loss"]:
            state = {name: value.detach().clone() for name, value in network.state_dict().items()}
            self._best = {"loss": loss, "waited": 0, "network": state}
        else:
            self._best["waited"] += 1

    @property
    def best(self) -> dict[str, Tensor]:
        """Weights with the lowest loss on held-out cases; empty where they are not kept."""
        kept: dict[str, Tensor] = self._best["network"]
        return kept

    @property
    def finished(self) -> bool:
        """Whether the loss has not become better for too long."""
        return 0 < self._settings.early_stop <= int(self._best["waited"])

    def learning_rate(self, config: TrainingConfig, step: int) -> float:
        """Follow the stage's schedule; another in the last epoch where the recipe says so."""
        settings = self._settings
        each = epoch_steps(settings, config.steps)
        if settings.last_epoch_rate and step >= config.steps - each and settings.epochs > 1:
            return settings.last_epoch_rate
        if settings.schedule == "plateau":
            return config.learning_rate * self._plateau.factor
        period = settings.period if settings.period and not settings.steps else config.steps
        return config.learning_rate * scale(settings.schedule, step, period, each, settings.decay)

    def clip(self, network: nn.Module, config: TrainingConfig) -> float:
        """Cut to a fixed norm, or by the norms so far."""
        if self._settings.clip == "percentile":
            return self._running_clip.clip(list(network.parameters()))
        return super().clip(network, config)

    def after_step(self, step: int, loss: float) -> None:
        """Tell the plateau."""
        self._plateau.step(loss, ends_epoch=step % epoch_steps(self._settings, self._config.steps) == 0)

    def state_dict(self) -> dict[str, Any]:
        """Return plateau, norms and best weights."""
        return {"plateau": self._plateau.state_dict(), "norms": self._running_clip.norms, "best": self._best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from ``state_dict``."""
        self._plateau.load_state_dict(state["plateau"])
        self._running_clip.norms = list(state["norms"])
        self._best = state["best"]

    def _check_taught(self) -> None:
        if self._settings.kind == "distil" and self._bank is None:
            raise InputError("distillation", expected="a teacher's embeddings", got="none")
        if self._takes_content and self._features is None:
            raise InputError("content prompts", expected="features of what boxes hold", got="none")


def create(config: TrainingConfig, store: Store, device: torch.device) -> SamTask:
    """Return the task of a stage; see ``task.TaskModule``."""
    return SamTask(config, store, device)


def plain(sampling: SamSampling) -> SamSampling:
    """Return the same samples without augmentation."""
    changes = {"flips": 0.0, "turns": 0.0, "colours": 0.0, "enlargement": 0}
    return SamSampling(**{**vars(sampling), **changes})


def held_table(held: Store, modalities: tuple[str, ...], samples: int) -> SliceTable | None:
    """Return the slices that a stage is followed by; None where there are none of its modalities."""
    try:
        return SliceTable(held, modalities, samples, VALIDATION_SEED)
    except InputError:
        return None
