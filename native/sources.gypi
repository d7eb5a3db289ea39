{
  "variables": {
    "cpu_sources": [
      "native/cpu/isa_avx2.cc",
      "native/cpu/isa_avx512.cc",
      "native/cpu/isa_baseline.cc",
      "native/cpu/adjoint.cc",
      "native/cpu/adjoint_gradients.cc",
      "native/cpu/checkpoint.cc",
      "native/cpu/context_tiles.cc",
      "native/cpu/cpu_block.cc",
      "native/cpu/cpu_engine.cc",
      "native/cpu/flow_solve.cc",
      "native/cpu/instruction_sets.cc",
      "native/cpu/joint_solve.cc",
      "native/cpu/processors.cc",
      "native/cpu/row_pullback.cc",
      "native/cpu/row_solve.cc",
      "native/cpu/step_pullback.cc",
      "native/cpu/thread_pool.cc",
      "native/cpu/tile_step.cc",
      "native/cpu/velocity.cc"
    ],
    "reference_sources": [
      "native/reference/adjoint.cc",
      "native/reference/bottleneck.cc",
      "native/reference/checkpoint.cc",
      "native/reference/closed_trace.cc",
      "native/reference/dynamics.cc",
      "native/reference/integrate.cc",
      "native/reference/layer.cc",
      "native/reference/linear_map.cc",
      "native/reference/network.cc",
      "native/reference/reference_block.cc",
      "native/reference/reference_engine.cc",
      "native/reference/regularisers.cc",
      "native/reference/row_system.cc"
    ],
    "core_sources": [
      "native/core/assignment.cc",
      "native/core/certify.cc",
      "native/core/flow_description.cc",
      "native/core/flow_matching.cc",
      "native/core/host_flow.cc",
      "native/core/objectives.cc",
      "native/core/options.cc",
      "native/core/parameters.cc",
      "native/core/regularisers.cc",
      "native/core/step_control.cc",
      "native/core/step_weights.cc",
      "native/core/stiffness.cc",
      "native/core/tableau.cc",
      "native/core/trace_plan.cc",
      "native/core/training.cc"
    ],
    "cuda_sources": [
      "native/cuda/device.cu",
      "native/cuda/gather.cu"
    ],
    "binding_sources": [
      "native/binding/addon.cc",
      "native/binding/arguments.cc",
      "native/binding/density_jobs.cc",
      "native/binding/engines.cc",
      "native/binding/environment.cc",
      "native/binding/errors.cc",
      "native/binding/flow_object.cc",
      "native/binding/handles.cc",
      "native/binding/mailbox.cc",
      "native/binding/measure.cc",
      "native/binding/odeint.cc",
      "native/binding/requests.cc",
      "native/binding/results.cc",
      "native/binding/solve_jobs.cc",
      "native/binding/training_jobs.cc",
      "native/binding/worker.cc"
    ],
    "cuda_architectures": ["75-real", "80-real", "86-real", "89-real", "90-real", "100-real", "120"],
    "cuda_flags": ["-std=c++20", "--expt-relaxed-constexpr", "-Xcompiler=-fvisibility=hidden"],
    "compile_flags": [
      "-std=c++20",
      "-pthread",
      "-fvisibility=hidden",
      "-fvisibility-inlines-hidden",
      "-ffunction-sections",
      "-fdata-sections",
      "-fno-math-errno"
    ],
    "link_flags": [
      "-pthread",
      "-Wl,--gc-sections",
      "-static-libstdc++",
      "-static-libgcc"
    ]
  }
}
