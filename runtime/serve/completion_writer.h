// What the answers of OpenAI's two completion APIs have in common: their frame, their usage, and
// the end of their streams. See ReplyWriter.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "runtime/serve/model_request.h"

namespace corvid::runtime {

class CompletionWriter : public ReplyWriter {
 public:
  // `body` is the request, whose stream_options are read. ModelError.
  CompletionWriter(std::string_view id_prefix, std::string model, const model::JsonField& body);

  std::string fail(const ApiError& error) override;

 protected:
  // An answer, or a part of one, with one choice.
  nlohmann::ordered_json answer(std::string_view object, nlohmann::ordered_json choice) const;
  nlohmann::ordered_json whole_answer(std::string_view object, nlohmann::ordered_json choice,
                                      const ReplyUsage& usage) const;
  // What a stream ends with: the usage, where it is asked for, and the mark of its end.
  std::string end_of_stream(std::string_view object, const ReplyUsage& usage) const;

 private:
  const std::string id_;
  const std::int64_t created_ = seconds_since_epoch();
  const std::string model_;
  bool include_usage_ = false;
};

}  // namespace corvid::runtime
