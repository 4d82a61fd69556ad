#!/usr/bin/env python
# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Loss and gradients of base models, ours beside the original's code: same weights, batch and masks.

    python training_scripts/benchmarks/same_losses.py --repositories CLONES \
        --original_python ENVIRONMENT/bin/python --methods data2vec2-audio data2vec2-vision

What these need is said in beside_originals.py. The original's code takes one step without dropout and noise, in
float32 and under autocast, and stores it with its weights. They are converted as any checkpoint, and our model takes
the same step in both precisions. Parity tests (`tests/parity`) compare every stage of such a step, of small models.

The distance of gradients is the norm of their difference, relative to the norm of what they are compared with: in
float32 the original's; in bfloat16 each side's own in float32. Are ours further away than the original's?
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from beside_originals import Arm, check_places, clone_states, worker_command

from hf_ssl import Data2Vec2AudioForPreTraining, Data2Vec2VisionForPreTraining
from hf_ssl.conversion import convert_checkpoint
from hf_ssl.conversion.data2vec2_vision_weights import image_decoder_weight_name, image_weight_name
from hf_ssl.conversion.data2vec2_weights import audio_weight_name, decoder_weight_name
from hf_ssl.replication.table import markdown_rows
from hf_ssl.results import append_result, cpu_model

HEADER = [
    "method",
    "loss: original",
    "ours",
    "relative difference",
    "distance of all gradients",
    "of the furthest tensor",
    "bfloat16: the original's from float32",
    "ours",
    "tensors of ours further away",
    "the furthest of these, times the original's distance",
]


@dataclass(frozen=True)
class Method:
    """Our side of a method.

    Args:
        model: The class of ours.
        source, masks: What it calls its input and its masks.
        base_name, other_name: Our names of the original's weights, within the base model or outside of it.
    """

    model: type[Data2Vec2AudioForPreTraining] | type[Data2Vec2VisionForPreTraining]
    source: str
    masks: str
    base_name: Callable[[str], str | None]
    other_name: Callable[[str], str | None]

    def our_name(self, name: str) -> str:
        """
        Raises:
            ValueError: The parameter is none of our model.
        """
        in_base = self.base_name(name)
        ours = self.other_name(name) if in_base is None else f"{self.model.base_model_prefix}.{in_base}"
        if ours is None:
            raise ValueError(f"The original has gradients of {name}, which {self.model.__name__} does not have.")
        return ours


METHODS = {
    "data2vec2-audio": Method(
        Data2Vec2AudioForPreTraining, "input_values", "mask_time_indices", audio_weight_name, decoder_weight_name
    ),
    "data2vec2-vision": Method(
        Data2Vec2VisionForPreTraining, "pixel_values", "bool_masked_pos", image_weight_name, image_decoder_weight_name
    ),
}


class Step(NamedTuple):
    """Loss, and gradients by our names."""

    loss: float
    gradients: dict[str, torch.Tensor]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--repositories", type=Path, required=True, help="folder with clones of the originals")
    parser.add_argument("--original_python", required=True, help="Python of the environment they run in")
    parser.add_argument("--methods", nargs="+", choices=sorted(METHODS), default=sorted(METHODS))
    parser.add_argument("--items", type=int, default=2, help="clips or images of a batch (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, help="of a clip (default: %(default)s)")
    parser.add_argument("--results", metavar="FILE", help="JSON lines to append the figures to")
    arguments = parser.parse_args(argv)
    check_places(parser, arguments)
    states = clone_states(arguments)
    command = ["python", __file__, *(sys.argv[1:] if argv is None else argv)]
    rows = [HEADER, ["---"] * len(HEADER)]
    for method in arguments.methods:
        with tempfile.TemporaryDirectory() as folder:
            theirs, ours = take_steps(method, Path(folder), arguments)
        figures = compare(theirs, ours)
        rows.append([method, *formatted(figures)])
        if arguments.results is not None:
            settings = {"items": arguments.items, "seconds": arguments.seconds, "torch": torch.__version__}
            line = {"what": "step of the same weights", "arm": method, "cpu": cpu_model(), **figures}
            line |= {"original": states[method], "settings": settings}
            append_result(arguments.results, line, command=command)
    print(markdown_rows(rows))


def take_steps(method: str, folder: Path, arguments: argparse.Namespace) -> tuple[dict[str, Step], dict[str, Step]]:
    """The original's steps and ours, by precision."""
    theirs, ours = {}, {}
    for precision in ("float32", "bfloat16"):
        stored = run_original(method, folder, precision, arguments)
        gradients = {METHODS[method].our_name(name): gradient for name, gradient in stored["gradients"].items()}
        theirs[precision] = Step(stored["loss"].item(), gradients)
        ours[precision] = run_ours(METHODS[method], folder, stored, precision)
    return theirs, ours


def run_original(method: str, folder: Path, precision: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """What a step of the original's code computed; its weights are in `checkpoint.pt`."""
    command = [*worker_command(method, Arm("original", precision), arguments), "--store", str(folder)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    if ended.returncode:
        sys.exit(f"original_steps.py ended with status {ended.returncode}:\n{ended.stderr[-3000:]}")
    return torch.load(folder / "step.pt", weights_only=True)


def run_ours(method: Method, folder: Path, stored: Mapping[str, torch.Tensor], precision: str) -> Step:
    """The same step of the converted model."""
    convert_checkpoint(folder / "checkpoint.pt", folder / precision)
    model = method.model.from_pretrained(folder / precision).train()
    masks = stored["precomputed_mask"].bool().unflatten(0, (len(stored["source"]), -1))
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        loss = model(**{method.source: stored["source"], method.masks: masks}).loss
    loss.backward()
    gradients = {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
    return Step(loss.item(), gradients)


def compare(theirs: Mapping[str, Step], ours: Mapping[str, Step]) -> dict[str, Any]:
    """Figures of both sides' steps by precision."""
    between = distances(ours["float32"].gradients, theirs["float32"].gradients)
    rounding = distances(theirs["bfloat16"].gradients, theirs["float32"].gradients)
    our_rounding = distances(ours["bfloat16"].gradients, ours["float32"].gradients)
    times = {name: our_rounding[name] / rounding[name] for name in rounding if rounding[name] > 0}
    furthest, most_rounded = max(between, key=between.__getitem__), max(times, key=times.__getitem__)
    loss, our_loss = theirs["float32"].loss, ours["float32"].loss
    return {
        "original_loss": loss,
        "loss": our_loss,
        "relative_difference": abs(our_loss - loss) / abs(loss),
        "distance": whole_distance(ours["float32"].gradients, theirs["float32"].gradients),
        "furthest": between[furthest],
        "furthest_tensor": furthest,
        "original_rounding": whole_distance(theirs["bfloat16"].gradients, theirs["float32"].gradients),
        "rounding": whole_distance(ours["bfloat16"].gradients, ours["float32"].gradients),
        "num_tensors": len(rounding),
        "num_further": sum(our_rounding[name] > rounding[name] for name in rounding),
        "most_rounded": times[most_rounded],
        "most_rounded_tensor": most_rounded,
    }


def formatted(figures: Mapping[str, Any]) -> list[str]:
    """A row of the table."""
    return [
        f"{figures['original_loss']:.6f}",
        f"{figures['loss']:.6f}",
        f"{figures['relative_difference']:.1e}",
        f"{figures['distance']:.1e}",
        f"{figures['furthest']:.1e} ({figures['furthest_tensor']})",
        f"{figures['original_rounding']:.2%}",
        f"{figures['rounding']:.2%}",
        f"{figures['num_further']} of {figures['num_tensors']}",
        f"{figures['most_rounded']:.2f} ({figures['most_rounded_tensor']})",
    ]


def distances(gradients: Mapping[str, torch.Tensor], reference: Mapping[str, torch.Tensor]) -> dict[str, float]:
    """The distance of every parameter's gradient.

    Raises:
        ValueError: Other parameters have gradients.
    """
    if gradients.keys() != reference.keys():
        raise ValueError(f"Only one side has gradients of {', '.join(sorted(gradients.keys() ^ reference.keys()))}.")
    return {name: whole_distance({name: gradients[name]}, {name: reference[name]}) for name in reference}


def whole_distance(gradients: Mapping[str, torch.Tensor], reference: Mapping[str, torch.Tensor]) -> float:
    """The distance of several parameters' gradients, as if they were one vector.

    Raises:
        ValueError: All that they are compared with are zero.
    """
    difference = square = 0.0
    for name, expected in reference.items():
        expected = _without_zeros(name, expected)
        difference += (_without_zeros(name, gradients[name]) - expected).square().sum().item()
        square += expected.square().sum().item()
    if not square:
        raise ValueError(f"The gradients of {', '.join(reference)} are all zero: there is no distance from them.")
    return (difference / square) ** 0.5


def _without_zeros(name: str, gradient: torch.Tensor) -> torch.Tensor:
    """In double precision; the gradients of keys' biases, which are zero but for rounding, left out."""
    values = gradient.double().flatten()
    if not name.endswith("qkv.bias"):
        return values
    query, _, value = values.chunk(3)
    return torch.cat([query, value])


if __name__ == "__main__":
    main()
