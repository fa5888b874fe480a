"""PoseGroundedMLLM: a graph encoder and a video MLLM, joined at the input embeddings.

A plain module: batch in, logits at answer places, scores of answers, or text out. The surprising choices:
- How a body enters is the fusion mode's business (fusion.modes). Where a mode builds nothing besides the MLLM (`none`, `text`,
  `overlay`), the outputs are the base model's for that prompt and those frames, bit for bit.
- A frozen vision tower or encoder stays in eval mode through `train()`. Decoder layers go to train mode even when
  frozen, else gradient checkpointing and LoRA dropout would switch off.
- With anchoring the vision tower runs once; its output is sampled at the limbs and handed to the MLLM.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from fusion.batch import Batch
from fusion.families import family_of, vision_tower
from fusion.joint_branch import JointBranch, OracleBranch
from fusion.modes.base import FusionMode
from fusion.placement import tree_mask


class PoseGroundedMLLM(nn.Module):
    """`mllm` that a body enters by `mode`; `joints` is what that mode has built (None where it builds nothing)."""

    def __init__(self, mllm: PreTrainedModel, mode: FusionMode, joints: JointBranch | OracleBranch | None):
        super().__init__()
        self.mllm, self.mode, self.joints = mllm, mode, joints
        self.family = family_of(mllm)

    def train(self, mode: bool = True) -> "PoseGroundedMLLM":
        super().train(mode)
        for part in (vision_tower(self.mllm), self.joints, self.joints and self.joints.encoder):
            if part is not None and not any(parameter.requires_grad for parameter in part.parameters()):
                part.eval()
        return self

    @contextmanager
    def fused(self, batch: Batch) -> Iterator[tuple[Batch, dict[str, Tensor]]]:
        """Within the block a pass of `self.mllm` over the prompt of the batch that is given sees the body; with the losses of
        the joint branch by name (in training)."""
        with self.mode.fused(self.mllm, self.family, self.joints, batch) as fused:
            yield fused

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Log-probabilities [n] of the batch's n answer tokens, and the losses of the joint branch by name (in training)."""
        with self.fused(batch) as (batch, losses):
            prompt, answers = batch.prompt, batch.answers
            places, index = torch.unique(answers.sources, return_inverse=True)
            attention = prompt.attention_mask
            if prompt.subtree_end is not None:
                attention = tree_mask(prompt.subtree_end, self.mllm.dtype)
            logits = self.mllm(
                input_ids=prompt.input_ids,
                attention_mask=attention,
                position_ids=prompt.position_ids,
                logits_to_keep=places,
                use_cache=False,
                **prompt.media,
            ).logits
        # [B, places, words] -> [n, words]: the answer places only
        chosen = logits[answers.rows, index].float()
        return chosen.log_softmax(-1).gather(1, answers.targets[:, None])[:, 0], losses

    def score(self, batch: Batch) -> Tensor:
        """Log-likelihoods [answers] of the batch's answers, the end of the answer included."""
        answers = batch.answers
        return torch.zeros(answers.count, device=answers.targets.device).index_add(0, answers.numbers, self(batch)[0])

    def generate(self, batch: Batch, max_new_tokens: int) -> Tensor:
        """New token ids [B, <= max_new_tokens], greedy. The batch is padded on the left, one question a row."""
        with self.fused(batch) as (batch, _):
            prompt = batch.prompt
            ids = self.mllm.generate(
                input_ids=prompt.input_ids,
                attention_mask=prompt.attention_mask,
                position_ids=prompt.position_ids,
                max_new_tokens=max_new_tokens,
                do_sample=False,
                **prompt.media,
            )
        return ids[:, prompt.input_ids.shape[1] :]
