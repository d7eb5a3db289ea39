// The CUDA runtime API over the emulated device. Work on a stream runs as late as it may: when the
// host waits for it, so that what the host forgets to wait for, or gives up too early, shows.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "device.h"
#include "runtime_api.h"

namespace emulator {

using Work = std::function<cudaError_t()>;

struct Graph {
  std::vector<Work> work;
  std::vector<std::pair<std::size_t, unsigned>> conditions;  // (index, initial value)
  std::vector<std::shared_ptr<Graph>> bodies;
};

// Runs `work(argument)` while the host may touch the device's memory.
void with_memory(void (*work)(void*), void* argument) {
  const std::lock_guard lock(device().lock);
  const Opened opened(device().memory);
  work(argument);
}

struct Stream {
  // The first member, for other libraries that are handed a stream (test/distributed/nccl.cc).
  void (*const with_memory)(void (*work)(void*), void* argument) = emulator::with_memory;
  std::deque<Work> work;
  std::uint64_t put = 0, done = 0;  // numbers of work
  Graph* recording = nullptr;
  cudaError_t failure = cudaSuccess;
};

struct Event {
  Stream* stream = nullptr;
  std::uint64_t after = 0;  // the stream's work it stands behind
};

namespace {

using Lock = std::lock_guard<std::recursive_mutex>;

constexpr std::uint64_t kMostTrips = 1'000'000;

std::set<Stream*>& streams() {
  static auto& all = *new std::set<Stream*>;
  return all;
}

thread_local cudaError_t last_error = cudaSuccess;

cudaError_t report(cudaError_t status) {
  if (status != cudaSuccess && status != cudaErrorNotReady) last_error = status;
  return status;
}

cudaError_t run_until(Stream& stream, std::uint64_t number) {
  const Opened opened(device().memory);  // once for all of it
  while (stream.done < number && !stream.work.empty()) {
    const Work work = std::move(stream.work.front());
    stream.work.pop_front();
    const cudaError_t status = work();
    if (stream.failure == cudaSuccess) stream.failure = status;
    ++stream.done;
  }
  return std::exchange(stream.failure, cudaSuccess);
}

cudaError_t put(Stream* stream, Work work) {
  if (!streams().contains(stream))
    return report(cudaErrorInvalidResourceHandle);  // the default too
  if (stream->recording) {
    stream->recording->work.push_back(std::move(work));
    return cudaSuccess;
  }
  stream->work.push_back(std::move(work));
  ++stream->put;
  return device().configuration.eager ? report(run_until(*stream, stream->put)) : cudaSuccess;
}

cudaError_t run_graph(const Graph& graph) {
  for (const auto& [index, initial] : graph.conditions) device().conditions[index] = initial;
  for (const Work& work : graph.work)
    if (const cudaError_t status = work(); status != cudaSuccess) return status;
  return cudaSuccess;
}

cudaError_t run_while(std::size_t condition, const Graph& body) {
  for (std::uint64_t trips = 0; device().conditions[condition] != 0; ++trips) {
    if (trips == kMostTrips) {
      device().fault = "a loop of a graph does not end";
      return cudaErrorLaunchFailure;
    }
    if (const cudaError_t status = run_graph(body); status != cudaSuccess) return status;
  }
  return cudaSuccess;
}

Crossings crossed;

bool is_device_side(const void* address, std::size_t bytes) {
  return device().memory.holds(address, bytes);
}

bool is_host_side(const void* address) {
  return !device().memory.owns(reinterpret_cast<std::uintptr_t>(address));
}

}  // namespace

Crossings crossings() {
  const Lock lock(device().lock);
  return crossed;
}

std::uint64_t launches(const char* name) {
  const Lock lock(device().lock);
  return device().runs(name);
}

cudaError_t enqueue(Launch launch, cudaStream_t stream) {
  const Lock lock(device().lock);
  const auto& [grid, block, shared_bytes] = launch.shape;
  const std::size_t threads = static_cast<std::size_t>(block.x) * block.y * block.z;
  const std::size_t blocks = static_cast<std::size_t>(grid.x) * grid.y * grid.z;
  if (threads == 0 || threads > 1024 || blocks == 0 || grid.y > 65535 || grid.z > 65535 ||
      shared_bytes > 227 * 1024)
    return report(cudaErrorInvalidConfiguration);
  int processors = 0;
  cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, 0);
  const int resident =
      processors * resident_blocks_per_multiprocessor(static_cast<int>(threads), shared_bytes);
  if (launch.cooperative && blocks > static_cast<std::size_t>(resident))
    return report(cudaErrorCooperativeLaunchTooLarge);
  return put(stream, [launch = std::move(launch)] {
    return device().run(launch) ? cudaSuccess : cudaErrorLaunchFailure;
  });
}

// Two neighbouring integers may look like an address too; few of them are one.
bool is_mapped(std::uintptr_t address) {
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  unsigned char resident;
  return mincore(reinterpret_cast<void*>(address / page * page), 1, &resident) == 0;
}

bool holds_host_address(const void* argument, std::size_t bytes) {
  const Lock lock(device().lock);
  for (std::size_t i = 0; i + 8 <= bytes; i += 8) {
    std::uintptr_t word;
    std::memcpy(&word, static_cast<const unsigned char*>(argument) + i, 8);
    const bool looks_like_one = word >= 0x500000000000 && word < 0x800000000000;
    if (looks_like_one && is_mapped(word) && !device().memory.owns(word) &&
        !device().is_pinned(word))
      return true;
  }
  return false;
}

cudaError_t refuse_argument(const char* name, std::size_t position) {
  const Lock lock(device().lock);
  device().fault = std::string("kernel ") + name + ": argument " + std::to_string(position) +
                   " holds an address of the host";
  return report(cudaErrorLaunchFailure);
}

int resident_blocks_per_multiprocessor(int threads, std::size_t shared_bytes) {
  const std::size_t by_memory = shared_bytes == 0 ? 2 : 227 * 1024 / (shared_bytes + 1024);
  return static_cast<int>(
      std::min<std::size_t>({2, by_memory, 2048u / static_cast<unsigned>(threads)}));
}

}  // namespace emulator

using emulator::device;
using emulator::Lock;
using emulator::put;
using emulator::report;
using emulator::run_graph;
using emulator::run_until;

// Devices and errors

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* index) {
  *index = 0;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int index) {
  return report(index == 0 ? cudaSuccess : cudaErrorInvalidDevice);
}
cudaError_t cudaDriverGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) { return cudaDriverGetVersion(version); }
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  std::strcpy(properties->name, "emulated on the host");
  return cudaSuccess;
}
// Every process has an emulated card of its own; for checks the environment gives one to several.
cudaError_t cudaDeviceGetPCIBusId(char* place, int length, int) {
  const char* const shared = std::getenv("FFJORD_EMULATOR_PLACE");
  std::snprintf(place, length, "%s", shared ? shared : std::to_string(getpid()).c_str());
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  switch (attribute) {
    case cudaDevAttrMultiProcessorCount:
      *value = 4;
      break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = 227 * 1024;
      break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
      *value = 228 * 1024;
      break;
    case cudaDevAttrComputeCapabilityMajor:
      *value = device().configuration.capability / 10;
      break;
    case cudaDevAttrComputeCapabilityMinor:
      *value = device().configuration.capability % 10;
      break;
    case cudaDevAttrCooperativeLaunch:
      *value = 1;
      break;
    case cudaDevAttrL2CacheSize:
      *value = 50 << 20;
      break;
    case cudaDevAttrMemoryPoolsSupported:
      *value = 1;
      break;
    case cudaDevAttrMpsEnabled:
      *value = 0;
      break;
  }
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  const Lock lock(device().lock);
  *total = device().memory.capacity();
  *free = *total - device().memory.used();
  return cudaSuccess;
}
cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int) {
  *pool = nullptr;
  return cudaSuccess;
}
cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void*) { return cudaSuccess; }
// Nothing that was given back is held.
cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t, cudaMemPoolAttr, void* value) {
  *static_cast<std::uint64_t*>(value) = 0;
  return cudaSuccess;
}
cudaError_t cudaMemPoolTrimTo(cudaMemPool_t, std::size_t) { return cudaSuccess; }

cudaError_t cudaGetLastError() { return std::exchange(emulator::last_error, cudaSuccess); }
cudaError_t cudaPeekAtLastError() { return emulator::last_error; }
const char* cudaGetErrorName(cudaError_t status) {
  switch (status) {
    case cudaSuccess:
      return "cudaSuccess";
    case cudaErrorInvalidValue:
      return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidConfiguration:
      return "cudaErrorInvalidConfiguration";
    case cudaErrorInsufficientDriver:
      return "cudaErrorInsufficientDriver";
    case cudaErrorNoDevice:
      return "cudaErrorNoDevice";
    case cudaErrorInvalidDevice:
      return "cudaErrorInvalidDevice";
    case cudaErrorInvalidResourceHandle:
      return "cudaErrorInvalidResourceHandle";
    case cudaErrorNotReady:
      return "cudaErrorNotReady";
    case cudaErrorLaunchFailure:
      return "cudaErrorLaunchFailure";
    case cudaErrorCooperativeLaunchTooLarge:
      return "cudaErrorCooperativeLaunchTooLarge";
    case cudaErrorStreamCaptureUnsupported:
      return "cudaErrorStreamCaptureUnsupported";
  }
  return "unknown";
}
const char* cudaGetErrorString(cudaError_t status) {
  if (status != cudaErrorLaunchFailure) return cudaGetErrorName(status);
  const Lock lock(device().lock);
  thread_local std::string fault;
  fault = device().fault;
  return fault.c_str();
}

// Memory

cudaError_t cudaMallocAsync(void** memory, std::size_t bytes, cudaStream_t stream) {
  const Lock lock(device().lock);
  if (!emulator::streams().contains(stream)) return report(cudaErrorInvalidResourceHandle);
  if (stream->recording) return report(cudaErrorStreamCaptureUnsupported);
  *memory = device().memory.allocate(bytes);
  if (*memory) return cudaSuccess;
  for (emulator::Stream* each : emulator::streams()) {  // what was freed but not run yet
    const cudaError_t status = run_until(*each, each->put);
    if (status != cudaSuccess) each->failure = status;
  }
  *memory = device().memory.allocate(bytes);
  return report(*memory ? cudaSuccess : cudaErrorMemoryAllocation);
}
cudaError_t cudaFreeAsync(void* memory, cudaStream_t stream) {
  const Lock lock(device().lock);
  if (stream && stream->recording) return report(cudaErrorStreamCaptureUnsupported);
  return put(stream,
             [=] { return device().memory.release(memory) ? cudaSuccess : cudaErrorInvalidValue; });
}
cudaError_t cudaMallocHost(void** memory, std::size_t bytes) {
  const Lock lock(device().lock);
  *memory = std::malloc(bytes);
  std::memset(*memory, emulator::kPoison, bytes);
  device().pinned.emplace(reinterpret_cast<std::uintptr_t>(*memory), bytes);
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void* memory) {
  const Lock lock(device().lock);
  const auto found = device().pinned.find(reinterpret_cast<std::uintptr_t>(memory));
  if (found == device().pinned.end()) return report(cudaErrorInvalidValue);
  // Memory is freed, as CUDA frees it, only once nothing can use it any more.
  for (emulator::Stream* each : emulator::streams()) {
    const cudaError_t status = run_until(*each, each->put);
    if (status != cudaSuccess) each->failure = status;
  }
  device().pinned.erase(found);
  std::free(memory);
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* target, const void* source, std::size_t bytes,
                            cudaMemcpyKind kind, cudaStream_t stream) {
  const Lock lock(device().lock);
  const bool to_device = kind != cudaMemcpyDeviceToHost,
             from_device = kind != cudaMemcpyHostToDevice;
  if (!from_device) emulator::crossed.to_device += bytes;
  if (!to_device) emulator::crossed.to_host += bytes;
  const auto copies = [=](const void* from) {
    return [=] {
      if (to_device ? !emulator::is_device_side(target, bytes) : !emulator::is_host_side(target))
        return cudaErrorInvalidValue;
      if (from_device ? !emulator::is_device_side(from, bytes) : !emulator::is_host_side(from))
        return cudaErrorInvalidValue;
      const emulator::Opened opened(device().memory);
      std::memcpy(target, from, bytes);
      return cudaSuccess;
    };
  };
  const bool recording = emulator::streams().contains(stream) && stream->recording;
  const auto is_pinned = [](const void* address) {
    return device().is_pinned(reinterpret_cast<std::uintptr_t>(address));
  };
  if (kind == cudaMemcpyHostToDevice && !recording && !is_pinned(source)) {
    if (!emulator::is_host_side(source)) return report(cudaErrorInvalidValue);
    const auto* first = static_cast<const unsigned char*>(source);
    const auto staged = std::make_shared<std::vector<unsigned char>>(first, first + bytes);
    return put(stream, [=] { return copies(staged->data())(); });
  }
  const cudaError_t status = put(stream, copies(source));
  if (status != cudaSuccess || kind != cudaMemcpyDeviceToHost || recording || is_pinned(target))
    return status;
  return report(run_until(*stream, stream->put));
}
cudaError_t cudaMemcpy2DAsync(void* target, std::size_t target_pitch, const void* source,
                              std::size_t source_pitch, std::size_t width, std::size_t height,
                              cudaMemcpyKind kind, cudaStream_t stream) {
  for (std::size_t row = 0; row < height; ++row) {
    const cudaError_t status = cudaMemcpyAsync(
        static_cast<unsigned char*>(target) + row * target_pitch,
        static_cast<const unsigned char*>(source) + row * source_pitch, width, kind, stream);
    if (status != cudaSuccess) return status;
  }
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* memory, int byte, std::size_t bytes, cudaStream_t stream) {
  const Lock lock(device().lock);
  return put(stream, [=] {
    if (!emulator::is_device_side(memory, bytes)) return cudaErrorInvalidValue;
    const emulator::Opened opened(device().memory);
    std::memset(memory, byte, bytes);
    return cudaSuccess;
  });
}

cudaError_t cudaMemset2DAsync(void* memory, std::size_t pitch, int byte, std::size_t width,
                              std::size_t height, cudaStream_t stream) {
  for (std::size_t row = 0; row < height; ++row) {
    const cudaError_t status =
        cudaMemsetAsync(static_cast<unsigned char*>(memory) + row * pitch, byte, width, stream);
    if (status != cudaSuccess) return status;
  }
  return cudaSuccess;
}

// Streams and events

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  const Lock lock(device().lock);
  *stream = new emulator::Stream;
  emulator::streams().insert(*stream);
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const Lock lock(device().lock);
  const cudaError_t status = run_until(*stream, stream->put);
  if (status != cudaSuccess)
    std::fprintf(stderr, "emulator: nobody waited for work that failed: %s\n",
                 cudaGetErrorString(status));
  emulator::streams().erase(stream);
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  const Lock lock(device().lock);
  if (!emulator::streams().contains(stream)) return report(cudaErrorInvalidResourceHandle);
  if (stream->recording) return report(cudaErrorStreamCaptureUnsupported);
  return report(run_until(*stream, stream->put));
}
cudaError_t cudaStreamQuery(cudaStream_t stream) {
  const Lock lock(device().lock);
  if (stream->done == stream->put) return cudaSuccess;
  const cudaError_t status = run_until(*stream, stream->done + 1);
  return report(status == cudaSuccess ? cudaErrorNotReady : status);
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  const Lock lock(device().lock);
  emulator::Stream* other = event->stream;
  const std::uint64_t after = event->after;
  if (!other || other == stream) return cudaSuccess;
  return put(stream, [=] {
    return emulator::streams().contains(other) ? run_until(*other, after) : cudaSuccess;
  });
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new emulator::Event;
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  const Lock lock(device().lock);
  if (!emulator::streams().contains(stream)) return report(cudaErrorInvalidResourceHandle);
  *event = {stream, stream->put};
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  const Lock lock(device().lock);
  if (!event->stream || !emulator::streams().contains(event->stream)) return cudaSuccess;
  return report(run_until(*event->stream, event->after));
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
  const Lock lock(device().lock);
  emulator::Stream* stream = event->stream;
  if (!stream || !emulator::streams().contains(stream) || stream->done >= event->after)
    return cudaSuccess;
  const cudaError_t status = run_until(*stream, stream->done + 1);
  return report(status == cudaSuccess ? cudaErrorNotReady : status);
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t, cudaEvent_t) {
  *milliseconds = 0;  // an emulated time would mean nothing
  return cudaSuccess;
}

// Graphs: a list of work, in which a conditional node is a loop of the host

cudaError_t cudaGraphCreate(cudaGraph_t* graph, unsigned) {
  *graph = new emulator::Graph;
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
cudaError_t cudaGraphConditionalHandleCreate(cudaGraphConditionalHandle* handle, cudaGraph_t graph,
                                             unsigned initial, unsigned) {
  const Lock lock(device().lock);
  *handle = device().conditions.size();
  device().conditions.push_back(initial);
  graph->conditions.emplace_back(*handle, initial);
  return cudaSuccess;
}
cudaError_t cudaGraphAddNode(cudaGraphNode_t* node, cudaGraph_t graph, const cudaGraphNode_t*,
                             const void*, std::size_t, cudaGraphNodeParams* parameters) {
  const auto body = std::make_shared<emulator::Graph>();
  graph->bodies.push_back(body);
  const std::size_t condition = parameters->conditional.handle;
  if (parameters->conditional.type == cudaGraphCondTypeWhile)
    graph->work.push_back([=] { return emulator::run_while(condition, *body); });
  else
    graph->work.push_back(
        [=] { return device().conditions[condition] ? run_graph(*body) : cudaSuccess; });
  thread_local cudaGraph_t bodies[1];
  bodies[0] = body.get();
  parameters->conditional.phGraph_out = bodies;
  *node = body.get();
  return cudaSuccess;
}
cudaError_t cudaStreamBeginCaptureToGraph(cudaStream_t stream, cudaGraph_t graph,
                                          const cudaGraphNode_t*, const void*, std::size_t,
                                          cudaStreamCaptureMode) {
  const Lock lock(device().lock);
  stream->recording = graph;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  const Lock lock(device().lock);
  *graph = std::exchange(stream->recording, nullptr);
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph,
                                 unsigned long long) {
  *executable = new emulator::Graph(*graph);
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete executable;
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  const Lock lock(device().lock);
  const auto graph = std::make_shared<emulator::Graph>(*executable);
  return put(stream, [=] { return run_graph(*graph); });
}
void cudaGraphSetConditional(cudaGraphConditionalHandle handle, unsigned value) {
  device().conditions[handle] = value;
}
