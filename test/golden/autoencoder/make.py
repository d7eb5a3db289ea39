# Makes planar.safetensors: python make.py FILE, with PyTorch. A whole autoencoder of images of 6 by 6, its loss and gradients in float64.
import json, struct, sys
import torch
from torch import nn
import torch.nn.functional as F

torch.manual_seed(0)
torch.set_default_dtype(torch.float64)


class Gated(nn.Module):
    def __init__(self, kind, *sizes, **geometry):
        super().__init__()
        self.h, self.g = kind(*sizes, **geometry), kind(*sizes, **geometry)

    def forward(self, x):
        return self.h(x) * torch.sigmoid(self.g(x))


LATENT, FLOWS, H = 3, 2, 5


class Autoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        conv, spread = nn.Conv2d, nn.ConvTranspose2d
        self.q_z_nn = nn.Sequential(
            Gated(conv, 1, 4, 3, stride=2, padding=1), Gated(conv, 4, H, 3)
        )
        self.q_z_mean = nn.Linear(H, LATENT)
        self.q_z_var = nn.Sequential(nn.Linear(H, LATENT), nn.Softplus())
        self.p_x_nn = nn.Sequential(
            Gated(spread, LATENT, 4, 3),
            Gated(spread, 4, 3, 3, stride=2, padding=1, output_padding=1),
        )
        self.p_x_mean = nn.Sequential(nn.Conv2d(3, 1, 1), nn.Sigmoid())
        self.amor_u = nn.Linear(H, FLOWS * LATENT)
        self.amor_w = nn.Linear(H, FLOWS * LATENT)
        self.amor_b = nn.Linear(H, FLOWS)

    def forward(self, x, eps):
        h = self.q_z_nn(x).flatten(1)
        mean, variance = self.q_z_mean(h), self.q_z_var(h)
        z0 = mean + variance.sqrt() * eps
        us, ws = (net(h).view(-1, FLOWS, LATENT) for net in (self.amor_u, self.amor_w))
        bs = self.amor_b(h)
        z, log_det = z0, torch.zeros(len(x))
        for k in range(FLOWS):  # planes of Rezende and Mohamed 2015, made invertible by their appendix A
            u, w, b = us[:, k], ws[:, k], bs[:, k : k + 1]
            uw = (u * w).sum(1, keepdim=True)
            u = u + (F.softplus(uw) - 1 - uw) * w / (w * w).sum(1, keepdim=True)
            a = torch.tanh((w * z).sum(1, keepdim=True) + b)
            z = z + u * a
            log_det = log_det + torch.log(torch.abs(1 + ((1 - a * a) * w * u).sum(1)))
        x_mean = self.p_x_mean(self.p_x_nn(z[:, :, None, None]))
        reconstruction = F.binary_cross_entropy(x_mean, x, reduction='none').flatten(1).sum(1)
        kl = (-0.5 * (variance.log() + eps * eps) + 0.5 * z * z).sum(1) - log_det
        return mean, variance, z, log_det, x_mean, reconstruction, kl


model = Autoencoder()
with torch.no_grad():  # twice PyTorch's first weights, in numbers of float32
    for weight in model.parameters():
        weight.copy_((2 * weight).float())
x = (torch.rand(4, 1, 6, 6) < 0.5).double()
eps = torch.randn(4, LATENT).float().double()
names = ['mean', 'variance', 'zk', 'log_det', 'x_mean', 'reconstruction', 'kl']
values = dict(zip(names, model(x, eps)))
loss = (values['reconstruction'] + values['kl']).mean()
loss.backward()
tensors = {'x': x, 'eps': eps, **values, 'loss': loss.reshape(1)}
for name, weight in model.named_parameters():
    tensors['param.' + name], tensors['grad.' + name] = weight, weight.grad
header, data = {'__metadata__': {'name': 'planar', 'latent': str(LATENT), 'flows': str(FLOWS)}}, b''
for name, tensor in tensors.items():
    single = name in ('x', 'eps') or name.startswith('param.')
    flat = tensor.detach().flatten().tolist()
    part = struct.pack(f'<{len(flat)}{"f" if single else "d"}', *flat)
    header[name] = {
        'dtype': 'F32' if single else 'F64',
        'shape': list(tensor.shape),
        'data_offsets': [len(data), len(data) + len(part)],
    }
    data += part
text = json.dumps(header).encode()
text += b' ' * (-len(text) % 8)
with open(sys.argv[1], 'wb') as file:
    file.write(struct.pack('<Q', len(text)) + text + data)
