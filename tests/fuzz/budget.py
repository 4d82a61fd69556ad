# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""How many cases are tried: 200 at every run of the tests, always the same; 10,000 with `-m slow`, never the same."""

from hypothesis import HealthCheck, Phase, settings

# A case makes tensors and runs a model: slow by hypothesis' measure.
_HEALTH_CHECKS = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture)


def at_every_run(max_examples: int) -> settings:
    """A few cases, without shrinking what fails: `-m slow` shrinks."""
    return settings(
        max_examples=max_examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=_HEALTH_CHECKS,
    )


def before_a_release(max_examples: int) -> settings:
    return settings(max_examples=max_examples, deadline=None, suppress_health_check=_HEALTH_CHECKS)
