"""log p and the gradient of −mean log p by a tight float64 solve, written beside the job."""

import eager_dopri5
import torch
from exchange import job_of_command_line, report
from torch_flow import Dynamics, Net, log_prob

job = job_of_command_line()
torch.set_num_threads(1)
torch.set_default_device(job.device)
net = Net(job).double()
dynamics = Dynamics(net)
parameters = net.in_job_order()
for batch in sorted({*job.solve, *job.train}):
    x, noise = (torch.tensor(values, dtype=torch.float64) for values in job.rows(batch))
    dynamics.noise = noise
    span = torch.tensor([0.0, job.end_time], dtype=torch.float64)
    start = (x, torch.zeros(batch, 1, dtype=torch.float64))
    z, delta_logp = eager_dopri5.odeint_adjoint(
        dynamics, start, span, rtol=1e-10, atol=1e-10, adjoint_params=tuple(parameters)
    )
    found = log_prob(z[-1], delta_logp[-1])
    gradient = torch.autograd.grad(-found.mean(), parameters)
    job.write_truth(batch, found.detach().cpu(), torch.cat([g.reshape(-1) for g in gradient]).cpu())
report(truth='torch float64, dopri5 at 1e-10')
