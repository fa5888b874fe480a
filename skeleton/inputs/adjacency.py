"""Skeleton graphs: a layout and a named mode become a stack of adjacencies, dense or as torch_geometric data.

Convention: `adjacency[k, v, u]` is what joint v receives from joint u in partition k. Mode "spatial" has ST-GCN's
three partitions (Yan et al. 2018, section 3.3): the joint itself, the neighbour nearer to the centre, the neighbours
further away. Because our bones form a tree there are no others.
"""

import torch
from torch import Tensor
from torch_geometric.data import Data

from skeleton.errors import SkeletonError
from skeleton.layouts.layout import get_layout

MODES = ("spatial", "stgcn", "uniform")


def adjacency(layout: str, mode: str = "spatial") -> Tensor:
    """[K, V, V] float32: K = 3 for "spatial" and "stgcn" (self, inward, outward), 1 for "uniform" (their sum).

    In "spatial" the rows of each partition sum to one (2s-AGCN and later), in "stgcn" those of all three together (ST-GCN).
    """
    body = get_layout(layout)
    if mode not in MODES:
        raise SkeletonError(f"unknown adjacency mode {mode!r}; choose one of {', '.join(MODES)}")
    itself = torch.eye(len(body.joints))
    inward = torch.zeros_like(itself)
    for parent, child in body.bones:
        inward[body.index(child), body.index(parent)] = 1
    stack = torch.stack((itself, inward, inward.T))
    if mode == "stgcn":
        return stack / stack.sum((0, 2))[:, None]
    if mode == "uniform":
        stack = stack.sum(0, keepdim=True)
    return stack / stack.sum(-1, keepdim=True).clamp(min=1)


def edges(stack: Tensor) -> Data:
    """The graph of the non-zero entries of an adjacency stack [K, V, V], as torch_geometric data.

    edge_index [2, E] goes from source u to target v, edge_type [E] is the partition, edge_weight [E].
    """
    partition, target, source = stack.nonzero(as_tuple=True)
    return Data(
        edge_index=torch.stack((source, target)),
        edge_type=partition,
        edge_weight=stack[partition, target, source],
        num_nodes=stack.shape[-1],
    )


def edge_index(layout: str, mode: str = "spatial") -> Data:
    """`adjacency(layout, mode)` as torch_geometric data, see `edges`."""
    return edges(adjacency(layout, mode))
