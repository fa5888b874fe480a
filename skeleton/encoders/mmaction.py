"""Graph backbones of mmaction2 under our contract: ST-GCN, ST-GCN++, 2s-AGCN and AAGCN.

The network is mmaction2's own object with its own names of weights, and where every joint is visible nothing else
runs. These networks know no mask; where some joints are not visible, hooks tell each layer of it for the time of one
call: batch norm leaves these joints out (MaskedBatchNorm), convolutions and max pooling (over what is at least 0)
send zeros from there, and AAGCN's means over rows and joints are those of the visible ones. One thing is approximate:
AAGCN's learned graph compares two joints by a mean over all rows in which the person is seen, also over those in which
one of the two is not.
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from skeleton.encoders.base import Encoder
from skeleton.encoders.layers import MaskedBatchNorm, pool_mask, stages
from skeleton.errors import SkeletonError
from skeleton.layouts.layout import get_layout
from skeleton.openmmlab import prepare

MODES = {"STGCN": "stgcn_spatial"}  # as in mmaction2's configs, where all others say "spatial"
OURS = ("in_channels", "base_channels", "num_stages", "inflate_stages", "down_stages", "out_indices")
WINDOWS = (nn.Conv2d, nn.Conv3d, nn.MaxPool2d, nn.MaxPool3d)


class MMAction(Encoder):
    """mmaction2's `backbone` with the keyword arguments `options`; layout, streams and sizes give the rest.

    backbone  STGCN, AAGCN or another network in mmaction2's registry that takes a graph
    options   graph_cfg is added to the graph of our layout. ST-GCN++ is STGCN with {"gcn_adaptive": "init",
              "gcn_with_res": True, "tcn_type": "mstcn", "graph_cfg": {"mode": "spatial"}}, 2s-AGCN is AAGCN with
              {"gcn_attention": False}

    `depth` blocks; each halving of time doubles the width, up to `width` (published: width 256, depth 10, stride 4).
    """

    def __init__(
        self,
        layout: str = "coco17",
        width: int = 256,
        depth: int = 10,
        stride: int = 4,
        streams: tuple[str, ...] = ("joint",),
        coordinates: int = 2,
        backbone: str = "STGCN",
        options: dict | None = None,
    ) -> None:
        super().__init__(layout, width, stride, streams, coordinates)
        network, options = published(backbone, options)
        if "graph_cfg" not in inspect.signature(network).parameters:
            raise SkeletonError(
                f"expected a backbone over graphs, found {backbone}; choose STGCN or AAGCN (posec3d is for ResNet3d)"
            )
        halved = [place + 1 for place, (_, _, step) in enumerate(stages(width, depth, stride)) if step > 1]
        base = width // stride
        if base == self.channels:
            raise SkeletonError(
                f"expected width / stride to differ from the input channels, found {base} for both, for which "
                "mmaction2 leaves out the first block; change the width"
            )
        sizes = {"in_channels": self.channels, "base_channels": base, "num_stages": depth, "data_bn_type": "VC"}
        graph_cfg = {"layout": graph_of(layout), "mode": MODES.get(backbone, "spatial"), **options.pop("graph_cfg", {})}
        options = sizes | {"graph_cfg": graph_cfg, "inflate_stages": halved, "down_stages": halved} | options
        self.backbone = build(network, options)

    def encode(self, inputs: Tensor, visible: Tensor | None) -> Tensor:
        """[P, T, V, C'] and [P, T, V] or None -> [P, T', V, D]."""
        if not len(inputs):  # mmaction2 cannot reshape an empty batch, but it can read somebody of whom nothing is seen
            nobody = inputs.new_zeros(1, *inputs.shape[1:])
            return self.encode(nobody, torch.zeros_like(nobody[..., 0], dtype=torch.bool))[:0]
        mask = None if visible is None else visible[:, None].to(inputs.dtype)
        with masked(self.backbone, mask):
            return rearrange(self.backbone(inputs[:, None]), "p 1 d t v -> p t v d")


def graph_of(layout: str) -> dict:
    """A layout of ours as mmaction2's `Graph` takes it."""
    body = get_layout(layout)
    inward = [(body.index(child), body.index(parent)) for parent, child in body.bones]
    return {"num_node": len(body.joints), "inward": inward, "center": body.index(body.center)}


def published(backbone: str, options: dict | None) -> tuple[type[nn.Module], dict]:
    """The class called `backbone` in mmaction2's registry, and a copy of `options`; SkeletonError for neither."""
    prepare("mmaction")
    import mmaction.engine
    import mmaction.models  # noqa: F401 (both register by being imported)
    from mmaction.registry import MODELS

    network, options = MODELS.get(backbone), dict(options or {})
    if network is None:
        raise SkeletonError(f"expected the name of a backbone of mmaction2, found {backbone!r}; choose STGCN or AAGCN")
    taken = [name for name in OURS if name in options]
    if taken:
        raise SkeletonError(
            f"expected layout, streams, width, depth and stride to set the sizes, found the options {taken}; drop them"
        )
    return network, options


def build(backbone: type[nn.Module], options: dict) -> nn.Module:
    """The network with mmaction2's first weights; its batch norms are MaskedBatchNorm."""
    from mmengine.logging import MMLogger
    from mmengine.registry import DefaultScope

    network, logger = backbone(**options), MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel("WARNING")  # otherwise three lines for each parameter
    try:
        with DefaultScope.overwrite_default_scope("mmaction"):  # where AAGCN's initializers have their names
            network.init_weights()
    finally:
        logger.setLevel(level)
    for parent in list(network.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, _BatchNorm):
                norm = MaskedBatchNorm(layer.num_features, layer.eps, layer.momentum)
                norm.load_state_dict(layer.state_dict())
                setattr(parent, name, norm)
    return network


@contextmanager
def masked(network: nn.Module, mask: Tensor | None) -> Iterator[None]:
    """While open, what passes between the layers of `network` is 0 where `mask` [P, 1, T, V] is (V = 1: whole rows).

    None does nothing. Hooks for one call leave nothing behind: without a mask the network is mmaction2's.
    """
    if mask is None:
        yield
        return
    from mmaction.models.utils import unit_aagcn

    def like(hidden: Tensor) -> Tensor:
        """The mask of [P, V * C, T], [P, C, T', V] or [P, C, T', H, W]."""
        if hidden.dim() == 3:
            channels = hidden.shape[1] // mask.shape[-1]
            return rearrange(mask, "p 1 t v -> p v t").repeat_interleave(channels, dim=1)
        pooled = pool_mask(mask, mask.shape[2] // hidden.shape[2])
        return pooled if hidden.dim() == 4 else pooled[..., None].expand(-1, -1, -1, *hidden.shape[3:])

    def hide(_: nn.Module, inputs: tuple, output: Tensor) -> Tensor:
        return output * like(output)

    def tell(_: nn.Module, inputs: tuple, options: dict) -> tuple[tuple, dict]:
        return inputs, options | {"mask": like(inputs[0])}

    handles = []
    try:
        for layer in network.modules():
            if isinstance(layer, MaskedBatchNorm):
                handles.append(layer.register_forward_pre_hook(tell, with_kwargs=True))
            elif isinstance(layer, WINDOWS):
                handles.append(layer.register_forward_hook(hide))
            elif isinstance(layer, unit_aagcn):
                handles += _mask_means(layer, like)
        yield
    finally:
        for handle in handles:
            handle.remove()


def _mask_means(layer: nn.Module, like: Callable[[Tensor], Tensor]) -> list:
    """Hooks on mmaction2's unit_aagcn, whose means of [P, C, T, V] over T, V or both become those of visible joints.

    Sums are over visible joints already; the hooks correct by how many there are. `like` gives the mask of a tensor.
    """
    factors: dict[nn.Module, Tensor] = {}
    attention = (layer.conv_sa, layer.conv_ta, layer.fc1c) if layer.attention else ()
    products = tuple(layer.conv_a) if layer.adaptive else ()

    def all_per_visible(seen: Tensor, dims: Sequence[int], keepdim: bool = False) -> Tensor:
        return 1 / seen.mean(dims, keepdim=keepdim).clamp(min=1e-7)

    def measure(_: nn.Module, inputs: tuple) -> None:
        seen = like(inputs[0])
        for module, dims in zip(attention, ((2,), (3,), (2, 3)), strict=False):
            factors[module] = all_per_visible(seen, dims)
        rows = all_per_visible(seen.amax(3, keepdim=True), (2,), keepdim=True)
        factors.update(dict.fromkeys(products, rows))

    def correct_input(module: nn.Module, inputs: tuple) -> tuple:
        return (inputs[0] * factors[module],)

    def correct_output(module: nn.Module, inputs: tuple, output: Tensor) -> Tensor:
        return output * factors[module]

    handles = [layer.register_forward_pre_hook(measure)]
    handles += [module.register_forward_pre_hook(correct_input) for module in attention]
    return handles + [module.register_forward_hook(correct_output) for module in products]


ENCODER = MMAction
