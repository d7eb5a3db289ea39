// Ranks whose gradients go from card to card by NCCL, where each has a card of its own; all else
// goes by MPI, which also carries NCCL's id. What is small stays there: it lies on the host as it
// is, and the order of its sums is that of the tree.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "core/communicator.h"
#include "distributed/nccl_library.h"
#include "distributed/nccl_link.h"

namespace ffjord::distributed {

class NcclCommunicator : public Communicator {
 public:
  /// `host` joins the ranks already; `library` is opened where gradients first lie in cards.
  NcclCommunicator(std::unique_ptr<Communicator> host, double deadline,
                   std::string library = NcclLibrary::usual_name());

  int rank() const override { return host_->rank(); }
  int size() const override { return host_->size(); }
  int local_rank() const override { return host_->local_rank(); }
  int local_size() const override { return host_->local_size(); }
  std::string transport() const override;
  /// Also how gradients of cards are summed, and why not by NCCL.
  std::string library() const override;

  void gather(std::span<const std::byte> own, std::span<std::byte> all) override {
    host_->gather(own, all);
  }
  void exchange(std::span<const std::byte> parts, std::span<std::byte> received) override {
    host_->exchange(parts, received);
  }
  void broadcast(std::span<std::byte> bytes, int root) override { host_->broadcast(bytes, root); }

  using Communicator::sum;
  void sum(DeviceValues& values) override;
  bool is_prepared(const DeviceValues& values) const override { return values.card() == card_; }
  /// Links the cards, or finds a reason not to that all ranks have in common: it is not thrown, as
  /// gradients can go through the host's memory.
  void prepare(DeviceValues& values) override;

  void give_up(const std::string& reason) noexcept override { host_->give_up(reason); }
  void check_peers() override { host_->check_peers(); }
  void lift_deadline() noexcept override { host_->lift_deadline(); }
  void leave() override;
  void abort(int exit_code) noexcept override { host_->abort(exit_code); }

 private:
  struct Offer;
  Offer offer(const DeviceValues& values);
  std::string obstacle(const DeviceValues& values);
  std::string link(DeviceValues& values);
  struct Failure;
  std::string cause(const Failure& own);
  void tell(const std::string& transport, const std::string& words);

  const std::unique_ptr<Communicator> host_;
  const double deadline_;
  const std::string name_;
  std::optional<NcclLibrary> library_;
  std::optional<NcclLink> link_;  // none: by the host's memory
  std::string card_;              // that was prepared for

  mutable std::mutex told_;  // of what follows
  std::string transport_, words_;
};

}  // namespace ffjord::distributed
