# What `npm install` compiles where no prebuilt binary loads. CMakeLists.txt builds the same for developers.
{
  "includes": ["native/sources.gypi"],
  "targets": [
    {
      "target_name": "ffjord",
      # The kernels first: they take longest to compile.
      "sources": [
        "<@(cpu_sources)",
        "<@(reference_sources)",
        "<@(core_sources)",
        "<@(binding_sources)"
      ],
      "include_dirs": [
        "native",
        "<!(node -p \"require('node-api-headers').include_dir\")",
        "<!(node -p \"require('node-addon-api').include_dir\")"
      ],
      "cflags_cc": ["<@(compile_flags)"],
      # The linker runs in build/.
      "ldflags": ["<@(link_flags)", "-Wl,--version-script=../native/exports.map"]
    }
  ]
}
