# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
import pytest
import torch

from hf_ssl.devices import usable_device


def test_a_device_that_is_there_keeps_its_name() -> None:
    assert usable_device("cpu") == "cpu"
    assert usable_device(None) == ("cuda" if torch.cuda.is_available() else "cpu")


# No name of torch's, an empty one, one without values, one that there are not so many of, one of another library.
@pytest.mark.parametrize("name", ["gpu9", "", "meta", "cuda:99", "hpu"])
def test_a_device_that_cannot_be_used_is_named_beside_those_that_can(name: str) -> None:
    with pytest.raises(ValueError, match=rf"one that torch can use here \(cpu.*\), got '{name}': \w"):
        usable_device(name)
