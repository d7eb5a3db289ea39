// The end of an attempt in one kernel: its rows are finished, their groups judge it, and what is
// accepted becomes the state.
#pragma once

#include "cuda/step/control.h"

namespace ffjord::cuda {

/// Which of it a launch does. Where an interpolant takes a rate at the end of the step that no
/// stage is, both come apart, with that rate between them. Of the verdict on a batch that other
/// processes have rows of only what it measures is done: judge_batch follows.
enum class Conclusion { Measures, Verdict, Acceptance, Both };

/// How many blocks the device holds at once. A batch that steps together has no more: its blocks
/// wait for each other, under a recorded loop too.
int resident_conclusions();

/// end ← y + h Σ b_i k_i with the error h Σ e_i k_i; the verdict of the groups and their next h;
/// where the attempt was accepted the tape, the stops that it passed, y ← its end, k₀ ← its last
/// stage.
void conclude_attempt(const StepArrays& arrays, const DeviceTableau& tableau,
                      const ControlArguments& control, int resident, Conclusion part,
                      const Stream& stream);

}  // namespace ffjord::cuda
