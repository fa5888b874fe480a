"""Products through oneDNN are torch's, with their gradients."""

import pytest
import torch
from torch.nn import functional

from skeleton.encoders import onednn_linear
from skeleton.encoders.onednn_linear import linear


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch is built without oneDNN")
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("shape", [(7,), (3, 5)])
def test_outputs_and_gradients(monkeypatch, shape, with_bias, turned):
    monkeypatch.setattr(onednn_linear, "PAYS", True)
    torch.manual_seed(0)
    given = [
        torch.randn(*shape, 6),
        torch.randn(6, 4).T if turned else torch.randn(4, 6),
        torch.randn(4) if with_bias else None,
    ]
    target, gradients = torch.randn(*shape, 4), []
    for function in (linear, functional.linear):
        tensors = [None if tensor is None else tensor.clone().requires_grad_() for tensor in given]
        output = function(*tensors)
        torch.testing.assert_close(output, functional.linear(*given))
        (output * target).sum().backward()
        gradients.append([tensor.grad for tensor in tensors if tensor is not None])
    torch.testing.assert_close(*gradients)


def test_torch_computes_what_onednn_has_no_part_in(monkeypatch):
    monkeypatch.setattr(onednn_linear, "PAYS", True)
    monkeypatch.setattr(onednn_linear, "product", None)
    assert linear(torch.randn(0, 6), torch.randn(4, 6)).shape == (0, 4)
    assert linear(torch.randn(3, 6).double(), torch.randn(4, 6).double()).dtype == torch.float64
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert linear(torch.randn(3, 6), torch.randn(4, 6)).dtype == torch.bfloat16
    with pytest.raises(TypeError):
        linear(torch.randn(3, 6), torch.randn(4, 6))
    monkeypatch.setattr(onednn_linear, "PAYS", False)
    assert linear(torch.randn(3, 6), torch.randn(4, 6)).shape == (3, 4)
