#include "runtime/serve/model_service.h"

#include <algorithm>
#include <filesystem>
#include <random>

#include "runtime/serve/stop_texts.h"
#include "sandbox/offload.h"

namespace corvid::runtime {
namespace {

using model::Role;
using model::Thinking;

constexpr std::size_t kMaxNoteBytes = 64 << 20;  // then it is written anew

model::Sampling sampling_of(const ModelRequest& request, model::Sampling sampling) {
  if (request.temperature) sampling.temperature = *request.temperature;
  if (request.top_p) sampling.top_p = *request.top_p;
  if (request.min_p) sampling.min_p = *request.min_p;
  sampling.bias = request.logit_bias;
  sampling.presence_penalty = request.presence_penalty;
  sampling.frequency_penalty = request.frequency_penalty;
  sampling.top_k = request.top_k;
  sampling.seed = request.seed ? *request.seed : std::random_device()();
  return sampling;
}

// The last message may be the beginning of the reply itself: then the model goes on with it.
ModelService::Prompt conversation_prompt(const LocalModel& model, const ModelRequest& request) {
  std::span<const model::Message> messages = request.messages;
  std::string begun;
  Thinking thinking = request.thinking;
  if (!messages.empty() && messages.back().role == Role::assistant &&
      messages.back().calls.empty()) {
    begun = messages.back().content;
    thinking = Thinking::off;
    messages = messages.first(messages.size() - 1);
  }
  // Some clients add to the instructions behind what they ask.
  const auto asked = std::ranges::find_if(messages.rbegin(), messages.rend(),
                                          [](const auto& m) { return m.role != Role::system; });
  if (asked == messages.rend() || asked->role == Role::assistant) {
    throw ApiError(400, "messages: the last one is neither the user's nor a tool's", "messages");
  }
  const bool after_results = asked->role == Role::tool;
  model::PieceWriter out;
  out.add(model.format->render(messages, request.tools, thinking)).plain(begun);
  return {model.tokenizer->encode(out.take()),
          model.format->thinking(thinking, {after_results, !request.tools.empty()})};
}

// Admits all but special tokens: nothing ends the text before its limit.
class EndlessText : public model::Constraint {
 public:
  explicit EndlessText(const model::Tokenizer& tokenizer) : text_(tokenizer.vocab_size()) {
    for (model::Token token = 0; token < tokenizer.vocab_size(); ++token) {
      if (!tokenizer.is_special(token)) text_.allow(token);
    }
  }
  bool free() const override { return false; }
  void mask(model::TokenMask& allowed) const override { allowed = text_; }
  void accept(model::Token) override {}
  void rollback(int) override {}
  std::vector<model::Token> forced() const override { return {}; }

 private:
  model::TokenMask text_;
};

// What a reply may say: the tools that it may call, and the rule for it.
struct ReplyLaw {
  std::vector<model::ToolSpec> tools;
  model::ReplyRule rule;
};

ReplyLaw law_of(const ModelRequest& request) {
  ReplyLaw law{request.tools, request.rule};
  const std::vector<std::string>& allowed = request.allowed_tools;
  if (allowed.empty()) return law;
  std::erase_if(law.tools, [&](const auto& tool) {
    return std::ranges::find(allowed, tool.name) == allowed.end();
  });
  return law;
}

// Of the engine thread. What it throws is no fault of the request.
[[noreturn]] void rethrow_as_api_error(std::exception_ptr error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& cause) {
    throw ApiError(500, cause.what());
  }
}

}  // namespace

ModelService::ModelService(LocalModel model, ContextPool::Options contexts)
    : model_(std::move(model)),
      snapshots_(contexts.snapshots),
      engine_(model_.engine, std::move(contexts)) {
  if (!snapshots_) return;
  memory_.load(snapshots_->read_note());
  const std::string known = memory_.save();
  note_bytes_ = known.size();
  snapshots_->write_note(known);  // without what was damaged or is superseded
  scribe_.emplace(1);
}

ModelService::~ModelService() = default;

// Returns when the reply is on disk: who has been told of it may go on with it though the server
// was killed.
asio::awaitable<void> ModelService::note(std::string record) {
  if (record.empty() || !scribe_) co_return;
  note_bytes_ += record.size();
  const bool full = note_bytes_ > kMaxNoteBytes;
  if (full) record = memory_.save();
  if (full) note_bytes_ = record.size();
  auto write = [snapshots = snapshots_, full, record = std::move(record)] {
    full ? snapshots->write_note(record) : snapshots->append_note(record);
  };
  co_await sandbox::offload(*scribe_, std::move(write));
}

std::string ModelService::name() const {
  return model_.name == kBuiltinModel ? "corvid" : std::filesystem::path(model_.name).stem();
}

ModelService::Prompt ModelService::prompt_of(const ModelRequest& request) const {
  Prompt prompt = request.text ? Prompt{model_.tokenizer->encode(*request.text), Thinking::off}
                               : conversation_prompt(model_, request);
  if (request.text && model_.tokenizer->bos() >= 0) {
    prompt.tokens.insert(prompt.tokens.begin(), model_.tokenizer->bos());
  }
  if (prompt.tokens.empty()) throw ApiError(400, "prompt: it is empty", "prompt");
  const auto& bias = request.logit_bias;  // by token, so the last is the highest
  if (!bias.empty() && bias.rbegin()->first >= model_.tokenizer->vocab_size()) {
    const std::string token = std::to_string(bias.rbegin()->first);
    throw ApiError(400, "logit_bias: the model has no token " + token, "logit_bias");
  }
  return prompt;
}

void ModelService::require_room(const Prompt& prompt) const {
  const int n = static_cast<int>(prompt.tokens.size());
  if (n < context_tokens()) return;
  const std::string most = std::to_string(context_tokens());
  // Agents look for the words of both vendors, and make the conversation shorter.
  throw ApiError(400,
                 "prompt is too long: " + std::to_string(n) + " tokens > " + most +
                     " maximum; this model's maximum context length is " + most + " tokens",
                 "", "context_length_exceeded");
}

// --- One reply. ----------------------------------------------------------------------------------

struct RunningReply::Watch {
  StopTexts stop_texts;
  std::size_t n_searched = 0;  // bytes of the content
};

RunningReply::RunningReply(const asio::any_io_executor& io, ModelService& service,
                           const ModelRequest& request, ModelService::Prompt prompt,
                           std::uint64_t owner)
    : service_(service),
      thinking_(prompt.thinking),
      owner_(owner),
      answered_(answered_by(request.messages)),
      begun_(request.text || request.messages.back().role == Role::assistant),
      watch_(std::make_shared<Watch>(Watch{StopTexts(request.stop_texts)})),
      listener_(io, box_) {
  const LocalModel& model = service.model_;
  usage_.prompt_tokens = static_cast<int>(prompt.tokens.size());
  ReplyRequest job;
  job.prompt = std::move(prompt.tokens);
  job.constraint = [&model, law = law_of(request), thinking = thinking_,
                    endless = request.ignore_end]() -> std::unique_ptr<model::Constraint> {
    if (endless) return std::make_unique<EndlessText>(*model.tokenizer);
    return model.constraint(law.tools, thinking, law.rule);
  };
  job.format = model.format;
  job.tokenizer = model.tokenizer;
  job.sampling = sampling_of(request, model.sampling);
  job.thinking = thinking_;
  job.bare_text = request.text.has_value();
  job.tools = request.tools;
  job.max_tokens = request.max_tokens;
  std::stop_source stop = listener_.stop();
  job.on_progress = [box = box_, watch = watch_, stop](const ReplyRequest::Progress& progress) {
    StopTexts& stop_texts = watch->stop_texts;
    model::Delta delta = progress.delta;
    watch->n_searched += delta.content.size();
    delta.content = stop_texts.feed(delta.content);
    if (!delta.calls.empty()) delta.content += stop_texts.rest();  // the content is complete
    if (!stop_texts.found().empty()) delta.calls.clear();
    box->put_progress(delta, progress.prefill_fraction, progress.reused);
    if (!stop_texts.found().empty()) std::stop_source(stop).request_stop();
  };
  job.on_done = [box = box_](model::Turn turn, std::exception_ptr error) {
    box->put_outcome(std::move(turn), std::move(error));
  };
  service.engine_.submit(service.engine_.pooled_timeline(owner), std::move(job), stop.get_token());
}

asio::awaitable<RunningReply::Update> RunningReply::next(asio::steady_timer::time_point until) {
  Box::Mail mail = box_->take();
  if (!mail.prefill_fraction && !mail.outcome && !mail.error) {
    co_await listener_.wait(until);
    mail = box_->take();
  }
  if (mail.error) rethrow_as_api_error(mail.error);
  Update update;
  update.delta = std::move(mail.delta);
  update.started = mail.prefill_fraction.has_value();
  if (update.started) usage_.cached_tokens = mail.reused;
  reasoning_ += update.delta.reasoning;
  content_ += update.delta.content;
  for (model::CallPart& part : update.delta.calls) part.id = id_of_call(part.call);
  if (mail.outcome) {
    update.finished = finish(std::move(*mail.outcome), update.delta);
    co_await service_.note(std::move(record_));
  }
  update.usage = usage_;
  co_return update;
}

// Adds to `last` what the parser, or a search for stop texts, held back to the end.
FinishedReply RunningReply::finish(model::Turn turn, model::Delta& last) {
  using Finish = FinishedReply::Finish;
  const std::string& stop_text = watch_->stop_texts.found();
  if (turn.stop == model::Stop::interrupted && stop_text.empty()) {
    throw ApiError(503, "the server is stopping");
  }
  if (stop_text.empty() && turn.content.size() > watch_->n_searched) {
    const std::string more = watch_->stop_texts.feed(turn.content.substr(watch_->n_searched));
    last.content += more;
    content_ += more;
  }
  usage_.cached_tokens = turn.usage.reused;
  usage_.reply_tokens = static_cast<int>(turn.tokens.size());
  model::Said said =
      model::said_of(*service_.model_.format, *service_.model_.tokenizer, turn.tokens, thinking_);
  usage_.reasoning_tokens = static_cast<int>(said.reasoning.size());
  ModelService::Totals& totals = service_.totals_;
  ++totals.replies;
  totals.prompt_tokens += usage_.prompt_tokens;
  totals.cached_tokens += usage_.cached_tokens;
  totals.reply_tokens += usage_.reply_tokens;

  if (turn.reasoning.starts_with(reasoning_)) {
    last.reasoning += turn.reasoning.substr(reasoning_.size());
  }
  FinishedReply reply{Finish::end, stop_text, std::move(turn.reasoning), content_, {}, usage_};
  if (!stop_text.empty()) {
    reply.finish = Finish::stop_text;
    return reply;
  }
  if (turn.content.starts_with(content_)) last.content += turn.content.substr(content_.size());
  reply.content = std::move(turn.content);
  reply.calls = std::move(turn.calls);
  for (std::size_t i = 0; i < reply.calls.size(); ++i) reply.calls[i].id = id_of_call(i);
  if (!reply.calls.empty()) reply.finish = Finish::calls;
  if (turn.stop == model::Stop::length || turn.stop == model::Stop::context_full) {
    reply.finish = Finish::length;
  }
  if (!begun_) remember(reply, std::move(said));
  return reply;
}

const std::string& RunningReply::id_of_call(std::size_t call) {
  while (call_ids_.size() <= call) call_ids_.push_back(random_id("call_"));
  return call_ids_[call];
}

void RunningReply::remember(const FinishedReply& reply, model::Said said) {
  ReplyMemory::Reply known{owner_, answered_, reply.content, reply.calls,
                           std::make_shared<const model::Said>(std::move(said))};
  if (service_.scribe_) record_ = ReplyMemory::record(known);
  service_.memory_.add(std::move(known));
}

}  // namespace corvid::runtime
