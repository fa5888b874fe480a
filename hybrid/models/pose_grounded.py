"""PoseGroundedMLLM: a graph encoder and a video MLLM, joined at the input embeddings.

A plain module: batch in, logits at answer places, scores of answers, or text out. The surprising choices:
- In modes `none` and `text` nothing is built besides the MLLM, and its outputs are the base model's, bit for bit: in
`text`
  the pose is a part of the prompt.
- A frozen vision tower or encoder stays in eval mode through `train()`. Decoder layers go to train mode even when
  frozen, else gradient checkpointing and LoRA dropout would switch off.
- With anchoring the vision tower runs once; its output is sampled at the limbs and handed to the MLLM.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from fusion.batch import Batch
from fusion.injection import check_counts, joint_tokens_in
from fusion.joint_branch import JointBranch, OracleBranch
from fusion.placement import tree_mask
from hybrid.models.mllm import reuse_video_features, video_features, vision_tower


class PoseGroundedMLLM(nn.Module):
    """`mllm` with joint tokens from `joints`; `joints` is None in all modes but tokens."""

    def __init__(self, mllm: PreTrainedModel, joints: JointBranch | OracleBranch | None):
        super().__init__()
        self.mllm = mllm
        self.joints = joints

    def train(self, mode: bool = True) -> "PoseGroundedMLLM":
        super().train(mode)
        for part in (vision_tower(self.mllm), self.joints, self.joints and self.joints.encoder):
            if part is not None and not any(parameter.requires_grad for parameter in part.parameters()):
                part.eval()
        return self

    @contextmanager
    def fused(self, batch: Batch) -> Iterator[Batch]:
        """Within the block, a pass of `self.mllm` over the prompt of the batch that is given sees its joint tokens: it is
        `batch` without the placeholders of tokens that are not told."""
        with ExitStack() as stack:
            if self.joints is not None:
                volumes = None
                if self.joints.anchor is not None and batch.media:
                    output, volumes = video_features(self.mllm, batch.media)
                    stack.enter_context(reuse_video_features(self.mllm, output))
                tokens, told = self.joints(batch, volumes)
                check_counts(batch.placeholders, batch.plan.mask)
                batch = batch.keep(told)
                embedding = self.mllm.get_input_embeddings()
                stack.enter_context(joint_tokens_in(embedding, tokens, told, batch.placeholders))
            yield batch

    def forward(self, batch: Batch) -> Tensor:
        """Log-probabilities [n] of the batch's n answer tokens."""
        with self.fused(batch) as batch:
            places, index = torch.unique(batch.sources, return_inverse=True)
            attention = batch.attention_mask if batch.until is None else tree_mask(batch.until, self.mllm.dtype)
            logits = self.mllm(
                input_ids=batch.input_ids,
                attention_mask=attention,
                position_ids=batch.position_ids,
                logits_to_keep=places,
                use_cache=False,
                **batch.media,
            ).logits
        # [B, places, words] -> [n, words]: the answer places only
        chosen = logits[batch.rows, index].float()
        return chosen.log_softmax(-1).gather(1, batch.targets[:, None])[:, 0]

    def score(self, batch: Batch) -> Tensor:
        """Log-likelihoods [num_answers] of the batch's answers, the end of the answer included."""
        return torch.zeros(batch.num_answers, device=batch.targets.device).index_add(0, batch.answers, self(batch))

    def generate(self, batch: Batch, max_new_tokens: int) -> Tensor:
        """New token ids [B, <= max_new_tokens], greedy. The batch is padded on the left, one question a row."""
        with self.fused(batch) as batch:
            ids = self.mllm.generate(
                input_ids=batch.input_ids,
                attention_mask=batch.attention_mask,
                position_ids=batch.position_ids,
                max_new_tokens=max_new_tokens,
                do_sample=False,
                **batch.media,
            )
        return ids[:, batch.input_ids.shape[1] :]
