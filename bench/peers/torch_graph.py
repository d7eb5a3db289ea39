"""(f, divergence) of the job by dual numbers, an evaluation in a CUDA graph: PyTorch's best for a
solve whose steps stay the solver's.

No autograd, so for solves alone. On a processor there is no graph, and the same operations run.
"""

import torch

SLOPES = {'tanh': lambda h, a: 1 - a * a, 'softplus': lambda h, a: torch.sigmoid(h)}


class GraphedDynamics(torch.nn.Module):
    """(z, Δlogp) → (f, −εᵀJε); the noise is set before a solve."""

    def __init__(self, net, activation):
        super().__init__()
        self.net = net
        self.slope = SLOPES[activation]
        self.noise = None
        self.evaluations = 0
        self.graphs = {}

    def evaluate(self, t, z, noise):
        tangent = noise
        for depth, layer in enumerate(self.net.layers):
            weight, bias = layer._layer_weight, layer._layer_bias
            if self.net.kind == 'concat':
                bias, weight = bias + t * weight[:, 0], weight[:, 1:]
            z, tangent = torch.addmm(bias, z, weight.t()), tangent @ weight.t()
            if self.net.kind == 'concatsquash':
                gate = torch.sigmoid(layer._hyper_gate_weight[:, 0] * t + layer._hyper_gate_bias)
                z = z * gate + layer._hyper_bias_weight[:, 0] * t
                tangent = tangent * gate
            if depth < len(self.net.layers) - 1:
                a = self.net.activation(z)
                z, tangent = a, self.slope(z, a) * tangent
        return z, -(tangent * noise).sum(1, keepdim=True)

    def capture(self):
        """A graph for rows as many as the noise has, with what it reads and writes."""
        t, z, noise = torch.zeros(()), torch.zeros_like(self.noise), torch.zeros_like(self.noise)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self.evaluate(t, z, noise)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            rates = self.evaluate(t, z, noise)
        return graph, t, z, noise, rates

    def forward(self, t, state):
        self.evaluations += 1
        with torch.no_grad():
            if not state[0].is_cuda:
                return self.evaluate(t, state[0], self.noise)
            batch = len(state[0])
            if batch not in self.graphs:
                self.graphs[batch] = self.capture()
            graph, t_read, z_read, noise_read, rates = self.graphs[batch]
            t_read.copy_(t)
            z_read.copy_(state[0])
            noise_read.copy_(self.noise)
            graph.replay()
            return tuple(rate.clone() for rate in rates)
