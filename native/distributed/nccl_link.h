// A communicator of NCCL: one rank's link to the cards of the others. NCCL does not notice that a
// peer is gone or hangs: its kernel would wait on the card for good. So calls do not block, and the
// thread that waits for one looks for errors, a deadline, and ranks that gave up meanwhile. Then it
// aborts the link, which ends the kernel, and throws.
#pragma once

#include "core/communicator.h"
#include "distributed/nccl_library.h"

namespace ffjord::distributed {

class NcclLink {
 public:
  /// For the card of the calling thread; a call of all ranks of `peers`. Throws Error(PeerLost)
  /// where they are not linked within `deadline` seconds. `library` and `peers` outlive the link.
  NcclLink(const NcclLibrary& library, Communicator& peers, const NcclLibrary::UniqueId& id,
           double deadline);
  /// Aborts what was not closed: others see it as a failure.
  ~NcclLink() { abort(); }
  NcclLink(const NcclLink&) = delete;

  /// A call of all ranks, which all get the same bits. Own work that makes the values is waited for
  /// as long as it takes. Throws Error(PeerLost); there is no link then.
  void sum(DeviceValues& values, double deadline);

  /// A call of all ranks, behind which there is no link.
  void close(double deadline);
  void abort() noexcept;

 private:
  template <class Done>
  void wait(const char* what, double deadline, const Done& done);
  void begin(const char* what, int code);
  [[noreturn]] void fail(const char* what, int code);

  const NcclLibrary& library_;
  Communicator& peers_;
  NcclLibrary::Communicator link_ = nullptr;
};

}  // namespace ffjord::distributed
