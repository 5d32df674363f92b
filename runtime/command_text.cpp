// corvid render and corvid tokenize: what a model sees of a conversation, and of a text.
#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <string>

#include "model/files/gguf.h"
#include "model/text/chat_format.h"
#include "model/text/messages.h"
#include "model/text/tokenizer.h"
#include "runtime/commands.h"
#include "runtime/common_flags.h"
#include "runtime/error.h"
#include "runtime/local_model.h"

namespace corvid::runtime {
namespace {

struct TextOptions {
  std::string model, input = "-", chat_format;
  bool ids = false;
  bool special = false;
};

std::string read_input(const std::string& path) {
  if (path == "-") return {std::istreambuf_iterator<char>(std::cin), {}};
  std::ifstream in(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  if (!in) throw RuntimeError("cannot read '" + path + "': " + std::strerror(errno), kUsage);
  return text;
}

std::shared_ptr<const model::Tokenizer> load_tokenizer(const model::GgufFile& file) {
  auto tokenizer = model::Tokenizer::load(file);
  if (!tokenizer) throw RuntimeError(file.name() + " carries no tokenizer", kModelError);
  return tokenizer;
}

void print_ids(const std::vector<model::Token>& ids) {
  for (std::size_t i = 0; i < ids.size(); ++i) std::cout << (i ? " " : "") << ids[i];
  std::cout << "\n";
}

// By its name, or as the file's chat template tells; V3.2's when there is neither.
std::shared_ptr<const model::ChatFormat> format_of(const TextOptions& options) {
  if (!options.chat_format.empty()) return model::ChatFormat::named(options.chat_format);
  if (!options.model.empty()) {
    const auto file = open_model_file(options.model);
    if (file->string("tokenizer.chat_template")) {
      return model::ChatFormat::of_model(*file, *load_tokenizer(*file));
    }
  }
  return model::ChatFormat::named("deepseek-v3.2");
}

void render(const TextOptions& options) {
  const auto format = format_of(options);
  const model::Conversation conversation = model::read_conversation(read_input(options.input));
  const model::Pieces prompt =
      format->render(conversation.messages, conversation.tools, conversation.thinking);
  if (!options.ids) {
    std::cout << model::text_of(prompt);
  } else {
    print_ids(load_tokenizer(*open_model_file(options.model))->encode(prompt));
  }
}

void tokenize(const TextOptions& options) {
  const auto tokenizer = load_tokenizer(*open_model_file(options.model));
  const std::string text = read_input(options.input);
  print_ids(options.special ? tokenizer->encode_special(text) : tokenizer->encode(text));
}

}  // namespace

void add_render_command(CLI::App& app) {
  auto options = std::make_shared<TextOptions>();
  CLI::App* command = app.add_subcommand(
      "render", "Print the prompt that a conversation becomes, byte for byte as a model sees it");
  command
      ->add_option("messages", options->input,
                   "JSON file in OpenAI's shape {messages, tools, thinking}; - is stdin")
      ->required();
  command->add_option("--chat-format", options->chat_format, chat_format_help())->type_name("NAME");
  CLI::Option* model =
      command
          ->add_option("--model", options->model,
                       "A GGUF file, or built-in: its format; without it DeepSeek-V3.2's")
          ->type_name("FILE");
  command->add_flag("--ids", options->ids, "Print token ids instead of text; needs --model")
      ->needs(model);
  command->callback([options] { render(*options); });
}

void add_tokenize_command(CLI::App& app) {
  auto options = std::make_shared<TextOptions>();
  CLI::App* command = app.add_subcommand("tokenize", "Print the token ids of a text");
  command->add_option("text", options->input, "File; - is stdin")->capture_default_str();
  options->model = kBuiltinModel;
  command->add_option("--model", options->model, "A GGUF file")
      ->capture_default_str()
      ->type_name("FILE");
  command->add_flag("--special", options->special, "Recognise special tokens in the text");
  command->callback([options] { tokenize(*options); });
}

}  // namespace corvid::runtime
