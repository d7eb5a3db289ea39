"""The flow of the job in PyTorch eager mode, written as FFJORD's own code is: Hutchinson by VJP."""

import math

import torch


class Net(torch.nn.Module):
    """Layers concat (t in front of x) or concatsquash; weights by the names of the state dict."""

    def __init__(self, job):
        super().__init__()
        self.kind = job.layer
        self.activation = {'tanh': torch.tanh, 'softplus': torch.nn.functional.softplus}[job.activation]
        self.order = [(tensor['layer'], tensor['name'].replace('.', '_')) for tensor in job.tensors]
        self.layers = torch.nn.ModuleList()
        for tensors in job.weights():
            layer = torch.nn.Module()
            for name, values in tensors.items():
                layer.register_parameter(name.replace('.', '_'), torch.nn.Parameter(torch.tensor(values)))
            self.layers.append(layer)

    def in_job_order(self):
        return [getattr(self.layers[layer], name) for layer, name in self.order]

    def forward(self, t, x):
        for depth, layer in enumerate(self.layers):
            if self.kind == 'concat':
                x = torch.cat([torch.ones_like(x[:, :1]) * t, x], 1)
                x = torch.nn.functional.linear(x, layer._layer_weight, layer._layer_bias)
            else:
                t_column = t.reshape(1, 1).to(x)
                gate = torch.sigmoid(
                    torch.nn.functional.linear(t_column, layer._hyper_gate_weight, layer._hyper_gate_bias)
                )
                shift = torch.nn.functional.linear(t_column, layer._hyper_bias_weight)
                x = torch.nn.functional.linear(x, layer._layer_weight, layer._layer_bias) * gate + shift
            if depth < len(self.layers) - 1:
                x = self.activation(x)
        return x


class Dynamics(torch.nn.Module):
    """(z, Δlogp) → (f, −εᵀJε); the noise is set before a solve."""

    def __init__(self, net):
        super().__init__()
        self.net = net
        self.noise = None
        self.evaluations = 0

    def forward(self, t, state):
        self.evaluations += 1
        z = state[0]
        training = torch.is_grad_enabled()
        with torch.enable_grad():
            z = z if z.requires_grad else z.detach().requires_grad_(True)
            f = self.net(t, z)
            vjp = torch.autograd.grad(f, z, self.noise, create_graph=training)[0]
            divergence = (vjp * self.noise).sum(1, keepdim=True)
        return (f, -divergence) if training else (f.detach(), -divergence.detach())


def log_prob(z, delta_logp):
    """log N(z; 0, I) − Δlogp, one a row."""
    return -0.5 * (z**2).sum(1) - 0.5 * z.shape[1] * math.log(2 * math.pi) - delta_logp[:, 0]
