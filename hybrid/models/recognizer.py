"""Action recognition from skeletons: an encoder and a linear layer over pooled features."""

from torch import Tensor, nn
from torch.nn import functional

from hybrid.config.recognition import RecognitionConfig
from skeleton.encoders import Encoder, build_encoder
from skeleton.inputs.batch import SkeletonBatch


class Recognizer(nn.Module):
    """SkeletonBatch -> class scores [B, classes]. A clip in which nobody is visible has the scores of a zero feature."""

    def __init__(self, encoder: Encoder, classes: int, dropout: float = 0.0):
        super().__init__()
        self.encoder, self.dropout = encoder, dropout
        self.head = nn.Linear(encoder.width, classes)

    def features(self, batch: SkeletonBatch) -> Tensor:
        """[B, D]: the mean of a person's visible joints and bins, then of the persons."""
        found = self.encoder(batch)
        counts = found.visible.flatten(2).sum(2)
        persons = found.features.flatten(2, 3).sum(2) / counts.clamp(min=1)[..., None]
        return persons.sum(1) / (counts > 0).sum(1).clamp(min=1)[:, None]

    def forward(self, batch: SkeletonBatch) -> Tensor:
        """Class scores [B, classes]."""
        return self.head(functional.dropout(self.features(batch), self.dropout, self.training))


def make_encoder(config: RecognitionConfig, layout: str, coordinates: int) -> Encoder:
    """The encoder that a configuration asks for."""
    network = config.encoder
    return build_encoder(
        network.name,
        layout=layout,
        width=network.width,
        depth=network.depth,
        stride=network.stride,
        streams=(config.stream,),
        coordinates=coordinates,
        **network.options,
    )
