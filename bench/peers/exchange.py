"""What every peer shares: the job that the harness wrote, timing, and one JSON line a result.

The folder named on the command line holds job.json and raw float32 files: weights in the order of
job['tensors'], and for every batch size B the rows x (B, D) and the noise (B, D).
"""

import json
import pathlib
import statistics
import sys
import time

import numpy as np


class Job:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        for key, value in json.loads((self.folder / 'job.json').read_text()).items():
            setattr(self, key, value)
        self.depth = len(self.dims) - 1

    def weights(self):
        """A dictionary a layer, its tensors by name, as PyTorch stores them."""
        flat = np.fromfile(self.folder / 'weights.f32', 'f4')
        layers = [{} for _ in range(self.depth)]
        for tensor in self.tensors:
            shape = tensor['shape']
            values = flat[tensor['offset'] : tensor['offset'] + int(np.prod(shape))]
            layers[tensor['layer']][tensor['name']] = values.reshape(shape)
        return layers

    def rows(self, batch):
        """x (B, D) and noise (B, D)."""
        read = lambda name: np.fromfile(self.folder / f'{name}{batch}.f32', 'f4').reshape(batch, -1)
        return read('x'), read('noise')

    def write_truth(self, batch, log_prob, gradient):
        np.asarray(log_prob, 'f8').tofile(self.folder / f'log_prob{batch}.f64')
        np.asarray(gradient, 'f8').tofile(self.folder / f'gradient{batch}.f64')

    def errors(self, batch, log_prob=None, gradient=None):
        """Distance from the tight float64 solve that truth.py wrote."""
        found = {}
        if log_prob is not None:
            error = np.asarray(log_prob, 'f8') - np.fromfile(self.folder / f'log_prob{batch}.f64', 'f8')
            found['log_prob_rms'] = float(np.sqrt(np.mean(error**2)))
            found['log_prob_max'] = float(np.abs(error).max())
        if gradient is not None:
            truth = np.fromfile(self.folder / f'gradient{batch}.f64', 'f8')
            error = np.asarray(gradient, 'f8') - truth
            found['gradient_relative'] = float(np.linalg.norm(error) / np.linalg.norm(truth))
        return found


def measure(call, job):
    """Best and median seconds of a call, as CPU time of the process and as wall time; on a card the
    first is wall time too. The call returns when its work is done."""
    call()
    cpu, wall = [], []
    deadline = time.perf_counter() + job.seconds
    while len(cpu) < 3 or (time.perf_counter() < deadline and len(cpu) < 200):
        started, started_cpu = time.perf_counter(), time.process_time()
        call()
        cpu.append(time.process_time() - started_cpu)
        wall.append(time.perf_counter() - started)
    shown = wall if job.device == 'cuda' else cpu
    return {
        'best': min(shown),
        'median': statistics.median(shown),
        'wall_best': min(wall),
        'repeats': len(cpu),
    }


def report(**row):
    print(json.dumps(row), flush=True)


def job_of_command_line():
    return Job(sys.argv[1])
