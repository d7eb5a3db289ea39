{
  "target_defaults": {
    "default_configuration": "Release",
    "configurations": {
      "Debug": { "cflags": ["-g", "-O0"] },
      "Release": { "cflags": ["-O3"], "defines": ["NDEBUG"] }
    }
  }
}
