#!/usr/bin/env python
# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Training steps of our recipes, for beside_originals.py, which starts this beside original_steps.py.

    python training_scripts/benchmarks/our_steps.py --method data2vec2-audio

The collator works within the step: it draws masks, computes log-mel features (BEST-RQ), normalises waveforms and
pixels. In training, data workers do so.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

from step_protocol import Step, serve

from hf_ssl.benchmarking.benchmark import TrainingStep
from hf_ssl.planning.recipes import PlannedRecipe, load_recipe
from hf_ssl.planning.synthetic import make_collator, make_item

RECIPES = {
    "best-rq": "best_rq_open_source_base",
    "data2vec-aqc": "data2vec_aqc_base",
    "data2vec2-audio": "data2vec2_audio_base_librispeech",
    "data2vec2-vision": "data2vec2_vision_base",
}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--method", choices=sorted(RECIPES), required=True)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="default: %(default)s")
    parser.add_argument("--items", type=int, default=2, help="clips or images of a batch (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, help="of a clip (default: %(default)s)")
    arguments = parser.parse_args(argv)
    serve(lambda: make_step(arguments), arguments.device)


def make_step(arguments: argparse.Namespace) -> tuple[Step, int]:
    recipe = read_recipe(arguments.method, arguments.seconds)
    collator = make_collator(recipe.config, recipe.augmented)
    items = [make_item(recipe.config, recipe.longest_item, seed) for seed in range(arguments.items)]
    training_step = TrainingStep(recipe, arguments.device, arguments.precision)
    seeds = count()

    def step() -> float:
        batch = collator([item | {"seed": next(seeds)} for item in items])
        return training_step({name: tensor.to(arguments.device) for name, tensor in batch.items()}).item()

    return step, training_step.num_parameters


def read_recipe(method: str, seconds: float) -> PlannedRecipe:
    path = Path(__file__).parents[1] / "recipes" / f"{RECIPES[method]}.yaml"
    recipe = load_recipe(str(path), {})
    if method == "best-rq":
        # Chunks have another size in every batch: steps would not be alike. The original's are off, too.
        recipe.config.dynamic_chunk_prob = 0.0
    recipe = replace(recipe, max_grad_norm=None)  # original_steps.py does not clip either
    return replace(recipe, longest_item=seconds) if recipe.unit == "seconds" else recipe


if __name__ == "__main__":
    main()
