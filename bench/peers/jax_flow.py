"""The flow of the job in JAX: Hutchinson by JVP, which pushes value and tangent together."""

import math

import jax
import jax.numpy as jnp


def parameters_of(job):
    return [{name: jnp.asarray(values) for name, values in layer.items()} for layer in job.weights()]


def in_job_order(job, tree):
    return jnp.concatenate([tree[tensor['layer']][tensor['name']].reshape(-1) for tensor in job.tensors])


def net_of(job):
    activation = {'tanh': jnp.tanh, 'softplus': jax.nn.softplus}[job.activation]

    def net(parameters, t, x):
        for depth, layer in enumerate(parameters):
            weight, bias = layer['_layer.weight'], layer['_layer.bias']
            if job.layer == 'concat':
                x = x @ weight[:, 1:].T + (weight[:, 0] * t + bias)
            else:
                gate = jax.nn.sigmoid(layer['_hyper_gate.weight'][:, 0] * t + layer['_hyper_gate.bias'])
                x = (x @ weight.T + bias) * gate + layer['_hyper_bias.weight'][:, 0] * t
            if depth < len(parameters) - 1:
                x = activation(x)
        return x

    return net


def slope_of(job):
    """(parameters, t, z, noise) → (f (B, D), −divergence (B, 1))."""
    net = net_of(job)

    def slope(parameters, t, z, noise):
        f, tangent = jax.jvp(lambda z: net(parameters, t, z), (z,), (noise,))
        return f, -(tangent * noise).sum(1, keepdims=True)

    return slope


def log_prob(z, delta_logp):
    return -0.5 * (z**2).sum(1) - 0.5 * z.shape[1] * math.log(2 * math.pi) - delta_logp[:, 0]


def adam(parameters, gradient, state, learning_rate):
    """One step of Adam as an optimizer library would compile it."""
    step, first, second = state
    step = step + 1
    tree = jax.tree_util.tree_map
    first = tree(lambda m, g: 0.9 * m + 0.1 * g, first, gradient)
    second = tree(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradient)
    update = lambda p, m, v: p - learning_rate * (m / (1 - 0.9**step)) / (
        jnp.sqrt(v / (1 - 0.999**step)) + 1e-8
    )
    return tree(update, parameters, first, second), (step, first, second)
