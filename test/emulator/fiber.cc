#include "fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <new>

#if defined(__x86_64__)
// Registers that a called function keeps: rbx, rbp, r12-r15 and the stack pointer.
asm(R"(
.text
.p2align 4
.type ffjord_emulator_switch,@function
ffjord_emulator_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size ffjord_emulator_switch,.-ffjord_emulator_switch
)");
#elif defined(__aarch64__)
// x19-x30, d8-d15 and the stack pointer.
asm(R"(
.text
.p2align 4
.type ffjord_emulator_switch,%function
ffjord_emulator_switch:
  sub sp, sp, #160
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
.size ffjord_emulator_switch,.-ffjord_emulator_switch
)");
#else
#error "the emulator switches stacks on x86-64 and aarch64"
#endif

extern "C" __attribute__((visibility("hidden"))) void ffjord_emulator_switch(void** from, void* to);

namespace emulator {

void switch_stacks(void** from, void* to) { ffjord_emulator_switch(from, to); }

void Stacks::grow(std::size_t count) {
  for (; count_ < count; count_ += kBatch) {
    if (count_ / kBatch == sizeof batches_ / sizeof *batches_) throw std::bad_alloc();
    void* batch = mmap(nullptr, kBatch * kBytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (batch == MAP_FAILED) throw std::bad_alloc();
    auto* bytes = static_cast<unsigned char*>(batch);
    for (std::size_t i = 0; i < kBatch; ++i) mprotect(bytes + i * kBytes, kPage, PROT_NONE);
    batches_[count_ / kBatch] = bytes;
  }
}

void* Stacks::prepare(std::size_t index, void (*entry)()) {
  grow(index + 1);
  // Tops at different places of a page, so that the stacks of a warp do not share cache sets.
  unsigned char* top =
      batches_[index / kBatch] + (index % kBatch + 1) * kBytes - (index % 61) * 64 - 64;
  auto* words = reinterpret_cast<std::uintptr_t*>(top);
#if defined(__x86_64__)
  words[-1] = 0;  // where `entry` would return to; keeps the stack aligned as after a call
  words[-2] = reinterpret_cast<std::uintptr_t>(entry);
  for (int i = 3; i <= 8; ++i) words[-i] = 0;
  return words - 8;
#else
  for (int i = 1; i <= 20; ++i) words[-i] = 0;
  words[-20 + 11] = reinterpret_cast<std::uintptr_t>(entry);  // x30
  return words - 20;
#endif
}

}  // namespace emulator
