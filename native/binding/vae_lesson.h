// What an autoencoder's train takes and tells beside what every burst does.
#pragma once

#include "binding/training_jobs.h"
#include "core/vae_training.h"

namespace ffjord::binding {

class VaeLesson {
 public:
  using Model = Vae;
  using Record = VaeIteration;

  VaeLesson(const Fields& call, const Vae* vae)
      : images_(ImagesHandle::of(call["images"], vae)),
        binarize_(call.flag("binarize")),
        betas_(call.doubles("betas")) {}
  std::size_t row_count() const { return images_->rows->count(); }
  void check(const Fields& call, std::size_t batches) const {
    check_batches(call, "betas", betas_.size(), batches);
  }
  std::vector<VaeIteration> train(Vae& vae, const BurstCall& call) const {
    return ffjord::train(vae, {*images_->rows, binarize_, betas_}, call.burst);
  }
  void define_own(const Napi::Object& object, const VaeIteration& record, const BurstCall&) const {
    define(object, "reconstruction", record.reconstruction);
    define(object, "kl", record.kl);
  }

 private:
  std::shared_ptr<const KeptRows<Vae>> images_;
  bool binarize_;
  std::vector<double> betas_;
};

}  // namespace ffjord::binding
