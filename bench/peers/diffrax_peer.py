"""diffrax: Dopri5 and Tsit5 with its PID controller and recursive checkpointing, compiled whole."""

import os

from exchange import job_of_command_line

job = job_of_command_line()
os.environ.setdefault('JAX_PLATFORMS', job.device)
if job.device == 'cpu':
    os.environ.setdefault('XLA_FLAGS', '--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1')

import diffrax
import jax.numpy as jnp
from jax_flow import slope_of
from jax_rows import run

slope = slope_of(job)


def dynamics(t, state, arguments):
    parameters, noise = arguments
    return slope(parameters, t, state[0], noise)


def integrate_with(method):
    def integrate(parameters, x, noise):
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(dynamics),
            method,
            t0=0.0,
            t1=job.end_time,
            dt0=None,
            y0=(x, jnp.zeros((x.shape[0], 1))),
            args=(parameters, noise),
            stepsize_controller=diffrax.PIDController(rtol=job.rtol, atol=job.atol),
            adjoint=diffrax.RecursiveCheckpointAdjoint(),
            max_steps=512,
        )
        z, delta_logp = solution.ys
        return z[-1], delta_logp[-1], 1 + 6 * solution.stats['num_steps']

    return integrate


# On a card each method compiles for long, and one is enough.
for method in (diffrax.Dopri5(),) if job.device == 'cuda' else (diffrax.Dopri5(), diffrax.Tsit5()):
    name = f'diffrax {diffrax.__version__}, {type(method).__name__}'
    run(job, name, 'recursive checkpoint', integrate_with(method))
