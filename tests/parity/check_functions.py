# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Masks and attention biases. Each stored tensor's `meaning` is the original's call, from which ours is made."""

import ast
import re
from pathlib import Path

import numpy as np
import torch
from parity.golden import GoldenCase

from hf_ssl.models.blocked_attention import ScoreBias
from hf_ssl.models.masking import draw_block_masks, draw_mask_indices, draw_random_masks, draw_span_masks
from hf_ssl.models.modeling_data2vec2 import alibi_slopes, position_distances


def check(case: GoldenCase, folder: Path) -> None:
    for name in case.load():
        meaning = case.meta["tensors"][name]["meaning"]
        if meaning.startswith("compute_mask_indices") and "'add_masks': True" in meaning:
            _check_added_masks(case.use(name), meaning)
        elif meaning.startswith("compute_mask_indices"):
            case.compare(name, _mask_indices(meaning))
        elif meaning.startswith(("compute_block_mask_1d", "compute_block_mask_2d")):
            case.compare(name, _block_masks(meaning))
        elif meaning.startswith("random_masking"):
            case.compare(name, _random_masks(meaning))
        elif meaning.startswith("get_alibi"):
            case.compare(name, _alibi(meaning))
        elif meaning.startswith("2-D alibi"):
            case.compare(name, _grid_alibi(meaning, case.tensors[name].shape))
    case.assert_all_compared()
    _check_statistics(case)


def _arguments(call: str) -> tuple[dict, dict]:
    """Keywords, and the dictionary of further options, in the text of a call."""
    inside = call[call.index("(") + 1 :]
    options = re.search(r"\{.*?\}", inside)
    pairs = dict(
        re.findall(r"(\w+)=(\([^)]*\)|\[[^\]]*\]|[^,{;)]+)", inside.replace(options[0] if options else "", ""))
    )
    keywords = {}
    for key, value in pairs.items():
        try:
            keywords[key] = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError):
            keywords[key] = value.strip()
    return keywords, ast.literal_eval(options[0]) if options else {}


def _seeded(seed_parts: tuple) -> int:
    return int(hash(seed_parts) % 1e6)


def _mask_indices(meaning: str) -> torch.Tensor:
    keywords, options = _arguments(meaning)
    batch_size, length = keywords["shape"]
    generators = [
        np.random.default_rng(_seeded((keywords["seed"], keywords["epoch"], index)))
        for index in range(10, 10 + batch_size)
    ]
    return draw_mask_indices(
        keywords["lens"] or [length] * batch_size,
        length,
        mask_prob=keywords["mask_prob"],
        mask_length=keywords["mask_length"],
        min_masks=keywords["min_masks"],
        same_count=options.pop("require_same_masks", True),
        generators=generators,
        **options,
    )


def _block_masks(meaning: str) -> torch.Tensor:
    keywords, options = _arguments(meaning)
    seed = int(re.search(r"manual_seed\((\d+)\)", meaning)[1])
    num_masks, length = keywords["shape"]
    is_grid = "mask_2d" in meaning
    draw = draw_block_masks if is_grid else draw_span_masks
    if "expand_adjcent" in options:
        options["expand_adjacent"] = options.pop("expand_adjcent")
    masks = draw(
        int(length**0.5) if is_grid else length,
        num_masks,
        mask_prob=keywords["mask_prob"],
        mask_length=keywords["mask_length"],
        mask_prob_adjust=keywords["mask_prob_adjust"],
        inverse=keywords["inverse_mask"],
        generator=torch.Generator().manual_seed(seed),
        **options,
    )
    return masks.float()


def _random_masks(meaning: str) -> torch.Tensor:
    num_masks, length = ast.literal_eval(re.search(r"x(\(\d+, \d+\))", meaning)[1])
    seed, update = (int(re.search(rf"{name}=(\d+)", meaning)[1]) for name in ("seed", "update"))
    ids = ast.literal_eval(re.search(r"ids=(\[[^\]]*\])", meaning)[1])
    ratio = float(re.search(r"mask_ratio=([\d.]+)", meaning)[1])
    generator = torch.Generator().manual_seed(_seeded((seed, update, sum(ids))))
    return draw_random_masks(length, num_masks, mask_prob=ratio, generator=generator).float()


def _alibi(meaning: str) -> torch.Tensor:
    keywords, _ = _arguments(meaning)
    distances = position_distances(torch.arange(keywords["max_positions"]).unsqueeze(0))
    return _written_out(distances, keywords["heads"])


def _grid_alibi(meaning: str, shape: torch.Size) -> torch.Tensor:
    rows, columns = map(int, re.search(r"(\d+)x(\d+) grid", meaning).groups())
    positions = torch.cartesian_prod(torch.arange(rows), torch.arange(columns)).float()
    return _written_out(position_distances(positions.unsqueeze(0), euclidean="euclidean" in meaning), shape[0])


def _written_out(distances: torch.Tensor, num_heads: int) -> torch.Tensor:
    return ScoreBias(distances, torch.tensor(alibi_slopes(num_heads))).dense()[0]


def _check_added_masks(expected: torch.Tensor, meaning: str) -> None:
    """When it adds masks the original also masks padding, which we never do: after the first row, whose length is
    full, the draws part. The counts must agree all the same."""
    ours, lengths = _mask_indices(meaning), _arguments(meaning)[0]["lens"]
    assert lengths[0] == expected.shape[1]
    assert torch.equal(ours[0], expected[0].bool())
    assert torch.equal(ours.sum(1), expected.bool().sum(1))
    assert not any(row[length:].any() for row, length in zip(ours, lengths, strict=True))


def _check_statistics(case: GoldenCase) -> None:
    """Our masks' statistics over fresh draws against those that were stored of the original's."""
    for entry in case.meta["statistics"]:
        if "block1d" not in entry:
            continue  # the seeded draws above are equal to the last bit; so are those of images
        meaning = case.meta["tensors"][f"block1d_{entry['block1d']}"]["meaning"]
        masks = torch.cat(
            [_block_masks(re.sub(r"manual_seed\(\d+\)", f"manual_seed({k})", meaning)) for k in range(50)]
        )
        transitions = (masks[:, 1:] != masks[:, :-1]).float().sum(-1).mean().item()
        assert abs(masks.mean().item() - entry["mean_fraction"]) < 1e-3
        assert abs(transitions - entry["mean_transitions_per_row"]) < 0.05 * entry["mean_transitions_per_row"]
