# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Attention on a CPU, block by block of sequences: a block's scores are still in the cache when the next operation
reads them, and are not kept for the backward pass.

torch's own fused attention for CPUs has no dropout and no gradient of biases (it writes attention out for them), and
its backward pass in bfloat16 takes 3 to 10 times as long as attention that is written out.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch

from .dropout import draw_kept, keep_

# Scores of a block: in float32 what the cache next to a core holds.
BLOCK_ELEMENTS = 2**20

# Exponents below this count as this: e**-60 adds nothing to a sum, and where gradients are multiplied by less, the
# products have no full precision any more, which processors compute a hundred times as slowly.
_LOWEST_EXPONENT = -60.0


class ScoreBias(NamedTuple):
    """What is added to the scores of attention; the sum of those that are given.

    Attributes:
        distances: `(batch_size or 1, num_queries, num_keys)`, float32, of positions; a head's slope times them is
            subtracted.
        slopes: `(num_heads,)`, float32. May be trained.
        relative: `(batch_size, num_heads, num_queries, num_keys)`. May be trained; if not, one row may be for all.
        mask: Broadcastable to `(batch_size, num_heads, num_queries, num_keys)`, with no gradient.
    """

    distances: torch.Tensor | None = None
    slopes: torch.Tensor | None = None
    relative: torch.Tensor | None = None
    mask: torch.Tensor | None = None

    @property
    def is_empty(self) -> bool:
        return all(term is None for term in self)

    def dense(self) -> torch.Tensor | None:
        """The sum, broadcastable to `(batch_size, num_heads, num_queries, num_keys)`; `None` if there is nothing."""
        terms = [term for term in (self.relative, self.mask) if term is not None]
        if self.distances is not None:
            assert self.slopes is not None
            terms.insert(0, -self.slopes.view(-1, 1, 1) * self.distances.unsqueeze(1))
        return sum(terms[1:], terms[0]) if terms else None

    def rows(self, block: slice) -> "ScoreBias":
        """The bias of some sequences. A term of one row is for all of them."""
        distances, relative, mask = (
            term if term is None or term.shape[0] == 1 else term[block]
            for term in (self.distances, self.relative, self.mask)
        )
        return ScoreBias(distances, self.slopes, relative, mask)

    def to(self, dtype: torch.dtype) -> "ScoreBias":
        """With terms of another type; distances and slopes stay as precise as they are."""
        relative, mask = (None if term is None else term.to(dtype) for term in (self.relative, self.mask))
        return self._replace(relative=relative, mask=mask)


def attend_in_blocks(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    bias: ScoreBias = ScoreBias(),  # noqa: B008  (immutable)
    *,
    scaling: float,
    dropout: float = 0.0,
) -> torch.Tensor:
    """`dropout(softmax(scaling * query key^T + bias)) value` of tensors on a CPU.

    Args:
        query: `(batch_size, num_heads, num_queries, head_size)`.
        key, value: `(batch_size, num_heads, num_keys, head_size)`.
        bias: Added to scores.
        scaling: Of the products of queries and keys.
        dropout: Of the weights, from 0 to below 1.

    Returns:
        `(batch_size, num_queries, num_heads, head_size)`.
    """
    return _BlockedAttention.apply(query, key, value, *bias, scaling, dropout)


class _BlockedAttention(torch.autograd.Function):
    r"""Per sequence and head, with the bias $b$ and the noise $m_{ij} \in \{0, 1 / (1 - p)\}$:

    $$ s_{ij} = c q_i k_j + b_{ij}, \quad l_i = \log \sum_j e^{s_{ij}}, \quad w_{ij} = e^{s_{ij} - l_i}, \quad
       o_i = \sum_j m_{ij} w_{ij} v_j $$

    Backward, from $\bar o_i$; $s$ and $w$ are computed again from $l$ (Dao et al., 2022, algorithm 4):

    $$ \bar v_j = \sum_i m_{ij} w_{ij} \bar o_i, \quad \bar w_{ij} = m_{ij} \bar o_i v_j, \quad
       \bar s_{ij} = w_{ij} (\bar w_{ij} - \bar o_i o_i), \quad \bar q_i = c \sum_j \bar s_{ij} k_j, \quad
       \bar k_j = c \sum_i \bar s_{ij} q_i $$

    $\bar b = \bar s$; a head's slope gets $-\sum_{ij} \bar s_{ij} d_{ij}$, one product per head. Scores are float32
    for inputs of 16 bits, products of their type.
    """

    @staticmethod
    def forward(
        ctx: Any, query, key, value, distances, slopes, relative, mask, scaling: float, dropout: float
    ) -> torch.Tensor:
        bias = ScoreBias(distances, slopes, relative, mask)
        batch_size, num_heads, num_queries, head_size = query.shape
        attended = query.new_empty(batch_size, num_queries, num_heads, head_size)
        log_sums = query.new_empty(batch_size, num_heads, num_queries, 1, dtype=_scores_dtype(query))
        kept = []
        with torch.autocast("cpu", enabled=False):
            for block in _blocks(query, key):
                weights = _scores(query[block] * scaling, key[block], bias.rows(block))
                highest = weights.amax(-1, keepdim=True)
                totals = weights.sub_(highest).clamp_min_(_LOWEST_EXPONENT).exp_().sum(-1, keepdim=True)
                torch.add(highest, totals.log(), out=log_sums[block])
                if value.dtype == torch.float16:  # whose range products of weights without a sum of 1 may leave
                    weights, totals = weights.div_(totals), torch.ones_like(totals)
                noisy_weights = weights.to(value.dtype)
                if dropout > 0:
                    kept.append(draw_kept(weights.shape, dropout))
                    keep_(noisy_weights, kept[-1])
                values = _multiply(noisy_weights, value[block])
                attended[block] = (values / (totals * (1 - dropout))).transpose(1, 2)
        ctx.save_for_backward(query, key, value, *bias, attended, log_sums, *kept)
        ctx.scaling, ctx.dropout = scaling, dropout
        return attended

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        query, key, value, distances, slopes, relative, mask, attended, log_sums, *kept = ctx.saved_tensors
        bias = ScoreBias(distances, slopes, relative, mask)
        query_gradient, key_gradient, value_gradient = (_empty_like(tensor) for tensor in (query, key, value))
        slopes_gradient = torch.zeros_like(slopes) if ctx.needs_input_grad[4] else None
        relative_gradient = torch.empty_like(relative) if ctx.needs_input_grad[5] else None
        with torch.autocast("cpu", enabled=False):
            for number, block in enumerate(_blocks(query, key)):
                queries, rows = query[block] * ctx.scaling, bias.rows(block)
                gradient = gradients[0][block].transpose(1, 2)
                dots = _row_dots(gradient, attended[block].transpose(1, 2))
                gradient = gradient / (1 - ctx.dropout)
                weights = _scores(queries, key[block], rows).sub_(log_sums[block]).clamp_min_(_LOWEST_EXPONENT).exp_()
                weights_gradient = _multiply(gradient, value[block].transpose(2, 3))
                noisy_weights = weights.to(value.dtype, copy=True)
                if ctx.dropout > 0:
                    keep_(noisy_weights, kept[number])
                    keep_(weights_gradient, kept[number])
                value_gradient[block] = _multiply(noisy_weights.transpose(2, 3), gradient)
                scores_gradient = weights.mul_(weights_gradient.to(weights.dtype).sub_(dots))
                if slopes_gradient is not None and rows.distances is not None:
                    slopes_gradient -= _slopes_products(scores_gradient, rows.distances)
                scores_gradient = scores_gradient.to(query.dtype)
                if relative_gradient is not None:
                    relative_gradient[block] = scores_gradient
                query_gradient[block] = _multiply(scores_gradient, key[block]).mul_(ctx.scaling)
                key_gradient[block] = _multiply(scores_gradient.transpose(2, 3), queries)
        return (
            query_gradient, key_gradient, value_gradient, None, slopes_gradient, relative_gradient, None, None, None
        )  # fmt: skip


def _scores(queries: torch.Tensor, keys: torch.Tensor, bias: ScoreBias) -> torch.Tensor:
    """Of queries that are scaled already; a tensor of its own, to be changed in place."""
    scores = _multiply(queries, keys.transpose(2, 3)).to(_scores_dtype(queries))
    distances, slopes, relative, mask = bias
    if distances is not None and slopes is not None:
        scores.addcmul_(distances.unsqueeze(1), slopes.view(-1, 1, 1), value=-1)
    for term in (relative, mask):
        if term is not None:
            scores.add_(term)
    return scores


def _scores_dtype(query: torch.Tensor) -> torch.dtype:
    return torch.float32 if query.element_size() == 2 else query.dtype


def _multiply(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """`(batch_size, num_heads, n, k)` times `(batch_size, num_heads, k, m)`."""
    return torch.bmm(_matrices(left), _matrices(right)).unflatten(0, left.shape[:2])


def _matrices(heads: torch.Tensor) -> torch.Tensor:
    """All heads in one dimension, in the layout that products take as it is; they would copy others value by value."""
    if heads.stride(3) == 1:
        return heads.contiguous().flatten(0, 1)
    return heads.transpose(2, 3).contiguous().flatten(0, 1).transpose(1, 2)


def _blocks(query: torch.Tensor, key: torch.Tensor) -> Iterator[slice]:
    batch_size, num_heads, num_queries, _ = query.shape
    size = max(1, BLOCK_ELEMENTS // max(1, num_heads * num_queries * key.shape[2]))
    for start in range(0, batch_size, size):
        yield slice(start, min(start + size, batch_size))


def _empty_like(heads: torch.Tensor) -> torch.Tensor:
    """`(batch_size, num_heads, sequence_length, head_size)`, laid out in memory as by a projection."""
    batch_size, num_heads, sequence_length, head_size = heads.shape
    return heads.new_empty(batch_size, sequence_length, num_heads, head_size).transpose(1, 2)


def _row_dots(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Sums of products over the last dimension, float32 at least."""
    return (left.float() * right if left.element_size() == 2 else left * right).sum(-1, keepdim=True)


def _slopes_products(scores_gradient: torch.Tensor, distances: torch.Tensor) -> torch.Tensor:
    """`(batch_size, num_heads, queries, keys)` and `(batch_size or 1, queries, keys)` -> `(num_heads,)`"""
    return (scores_gradient.flatten(2) @ distances.to(scores_gradient.dtype).flatten(1).unsqueeze(2)).sum((0, 2))
