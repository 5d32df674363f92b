#include "model/generate.h"

#include <algorithm>
#include <cassert>
#include <chrono>

#include "model/error.h"
#include "model/text/reply_parser.h"

namespace corvid::model {
namespace {

using Clock = std::chrono::steady_clock;

}  // namespace

struct Generation::Parts {
  Context& context;
  const std::shared_ptr<const Tokenizer> tokenizer;
  const std::unique_ptr<Constraint> constraint;
  const GenerateOptions options;
  const std::unique_ptr<TurnParser> parser;
  Sampler sampler;
  std::vector<Token> ends;    // tokens that end a reply
  std::optional<Token> said;  // the one of them that is part of the reply
  TokenMask in_reasoning;     // what may be said where no constraint is active
  TokenMask in_content;
  TokenMask constrained;

  std::size_t prompt_at = 0;   // tokens of the prompt that are in the context
  std::vector<Token> reply;    // sampled and forced
  std::vector<Token> pending;  // the last of them: not in the context yet
  std::size_t in_flight = 0;   // tokens of the last work()
  Draw draw;                   // of it
  Clock::time_point started;
  std::optional<Stop> stop;  // set: done
  Usage usage;

  Parts(Context& context, const ChatFormat& format, std::shared_ptr<const Tokenizer> tokenizer,
        std::unique_ptr<Constraint> constraint, GenerateOptions options);
  bool prefilling() const { return prompt_at < options.prompt.size(); }
  const TokenMask& mask();
  Token drawn();
  void take(Token token, Delta& delta);
  void take_forced(Delta& delta);
};

Generation::Parts::Parts(Context& context, const ChatFormat& format,
                         std::shared_ptr<const Tokenizer> tokenizer_,
                         std::unique_ptr<Constraint> constraint, GenerateOptions options_)
    : context(context),
      tokenizer(std::move(tokenizer_)),
      constraint(std::move(constraint)),
      options(std::move(options_)),
      parser(options.bare_text ? text_parser() : format.parser(options.thinking, options.tools)),
      sampler(options.sampling),
      in_reasoning(tokenizer->vocab_size()),
      in_content(tokenizer->vocab_size()),
      constrained(tokenizer->vocab_size()) {
  assert(!options.prompt.empty() && options.prefill_chunk_tokens > 0);
  for (Token token = 0; token < tokenizer->vocab_size(); ++token) {
    if (!tokenizer->is_special(token)) in_content.allow(token);
  }
  for (std::string_view text : format.syntax().ends()) {
    if (const auto token = tokenizer->special(text)) ends.push_back(*token);
  }
  for (Token end : ends) in_content.allow(end);
  if (!format.reply_suffix().empty()) said = ends.front();
  in_reasoning = in_content;
  if (const auto token = tokenizer->special(format.syntax().reasoning_end())) {
    in_reasoning.allow(*token);
  }
  if (this->constraint && !options.bare_text) {
    const CallSyntax& calls = format.syntax().calls();
    for (const Piece& piece : format.syntax().pieces(calls.commitment)) {
      if (piece.special) in_content.allow(*tokenizer->special(piece.text));
    }
  }
  if (static_cast<int>(options.prompt.size()) > context.room_tokens()) stop = Stop::context_full;
}

// What may be said next; the network may have rows for tokens that the vocabulary does not have.
const TokenMask& Generation::Parts::mask() {
  if (constraint && !constraint->free()) {
    constraint->mask(constrained);
    return constrained;
  }
  return parser->where() == TurnParser::Where::reasoning ? in_reasoning : in_content;
}

Token Generation::Parts::drawn() {
  sampler.advance();
  const Token token =
      sampler.changes_logits() ? sampler.draw(context.logits(), draw) : context.drawn();
  if (token >= 0) return token;
  throw ModelError("the model computed no number for any token; its file may be damaged");
}

void Generation::Parts::take(Token token, Delta& delta) {
  if (std::ranges::find(ends, token) != ends.end()) {
    stop = Stop::end;
    if (token != said) return;  // the next message begins with it
    reply.push_back(token);
    pending.push_back(token);
    return;
  }
  reply.push_back(token);
  pending.push_back(token);
  sampler.said(token);
  if (constraint) constraint->accept(token);
  const std::string_view bytes = tokenizer->bytes(token);
  delta += tokenizer->is_special(token) ? parser->feed_special(bytes) : parser->feed(bytes);
  if (parser->where() == TurnParser::Where::closed) {
    ++usage.forced;
    take(ends.front(), delta);  // the only thing that can follow
  } else if (static_cast<int>(reply.size()) == options.max_tokens) {
    stop = Stop::length;
  }
}

void Generation::Parts::take_forced(Delta& delta) {
  if (stop || !constraint) return;
  for (Token token : constraint->forced()) {
    ++usage.forced;
    take(token, delta);
    if (stop) return;
  }
}

Generation::Generation(Context& context, std::shared_ptr<const ChatFormat> format,
                       std::shared_ptr<const Tokenizer> tokenizer,
                       std::unique_ptr<Constraint> constraint, GenerateOptions options)
    : parts_(std::make_unique<Parts>(context, *format, std::move(tokenizer), std::move(constraint),
                                     std::move(options))) {}

Generation::~Generation() = default;

bool Generation::done() const {
  return parts_->stop.has_value();
}

std::optional<Work> Generation::work() {
  Parts& p = *parts_;
  if (!done() && static_cast<int>(p.pending.size()) > p.context.room_tokens()) {
    p.stop = Stop::context_full;
  }
  if (done()) return std::nullopt;
  p.started = Clock::now();
  Work work{&p.context, p.pending, Rows::last};
  if (p.prefilling()) {
    const auto left = std::span(p.options.prompt).subspan(p.prompt_at);
    const auto chunk = static_cast<std::size_t>(p.options.prefill_chunk_tokens);
    work.tokens = left.first(std::min(chunk, left.size()));
    if (work.tokens.size() < left.size()) work.logits = Rows::none;
  }
  if (work.logits == Rows::last) {
    p.draw = p.sampler.next(&p.mask());
    if (!p.sampler.changes_logits()) work.draw = &p.draw;
  }
  p.in_flight = work.tokens.size();
  return work;
}

Delta Generation::advance() {
  Parts& p = *parts_;
  assert(!done() && p.in_flight > 0);
  const double seconds = std::chrono::duration<double>(Clock::now() - p.started).count();
  if (p.prefilling()) {
    p.prompt_at += p.in_flight;
    p.usage.prefilled += static_cast<int>(p.in_flight);
    p.usage.prefill_seconds += seconds;
  } else {
    p.pending.clear();
    p.usage.decode_seconds += seconds;
  }
  p.in_flight = 0;
  Delta delta;
  if (p.prefilling()) return delta;
  ++p.usage.generated;
  p.take(p.drawn(), delta);
  p.take_forced(delta);
  return delta;
}

void Generation::interrupt() {
  if (!done()) parts_->stop = Stop::interrupted;
}

Turn Generation::finish() {
  assert(done());
  Turn turn = parts_->parser->finish(*parts_->stop);
  turn.tokens = std::move(parts_->reply);
  turn.usage = parts_->usage;
  return turn;
}

int Generation::prompt_tokens_left() const {
  return static_cast<int>(parts_->options.prompt.size() - parts_->prompt_at);
}

}  // namespace corvid::model
