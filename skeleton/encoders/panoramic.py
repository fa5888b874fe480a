"""A graph network over all persons of a sample and the objects in their hands, after MP-GCN (arXiv 2407.19497).

From MP-GCN (Li et al. 2024): one panoramic graph for the sample, so that what people do with each other and with
things is read by the same convolutions that read a body (skeleton.inputs.joint_graph says which edges there are). As in R-GCN
(Schlichtkrull et al. 2018) each type of edge has a weight and a node takes the mean of its neighbours of that type,
here of those that are visible in that row. The rest is that of `prenorm`, for its reasons: layer norm before each
step, masks and branches of different dilation in time, so padding, absent persons and the rest of the batch change
nothing. Left out are MP-GCN's attention, its branch for each stream (streams come as channels) and the pooling over
persons.

Nodes run as [N, T, D]. The contract form is dense: within a person one matmul over joints, between persons a sum over
the sample's persons without the person's own, linear in their number. `graph="pyg"` computes it by message passing as
`encode_ragged` does, with the same weights. A joint is known by a learned embedding of its name, so that one network
reads a batch of several layouts.
"""

from collections.abc import Callable
from functools import partial

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Batch
from torch_geometric.nn import MessagePassing

from skeleton.encoders.base import Encoder, pool_any
from skeleton.encoders.layers import early_stages
from skeleton.encoders.prenorm import DILATIONS, Block, normalise
from skeleton.errors import SkeletonError
from skeleton.inputs.adjacency import adjacency
from skeleton.inputs.joint_graph import EDGE_TYPES, JOINTS, OBJECT, panoramic_edges, person_nodes

# hidden [N, T, D], 0 where not visible, and mask [N, T, 1] -> mean of the visible neighbours [K, N, T, D] for each type
Mean = Callable[[Tensor, Tensor], Tensor]


class SparseMean(MessagePassing):
    """The mean of each type of neighbour by message passing."""

    def __init__(self) -> None:
        super().__init__(aggr="add", node_dim=0)

    def forward(self, hidden: Tensor, mask: Tensor, edge_index: Tensor, edge_type: Tensor, types: int) -> Tensor:
        """Edges [2, E] and [E] from source to target."""
        count = len(hidden)
        # One node for each joint sends; one for each (type, joint) receives.
        receivers = torch.stack((edge_index[0], edge_type * count + edge_index[1]))
        nodes = torch.cat((hidden, mask), dim=-1).flatten(1)
        sums = self.propagate(receivers, x=(nodes, None), size=(count, types * count))
        return _divide(sums.view(types, *hidden.shape[:-1], hidden.shape[-1] + 1))

    def message(self, x_j: Tensor) -> Tensor:
        """x_j [E, ...] as it is."""
        return x_j


def dense_mean(hidden: Tensor, mask: Tensor, sample: Tensor, skeleton: Tensor, types: int) -> Tensor:
    """The same of P persons of one layout, N = P * V; sample [P] ascending, skeleton [3, V, V] 1 where joined."""
    both = torch.cat((hidden, mask), dim=-1).unflatten(0, (len(sample), skeleton.shape[-1]))
    within = torch.einsum("kvu,putd->kpvtd", skeleton[1:], both)
    _, group = sample.unique_consecutive(return_inverse=True)
    between = torch.zeros_like(both).index_add(0, group, both)[group] - both
    objects = both.new_zeros(types - len(skeleton) - 1, *both.shape)
    return _divide(torch.cat((both[None], within, between[None], objects)).flatten(1, 2))


def _divide(sums: Tensor) -> Tensor:
    """[..., D + 1] sums and number of summands -> [..., D] means, 0 of none."""
    # Autograd takes the numbers, which lie beside the features, for something to learn.
    return sums[..., :-1] * sums[..., -1:].detach().clamp(min=1).reciprocal()


class GraphConv(nn.Module):
    """The mean of each type of neighbour through a projection of its own, and their sum."""

    def __init__(self, width: int, types: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(types, width, width) * (width * types) ** -0.5)
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, hidden: Tensor, mask: Tensor, mean: Mean) -> Tensor:
        """[N, T, 1, D] with mask [N, T, 1] -> [N, T, 1, D]; mean gives [K, N, T, D]."""
        means = mean(hidden[:, :, 0], mask)
        return torch.bmm(means.flatten(1, 2), self.weight).sum(0).view_as(hidden) + self.bias


class Panoramic(Encoder):
    """`depth` blocks; up to the last halving of time they have width / 2. `objects` gives object edges a weight."""

    def __init__(
        self,
        layout: str = "coco17",
        width: int = 64,
        depth: int = 5,
        stride: int = 8,
        streams: tuple[str, ...] = ("joint", "motion", "position"),
        coordinates: int = 2,
        graph: str = "dense",
        objects: bool = False,
    ) -> None:
        super().__init__(layout, width, stride, streams, coordinates)
        sizes = early_stages(width, depth, stride, unit=2 * (len(DILATIONS) + 1))
        if graph not in ("dense", "pyg"):
            raise SkeletonError(f"graph must be dense or pyg, found {graph!r}")
        self.graph, self.objects, self.types = graph, objects, len(EDGE_TYPES) - (not objects)
        self.register_buffer("joint_ids", person_nodes(layout, 1)[0], persistent=False)
        self.register_buffer("skeleton", (adjacency(layout) > 0).float(), persistent=False)
        self.sparse_mean = SparseMean()
        self.patch, narrow = min(stride, 2), width // 2
        self.stem = nn.Linear(self.patch * self.channels, narrow)
        self.joints = nn.Parameter(torch.randn(len(JOINTS), narrow) * 0.1)
        self.blocks = nn.ModuleList(Block(*size, GraphConv(size[0], self.types)) for size in sizes)

    def encode(self, inputs: Tensor, visible: Tensor | None) -> Tensor:
        """[P, T, V, C'] and [P, T, V] or None -> [P, T', V, D]; each person is alone in a sample."""
        return self.encode_persons(inputs, visible, torch.arange(len(inputs), device=inputs.device))

    def encode_persons(self, inputs: Tensor, visible: Tensor | None, sample: Tensor) -> Tensor:
        """Persons of one sample see each other; sample [P] ascending."""
        persons, device = len(inputs), inputs.device
        if visible is None:
            visible = torch.ones(inputs.shape[:-1], dtype=torch.bool, device=device)
        joint = self.joint_ids.repeat(persons)
        if self.graph == "dense":
            mean = partial(dense_mean, sample=sample, skeleton=self.skeleton, types=self.types)
        else:
            parent = person_nodes(self.layout, persons)[1].to(device)
            edge_index, edge_type = panoramic_edges(joint, parent, sample.repeat_interleave(self.num_joints))
            mean = partial(self.sparse_mean, edge_index=edge_index, edge_type=edge_type, types=self.types)
        nodes, seen = rearrange(inputs, "p t v c -> (p v) t c"), rearrange(visible, "p t v -> (p v) t")
        return rearrange(self._nodes(nodes, seen, joint, mean), "(p v) t d -> p t v d", p=persons, v=self.num_joints)

    def encode_ragged(self, data: Batch) -> Tensor:
        """What `skeleton.inputs.joint_graph.ragged` makes of any layouts -> [N, T', D], 0 where not visible in any row of a bin.

        SkeletonError for other streams, and for objects where the network was built without.
        """
        found = ", ".join(data.streams[0])
        if found != ", ".join(self.names) or data.x.shape[-1] != self.channels:
            raise SkeletonError(
                f"expected the streams {', '.join(self.names)} in {self.channels} channels (C={self.coordinates}), "
                f"found {found} in {data.x.shape[-1]}; give `ragged` what this encoder reads"
            )
        if not self.objects and (data.joint == OBJECT).any():
            raise SkeletonError("expected no objects, found some; build the encoder with objects=True")
        extra = -data.x.shape[1] % self.stride
        nodes, seen = functional.pad(data.x, (0, 0, 0, extra)), functional.pad(data.visible, (0, extra))
        mean = partial(self.sparse_mean, edge_index=data.edge_index, edge_type=data.edge_type, types=self.types)
        return self._nodes(nodes, seen, data.joint, mean)

    def _nodes(self, inputs: Tensor, seen: Tensor, joint: Tensor, mean: Mean) -> Tensor:
        """Inputs [N, T, C'], seen [N, T] and joint [N] -> [N, T', D]."""
        patches = rearrange(inputs, "n (t row) c -> n t (row c)", row=self.patch)
        hidden = self.stem(patches) + self.joints[joint][:, None]
        seen = pool_any(seen, self.patch, dim=1)
        mask = seen[..., None].to(hidden.dtype)
        hidden = (hidden * mask)[:, :, None]  # a block has a third dimension between rows and channels
        for block in self.blocks:
            seen = pool_any(seen, block.stride, dim=1)
            pooled = seen[..., None].to(hidden.dtype)
            hidden, mask = block(hidden, mask[:, :, None], pooled[:, :, None], mask, mean), pooled
        return normalise(hidden)[:, :, 0]


ENCODER = Panoramic
