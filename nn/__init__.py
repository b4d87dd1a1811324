"""Neural networks as gradient flow: layers whose weights are one state, integrated by the methods of ``matode``."""

from nn import data
from nn.flow import GradientFlow
from nn.layers import Conv2d, Flatten, Linear, Module, ReLU, Sequential, Tanh
from nn.losses import cross_entropy, mse
from nn.models import lenet5, mlp
from nn.parameters import Parameters, count_parameters
from nn.train import Epoch, TrainingResult, accuracy, train

__all__ = [
    "Conv2d",
    "Epoch",
    "Flatten",
    "GradientFlow",
    "Linear",
    "Module",
    "Parameters",
    "ReLU",
    "Sequential",
    "Tanh",
    "TrainingResult",
    "accuracy",
    "count_parameters",
    "cross_entropy",
    "data",
    "lenet5",
    "mlp",
    "mse",
    "train",
]
