"""The rows of a JAX peer, given how it solves: solve and training iteration, compiled whole."""

import time

import jax
import jax.numpy as jnp
from exchange import measure, report
from jax_flow import adam, in_job_order, log_prob, parameters_of


def run(job, name, form, integrate, evaluate=None):
    """integrate(parameters, x, noise) → (z, Δlogp, evaluations or None)."""
    parameters = parameters_of(job)

    def loss(parameters, x, noise):
        z, delta_logp, evaluations = integrate(parameters, x, noise)
        found = log_prob(z, delta_logp)
        return -found.mean(), (found, evaluations)

    @jax.jit
    def solve(parameters, x, noise):
        return loss(parameters, x, noise)[1]

    @jax.jit
    def iteration(parameters, state, x, noise, learning_rate):
        (_, (found, evaluations)), gradient = jax.value_and_grad(loss, has_aux=True)(parameters, x, noise)
        parameters, state = adam(parameters, gradient, state, learning_rate)
        return parameters, state, found, evaluations, gradient

    def compiled(call):
        started = time.process_time()
        result = jax.block_until_ready(call())
        return result, time.process_time() - started

    count = lambda evaluations: None if evaluations is None else int(evaluations)

    if evaluate:
        gradient_of = lambda p, x, noise: sum(part.sum() for part in evaluate(p, 0.3, x, noise))
        forward, backward = jax.jit(evaluate), jax.jit(jax.grad(gradient_of))
        for batch in job.evaluate:
            x, noise = (jnp.asarray(values) for values in job.rows(batch))
            calls = {
                'evaluate': lambda: jax.block_until_ready(forward(parameters, 0.3, x, noise)),
                'evaluate_gradient': lambda: jax.block_until_ready(backward(parameters, x, noise)),
            }
            for task, call in calls.items():
                report(peer=name, task=task, batch=batch, **measure(call, job))

    for batch in job.solve:
        x, noise = (jnp.asarray(values) for values in job.rows(batch))
        call = lambda: solve(parameters, x, noise)
        (found, evaluations), compile_seconds = compiled(call)
        times = measure(lambda: jax.block_until_ready(call()), job)
        report(
            peer=name,
            task='solve',
            batch=batch,
            evaluations=count(evaluations),
            compile_seconds=compile_seconds,
            **job.errors(batch, log_prob=found),
            **times,
        )

    zeros = jax.tree_util.tree_map(jnp.zeros_like, parameters)
    for batch in job.train:
        x, noise = (jnp.asarray(values) for values in job.rows(batch))
        state = (jnp.zeros((), jnp.int32), zeros, zeros)
        # A learning rate of zero does all of Adam's work and leaves the problem as it is.
        call = lambda: iteration(parameters, state, x, noise, 0.0)
        (_, _, found, evaluations, gradient), compile_seconds = compiled(call)
        times = measure(lambda: jax.block_until_ready(call()), job)
        report(
            peer=name,
            task='train',
            form=form,
            batch=batch,
            evaluations=count(evaluations),
            compile_seconds=compile_seconds,
            **job.errors(batch, log_prob=found, gradient=in_job_order(job, gradient)),
            **times,
        )
