"""Devices by name."""

import pytest
import torch

from usncli.devices import choose_device
from usncli.errors import ConfigurationError


def test_auto_is_the_gpu_where_there_is_one() -> None:
    assert choose_device().type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_cpu_is_always_there() -> None:
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "", "cuda:99", "cuda:-1", "meta", "hpu", "CPU "])
def test_what_this_machine_has_not_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="device: expected auto, cpu or a GPU of this machine, got") as caught:
        choose_device(name)
    assert "\n" not in str(caught.value)
