"""PoseGroundedMLLM: a graph encoder and a video MLLM, joined at the input embeddings.

A plain module: batch in, logits at answer places, scores of answers, or text out. The surprising choices:
- In mode `none` nothing is built besides the MLLM, and its outputs are the base model's, bit for bit.
- A frozen vision tower or encoder stays in eval mode through `train()`. Decoder layers go to train mode even when
  frozen, else gradient checkpointing and LoRA dropout would switch off.
- With anchoring the vision tower runs once; its output is sampled at the limbs and handed to the MLLM.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from fusion.anchoring import Anchor
from fusion.injection import joint_tokens_in
from fusion.placement import tree_mask
from fusion.projector import Projector
from fusion.tokens import JointTokens, LimbTokens
from hybrid.data.collation import Batch
from hybrid.data.event_targets import columns
from hybrid.mllm import reuse_video_features, video_features, vision_tower
from hybrid.schema import EncoderConfig, FusionConfig
from skeleton.encoders import build_encoder
from skeleton.layouts import LIMBS, get_layout

RARE = 5.0  # weight of what happens against what does not: of all columns of all tokens, one in a hundred is true


def event_loss(predicted: Tensor, targets: Tensor | None) -> Tensor:
    """Cross entropies of the events and squared error of the repetitions, summed over columns, mean over tokens.

    predicted, targets [B, N, F]; tokens whose targets are NaN do not count (0 when none does).
    """
    if targets is None:
        return 0.0 * predicted.sum()
    known = ~targets[..., 0].isnan()
    predicted, targets = predicted[known].float(), targets[known]
    words = nn.functional.binary_cross_entropy_with_logits(
        predicted[:, :-1], targets[:, :-1], reduction="sum", pos_weight=predicted.new_tensor(RARE)
    )
    return (words + (predicted[:, -1] - targets[:, -1]).square().sum()) / max(len(targets), 1)


@dataclass(frozen=True)
class Words:
    """The MLLM's own embeddings of the body's words: limbs [G, width], whole seconds [S, width], events [F - 1, width],
    and the RMS of its embeddings.

    A joint token starts out as the sum of its limb, its second and what it is predicted to do, in the vectors that the
    language model already reads; the projector adds what has no word.
    """

    limbs: Tensor
    seconds: Tensor
    events: Tensor
    scale: float

    SECONDS = 60  # later tokens say this second; their Fourier features go on

    @classmethod
    def of(cls, embedding: Tensor, encode: Callable[[str], list[int]]) -> "Words":
        """From the embedding table [words, width] and a tokenizer's `encode`."""

        def mean(names: Iterable[str]) -> Tensor:
            return torch.stack([embedding[encode(" " + name)].detach().float().mean(0) for name in names])

        scale = embedding.detach().float().square().mean().sqrt().item()
        return cls(mean(LIMBS), mean(map(str, range(cls.SECONDS + 1))), mean(list(columns())[:-1]), scale)


class JointBranch(nn.Module):
    """Skeletons -> tokens in the MLLM's width: encoder, limb tokens, projector, anchor."""

    def __init__(self, encoder: EncoderConfig, fusion: FusionConfig, layout: str, words: Words, event_head: bool):
        super().__init__()
        width = words.limbs.shape[1]
        self.encoder = build_encoder(
            encoder.name,
            layout=layout,
            width=encoder.width,
            depth=encoder.depth,
            stride=encoder.stride,
            streams=tuple(encoder.streams),
            graph=encoder.graph,
        )
        limbs = torch.tensor(get_layout(layout).limb_index)
        self.tokens = LimbTokens(self.encoder.width, limbs, fusion.max_persons)
        self.projector = Projector(self.encoder.width, width, words.scale)
        self.limb_words = nn.Parameter(words.limbs.clone())
        self.second_words = nn.Parameter(words.seconds.clone())
        self.anchor = Anchor(width) if fusion.anchor else None
        self.events = nn.Linear(self.encoder.width, len(columns())) if event_head else None
        self.event_words = nn.Parameter(words.events.clone()) if event_head else None
        self.event_loss: Tensor | None = None

    def pooled(self, batch: Batch) -> JointTokens:
        """Limb tokens in the encoder's width."""
        return self.tokens(self.encoder(batch.body), batch.body, batch.plan)

    def forward(self, batch: Batch, volumes: list[Tensor] | None) -> tuple[Tensor, Tensor]:
        """Tokens [B, N, width] and their mask [B, N]; volumes: of the rows with video, in order (anchoring only).

        In training with an event head, `event_loss` holds the loss of this batch afterwards."""
        tokens = self.pooled(batch)
        # [B, N, width]: limb and second, null token first
        limbs = self.limb_words.repeat((tokens.mask.shape[1] - 1) // len(self.limb_words), 1)
        seconds = tokens.times.long().clamp(max=Words.SECONDS)
        added = nn.functional.pad(limbs, (0, 0, 1, 0)) + self.second_words[seconds]
        if self.events is not None:
            predicted = self.events(tokens.features)
            self.event_loss = event_loss(predicted, batch.events) if self.training else None
            added = added + predicted[..., :-1].sigmoid() @ self.event_words
        if self.anchor is not None:
            given = iter(volumes or [])
            by_row = [next(given).float() if video else None for video in batch.with_video.tolist()]
            fractions = tokens.times / batch.seconds[:, None]
            added = added + self.anchor(by_row, tokens.points, tokens.placed, fractions)
        return self.projector(tokens.features, added), tokens.mask


class PoseGroundedMLLM(nn.Module):
    """`mllm` with joint tokens from `joints`; `joints` is None in mode none."""

    def __init__(self, mllm: PreTrainedModel, joints: JointBranch | None):
        super().__init__()
        self.mllm = mllm
        self.joints = joints

    def train(self, mode: bool = True) -> "PoseGroundedMLLM":
        super().train(mode)
        for part in (vision_tower(self.mllm), self.joints):
            if part is not None and not any(parameter.requires_grad for parameter in part.parameters()):
                part.eval()
        return self

    @contextmanager
    def fused(self, batch: Batch) -> Iterator[None]:
        """Within the block, a pass of `self.mllm` over the batch's prompt sees its joint tokens."""
        with ExitStack() as stack:
            if self.joints is not None:
                volumes = None
                if self.joints.anchor is not None and batch.media:
                    output, volumes = video_features(self.mllm, batch.media)
                    stack.enter_context(reuse_video_features(self.mllm, output))
                tokens, mask = self.joints(batch, volumes)
                embedding = self.mllm.get_input_embeddings()
                stack.enter_context(joint_tokens_in(embedding, tokens, mask, batch.placeholders))
            yield

    def forward(self, batch: Batch) -> Tensor:
        """Log-probabilities [n] of the batch's n answer tokens."""
        places, index = torch.unique(batch.sources, return_inverse=True)
        attention = batch.attention_mask if batch.until is None else tree_mask(batch.until, self.mllm.dtype)
        with self.fused(batch):
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
        with self.fused(batch):
            ids = self.mllm.generate(
                input_ids=batch.input_ids,
                attention_mask=batch.attention_mask,
                position_ids=batch.position_ids,
                max_new_tokens=max_new_tokens,
                do_sample=False,
                **batch.media,
            )
        return ids[:, batch.input_ids.shape[1] :]
