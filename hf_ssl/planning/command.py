# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""`hf-ssl plan`."""

import argparse

from .measuring import measure
from .plan import Devices, check_data, format_table, make_plan, table
from .recipes import load_recipe, parse_settings


def run_plan(arguments: argparse.Namespace) -> None:
    """Measures and prints the table."""
    devices = Devices(
        arguments.gpus, arguments.gpu_memory, arguments.fsdp, arguments.peak_tflops, arguments.utilisation
    )
    check_data(arguments.data)
    recipe = load_recipe(arguments.recipe, parse_settings(arguments.set), arguments.global_batch)
    measurement = measure(recipe, whole_model=arguments.whole_model)
    print(format_table(table(make_plan(recipe, devices, measurement, arguments.data))))
