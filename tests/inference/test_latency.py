# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Percentiles without keeping the times."""

import math

import numpy as np
import pytest

from hf_ssl.inference.latency import LatencyHistogram


def test_percentiles_to_one_per_cent() -> None:
    times = np.random.default_rng(0).lognormal(mean=-4, sigma=1.0, size=5000)
    histogram = LatencyHistogram()
    for seconds in times:
        histogram.add(float(seconds))
    assert len(histogram) == 5000
    assert histogram.longest == times.max()
    for percent in (1, 50, 90, 99, 99.9):
        expected = np.percentile(times, percent, method="inverted_cdf")
        assert histogram.percentile(percent) == pytest.approx(expected, rel=0.0101)
    assert histogram.percentile(100) == histogram.longest


def test_one_time_none_and_times_out_of_range() -> None:
    histogram = LatencyHistogram()
    assert math.isnan(histogram.percentile(50))
    histogram.add(0.25)
    assert histogram.percentile(50) == histogram.percentile(99) == 0.25
    histogram.add(0.0)
    histogram.add(1e9)
    assert len(histogram) == 3
    assert histogram.percentile(1) <= 1.01e-6
    assert histogram.longest == 1e9
