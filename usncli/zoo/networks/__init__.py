"""Networks shipped for examples, the demo and tests: plain torch modules, He-initialised, of any batch size."""

from usncli.zoo.networks.classifier import classifier
from usncli.zoo.networks.cnn7 import cnn7
from usncli.zoo.networks.heatmap_network import heatmap_network
from usncli.zoo.networks.resnet18 import resnet18

__all__ = ["classifier", "cnn7", "heatmap_network", "resnet18"]
