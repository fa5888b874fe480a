"""Joint tokens at their placeholders, or an error: never silently dropped."""

import pytest
import torch
from torch import nn

from fusion.errors import FusionError
from fusion.injection import joint_tokens_in
from fusion.projector import Projector

PLACES = torch.tensor([[False, True, True, False], [False, False, True, False]])
MASK = torch.tensor([[True, True], [True, False]])


@pytest.fixture
def embedding():
    torch.manual_seed(0)
    return nn.Embedding(10, 3)


@pytest.fixture
def tokens():
    return (100 + torch.arange(12.0).reshape(2, 2, 3)).requires_grad_()


IDS = torch.tensor([[1, 2, 3, 4], [5, 6, 7, 8]])


def test_exactly_the_placeholders_are_overwritten(embedding, tokens):
    with joint_tokens_in(embedding, tokens, MASK, PLACES):
        written = embedding(IDS)
    plain = embedding(IDS)
    assert torch.equal(written[0, 1:3], tokens[0])
    assert torch.equal(written[1, 2], tokens[1, 0])
    assert torch.equal(written[~PLACES], plain[~PLACES])


def test_gradients_reach_the_tokens_and_padding_gets_none(embedding, tokens):
    with joint_tokens_in(embedding, tokens, MASK, PLACES):
        embedding(IDS).sum().backward()
    assert tokens.grad.tolist() == [[[1.0] * 3] * 2, [[1.0] * 3, [0.0] * 3]]


def test_a_growing_sequence_keeps_its_tokens(embedding, tokens):
    with joint_tokens_in(embedding, tokens, MASK, PLACES):
        embedding(IDS)
        longer = embedding(torch.cat([IDS, IDS[:, :1]], dim=1))
    assert torch.equal(longer[0, 1:3], tokens[0])
    assert torch.equal(longer[:, 4], embedding(IDS[:, 0]))


def test_beams_repeat_the_tokens_of_their_row(embedding, tokens):
    with joint_tokens_in(embedding, tokens, MASK, PLACES):
        beams = embedding(IDS.repeat_interleave(3, dim=0))
    assert torch.equal(beams[:3, 1:3], tokens[:1].expand(3, -1, -1))
    assert torch.equal(beams[3:, 2], tokens[1:, 0].expand(3, -1))


def test_a_cached_step_and_a_single_id_are_left_alone(embedding, tokens):
    with joint_tokens_in(embedding, tokens, MASK, PLACES):
        embedding(IDS)
        assert torch.equal(embedding(IDS[:, :1]), embedding.weight[IDS[:, :1]])
        assert torch.equal(embedding(torch.tensor(4)), embedding.weight[4])


def test_in_place_writes_of_frozen_embeddings_are_not_needed(embedding, tokens):
    embedding.weight.requires_grad_(False)
    embedding.register_forward_hook(lambda _module, _inputs, output: output.requires_grad_(True))
    with joint_tokens_in(embedding, tokens, MASK, PLACES):
        embedding(IDS).sum().backward()
    assert tokens.grad is not None


def test_counts_that_disagree_are_an_error(embedding, tokens):
    places = PLACES.clone()
    places[1, 3] = True
    match = r"sample 1 of the batch has 2 joint placeholders in its text but 1 joint tokens"
    with pytest.raises(FusionError, match=match), joint_tokens_in(embedding, tokens, MASK, places):
        embedding(IDS)


def test_tokens_that_nobody_used_are_an_error(embedding, tokens):
    with pytest.raises(FusionError, match="the 3 joint tokens were not consumed"):
        with joint_tokens_in(embedding, tokens, MASK, PLACES):
            embedding(IDS[:, :1])


def test_a_batch_of_another_size_is_an_error(embedding, tokens):
    with pytest.raises(FusionError, match="the embedding saw 3 rows, no multiple of the 2"):
        with joint_tokens_in(embedding, tokens, MASK, PLACES):
            embedding(IDS[[0, 1, 1]])


def test_an_error_within_the_block_is_not_hidden(embedding, tokens):
    with pytest.raises(KeyError), joint_tokens_in(embedding, tokens, MASK, PLACES):
        raise KeyError
    assert not embedding._forward_hooks


def test_the_projector_speaks_as_loud_as_the_embeddings():
    torch.manual_seed(0)
    projector = Projector(5, 64, scale=0.02)
    output = projector(50 * torch.randn(2, 7, 5), torch.randn(2, 7, 64))
    torch.testing.assert_close(output.square().mean(-1).sqrt(), torch.full((2, 7), 0.02))
