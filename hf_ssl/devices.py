# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Devices by name, as every `--device` gives them."""

import torch


def usable_device(name: str | None) -> str:
    """The device to compute on, tried out.

    Args:
        name: Such as `"cpu"` or `"cuda:0"`; a GPU if there is one, if `None`.

    Raises:
        ValueError: There is no such device, or torch cannot use it; says which ones it can.
    """
    if name is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        # Values must come back: torch also knows devices that hold none ("meta"), or that it was not built for.
        torch.zeros(1, device=name).tolist()
    except (RuntimeError, AssertionError, ImportError) as error:
        raise ValueError(
            f"Expected --device to name one that torch can use here ({', '.join(_present())}), got {name!r}: "
            f"{str(error).splitlines()[0]}"
        ) from error
    return name


def check_accelerator(flag: str) -> None:
    """Raises `ValueError` if torch sees nothing but CPUs, where `flag` asks for more."""
    if torch.accelerator.current_accelerator(check_available=True) is None:
        raise ValueError(
            f"{flag} needs an accelerator, but torch {torch.__version__} sees none: leave {flag} out, or install a "
            "build of torch that knows this machine's."
        )


def _present() -> list[str]:
    """Names of the devices of this machine."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if accelerator is None:
        return ["cpu"]
    return ["cpu", *(f"{accelerator.type}:{index}" for index in range(torch.accelerator.device_count()))]
