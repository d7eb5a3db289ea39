#include "binding/worker.h"

#include <unordered_set>

namespace ffjord::binding {
namespace {

// All workers of the process that have a thread. process.exit() runs no cleanup hooks, so this
// object's end is what keeps threads from computing while the library's constants are destroyed.
class LiveWorkers {
 public:
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

void Worker::push(std::unique_ptr<PendingCall> call) {
  {
    const std::lock_guard lock(mutex_);
    if (!thread_.joinable()) {
      thread_ = std::thread([this] { loop(); });
      LiveWorkers::all().add(this);
    }
    waiting_.push_back(std::move(call));
  }
  wake_.notify_one();
}

void Worker::wait_until_idle() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return waiting_.empty() && running_ == nullptr; });
}

void Worker::finish() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_one();
}

void Worker::abandon() {
  std::deque<std::unique_ptr<PendingCall>> dropped;  // destroyed here, outside the lock
  {
    const std::lock_guard lock(mutex_);
    dropped.swap(waiting_);
    if (running_ != nullptr) running_->job->request_stop();
  }
  finish();
}

void Worker::halt() {
  {
    const std::lock_guard lock(mutex_);
    halted_ = true;
    if (running_ != nullptr) running_->job->request_stop();
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
    std::unique_ptr<PendingCall> call = std::move(waiting_.front());
    waiting_.pop_front();
    running_ = call.get();

    lock.unlock();
    call->job->run();
    lock.lock();

    running_ = nullptr;
    mailbox_->post(std::move(call));
    if (waiting_.empty()) idle_.notify_all();
  }
}

}  // namespace ffjord::binding
