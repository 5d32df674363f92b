// Anybody may send anything: a request is either read or refused with a field's name, and who may
// ask is decided on whatever its head says.
#include <cstdlib>

#include "model/error.h"
#include "model/files/gguf.h"
#include "model/text/tokenizer.h"
#include "runtime/serve/access.h"
#include "runtime/serve/agent_requests.h"
#include "runtime/serve/chat_completions.h"
#include "runtime/serve/completions.h"
#include "runtime/serve/event_log.h"
#include "runtime/serve/messages.h"
#include "runtime/serve/responses.h"
#include "runtime/serve/stop_texts.h"
#include "runtime/serve/token_pages.h"

namespace {

using namespace corvid::runtime;
using corvid::model::JsonDocument;

void read_as_every_api(std::string_view body) {
  for (const auto read : {chat_completion, text_completion, message_call, response_call}) {
    try {
      const JsonDocument document(body);
      const ApiCall call = read(document.root(), "model");
      FinishedReply reply;
      reply.content = "x";
      reply.calls = {{"id", "tool", R"({"input": "a"})"}};
      call.writer->begin({});
      call.writer->grow({"thought", "x", ""});
      call.writer->end(reply);
      call.writer->fail(ApiError(500, "x"));
    } catch (const corvid::model::ModelError&) {
    } catch (const ApiError&) {
    }
  }
}

// A page or a request for the agent is answered, or refused with a field's name.
template <typename Read>
void read_as(std::string_view body, Read read) {
  try {
    const JsonDocument document(body);
    read(document.root());
  } catch (const corvid::model::ModelError&) {
  } catch (const ApiError&) {
  }
}

void read_as_other_pages(std::string_view body) {
  using corvid::model::GgufFile, corvid::model::JsonField, corvid::model::Tokenizer;
  static const auto tokenizer =
      Tokenizer::load(*GgufFile::open(CORVID_SOURCE_DIR "/tests/vectors/deepseek-v3.2-vocab.gguf"));
  read_as(body, [](const JsonField& root) { tokenize_page(root, *tokenizer); });
  read_as(body, [](const JsonField& root) { detokenize_page(root, *tokenizer); });
  read_as(body, [](const JsonField& root) {
    const AgentOptions options = read_session(root, {}, {"/tmp"});
    // As the journal has it, it is read again.
    settings_of({.policy = "{\"asked\": " + options.asked + "}"}, {});
  });
  read_as(body, [](const JsonField& root) { read_prompt(root); });
  read_as(body, [](const JsonField& root) { name(read_answer(root)); });
  owner_of(corvid::memory::SessionHeader{.policy = std::string(body)});
}

void check_place(std::string_view id) {
  const auto place = EventLog::read_place(id);
  if (place && (place->step < 0 || place->after < 0)) std::abort();
}

void check_access(std::string_view text) {
  const std::size_t cut = text.find('\n');
  HttpRequest request{"POST", "/v1/models", "", {}, ""};
  request.headers = {{"host", std::string(text.substr(0, cut))},
                     {"authorization", "Bearer " + std::string(text)},
                     {"content-type", "application/json"}};
  if (cut != text.npos) request.headers.emplace_back("origin", text.substr(cut + 1));
  AccessRules rules;
  rules.keys = {"a key that is not guessed"};
  if (!refusal(rules, request)) std::abort();
}

// However the content is cut, the same is shown.
void check_stop_texts(std::string_view text) {
  const std::vector<std::string> texts = {"stop", "top", "<|end|>", "d|", "aab"};
  StopTexts whole(texts), bytewise(texts);
  const std::string at_once = whole.feed(text) + whole.rest();
  std::string one_by_one;
  for (const char& c : text) one_by_one += bytewise.feed({&c, 1});
  one_by_one += bytewise.rest();
  if (at_once != one_by_one || whole.found() != bytewise.found()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  read_as_every_api(text);
  read_as_other_pages(text);
  check_place(text);
  check_access(text);
  check_stop_texts(text);
  return 0;
}
