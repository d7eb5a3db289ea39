"""PyTorch eager with torchdiffeq, or with the equivalent of eager_dopri5.py.

With FFJORD_PEER_GRAPH an evaluation is a CUDA graph of torch_graph.py, for solves alone.
"""

import os

import torch
from exchange import job_of_command_line, measure, report
from torch_flow import Dynamics, Net, log_prob
from torch_graph import GraphedDynamics

try:
    import torchdiffeq as solver

    name = f'torchdiffeq {solver.__version__}'
except ImportError:
    import eager_dopri5 as solver

    name = "eager dopri5 (torchdiffeq's algorithm)"

job = job_of_command_line()
torch.set_num_threads(job.threads)
torch.set_default_device(job.device)
graphs = 'FFJORD_PEER_GRAPH' in os.environ
name = f'PyTorch {torch.__version__}, {name}'
net = Net(job)
dynamics = GraphedDynamics(net, job.activation) if graphs else Dynamics(net)
parameters = net.in_job_order()
span = torch.tensor([0.0, job.end_time])
tolerances = dict(rtol=job.rtol, atol=job.atol, method='dopri5')


def timed(call):
    """measure() of a call with all its work on the card."""

    def whole():
        call()
        if job.device == 'cuda':
            torch.cuda.synchronize()

    return measure(whole, job)


def begin(batch):
    x, noise = (torch.tensor(values) for values in job.rows(batch))
    dynamics.noise = noise
    dynamics.evaluations = 0
    return x, torch.zeros(batch, 1)


for batch in job.evaluate:
    x, _ = begin(batch)
    t = torch.tensor(0.3)

    def evaluate():
        with torch.no_grad():
            return dynamics(t, (x,))

    def evaluate_gradient():
        f, divergence = dynamics(t, (x,))
        return torch.autograd.grad(f.sum() + divergence.sum(), parameters, allow_unused=True)

    report(peer=name, task='evaluate', batch=batch, **timed(evaluate))
    report(peer=name, task='evaluate_gradient', batch=batch, **timed(evaluate_gradient))

for batch in job.solve:
    start = begin(batch)

    def solve():
        dynamics.evaluations = 0
        with torch.no_grad():
            z, delta_logp = solver.odeint(dynamics, start, span, **tolerances)
            return log_prob(z[-1], delta_logp[-1])

    errors = job.errors(batch, log_prob=solve().cpu())
    times = timed(solve)
    report(peer=name, task='solve', batch=batch, evaluations=dynamics.evaluations, **errors, **times)


def with_adjoint(start):
    return solver.odeint_adjoint(dynamics, start, span, adjoint_params=tuple(parameters), **tolerances)


def with_backpropagation(start):
    return solver.odeint(dynamics, start, span, **tolerances)


for batch in [] if graphs else job.train:
    start = begin(batch)
    # A learning rate of zero does all of Adam's work and leaves the problem as it is.
    adam = torch.optim.Adam(parameters, lr=0.0)
    for form, integrate in (('adjoint', with_adjoint), ('backpropagation', with_backpropagation)):
        forward = 0

        def iteration():
            global forward
            dynamics.evaluations = 0
            adam.zero_grad()
            z, delta_logp = integrate(start)
            found = log_prob(z[-1], delta_logp[-1])
            forward = dynamics.evaluations
            (-found.mean()).backward()
            adam.step()
            return found

        found = iteration().detach().cpu()
        gradient = torch.cat([parameter.grad.reshape(-1) for parameter in parameters]).cpu()
        errors = job.errors(batch, log_prob=found, gradient=gradient)
        times = timed(iteration)
        report(
            peer=name,
            task='train',
            form=form,
            batch=batch,
            evaluations=forward,
            backward_evaluations=dynamics.evaluations - forward,
            **errors,
            **times,
        )
