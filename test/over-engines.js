// The suites that run over every engine on hand: also over the emulated card (jest.config.js), and over a real one
// (scripts/gpu.sh).
module.exports = [
  'bottleneck',
  'context',
  'control',
  'convolutions',
  'divided-batch',
  'fit',
  'flow',
  'flow-matching',
  'golden',
  'image-visits',
  'model-file',
  'one-score',
  'optimizer',
  'regularisers',
  'reverse-kl',
  'small-net',
  'spectral-norm',
  'vae',
  'vae-model'
]
