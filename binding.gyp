# What `npm install` compiles where no prebuilt binary loads. CMakeLists.txt builds the same for developers.
# The CUDA engine is part of it with FFJORD_CUDA=1 (scripts/nvcc.js).
{
  "includes": ["native/sources.gypi"],
  "variables": { "with_cuda": "<!(node -p \"require('./scripts/nvcc.js').wantsCuda()\")" },
  "targets": [
    {
      "target_name": "ffjord",
      # The kernels first: they take longest to compile.
      "sources": [
        "<@(cpu_sources)",
        "<@(reference_sources)",
        "<@(core_sources)",
        "<@(distributed_sources)",
        "<@(binding_sources)"
      ],
      "include_dirs": [
        "native",
        "<!(node -p \"require('node-api-headers').include_dir\")",
        "<!(node -p \"require('node-addon-api').include_dir\")"
      ],
      "cflags_cc": ["<@(compile_flags)"],
      # The linker runs in build/.
      "ldflags": ["<@(link_flags)", "-Wl,--version-script=../native/exports.map"],
      "conditions": [
        ["with_cuda == 'true'", {
          "sources": ["<@(cuda_sources)"],
          "defines": ["FFJORD_CUDA"],
          "libraries": ["<!@(node -p \"require('./scripts/nvcc.js').libraries().join(' ')\")"],
          "rules": [
            {
              "rule_name": "nvcc",
              "extension": "cu",
              "inputs": ["scripts/nvcc.js", "native/sources.gypi"],
              "outputs": ["<(INTERMEDIATE_DIR)/<(RULE_INPUT_ROOT).cu.o"],
              "action": ["node", "scripts/nvcc.js", "<(RULE_INPUT_PATH)", "<@(_outputs)"],
              "process_outputs_as_sources": 1
            }
          ]
        }]
      ]
    }
  ]
}
