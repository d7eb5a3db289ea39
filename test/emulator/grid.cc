#include "grid.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "device_functions.h"
#include "memory.h"

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace emulator {
namespace {

struct Block;

struct Thread {
  void* stack_pointer;
  Block* block;
  uint3 index;
  unsigned number;  // within the block
  bool finished;
  const char* waits_at;
  int copy_group;
  std::vector<PendingCopy> copies;
  ThreadProducts products;
};

// Lanes that wait for each other at a warp operation.
struct Meeting {
  unsigned mask, arrived;
  Complete complete;
  const char* operation;
  void* given[32];
};

struct Warp {
  Thread* threads[32];
  unsigned lanes;  // that exist
  std::vector<Meeting> meetings;
};

// Threads of a warpgroup that wait for each other.
struct GroupMeeting {
  unsigned arrived = 0;
  CompleteGroup complete = nullptr;
  void* given[kWarpgroup];
};

struct Block {
  uint3 index;
  std::vector<Thread> threads;
  std::vector<Warp> warps;
  std::vector<GroupMeeting> warpgroups;
  std::vector<unsigned char> memory;  // shared, between guard zones
  unsigned char* shared;
  unsigned finished;
  // The barrier of all threads.
  unsigned arrived, votes;
  int outcome;
};

constexpr std::size_t kSharedGuard = 256;

struct Grid {
  const Launch* launch = nullptr;
  Schedule schedule;
  std::minstd_rand random;
  Stacks stacks;
  std::vector<Block> blocks;   // that run at once
  std::vector<Thread*> ready;  // a ring
  std::size_t head = 0, count = 0;
  std::size_t arrived = 0, threads = 0;  // at sync_grid, of all
  Thread* current = nullptr;
  void* scheduler_stack = nullptr;
  std::string failure;

  void push(Thread* thread) {
    thread->waits_at = nullptr;
    ready[(head + count++) % ready.size()] = thread;
  }
  Thread* pop() {
    if (count == 0) return nullptr;
    --count;
    if (schedule.kind == Schedule::Reversed) return ready[(head + count) % ready.size()];
    if (schedule.kind == Schedule::Seeded)
      std::swap(ready[head], ready[(head + random() % (count + 1)) % ready.size()]);
    Thread* thread = ready[head];
    head = (head + 1) % ready.size();
    return thread;
  }
};

Grid grid;  // one device, and its owner holds a lock while it runs

void enter(Thread* thread) {
  grid.current = thread;
  threadIdx = thread->index;
  blockIdx = thread->block->index;
}

// Goes on with the next thread that can run, or with the scheduler where none can.
void leave(void** place) {
  if (Thread* next = grid.pop()) {
    if (next == grid.current) return;
    enter(next);
    switch_stacks(place, next->stack_pointer);
  } else {
    switch_stacks(place, grid.scheduler_stack);
  }
}

void wait(const char* operation) {
  grid.current->waits_at = operation;
  leave(&grid.current->stack_pointer);
}

template <class Each>
void wake(std::size_t count, Each thread_of) {
  for (std::size_t i = 0; i < count; ++i) {
    Thread* thread = thread_of(i);
    if (thread && thread != grid.current) grid.push(thread);
  }
}

void run_thread() {
  std::string thrown;
  try {
    grid.launch->kernel();
  } catch (const std::exception& error) {
    thrown = std::string("threw ") + error.what();
  }
  if (!thrown.empty()) fail(thrown);
  Thread& thread = *grid.current;
  thread.finished = true;
  ++thread.block->finished;
  if (thread.block->arrived > 0) fail("a thread ends while others wait at __syncthreads");
  leave(&thread.stack_pointer);
}

std::string place_of(const Thread& thread) {
  const uint3 t = thread.index, b = thread.block->index;
  char place[120];
  std::snprintf(place, sizeof place, "thread (%u, %u, %u) of block (%u, %u, %u)", t.x, t.y, t.z,
                b.x, b.y, b.z);
  return place;
}

void set_up(Block& block, uint3 index, std::size_t first_stack) {
  const Shape& shape = grid.launch->shape;
  const unsigned count = shape.block.x * shape.block.y * shape.block.z;
  block.index = index;
  block.finished = block.arrived = block.votes = 0;
  block.threads.resize(count);
  block.warps.resize((count + 31) / 32);
  block.warpgroups.assign(count / kWarpgroup, {});
  for (Warp& warp : block.warps) {
    warp.lanes = 0;
    warp.meetings.clear();
  }
  for (unsigned i = 0; i < count; ++i) {
    Thread& thread = block.threads[i];
    thread.stack_pointer = grid.stacks.prepare(first_stack + i, run_thread);
    thread.block = &block;
    thread.index = {i % shape.block.x, i / shape.block.x % shape.block.y,
                    i / (shape.block.x * shape.block.y)};
    thread.number = i;
    thread.finished = false;
    thread.copy_group = 0;
    thread.copies.clear();
    thread.products = {};
    Warp& warp = block.warps[i / 32];
    warp.threads[i % 32] = &thread;
    warp.lanes |= 1u << i % 32;
  }
  block.memory.resize(shape.shared_bytes + 2 * kSharedGuard + 128);
  auto address = reinterpret_cast<std::uintptr_t>(block.memory.data()) + kSharedGuard;
  block.shared = reinterpret_cast<unsigned char*>((address + 127) / 128 * 128);
  write_guard(block.shared - kSharedGuard, kSharedGuard);
  std::memset(block.shared, kPoison, shape.shared_bytes);
  const std::size_t even = shape.shared_bytes + (shape.shared_bytes & 1);
  write_guard(block.shared + even, kSharedGuard - (even - shape.shared_bytes));
}

// Runs blocks [first, first + count) at once.
void run_blocks(std::size_t first, std::size_t count) {
  const Shape& shape = grid.launch->shape;
  const std::size_t block_threads = shape.block.x * shape.block.y * shape.block.z;
  const std::size_t all = static_cast<std::size_t>(shape.grid.x) * shape.grid.y * shape.grid.z;
  grid.blocks.resize(count);
  grid.threads = count * block_threads;
  grid.ready.resize(grid.threads + 1);
  grid.head = grid.count = grid.arrived = 0;
  for (std::size_t b = 0; b < count; ++b) {
    const std::size_t i =
        grid.schedule.kind == Schedule::Reversed ? all - 1 - (first + b) : first + b;
    const uint3 index = {static_cast<unsigned>(i % shape.grid.x),
                         static_cast<unsigned>(i / shape.grid.x % shape.grid.y),
                         static_cast<unsigned>(i / shape.grid.x / shape.grid.y)};
    set_up(grid.blocks[b], index, b * block_threads);
    for (Thread& thread : grid.blocks[b].threads) grid.push(&thread);
  }
  if (Thread* thread = grid.pop()) {
    enter(thread);
    switch_stacks(&grid.scheduler_stack, thread->stack_pointer);
  }
  for (const Block& block : grid.blocks) {
    for (const Thread& thread : block.threads)
      if (!thread.finished && grid.failure.empty())
        grid.failure = place_of(thread) + " waits forever at " + thread.waits_at;
    const std::size_t bytes = shape.shared_bytes, rest = bytes & 1;
    if (grid.failure.empty() && !(guard_is_whole(block.shared - kSharedGuard, kSharedGuard) &&
                                  guard_is_whole(block.shared + bytes + rest, kSharedGuard - rest)))
      grid.failure = "wrote outside of the block's shared memory";
  }
}

}  // namespace

std::string run_grid(const Launch& launch, const Schedule& schedule) {
  grid.launch = &launch;
  grid.schedule = schedule;
  grid.random.seed(static_cast<unsigned>(schedule.seed + 1));
  grid.failure.clear();
  blockDim = launch.shape.block;
  gridDim = launch.shape.grid;
  const std::size_t all = static_cast<std::size_t>(gridDim.x) * gridDim.y * gridDim.z;
  const std::size_t together = launch.cooperative ? all : 1;
  for (std::size_t first = 0; first < all && grid.failure.empty(); first += together)
    run_blocks(first, together);
  return grid.failure;
}

void fail(const std::string& reason) {
  grid.failure = place_of(*grid.current) + ": " + reason;
  switch_stacks(&grid.current->stack_pointer, grid.scheduler_stack);
  __builtin_unreachable();
}

unsigned whole_warp() { return grid.current->block->warps[grid.current->number / 32].lanes; }

void meet_warp(unsigned mask, void* given, Complete complete, const char* operation) {
  Thread& thread = *grid.current;
  Warp& warp = thread.block->warps[thread.number / 32];
  const unsigned bit = 1u << thread.number % 32;
  mask &= warp.lanes;
  if (!(mask & bit)) fail(std::string(operation) + " with a mask that leaves out the lane itself");
  auto meeting = std::find_if(warp.meetings.begin(), warp.meetings.end(),
                              [&](const Meeting& one) { return one.mask & mask; });
  if (meeting == warp.meetings.end()) {
    warp.meetings.push_back({mask, 0, complete, operation, {}});
    meeting = std::prev(warp.meetings.end());
  }
  if (meeting->mask != mask || meeting->complete != complete)
    fail("lanes of one mask are at different operations: " + std::string(operation) + ", " +
         meeting->operation);
  meeting->given[thread.number % 32] = given;
  meeting->arrived |= bit;
  if (meeting->arrived != mask) return wait(operation);
  complete(meeting->given);
  *meeting = warp.meetings.back();
  warp.meetings.pop_back();
  wake(32, [&](std::size_t i) { return mask >> i & 1 ? warp.threads[i] : nullptr; });
}

void meet_warpgroup(void* given, CompleteGroup complete, const char* operation) {
  Thread& thread = *grid.current;
  Block& block = *thread.block;
  const unsigned number = thread.number / kWarpgroup;
  if (number >= block.warpgroups.size())
    fail(std::string(operation) + " in a warpgroup of fewer than 128 threads");
  GroupMeeting& meeting = block.warpgroups[number];
  if (meeting.arrived > 0 && meeting.complete != complete)
    fail("threads of a warpgroup are at different operations: " + std::string(operation));
  meeting.complete = complete;
  meeting.given[thread.number % kWarpgroup] = given;
  if (++meeting.arrived < kWarpgroup) return wait(operation);
  meeting.arrived = 0;
  complete(meeting.given);
  wake(kWarpgroup, [&](std::size_t i) { return &block.threads[number * kWarpgroup + i]; });
}

SharedMemory block_memory() {
  return {grid.current->block->shared, grid.launch->shape.shared_bytes};
}

bool copies_early() { return grid.schedule.copies_early(); }

ThreadProducts& products_of_thread() { return grid.current->products; }

int sync_block(Vote vote, int predicate) {
  Thread& thread = *grid.current;
  Block& block = *thread.block;
  if (block.finished > 0) fail("__syncthreads after a thread of the block has ended");
  block.votes += predicate != 0;
  if (++block.arrived < block.threads.size()) {
    wait("__syncthreads");
    return block.outcome;
  }
  const unsigned all = static_cast<unsigned>(block.threads.size());
  block.outcome = vote == Vote::Or    ? block.votes > 0
                  : vote == Vote::And ? block.votes == all
                                      : static_cast<int>(block.votes);
  block.arrived = block.votes = 0;
  wake(all, [&](std::size_t i) { return &block.threads[i]; });
  return block.outcome;
}

void sync_block() { sync_block(Vote::Count, 0); }

void sync_grid() {
  if (!grid.launch->cooperative) fail("sync_grid in a launch that is not cooperative");
  if (++grid.arrived < grid.threads) return wait("sync_grid");
  grid.arrived = 0;
  for (Block& block : grid.blocks)
    wake(block.threads.size(), [&](std::size_t i) { return &block.threads[i]; });
}

void pass() {
  grid.push(grid.current);
  leave(&grid.current->stack_pointer);
}

int lane() { return static_cast<int>(grid.current->number % 32); }

void trap(const char* reason) { fail(reason); }

void* shared_memory(std::size_t bytes, std::size_t alignment) {
  if (bytes > grid.launch->shape.shared_bytes)
    fail("takes " + std::to_string(bytes) + " bytes of shared memory, was launched with " +
         std::to_string(grid.launch->shape.shared_bytes));
  if (alignment > 128) fail("shared memory is aligned to 128 bytes at most");
  return grid.current->block->shared;
}

void copy_async(void* shared, const void* global, int bytes) {
  const auto unaligned = [=](const void* address) {
    return reinterpret_cast<std::uintptr_t>(address) % static_cast<unsigned>(bytes) != 0;
  };
  if (unaligned(shared) || unaligned(global)) fail("an asynchronous copy that is not aligned");
  if (grid.schedule.copies_early()) {
    std::memcpy(shared, global, static_cast<std::size_t>(bytes));
    return;
  }
  Thread& thread = *grid.current;
  thread.copies.push_back({shared, global, bytes, thread.copy_group});
}

void commit_copies() { ++grid.current->copy_group; }

void wait_for_copies(int pending) {
  Thread& thread = *grid.current;
  const auto due = [&](const PendingCopy& copy) {
    return copy.group < thread.copy_group - pending;
  };
  for (const PendingCopy& copy : thread.copies)
    if (due(copy)) std::memcpy(copy.target, copy.source, static_cast<std::size_t>(copy.bytes));
  std::erase_if(thread.copies, due);
}

}  // namespace emulator
