"""torchdiffeq's dopri5 for a tuple of tensors, where that package is not installed.

The same algorithm: 2 + 6 evaluations an attempt, integral step control on the largest RMS norm of
the tensors, overshoot and quartic interpolation; its adjoint carries the weights' cotangent in the
state and in the norm. Leaner in bookkeeping (no float64 time tensors, no gradient of t, the
interpolant only for the last step), so a little faster than the package.
"""

import torch

STAGES = [
    (1 / 5, [1 / 5]),
    (3 / 10, [3 / 40, 9 / 40]),
    (4 / 5, [44 / 45, -56 / 15, 32 / 9]),
    (8 / 9, [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729]),
    (1.0, [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656]),
    (1.0, [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84]),
]
ERROR = [
    35 / 384 - 1951 / 21600,
    0,
    500 / 1113 - 22642 / 50085,
    125 / 192 - 451 / 720,
    -2187 / 6784 + 12231 / 42400,
    11 / 84 - 649 / 6300,
    -1 / 60,
]
MIDDLE = [
    6025192743 / 30085553152 / 2,
    0,
    51252292925 / 65400821598 / 2,
    -2691868925 / 45128329728 / 2,
    187940372067 / 1594534317056 / 2,
    -1776094331 / 19743644256 / 2,
    11237099 / 235043384 / 2,
]


def combine(y, slopes, coefficients, h):
    for slope, coefficient in zip(slopes, coefficients):
        if coefficient:
            y = torch.add(y, slope, alpha=coefficient * h)
    return y


def solve(f, y0, t0, t1, rtol, atol, norm):
    """y(t1) of dy/dt = f(t, y) for a flat y; h carries the sign of t1 − t0."""
    sign = 1.0 if t1 > t0 else -1.0
    like = dict(dtype=y0.dtype)
    slope = lambda t, y: f(torch.tensor(t, **like), y)

    f0 = slope(t0, y0)
    with torch.no_grad():
        scale = atol + y0.abs() * rtol
        d0, d1 = norm(y0 / scale), norm(f0 / scale)
        h0 = 1e-6 if d0 < 1e-5 or d1 < 1e-5 else 0.01 * d0 / d1
        d2 = norm((slope(t0 + sign * h0, y0 + sign * h0 * f0) - f0) / scale) / h0
        h1 = max(1e-6, h0 * 1e-3) if max(d1, d2) <= 1e-15 else (0.01 / max(d1, d2)) ** 0.2
        h = min(100 * h0, h1)

    t, y = t0, y0
    while True:
        step = sign * h
        slopes = [f0]
        for c, coefficients in STAGES:
            y1 = combine(y, slopes, coefficients, step)
            slopes.append(slope(t + c * step, y1))
        with torch.no_grad():
            error = combine(torch.zeros_like(y), slopes, ERROR, step)
            ratio = norm(error / (atol + rtol * torch.maximum(y.abs(), y1.abs())))
        accepted = ratio <= 1
        if accepted and sign * (t + step - t1) >= 0:
            return interpolate(y, y1, slopes, step, (t1 - t) / step)
        if accepted:
            t, y, f0 = t + step, y1, slopes[-1]
        smallest = 1.0 if ratio < 1 else 0.2
        h *= 10.0 if ratio == 0 else min(10.0, max(0.9 / ratio**0.2, smallest))


def interpolate(y0, y1, slopes, h, theta):
    """The quartic through y0, y1, both slopes and the midpoint, at t0 + θh."""
    f0, f1 = slopes[0], slopes[-1]
    middle = combine(y0, slopes, MIDDLE, h)
    a = 2 * h * (f1 - f0) - 8 * (y1 + y0) + 16 * middle
    b = h * (5 * f0 - 3 * f1) + 18 * y0 + 14 * y1 - 32 * middle
    c = h * (f1 - 4 * f0) - 11 * y0 - 5 * y1 + 16 * middle
    return (((a * theta + b) * theta + c) * theta + h * f0) * theta + y0


class Tuple:
    """A tuple of tensors as one vector."""

    def __init__(self, tensors):
        self.shapes = [tensor.shape for tensor in tensors]
        self.sizes = [tensor.numel() for tensor in tensors]

    @staticmethod
    def flat(tensors):
        return torch.cat([tensor.reshape(-1) for tensor in tensors])

    def tuple(self, flat):
        return tuple(p.view(s) for p, s in zip(flat.split(self.sizes), self.shapes))

    def norm(self, flat):
        """The largest RMS of its tensors."""
        return max(p.pow(2).mean().sqrt().item() for p in flat.split(self.sizes))


def odeint(dynamics, state, t, rtol, atol, method='dopri5'):
    """The state at the two times t: (2, …) a tensor, differentiable by backpropagation."""
    layout = Tuple(state)
    f = lambda t, y: layout.flat(dynamics(t, layout.tuple(y)))
    end = solve(f, layout.flat(state), float(t[0]), float(t[-1]), rtol, atol, layout.norm)
    return tuple(torch.stack(pair) for pair in zip(state, layout.tuple(end)))


class Adjoint(torch.autograd.Function):
    @staticmethod
    def forward(ctx, dynamics, t, rtol, atol, count, *tensors):
        state, parameters = tensors[:count], tensors[count:]
        with torch.no_grad():
            end = tuple(tensor[-1] for tensor in odeint(dynamics, state, t, rtol, atol))
        ctx.dynamics, ctx.times, ctx.tolerances = dynamics, (float(t[-1]), float(t[0])), (rtol, atol)
        ctx.count = count
        ctx.save_for_backward(*end, *parameters)
        return end

    @staticmethod
    def backward(ctx, *cotangents):
        state = ctx.saved_tensors[: ctx.count]
        parameters = ctx.saved_tensors[ctx.count :]
        start = (*state, *cotangents, *(torch.zeros_like(parameter) for parameter in parameters))
        layout = Tuple(start)

        def slope(t, y):
            tensors = layout.tuple(y)
            with torch.enable_grad():
                z = tuple(tensor.detach().requires_grad_(True) for tensor in tensors[: ctx.count])
                derivative = ctx.dynamics(t, z)
                pulled = torch.autograd.grad(
                    derivative,
                    (*z, *parameters),
                    tuple(-tensor for tensor in tensors[ctx.count : 2 * ctx.count]),
                    allow_unused=True,
                )
            pulled = [g if g is not None else torch.zeros_like(p) for g, p in zip(pulled, (*z, *parameters))]
            return layout.flat((*(tensor.detach() for tensor in derivative), *pulled))

        with torch.no_grad():
            end = solve(slope, layout.flat(start), *ctx.times, *ctx.tolerances, layout.norm)
        pulled = layout.tuple(end)[ctx.count :]
        return (None, None, None, None, None, *pulled)


def odeint_adjoint(dynamics, state, t, rtol, atol, method='dopri5', adjoint_params=()):
    end = Adjoint.apply(dynamics, t, rtol, atol, len(state), *state, *adjoint_params)
    return tuple(torch.stack(pair) for pair in zip(state, end))
