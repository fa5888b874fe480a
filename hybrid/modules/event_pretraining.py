"""Event pre-training: the encoder learns what each limb does, from skeletons alone, before it meets the language model.

Cheap (no video, no text), and it gives the language model tokens that mean something from its first step on.
"""

import torch
from lightning import LightningModule
from torch import Tensor, nn

from fusion.batch import Batch
from fusion.joint_branch import JointBranch
from fusion.losses import event_loss
from hybrid.config.instruction import OptimConfig
from hybrid.modules.optimizers import make_optimizer


class EventPretraining(LightningModule):
    """Trains encoder, limb tokens and event head of a JointBranch on the events of clips."""

    def __init__(self, joints: JointBranch, optim: OptimConfig):
        super().__init__()
        self.joints, self.optim = joints, optim

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        loss = event_loss(
            self.joints.events(self.joints.pooled(batch.body).features), batch.body.events, batch.body.plan
        )
        self.log("pretrain/event_loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self) -> dict:
        parts = nn.ModuleList([self.joints.encoder, self.joints.tokens, self.joints.events])
        optim = self.optim
        optimizer = make_optimizer(optim.optimizer, parts, optim.weight_decay, optim.pretrain_lr, optim.muon_lr)
        peaks = [group["lr"] for group in optimizer.param_groups]
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, peaks, total_steps=optim.pretrain_steps, pct_start=0.1, cycle_momentum=False
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        return batch.to(device)
