# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
import datasets
import numpy as np
import pytest

from hf_ssl.training.arguments import FineTuningDataArguments
from hf_ssl.training.running import take_minutes


def table(durations) -> datasets.Dataset:
    return datasets.Dataset.from_dict({"path": [f"{row}.wav" for row in range(len(durations))], "duration": durations})


def test_clips_are_taken_until_the_minutes_are_full():
    durations = np.random.default_rng(1).uniform(2.0, 8.0, size=200)
    taken = take_minutes(table(durations), 5)
    assert 300 - 8 < sum(taken["duration"]) <= 300
    rows = [int(path.removesuffix(".wav")) for path in taken["path"]]
    assert rows == sorted(rows)
    assert rows != list(range(len(rows)))  # not simply the first ones
    assert take_minutes(table(durations), 5)["path"] == taken["path"]
    # What fewer minutes take is part of what more minutes take.
    assert set(take_minutes(table(durations), 2)["path"]) < set(taken["path"])


def test_all_of_the_table_can_be_taken():
    assert len(take_minutes(table([30.0, 30.0]), 1)) == 2


@pytest.mark.parametrize(("minutes", "message"), [(10, "at least 10 minutes of --data, got 1.0"), (0.1, "one clip")])
def test_minutes_that_the_table_cannot_give_are_an_error(minutes, message):
    with pytest.raises(ValueError, match=message):
        take_minutes(table([30.0, 30.0]), minutes)


def test_minutes_are_positive():
    with pytest.raises(ValueError, match="above 0"):
        FineTuningDataArguments(data=["folder"], train_minutes=0.0)
