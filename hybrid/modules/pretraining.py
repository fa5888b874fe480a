"""Event pre-training: the encoder learns what each limb does, from skeletons alone, before it meets the language model.

Cheap (no video, no text), and it gives the language model tokens that mean something from its first step on.
"""

import torch
from lightning import LightningModule
from torch import Tensor

from hybrid.data.collation import Batch
from hybrid.model import JointBranch, event_loss


class EventPretraining(LightningModule):
    """Trains encoder, limb tokens and event head of a JointBranch on the events of clips."""

    def __init__(self, joints: JointBranch, lr: float, weight_decay: float, steps: int):
        super().__init__()
        self.joints, self.lr, self.weight_decay, self.steps = joints, lr, weight_decay, steps

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        loss = event_loss(self.joints.events(self.joints.pooled(batch).features), batch.events)
        self.log("pretrain/event_loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self) -> dict:
        parts = (self.joints.encoder, self.joints.tokens, self.joints.events)
        parameters = [parameter for part in parts for parameter in part.parameters()]
        optimizer = torch.optim.AdamW(parameters, lr=self.lr, weight_decay=self.weight_decay, betas=(0.9, 0.98))
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.lr, total_steps=self.steps, pct_start=0.1)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        return batch.to(device)
