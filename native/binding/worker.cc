#include "binding/worker.h"

#include <unordered_set>

#include "binding/engines.h"

namespace ffjord::binding {
namespace {

// All workers of the process that have a thread. process.exit() and uncaught exceptions run no
// cleanup hooks, so this object's end is what keeps threads from computing while the process is
// torn down. What jobs use outlives it: the engines are made here, and what these have besides is
// built when the addon is loaded or has no destructor (scripts/check-lifetimes.js holds them to
// it).
class LiveWorkers {
 public:
  LiveWorkers() { engines(); }
  static LiveWorkers& all() {
    static LiveWorkers workers;
    return workers;
  }
  ~LiveWorkers() {
    const std::lock_guard lock(mutex_);
    for (Worker* worker : workers_) worker->halt();
    for (Worker* worker : workers_) worker->join();
  }
  void add(Worker* worker) {
    const std::lock_guard lock(mutex_);
    workers_.insert(worker);
  }
  void remove(Worker* worker) {
    const std::lock_guard lock(mutex_);
    workers_.erase(worker);
  }

 private:
  std::mutex mutex_;
  std::unordered_set<Worker*> workers_;
};

}  // namespace

Worker::~Worker() {
  abandon();
  join();
  LiveWorkers::all().remove(this);
}

void Worker::push(PendingCall call) {
  PendingCalls node;
  node.push_back(std::move(call));
  {
    const std::lock_guard lock(mutex_);
    if (!thread_.joinable()) {
      LiveWorkers::all().add(this);
      thread_ = std::thread([this] { loop(); });
    }
    waiting_.splice(waiting_.end(), node);
  }
  wake_.notify_one();
}

void Worker::wait_until_idle() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return waiting_.empty() && running_.empty(); });
}

void Worker::finish() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_one();
}

void Worker::abandon() {
  PendingCalls dropped;  // destroyed here, outside the lock
  {
    const std::lock_guard lock(mutex_);
    dropped.swap(waiting_);
    for (PendingCall& call : running_) call.job->request_stop();
  }
  finish();
}

void Worker::halt() {
  {
    const std::lock_guard lock(mutex_);
    halted_ = true;
    for (PendingCall& call : running_) call.job->request_stop();
  }
  finish();
}

void Worker::join() {
  if (thread_.joinable()) thread_.join();
}

void Worker::loop() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return ending_ || !waiting_.empty(); });
    if (waiting_.empty() || halted_) return;
    running_.splice(running_.end(), waiting_, waiting_.begin());

    lock.unlock();
    running_.front().job->run();
    lock.lock();

    if (halted_) return;
    mailbox_->post(running_);
    if (waiting_.empty()) idle_.notify_all();
  }
}

}  // namespace ffjord::binding
