"""Instruction tuning of a PoseGroundedMLLM, and its validation, with Lightning.

The loss is the sum over answer tokens divided by the number of answer tokens of the whole step (all devices), so
that it does not depend on how a batch is spread. Checkpoints hold tensors and plain Python types: every weight that
trains, the joint branch's buffers and the random state, and not the frozen MLLM.
"""

from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor

from fusion.batch import Batch
from hybrid.config.instruction import OptimConfig
from hybrid.data.rows import EvalBatch
from hybrid.errors import CheckpointError
from hybrid.models.pose_grounded import PoseGroundedMLLM
from hybrid.modules.optimizers import make_optimizer, scheduled, warm_cosine


class InstructionModule(LightningModule):
    """Trains `model` on answer tokens; validates by the likelihood of the right answer and of the options."""

    def __init__(self, model: PoseGroundedMLLM, optim: OptimConfig):
        super().__init__()
        self.model, self.optim = model, optim
        self.random_state: Tensor | None = None
        self.cuda_random_state: Tensor | None = None

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        scores, losses = self.model(batch)
        count = torch.tensor(float(len(scores)), device=self.device)
        ranks = self.trainer.world_size
        if ranks > 1:  # DDP averages gradients over ranks: weigh each rank by its share of the tokens
            count = self.all_gather(count).sum() / ranks
        loss = -scores.sum() / count
        self.log("train/loss", loss, prog_bar=True)
        for name in losses:
            if weight := getattr(self.optim, name):
                self.log(f"train/{name}", losses[name])
                loss = loss + weight * losses[name]
        return loss

    def validation_step(self, pair: tuple[EvalBatch, Batch], _index: int) -> None:
        asked, batch = pair
        scores = self.model.score(batch)
        nll, tokens, right, choices, first = scores.new_zeros(()), 0, 0, 0, 0
        lengths = torch.bincount(batch.answers.numbers, minlength=batch.answers.count)
        for sample in asked.samples:
            options = len(sample.options or (0,))
            truth = sample.answer if sample.options else 0
            nll = nll - scores[first + truth]
            tokens += int(lengths[first + truth])
            if sample.options:
                right += int(scores[first : first + options].argmax() == truth)
                choices += 1
            first += options
        self.log("val/loss", nll / max(tokens, 1), prog_bar=True, batch_size=max(tokens, 1), sync_dist=True)
        if choices:
            self.log("val/accuracy", right / choices, prog_bar=True, batch_size=choices, sync_dist=True)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return (batch[0], batch[1].to(device)) if isinstance(batch, tuple) else batch.to(device)

    def configure_optimizers(self) -> dict[str, Any]:
        """Cosine after a linear warm-up; no decay for norms, biases and embeddings of time or person."""
        optim = self.optim
        slower = (optim.encoder_lr or optim.lr) / optim.lr
        optimizer = make_optimizer(
            optim.optimizer,
            self.model,
            optim.weight_decay,
            optim.lr,
            optim.muon_lr,
            lambda name: slower if name.startswith("joints.encoder.") else 1.0,
        )
        return scheduled(optimizer, self.schedule)

    def schedule(self, step: int) -> float:
        """Share of the peak learning rate at a step; ends at a twentieth."""
        return warm_cosine(step, self.optim.warmup, self.optim.steps, least=0.05)

    def saved_names(self) -> set[str]:
        """Keys of the state that a checkpoint holds."""
        trains = {name for name, parameter in self.named_parameters() if parameter.requires_grad}
        return {name for name in self.state_dict() if name in trains or name.startswith("model.joints.")}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        names = self.saved_names()
        checkpoint["state_dict"] = {k: v for k, v in checkpoint["state_dict"].items() if k in names}
        checkpoint["random_state"] = torch.get_rng_state()
        if self.device.type == "cuda":
            checkpoint["cuda_random_state"] = torch.cuda.get_rng_state(self.device)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.random_state = checkpoint.get("random_state")
        self.cuda_random_state = checkpoint.get("cuda_random_state")

    def on_fit_start(self) -> None:
        self.train()  # from_pretrained leaves the MLLM in eval mode, and Lightning leaves it so

    def on_train_batch_start(self, _batch: Batch, _index: int) -> None:
        """Random numbers go on where the checkpoint was written; earlier, the loaders would still draw from them."""
        if self.random_state is not None:
            torch.set_rng_state(self.random_state.cpu())
            if self.cuda_random_state is not None and self.device.type == "cuda":
                torch.cuda.set_rng_state(self.cuda_random_state.cpu(), self.device)
            self.random_state = None

    def load_state_dict(self, state_dict: dict[str, Tensor], strict: bool = True, assign: bool = False) -> Any:
        """Loads exactly the weights that checkpoints hold. Raises CheckpointError for another model's."""
        own, expected = self.state_dict(), self.saved_names()
        missing, foreign = sorted(expected - set(state_dict)), sorted(set(state_dict) - expected)
        shapes = [k for k in sorted(expected & set(state_dict)) if own[k].shape != state_dict[k].shape]
        if missing or foreign or shapes:
            facts = [f"{len(missing)} weights missing (first: {missing[0]})"] if missing else []
            facts += [f"{len(foreign)} unknown (first: {foreign[0]})"] if foreign else []
            facts += (
                [
                    f"{len(shapes)} of another shape (first: {shapes[0]} {tuple(state_dict[shapes[0]].shape)}, "
                    f"expected {tuple(own[shapes[0]].shape)})"
                ]
                if shapes
                else []
            )
            raise CheckpointError(
                f"the checkpoint belongs to another model: {', '.join(facts)}; test with the configuration that trained it"
            )
        return super().load_state_dict(state_dict, strict=False, assign=assign)
