"""Convolutional nets in PyTorch eager, one JSON line a measurement: (f, div), with gradients, and a
training iteration of a flow of one such CNF. The net and the divergence are those of FFJORD's own
code: t as a channel in front of each layer, Hutchinson's estimate by VJP.

The folder named on the command line holds job.json, and for every net its weights, rows and noise
as raw float32.
"""

import json
import pathlib
import sys

import numpy as np
import torch
from exchange import measure, report
from torch_flow import Dynamics, log_prob

folder = pathlib.Path(sys.argv[1])


class Job:
    def __init__(self, description):
        self.seconds = description['seconds']
        self.device = 'cpu'


class Net(torch.nn.Module):
    """3 × 3 convolutions of stride 1 with softplus between them."""

    def __init__(self, tensors):
        super().__init__()
        self.weights = torch.nn.ParameterList(tensors[0::2])
        self.biases = torch.nn.ParameterList(tensors[1::2])

    def forward(self, t, x):
        for depth, (weight, bias) in enumerate(zip(self.weights, self.biases)):
            x = torch.cat([torch.ones_like(x[:, :1]) * t, x], 1)
            x = torch.nn.functional.conv2d(x, weight, bias, padding=1)
            if depth < len(self.weights) - 1:
                x = torch.nn.functional.softplus(x)
        return x


class ImageDynamics(Dynamics):
    """Dynamics of images: the divergence sums over all dimensions of a row."""

    def forward(self, t, state):
        training = torch.is_grad_enabled()
        with torch.enable_grad():
            z = state[0] if state[0].requires_grad else state[0].detach().requires_grad_(True)
            f = self.net(t, z)
            vjp = torch.autograd.grad(f, z, self.noise, create_graph=training)[0]
            divergence = (vjp * self.noise).sum((1, 2, 3)).unsqueeze(1)
        return (f, -divergence) if training else (f.detach(), -divergence.detach())


def rk4(dynamics, state, end_time, steps):
    """The classical method; gradients pass through it by backpropagation, which is the faster way here."""
    h = end_time / steps
    move = lambda state, slope, scale: tuple(y + scale * dy for y, dy in zip(state, slope))
    for step in range(steps):
        t = step * h
        k1 = dynamics(t, state)
        k2 = dynamics(t + h / 2, move(state, k1, h / 2))
        k3 = dynamics(t + h / 2, move(state, k2, h / 2))
        k4 = dynamics(t + h, move(state, k3, h))
        slope = tuple((a + 2 * b + 2 * c + d) / 6 for a, b, c, d in zip(k1, k2, k3, k4))
        state = move(state, slope, h)
    return state


description = json.loads((folder / 'job.json').read_text())
job = Job(description)
torch.set_num_threads(1)
for index, case in enumerate(description['nets']):
    read = lambda name: np.fromfile(folder / f'{name}{index}.f32', 'f4')
    flat = read('weights')
    tensors = [
        torch.tensor(flat[at['offset'] : at['offset'] + at['size']].reshape(at['shape'])) for at in case['tensors']
    ]
    net = Net(tensors)
    parameters = [tensor for pair in zip(net.weights, net.biases) for tensor in pair]
    shape = (description['batch'], case['channels'], case['side'], case['side'])
    x, noise = (torch.tensor(read(name).reshape(shape)) for name in ('x', 'noise'))
    dynamics = ImageDynamics(net)
    dynamics.noise = noise
    adam = torch.optim.Adam(parameters, lr=0.0)
    start = (x, torch.zeros(len(x), 1))

    def evaluate():
        with torch.no_grad():
            return dynamics(0.3, (x,))

    def gradient():
        f, divergence = dynamics(0.3, (x,))
        return torch.autograd.grad(f.sum() + divergence.sum(), parameters)

    def train():
        adam.zero_grad()
        z, delta_logp = rk4(dynamics, start, case['end_time'], description['steps'])
        found = log_prob(z.flatten(1), delta_logp)
        (-found.mean()).backward()
        adam.step()
        return found

    name = f'PyTorch {torch.__version__}'
    common = dict(peer=name, channels=case['channels'], side=case['side'], depth=case['depth'])
    report(**common, task='evaluate', **measure(evaluate, job))
    report(**common, task='gradient', **measure(gradient, job))
    found = train().detach().numpy()
    report(**common, task='train', log_prob=found.astype('f8').tolist(), **measure(train, job))
