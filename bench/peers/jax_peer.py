"""jax.experimental.ode: dopri5 compiled whole, with its continuous adjoint."""

import os

from exchange import job_of_command_line

job = job_of_command_line()
os.environ.setdefault('JAX_PLATFORMS', job.device)
if job.device == 'cpu':
    os.environ.setdefault('XLA_FLAGS', '--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1')

import jax
import jax.numpy as jnp
from jax.experimental.ode import odeint
from jax_flow import slope_of
from jax_rows import run

slope = slope_of(job)


def dynamics(state, t, parameters, noise):
    return slope(parameters, t, state[0], noise)


def integrate(parameters, x, noise):
    start = (x, jnp.zeros((x.shape[0], 1)))
    times = jnp.array([0.0, job.end_time])
    z, delta_logp = odeint(dynamics, start, times, parameters, noise, rtol=job.rtol, atol=job.atol)
    return z[-1], delta_logp[-1], None


run(job, f'jax.experimental.ode, JAX {jax.__version__}', 'adjoint', integrate, evaluate=slope)
