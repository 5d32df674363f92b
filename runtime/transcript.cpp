#include "runtime/transcript.h"

#include <algorithm>

namespace corvid::runtime {
namespace {

void append_to(model::Pieces& pieces, model::Pieces more) {
  pieces.insert(pieces.end(), std::make_move_iterator(more.begin()),
                std::make_move_iterator(more.end()));
}

template <typename Range>
void append_to(std::vector<model::Token>& tokens, const Range& more) {
  tokens.insert(tokens.end(), more.begin(), more.end());
}

}  // namespace

Transcript::Transcript(std::shared_ptr<const model::Tokenizer> tokenizer,
                       std::shared_ptr<const model::ChatFormat> format, model::Thinking thinking)
    : tokenizer_(std::move(tokenizer)), format_(std::move(format)), thinking_(thinking) {}

void Transcript::append(const Entry& entry) {
  if (const auto* opening = std::get_if<Opening>(&entry)) {
    append_to(pending_, format_->open(opening->system, opening->tools));
    with_tools_ = !opening->tools.empty();
  } else if (const auto* user = std::get_if<UserText>(&entry)) {
    close_unanswered();
    append_to(pending_, format_->user(user->text));
    turn_start_ = steps_.size();
    awaiting_ = Awaiting::answer_to_user;
  } else if (const auto* results = std::get_if<Results>(&entry)) {
    append_to(pending_, format_->results(results->results));
    awaiting_ = Awaiting::answer_to_results;
  } else {
    add_reply(std::get<Reply>(entry).turn);
  }
}

void Transcript::replace(const std::vector<Entry>& entries) {
  steps_.clear();
  pending_.clear();
  turn_start_ = 0;
  awaiting_ = Awaiting::nothing;
  for (const Entry& entry : entries) append(entry);
}

void Transcript::add_reply(const model::Turn& turn) {
  Step step;
  if (turn.tokens.empty()) {  // said by another model: rendered from its text
    append_to(pending_, format_->history(turn, after_results()));
    step.kept = step.stripped = tokenizer_->encode(pending_);
  } else {
    step.kept = tokenizer_->encode(pending_with(reply_prefix()));
    append_to(step.kept, turn.tokens);
    step.stripped = step.kept;
    if (format_->reasoning_rule() != model::ReasoningRule::always) {
      step.stripped = tokenizer_->encode(pending_with(format_->history_prefix(after_results())));
      append_to(step.stripped, std::span(turn.tokens).subspan(reasoning_length(turn)));
    }
  }
  pending_.clear();
  if (!turn.tokens.empty() && !ends_itself(turn.tokens)) pending_ = format_->reply_suffix();
  awaiting_ = Awaiting::nothing;
  steps_.push_back(std::move(step));
}

// A message or results that got no answer (an interrupt, a failure).
void Transcript::close_unanswered() {
  if (awaiting_ == Awaiting::nothing) return;
  append_to(pending_, format_->unanswered(after_results()));
}

model::Thinking Transcript::thinking() const {
  return format_->thinking(thinking_, {after_results(), with_tools_});
}

model::Pieces Transcript::reply_prefix() const {
  return format_->reply_prefix(thinking(), after_results());
}

model::Pieces Transcript::pending_with(const model::Pieces& prefix) const {
  model::Pieces pieces = pending_;
  append_to(pieces, prefix);
  return pieces;
}

// How many of the reply's tokens are reasoning, with the marker that ends it: the prefix of a reply
// of the past stands for that marker.
std::size_t Transcript::reasoning_length(const model::Turn& turn) const {
  if (thinking() == model::Thinking::off) return 0;
  const auto parser = format_->parser(model::Thinking::on, {});
  for (std::size_t i = 0; i < turn.tokens.size(); ++i) {
    const std::string_view bytes = tokenizer_->bytes(turn.tokens[i]);
    if (tokenizer_->is_special(turn.tokens[i])) {
      parser->feed_special(bytes);
    } else {
      parser->feed(bytes);
    }
    if (parser->where() != model::TurnParser::Where::reasoning) return i + 1;
  }
  return turn.reasoning.empty() ? 0 : turn.tokens.size();  // no marker: spoken without thinking
}

bool Transcript::ends_itself(const std::vector<model::Token>& reply) const {
  const std::vector<model::Token> suffix = tokenizer_->encode(format_->reply_suffix());
  return reply.size() >= suffix.size() &&
         std::equal(suffix.rbegin(), suffix.rend(), reply.rbegin());
}

std::vector<model::Token> Transcript::render(std::size_t kept_from) const {
  std::vector<model::Token> tokens;
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    append_to(tokens, i < kept_from ? steps_[i].stripped : steps_[i].kept);
  }
  return tokens;
}

std::vector<model::Token> Transcript::prompt() const {
  std::vector<model::Token> tokens = render(turn_start_);
  append_to(tokens, tokenizer_->encode(pending_with(reply_prefix())));
  return tokens;
}

std::vector<model::Token> Transcript::settled() const {
  return render(steps_.size());
}

int Transcript::size() const {
  return static_cast<int>(prompt().size());
}

}  // namespace corvid::runtime
