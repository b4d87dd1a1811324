"""Neural networks as gradient flow: layers whose weights are one state, integrated by the methods of ``matode``."""

from nn import data
from nn.activations import GELU, Dropout, ReLU, Sigmoid, Tanh
from nn.containers import Residual, Sequential
from nn.flow import GradientFlow
from nn.image_layers import AveragePool2d, BatchNorm, GlobalAveragePool, MaxPool2d, Subsample
from nn.layers import Conv2d, Flatten, Linear
from nn.losses import cross_entropy, mse
from nn.models import alexnet, lenet5, mlp, mlp_of, resnet20, vgg16
from nn.module import Module, initial_buffers
from nn.monitors import Monitored
from nn.optim import Adam, HeavyBall
from nn.optim_phases import CoreOnly, FrozenRank, Phases, WeightDecay
from nn.parameters import Parameters, count_by_layer, count_parameters
from nn.passes import Pass
from nn.train import Epoch, TrainingResult, accuracy, train

__all__ = [
    "GELU",
    "Adam",
    "AveragePool2d",
    "BatchNorm",
    "Conv2d",
    "CoreOnly",
    "Dropout",
    "Epoch",
    "Flatten",
    "FrozenRank",
    "GlobalAveragePool",
    "GradientFlow",
    "HeavyBall",
    "Linear",
    "MaxPool2d",
    "Module",
    "Monitored",
    "Parameters",
    "Pass",
    "Phases",
    "ReLU",
    "Residual",
    "Sequential",
    "Sigmoid",
    "Subsample",
    "Tanh",
    "TrainingResult",
    "WeightDecay",
    "accuracy",
    "alexnet",
    "count_by_layer",
    "count_parameters",
    "cross_entropy",
    "data",
    "initial_buffers",
    "lenet5",
    "mlp",
    "mlp_of",
    "mse",
    "resnet20",
    "train",
    "vgg16",
]
